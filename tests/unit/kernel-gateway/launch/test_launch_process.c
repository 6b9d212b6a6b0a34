#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/child.h"
#include "base/fs.h"
#include "base/id.h"

#include "tests/unit/kernel-gateway/launch/launch_watch.c"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* An attempt of its own for each test, so that what one leaves over cannot be another's. */
struct script {
    char attempt[40];
    const char *argv[4];
    struct launch_place place;
    struct launch_program program;
};

static struct script *script_of(struct script *script, const char *text)
{
    *script = (struct script){.argv = {"/bin/bash", "-c", text, NULL}};
    random_hex(script->attempt, 32);
    script->place = (struct launch_place){.launcher = LAUNCHER_PROCESS,
                                          .attempt = script->attempt,
                                          .state_id = "state",
                                          .cancel_fd = -1};
    script->program = (struct launch_program){.argv = script->argv, .cwd = "/"};
    return script;
}

static size_t left_of(const struct script *script)
{
    return child_kill_marked("SEGUE_ATTEMPT", script->attempt);
}

static void run(struct watch *watch, struct script *script)
{
    watch_start(watch, &script->place, &script->program);
    loop_run(watch->loop);
}

/* --- output and end --- */

static void tells_how_a_program_ended(void **state)
{
    static const struct {
        const char *script;
        bool by_signal;
        int code;
        const char *text;
    } rows[] = {
        {"exit 0", false, 0, "exit status 0"},
        {"exit 3", false, 3, "exit status 3"},
        {"exit 137", false, 137, "exit status 137"},
        {"kill -TERM $$", true, SIGTERM, "killed by SIGTERM"},
        {"kill -SEGV $$", true, SIGSEGV, "killed by SIGSEGV"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct watch watch = {0};
        struct script script;

        run(&watch, script_of(&script, rows[i].script));
        assert_int_equal(watch.ended, 1);
        assert_true(watch.end.started);
        assert_int_equal(watch.end.by_signal, rows[i].by_signal);
        assert_int_equal(watch.end.code, rows[i].code);
        assert_string_equal(watch.end.text, rows[i].text);
        assert_false(watch.end.lost);
        assert_false(watch.end.out_of_memory);
        watch_clear(&watch);
    }
}

static void a_kill_from_outside_is_no_lack_of_memory(void **state)
{
    struct watch watch = {0};
    struct script script;

    (void)state;
    run(&watch, script_of(&script, "kill -KILL $$"));
    assert_true(watch.end.by_signal);
    assert_int_equal(watch.end.code, SIGKILL);
    assert_false(watch.end.out_of_memory);
    assert_memory_equal(watch.end.text, "killed by SIGKILL", 17);
    watch_clear(&watch);
}

static void keeps_the_two_outputs_apart_and_their_bytes_as_they_are(void **state)
{
    struct watch watch = {0};
    struct script script;

    (void)state;
    run(&watch, script_of(&script, "printf 'a\\0b\\377'; printf 'error' >&2"));
    assert_int_equal(watch.output[1].len, 4);
    assert_memory_equal(watch.output[1].data, "a\0b\377", 4);
    assert_string_equal(buf_text(&watch.output[2]), "error");
    watch_clear(&watch);
}

static void on_turn(void *user)
{
    ++*(size_t *)user;
}

static void a_flood_arrives_whole_and_in_turns(void **state)
{
    enum { BYTES = 20000000, ROUND_MAX = 64 * 1024 };
    struct watch watch = {0};
    struct script script;
    size_t turns = 0;

    (void)state;
    script_of(&script, "head -c 20000000 /dev/zero; exit 7");
    watch_start(&watch, &script.place, &script.program);
    struct loop_source *timer = loop_add_timer(watch.loop, on_turn, &turns);
    while (!watch.ended) {
        loop_arm_in(timer, 0);
        loop_dispatch(watch.loop, -1);
    }
    assert_int_equal(watch.output[1].len, BYTES);
    assert_int_equal(watch.end.code, 7);
    /* Each read is bounded, so the timer had its turns in between. */
    assert_true(watch.calls >= BYTES / ROUND_MAX);
    assert_true(turns > 10);
    watch_clear(&watch);
}

static void output_of_grandchildren_does_not_hold_up_the_end(void **state)
{
    struct watch watch = {0};
    struct script script;

    (void)state;
    /* It holds both pipes for ever, and writes to one of them all the time. */
    run(&watch,
        script_of(&script, "(trap '' PIPE; while :; do echo x; done) & echo first; exit 4"));
    assert_int_equal(watch.ended, 1);
    assert_int_equal(watch.end.code, 4);
    assert_non_null(strstr(buf_text(&watch.output[1]), "first"));
    watch_clear(&watch);
    assert_int_equal(left_of(&script), 0);
}

static void nothing_comes_of_a_program_that_is_not_there(void **state)
{
    struct watch watch = {0};
    struct script script;
    struct err e;

    (void)state;
    script_of(&script, "");
    script.argv[0] = "/nonexistent/program";
    assert_int_equal(watch_try(&watch, &script.place, &script.program, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_null(watch.launch);
    script_of(&script, "true");
    script.program.cwd = "/nonexistent";
    loop_free(watch.loop);
    assert_int_equal(watch_try(&watch, &script.place, &script.program, &e), -1);
    watch_clear(&watch);
}

/* --- what it gets --- */

static void gets_environment_and_directory(void **state)
{
    static const char *const env[] = {"SEGUE_TEST_ONE=new", "SEGUE_TEST_TWO=2", NULL};
    struct watch watch = {0};
    struct script script;
    char expected[200];

    (void)state;
    setenv("SEGUE_TEST_ONE", "old", 1);
    setenv("SEGUE_TEST_KEPT", "kept", 1);
    script_of(&script, "echo $SEGUE_TEST_ONE $SEGUE_TEST_TWO $SEGUE_TEST_KEPT $SEGUE_ATTEMPT; pwd;"
                       "tr '\\0' '\\n' </proc/$$/environ | grep -c ^SEGUE_TEST_ONE=");
    script.program.env = env;
    script.program.cwd = "/usr";
    run(&watch, &script);
    snprintf(expected, sizeof expected, "new 2 kept %s\n/usr\n1\n", script.attempt);
    assert_string_equal(buf_text(&watch.output[1]), expected);
    unsetenv("SEGUE_TEST_ONE");
    unsetenv("SEGUE_TEST_KEPT");
    watch_clear(&watch);
}

static void reads_nothing_and_leads_its_own_session(void **state)
{
    struct watch watch = {0};
    struct script script;
    char expected[64];

    (void)state;
    script_of(&script, "cat; set -- $(cat /proc/$$/stat); echo $5 $6; exec sleep 1000");
    watch.stop_at = "\n";
    run(&watch, &script);
    pid_t pid = launch_pid(watch.launch);
    snprintf(expected, sizeof expected, "%d %d\n", pid, pid);
    assert_string_equal(buf_text(&watch.output[1]), expected);
    watch_clear(&watch);
}

static void runs_as_another_user(void **state)
{
    struct watch watch = {0};
    struct script script;

    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: changing the user needs root\n");
        skip();
    }
    script_of(&script, "echo $(id -u) $(id -g) $(id -G) $HOME $USER ${XDG_RUNTIME_DIR-none}");
    script.place.change_user = true;
    script.place.uid = 12345;
    script.place.gid = 54321;
    setenv("XDG_RUNTIME_DIR", "/run/user/0", 1);
    run(&watch, &script);
    assert_string_equal(buf_text(&watch.output[1]), "12345 54321 54321 /tmp 12345 none\n");
    unsetenv("XDG_RUNTIME_DIR");
    watch_clear(&watch);
}

/* --- signals and clearing up --- */

static void signals_reach_children_too(void **state)
{
    struct watch watch = {0};
    struct script script;

    (void)state;
    script_of(&script, "trap 'echo parent' INT; bash -c 'echo ready; exec sleep 1000';"
                       " echo child $?; exit 5");
    watch.stop_at = "ready";
    run(&watch, &script);
    launch_signal(watch.launch, SIGINT);
    watch_to_the_end(&watch);
    assert_int_equal(watch.end.code, 5);
    assert_non_null(strstr(watch.output[1].data, "child 130"));
    assert_non_null(strstr(watch.output[1].data, "parent"));
    launch_signal(watch.launch, SIGINT); /* to nobody */
    watch_clear(&watch);
}

static void a_kill_of_ours_is_told_as_such(void **state)
{
    struct watch watch = {0};
    struct script script;

    (void)state;
    watch_start(&watch, &script_of(&script, "exec sleep 1000")->place, &script.program);
    launch_signal(watch.launch, SIGKILL);
    watch_to_the_end(&watch);
    assert_string_equal(watch.end.text, "killed by SIGKILL");
    watch_clear(&watch);
}

static void freeing_leaves_nothing_behind(void **state)
{
    struct watch watch = {0};
    struct script script;

    (void)state;
    /* One child in the group, one that left it, one without the mark but in the group. */
    script_of(&script, "trap '' TERM; sleep 1000 & setsid sleep 1000 & env -i sleep 1000 &"
                       " echo $!; wait");
    watch.stop_at = "\n";
    run(&watch, &script);
    pid_t unmarked = (pid_t)strtol(watch.output[1].data, NULL, 10);
    int pidfd = pidfd_open(unmarked, 0);
    struct pollfd gone = {.fd = pidfd, .events = POLLIN};
    assert_true(pidfd >= 0);
    pid_t pid = launch_pid(watch.launch);
    watch_clear(&watch);
    assert_int_equal(left_of(&script), 0);
    assert_int_equal(poll(&gone, 1, -1), 1);
    assert_int_equal(kill(pid, 0), -1); /* reaped as well */
    close(pidfd);
}

/* The way of a keeper, to which its children's children come when they lose their parents. */
static void freeing_in_a_subreaper_leaves_nothing_behind(void **state)
{
    struct watch watch = {0};
    struct script script;

    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    freeing_leaves_nothing_behind(state);
    /* Its parent ended long ago, nobody of its group is left. */
    run(&watch, script_of(&script, "(setsid sleep 1000 >&- 2>&- &)"));
    assert_int_equal(watch.ended, 1);
    watch_clear(&watch);
    assert_int_equal(left_of(&script), 0);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static void may_be_freed_inside_its_events(void **state)
{
    struct watch in_output = {.free_in_output = true}, in_ended = {.free_in_ended = true};
    struct script script;

    (void)state;
    run(&in_output, script_of(&script, "echo x; exec sleep 1000"));
    assert_int_equal(in_output.ended, 0);
    assert_int_equal(left_of(&script), 0);
    watch_clear(&in_output);

    run(&in_ended, script_of(&script, "echo x"));
    assert_int_equal(in_ended.ended, 1);
    watch_clear(&in_ended);
    launch_free(NULL);
}

static void cleaning_kills_what_an_earlier_life_left(void **state)
{
    struct watch watch = {0};
    struct script script;
    struct err e;

    (void)state;
    script_of(&script, "setsid sleep 1000 & echo up; wait");
    watch.stop_at = "up";
    run(&watch, &script);
    assert_int_equal(launch_clean(LAUNCHER_PROCESS, "another-attempt", &e), 0);
    assert_int_equal(watch.ended, 0);
    assert_int_equal(launch_clean(LAUNCHER_PROCESS, script.attempt, &e), 0);
    watch_to_the_end(&watch);
    assert_int_equal(watch.end.code, SIGKILL);
    assert_int_equal(left_of(&script), 0);
    watch_clear(&watch);
}

/* --- when the keeper itself is killed --- */

/* In a process of its own: starts the program, tells its pid, and runs for ever. */
static void be_keeper(struct script *script, int tell)
{
    struct watch watch = {0};
    struct err e;

    if (watch_try(&watch, &script->place, &script->program, &e) < 0)
        _exit(1);
    pid_t pid = launch_pid(watch.launch);
    if (write(tell, &pid, sizeof pid) != sizeof pid)
        _exit(1);
    for (;;)
        loop_dispatch(watch.loop, -1);
}

static void check_dies_with_its_keeper(struct script *script)
{
    int tell[2];
    pid_t pid;

    prctl(PR_SET_CHILD_SUBREAPER, 1); /* so that the orphan can be waited for here */
    assert_int_equal(pipe2(tell, O_CLOEXEC), 0);
    pid_t keeper = fork();
    if (keeper == 0)
        be_keeper(script, tell[1]);
    close(tell[1]);
    assert_int_equal(read(tell[0], &pid, sizeof pid), sizeof pid);
    int pidfd = pidfd_open(pid, 0);
    struct pollfd gone = {.fd = pidfd, .events = POLLIN};
    assert_int_equal(kill(keeper, SIGKILL), 0);
    assert_int_equal(waitpid(keeper, NULL, 0), keeper);
    assert_int_equal(poll(&gone, 1, -1), 1);
    waitpid(pid, NULL, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    close(pidfd);
    close(tell[0]);
}

static void dies_with_its_keeper(void **state)
{
    struct script script;

    (void)state;
    check_dies_with_its_keeper(script_of(&script, "exec sleep 1000"));
    if (geteuid() != 0) {
        print_message("skipped: changing the user needs root\n");
        return;
    }
    script_of(&script, "exec sleep 1000");
    script.place.change_user = true;
    script.place.uid = 12345;
    script.place.gid = 12345;
    check_dies_with_its_keeper(&script);
}

/* --- names --- */

static void launchers_have_names(void **state)
{
    enum launcher_kind kind;

    (void)state;
    assert_string_equal(launcher_name(LAUNCHER_PROCESS), "process");
    assert_string_equal(launcher_name(LAUNCHER_DOCKER), "docker");
    assert_true(launcher_of_name("docker", &kind));
    assert_int_equal(kind, LAUNCHER_DOCKER);
    assert_true(launcher_of_name("process", &kind));
    assert_int_equal(kind, LAUNCHER_PROCESS);
    assert_false(launcher_of_name("Docker", &kind));
    assert_false(launcher_of_name("", &kind));
}

/* What the kernel says of the session that the program has for itself. */
static bool session_has(const struct launch *launch, const char *nice)
{
    auto_free char *path = mem_printf("/proc/%d/autogroup", (int)launch_pid(launch));
    auto_buf struct buf text = {0};
    struct err e;

    assert_int_equal(fs_read(path, 100, &text, &e), 0);
    return strstr(buf_text(&text), nice) != NULL;
}

/* Niceness alone says nothing to the processes of other sessions. */
static void its_session_is_nice_to_others(void **state)
{
    struct watch watch = {0};
    struct script script;

    (void)state;
    if (!fs_exists("/proc/self/autogroup"))
        skip(); /* this kernel knows no such groups */
    script_of(&script, "echo up; read line");
    script.place.nice = 7;
    watch_start(&watch, &script.place, &script.program);
    while (!session_has(watch.launch, "nice 7\n")) /* others may have been there a moment ago */
        loop_dispatch(watch.loop, -1);
    watch_clear(&watch);
    script.place.nice = 0;
    watch_start(&watch, &script.place, &script.program);
    assert_true(session_has(watch.launch, "nice 0\n"));
    watch_clear(&watch);
    assert_int_equal(left_of(&script), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_how_a_program_ended),
        cmocka_unit_test(a_kill_from_outside_is_no_lack_of_memory),
        cmocka_unit_test(keeps_the_two_outputs_apart_and_their_bytes_as_they_are),
        cmocka_unit_test(a_flood_arrives_whole_and_in_turns),
        cmocka_unit_test(output_of_grandchildren_does_not_hold_up_the_end),
        cmocka_unit_test(nothing_comes_of_a_program_that_is_not_there),
        cmocka_unit_test(gets_environment_and_directory),
        cmocka_unit_test(reads_nothing_and_leads_its_own_session),
        cmocka_unit_test(runs_as_another_user),
        cmocka_unit_test(signals_reach_children_too),
        cmocka_unit_test(a_kill_of_ours_is_told_as_such),
        cmocka_unit_test(freeing_leaves_nothing_behind),
        cmocka_unit_test(freeing_in_a_subreaper_leaves_nothing_behind),
        cmocka_unit_test(may_be_freed_inside_its_events),
        cmocka_unit_test(cleaning_kills_what_an_earlier_life_left),
        cmocka_unit_test(dies_with_its_keeper),
        cmocka_unit_test(launchers_have_names),
        cmocka_unit_test(its_session_is_nice_to_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
