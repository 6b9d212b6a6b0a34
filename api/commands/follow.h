/* follow: follows the events of a run, from the first to the last, whatever becomes of the
 * connection.
 *
 * When the stream breaks off, the service restarts or is silent for too long, it asks again, in
 * growing pauses, from behind the last event that came: none is missed and none comes twice.
 * Belongs to the thread of its loop.
 */
#ifndef SEGUE_API_FOLLOW_H
#define SEGUE_API_FOLLOW_H

#include "api/commands/client.h"
#include "base/loop.h"

struct follow;

struct follow_events {
    void (*event)(void *user, const char *name, struct str json);

    /* What a person who waits wants to know: once when the service does not answer. */
    void (*say)(void *user, const char *text);

    /* Once: `e` is NULL behind run_finished or run_deleted, or when there is nothing to follow any
     * more; else why it cannot be gone on with. */
    void (*ended)(void *user, const struct err *e);
};

/* From behind the event `after`; 0: from the first. The client is borrowed. */
struct follow *follow_new(struct loop *loop, const struct client *client, const char *run_uuid,
                          int64_t after, const struct follow_events *events, void *user);

/* NULL is allowed; not inside one of its events. */
void follow_free(struct follow *follow);

#endif
