#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/server/problem.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void a_problem_is_written(void **state)
{
    auto_buf struct buf text = {0};
    struct problems none = {0};

    (void)state;
    problem_put(&text, 404, "no run \"x\"\n", &none);
    assert_string_equal(text.data,
                        "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
                        "\"detail\":\"no run \\\"x\\\"\\n\"}");
}

static void its_places_are_listed(void **state)
{
    auto_problems struct problems problems = {0};
    auto_buf struct buf text = {0};

    (void)state;
    problems_add_place(&problems, "/steps/0", (struct json_place){3, 7}, "a cycle");
    problems_add_place(&problems, "", (struct json_place){0, 0}, "too \"large\"");
    problem_put(&text, 422, "2 problems", &problems);
    assert_string_equal(
        text.data,
        "{\"type\":\"about:blank\",\"title\":\"Unprocessable Content\",\"status\":422,"
        "\"detail\":\"2 problems\",\"errors\":[{\"pointer\":\"/steps/0\",\"line\":3,\"column\":7,"
        "\"detail\":\"a cycle\"},{\"pointer\":\"\",\"detail\":\"too \\\"large\\\"\"}]}");
}

static void every_code_has_a_status(void **state)
{
    static const struct {
        enum err_code code;
        int status;
    } rows[] = {
        {ERR_INVALID, 422},  {ERR_NOT_FOUND, 404},   {ERR_CONFLICT, 409}, {ERR_LIMIT, 413},
        {ERR_NO_SPACE, 507}, {ERR_UNAVAILABLE, 503}, {ERR_TIMEOUT, 504},  {ERR_IO, 500},
        {ERR_PROTOCOL, 500}, {ERR_CANCELLED, 500},   {ERR_NONE, 500},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(problem_status(rows[i].code), rows[i].status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_problem_is_written),
        cmocka_unit_test(its_places_are_listed),
        cmocka_unit_test(every_code_has_a_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
