/* jobs_private: what the files of jobs share.
 *
 *   jobs.c            life, and the clock's thread
 *   jobs_create.c     making them
 *   jobs_change.c     what people ask of those that are there
 *   jobs_fire.c       fires: what is due is fired, and what comes of it
 *   jobs_follow.c     the ends of runs
 *   jobs_notify.c     what webhooks are told
 *   jobs_dispatch.c   the thread that makes runs of sets
 *   jobs_tidy.c       what is deleted: runs by retention, deleted jobs, abandoned snapshots
 *
 * The way of a set: jobs_fire_due or a trigger adds a fire with its sets (PENDING); the dispatcher
 * claims one (STARTED, with the uuid of its run) and hands the run to the engine; jobs_follow takes
 * in the run's end, and jobs_end_try makes the set PENDING again or ends it; with its last set
 * jobs_settle_fire ends the fire, and perhaps the job.
 *
 * All of the job store is under `lock`. What is called "in a transaction" is called with the lock
 * held, between job_store_begin and job_store_commit.
 */
#ifndef SEGUE_RUNNER_JOBS_PRIVATE_H
#define SEGUE_RUNNER_JOBS_PRIVATE_H

#include "base/loop.h"
#include "runner/jobs/held.h"
#include "runner/jobs/jobs.h"
#include "runner/notices/deliveries.h"

#include <pthread.h>
#include <stdatomic.h>

struct jobs {
    struct jobs_options options;
    char *path;      /* of the job store */
    char *directory; /* STATE/jobs */
    struct job_store *store;
    pthread_mutex_t lock;
    struct job_store **readers; /* reading connections that are not lent; under readers_lock */
    size_t reader_count, reader_capacity;
    pthread_mutex_t readers_lock;

    /* The clock's thread. */
    struct loop *loop;
    struct loop_source *timer;
    int wake_fd;
    struct deliveries *deliveries;
    pthread_t clock_thread;
    uint32_t passed;          /* ends of runs since the cursor was written */
    int64_t cursor;           /* in the engine's log, as the store has it; 0: not read yet */
    bool has_failed;          /* the last turn; said once */
    msec tidied;              /* when everything was looked at last; 0: it is to be */
    _Atomic bool has_orphans; /* runs may be going on that are to be cancelled */
    _Atomic bool has_deleted; /* something of deleted jobs may be left */

    /* The dispatcher's thread. */
    pthread_t dispatcher_thread;
    pthread_cond_t work; /* with `lock`: there may be something to begin, or it is to end */
    bool is_closing;     /* under `lock` */
    bool has_started, is_dispatching; /* the threads are there */
    pthread_mutex_t copying; /* held while a snapshot is copied: it is not replaced meanwhile */

    struct held_uuids to_retain; /* jobs whose retention is to be applied; under `lock` */

    struct held_uuids forgotten; /* runs that were deleted; under forgotten_lock */
    pthread_mutex_t forgotten_lock;

    _Atomic uint64_t fired, begun, retried;
};

/* Holds the lock from here to the end of the scope. */
static inline void jobs_unlock_at(pthread_mutex_t **lock)
{
    pthread_mutex_unlock(*lock);
}
#define JOBS_LOCKED(jobs)                                                                          \
    __attribute__((cleanup(jobs_unlock_at))) pthread_mutex_t *locked_ = &(jobs)->lock;             \
    pthread_mutex_lock(locked_)

void jobs_tell(const struct jobs *jobs, const char *what, const char *job_uuid,
               const char *run_uuid, const char *detail);

/* The clock's thread does a turn, the dispatcher looks for work. Any thread. */
void jobs_stir(struct jobs *jobs);

/* What a job is made of, read again from its row. Cleared by job_parts_clear. */
struct job_parts {
    struct pipeline *pipeline;
    struct parameter_sets *sets;
};
int job_parts_read(struct jobs *jobs, const struct job_row *row, struct job_parts *ret_parts,
                   struct err *e);
void job_parts_clear(struct job_parts *parts);
#define auto_job_parts __attribute__((cleanup(job_parts_clear)))

/* Ends a transaction: commits when `result` is 0, else rolls back; gives the result. */
int jobs_end_transaction(struct jobs *jobs, int result, struct err *e);

/* --- jobs_create.c --- */

