#include "kernel-gateway/interactive/gateway_cleaner.h"

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

struct jobs {
    struct job *first, **end;
};

/* There are never more jobs than there were kernels. */
struct gateway_cleaner {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct jobs to_do, done;
    bool is_stopping;
    int wake_fd;
};

static void put(struct jobs *jobs, struct job *job)
{
    job->next = NULL;
    *jobs->end = job;
    jobs->end = &job->next;
}

static struct job *take(struct jobs *jobs)
{
    struct job *job = jobs->first;

    if (!job)
        return NULL;
    jobs->first = job->next;
    if (!jobs->first)
        jobs->end = &jobs->first;
    return job;
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

static void do_job(const struct job *job)
{
    struct err ignored;

    if (launch_clean(job->launcher, job->mark, &ignored) == 0)
        gateway_remove_files(job->directory, job->sockets);
}

static struct job *await_job(struct gateway_cleaner *cleaner)
{
    while (!cleaner->to_do.first && !cleaner->is_stopping)
        pthread_cond_wait(&cleaner->changed, &cleaner->mutex);
    return cleaner->is_stopping ? NULL : take(&cleaner->to_do);
}

static void *work(void *user)
{
    struct gateway_cleaner *cleaner = user;
    uint64_t one = 1;
    struct job *job;

    pthread_mutex_lock(&cleaner->mutex);
    while ((job = await_job(cleaner))) {
        pthread_mutex_unlock(&cleaner->mutex);
        do_job(job);
        pthread_mutex_lock(&cleaner->mutex);
        put(&cleaner->done, job);
        (void)!write(cleaner->wake_fd, &one, sizeof one);
    }
    pthread_mutex_unlock(&cleaner->mutex);
    return NULL;
}

struct gateway_cleaner *gateway_cleaner_new(int wake_fd)
{
    struct gateway_cleaner *cleaner = mem_zalloc(sizeof *cleaner);

    cleaner->wake_fd = wake_fd;
    cleaner->to_do.end = &cleaner->to_do.first;
    cleaner->done.end = &cleaner->done.first;
    pthread_mutex_init(&cleaner->mutex, NULL);
    pthread_cond_init(&cleaner->changed, NULL);
    if (pthread_create(&cleaner->thread, NULL, work, cleaner) != 0)
        abort();
    return cleaner;
}

static void free_jobs(struct jobs *jobs)
{
    struct job *job;

    while ((job = take(jobs)))
        job_free(job);
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
    free_jobs(&cleaner->to_do);
    free_jobs(&cleaner->done);
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
    put(&cleaner->to_do, job);
    pthread_cond_signal(&cleaner->changed);
    pthread_mutex_unlock(&cleaner->mutex);
}

void *gateway_cleaner_next(struct gateway_cleaner *cleaner)
{
    void *kernel = NULL;
    struct job *job;

    pthread_mutex_lock(&cleaner->mutex);
    while (!kernel && (job = take(&cleaner->done))) {
        kernel = job->kernel;
        job_free(job);
    }
    pthread_mutex_unlock(&cleaner->mutex);
    return kernel;
}
