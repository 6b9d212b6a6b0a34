/* The life of one kernel, as the gateway sees it: what its keeper tells moves it on, and answers
 * those who wait for it. All of it on the gateway's thread. */
#include "base/fs.h"
#include "base/mem.h"
#include "kernel-gateway/interactive/gateway_private.h"
#include "kernel-gateway/keeper/keeper_handle.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* --- states --- */

static bool may_follow(enum gateway_state from, enum gateway_state to)
{
    switch (to) {
    case GATEWAY_RESERVED:
    case GATEWAY_TAKEN_UP:
        return from == GATEWAY_RESERVED;
    case GATEWAY_WAITING:
        return from == GATEWAY_RESERVED || from == GATEWAY_TAKEN_UP;
    case GATEWAY_STARTING:
        return from == GATEWAY_WAITING;
    case GATEWAY_ALIVE:
        return from == GATEWAY_TAKEN_UP || from == GATEWAY_WAITING || from == GATEWAY_STARTING;
    case GATEWAY_STOPPING:
        return from != GATEWAY_STOPPING;
    }
    return false;
}

static void set_state(struct gateway_kernel *kernel, enum gateway_state state)
{
    enum gateway_state before = kernel->state;

    assert(may_follow(before, state));
    kernel->state = state;
    if (before == GATEWAY_STARTING || state == GATEWAY_WAITING)
        gateway_admit_next(kernel->gateway);
    gateway_set_waiting(kernel, kernel->state == GATEWAY_WAITING); /* it may start already */
}

/* --- the end --- */

void gateway_kernel_finish(struct gateway_kernel *kernel)
{
    gateway_table_remove(kernel->gateway, kernel);
    gateway_answer_all(kernel, GATEWAY_FOR_END, NULL);
    gateway_kernel_free(kernel);
}

void gateway_kernel_let_go(struct gateway_kernel *kernel)
{
    struct err e;

    err_set(&e, ERR_UNAVAILABLE, "the service is stopping");
    gateway_answer_all(kernel, GATEWAY_FOR_READY, &e);
    gateway_answer_all(kernel, GATEWAY_FOR_END, &e);
    gateway_kernel_free(kernel);
}

/* The way back to the kernel stays where something that its keeper started may be left. */
static bool may_have_left_something(const struct gateway_kernel *kernel)
{
    return kernel->was_killed || keeper_may_have_left(kernel->sockets);
}

static void clear_away(struct gateway_kernel *kernel)
{
    struct gateway_leavings leavings = {
        .launcher = kernel->launcher,
        .mark = kernel->task.mark,
        .directory = kernel->directory,
        .sockets = kernel->sockets,
        .kernel = kernel,
    };

    if (may_have_left_something(kernel)) {
        gateway_cleaner_add(kernel->gateway->cleaner, &leavings);
        return;
    }
    gateway_remove_files(kernel->directory, kernel->sockets);
    gateway_kernel_finish(kernel);
}

static void set_lost(struct gateway_kernel *kernel, const char *reason)
{
    struct kernel_news news = kernel->view.news;

    news.activity = KERNEL_ACTIVITY_DEAD;
    news.connections = 0;
    snprintf(news.reason, sizeof news.reason, "%s", reason);
    gateway_set_news(kernel, &news);
}

static void on_ended(void *user)
{
    struct gateway_kernel *kernel = user;
    struct err e;

    if (kernel->state != GATEWAY_STOPPING) {
        kernel->was_killed = true;
        set_state(kernel, GATEWAY_STOPPING);
        set_lost(kernel, "the kernel's keeper was killed");
        gateway_tell_event(kernel, "kernel_gone");
        gateway_death_of(&kernel->view.news, &e);
        gateway_answer_all(kernel, GATEWAY_FOR_READY, &e);
    }
    keeper_handle_free(take_ptr(&kernel->keeper));
    loop_disarm(kernel->kill_timer);
    clear_away(kernel);
}

static void on_shutdown_limit(void *user)
{
    struct gateway_kernel *kernel = user;

    kernel->was_killed = true;
    keeper_kill(kernel->keeper);
}

static void begin_shutdown(struct gateway_kernel *kernel)
{
    struct err e;

    set_state(kernel, GATEWAY_STOPPING);
    keeper_tell(kernel->keeper, "shutdown"); /* or it is killed in time */
    loop_arm_in(kernel->kill_timer, kernel->gateway->limits.shutdown_ms);
    err_set(&e, ERR_CANCELLED, "the kernel was shut down");
    gateway_answer_all(kernel, GATEWAY_FOR_READY, &e);
}

/* --- news --- */

static void on_started(struct gateway_kernel *kernel)
{
    set_state(kernel, GATEWAY_ALIVE);
    gateway_tell_event(kernel, "kernel_started");
}

