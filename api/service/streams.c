#include "api/service/streams_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "runner/store/event_text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* Proxies cut what is silent for 30 or 60 s. */
#define HEARTBEAT_MS 15000
#define BEAT_MIN_MS  1000

struct frame_head frame_head_of(int64_t id, const char *event)
{
    struct frame_head head;
    const char *label = *event ? "\nevent: " : "";

    head.len = (size_t)snprintf(head.text, sizeof head.text, "id: %" PRId64 "%s%s\ndata: ", id,
                                label, event);
    assert(head.len < sizeof head.text);
    return head;
}

/* --- waiting and waking --- */

static struct group *group_of(struct streams *streams, int64_t run)
{
    return run == 0 ? &streams->all : &streams->runs[(uint64_t)run % STREAM_GROUPS];
}

void streams_add(struct streams *streams, struct follower *follower)
{
    pthread_mutex_lock(&streams->mutex);
    streams->follower_count++;
    stream_ring_open(&streams->ring);
    LIST_INSERT_HEAD(&group_of(streams, follower->run)->waiting, follower, siblings);
    pthread_mutex_unlock(&streams->mutex);
}

void streams_remove(struct streams *streams, struct follower *follower)
{
    pthread_mutex_lock(&streams->mutex);
    LIST_REMOVE(follower, siblings);
    if (--streams->follower_count == 0)
        stream_ring_close(&streams->ring);
    pthread_mutex_unlock(&streams->mutex);
}

void follower_wait(struct follower *follower)
{
    if (follower->news == 0)
        return;
    follower->news = 0;
    LIST_REMOVE(follower, siblings);
    LIST_INSERT_HEAD(&group_of(follower->streams, follower->run)->waiting, follower, siblings);
}

/* With the lock. */
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

/* Wakes those who wait for it; gives whether anybody follows at all. With the lock. */
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
    struct frame_head head = frame_head_of(event->id, event->event);
    const struct str parts[] = {{head.text, head.len}, {event->json, event->json_len}, FRAME_TAIL};
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

/* News from an id that the ring does not reach: it has to be read from the store. */
static void send_back(struct group *group)
{
    struct follower *at, *next;

    LIST_FOREACH(at, &group->reading, siblings)
    {
        at->news = 1;
    }
    for (at = LIST_FIRST(&group->waiting); at; at = next) {
        next = LIST_NEXT(at, siblings);
        at->news = 1;
        LIST_REMOVE(at, siblings);
        LIST_INSERT_HEAD(&group->reading, at, siblings);
        stream_wake(at->stream);
    }
}

void streams_missed(struct streams *streams)
{
    pthread_mutex_lock(&streams->mutex);
    stream_ring_forget(&streams->ring);
    send_back(&streams->all);
    for (unsigned i = 0; i < STREAM_GROUPS; i++)
        send_back(&streams->runs[i]);
    pthread_mutex_unlock(&streams->mutex);
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
    for (unsigned i = 0; i < STREAM_GROUPS; i++)
        beat_group(&streams->runs[i], now, &earliest);
    pthread_mutex_unlock(&streams->mutex);
    return earliest < now + BEAT_MIN_MS ? now + BEAT_MIN_MS : earliest;
}

static void on_timer(void *user)
{
    struct streams *streams = user;

    loop_arm(streams->timer, streams_beat(streams, clock_mono()));
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
