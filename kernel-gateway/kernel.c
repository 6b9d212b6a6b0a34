/* How it starts: all sockets connect before the program runs, and one kernel_info_request waits in
 * the queues of shell and control. What a kernel publishes before it has seen our subscription is
 * lost, so an answer alone does not make it ready: only any message on iopub proves that we hear
 * it. If the answer comes without one, we ask again, which makes it publish busy and idle.
 *
 * How it stops: the shutdown_request goes to shell. The protocol prefers control, but a kernel that
 * executes nothing serves both, and ipykernel, asked on control, hangs for 10 s in about one of
 * fifteen shutdowns: its control thread waits for output to be flushed by a thread that the main
 * one has stopped (asked on shell: in none of 100). One that does not answer there is asked on
 * control too. Exit handlers of the user run until the kernel closes its sockets, and get time;
 * behind that it flushes files and frees memory, and goes on for as long as it works.
 *
 * How it ends: the program's end may be seen before the last of its messages, so those are read
 * before `ended` is told. */
#include "kernel-gateway/kernel.h"

#include "base/fs.h"
#include "base/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#define START_TIMEOUT_MS 60000

/* Asking again: after an answer that came alone, and when there was no answer at all. */
#define INFO_SUBSCRIBE_MS 50
#define INFO_SILENCE_MS   2000

/* A connection that breaks is usually the first sign of the program's end, which a busy machine or
 * the Docker engine tells some time later. */
#define BROKEN_MS 3000

/* A kernel that did not answer on shell, nor on control; one that runs exit handlers; one that got
 * SIGTERM. */
#define ASKED_MS      500
#define INSISTED_MS   1000
#define EXITING_MS    5000
#define CLOSED_MS     300
#define TERMINATED_MS 500

/* A kernel that has closed its sockets may go on as long as it works: it gives back its memory and
 * flushes files, which takes longer the busier the machine is. It is looked at every CLOSED_MS and
 * hangs when it used no CPU time in between; where that cannot be seen (containers) it just gets
 * some rounds. */
#define CLOSED_ROUNDS       (10000 / CLOSED_MS)
#define CLOSED_ROUNDS_BLIND 5

/* How long the sockets of a program that has ended may stay open: a process that it forked can hold
 * them. */
#define DRAINING_MS 500

/* How long a kernel in a container may take to answer an interrupt_request. */
#define INTERRUPT_MS 1000

/* Starts with new ports, when somebody else has taken the ones it was given. */
#define TCP_TRIES 4

/* What is kept of the program's output, to see why it ended. */
#define TAIL_SIZE 4096

#define CONNECTION_FILE "kernel.json"

enum stage {
    STAGE_STARTING,
    STAGE_READY,
    STAGE_BROKEN,     /* ready, but disconnected: its end is awaited */
    STAGE_ASKED,      /* a shutdown_request was sent on shell */
    STAGE_INSISTED,   /* and on control */
    STAGE_EXITING,    /* and answered */
    STAGE_CLOSED,     /* and its sockets are closed */
    STAGE_TERMINATED, /* it got SIGTERM */
    STAGE_KILLED,     /* it got SIGKILL */
    STAGE_DRAINING,   /* the program has ended, its sockets are still open */
    STAGE_DRAINED,    /* nothing more comes but what is in the queues */
    STAGE_ENDED,
};

struct kernel {
    struct loop *loop;
    const struct kernel_options *options;
    struct kernel_events events;
    void *user;

    struct kernelspec spec;
    struct connection connection;
    char *connection_file;
    struct channels *channels;
    struct launch *launch;

    enum stage stage;
    struct loop_source *deadline;  /* of the stage */
    struct loop_source *ask_again; /* while starting */
    struct loop_source *interrupt; /* while an interrupt_request is not answered */
    unsigned closed_rounds;        /* in STAGE_CLOSED */
    int64_t cpu_ticks;             /* used when it was last looked at; -1: cannot be seen */
    struct message info;           /* the kernel_info_reply, once it has come */
    bool has_heard_iopub;
    unsigned tries;
    struct buf tail; /* of the program's output, while starting */
    struct kernel_end end;
};

