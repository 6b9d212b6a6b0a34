/* job_store: the SQLite file that keeps jobs, what of them was fired, the sets that are to be run,
 * what came of them, and notices to others: STATE/jobs.db.
 *
 * It keeps rows and decides nothing. Owns one connection (database.h); one thread at a time may use
 * it, one writing store per file, any number of reading ones beside it. Runs themselves are in
 * store.h; what is here names them by uuid. Errors, transactions and callbacks as in store.h.
 *
 * job ---< fire (the job was due, or triggered) ---< set (one parameter set of that fire) ---<
 * metric
 */
#ifndef SEGUE_RUNNER_JOB_STORE_H
#define SEGUE_RUNNER_JOB_STORE_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/str.h"
#include "kernel-gateway/cause.h"
#include "runner/status.h"
#include "runner/store/store_mode.h"

#include <stdbool.h>
#include <stdint.h>

struct job_store;

int job_store_open(const char *path, enum store_mode mode, struct job_store **ret_store,
                   struct err *e);
void job_store_close(struct job_store *store); /* NULL is allowed */
AUTO_FUNCTION(struct job_store, job_store_close)
#define auto_job_store auto_with(job_store_close_at)

int job_store_begin(struct job_store *store, struct err *e);
int job_store_commit(struct job_store *store, enum store_sync sync, struct err *e);
void job_store_rollback(struct job_store *store);
int job_store_begin_reading(struct job_store *store, struct err *e);
void job_store_end_reading(struct job_store *store);
int job_store_copy(struct job_store *store, const char *path, struct err *e); /* as store_copy */

/* --- jobs --- */

/* state, name. Final: those that job_state_is_final names. */
#define JOB_STATES(X)                                                                              \
    X(JOB_DRAFT, "DRAFT")     /* not confirmed: nothing happens */                                 \
    X(JOB_PENDING, "PENDING") /* confirmed, and not yet due for the first time */                  \
    X(JOB_STARTED, "STARTED") /* one that runs once: it runs. With cron: confirmed */              \
    X(JOB_PAUSED, "PAUSED")   /* nothing is due, and no further set is begun */                    \
    X(JOB_SUCCESS, "SUCCESS") /* ended: every set succeeded */                                     \
    X(JOB_FAILURE, "FAILURE") /* ended: a set did not */                                           \
    X(JOB_ABORTED, "ABORTED") /* somebody ended it */

enum job_state {
#define X(state, name) state,
    JOB_STATES(X)
#undef X
};

const char *job_state_name(enum job_state state);
int job_state_parse(const char *name, enum job_state *ret_state, struct err *e);
bool job_state_is_final(enum job_state state);

struct job_row {
    int64_t id;
    const char *uuid;
    const char *name;
    enum job_state state;
    bool is_deleted;           /* in no list any more; its runs are being ended and removed */
    const char *project;       /* directory of the live project */
    const char *pipeline_path; /* "": the definition came with the request */
    const char *pipeline_uuid;
    const char *pipeline_name;
    const char *parameters;   /* JSON: parameter_sets_put */
    const char *schedule;     /* JSON: schedule_put */
    const char *policy;       /* JSON: job_policy_put */
    const char *duplicate_of; /* "": none */
    const char *snapshot;     /* its directory's name in STATE/jobs/<job>/ */
    uint32_t set_count;       /* sets of one fire */
    uint64_t snapshot_files, snapshot_bytes;
    msec created_time;
    msec confirmed_time;
    msec finished_time;
    msec next_due;    /* nothing was decided about it yet (schedule_decide); 0: none comes */
    uint64_t dropped; /* times that were missed and not made up for */
};

/* id is not looked at. `definition` is the frozen pipeline file. `key` (may be NULL) and its
 * digest: as store_add_request. */
int job_store_add(struct job_store *store, const struct job_row *job, struct str definition,
                  const char *key, const char *digest, int64_t *ret_job, struct err *e);
