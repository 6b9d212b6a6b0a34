/* The program is its own child for what a shell cannot show: called with an argument, it does what
 * the argument names instead of testing.
 */
#include "base/buf.h"
#include "base/child.h"
#include "base/fs.h"
#include "base/id.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>

#include <cmocka.h>

static const char *const ENV[] = {"PATH=/usr/bin:/bin", "ASAN_OPTIONS=detect_leaks=0", NULL};

#define ARGV(...)     ((const char *const[]){__VA_ARGS__, NULL})
#define SHELL(script) ARGV("sh", "-c", script)
#define SELF(what)    ARGV("/proc/self/exe", what)

static struct err e;

/* --- what the program does as a child --- */

static int show_fds(int on)
{
    for (int fd = 0; fd < 1024; fd++) {
        char path[64], target[200] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (fcntl(fd, F_GETFD) >= 0 && readlink(path, target, sizeof target - 1) > 0)
            dprintf(on, "%d=%s %s\n", fd, target,
                    fcntl(fd, F_GETFD) & FD_CLOEXEC ? "closes" : "stays");
    }
    return 0;
}

static int show_session(void)
{
    printf("%d %d", getsid(0) == getpid(), getpgrp() == getpid());
    return 0;
}

static int show_user(void)
{
    gid_t groups[10];
    uid_t r, eff, saved;
    gid_t gr, geff, gsaved;
    getresuid(&r, &eff, &saved);
    getresgid(&gr, &geff, &gsaved);
    printf("%u %u %u %u %u %u %d", r, eff, saved, gr, geff, gsaved, getgroups(10, groups));
    return 0;
}

/* Starts somebody who holds descriptor 3 and is to die with us, and dies. */
static int start_and_die(void)
{
    struct child child;
    const struct child_fd fds[] = {{3, 3}};
    const struct child_options o = {
        .argv = ARGV("sleep", "1000"),
        .env = ENV,
        .fds = fds,
        .fd_count = 1,
        .death_signal = SIGKILL,
    };
    if (child_start(&o, &child, &e) < 0)
        return 1;
    return raise(SIGKILL);
}

/* A family of 200 that comes into being while it is hunted. */
static int fork_much(void)
{
    for (int i = 0; i < 200; i++) {
        if (fork() == 0) {
            while (1)
                pause();
        }
        if (i == 10 && write(3, "up", 2) != 2)
            return 1;
    }
    while (1)
        pause();
}

/* Has so much memory that its end takes a while. */
static int be_large(void)
{
    enum { SIZE = 128 << 20 };
    memset(mem_alloc(SIZE), 1, SIZE);
    if (write(3, "up", 2) != 2)
        return 1;
    while (1)
        pause();
}

static int act_as(const char *what)
{
    if (strcmp(what, "fds") == 0)
        return show_fds(1);
    if (strcmp(what, "fds-on-3") == 0)
        return show_fds(3);
    if (strcmp(what, "session") == 0)
        return show_session();
    if (strcmp(what, "user") == 0)
        return show_user();
    if (strcmp(what, "start-and-die") == 0)
        return start_and_die();
    if (strcmp(what, "fork-much") == 0)
        return fork_much();
    if (strcmp(what, "large") == 0)
        return be_large();
    return 99;
}

/* --- starting and looking on --- */

static void read_to_end(int fd, struct buf *out)
{
    char part[1000];
    for (ssize_t got; (got = read(fd, part, sizeof part)) > 0;)
        buf_put(out, part, (size_t)got);
}

static struct child_status wait_for(struct child *child)
{
    struct pollfd p = {.fd = child->pidfd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, -1), 1);
    struct child_status status;
    assert_true(child_reap(child->pid, &status));
    close(child->pidfd);
    return status;
}

static void assert_exits_with(struct child *child, int code)
{
    struct child_status status = wait_for(child);
    assert_true(status.exited);
    assert_int_equal(status.code, code);
}

