#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/commands/shown.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void what_a_terminal_would_obey_is_a_question_mark(void **state)
{
    static const struct {
        const char *name, *text, *shown;
    } rows[] = {
        {"text", "aé日🐍", "aé日🐍"},
        {"nothing", "", ""},
        {"escape", "a\033[2Jb", "a?[2Jb"},
        {"line end", "a\nb", "a?b"},
        {"delete", "a\177b", "a?b"},
        {"8 bits",
         "a\xc2\x9b"
         "1mb",
         "a??1mb"},
        {"no UTF-8", "a\xff\xc3", "a??"},
        {"no-break space", "a\u00a0b", "a\u00a0b"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_buf struct buf out = {0};
        shown_put(&out, rows[i].text);
        if (strcmp(buf_text(&out), rows[i].shown) != 0)
            fail_msg("%s: %s", rows[i].name, buf_text(&out));
    }
}

static void columns_are_counted_in_characters(void **state)
{
    static const struct {
        const char *text;
        int width;
        const char *column;
    } rows[] = {
        {"ab", 4, "ab  "},  {"äö", 3, "äö "},          {"äöü", 3, "äöü"}, {"äöüß", 3, "äö…"},
        {"a\033", 2, "a?"}, {"\033\033\033", 2, "?…"}, {"", 2, "  "},     {"ab", 1, "…"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_buf struct buf out = {0};
        shown_put_column(&out, rows[i].text, rows[i].width);
        assert_string_equal(buf_text(&out), rows[i].column);
    }
    assert_int_equal(shown_width("aé日\033\xff"), 5);
}

static void further_lines_are_set_in(void **state)
{
    auto_buf struct buf out = {0};

    (void)state;
    shown_put_lines(&out, "one\n\ntwo\033\nthree\n", 3);
    assert_string_equal(out.data, "one\n   two?\n   three");
}

static void durations_have_their_unit(void **state)
{
    static const struct {
        msec duration;
        const char *text;
    } rows[] = {
        {0, "  0.0 s"},         {-5, "  0.0 s"},          {1549, "  1.5 s"},
        {59999, " 60.0 s"},     {60000, "1:00 min"},      {3599000, "59:59 min"},
        {3600000, "1:00:00 h"}, {90061000, "25:01:01 h"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_buf struct buf out = {0};
        shown_put_duration(&out, rows[i].duration);
        assert_string_equal(out.data, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_terminal_would_obey_is_a_question_mark),
        cmocka_unit_test(columns_are_counted_in_characters),
        cmocka_unit_test(further_lines_are_set_in),
        cmocka_unit_test(durations_have_their_unit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
