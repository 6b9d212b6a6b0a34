#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "kernel-gateway/keeper/journal.h"
#include "kernel-gateway/keeper/keeper.h"
#include "kernel-gateway/keeper/keeper_handle.h"
#include "runner/engine/attempt.h"
#include "tests/unit/base/scratch.c"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

/* --- the keeper: a real frame whose driver does what the task's `source` says --- */

struct actor {
    struct keeper *keeper;
    struct journal *journal;
    bool is_deaf;
};

static void say(struct actor *actor, const char *event, const char *text)
{
    struct err e;
    struct buf *line = journal_begin(actor->journal, event);

    json_put_member(line, "text", text);
    json_put_member_int(line, "pid", getpid());
    journal_commit(actor->journal, NULL, &e);
    keeper_notify(actor->keeper);
}

static void on_stop(void *user, enum cause cause)
{
    struct actor *actor = user;

    say(actor, actor->is_deaf ? "output" : "step_finished", cause_name(cause));
    if (!actor->is_deaf)
        loop_stop(keeper_loop(actor->keeper));
}

static void on_size(void *user, struct buf *out)
{
    const struct actor *actor = user;
    uint64_t size = journal_size(actor->journal);

    buf_put(out, &size, sizeof size);
}

static int act(const struct keeper_birth *birth)
{
    static const struct keeper_events events = {.stop = on_stop, .news = on_size};
    struct actor actor = {0};
    struct task task;
    struct err e;
    auto_free char *text = scratch_read(birth->directory, TASK_FILE);
    auto_free char *journal = fs_join(birth->directory, KEEPER_JOURNAL);

    if (journal_open(&actor.journal, journal, &e) < 0 || task_parse(&task, str_of(text), &e) < 0)
        return 1;
    actor.keeper = keeper_open(birth, &events, &actor);
    actor.is_deaf = strcmp(task.source, "deaf") == 0;
    for (int i = 0; strcmp(task.source, "chatty") == 0 && i < 5000; i++)
        say(&actor, "output", "one of many");
    say(&actor, "kernel_ready", task.source);
    if (strcmp(task.source, "chatty") != 0)
        loop_run(keeper_loop(actor.keeper));
    task_clear(&task);
    keeper_close(actor.keeper);
    journal_close(actor.journal);
    return 0;
}

/* A nursery that is killed when the keeper is borne and nobody knows yet. */
static int bear_and_die(void)
{
    char directory[PATH_MAX] = "";
    union {
        char bytes[CMSG_SPACE(3 * sizeof(int))];
        struct cmsghdr align;
    } space;
    struct iovec part = {directory, sizeof directory};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = space.bytes,
                             .msg_controllen = sizeof space.bytes};
    int fds[3];

    if (recvmsg(3, &message, MSG_CMSG_CLOEXEC) <= 0)
        return 0;
    memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fds);
    if (fork() == 0) {
        close(3);
        dprintf(fds[0], "%d\n", getpid()); /* as a nursery of ours does */
        _exit(act(&(struct keeper_birth){directory, fds[0], fds[1], fds[2]}));
    }
    raise(SIGKILL);
    return 0;
}

/* --- the engine's side --- */

struct world {
    struct attempt_world shared;
    struct state state;
    char *root;
    char *directory; /* of the attempt */
    struct task task;
    int life[2];
    struct attempt *attempt;
    struct buf last; /* the newest line */
    uint64_t offset; /* where it starts */
    size_t lines;
};

static void on_news(void *user)
{
    (void)user; /* the tests read whenever they wake */
}

static int set_up(void **at)
{
    static const char *const nursery[] = {"/proc/self/exe", "nursery", NULL};
    static const struct attempt_events events = {.news = on_news};
    struct world *world = mem_zalloc(sizeof *world);
    struct err e;
    char mark[11];

    world->root = scratch_new();
    assert_int_equal(state_create(&world->state, world->root, &e), 0);
    assert_int_equal(pipe2(world->life, O_CLOEXEC), 0);
    world->shared = (struct attempt_world){
        .loop = loop_new(), .state = &world->state, .life_fd = world->life[0], .events = &events};
    assert_int_equal(nursery_start(&world->shared.nursery, nursery, &e), 0);
    keeper_mark(mark);
    world->directory = fs_join(world->root, "attempt/1");
#define X(name) world->task.name = mem_strdup("the " #name);
    TASK_NEEDED_TEXTS(X)
#undef X
    free(world->task.attempt_id);
    free(world->task.socket_dir);
    world->task.attempt_id = mem_strdup(mark);
    world->task.socket_dir = attempt_socket_dir(&world->state, mark);
    assert_int_equal(json_parse(&world->task.parameters, STR("{}"), JSON_STRICT, NULL, &e), 0);
    *at = world;
    return 0;
}

