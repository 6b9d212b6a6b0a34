/* workers: a few threads that do what may block, and a bounded queue in front of them.
 *
 * A job is a pointer; it is either run or dropped, once. Thread-safe.
 */
#ifndef SEGUE_API_SERVER_WORKERS_H
#define SEGUE_API_SERVER_WORKERS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct workers;

struct workers_options {
    unsigned threads;
    size_t queue_cap;
    void (*run)(void *job);  /* on one of the threads */
    void (*drop)(void *job); /* instead, for what workers_close finds in the queue */
};

struct workers *workers_new(const struct workers_options *options, struct err *e);

/* false: the queue is full, or closed; the job is still the caller's. */
bool workers_put(struct workers *workers, void *job);

size_t workers_queued(struct workers *workers);

void workers_close(struct workers *workers); /* drops what waits; running jobs go on */
void workers_join(struct workers *workers);  /* once, after workers_close: waits for running ones */
void workers_free(struct workers *workers);  /* with both of them; NULL is allowed */

#endif
