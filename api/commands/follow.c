#include "api/commands/follow.h"

#include "api/commands/sse.h"
#include "base/mem.h"

#define PAUSE_FIRST_MS 100
#define PAUSE_MOST_MS  5000

/* The service sends a heartbeat every 15 seconds: three that did not come. */
#define SILENCE_MS 45000

/* Of an answer that is no stream of events; it is a problem document. */
#define REFUSAL_CAP 65536u

struct follow {
    struct loop *loop;
    const struct client *client;
    char *path;
    struct http_stream *stream; /* NULL: none, `timer` is for the next */
    struct loop_source *timer;  /* while there is a stream: for its silence */
    struct sse sse;
    struct buf refusal;
    int pause_ms; /* before the next try */
    bool is_lost; /* the last try came to nothing, and that was said */
    bool is_over;
    struct follow_events events;
    void *user;
};

static void end(struct follow *follow, const struct err *e)
{
    follow->is_over = true;
    loop_disarm(follow->timer);
    follow->events.ended(follow->user, e);
}

/* --- events --- */

static void on_frame(void *user, int64_t id, const char *event, struct str data)
{
    struct follow *follow = user;

    (void)id;
    if (follow->is_over)
        return;
    follow->events.event(follow->user, event, data);
    if (strcmp(event, "run_finished") == 0 || strcmp(event, "run_deleted") == 0)
        end(follow, NULL);
}

static void on_data(void *user, const char *data, size_t len)
{
    struct follow *follow = user;
    struct err e;

    if (follow->is_over)
        return;
    loop_arm_in(follow->timer, SILENCE_MS);
    if (http_stream_status(follow->stream) != 200) {
        if (follow->refusal.len < REFUSAL_CAP)
            buf_put(&follow->refusal, data, len);
        return;
    }
    follow->pause_ms = PAUSE_FIRST_MS;
    follow->is_lost = false;
    if (sse_feed(&follow->sse, (struct str){data, len}, on_frame, follow, &e) < 0)
        end(follow, &e);
}

/* --- connections --- */

static void lose(struct follow *follow)
{
    bool was_there = http_stream_status(follow->stream) == 200;

    http_stream_free(take_ptr(&follow->stream));
    if (!was_there && !follow->is_lost) {
        follow->is_lost = true;
        follow->events.say(follow->user, "the service does not answer, waiting for it ...");
    }
    loop_arm_in(follow->timer, follow->pause_ms);
    follow->pause_ms = follow->pause_ms * 2 < PAUSE_MOST_MS ? follow->pause_ms * 2 : PAUSE_MOST_MS;
}

/* A service that is being started or stopped may say so; anything else it means. */
static bool is_refused(int status)
{
    return status >= 400 && status < 500;
}

static void on_closed(void *user, const struct err *reason)
{
    struct follow *follow = user;
    int status = http_stream_status(follow->stream);
    struct err e;

    (void)reason;
    if (follow->is_over)
        return;
    if (status == 204) {
        end(follow, NULL);
    } else if (is_refused(status)) {
        client_refusal(follow->client, status,
                       (struct str){buf_text(&follow->refusal), follow->refusal.len}, NULL, &e);
        end(follow, &e);
    } else {
        lose(follow);
    }
}

static void connect_stream(struct follow *follow)
{
    static const struct http_stream_events events = {.data = on_data, .closed = on_closed};

    sse_restart(&follow->sse);
    buf_reset(&follow->refusal);
    follow->stream = client_stream(follow->client, follow->loop, follow->path, follow->sse.last_id,
                                   &events, follow);
    loop_arm_in(follow->timer, SILENCE_MS);
}

static void on_timer(void *user)
{
    struct follow *follow = user;

    if (follow->stream)
        lose(follow);
    else
        connect_stream(follow);
}

struct follow *follow_new(struct loop *loop, const struct client *client, const char *run_uuid,
                          int64_t after, const struct follow_events *events, void *user)
{
    struct follow *follow = mem_zalloc(sizeof *follow);

    *follow = (struct follow){
        .loop = loop,
        .client = client,
        .path = mem_printf("/api/v1/events?run=%s", run_uuid),
        .sse = {.last_id = after},
        .pause_ms = PAUSE_FIRST_MS,
        .events = *events,
        .user = user,
    };
    follow->timer = loop_add_timer(loop, on_timer, follow);
    connect_stream(follow);
    return follow;
}

void follow_free(struct follow *follow)
{
    if (!follow)
        return;
    http_stream_free(follow->stream);
    loop_remove(follow->timer);
    sse_clear(&follow->sse);
    buf_clear(&follow->refusal);
    free(follow->path);
    free(follow);
}
