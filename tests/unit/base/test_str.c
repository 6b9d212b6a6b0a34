#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void compares(void **state)
{
    (void)state;
    assert_true(str_eq(STR("ab"), str_of("ab")));
    assert_false(str_eq(STR("ab"), STR("abc")));
    assert_false(str_is(STR("ab"), "ac"));
    assert_true(str_is(STR("a\0b"), "a") == false);
    assert_null(str_of(NULL).text);
}

static void measures_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t have, len;
    } rows[] = {
        {"", 0, 0},
        {"a", 1, 1},
        {"\0", 1, 1},
        {"\x7f", 1, 1},
        {"\xc2\x80", 2, 2},
        {"\xdf\xbf", 2, 2},
        {"\xe0\xa0\x80", 3, 3},
        {"\xed\x9f\xbf", 3, 3},
        {"\xef\xbf\xbf", 3, 3},
        {"\xf0\x90\x80\x80", 4, 4},
        {"\xf4\x8f\xbf\xbf", 4, 4},
        /* cut off */
        {"\xc2", 1, 0},
        {"\xe2\x82", 2, 0},
        {"\xf0\x9f\x98", 3, 0},
        /* overlong */
        {"\xc0\x80", 2, 0},
        {"\xc1\xbf", 2, 0},
        {"\xe0\x9f\xbf", 3, 0},
        {"\xf0\x8f\xbf\xbf", 4, 0},
        /* surrogates, too large, no beginning, bad continuation */
        {"\xed\xa0\x80", 3, 0},
        {"\xf4\x90\x80\x80", 4, 0},
        {"\xf5\x80\x80\x80", 4, 0},
        {"\x80", 1, 0},
        {"\xff", 1, 0},
        {"\xc2\x41", 2, 0},
        {"\xe2\x82\x41", 3, 0},
        {"\xf0\x9f\x98\xc0", 4, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(str_utf8_len(rows[i].bytes, rows[i].bytes + rows[i].have), rows[i].len);
}

static void finds_the_nearest(void **state)
{
    (void)state;
    static const char *const keys[] = {"title",     "parameters", "environment",
                                       "file_path", "tile",       NULL};
    static const struct {
        const char *word, *nearest;
    } rows[] = {
        {"parmeters", "parameters"},   /* left out */
        {"parameterss", "parameters"}, /* one more */
        {"perameters", "parameters"},  /* changed */
        {"paramteers", "parameters"},  /* swapped */
        {"enviroment", "environment"},
        {"file-path", "file_path"},
        {"titel", "title"},
        {"title", "title"},
        {"tile", "tile"},
        {"kernel", NULL},
        {"x", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *found = str_nearest(rows[i].word, keys);
        if (rows[i].nearest) {
            assert_non_null(found);
            assert_string_equal(found, rows[i].nearest);
        } else {
            assert_null(found);
        }
    }
}

static void compares_no_overlong_words(void **state)
{
    (void)state;
    char word[102];
    memset(word, 'a', sizeof word - 1);
    word[101] = 0;
    const char *const same[] = {word, NULL};
    assert_null(str_nearest(word, same));
    assert_null(str_nearest(word + 1, same));
    const char *const shorter[] = {word + 1, NULL};
    assert_ptr_equal(str_nearest(word + 2, shorter), word + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares),
        cmocka_unit_test(measures_utf8),
        cmocka_unit_test(finds_the_nearest),
        cmocka_unit_test(compares_no_overlong_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
