/*   born --"start"--> starting --> ready --"restart"--> ending --> starting ...
 *                        ^  |        |  \--it dies--> starting (a few times in a row), else dead
 *                        |  `-fails->|
 *                        |          dead
 *                        `-"restart"-'          "shutdown", SIGTERM: from anywhere to the end
 *
 * What is to be done next is noted by events and commands and done between two rounds of the loop
 * (go_on): a kernel may not be freed from its own events, and starting one may block (Docker), for
 * which the loop has to be free to be run in between. */
#include "kernel-gateway/interactive/interactive.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/clients/audience.h"
#include "kernel-gateway/interactive/activity.h"
#include "kernel-gateway/interactive/interactive_task.h"
#include "kernel-gateway/interactive/kernel_news.h"
#include "kernel-gateway/keeper/keeper.h"
#include "kernel-gateway/keeper/keeper_handle.h"
#include "kernel-gateway/keeper/last_words.h"
#include "kernel-gateway/kernel.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A kernel that dies so often in a row is broken. One that has lived for a while was not. */
#define DEATHS_MAX 5
#define STABLE_MS  10000

/* That there was activity is told no more often than this; what it was, at once. */
#define ACTIVITY_MS 1000

/* What a kernel prints as a process, past its channels, is kept for a person to look at. */
#define KERNEL_LOG       "kernel.log"
#define KERNEL_LOG_LIMIT (16 * MiB)

struct interactive {
    struct interactive_task task;
    struct keeper *keeper;
    struct loop *loop;
    struct audience *audience;
    struct launch_mount mounts[INTERACTIVE_MOUNTS_MAX];
    struct launch_place place;
    struct kernel_options options; /* the kernel borrows them */

    struct kernel *kernel; /* NULL: not started yet, dead, or between two lives */
    bool has_ended;        /* it is to be freed */
    bool is_start_due;
    bool is_start_asked_for; /* else it follows a death */
    bool is_restart_wanted;  /* it ends to be started again */
    bool is_ending;          /* nothing is started any more, */
    bool is_dismissed;       /* and clients were told */
    unsigned deaths;         /* in a row */
    msec ready_since;

    struct kernel_news news; /* but for `connections` and `last_activity_us` */
    struct activity activity;
    struct loop_source *activity_notice;
    bool is_activity_noticed; /* the timer is armed */

    int log_fd;
    size_t logged;
    struct last_words last_words; /* of the kernel's stderr */
};

/* --- news --- */

static void put_news(void *user, struct buf *out)
{
    struct interactive *interactive = user;

    if (interactive->audience)
        interactive->news.connections = (uint32_t)audience_connections(interactive->audience);
    interactive->news.last_activity_us = interactive->activity.last_us;
    kernel_news_encode(&interactive->news, out);
}

static void set_activity(struct interactive *interactive, enum kernel_activity activity)
{
    if (interactive->news.activity == activity)
        return;
    interactive->news.activity = activity;
    keeper_notify(interactive->keeper);
}

static void on_activity_notice(void *user)
{
    struct interactive *interactive = user;

    interactive->is_activity_noticed = false;
    keeper_notify(interactive->keeper);
}

static void notice_activity(struct interactive *interactive)
{
    if (interactive->is_activity_noticed)
        return;
    interactive->is_activity_noticed = true;
    loop_arm_in(interactive->activity_notice, ACTIVITY_MS);
}

static void on_connections(void *user)
{
    struct interactive *interactive = user;

    keeper_notify(interactive->keeper);
}

/* --- what we say to clients --- */

static void say_status(struct interactive *interactive, struct str parent, const char *state)
{
    auto_free char *content = mem_printf("{\"execution_state\":\"%s\"}", state);

    audience_say(interactive->audience, "status", parent, str_of(content));
}

/* In the output of the cell that was executed, if any. JupyterLab drops its cells' connections to
 * the kernel when it hears that it restarts, hence before that. */
