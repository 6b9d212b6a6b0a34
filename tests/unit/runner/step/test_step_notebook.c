/* Whole notebooks in a keeper of their own; the kernel is this very program, started again as
 * `test_step_notebook fake-kernel CONNECTION_FILE`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/runner/step/notebook_step.c"

/* --- to the end --- */

static void runs_cell_by_cell(void **state)
{
    static const struct cell cells[] = {
        {"one", NULL}, {"  \n", NULL}, {"two", NULL}, {"three", "skip-execution"}, {0}};
    struct step_keeper keeper;
    auto_json struct json doc = {0};

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    step_keeper_start(&keeper);
    struct told told = wait_for_end(&keeper, "SUCCESS", "");
    assert_string_equal(told.out.data, "one\ntwo\n");
    assert_int_equal(told.lines, 8); /* ready, started + output + finished twice, the end */
    told_clear(&told);

    read_executed(&keeper, &doc);
    check_cell(&doc, 0, "1", "[" PRINTED("one") "]");
    check_cell(&doc, 2, "2", "[" PRINTED("two") "]");
    check_cell(&doc, 3, "99", "[]"); /* kept, as it was not run */
    json_at timing = json_get(&doc, json_get(&doc, cell_at(&doc, 0), "metadata"), "execution");
    assert_int_equal(json_count(&doc, timing), 4);
    step_keeper_clear(&keeper);
}

static void parameters_are_injected_and_run(void **state)
{
    static const struct cell cells[] = {{"one", NULL}, {0}};
    struct step_keeper keeper;
    auto_json struct json doc = {0};
    struct err e;

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    json_clear(&keeper.task.parameters);
    assert_int_equal(json_parse(&keeper.task.parameters, STR("{\"a\":1}"), JSON_STRICT, NULL, &e),
                     0);
    auto_free char *before = scratch_read(keeper.root, "project/a.ipynb");
    step_keeper_start(&keeper);
    struct told told = wait_for_end(&keeper, "SUCCESS", "");
    assert_string_equal(told.out.data, "# Parameters\na = 1\none\n"); /* as the kernel got it */
    told_clear(&told);

    read_executed(&keeper, &doc);
    json_at metadata = json_get(&doc, cell_at(&doc, 0), "metadata");
    check_member(&doc, metadata, "tags", "[\"injected-parameters\"]");
    check_cell(&doc, 1, "2", "[" PRINTED("one") "]");
    auto_free char *after = scratch_read(keeper.root, "project/a.ipynb");
    assert_string_equal(after, before); /* the source is not ours to change */
    step_keeper_clear(&keeper);
}

static void tagged_cell_may_fail(void **state)
{
    static const struct cell cells[] = {
        {"raise ValueError", "raises-exception"}, {"two", NULL}, {0}};
    struct step_keeper keeper;
    auto_json struct json doc = {0};

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    step_keeper_start(&keeper);
    check_end(&keeper, "SUCCESS", "", "");
    read_executed(&keeper, &doc);
    check_cell(&doc, 0, "1", "[" RAISED("ValueError") "]");
    check_cell(&doc, 1, "2", "[" PRINTED("two") "]");
    step_keeper_clear(&keeper);
}

static void lost_idle_is_no_failure(void **state)
{
    static const struct cell cells[] = {{"one\nlose-idle", NULL}, {"two", NULL}, {0}};
    struct step_keeper keeper;

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    step_keeper_start(&keeper);
    struct told told = wait_for_end(&keeper, "SUCCESS", "");
    assert_string_equal(told.out.data, "one\ntwo\n");
    told_clear(&told);
    step_keeper_clear(&keeper);
}

/* --- cells that fail --- */

static void failing_cell_is_the_last(void **state)
{
    static const struct cell cells[] = {
        {"one", NULL}, {"two\nraise ValueError\nnever", NULL}, {"never", NULL}, {0}};
    struct step_keeper keeper;
    auto_json struct json doc = {0};

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    step_keeper_start(&keeper);
    check_end(&keeper, "FAILURE", "cell_error", "ValueError: on purpose");
    auto_free char *journal = scratch_read(keeper.attempt, KEEPER_JOURNAL);
    assert_non_null(strstr(journal, "\"cell_index\":1,\"ename\":\"ValueError\","
                                    "\"evalue\":\"on purpose\"}"));
    read_executed(&keeper, &doc);
    check_cell(&doc, 0, "1", "[" PRINTED("one") "]");
    check_cell(&doc, 1, "2", "[" PRINTED("two") "," RAISED("ValueError") "]");
    check_cell(&doc, 2, "null", "[]");
    step_keeper_clear(&keeper);
}

