/* Two threads and the callers share one store under one lock; what takes long (copying projects,
 * asking Docker, reading what steps reported) is done without it. */
#include "runner/jobs/jobs.h"

#include "base/fs.h"
#include "base/http.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "runner/jobs/jobs_private.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

/* How soon it is tried again when the store could not be written. */
#define RETRY_MS 1000

/* Retention by days is looked at so often. */
#define RETAIN_EVERY_MS (3600 * 1000)

/* The wall clock may be set: nobody sleeps longer than this. */
#define LOOK_MS 10000

/* --- for all files --- */

void jobs_tell(const struct jobs *jobs, const char *what, const char *job_uuid,
               const char *run_uuid, const char *detail)
{
    const struct jobs_news news = {
        .what = what, .job_uuid = job_uuid, .run_uuid = run_uuid, .detail = detail};

    if (jobs->options.told)
        jobs->options.told(jobs->options.user, &news);
}

void jobs_wake(struct jobs *jobs)
{
    uint64_t one = 1;

    (void)!write(jobs->wake_fd, &one, sizeof one);
}

/* The engine tells of it in the middle of its turn: it waits for no store. */
void jobs_forget_run(struct jobs *jobs, const char *run_uuid)
{
    pthread_mutex_lock(&jobs->forgotten_lock);
    held_uuids_add(&jobs->forgotten, run_uuid);
    pthread_mutex_unlock(&jobs->forgotten_lock);
    jobs_wake(jobs);
}

void jobs_stir(struct jobs *jobs)
{
    jobs_wake(jobs);
    pthread_cond_broadcast(&jobs->work);
}

int jobs_end_transaction(struct jobs *jobs, int result, struct err *e)
{
    if (result == 0 && job_store_commit(jobs->store, STORE_DURABLE, e) == 0)
        return 0;
    job_store_rollback(jobs->store);
    return -1;
}

int job_parts_read(struct jobs *jobs, const struct job_row *row, struct job_parts *ret_parts,
                   struct err *e)
{
    auto_buf struct buf definition = {0};
    auto_problems struct problems problems = {0};

    *ret_parts = (struct job_parts){0};
    if (job_store_definition(jobs->store, row->id, &definition, e) < 0)
        return -1;
    /* Which uuid it has does not matter here. */
    if (pipeline_parse((struct str){buf_text(&definition), definition.len}, "",
                       &ret_parts->pipeline, &problems, e) < 0)
        return err_prefix(e, "the job's pipeline");
    if (parameter_sets_parse(str_of(row->parameters), ret_parts->pipeline, &ret_parts->sets, e) <
        0) {
        job_parts_clear(ret_parts);
        return -1;
    }
    return 0;
}

void job_parts_clear(struct job_parts *parts)
{
    parameter_sets_free(parts->sets);
    pipeline_free(parts->pipeline);
    *parts = (struct job_parts){0};
}

/* --- the clock's thread --- */

static int fire(struct jobs *jobs, msec *ret_wake, struct err *e)
{
    msec now = clock_wall(), first;
    JOBS_LOCKED(jobs);

    if (job_store_next_due(jobs->store, 0, &first, e) < 0)
        return -1;
    *ret_wake = first;
    if (first == 0 || first > now)
        return 0;
    if (job_store_begin(jobs->store, e) < 0)
        return -1;
    return jobs_end_transaction(jobs, jobs_fire_due(jobs, now, ret_wake, e), e);
}

static int tidy(struct jobs *jobs, struct err *e)
{
    msec now = clock_mono();
    bool is_done = false;

    if (atomic_exchange(&jobs->has_orphans, false) && jobs_cancel_orphans(jobs, e) < 0) {
        atomic_store(&jobs->has_orphans, true);
        return -1;
    }
    if (jobs_note_forgotten(jobs, e) < 0)
        return -1;
    if (atomic_exchange(&jobs->has_deleted, false)) {
        int result = jobs_sweep(jobs, &is_done, e);
        if (!is_done)
            atomic_store(&jobs->has_deleted, true);
        if (result < 0)
            return -1;
    }
    if (jobs->tidied == 0 || now - jobs->tidied >= RETAIN_EVERY_MS) {
        if (jobs_end_lost(jobs, e) < 0 || jobs_retain_all(jobs, e) < 0)
            return -1;
        jobs->tidied = now;
    }
    return jobs_retain(jobs, e);
}

