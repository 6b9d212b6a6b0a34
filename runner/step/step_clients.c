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
    (void)user; /* whoever wants to know asks */
}

static bool can_be_asked(const struct step_clients *clients)
{
    return *clients->kernel && kernel_state(*clients->kernel) == KERNEL_READY;
}

static void make_audience(struct step_clients *clients)
{
    static const struct audience_events events = {.request = on_request, .changed = on_changed};

    clients->audience = audience_new(clients->loop, clients->directory, &events, clients);
    audience_hold(clients->audience, !can_be_asked(clients));
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
    clients->is_ready = true;
    activity_reset(&clients->activity, clock_wall_us());
    if (clients->audience)
        audience_hold(clients->audience, false);
}

void step_clients_tell(struct step_clients *clients, enum channel channel, struct message *message)
{
    if (channel == CHANNEL_IOPUB)
        activity_take(&clients->activity, message, clock_wall_us());
    if (clients->audience)
        audience_tell(clients->audience, channel, message);
}

static enum kernel_activity activity_of(const struct step_clients *clients)
{
    if (!clients->is_ready)
        return KERNEL_ACTIVITY_STARTING;
    return clients->activity.is_busy ? KERNEL_ACTIVITY_BUSY : KERNEL_ACTIVITY_IDLE;
}

struct kernel_news step_clients_news(const struct step_clients *clients)
{
    return (struct kernel_news){
        .activity = activity_of(clients),
        .last_activity_us = clients->activity.last_us,
        .connections = clients->audience ? (uint32_t)audience_connections(clients->audience) : 0,
        .starts = clients->is_ready,
    };
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

    activity_clear(&clients->activity);
    if (!clients->audience)
        return;
    audience_dismiss(clients->audience, WEBSOCKET_GOING_AWAY, "the step has ended");
    while (!audience_is_empty(clients->audience) && (left = deadline - clock_mono()) > 0)
        loop_dispatch(clients->loop, (int)left);
    audience_free(take_ptr(&clients->audience));
}
