#include "kernel-gateway/interactive/kernel_news.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct str text_of(const struct buf *b)
{
    return (struct str){b->data, b->len};
}

static void every_activity_comes_back(void **state)
{
    static const struct {
        enum kernel_activity activity;
        const char *name;
    } rows[] = {
#define X(activity, name) {activity, name},
        KERNEL_ACTIVITIES(X)
#undef X
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_buf struct buf text = {0};
        struct kernel_news news, sent = {.activity = rows[i].activity,
                                         .last_activity_us = 1700000000123456,
                                         .connections = 3,
                                         .starts = UINT32_MAX};
        struct err e;
        strcpy(sent.reason, "the kernel died: \"\\ \xc3\xa9\n");
        kernel_news_encode(&sent, &text);
        assert_non_null(strstr(text.data, rows[i].name));
        assert_int_equal(kernel_news_parse(&news, text_of(&text), &e), 0);
        assert_int_equal(news.activity, sent.activity);
        assert_int_equal(news.last_activity_us, sent.last_activity_us);
        assert_int_equal(news.connections, 3);
        assert_int_equal(news.starts, UINT32_MAX);
        assert_string_equal(news.reason, sent.reason);
        assert_string_equal(kernel_activity_name(news.activity), rows[i].name);
    }
}

/* As long a reason as there can be fits, and one that is longer is cut. */
static void reason_is_bounded(void **state)
{
    struct kernel_news news, sent = {.activity = KERNEL_ACTIVITY_DEAD};
    auto_buf struct buf text = {0}, longer = {0};
    struct err e;
    (void)state;

    memset(sent.reason, 'x', sizeof sent.reason - 1);
    kernel_news_encode(&sent, &text);
    assert_int_equal(kernel_news_parse(&news, text_of(&text), &e), 0);
    assert_string_equal(news.reason, sent.reason);
    buf_put(&longer, text.data, text.len - 2);
    for (int i = 0; i < 1000; i++)
        buf_putc(&longer, 'y');
    buf_puts(&longer, "\"}");
    assert_int_equal(kernel_news_parse(&news, text_of(&longer), &e), 0);
    assert_string_equal(news.reason, sent.reason);
}

static void refuses_what_is_no_news(void **state)
{
    static const char *const rows[] = {
        "",
        "[]",
        "{}",
        "{\"activity\":\"sleepy\",\"last_activity_us\":1,\"connections\":0,\"starts\":0}",
        "{\"activity\":\"idle\",\"connections\":0,\"starts\":0}",
        "{\"activity\":\"idle\",\"last_activity_us\":1,\"starts\":0}",
        "{\"activity\":\"idle\",\"last_activity_us\":1,\"connections\":-1,\"starts\":0}",
        "{\"activity\":\"idle\",\"last_activity_us\":1,\"connections\":0,\"starts\":4294967296}",
        "{\"activity\":\"idle\",\"last_activity_us\":1,\"connections\":0,\"starts\":1.5}",
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kernel_news news = {.starts = 7};
        struct err e;
        if (kernel_news_parse(&news, str_of(rows[i]), &e) == 0)
            fail_msg("taken: %s", rows[i]);
        assert_int_equal(e.code, ERR_INVALID);
        assert_int_equal(news.starts, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_activity_comes_back),
        cmocka_unit_test(reason_is_bounded),
        cmocka_unit_test(refuses_what_is_no_news),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
