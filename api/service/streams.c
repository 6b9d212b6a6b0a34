/* A follower reads from the store until the log has no more for it, and from then on from the ring.
 * What it has not seen yet is known by one number, `news`: the first event for it that was
 * published since it last looked, 0 for none. It is in the list of those who wait just as long as
 * that is 0, and so is woken once, however much follows before it has read.
 *
 * `news` is set to 0 before a batch is read from the store, not after: an event is published after
 * it is stored, so whatever the batch did not see is published, and noted, later. And the ring has
 * every event that somebody follows: from `news` on nothing is missing in it as long as its floor
 * is below.
 *
 * Where room ends in the middle of an event, its place in the frame is kept: ring and store give
 * the same bytes, so that it can be gone on with from either.
 */
#include "api/service/streams.h"

#include "api/service/stream_ring.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "runner/engine/event_feed.h"
#include "runner/engine/event_text.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

/* Each is a connection and, while it is late, a descriptor of a journal. */
#define STREAM_LIMIT 4000

/* Proxies cut what is silent for 30 or 60 s. */
#define HEARTBEAT_MS 15000
#define BEAT_MIN_MS  1000

/* Read from the store for one follower before another gets its turn. */
#define BATCHES_IN_A_ROW 4

/* Copied from the ring in one go: the engine waits for the lock meanwhile. */
#define COPY_BYTES 65536

/* Events of an ended run looked at to find out whether its end lies behind a cursor. */
#define PEEK_EVENTS 256

#define GROUPS 256

LIST_HEAD(followers, follower);

/* Those who follow the same run (or one of the same number modulo GROUPS), or all. */
struct group {
    struct followers waiting; /* `news` is 0 */
    struct followers reading;
};

struct streams {
    struct readers *readers;
    char *runs_dir;
    struct loop_source *timer;
    atomic_uint_fast64_t sent_count;
    atomic_uint open_count; /* those that are just being opened, too */

    pthread_mutex_t mutex; /* for what follows, and `news` and the lists of all followers */
    unsigned follower_count;
    struct stream_ring ring; /* open while there are some */
    struct group all;
    struct group runs[GROUPS];
};

/* A frame is `id: 17\nevent: x\ndata: `, the event's JSON, and an empty line. */
struct frame_head {
    char text[96];
    size_t len;
};

static const struct str frame_tail = {"\n\n", 2};

struct follower {
    struct streams *streams;
    struct stream *stream;
    int64_t run;       /* the store's number; 0: all */
    bool has_run_over; /* when it was opened: at the end of the log the stream ends */
    LIST_ENTRY(follower) siblings;
    int64_t news;
    atomic_bool is_heartbeat_due;
    _Atomic msec last_time; /* clock_mono, when something was sent last */

    /* The rest is for the thread that reads. */
    struct str aside; /* what is sent before anything else */
    int64_t cursor;   /* everything up to here was sent whole */
    int64_t frame_id; /* of the event that was sent up to `sent` bytes; 0: none */
    uint64_t sent;
    bool is_behind; /* reads from the store */
    bool is_over;
    struct event_feed *feed; /* while it is behind */
    bool has_event;          /* the feed has, and it is not sent whole */
    struct feed_event event;
    struct frame_head head; /* of it */
};

static struct frame_head frame_head(int64_t id, const char *event)
{
    struct frame_head head;
    const char *label = *event ? "\nevent: " : "";

    head.len = (size_t)snprintf(head.text, sizeof head.text, "id: %" PRId64 "%s%s\ndata: ", id,
                                label, event);
    assert(head.len < sizeof head.text);
    return head;
}

/* --- waiting and waking; with the lock --- */

static struct group *group_of(struct streams *streams, int64_t run)
{
    return run == 0 ? &streams->all : &streams->runs[(uint64_t)run % GROUPS];
}

static void wait_for_news(struct follower *follower)
{
    if (follower->news == 0)
        return;
    follower->news = 0;
    LIST_REMOVE(follower, siblings);
    LIST_INSERT_HEAD(&group_of(follower->streams, follower->run)->waiting, follower, siblings);
}

static bool is_followed(const struct followers *followers, int64_t run)
{
    const struct follower *at;

    LIST_FOREACH(at, followers, siblings)
    {
        if (at->run == run)
            return true;
    }
    return false;
}

/* Wakes those who wait for it; gives whether anybody follows at all. */
static bool spread_news(struct group *group, int64_t run, int64_t id)
{
    struct follower *next;
    bool has_any = is_followed(&group->reading, run);

    for (struct follower *at = LIST_FIRST(&group->waiting); at; at = next) {
        next = LIST_NEXT(at, siblings);
        if (at->run != run)
            continue;
        has_any = true;
        at->news = id;
        LIST_REMOVE(at, siblings);
        LIST_INSERT_HEAD(&group->reading, at, siblings);
        stream_wake(at->stream);
    }
    return has_any;
}

