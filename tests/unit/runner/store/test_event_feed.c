#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/store/event_feed.h"
#include "tests/unit/runner/engine/made_log.c"

#include <dirent.h>
#include <malloc.h>
#include <unistd.h>

static int set_up(void **state)
{
    struct made_log *log = mem_zalloc(sizeof *log);

    made_log_open(log);
    *state = log;
    return 0;
}

static int tear_down(void **state)
{
    made_log_close(*state);
    free(*state);
    return 0;
}

/* What was told, as lines "event json", of one run or of all. */
static void note_told(const struct made_log *log, int64_t run, struct buf *out)
{
    for (size_t i = 0; i < log->notices.count; i++) {
        const struct notice *notice = &log->notices.items[i];
        if (run == 0 ? strncmp(notice->event, "output", 6) == 0 : notice->run != run)
            continue;
        buf_printf(out, "%s %s\n", notice->event, log->notices.text.data + notice->start);
    }
}

/* Reads the current event with pieces of at most `room` bytes. */
static void read_event(struct event_feed *feed, const struct feed_event *event, size_t room,
                       struct buf *out)
{
    buf_printf(out, "%s ", event->event);
    for (uint64_t at = 0; at < event->len;) {
        struct err e;
        buf_reserve(out, room);
        ssize_t n = event_feed_read(feed, at, out->data + out->len, room, &e);
        if (n <= 0)
            fail_msg("%s", n < 0 ? e.text : "nothing was read");
        assert_true((size_t)n <= room && at + (uint64_t)n <= event->len);
        out->len += (size_t)n;
        at += (uint64_t)n;
    }
    buf_putc(out, '\n');
}

/* Everything up to the end of the log; gives the last id. */
static int64_t drain(struct event_feed *feed, struct store *store, size_t room, struct buf *out)
{
    int64_t last = 0;
    int more = 0, got;

    do {
        struct feed_event event;
        struct err e;
        while ((got = event_feed_next(feed, &event, &e)) == 1) {
            assert_true(event.id > last);
            last = event.id;
            read_event(feed, &event, room, out);
        }
        if (got < 0 || (more = event_feed_fill(feed, store, &e)) < 0)
            fail_msg("%s", e.text);
    } while (more);
    return last;
}

static void check_feed(struct made_log *log, int64_t run, int64_t after, size_t room,
                       const struct buf *expected)
{
    struct event_feed *feed = event_feed_new(log->runs_dir, run, after);
    auto_buf struct buf got = {0};

    drain(feed, log->store, room, &got);
    assert_string_equal(buf_text(&got), buf_text(expected));
    event_feed_free(feed);
}

/* Two runs at once, retries, lines and state mixed. */
static void make_two_runs(struct made_log *log)
{
    made_begin(log);
    made_run(log);
    made_run(log);
    for (unsigned i = 0; i < 2; i++) {
        struct made_run *run = &log->runs[i];
        made_event(log, run, EVENT_RUN_STARTED, STEP_NONE);
        for (uint32_t step = 0; step < MADE_STEPS; step++)
            made_attempt(log, run, step);
    }
    for (unsigned n = 0; n < 200; n++) {
        struct made_run *run = &log->runs[n % 2];
        made_line(log, run, n % MADE_STEPS, n % 5 ? "output" : "cell_started", n * 7);
        if (n % 50 == 20) {
            made_event(log, run, EVENT_STEP_RETRYING, n % MADE_STEPS);
            made_attempt(log, run, n % MADE_STEPS);
        }
    }
    made_end(log, &log->runs[0]);
    made_end(log, &log->runs[1]);
    made_commit(log);
}

static void gives_what_was_told(void **state)
{
    static const size_t rooms[] = {1, 7, 100, 65536};
    struct made_log *log = *state;
    auto_buf struct buf all = {0}, first = {0}, second = {0};

    make_two_runs(log);
    note_told(log, 0, &all);
    note_told(log, log->runs[0].id, &first);
    note_told(log, log->runs[1].id, &second);
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        check_feed(log, 0, 0, rooms[i], &all);
        check_feed(log, log->runs[0].id, 0, rooms[i], &first);
        check_feed(log, log->runs[1].id, 0, rooms[i], &second);
    }
}

/* From every place in the log the rest is what stands behind it. */
static void begins_behind_its_cursor(void **state)
{
    struct made_log *log = *state;
    auto_buf struct buf first = {0};

    make_two_runs(log);
    note_told(log, log->runs[0].id, &first);
    for (size_t i = 0; i < log->notices.count; i++) {
        const struct notice *notice = &log->notices.items[i];
        if (notice->run == log->runs[0].id) /* the events of the other have no part in it */
            buf_consume(&first, strlen(notice->event) + 1 + notice->len + 1);
        check_feed(log, log->runs[0].id, notice->id, 4096, &first);
    }
    assert_int_equal(first.len, 0);
}

