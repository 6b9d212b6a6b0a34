/* overrides: parameters that a run sets over those of its pipeline file.
 *
 * Gives a new definition, in which everything else stands as it did, byte for byte; the run is made
 * from that, so that what ran is in one file. Pure functions.
 */
#ifndef SEGUE_RUNNER_OVERRIDES_H
#define SEGUE_RUNNER_OVERRIDES_H

#include "base/buf.h"
#include "runner/plan/pipeline.h"

struct override {
    uint32_t step; /* index in the pipeline, or STEP_NONE: a pipeline parameter */
    const char *name;
    struct str value; /* JSON */
};

/* Appends the definition with the overrides in it; of two with the same name the later counts. */
void overrides_apply(const struct pipeline *pipeline, const struct override *overrides,
                     size_t count, struct buf *out);

/* Appends an object: the members of `base`, each with its value in `over` where that has one, then
 * the rest of `over`. */
void parameters_merge(const struct parameters *base, const struct parameters *over,
                      struct buf *out);

#endif
