#include "api/server/workers.h"

#include "base/mem.h"

#include <pthread.h>

struct workers {
    struct workers_options options;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_closed;
    size_t first, count; /* of the ring */
    void **ring;
    unsigned thread_count;
    pthread_t threads[];
};

/* NULL: closed. */
static void *take_job(struct workers *workers)
{
    void *job = NULL;

    pthread_mutex_lock(&workers->lock);
    while (workers->count == 0 && !workers->is_closed)
        pthread_cond_wait(&workers->changed, &workers->lock);
    if (workers->count > 0) {
        job = workers->ring[workers->first];
        workers->first = (workers->first + 1) % workers->options.queue_cap;
        workers->count--;
    }
    pthread_mutex_unlock(&workers->lock);
    return job;
}

static void *run_worker(void *user)
{
    struct workers *workers = user;
    void *job;

    while ((job = take_job(workers)))
        workers->options.run(job);
    return NULL;
}

struct workers *workers_new(const struct workers_options *options, struct err *e)
{
    struct workers *workers =
        mem_zalloc(sizeof *workers + options->threads * sizeof *workers->threads);

    workers->options = *options;
    workers->ring = mem_array(options->queue_cap, sizeof *workers->ring);
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->changed, NULL);
    while (workers->thread_count < options->threads) {
        int error =
            pthread_create(&workers->threads[workers->thread_count], NULL, run_worker, workers);
        if (error) {
            err_errno(e, error, "cannot start a thread");
            workers_free(workers);
            return NULL;
        }
        workers->thread_count++;
    }
    return workers;
}

bool workers_put(struct workers *workers, void *job)
{
    pthread_mutex_lock(&workers->lock);
    bool has_room = !workers->is_closed && workers->count < workers->options.queue_cap;
    if (has_room) {
        workers->ring[(workers->first + workers->count++) % workers->options.queue_cap] = job;
        pthread_cond_signal(&workers->changed);
    }
    pthread_mutex_unlock(&workers->lock);
    return has_room;
}

size_t workers_queued(struct workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    size_t count = workers->count;
    pthread_mutex_unlock(&workers->lock);
    return count;
}

void workers_close(struct workers *workers)
{
    void *job;

    pthread_mutex_lock(&workers->lock);
    workers->is_closed = true;
    pthread_cond_broadcast(&workers->changed);
    pthread_mutex_unlock(&workers->lock);
    while ((job = take_job(workers)))
        workers->options.drop(job);
}

void workers_join(struct workers *workers)
{
    while (workers->thread_count > 0)
        pthread_join(workers->threads[--workers->thread_count], NULL);
}

void workers_free(struct workers *workers)
{
    if (!workers)
        return;
    workers_close(workers);
    workers_join(workers);
    pthread_cond_destroy(&workers->changed);
    pthread_mutex_destroy(&workers->lock);
    free(workers->ring);
    free(workers);
}
