#include "api/commands/cmd_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/api/commands/captured.c"

#define DATA "tests/data/pipelines"

#define PLAN(...) captured(cmd_plan, (const char *const[]){"plan", __VA_ARGS__, NULL})

static void a_table_for_people(void **state)
{
    (void)state;
    struct captured c = PLAN("--project", DATA, DATA "/segue-keys.orchest");
    assert_int_equal(c.status, 0);
    assert_string_equal(buf_text(&c.out),
                        "RANK  STEP           FILE           KIND      WAITS FOR\n"
                        "   0  extract.ipynb  extract.ipynb  notebook  -\n"
                        "   1  Train          train.py       python    extract.ipynb\n"
                        "   2  report.ipynb   report.ipynb   notebook  Train, extract.ipynb\n"
                        "3 steps, 3 ranks\n");
    captured_clear(&c);
}

static void json_for_programs(void **state)
{
    (void)state;
    struct captured c =
        PLAN("--json", DATA "/segue-keys.orchest", "--only", "train", "--project", DATA);
    assert_int_equal(c.status, 0);
    assert_string_equal(buf_text(&c.out),
                        "{\"run_type\":\"selection\",\"steps\":[{\"step_uuid\":\"train\",\"title\":"
                        "\"Train\",\"file_path\":\"train.py\",\"rank\":0,\"incoming_connections\":"
                        "[]}],\"sentinel\":{\"incoming_connections\":[\"train\"]}}\n");
    captured_clear(&c);
}

static void missing_files_are_warnings(void **state)
{
    (void)state;
    struct captured c = PLAN(DATA "/segue-keys.orchest", "--only", "Train", "--project", DATA);
    assert_int_equal(c.status, 0);
    assert_non_null(strstr(buf_text(&c.out), "1 step, 1 rank\n"));
    const char *expected = DATA "/segue-keys.orchest:14:20: warning: /steps/train/file_path: ";
    assert_memory_equal(buf_text(&c.error), expected, strlen(expected));
    assert_null(strstr(buf_text(&c.error), "extract")); /* does not run */
    captured_clear(&c);
}

static void problems_are_listed(void **state)
{
    (void)state;
    struct captured c = PLAN(DATA "/cycle.orchest");
    assert_int_equal(c.status, 2);
    assert_int_equal(c.out.len, 0);
    assert_string_equal(
        buf_text(&c.error),
        DATA "/cycle.orchest:29:17: /steps/d/incoming_connections/1: unknown step \"e\"\n" DATA
             "/cycle.orchest:8:17: /steps/a/incoming_connections/0: the steps wait for each other "
             "in a cycle: A -> B -> C -> A\n");
    captured_clear(&c);
}

static void assert_refused(struct captured c, const char *message)
{
    assert_int_equal(c.status, 2);
    assert_int_equal(c.out.len, 0);
    assert_string_equal(buf_text(&c.error), message);
    captured_clear(&c);
}

static void wrong_usage_is_refused(void **state)
{
    (void)state;
    assert_refused(PLAN("--json"),
                   "segue plan: one pipeline file is needed, 0 given; see segue plan --help\n");
    assert_refused(PLAN("a", "b"),
                   "segue plan: one pipeline file is needed, 2 given; see segue plan --help\n");
    assert_refused(PLAN("a", "--only", "x", "--from", "y"),
                   "segue plan: --only and --from cannot be used together\n");
    assert_refused(PLAN(DATA "/six-steps.orchest", "--incoming", "6"),
                   "segue plan: nothing to run: no step is left\n");
    assert_refused(PLAN(DATA "/six-steps.orchest", "--only", "4.ipnb"),
                   "segue plan: --only: no step \"4.ipnb\"; did you mean \"4.ipynb\"?\n");
    assert_refused(PLAN(DATA "/gone.orchest"), "segue plan: cannot open \"" DATA
                                               "/gone.orchest\": no such file or directory\n");
    struct captured c = PLAN("--nonsense", "a");
    assert_int_equal(c.status, 2);
    captured_clear(&c);
}

static void help_is_no_error(void **state)
{
    (void)state;
    struct captured c = PLAN("--help");
    assert_int_equal(c.status, 0);
    assert_non_null(strstr(buf_text(&c.out), "--incoming STEP"));
    assert_int_equal(c.error.len, 0);
    captured_clear(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_for_people),         cmocka_unit_test(json_for_programs),
        cmocka_unit_test(missing_files_are_warnings), cmocka_unit_test(problems_are_listed),
        cmocka_unit_test(wrong_usage_is_refused),     cmocka_unit_test(help_is_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
