#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/service/stream_ring.h"
#include "api/service/streams.h"
#include "base/log.h"
#include "tests/unit/api/service/fake_exchange.c"
#include "tests/unit/runner/engine/made_log.c"

/* A log with one run, and streams on it. */
struct world {
    struct made_log log;
    struct loop *loop;
    struct readers *readers;
    struct streams *streams;
};

static struct made_run *the_run(struct world *world)
{
    return &world->log.runs[0];
}

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);

    made_log_open(&world->log);
    made_begin(&world->log);
    made_run(&world->log);
    made_event(&world->log, the_run(world), EVENT_RUN_STARTED, STEP_NONE);
    made_attempt(&world->log, the_run(world), 0);
    made_commit(&world->log);
    notices_reset(&world->log.notices); /* that was before */
    world->loop = loop_new();
    world->readers = readers_new(world->log.path);
    world->streams = streams_new(world->loop, world->readers, world->log.runs_dir);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    streams_free(world->streams);
    readers_free(world->readers);
    loop_free(world->loop);
    made_log_close(&world->log);
    free(world);
    return 0;
}

/* Tells what was committed. */
static void publish(struct world *world)
{
    const struct notices *notices = &world->log.notices;

    for (size_t i = 0; i < notices->count; i++) {
        const struct notice *notice = &notices->items[i];
        streams_publish(world->streams, &(struct engine_event){
                                            .id = notice->id,
                                            .run = notice->run,
                                            .run_uuid = notice->run_uuid.text,
                                            .event = notice->event,
                                            .step = notice->step,
                                            .json = notices->text.data + notice->start,
                                            .json_len = notice->len,
                                            .time = notice->time,
                                        });
    }
    notices_reset(&world->log.notices);
}

/* One event, from the store to the streams. */
static int64_t happen(struct world *world, enum run_event_kind kind)
{
    made_begin(&world->log);
    int64_t id = made_event(&world->log, the_run(world), kind, STEP_NONE);
    made_commit(&world->log);
    publish(world);
    return id;
}

static int64_t print(struct world *world, size_t size)
{
    made_begin(&world->log);
    int64_t id = made_line(&world->log, the_run(world), 0, "output", size);
    made_commit(&world->log);
    publish(world);
    return id;
}

static int64_t finish(struct world *world)
{
    made_begin(&world->log);
    int64_t id = made_end(&world->log, the_run(world));
    made_commit(&world->log);
    publish(world);
    return id;
}

static int64_t remove_run(struct world *world)
{
    made_begin(&world->log);
    int64_t id = made_deletion(&world->log, the_run(world));
    made_commit(&world->log);
    made_shred(&world->log, the_run(world), 0);
    publish(world);
    return id;
}

/* Asks; gives the status. */
static int ask(struct world *world, struct stream *stream, struct exchange request)
{
    *stream = (struct stream){0};
    request.stream = stream;
    streams_open(world->streams, &request);
    buf_clear(&request.headers);
    return request.status;
}

/* Everything there is to read now. */
static char *take(struct stream *stream, size_t room)
{
    struct buf got = {0};

    while (stream_pump(stream, room, &got))
        ;
    return buf_take(&got);
}

/* Takes and expects `count` events, with the ids given behind it. */
static void check_ids(struct stream *stream, unsigned count, ...)
{
    auto_free char *got = take(stream, 32768);
    const char *at = got;
    va_list ids;

    va_start(ids, count);
    for (unsigned i = 0; i < count; i++) {
        auto_free char *wanted = mem_printf("id: %" PRId64 "\n", va_arg(ids, int64_t));
        at = strstr(at, "id: ");
        if (!at || strncmp(at, wanted, strlen(wanted)) != 0)
            fail_msg("not %s in %s", wanted, got);
        at++;
    }
    va_end(ids);
    assert_null(strstr(at, "\nid: "));
    if (count == 0)
        assert_null(strstr(got, "id: "));
}

/* A stream of all that has taken its first frame. */
static void follow_all(struct world *world, struct stream *stream)
{
    assert_int_equal(ask(world, stream, (struct exchange){0}), 200);
    auto_free char *first = take(stream, 100);
    assert_string_equal(first, "retry: 1000\n\n");
}

/* A stream of the run that has taken what there was. */
static void follow_run(struct world *world, struct stream *stream)
{
    assert_int_equal(ask(world, stream, (struct exchange){.run = the_run(world)->uuid.text}), 200);
    free(take(stream, 32768));
}

/* --- requests --- */

