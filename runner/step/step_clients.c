#include "runner/step/step_clients.h"

#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

/* The step's end must not wait for them any longer. */
#define FAREWELL_MS 200

static int on_request(void *user, enum channel channel, const struct outgoing *message,
                      struct err *e)
{
    struct step_clients *clients = user;

    return kernel_send(*clients->kernel, channel, message, NULL, e);
}

static void on_changed(void *user)
{
    struct step_clients *clients = user;

    clients->news.connections = (uint32_t)audience_connections(clients->audience);
}

static bool is_ready(const struct step_clients *clients)
{
    return *clients->kernel && kernel_state(*clients->kernel) == KERNEL_READY;
}

static void make_audience(struct step_clients *clients)
{
    static const struct audience_events events = {.request = on_request, .changed = on_changed};

    clients->audience = audience_new(clients->loop, clients->directory, &events, clients);
    audience_hold(clients->audience, !is_ready(clients));
}

void step_clients_admit(struct step_clients *clients, const char *command, int *fd)
{
    auto_admission struct admission admission = {0};
    struct err ignored; /* what cannot be read is closed, as what nobody listens to */

    if (*fd < 0 || admission_parse(&admission, str_of(command), &ignored) < 0)
        return;
    if (!clients->audience)
        make_audience(clients);
    audience_admit(clients->audience, &admission, take_fd(fd));
}

void step_clients_ready(struct step_clients *clients)
{
    clients->news.activity = KERNEL_ACTIVITY_IDLE;
    clients->news.last_activity_us = clock_wall_us();
    clients->news.starts = 1;
    if (clients->audience)
        audience_hold(clients->audience, false);
}

/* What is executed makes it busy, not what is merely asked. */
static void follow_status(struct kernel_news *news, struct message *message)
{
    json_at parent_type = json_get(&message->parent, 0, "msg_type");

    if (!json_is(&message->parent, parent_type, "execute_request"))
        return;
    const struct json *content = message_content(message);
    json_at state = json_get(content, 0, "execution_state");
    if (json_is(content, state, "busy"))
        news->activity = KERNEL_ACTIVITY_BUSY;
    else if (json_is(content, state, "idle"))
        news->activity = KERNEL_ACTIVITY_IDLE;
}

void step_clients_tell(struct step_clients *clients, enum channel channel, struct message *message)
{
    if (channel == CHANNEL_IOPUB) {
        clients->news.last_activity_us = clock_wall_us();
        if (message->type == MESSAGE_STATUS)
            follow_status(&clients->news, message);
    }
    if (clients->audience)
        audience_tell(clients->audience, channel, message);
}

bool step_clients_are_meant(const struct step_clients *clients, const struct message *message,
                            const struct uuid *request)
{
    return clients->audience && !message_is_child_of(message, request);
}

void step_clients_end(struct step_clients *clients)
{
    msec deadline = clock_mono() + FAREWELL_MS;
    msec left;

    if (!clients->audience)
        return;
    audience_dismiss(clients->audience, WEBSOCKET_GOING_AWAY, "the step has ended");
    while (!audience_is_empty(clients->audience) && (left = deadline - clock_mono()) > 0)
        loop_dispatch(clients->loop, (int)left);
    audience_free(take_ptr(&clients->audience));
}
