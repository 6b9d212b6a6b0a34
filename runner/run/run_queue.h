/* run_queue: which waiting run may begin next.
 *
 * Runs of two classes wait, each class in the order in which its runs were accepted, under a limit
 * of its own for how many go on at a time; what somebody waits for is given before what nobody
 * waits for. Of the runs that work on the same live project and pipeline (the same key) only one
 * goes on at a time; one that has to wait for another of its key holds up nobody else. A pure
 * structure: it knows runs by their number in the store, reads no clock, starts nothing. Belongs to
 * one thread.
 */
#ifndef SEGUE_RUNNER_RUN_QUEUE_H
#define SEGUE_RUNNER_RUN_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

enum run_class {
    RUN_INTERACTIVE, /* somebody waits for it */
    RUN_BACKGROUND,  /* of a job */
    RUN_CLASS_COUNT,
};

const char *run_class_name(enum run_class run_class); /* "interactive", "background" */

struct run_queue;

struct run_queue *run_queue_new(const uint32_t limits[RUN_CLASS_COUNT]);
void run_queue_free(struct run_queue *queue); /* NULL is allowed */

/* A run that waits; ids must rise. `key` names what it must have for itself; NULL: nothing. */
void run_queue_add(struct run_queue *queue, int64_t run, enum run_class run_class, const char *key);

/* A run that goes on already: it was found so at the start. */
void run_queue_add_running(struct run_queue *queue, int64_t run, enum run_class run_class,
                           const char *key);

/* The next run that may begin, which goes on from here; false: none may now. */
bool run_queue_next(struct run_queue *queue, int64_t *ret_run);

/* The key of a run that is there; NULL: it has none. */
const char *run_queue_key(const struct run_queue *queue, int64_t run);

/* A run that run_queue_next gave may not begin after all, for somebody outside has its key: it
 * waits again, and none with that key is given until run_queue_try_keys. */
void run_queue_give_back(struct run_queue *queue, int64_t run);
void run_queue_try_keys(struct run_queue *queue);

/* The run has ended, or was given up while it waited. One that is not there is fine. */
void run_queue_remove(struct run_queue *queue, int64_t run);

bool run_queue_is_waiting(const struct run_queue *queue, int64_t run); /* known, and not begun */

uint32_t run_queue_waiting(const struct run_queue *queue, enum run_class run_class);
uint32_t run_queue_running(const struct run_queue *queue, enum run_class run_class);

#endif
