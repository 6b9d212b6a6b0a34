#include "runner/store/event_text.h"

#include "base/clock.h"
#include "base/json.h"

#include <inttypes.h>
#include <string.h>

#define RUN_DELETED "run_deleted"

/* Beside the events of a run's state: the name, and whether it is for all. */
#define OTHER_EVENTS(X)                                                                            \
    X(RUN_DELETED, true)                                                                           \
    X("kernel_ready", true)                                                                        \
    X("cell_started", true)                                                                        \
    X("cell_finished", true)                                                                       \
    X("output", false)                                                                             \
    X("output_cleared", false)                                                                     \
    X("output_updated", false)                                                                     \
    X("comm", false)                                                                               \
    X("widget_output", false)

static const struct event_name {
    const char *name;
    bool is_for_all;
} event_names[] = {
#define X(kind, name) {name, true},
    RUN_EVENTS(X)
#undef X
#define X(name, is_for_all) {name, is_for_all},
        OTHER_EVENTS(X)
#undef X
};

static const struct event_name *find_name(const char *name)
{
    for (size_t i = 0; i < sizeof event_names / sizeof *event_names; i++)
        if (strcmp(event_names[i].name, name) == 0)
            return &event_names[i];
    return NULL;
}

const char *event_text_name(const char *name)
{
    const struct event_name *found = find_name(name);

    return found ? found->name : "";
}

bool event_text_is_for_all(const char *name)
{
    const struct event_name *found = find_name(name);

    return found && found->is_for_all;
}

bool event_text_is_last(const char *name)
{
    return strcmp(name, run_event_name(EVENT_RUN_FINISHED)) == 0 || strcmp(name, RUN_DELETED) == 0;
}

void event_text_put_line_head(struct buf *out, int64_t id, const struct event_subject *subject)
{
    buf_printf(out, "{\"id\":%" PRId64 ",\"run_uuid\":\"%s\"", id, subject->run_uuid);
    json_put_member(out, "step_uuid", subject->step_uuid);
}

/* Lines begin with {"n":N, and it is the comma that comes behind the head. */
size_t event_text_line_skip(struct str line_start)
{
    const struct str number = STR("{\"n\":");

    if (line_start.len < number.len || memcmp(line_start.text, number.text, number.len) != 0)
        return 0;
    const char *comma = memchr(line_start.text, ',', line_start.len);
    return comma ? (size_t)(comma - line_start.text) : 0;
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

void event_text_put_state(struct buf *out, int64_t id, const struct event_subject *subject,
                          const struct run_event *event, struct str payload)
{
    event_text_put_line_head(out, id, subject);
    json_put_member(out, "time", time_text_of_us(event->time * 1000).text);
    json_put_member(out, "event", run_event_name(event->kind));
    if (has_status(event->kind))
        json_put_member(out, "status", status_name(shown_status(event)));
    if (event->kind == EVENT_CANCEL_REQUESTED && event->cause != CAUSE_NONE)
        json_put_member(out, "cause", cause_name(event->cause));
    if (event->attempt > 0)
        json_put_member_int(out, "attempt", event->attempt);
    if (event->kind == EVENT_STEP_RETRYING)
        json_put_member(out, "retry_time", time_text_of_us(event->retry_at * 1000).text);
    put_members(out, payload);
    buf_putc(out, '}');
}

void event_text_put_deletion(struct buf *out, int64_t id, const char *run_uuid, msec time)
{
    event_text_put_line_head(out, id, &(struct event_subject){.run_uuid = run_uuid});
    json_put_member(out, "time", time_text_of_us(time * 1000).text);
    json_put_member(out, "event", RUN_DELETED);
    buf_putc(out, '}');
}

/* The run's row is gone: who it was about stands in the payload. */
static bool put_stored_deletion(struct buf *out, const struct store_event *event)
{
    auto_json struct json payload = {0};
    struct err ignored;

    if (json_parse(&payload, str_of(event->payload), JSON_STRICT, NULL, &ignored) < 0)
        return false;
    auto_free char *run_uuid = json_strdup(&payload, json_get(&payload, 0, "run_uuid"));
    if (!run_uuid)
        return false;
    event_text_put_deletion(out, event->id, run_uuid, event->time);
    return true;
}

static bool put_stored_state(struct buf *out, const struct store_event *stored,
                             const struct event_subject *subject)
{
    struct err ignored;
    struct run_event event = {
        .step = stored->step,
        .cause = cause_of_name(stored->cause),
        .attempt = stored->attempt,
        .time = stored->time,
        .retry_at = stored->retry_at,
    };

    if (run_event_parse(stored->event, &event.kind, &ignored) < 0)
        return false;
    if (*stored->status && status_parse(stored->status, &event.status, &ignored) < 0)
        return false;
    event_text_put_state(out, stored->id, subject, &event, str_of(stored->payload));
    return true;
}

bool event_text_put_stored(struct buf *out, const struct store_event *event)
{
    struct event_subject subject = {event->run_uuid, *event->step_uuid ? event->step_uuid : NULL};

    if (strcmp(event->event, RUN_DELETED) == 0)
        return put_stored_deletion(out, event);
    if (!*event->run_uuid)
        return false; /* the run was deleted, and this is not yet gone */
    if (event->length == 0)
        return put_stored_state(out, event, &subject);
    event_text_put_line_head(out, event->id, &subject);
    return true;
}