static enum kernel_state state_of_stage(enum stage stage)
{
    switch (stage) {
    case STAGE_STARTING:
        return KERNEL_STARTING;
    case STAGE_READY:
    case STAGE_BROKEN:
        return KERNEL_READY;
    case STAGE_ASKED:
    case STAGE_INSISTED:
    case STAGE_EXITING:
    case STAGE_CLOSED:
    case STAGE_TERMINATED:
    case STAGE_KILLED:
    case STAGE_DRAINING:
    case STAGE_DRAINED:
        return KERNEL_STOPPING;
    case STAGE_ENDED:
        return KERNEL_ENDED;
    }
    abort();
}

/* How long it may stay in a stage; 0: for ever. */
static msec stage_limit(const struct kernel *kernel, enum stage stage)
{
    switch (stage) {
    case STAGE_STARTING:
        return kernel->options->start_timeout_ms ? kernel->options->start_timeout_ms
                                                 : START_TIMEOUT_MS;
    case STAGE_BROKEN:
        return BROKEN_MS;
    case STAGE_ASKED:
        return ASKED_MS;
    case STAGE_INSISTED:
        return INSISTED_MS;
    case STAGE_EXITING:
        return EXITING_MS;
    case STAGE_CLOSED:
        return CLOSED_MS;
    case STAGE_TERMINATED:
        return TERMINATED_MS;
    case STAGE_DRAINING:
        return DRAINING_MS;
    case STAGE_READY:
    case STAGE_KILLED:
    case STAGE_DRAINED:
    case STAGE_ENDED:
        return 0;
    }
    abort();
}

/* The one place where the stage changes. Except for another start, stages only go forward. */
static void enter(struct kernel *kernel, enum stage stage)
{
    assert(stage > kernel->stage || stage == STAGE_STARTING);
    kernel->stage = stage;
    msec limit = stage_limit(kernel, stage);
    if (limit > 0)
        loop_arm_in(kernel->deadline, limit);
    else
        loop_disarm(kernel->deadline);
    if (stage > STAGE_STARTING)
        loop_disarm(kernel->ask_again);
}

/* Why it ends and during what; the first reason counts. */
static void blame(struct kernel *kernel, enum kernel_end_reason reason)
{
    if (kernel->end.text[0])
        return;
    kernel->end.reason = reason;
    kernel->end.during = state_of_stage(kernel->stage);
    const char *text = "";
    switch (reason) {
    case KERNEL_PROGRAM_ENDED: /* the text needs to know how: see finish */
        return;
    case KERNEL_START_TIMED_OUT:
        snprintf(kernel->end.text, sizeof kernel->end.text,
                 "the kernel was not ready within %lld ms",
                 (long long)stage_limit(kernel, STAGE_STARTING));
        return;
    case KERNEL_CONNECTION_LOST:
        text = "the kernel broke off its connection, or sent a message over the size limit";
        break;
    case KERNEL_KILLED:
        text = "the kernel was killed";
        break;
    }
    snprintf(kernel->end.text, sizeof kernel->end.text, "%s", text);
}

static void kill_now(struct kernel *kernel, enum kernel_end_reason reason)
{
    blame(kernel, reason);
    launch_signal(kernel->launch, SIGKILL);
    enter(kernel, STAGE_KILLED);
}

/* CPU time of the program, in clock ticks; -1 where it cannot be seen. */
static int64_t used_cpu_ticks(const struct kernel *kernel)
{
    pid_t pid = launch_pid(kernel->launch);
    auto_free char *path = mem_printf("/proc/%d/stat", (int)pid);
    FILE *file = pid ? fopen(path, "re") : NULL;
    char line[1024] = "";
    if (!file)
        return -1;
    char *name_end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    fclose(file);
    /* proc(5): utime and stime are the 14th and 15th field; the name is the 2nd. */
    uint64_t user, system;
    if (!name_end ||
        sscanf(name_end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
               &user, &system) != 2)
        return -1;
    return (int64_t)(user + system);
}

