#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel-gateway/keeper/nursery.h"
#include "tests/unit/base/scratch.c"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- the keeper: answers questions on its command socket until it is told to end --- */

static void list_descriptors(const struct keeper_birth *birth, int client, char answer[200])
{
    answer[0] = 0;
    for (int fd = 0; fd < 1024; fd++) {
        char part[32];
        if (fcntl(fd, F_GETFD) < 0)
            continue;
        const char *what = fd <= 2                  ? "std"
                           : fd == birth->lock_fd   ? "lock"
                           : fd == birth->listen_fd ? "listen"
                           : fd == birth->life_fd   ? "life"
                           : fd == client           ? "client"
                                                    : "stray";
        snprintf(part, sizeof part, "%s ", what);
        strcat(answer, part);
    }
}

static void answer_question(const struct keeper_birth *birth, int client, const char *question)
{
    char answer[200] = "?";

    if (strcmp(question, "pid") == 0)
        snprintf(answer, sizeof answer, "%d", getpid());
    else if (strcmp(question, "parent") == 0)
        snprintf(answer, sizeof answer, "%d", getppid());
    else if (strcmp(question, "session") == 0)
        snprintf(answer, sizeof answer, "%d %d", getsid(0), getpgid(0));
    else if (strcmp(question, "directory") == 0)
        snprintf(answer, sizeof answer, "%s", birth->directory);
    else if (strcmp(question, "descriptors") == 0)
        list_descriptors(birth, client, answer);
    else if (strcmp(question, "life") == 0)
        snprintf(answer, sizeof answer, "%d",
                 poll(&(struct pollfd){birth->life_fd, POLLIN, 0}, 1, 0));
    send(client, answer, strlen(answer) + 1, MSG_NOSIGNAL);
}

static int answer_until_end(const struct keeper_birth *birth)
{
    for (;;) {
        int client = accept(birth->listen_fd, NULL, NULL);
        char question[32];
        if (client < 0)
            return 1;
        while (recv(client, question, sizeof question, 0) > 0) {
            if (strcmp(question, "end") == 0)
                return 0;
            answer_question(birth, client, question);
        }
        close(client);
    }
}

static int end_at_once(const struct keeper_birth *birth)
{
    (void)birth;
    return 0;
}

/* A nursery that is killed while it serves a request. */
static int die_when_asked(void)
{
    char byte;

    (void)!recv(3, &byte, 1, MSG_PEEK);
    raise(SIGKILL);
    return 0;
}

/* --- the engine's side --- */

static const char *const good_nursery[] = {"/proc/self/exe", "nursery", NULL};

struct world {
    char *directory;
    char *lock;
    char *socket;
    int life[2];
    struct nursery *nursery;
};

struct borne {
    struct child child;
    int client;
};

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);
    struct err e;

    world->directory = scratch_new();
    world->lock = fs_join(world->directory, "lock");
    world->socket = fs_join(world->directory, "socket");
    assert_int_equal(pipe2(world->life, O_CLOEXEC), 0);
    assert_int_equal(nursery_start(&world->nursery, good_nursery, &e), 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    nursery_free(world->nursery);
    close(world->life[0]);
    if (world->life[1] >= 0)
        close(world->life[1]);
    scratch_free(world->directory);
    free(world->lock);
    free(world->socket);
    free(world);
    return 0;
}

static int listen_at(const struct world *world)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", world->socket);
    unlink(world->socket);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static int connect_at(const struct world *world)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", world->socket);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int try_bear(struct world *world, int life_fd, struct borne *borne, struct err *e)
{
    auto_close int lock_fd = fs_lock(world->lock, e);
    auto_close int listen_fd = listen_at(world);

    assert_true(lock_fd >= 0);
    struct keeper_birth birth = {world->directory, lock_fd, listen_fd, life_fd};
    if (nursery_bear(world->nursery, &birth, &borne->child, e) < 0)
        return -1;
    borne->client = connect_at(world); /* we listen, too */
    return 0;
}

static struct borne bear(struct world *world, int life_fd)
{
    struct borne borne;
    struct err e;

    if (try_bear(world, life_fd, &borne, &e) < 0)
        fail_msg("%s", e.text);
    return borne;
}

static const char *ask(const struct borne *borne, const char *question)
{
    static char answer[4096]; /* of the one thread of a test */

    assert_true(send(borne->client, question, strlen(question) + 1, MSG_NOSIGNAL) > 0);
    assert_true(recv(borne->client, answer, sizeof answer, 0) > 0);
    return answer;
}

static void wait_for_end(int pidfd)
{
    struct pollfd fd = {pidfd, POLLIN, 0};

    assert_int_equal(poll(&fd, 1, 20000), 1);
}

static void end(struct borne *borne)
{
    send(borne->client, "end", 4, MSG_NOSIGNAL);
    wait_for_end(borne->child.pidfd);
    close(borne->client);
    close(borne->child.pidfd);
}

static int pidfd_of(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    assert_true(fd >= 0);
    return fd;
}

/* --- births --- */

