#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/server/range.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void a_range_is_read(void **state)
{
    static const struct {
        const char *header;
        uint64_t size;
        enum range_kind kind;
        uint64_t start, length;
    } rows[] = {
        {NULL, 10, RANGE_ALL, 0, 0},
        {"", 10, RANGE_ALL, 0, 0},
        {"bytes=0-0", 10, RANGE_PART, 0, 1},
        {"bytes=0-9", 10, RANGE_PART, 0, 10},
        {"bytes=3-5", 10, RANGE_PART, 3, 3},
        {"Bytes=3-5", 10, RANGE_PART, 3, 3},
        {"bytes= 3-5 ", 10, RANGE_PART, 3, 3},
        {"bytes=3-", 10, RANGE_PART, 3, 7},
        {"bytes=9-", 10, RANGE_PART, 9, 1},
        {"bytes=9-10", 10, RANGE_PART, 9, 1},
        {"bytes=0-18446744073709551615", 10, RANGE_PART, 0, 10},
        {"bytes=0-99999999999999999999999", 10, RANGE_PART, 0, 10},
        {"bytes=-1", 10, RANGE_PART, 9, 1},
        {"bytes=-10", 10, RANGE_PART, 0, 10},
        {"bytes=-11", 10, RANGE_PART, 0, 10},
        {"bytes=-99999999999999999999999", 10, RANGE_PART, 0, 10},
        {"bytes=10-", 10, RANGE_NONE, 0, 0},
        {"bytes=10-20", 10, RANGE_NONE, 0, 0},
        {"bytes=99999999999999999999999-", 10, RANGE_NONE, 0, 0},
        {"bytes=-0", 10, RANGE_NONE, 0, 0},
        {"bytes=0-", 0, RANGE_NONE, 0, 0},
        {"bytes=0-0", 0, RANGE_NONE, 0, 0},
        {"bytes=-1", 0, RANGE_NONE, 0, 0},
        {"bytes=5-3", 10, RANGE_ALL, 0, 0},
        {"bytes=0-1,2-3", 10, RANGE_ALL, 0, 0},
        {"bytes=-1,2-3", 10, RANGE_ALL, 0, 0},
        {"bytes=", 10, RANGE_ALL, 0, 0},
        {"bytes=-", 10, RANGE_ALL, 0, 0},
        {"bytes=--1", 10, RANGE_ALL, 0, 0},
        {"bytes=+1-2", 10, RANGE_ALL, 0, 0},
        {"bytes=1", 10, RANGE_ALL, 0, 0},
        {"bytes=1-2x", 10, RANGE_ALL, 0, 0},
        {"bytes=1-x", 10, RANGE_ALL, 0, 0},
        {"bytes=a-b", 10, RANGE_ALL, 0, 0},
        {"bytes 1-2", 10, RANGE_ALL, 0, 0},
        {"lines=1-2", 10, RANGE_ALL, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct range range = {0};
        enum range_kind kind = range_parse(rows[i].header, rows[i].size, &range);
        if (kind != rows[i].kind || (kind == RANGE_PART && (range.start != rows[i].start ||
                                                            range.length != rows[i].length)))
            fail_msg("\"%s\": %d %llu %llu", rows[i].header, (int)kind,
                     (unsigned long long)range.start, (unsigned long long)range.length);
    }
}

static void a_range_is_for_one_version(void **state)
{
    (void)state;
    assert_true(range_is_for(NULL, "\"a\""));
    assert_true(range_is_for(NULL, NULL));
    assert_true(range_is_for("\"a\"", "\"a\""));
    assert_false(range_is_for("\"b\"", "\"a\""));
    assert_false(range_is_for("W/\"a\"", "W/\"a\""));
    assert_false(range_is_for("\"a\"", NULL));
    assert_false(range_is_for("Sun, 22 Nov 2026 05:10:33 GMT", "\"a\""));
}

static void a_list_has_a_version(void **state)
{
    static const struct {
        const char *list, *etag;
        bool has;
    } rows[] = {
        {"\"a\"", "\"a\"", true},   {"\"b\", \"a\"", "\"a\"", true}, {"\"b\",\"a\"", "\"a\"", true},
        {"W/\"a\"", "\"a\"", true}, {"\"a\"", "W/\"a\"", true},      {"*", "\"a\"", true},
        {NULL, "\"a\"", false},     {"\"a\"", NULL, false},          {"*", NULL, false},
        {"", "\"a\"", false},       {"a", "\"a\"", false},           {"\"a", "\"a\"", false},
        {"\"aa\"", "\"a\"", false}, {"\"b\", a", "\"a\"", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (range_list_has(rows[i].list, rows[i].etag) != rows[i].has)
            fail_msg("%s in %s", rows[i].etag, rows[i].list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_is_read),
        cmocka_unit_test(a_range_is_for_one_version),
        cmocka_unit_test(a_list_has_a_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
