/* unread: how much of what clients sent to a kernel it may not have read yet.
 *
 * The queues to a kernel count messages, however large those are, and do not tell when one was
 * read. But a channel keeps its order, and what a kernel says names the request that it stems from:
 * with that one, all that was sent before it has been read. A value; all-zero is empty.
 */
#ifndef SEGUE_KERNEL_GATEWAY_UNREAD_H
#define SEGUE_KERNEL_GATEWAY_UNREAD_H

#include "kernel-gateway/connection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More than this is held back, but for a message that is alone. */
#define UNREAD_BYTES_MAX (64ul * 1024 * 1024)
#define UNREAD_MAX       4096 /* messages that are told apart */

struct unread_entry {
    uint64_t hash; /* of the msg_id */
    size_t bytes;
};

struct unread_line {
    struct unread_entry *entries; /* oldest first, from `first` on */
    size_t count, capacity;
    size_t first;
    size_t bytes;
};

struct unread {
    struct unread_line lines[CHANNEL_COUNT];
    uint64_t seed;
};

void unread_clear(struct unread *unread); /* of a kernel that is gone, too */

bool unread_has_room(const struct unread *unread, enum channel channel, size_t bytes);

/* It was sent. */
void unread_add(struct unread *unread, enum channel channel, const char *msg_id, size_t bytes);

/* The kernel has said something that stems from this request; of no request of ours: nothing. */
void unread_heard_of(struct unread *unread, const char *msg_id);

#endif
