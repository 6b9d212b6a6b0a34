#include "api/commands/cmd_validate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/api/commands/captured.c"

#define DATA "tests/data/pipelines"

#define VALIDATE(...) captured(cmd_validate, (const char *const[]){"validate", __VA_ARGS__, NULL})

static void sound_files(void **state)
{
    (void)state;
    struct captured c =
        VALIDATE(DATA "/six-steps.orchest", DATA "/pipeline-2020.json", DATA "/anomalies.orchest",
                 DATA "/version-1.0.0.orchest", DATA "/housing.orchest");
    assert_int_equal(c.status, 0);
    assert_string_equal(buf_text(&c.out), DATA "/six-steps.orchest: sound, 6 steps\n" DATA
                                               "/pipeline-2020.json: sound, 3 steps\n" DATA
                                               "/anomalies.orchest: sound, 7 steps\n" DATA
                                               "/version-1.0.0.orchest: sound, 2 steps\n" DATA
                                               "/housing.orchest: sound, 7 steps\n");
    captured_clear(&c);
}

static void one_wrong_file_is_enough(void **state)
{
    (void)state;
    struct captured c = VALIDATE(DATA "/cycle.orchest", DATA "/segue-keys.orchest");
    assert_int_equal(c.status, 2);
    assert_string_equal(buf_text(&c.out), DATA "/segue-keys.orchest: sound, 3 steps\n");
    const char *expected =
        DATA "/cycle.orchest:29:17: /steps/d/incoming_connections/1: unknown step \"e\"\n";
    assert_memory_equal(buf_text(&c.error), expected, strlen(expected));
    captured_clear(&c);
}

static void what_is_no_pipeline(void **state)
{
    (void)state;
    struct captured c = VALIDATE("Makefile", DATA "/gone");
    assert_int_equal(c.status, 2);
    assert_int_equal(c.out.len, 0);
    assert_string_equal(buf_text(&c.error),
                        "Makefile:1:1: expected a value, found \"#\"\n" DATA
                        "/gone: cannot open \"" DATA "/gone\": no such file or directory\n");
    captured_clear(&c);
}

static void usage(void **state)
{
    (void)state;
    struct captured none = captured(cmd_validate, (const char *const[]){"validate", NULL});
    assert_int_equal(none.status, 2);
    captured_clear(&none);
    struct captured help = VALIDATE("--help");
    assert_int_equal(help.status, 0);
    assert_non_null(strstr(buf_text(&help.out), "segue validate"));
    captured_clear(&help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_files),
        cmocka_unit_test(one_wrong_file_is_enough),
        cmocka_unit_test(what_is_no_pipeline),
        cmocka_unit_test(usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
