#include "kernel-gateway/clients/unread.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const size_t third = UNREAD_BYTES_MAX / 3;

static void more_than_the_limit_has_no_room(void **state)
{
    struct unread unread = {0};

    (void)state;
    assert_true(unread_has_room(&unread, CHANNEL_SHELL, UNREAD_BYTES_MAX));
    unread_add(&unread, CHANNEL_SHELL, "a", third);
    unread_add(&unread, CHANNEL_SHELL, "b", third);
    assert_true(unread_has_room(&unread, CHANNEL_SHELL, third));
    assert_false(unread_has_room(&unread, CHANNEL_SHELL, third + 2));
    assert_true(unread_has_room(&unread, CHANNEL_CONTROL, third + 2)); /* a line of its own */
    unread_clear(&unread);
    assert_true(unread_has_room(&unread, CHANNEL_SHELL, third + 2));
}

static void one_that_is_alone_may_be_larger(void **state)
{
    struct unread unread = {0};

    (void)state;
    assert_true(unread_has_room(&unread, CHANNEL_SHELL, 2 * UNREAD_BYTES_MAX));
    unread_add(&unread, CHANNEL_SHELL, "a", 2 * UNREAD_BYTES_MAX);
    assert_false(unread_has_room(&unread, CHANNEL_SHELL, 1));
    unread_heard_of(&unread, "a");
    assert_true(unread_has_room(&unread, CHANNEL_SHELL, 1));
    unread_clear(&unread);
}

static void what_is_heard_of_was_read_with_all_before(void **state)
{
    struct unread unread = {0};

    (void)state;
    unread_add(&unread, CHANNEL_SHELL, "a", third);
    unread_add(&unread, CHANNEL_SHELL, "b", third);
    unread_add(&unread, CHANNEL_SHELL, "c", third);
    unread_add(&unread, CHANNEL_CONTROL, "d", UNREAD_BYTES_MAX);
    unread_heard_of(&unread, "nobody's");
    unread_heard_of(&unread, "");
    assert_false(unread_has_room(&unread, CHANNEL_SHELL, third));
    unread_heard_of(&unread, "b");
    assert_true(unread_has_room(&unread, CHANNEL_SHELL, 2 * third));
    assert_false(unread_has_room(&unread, CHANNEL_SHELL, 2 * third + 2)); /* c is still there */
    assert_false(unread_has_room(&unread, CHANNEL_CONTROL, 1));
    unread_heard_of(&unread, "b"); /* again, as a kernel does: busy, output, idle, reply */
    assert_false(unread_has_room(&unread, CHANNEL_SHELL, 2 * third + 2));
    unread_clear(&unread);
}

/* The same as a plain count, over many rounds of sending and reading. */
static void nothing_is_forgotten_however_many_there_are(void **state)
{
    enum { COUNT = 3 * UNREAD_MAX };
    struct unread unread = {0};

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        auto_free char *id = mem_printf("m%d", i);
        unread_add(&unread, CHANNEL_SHELL, id, 100);
    }
    assert_int_equal(unread.lines[CHANNEL_SHELL].bytes, COUNT * 100);
    unread_heard_of(&unread, "m9");
    assert_int_equal(unread.lines[CHANNEL_SHELL].bytes, (COUNT - 10) * 100);
    for (int i = 0; i < COUNT; i++) { /* one in, one out: no more memory is taken */
        auto_free char *id = mem_printf("n%d", i), *before = mem_printf("n%d", i - 1);
        unread_heard_of(&unread, before);
        unread_add(&unread, CHANNEL_SHELL, id, 100);
    }
    assert_in_range(unread.lines[CHANNEL_SHELL].capacity, 1, 2 * UNREAD_MAX);
    auto_free char *last = mem_printf("n%d", COUNT - 1);
    unread_heard_of(&unread, last);
    assert_int_equal(unread.lines[CHANNEL_SHELL].bytes, 0);
    unread_clear(&unread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_than_the_limit_has_no_room),
        cmocka_unit_test(one_that_is_alone_may_be_larger),
        cmocka_unit_test(what_is_heard_of_was_read_with_all_before),
        cmocka_unit_test(nothing_is_forgotten_however_many_there_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
