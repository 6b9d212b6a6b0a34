#include "runner/engine/janitor.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "runner/engine/recover.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

/* Docker's engine is back within minutes or within hours. */
#define RETRY_S 5

enum job_kind { JOB_CLEAN, JOB_CLEAN_OTHERS, JOB_REMOVE };

struct job {
    enum job_kind kind;
    char *path;    /* socket directory, root of the state, directory of a run */
    char *mark;    /* JOB_CLEAN */
    char *sockets; /* JOB_REMOVE: where all marks are */
    int64_t run;
    struct job *next;
};

struct janitor {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct job *jobs, *later; /* `later`: what could not be done */
    struct timespec retry_at; /* when `later` is due, however much comes meanwhile */
    bool is_stopping;
    void (*removed)(void *user, int64_t run);
    void *user;
};

static void job_free(struct job *job)
{
    free(job->path);
    free(job->mark);
    free(job->sockets);
    free(job);
}

/* False: to be tried again. */
static bool do_job(const struct janitor *janitor, const struct job *job)
{
    struct err ignored;

    switch (job->kind) {
    case JOB_CLEAN:
        return recover_mark(job->path, job->mark) == 0;
    case JOB_CLEAN_OTHERS:
        recover_state_dirs(job->path);
        return true;
    case JOB_REMOVE:
        if (recover_run(job->sockets, job->path) < 0 || fs_remove_tree(job->path, &ignored) < 0)
            return false;
        janitor->removed(janitor->user, job->run);
        return true;
    }
    return true;
}

static void append(struct job **list, struct job *jobs)
{
    while (*list)
        list = &(*list)->next;
    *list = jobs;
}

static void push(struct job **list, struct job *job)
{
    job->next = NULL;
    append(list, job);
}

/* Waits for work, with the mutex held; what failed is due again after a while. */
static void wait_for_work(struct janitor *janitor)
{
    if (!janitor->later)
        pthread_cond_wait(&janitor->changed, &janitor->mutex);
    else if (pthread_cond_timedwait(&janitor->changed, &janitor->mutex, &janitor->retry_at) != 0)
        append(&janitor->jobs, take_ptr(&janitor->later)); /* something may just have come */
}

static void put_off(struct janitor *janitor, struct job *job)
{
    if (!janitor->later) {
        clock_gettime(CLOCK_MONOTONIC, &janitor->retry_at);
        janitor->retry_at.tv_sec += RETRY_S;
    }
    push(&janitor->later, job);
}

static void *work(void *user)
{
    struct janitor *janitor = user;

    pthread_mutex_lock(&janitor->mutex);
    while (!janitor->is_stopping) {
        struct job *job = janitor->jobs;
        if (!job) {
            wait_for_work(janitor);
            continue;
        }
        janitor->jobs = job->next;
        pthread_mutex_unlock(&janitor->mutex);
        bool is_done = do_job(janitor, job);
        pthread_mutex_lock(&janitor->mutex);
        if (is_done)
            job_free(job);
        else
            put_off(janitor, job);
    }
    pthread_mutex_unlock(&janitor->mutex);
    return NULL;
}

struct janitor *janitor_new(void (*removed)(void *user, int64_t run), void *user)
{
    struct janitor *janitor = mem_zalloc(sizeof *janitor);
    pthread_condattr_t attributes;

    janitor->removed = removed;
    janitor->user = user;
    pthread_mutex_init(&janitor->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&janitor->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&janitor->thread, NULL, work, janitor) != 0)
        abort();
    return janitor;
}

static void free_jobs(struct job *jobs)
{
    while (jobs) {
        struct job *next = jobs->next;
        job_free(jobs);
        jobs = next;
    }
}

void janitor_free(struct janitor *janitor)
{
    if (!janitor)
        return;
    pthread_mutex_lock(&janitor->mutex);
    janitor->is_stopping = true;
    pthread_cond_signal(&janitor->changed);
    pthread_mutex_unlock(&janitor->mutex);
    pthread_join(janitor->thread, NULL);
    free_jobs(janitor->jobs);
    free_jobs(janitor->later);
    pthread_mutex_destroy(&janitor->mutex);
    pthread_cond_destroy(&janitor->changed);
    free(janitor);
}

/* The job about this mark, taken out of the list; NULL: there is none. */
static struct job *take_marked(struct job **list, const char *mark)
{
    for (; *list; list = &(*list)->next) {
        struct job *job = *list;
        if (job->mark && strcmp(job->mark, mark) == 0) {
            *list = job->next;
            return job;
        }
    }
    return NULL;
}

/* An engine that loses its store finds the same marks again and again. */
static void drop_same(struct janitor *janitor, const char *mark)
{
    struct job *same;

    if ((same = take_marked(&janitor->jobs, mark)) || (same = take_marked(&janitor->later, mark)))
        job_free(same);
}

static void add(struct janitor *janitor, struct job values)
{
    struct job *job = mem_alloc(sizeof *job);

    *job = values;
    pthread_mutex_lock(&janitor->mutex);
    if (job->mark)
        drop_same(janitor, job->mark);
    push(&janitor->jobs, job);
    pthread_cond_signal(&janitor->changed);
    pthread_mutex_unlock(&janitor->mutex);
}

void janitor_clean(struct janitor *janitor, const struct state *state, const char *mark)
{
    add(janitor, (struct job){.kind = JOB_CLEAN,
                              .path = state_socket_dir(state, mark),
                              .mark = mem_strdup(mark)});
}

static uint32_t count_marks(const struct job *jobs)
{
    uint32_t count = 0;

    for (; jobs; jobs = jobs->next)
        count += jobs->mark != NULL;
    return count;
}

uint32_t janitor_marks(struct janitor *janitor)
{
    pthread_mutex_lock(&janitor->mutex);
    uint32_t count = count_marks(janitor->jobs) + count_marks(janitor->later);
    pthread_mutex_unlock(&janitor->mutex);
    return count;
}

void janitor_clean_others(struct janitor *janitor, const struct state *state)
{
    add(janitor, (struct job){.kind = JOB_CLEAN_OTHERS, .path = mem_strdup(state->root)});
}

void janitor_remove(struct janitor *janitor, const struct state *state, int64_t run,
                    char *take_path)
{
    add(janitor, (struct job){.kind = JOB_REMOVE,
                              .path = take_path,
                              .sockets = fs_join(state->dir, "k"),
                              .run = run});
}
