#include "kernel-gateway/interactive/gateway_cleaner.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdbool.h>

struct job {
    enum launcher_kind launcher;
    char *mark, *directory, *sockets;
    void *kernel;
    struct job *next;
};

/* There are never more jobs than there were kernels. */
struct gateway_cleaner {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct job *jobs, *later; /* `later`: what could not be done */
    int64_t retry_ms;
    struct timespec retry_at; /* when `later` is due, however much comes meanwhile */
    void **tried;             /* kernels whose leavings were tried to be removed */
    size_t tried_count, tried_capacity;
    bool is_stopping;
    int wake_fd;
};

static void append(struct job **list, struct job *jobs)
{
    while (*list)
        list = &(*list)->next;
    *list = jobs;
}

static void job_free(struct job *job)
{
    free(job->mark);
    free(job->directory);
    free(job->sockets);
    free(job);
}

void gateway_remove_files(const char *directory, const char *sockets)
{
    struct err ignored;

    /* The directory last: by what is in it the rest is found again. */
    fs_remove_tree(sockets, &ignored);
    fs_remove_tree(directory, &ignored);
}

/* False: to be tried again. */
static bool do_job(const struct job *job)
{
    struct err ignored;

    if (launch_clean(job->launcher, job->mark, &ignored) < 0)
        return false;
    gateway_remove_files(job->directory, job->sockets);
    return true;
}

static void put_off(struct gateway_cleaner *cleaner, struct job *job)
{
    if (!cleaner->later) {
        msec at = clock_mono() + cleaner->retry_ms;
        cleaner->retry_at = (struct timespec){at / 1000, at % 1000 * 1000000};
    }
    append(&cleaner->later, job);
}

static void give_back(struct gateway_cleaner *cleaner, void *kernel)
{
    uint64_t one = 1;

    mem_grow(cleaner->tried, cleaner->tried_count, cleaner->tried_capacity);
    cleaner->tried[cleaner->tried_count++] = kernel;
    (void)!write(cleaner->wake_fd, &one, sizeof one);
}

/* Waits for work, with the mutex held; what failed is due again after a while. */
static void wait_for_work(struct gateway_cleaner *cleaner)
{
    if (!cleaner->later)
        pthread_cond_wait(&cleaner->changed, &cleaner->mutex);
    else if (pthread_cond_timedwait(&cleaner->changed, &cleaner->mutex, &cleaner->retry_at) != 0)
        append(&cleaner->jobs, take_ptr(&cleaner->later));
}

static struct job *await_job(struct gateway_cleaner *cleaner)
{
    while (!cleaner->jobs && !cleaner->is_stopping)
        wait_for_work(cleaner);
    if (cleaner->is_stopping)
        return NULL;
    struct job *job = cleaner->jobs;
    cleaner->jobs = job->next;
    job->next = NULL;
    return job;
}

static void *work(void *user)
{
    struct gateway_cleaner *cleaner = user;
    struct job *job;

    pthread_mutex_lock(&cleaner->mutex);
    while ((job = await_job(cleaner))) {
        pthread_mutex_unlock(&cleaner->mutex);
        bool is_done = do_job(job);
        pthread_mutex_lock(&cleaner->mutex);
        if (job->kernel)
            give_back(cleaner, take_ptr(&job->kernel));
        if (is_done)
            job_free(job);
        else
            put_off(cleaner, job);
    }
    pthread_mutex_unlock(&cleaner->mutex);
    return NULL;
}

struct gateway_cleaner *gateway_cleaner_new(int wake_fd, int64_t retry_ms)
{
    struct gateway_cleaner *cleaner = mem_zalloc(sizeof *cleaner);
    pthread_condattr_t attributes;

    cleaner->wake_fd = wake_fd;
    cleaner->retry_ms = retry_ms;
    pthread_mutex_init(&cleaner->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&cleaner->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&cleaner->thread, NULL, work, cleaner) != 0)
        abort();
    return cleaner;
}

static void free_jobs(struct job *jobs)
{
    while (jobs) {
        struct job *next = jobs->next;
        job_free(jobs);
        jobs = next;
    }
}

void gateway_cleaner_free(struct gateway_cleaner *cleaner)
{
    if (!cleaner)
        return;
    pthread_mutex_lock(&cleaner->mutex);
    cleaner->is_stopping = true;
    pthread_cond_signal(&cleaner->changed);
    pthread_mutex_unlock(&cleaner->mutex);
    pthread_join(cleaner->thread, NULL);
    free_jobs(cleaner->jobs);
    free_jobs(cleaner->later);
    free(cleaner->tried);
    pthread_mutex_destroy(&cleaner->mutex);
    pthread_cond_destroy(&cleaner->changed);
    free(cleaner);
}

void gateway_cleaner_add(struct gateway_cleaner *cleaner, const struct gateway_leavings *leavings)
{
    struct job *job = mem_zalloc(sizeof *job);

    *job = (struct job){
        .launcher = leavings->launcher,
        .mark = mem_strdup(leavings->mark),
        .directory = mem_strdup(leavings->directory),
        .sockets = mem_strdup(leavings->sockets),
        .kernel = leavings->kernel,
    };
    pthread_mutex_lock(&cleaner->mutex);
    append(&cleaner->jobs, job);
    pthread_cond_signal(&cleaner->changed);
    pthread_mutex_unlock(&cleaner->mutex);
}

void *gateway_cleaner_next(struct gateway_cleaner *cleaner)
{
    pthread_mutex_lock(&cleaner->mutex);
    void *kernel = cleaner->tried_count > 0 ? cleaner->tried[--cleaner->tried_count] : NULL;
    pthread_mutex_unlock(&cleaner->mutex);
    return kernel;
}
