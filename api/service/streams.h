/* streams: everybody who follows events live, as server-sent events.
 *
 * A stream is a cursor on the log of events, not a queue: what it has not sent yet it reads from
 * the store and the journals, so that a slow reader reads later and misses nothing. The newest
 * events are kept in memory as well, so that those who keep up cost no reading at all.
 *
 *     id: 17
 *     event: step_finished
 *     data: {"id":17,...}
 *
 * A stream of all runs leaves out what kernels print; a stream of one run has everything and ends
 * after the run's last event. Publishing belongs to the engine's thread, opening to any.
 */
#ifndef SEGUE_API_STREAMS_H
#define SEGUE_API_STREAMS_H

#include "api/server/exchange.h"
#include "base/loop.h"
#include "runner/engine/engine.h"
#include "runner/store/readers.h"

struct streams;

/* `runs_dir` is where the runs' directories lie, for the journals. The loop is the engine's: it
 * sends heartbeats. */
struct streams *streams_new(struct loop *loop, struct readers *readers, const char *runs_dir);
void streams_free(struct streams *streams); /* after server_stop */

/* An event that was committed. */
void streams_publish(struct streams *streams, const struct engine_event *event);

/* Wakes those who were sent nothing for 15 s, for a heartbeat; gives when to do so again. `now` is
 * clock_mono. Called by a timer of the loop. */
msec streams_beat(struct streams *streams, msec now);

/* Events were stored that could not be published: everybody looks for them in the store. */
void streams_missed(struct streams *streams);

/* Answers the request: GET events. */
void streams_open(struct streams *streams, struct exchange *exchange);

/* Appends open streams and how many events were sent, as Prometheus text. */
void streams_metrics(const struct streams *streams, struct buf *out);

#endif
