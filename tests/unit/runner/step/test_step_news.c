#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/step/step_news.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct step_news again(const struct step_news *news)
{
    auto_buf struct buf text = {0};
    struct step_news parsed;
    struct err e;

    step_news_encode(news, &text);
    if (step_news_parse(&parsed, (struct str){text.data, text.len}, &e) < 0)
        fail_msg("%s: %s", text.data, e.text);
    return parsed;
}

static void a_script_has_a_journal_only(void **state)
{
    struct step_news news = again(&(struct step_news){.journal_size = 4711});

    (void)state;
    assert_int_equal(news.journal_size, 4711);
    assert_false(news.has_kernel);
}

static void a_notebook_has_a_kernel(void **state)
{
    struct step_news told = {
        .journal_size = 1ull << 40,
        .has_kernel = true,
        .kernel_name = "a \"name\"",
        .is_kept = true,
        .kernel = {.activity = KERNEL_ACTIVITY_BUSY,
                   .last_activity_us = 1700000000123456,
                   .connections = 2,
                   .starts = 1},
    };
    struct step_news news = again(&told);

    (void)state;
    assert_int_equal(news.journal_size, 1ull << 40);
    assert_true(news.has_kernel);
    assert_true(news.is_kept);
    assert_string_equal(news.kernel_name, "a \"name\"");
    assert_int_equal(news.kernel.activity, KERNEL_ACTIVITY_BUSY);
    assert_int_equal(news.kernel.last_activity_us, 1700000000123456);
    assert_int_equal(news.kernel.connections, 2);
    assert_int_equal(news.kernel.starts, 1);
}

static void what_is_no_news(void **state)
{
    static const char *const rows[] = {
        "",
        "8 bytes!",
        "[]",
        "{}",
        "{\"journal\":-1}",
        "{\"journal\":\"1\"}",
        "{\"journal\":1,\"kernel\":{}}",
        "{\"journal\":1,\"kernel\":{\"name\":\"x\",\"news\":{\"activity\":\"asleep\"}}}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct step_news news;
        struct err e;
        if (step_news_parse(&news, str_of(rows[i]), &e) == 0)
            fail_msg("taken: %s", rows[i]);
        assert_int_equal(e.code, ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_script_has_a_journal_only),
        cmocka_unit_test(a_notebook_has_a_kernel),
        cmocka_unit_test(what_is_no_news),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