static int tear_down(void **at)
{
    struct world *world = *at;

    attempt_free(world->attempt);
    close(world->life[1]); /* whatever keeper is left ends */
    close(world->life[0]);
    nursery_free(world->shared.nursery);
    loop_free(world->shared.loop);
    task_clear(&world->task);
    buf_clear(&world->last);
    free(world->directory);
    state_close(&world->state);
    scratch_free(world->root);
    free(world);
    return 0;
}

static int try_start(struct world *world, const char *behaviour, struct err *e)
{
    free(world->task.source);
    world->task.source = mem_strdup(behaviour);
    return attempt_start(&world->attempt, &world->shared, world->directory, &world->task, world, e);
}

static void start(struct world *world, const char *behaviour)
{
    struct err e;

    if (try_start(world, behaviour, &e) < 0)
        fail_msg("%s", e.text);
}

static void read_lines(struct world *world)
{
    struct str line;
    struct err e;
    uint64_t expected = world->offset + world->last.len + (world->last.len > 0);

    while (attempt_read(world->attempt, &line, &world->offset, &e) == 1) {
        assert_int_equal(world->offset, expected);
        expected += line.len + 1;
        buf_reset(&world->last);
        buf_put(&world->last, line.text, line.len);
        world->lines++;
    }
    world->offset = expected - world->last.len - (world->last.len > 0);
}

/* Turns the loop until a line with this in it is the newest, or (NULL) the keeper is gone. */
static void wait_for(struct world *world, const char *text)
{
    for (;;) {
        bool is_gone = attempt_is_gone(world->attempt);
        read_lines(world);
        if (text ? strstr(buf_text(&world->last), text) != NULL : is_gone)
            return;
        if (is_gone)
            fail_msg("gone without \"%s\"", text);
        loop_dispatch(world->shared.loop, -1);
    }
}

static pid_t keeper_pid(const struct world *world)
{
    auto_json struct json doc = {0};
    struct err e;
    int64_t pid;

    assert_int_equal(
        json_parse(&doc, (struct str){world->last.data, world->last.len}, JSON_STRICT, NULL, &e),
        0);
    assert_true(json_int(&doc, json_get(&doc, 0, "pid"), &pid));
    return (pid_t)pid;
}

static char *socket_dir(const struct world *world)
{
    return state_socket_dir(&world->state, world->task.attempt_id);
}

/* --- living --- */

static void lines_appear_while_it_runs(void **at)
{
    struct world *world = *at;

    start(world, "obedient");
    wait_for(world, "kernel_ready");
    assert_int_equal(world->lines, 1);
    assert_false(attempt_is_gone(world->attempt));
}

static void the_keeper_finds_its_task(void **at)
{
    struct world *world = *at;

    start(world, "obedient");
    wait_for(world, "\"text\":\"obedient\"");
    auto_free char *path = fs_join(world->directory, TASK_FILE);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600); /* environments hold secrets */
}

static void all_that_was_written_is_read_before_the_end(void **at)
{
    struct world *world = *at;

    start(world, "chatty");
    wait_for(world, NULL);
    assert_int_equal(world->lines, 5001);
    assert_non_null(strstr(world->last.data, "kernel_ready"));
}

static void it_stops_for_the_reason_that_was_given(void **at)
{
    struct world *world = *at;

    start(world, "obedient");
    wait_for(world, "kernel_ready");
    attempt_stop(world->attempt, CAUSE_TIMEOUT);
    wait_for(world, NULL);
    assert_non_null(strstr(world->last.data, "step_finished"));
    assert_non_null(strstr(world->last.data, "\"timeout\""));
    attempt_stop(world->attempt, CAUSE_TIMEOUT); /* of one that is gone: nothing */
}

static void it_can_be_stopped_before_it_has_looked(void **at)
{
    struct world *world = *at;

    start(world, "obedient");
    attempt_stop(world->attempt, CAUSE_CANCELLED);
    wait_for(world, NULL);
    assert_non_null(strstr(world->last.data, "\"cancelled\""));
}

