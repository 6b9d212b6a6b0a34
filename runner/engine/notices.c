#include "runner/engine/notices.h"

#include "base/mem.h"
#include "runner/store/event_text.h"

#include <stdio.h>

void notices_clear(struct notices *notices)
{
    free(notices->items);
    buf_clear(&notices->text);
    *notices = (struct notices){0};
}

void notices_reset(struct notices *notices)
{
    notices->count = 0;
    buf_reset(&notices->text);
}

/* The text up to here belongs to the notices before; what follows up to `end` is this one's. */
static struct notice *begin(struct notices *notices, int64_t id, const char *run_uuid,
                            const char *event)
{
    mem_grow(notices->items, notices->count, notices->capacity);
    struct notice *notice = &notices->items[notices->count++];
    *notice = (struct notice){
        .id = id,
        .event = event_text_name(event),
        .step = STEP_NONE,
        .start = notices->text.len,
        .run_uuid = uuid_of(run_uuid),
    };
    return notice;
}

static void end(struct notices *notices, struct notice *notice)
{
    notice->len = notices->text.len - notice->start;
    buf_putc(&notices->text, 0);
}

void notices_add_event(struct notices *notices, int64_t id, const struct notice_subject *subject,
                       const struct run_event *event, struct str payload)
{
    struct notice *notice = begin(notices, id, subject->run_uuid, run_event_name(event->kind));

    notice->run = subject->run;
    notice->step = subject->step;
    notice->time = event->time;
    event_text_put_state(&notices->text, id,
                         &(struct event_subject){subject->run_uuid, subject->step_uuid}, event,
                         payload);
    end(notices, notice);
}

void notices_add_line(struct notices *notices, int64_t id, const struct notice_subject *subject,
                      const struct store_line *stored, struct str line)
{
    size_t skip = event_text_line_skip(line);

    if (skip == 0)
        return; /* not written by a keeper: nothing that could be shown */
    struct notice *notice = begin(notices, id, subject->run_uuid, stored->event);
    notice->run = subject->run;
    notice->step = subject->step;
    notice->time = stored->time;
    event_text_put_line_head(&notices->text, id,
                             &(struct event_subject){subject->run_uuid, subject->step_uuid});
    buf_put(&notices->text, line.text + skip, line.len - skip);
    end(notices, notice);
}

void notices_add_deletion(struct notices *notices, int64_t id, int64_t run, const char *run_uuid,
                          msec time)
{
    struct notice *notice = begin(notices, id, run_uuid, "run_deleted");

    notice->run = run;
    notice->time = time;
    event_text_put_deletion(&notices->text, id, run_uuid, time);
    end(notices, notice);
}
