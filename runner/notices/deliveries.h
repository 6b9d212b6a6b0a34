/* deliveries: brings notices to their webhooks.
 *
 * Works on a loop: takes what is due from the job store, sends up to DELIVERIES_AT_ONCE at a time,
 * writes down what came of it, and tries again later what failed. To one webhook one is sent at a
 * time, the oldest that is due first: they come in the order in which they were made for as long as
 * none fails; one that failed waits for its next time and holds up none behind it. A delivery that
 * was sent and not written down when the process died is sent again. What ended more than 30 days
 * ago is forgotten. Belongs to the thread of its loop; the store is shared under `lock`, which is
 * held only for statements.
 */
#ifndef SEGUE_RUNNER_DELIVERIES_H
#define SEGUE_RUNNER_DELIVERIES_H

#include "base/loop.h"
#include "runner/store/job_store.h"

#include <pthread.h>
#include <stdbool.h>

#define DELIVERIES_AT_ONCE 8

struct deliveries;

struct deliveries_options {
    struct loop *loop;
    struct job_store *store;
    pthread_mutex_t *lock; /* of the store */
    bool allow_local;      /* also to addresses that webhook_may_connect refuses */
    int timeout_ms;        /* of a try; 0: 10 s */
    msec (*now)(void);     /* clock_wall */
    /* Said of each try, for the log; may be NULL. `error` NULL: delivered. */
    void (*tried)(void *user, const struct delivery_row *delivery, const char *url,
                  const char *error);
    void *user;
};

struct deliveries *deliveries_new(const struct deliveries_options *options);
void deliveries_free(struct deliveries *deliveries); /* NULL is allowed; what is on its way is
                                                        sent again by the next */

/* There may be something new to deliver. On the loop's thread. */
void deliveries_wake(struct deliveries *deliveries);

#endif
