/* engine: owns the runs, waiting and live, and the store; turns what keepers report and users ask
 * into events, and events into what is to be done.
 *
 * It works in turns. A turn is one transaction: it takes commands, reads what the journals have to
 * say, decides what follows, commits, and only then answers, tells whoever watches, and starts or
 * stops keepers. So nothing is told or started that is not on disk, and a restart is a replay: what
 * an earlier engine of the state directory left, waiting or running, is gone on with when it is
 * opened. Belongs to the thread of its loop, but for the engine_post functions.
 */
#ifndef SEGUE_RUNNER_ENGINE_H
#define SEGUE_RUNNER_ENGINE_H

#include "base/loop.h"
#include "runner/engine/live_run.h"
#include "runner/engine/reply.h"
#include "runner/engine/state.h"
#include "runner/engine/submission.h"
#include "runner/run/run_queue.h"

#include <stdint.h>

struct engine;

/* What happened, stored already. The texts are lent for the call. */
struct engine_event {
    int64_t id;
    int64_t run; /* the store's number of the run */
    const char *run_uuid;
    const char *event; /* the name; "" for one that this Segue does not know */
    uint32_t step;     /* of the plan; STEP_NONE: about the run */
    const char *json;
    size_t json_len;
    msec time; /* wall clock: when it happened, where it happened */
};

struct engine_events {
    void (*event)(void *user, const struct engine_event *event);
    /* ENGINE_ONCE: no run is left, and no keeper. */
    void (*finished)(void *user);
    /* The store cannot be written (disk full, ...), or what is in it not taken up. ENGINE_ONCE:
     * everything is being stopped; `finished` follows. ENGINE_LASTING: said once, until it works
     * again. */
    void (*failed)(void *user, const struct err *e);
    /* ENGINE_LASTING: the store can be written again. */
    void (*recovered)(void *user);
};

enum engine_life {
    /* For one set of runs: those that ended are kept to be looked at. When the store cannot be
     * written they are stopped, for good. */
    ENGINE_ONCE,
    /* For good: when the store cannot be written, keepers go on and commands are refused until it
     * can be written again. */
    ENGINE_LASTING,
};

struct engine_limits {
    uint32_t runs;  /* that go on at a time */
    uint32_t steps; /* attempts that run at a time */
};

struct engine_options {
    struct loop *loop;
    const struct state *state;
    const char *sdk_dir;
    const char *const *nursery_argv; /* see nursery_start */
    struct engine_limits limits[RUN_CLASS_COUNT];
    enum engine_life life;
    bool is_holding; /* runs are accepted and not started */
    int life_fd; /* the read end of a pipe whose other end only we hold: keepers end with us; or -1
                  */
};

/* Opens the store and goes on with what is in it. */
int engine_open(struct engine **ret_engine, const struct engine_options *options,
                const struct engine_events *events, void *user, struct err *e);

/* Stops nothing: attempts that still run go on without us. Commands that were not answered are
 * answered with ERR_UNAVAILABLE. */
void engine_close(struct engine *engine);

/* Accepts a run, which it owns from here on. When this returns 0 the run is on disk. */
int engine_submit(struct engine *engine, struct submission *take_submission, struct err *e);

/* Every run that has begun is stopped, what of it waits is aborted. Twice is fine. */
void engine_cancel_all(struct engine *engine);

/* ENGINE_ONCE: its first run that has begun; NULL: none. */
const struct live_run *engine_run(const struct engine *engine);

/* --- commands, from any thread --- */

/* All three: 0: `done` will be called; -1: it will not, ERR_LIMIT (too many are waiting) or
 * ERR_UNAVAILABLE (closing).
 *
 * A run is refused with ERR_NO_SPACE, ERR_IO or ERR_UNAVAILABLE when the store cannot be written,
 * ERR_INVALID for a key that was used for something else. The key may be NULL; it is copied. A run
 * of a job that is there already, by its uuid, is not made again: the reply says is_repeated. */
int engine_post_submit(struct engine *engine, struct submission *take_submission,
                       const struct request_key *key, engine_done_fn *done, void *user,
                       struct err *e);

/* ERR_NOT_FOUND; ERR_CONFLICT when the run has ended. Twice is fine. */
int engine_post_cancel(struct engine *engine, const char *run_uuid, engine_done_fn *done,
                       void *user, struct err *e);

/* Removes an ended run with everything of it. ERR_NOT_FOUND; ERR_CONFLICT when it has not ended. */
int engine_post_delete(struct engine *engine, const char *run_uuid, engine_done_fn *done,
                       void *user, struct err *e);

/* --- figures, from any thread --- */

/* What was read from the store under one version is what is there under the same version. It rises
 * before anybody is answered or told. */
struct engine_version {
    uint64_t changes;   /* transactions */
    uint64_t deletions; /* transactions that deleted runs */
};

struct engine_version engine_version(const struct engine *engine);

/* Appends what goes on as Prometheus text: runs and steps by state, queue lengths, commit times,
 * how long runs waited, how late events were. */
void engine_metrics(const struct engine *engine, struct buf *out);

#endif