/* Starts it with a pipe for `fd` more than the options have, gives the end to read from. */
static int start_with_pipe(const struct child_options *options, int fd, struct child *ret_child)
{
    int ends[2];
    struct child_fd fds[8];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    for (size_t i = 0; i < options->fd_count; i++)
        fds[i] = options->fds[i];
    fds[options->fd_count] = (struct child_fd){ends[1], fd};
    struct child_options o = *options;
    o.fds = fds;
    o.fd_count++;
    int result = child_start(&o, ret_child, &e);
    close(ends[1]);
    if (result < 0)
        fail_msg("%s", e.text);
    return ends[0];
}

/* Runs it to its end: status 0, and what it printed. */
static void output_of(const struct child_options *options, struct buf *out)
{
    struct child child;
    auto_close int reader = start_with_pipe(options, 1, &child);
    read_to_end(reader, out);
    assert_exits_with(&child, 0);
}

static void assert_prints(const char *const *argv, const char *expected)
{
    auto_buf struct buf out = {0};
    output_of(&(struct child_options){.argv = argv, .env = ENV}, &out);
    assert_string_equal(buf_text(&out), expected);
}

static int count_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void assert_refused(const struct child_options *options, enum err_code code,
                           const char *text)
{
    struct child child = {-5, -5};
    int before = count_fds();
    assert_int_equal(child_start(options, &child, &e), -1);
    assert_int_equal(e.code, code);
    assert_string_equal(e.text, text);
    assert_int_equal(child.pid, -5);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left, */
    assert_int_equal(errno, ECHILD);
    assert_int_equal(count_fds(), before); /* and no descriptor */
}

/* --- tests --- */

static void runs_a_program(void **state)
{
    (void)state;
    struct child child;
    const struct child_options o = {.argv = SHELL("echo out; exit 3"), .env = ENV};
    auto_close int reader = start_with_pipe(&o, 1, &child);
    assert_int_equal(fcntl(child.pidfd, F_GETFD), FD_CLOEXEC);
    auto_buf struct buf out = {0};
    read_to_end(reader, &out);
    assert_string_equal(buf_text(&out), "out\n");
    assert_exits_with(&child, 3);
    struct child_status status;
    assert_false(child_reap(child.pid, &status));
}

static void gives_exactly_its_environment(void **state)
{
    (void)state;
    static const char *const env[] = {"A=1", "PATH=/usr/bin:/bin", "B=x y", NULL};
    setenv("OF_THE_PARENT", "1", 1);
    auto_buf struct buf out = {0};
    output_of(&(struct child_options){.argv = ARGV("env"), .env = env}, &out);
    assert_string_equal(buf_text(&out), "A=1\nPATH=/usr/bin:/bin\nB=x y\n");
}

static void gives_exactly_its_descriptors(void **state)
{
    (void)state;
    int a = open("/dev/zero", O_RDONLY | O_CLOEXEC), b = open("/dev/full", O_RDONLY | O_CLOEXEC);
    int unwanted[] = {dup(0), dup(a), fcntl(a, F_DUPFD, 500)}; /* not close-on-exec */
    const struct child_fd fds[] = {{a, b}, {b, a}, {a, 200}, {a, 0}, {b, unwanted[1]}};
    const struct child_options o = {.argv = SELF("fds"), .env = ENV, .fds = fds, .fd_count = 5};
    auto_buf struct buf out = {0};
    output_of(&o, &out);

    auto_free char *expected =
        mem_printf("2=/dev/null stays\n%d=/dev/full stays\n%d=/dev/zero stays\n%d=/dev/full stays\n"
                   "200=/dev/zero stays\n",
                   a, b, unwanted[1]);
    const char *second = strchr(buf_text(&out), '\n');
    assert_non_null(second);
    assert_memory_equal(buf_text(&out), "0=/dev/zero stays\n", 18);
    assert_memory_equal(second + 1, "1=pipe:", 7);
    second = strchr(second + 1, '\n');
    assert_non_null(second);
    assert_string_equal(second + 1, expected);
    for (int i = 0; i < 3; i++)
        close(unwanted[i]);
    close(a);
    close(b);
}

/* Also when the parent's own are closed, so that the descriptors made on the way get their numbers.
 */