/* Fill in the row. */
void job_put_schedule(struct held_job *job, const struct schedule *schedule);
void job_put_policy(struct held_job *job, const struct job_policy *policy);
void job_put_sets(struct held_job *job, const struct parameter_sets *sets);

/* The text that is kept of a pipeline. */
struct str job_definition(const struct pipeline *pipeline);

/* A copy of the project under a new name, which is noted in the row. Takes long. */
int jobs_take_snapshot(struct jobs *jobs, const char *project, struct held_job *job, struct err *e);
void jobs_drop_snapshot(const struct jobs *jobs, const struct job_row *job);

/* The job begins, now or when it is due. In a transaction; writes the row. */
int jobs_begin_job(struct jobs *jobs, struct held_job *job, struct err *e);

/* --- jobs_fire.c; in a transaction --- */

/* Adds a fire of the job with its sets. The job's row is not touched. */
int jobs_add_fire(struct jobs *jobs, const struct job_row *job, enum fire_kind kind,
                  enum fire_state state, msec due, uint32_t *ret_number, struct err *e);

/* Ends the job's fires that have not ended; their runs become orphans. */
int jobs_abort_fires(struct jobs *jobs, int64_t job, struct err *e);

/* A set of the fire has ended: perhaps the fire has too, perhaps no further one is to be begun. */
int jobs_settle_fire(struct jobs *jobs, int64_t fire, struct err *e);

/* Fires a batch of what is due. *ret_wake: when to look again, 0: when something changes. */
int jobs_fire_due(struct jobs *jobs, msec now, msec *ret_wake, struct err *e);

/* --- jobs_follow.c --- */

/* A run that has ended, of a job or not. Owns its texts. */
struct ended_run {
    int64_t event; /* its place in the engine's log */
    int64_t id;
    struct uuid uuid, job_uuid; /* all zero: of none */
    enum status status;
    enum cause cause;
    msec created_time, started_time, finished_time;
    char *project, *pipeline_name;
    char *failure;      /* JSON {step_uuid, title, cause, message}: of the step that failed first;
                           NULL: none */
    struct buf metrics; /* JSON, of a job's: what its steps reported, see jobs_follow.c */
};

/* Takes in the ends of runs, one batch; takes the lock itself. *ret_more: there are more. */
int jobs_follow(struct jobs *jobs, bool *ret_more, struct err *e);

/* A try of the set has ended: another one follows, or the set has ended too, and perhaps its fire.
 * In a transaction. */
int jobs_end_try(struct jobs *jobs, const struct job_row *job, struct set_row *set,
                 enum status status, enum cause cause, struct err *e);

/* --- jobs_notify.c --- */

int jobs_count_webhooks(struct jobs *jobs, size_t *ret_count, struct err *e); /* with the lock */

/* Adds a notice for every webhook that wants it and was there when it ended. In a transaction. */
int jobs_notify_run(struct jobs *jobs, const struct ended_run *run, struct err *e);
int jobs_notify_fire(struct jobs *jobs, const struct job_row *job, const struct fire_row *fire,
                     struct err *e);

/* --- jobs_dispatch.c --- */

void *jobs_dispatch(void *jobs); /* the thread */

/* 1: the engine has the run. Without the lock. */
int jobs_has_run(struct jobs *jobs, const char *run_uuid, struct err *e);

/* --- jobs_tidy.c; each takes the lock itself --- */

/* Cancels runs that go on for fires that have ended. */
int jobs_cancel_orphans(struct jobs *jobs, struct err *e);

/* Ends sets whose run was deleted by somebody before its end was taken in. For the thread that
 * calls jobs_follow, as one that ends just now is not to be taken for such a one. */
int jobs_end_lost(struct jobs *jobs, struct err *e);

/* Notes which runs were deleted (jobs_forget_run). */
int jobs_note_forgotten(struct jobs *jobs, struct err *e);

/* Applies the retention of those jobs that it is due for. */
int jobs_retain(struct jobs *jobs, struct err *e);
int jobs_retain_all(struct jobs *jobs, struct err *e); /* makes it due for all */

/* Removes what deleted jobs have left, as far as their runs have ended. */
int jobs_sweep(struct jobs *jobs, bool *ret_is_done, struct err *e);

/* Snapshots that no job has: whoever made or replaced them was killed. */
int jobs_clean_snapshots(struct jobs *jobs, struct err *e);

#endif
