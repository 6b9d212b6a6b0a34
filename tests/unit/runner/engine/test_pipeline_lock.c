/* Whoever else wants the lock is a child of its own, as in life: within one process flock behaves
 * the same, but only another one can wait, be interrupted and die. */
#include "runner/engine/pipeline_lock.h"

#include "tests/unit/base/scratch.c"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <cmocka.h>

/* What processes tell each other. */
struct shared {
    volatile int is_released; /* the holder has let go, or is about to */
    volatile int inside;      /* so many hold the lock */
    volatile int visits;
};

struct fixture {
    char *root;
    struct uuid key;
    struct shared *shared;
    int said[2]; /* pipe: what a child tells, one letter each */
};

static int said_fd; /* of the running test; a callback without an argument needs it */
static unsigned waiting_calls;

static void say(char letter)
{
    if (write(said_fd, &letter, 1) != 1)
        abort();
}

static void on_waiting(void)
{
    waiting_calls++;
    say('w');
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_zalloc(sizeof *fixture);

    fixture->root = scratch_new();
    fixture->key = uuid_random();
    fixture->shared = mmap(NULL, sizeof *fixture->shared, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (fixture->shared == MAP_FAILED || pipe2(fixture->said, O_CLOEXEC) < 0)
        abort();
    said_fd = fixture->said[1];
    waiting_calls = 0;
    *state = fixture;
    alarm(60); /* a hang fails */
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    scratch_free(fixture->root);
    munmap(fixture->shared, sizeof *fixture->shared);
    close(fixture->said[0]);
    close(fixture->said[1]);
    free(fixture);
    return 0;
}

static int lock(struct fixture *fixture)
{
    struct err e;
    int fd = pipeline_lock(fixture->root, &fixture->key, on_waiting, &e);

    assert_true(fd >= 0);
    return fd;
}

/* Nothing of cmocka may run in a child: it gives its verdict by its exit status. */
static pid_t start_child(struct fixture *fixture, int (*body)(struct fixture *fixture))
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(60);
        _exit(body(fixture));
    }
    return pid;
}

static void assert_child_is_content(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void assert_hears(struct fixture *fixture, char letter)
{
    char heard = 0;

    assert_int_equal(read(fixture->said[0], &heard, 1), 1);
    assert_int_equal(heard, letter);
}

/* --- alone --- */

static void free_lock_is_taken_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct stat st;
    auto_free char *path = mem_printf("%s/locks/%s", fixture->root, fixture->key.text);
    int fd = lock(fixture);

    assert_int_equal(waiting_calls, 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC); /* no child may keep it */
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777 & ~0600u, 0); /* nobody else may open and hold it */
    close(fd);

    close(lock(fixture)); /* the file that remains is free */
    assert_int_equal(waiting_calls, 0);
}

static void root_is_made_with_its_parents(void **state)
{
    struct fixture *fixture = *state;
    struct err e;
    auto_free char *root = fs_join(fixture->root, "not/yet/there");
    auto_close int fd = pipeline_lock(root, &fixture->key, on_waiting, &e);

    assert_true(fd >= 0);
}

static void pipelines_do_not_wait_for_each_other(void **state)
{
    struct fixture *fixture = *state;
    struct uuid other = uuid_random();
    struct err e;
    auto_close int first = lock(fixture);
    auto_close int second = pipeline_lock(fixture->root, &other, on_waiting, &e);

    assert_true(first >= 0);
    assert_true(second >= 0);
    assert_int_equal(waiting_calls, 0);
}

static void refuses_where_no_file_can_be(void **state)
{
    struct fixture *fixture = *state;
    auto_free char *directory = fs_join(fixture->root, "locks");
    auto_free char *in_the_way = fs_join(directory, fixture->key.text);
    auto_free char *file = scratch_write(fixture->root, "file", "");
    struct err e = {0};

    assert_int_equal(fs_mkdirs(in_the_way, 0700, &e), 0);
    assert_int_equal(pipeline_lock(fixture->root, &fixture->key, on_waiting, &e), -1);
    assert_int_not_equal(e.code, ERR_CANCELLED);
    assert_non_null(strstr(e.text, in_the_way));

    e = (struct err){0};
    assert_int_equal(pipeline_lock(file, &fixture->key, on_waiting, &e), -1);
    assert_int_not_equal(e.code, ERR_CANCELLED);
    assert_non_null(strstr(e.text, file));
    assert_int_equal(waiting_calls, 0);
}

/* --- with others --- */

/* Waits, and checks that it had to. */
static int wait_for_turn(struct fixture *fixture)
{
    struct err e;
    int fd = pipeline_lock(fixture->root, &fixture->key, on_waiting, &e);

    if (fd < 0 || !fixture->shared->is_released || waiting_calls != 1)
        return 1;
    say('l');
    return 0;
}

static void second_one_waits_for_the_first(void **state)
{
    struct fixture *fixture = *state;
    int fd = lock(fixture);
    pid_t child = start_child(fixture, wait_for_turn);

    assert_hears(fixture, 'w');
    fixture->shared->is_released = 1;
    /* The child has a copy of the descriptor, as any fork without exec has: unlocking by hand is
     * for this test only. */
    assert_int_equal(flock(fd, LOCK_UN), 0);
    close(fd);
    assert_hears(fixture, 'l');
    assert_child_is_content(child);
}