static void fills_up_with_dev_null(void **state)
{
    (void)state;
    int saved[3], ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const struct child_fd fds[] = {{ends[1], 3}};
    const struct child_options o = {
        .argv = SELF("fds-on-3"),
        .env = ENV,
        .fds = fds,
        .fd_count = 1,
    };
    for (int i = 0; i < 3; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
        close(i);
    }
    struct child child;
    int result = child_start(&o, &child, &e);
    child.pidfd = fcntl(child.pidfd, F_DUPFD_CLOEXEC, 10); /* it took one of the free numbers */
    for (int i = 0; i < 3; i++) {
        dup2(saved[i], i);
        close(saved[i]);
    }
    assert_int_equal(result, 0);
    close(ends[1]);
    auto_buf struct buf out = {0};
    read_to_end(ends[0], &out);
    close(ends[0]);
    assert_exits_with(&child, 0);
    static const char expected[] = "0=/dev/null stays\n1=/dev/null stays\n2=/dev/null stays\n3=";
    assert_memory_equal(buf_text(&out), expected, sizeof expected - 1);
}

static void makes_a_session(void **state)
{
    (void)state;
    assert_prints(SELF("session"), "1 1");
}

static void enters_the_directory(void **state)
{
    (void)state;
    auto_buf struct buf out = {0};
    output_of(&(struct child_options){.argv = ARGV("pwd"), .env = ENV, .cwd = "/usr/bin"}, &out);
    assert_string_equal(buf_text(&out), "/usr/bin\n");
}

/* The shell takes what it is born with; what it says of itself is what it got. */
static void resets_signals(void **state)
{
    (void)state;
    sigset_t mask, old;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGRTMIN + 3);
    pthread_sigmask(SIG_BLOCK, &mask, &old);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGRTMAX, SIG_IGN);
    assert_prints(ARGV("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"),
                  "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, &old, &now);
    assert_int_equal(sigismember(&now, SIGTERM), 1); /* ours are as before */
    assert_int_equal(sigismember(&now, SIGINT), 0);
    struct sigaction action;
    sigaction(SIGPIPE, NULL, &action);
    assert_true(action.sa_handler == SIG_IGN);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGRTMAX, SIG_DFL);
}

/* The program may lie where the other user must not go: a copy that anybody may execute. */
static void changes_the_user(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("SKIPPED: changing the user needs root\n");
        skip();
    }
    char path[] = "/tmp/test-child-XXXXXX";
    close(mkstemp(path));
    assert_int_equal(fs_copy("/proc/self/exe", path, 0755, &e), 0);
    assert_int_equal(chmod(path, 0755), 0);
    setgroups(1, (gid_t[]){4});
    auto_buf struct buf out = {0};
    const struct child_options o = {
        .argv = ARGV(path, "user"), .env = ENV, .change_user = true, .uid = 1234, .gid = 2345};
    output_of(&o, &out);
    unlink(path);
    assert_string_equal(buf_text(&out), "1234 1234 1234 2345 2345 2345 0");
    assert_int_equal(geteuid(), 0);
}

static void tells_why_it_cannot_start(void **state)
{
    (void)state;
    char path[] = "/tmp/test-child-XXXXXX";
    close(mkstemp(path));
    auto_free char *not_executable =
        mem_printf("cannot start \"%s\": cannot execute it: permission denied", path);
    assert_refused(&(struct child_options){.argv = ARGV(path), .env = ENV}, ERR_IO, not_executable);
    chmod(path, 0700);
    auto_free char *empty =
        mem_printf("cannot start \"%s\": cannot execute it: exec format error", path);
    assert_refused(&(struct child_options){.argv = ARGV(path), .env = ENV}, ERR_IO, empty);
    unlink(path);

    assert_refused(&(struct child_options){.argv = ARGV("no-such-program"), .env = ENV},
                   ERR_NOT_FOUND, "cannot start \"no-such-program\": no such program in PATH");
    assert_refused(&(struct child_options){.argv = ARGV("/no/such"), .env = ENV}, ERR_NOT_FOUND,
                   "cannot start \"/no/such\": cannot execute it: no such file or directory");
    assert_refused(&(struct child_options){.argv = ARGV("sh"), .env = ENV, .cwd = "/no/such"},
                   ERR_IO,
                   "cannot start \"sh\": cannot enter the directory: no such file or directory");
    const struct child_fd bad[] = {{900, 5}}, large[] = {{0, 1 << 30}};
    assert_refused(
        &(struct child_options){.argv = ARGV("sh"), .env = ENV, .fds = bad, .fd_count = 1}, ERR_IO,
        "cannot start \"sh\": cannot hand over the descriptors: bad file descriptor");
    assert_refused(
        &(struct child_options){.argv = ARGV("sh"), .env = ENV, .fds = large, .fd_count = 1},
        ERR_IO, "cannot start \"sh\": cannot hand over the descriptors: invalid argument");
}

