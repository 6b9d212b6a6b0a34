/* streams_private: what the files of the streams share.
 *
 *   streams.c           publishing, waking, heartbeats, life
 *   streams_open.c      from a request to a follower
 *   streams_read.c      what a follower is sent
 *
 * A follower reads from the store until the log has no more for it, and from then on from the ring.
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
#ifndef SEGUE_API_STREAMS_PRIVATE_H
#define SEGUE_API_STREAMS_PRIVATE_H

#include "api/service/stream_ring.h"
#include "api/service/streams.h"
#include "runner/store/event_feed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#define STREAM_GROUPS 256

LIST_HEAD(followers, follower);

/* Those who follow the same run (or one of the same number modulo STREAM_GROUPS), or all. */
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
    struct group runs[STREAM_GROUPS];
};

/* A frame is `id: 17\nevent: x\ndata: `, the event's JSON, and an empty line. */
struct frame_head {
    char text[96];
    size_t len;
};

#define FRAME_TAIL STR("\n\n")

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

struct frame_head frame_head_of(int64_t id, const char *event);

/* Nothing that was published up to here is news any more. With the lock. */
void follower_wait(struct follower *follower);

/* The `read` of a stream_source: what comes next for the follower. */
ssize_t follower_read(void *user, char *out, size_t room);

/* From here on it is told of news, until it is taken out. Its stream must be known. */
void streams_add(struct streams *streams, struct follower *follower);
void streams_remove(struct streams *streams, struct follower *follower);

#endif
