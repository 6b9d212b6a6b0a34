#include "api/service/streams_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "runner/store/event_text.h"

#include <assert.h>
#include <string.h>

/* Read from the store for one follower before another gets its turn. */
#define BATCHES_IN_A_ROW 4

/* Copied from the ring in one go: the engine waits for the lock meanwhile. */
#define COPY_BYTES 65536

static void note_sent(struct follower *follower, int64_t id, bool is_last, uint64_t left, size_t n)
{
    follower->frame_id = id;
    follower->sent += n;
    if (n < left)
        return;
    follower->cursor = id;
    follower->frame_id = 0;
    follower->sent = 0;
    follower->is_over = is_last && follower->run != 0;
    atomic_fetch_add(&follower->streams->sent_count, 1);
}

/* One event, or what fits of it; 0: none, or not from here. With the lock. */
static size_t read_ring_event(struct follower *follower, char *out, size_t room)
{
    const struct stream_ring *ring = &follower->streams->ring;
    int64_t from = follower->news > follower->cursor ? follower->news : follower->cursor + 1;

    if (!stream_ring_reaches(ring, follower->news)) {
        follower->is_behind = true;
        return 0;
    }
    const struct ring_event *event = stream_ring_find(ring, from, follower->run);
    if (!event) {
        follower_wait(follower);
        return 0;
    }
    size_t left = event->len - follower->sent;
    size_t n = left < room ? left : room;
    stream_ring_copy(ring, event, follower->sent, out, n);
    note_sent(follower, event->id, event->is_last, left, n);
    follower->news = n < left ? event->id : event->id + 1;
    return n;
}

static size_t read_ring(struct follower *follower, char *out, size_t room)
{
    size_t done = 0;

    if (room > COPY_BYTES)
        room = COPY_BYTES;
    pthread_mutex_lock(&follower->streams->mutex);
    while (done < room && !follower->is_over && !follower->is_behind && follower->news != 0)
        done += read_ring_event(follower, out + done, room - done);
    pthread_mutex_unlock(&follower->streams->mutex);
    return done;
}

static size_t copy_from(struct str text, size_t at, char *out, size_t room)
{
    size_t len = text.len - at < room ? text.len - at : room;

    memcpy(out, text.text + at, len);
    return len;
}

static ssize_t read_stored_frame(struct follower *follower, char *out, size_t room, struct err *e)
{
    const struct frame_head *head = &follower->head;
    uint64_t sent = follower->sent, body_end = head->len + follower->event.len;

    if (sent < head->len)
        return (ssize_t)copy_from((struct str){head->text, head->len}, sent, out, room);
    if (sent < body_end)
        return event_feed_read(follower->feed, sent - head->len, out, room, e);
    return (ssize_t)copy_from(FRAME_TAIL, sent - body_end, out, room);
}

static ssize_t read_stored_event(struct follower *follower, char *out, size_t room, struct err *e)
{
    ssize_t n = read_stored_frame(follower, out, room, e);

    if (n < 0)
        return -1;
    uint64_t left = follower->head.len + follower->event.len + FRAME_TAIL.len - follower->sent;
    note_sent(follower, follower->event.id, event_text_is_last(follower->event.event), left,
              (size_t)n);
    follower->has_event = follower->sent > 0;
    return n;
}

static int fill_feed(struct follower *follower, struct err *e)
{
    struct streams *streams = follower->streams;

    pthread_mutex_lock(&streams->mutex);
    follower_wait(follower);
    pthread_mutex_unlock(&streams->mutex);
    struct store *store = readers_lend(streams->readers, e);
    if (!store)
        return -1;
    int more = event_feed_fill(follower->feed, store, e);
    readers_give_back(streams->readers, store);
    return more;
}

/* The log has no more for now. */
static void catch_up(struct follower *follower)
{
    follower->cursor = event_feed_cursor(follower->feed);
    event_feed_free(take_ptr(&follower->feed));
    follower->is_behind = false;
    /* An event of which a part was sent is gone with its run: the frame cannot be finished. Who
     * asks again gets what is left. */
    follower->is_over = follower->has_run_over || follower->frame_id != 0;
}

/* 1: the follower has an event, or a batch from which to take one, or has caught up; 0: this one's
 * turn is over. */
static int next_stored_event(struct follower *follower, unsigned *batches, struct err *e)
{
    int got = event_feed_next(follower->feed, &follower->event, e);

    if (got < 0)
        return -1;
    if (got > 0) {
        follower->head = frame_head_of(follower->event.id, follower->event.event);
        follower->has_event = true;
        follower->is_over = follower->frame_id != 0 && follower->frame_id != follower->event.id;
        return 1;
    }
    if ((*batches)++ == BATCHES_IN_A_ROW)
        return 0;
    int more = fill_feed(follower, e);
    if (more == 0)
        catch_up(follower);
    return more < 0 ? -1 : 1;
}

static int try_read_store(struct follower *follower, char *out, size_t room, size_t *done,
                          struct err *e)
{
    unsigned batches = 0;

    while (*done < room && follower->is_behind && !follower->is_over) {
        if (!follower->has_event) {
            int got = next_stored_event(follower, &batches, e);
            if (got <= 0)
                return got;
            continue;
        }
        ssize_t n = read_stored_event(follower, out + *done, room - *done, e);
        if (n < 0)
            return -1;
        *done += (size_t)n;
    }
    return 0;
}

static size_t read_store(struct follower *follower, char *out, size_t room)
{
    size_t done = 0;
    struct err e;

    if (!follower->feed)
        follower->feed =
            event_feed_new(follower->streams->runs_dir, follower->run, follower->cursor);
    if (try_read_store(follower, out, room, &done, &e) < 0) {
        /* The client comes back, and finds a store that works again or none that does. */
        log_line(LOG_WARNING, "stream_broken", "reason", e.text, NULL);
        follower->is_over = true;
    }
    return done;
}

static size_t read_aside(struct follower *follower, char *out, size_t room)
{
    size_t len = copy_from(follower->aside, 0, out, room);

    follower->aside.text += len;
    follower->aside.len -= len;
    return len;
}

static size_t read_events(struct follower *follower, char *out, size_t room)
{
    size_t done = 0;

    while (done < room && !follower->is_over) {
        bool was_behind = follower->is_behind;
        size_t n = was_behind ? read_store(follower, out + done, room - done)
                              : read_ring(follower, out + done, room - done);
        done += n;
        if (n == 0 && was_behind == follower->is_behind)
            break;
    }
    return done;
}

ssize_t follower_read(void *user, char *out, size_t room)
{
    struct follower *follower = user;

    assert(room > 0);
    size_t done = read_aside(follower, out, room);
    done += read_events(follower, out + done, room - done);
    if (done == 0 && !follower->is_over && atomic_load(&follower->is_heartbeat_due)) {
        follower->aside = STR(": heartbeat\n\n");
        done = read_aside(follower, out, room);
    }
    if (done > 0) {
        atomic_store(&follower->last_time, clock_mono());
        atomic_store(&follower->is_heartbeat_due, false);
        return (ssize_t)done;
    }
    if (follower->is_over)
        return -1;
    if (follower->is_behind)
        stream_wake(follower->stream); /* there is more, when others have had their turn */
    return 0;
}
