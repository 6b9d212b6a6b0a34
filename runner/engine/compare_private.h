/* compare_private: two runs, and which of their steps belong together.
 *
 *   compare.c         what differs, as JSON
 *   compare_sides.c   reads the runs from the store
 *
 * All that is needed of the store's rows is taken out first, so that no other reading of it has to
 * wait for files.
 */
#ifndef SEGUE_RUNNER_COMPARE_PRIVATE_H
#define SEGUE_RUNNER_COMPARE_PRIVATE_H

#include "base/json.h"
#include "base/map.h"
#include "runner/engine/compare.h"

struct compare_step {
    char *uuid, *title;
    enum status status;
    uint32_t attempt;
    msec started, finished;
    json_at parameters; /* in the definition */
};

struct compare_side {
    const char *uuid;
    char *dir;
    int64_t id;
    struct buf head; /* the run as it is shown */
    struct json definition;
    struct compare_step *steps;
    uint32_t count, capacity;
    struct map places; /* of steps, by uuid */
};

/* `uuid` has been set. ERR_NOT_FOUND. */
int compare_side_read(struct compare_side *side, struct store *store, const struct state *state,
                      struct err *e);
void compare_side_clear(struct compare_side *side);

/* The steps of two runs: those of a in their order, then what only b has. */
struct compare_pair {
    const struct compare_side *a, *b;
    const struct compare_step *step_a, *step_b; /* NULL: the run does not have it */
    uint32_t next;
};

bool compare_next_pair(struct compare_pair *pair); /* false: the end */

/* Appends "duration": seconds, or null for what has not ended. */
void compare_put_duration(msec started, msec finished, struct buf *out);

#endif