static void a_keeper_that_does_not_obey_is_killed(void **at)
{
    struct world *world = *at;

    start(world, "deaf");
    wait_for(world, "kernel_ready");
    attempt_stop(world->attempt, CAUSE_CANCELLED);
    wait_for(world, "cancelled"); /* it has heard */
    wait_for(world, NULL);
    assert_null(strstr(world->last.data, "step_finished"));
}

static void a_keeper_that_was_killed_is_noticed(void **at)
{
    struct world *world = *at;
    auto_free char *lock = fs_join(world->directory, KEEPER_LOCK);
    struct err e;

    start(world, "obedient");
    wait_for(world, "kernel_ready");
    kill(keeper_pid(world), SIGKILL);
    wait_for(world, NULL);
    assert_int_equal(world->lines, 1);
    auto_close int fd = fs_lock(lock, &e); /* what it held is free */
    assert_true(fd >= 0);
}

static void a_keeper_ends_with_the_engine(void **at)
{
    struct world *world = *at;

    start(world, "obedient");
    wait_for(world, "kernel_ready");
    close(world->life[1]);
    world->life[1] = -1;
    wait_for(world, NULL);
    assert_non_null(strstr(world->last.data, "\"cancelled\""));
}

/* --- letting go --- */

static void one_that_runs_is_left_running(void **at)
{
    struct world *world = *at;
    auto_free char *sockets = socket_dir(world), *lock = fs_join(world->directory, KEEPER_LOCK);
    struct err e;

    start(world, "obedient");
    wait_for(world, "kernel_ready");
    pid_t pid = keeper_pid(world);
    attempt_free(take_ptr(&world->attempt));
    assert_true(fs_exists(sockets));
    assert_int_equal(kill(pid, 0), 0);
    assert_int_equal(fs_lock(lock, &e), -1);
}

static void one_that_started_nothing_leaves_no_sockets(void **at)
{
    struct world *world = *at;
    auto_free char *sockets = socket_dir(world), *link = fs_join(sockets, "attempt");

    start(world, "chatty");
    wait_for(world, NULL);
    assert_int_equal(unlink(link), 0); /* its driver: nothing is left */
    attempt_free(take_ptr(&world->attempt));
    assert_false(fs_exists(sockets));
}

static void one_that_may_have_left_something_is_found_at_the_next_start(void **at)
{
    struct world *world = *at;
    auto_free char *sockets = socket_dir(world), *link = fs_join(sockets, "attempt");
    char target[500] = "";

    start(world, "obedient");
    wait_for(world, "kernel_ready");
    kill(keeper_pid(world), SIGKILL);
    wait_for(world, NULL);
    attempt_free(take_ptr(&world->attempt));
    assert_true(readlink(link, target, sizeof target - 1) > 0);
    assert_string_equal(target, world->directory);
}

static int adopt(struct world *world, uint64_t offset)
{
    struct err e;
    int found = attempt_adopt(&world->attempt, &world->shared, world->directory,
                              world->task.attempt_id, offset, world, &e);

    if (found < 0)
        fail_msg("%s", e.text);
    world->lines = 0;
    world->offset = offset;
    buf_reset(&world->last);
    return found;
}

/* --- refusals --- */

static void check_refused(struct world *world, enum err_code code)
{
    auto_free char *sockets = socket_dir(world);
    struct err e;

    assert_int_equal(try_start(world, "obedient", &e), -1);
    if (e.code != code)
        fail_msg("%s: %s", err_name(e.code), e.text);
    assert_non_null(strstr(e.text, "cannot start the step"));
    assert_null(world->attempt);
    assert_int_equal(fs_exists(sockets), code == ERR_UNAVAILABLE); /* there may be a keeper */
}

static void without_a_directory_nothing_is_started(void **at)
{
    struct world *world = *at;

    scratch_put(world->root, "attempt", "a file is in the way");
    check_refused(world, ERR_IO);
}

static void a_second_keeper_is_not_borne(void **at)
{
    struct world *world = *at;
    auto_free char *lock = scratch_write(world->directory, KEEPER_LOCK, "");
    struct err e;
    auto_close int fd = fs_lock(lock, &e);

    check_refused(world, ERR_CONFLICT);
}

static void a_nursery_that_is_gone_for_good_is_told(void **at)
{
    struct world *world = *at;
    static const char *const nursery[] = {"/proc/self/exe", "die", NULL};
    struct err e;

    nursery_free(world->shared.nursery);
    assert_int_equal(nursery_start(&world->shared.nursery, nursery, &e), 0);
    check_refused(world, ERR_UNAVAILABLE);
    assert_int_equal(adopt(world, 0), 0); /* there is no keeper: it may be started again */
}

