#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/commands/log_text.h"
#include "base/mem.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct row {
    const char *name, *text, *shown;
} ROWS[] = {
    {"text", "aé日🐍\tb\n", "aé日🐍\tb\n"},
    {"colours", "\033[1;31ma\033[38:5:9mb\033[0m", "\033[1;31ma\033[38:5:9mb\033[0m"},
    {"a colour that stays", "\033[31ma", "\033[31ma\033[0m"},
    {"a colour undone without a number", "\033[31ma\033[m", "\033[31ma\033[m"},
    {"cursor", "a\033[2J\033[10;20Hb", "ab"},
    {"a private m", "a\033[>4;2mb\033[?1mc", "abc"},
    {"an m with an intermediate", "a\033[1 mb", "ab"},
    {"title", "a\033]0;title\007b\033]2;title\033\\c", "abc"},
    {"a question to the terminal", "a\033P$q\"p\033\\b\033[6nc", "abc"},
    {"other escapes", "a\033cb\033(Bc\033#8d", "abcd"},
    {"8 bits",
     "a\xc2\x9b"
     "31mb",
     "a??31mb"},
    {"controls", "a\bb\ac\177d", "a?b?c?d"},
    {"no UTF-8", "a\xff\xc3 b\xe6\x97", "a?? b??"},
    {"surrogates", "\xed\xa0\x80", "???"},
    {"line ends", "a\r\nb\rc\r", "a\nb\nc\n"},
    {"an escape that is none", "a\033\nb", "a?\nb"},
    {"an escape at the end", "a\033", "a?"},
    {"a colour cut off", "a\033[31", "a?[31"},
};

static void check(const struct row *row, size_t piece)
{
    struct log_text log = {0};
    auto_buf struct buf out = {0};
    size_t len = strlen(row->text);

    for (size_t at = 0; at < len; at += piece) {
        auto_free char *part = mem_strndup(row->text + at, at + piece < len ? piece : len - at);
        log_text_put(&log, str_of(part), &out);
    }
    log_text_end(&log, &out);
    if (strcmp(buf_text(&out), row->shown) != 0)
        fail_msg("%s in pieces of %zu: %s", row->name, piece, buf_text(&out));
    assert_null(log.held.data);
}

static void only_text_and_colours_pass(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++)
        check(&ROWS[i], 1000);
}

static void however_it_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++)
        for (size_t piece = 1; piece < 8; piece++)
            check(&ROWS[i], piece);
}

/* What never ends would hide everything behind it. */
static void an_endless_sequence_is_given_up(void **state)
{
    static const char *const beginnings[] = {"\033]0;", "\033[", "\033P"};

    (void)state;
    for (size_t i = 0; i < COUNT(beginnings); i++) {
        struct log_text log = {0};
        auto_buf struct buf out = {0};
        log_text_put(&log, str_of(beginnings[i]), &out);
        for (int k = 0; k < 10000; k++)
            log_text_put(&log, STR("1"), &out);
        assert_true(out.len > 10000);
        assert_int_equal(out.data[0], '?');
        assert_null(memchr(out.data, '\033', out.len));
        log_text_clear(&log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_text_and_colours_pass),
        cmocka_unit_test(however_it_is_cut),
        cmocka_unit_test(an_endless_sequence_is_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
