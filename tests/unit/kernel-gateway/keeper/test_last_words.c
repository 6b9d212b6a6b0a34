#include "kernel-gateway/keeper/last_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* As the header promises no number, only that it is bounded and enough for a line. */
#define ENOUGH 200
#define BOUND  4096

static void clear(struct last_words *words)
{
    last_words_clear(words);
}

#define auto_last_words __attribute__((cleanup(clear)))

static void gives_the_last_line_that_says_something(void **state)
{
    static const struct {
        const char *written, *line;
    } rows[] = {
        {"", ""},
        {"\n", ""},
        {" \t\r\n\n \n", ""},
        {"one", "one"},
        {"one\n", "one"},
        {"one\r\n", "one"},
        {"one\ntwo", "two"},
        {"one\ntwo\n", "two"},
        {"one\ntwo\n\n  \n\t\r\n", "two"},
        {"one\n  two three  \n", "  two three"},
        {"\none", "one"},
        {"Traceback (most recent call last):\n  File \"x\"\nValueError: no\n", "ValueError: no"},
        {"\xc3\xa9t\xc3\xa9\n", "\xc3\xa9t\xc3\xa9"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_last_words struct last_words words = {0};
        last_words_add(&words, rows[i].written, strlen(rows[i].written));
        assert_string_equal(last_words_line(&words), rows[i].line);
        assert_string_equal(last_words_line(&words), rows[i].line); /* asked again */
    }
}

static void nothing_was_said(void **state)
{
    auto_last_words struct last_words words = {0};
    (void)state;

    assert_string_equal(last_words_line(&words), "");
    last_words_add(&words, NULL, 0);
    assert_string_equal(last_words_line(&words), "");
    last_words_clear(&words);
    last_words_clear(&words);
}

static void pieces_make_a_line(void **state)
{
    static const char text[] = "first\nSegmentation fault (core dumped)\n\n";
    (void)state;

    for (size_t piece = 1; piece < sizeof text; piece++) {
        auto_last_words struct last_words words = {0};
        for (size_t at = 0; at < sizeof text - 1; at += piece)
            last_words_add(&words, text + at,
                           sizeof text - 1 - at < piece ? sizeof text - 1 - at : piece);
        assert_string_equal(last_words_line(&words), "Segmentation fault (core dumped)");
    }
}

/* However much comes, in whatever pieces: the end of it stays, and not more than a bound. */
static void keeps_the_end_of_a_flood(void **state)
{
    enum { SIZE = 100000 };
    static const size_t pieces[] = {1, 7, 399, 400, 401, 4096, SIZE};
    auto_free char *flood = mem_array(SIZE, 1);
    (void)state;

    for (size_t i = 0; i < SIZE; i++)
        flood[i] = (char)('a' + i % 26);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        auto_last_words struct last_words words = {0};
        for (size_t at = 0; at < SIZE; at += pieces[i]) {
            last_words_add(&words, flood + at, SIZE - at < pieces[i] ? SIZE - at : pieces[i]);
            assert_in_range(words.tail.cap, 0, BOUND);
        }
        const char *line = last_words_line(&words);
        size_t len = strlen(line);
        assert_in_range(len, ENOUGH, BOUND);
        assert_memory_equal(line, flood + SIZE - len, len);
    }
}

static void line_after_a_flood_is_whole(void **state)
{
    auto_free char *blanks = mem_array(100000, 1);
    auto_last_words struct last_words words = {0};
    (void)state;

    memset(blanks, 'x', 100000);
    last_words_add(&words, blanks, 100000);
    last_words_add(&words, "\nkilled\n", 8);
    assert_string_equal(last_words_line(&words), "killed");
}

/* What is no text must neither be read past nor end the program. */
static void bytes_that_are_no_text(void **state)
{
    static const char bytes[] = "a\n\0\xff\xfe z\0\n";
    auto_last_words struct last_words words = {0};
    (void)state;

    last_words_add(&words, bytes, sizeof bytes - 1);
    assert_int_equal(strlen(last_words_line(&words)), 0); /* ends at the NUL, as a C string does */
    last_words_clear(&words);
    last_words_add(&words, "\xff\n", 2);
    assert_string_equal(last_words_line(&words), "\xff");
}

static void clear_starts_anew(void **state)
{
    auto_last_words struct last_words words = {0};
    (void)state;

    last_words_add(&words, "one\n", 4);
    last_words_clear(&words);
    assert_string_equal(last_words_line(&words), "");
    last_words_add(&words, "two\n", 4);
    assert_string_equal(last_words_line(&words), "two");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_last_line_that_says_something),
        cmocka_unit_test(nothing_was_said),
        cmocka_unit_test(pieces_make_a_line),
        cmocka_unit_test(keeps_the_end_of_a_flood),
        cmocka_unit_test(line_after_a_flood_is_whole),
        cmocka_unit_test(bytes_that_are_no_text),
        cmocka_unit_test(clear_starts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