/* Everything of the row by its id, but uuid and created_time. The key of a deleted job is free. */
int job_store_set(struct job_store *store, const struct job_row *job, struct err *e);
int job_store_set_definition(struct job_store *store, int64_t job, struct str definition,
                             struct err *e);
int job_store_definition(struct job_store *store, int64_t job, struct buf *out, struct err *e);
/* Who used the key before; 1: found, 0: nobody. */
int job_store_request(struct job_store *store, const char *key, char digest[65],
                      struct uuid *ret_job, struct err *e);
/* Removes the job with its fires, sets and metrics. */
int job_store_remove(struct job_store *store, int64_t job, struct err *e);

typedef int job_row_fn(void *data, const struct job_row *job, struct err *e);

/* One job, a deleted one too. ERR_NOT_FOUND. */
int job_store_job(struct job_store *store, const char *uuid, job_row_fn *fn, void *data,
                  struct err *e);
int job_store_job_by_id(struct job_store *store, int64_t job, job_row_fn *fn, void *data,
                        struct err *e);

struct job_filter {
    const char *project; /* NULL: any; the same for the others */
    const char *pipeline_uuid;
    unsigned states; /* 1 << JOB_DRAFT | ...; 0: any */
    int64_t before;  /* jobs with a lower id; 0: from the newest on */
    uint32_t limit;  /* 0: all */
};

/* Jobs that are not deleted, newest first. */
int job_store_jobs(struct job_store *store, const struct job_filter *filter, job_row_fn *fn,
                   void *data, struct err *e);

/* Jobs in JOB_PENDING or JOB_STARTED with 0 < next_due <= `until`, the earliest first. */
int job_store_due(struct job_store *store, msec until, job_row_fn *fn, void *data, struct err *e);
/* The earliest next_due of such a job after `after`; 0: none. */
int job_store_next_due(struct job_store *store, msec after, msec *ret_due, struct err *e);

/* Jobs that are deleted, and of which something is left. */
int job_store_deleted(struct job_store *store, job_row_fn *fn, void *data, struct err *e);

/* --- fires --- */

#define FIRE_KINDS(X)                                                                              \
    X(FIRE_SCHEDULE, "schedule") /* it was due */                                                  \
    X(FIRE_CATCH_UP, "catch_up") /* it had been missed */                                          \
    X(FIRE_TRIGGER, "trigger")   /* somebody triggered it */

enum fire_kind {
#define X(kind, name) kind,
    FIRE_KINDS(X)
#undef X
};
const char *fire_kind_name(enum fire_kind kind);

/* state, name */
#define FIRE_STATES(X)                                                                             \
    X(FIRE_WAITING, "WAITING") /* for an earlier fire of the job to end */                         \
    X(FIRE_OPEN, "STARTED")    /* its sets may be begun */                                         \
    X(FIRE_SUCCESS, "SUCCESS")                                                                     \
    X(FIRE_FAILURE, "FAILURE")                                                                     \
    X(FIRE_ABORTED, "ABORTED")                                                                     \
    X(FIRE_SKIPPED, "SKIPPED") /* an earlier one had not ended (overlap: forbid); it has no sets   \
                                */

enum fire_state {
#define X(state, name) state,
    FIRE_STATES(X)
#undef X
};
const char *fire_state_name(enum fire_state state);
bool fire_state_is_final(enum fire_state state);

struct fire_row {
    int64_t id;
    int64_t job;
    uint32_t number; /* of the job's: 1, 2, ... */
    enum fire_kind kind;
    enum fire_state state;
    bool is_stopped; /* no further set of it is begun: too many failed, or somebody ended it */
    msec due_time;
    msec created_time;
    msec finished_time;
    uint32_t set_count;
    uint32_t counts[STATUS_COUNT]; /* sets by status; kept by job_store_set_set */
};

/* id, number, counts and finished_time are not looked at: number is the job's next, and one that is
 * final at once has ended when it was made. ERR_CONFLICT: a fire of FIRE_SCHEDULE or FIRE_CATCH_UP
 * for that due_time is there already; the transaction may go on. */
