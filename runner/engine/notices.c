#include "runner/engine/notices.h"

#include "base/clock.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

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

static struct buf *begin(struct notices *notices, int64_t id, const char *event,
                         const struct notice_subject *subject)
{
    struct buf *text = &notices->text;

    mem_grow(notices->items, notices->count, notices->capacity);
    notices->items[notices->count++] =
        (struct notice){.id = id, .event = event, .step = subject->step, .start = text->len};
    buf_printf(text, "{\"id\":%" PRId64 ",\"run_uuid\":\"%s\"", id, subject->run_uuid);
    json_put_member(text, "step_uuid", subject->step_uuid);
    return text;
}

/* The members of an object without its braces, behind a comma when there are any. */
static void put_members(struct buf *out, struct str object)
{
    if (object.len <= 2)
        return;
    buf_putc(out, ',');
    buf_put(out, object.text + 1, object.len - 2);
}

static bool has_status(enum run_event_kind kind)
{
    return kind != EVENT_CANCEL_REQUESTED && kind != EVENT_STEP_STOPPING;
}

/* Where the event itself does not carry one, it is what the run or step has become. */
static enum status shown_status(const struct run_event *event)
{
    switch (event->kind) {
    case EVENT_STEP_FINISHED:
    case EVENT_RUN_FINISHED:
        return event->status;
    case EVENT_RUN_QUEUED:
        return STATUS_PENDING;
    case EVENT_RUN_STARTED:
    case EVENT_STEP_STARTED:
    case EVENT_STEP_RETRYING:
    case EVENT_CANCEL_REQUESTED:
    case EVENT_STEP_STOPPING:
        break;
    }
    return STATUS_STARTED;
}

void notices_add_event(struct notices *notices, int64_t id, const struct notice_subject *subject,
                       const struct run_event *event, struct str payload)
{
    struct buf *out = begin(notices, id, run_event_name(event->kind), subject);

    json_put_member(out, "time", time_text_of_us(event->time * 1000).text);
    json_put_member(out, "event", run_event_name(event->kind));
    if (has_status(event->kind))
        json_put_member(out, "status", status_name(shown_status(event)));
    if (event->attempt > 0)
        json_put_member_int(out, "attempt", event->attempt);
    if (event->kind == EVENT_STEP_RETRYING)
        json_put_member(out, "retry_time", time_text_of_us(event->retry_at * 1000).text);
    put_members(out, payload);
    buf_put(out, "}", 2); /* with its NUL: each is a C string */
}

/* Names that people's eyes are on; the others pass with "". */
static const char *known_name(const struct json *line)
{
    static const char *const names[] = {"kernel_ready", "cell_started", "output", "cell_finished"};
    json_at name = json_get(line, 0, "event");

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_is(line, name, names[i]))
            return names[i];
    return "";
}

void notices_add_line(struct notices *notices, int64_t id, const struct notice_subject *subject,
                      struct str line, const struct json *parsed)
{
    struct buf *out = begin(notices, id, known_name(parsed), subject);
    const char *comma = memchr(line.text, ',', line.len); /* behind {"n":N */

    buf_put(out, comma, (size_t)(line.text + line.len - comma));
    buf_putc(out, 0);
}