static void cell_without_a_good_end_fails(void **state)
{
    static const struct {
        struct cell cells[3];
        const char *message;
    } rows[] = {
        {{{"abort", NULL}, {"never", NULL}}, ""},
        {{{"lose-reply", NULL}, {"never", NULL}}, "without replying"},
        {{{"ask", NULL}, {"never", NULL}}, "asks for input"},
        {{{"ask", "raises-exception"}, {"never", NULL}}, "asks for input"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct step_keeper keeper;
        init(&keeper, rows[i].cells, FAKE_KERNEL);
        step_keeper_start(&keeper);
        struct told told = wait_for_end(&keeper, "FAILURE", "cell_error");
        if (!strstr(told.message, rows[i].message))
            fail_msg("\"%s\" is not in: %s", rows[i].message, told.message);
        assert_string_equal(buf_text(&told.out), "");
        told_clear(&told);
        step_keeper_clear(&keeper);
    }
}

/* --- kernels that end --- */

static void kernel_that_dies_leaves_what_it_said(void **state)
{
    static const struct cell cells[] = {
        {"one", NULL}, {"two\nmutter out of luck\ndie", NULL}, {"never", NULL}, {0}};
    struct step_keeper keeper;
    auto_json struct json doc = {0};

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    step_keeper_start(&keeper);
    check_end(&keeper, "FAILURE", "kernel_died", "out of luck");
    read_executed(&keeper, &doc);
    check_cell(&doc, 0, "1", "[" PRINTED("one") "]");
    check_cell(&doc, 1, "2", "[" PRINTED("two") "]");
    check_cell(&doc, 2, "null", "[]");
    auto_free char *log = scratch_read(keeper.attempt, "kernel.log");
    assert_string_equal(log, "out of luck\n");
    step_keeper_clear(&keeper);
}

static void kernel_that_cannot_start_is_told(void **state)
{
    static const struct cell cells[] = {{"never", NULL}, {0}};
    struct step_keeper keeper;
    auto_json struct json doc = {0};

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    keeper.task.kernelspec = mem_strdup("no-such-kernel");
    keeper.task.language = mem_strdup("no-such-language"); /* else another one would do */
    step_keeper_start(&keeper);
    check_end(&keeper, "FAILURE", "kernel_start_failed", "no-such-kernel");
    read_executed(&keeper, &doc);
    check_cell(&doc, 0, "null", "[]");
    step_keeper_clear(&keeper);
}

/* --- stopped --- */

static void stop_interrupts_the_cell(void **state)
{
    static const struct cell cells[] = {{"up\nhang", NULL}, {"never", NULL}, {0}};
    struct step_keeper keeper;
    auto_json struct json doc = {0};

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    step_keeper_start(&keeper);
    step_keeper_await(&keeper, "up\\n");
    step_keeper_stop(&keeper, "cancelled");
    check_end(&keeper, "ABORTED", "cancelled", "");
    read_executed(&keeper, &doc);
    check_cell(&doc, 0, "1", "[" PRINTED("up") "," RAISED("KeyboardInterrupt") "]");
    check_cell(&doc, 1, "null", "[]");
    step_keeper_clear(&keeper);
}

static void stop_kills_a_kernel_that_ignores_it(void **state)
{
    static const struct cell cells[] = {{"up\nstall", NULL}, {"never", NULL}, {0}};
    struct step_keeper keeper;
    auto_json struct json doc = {0};

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    step_keeper_start(&keeper);
    step_keeper_await(&keeper, "up\\n");
    step_keeper_stop(&keeper, "cancelled");
    check_end(&keeper, "ABORTED", "cancelled", "");
    read_executed(&keeper, &doc);
    check_cell(&doc, 0, "1", "[" PRINTED("up") "]");
    step_keeper_clear(&keeper);
}

/* Whether it comes before or after the kernel's process is there. */
static void stop_before_the_kernel_is_ready(void **state)
{
    static const struct cell cells[] = {{"never", NULL}, {0}};
    struct step_keeper keeper;

    (void)state;
    init(&keeper, cells, MUTE_KERNEL);
    step_keeper_start(&keeper);
    step_keeper_stop(&keeper, "cancelled");
    check_end(&keeper, "ABORTED", "cancelled", "");
    step_keeper_clear(&keeper);
}

static void cell_over_its_time_is_interrupted(void **state)
{
    static const struct cell cells[] = {{"one", NULL}, {"up\nhang", NULL}, {"never", NULL}, {0}};
    struct step_keeper keeper;
    auto_json struct json doc = {0};

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    keeper.task.cell_timeout_s = 1;
    step_keeper_start(&keeper);
    check_end(&keeper, "FAILURE", "timeout", "its limit of 1 s");
    read_executed(&keeper, &doc);
    check_cell(&doc, 1, "2", "[" PRINTED("up") "," RAISED("KeyboardInterrupt") "]");
    check_cell(&doc, 2, "null", "[]");
    step_keeper_clear(&keeper);
}

static void cell_over_its_time_may_not_be_allowed_to(void **state)
{
    static const struct cell cells[] = {{"stall", "raises-exception"}, {"never", NULL}, {0}};
    struct step_keeper keeper;

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    keeper.task.cell_timeout_s = 1;
    step_keeper_start(&keeper);
    check_end(&keeper, "FAILURE", "timeout", "its limit of 1 s");
    step_keeper_clear(&keeper);
}

/* --- an edited source --- */

static void write_so_far(const struct step_keeper *keeper, struct json *doc)
{
    auto_notebook struct notebook *notebook = NULL;
    struct buf text = {0};
    struct err e;

    if (notebook_so_far(&keeper->task, keeper->attempt, &notebook, &e) < 0)
        fail_msg("%s", e.text);
    notebook_write(notebook, &text);
    size_t len = text.len;
    assert_int_equal(json_parse_take(doc, buf_take(&text), len, JSON_STRICT, NULL, &e), 0);
}

/* Somebody saves another notebook while the step runs; then its keeper is killed. */
static void an_edit_changes_nothing_of_a_step_that_runs(void **state)
{
    static const struct cell cells[] = {{"up\nhang", NULL}, {0}};
    struct step_keeper keeper;
    auto_json struct json running = {0}, killed = {0};

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    step_keeper_start(&keeper);
    step_keeper_await(&keeper, "up\\n");
    scratch_put("/", keeper.task.source + 1,
                "{\"nbformat\":4,\"nbformat_minor\":5,\"metadata\":{},\"cells\":[]}");
    write_so_far(&keeper, &running);
    check_cell(&running, 0, "null", "[" PRINTED("up") "]");
    kill(keeper.pid, SIGKILL);
    step_keeper_wait(&keeper);
    child_kill_marked("SEGUE_ATTEMPT", keeper.task.attempt_id);
    write_so_far(&keeper, &killed);
    check_cell(&killed, 0, "null", "[" PRINTED("up") "]");
    step_keeper_clear(&keeper);
}

/* --- nowhere to write --- */

static void full_journal_ends_the_step(void **state)
{
    static const struct cell cells[] = {{"one", NULL}, {"flood 64\nhang", NULL}, {0}};
    struct step_keeper keeper;
    auto_json struct json doc = {0};

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    journal_cursor_close(&keeper.cursor);
    if (!scratch_small_disk(keeper.attempt, 1 << 20)) {
        step_keeper_clear(&keeper);
        skip();
        return;
    }
    step_keeper_start(&keeper);
    check_end(&keeper, "FAILURE", "storage_failed", "");
    read_executed(&keeper, &doc); /* elsewhere, and whole */
    check_cell(&doc, 0, "1", "[" PRINTED("one") "]");
    umount2(keeper.attempt, MNT_DETACH);
    step_keeper_clear(&keeper);
}

static void executed_file_that_cannot_be_written_fails_the_step(void **state)
{
    static const struct cell cells[] = {{"one", NULL}, {"two", NULL}, {0}};
    struct step_keeper keeper;

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    free(keeper.task.output);
    keeper.task.output = fs_join(keeper.root, "no/such/directory/executed.ipynb");
    step_keeper_start(&keeper);
    check_end(&keeper, "FAILURE", "storage_failed", "no/such/directory");
    step_keeper_clear(&keeper);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_cell_by_cell),
        cmocka_unit_test(parameters_are_injected_and_run),
        cmocka_unit_test(tagged_cell_may_fail),
        cmocka_unit_test(lost_idle_is_no_failure),
        cmocka_unit_test(failing_cell_is_the_last),
        cmocka_unit_test(cell_without_a_good_end_fails),
        cmocka_unit_test(kernel_that_dies_leaves_what_it_said),
        cmocka_unit_test(kernel_that_cannot_start_is_told),
        cmocka_unit_test(stop_interrupts_the_cell),
        cmocka_unit_test(stop_kills_a_kernel_that_ignores_it),
        cmocka_unit_test(stop_before_the_kernel_is_ready),
        cmocka_unit_test(cell_over_its_time_is_interrupted),
        cmocka_unit_test(cell_over_its_time_may_not_be_allowed_to),
        cmocka_unit_test(an_edit_changes_nothing_of_a_step_that_runs),
        cmocka_unit_test(full_journal_ends_the_step),
        cmocka_unit_test(executed_file_that_cannot_be_written_fails_the_step),
    };

    if (argc == 3 && strcmp(argv[1], FAKE_KERNEL) == 0)
        cell_kernel(argv[2]);
    if (argc == 3 && strcmp(argv[1], MUTE_KERNEL) == 0)
        return pause();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
