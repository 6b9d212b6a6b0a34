#include "api/jupyter/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void puts_what_jupyter_reads(void **state)
{
    (void)state;
    auto_buf struct buf out = {0};
    struct kernel_news news = {
        .activity = KERNEL_ACTIVITY_BUSY, .last_activity_us = 1700000000000000, .connections = 2};
    struct kernel_model model = {.id = "i", .name = "python3", .news = &news, .since_us = 5};

    kernel_model_put(&out, &model);
    assert_string_equal(buf_text(&out), "{\"id\":\"i\",\"name\":\"python3\","
                                        "\"last_activity\":\"2023-11-14T22:13:20.000000Z\","
                                        "\"execution_state\":\"busy\",\"connections\":2}");
}

static void says_since_when_a_new_one_is_there(void **state)
{
    (void)state;
    auto_buf struct buf out = {0};
    struct kernel_news news = {.activity = KERNEL_ACTIVITY_STARTING};
    struct kernel_model model = {
        .id = "i", .name = "r", .news = &news, .since_us = 1700000000000001};

    kernel_model_put(&out, &model);
    assert_non_null(strstr(buf_text(&out), "\"2023-11-14T22:13:20.000001Z\""));
    assert_non_null(strstr(buf_text(&out), "\"starting\""));
}

static void says_why_it_is_dead(void **state)
{
    (void)state;
    auto_buf struct buf out = {0};
    struct kernel_news news = {.activity = KERNEL_ACTIVITY_DEAD, .reason = "out of \"memory\""};
    struct kernel_model model = {.id = "i", .name = "r", .news = &news};

    kernel_model_put(&out, &model);
    assert_non_null(strstr(buf_text(&out), "\"reason\":\"out of \\\"memory\\\"\""));
}

static void names_the_step(void **state)
{
    (void)state;
    auto_buf struct buf out = {0};
    struct kernel_news news = {.activity = KERNEL_ACTIVITY_IDLE};
    struct kernel_model model = {
        .id = "i", .name = "r", .news = &news, .run_uuid = "run", .step_uuid = "step"};

    kernel_model_put(&out, &model);
    assert_non_null(
        strstr(buf_text(&out), "\"segue\":{\"run_uuid\":\"run\",\"step_uuid\":\"step\"}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_what_jupyter_reads),
        cmocka_unit_test(says_since_when_a_new_one_is_there),
        cmocka_unit_test(says_why_it_is_dead),
        cmocka_unit_test(names_the_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
