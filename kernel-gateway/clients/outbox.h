/* outbox: bytes on their way out through a stream socket that does not block.
 *
 * Copies what has to wait, and only that; knows how far the peer has got. Does not own the socket
 * and never closes it: it must outlive the outbox's calls. Once the connection is broken, what is
 * put goes nowhere. One owner, one thread.
 */
#ifndef SEGUE_KERNEL_GATEWAY_OUTBOX_H
#define SEGUE_KERNEL_GATEWAY_OUTBOX_H

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct outbox {
    int fd;
    bool is_tcp;
    bool is_shut;     /* nothing more will come: a FIN is sent */
    bool is_broken;   /* the peer, or the network, is gone */
    struct buf bytes; /* up to `at` written already */
    size_t at;
    uint64_t queued;  /* bytes since the beginning, */
    uint64_t written; /* and those of them that the system has taken */
};

void outbox_init(struct outbox *outbox, int fd);
void outbox_clear(struct outbox *outbox);

static inline size_t outbox_waiting(const struct outbox *outbox)
{
    return outbox->bytes.len - outbox->at;
}

/* Only what is large is written at once, where nothing large waits in front of it. */
void outbox_put(struct outbox *outbox, struct str data);

/* Writes what waits, as far as the system takes it. */
void outbox_flush(struct outbox *outbox);

/* Nothing waits, and nothing more will be put. */
void outbox_shut(struct outbox *outbox);

/* How many of the bytes the peer's system has acknowledged; also when the connection has broken. */
uint64_t outbox_acknowledged(const struct outbox *outbox);

#endif
