/* event_text: an event as users and tools see it:
 *
 *   {"id":17,"run_uuid":"...","step_uuid":"...","time":"...","event":"step_finished",...}
 *
 * The one place that says so, whether the event has just happened or is read back from the store:
 * both give the same bytes. A line of a journal keeps its members, but for its number, as the bytes
 * that they are. Also knows the names of all events, and which of them are for whom. Keeps nothing;
 * any thread.
 */
#ifndef SEGUE_RUNNER_EVENT_TEXT_H
#define SEGUE_RUNNER_EVENT_TEXT_H

#include "base/buf.h"
#include "runner/run/run.h"
#include "runner/store/store.h"

#include <stdint.h>

/* The longest beginning of a journal's line that event_text_line_skip may need. */
#define EVENT_TEXT_LINE_START 32

/* The name, for good; "" for one that this Segue does not know. */
const char *event_text_name(const char *name);

/* False for what kernels print, which only those see who follow that run. */
bool event_text_is_for_all(const char *name);

/* Nothing follows it that is about the same run: run_finished, run_deleted. */
bool event_text_is_last(const char *name);

/* Whom an event is about. */
struct event_subject {
    const char *run_uuid;
    const char *step_uuid; /* NULL: the run */
};

/* Appends an event of a run's state. `payload` is a JSON object whose members are added, or none.
 */
void event_text_put_state(struct buf *out, int64_t id, const struct event_subject *subject,
                          const struct run_event *event, struct str payload);

/* Appends run_deleted. */
void event_text_put_deletion(struct buf *out, int64_t id, const char *run_uuid, msec time);

/* A line of a journal becomes an event by this head, and behind it the line without the first
 * event_text_line_skip bytes; 0: the line is not one of a journal. */
void event_text_put_line_head(struct buf *out, int64_t id, const struct event_subject *subject);
size_t event_text_line_skip(struct str line_start);

/* Appends a stored event; of a line only the head. False, and nothing is appended: there is nothing
 * to show, since its run is being removed or its name is not known. */
bool event_text_put_stored(struct buf *out, const struct store_event *event);

#endif