static void goes_on_when_the_log_does(void **state)
{
    struct made_log *log = *state;
    auto_buf struct buf told = {0}, got = {0};
    struct event_feed *feed = event_feed_new(log->runs_dir, 0, 0);

    made_begin(log);
    size_t run = made_run(log);
    made_commit(log);
    for (unsigned round = 0; round < 5; round++) {
        note_told(log, 0, &told);
        int64_t last = drain(feed, log->store, 4096, &got);
        assert_string_equal(buf_text(&got), buf_text(&told));
        assert_int_equal(event_feed_cursor(feed), last);
        made_begin(log);
        made_event(log, &log->runs[run], EVENT_RUN_STARTED, STEP_NONE);
        made_commit(log);
    }
    event_feed_free(feed);
}

static unsigned open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* Many batches in which there is nothing to show: none of their journals is touched, and the cursor
 * goes on all the same. */
static void outputs_are_passed_over_by_name(void **state)
{
    struct made_log *log = *state;
    auto_buf struct buf got = {0};
    struct event_feed *feed = event_feed_new(log->runs_dir, 0, 0);
    struct feed_event event;
    struct err e;
    int64_t last = 0;

    made_begin(log);
    size_t run = made_run(log);
    made_attempt(log, &log->runs[run], 0);
    for (int i = 0; i < 1000; i++)
        last = made_line(log, &log->runs[run], 0, "output", 10);
    made_commit(log);
    unsigned before = open_descriptors();
    unsigned fills = 0, shown = 0;
    while (event_feed_fill(feed, log->store, &e) == 1) {
        fills++;
        while (event_feed_next(feed, &event, &e) == 1)
            shown++;
    }
    assert_true(fills > 2);
    assert_int_equal(shown, 2);
    assert_int_equal(event_feed_cursor(feed), last);
    assert_int_equal(open_descriptors(), before);
    event_feed_free(feed);
}

static void one_journal_is_open_at_a_time(void **state)
{
    struct made_log *log = *state;
    auto_buf struct buf got = {0};

    make_two_runs(log);
    unsigned before = open_descriptors();
    struct event_feed *feed = event_feed_new(log->runs_dir, log->runs[0].id, 0);
    drain(feed, log->store, 4096, &got);
    assert_int_equal(open_descriptors(), before + 1);
    event_feed_free(feed);
    assert_int_equal(open_descriptors(), before);
}

static void an_event_of_any_size_is_read_in_pieces(void **state)
{
    enum { SIZE = 32 << 20 };
    struct made_log *log = *state;
    struct event_feed *feed = NULL;
    auto_free char *piece = mem_alloc(65536);
    struct feed_event event;
    struct err e;

    made_begin(log);
    size_t run = made_run(log);
    made_attempt(log, &log->runs[run], 1);
    int64_t id = made_line(log, &log->runs[run], 1, "output", SIZE);
    made_commit(log);
    const struct notice *told = &log->notices.items[log->notices.count - 1];
    const char *text = log->notices.text.data + told->start;
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    feed = event_feed_new(log->runs_dir, log->runs[run].id, id - 1);
    assert_int_equal(event_feed_fill(feed, log->store, &e), 1);
    assert_int_equal(event_feed_next(feed, &event, &e), 1);
    assert_int_equal(event.len, told->len);
    for (uint64_t at = 0; at < event.len;) {
        ssize_t n = event_feed_read(feed, at, piece, 65536, &e);
        assert_true(n > 0);
        assert_memory_equal(piece, text + at, n);
        at += (uint64_t)n;
    }
    /* And from anywhere, as one who was sent a part of it asks. */
    assert_int_equal(event_feed_read(feed, SIZE / 2 + 17, piece, 100, &e), 100);
    assert_memory_equal(piece, text + SIZE / 2 + 17, 100);
    size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
    assert_true(after < before + (1u << 20));
    event_feed_free(feed);
}

/* Deleted before it is read: not yet shredded, half shredded, gone. */
static void a_deleted_run_is_only_its_deletion(void **state)
{
    struct made_log *log = *state;
    auto_buf struct buf all = {0}, first = {0}, second = {0};

    make_two_runs(log);
    note_told(log, log->runs[1].id, &second);
    made_begin(log);
    made_deletion(log, &log->runs[0]);
    made_commit(log);
    note_told(log, log->runs[0].id, &first);
    for (unsigned round = 0; round < 3; round++) {
        if (round > 0)
            made_shred(log, &log->runs[0], round == 1 ? 100 : 0);
        check_feed(log, log->runs[0].id, 0, 4096, &first);
        check_feed(log, log->runs[1].id, 0, 4096, &second);
        struct event_feed *feed = event_feed_new(log->runs_dir, 0, 0);
        buf_reset(&all);
        drain(feed, log->store, 4096, &all);
        event_feed_free(feed);
        /* Its uuid is there once, in its deletion. */
        assert_non_null(strstr(buf_text(&all), buf_text(&first)));
        const char *uuid = strstr(buf_text(&all), log->runs[0].uuid.text);
        assert_null(strstr(uuid + 1, log->runs[0].uuid.text));
    }
}

