#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/id.h"
#include "kernel-gateway/interactive/gateway.h"
#include "kernel-gateway/keeper/keeper_handle.h"
#include "tests/unit/kernel-gateway/interactive/fake_keeper.c"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- answers and events: they come on the gateway's thread --- */

struct news_board {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct buf events; /* "what name\n" */
};

struct answer {
    struct news_board *board;
    char id[64]; /* of the kernel that was asked for */
    bool is_there;
    struct kernel_news news;
    struct err e; /* code ERR_NONE: it is a view */
};

struct world {
    struct news_board board;
    char *root, *kernels, *sockets;
    struct gateway_options options;
    struct gateway *gateway;
};

static void on_answer(void *user, const struct kernel_view *view, const struct err *e)
{
    struct answer *answer = user;

    pthread_mutex_lock(&answer->board->mutex);
    assert(!answer->is_there && !view == !!e);
    answer->is_there = true;
    if (e)
        answer->e = *e;
    if (view) {
        answer->news = view->news;
        assert(strcmp(view->id, answer->id) == 0);
    }
    pthread_cond_broadcast(&answer->board->changed);
    pthread_mutex_unlock(&answer->board->mutex);
}

static void on_event(void *user, const char *what, const struct kernel_view *view)
{
    struct news_board *board = user;

    pthread_mutex_lock(&board->mutex);
    buf_printf(&board->events, "%s %s\n", what, view->name);
    pthread_cond_broadcast(&board->changed);
    pthread_mutex_unlock(&board->mutex);
}

static void await(struct answer *answer)
{
    pthread_mutex_lock(&answer->board->mutex);
    while (!answer->is_there)
        pthread_cond_wait(&answer->board->changed, &answer->board->mutex);
    pthread_mutex_unlock(&answer->board->mutex);
}

static bool is_answered(struct answer *answer)
{
    pthread_mutex_lock(&answer->board->mutex);
    bool is_there = answer->is_there;
    pthread_mutex_unlock(&answer->board->mutex);
    return is_there;
}

static void await_event(struct world *world, const char *event)
{
    pthread_mutex_lock(&world->board.mutex);
    while (!strstr(buf_text(&world->board.events), event))
        pthread_cond_wait(&world->board.changed, &world->board.mutex);
    pthread_mutex_unlock(&world->board.mutex);
}

static void await_view(struct answer *answer)
{
    await(answer);
    if (answer->e.code != ERR_NONE)
        fail_msg("%s", answer->e.text);
}

static void await_error(struct answer *answer, enum err_code code, const char *text)
{
    await(answer);
    if (answer->e.code != code || !strstr(answer->e.text, text))
        fail_msg("%s: %s", err_name(answer->e.code), answer->e.text);
}

/* --- the world --- */

static void open_gateway(struct world *world)
{
    struct err e;

    if (gateway_open(&world->gateway, &world->options, &e) < 0)
        fail_msg("%s", e.text);
}

static void close_gateway(struct world *world)
{
    gateway_close(take_ptr(&world->gateway));
}

static int set_up(void **at)
{
    static const char *const nursery[] = {"/proc/self/exe", "nursery", NULL};
    struct world *world = mem_zalloc(sizeof *world);

    alarm(120); /* fails where it would wait for ever */
    pthread_mutex_init(&world->board.mutex, NULL);
    pthread_cond_init(&world->board.changed, NULL);
    world->root = scratch_new();
    world->kernels = fs_join(world->root, "kernels");
    world->sockets = fs_join(world->root, "k");
    world->options = (struct gateway_options){
        .directory = world->kernels,
        .sockets = world->sockets,
        .nursery_argv = nursery,
        .limits = {.starting = 100, .answer_ms = 60000},
        .event = on_event,
        .event_user = &world->board,
    };
    *at = world;
    return 0;
}

static int set_up_open(void **at)
{
    set_up(at);
    open_gateway(*at);
    return 0;
}

static pid_t keeper_pid(const struct world *world, const char *id)
{
    auto_free char *directory = fs_join(world->kernels, id);
    auto_free char *text = scratch_read(directory, KEEPER_LOCK);

    return atoi(text);
}

static void for_each_kernel(struct world *world, void (*fn)(struct world *world, const char *id))
{
    DIR *entries = opendir(world->kernels);

    if (!entries)
        return;
    for (struct dirent *entry; (entry = readdir(entries));)
        if (entry->d_name[0] != '.')
            fn(world, entry->d_name);
    closedir(entries);
}

static void end_keeper(struct world *world, const char *id)
{
    auto_free char *directory = fs_join(world->kernels, id);
    auto_interactive_task struct interactive_task task = {0};
    struct err ignored;

    if (keeper_is_alive(directory) && keeper_pid(world, id) > 0)
        kill(keeper_pid(world, id), SIGKILL);
    if (interactive_task_read(&task, directory, &ignored) == 0)
        child_kill_marked("SEGUE_ATTEMPT", task.mark);
}

