/* parameter_sets: the parameters that the runs of a job differ in.
 *
 * Read from JSON, `parameters` of a job:
 *
 *     {"strategy": "product",      or "zip", "random", "list"; absent: "product" with a grid,
 *                                  "list" with sets, else one set without anything
 *      "base": OWNERS,             values that all sets have
 *      "grid": GRID,               product, zip, random
 *      "sets": [OWNERS, ...],      list
 *      "count": 20, "seed": 7,     random (seed: 0)
 *      "exclude": [3, 5]}          numbers of sets that are left out
 *
 *     OWNERS: {"pipeline_parameters": {NAME: VALUE}, STEP_UUID: {NAME: VALUE}}
 *     GRID:   {"pipeline_parameters": {NAME: AXIS}, STEP_UUID: {NAME: AXIS}}
 *     AXIS:   [VALUE, ...]                  the values
 *             "0.1:1:0.1"                   start:stop:step, stop included where it is hit;
 * decimals stay exact, and all are fractions: 0.1, ..., 1.0 "1..5"                        whole
 * numbers, both included
 *             {"uniform": [a, b]}, {"log_uniform": [a, b]}, {"int_uniform": [a, b]}   random only
 *
 * product: every combination, the first axis outermost. zip: the n-th of each; all are equally
 * long. random: `count` different combinations of the product without replacement (all of them when
 * count is larger), or `count` draws where an axis is a distribution; the same seed gives the same
 * sets on every machine, and a larger count the same ones first. What the grid or a set of the list
 * has goes over what base has. Sets are numbered from 0 before any is left out, and keep their
 * numbers. A set is made when it is asked for. Immutable once read; any thread. Owns everything.
 */
#ifndef SEGUE_RUNNER_PARAMETER_SETS_H
#define SEGUE_RUNNER_PARAMETER_SETS_H

#include "base/buf.h"
#include "base/json.h"
#include "base/problems.h"
#include "runner/plan/overrides.h"
#include "runner/plan/pipeline.h"

#include <stdint.h>

struct parameter_sets;

/* `at` JSON_NONE: one set, without anything. Checked against the pipeline: steps by uuid (whoever
 * wrote a title is told the uuid). NULL: refused, with what is wrong in `problems`: among it more
 * sets than LIMIT_JOB_SETS, with their count. */
struct parameter_sets *parameter_sets_read(const struct json *doc, json_at at,
                                           const struct pipeline *pipeline,
                                           struct problems *problems);

/* Of what parameter_sets_put wrote. */
int parameter_sets_parse(struct str text, const struct pipeline *pipeline,
                         struct parameter_sets **ret_sets, struct err *e);
void parameter_sets_free(struct parameter_sets *sets); /* NULL is allowed */
AUTO_FUNCTION(struct parameter_sets, parameter_sets_free)
#define auto_parameter_sets auto_with(parameter_sets_free_at)

/* Appends it as JSON, as it was read. */
void parameter_sets_put(const struct parameter_sets *sets, struct buf *out);

uint32_t parameter_sets_total(const struct parameter_sets *sets); /* with those left out */
uint32_t parameter_sets_count(const struct parameter_sets *sets); /* without them */

/* The number of the k-th set that is not left out, k from 0. */
uint32_t parameter_sets_number(const struct parameter_sets *sets, uint32_t k);

/* Appends what set `number` sets, as OWNERS: base and axes, "{}" for nothing. */
void parameter_sets_put_set(const struct parameter_sets *sets, uint32_t number, struct buf *out);

/* What its runs differ in, in the order of columns in a table: of the grid its axes, of a list
 * every parameter that any of its sets names. */
struct parameter_axis {
    uint32_t step; /* of the pipeline; STEP_NONE: a pipeline parameter */
    const char *name;
};
uint32_t parameter_sets_axes(const struct parameter_sets *sets,
                             const struct parameter_axis **ret_axes);

/* The definition with OWNERS (JSON, from parameter_sets_put_set or a client) in it, appended. */
int parameter_sets_apply(const struct pipeline *pipeline, struct str owners, struct buf *out,
                         struct err *e);

/* `<pipeline>.parameters.json` beside a pipeline, as Orchest writes it: OWNERS whose values are
 * lists, or strings that hold a JSON list or are a range; or the same as Orchest keeps it with a
 * job, below {"key", "title", "parameters"}. Appended as a GRID. ERR_INVALID, with what is wrong in
 * `problems`; steps are not looked for. */
int parameter_sets_of_file(struct str text, struct buf *out_grid, struct problems *problems,
                           struct err *e);

#endif