int job_store_add_fire(struct job_store *store, const struct fire_row *fire, int64_t *ret_fire,
                       struct err *e);
int job_store_set_fire(struct job_store *store, int64_t fire, enum fire_state state,
                       bool is_stopped, msec finished_time, struct err *e);

typedef int fire_row_fn(void *data, const struct fire_row *fire, struct err *e);
int job_store_fire(struct job_store *store, int64_t fire, fire_row_fn *fn, void *data,
                   struct err *e); /* ERR_NOT_FOUND */

struct fire_filter {
    int64_t job;          /* 0: of all */
    uint32_t number;      /* 0: any */
    bool is_open;         /* only FIRE_WAITING and FIRE_OPEN */
    bool is_oldest_first; /* else the newest */
    int64_t before;       /* newest first: with a lower id; 0: all */
    uint32_t limit;       /* 0: all */
};
int job_store_fires(struct job_store *store, const struct fire_filter *filter, fire_row_fn *fn,
                    void *data, struct err *e);

/* --- sets --- */

struct set_row {
    int64_t id; /* rises in the order in which sets are to be begun */
    int64_t job;
    int64_t fire;
    uint32_t fire_number;
    uint32_t number;    /* of parameter_sets */
    enum status status; /* PENDING: to be begun at `not_before`; STARTED: `run_uuid` is its run */
    enum cause cause;
    bool is_posted; /* STARTED: the engine has its run; until then the run may have to be made */
    uint32_t tries_used, tries_lost; /* struct job_tries */
    msec not_before;
    msec started_time; /* of the latest try */
    msec finished_time;
    const char *run_uuid;   /* of the latest try; "": none yet */
    const char *parameters; /* JSON: OWNERS */
    bool is_run_deleted;
};

/* id and fire_number are not looked at. ERR_CONFLICT: another set has the run. */
int job_store_add_set(struct job_store *store, const struct set_row *set, int64_t *ret_set,
                      struct err *e);
/* Everything but job, fire, number and parameters; keeps the counts of its fire. */
int job_store_set_set(struct job_store *store, const struct set_row *set, struct err *e);

typedef int set_row_fn(void *data, const struct set_row *set, struct err *e);

int job_store_set_of_run(struct job_store *store, const char *run_uuid, set_row_fn *fn, void *data,
                         struct err *e); /* ERR_NOT_FOUND */

struct set_filter {
    int64_t job;       /* 0: of all */
    int64_t fire;      /* 0: of all */
    unsigned statuses; /* 0: any */
    int64_t after;     /* with a higher id */
    uint32_t limit;    /* 0: all */
};
/* In the order of ids. */
int job_store_sets(struct job_store *store, const struct set_filter *filter, set_row_fn *fn,
                   void *data, struct err *e);

/* The PENDING set of the job's open fires that is to be begun next, when its time has come by
 * `now`; 1: `fn` was called, 0: none is due (*ret_wake: when the earliest is, 0: none). Sets of
 * fires that are stopped or wait do not count. Older fires go first; in a fire, those that are
 * tried again, which have waited for it, go before others. Among equals the earlier `not_before`
 * decides, then the id. */
int job_store_next_set(struct job_store *store, int64_t job, msec now, set_row_fn *fn, void *data,
                       msec *ret_wake, struct err *e);

/* Jobs that have PENDING sets in open fires that are not stopped, and are not PAUSED or deleted;
 * in the order in which they were served last, least recently first (job_store_served). */
int job_store_hungry(struct job_store *store, job_row_fn *fn, void *data, struct err *e);
int job_store_served(struct job_store *store, int64_t job, msec time, struct err *e);

/* How many sets are STARTED: of a job, or (0) of all. */
int job_store_started(struct job_store *store, int64_t job, uint32_t *ret_count, struct err *e);

/* All PENDING sets of a fire become ABORTED with `cause`. */
int job_store_abort_pending(struct job_store *store, int64_t fire, enum cause cause, msec time,
                            struct err *e);

/* Ended sets of a job whose runs are there still, and that retention is about: those with an ended
 * fire, newest first. */