/* Whether a kernel that has closed its sockets is still on its way to its end. */
static bool is_exiting(struct kernel *kernel)
{
    int64_t before = kernel->cpu_ticks;
    kernel->cpu_ticks = used_cpu_ticks(kernel);
    kernel->closed_rounds++;
    if (kernel->cpu_ticks < 0)
        return kernel->closed_rounds < CLOSED_ROUNDS_BLIND;
    return kernel->cpu_ticks != before && kernel->closed_rounds < CLOSED_ROUNDS;
}

/* A request that cannot be sent goes unanswered, and what follows then is right for both. */
static void ask_shutdown(struct kernel *kernel, enum channel channel)
{
    struct err e;
    channels_send(
        kernel->channels, channel,
        &(struct outgoing){.msg_type = "shutdown_request", .content = STR("{\"restart\":false}")},
        NULL, &e);
}

static void enter_closed(struct kernel *kernel)
{
    kernel->closed_rounds = 0;
    kernel->cpu_ticks = used_cpu_ticks(kernel);
    enter(kernel, STAGE_CLOSED);
}

static void expire(void *user)
{
    struct kernel *kernel = user;
    switch (kernel->stage) {
    case STAGE_STARTING:
        kill_now(kernel, KERNEL_START_TIMED_OUT);
        break;
    case STAGE_BROKEN:
        kill_now(kernel, KERNEL_CONNECTION_LOST);
        break;
    case STAGE_ASKED:
        enter(kernel, STAGE_INSISTED);
        ask_shutdown(kernel, CHANNEL_CONTROL);
        break;
    case STAGE_CLOSED:
        if (is_exiting(kernel)) {
            loop_arm_in(kernel->deadline, CLOSED_MS);
            break;
        }
        /* fall through */
    case STAGE_INSISTED:
    case STAGE_EXITING:
        blame(kernel, KERNEL_KILLED);
        launch_signal(kernel->launch, SIGTERM);
        enter(kernel, STAGE_TERMINATED);
        break;
    case STAGE_TERMINATED:
        kill_now(kernel, KERNEL_KILLED);
        break;
    case STAGE_DRAINING:
        enter(kernel, STAGE_DRAINED);
        break;
    case STAGE_READY:
    case STAGE_KILLED:
    case STAGE_DRAINED:
    case STAGE_ENDED:
        abort(); /* have no deadline */
    }
}

/* --- becoming ready --- */

static void ask_info(struct kernel *kernel, enum channel channel)
{
    struct err e;
    /* When the queue is full there are questions enough in it. */
    channels_send(kernel->channels, channel, &(struct outgoing){.msg_type = "kernel_info_request"},
                  NULL, &e);
}

static void ask_again(void *user)
{
    struct kernel *kernel = user;
    ask_info(kernel, CHANNEL_SHELL);
    loop_arm_in(kernel->ask_again, INFO_SILENCE_MS);
}

static void starting_message(struct kernel *kernel, enum channel channel, struct message *message)
{
    if (channel == CHANNEL_IOPUB)
        kernel->has_heard_iopub = true;
    if (channel == CHANNEL_SHELL && message->type == MESSAGE_KERNEL_INFO_REPLY) {
        message_clear(&kernel->info);
        message_move(&kernel->info, message);
        loop_arm_in(kernel->ask_again, INFO_SUBSCRIBE_MS);
    }
    if (!kernel->has_heard_iopub || kernel->info.type != MESSAGE_KERNEL_INFO_REPLY)
        return;
    buf_clear(&kernel->tail);
    enter(kernel, STAGE_READY);
    kernel->events.ready(kernel->user, message_content(&kernel->info));
    message_clear(&kernel->info);
}

static void on_message(void *user, enum channel channel, struct message *message)
{
    struct kernel *kernel = user;
    if (kernel->stage == STAGE_STARTING) {
        starting_message(kernel, channel, message);
        return;
    }
    if (message->type == MESSAGE_INTERRUPT_REPLY)
        loop_disarm(kernel->interrupt);
    if (message->type == MESSAGE_SHUTDOWN_REPLY &&
        (kernel->stage == STAGE_ASKED || kernel->stage == STAGE_INSISTED))
        enter(kernel, STAGE_EXITING);
    kernel->events.message(kernel->user, channel, message);
}

