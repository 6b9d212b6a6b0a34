#include "api/service/stream_ring.h"

#include "base/mem.h"

#include <assert.h>
#include <string.h>

void stream_ring_open(struct stream_ring *ring)
{
    if (ring->bytes)
        return;
    ring->bytes = mem_alloc(STREAM_RING_BYTES);
    ring->events = mem_array(STREAM_RING_EVENTS, sizeof *ring->events);
}

static struct ring_event *event_at(const struct stream_ring *ring, uint32_t index)
{
    return &ring->events[(ring->first + index) % STREAM_RING_EVENTS];
}

static void drop_first(struct stream_ring *ring)
{
    const struct ring_event *event = event_at(ring, 0);

    ring->floor = event->id;
    ring->start = event->at + event->len;
    ring->first = (ring->first + 1) % STREAM_RING_EVENTS;
    ring->count--;
}

void stream_ring_forget(struct stream_ring *ring)
{
    while (ring->count > 0)
        drop_first(ring);
    if (ring->floor < 1)
        ring->floor = 1;
}

void stream_ring_close(struct stream_ring *ring)
{
    while (ring->count > 0)
        drop_first(ring);
    free(take_ptr(&ring->bytes));
    free(take_ptr(&ring->events));
}

/* The bytes from `at` on, as far as they lie in one piece. */
static char *piece(const struct stream_ring *ring, uint64_t at, size_t *len)
{
    size_t place = at % STREAM_RING_BYTES;

    if (*len > STREAM_RING_BYTES - place)
        *len = STREAM_RING_BYTES - place;
    return ring->bytes + place;
}

static void append(struct stream_ring *ring, struct str text)
{
    while (text.len > 0) {
        size_t len = text.len;
        char *to = piece(ring, ring->end, &len);
        memcpy(to, text.text, len);
        ring->end += len;
        text = (struct str){text.text + len, text.len - len};
    }
}

void stream_ring_put(struct stream_ring *ring, const struct ring_event *event,
                     const struct str *parts, unsigned part_count)
{
    size_t len = 0;

    assert(ring->bytes);
    for (unsigned i = 0; i < part_count; i++)
        len += parts[i].len;
    bool is_kept = len <= STREAM_RING_EVENT_BYTES;
    while (ring->count > 0 && (!is_kept || ring->count == STREAM_RING_EVENTS ||
                               ring->end + len - ring->start > STREAM_RING_BYTES))
        drop_first(ring);
    if (!is_kept) {
        ring->floor = event->id;
        return;
    }
    struct ring_event *kept = event_at(ring, ring->count++);
    *kept = *event;
    kept->len = (uint32_t)len;
    kept->at = ring->end;
    for (unsigned i = 0; i < part_count; i++)
        append(ring, parts[i]);
}

bool stream_ring_reaches(const struct stream_ring *ring, int64_t id)
{
    return id > ring->floor;
}

/* How many events have lower ids. */
static uint32_t count_below(const struct stream_ring *ring, int64_t id)
{
    uint32_t low = 0, high = ring->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (event_at(ring, middle)->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct ring_event *stream_ring_find(const struct stream_ring *ring, int64_t id, int64_t run)
{
    for (uint32_t i = count_below(ring, id); i < ring->count; i++) {
        const struct ring_event *event = event_at(ring, i);
        if (run == 0 ? event->is_for_all : event->run == run)
            return event;
    }
    return NULL;
}

void stream_ring_copy(const struct stream_ring *ring, const struct ring_event *event, uint64_t from,
                      char *out, size_t len)
{
    for (size_t done = 0; done < len;) {
        size_t part = len - done;
        const char *bytes = piece(ring, event->at + from + done, &part);
        memcpy(out + done, bytes, part);
        done += part;
    }
}
