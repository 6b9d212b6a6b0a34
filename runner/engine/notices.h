/* notices: events that were stored and that nobody was told of yet, with what is told
 * (event_text.h).
 *
 * The list of one turn of the engine: filled while its transaction is open, told after the commit,
 * then emptied. Made from events of a run's state and from lines of journals. Owns its texts.
 */
#ifndef SEGUE_RUNNER_NOTICES_H
#define SEGUE_RUNNER_NOTICES_H

#include "base/buf.h"
#include "base/id.h"
#include "runner/run/run.h"
#include "runner/store/store.h"

#include <stdint.h>

struct notice {
    int64_t id;
    int64_t run; /* the store's number of it */
    struct uuid run_uuid;
    const char *event; /* its name, for good; "" for one that this Segue does not know */
    uint32_t step;     /* of the plan, or STEP_NONE */
    msec time;         /* wall clock: when it happened, where it happened */
    size_t start, len; /* of its JSON in `text`, a C string */
};

struct notices {
    struct notice *items;
    size_t count, capacity;
    struct buf text;
};

void notices_clear(struct notices *notices);
void notices_reset(struct notices *notices); /* empty, but keeps the memory */

/* Who an event is about. */
struct notice_subject {
    const char *run_uuid;
    const char *step_uuid; /* NULL: the run */
    uint32_t step;         /* of the plan, or STEP_NONE */
    int64_t run;           /* the store's number of it */
};

/* `payload` is a JSON object whose members are added, or none. */
void notices_add_event(struct notices *notices, int64_t id, const struct notice_subject *subject,
                       const struct run_event *event, struct str payload);

/* A line of a journal: what was stored of it, and its text. */
void notices_add_line(struct notices *notices, int64_t id, const struct notice_subject *subject,
                      const struct store_line *stored, struct str line);

/* run_deleted */
void notices_add_deletion(struct notices *notices, int64_t id, int64_t run, const char *run_uuid,
                          msec time);

#endif