/* *ret_wake: nothing is to be done before (wall clock; 0: before something happens). */
static int work(struct jobs *jobs, msec *ret_wake, bool *ret_more, struct err *e)
{
    *ret_wake = 0;
    if (jobs_follow(jobs, ret_more, e) < 0)
        return -1;
    if (!jobs->options.is_holding && fire(jobs, ret_wake, e) < 0)
        return -1;
    return tidy(jobs, e);
}

static void turn(void *user)
{
    struct jobs *jobs = user;
    bool has_more = false;
    msec wake;
    struct err e;
    int result = work(jobs, &wake, &has_more, &e);

    if (result < 0 && !jobs->has_failed)
        jobs_tell(jobs, "jobs_failed", NULL, NULL, e.text);
    if (result == 0 && jobs->has_failed)
        jobs_tell(jobs, "jobs_recovered", NULL, NULL, NULL);
    jobs->has_failed = result < 0;
    if (result < 0)
        jobs->tidied = 0; /* what was to be done may be forgotten */
    deliveries_wake(jobs->deliveries);
    pthread_cond_broadcast(&jobs->work);
    msec delay = LOOK_MS;
    if (result < 0)
        delay = RETRY_MS;
    else if (has_more)
        delay = 0;
    else if (wake > 0 && wake - clock_wall() < LOOK_MS)
        delay = wake - clock_wall() > 0 ? wake - clock_wall() : 0;
    loop_arm_in(jobs->timer, delay);
}

static void on_wake(void *user, uint32_t events)
{
    struct jobs *jobs = user;
    uint64_t count;

    (void)events;
    (void)!read(jobs->wake_fd, &count, sizeof count);
    pthread_mutex_lock(&jobs->lock);
    bool is_closing = jobs->is_closing;
    pthread_mutex_unlock(&jobs->lock);
    if (is_closing)
        loop_stop(jobs->loop);
    else
        turn(jobs);
}

static void *run_clock(void *user)
{
    struct jobs *jobs = user;

    turn(jobs);
    loop_run(jobs->loop);
    return NULL;
}

/* --- readers --- */

struct job_store *jobs_lend(struct jobs *jobs, struct err *e)
{
    struct job_store *store = NULL;

    pthread_mutex_lock(&jobs->readers_lock);
    if (jobs->reader_count > 0)
        store = jobs->readers[--jobs->reader_count];
    pthread_mutex_unlock(&jobs->readers_lock);
    if (!store && job_store_open(jobs->path, STORE_READ, &store, e) < 0)
        return NULL;
    return store;
}

void jobs_give_back(struct jobs *jobs, struct job_store *store)
{
    if (!store)
        return;
    pthread_mutex_lock(&jobs->readers_lock);
    mem_grow(jobs->readers, jobs->reader_count, jobs->reader_capacity);
    jobs->readers[jobs->reader_count++] = store;
    pthread_mutex_unlock(&jobs->readers_lock);
}

/* --- life --- */

/* The path of a webhook's URL is often a secret: its host has to do. */
static void on_tried(void *user, const struct delivery_row *delivery, const char *url,
                     const char *error)
{
    const struct jobs *jobs = user;
    auto_http_url struct http_url parts = {0};
    struct err ignored;
    bool is_url = http_url_parse(&parts, url, &ignored) == 0;
    const struct jobs_news news = {.what = error ? "webhook_failed" : "webhook_delivered",
                                   .delivery_uuid = delivery->uuid,
                                   .host = is_url ? parts.host : NULL,
                                   .detail = error};

    if (jobs->options.told)
        jobs->options.told(jobs->options.user, &news);
}

