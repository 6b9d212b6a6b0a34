/* store: the SQLite file that keeps runs, steps, attempts and events: STATE/segue.db.
 *
 * Owns one connection and its prepared statements. One thread at a time may use a store. There is
 * one writing store per file, the engine's; any number of reading ones beside it, each with a
 * thread of its own, which see whole transactions only. It keeps rows and decides nothing: what an
 * event means is run.h's affair. Of what kernels print it holds no bytes, only where they lie in
 * the journal of the attempt.
 *
 * Steps are named by their index in the run's plan; `run` is the number that store_add_run gave.
 * Times are wall clock; 0 is "not yet".
 *
 * Errors: ERR_NO_SPACE (disk full, quota), ERR_CONFLICT (locked for too long; exists already),
 * ERR_INVALID (made by a newer Segue), ERR_IO (damaged, or the disk fails). After an error inside
 * a transaction: store_rollback.
 */
#ifndef SEGUE_RUNNER_STORE_H
#define SEGUE_RUNNER_STORE_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/str.h"
#include "kernel-gateway/cause.h"
#include "runner/run/run.h"
#include "runner/status.h"
#include "runner/store/store_mode.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

int store_open(const char *path, enum store_mode mode, struct store **ret_store, struct err *e);
void store_close(struct store *store); /* what was not committed is rolled back */
AUTO_FUNCTION(struct store, store_close)
#define auto_store auto_with(store_close_at)

/* Everything that writes is called between begin and commit. A commit that fails with ERR_NO_SPACE
 * has left nothing in the file: roll back, refuse, go on. After another error it may or may not be
 * there: open the store again and replay before anything is acted on or told. */
int store_begin(struct store *store, struct err *e);
int store_commit(struct store *store, enum store_sync sync, struct err *e);
void store_rollback(struct store *store); /* no transaction is fine */

/* Writes what is there already: a commit after it tells whether the store can be written. */
int store_probe(struct store *store, struct err *e);

/* A run as it was frozen when it was accepted, and how far it is. */
struct store_run {
    int64_t id; /* given by the store; rises with every run */
    const char *uuid;
    const char *project;       /* directory */
    const char *pipeline_path; /* relative to it; "" when the definition came with the request */
    const char *pipeline_uuid;
    const char *pipeline_name;
    const char *run_type;
    const char *uuids;      /* JSON: the selection, ["...", ...] */
    const char *parameters; /* JSON: as requested */
    const char *images;     /* JSON: {environment: image id} */
    const char *options;    /* JSON: in_place and what else the request chose */
    const char *job_uuid;   /* "": none */
    const char *rerun_of;   /* "": none */
    msec created_time;
    msec started_time;
    msec finished_time;
    enum status status;
    enum cause cause;
    uint32_t step_count;
};

/* What a run is started from. Never changed, and read only for that. */
struct store_frozen {
    struct str definition;    /* JSON, any size */
    const char *environments; /* JSON: where its steps run (runner/engine/frozen.h) */
};

/* Adds the run in status PENDING; id, status, cause, started and finished are not looked at. */
int store_add_run(struct store *store, const struct store_run *run,
                  const struct store_frozen *frozen, int64_t *ret_run, struct err *e);

/* A run that has ended has a finished_time, others have none. */
int store_set_run(struct store *store, int64_t run, enum status status, enum cause cause,
                  msec started_time, msec finished_time, struct err *e);

/* What the notebooks that a run writes in place looked like (runner/engine/executed.h): JSON. */
int store_set_sources(struct store *store, int64_t run, const char *sources, struct err *e);

/* A request that made a run, by the key that its client gave it. Goes with the run. */
int store_add_request(struct store *store, const char *key, const char *digest, int64_t run,
                      struct err *e);

struct store_step {
    uint32_t step;
    const char *uuid;
    const char *title;
    const char *file_path;
    enum status status;
    enum cause cause;
    uint32_t attempt; /* the latest; 0: none yet */
    uint32_t cells_total;
    uint32_t cells_done;
    msec started_time; /* of the first attempt */
    msec finished_time;
    const char *failure; /* JSON {message, cell_index, ename, evalue}; "": none */
};

int store_add_step(struct store *store, int64_t run, const struct store_step *step, struct err *e);

/* Writes everything of `step` but uuid, title and file_path. */
int store_set_step(struct store *store, int64_t run, const struct store_step *step, struct err *e);

/* An attempt: `mark` is what its processes and containers carry, `offset` how much of its journal
 * has been taken into events. */
struct store_attempt {
    uint32_t step;
    uint32_t attempt;
    char mark[64];
    uint64_t offset;
};

int store_add_attempt(struct store *store, int64_t run, const struct store_attempt *attempt,
                      struct err *e);
int store_set_offset(struct store *store, int64_t run, uint32_t step, uint32_t attempt,
                     uint64_t offset, struct err *e);
int store_attempt(struct store *store, int64_t run, uint32_t step, uint32_t attempt,
                  struct store_attempt *ret_attempt, struct err *e); /* ERR_NOT_FOUND */

/* Appends an event of the run's state. `payload` is a JSON object with what else a reader gets to
 * see (a failure's message), or NULL. *ret_id is its place in the log: ids rise, with gaps, and are
 * never given twice. */
int store_add_event(struct store *store, int64_t run, const struct run_event *event,
                    const char *payload, int64_t *ret_id, struct err *e);

/* A line of an attempt's journal, by where it lies. */
struct store_line {
    uint32_t step;
    uint32_t attempt;
    const char *event; /* its name there: "cell_started", "output", ... */
    msec time;
    uint64_t offset;
    uint32_t length; /* without the newline; at least 1 */
};