static void a_stream_is_announced_as_one(void **state)
{
    struct world *world = *state;
    struct stream stream = {0};
    struct exchange request = {.stream = &stream};

    streams_open(world->streams, &request);
    assert_string_equal(buf_text(&request.headers), "X-Accel-Buffering: no\n"
                                                    "Content-Type: text/event-stream\n");
    buf_clear(&request.headers);
    stream_close(&stream);
}

static void frames_are_as_they_should_be(void **state)
{
    struct world *world = *state;
    struct stream stream;

    assert_int_equal(ask(world, &stream, (struct exchange){0}), 200);
    made_begin(&world->log);
    int64_t id = made_event(&world->log, the_run(world), EVENT_CANCEL_REQUESTED, STEP_NONE);
    made_commit(&world->log);
    auto_free char *expected = mem_printf("retry: 1000\n\n"
                                          "id: %" PRId64 "\nevent: cancel_requested\ndata: %s\n\n",
                                          id, world->log.notices.text.data);
    publish(world);
    auto_free char *got = take(&stream, 32768);
    assert_string_equal(got, expected);
    stream_close(&stream);
}

static void begins_where_it_was_asked_to(void **state)
{
    struct world *world = *state;
    const char *uuid = the_run(world)->uuid.text;
    struct stream stream;
    const struct {
        const char *name;
        struct exchange request;
        int64_t first; /* 0: nothing but what comes */
    } rows[] = {
        {"all, from now", {0}, 0},
        {"a run, from its start", {.run = uuid}, 1},
        {"all, after 0", {.after = "0"}, 1},
        {"after 2", {.after = "2"}, 3},
        {"the header", {.last_event_id = "1"}, 2},
        {"the header wins", {.last_event_id = "2", .after = "0"}, 3},
        {"a run, after 2", {.run = uuid, .after = "2"}, 3},
        {"after the last", {.after = "3"}, 0},
        {"the largest", {.after = "9223372036854775807"}, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(ask(world, &stream, rows[i].request), 200);
        auto_free char *got = take(&stream, 32768);
        const char *id = strstr(got, "id: ");
        if ((id ? atoll(id + 4) : 0) != rows[i].first)
            fail_msg("%s: %s", rows[i].name, got);
        stream_close(&stream);
    }
}

static void wrong_requests_are_refused(void **state)
{
    struct world *world = *state;
    struct stream stream;
    const struct {
        struct exchange request;
        int status;
    } rows[] = {
        {{.after = ""}, 400},
        {{.after = "-1"}, 400},
        {{.after = "+1"}, 400},
        {{.after = " 1"}, 400},
        {{.after = "1x"}, 400},
        {{.after = "0x10"}, 400},
        {{.after = "9223372036854775808"}, 400},
        {{.last_event_id = "seven", .after = "7"}, 400},
        {{.run = "00000000-0000-4000-8000-000000000000"}, 404},
        {{.run = ""}, 404},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (ask(world, &stream, rows[i].request) != rows[i].status)
            fail_msg("row %zu", i);
        assert_null(stream.source);
    }
}

static void there_is_a_limit(void **state)
{
    enum { LIMIT = 4000 };
    struct world *world = *state;
    struct stream *streams = mem_array(LIMIT, sizeof *streams);
    struct stream one_more;

    for (unsigned i = 0; i < LIMIT; i++)
        assert_int_equal(ask(world, &streams[i], (struct exchange){0}), 200);
    assert_int_equal(ask(world, &one_more, (struct exchange){0}), 503);
    stream_close(&streams[17]);
    assert_int_equal(ask(world, &streams[17], (struct exchange){0}), 200);
    assert_int_equal(ask(world, &one_more, (struct exchange){.after = "0"}), 503);
    for (unsigned i = 0; i < LIMIT; i++)
        stream_close(&streams[i]);
    free(streams);
}

static void a_store_that_is_not_there_is_an_answer(void **state)
{
    struct world *world = *state;
    struct readers *nowhere = readers_new("/nowhere/segue.db");
    struct streams *streams = streams_new(world->loop, nowhere, "/nowhere");
    struct exchange request = {0};

    streams_open(streams, &request);
    assert_int_equal(request.status, 500);
    streams_free(streams);
    readers_free(nowhere);
}

/* --- following --- */

static void all_have_what_is_for_all(void **state)
{
    struct world *world = *state;
    struct stream all, one;

    follow_all(world, &all);
    follow_run(world, &one);
    int64_t first = happen(world, EVENT_CANCEL_REQUESTED);
    int64_t second = print(world, 100);
    int64_t third = finish(world);
    check_ids(&all, 2, first, third);
    check_ids(&one, 3, first, second, third);
    stream_close(&all);
    stream_close(&one);
    /* The same from the store. */
    auto_free char *after = mem_printf("%" PRId64, first - 1);
    assert_int_equal(ask(world, &all, (struct exchange){.after = after}), 200);
    check_ids(&all, 2, first, third);
    assert_int_equal(
        ask(world, &one, (struct exchange){.run = the_run(world)->uuid.text, .after = after}), 200);
    check_ids(&one, 3, first, second, third);
    stream_close(&all);
}

static void only_who_is_concerned_is_woken_and_once(void **state)
{
    enum { COUNT = 300 };
    struct world *world = *state;
    struct stream *others = mem_array(COUNT, sizeof *others);
    struct stream all, one;
    unsigned woken = 0;

    made_begin(&world->log);
    for (unsigned i = 0; i < COUNT; i++)
        made_run(&world->log);
    made_commit(&world->log);
    notices_reset(&world->log.notices);
    for (unsigned i = 0; i < COUNT; i++) {
        const struct made_run *run = &world->log.runs[i + 1];
        assert_int_equal(ask(world, &others[i], (struct exchange){.run = run->uuid.text}), 200);
        free(take(&others[i], 32768));
    }
    follow_all(world, &all);
    follow_run(world, &one);
    for (unsigned i = 0; i < 10; i++)
        print(world, 100);
    assert_int_equal(one.wake_count, 1);
    assert_int_equal(all.wake_count, 0);
    for (unsigned i = 0; i < 10; i++)
        happen(world, EVENT_RUN_STARTED);
    assert_int_equal(one.wake_count, 1);
    assert_int_equal(all.wake_count, 1);
    free(take(&one, 32768));
    happen(world, EVENT_RUN_STARTED);
    assert_int_equal(one.wake_count, 2);
    for (unsigned i = 0; i < COUNT; i++) {
        woken += others[i].wake_count;
        stream_close(&others[i]);
    }
    assert_int_equal(woken, 0);
    stream_close(&all);
    stream_close(&one);
    free(others);
}

/* Stored, read from the store, and published only then: told once. */
static void what_was_read_before_it_was_published_is_not_told_again(void **state)
{
    struct world *world = *state;
    struct stream stream;

    made_begin(&world->log);
    int64_t first = made_event(&world->log, the_run(world), EVENT_RUN_STARTED, STEP_NONE);
    int64_t second = made_event(&world->log, the_run(world), EVENT_RUN_STARTED, STEP_NONE);
    made_commit(&world->log);
    assert_int_equal(ask(world, &stream, (struct exchange){.after = "3"}), 200);
    check_ids(&stream, 2, first, second);
    publish(world);
    check_ids(&stream, 0);
    check_ids(&stream, 1, happen(world, EVENT_RUN_STARTED));
    stream_close(&stream);
}

/* A line far larger than what is kept, between others, in small pieces. */
static void a_huge_line_is_streamed(void **state)
{
    enum { SIZE = 3 << 20 };
    struct world *world = *state;
    struct stream stream;

    follow_run(world, &stream);
    int64_t before = print(world, 10);
    int64_t huge = print(world, SIZE);
    int64_t after = print(world, 10);
    auto_free char *got = take(&stream, 1000);
    const char *at = strstr(got, "data: ");
    assert_int_equal(atoll(got + 4), before);
    at = strstr(at, "\n\nid: ") + 6;
    assert_int_equal(atoll(at), huge);
    const char *end = strstr(at, "\n\n");
    assert_true(end - at > SIZE);
    assert_int_equal(atoll(end + 6), after);
    stream_close(&stream);
}

/* Far more is passed over than is read in one turn. */
static void what_is_not_for_all_is_passed_over(void **state)
{
    struct world *world = *state;
    struct stream stream;

    made_begin(&world->log);
    for (unsigned i = 0; i < 5000; i++)
        made_line(&world->log, the_run(world), 0, "output", 1);
    made_commit(&world->log);
    notices_reset(&world->log.notices);
    assert_int_equal(ask(world, &stream, (struct exchange){.after = "3"}), 200);
    check_ids(&stream, 0);
    check_ids(&stream, 1, happen(world, EVENT_CANCEL_REQUESTED));
    stream_close(&stream);
    int64_t last = finish(world);
    assert_int_equal(ask(world, &stream, (struct exchange){.after = "3"}), 200);
    check_ids(&stream, 2, last - 1, last);
    stream_close(&stream);
}

static void who_is_too_slow_for_memory_misses_nothing(void **state)
{
    struct world *world = *state;
    struct stream slow, quick;
    auto_buf struct buf got = {0};

    follow_run(world, &slow);
    follow_run(world, &quick);
    for (unsigned i = 0; i < 2 * STREAM_RING_BYTES / 100000; i++) {
        print(world, 100000);
        while (stream_pump(&quick, 32768, &got))
            ;
    }
    auto_free char *slowly = take(&slow, 1000);
    assert_int_equal(strlen(slowly), got.len);
    assert_string_equal(slowly, got.data);
    stream_close(&slow);
    stream_close(&quick);
}

/* So much happens in the middle of a frame that it is no longer in memory. */
static void a_frame_begun_in_memory_is_ended_from_the_journal(void **state)
{
    struct world *world = *state;
    struct stream slow, quick;
    struct buf got = {0};

    follow_run(world, &slow);
    follow_run(world, &quick);
    print(world, 1000);
    assert_true(stream_pump(&slow, 700, &got));
    assert_int_equal(got.len, 700);
    for (unsigned i = 0; i < 2 * STREAM_RING_BYTES / 100000; i++)
        print(world, 100000);
    print(world, STREAM_RING_EVENT_BYTES + 1);
    print(world, 10);
    while (stream_pump(&slow, 32768, &got))
        ;
    auto_free char *expected = take(&quick, 32768);
    assert_int_equal(got.len, strlen(expected));
    assert_memory_equal(got.data, expected, got.len);
    buf_clear(&got);
    stream_close(&slow);
    stream_close(&quick);
}

/* --- ends --- */

static void a_run_stream_ends_with_its_run(void **state)
{
    struct world *world = *state;
    struct stream stream;

    follow_run(world, &stream);
    int64_t last = finish(world);
    check_ids(&stream, 1, last);
    assert_null(stream.source);
}

static void what_was_told_to_the_end_is_not_told_again(void **state)
{
    struct world *world = *state;
    const char *uuid = the_run(world)->uuid.text;
    struct stream stream;

    int64_t last = finish(world);
    auto_free char *before = mem_printf("%" PRId64, last - 1);
    auto_free char *at = mem_printf("%" PRId64, last);
    auto_free char *behind = mem_printf("%" PRId64, last + 100);
    assert_int_equal(ask(world, &stream, (struct exchange){.run = uuid, .after = at}), 204);
    assert_int_equal(ask(world, &stream, (struct exchange){.run = uuid, .last_event_id = behind}),
                     204);
    assert_int_equal(ask(world, &stream, (struct exchange){.run = uuid, .after = before}), 200);
    check_ids(&stream, 1, last);
    assert_null(stream.source);
    assert_int_equal(ask(world, &stream, (struct exchange){.run = uuid}), 200);
    check_ids(&stream, 4, (int64_t)1, (int64_t)2, (int64_t)3, last);
    assert_null(stream.source);
}

/* An end further behind the cursor than is looked at when it is asked. */
static void a_long_rest_is_told(void **state)
{
    struct world *world = *state;
    struct stream stream;

    for (unsigned i = 0; i < 1000; i++)
        print(world, 1);
    int64_t last = finish(world);
    assert_int_equal(
        ask(world, &stream, (struct exchange){.run = the_run(world)->uuid.text, .after = "5"}),
        200);
    auto_free char *got = take(&stream, 32768);
    auto_free char *end = mem_printf("\nid: %" PRId64 "\nevent: run_finished\n", last);
    assert_non_null(strstr(got, end));
    assert_null(stream.source);
}

static void a_deletion_ends_the_stream_of_its_run(void **state)
{
    struct world *world = *state;
    struct stream one, late, all;

    follow_all(world, &all);
    follow_run(world, &one);
    assert_int_equal(
        ask(world, &late, (struct exchange){.run = the_run(world)->uuid.text, .after = "1"}), 200);
    int64_t id = remove_run(world);
    check_ids(&all, 1, id);
    check_ids(&one, 1, id);
    check_ids(&late, 1, id);
    assert_null(one.source);
    assert_null(late.source);
    assert_non_null(all.source);
    assert_int_equal(ask(world, &one, (struct exchange){.run = the_run(world)->uuid.text}), 404);
    stream_close(&all);
}

/* The rest of a frame is gone: what was sent of it must not become an event. */
static void a_frame_that_cannot_be_ended_ends_the_stream(void **state)
{
    struct world *world = *state;
    struct stream stream, all;
    struct buf got = {0};

    follow_run(world, &stream);
    print(world, 1000);
    assert_true(stream_pump(&stream, 700, &got));
    print(world, STREAM_RING_EVENT_BYTES + 1);
    int64_t id = remove_run(world);
    while (stream_pump(&stream, 1000, &got))
        ;
    assert_null(stream.source);
    assert_int_equal(got.len, 700);
    /* Who comes back is told. */
    assert_int_equal(ask(world, &all, (struct exchange){.after = "3"}), 200);
    check_ids(&all, 1, id);
    stream_close(&all);
    buf_clear(&got);
}

static void a_journal_that_cannot_be_read_ends_the_stream(void **state)
{
    struct world *world = *state;
    struct stream stream;

    int64_t line = print(world, 100);
    auto_free char *dir = made_attempt_dir(&world->log, the_run(world), 0);
    auto_free char *path = fs_join(dir, KEEPER_JOURNAL);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(KEEPER_JOURNAL, path), 0); /* leads to itself */
    auto_free char *after = mem_printf("%" PRId64, line - 1);
    assert_int_equal(
        ask(world, &stream, (struct exchange){.run = the_run(world)->uuid.text, .after = after}),
        200);
    auto_free char *got = take(&stream, 1000);
    assert_string_equal(got, "retry: 1000\n\n");
    assert_null(stream.source);
}

