/* engine: owns the live runs and the store; turns what keepers report and users ask into events,
 * and events into what is to be done.
 *
 * It works in turns. A turn is one transaction: it reads what the journals have to say, decides
 * what follows, commits, and only then tells whoever watches and starts or stops keepers. So
 * nothing is told or started that is not on disk, and a restart is a replay. Belongs to the thread
 * of its loop.
 */
#ifndef SEGUE_RUNNER_ENGINE_H
#define SEGUE_RUNNER_ENGINE_H

#include "base/loop.h"
#include "runner/engine/live_run.h"
#include "runner/engine/state.h"
#include "runner/engine/submission.h"

#include <stdint.h>

struct engine;

/* What happened, stored already. The JSON is lent for the call. */
struct engine_event {
    int64_t id;
    const char *event; /* the name, of those that people look at; else "" */
    uint32_t step;     /* of the plan; STEP_NONE: about the run */
    const char *json;
};

struct engine_events {
    void (*event)(void *user, const struct engine_event *event);
    void (*finished)(void *user); /* no run is left, and no keeper */
    /* The store cannot be written (disk full): everything is being stopped; `finished` follows. */
    void (*failed)(void *user, const struct err *e);
};

struct engine_options {
    struct loop *loop;
    const struct state *state;
    const char *sdk_dir;
    const char *const *nursery_argv; /* see nursery_start */
    uint32_t max_parallel;           /* attempts at a time; at least 1 */
    int life_fd; /* the read end of a pipe whose other end only we hold: keepers end with us; or -1
                  */
};

int engine_open(struct engine **ret_engine, const struct engine_options *options,
                const struct engine_events *events, void *user, struct err *e);

/* Stops nothing: attempts that still run go on without us. */
void engine_close(struct engine *engine);

/* Accepts a run, which it owns from here on. When this returns 0 the run is on disk. */
int engine_submit(struct engine *engine, struct submission *take_submission, struct err *e);

/* Everything that runs is stopped, what waits is aborted. Twice is fine. */
void engine_cancel_all(struct engine *engine);

/* The first of the live or ended runs of this engine; NULL: none. */
const struct live_run *engine_run(const struct engine *engine);

#endif