static int open_parts(struct jobs *jobs, struct err *e)
{
    if (fs_mkdirs(jobs->directory, 0700, e) < 0 ||
        job_store_open(jobs->path, STORE_WRITE, &jobs->store, e) < 0)
        return -1;
    jobs->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (jobs->wake_fd < 0)
        return err_errno(e, errno, "cannot make an eventfd");
    jobs->loop = loop_new();
    loop_add_fd(jobs->loop, jobs->wake_fd, EPOLLIN, on_wake, jobs);
    jobs->timer = loop_add_timer(jobs->loop, turn, jobs);
    jobs->deliveries = deliveries_new(
        &(struct deliveries_options){.loop = jobs->loop,
                                     .store = jobs->store,
                                     .lock = &jobs->lock,
                                     .allow_local = jobs->options.allow_local_webhooks,
                                     .now = clock_wall,
                                     .tried = on_tried,
                                     .user = jobs});
    return jobs_clean_snapshots(jobs, e);
}

int jobs_open(struct jobs **ret_jobs, const struct jobs_options *options, struct err *e)
{
    struct jobs *jobs = mem_zalloc(sizeof *jobs);
    pthread_condattr_t attributes;

    jobs->options = *options;
    jobs->path = fs_join(options->state->dir, "jobs.db");
    jobs->directory = fs_join(options->state->dir, "jobs");
    jobs->wake_fd = -1;
    jobs->has_orphans = jobs->has_deleted = true; /* whatever our predecessor left */
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_mutex_init(&jobs->readers_lock, NULL);
    pthread_mutex_init(&jobs->copying, NULL);
    pthread_mutex_init(&jobs->forgotten_lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&jobs->work, &attributes);
    pthread_condattr_destroy(&attributes);
    if (open_parts(jobs, e) < 0) {
        jobs_close(jobs);
        return -1;
    }
    *ret_jobs = jobs;
    return 0;
}

void jobs_start(struct jobs *jobs)
{
    if (pthread_create(&jobs->clock_thread, NULL, run_clock, jobs) != 0)
        abort(); /* out of memory; the same below */
    jobs->is_dispatching = !jobs->options.is_holding;
    if (jobs->is_dispatching &&
        pthread_create(&jobs->dispatcher_thread, NULL, jobs_dispatch, jobs) != 0)
        abort();
    jobs->has_started = true;
}

void jobs_stop(struct jobs *jobs)
{
    if (!jobs->has_started)
        return;
    pthread_mutex_lock(&jobs->lock);
    jobs->is_closing = true;
    pthread_mutex_unlock(&jobs->lock);
    jobs_stir(jobs);
    pthread_join(jobs->clock_thread, NULL);
    if (jobs->is_dispatching)
        pthread_join(jobs->dispatcher_thread, NULL);
    jobs->has_started = false;
}

void jobs_close(struct jobs *jobs)
{
    if (!jobs)
        return;
    jobs_stop(jobs);
    deliveries_free(jobs->deliveries);
    if (jobs->loop)
        loop_free(jobs->loop);
    for (size_t i = 0; i < jobs->reader_count; i++)
        job_store_close(jobs->readers[i]);
    free(jobs->readers);
    job_store_close(jobs->store);
    held_uuids_clear(&jobs->to_retain);
    held_uuids_clear(&jobs->forgotten);
    if (jobs->wake_fd >= 0)
        close(jobs->wake_fd);
    pthread_mutex_destroy(&jobs->lock);
    pthread_mutex_destroy(&jobs->readers_lock);
    pthread_mutex_destroy(&jobs->copying);
    pthread_mutex_destroy(&jobs->forgotten_lock);
    pthread_cond_destroy(&jobs->work);
    free(jobs->directory);
    free(jobs->path);
    free(jobs);
}

char *jobs_snapshot_dir(const struct jobs *jobs, const struct job_row *job)
{
    return mem_printf("%s/%s/%s", jobs->directory, job->uuid, job->snapshot);
}

void jobs_metrics(const struct jobs *jobs, struct buf *out)
{
    metrics_put_head(out, "segue_job_fires_total", "counter", "Times that jobs were fired.");
    metrics_put_value(out, "segue_job_fires_total", "", (int64_t)jobs->fired);
    metrics_put_head(out, "segue_job_runs_total", "counter", "Runs that were begun for jobs.");
    metrics_put_value(out, "segue_job_runs_total", "", (int64_t)jobs->begun);
    metrics_put_head(out, "segue_job_retries_total", "counter", "Further tries of sets.");
    metrics_put_value(out, "segue_job_retries_total", "", (int64_t)jobs->retried);
}
