/* stream_ring: the newest events as streams send them, in a bounded piece of memory.
 *
 * Ids of what is put in rise. It holds every event that was put in with an id above its floor, and
 * the floor rises as the oldest make room. An event too large to be kept empties it. Not
 * thread-safe: whoever owns it has a lock.
 */
#ifndef SEGUE_API_STREAM_RING_H
#define SEGUE_API_STREAM_RING_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Some seconds of a busy service; readers who are later than that read from the store. */
#define STREAM_RING_BYTES  (4u << 20)
#define STREAM_RING_EVENTS 16384u

/* One large event shall not push all the others out. */
#define STREAM_RING_EVENT_BYTES (256u << 10)

struct ring_event {
    int64_t id;
    int64_t run;
    bool is_for_all; /* event_text_is_for_all */
    bool is_last;    /* event_text_is_last */
    uint32_t len;
    uint64_t at; /* of its first byte, counted from the first that was ever put in */
};

struct stream_ring {
    char *bytes; /* NULL: nothing is kept, and nothing can be put in */
    struct ring_event *events;
    uint32_t first, count; /* places in `events`, which is a circle */
    uint64_t start, end;   /* what `bytes`, a circle too, holds; counted as `at` */
    int64_t floor;
};

void stream_ring_open(struct stream_ring *ring);  /* makes room */
void stream_ring_close(struct stream_ring *ring); /* forgets everything but its floor */

void stream_ring_forget(struct stream_ring *ring); /* everything; its floor is above 0 then */

/* Puts an event in, its text in parts; `event` need not have `len` and `at`. */
void stream_ring_put(struct stream_ring *ring, const struct ring_event *event,
                     const struct str *parts, unsigned part_count);

/* Is every event still here that was put in from `id` on? */
bool stream_ring_reaches(const struct stream_ring *ring, int64_t id);

/* The first event from `id` on that is about the run, or (run 0) for all; NULL: none. */
const struct ring_event *stream_ring_find(const struct stream_ring *ring, int64_t id, int64_t run);

/* Copies `len` bytes of the event's text from its byte `from` on. */
void stream_ring_copy(const struct stream_ring *ring, const struct ring_event *event, uint64_t from,
                      char *out, size_t len);

#endif
