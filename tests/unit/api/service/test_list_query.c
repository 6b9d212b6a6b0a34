/* With an exchange of our own in place of the server's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/service/list_query.h"
#include "base/fs.h"
#include "base/mem.h"
#include "tests/unit/base/scratch.c"

struct exchange {
    const char *limit, *cursor;
};

const char *exchange_query(struct exchange *exchange, const char *name)
{
    return strcmp(name, "limit") == 0 ? exchange->limit : exchange->cursor;
}

static void pages(void **state)
{
    static const struct {
        const char *limit, *cursor;
        uint32_t expected_limit;
        int64_t expected_before;
    } cases[] = {
        {NULL, NULL, 50, 0},
        {"1", "1", 1, 1},
        {"1000", "9223372036854775807", 1000, INT64_MAX},
        {"007", NULL, 7, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct exchange exchange = {cases[i].limit, cases[i].cursor};
        uint32_t limit = 0;
        int64_t before = -1;
        struct err e;
        assert_int_equal(list_query_page(&exchange, &limit, &before, &e), 0);
        assert_int_equal(limit, cases[i].expected_limit);
        assert_int_equal(before, cases[i].expected_before);
    }
}

static void pages_that_are_none(void **state)
{
    static const char *const cases[][2] = {
        {"0", NULL},  {"1001", NULL}, {"-1", NULL},  {"", NULL},
        {"1x", NULL}, {" 1", NULL},   {"1e2", NULL}, {NULL, "0"},
        {NULL, "x"},  {NULL, "-5"},   {NULL, ""},    {NULL, "9223372036854775808"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct exchange exchange = {cases[i][0], cases[i][1]};
        uint32_t limit;
        int64_t before;
        struct err e;
        if (list_query_page(&exchange, &limit, &before, &e) == 0)
            fail_msg("accepted: %s, %s", cases[i][0], cases[i][1]);
        assert_int_equal(e.code, ERR_INVALID);
        assert_non_null(strstr(e.text, cases[i][0] ? "limit" : "cursor"));
    }
}

static int parse_letter(const char *name, unsigned *ret_value, struct err *e)
{
    if (strlen(name) != 1 || *name < 'a' || *name > 'd')
        return err_set(e, ERR_INVALID, "no \"%s\"", name);
    *ret_value = (unsigned)(*name - 'a');
    return 0;
}

static void sets_of_names(void **state)
{
    unsigned set = 0;
    struct err e;

    (void)state;
    assert_int_equal(list_query_set("b", parse_letter, &set, &e), 0);
    assert_int_equal(set, 2);
    assert_int_equal(list_query_set("a,d,a", parse_letter, &set, &e), 0);
    assert_int_equal(set, 9);
    for (const char *const *wrong = (const char *const[]){"", "a,", ",a", "a,,b", "a b", "x", NULL};
         *wrong; wrong++)
        if (list_query_set(*wrong, parse_letter, &set, &e) == 0)
            fail_msg("accepted: %s", *wrong);
    assert_int_equal(set, 9);
}

static void projects(void **state)
{
    auto_free char *directory = scratch_new();
    auto_free char *root = realpath(directory, NULL);
    auto_free char *expected = fs_join(root, "p");
    auto_free char *gone = fs_join(root, "gone");
    auto_free char *link = fs_join(root, "link");

    (void)state;
    scratch_put(root, "p/x", "");
    assert_int_equal(symlink("p", link), 0);
    auto_free char *found = list_query_project(root, "./link/");
    assert_string_equal(found, expected);
    auto_free char *old = list_query_project(root, "gone");
    assert_string_equal(old, gone);
    scratch_free(take_ptr(&directory));
}

static void cursors(void **state)
{
    auto_buf struct buf out = {0};

    (void)state;
    buf_putc(&out, '{');
    list_query_put_cursor(&out, 0);
    list_query_put_cursor(&out, 7);
    assert_string_equal(buf_text(&out), "{\"next_cursor\":null,\"next_cursor\":\"7\"");
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        cmocka_unit_test(pages),         cmocka_unit_test(pages_that_are_none),
        cmocka_unit_test(sets_of_names), cmocka_unit_test(projects),
        cmocka_unit_test(cursors),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