static void a_keeper_that_its_nursery_could_not_tell_of_is_taken_up(void **at)
{
    static const char *const nursery[] = {"/proc/self/exe", "bear-and-die", NULL};
    struct world *world = *at;
    auto_free char *lock = fs_join(world->directory, KEEPER_LOCK);
    struct err e;

    nursery_free(world->shared.nursery);
    assert_int_equal(nursery_start(&world->shared.nursery, nursery, &e), 0);
    check_refused(world, ERR_UNAVAILABLE);
    assert_int_equal(adopt(world, 0), 1);
    attempt_stop(world->attempt, CAUSE_CANCELLED);
    auto_close int fd = open(lock, O_RDONLY | O_CLOEXEC);
    alarm(30);                               /* fails where it would wait for ever */
    assert_int_equal(flock(fd, LOCK_EX), 0); /* until the keeper ends */
    alarm(0);
    auto_free char *journal = scratch_read(world->directory, KEEPER_JOURNAL);
    assert_non_null(strstr(journal, "step_finished"));
}

static void sockets_are_given_to_whom_the_kernel_runs_as(void **at)
{
    struct world *world = *at;
    struct stat st;

    if (geteuid() != 0) {
        fprintf(stderr, "SKIPPED: giving away needs root\n");
        skip();
        return;
    }
    world->task.change_user = 1;
    world->task.uid = 12345;
    world->task.gid = 54321;
    start(world, "obedient");
    assert_int_equal(stat(world->task.socket_dir, &st), 0);
    assert_int_equal(st.st_uid, 12345);
    assert_int_equal(st.st_gid, 54321);
    assert_int_equal(st.st_mode & 0777, 0700);
}

/* --- taking up what an earlier engine started --- */

/* As the engine that has started it goes, whatever has become of it. */
static void forget(struct world *world)
{
    attempt_free(take_ptr(&world->attempt));
}

static uint64_t next_offset(const struct world *world)
{
    return world->offset + world->last.len + 1;
}

static void check_nothing_left(struct world *world)
{
    auto_free char *sockets = socket_dir(world);

    assert_null(world->attempt);
    assert_false(fs_exists(world->directory));
    assert_false(fs_exists(sockets));
    start(world, "obedient"); /* as if for the first time */
    wait_for(world, "kernel_ready");
}

static void one_that_was_only_decided_may_be_started(void **at)
{
    struct world *world = *at;

    assert_int_equal(adopt(world, 0), 0);
    check_nothing_left(world);
}

static void one_that_was_only_prepared_may_be_started(void **at)
{
    struct world *world = *at;
    auto_free char *sockets = socket_dir(world);

    scratch_put(world->directory, TASK_FILE, "{");
    scratch_put(world->directory, KEEPER_JOURNAL, "");
    scratch_put(sockets, "s/shell", "");
    assert_int_equal(adopt(world, 0), 0);
    check_nothing_left(world);
}

static void one_whose_keeper_was_never_borne_may_be_started(void **at)
{
    struct world *world = *at;

    scratch_put(world->directory, TASK_FILE, "{");
    scratch_put(world->directory, KEEPER_LOCK, "");
    assert_int_equal(adopt(world, 0), 0);
    check_nothing_left(world);
}

static void one_that_lives_is_gone_on_with(void **at)
{
    struct world *world = *at;

    start(world, "obedient");
    wait_for(world, "kernel_ready");
    uint64_t offset = next_offset(world);
    forget(world);
    for (int i = 0; i < 3; i++) { /* engine after engine */
        assert_int_equal(adopt(world, offset), 1);
        assert_false(attempt_is_gone(world->attempt));
        read_lines(world);
        assert_int_equal(world->lines, 0); /* that was read before */
        forget(world);
    }
    assert_int_equal(adopt(world, 0), 1); /* or from the start again */
    wait_for(world, "kernel_ready");
    attempt_stop(world->attempt, CAUSE_TIMEOUT);
    wait_for(world, NULL);
    assert_int_equal(world->lines, 2);
    assert_non_null(strstr(world->last.data, "\"timeout\""));
}

static void the_death_of_one_that_was_taken_up_is_noticed(void **at)
{
    struct world *world = *at;

    start(world, "obedient");
    wait_for(world, "kernel_ready");
    pid_t pid = keeper_pid(world);
    uint64_t offset = next_offset(world);
    forget(world);
    assert_int_equal(adopt(world, offset), 1);
    kill(pid, SIGKILL);
    wait_for(world, NULL);
    assert_int_equal(world->lines, 0);
}