static void a_keeper_is_told_its_directory_and_who_it_is(void **state)
{
    struct world *world = *state;
    struct borne borne = bear(world, -1);

    assert_string_equal(ask(&borne, "directory"), world->directory);
    assert_int_equal(atoi(ask(&borne, "pid")), borne.child.pid);
    end(&borne);
}

static void a_keeper_gets_exactly_its_descriptors(void **state)
{
    static const struct {
        const char *name;
        bool with_life;
        const char *words[6];
    } rows[] = {
        {"with a life pipe", true, {"std std std ", "lock ", "listen ", "life ", "client "}},
        {"without", false, {"std std std ", "lock ", "listen ", "client "}},
    };
    struct world *world = *state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct borne first = bear(world, rows[i].with_life ? world->life[0] : -1);
        end(&first); /* what an earlier birth might have left in the nursery would show */
        struct borne borne = bear(world, rows[i].with_life ? world->life[0] : -1);
        const char *answer = ask(&borne, "descriptors");
        size_t expected = 0;
        for (const char *const *word = rows[i].words; *word; word++) {
            if (!strstr(answer, *word))
                fail_msg("%s: no %sin \"%s\"", rows[i].name, *word, answer);
            expected += strlen(*word);
        }
        if (strlen(answer) != expected)
            fail_msg("%s: more than expected in \"%s\"", rows[i].name, answer);
        end(&borne);
    }
}

static void a_keeper_leads_a_session_of_its_own(void **state)
{
    struct borne borne = bear(*state, -1);
    char expected[64];

    snprintf(expected, sizeof expected, "%d %d", borne.child.pid, borne.child.pid);
    assert_string_equal(ask(&borne, "session"), expected);
    end(&borne);
}

static void the_lock_is_held_for_as_long_as_the_keeper_lives(void **state)
{
    struct world *world = *state;
    struct borne borne = bear(world, -1);
    struct err e;

    assert_int_equal(fs_lock(world->lock, &e), -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    end(&borne);
    auto_close int lock_fd = fs_lock(world->lock, &e);
    assert_true(lock_fd >= 0);
}

static void the_lock_is_free_when_the_keeper_was_killed(void **state)
{
    struct world *world = *state;
    struct borne borne = bear(world, -1);
    struct err e;

    kill(borne.child.pid, SIGKILL);
    wait_for_end(borne.child.pidfd);
    auto_close int lock_fd = fs_lock(world->lock, &e);
    assert_true(lock_fd >= 0);
    close(borne.client);
    close(borne.child.pidfd);
}

/* Whoever takes the attempt up later finds the keeper by it; it is there before the keeper does
 * anything. */
static void the_lock_holds_the_pid_of_its_keeper(void **state)
{
    struct world *world = *state;
    struct borne borne = bear(world, -1);
    char expected[32];

    snprintf(expected, sizeof expected, "%d\n", borne.child.pid);
    ask(&borne, "pid"); /* it has begun */
    auto_free char *text = scratch_read(world->directory, "lock");
    assert_string_equal(text, expected);
    end(&borne);
    auto_free char *left = scratch_read(world->directory, "lock");
    assert_string_equal(left, expected);
}

static void a_lock_whose_keeper_was_not_borne_stays_empty(void **state)
{
    static const char *const argv[] = {"/proc/self/exe", "die", NULL};
    struct world *world = *state;
    struct borne borne;
    struct err e;

    nursery_free(take_ptr(&world->nursery));
    assert_int_equal(nursery_start(&world->nursery, argv, &e), 0);
    assert_int_equal(try_bear(world, -1, &borne, &e), -1);
    auto_free char *text = scratch_read(world->directory, "lock");
    assert_true(fs_exists(world->lock));
    assert_string_equal(text, "");
}

static void the_life_pipe_ends_with_its_other_end(void **state)
{
    struct world *world = *state;
    struct borne borne = bear(world, world->life[0]);

    assert_string_equal(ask(&borne, "life"), "0");
    close(world->life[1]);
    world->life[1] = -1;
    assert_string_equal(ask(&borne, "life"), "1");
    end(&borne);
}

static void hundreds_are_borne_one_after_the_other(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 300; i++) {
        struct borne borne = bear(world, world->life[0]);
        end(&borne);
    }
}

/* Even one that has ended before the nursery has looked at it. */
static void a_keeper_that_ends_at_once_is_seen_to_end(void **state)
{
    static const char *const argv[] = {"/proc/self/exe", "brief", NULL};
    struct world *world = *state;
    struct err e;

    nursery_free(take_ptr(&world->nursery));
    assert_int_equal(nursery_start(&world->nursery, argv, &e), 0);
    for (int i = 0; i < 1000; i++) {
        struct borne borne;
        if (try_bear(world, -1, &borne, &e) < 0)
            fail_msg("%s", e.text);
        assert_true(borne.child.pidfd >= 0);
        wait_for_end(borne.child.pidfd);
        close(borne.child.pidfd);
        close(borne.client);
    }
}

/* --- deaths --- */

