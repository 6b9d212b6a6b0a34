#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/child.h"
#include "base/id.h"
#include "tests/unit/runner/step/step_keeper.c"

#include <sys/resource.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Runs the script to its end; told_clear. */
static struct told run(enum step_kind kind, const char *name, const char *text)
{
    struct step_keeper keeper;

    step_keeper_init(&keeper, kind, name, text);
    step_keeper_start(&keeper);
    assert_int_equal(step_keeper_wait(&keeper), 0);
    struct told told = told_by(&keeper);
    assert_int_equal(told.ends, 1);
    assert_true(told.is_last);
    assert_int_equal(child_kill_marked("SEGUE_ATTEMPT", keeper.task.attempt_id), 0);
    step_keeper_clear(&keeper);
    return told;
}

static struct told run_shell(const char *text)
{
    return run(STEP_SHELL, "s.sh", text);
}

/* --- ends --- */

static void the_end_says_how_it_went(void **state)
{
    static const struct {
        const char *name, *script, *status, *cause, *message;
    } rows[] = {
        {"success", "exit 0", "SUCCESS", "", ""},
        {"success that complained", "echo careful >&2", "SUCCESS", "", ""},
        {"failure", "exit 3", "FAILURE", "exit_code", "exit status 3"},
        {"the last line of stderr", "echo first >&2; echo 'why: it broke' >&2; exit 1", "FAILURE",
         "exit_code", "exit status 1: why: it broke"},
        {"blank lines behind it", "printf 'why\\n\\n  \\n' >&2; exit 1", "FAILURE", "exit_code",
         "exit status 1: why"},
        {"blank lines only", "printf '\\n\\n' >&2; exit 1", "FAILURE", "exit_code",
         "exit status 1"},
        {"stdout says nothing of it", "echo out; exit 1", "FAILURE", "exit_code", "exit status 1"},
        {"a signal", "kill -SEGV $$", "FAILURE", "exit_code", "killed by SIGSEGV"},
        {"a signal and a word", "echo bye >&2; kill -TERM $$", "FAILURE", "exit_code",
         "killed by SIGTERM: bye"},
        {"characters", "printf 'Größe 日本 🐍' >&2; exit 1", "FAILURE", "exit_code",
         "exit status 1: Größe 日本 🐍"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct told told = run_shell(rows[i].script);
        if (strcmp(told.status, rows[i].status) != 0 || strcmp(told.cause, rows[i].cause) != 0 ||
            strcmp(told.message, rows[i].message) != 0)
            fail_msg("%s: %s %s \"%s\"", rows[i].name, told.status, told.cause, told.message);
        told_clear(&told);
    }
}

/* Of an endless line the end is kept, and whole characters of it. */
static void a_long_last_line_is_cut(void **state)
{
    struct told told = run_shell("for i in $(seq 1000); do printf 'é'; done >&2\n"
                                 "printf 'the end' >&2; exit 1");
    size_t len = strlen(told.message);

    (void)state;
    assert_true(len < 600 && len > 100);
    assert_string_equal(told.message + len - 7, "the end");
    told_clear(&told);
}

/* Of an experiment; whatever it starts is as nice as itself. */
static void it_steps_back_behind_others(void **state)
{
    static const int64_t rows[] = {0, 3, 10};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct step_keeper keeper;
        auto_free char *expected = mem_printf("%d\n", getpriority(PRIO_PROCESS, 0) + (int)rows[i]);

        step_keeper_init(&keeper, STEP_SHELL, "s.sh", "sh -c nice");
        keeper.task.nice = rows[i];
        step_keeper_start(&keeper);
        assert_int_equal(step_keeper_wait(&keeper), 0);
        struct told told = told_by(&keeper);
        assert_string_equal(buf_text(&told.out), expected);
        told_clear(&told);
        step_keeper_clear(&keeper);
    }
}

/* --- output --- */

static void both_outputs_are_kept_apart(void **state)
{
    struct told told = run_shell("echo one; echo two >&2; echo three");

    (void)state;
    assert_string_equal(buf_text(&told.out), "one\nthree\n");
    assert_string_equal(buf_text(&told.error), "two\n");
    told_clear(&told);
}

/* Each byte by itself: characters of 2, 3 and 4 bytes are put together again. */
static void characters_that_were_cut_are_whole_again(void **state)
{
    struct told told = run(STEP_PYTHON, "s.py",
                           "import os, time\n"
                           "for byte in 'aé日🐍ü'.encode():\n"
                           "    os.write(1, bytes([byte])); time.sleep(0.01)\n");

    (void)state;
    assert_string_equal(told.status, "SUCCESS");
    assert_string_equal(buf_text(&told.out), "aé日🐍ü");
    assert_true(told.outputs > 1);
    told_clear(&told);
}

