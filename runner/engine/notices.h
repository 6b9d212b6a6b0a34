/* notices: events that were stored and that nobody was told of yet, as users and tools see them:
 *
 *   {"id":17,"run_uuid":"...","step_uuid":"...","time":"...","event":"step_finished",...}
 *
 * The list of one turn of the engine: filled while its transaction is open, told after the commit,
 * then emptied. Made from events of a run's state and from lines of journals. Owns its texts.
 */
#ifndef SEGUE_RUNNER_NOTICES_H
#define SEGUE_RUNNER_NOTICES_H

#include "base/buf.h"
#include "base/json.h"
#include "runner/engine/run.h"

#include <stdint.h>

struct notice {
    int64_t id;
    const char *event; /* its name, for good; "" for one that is for tools only */
    uint32_t step;     /* of the plan, or STEP_NONE */
    size_t start;      /* of its JSON in `text`, a C string */
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
};

/* `payload` is a JSON object whose members are added, or none. */
void notices_add_event(struct notices *notices, int64_t id, const struct notice_subject *subject,
                       const struct run_event *event, struct str payload);

/* A line of a journal, and the same parsed: its members but for the number. */
void notices_add_line(struct notices *notices, int64_t id, const struct notice_subject *subject,
                      struct str line, const struct json *parsed);

#endif
