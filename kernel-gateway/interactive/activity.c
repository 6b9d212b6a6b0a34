#include "kernel-gateway/interactive/activity.h"

/* What stems from these does not count; the list is jupyter_server's. Of no type counts. */
static const char *const untracked[] = {
    "comm_info_request",
    "comm_info_reply",
    "kernel_info_request",
    "kernel_info_reply",
    "shutdown_request",
    "shutdown_reply",
    "interrupt_request",
    "interrupt_reply",
    "debug_request",
    "debug_reply",
    "stream",
    "display_data",
    "update_display_data",
    "execute_input",
    "execute_result",
    "error",
    "status",
    "clear_output",
    "debug_event",
    "input_request",
    "input_reply",
};

static bool is_tracked(const struct message *message)
{
    json_at type = json_get(&message->parent, 0, "msg_type");

    for (size_t i = 0; i < sizeof untracked / sizeof *untracked; i++)
        if (json_is(&message->parent, type, untracked[i]))
            return false;
    return true;
}

static void forget_executing(struct activity *activity)
{
    buf_reset(&activity->executing);
    free(take_ptr(&activity->executing_id));
}

void activity_clear(struct activity *activity)
{
    forget_executing(activity);
    buf_clear(&activity->executing);
}

void activity_reset(struct activity *activity, int64_t now_us)
{
    activity->is_busy = false;
    activity->last_us = now_us;
    forget_executing(activity);
}

static void follow_execution(struct activity *activity, const struct message *message, bool is_busy)
{
    const char *id = message_parent_id(message);

    if (!json_is(&message->parent, json_get(&message->parent, 0, "msg_type"), "execute_request"))
        return;
    if (is_busy) {
        struct str header = message_raw(message, WIRE_PARENT);
        forget_executing(activity);
        buf_put(&activity->executing, header.text, header.len);
        activity->executing_id = mem_strdup(id);
    } else if (activity->executing_id && strcmp(activity->executing_id, id) == 0) {
        forget_executing(activity);
    }
}

static void take_status(struct activity *activity, struct message *message)
{
    const struct json *content = message_content(message);
    json_at state = json_get(content, 0, "execution_state");
    bool is_busy = json_is(content, state, "busy");

    if (!is_busy && !json_is(content, state, "idle"))
        return;
    activity->is_busy = is_busy;
    follow_execution(activity, message, is_busy);
}

void activity_take(struct activity *activity, struct message *message, int64_t now_us)
{
    if (!is_tracked(message)) {
        if (activity->is_busy)
            activity->last_us = now_us;
        return;
    }
    activity->last_us = now_us;
    if (message->type == MESSAGE_STATUS)
        take_status(activity, message);
}
