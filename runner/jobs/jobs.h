/* jobs: pipelines that are run many times: over sets of parameters, at a time, on a schedule.
 *
 * Owns the job store (STATE/jobs.db) and two threads: one watches the clock, takes in what became
 * of runs, and delivers notices; the other makes the copies that runs work on and hands the runs to
 * the engine, as many as its limits let go on. A job's runs are of the background class. Whatever
 * is decided is committed before anything is done about it, and what was done is found again after
 * a kill: a fire by its time, a run by its uuid, which is chosen before the run is made; the ends
 * of runs by a cursor on the engine's log of events.
 *
 * Every function may be called from any thread; those that change something return when it is on
 * the disk.
 */
#ifndef SEGUE_RUNNER_JOBS_H
#define SEGUE_RUNNER_JOBS_H

#include "runner/engine/engine.h"
#include "runner/jobs/job.h"
#include "runner/schedule/schedule.h"
#include "runner/sets/parameter_sets.h"
#include "runner/store/job_store.h"
#include "runner/store/readers.h"

struct jobs;

/* Something that happened, for the log. What it is not about is NULL. */
struct jobs_news {
    const char *what; /* "job_fired", "webhook_failed", ... */
    const char *job_uuid;
    const char *run_uuid;
    const char *delivery_uuid;
    const char *host; /* that a notice goes to */
    const char *detail;
};

struct jobs_options {
    struct engine *engine;
    struct readers *readers; /* of the engine's store */
    const struct state *state;
    const char *projects; /* the directory below which projects lie, without links */
    uint32_t parallel;    /* runs of all jobs that go on at a time */
    bool allow_local_webhooks;
    bool is_holding; /* jobs are accepted and nothing is begun */
    void (*told)(void *user, const struct jobs_news *news); /* for the log; any thread */
    void *user;
};

int jobs_open(struct jobs **ret_jobs, const struct jobs_options *options, struct err *e);

/* Begins and ends its threads. The engine's loop has to turn until jobs_stop has returned. */
void jobs_start(struct jobs *jobs);
void jobs_stop(struct jobs *jobs);  /* runs go on; not started is fine */
void jobs_close(struct jobs *jobs); /* NULL is allowed */

/* The engine has something new in its log. Any thread; cheap. */
void jobs_wake(struct jobs *jobs);

/* A run, of a job or not, was deleted from the engine's store. Any thread; cheap. */
void jobs_forget_run(struct jobs *jobs, const char *run_uuid);

/* A reading connection to the job store, lent as readers_lend does. */
struct job_store *jobs_lend(struct jobs *jobs, struct err *e);
void jobs_give_back(struct jobs *jobs, struct job_store *store);

/* What a job is made of. Borrowed. */
struct job_request {
    const char *name;
    const char *project_dir;   /* absolute, without links */
    const char *pipeline_path; /* "": only a definition was given */
    const struct pipeline *pipeline;
    const struct parameter_sets *sets;
    const struct schedule *schedule;
    const struct job_policy *policy;
    const char *duplicate_of; /* or NULL */
    bool is_draft;            /* else it is confirmed at once */
    const char *key, *digest; /* Idempotency-Key, as struct request_key; NULL: none */
};

/* Makes the snapshot, then the job. ERR_INVALID for a key that was used for something else; with a
 * known key the job of the first time is given and *ret_is_repeated set. Errors of
 * project_snapshot_make; ERR_LIMIT: LIMIT_JOBS. */
int jobs_create(struct jobs *jobs, const struct job_request *request, struct uuid *ret_job,
                bool *ret_is_repeated, struct err *e);

/* What is changed of a job; NULL: left as it is. */
struct job_change {
    const char *name;
    const struct pipeline *pipeline;   /* with sets, and a new snapshot of the project */
    const struct parameter_sets *sets; /* DRAFT, or with cron: for fires to come */
    const struct schedule *schedule;   /* DRAFT, PENDING, PAUSED, or with cron */
    const struct job_policy *policy;
};

/* All of these: ERR_NOT_FOUND; ERR_CONFLICT: not in this state (the text says which). */
int jobs_change(struct jobs *jobs, const char *job_uuid, const struct job_change *change,
                struct err *e);
int jobs_confirm(struct jobs *jobs, const char *job_uuid, struct err *e); /* a draft */
int jobs_pause(struct jobs *jobs, const char *job_uuid, struct err *e);   /* runs that go on do */
int jobs_resume(struct jobs *jobs, const char *job_uuid, struct err *e);
/* Fires it now, whatever its schedule; *ret_fire is the number. */
int jobs_trigger(struct jobs *jobs, const char *job_uuid, uint32_t *ret_fire, struct err *e);
/* Cancels what runs, drops what waits, and ends the job. */
int jobs_abort(struct jobs *jobs, const char *job_uuid, struct err *e);
/* It is in no list from here on; its runs are ended and removed with everything of it. */
int jobs_delete(struct jobs *jobs, const char *job_uuid, struct err *e);

/* What retention will remove when it is applied next: run uuids, oldest last; free() each and the
 * list (mem_free_texts). */
int jobs_retention(struct jobs *jobs, const char *job_uuid, char ***ret_runs, struct err *e);

/* Webhooks. `webhook` as in the row; uuid and created_time are set here. ERR_LIMIT, ERR_INVALID. */
int jobs_add_webhook(struct jobs *jobs, const struct webhook_row *webhook, struct uuid *ret_uuid,
                     struct err *e);
int jobs_remove_webhook(struct jobs *jobs, const char *uuid, struct err *e);
int jobs_ping_webhook(struct jobs *jobs, const char *uuid, struct err *e); /* queues a delivery */

/* Where a job's frozen project lies; free() it. */
char *jobs_snapshot_dir(const struct jobs *jobs, const struct job_row *job);

/* Appends figures as Prometheus text. */
void jobs_metrics(const struct jobs *jobs, struct buf *out);

#endif