static void finds_programs(void **state)
{
    (void)state;
    auto_free char *sh = child_find_program("sh", "/no/such::/bin:/usr/bin");
    assert_string_equal(sh, "/bin/sh");
    auto_free char *slash = child_find_program("./x", NULL);
    assert_string_equal(slash, "./x");
    auto_free char *ours = child_find_program("sh", NULL);
    assert_non_null(ours);
    assert_null(child_find_program("sh", ""));
    assert_null(child_find_program("sh", "/no/such"));
    assert_null(child_find_program("", "/bin"));
    assert_null(child_find_program("bin", "/:/usr"));  /* a directory */
    assert_null(child_find_program("passwd", "/etc")); /* not executable */
    assert_int_equal(chdir("/bin"), 0);
    assert_null(child_find_program("sh", "::")); /* not the working directory */
    assert_int_equal(chdir("/"), 0);
}

static void looks_in_the_path_of_the_environment(void **state)
{
    (void)state;
    static const char *const env[] = {"PATH=/no/such", NULL}, *const none[] = {NULL};
    assert_refused(&(struct child_options){.argv = ARGV("sh"), .env = env}, ERR_NOT_FOUND,
                   "cannot start \"sh\": no such program in PATH");
    auto_buf struct buf out = {0};
    output_of(&(struct child_options){.argv = SHELL("echo found"), .env = none}, &out);
    assert_string_equal(buf_text(&out), "found\n");
}

/* It would sleep for 1000 seconds; the pipe that it holds closes when it is gone. */
static void dies_with_its_parent(void **state)
{
    (void)state;
    struct child child;
    const struct child_options o = {.argv = SELF("start-and-die"), .env = ENV};
    auto_close int reader = start_with_pipe(&o, 3, &child);
    auto_buf struct buf out = {0};
    read_to_end(reader, &out);
    struct child_status status = wait_for(&child);
    assert_false(status.exited);
    assert_int_equal(status.code, SIGKILL);
}

static void signals_the_whole_group(void **state)
{
    (void)state;
    struct child child;
    const struct child_options o = {.argv = SHELL("sleep 1000 & echo up >&3; wait"), .env = ENV};
    auto_close int reader = start_with_pipe(&o, 3, &child);
    char up[3];
    assert_int_equal(read(reader, up, 3), 3);
    struct child_status status;
    assert_false(child_reap(child.pid, &status));
    child_signal_group(child.pid, SIGTERM);
    auto_buf struct buf out = {0};
    read_to_end(reader, &out); /* the sleeper is gone, too */
    status = wait_for(&child);
    assert_false(status.exited);
    assert_int_equal(status.code, SIGTERM);
    child_signal_group(child.pid, SIGTERM); /* nobody is there */
}

static void reaps_only_its_own(void **state)
{
    (void)state;
    struct child_status status;
    assert_false(child_reap(getppid(), &status));
}

/* A mark that no other run of this test has. */
static char *make_mark(void)
{
    char value[17];
    random_hex(value, 16);
    return mem_strdup(value);
}

/* Starts `argv` with MARK=value, waits until it says "up" on descriptor 3, gives the pipe. */
static int start_marked(const char *const *argv, const char *value, struct child *ret_child)
{
    auto_free char *mark = mem_printf("MARK=%s", value);
    const char *const env[] = {ENV[0], ENV[1], mark, NULL};
    int reader = start_with_pipe(&(struct child_options){.argv = argv, .env = env}, 3, ret_child);
    char up[2];
    assert_int_equal(read(reader, up, 2), 2);
    return reader;
}