static void say_death(struct interactive *interactive, const char *what_now)
{
    const struct buf *parent = &interactive->activity.executing;
    auto_free char *text = mem_printf("\n%s. %s\n", interactive->news.reason, what_now);
    auto_buf struct buf content = {0};

    if (parent->len == 0)
        return;
    text[1] = (char)toupper((unsigned char)text[1]);
    buf_putc(&content, '{');
    json_put_member(&content, "name", "stderr");
    json_put_member(&content, "text", text);
    buf_putc(&content, '}');
    audience_say(interactive->audience, "stream", (struct str){parent->data, parent->len},
                 (struct str){content.data, content.len});
}

/* --- clients' requests --- */

static int on_request(void *user, enum channel channel, const struct outgoing *message,
                      struct err *e)
{
    struct interactive *interactive = user;

    if (interactive->news.activity == KERNEL_ACTIVITY_DEAD) {
        say_status(interactive, message->header, "dead");
        return 0;
    }
    if (!interactive->kernel || kernel_state(interactive->kernel) != KERNEL_READY)
        return err_set(e, ERR_LIMIT, "the kernel is not ready");
    return kernel_send(interactive->kernel, channel, message, NULL, e);
}

/* --- the kernel's life --- */

static void die(struct interactive *interactive)
{
    set_activity(interactive, KERNEL_ACTIVITY_DEAD);
    say_death(interactive, "It is not started again.");
    say_status(interactive, STR("{}"), "dead");
    audience_hold(interactive->audience, false); /* who asks is told again */
}

static void come_back(struct interactive *interactive)
{
    set_activity(interactive, KERNEL_ACTIVITY_RESTARTING);
    say_death(interactive, "It is being restarted.");
    say_status(interactive, STR("{}"), "restarting");
    interactive->is_start_due = true;
    interactive->is_start_asked_for = false;
}

static void note_reason(struct interactive *interactive, const struct kernel_end *end)
{
    const char *words = last_words_line(&interactive->last_words);
    char *reason = interactive->news.reason;

    snprintf(reason, sizeof interactive->news.reason, *words ? "%s: %s" : "%s", end->text, words);
    keeper_notify(interactive->keeper);
}

/* Without being asked. */
static void on_death(struct interactive *interactive, const struct kernel_end *end)
{
    bool was_ready = end->during != KERNEL_STARTING;

    note_reason(interactive, end);
    if (was_ready && clock_mono() - interactive->ready_since >= STABLE_MS)
        interactive->deaths = 0;
    if ((!was_ready && interactive->is_start_asked_for) || ++interactive->deaths > DEATHS_MAX)
        die(interactive);
    else
        come_back(interactive);
}

static void on_ended(void *user, const struct kernel_end *end)
{
    struct interactive *interactive = user;

    interactive->has_ended = true;
    audience_hold(interactive->audience, true);
    if (interactive->is_restart_wanted)
        interactive->is_start_due = true;
    else if (!interactive->is_ending)
        on_death(interactive, end);
    interactive->is_restart_wanted = false;
    activity_reset(&interactive->activity, clock_wall_us());
}

static void on_ready(void *user, const struct json *info)
{
    struct interactive *interactive = user;

    (void)info;
    interactive->ready_since = clock_mono();
    interactive->news.starts++;
    activity_reset(&interactive->activity, clock_wall_us());
    set_activity(interactive, KERNEL_ACTIVITY_IDLE);
    if (interactive->news.starts > 1) /* clients that stayed hear that it is back */
        say_status(interactive, STR("{}"), "idle");
    audience_hold(interactive->audience, false);
}

/* Not what answers our own requests, of which they know nothing. Nor that it is starting, which
 * some kernels' first message says when they are ready by all signs: clients would show it for
 * good. */
static bool concerns_clients(const struct interactive *interactive, struct message *message)
{
    if (message->type == MESSAGE_IOPUB_WELCOME ||
        json_is(&message->parent, json_get(&message->parent, 0, "session"),
                kernel_session(interactive->kernel)->text))
        return false;
    if (message->type != MESSAGE_STATUS)
        return true;
    const struct json *content = message_content(message);
    return !json_is(content, json_get(content, 0, "execution_state"), "starting");
}