int store_add_line(struct store *store, int64_t run, const struct store_line *line, int64_t *ret_id,
                   struct err *e);

/* Deleting a run: at once it is in no list any more, and its one remaining event is run_deleted
 * ({"run_uuid"} in its payload, its place in the log in *ret_id). The rest of it is shredded bit by
 * bit, so that no transaction takes long: while store_next_trash gives a run, store_shred it until
 * that gives 0; when its files are gone too, forget it. */
int store_delete_run(struct store *store, int64_t run, const char *uuid, msec time, int64_t *ret_id,
                     struct err *e);

struct store_trash {
    int64_t id; /* rises with every deletion */
    int64_t run;
    struct uuid run_uuid;
};

int store_next_trash(struct store *store, int64_t after, struct store_trash *ret_trash,
                     struct err *e); /* 1: one with a higher id; 0: none */
int store_shred(struct store *store, int64_t run, uint32_t limit, struct err *e); /* rows removed */
int store_forget_trash(struct store *store, int64_t run, struct err *e);

/* Writes a copy of the whole database, as of one moment, to a new file. */
int store_copy(struct store *store, const char *path, struct err *e);

/* Reading. A callback gets rows that are good until it returns, and may call nothing on the same
 * store. It returns 0 to go on; anything else ends the reading, which then returns that: -1 with
 * its own error in `e`, or 1 for "enough". */

/* Between the two all reading sees the store as of one moment, and costs less. No row may be in
 * use; to be kept short. */
int store_begin_reading(struct store *store, struct err *e);
void store_end_reading(struct store *store); /* when it was not begun: nothing */

struct store_filter {
    const char *uuid; /* NULL: any; the same for the others */
    const char *project;
    const char *pipeline_uuid;
    const char *job_uuid;
    unsigned statuses; /* 1 << STATUS_PENDING | ...; 0: any */
    int64_t before;    /* runs with a lower id; 0: from the newest on */
    uint32_t limit;    /* at most so many; 0: all */
};

typedef int store_run_fn(void *data, const struct store_run *run, struct err *e);

/* Runs, newest first. */
int store_runs(struct store *store, const struct store_filter *filter, store_run_fn *fn, void *data,
               struct err *e);

/* One run. ERR_NOT_FOUND. */
int store_run(struct store *store, const char *uuid, store_run_fn *fn, void *data, struct err *e);

typedef int store_frozen_fn(void *data, const struct store_run *run,
                            const struct store_frozen *frozen, struct err *e);

/* One run with what it is started from. ERR_NOT_FOUND. */
int store_frozen(struct store *store, int64_t run, store_frozen_fn *fn, void *data, struct err *e);

int store_sources(struct store *store, int64_t run, struct buf *out, struct err *e); /* "": none */

/* Who used the key before; 1: found, 0: nobody. */
int store_request(struct store *store, const char *key, char digest[65], struct uuid *ret_run,
                  struct err *e);

/* Where a run that is PENDING stands: 1 is the next of its class (job or none), STORE_PLACE_MAX
 * that or further behind; the older open run on the same project and pipeline that it has to wait
 * for, if there is one. */
#define STORE_PLACE_MAX 100

struct store_place {
    uint32_t position;
    struct uuid waiting_for; /* all zero: nobody */
};

int store_place(struct store *store, const struct store_run *run, struct store_place *ret_place,
                struct err *e);

typedef int store_step_fn(void *data, const struct store_step *step, struct err *e);

int store_steps(struct store *store, int64_t run, store_step_fn *fn, void *data, struct err *e);

struct store_event {
    int64_t id;
    int64_t run;
    const char *run_uuid;  /* "": the run was deleted */
    const char *step_uuid; /* "": about the run */
    const char *event;
    uint32_t step; /* STEP_NONE: about the run */
    uint32_t attempt;
    msec time;
    const char *status; /* "" where the event has none; the same for cause and payload */
    const char *cause;
    msec retry_at;
    const char *payload; /* JSON object */
    uint64_t offset;     /* a line of the journal: where; length 0: it is none */
    uint32_t length;
};

typedef int store_event_fn(void *data, const struct store_event *event, struct err *e);

/* Events with a higher id, oldest first, of one run or (run 0) of all, at most `limit`: one batch
 * is one short read transaction, so that a slow reader holds nothing. */
int store_events_after(struct store *store, int64_t id, int64_t run, uint32_t limit,
                       store_event_fn *fn, void *data, struct err *e);

int store_last_event(struct store *store, int64_t *ret_id, struct err *e); /* 0: none yet */

/* A run that has ended, and the event that says so. */
struct store_finished {
    int64_t id;
    const char *run_uuid;
    const char *job_uuid; /* "": none */
    enum status status;
    enum cause cause;
    msec time;
};

typedef int store_finished_fn(void *data, const struct store_finished *finished, struct err *e);

/* Ends of runs with a higher id, oldest first, at most `limit`. Those of runs that were deleted are
 * passed over. Costs what it gives, whatever lies between. */
int store_finished_after(struct store *store, int64_t id, uint32_t limit, store_finished_fn *fn,
                         void *data, struct err *e);

typedef int store_replay_fn(void *data, const struct run_event *event, const char *step_uuid,
                            struct err *e);

/* The events of a run's state from the first on: run_apply them to a fresh run. */
int store_replay(struct store *store, int64_t run, store_replay_fn *fn, void *data, struct err *e);

#endif
