#include "api/commands/selection.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct pipeline *three_steps(void)
{
    struct pipeline *pipeline;
    auto_problems struct problems problems = {0};
    struct err e;
    static const char TEXT[] = "{\"steps\":{\"a\":{\"title\":\"A\"},\"b\":{\"title\":\"B\","
                               "\"incoming_connections\":[\"a\"]},\"c\":{\"title\":\"B\"}}}";
    assert_int_equal(pipeline_parse(str_of(TEXT), "x", &pipeline, &problems, &e), 0);
    return pipeline;
}

static void nothing_selected_means_everything(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *pipeline = three_steps();
    auto_selection struct selection selection = {0};
    auto_plan struct plan *plan = NULL;
    struct err e;
    assert_int_equal(selection_plan(&selection, pipeline, &plan, &e), 0);
    assert_int_equal(plan->run_type, RUN_FULL);
    assert_int_equal(plan->count, 3);
}

static void each_option_is_a_run_type(void **state)
{
    (void)state;
    static const struct {
        int option;
        enum run_type run_type;
        uint32_t count;
    } ROWS[] = {
        {SELECTION_ONLY, RUN_SELECTION, 1},
        {SELECTION_UPTO, RUN_UPTO, 2},
        {SELECTION_FROM, RUN_FROM, 1},
        {SELECTION_INCOMING, RUN_INCOMING, 1},
    };
    auto_pipeline struct pipeline *pipeline = three_steps();
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        auto_selection struct selection selection = {0};
        auto_plan struct plan *plan = NULL;
        struct err e;
        assert_true(selection_is_option(ROWS[i].option));
        assert_int_equal(selection_add(&selection, ROWS[i].option, "b", &e), 0);
        assert_int_equal(selection_plan(&selection, pipeline, &plan, &e), 0);
        assert_int_equal(plan->run_type, ROWS[i].run_type);
        assert_int_equal(plan->count, ROWS[i].count);
    }
    assert_false(selection_is_option('h'));
    assert_false(selection_is_option('?'));
}

static void steps_add_up(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *pipeline = three_steps();
    auto_selection struct selection selection = {0};
    auto_free uint32_t *steps = NULL;
    struct err e;
    assert_int_equal(selection_add(&selection, SELECTION_ONLY, "c", &e), 0);
    assert_int_equal(selection_add(&selection, SELECTION_ONLY, "A", &e), 0);
    assert_int_equal(selection_resolve(&selection, pipeline, &steps, &e), 0);
    assert_int_equal(selection.count, 2);
    assert_int_equal(steps[0], 2);
    assert_int_equal(steps[1], 0);
}

static void kinds_are_not_mixed(void **state)
{
    (void)state;
    auto_selection struct selection selection = {0};
    struct err e;
    assert_int_equal(selection_add(&selection, SELECTION_FROM, "a", &e), 0);
    assert_int_equal(selection_add(&selection, SELECTION_UPTO, "a", &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_string_equal(e.text, "--from and --upto cannot be used together");
    assert_int_equal(selection.count, 1);
}

static void what_cannot_be_meant_is_refused(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *pipeline = three_steps();
    auto_selection struct selection unknown = {0}, ambiguous = {0};
    uint32_t *steps = NULL;
    struct err e;
    assert_int_equal(selection_add(&unknown, SELECTION_ONLY, "nobody", &e), 0);
    assert_int_equal(selection_resolve(&unknown, pipeline, &steps, &e), -1);
    assert_string_equal(e.text, "--only: no step has the uuid, title or file path \"nobody\"");
    assert_int_equal(selection_add(&ambiguous, SELECTION_UPTO, "B", &e), 0);
    assert_int_equal(selection_resolve(&ambiguous, pipeline, &steps, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_null(steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_selected_means_everything),
        cmocka_unit_test(each_option_is_a_run_type),
        cmocka_unit_test(steps_add_up),
        cmocka_unit_test(kinds_are_not_mixed),
        cmocka_unit_test(what_cannot_be_meant_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
