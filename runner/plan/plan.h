/* plan: which steps of a pipeline a (partial) run needs, and in which order they may start.
 *
 * The proper induced subgraph of a selection: the kept steps, and exactly those connections whose
 * two ends are kept; what else a step waits for in the full pipeline counts as already there. The
 * sentinel hangs behind every leaf of it: when all of those have ended, the run has ended.
 *
 * Made only by plan_make and never changed, so any thread may read it. Owns its lists; it holds no
 * pointer into the pipeline, only step indices.
 */
#ifndef SEGUE_RUNNER_PLAN_H
#define SEGUE_RUNNER_PLAN_H

#include "runner/plan/pipeline.h"

/* type, name in requests and results, the steps it keeps. */
#define RUN_TYPES(X)                                                                               \
    X(RUN_FULL, "full")           /* all; the selection is not looked at */                        \
    X(RUN_SELECTION, "selection") /* exactly the selected */                                       \
    X(RUN_INCOMING, "incoming")   /* ancestors of the selected, none of the selected */            \
    X(RUN_UPTO, "upto")           /* the selected and their ancestors */                           \
    X(RUN_FROM, "from")           /* the selected and their descendants */

enum run_type {
#define X(type, name) type,
    RUN_TYPES(X)
#undef X
};

const char *run_type_name(enum run_type type);
int run_type_parse(const char *name, enum run_type *ret_type, struct err *e);

struct plan_step {
    uint32_t step; /* index into the pipeline's steps */
    uint32_t rank; /* edges on the longest path from a root of the plan */
    struct step_list
        incoming; /* indices into the plan's steps, all lower; as ordered in the file */
    struct step_list outgoing; /* the exact inverse, ascending */
};

struct plan {
    enum run_type run_type;
    const struct plan_step *steps; /* as they may start: by rank, then in the order of the file */
    uint32_t count;                /* at least 1 */
    uint32_t rank_count;           /* the highest rank and 1 */
    struct step_list sentinel;     /* the leaves, ascending: what the end of the run waits for */
};

/* `selected` holds indices of steps of the pipeline, in any order, repeated or not. Refused with
 * ERR_INVALID ("nothing to run") when no step would be left. */
int plan_make(const struct pipeline *pipeline, enum run_type type, const uint32_t *selected,
              uint32_t selected_count, struct plan **ret_plan, struct err *e);

void plan_free(struct plan *plan);
AUTO_FUNCTION(struct plan, plan_free)
#define auto_plan auto_with(plan_free_at)

/* pipeline_check_step of every step of the plan. */
int plan_check_files(const struct plan *plan, const struct pipeline *pipeline,
                     const char *project_dir, const char *pipeline_dir, struct problems *problems,
                     struct err *e);

/* Appends the plan as JSON: {run_type, steps: [{step_uuid, title, file_path, rank,
 * incoming_connections}], sentinel: {incoming_connections}}. */
void plan_to_json(const struct plan *plan, const struct pipeline *pipeline, struct buf *out);

#endif