/* --- heartbeats and figures --- */

static void silence_is_broken_by_a_heartbeat(void **state)
{
    struct world *world = *state;
    struct stream stream;

    follow_all(world, &stream);
    msec now = clock_mono();
    assert_true(streams_beat(world->streams, now + 5000) <= now + 15000);
    check_ids(&stream, 0);
    assert_int_equal(stream.wake_count, 0);
    streams_beat(world->streams, now + 20000);
    assert_int_equal(stream.wake_count, 1);
    streams_beat(world->streams, now + 40000); /* it has not even read the first */
    assert_int_equal(stream.wake_count, 1);
    auto_free char *got = take(&stream, 5);
    assert_string_equal(got, ": heartbeat\n\n");
    streams_beat(world->streams, now + 60000);
    auto_free char *again = take(&stream, 1000);
    assert_string_equal(again, ": heartbeat\n\n");
    stream_close(&stream);
}

static void an_event_is_enough_of_a_heartbeat(void **state)
{
    struct world *world = *state;
    struct stream stream;

    follow_all(world, &stream);
    streams_beat(world->streams, clock_mono() + 20000);
    int64_t id = happen(world, EVENT_CANCEL_REQUESTED);
    auto_free char *got = take(&stream, 32768);
    assert_int_equal(atoll(got + 4), id);
    assert_null(strstr(got, "heartbeat"));
    stream_close(&stream);
}