static void on_disconnected(void *user, enum channel channel)
{
    struct kernel *kernel = user;
    (void)channel;
    if (kernel->stage == STAGE_READY)
        enter(kernel, STAGE_BROKEN);
    else if (kernel->stage >= STAGE_ASKED && kernel->stage <= STAGE_EXITING)
        enter_closed(kernel);
}

static void interrupt_unanswered(void *user)
{
    struct kernel *kernel = user;
    launch_signal(kernel->launch, SIGINT);
}

/* --- the program --- */

static void on_output(void *user, int fd, const char *data, size_t len)
{
    struct kernel *kernel = user;
    if (kernel->stage == STAGE_STARTING) {
        buf_put(&kernel->tail, data, len);
        if (kernel->tail.len > TAIL_SIZE)
            buf_consume(&kernel->tail, kernel->tail.len - TAIL_SIZE);
    }
    kernel->events.output(kernel->user, fd, data, len);
}

static void on_ended(void *user, const struct launch_end *end)
{
    struct kernel *kernel = user;
    kernel->end.launch = *end;
    blame(kernel, KERNEL_PROGRAM_ENDED);
    loop_disarm(kernel->interrupt);
    enter(kernel, STAGE_DRAINING);
}

/* What the runtimes of the kernels without ipc say when a port is taken. */
static bool has_lost_its_port(const struct kernel *kernel)
{
    if (kernel->connection.transport != TRANSPORT_TCP || kernel->end.during != KERNEL_STARTING ||
        kernel->end.reason != KERNEL_PROGRAM_ENDED || kernel->tries >= TCP_TRIES)
        return false;
    const char *tail = buf_text(&kernel->tail);
    return strcasestr(tail, "address already in use") || strstr(tail, "EADDRINUSE") ||
           strstr(tail, "AddrInUse");
}

struct texts {
    char **items; /* NULL at the end */
    size_t count;
    size_t capacity;
};

static void texts_clear(struct texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        free(texts->items[i]);
    free(texts->items);
}

static void texts_add(struct texts *texts, char *take_text)
{
    mem_grow(texts->items, texts->count, texts->capacity);
    texts->items[texts->count++] = take_text;
}

static const char *value_in(const char *const *env, const char *name, size_t name_len)
{
    for (; env && *env; env++) {
        if (strncmp(*env, name, name_len) == 0 && (*env)[name_len] == '=')
            return *env + name_len + 1;
    }
    return NULL;
}

/* ${NAME} with what the program will find there; what is not known stays as it is. */
static char *expand(const struct kernel *kernel, const char *text)
{
    struct buf out = {0};
    while (*text) {
        const char *end = strncmp(text, "${", 2) == 0 ? strchr(text, '}') : NULL;
        if (!end) {
            buf_putc(&out, *text++);
            continue;
        }
        auto_free char *name = mem_strndup(text + 2, (size_t)(end - text - 2));
        const char *value = value_in(kernel->options->env, name, strlen(name));
        if (!value && kernel->options->place->launcher == LAUNCHER_PROCESS)
            value = getenv(name);
        if (value)
            buf_puts(&out, value);
        else
            buf_put(&out, text, (size_t)(end + 1 - text));
        text = end + 1;
    }
    return buf_take(&out);
}

static void collect_env(const struct kernel *kernel, struct texts *env)
{
    for (char **at = kernel->spec.env; at && *at; at++)
        texts_add(env, expand(kernel, *at));
    /* ipykernel ends itself when its parent is gone. Only where that is us: in a container it would
     * take the number for a stranger's and give up. Set even when we inherited one. */
    if (kernel->options->place->launcher == LAUNCHER_PROCESS)
        texts_add(env, mem_printf("JPY_PARENT_PID=%d", (int)getpid()));
    for (const char *const *at = kernel->options->env; at && *at; at++)
        texts_add(env, mem_strdup(*at));
    texts_add(env, NULL);
}

