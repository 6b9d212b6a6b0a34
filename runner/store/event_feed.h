/* event_feed: a cursor on the log of events: gives what comes after an id, in order, as users see
 * it (event_text.h), of one run or of all.
 *
 * Reads the store in short batches and takes the bytes of what kernels printed from the journals,
 * in pieces, so that an event may be of any size. Between batches it holds no reader and no read
 * transaction; it owns the descriptor of the journal that it read last. A feed of all runs leaves
 * out what event_text_is_for_all does not allow. Events of a run that is deleted meanwhile are
 * passed over: its run_deleted follows. One thread at a time.
 */
#ifndef SEGUE_RUNNER_EVENT_FEED_H
#define SEGUE_RUNNER_EVENT_FEED_H

#include "runner/store/store.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct event_feed;

/* `runs_dir` holds the runs' directories and is borrowed. `run` is the store's number of one, or 0:
 * all. */
struct event_feed *event_feed_new(const char *runs_dir, int64_t run, int64_t after);
void event_feed_free(struct event_feed *feed);

/* Reads the next batch, when all of the one before was given. 1: done, though there may be nothing
 * in it to show; 0: the log has no more for now. */
int event_feed_fill(struct event_feed *feed, struct store *store, struct err *e);

struct feed_event {
    int64_t id;
    const char *event; /* its name, for good */
    uint64_t len;      /* of its JSON */
};

/* The next event of the batch; 1: there is one, 0: none left. What it has no journal for any more
 * it passes over. */
int event_feed_next(struct event_feed *feed, struct feed_event *ret_event, struct err *e);

/* The event's JSON from the byte `at` on, less than its length; gives how much. Good until
 * event_feed_next. */
ssize_t event_feed_read(struct event_feed *feed, uint64_t at, char *out, size_t room,
                        struct err *e);

/* The id up to which everything was given or passed over. */
int64_t event_feed_cursor(const struct event_feed *feed);

#endif
