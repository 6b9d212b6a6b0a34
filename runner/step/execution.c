#include "runner/step/execution.h"

#include "base/clock.h"
#include "base/json.h"

static const char *const moment_names[MOMENT_COUNT] = {
#define X(moment, name) [moment] = name,
    MOMENTS(X)
#undef X
};

void execution_begin(struct execution *execution, uint32_t cell)
{
    struct buf ename = execution->ename, evalue = execution->evalue;

    buf_reset(&ename);
    buf_reset(&evalue);
    *execution = (struct execution){
        .is_running = true,
        .cell = cell,
        .count = -1,
        .moments = {-1, -1, -1, -1},
        .ename = ename,
        .evalue = evalue,
    };
}

void execution_clear(struct execution *execution)
{
    buf_clear(&execution->ename);
    buf_clear(&execution->evalue);
    *execution = (struct execution){0};
}

/* Of an error output or an error reply; whether it gave the error a name. Some kernels send an
 * empty name or none in one of the two: that replaces nothing. */
static bool note_error(struct execution *execution, const struct json *content)
{
    json_at ename = json_get(content, 0, "ename");
    bool has_name = json_kind(content, ename) == JSON_STRING && !json_is(content, ename, "");

    if (!has_name && execution->ename.len + execution->evalue.len > 0)
        return false;
    buf_reset(&execution->ename);
    buf_reset(&execution->evalue);
    json_string(content, ename, &execution->ename);
    json_string(content, json_get(content, 0, "evalue"), &execution->evalue);
    return has_name;
}

/* Whether it told one. */
static bool note_count(struct execution *execution, const struct json *content)
{
    int64_t count;

    if (!json_int(content, json_get(content, 0, "execution_count"), &count))
        return false;
    execution->count = count;
    return true;
}

/* The first of its kind counts, so that one which is sent twice changes nothing. */
static void note_moment(struct execution *execution, enum moment moment,
                        const struct message *message)
{
    if (execution->moments[moment] < 0)
        execution->moments[moment] = message_date_us(message);
}

static bool is_state(struct message *message, const char *state)
{
    const struct json *content = message_content(message);

    return message->type == MESSAGE_STATUS &&
           json_is(content, json_get(content, 0, "execution_state"), state);
}

static enum execution_news side(const struct execution *execution)
{
    return execution->has_reply && execution->has_idle ? EXECUTION_OVER : EXECUTION_HALF;
}

static enum execution_news take_status(struct execution *execution, struct message *message)
{
    if (is_state(message, "busy"))
        note_moment(execution, MOMENT_BUSY, message);
    if (!is_state(message, "idle") || execution->has_idle)
        return EXECUTION_NOTHING;
    note_moment(execution, MOMENT_IDLE, message);
    execution->has_idle = true;
    return side(execution);
}

static enum execution_news take_iopub(struct execution *execution, struct message *message)
{
    if (message_is_child_of(message, &execution->probe))
        return execution->has_reply && is_state(message, "idle") ? EXECUTION_OVER
                                                                 : EXECUTION_NOTHING;
    if (!message_is_child_of(message, &execution->request))
        return EXECUTION_NOTHING;
    if (message->type == MESSAGE_STATUS)
        return take_status(execution, message);
    if (message->type == MESSAGE_EXECUTE_INPUT) {
        note_moment(execution, MOMENT_INPUT, message);
        if (!execution->reply_has_count)
            note_count(execution, message_content(message));
        return EXECUTION_NOTHING;
    }
    if (message->type == MESSAGE_ERROR && !execution->reply_names)
        note_error(execution, message_content(message));
    return EXECUTION_OUTPUT;
}

static enum execution_news take_shell(struct execution *execution, struct message *message)
{
    if (message_is_child_of(message, &execution->probe)) {
        if (!execution->has_idle)
            return EXECUTION_NOTHING;
        execution->is_error = true;
        return EXECUTION_NO_REPLY;
    }
    if (message->type != MESSAGE_EXECUTE_REPLY ||
        !message_is_child_of(message, &execution->request) || execution->has_reply)
        return EXECUTION_NOTHING;
    const struct json *content = message_content(message);
    execution->reply_has_count = note_count(execution, content);
    execution->is_error = !json_is(content, json_get(content, 0, "status"), "ok");
    execution->is_aborted = json_is(content, json_get(content, 0, "status"), "aborted");
    if (execution->is_error)
        execution->reply_names = note_error(execution, content);
    note_moment(execution, MOMENT_REPLY, message);
    execution->has_reply = true;
    return side(execution);
}

enum execution_news execution_take(struct execution *execution, enum channel channel,
                                   struct message *message)
{
    switch (channel) {
    case CHANNEL_IOPUB:
        return take_iopub(execution, message);
    case CHANNEL_SHELL:
        return take_shell(execution, message);
    case CHANNEL_STDIN:
    case CHANNEL_CONTROL:
    case CHANNEL_HEARTBEAT:
        break;
    }
    return EXECUTION_NOTHING;
}

void execution_put_timing(const struct execution *execution, struct buf *out)
{
    buf_putc(out, '{');
    for (int i = 0; i < MOMENT_COUNT; i++)
        if (execution->moments[i] >= 0)
            json_put_member(out, moment_names[i], time_text_of_us(execution->moments[i]).text);
    buf_putc(out, '}');
}
