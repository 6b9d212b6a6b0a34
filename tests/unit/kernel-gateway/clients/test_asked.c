#include "kernel-gateway/clients/asked.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void finds_who_asked(void **state)
{
    struct asked asked = {0};
    (void)state;

    assert_int_equal(asked_find(&asked, "a"), 0);
    assert_int_equal(asked_find(&asked, ""), 0);
    asked_note(&asked, "a", 1);
    asked_note(&asked, "b", 2);
    assert_int_equal(asked_find(&asked, "a"), 1);
    assert_int_equal(asked_find(&asked, "b"), 2);
    assert_int_equal(asked_find(&asked, "ab"), 0);
    asked_note(&asked, "a", 3); /* somebody else asks under the same id */
    assert_int_equal(asked_find(&asked, "a"), 3);
    asked_clear(&asked);
    assert_int_equal(asked_find(&asked, "a"), 0);
}

static void note_number(struct asked *asked, uint32_t number)
{
    auto_free char *id = mem_printf("id-%u", number);

    asked_note(asked, id, number);
}

static uint32_t find_number(const struct asked *asked, uint32_t number)
{
    auto_free char *id = mem_printf("id-%u", number);

    return asked_find(asked, id);
}

/* However many there were: the newest ones are known, the others are not, and it does not grow. */
static void keeps_the_newest(void **state)
{
    struct asked asked = {0};
    uint32_t last = 2 * ASKED_MAX + 77;
    (void)state;

    for (uint32_t i = 1; i <= last; i++)
        note_number(&asked, i);
    for (uint32_t i = 1; i <= last - ASKED_MAX; i += 13)
        assert_int_equal(find_number(&asked, i), 0);
    assert_int_equal(find_number(&asked, last - ASKED_MAX), 0);
    for (uint32_t i = last - ASKED_MAX + 1; i <= last; i += 13)
        assert_int_equal(find_number(&asked, i), i);
    assert_int_equal(find_number(&asked, last), last);
    assert_in_range(asked.capacity, ASKED_MAX, 2 * ASKED_MAX);
    asked_note(&asked, "id-5", 9); /* the newer one counts also across the ring's end */
    assert_int_equal(find_number(&asked, 5), 9);
    asked_clear(&asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_who_asked),
        cmocka_unit_test(keeps_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