static void keepers_survive_the_end_of_the_nursery(void **state)
{
    struct world *world = *state;
    struct borne borne = bear(world, -1);

    nursery_free(take_ptr(&world->nursery)); /* returns when it has ended */
    assert_int_equal(atoi(ask(&borne, "pid")), borne.child.pid);
    end(&borne);
}

static void a_nursery_that_was_killed_is_started_anew(void **state)
{
    struct world *world = *state;
    struct borne first = bear(world, -1);
    pid_t nursery = atoi(ask(&first, "parent"));

    for (int i = 0; i < 3; i++) {
        auto_close int pidfd = pidfd_of(nursery);
        kill(nursery, SIGKILL);
        wait_for_end(pidfd);
        world->lock[strlen(world->lock) - 1] = (char)('0' + i); /* the first one keeps its own */
        struct borne second = bear(world, -1);
        assert_int_not_equal(atoi(ask(&second, "parent")), nursery);
        nursery = atoi(ask(&second, "parent"));
        end(&second);
    }
    assert_int_equal(atoi(ask(&first, "pid")), first.child.pid);
    end(&first);
}

static void the_nursery_ends_with_an_engine_that_was_killed(void **state)
{
    struct world *world = *state;
    int tell[2];

    assert_int_equal(pipe(tell), 0);
    pid_t engine = fork();
    if (engine == 0) {
        struct world own = *world;
        struct err e;
        if (nursery_start(&own.nursery, good_nursery, &e) < 0)
            _exit(1);
        struct borne borne = bear(&own, -1);
        (void)!write(tell[1], &borne.child.pid, sizeof borne.child.pid);
        pause();
    }
    struct borne borne = {0};
    assert_int_equal(read(tell[0], &borne.child.pid, sizeof borne.child.pid),
                     (ssize_t)sizeof borne.child.pid);
    close(tell[0]);
    close(tell[1]);
    kill(engine, SIGKILL);
    waitpid(engine, NULL, 0); /* and with it the keeper's first client */
    borne.child.pidfd = pidfd_of(borne.child.pid);
    borne.client = connect_at(world);
    /* Until the keeper has got another parent, the nursery is not gone. */
    pid_t nursery = atoi(ask(&borne, "parent"));
    int pidfd = (int)syscall(SYS_pidfd_open, nursery, 0);
    char name[64] = "";
    auto_free char *comm = mem_printf("/proc/%d/comm", nursery);
    auto_close int fd = open(comm, O_RDONLY);
    if (fd >= 0)
        (void)!read(fd, name, sizeof name - 1);
    if (pidfd >= 0 && strcmp(name, "segue-nursery\n") == 0)
        wait_for_end(pidfd);
    if (pidfd >= 0)
        close(pidfd);
    assert_int_equal(atoi(ask(&borne, "pid")), borne.child.pid);
    end(&borne);
}

static void death_in_the_middle_of_a_birth_is_told(void **state)
{
    static const char *const argv[] = {"/proc/self/exe", "die", NULL};
    struct world *world = *state;
    struct borne borne;
    struct err e;

    nursery_free(take_ptr(&world->nursery));
    assert_int_equal(nursery_start(&world->nursery, argv, &e), 0);
    for (int i = 0; i < 2; i++) { /* and again: the next request gets a nursery of its own */
        assert_int_equal(try_bear(world, -1, &borne, &e), -1);
        assert_int_equal(e.code, ERR_UNAVAILABLE);
    }
}

static void a_program_that_is_not_there_is_no_nursery(void **state)
{
    static const char *const argv[] = {"/tmp/segue-test-nowhere", "nursery", NULL};
    struct nursery *nursery = NULL;
    struct err e;

    (void)state;
    assert_int_equal(nursery_start(&nursery, argv, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_null(nursery);
    nursery_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(a_keeper_is_told_its_directory_and_who_it_is),
        TEST(a_keeper_gets_exactly_its_descriptors),
        TEST(a_keeper_leads_a_session_of_its_own),
        TEST(the_lock_is_held_for_as_long_as_the_keeper_lives),
        TEST(the_lock_is_free_when_the_keeper_was_killed),
        TEST(the_lock_holds_the_pid_of_its_keeper),
        TEST(a_lock_whose_keeper_was_not_borne_stays_empty),
        TEST(the_life_pipe_ends_with_its_other_end),
        TEST(hundreds_are_borne_one_after_the_other),
        TEST(a_keeper_that_ends_at_once_is_seen_to_end),
        TEST(keepers_survive_the_end_of_the_nursery),
        TEST(a_nursery_that_was_killed_is_started_anew),
        TEST(the_nursery_ends_with_an_engine_that_was_killed),
        TEST(death_in_the_middle_of_a_birth_is_told),
        TEST(a_program_that_is_not_there_is_no_nursery),
    };

    if (argc > 1 && strcmp(argv[1], "nursery") == 0)
        return nursery_serve(3, answer_until_end);
    if (argc > 1 && strcmp(argv[1], "brief") == 0)
        return nursery_serve(3, end_at_once);
    if (argc > 1 && strcmp(argv[1], "die") == 0)
        return die_when_asked();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