static int tear_down(void **at)
{
    struct world *world = *at;

    close_gateway(world);
    for_each_kernel(world, end_keeper);
    buf_clear(&world->board.events);
    pthread_mutex_destroy(&world->board.mutex);
    pthread_cond_destroy(&world->board.changed);
    scratch_free(world->root);
    free(world->kernels);
    free(world->sockets);
    free(world);
    alarm(0);
    return 0;
}

/* --- asking --- */

static struct interactive_task make_task(const char *name, const char *id)
{
    return (struct interactive_task){
        .kernel_id = mem_strdup(id),
        .name = mem_strdup(name),
        .state_id = mem_strdup("a-state"),
        .launcher = mem_strdup("process"),
        .cwd = mem_strdup("/tmp"),
        .created_us = clock_wall_us(),
    };
}

static struct answer *new_answer(struct world *world, const char *id)
{
    struct answer *answer = mem_zalloc(sizeof *answer);

    answer->board = &world->board;
    snprintf(answer->id, sizeof answer->id, "%s", id);
    return answer;
}

static struct answer *start_task(struct world *world, struct interactive_task task)
{
    struct answer *answer = new_answer(world, task.kernel_id);

    gateway_start(world->gateway, &task, on_answer, answer);
    assert_null(task.name); /* taken */
    return answer;
}

static struct answer *start(struct world *world, const char *name)
{
    return start_task(world, make_task(name, uuid_random().text));
}

/* Starts one and waits for it; gives its id. free() it. */
static char *started(struct world *world, const char *name)
{
    auto_free struct answer *answer = start(world, name);

    await_view(answer);
    return mem_strdup(answer->id);
}

#define ASK(name)                                                                                  \
    static struct answer *ask_##name(struct world *world, const char *id)                          \
    {                                                                                              \
        struct answer *answer = new_answer(world, id);                                             \
        gateway_##name(world->gateway, id, on_answer, answer);                                     \
        return answer;                                                                             \
    }
ASK(interrupt)
ASK(restart)
ASK(shutdown)

static struct kernel_view view_of(struct world *world, const char *id)
{
    struct kernel_view view;

    assert_true(gateway_find(world->gateway, id, &view));
    return view;
}

static enum kernel_activity activity_of(struct world *world, const char *id)
{
    auto_kernel_view struct kernel_view view = view_of(world, id);

    return view.news.activity;
}

static void await_activity(struct world *world, const char *id, enum kernel_activity activity)
{
    while (activity_of(world, id) != activity)
        sched_yield();
}

static bool is_there(struct world *world, const char *id)
{
    auto_kernel_view struct kernel_view view = {0};

    return gateway_find(world->gateway, id, &view);
}

static void await_gone(struct world *world, const char *id)
{
    while (is_there(world, id))
        sched_yield();
}

/* Tells the fake keeper something, past the gateway. */
static void command(struct world *world, const char *id, const char *text)
{
    auto_kernel_view struct kernel_view view = view_of(world, id);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", view.socket_path);
    while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        sched_yield(); /* it is just being born */
    assert_true(send(fd, text, strlen(text), 0) > 0);
}

static void set_news(struct world *world, const char *id, enum kernel_activity activity,
                     uint32_t starts)
{
    struct kernel_news news = {.activity = activity,
                               .starts = starts,
                               .last_activity_us = clock_wall_us(),
                               .reason = "killed by SIGKILL"};
    auto_buf struct buf text = {0};

    buf_puts(&text, "news ");
    kernel_news_encode(&news, &text);
    command(world, id, text.data);
}

static size_t heard(struct world *world, const char *id, const char *line)
{
    auto_free char *directory = fs_join(world->kernels, id);
    auto_free char *text = scratch_read(directory, "heard");
    size_t count = 0, len = strlen(line);

    for (const char *at = text; (at = strstr(at, line)); at += len)
        count += (at == text || at[-1] == '\n') && at[len] == '\n';
    return count;
}

static size_t list_count(struct world *world)
{
    struct kernel_view *views;
    size_t count = gateway_list(world->gateway, &views);

    for (size_t i = 0; i < count; i++)
        kernel_view_clear(&views[i]);
    free(views);
    return count;
}

static bool has_files(const struct world *world, const char *id)
{
    auto_free char *directory = fs_join(world->kernels, id);

    return fs_exists(directory);
}

static size_t count_entries(const char *path)
{
    DIR *entries = opendir(path);
    size_t count = 0;

    if (!entries)
        return 0;
    for (struct dirent *entry; (entry = readdir(entries));)
        count += entry->d_name[0] != '.';
    closedir(entries);
    return count;
}

static int child_pidfd(const struct world *world, const char *id)
{
    auto_free char *directory = fs_join(world->kernels, id);
    auto_free char *pid = scratch_read(directory, "child");
    int fd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);

    assert_true(fd >= 0);
    return fd;
}