/* Who still waits for it is told why, and it is as if it had never been. Who was told that it
 * starts finds it dead, and its clients are told why. */
static void on_start_failed(struct gateway_kernel *kernel)
{
    struct err e;

    gateway_count(kernel->gateway, &kernel->gateway->counts.start_failures, 1);
    gateway_tell_event(kernel, "kernel_died");
    if (!gateway_is_waited_for(kernel)) {
        set_state(kernel, GATEWAY_ALIVE);
        return;
    }
    gateway_set_failed(kernel);
    gateway_death_of(&kernel->view.news, &e);
    gateway_answer_all(kernel, GATEWAY_FOR_READY, &e);
    begin_shutdown(kernel);
}

/* One that was never told to start has to be; it does not mind to be told twice. */
static void on_first_heard_of(struct gateway_kernel *kernel)
{
    const struct kernel_news *news = &kernel->view.news;
    bool has_started = news->starts > 0 || news->activity != KERNEL_ACTIVITY_STARTING;

    set_state(kernel, has_started ? GATEWAY_ALIVE : GATEWAY_WAITING);
}

static void count_starts(struct gateway_kernel *kernel, const struct kernel_news *news)
{
    uint32_t before = kernel->view.news.starts;

    if (kernel->state != GATEWAY_TAKEN_UP && news->starts > before)
        gateway_count(kernel->gateway, &kernel->gateway->counts.starts, news->starts - before);
}

static void take_news(struct gateway_kernel *kernel, const struct kernel_news *news)
{
    enum kernel_activity before = kernel->view.news.activity;
    bool is_dead = news->activity == KERNEL_ACTIVITY_DEAD;

    count_starts(kernel, news);
    gateway_set_news(kernel, news);
    switch (kernel->state) {
    case GATEWAY_TAKEN_UP:
        on_first_heard_of(kernel);
        break;
    case GATEWAY_WAITING:
    case GATEWAY_STARTING:
        if (is_dead)
            on_start_failed(kernel);
        else if (gateway_is_ready(news))
            on_started(kernel);
        break;
    case GATEWAY_ALIVE:
        if (is_dead && before != KERNEL_ACTIVITY_DEAD)
            gateway_tell_event(kernel, "kernel_died");
        break;
    case GATEWAY_RESERVED:
    case GATEWAY_STOPPING:
        break;
    }
    gateway_answer_by_news(kernel);
}

/* What cannot be read is as good as lost. */
static void on_news(void *user, struct str packet)
{
    struct kernel_news news;
    struct err ignored;

    if (kernel_news_parse(&news, packet, &ignored) == 0)
        take_news(user, &news);
}

static const struct keeper_handle_events events = {.news = on_news, .ended = on_ended};

/* --- starting --- */

static size_t starting_count(struct gateway *gateway)
{
    struct gateway_kernel *kernel;
    size_t count = 0;

    for (size_t i = 0; (kernel = gateway_table_at(gateway, i)); i++)
        count += kernel->state == GATEWAY_STARTING;
    return count;
}

void gateway_admit_next(struct gateway *gateway)
{
    size_t starting = starting_count(gateway);
    struct gateway_kernel *kernel;

    for (size_t i = 0;
         starting < gateway->limits.starting && (kernel = gateway_table_at(gateway, i)); i++) {
        if (kernel->state != GATEWAY_WAITING)
            continue;
        set_state(kernel, GATEWAY_STARTING);
        keeper_tell(kernel->keeper, "start");
        starting++;
    }
}

static int write_task(const struct gateway_kernel *kernel, struct err *e)
{
    auto_free char *path = fs_join(kernel->directory, INTERACTIVE_TASK_FILE);
    auto_buf struct buf text = {0};

    interactive_task_encode(&kernel->task, &text);
    return fs_write(path, (struct str){text.data, text.len}, 0600, FS_NO_SYNC, e);
}

int gateway_kernel_adopt(struct gateway_kernel *kernel, enum keeper_found *ret_found, struct err *e)
{
    int result = keeper_adopt(&kernel->keeper, ret_found, kernel->gateway->loop, kernel->directory,
                              kernel->sockets, &events, kernel, e);

    if (result < 0 || *ret_found != KEEPER_LIVES)
        return result;
    kernel->kill_timer = loop_add_timer(kernel->gateway->loop, on_shutdown_limit, kernel);
    set_state(kernel, GATEWAY_TAKEN_UP);
    return 0;
}

