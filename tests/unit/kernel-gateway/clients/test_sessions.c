#include "kernel-gateway/clients/sessions.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct sessions *new_sessions(void)
{
    return mem_zalloc(sizeof(struct sessions));
}

static struct session *enter_numbered(struct sessions *sessions, int number, msec now)
{
    char id[16];

    snprintf(id, sizeof id, "s%d", number);
    return sessions_enter(sessions, id, 1, now);
}

static bool knows(struct sessions *sessions, int number)
{
    char id[16];

    snprintf(id, sizeof id, "s%d", number);
    return sessions_find(sessions, id) != NULL;
}

static void comes_back_to_where_it_was(void **state)
{
    auto_free struct sessions *sessions = new_sessions();
    (void)state;

    struct session *a = sessions_enter(sessions, "a", 5, 0);
    uint32_t number = a->number;
    assert_int_equal(a->got, 0); /* the first one ever: from the beginning */
    assert_int_equal(a->since, 5);
    sessions_heard(sessions, a, 7);
    sessions_heard(sessions, a, 6); /* it knows better already */
    assert_int_equal(a->got, 7);
    sessions_leave(sessions, a, 0);
    assert_int_equal(sessions->connected, 0);
    assert_int_equal(sessions_needed(sessions, 0), 8);

    struct session *b = sessions_enter(sessions, "b", 20, 0); /* 8 to 19: nobody was there */
    assert_int_equal(b->got, 7);
    assert_int_equal(b->since, 20);
    sessions_heard(sessions, b, 30);
    assert_int_equal(sessions_needed(sessions, 0), 8); /* for a */
    struct session *c = sessions_enter(sessions, "c", 31, 0);
    assert_int_equal(c->got, 30);

    assert_ptr_equal(sessions_enter(sessions, "a", 31, 0), a);
    assert_int_equal(a->number, number);
    assert_int_equal(a->got, 7);
    assert_int_equal(a->since, 5);
    assert_int_equal(sessions->connected, 3);
    sessions_heard(sessions, a, 30);
    assert_int_equal(sessions_needed(sessions, 0), 31);
    assert_ptr_equal(sessions_numbered(sessions, number), a);
    assert_null(sessions_numbered(sessions, 0));
    assert_null(sessions_numbered(sessions, 99));
}

static void without_an_id_it_never_comes_back(void **state)
{
    auto_free struct sessions *sessions = new_sessions();
    (void)state;

    struct session *one = sessions_enter(sessions, "", 1, 0);
    struct session *two = sessions_enter(sessions, "", 1, 0);
    uint32_t number = one->number;
    assert_ptr_not_equal(one, two);
    assert_int_not_equal(one->number, two->number);
    assert_null(sessions_find(sessions, ""));
    sessions_leave(sessions, one, 0);
    assert_null(sessions_numbered(sessions, number));
    sessions_heard(sessions, two, 9);
    sessions_leave(sessions, two, 0);
    assert_int_equal(sessions_needed(sessions, 0),
                     10); /* what they had not got is the next one's */
}

static void who_is_away_for_long_is_forgotten(void **state)
{
    auto_free struct sessions *sessions = new_sessions();
    (void)state;

    sessions_leave(sessions, enter_numbered(sessions, 1, 0), 0);
    struct session *here = enter_numbered(sessions, 2, 5 * SESSIONS_AWAY_MS); /* nobody was */
    sessions_heard(sessions, here, 50);
    assert_int_equal(sessions_needed(sessions, 6 * SESSIONS_AWAY_MS - 1), 1);
    assert_true(knows(sessions, 1));
    assert_int_equal(sessions_needed(sessions, 6 * SESSIONS_AWAY_MS), 51);
    assert_false(knows(sessions, 1));
    assert_true(knows(sessions, 2));
}

static void nobody_is_forgotten_while_nobody_is_there(void **state)
{
    auto_free struct sessions *sessions = new_sessions();
    (void)state;

    sessions_leave(sessions, enter_numbered(sessions, 1, 0), 0);
    sessions_needed(sessions, 100 * (msec)SESSIONS_AWAY_MS);
    assert_true(knows(sessions, 1));
}

static void those_away_the_longest_make_room(void **state)
{
    auto_free struct sessions *sessions = new_sessions();
    (void)state;

    for (int i = 0; i < 10 * SESSIONS_AWAY_MAX; i++)
        sessions_leave(sessions, enter_numbered(sessions, i, i), i);
    for (int i = 0; i < 10 * SESSIONS_AWAY_MAX; i++)
        assert_int_equal(knows(sessions, i), i >= 9 * SESSIONS_AWAY_MAX);
}

static void there_is_room_for_all_who_may_be_there(void **state)
{
    auto_free struct sessions *sessions = new_sessions();
    struct session *last = NULL;
    (void)state;

    for (int i = 0; i < SESSIONS_AWAY_MAX; i++)
        sessions_leave(sessions, enter_numbered(sessions, i, 0), 0);
    for (int i = 0; i < SESSIONS_CONNECTED_MAX; i++)
        last = enter_numbered(sessions, 1000 + i, 0);
    assert_int_equal(sessions->connected, SESSIONS_CONNECTED_MAX);
    assert_true(knows(sessions, 0));
    sessions_leave(sessions, last, 1); /* one too many away */
    assert_false(knows(sessions, 0));
    assert_true(knows(sessions, 1000 + SESSIONS_CONNECTED_MAX - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_to_where_it_was),
        cmocka_unit_test(without_an_id_it_never_comes_back),
        cmocka_unit_test(who_is_away_for_long_is_forgotten),
        cmocka_unit_test(nobody_is_forgotten_while_nobody_is_there),
        cmocka_unit_test(those_away_the_longest_make_room),
        cmocka_unit_test(there_is_room_for_all_who_may_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