static void await_exit(int pidfd)
{
    struct pollfd fd = {pidfd, POLLIN, 0};

    assert_int_equal(poll(&fd, 1, -1), 1);
}

/* --- starting --- */

static void a_kernel_is_started_and_shown(void **at)
{
    struct world *world = *at;
    struct interactive_task task = make_task("good", uuid_random().text);

    task.username = mem_strdup("ada");
    task.image = mem_strdup("sha256:1");
    auto_free struct answer *answer = start_task(world, task);
    await_view(answer);
    assert_int_equal(answer->news.activity, KERNEL_ACTIVITY_IDLE);
    assert_int_equal(answer->news.starts, 1);
    auto_kernel_view struct kernel_view view = view_of(world, answer->id);
    assert_string_equal(view.name, "good");
    assert_string_equal(view.username, "ada");
    assert_string_equal(view.image, "sha256:1");
    assert_string_equal(view.launcher, "process");
    assert_null(view.project);
    assert_false(view.is_waiting);
    assert_true(view.created_us > 0);
    assert_true(fs_exists(view.socket_path));
    assert_int_equal(list_count(world), 1);
    await_event(world, "kernel_started good\n");
    assert_int_equal(heard(world, answer->id, "start"), 1);
}

static void its_files_are_for_nobody_else(void **at)
{
    struct world *world = *at;
    auto_free char *id = started(world, "good");
    auto_free char *directory = fs_join(world->kernels, id);
    auto_free char *file = fs_join(directory, INTERACTIVE_TASK_FILE);
    struct stat st;

    assert_int_equal(stat(directory, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void one_that_cannot_start_is_told_and_leaves_nothing(void **at)
{
    struct world *world = *at;
    auto_free struct answer *answer = start(world, "dying");
    auto_free char *id = mem_strdup(answer->id);

    await_error(answer, ERR_UNAVAILABLE, "no such kernel");
    struct kernel_view view;
    assert_false(gateway_find(world->gateway, id, &view)); /* as if it had never been */
    assert_int_equal(list_count(world), 0);
    await_event(world, "kernel_died dying\n");
    while (has_files(world, id) || count_entries(world->sockets) > 0)
        sched_yield();
}

static void what_is_dead_without_a_word_died(void **at)
{
    struct world *world = *at;
    auto_free struct answer *answer = start(world, "slow");

    command(world, answer->id,
            "news {\"activity\":\"dead\",\"last_activity_us\":1,"
            "\"connections\":0,\"starts\":0,\"reason\":\"\"}");
    await_error(answer, ERR_UNAVAILABLE, "the kernel died");
}

static void one_that_takes_long_is_answered_as_it_is(void **at)
{
    struct world *world = *at;

    world->options.limits.answer_ms = 1;
    open_gateway(world);
    auto_free struct answer *answer = start(world, "slow");
    await_view(answer);
    assert_int_equal(answer->news.activity, KERNEL_ACTIVITY_STARTING);
    set_news(world, answer->id, KERNEL_ACTIVITY_BUSY, 1);
    await_event(world, "kernel_started slow\n");
}

static void one_that_fails_after_its_answer_stays_to_say_why(void **at)
{
    struct world *world = *at;

    world->options.limits.answer_ms = 1;
    open_gateway(world);
    auto_free struct answer *answer = start(world, "slow");
    await_view(answer);
    set_news(world, answer->id, KERNEL_ACTIVITY_DEAD, 0);
    await_event(world, "kernel_died slow\n");
    await_activity(world, answer->id, KERNEL_ACTIVITY_DEAD);
    auto_kernel_view struct kernel_view view = view_of(world, answer->id);
    assert_string_equal(view.news.reason, "killed by SIGKILL");
    auto_free struct answer *end = ask_shutdown(world, answer->id);
    await_view(end);
    assert_int_equal(heard(world, answer->id, "shutdown"), 0);
}

static void an_id_that_is_taken_or_none_is_refused(void **at)
{
    struct world *world = *at;
    auto_free char *id = started(world, "good");
    auto_free struct answer *again = start_task(world, make_task("good", id));
    auto_free struct answer *none = start_task(world, make_task("good", "../../etc"));

    await_error(again, ERR_CONFLICT, id);
    await_error(none, ERR_INVALID, "../../etc");
    assert_int_equal(list_count(world), 1);
    assert_int_equal(activity_of(world, id), KERNEL_ACTIVITY_IDLE);
}

/* What an earlier kernel of this id left could not be ended yet: it must not be forgotten. */
static void a_directory_in_the_way_is_left_alone(void **at)
{
    struct world *world = *at;
    struct uuid id = uuid_random();
    auto_free char *directory = fs_join(world->kernels, id.text);

    scratch_put(directory, "something", "left");
    auto_free struct answer *answer = start_task(world, make_task("good", id.text));
    await_error(answer, ERR_CONFLICT, "cannot start the kernel");
    auto_free char *left = scratch_read(directory, "something");
    assert_string_equal(left, "left");
    assert_int_equal(list_count(world), 0);
}

static void a_nursery_that_was_killed_is_told(void **at)
{
    static const char *const nursery[] = {"/proc/self/exe", "die", NULL};
    struct world *world = *at;

    world->options.nursery_argv = nursery;
    open_gateway(world);
    auto_free struct answer *answer = start(world, "good");
    await_error(answer, ERR_UNAVAILABLE, "nursery");
    assert_int_equal(list_count(world), 0);
    assert_int_equal(count_entries(world->kernels), 0);
    assert_int_equal(count_entries(world->sockets), 0);
}

static void without_its_directory_there_is_no_gateway(void **at)
{
    struct world *world = *at;
    struct err e;

    scratch_put(world->root, "kernels", "a file is in the way");
    assert_int_equal(gateway_open(&world->gateway, &world->options, &e), -1);
    assert_int_equal(e.code, ERR_IO);
    assert_null(world->gateway);
}

/* --- limits --- */

#define THREADS 30

struct crowd {
    struct world *world;
    struct answer *answer;
};

static void *ask_in_crowd(void *user)
{
    struct crowd *one = user;
    struct interactive_task task = make_task("good", one->answer->id);

    gateway_start(one->world->gateway, &task, on_answer, one->answer);
    return NULL;
}

static void there_are_never_more_than_there_may_be(void **at)
{
    struct world *world = *at;
    pthread_t threads[THREADS];
    struct crowd crowd[THREADS];
    size_t started_count = 0;

    world->options.limits.kernels = 4;
    open_gateway(world);
    for (size_t i = 0; i < THREADS; i++) {
        crowd[i] = (struct crowd){world, new_answer(world, uuid_random().text)};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_in_crowd, &crowd[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        await(crowd[i].answer);
        if (crowd[i].answer->e.code == ERR_NONE)
            started_count++;
        else
            assert_int_equal(crowd[i].answer->e.code, ERR_LIMIT);
        free(crowd[i].answer);
    }
    assert_int_equal(started_count, 4);
    assert_int_equal(list_count(world), 4);
    struct err e;
    assert_int_equal(gateway_check_limits(world->gateway, "ada", &e), -1);
    assert_int_equal(e.code, ERR_LIMIT);
}

static void a_place_is_free_again_when_its_kernel_is_gone(void **at)
{
    struct world *world = *at;
    struct err e;

    world->options.limits.kernels = 1;
    open_gateway(world);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(gateway_check_limits(world->gateway, NULL, &e), 0);
        auto_free char *id = started(world, "good");
        assert_int_equal(gateway_check_limits(world->gateway, NULL, &e), -1);
        auto_free struct answer *end = ask_shutdown(world, id);
        await_view(end);
    }
}

static struct answer *start_for(struct world *world, const char *username)
{
    struct interactive_task task = make_task("good", uuid_random().text);

    task.username = mem_strdup(username);
    return start_task(world, task);
}

static void one_user_does_not_take_the_places_of_the_others(void **at)
{
    static const struct {
        const char *username;
        enum err_code code;
    } rows[] = {
        {"ada", ERR_NONE},  {"ada", ERR_NONE}, {"ada", ERR_LIMIT},
        {"bob", ERR_NONE},  {NULL, ERR_NONE},  {"bob", ERR_NONE},
        {"bob", ERR_LIMIT}, {NULL, ERR_NONE},  {NULL, ERR_LIMIT},
    };
    struct world *world = *at;

    world->options.limits.kernels_per_user = 2;
    open_gateway(world);
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free struct answer *answer = start_for(world, rows[i].username);
        await(answer);
        if (answer->e.code != rows[i].code)
            fail_msg("row %zu: %s", i, answer->e.text);
    }
    struct err e;
    assert_int_equal(gateway_check_limits(world->gateway, "ada", &e), -1);
    assert_int_equal(gateway_check_limits(world->gateway, "cyd", &e), 0);
}

/* --- one after the other --- */

#define QUEUE 6

static size_t told_to_start(struct world *world, struct answer *const *answers)
{
    size_t count = 0;

    for (size_t i = 0; i < QUEUE; i++)
        count += heard(world, answers[i]->id, "start");
    return count;
}

static size_t waiting_count(struct world *world)
{
    struct kernel_view *views;
    size_t count = gateway_list(world->gateway, &views), waiting = 0;

    for (size_t i = 0; i < count; i++) {
        waiting += views[i].is_waiting;
        kernel_view_clear(&views[i]);
    }
    free(views);
    return waiting;
}

static void await_started(struct world *world, struct answer *const *answers, size_t expected,
                          size_t waiting)
{
    size_t count;

    while ((count = told_to_start(world, answers)) < expected)
        sched_yield();
    assert_int_equal(count, expected);
    assert_int_equal(waiting_count(world), waiting);
    assert_int_equal(told_to_start(world, answers), expected);
}

static void only_so_many_start_at_a_time(void **at)
{
    struct world *world = *at;
    struct answer *answers[QUEUE];

    world->options.limits.starting = 2;
    open_gateway(world);
    for (size_t i = 0; i < QUEUE; i++)
        answers[i] = start(world, "slow");
    while (waiting_count(world) < QUEUE - 2)
        sched_yield();
    await_started(world, answers, 2, 4);

    set_news(world, answers[0]->id, KERNEL_ACTIVITY_IDLE, 1); /* one is ready */
    await_started(world, answers, 3, 3);
    await_view(answers[0]);
    set_news(world, answers[1]->id, KERNEL_ACTIVITY_DEAD, 0); /* one dies, */
    await_error(answers[1], ERR_UNAVAILABLE, "SIGKILL");
    while (waiting_count(world) > 2)
        sched_yield();
    kill(keeper_pid(world, answers[2]->id), SIGKILL); /* one is killed, */
    await_error(answers[2], ERR_UNAVAILABLE, "killed");
    while (waiting_count(world) > 1)
        sched_yield();
    auto_free struct answer *end = ask_shutdown(world, answers[3]->id); /* one shut down */
    await_view(end);
    await_error(answers[3], ERR_CANCELLED, "shut down");
    while (waiting_count(world) > 0)
        sched_yield();
    for (size_t i = 4; i < QUEUE; i++) { /* the oldest first: these are the last */
        assert_false(is_answered(answers[i]));
        set_news(world, answers[i]->id, KERNEL_ACTIVITY_IDLE, 1);
        await_view(answers[i]);
    }
    for (size_t i = 0; i < QUEUE; i++)
        free(answers[i]);
}

static void one_that_waits_can_be_shut_down_and_restarted(void **at)
{
    struct world *world = *at;

    world->options.limits.starting = 1;
    open_gateway(world);
    auto_free struct answer *first = start(world, "slow");
    auto_free struct answer *second = start(world, "good");
    auto_free struct answer *third = start(world, "good");
    while (waiting_count(world) < 2)
        sched_yield();
    auto_free struct answer *end = ask_shutdown(world, second->id);
    await_view(end);
    await_error(second, ERR_CANCELLED, "shut down");
    auto_free struct answer *again = ask_restart(world, third->id);
    set_news(world, first->id, KERNEL_ACTIVITY_IDLE, 1);
    await_view(third);
    await_view(again);
    assert_int_equal(heard(world, third->id, "restart"), 0);
}

/* --- interrupting and restarting --- */

static void an_interrupt_reaches_the_kernel(void **at)
{
    struct world *world = *at;
    auto_free char *id = started(world, "good");
    auto_free struct answer *answer = ask_interrupt(world, id);

    await_view(answer);
    while (heard(world, id, "interrupt") == 0)
        sched_yield();
}

static void a_restart_is_answered_when_it_is_ready_again(void **at)
{
    struct world *world = *at;
    auto_free char *id = started(world, "good");

    for (uint32_t starts = 2; starts < 5; starts++) {
        auto_free struct answer *answer = ask_restart(world, id);
        await_view(answer);
        assert_int_equal(answer->news.starts, starts);
        assert_int_equal(answer->news.activity, KERNEL_ACTIVITY_IDLE);
    }
}

static void it_may_be_asked_for_twice(void **at)
{
    struct world *world = *at;
    auto_free struct answer *first = start(world, "slow");

    set_news(world, first->id, KERNEL_ACTIVITY_IDLE, 1);
    await_view(first);
    auto_free struct answer *second = ask_restart(world, first->id);
    auto_free struct answer *third = ask_restart(world, first->id);
    await_activity(world, first->id, KERNEL_ACTIVITY_RESTARTING);
    while (heard(world, first->id, "restart") < 2)
        sched_yield();
    assert_false(is_answered(second));
    assert_false(is_answered(third));
    set_news(world, first->id, KERNEL_ACTIVITY_IDLE, 2);
    await_view(second);
    await_view(third);
}

static void a_restart_that_fails_is_told_and_the_kernel_stays(void **at)
{
    struct world *world = *at;
    auto_free struct answer *first = start(world, "slow");

    set_news(world, first->id, KERNEL_ACTIVITY_IDLE, 1);
    await_view(first);
    auto_free struct answer *again = ask_restart(world, first->id);
    await_activity(world, first->id, KERNEL_ACTIVITY_RESTARTING);
    set_news(world, first->id, KERNEL_ACTIVITY_DEAD, 1);
    await_error(again, ERR_UNAVAILABLE, "SIGKILL");
    await_event(world, "kernel_died slow\n");
    assert_int_equal(activity_of(world, first->id), KERNEL_ACTIVITY_DEAD);

    /* One that is dead comes back; that it is still dead before is no news. */
    auto_free struct answer *back = ask_restart(world, first->id);
    set_news(world, first->id, KERNEL_ACTIVITY_DEAD, 1);
    set_news(world, first->id, KERNEL_ACTIVITY_IDLE, 2);
    await_view(back);
    assert_int_equal(back->news.starts, 2);
}

static void a_restart_that_takes_long_is_answered_as_it_is(void **at)
{
    struct world *world = *at;
    auto_free struct answer *first = NULL;

    world->options.limits.answer_ms = 1;
    open_gateway(world);
    first = start(world, "slow");
    await_view(first);
    set_news(world, first->id, KERNEL_ACTIVITY_IDLE, 1);
    await_activity(world, first->id, KERNEL_ACTIVITY_IDLE);
    auto_free struct answer *again = ask_restart(world, first->id);
    await_view(again);
    assert_int_equal(again->news.starts, 1);
}

static void what_is_not_there_is_not_found(void **at)
{
    struct world *world = *at;
    const char *id = "00000000-0000-4000-8000-000000000000";
    auto_free struct answer *answers[] = {ask_interrupt(world, id)};
    auto_free struct answer *again = ask_restart(world, id), *end = ask_shutdown(world, id);

    await_error(answers[0], ERR_NOT_FOUND, id);
    await_error(again, ERR_NOT_FOUND, id);
    await_error(end, ERR_NOT_FOUND, id);
    assert_false(is_there(world, id));
}

static void news_are_shown_and_what_is_no_news_is_not(void **at)
{
    struct world *world = *at;
    auto_free char *id = started(world, "good");

    command(world, id,
            "news {\"activity\":\"busy\",\"last_activity_us\":5,"
            "\"connections\":3,\"starts\":1,\"reason\":\"\"}");
    await_activity(world, id, KERNEL_ACTIVITY_BUSY);
    auto_kernel_view struct kernel_view view = view_of(world, id);
    assert_int_equal(view.news.connections, 3);
    assert_int_equal(view.news.last_activity_us, 5);
}

/* --- the end --- */

static void a_shutdown_is_answered_when_nothing_is_left(void **at)
{
    struct world *world = *at;
    auto_free char *id = started(world, "good");
    auto_free struct answer *first = ask_shutdown(world, id), *second = ask_shutdown(world, id);

    await_view(first);
    assert_false(is_there(world, id));
    assert_false(has_files(world, id));
    assert_int_equal(count_entries(world->sockets), 0);
    await(second); /* together with the first, or too late */
    assert_true(second->e.code == ERR_NONE || second->e.code == ERR_NOT_FOUND);
}

static void one_that_is_being_shut_down_is_not_there_for_anything_else(void **at)
{
    struct world *world = *at;
    auto_free char *id = started(world, "deaf");
    auto_free struct answer *end = ask_shutdown(world, id), *again = ask_shutdown(world, id);
    auto_free struct answer *answer = ask_interrupt(world, id), *other = ask_restart(world, id);

    await_error(answer, ERR_NOT_FOUND, "being shut down");
    await_error(other, ERR_NOT_FOUND, "being shut down");
    assert_false(is_answered(end));
    kill(keeper_pid(world, id), SIGKILL);
    await_view(end);
    await_view(again);
    assert_false(has_files(world, id));
}

static void a_keeper_that_does_not_obey_is_killed(void **at)
{
    struct world *world = *at;

    world->options.limits.shutdown_ms = 1;
    open_gateway(world);
    auto_free char *id = started(world, "deaf");
    auto_free struct answer *end = ask_shutdown(world, id);
    await_view(end);
    assert_false(has_files(world, id));
}

static void a_killed_keeper_takes_its_kernel_with_it(void **at)
{
    struct world *world = *at;
    auto_free char *id = started(world, "busy");
    auto_close int child = child_pidfd(world, id);

    kill(keeper_pid(world, id), SIGKILL);
    await_event(world, "kernel_gone busy\n");
    await_exit(child);
    await_gone(world, id);
    assert_false(has_files(world, id));
    assert_int_equal(count_entries(world->sockets), 0);
    struct interactive_task task = make_task("good", id); /* its id is free again */
    auto_free struct answer *answer = start_task(world, task);
    await_view(answer);
}

static void who_waits_for_one_whose_keeper_is_killed_is_told(void **at)
{
    struct world *world = *at;
    auto_free struct answer *answer = start(world, "slow");

    while (heard(world, answer->id, "start") == 0)
        sched_yield();
    kill(keeper_pid(world, answer->id), SIGKILL);
    await_error(answer, ERR_UNAVAILABLE, "the kernel's keeper was killed");
}

/* --- gateway after gateway --- */

static void kernels_go_on_without_the_gateway(void **at)
{
    struct world *world = *at;
    auto_free char *id = started(world, "good"), *other = started(world, "busy");
    auto_close int child = child_pidfd(world, other);
    pid_t pid = keeper_pid(world, id);

    for (int i = 0; i < 3; i++) {
        close_gateway(world);
        assert_int_equal(kill(pid, 0), 0);
        open_gateway(world);
        assert_int_equal(list_count(world), 2);
        await_activity(world, id, KERNEL_ACTIVITY_IDLE);
    }
    assert_int_equal(heard(world, id, "start"), 1);
    struct kernel_view *views;
    assert_int_equal(gateway_list(world->gateway, &views), 2);
    assert_string_equal(views[0].id, id); /* the oldest first */
    assert_string_equal(views[1].id, other);
    for (size_t i = 0; i < 2; i++)
        kernel_view_clear(&views[i]);
    free(views);
    auto_free struct answer *again = ask_restart(world, id);
    await_view(again);
    assert_int_equal(again->news.starts, 2);
    auto_free struct answer *end = ask_shutdown(world, id);
    await_view(end);
}

static void who_waits_when_the_gateway_ends_is_told(void **at)
{
    struct world *world = *at;
    auto_free struct answer *first = start(world, "slow");
    auto_free struct answer *second = start(world, "deaf");

    await_view(second);
    auto_free struct answer *end = ask_shutdown(world, second->id);
    close_gateway(world);
    await_error(first, ERR_UNAVAILABLE, "stopping");
    await_error(end, ERR_UNAVAILABLE, "stopping");
}

static void one_that_was_never_told_to_start_is_told_by_the_next_gateway(void **at)
{
    struct world *world = *at;

    world->options.limits.starting = 1;
    open_gateway(world);
    auto_free struct answer *first = start(world, "slow");
    auto_free struct answer *second = start(world, "good");
    while (waiting_count(world) < 1)
        sched_yield();
    close_gateway(world);
    await_error(second, ERR_UNAVAILABLE, "stopping");
    world->options.limits.starting = 2;
    open_gateway(world);
    await_activity(world, second->id, KERNEL_ACTIVITY_IDLE);
    assert_int_equal(heard(world, second->id, "start"), 1);
}

static void one_whose_keeper_was_killed_meanwhile_is_cleared_away(void **at)
{
    struct world *world = *at;
    auto_free char *id = started(world, "busy");
    auto_close int child = child_pidfd(world, id);
    pid_t pid = keeper_pid(world, id);
    auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

    close_gateway(world);
    kill(pid, SIGKILL);
    await_exit(pidfd);
    open_gateway(world);
    assert_false(is_there(world, id));
    await_exit(child);
    while (has_files(world, id))
        sched_yield();
    assert_int_equal(count_entries(world->sockets), 0);
}

static void one_that_was_only_prepared_is_removed(void **at)
{
    struct world *world = *at;
    struct interactive_task task = make_task("good", uuid_random().text);
    auto_free char *directory = fs_join(world->kernels, task.kernel_id);
    auto_buf struct buf text = {0};

    task.mark = mem_strdup("abcdefghij");
    task.socket_dir = mem_strdup("unused");
    interactive_task_encode(&task, &text);
    scratch_put(directory, INTERACTIVE_TASK_FILE, text.data);
    scratch_put(world->sockets, "abcdefghij/s/shell", "");
    open_gateway(world);
    assert_int_equal(list_count(world), 0);
    assert_false(fs_exists(directory));
    assert_int_equal(count_entries(world->sockets), 0);
    interactive_task_clear(&task);
}

static void what_cannot_be_read_is_removed_unless_it_is_held(void **at)
{
    struct world *world = *at;
    auto_free char *held = fs_join(world->kernels, "held"), *lock = fs_join(held, KEEPER_LOCK);
    struct err e;

    scratch_put(world->kernels, "empty/lock", "");
    scratch_put(world->kernels, "torn/" INTERACTIVE_TASK_FILE, "{\"kernel_id\":");
    scratch_put(held, INTERACTIVE_TASK_FILE, "what?");
    auto_close int fd = fs_lock(lock, &e);
    open_gateway(world);
    assert_int_equal(list_count(world), 0);
    assert_true(fs_exists(held));
    assert_int_equal(count_entries(world->kernels), 1);
}

/* A stranger holds the lock: nothing of it may be touched. */
static void one_that_is_held_by_nobody_known_is_left_alone(void **at)
{
    struct world *world = *at;
    auto_free char *id = started(world, "good");
    auto_free char *directory = fs_join(world->kernels, id);
    auto_free char *lock = fs_join(directory, KEEPER_LOCK);
    auto_free char *json = scratch_read(directory, INTERACTIVE_TASK_FILE);
    struct err e;

    auto_free struct answer *end = ask_shutdown(world, id);
    await_view(end);
    close_gateway(world);
    scratch_put(directory, INTERACTIVE_TASK_FILE, json);
    scratch_put(directory, KEEPER_LOCK, "999999999\n");
    auto_close int fd = fs_lock(lock, &e);
    open_gateway(world);
    assert_int_equal(list_count(world), 0);
    assert_true(has_files(world, id));
}

/* --- culling and figures --- */

static void what_nobody_uses_is_culled(void **at)
{
    struct world *world = *at;

    world->options.culling = (struct gateway_culling){.idle_timeout_s = 3600, .interval_s = 1};
    open_gateway(world);
    auto_free char *used = started(world, "good"), *left = started(world, "good");
    struct interactive_task task = make_task("busy", uuid_random().text);
    task.cull_idle_timeout_s = 7200;
    auto_free struct answer *patient = start_task(world, task);
    await_view(patient);
    command(world, left,
            "news {\"activity\":\"idle\",\"last_activity_us\":1,"
            "\"connections\":0,\"starts\":1,\"reason\":\"\"}");
    await_event(world, "kernel_culled good\n");
    await_gone(world, left);
    assert_true(is_there(world, used));
    assert_true(is_there(world, patient->id));
}

static void figures_say_how_it_goes(void **at)
{
    struct world *world = *at;
    auto_free char *id = started(world, "good");
    auto_free struct answer *dying = start(world, "dying"), *again = ask_restart(world, id);
    auto_buf struct buf text = {0};

    await(dying);
    await_view(again);
    while (list_count(world) > 1)
        sched_yield();
    gateway_metrics(world->gateway, &text);
    static const char *const lines[] = {
        "segue_interactive_kernels{state=\"idle\"} 1\n",
        "segue_interactive_kernels{state=\"dead\"} 0\n",
        "segue_kernel_starts_total 2\n",
        "segue_kernel_start_failures_total 1\n",
        "segue_kernel_starts_waiting 0\n",
        "segue_kernels_culled_total 0\n",
        "segue_kernel_connections 0\n",
        "# TYPE segue_interactive_kernels gauge\n",
    };
    for (size_t i = 0; i < COUNT(lines); i++)
        if (!strstr(text.data, lines[i]))
            fail_msg("no \"%s\" in \"%s\"", lines[i], text.data);
}

#define TEST(name)   cmocka_unit_test_setup_teardown(name, set_up_open, tear_down)
#define CLOSED(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(a_kernel_is_started_and_shown),
        TEST(its_files_are_for_nobody_else),
        TEST(one_that_cannot_start_is_told_and_leaves_nothing),
        TEST(what_is_dead_without_a_word_died),
        CLOSED(one_that_takes_long_is_answered_as_it_is),
        CLOSED(one_that_fails_after_its_answer_stays_to_say_why),
        TEST(an_id_that_is_taken_or_none_is_refused),
        TEST(a_directory_in_the_way_is_left_alone),
        CLOSED(a_nursery_that_was_killed_is_told),
        CLOSED(without_its_directory_there_is_no_gateway),
        CLOSED(there_are_never_more_than_there_may_be),
        CLOSED(a_place_is_free_again_when_its_kernel_is_gone),
        CLOSED(one_user_does_not_take_the_places_of_the_others),
        CLOSED(only_so_many_start_at_a_time),
        CLOSED(one_that_waits_can_be_shut_down_and_restarted),
        TEST(an_interrupt_reaches_the_kernel),
        TEST(a_restart_is_answered_when_it_is_ready_again),
        TEST(it_may_be_asked_for_twice),
        TEST(a_restart_that_fails_is_told_and_the_kernel_stays),
        CLOSED(a_restart_that_takes_long_is_answered_as_it_is),
        TEST(what_is_not_there_is_not_found),
        TEST(news_are_shown_and_what_is_no_news_is_not),
        TEST(a_shutdown_is_answered_when_nothing_is_left),
        TEST(one_that_is_being_shut_down_is_not_there_for_anything_else),
        CLOSED(a_keeper_that_does_not_obey_is_killed),
        TEST(a_killed_keeper_takes_its_kernel_with_it),
        TEST(who_waits_for_one_whose_keeper_is_killed_is_told),
        TEST(kernels_go_on_without_the_gateway),
        TEST(who_waits_when_the_gateway_ends_is_told),
        CLOSED(one_that_was_never_told_to_start_is_told_by_the_next_gateway),
        TEST(one_whose_keeper_was_killed_meanwhile_is_cleared_away),
        CLOSED(one_that_was_only_prepared_is_removed),
        CLOSED(what_cannot_be_read_is_removed_unless_it_is_held),
        TEST(one_that_is_held_by_nobody_known_is_left_alone),
        CLOSED(what_nobody_uses_is_culled),
        TEST(figures_say_how_it_goes),
    };

    if (argc > 1 && strcmp(argv[1], "nursery") == 0)
        return nursery_serve(3, fake_keeper_run);
    if (argc > 1) /* a nursery that ends before it has heard anything */
        return 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
