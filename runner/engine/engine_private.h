/* engine_private: what the files of the engine share.
 *
 *   engine.c            life, turns, and what other threads call
 *   engine_commands.c   commands, decided within a turn's transaction
 *   engine_load.c       what the store holds is taken up: at the start, and run by run
 *   engine_bury.c       the end of runs that cannot be taken up
 *   engine_figures.c    counters and histograms
 */
#ifndef SEGUE_RUNNER_ENGINE_PRIVATE_H
#define SEGUE_RUNNER_ENGINE_PRIVATE_H

#include "base/metrics.h"
#include "runner/engine/commands.h"
#include "runner/engine/engine.h"
#include "runner/engine/janitor.h"

/* A run that was accepted a moment ago: should it begin at once, it need not be read again. */
struct fresh_run {
    int64_t id;
    struct submission *submission;
};

/* Written by the engine's thread, read by any. */
struct engine_figures {
    _Atomic uint64_t runs_ended[STATUS_COUNT];
    _Atomic uint64_t steps_ended[STATUS_COUNT];
    _Atomic uint64_t runs_waiting[RUN_CLASS_COUNT];
    _Atomic uint64_t runs_going[RUN_CLASS_COUNT];
    _Atomic uint64_t steps_open[STATUS_COUNT]; /* of runs that go on */
    _Atomic uint64_t attempts;
    _Atomic uint64_t events;
    struct histogram commit, durable_commit, wait, lag;
};

struct engine {
    struct engine_options options;
    const struct engine_events *events;
    void *user;
    struct store *store;
    struct nursery *nursery;
    struct janitor *janitor; /* ENGINE_LASTING */
    struct notices notices;
    struct live_world world;
    struct run_queue *queue;
    struct live_run **runs;
    size_t run_count, run_capacity;
    struct fresh_run *fresh;
    size_t fresh_count, fresh_capacity;
    struct command_queue *commands;
    struct command *batch;               /* commands of this turn */
    _Atomic uint64_t changes, deletions; /* engine_version */
    bool batch_has_deletions;
    bool batch_is_durable; /* one of them is to be on the disk before it is answered */
    int64_t swept;         /* the trash up to this number is with the janitor */
    bool has_trash;
    struct loop_source *turn_timer, *wake_timer, *command_source, *lock_source;
    int lock_fd; /* pipeline_lock_watch, or -1 */
    struct engine_figures figures;
    msec clock_offset;  /* of the wall clock from the one that never jumps, at the latest turn */
    bool is_cancelling; /* asked for, and not yet in a transaction */
    bool has_failed;    /* ENGINE_ONCE: the store cannot be written; nothing more is decided.
                           ENGINE_LASTING: nothing is taken up at present */
    bool has_told;      /* ... and whoever watches was told so */
    bool has_finished;
};

/* What has been asked meanwhile, decided; in a transaction. Refusals are in the commands. */
int engine_take_commands(struct engine *engine, struct err *e);

/* Everything is on disk, or (`failure`) nothing of it. */
void engine_answer_commands(struct engine *engine, const struct err *failure);

/* Adds an accepted run: rows, event, its place in the queue. In a transaction. */
int engine_accept(struct engine *engine, struct submission *take_submission, int64_t *ret_id,
                  struct err *e);

/* Takes everything up that the store has open. In no transaction. */
int engine_load(struct engine *engine, struct err *e);
void engine_unload(struct engine *engine); /* keepers go on */

/* Submissions that came in this turn and were not taken up. */
void engine_drop_fresh(struct engine *engine);

/* Takes up one run that waits, which is then the last of engine->runs; 0: it cannot be and has
 * ended, 1: it is. In a transaction. */
int engine_open_run(struct engine *engine, int64_t id, struct err *e);

/* The run's turn on its pipeline, which it shares with every `segue run`: a descriptor, -1 when it
 * needs none. ERR_CONFLICT: somebody else has it. */
int engine_take_turn(const struct engine *engine, int64_t id, int *ret_fd, struct err *e);

/* Ends a run that cannot be gone on with, and says why. In a transaction. */
int engine_bury(struct engine *engine, int64_t run, const char *run_uuid, const char *why,
                struct err *e);

struct live_run *engine_find(const struct engine *engine, const char *run_uuid); /* NULL: none */

/* Counts what a turn has made known, and how things stand after it. */
void engine_count_notice(struct engine *engine, const struct notice *notice);
void engine_count_standing(struct engine *engine);

#endif