static int hold_until_killed(struct fixture *fixture)
{
    struct err e;

    if (pipeline_lock(fixture->root, &fixture->key, on_waiting, &e) < 0)
        return 1;
    say('l');
    for (;;)
        pause();
}

static void death_lets_the_next_one_in(void **state)
{
    struct fixture *fixture = *state;
    pid_t child = start_child(fixture, hold_until_killed);

    assert_hears(fixture, 'l');
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(lock(fixture));
    assert_int_equal(waiting_calls, 0);
}

static void on_alarm(int number)
{
    (void)number;
}

/* Ticks, so that one comes after the waiting has begun, whenever that is. */
static int be_interrupted(struct fixture *fixture)
{
    const struct sigaction note = {.sa_handler = on_alarm};
    const struct itimerval ticks = {.it_interval.tv_usec = 10000, .it_value.tv_usec = 10000};
    struct err e = {0};

    if (sigaction(SIGALRM, &note, NULL) < 0 || setitimer(ITIMER_REAL, &ticks, NULL) < 0)
        return 1;
    if (pipeline_lock(fixture->root, &fixture->key, on_waiting, &e) >= 0)
        return 2;
    return e.code == ERR_CANCELLED && waiting_calls == 1 ? 0 : 3;
}

static void signal_ends_the_waiting(void **state)
{
    struct fixture *fixture = *state;
    pid_t holder = start_child(fixture, hold_until_killed);

    assert_hears(fixture, 'l');
    assert_child_is_content(start_child(fixture, be_interrupted));
    assert_hears(fixture, 'w');
    assert_int_equal(kill(holder, SIGKILL), 0);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    close(lock(fixture)); /* who gave up does not stand in the way */
    assert_int_equal(waiting_calls, 0);
}

#define VISITORS 6
#define VISITS   100

static void ignore_waiting(void)
{
}

static int visit_often(struct fixture *fixture)
{
    struct shared *shared = fixture->shared;
    struct err e;

    for (int i = 0; i < VISITS; i++) {
        auto_close int fd = pipeline_lock(fixture->root, &fixture->key, ignore_waiting, &e);
        if (fd < 0 || shared->inside != 0)
            return 1;
        shared->inside = 1;
        int visits = shared->visits; /* not atomic: a second one inside would lose visits */
        sched_yield();
        shared->visits = visits + 1;
        shared->inside = 0;
    }
    return 0;
}

static void never_two_at_a_time(void **state)
{
    struct fixture *fixture = *state;
    pid_t children[VISITORS];

    for (int i = 0; i < VISITORS; i++)
        children[i] = start_child(fixture, visit_often);
    for (int i = 0; i < VISITORS; i++)
        assert_child_is_content(children[i]);
    assert_int_equal(fixture->shared->visits, VISITORS * VISITS);
}

/* ---- without waiting, as a service does ---- */

static void trying_does_not_wait(void **state)
{
    struct fixture *fixture = *state;
    struct err e = {0};
    int first = pipeline_lock(fixture->root, &fixture->key, on_waiting, &e);

    assert_true(first >= 0);
    assert_int_equal(pipeline_try_lock(fixture->root, fixture->key.text, &e), -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    close(first);
    int second = pipeline_try_lock(fixture->root, fixture->key.text, &e);
    assert_true(second >= 0);
    assert_int_equal(pipeline_try_lock(fixture->root, fixture->key.text, &e), -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    close(second);
    assert_int_equal(waiting_calls, 0);
}

static bool has_news(int fd)
{
    struct pollfd waits = {fd, POLLIN, 0};
    char notes[4096];
    bool found = poll(&waits, 1, 0) == 1;

    while (found && read(fd, notes, sizeof notes) > 0)
        ;
    return found;
}

/* Letting go is told; trying in vain is not, for it would have whoever tries woken by himself. */
static void letting_go_is_told_and_trying_is_not(void **state)
{
    struct fixture *fixture = *state;
    struct err e = {0};
    auto_close int watch = pipeline_lock_watch(fixture->root, &e);

    assert_true(watch >= 0);
    int fd = pipeline_lock(fixture->root, &fixture->key, on_waiting, &e);
    assert_true(fd >= 0);
    assert_false(has_news(watch));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pipeline_try_lock(fixture->root, fixture->key.text, &e), -1);
    assert_false(has_news(watch));
    close(fd);
    assert_true(has_news(watch));
    assert_false(has_news(watch));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(free_lock_is_taken_at_once),
        TEST(root_is_made_with_its_parents),
        TEST(pipelines_do_not_wait_for_each_other),
        TEST(refuses_where_no_file_can_be),
        TEST(second_one_waits_for_the_first),
        TEST(death_lets_the_next_one_in),
        TEST(signal_ends_the_waiting),
        TEST(never_two_at_a_time),
        TEST(trying_does_not_wait),
        TEST(letting_go_is_told_and_trying_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