#define DAEMON                                                                                     \
    SHELL("setsid sh -c 'setsid sh -c \"printf up >&3; exec sleep 1000\" & exit' </dev/null")

static void kills_a_daemon_by_its_mark(void **state)
{
    (void)state;
    struct child child, other;
    auto_free char *value = make_mark(), *longer = mem_printf("%sx", value);
    auto_close int reader = start_marked(DAEMON, value, &child);
    auto_close int kept = start_marked(SHELL("printf up >&3; exec sleep 1000"), longer, &other);
    assert_exits_with(&child, 0); /* what is left is not our child */

    assert_int_equal(child_kill_marked("MARK", value), 1);
    auto_buf struct buf out = {0};
    read_to_end(reader, &out);
    assert_int_equal(child_kill_marked("MARK", value), 0);

    struct child_status status;
    assert_false(child_reap(other.pid, &status)); /* its mark only begins like that one */
    assert_int_equal(child_kill_marked("ARK", longer), 0);
    assert_int_equal(child_kill_marked("MARK", longer), 1);
    assert_true(child_reap(other.pid, &status));
    assert_int_equal(status.code, SIGKILL);
    close(other.pidfd);
}

static void kills_a_family_that_grows(void **state)
{
    (void)state;
    struct child child;
    auto_free char *value = make_mark();
    auto_close int reader = start_marked(SELF("fork-much"), value, &child);
    assert_true(child_kill_marked("MARK", value) >= 11);
    struct pollfd p = {.fd = reader, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 1); /* they have ended, not only been told to */
    assert_int_equal(p.revents, POLLHUP);
    assert_false(wait_for(&child).exited);
}

static void waits_for_the_end_of_the_killed(void **state)
{
    (void)state;
    struct child child;
    struct child_status status;
    auto_free char *value = make_mark();
    auto_close int reader = start_marked(SELF("large"), value, &child);
    assert_int_equal(child_kill_marked("MARK", value), 1);
    assert_true(child_reap(child.pid, &status));
    assert_false(status.exited);
    close(child.pidfd);
}

static void zombies_do_not_count(void **state)
{
    (void)state;
    struct child child;
    auto_free char *value = make_mark();
    auto_close int reader = start_marked(SHELL("printf up >&3"), value, &child);
    struct pollfd p = {.fd = child.pidfd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, -1), 1);
    assert_int_equal(child_kill_marked("MARK", value), 0);
    assert_exits_with(&child, 0);
}

static void *start_twenty(void *unused)
{
    (void)unused;
    for (int i = 0; i < 20; i++)
        assert_prints(SHELL("echo $0 $$ >/dev/null; echo done"), "done\n");
    return NULL;
}

static void starts_from_several_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, start_twenty, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return act_as(argv[1]);
    alarm(60); /* what should die here would sleep for long */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_a_program),
        cmocka_unit_test(gives_exactly_its_environment),
        cmocka_unit_test(gives_exactly_its_descriptors),
        cmocka_unit_test(fills_up_with_dev_null),
        cmocka_unit_test(makes_a_session),
        cmocka_unit_test(enters_the_directory),
        cmocka_unit_test(resets_signals),
        cmocka_unit_test(changes_the_user),
        cmocka_unit_test(tells_why_it_cannot_start),
        cmocka_unit_test(finds_programs),
        cmocka_unit_test(looks_in_the_path_of_the_environment),
        cmocka_unit_test(dies_with_its_parent),
        cmocka_unit_test(signals_the_whole_group),
        cmocka_unit_test(reaps_only_its_own),
        cmocka_unit_test(kills_a_daemon_by_its_mark),
        cmocka_unit_test(kills_a_family_that_grows),
        cmocka_unit_test(waits_for_the_end_of_the_killed),
        cmocka_unit_test(zombies_do_not_count),
        cmocka_unit_test(starts_from_several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
