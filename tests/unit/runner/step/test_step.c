#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/child.h"
#include "base/id.h"
#include "tests/unit/runner/step/step_keeper.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Waits, and checks that there is one end and that it is this one. */
static void check_end(struct step_keeper *keeper, const char *status, const char *cause)
{
    assert_int_equal(step_keeper_wait(keeper), 0);
    struct told told = told_by(keeper);
    if (strcmp(told.status, status) != 0 || strcmp(told.cause, cause) != 0)
        fail_msg("%s %s: %s", told.status, told.cause, told.message);
    assert_int_equal(told.ends, 1);
    assert_true(told.is_last);
    assert_int_equal(child_kill_marked("SEGUE_ATTEMPT", keeper->task.attempt_id), 0);
    told_clear(&told);
}

static void a_step_that_cannot_read_its_task_says_so(void **state)
{
    static const char *const rows[] = {NULL, "", "nonsense", "{}", "[]"};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct step_keeper keeper;
        step_keeper_init(&keeper, STEP_SHELL, "s.sh", "echo never");
        if (rows[i])
            scratch_put(keeper.attempt, TASK_FILE, rows[i]);
        step_keeper_fork(&keeper);
        check_end(&keeper, "FAILURE", "internal");
        step_keeper_clear(&keeper);
    }
}

static void who_was_cancelled_before_the_start_does_not_start(void **state)
{
    struct step_keeper keeper;

    (void)state;
    step_keeper_init(&keeper, STEP_SHELL, "s.sh", "echo started");
    step_keeper_stop(&keeper, "cancelled");
    step_keeper_start(&keeper);
    check_end(&keeper, "ABORTED", "cancelled");
    struct told told = told_by(&keeper);
    assert_int_equal(told.lines, 1);
    told_clear(&told);
    step_keeper_clear(&keeper);
}

static void whose_engine_is_gone_before_the_start_does_not_start(void **state)
{
    struct step_keeper keeper;

    (void)state;
    step_keeper_init(&keeper, STEP_SHELL, "s.sh", "echo started");
    close(keeper.life);
    keeper.life = dup(0); /* something to close */
    step_keeper_start(&keeper);
    check_end(&keeper, "ABORTED", "cancelled");
    step_keeper_clear(&keeper);
}

static void the_end_of_the_engine_stops_it(void **state)
{
    struct step_keeper keeper;

    (void)state;
    step_keeper_init(&keeper, STEP_SHELL, "s.sh", "echo up; sleep 1000");
    step_keeper_start(&keeper);
    step_keeper_await(&keeper, "up");
    close(keeper.life);
    keeper.life = -1;
    check_end(&keeper, "ABORTED", "cancelled");
    step_keeper_clear(&keeper);
}

static void sigterm_stops_it(void **state)
{
    struct step_keeper keeper;

    (void)state;
    step_keeper_init(&keeper, STEP_SHELL, "s.sh", "echo up; sleep 1000");
    step_keeper_start(&keeper);
    step_keeper_await(&keeper, "up");
    kill(keeper.pid, SIGTERM);
    check_end(&keeper, "ABORTED", "cancelled");
    step_keeper_clear(&keeper);
}

static void the_first_reason_counts(void **state)
{
    struct step_keeper keeper;

    (void)state;
    step_keeper_init(&keeper, STEP_SHELL, "s.sh", "echo up; sleep 1000");
    step_keeper_start(&keeper);
    step_keeper_await(&keeper, "up");
    step_keeper_stop(&keeper, "timeout");
    step_keeper_stop(&keeper, "cancelled");
    step_keeper_stop(&keeper, "cancelled");
    check_end(&keeper, "FAILURE", "timeout");
    step_keeper_clear(&keeper);
}

static void a_full_disk_ends_the_step_and_is_told(void **state)
{
    struct step_keeper keeper;

    (void)state;
    step_keeper_init(&keeper, STEP_SHELL, "s.sh", "yes | head -c 100000000; sleep 1000");
    journal_cursor_close(&keeper.cursor);
    if (!scratch_small_disk(keeper.attempt, 1 << 20)) {
        step_keeper_clear(&keeper);
        skip();
        return;
    }
    step_keeper_start(&keeper);
    check_end(&keeper, "FAILURE", "storage_failed");
    umount2(keeper.attempt, MNT_DETACH);
    step_keeper_clear(&keeper);
}

static void without_a_journal_not_even_that_can_be_told(void **state)
{
    struct step_keeper keeper;

    (void)state;
    step_keeper_init(&keeper, STEP_SHELL, "s.sh", "echo never");
    keeper.birth.directory = "/tmp/segue-test-nowhere";
    step_keeper_start(&keeper);
    assert_int_equal(step_keeper_wait(&keeper), 1);
    step_keeper_clear(&keeper);
}

static void a_notebook_that_is_none_is_told(void **state)
{
    struct step_keeper keeper;

    (void)state;
    step_keeper_init(&keeper, STEP_NOTEBOOK, "a.ipynb", "no notebook");
    keeper.task.output = fs_join(keeper.root, "executed.ipynb");
    step_keeper_start(&keeper);
    check_end(&keeper, "FAILURE", "input_invalid");
    step_keeper_clear(&keeper);
}

/* Killed, it leaves whole lines, and what the engine needs to see that it is gone: a free lock. */
static void kill_9_leaves_a_readable_journal(void **state)
{
    struct step_keeper keeper;
    struct err e;

    (void)state;
    step_keeper_init(&keeper, STEP_SHELL, "s.sh", "while :; do echo up; done");
    auto_free char *lock = fs_join(keeper.attempt, KEEPER_LOCK);
    step_keeper_start(&keeper);
    step_keeper_await(&keeper, "up");
    kill(keeper.pid, SIGKILL);
    assert_int_equal(step_keeper_wait(&keeper), -1);
    struct told told = told_by(&keeper);
    assert_true(told.lines > 0);
    assert_int_equal(told.ends, 0);
    told_clear(&told);
    auto_close int fd = fs_lock(lock, &e);
    assert_true(fd >= 0);
    child_kill_marked("SEGUE_ATTEMPT", keeper.task.attempt_id);
    step_keeper_clear(&keeper);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_that_cannot_read_its_task_says_so),
        cmocka_unit_test(who_was_cancelled_before_the_start_does_not_start),
        cmocka_unit_test(whose_engine_is_gone_before_the_start_does_not_start),
        cmocka_unit_test(the_end_of_the_engine_stops_it),
        cmocka_unit_test(sigterm_stops_it),
        cmocka_unit_test(the_first_reason_counts),
        cmocka_unit_test(a_full_disk_ends_the_step_and_is_told),
        cmocka_unit_test(without_a_journal_not_even_that_can_be_told),
        cmocka_unit_test(a_notebook_that_is_none_is_told),
        cmocka_unit_test(kill_9_leaves_a_readable_journal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