static void on_message(void *user, enum channel channel, struct message *message)
{
    struct interactive *interactive = user;
    struct activity *activity = &interactive->activity;

    if (!concerns_clients(interactive, message))
        return;
    if (channel == CHANNEL_IOPUB) {
        activity_take(activity, message, clock_wall_us());
        if (kernel_state(interactive->kernel) == KERNEL_READY)
            set_activity(interactive,
                         activity->is_busy ? KERNEL_ACTIVITY_BUSY : KERNEL_ACTIVITY_IDLE);
        notice_activity(interactive);
    }
    audience_tell(interactive->audience, channel, message);
}

static void on_output(void *user, int fd, const char *data, size_t len)
{
    struct interactive *interactive = user;

    if (interactive->logged < KERNEL_LOG_LIMIT && write(interactive->log_fd, data, len) > 0)
        interactive->logged += len;
    if (fd == 2)
        last_words_add(&interactive->last_words, data, len);
}

/* What an absent engine did not remove would be in the way of the next life. */
static int clean_up(const struct interactive *interactive)
{
    struct err ignored;

    if (interactive->place.launcher == LAUNCHER_PROCESS)
        return 0; /* processes were ended for certain */
    return launch_clean(interactive->place.launcher, interactive->task.mark, &ignored);
}

static void start_kernel(struct interactive *interactive)
{
    static const struct kernel_events events = {
        .ready = on_ready, .message = on_message, .output = on_output, .ended = on_ended};
    struct err e;

    last_words_clear(&interactive->last_words);
    if (interactive->news.activity == KERNEL_ACTIVITY_RESTARTING)
        clean_up(interactive);
    if (kernel_start(&interactive->kernel, interactive->loop, &interactive->options, &events,
                     interactive, &e) == 0) {
        interactive->is_start_due = false;
    } else if (e.code != ERR_CANCELLED) { /* else somebody came or went: it is tried again */
        interactive->is_start_due = false;
        snprintf(interactive->news.reason, sizeof interactive->news.reason, "%.399s", e.text);
        die(interactive);
    }
}

/* --- commands --- */

/* A kernel that executes something is interrupted first, or it would go on with it. */
static void end_kernel(struct interactive *interactive)
{
    if (!interactive->kernel)
        return;
    if (interactive->activity.is_busy)
        kernel_interrupt(interactive->kernel);
    kernel_shutdown(interactive->kernel);
}

static void on_start_command(struct interactive *interactive)
{
    bool was_never_started =
        interactive->news.activity == KERNEL_ACTIVITY_STARTING && !interactive->kernel;

    if (was_never_started && !interactive->is_ending)
        interactive->is_start_due = interactive->is_start_asked_for = true;
}

static void on_restart_command(struct interactive *interactive)
{
    bool is_dead = interactive->news.activity == KERNEL_ACTIVITY_DEAD;

    if (interactive->is_ending || (!interactive->kernel && !is_dead))
        return; /* it is about to start anyway, or waits for its turn */
    interactive->is_start_asked_for = true;
    interactive->deaths = 0;
    interactive->news.reason[0] = 0;
    set_activity(interactive, KERNEL_ACTIVITY_RESTARTING);
    audience_hold(interactive->audience, true);
    if (is_dead)
        interactive->is_start_due = true;
    else if (!interactive->has_ended)
        interactive->is_restart_wanted = true;
    end_kernel(interactive);
}

static void on_stop(void *user, enum cause cause)
{
    struct interactive *interactive = user;

    (void)cause;
    if (interactive->is_ending)
        return;
    interactive->is_ending = true;
    interactive->is_start_due = interactive->is_restart_wanted = false;
    end_kernel(interactive);
}

static void admit(struct interactive *interactive, const char *command, int *fd)
{
    auto_admission struct admission admission = {0};
    struct err e;

    if (*fd >= 0 && admission_parse(&admission, str_of(command), &e) == 0)
        audience_admit(interactive->audience, &admission, take_fd(fd));
}

static void on_command(void *user, const char *command, int *fd)
{
    struct interactive *interactive = user;

    if (strncmp(command, "admit ", 6) == 0)
        admit(interactive, command, fd);
    else if (strcmp(command, "start") == 0)
        on_start_command(interactive);
    else if (strcmp(command, "restart") == 0)
        on_restart_command(interactive);
    else if (strcmp(command, "shutdown") == 0)
        on_stop(interactive, CAUSE_CANCELLED);
    else if (strcmp(command, "interrupt") == 0 && interactive->kernel)
        kernel_interrupt(interactive->kernel);
}