/* Deleted after its batch was read. */
static void lines_whose_journal_is_gone_are_passed_over(void **state)
{
    struct made_log *log = *state;
    struct event_feed *feed;
    auto_buf struct buf got = {0}, first = {0};
    struct err e;

    made_begin(log);
    size_t run = made_run(log);
    made_attempt(log, &log->runs[run], 0);
    made_line(log, &log->runs[run], 0, "output", 10);
    made_attempt(log, &log->runs[run], 1);
    made_line(log, &log->runs[run], 1, "output", 10);
    made_commit(log);
    feed = event_feed_new(log->runs_dir, log->runs[run].id, 0);
    assert_int_equal(event_feed_fill(feed, log->store, &e), 1);
    made_begin(log);
    made_deletion(log, &log->runs[run]);
    made_commit(log);
    note_told(log, log->runs[run].id, &first);
    made_shred(log, &log->runs[run], 0);
    drain(feed, log->store, 4096, &got);
    assert_null(strstr(buf_text(&got), "output"));
    assert_string_equal(got.data + got.len - first.len, buf_text(&first));
    event_feed_free(feed);
}

static void what_was_cut_off_a_journal_is_passed_over(void **state)
{
    struct made_log *log = *state;
    struct made_run *run;
    struct feed_event event;
    char piece[64];
    struct err e;

    made_begin(log);
    made_run(log);
    run = &log->runs[0];
    made_attempt(log, run, 0);
    int64_t whole = made_line(log, run, 0, "output", 1000);
    made_line(log, run, 0, "output", 1000);
    int64_t end = made_end(log, run);
    made_commit(log);
    assert_int_equal(ftruncate(run->steps[0].journal, (off_t)run->steps[0].offset - 10), 0);
    struct event_feed *feed = event_feed_new(log->runs_dir, run->id, whole - 1);
    assert_int_equal(event_feed_fill(feed, log->store, &e), 1);
    assert_int_equal(event_feed_next(feed, &event, &e), 1);
    assert_int_equal(event.id, whole);
    assert_int_equal(event_feed_read(feed, 200, piece, sizeof piece, &e), sizeof piece);
    assert_int_equal(ftruncate(run->steps[0].journal, 10), 0);
    assert_int_equal(event_feed_read(feed, 200, piece, sizeof piece, &e), -1);
    assert_int_equal(e.code, ERR_IO);
    assert_int_equal(event_feed_next(feed, &event, &e), 1);
    assert_int_equal(event.id, end);
    event_feed_free(feed);
}

/* No gap is made of it: another try may find the journal. */
static void a_journal_that_cannot_be_opened_is_an_error(void **state)
{
    struct made_log *log = *state;
    struct made_run *run;
    struct feed_event event;
    struct err e;

    made_begin(log);
    made_run(log);
    run = &log->runs[0];
    made_attempt(log, run, 0);
    int64_t line = made_line(log, run, 0, "output", 10);
    made_commit(log);
    auto_free char *dir = made_attempt_dir(log, run, 0);
    auto_free char *path = fs_join(dir, KEEPER_JOURNAL);
    auto_free char *aside = fs_join(dir, "aside");
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(symlink(KEEPER_JOURNAL, path), 0); /* leads to itself */
    struct event_feed *feed = event_feed_new(log->runs_dir, run->id, line - 1);
    assert_int_equal(event_feed_fill(feed, log->store, &e), 1);
    assert_int_equal(event_feed_next(feed, &event, &e), -1);
    assert_int_equal(e.code, ERR_IO);
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(event_feed_next(feed, &event, &e), 1);
    assert_int_equal(event.id, line);
    event_feed_free(feed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(gives_what_was_told),
        TEST(begins_behind_its_cursor),
        TEST(goes_on_when_the_log_does),
        TEST(outputs_are_passed_over_by_name),
        TEST(one_journal_is_open_at_a_time),
        TEST(an_event_of_any_size_is_read_in_pieces),
        TEST(a_deleted_run_is_only_its_deletion),
        TEST(lines_whose_journal_is_gone_are_passed_over),
        TEST(what_was_cut_off_a_journal_is_passed_over),
        TEST(a_journal_that_cannot_be_opened_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