static void one_that_was_taken_up_and_is_deaf_is_killed(void **at)
{
    struct world *world = *at;

    start(world, "deaf");
    wait_for(world, "kernel_ready");
    forget(world);
    assert_int_equal(adopt(world, 0), 1);
    attempt_stop(world->attempt, CAUSE_CANCELLED);
    wait_for(world, NULL);
    assert_true(attempt_was_killed(world->attempt));
}

static void one_that_has_ended_meanwhile_is_read_to_its_end(void **at)
{
    struct world *world = *at;

    start(world, "chatty");
    wait_for(world, NULL);
    forget(world);
    assert_int_equal(adopt(world, 0), 1);
    assert_true(attempt_is_gone(world->attempt));
    read_lines(world);
    assert_int_equal(world->lines, 5001);
    assert_non_null(strstr(world->last.data, "kernel_ready"));
    attempt_stop(world->attempt, CAUSE_CANCELLED); /* nobody is there: nothing */
}

static void one_that_was_killed_meanwhile_is_gone(void **at)
{
    struct world *world = *at;

    start(world, "obedient");
    wait_for(world, "kernel_ready");
    uint64_t offset = next_offset(world);
    kill(keeper_pid(world), SIGKILL);
    wait_for(world, NULL);
    forget(world);
    assert_int_equal(adopt(world, offset), 1);
    assert_true(attempt_is_gone(world->attempt));
    read_lines(world);
    assert_int_equal(world->lines, 0);
}

static void a_torn_line_is_none(void **at)
{
    struct world *world = *at;

    scratch_put(world->directory, KEEPER_LOCK, "1\n");
    scratch_put(world->directory, KEEPER_JOURNAL,
                "{\"n\":1,\"event\":\"output\"}\n{\"n\":2,\"event\":\"step_fin");
    assert_int_equal(adopt(world, 0), 1);
    assert_true(attempt_is_gone(world->attempt));
    read_lines(world);
    assert_int_equal(world->lines, 1);
    assert_non_null(strstr(world->last.data, "\"n\":1"));
}

/* It was killed before it has made its journal. */
static void one_without_a_journal_is_gone(void **at)
{
    struct world *world = *at;

    scratch_put(world->directory, KEEPER_LOCK, "1\n");
    assert_int_equal(adopt(world, 0), 1);
    assert_true(attempt_is_gone(world->attempt));
    read_lines(world);
    assert_int_equal(world->lines, 0);
}

/* The number in the lock is by now that of some other process: it is not taken for the keeper. */
static void a_number_that_means_somebody_else_is_not_the_keepers(void **at)
{
    struct world *world = *at;
    auto_free char *pid = mem_printf("%d\n", getpid());

    scratch_put(world->directory, KEEPER_LOCK, pid);
    assert_int_equal(adopt(world, 0), 1);
    assert_true(attempt_is_gone(world->attempt));
    attempt_stop(world->attempt, CAUSE_CANCELLED); /* does not mean us */
}

/* --- one that is just being borne --- */

struct birth {
    pthread_t thread;
    int listen_fd, lock_fd;
    pid_t pid; /* 0: it dies before it has begun */
};