static int run_program(struct kernel *kernel, struct err *e)
{
    const struct kernel_options *options = kernel->options;
    auto_with(texts_clear) struct texts env = {0};
    collect_env(kernel, &env);
    const char *directory =
        options->socket_dir_inside ? options->socket_dir_inside : options->socket_dir;
    auto_free char *file = fs_join(directory, CONNECTION_FILE);
    auto_free char **argv = kernelspec_command(&kernel->spec, file);
    const struct launch_program program = {
        .argv = (const char *const *)argv,
        .env = (const char *const *)env.items,
        .cwd = options->cwd,
    };
    static const struct launch_events events = {.output = on_output, .ended = on_ended};
    connection_release_ports(&kernel->connection);
    return launch_start(&kernel->launch, kernel->loop, options->place, &program, &events, kernel,
                        e);
}

static int make_connection(struct kernel *kernel, struct err *e)
{
    const struct kernel_options *options = kernel->options;
    if (kernel->spec.has_ipc)
        return connection_make_ipc(&kernel->connection, options->socket_dir,
                                   options->socket_dir_inside, e);
    if (options->place->launcher != LAUNCHER_PROCESS)
        return err_set(e, ERR_INVALID,
                       "kernel \"%s\" cannot run in a container: it knows no ipc sockets",
                       kernel->spec.name);
    return connection_make_tcp(&kernel->connection, e);
}

/* One start: new connection, new sockets, new program. */
static int begin(struct kernel *kernel, struct err *e)
{
    const struct launch_place *place = kernel->options->place;
    kernel->tries++;
    if (make_connection(kernel, e) < 0)
        return -1;
    struct connection_owner owner = {
        .change = place->change_user || place->launcher == LAUNCHER_DOCKER,
        .uid = place->uid,
        .gid = place->gid,
    };
    if (connection_write(&kernel->connection, kernel->spec.name, kernel->connection_file, owner,
                         e) < 0)
        return -1;
    static const struct channels_events events = {.message = on_message,
                                                  .disconnected = on_disconnected};
    if (channels_open(&kernel->channels, &kernel->connection, &(struct channels_options){0},
                      &events, kernel, e) < 0)
        return -1;
    ask_info(kernel, CHANNEL_SHELL);
    ask_info(kernel, CHANNEL_CONTROL);
    if (run_program(kernel, e) < 0)
        return -1;
    loop_arm_in(kernel->ask_again, INFO_SILENCE_MS);
    enter(kernel, STAGE_STARTING);
    return 0;
}

/* Takes back what `begin` made. */
static void undo(struct kernel *kernel)
{
    launch_free(take_ptr(&kernel->launch));
    channels_free(take_ptr(&kernel->channels));
    connection_clear(&kernel->connection);
    unlink(kernel->connection_file);
    message_clear(&kernel->info);
    buf_clear(&kernel->tail);
    kernel->has_heard_iopub = false;
}

/* --- the end --- */

static void finish(struct kernel *kernel)
{
    struct err e;
    if (has_lost_its_port(kernel)) {
        undo(kernel);
        kernel->end = (struct kernel_end){0};
        if (begin(kernel, &e) == 0)
            return;
        undo(kernel);
        snprintf(kernel->end.text, sizeof kernel->end.text, "%.299s", e.text);
    }
    enter(kernel, STAGE_ENDED);
    struct kernel_end *end = &kernel->end;
    if (!end->text[0]) {
        static const char *const what[] = {
            [KERNEL_STARTING] = "the kernel ended before it was ready",
            [KERNEL_READY] = "the kernel died",
            [KERNEL_STOPPING] = "the kernel has shut down",
        };
        snprintf(end->text, sizeof end->text, "%s: %.200s", what[end->during], end->launch.text);
    }
    kernel->events.ended(kernel->user, end);
}

