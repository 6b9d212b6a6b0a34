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
    problem_put(&text, PROBLEM_RFC9457, 404, "no run \"x\"\n", &none);
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
    problem_put(&text, PROBLEM_RFC9457, 422, "2 problems", &problems);
    assert_string_equal(
        text.data,
        "{\"type\":\"about:blank\",\"title\":\"Unprocessable Content\",\"status\":422,"
        "\"detail\":\"2 problems\",\"errors\":[{\"pointer\":\"/steps/0\",\"line\":3,\"column\":7,"
        "\"detail\":\"a cycle\"},{\"pointer\":\"\",\"detail\":\"too \\\"large\\\"\"}]}");
}

static void jupyter_is_answered_in_its_own_way(void **state)
{
    auto_problems struct problems problems = {0};
    auto_buf struct buf text = {0};

    (void)state;
    problem_put(&text, PROBLEM_JUPYTER, 404, "Kernel does not exist: \"x\"", NULL);
    assert_string_equal(
        text.data, "{\"message\":\"Kernel does not exist: \\\"x\\\"\",\"reason\":\"Not Found\"}");
    buf_reset(&text);
    problems_add_place(&problems, "/name", (struct json_place){1, 2}, "no text");
    problem_put(&text, PROBLEM_JUPYTER, 400, "bad", &problems);
    assert_string_equal(
        text.data,
        "{\"message\":\"bad\",\"reason\":\"Bad Request\",\"errors\":[{\"pointer\":\"/name\","
        "\"line\":1,\"column\":2,\"detail\":\"no text\"}]}");
    assert_string_equal(problem_content_type(PROBLEM_JUPYTER), "application/json");
    assert_string_equal(problem_content_type(PROBLEM_RFC9457), "application/problem+json");
}

static void a_path_says_which_dialect(void **state)
{
    static const struct problem_place places[] = {{"/api/v1", PROBLEM_RFC9457},
                                                  {"/api", PROBLEM_JUPYTER},
                                                  {"/kernelspecs", PROBLEM_JUPYTER},
                                                  {NULL, PROBLEM_RFC9457}};
    static const struct {
        const char *path;
        enum problem_dialect dialect;
    } rows[] = {
        {"/api", PROBLEM_JUPYTER},     {"/api/", PROBLEM_JUPYTER},
        {"/api/v1", PROBLEM_RFC9457},  {"/api/v1/runs", PROBLEM_RFC9457},
        {"/api/v10", PROBLEM_JUPYTER}, {"/api/kernels/x", PROBLEM_JUPYTER},
        {"/apis", PROBLEM_RFC9457},    {"/kernelspecs/a/logo.png", PROBLEM_JUPYTER},
        {"/", PROBLEM_RFC9457},        {"", PROBLEM_RFC9457},
        {"*", PROBLEM_RFC9457},        {"/metrics/api", PROBLEM_RFC9457},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (problem_dialect_of(places, rows[i].path) != rows[i].dialect)
            fail_msg("%s", rows[i].path);
    assert_int_equal(problem_dialect_of(NULL, "/api"), PROBLEM_RFC9457);
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
        cmocka_unit_test(jupyter_is_answered_in_its_own_way),
        cmocka_unit_test(a_path_says_which_dialect),
        cmocka_unit_test(every_code_has_a_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