int job_store_kept_sets(struct job_store *store, int64_t job, set_row_fn *fn, void *data,
                        struct err *e);

/* --- metrics --- */

struct metric_row {
    const char *step_uuid;
    const char *name;
    const char *value; /* JSON: the latest */
    bool is_param;     /* logged as a parameter, not as a metric */
};

/* What the runs of a set have reported replaces what is there. */
int job_store_clear_metrics(struct job_store *store, int64_t set, struct err *e);
int job_store_add_metric(struct job_store *store, int64_t set, const struct metric_row *metric,
                         struct err *e);
typedef int metric_row_fn(void *data, int64_t set, const struct metric_row *metric, struct err *e);
/* Of all sets of a fire (0: of the job), in the order of sets, then by step and name. */
int job_store_metrics(struct job_store *store, int64_t job, int64_t fire, metric_row_fn *fn,
                      void *data, struct err *e);

/* --- webhooks --- */

struct webhook_row {
    int64_t id;
    const char *uuid;
    const char *url;
    const char *secret;   /* "": not signed */
    const char *events;   /* comma-separated names (runner/notices/webhook.h) */
    const char *job_uuid; /* "": of all */
    const char *project;  /* directory; "": of all */
    bool failures_only;
    msec created_time;
};

int job_store_add_webhook(struct job_store *store, const struct webhook_row *webhook,
                          struct err *e);
int job_store_remove_webhook(struct job_store *store, const char *uuid, struct err *e);
typedef int webhook_row_fn(void *data, const struct webhook_row *webhook, struct err *e);
int job_store_webhooks(struct job_store *store, const char *uuid, webhook_row_fn *fn, void *data,
                       struct err *e); /* `uuid` NULL: all, oldest first; else ERR_NOT_FOUND */

/* state, name */
#define DELIVERY_STATES(X)                                                                         \
    X(DELIVERY_PENDING, "PENDING")                                                                 \
    X(DELIVERY_DONE, "DELIVERED")                                                                  \
    X(DELIVERY_FAILED, "FAILED") /* given up */

enum delivery_state {
#define X(state, name) state,
    DELIVERY_STATES(X)
#undef X
};
const char *delivery_state_name(enum delivery_state state);

struct delivery_row {
    int64_t id;
    const char *uuid;
    int64_t webhook;
    const char *event;
    const char *body;
    enum delivery_state state;
    uint32_t tries;
    msec created_time;
    msec next_time; /* PENDING: when it is tried again */
    msec done_time;
    uint32_t last_status; /* of HTTP; 0: no answer */
    const char *last_error;
};

int job_store_add_delivery(struct job_store *store, const struct delivery_row *delivery,
                           struct err *e);
int job_store_set_delivery(struct job_store *store, const struct delivery_row *delivery,
                           struct err *e); /* state, tries, times, last_* by id */
typedef int delivery_row_fn(void *data, const struct delivery_row *delivery,
                            const struct webhook_row *webhook, struct err *e);
/* Of each webhook the PENDING one with next_time <= now that has the lowest id, in the order of
 * webhooks, at most `limit`; the earliest time of those that are not due in *ret_wake, 0: none. */
int job_store_due_deliveries(struct job_store *store, msec now, uint32_t limit, delivery_row_fn *fn,
                             void *data, msec *ret_wake, struct err *e);
/* The log of a webhook, newest first: with an id below `before` (0: all). */
int job_store_deliveries(struct job_store *store, int64_t webhook, int64_t before, uint32_t limit,
                         delivery_row_fn *fn, void *data, struct err *e);
/* Ended ones from before `time` are forgotten, at most `limit`. */
int job_store_forget_deliveries(struct job_store *store, msec time, uint32_t limit, struct err *e);

/* --- the cursor --- */

/* Up to which event of store.h everything was taken in. Set in the transaction that takes it in. */
int job_store_cursor(struct job_store *store, int64_t *ret_event, struct err *e);
int job_store_set_cursor(struct job_store *store, int64_t event, struct err *e);

#endif
