#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/service/stream_ring.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* The byte `i` of the text of event `id`. */
static char byte_of(int64_t id, size_t i)
{
    return (char)('a' + (id * 31 + (int64_t)i * 7) % 26);
}

static void put(struct stream_ring *ring, int64_t id, int64_t run, bool is_for_all, size_t len)
{
    auto_free char *text = mem_alloc(len + 1);
    size_t third = len / 3;
    const struct str parts[] = {
        {text, third}, {text + third, third}, {text + 2 * third, len - 2 * third}};
    const struct ring_event event = {.id = id, .run = run, .is_for_all = is_for_all};

    for (size_t i = 0; i < len; i++)
        text[i] = byte_of(id, i);
    stream_ring_put(ring, &event, parts, 3);
}

static void check_text(const struct stream_ring *ring, const struct ring_event *event)
{
    for (size_t from = 0; from < event->len; from += 777) {
        char piece[1000];
        size_t len = event->len - from < sizeof piece ? event->len - from : sizeof piece;
        stream_ring_copy(ring, event, from, piece, len);
        for (size_t i = 0; i < len; i++)
            assert_int_equal(piece[i], byte_of(event->id, from + i));
    }
}

static void finds_the_next_of_a_run_or_of_all(void **state)
{
    static const struct {
        int64_t from, run, expected; /* 0: none */
    } rows[] = {
        {1, 7, 10}, {10, 7, 10}, {11, 7, 40}, {41, 7, 0},  {1, 8, 20},  {21, 8, 30},
        {31, 8, 0}, {1, 9, 0},   {1, 0, 10},  {11, 0, 30}, {31, 0, 40}, {41, 0, 0},
    };
    struct stream_ring ring = {0};

    (void)state;
    stream_ring_open(&ring);
    put(&ring, 10, 7, true, 5);
    put(&ring, 20, 8, false, 5);
    put(&ring, 30, 8, true, 5);
    put(&ring, 40, 7, true, 5);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct ring_event *event = stream_ring_find(&ring, rows[i].from, rows[i].run);
        if ((event ? event->id : 0) != rows[i].expected)
            fail_msg("row %zu", i);
        if (event)
            check_text(&ring, event);
    }
    stream_ring_close(&ring);
}

/* Many times round, with texts of all sizes: what is above the floor is there, and whole. */
static void the_oldest_make_room(void **state)
{
    struct stream_ring ring = {0};
    uint64_t held = 0;

    (void)state;
    stream_ring_open(&ring);
    for (int64_t id = 1; id <= 2000; id++) {
        put(&ring, id, 1, true, (size_t)(id * 7919 % 40000));
        assert_true(ring.end - ring.start <= STREAM_RING_BYTES);
        assert_true(stream_ring_reaches(&ring, id));
        if (id % 100 != 0)
            continue;
        assert_int_equal(ring.floor + ring.count, id);
        held = 0;
        for (int64_t at = ring.floor + 1; at <= id; at++) {
            const struct ring_event *event = stream_ring_find(&ring, at, 1);
            assert_int_equal(event->id, at);
            assert_int_equal(event->len, at * 7919 % 40000);
            check_text(&ring, event);
            held += event->len;
        }
        assert_int_equal(held, ring.end - ring.start);
    }
    assert_true(held > STREAM_RING_BYTES - 40000);
    assert_false(stream_ring_reaches(&ring, ring.floor));
    stream_ring_close(&ring);
}

static void as_many_small_ones_are_kept_as_there_are_places(void **state)
{
    struct stream_ring ring = {0};

    (void)state;
    stream_ring_open(&ring);
    for (int64_t id = 1; id <= 3 * STREAM_RING_EVENTS + 5; id++)
        put(&ring, id, 1, true, 3);
    assert_int_equal(ring.count, STREAM_RING_EVENTS);
    assert_int_equal(ring.floor, 2 * STREAM_RING_EVENTS + 5);
    check_text(&ring, stream_ring_find(&ring, 1, 1));
    assert_int_equal(stream_ring_find(&ring, 1, 1)->id, ring.floor + 1);
    stream_ring_close(&ring);
}

static void a_large_event_empties_it(void **state)
{
    struct stream_ring ring = {0};

    (void)state;
    stream_ring_open(&ring);
    put(&ring, 1, 1, true, STREAM_RING_EVENT_BYTES);
    assert_true(stream_ring_reaches(&ring, 1));
    check_text(&ring, stream_ring_find(&ring, 1, 1));
    put(&ring, 2, 1, true, STREAM_RING_EVENT_BYTES + 1);
    assert_false(stream_ring_reaches(&ring, 1));
    assert_false(stream_ring_reaches(&ring, 2));
    assert_true(stream_ring_reaches(&ring, 3));
    assert_null(stream_ring_find(&ring, 1, 1));
    put(&ring, 3, 1, true, 10);
    assert_int_equal(stream_ring_find(&ring, 1, 1)->id, 3);
    stream_ring_close(&ring);
}

static void its_floor_stays_when_it_is_closed(void **state)
{
    struct stream_ring ring = {0};

    (void)state;
    stream_ring_close(&ring);
    assert_true(stream_ring_reaches(&ring, 1));
    stream_ring_open(&ring);
    put(&ring, 5, 1, true, 10);
    put(&ring, 6, 1, true, 10);
    stream_ring_close(&ring);
    assert_false(stream_ring_reaches(&ring, 6));
    assert_true(stream_ring_reaches(&ring, 7));
    assert_null(stream_ring_find(&ring, 1, 1));
    stream_ring_open(&ring);
    put(&ring, 9, 1, true, 10);
    check_text(&ring, stream_ring_find(&ring, 7, 1));
    stream_ring_close(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_next_of_a_run_or_of_all),
        cmocka_unit_test(the_oldest_make_room),
        cmocka_unit_test(as_many_small_ones_are_kept_as_there_are_places),
        cmocka_unit_test(a_large_event_empties_it),
        cmocka_unit_test(its_floor_stays_when_it_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