static void bytes_that_are_no_text_are_replaced(void **state)
{
    static const struct {
        const char *name, *script, *text;
    } rows[] = {
        {"a stray byte", "printf 'a\\xffb'",
         "a\xef\xbf\xbd"
         "b"},
        {"a lone continuation", "printf 'a\\x80b'",
         "a\xef\xbf\xbd"
         "b"},
        {"half a character at the end", "printf 'a\\xc3'", "a\xef\xbf\xbd"},
        {"a surrogate", "printf 'a\\xed\\xa0\\x80b'",
         "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
         "b"},
        {"control characters", "printf 'a\\x1b[31m\\x01\\rb'", "a\x1b[31m\x01\rb"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct told told = run_shell(rows[i].script);
        if (strcmp(buf_text(&told.out), rows[i].text) != 0)
            fail_msg("%s: %s", rows[i].name, buf_text(&told.out));
        told_clear(&told);
    }
}

static void a_flood_is_kept_whole(void **state)
{
    struct told told = run_shell("yes 0123456789 | head -c 11000000; echo end");

    (void)state;
    assert_string_equal(told.status, "SUCCESS");
    assert_int_equal(told.out.len, 11000000 + 4);
    assert_string_equal(told.out.data + told.out.len - 4, "end\n");
    told_clear(&told);
}

/* --- surroundings --- */

static void it_runs_where_its_file_lies(void **state)
{
    struct step_keeper keeper;

    (void)state;
    step_keeper_init(&keeper, STEP_SHELL, "sub/dir/s.sh",
                     "pwd; echo $SEGUE_RUN_UUID $SEGUE_STEP_UUID $SEGUE_PROJECT_DIR $MINE; "
                     "[ ! -t 0 ] && cat");
    keeper.task.env = mem_array(2, sizeof *keeper.task.env);
    keeper.task.env[0] = mem_strdup("MINE=my own");
    step_keeper_start(&keeper);
    assert_int_equal(step_keeper_wait(&keeper), 0);
    struct told told = told_by(&keeper);
    auto_free char *expected =
        mem_printf("%s/project/sub/dir\nthe-run_uuid the-step_uuid %s/project my own\n",
                   keeper.root, keeper.root);
    assert_string_equal(buf_text(&told.out), expected);
    told_clear(&told);
    step_keeper_clear(&keeper);
}

static void each_language_has_its_interpreter(void **state)
{
    struct told told = run(STEP_PYTHON, "s.py", "import sys; print(sys.version_info[0])");

    (void)state;
    assert_string_equal(buf_text(&told.out), "3\n");
    told_clear(&told);
}

static void a_missing_interpreter_is_told(void **state)
{
    struct step_keeper keeper;

    (void)state;
    auto_free char *path = mem_strdup(getenv("PATH"));
    setenv("PATH", "/tmp/segue-test-nowhere", 1);
    step_keeper_init(&keeper, STEP_JULIA, "s.jl", "1");
    step_keeper_start(&keeper);
    setenv("PATH", path, 1);
    assert_int_equal(step_keeper_wait(&keeper), 0);
    struct told told = told_by(&keeper);
    assert_string_equal(told.status, "FAILURE");
    assert_string_equal(told.cause, "kernel_start_failed");
    assert_non_null(strstr(told.message, "julia"));
    told_clear(&told);
    step_keeper_clear(&keeper);
}

/* --- stopping --- */

static void a_stop_ends_it(void **state)
{
    static const struct {
        const char *name, *script, *command, *status, *cause;
    } rows[] = {
        {"on request", "echo up; sleep 1000", "cancelled", "ABORTED", "cancelled"},
        {"its time is over", "echo up; sleep 1000", "timeout", "FAILURE", "timeout"},
        {"and it ends in order", "trap 'exit 0' TERM; echo up; sleep 1000 & wait", "cancelled",
         "ABORTED", "cancelled"},
        {"and it does not want to", "trap '' TERM; echo up; while :; do sleep 1000; done",
         "cancelled", "ABORTED", "cancelled"},
        {"with children that left", "setsid sleep 1000 & echo up; sleep 1000", "cancelled",
         "ABORTED", "cancelled"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct step_keeper keeper;
        step_keeper_init(&keeper, STEP_SHELL, "s.sh", rows[i].script);
        step_keeper_start(&keeper);
        step_keeper_await(&keeper, "up");
        step_keeper_stop(&keeper, rows[i].command);
        assert_int_equal(step_keeper_wait(&keeper), 0);
        struct told told = told_by(&keeper);
        if (strcmp(told.status, rows[i].status) != 0 || strcmp(told.cause, rows[i].cause) != 0)
            fail_msg("%s: %s %s", rows[i].name, told.status, told.cause);
        assert_int_equal(told.ends, 1);
        assert_int_equal(child_kill_marked("SEGUE_ATTEMPT", keeper.task.attempt_id), 0);
        told_clear(&told);
        step_keeper_clear(&keeper);
    }
}

static void what_it_says_while_it_is_stopped_is_kept(void **state)
{
    struct step_keeper keeper;

    (void)state;
    step_keeper_init(&keeper, STEP_SHELL, "s.sh",
                     "trap 'echo cleaned up; exit 0' TERM; echo up; sleep 1000 & wait");
    step_keeper_start(&keeper);
    step_keeper_await(&keeper, "up");
    step_keeper_stop(&keeper, "cancelled");
    assert_int_equal(step_keeper_wait(&keeper), 0);
    struct told told = told_by(&keeper);
    assert_string_equal(buf_text(&told.out), "up\ncleaned up\n");
    told_clear(&told);
    step_keeper_clear(&keeper);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_says_how_it_went),
        cmocka_unit_test(a_long_last_line_is_cut),
        cmocka_unit_test(both_outputs_are_kept_apart),
        cmocka_unit_test(characters_that_were_cut_are_whole_again),
        cmocka_unit_test(bytes_that_are_no_text_are_replaced),
        cmocka_unit_test(a_flood_is_kept_whole),
        cmocka_unit_test(it_runs_where_its_file_lies),
        cmocka_unit_test(each_language_has_its_interpreter),
        cmocka_unit_test(a_missing_interpreter_is_told),
        cmocka_unit_test(a_stop_ends_it),
        cmocka_unit_test(it_steps_back_behind_others),
        cmocka_unit_test(what_it_says_while_it_is_stopped_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
