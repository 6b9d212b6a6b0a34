/* asked: which session has sent which request, so that the answers find their way back.
 *
 * Keeps the newest few thousand; what is older has been forgotten. A value; all-zero is empty.
 */
#ifndef SEGUE_KERNEL_GATEWAY_ASKED_H
#define SEGUE_KERNEL_GATEWAY_ASKED_H

#include <stddef.h>
#include <stdint.h>

/* Requests that wait at a time. "Run all cells" of a very long notebook is one thousand. */
#define ASKED_MAX 4096

struct asked_entry {
    uint64_t hash; /* of the request's msg_id */
    uint32_t session;
};

struct asked {
    struct asked_entry *entries; /* a ring once it is full */
    size_t count, capacity;
    size_t oldest;
    uint64_t seed;
};

void asked_clear(struct asked *asked);

/* `session` is not 0. */
void asked_note(struct asked *asked, const char *msg_id, uint32_t session);

/* Who sent the request; 0: not known (any more). Of two with the same id the later one counts. */
uint32_t asked_find(const struct asked *asked, const char *msg_id);

#endif
