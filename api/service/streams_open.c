#include "api/service/streams_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "runner/store/event_text.h"

#include <stdlib.h>
#include <string.h>

/* Each is a connection and, while it is late, a descriptor of a journal. */
#define STREAM_LIMIT 4000

/* Events of an ended run looked at to find out whether its end lies behind a cursor. */
#define PEEK_EVENTS 256

static void opened(void *user, struct stream *stream)
{
    struct follower *follower = user;

    follower->stream = stream;
    streams_add(follower->streams, follower);
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

    streams_remove(follower->streams, follower);
    follower_free(follower);
}

static const struct stream_source source = {.read = follower_read, .closed = closed};

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