void streams_publish(struct streams *streams, const struct engine_event *event)
{
    struct frame_head head = frame_head(event->id, event->event);
    const struct str parts[] = {{head.text, head.len}, {event->json, event->json_len}, frame_tail};
    struct ring_event kept = {
        .id = event->id,
        .run = event->run,
        .is_for_all = event_text_is_for_all(event->event),
        .is_last = event_text_is_last(event->event),
    };

    if (atomic_load(&streams->open_count) == 0)
        return;
    pthread_mutex_lock(&streams->mutex);
    bool has_any = kept.is_for_all && spread_news(&streams->all, 0, event->id);
    has_any |= spread_news(group_of(streams, event->run), event->run, event->id);
    if (has_any)
        stream_ring_put(&streams->ring, &kept, parts, sizeof parts / sizeof *parts);
    pthread_mutex_unlock(&streams->mutex);
}

/* --- reading --- */

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
        wait_for_news(follower);
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
    return (ssize_t)copy_from(frame_tail, sent - body_end, out, room);
}

static ssize_t read_stored_event(struct follower *follower, char *out, size_t room, struct err *e)
{
    ssize_t n = read_stored_frame(follower, out, room, e);

    if (n < 0)
        return -1;
    uint64_t left = follower->head.len + follower->event.len + frame_tail.len - follower->sent;
    note_sent(follower, follower->event.id, event_text_is_last(follower->event.event), left,
              (size_t)n);
    follower->has_event = follower->sent > 0;
    return n;
}

static int fill_feed(struct follower *follower, struct err *e)
{
    struct streams *streams = follower->streams;

    pthread_mutex_lock(&streams->mutex);
    wait_for_news(follower);
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
        follower->head = frame_head(follower->event.id, follower->event.event);
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

static ssize_t read_stream(void *user, char *out, size_t room)
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

/* --- heartbeats --- */

static void beat_list(struct followers *followers, msec now, msec *earliest)
{
    struct follower *at;

    LIST_FOREACH(at, followers, siblings)
    {
        msec due = atomic_load(&at->last_time) + HEARTBEAT_MS;
        if (atomic_load(&at->is_heartbeat_due))
            continue; /* it does not even read */
        if (due <= now) {
            atomic_store(&at->is_heartbeat_due, true);
            stream_wake(at->stream);
        } else if (due < *earliest) {
            *earliest = due;
        }
    }
}

static void beat_group(struct group *group, msec now, msec *earliest)
{
    beat_list(&group->waiting, now, earliest);
    beat_list(&group->reading, now, earliest);
}

msec streams_beat(struct streams *streams, msec now)
{
    msec earliest = now + HEARTBEAT_MS;

    pthread_mutex_lock(&streams->mutex);
    beat_group(&streams->all, now, &earliest);
    for (unsigned i = 0; i < GROUPS; i++)
        beat_group(&streams->runs[i], now, &earliest);
    pthread_mutex_unlock(&streams->mutex);
    return earliest < now + BEAT_MIN_MS ? now + BEAT_MIN_MS : earliest;
}

static void on_timer(void *user)
{
    struct streams *streams = user;

    loop_arm(streams->timer, streams_beat(streams, clock_mono()));
}

/* --- opening --- */

static void opened(void *user, struct stream *stream)
{
    struct follower *follower = user;
    struct streams *streams = follower->streams;

    follower->stream = stream;
    pthread_mutex_lock(&streams->mutex);
    streams->follower_count++;
    stream_ring_open(&streams->ring);
    LIST_INSERT_HEAD(&group_of(streams, follower->run)->waiting, follower, siblings);
    pthread_mutex_unlock(&streams->mutex);
}

static void follower_free(struct follower *follower)
{
    if (!follower)
        return;
    atomic_fetch_sub(&follower->streams->open_count, 1);
    event_feed_free(follower->feed);
    free(follower);
}

AUTO_FUNCTION(struct follower, follower_free)
#define auto_follower auto_with(follower_free_at)

static void closed(void *user)
{
    struct follower *follower = user;
    struct streams *streams = follower->streams;

    pthread_mutex_lock(&streams->mutex);
    LIST_REMOVE(follower, siblings);
    if (--streams->follower_count == 0)
        stream_ring_close(&streams->ring);
    pthread_mutex_unlock(&streams->mutex);
    follower_free(follower);
}

static const struct stream_source source = {.read = read_stream, .closed = closed};

static struct follower *follower_new(struct streams *streams, struct err *e)
{
    if (atomic_fetch_add(&streams->open_count, 1) >= STREAM_LIMIT) {
        atomic_fetch_sub(&streams->open_count, 1);
        err_set(e, ERR_UNAVAILABLE, "%d streams of events are open, and more are not allowed",
                STREAM_LIMIT);
        return NULL;
    }
    struct follower *follower = mem_zalloc(sizeof *follower);
    follower->streams = streams;
    follower->aside = STR("retry: 1000\n\n");
    follower->is_behind = true;
    follower->last_time = clock_mono();
    return follower;
}

static int take_run(void *data, const struct store_run *run, struct err *e)
{
    struct follower *follower = data;

    (void)e;
    follower->run = run->id;
    follower->has_run_over = status_is_final(run->status);
    return 0;
}

struct peek {
    unsigned count;
    bool has_last;
};

static int peek_at(void *data, const struct store_event *event, struct err *e)
{
    struct peek *peek = data;

    (void)e;
    peek->count++;
    peek->has_last = event_text_is_last(event->event);
    return peek->has_last;
}

/* Does the run's end lie behind the cursor? 1: yes, there is nothing to follow. */
static int is_run_told(const struct follower *follower, struct store *store, struct err *e)
{
    struct peek peek = {0};

    if (!follower->has_run_over)
        return 0;
    if (store_events_after(store, follower->cursor, follower->run, PEEK_EVENTS, peek_at, &peek, e) <
        0)
        return -1;
    return !peek.has_last && peek.count < PEEK_EVENTS;
}

struct stream_request {
    const char *run; /* uuid; NULL: all */
    bool has_cursor;
    int64_t cursor;
};

/* Where to begin. 1: the client has had all of it. */
static int place_follower(struct follower *follower, const struct stream_request *request,
                          struct store *store, struct err *e)
{
    follower->cursor = request->cursor;
    if (request->run) {
        if (store_run(store, request->run, take_run, follower, e) < 0)
            return -1;
        return is_run_told(follower, store, e);
    }
    return request->has_cursor ? 0 : store_last_event(store, &follower->cursor, e);
}

static int look_up(struct follower *follower, const struct stream_request *request, struct err *e)
{
    struct readers *readers = follower->streams->readers;
    struct store *store = readers_lend(readers, e);

    if (!store) {
        e->code = ERR_IO; /* whatever is missing, it is not what was asked for */
        return -1;
    }
    int got = place_follower(follower, request, store, e);
    readers_give_back(readers, store);
    return got;
}

/* A number of digits alone. */
static bool read_cursor(const char *text, int64_t *ret_cursor)
{
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || text[digits])
        return false;
    errno = 0;
    *ret_cursor = strtoll(text, NULL, 10);
    return errno == 0;
}