static int listen_as_keeper(struct world *world)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_free char *sockets = socket_dir(world);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct err e;

    assert_int_equal(fs_mkdirs(sockets, 0755, &e), 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", sockets, KEEPER_SOCKET);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

/* Its first act comes after the engine has found it with no number yet. */
static void *be_born(void *user)
{
    struct birth *birth = user;
    int client = accept(birth->listen_fd, NULL, NULL);
    uint64_t size = 0;

    if (birth->pid > 0) {
        dprintf(birth->lock_fd, "%d\n", birth->pid);
        (void)!send(client, &size, sizeof size, MSG_NOSIGNAL);
    } else {
        close(take_fd(&birth->lock_fd));
    }
    close(client);
    return NULL;
}

static void start_birth(struct world *world, struct birth *birth, pid_t pid)
{
    auto_free char *lock = fs_join(world->directory, KEEPER_LOCK);
    struct err e;

    assert_int_equal(fs_mkdirs(world->directory, 0755, &e), 0);
    *birth = (struct birth){
        .listen_fd = listen_as_keeper(world), .lock_fd = fs_lock(lock, &e), .pid = pid};
    assert_true(birth->lock_fd >= 0);
    assert_int_equal(pthread_create(&birth->thread, NULL, be_born, birth), 0);
}

static void end_birth(struct birth *birth)
{
    pthread_join(birth->thread, NULL);
    close(birth->listen_fd);
    if (birth->lock_fd >= 0)
        close(birth->lock_fd);
}

static void one_that_is_just_being_borne_is_waited_for(void **at)
{
    struct world *world = *at;
    struct birth birth;
    pid_t pid = fork();

    if (pid == 0) {
        pause();
        _exit(0);
    }
    start_birth(world, &birth, pid);
    assert_int_equal(adopt(world, 0), 1);
    assert_false(attempt_is_gone(world->attempt));
    kill(pid, SIGKILL);
    wait_for(world, NULL); /* it was the one that is watched */
    waitpid(pid, NULL, 0);
    end_birth(&birth);
}

/* It had done nothing yet. */
static void one_that_dies_at_its_birth_has_never_begun(void **at)
{
    struct world *world = *at;
    struct birth birth;

    start_birth(world, &birth, 0);
    assert_int_equal(adopt(world, 0), 0);
    assert_null(world->attempt);
    end_birth(&birth);
}

/* Nothing may be started as long as somebody holds it. */
static void one_that_is_held_by_nobody_known_cannot_be_taken_up(void **at)
{
    static const char *const numbers[] = {"", "999999999\n"};
    struct world *world = *at;
    auto_free char *sockets = socket_dir(world), *lock = fs_join(world->directory, KEEPER_LOCK);

    scratch_put(sockets, "s/shell", "");
    for (size_t i = 0; i < 2; i++) {
        struct err e;
        scratch_put(world->directory, KEEPER_LOCK, numbers[i]);
        auto_close int lock_fd = fs_lock(lock, &e);
        assert_true(lock_fd >= 0);
        assert_int_equal(attempt_adopt(&world->attempt, &world->shared, world->directory,
                                       world->task.attempt_id, 0, world, &e),
                         -1);
        assert_int_equal(e.code, ERR_UNAVAILABLE);
        assert_null(world->attempt);
        assert_true(fs_exists(lock));
        assert_true(fs_exists(sockets));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_appear_while_it_runs),
        TEST(the_keeper_finds_its_task),
        TEST(all_that_was_written_is_read_before_the_end),
        TEST(it_stops_for_the_reason_that_was_given),
        TEST(it_can_be_stopped_before_it_has_looked),
        TEST(a_keeper_that_does_not_obey_is_killed),
        TEST(a_keeper_that_was_killed_is_noticed),
        TEST(a_keeper_ends_with_the_engine),
        TEST(one_that_runs_is_left_running),
        TEST(one_that_started_nothing_leaves_no_sockets),
        TEST(one_that_may_have_left_something_is_found_at_the_next_start),
        TEST(without_a_directory_nothing_is_started),
        TEST(a_second_keeper_is_not_borne),
        TEST(a_nursery_that_is_gone_for_good_is_told),
        TEST(a_keeper_that_its_nursery_could_not_tell_of_is_taken_up),
        TEST(sockets_are_given_to_whom_the_kernel_runs_as),
        TEST(one_that_was_only_decided_may_be_started),
        TEST(one_that_was_only_prepared_may_be_started),
        TEST(one_whose_keeper_was_never_borne_may_be_started),
        TEST(one_that_lives_is_gone_on_with),
        TEST(the_death_of_one_that_was_taken_up_is_noticed),
        TEST(one_that_was_taken_up_and_is_deaf_is_killed),
        TEST(one_that_has_ended_meanwhile_is_read_to_its_end),
        TEST(one_that_was_killed_meanwhile_is_gone),
        TEST(a_torn_line_is_none),
        TEST(one_without_a_journal_is_gone),
        TEST(a_number_that_means_somebody_else_is_not_the_keepers),
        TEST(one_that_is_just_being_borne_is_waited_for),
        TEST(one_that_dies_at_its_birth_has_never_begun),
        TEST(one_that_is_held_by_nobody_known_cannot_be_taken_up),
    };

    if (argc > 1 && strcmp(argv[1], "nursery") == 0)
        return nursery_serve(3, act);
    if (argc > 1 && strcmp(argv[1], "bear-and-die") == 0)
        return bear_and_die();
    if (argc > 1) /* a nursery that ends before it has heard anything */
        return 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
