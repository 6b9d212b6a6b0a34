#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel-gateway/interactive/gateway_private.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define IDLE       KERNEL_ACTIVITY_IDLE
#define BUSY       KERNEL_ACTIVITY_BUSY
#define DEAD       KERNEL_ACTIVITY_DEAD
#define STARTING   KERNEL_ACTIVITY_STARTING
#define RESTARTING KERNEL_ACTIVITY_RESTARTING

static void only_what_was_left_alone_for_long_is_culled(void **state)
{
    static const struct {
        const char *name;
        struct gateway_culling culling;
        int64_t own_timeout_s;
        enum kernel_activity activity;
        uint32_t connections;
        int64_t idle_s;
        bool is_to_cull;
    } rows[] = {
        {"never, by default", {0}, 0, IDLE, 0, 1000000, false},
        {"not yet", {.idle_timeout_s = 60}, 0, IDLE, 0, 59, false},
        {"for long enough", {.idle_timeout_s = 60}, 0, IDLE, 0, 60, true},
        {"it has a limit of its own", {0}, 30, IDLE, 0, 30, true},
        {"which goes before the other", {.idle_timeout_s = 60}, 90, IDLE, 0, 89, false},
        {"somebody is connected", {.idle_timeout_s = 60}, 0, IDLE, 1, 61, false},
        {"which does not count", {.idle_timeout_s = 60, .connected = true}, 0, IDLE, 1, 61, true},
        {"it does something", {.idle_timeout_s = 60}, 0, BUSY, 0, 61, false},
        {"which does not count", {.idle_timeout_s = 60, .busy = true}, 0, BUSY, 0, 61, true},
        {"busy and connected", {.idle_timeout_s = 60, .busy = true}, 0, BUSY, 1, 61, false},
        {"it starts", {.idle_timeout_s = 60, .busy = true}, 0, STARTING, 0, 61, false},
        {"it restarts", {.idle_timeout_s = 60, .busy = true}, 0, RESTARTING, 0, 61, false},
        {"it is dead", {.idle_timeout_s = 60}, 0, DEAD, 1, 0, true},
        {"dead, where nothing is culled", {0}, 0, DEAD, 0, 1000000, false},
        {"the clock was set back", {.idle_timeout_s = 60}, 0, IDLE, 0, -1000, false},
    };
    const int64_t now_us = 1800000000000000;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct kernel_view view = {.news = {.activity = rows[i].activity,
                                            .connections = rows[i].connections,
                                            .last_activity_us = now_us - rows[i].idle_s * 1000000}};
        if (gateway_is_to_cull(&rows[i].culling, &view, rows[i].own_timeout_s, now_us) !=
            rows[i].is_to_cull)
            fail_msg("%s", rows[i].name);
    }
}

static void it_is_looked_at_every_five_minutes_unless_told(void **state)
{
    (void)state;
    assert_int_equal(gateway_cull_interval_ms(&(struct gateway_culling){0}), 300000);
    assert_int_equal(gateway_cull_interval_ms(&(struct gateway_culling){.interval_s = 7}), 7000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_was_left_alone_for_long_is_culled),
        cmocka_unit_test(it_is_looked_at_every_five_minutes_unless_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
