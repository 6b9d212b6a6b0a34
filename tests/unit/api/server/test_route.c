#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/server/route.h"
#include "base/mem.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct route routes[] = {
    {.method = "GET", .path = "/"},
    {.method = "GET", .path = "/runs"},
    {.method = "POST", .path = "/runs"},
    {.method = "GET", .path = "/runs/newest"},
    {.method = "GET", .path = "/runs/{run}"},
    {.method = "DELETE", .path = "/runs/{run}"},
    {.method = "GET", .path = "/runs/{run}/steps/{step}/log"},
};

static void parse(struct target *target, char *text)
{
    struct err e;
    if (target_parse(target, text, &e) < 0)
        fail_msg("%s", e.text);
}

static void a_request_finds_its_route(void **state)
{
    static const struct {
        const char *method, *path;
        int index; /* -1: no such path; -2: no such method */
        const char *first, *second;
    } rows[] = {
        {"GET", "/", 0, NULL, NULL},
        {"GET", "/runs", 1, NULL, NULL},
        {"HEAD", "/runs", 1, NULL, NULL},
        {"GET", "/runs?x=1", 1, NULL, NULL},
        {"GET", "/%72uns", 1, NULL, NULL},
        {"POST", "/runs", 2, NULL, NULL},
        {"GET", "/runs/newest", 3, NULL, NULL},
        {"GET", "/runs/7", 4, "7", NULL},
        {"DELETE", "/runs/7", 5, "7", NULL},
        {"DELETE", "/runs/newest", 5, "newest", NULL},
        {"GET", "/runs/a%2Fb", 4, "a/b", NULL},
        {"GET", "/runs/{run}", 4, "{run}", NULL},
        {"GET", "/runs/7/steps/8/log", 6, "7", "8"},
        {"HEAD", "/runs/7/steps/8/log", 6, "7", "8"},
        {"PUT", "/runs", -2, NULL, NULL},
        {"get", "/runs", -2, NULL, NULL},
        {"", "/runs", -2, NULL, NULL},
        {"DELETE", "/runs", -2, NULL, NULL},
        {"POST", "/runs/7", -2, NULL, NULL},
        {"GET", "/run", -1, NULL, NULL},
        {"GET", "/Runs", -1, NULL, NULL},
        {"GET", "/runs/", -1, NULL, NULL},
        {"GET", "//runs", -1, NULL, NULL},
        {"GET", "/runs//steps/8/log", -1, NULL, NULL},
        {"GET", "/runs/7/steps", -1, NULL, NULL},
        {"GET", "/runs/7/steps/8/log/", -1, NULL, NULL},
        {"GET", "/runs%2F7", -1, NULL, NULL},
    };
    struct router *router = router_new(routes, COUNT(routes));

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *text = mem_strdup(rows[i].path);
        struct target target;
        struct route_found found;
        parse(&target, text);
        enum route_match match = router_find(router, rows[i].method, &target, &found);
        if (match != (rows[i].index >= 0    ? ROUTE_MATCHED
                      : rows[i].index == -1 ? ROUTE_NO_SUCH_PATH
                                            : ROUTE_NO_SUCH_METHOD))
            fail_msg("%s %s: %d", rows[i].method, rows[i].path, (int)match);
        if (match != ROUTE_MATCHED)
            continue;
        assert_ptr_equal(found.route, &routes[rows[i].index]);
        assert_int_equal(found.parameter_count, !!rows[i].first + !!rows[i].second);
        if (rows[i].first)
            assert_string_equal(found.parameters[0], rows[i].first);
        if (rows[i].second)
            assert_string_equal(found.parameters[1], rows[i].second);
    }
    router_free(router);
}

static void the_methods_of_a_path_are_named(void **state)
{
    static const struct {
        const char *path, *methods;
    } rows[] = {
        {"/runs", "GET, HEAD, POST"},
        {"/runs/7", "GET, HEAD, DELETE"},
        {"/runs/7/steps/8/log", "GET, HEAD"},
        {"/other", ""},
    };
    struct router *router = router_new(routes, COUNT(routes));

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *text = mem_strdup(rows[i].path);
        auto_buf struct buf methods = {0};
        struct target target;
        parse(&target, text);
        router_put_allowed(router, &target, &methods);
        assert_string_equal(buf_text(&methods), rows[i].methods);
    }
    router_free(router);
}

static void an_empty_table_has_nothing(void **state)
{
    struct router *router = router_new(NULL, 0);
    struct route_found found;
    struct target target;
    char text[] = "/";

    (void)state;
    parse(&target, text);
    assert_int_equal(router_find(router, "GET", &target, &found), ROUTE_NO_SUCH_PATH);
    router_free(router);
    router_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_finds_its_route),
        cmocka_unit_test(the_methods_of_a_path_are_named),
        cmocka_unit_test(an_empty_table_has_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
