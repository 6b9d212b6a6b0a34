#include "base/problems.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void a_problem_knows_its_place(void **state)
{
    (void)state;
    auto_json struct json doc = {0};
    auto_problems struct problems problems = {0};
    struct err e;
    assert_int_equal(json_parse(&doc, STR("{\n \"a/b\": [1,\n  2]}"), JSON_STRICT, NULL, &e), 0);
    json_at array = json_get(&doc, 0, "a/b");
    problems_add(&problems, &doc, json_item(&doc, array, 1), "must be %s", "a string");
    assert_int_equal(problems.count, 1);
    assert_string_equal(problems.items[0].pointer, "/a~1b/1");
    assert_int_equal(problems.items[0].line, 3);
    assert_int_equal(problems.items[0].column, 3);
    assert_string_equal(problems.items[0].detail, "must be a string");
}

static void no_node_is_the_whole_document(void **state)
{
    (void)state;
    auto_json struct json doc = {0};
    auto_problems struct problems problems = {0};
    struct err e;
    assert_int_equal(json_parse(&doc, STR("\n[]"), JSON_STRICT, NULL, &e), 0);
    problems_add(&problems, &doc, JSON_NONE, "odd");
    assert_string_equal(problems.items[0].pointer, "");
    assert_int_equal(problems.items[0].line, 1);
}

static void details_are_one_printable_line(void **state)
{
    (void)state;
    auto_problems struct problems problems = {0};
    problems_add_place(&problems, "/x", (struct json_place){0}, "a\nb\x1b[0m");
    assert_string_equal(problems.items[0].detail, "a?b?[0m");
    assert_int_equal(problems.items[0].line, 0);
}

static void the_first_ones_are_kept_and_all_counted(void **state)
{
    (void)state;
    auto_problems struct problems problems = {0};
    for (unsigned i = 0; i < LIMIT_PROBLEMS + 7; i++)
        problems_add_place(&problems, "", (struct json_place){i + 1, 1}, "number %u", i);
    assert_int_equal(problems.count, LIMIT_PROBLEMS);
    assert_int_equal(problems.total, LIMIT_PROBLEMS + 7);
    assert_string_equal(problems.items[LIMIT_PROBLEMS - 1].detail, "number 99");
    problems_clear(&problems);
    assert_int_equal(problems.total, 0);
}

static void as_one_error(void **state)
{
    (void)state;
    auto_problems struct problems problems = {0};
    struct err e;
    problems_add_place(&problems, "/x", (struct json_place){3, 4}, "odd");
    assert_int_equal(problems_to_err(&problems, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_string_equal(e.text, "line 3, column 4: odd");
    problems_add_place(&problems, "/y", (struct json_place){5, 6}, "odder");
    problems_to_err(&problems, &e);
    assert_string_equal(e.text, "line 3, column 4: odd (and 1 more)");
    problems_clear(&problems);
    problems_add_place(&problems, "", (struct json_place){0}, "no place");
    problems_to_err(&problems, &e);
    assert_string_equal(e.text, "no place");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_problem_knows_its_place),
        cmocka_unit_test(no_node_is_the_whole_document),
        cmocka_unit_test(details_are_one_printable_line),
        cmocka_unit_test(the_first_ones_are_kept_and_all_counted),
        cmocka_unit_test(as_one_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
