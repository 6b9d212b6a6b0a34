/* compare: two runs side by side: what they were given, what they reported, how long they took, and
 * which cells gave something else.
 *
 * Reads the store and the runs' directories, changes nothing; the store is a reader of the
 * caller's. Steps are matched by uuid; cells of a step by their position in the executed notebooks.
 */
#ifndef SEGUE_RUNNER_COMPARE_H
#define SEGUE_RUNNER_COMPARE_H

#include "base/buf.h"
#include "base/err.h"
#include "runner/engine/state.h"
#include "runner/store/store.h"

/* Appends
 *   {"a": RUN, "b": RUN,                   {uuid, pipeline_name, job_uuid, status, cause,
 *                                           created_time, started_time, finished_time, duration}
 *    "parameters": [{"step_uuid": null | uuid, "name", "a": VALUE, "b": VALUE}],  those that differ
 *    "metrics": [{"step_uuid", "title", "name", "a", "b", "delta"}],              all of either
 *    "steps": [{"step_uuid", "title", "a": {status, duration}, "b": {...},
 *               "cells_total": n, "cells_changed": n,
 *               "cells": [{"index", "source_changed": bool, "a": TEXT, "b": TEXT,
 *                          "source_a"?, "source_b"?}]}]}
 * Durations are seconds. Parameters are those of the frozen definitions; one that a run does not
 * have is left out there. A metric that a run does not have is null, and so is a step. A cell
 * stands there when its source, or the text of its outputs (stream text, text/plain, error name and
 * value; images by a digest of their bytes) differs; `a` and `b` are that text, null where there is
 * no such cell, and `source_...` stand there when the source differs. Texts are cut at 2,000
 * characters and cells at 200 per step. Times, execution counts, metadata and addresses of objects
 * do not count. ERR_NOT_FOUND. */
int compare_put(struct store *store, const struct state *state, const char *run_a,
                const char *run_b, struct buf *out, struct err *e);

#endif