/* --- life --- */

static void end_if_over(struct interactive *interactive)
{
    if (!interactive->is_ending || interactive->kernel)
        return;
    if (!interactive->is_dismissed)
        audience_dismiss(interactive->audience, WEBSOCKET_GOING_AWAY, "the kernel was shut down");
    interactive->is_dismissed = true;
    if (audience_is_empty(interactive->audience))
        loop_stop(interactive->loop);
}

static void go_on(struct interactive *interactive)
{
    if (interactive->has_ended)
        kernel_free(take_ptr(&interactive->kernel));
    interactive->has_ended = false;
    if (interactive->is_start_due)
        start_kernel(interactive);
    end_if_over(interactive);
}

static void set_place(struct interactive *interactive)
{
    const struct interactive_task *task = &interactive->task;

    for (size_t i = 0; i < task->mount_count; i++)
        interactive->mounts[i] = (struct launch_mount){
            .host = task->mounts[i].host,
            .inside = task->mounts[i].inside,
            .read_only = task->mounts[i].read_only,
        };
    interactive->place = (struct launch_place){
        .attempt = task->mark,
        .state_id = task->state_id,
        .cancel_fd = keeper_cancel_fd(interactive->keeper),
        .change_user = task->change_user,
        .uid = (uid_t)task->uid,
        .gid = (gid_t)task->gid,
        .image = task->image,
        .mounts = interactive->mounts,
        .mount_count = task->mount_count,
        .network = task->network,
        .cpus = (double)task->millicpus / 1000,
        .memory_bytes = (uint64_t)task->memory_bytes,
        .gpus = (uint32_t)task->gpus,
    };
    launcher_of_name(task->launcher, &interactive->place.launcher);
    interactive->options = (struct kernel_options){
        .place = &interactive->place,
        .name = task->kernelspec || task->language ? task->kernelspec : "python3",
        .language = task->language,
        .socket_dir = task->socket_dir,
        .socket_dir_inside = task->socket_dir_inside,
        .cwd = task->cwd,
        .env = (const char *const *)task->env,
    };
}

static void forget_if_clean(const struct interactive *interactive)
{
    auto_free char *sockets = fs_dirname(interactive->task.socket_dir);

    if (clean_up(interactive) == 0)
        keeper_forget(sockets);
}

static void work(struct interactive *interactive, const char *directory)
{
    static const struct audience_events events = {.request = on_request, .changed = on_connections};
    auto_free char *log = fs_join(directory, KERNEL_LOG);

    interactive->audience = audience_new(interactive->loop, directory, &events, interactive);
    audience_hold(interactive->audience, true);
    interactive->activity_notice =
        loop_add_timer(interactive->loop, on_activity_notice, interactive);
    interactive->log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    set_place(interactive);
    activity_reset(&interactive->activity, clock_wall_us());
    keeper_notify(interactive->keeper);

    for (go_on(interactive); !loop_is_stopped(interactive->loop); go_on(interactive))
        kernel_dispatch(interactive->kernel, interactive->loop, interactive->is_start_due ? 0 : -1);
    forget_if_clean(interactive);
    if (interactive->log_fd >= 0)
        close(interactive->log_fd);
    audience_free(take_ptr(&interactive->audience));
}

int interactive_run(const struct keeper_birth *birth)
{
    static const struct keeper_events events = {
        .stop = on_stop, .command = on_command, .news = put_news};
    struct interactive interactive = {0};
    struct err e;

    if (interactive_task_read(&interactive.task, birth->directory, &e) < 0)
        return 1;
    interactive.keeper = keeper_open(birth, &events, &interactive);
    interactive.loop = keeper_loop(interactive.keeper);
    work(&interactive, birth->directory);
    keeper_close(interactive.keeper);
    activity_clear(&interactive.activity);
    last_words_clear(&interactive.last_words);
    interactive_task_clear(&interactive.task);
    return 0;
}