void kernel_dispatch(struct kernel *kernel, struct loop *loop, int timeout_ms)
{
    if (!kernel || kernel->stage == STAGE_ENDED) {
        loop_dispatch(loop, timeout_ms);
        return;
    }
    if (kernel->stage == STAGE_DRAINING && channels_are_closed(kernel->channels))
        enter(kernel, STAGE_DRAINED);
    bool drained = kernel->stage == STAGE_DRAINED;
    size_t passed = channels_poll(kernel->channels, loop_fd(loop), drained ? 0 : timeout_ms);
    if (drained && passed == 0)
        finish(kernel);
    /* Last, since its callbacks may free the kernel. */
    loop_dispatch(loop, 0);
}

/* --- what others ask for --- */

int kernel_start(struct kernel **ret_kernel, struct loop *loop,
                 const struct kernel_options *options, const struct kernel_events *events,
                 void *user, struct err *e)
{
    struct kernel *kernel = mem_zalloc(sizeof *kernel);
    kernel->loop = loop;
    kernel->options = options;
    kernel->events = *events;
    kernel->user = user;
    kernel->connection_file = fs_join(options->socket_dir, CONNECTION_FILE);
    kernel->deadline = loop_add_timer(loop, expire, kernel);
    kernel->ask_again = loop_add_timer(loop, ask_again, kernel);
    kernel->interrupt = loop_add_timer(loop, interrupt_unanswered, kernel);
    if (launch_find_kernelspec(options->place, options->name, options->language, &kernel->spec, e) <
            0 ||
        begin(kernel, e) < 0) {
        kernel_free(kernel);
        return -1;
    }
    *ret_kernel = kernel;
    return 0;
}

void kernel_free(struct kernel *kernel)
{
    if (!kernel)
        return;
    undo(kernel);
    loop_remove(kernel->deadline);
    loop_remove(kernel->ask_again);
    loop_remove(kernel->interrupt);
    kernelspec_clear(&kernel->spec);
    free(kernel->connection_file);
    free(kernel);
}

int kernel_send(struct kernel *kernel, enum channel channel, const struct outgoing *message,
                struct uuid *ret_msg_id, struct err *e)
{
    if (kernel->stage >= STAGE_DRAINING)
        return err_set(e, ERR_CONFLICT, "the kernel has ended");
    return channels_send(kernel->channels, channel, message, ret_msg_id, e);
}

void kernel_interrupt(struct kernel *kernel)
{
    struct err e;
    if (kernel->stage != STAGE_READY)
        return;
    bool in_container = kernel->options->place->launcher == LAUNCHER_DOCKER;
    bool by_message = kernel->spec.interrupt_message || in_container;
    if (by_message &&
        channels_send(kernel->channels, CHANNEL_CONTROL,
                      &(struct outgoing){.msg_type = "interrupt_request"}, NULL, &e) < 0)
        by_message = false; /* it reads nothing any more: a signal may still do */
    if (!by_message)
        launch_signal(kernel->launch, SIGINT);
    else if (!kernel->spec.interrupt_message)
        loop_arm_in(kernel->interrupt, INTERRUPT_MS);
}

void kernel_shutdown(struct kernel *kernel)
{
    if (kernel->stage == STAGE_STARTING)
        kernel_kill(kernel);
    if (kernel->stage == STAGE_BROKEN)
        enter_closed(kernel);
    if (kernel->stage == STAGE_READY) {
        enter(kernel, STAGE_ASKED);
        ask_shutdown(kernel, CHANNEL_SHELL);
    }
}

void kernel_kill(struct kernel *kernel)
{
    if (kernel->stage < STAGE_KILLED)
        kill_now(kernel, KERNEL_KILLED);
}

enum kernel_state kernel_state(const struct kernel *kernel)
{
    return state_of_stage(kernel->stage);
}

const struct uuid *kernel_session(const struct kernel *kernel)
{
    return channels_session(kernel->channels);
}

const struct kernelspec *kernel_spec(const struct kernel *kernel)
{
    return &kernel->spec;
}

struct channels_counts kernel_counts(const struct kernel *kernel)
{
    return kernel->channels ? *channels_counts(kernel->channels) : (struct channels_counts){0};
}
