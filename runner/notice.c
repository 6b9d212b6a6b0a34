#include "runner/notice.h"

#include "base/clock.h"
#include "base/json.h"

#include <inttypes.h>
#include <string.h>

static void put_front(struct buf *out, int64_t id, const char *run_uuid, const char *step_uuid)
{
    buf_printf(out, "{\"id\":%" PRId64 ",\"run_uuid\":\"%s\"", id, run_uuid);
    json_put_member(out, "step_uuid", step_uuid);
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

void notice_of_event(struct buf *out, int64_t id, const char *run_uuid, const char *step_uuid,
                     const struct run_event *event, struct str payload)
{
    put_front(out, id, run_uuid, step_uuid);
    json_put_member(out, "time", time_text_of_us(event->time * 1000).text);
    json_put_member(out, "event", run_event_name(event->kind));
    if (has_status(event->kind))
        json_put_member(out, "status", status_name(shown_status(event)));
    if (event->attempt > 0)
        json_put_member_int(out, "attempt", event->attempt);
    if (event->kind == EVENT_STEP_RETRYING)
        json_put_member(out, "retry_time", time_text_of_us(event->retry_at * 1000).text);
    put_members(out, payload);
    buf_putc(out, '}');
}

void notice_of_line(struct buf *out, int64_t id, const char *run_uuid, const char *step_uuid,
                    struct str line)
{
    const char *comma = memchr(line.text, ',', line.len); /* behind {"n":N */

    put_front(out, id, run_uuid, step_uuid);
    buf_put(out, comma, (size_t)(line.text + line.len - comma));
}