static void figures_are_told(void **state)
{
    struct world *world = *state;
    struct stream all, one;
    auto_buf struct buf text = {0};

    follow_all(world, &all);
    follow_run(world, &one);
    happen(world, EVENT_CANCEL_REQUESTED);
    free(take(&all, 100));
    free(take(&one, 100));
    stream_close(&one);
    streams_metrics(world->streams, &text);
    assert_non_null(strstr(buf_text(&text), "\nsegue_event_streams 1\n"));
    assert_non_null(strstr(buf_text(&text), "\nsegue_events_sent_total 5\n"));
    stream_close(&all);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_stream_is_announced_as_one),
        TEST(frames_are_as_they_should_be),
        TEST(begins_where_it_was_asked_to),
        TEST(wrong_requests_are_refused),
        TEST(there_is_a_limit),
        TEST(a_store_that_is_not_there_is_an_answer),
        TEST(all_have_what_is_for_all),
        TEST(only_who_is_concerned_is_woken_and_once),
        TEST(what_was_read_before_it_was_published_is_not_told_again),
        TEST(a_huge_line_is_streamed),
        TEST(what_is_not_for_all_is_passed_over),
        TEST(who_is_too_slow_for_memory_misses_nothing),
        TEST(a_frame_begun_in_memory_is_ended_from_the_journal),
        TEST(a_run_stream_ends_with_its_run),
        TEST(what_was_told_to_the_end_is_not_told_again),
        TEST(a_long_rest_is_told),
        TEST(a_deletion_ends_the_stream_of_its_run),
        TEST(a_frame_that_cannot_be_ended_ends_the_stream),
        TEST(a_journal_that_cannot_be_read_ends_the_stream),
        TEST(silence_is_broken_by_a_heartbeat),
        TEST(an_event_is_enough_of_a_heartbeat),
        TEST(figures_are_told),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
