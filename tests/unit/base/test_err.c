#include "base/err.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void sets_code_and_text(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(err_set(&e, ERR_LIMIT, "%d is over %d", 5, 4), -1);
    assert_int_equal(e.code, ERR_LIMIT);
    assert_string_equal(e.text, "5 is over 4");
}

static void maps_errno(void **state)
{
    (void)state;
    static const struct {
        int number;
        enum err_code code;
    } rows[] = {
        {ENOENT, ERR_NOT_FOUND}, {ENOSPC, ERR_NO_SPACE}, {EDQUOT, ERR_NO_SPACE},
        {EACCES, ERR_IO},        {EMFILE, ERR_IO},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e;
        assert_int_equal(err_errno(&e, rows[i].number, "x"), -1);
        assert_int_equal(e.code, rows[i].code);
    }
}

static void tells_errno_in_lower_case(void **state)
{
    (void)state;
    struct err e;
    err_errno(&e, EACCES, "cannot open \"%s\"", "x.ipynb");
    assert_string_equal(e.text, "cannot open \"x.ipynb\": permission denied");
    err_errno(&e, EDOTDOT, "x");
    assert_string_equal(e.text, "x: RFS specific error");
    err_errno(&e, 4095, "x");
    assert_string_equal(e.text, "x: error 4095");
}

static void prefixes_and_keeps_code(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_CONFLICT, "it is locked");
    assert_int_equal(err_prefix(&e, "step %d", 3), -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_string_equal(e.text, "step 3: it is locked");
}

static void may_quote_its_own_text(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_IO, "inner");
    err_set(&e, ERR_INVALID, "outer (%s)", e.text);
    assert_string_equal(e.text, "outer (inner)");
}

static void cuts_the_name_and_not_the_reason(void **state)
{
    (void)state;
    char name[3000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    struct err e;
    err_errno(&e, ENOENT, "%s", name);
    static const char reason[] = "n: no such file or directory";
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    assert_string_equal(e.text + sizeof e.text - sizeof reason, reason);
    err_prefix(&e, "%s", name);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

/* 2, 3 and 4 bytes long characters at every offset to the cut. */
static void cuts_between_characters(void **state)
{
    (void)state;
    static const char *const characters[] = {"\u00e4", "\u20ac", "\U0001f600"};
    for (size_t c = 0; c < 3; c++) {
        size_t len = strlen(characters[c]);
        for (size_t lead = 0; lead < 5; lead++) {
            char name[1600] = "aaaaa";
            size_t at = lead;
            for (; at + len < sizeof name; at += len)
                memcpy(name + at, characters[c], len + 1);
            struct err e;
            err_set(&e, ERR_IO, "%s", name);
            size_t kept = (sizeof e.text - 1 - lead) / len * len + lead;
            assert_int_equal(strlen(e.text), kept);
            assert_memory_equal(e.text, name, kept);
        }
    }
}

static void stays_one_printable_line(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_IO,
            "a\nb\033[1mc\x7f"
            "d\xff"
            "e\u00e4");
    assert_string_equal(e.text, "a?b?[1mc?d?e\u00e4");
}

static void names_every_code(void **state)
{
    (void)state;
    assert_string_equal(err_name(ERR_NONE), "none");
    assert_string_equal(err_name(ERR_NOT_FOUND), "not_found");
    assert_string_equal(err_name(ERR_CANCELLED), "cancelled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_code_and_text),
        cmocka_unit_test(maps_errno),
        cmocka_unit_test(tells_errno_in_lower_case),
        cmocka_unit_test(prefixes_and_keeps_code),
        cmocka_unit_test(may_quote_its_own_text),
        cmocka_unit_test(cuts_the_name_and_not_the_reason),
        cmocka_unit_test(cuts_between_characters),
        cmocka_unit_test(stays_one_printable_line),
        cmocka_unit_test(names_every_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