static int read_request(struct exchange *exchange, struct stream_request *request)
{
    const char *header = exchange_header(exchange, "Last-Event-ID");
    const char *cursor = header ? header : exchange_query(exchange, "after");

    *request = (struct stream_request){.run = exchange_query(exchange, "run")};
    request->has_cursor = cursor != NULL;
    if (cursor && !read_cursor(cursor, &request->cursor)) {
        exchange_answer_problem(exchange, 400,
                                header ? "Last-Event-ID is not the id of an event"
                                       : "\"after\" is not the id of an event",
                                NULL);
        return -1;
    }
    return 0;
}

void streams_open(struct streams *streams, struct exchange *exchange)
{
    struct stream_request request;
    struct err e;

    if (read_request(exchange, &request) < 0)
        return;
    auto_follower struct follower *follower = follower_new(streams, &e);
    int got = follower ? look_up(follower, &request, &e) : -1;
    if (got < 0) {
        exchange_answer_err(exchange, &e, NULL);
        return;
    }
    if (got > 0) {
        exchange_add_header(exchange, "Cache-Control", "no-store");
        exchange_answer(exchange, 204, NULL, NULL);
        return;
    }
    exchange_add_header(exchange, "X-Accel-Buffering", "no");
    exchange_answer_stream(exchange, "text/event-stream", &source, opened, take_ptr(&follower));
}

/* --- life --- */

struct streams *streams_new(struct loop *loop, struct readers *readers, const char *runs_dir)
{
    struct streams *streams = mem_zalloc(sizeof *streams);

    streams->readers = readers;
    streams->runs_dir = mem_strdup(runs_dir);
    pthread_mutex_init(&streams->mutex, NULL);
    streams->timer = loop_add_timer(loop, on_timer, streams);
    loop_arm_in(streams->timer, HEARTBEAT_MS);
    return streams;
}

void streams_free(struct streams *streams)
{
    if (!streams)
        return;
    assert(streams->follower_count == 0);
    loop_remove(streams->timer);
    pthread_mutex_destroy(&streams->mutex);
    stream_ring_close(&streams->ring);
    free(streams->runs_dir);
    free(streams);
}

void streams_metrics(const struct streams *streams, struct buf *out)
{
    metrics_put_head(out, "segue_event_streams", "gauge", "Streams of events that are open.");
    metrics_put_value(out, "segue_event_streams", "", atomic_load(&streams->open_count));
    metrics_put_head(out, "segue_events_sent_total", "counter", "Events sent to streams.");
    metrics_put_value(out, "segue_events_sent_total", "",
                      (int64_t)atomic_load(&streams->sent_count));
}