static int bear(struct gateway_kernel *kernel, struct err *e)
{
    const struct interactive_task *task = &kernel->task;
    struct gateway *gateway = kernel->gateway;
    struct keeper_site site = {
        .directory = kernel->directory,
        .socket_dir = kernel->sockets,
        .change_user = task->change_user,
        .uid = (uid_t)task->uid,
        .gid = (gid_t)task->gid,
    };

    return keeper_bear(&kernel->keeper, gateway->loop, gateway->nursery, &site, -1, &events, kernel,
                       e);
}

/* The nursery was killed in the middle of it. 1: there is a keeper all the same, 0: there is none,
 * -1: it cannot be said. */
static int look_for_keeper(struct gateway_kernel *kernel)
{
    enum keeper_found found;
    struct err ignored;

    if (keeper_adopt(&kernel->keeper, &found, kernel->gateway->loop, kernel->directory,
                     kernel->sockets, &events, kernel, &ignored) < 0)
        return -1;
    return found == KEEPER_LIVES;
}

static int write_and_bear(struct gateway_kernel *kernel, struct err *e)
{
    int is_there = 0;

    if (write_task(kernel, e) == 0) {
        if (bear(kernel, e) == 0)
            return 0;
        is_there = e->code == ERR_UNAVAILABLE ? look_for_keeper(kernel) : 0;
    }
    if (is_there == 0) /* else the next start of the service will know */
        gateway_remove_files(kernel->directory, kernel->sockets);
    return is_there == 1 ? 0 : -1;
}

/* One that exists belongs to an earlier kernel of this id that could not be ended yet. */
static int make_directory(const struct gateway_kernel *kernel, struct err *e)
{
    if (mkdir(kernel->directory, 0700) == 0)
        return 0;
    if (errno == EEXIST)
        return err_set(e, ERR_CONFLICT, "something is left of an earlier kernel \"%s\"",
                       kernel->view.id);
    return err_errno(e, errno, "cannot make \"%s\"", kernel->directory);
}

static int prepare(struct gateway_kernel *kernel, struct err *e)
{
    if (make_directory(kernel, e) < 0 || write_and_bear(kernel, e) < 0)
        return -1;
    kernel->kill_timer = loop_add_timer(kernel->gateway->loop, on_shutdown_limit, kernel);
    return 0;
}

void gateway_kernel_start(struct gateway_kernel *kernel, gateway_answer_fn *answer, void *user)
{
    struct err e;

    if (prepare(kernel, &e) < 0) {
        err_prefix(&e, "cannot start the kernel");
        gateway_count(kernel->gateway, &kernel->gateway->counts.start_failures, 1);
        gateway_kernel_finish(kernel);
        answer(user, NULL, &e);
        return;
    }
    gateway_wait_for(kernel, GATEWAY_FOR_READY, 0, answer, user);
    set_state(kernel, GATEWAY_WAITING);
}

/* --- other wishes --- */

static bool refuse_stopping(const struct gateway_kernel *kernel, gateway_answer_fn *answer,
                            void *user)
{
    struct err e;

    if (kernel->state != GATEWAY_STOPPING)
        return false;
    err_set(&e, ERR_NOT_FOUND, "the kernel \"%s\" is being shut down", kernel->view.id);
    answer(user, NULL, &e);
    return true;
}

static bool refuse_deaf(struct gateway_kernel *kernel, const char *command,
                        gateway_answer_fn *answer, void *user)
{
    struct err e;

    if (keeper_tell(kernel->keeper, command) == 0)
        return false;
    err_set(&e, ERR_UNAVAILABLE, "the kernel's keeper does not listen");
    answer(user, NULL, &e);
    return true;
}

void gateway_kernel_interrupt(struct gateway_kernel *kernel, gateway_answer_fn *answer, void *user)
{
    if (!refuse_stopping(kernel, answer, user) && !refuse_deaf(kernel, "interrupt", answer, user))
        answer(user, &kernel->view, NULL);
}

/* One that has not started is ready afresh once it has. */
void gateway_kernel_restart(struct gateway_kernel *kernel, gateway_answer_fn *answer, void *user)
{
    if (refuse_stopping(kernel, answer, user))
        return;
    if (kernel->state != GATEWAY_WAITING && refuse_deaf(kernel, "restart", answer, user))
        return;
    gateway_wait_for(kernel, GATEWAY_FOR_READY, kernel->view.news.starts, answer, user);
}

static void nobody_asks(void *user, const struct kernel_view *view, const struct err *e)
{
    (void)user;
    (void)view;
    (void)e;
}

void gateway_kernel_shutdown(struct gateway_kernel *kernel, gateway_answer_fn *answer, void *user)
{
    gateway_wait_for(kernel, GATEWAY_FOR_END, 0, answer ? answer : nobody_asks, user);
    if (kernel->state != GATEWAY_STOPPING)
        begin_shutdown(kernel);
}
