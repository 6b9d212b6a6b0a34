#include "kernel-gateway/interactive/activity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void put_frame(zmq_msg_t *frame, const char *text)
{
    zmq_msg_init_size(frame, strlen(text));
    memcpy(zmq_msg_data(frame), text, strlen(text));
}

/* `parent_type` NULL: it has no parent. */
static void take(struct activity *activity, int64_t now, const char *type, const char *parent_type,
                 const char *parent_id, const char *content)
{
    auto_free char *header = mem_printf("{\"msg_id\":\"k\",\"msg_type\":\"%s\"}", type);
    auto_free char *parent =
        parent_type ? mem_printf("{\"msg_id\":\"%s\",\"msg_type\":\"%s\"}", parent_id, parent_type)
                    : mem_strdup("{}");
    const char *const parts[] = {"<IDS|MSG>", "", header, parent, "{}", content};
    zmq_msg_t *frames = mem_array(6, sizeof *frames);
    auto_message struct message message = {0};
    struct wire_key *key = wire_key_new("");

    for (size_t i = 0; i < 6; i++)
        put_frame(&frames[i], parts[i]);
    assert_int_equal(message_take_frames(&message, frames, 6, key), WIRE_OK);
    activity_take(activity, &message, now);
    wire_key_free(key);
}

static void status(struct activity *activity, int64_t now, const char *parent_type,
                   const char *parent_id, const char *state)
{
    auto_free char *content = mem_printf("{\"execution_state\":\"%s\"}", state);

    take(activity, now, "status", parent_type, parent_id, content);
}

static void follows_a_cell(void **state)
{
    struct activity activity = {0};
    (void)state;

    status(&activity, 1, "execute_request", "m1", "busy");
    assert_true(activity.is_busy);
    assert_int_equal(activity.last_us, 1);
    assert_string_equal(activity.executing.data,
                        "{\"msg_id\":\"m1\",\"msg_type\":\"execute_request\"}");
    take(&activity, 2, "stream", "execute_request", "m1", "{}");
    assert_int_equal(activity.last_us, 2);
    status(&activity, 3, "execute_request", "m0", "idle"); /* of another thread of it */
    assert_int_not_equal(activity.executing.len, 0);
    status(&activity, 4, "execute_request", "m1", "idle");
    assert_false(activity.is_busy);
    assert_int_equal(activity.executing.len, 0);
    assert_int_equal(activity.last_us, 4);
    activity_clear(&activity);
}

static void what_is_not_tracked_does_not_count(void **state)
{
    static const char *const types[] = {"kernel_info_request", "comm_info_request", "debug_request",
                                        "shutdown_request", "interrupt_request"};
    (void)state;

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct activity activity = {.last_us = 1};
        status(&activity, 2, types[i], "m1", "busy");
        assert_false(activity.is_busy);
        assert_int_equal(activity.last_us, 1);
        status(&activity, 3, "execute_request", "m2", "busy");
        status(&activity, 4, types[i], "m3", "idle"); /* from the control thread, meanwhile */
        assert_true(activity.is_busy);
        assert_int_equal(activity.last_us, 4); /* a busy kernel is active */
        activity_clear(&activity);
    }
}

static void other_work_is_busy_too_but_no_cell(void **state)
{
    struct activity activity = {0};
    (void)state;

    status(&activity, 1, "comm_msg", "m1", "busy");
    assert_true(activity.is_busy);
    assert_int_equal(activity.executing.len, 0);
    status(&activity, 2, "comm_msg", "m1", "idle");
    assert_false(activity.is_busy);
    activity_clear(&activity);
}

static void strange_messages_change_nothing(void **state)
{
    struct activity activity = {0};
    (void)state;

    status(&activity, 1, "execute_request", "m1", "busy");
    status(&activity, 2, NULL, NULL, "starting");
    status(&activity, 3, "execute_request", "m1", "restarting");
    take(&activity, 4, "status", "execute_request", "m1", "no JSON");
    take(&activity, 5, "status", "execute_request", "m1", "{\"execution_state\":7}");
    assert_true(activity.is_busy);
    assert_int_not_equal(activity.executing.len, 0);
    activity_reset(&activity, 6);
    assert_false(activity.is_busy);
    assert_int_equal(activity.executing.len, 0);
    assert_int_equal(activity.last_us, 6);
    activity_clear(&activity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_a_cell),
        cmocka_unit_test(what_is_not_tracked_does_not_count),
        cmocka_unit_test(other_work_is_busy_too_but_no_cell),
        cmocka_unit_test(strange_messages_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
