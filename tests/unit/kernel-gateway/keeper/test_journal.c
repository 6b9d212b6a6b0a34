#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "kernel-gateway/keeper/journal.h"
#include "tests/unit/base/scratch.c"

#include <inttypes.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct world {
    char *directory;
    char *path; /* of the journal */
};

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);

    world->directory = scratch_new();
    world->path = fs_join(world->directory, "journal");
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    scratch_free(world->directory);
    free(world->path);
    free(world);
    return 0;
}

static struct journal *opened(const struct world *world)
{
    struct journal *journal = NULL;
    struct err e;

    if (journal_open(&journal, world->path, &e) < 0)
        fail_msg("%s", e.text);
    return journal;
}

static int try_add(struct journal *journal, const char *text, struct err *e)
{
    json_put_member(journal_begin(journal, "output"), "text", text);
    return journal_commit(journal, NULL, e);
}

static void add(struct journal *journal, const char *text)
{
    struct err e;

    if (try_add(journal, text, &e) < 0)
        fail_msg("%s", e.text);
}

static char *long_text(size_t len, char c)
{
    char *text = mem_alloc(len + 1);

    memset(text, c, len);
    text[len] = 0;
    return text;
}

/* The line is JSON, and has this number and this text (NULL: none). */
static void check_line(struct str line, int64_t number, const char *text)
{
    auto_json struct json doc = {0};
    struct err e;
    int64_t n;

    if (json_parse(&doc, line, JSON_STRICT, NULL, &e) < 0)
        fail_msg("%s", e.text);
    assert_true(json_int(&doc, json_get(&doc, 0, "n"), &n));
    assert_int_equal(n, number);
    if (text)
        assert_true(json_is(&doc, json_get(&doc, 0, "text"), text));
}

static struct journal_cursor cursor_at(const struct world *world, uint64_t offset)
{
    struct journal_cursor cursor;
    struct err e;

    if (journal_cursor_open(&cursor, world->path, offset, &e) < 0)
        fail_msg("%s", e.text);
    return cursor;
}

static int next(struct journal_cursor *cursor, struct str *line)
{
    struct err e;
    int got = journal_cursor_next(cursor, line, &e);

    if (got < 0)
        fail_msg("%s", e.text);
    return got;
}

/* How many whole lines there are; each is checked to be numbered as it stands. */
static int64_t count_lines(const struct world *world)
{
    struct journal_cursor cursor = cursor_at(world, 0);
    struct str line;
    int64_t count = 0;

    while (next(&cursor, &line) == 1)
        check_line(line, ++count, NULL);
    journal_cursor_close(&cursor);
    return count;
}

static off_t file_size(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* --- writing --- */

static void lines_are_numbered_and_timed(void **state)
{
    struct world *world = *state;
    struct journal *journal = opened(world);
    struct str line;
    struct err e;

    for (int i = 1; i <= 3; i++) {
        json_put_member_int(journal_begin(journal, "cell_started"), "cell_index", i);
        assert_int_equal(journal_commit(journal, &line, &e), 0);
        auto_json struct json doc = {0};
        assert_int_equal(json_parse(&doc, line, JSON_STRICT, NULL, &e), 0);
        auto_free char *time = json_strdup(&doc, json_get(&doc, 0, "time"));
        assert_true(time_text_parse(time) > 0);
        assert_true(json_is(&doc, json_get(&doc, 0, "event"), "cell_started"));
        check_line(line, i, NULL);
    }
    assert_int_equal(journal_size(journal), file_size(world->path));
    journal_close(journal);
}

static void a_line_that_was_begun_twice_is_written_once(void **state)
{
    struct world *world = *state;
    struct journal *journal = opened(world);

    json_put_member(journal_begin(journal, "output"), "text", "given up");
    add(journal, "kept");
    journal_close(journal);
    auto_free char *text = scratch_read(world->directory, "journal");
    assert_null(strstr(text, "given up"));
    assert_int_equal(count_lines(world), 1);
}

static void numbering_goes_on_after_a_restart(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 5; i++) {
        struct journal *journal = opened(world);
        add(journal, "x");
        add(journal, "y");
        journal_close(journal);
    }
    assert_int_equal(count_lines(world), 10);
}

static void a_torn_last_line_is_cut_off(void **state)
{
    static const struct {
        const char *name, *file;
        int64_t whole;
    } rows[] = {
        {"nothing at all", "", 0},
        {"one half line only", "{\"n\":1,\"ti", 0},
        {"a newline is all that is missing", "{\"n\":1}\n{\"n\":2}", 1},
        {"a brace", "{\"n\":1}\n{\"n\":2}\n{", 2},
        {"not torn", "{\"n\":1}\n{\"n\":2}\n", 2},
    };
    struct world *world = *state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        scratch_put(world->directory, "journal", rows[i].file);
        struct journal *journal = opened(world);
        add(journal, rows[i].name);
        journal_close(journal);
        struct journal_cursor cursor = cursor_at(world, 0);
        struct str line = {0};
        int64_t count = 0;
        while (next(&cursor, &line) == 1)
            count++;
        assert_int_equal(count, rows[i].whole + 1);
        journal_cursor_close(&cursor);
        auto_free char *text = scratch_read(world->directory, "journal");
        auto_free char *last = mem_printf("{\"n\":%" PRId64 ",", rows[i].whole + 1);
        assert_non_null(strstr(text, last));
        assert_int_equal(text[strlen(text) - 1], '\n');
    }
}

static void a_torn_line_over_many_chunks_is_cut_off(void **state)
{
    struct world *world = *state;
    auto_free char *tail = long_text(300000, 'x');
    auto_free char *file = mem_printf("{\"n\":1}\n%s", tail);

    scratch_put(world->directory, "journal", file);
    struct journal *journal = opened(world);
    assert_int_equal(journal_size(journal), strlen("{\"n\":1}\n"));
    add(journal, "next");
    journal_close(journal);
    assert_int_equal(count_lines(world), 2);
}

static void a_journal_needs_its_directory(void **state)
{
    struct journal *journal;
    struct err e;

    (void)state;
    assert_int_equal(journal_open(&journal, "/tmp/segue-test-nowhere/journal", &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_int_equal(journal_open(&journal, "/tmp", &e), -1);
}

/* Killed at any moment, what is there is whole lines, and at most one torn one. */
static void kill_9_leaves_whole_lines(void **state)
{
    struct world *world = *state;
    auto_free char *text = long_text(150000, 'k');

    for (int round = 0; round < 5; round++) {
        int pipe_fds[2];
        assert_int_equal(pipe(pipe_fds), 0);
        pid_t child = fork();
        if (child == 0) {
            struct journal *journal = opened(world);
            for (int i = 0;; i++) {
                add(journal, text);
                if (i == round * 3)
                    (void)!write(pipe_fds[1], "x", 1);
            }
        }
        char byte;
        assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        int64_t before = count_lines(world);
        struct journal *journal = opened(world);
        add(journal, "after");
        journal_close(journal);
        assert_int_equal(count_lines(world), before + 1);
    }
}

/* --- full disks --- */

static int64_t fill_journal(struct journal *journal, const char *text, struct err *e)
{
    int64_t count = 0;

    while (count < 100000 && try_add(journal, text, e) == 0)
        count++;
    return count;
}

static void a_full_disk_refuses_a_line_and_keeps_the_file_whole(void **state)
{
    static const size_t sizes[] = {10, 1000, 5000, 70000};
    struct world *world = *state;

    for (size_t i = 0; i < COUNT(sizes); i++) {
        if (!scratch_small_disk(world->directory, 512 * 1024)) {
            skip();
            return;
        }
        auto_free char *text = long_text(sizes[i], 'f');
        struct journal *journal = opened(world);
        struct err e;
        int64_t count = fill_journal(journal, text, &e);
        assert_int_equal(e.code, ERR_NO_SPACE);
        assert_true(count > 0);
        assert_int_equal(file_size(world->path), journal_size(journal));
        assert_int_equal(count_lines(world), count);
        /* Refusing once more changes nothing either. */
        assert_int_equal(try_add(journal, text, &e), -1);
        assert_int_equal(count_lines(world), count);
        journal_close(journal);
        umount2(world->directory, MNT_DETACH);
    }
}

static void the_last_line_fits_on_a_full_disk(void **state)
{
    struct world *world = *state;
    struct err e;

    if (!scratch_small_disk(world->directory, 512 * 1024)) {
        skip();
        return;
    }
    struct journal *journal = opened(world);
    auto_free char *text = long_text(1000, 'f');
    int64_t count = fill_journal(journal, text, &e);
    scratch_fill_disk(world->directory); /* what was left is somebody else's now */
    assert_int_equal(try_add(journal, text, &e), -1);
    auto_free char *message = long_text(3500, 'm');
    json_put_member(journal_begin_last(journal, "step_finished"), "message", message);
    assert_int_equal(journal_commit(journal, NULL, &e), 0);
    journal_close(journal);
    assert_int_equal(count_lines(world), count + 1);
    auto_free char *file = scratch_read(world->directory, "journal");
    assert_non_null(strstr(file, "step_finished"));
}

static void writing_goes_on_when_there_is_room_again(void **state)
{
    struct world *world = *state;
    struct err e;

    if (!scratch_small_disk(world->directory, 512 * 1024)) {
        skip();
        return;
    }
    struct journal *journal = opened(world);
    scratch_fill_disk(world->directory);
    auto_free char *text = long_text(1000, 'f');
    int64_t count = fill_journal(journal, text, &e);
    assert_int_equal(e.code, ERR_NO_SPACE);
    auto_free char *filler = fs_join(world->directory, "filler");
    unlink(filler);
    add(journal, "room again");
    journal_close(journal);
    assert_int_equal(count_lines(world), count + 1);
}

static void a_full_disk_refuses_to_open(void **state)
{
    struct world *world = *state;
    struct journal *journal;
    struct err e;

    if (!scratch_small_disk(world->directory, 256 * 1024)) {
        skip();
        return;
    }
    scratch_fill_disk(world->directory);
    assert_int_equal(journal_open(&journal, world->path, &e), -1);
    assert_int_equal(e.code, ERR_NO_SPACE);
}

/* The same where the file system cannot set space aside or the limit is another than space. */
static void a_limit_on_file_size_refuses_a_line(void **state)
{
    struct world *world = *state;
    pid_t child = fork();

    if (child == 0) {
        struct rlimit limit = {200000, 200000};
        struct err e;
        signal(SIGXFSZ, SIG_IGN);
        struct journal *journal = opened(world);
        setrlimit(RLIMIT_FSIZE, &limit);
        auto_free char *text = long_text(1000, 'f');
        fill_journal(journal, text, &e);
        _exit(file_size(world->path) == (off_t)journal_size(journal) ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_true(count_lines(world) > 0);
}

/* --- reading --- */

static void a_line_over_several_chunks_is_read_whole(void **state)
{
    static const size_t sizes[] = {65000, 65536, 200000, 1, 131072, 3000000, 0};
    struct world *world = *state;
    struct journal *journal = opened(world);

    for (size_t i = 0; i < COUNT(sizes); i++) {
        auto_free char *text = long_text(sizes[i], 'a');
        add(journal, text);
    }
    struct journal_cursor cursor = cursor_at(world, 0);
    struct str line;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        auto_free char *text = long_text(sizes[i], 'a');
        assert_int_equal(next(&cursor, &line), 1);
        check_line(line, (int64_t)i + 1, text);
    }
    assert_int_equal(next(&cursor, &line), 0);
    assert_int_equal(cursor.offset, journal_size(journal));
    journal_cursor_close(&cursor);
    journal_close(journal);
}

/* Somebody who reads after each byte gets a line exactly when its newline is there. */
static void half_a_line_is_never_given(void **state)
{
    static const char text[] = "{\"n\":1}\n{\"n\":2,\"a\":\"x\"}\n\n{\"n\":3}\n{\"n\":4";
    struct world *world = *state;
    size_t line_start = 0;

    scratch_put(world->directory, "journal", "");
    auto_close int fd = open(world->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    struct journal_cursor cursor = cursor_at(world, 0);
    for (size_t i = 0; text[i]; i++) {
        struct str line;
        assert_int_equal(write(fd, &text[i], 1), 1);
        assert_int_equal(cursor.offset, line_start);
        assert_int_equal(next(&cursor, &line), text[i] == '\n');
        if (text[i] != '\n')
            continue;
        assert_int_equal(line.len, i - line_start);
        assert_memory_equal(line.text, text + line_start, line.len);
        line_start = i + 1;
        assert_int_equal(next(&cursor, &line), 0);
    }
    journal_cursor_close(&cursor);
}

static void reading_goes_on_from_any_stored_offset(void **state)
{
    struct world *world = *state;
    struct journal *journal = opened(world);
    uint64_t offsets[50];

    for (int i = 0; i < 50; i++) {
        offsets[i] = journal_size(journal);
        auto_free char *text = long_text((size_t)i * 997, 'o');
        add(journal, text);
    }
    for (int i = 0; i < 50; i++) {
        struct journal_cursor cursor = cursor_at(world, offsets[i]);
        struct str line;
        for (int k = i; k < 50; k++) {
            assert_int_equal(cursor.offset, offsets[k]);
            assert_int_equal(next(&cursor, &line), 1);
            check_line(line, k + 1, NULL);
        }
        assert_int_equal(next(&cursor, &line), 0);
        journal_cursor_close(&cursor);
    }
    journal_close(journal);
}

static void many_readers_read_while_it_is_written(void **state)
{
    enum { READERS = 6, LINES = 300 };
    struct world *world = *state;
    struct journal *journal = opened(world);
    pid_t readers[READERS];

    for (int i = 0; i < READERS; i++) {
        readers[i] = fork();
        if (readers[i] != 0)
            continue;
        struct journal_cursor cursor = cursor_at(world, 0);
        struct str line;
        for (int64_t n = 1; n <= LINES;) {
            if (next(&cursor, &line) == 1)
                check_line(line, n++, NULL);
            else
                sched_yield();
        }
        _exit(0);
    }
    for (int i = 0; i < LINES; i++) {
        auto_free char *text = long_text((size_t)(i % 7) * 20011, 'r');
        add(journal, text);
    }
    for (int i = 0; i < READERS; i++) {
        int status;
        waitpid(readers[i], &status, 0);
        assert_int_equal(status, 0);
    }
    journal_close(journal);
}

static void there_is_nothing_to_read_in_a_file_that_is_not_there(void **state)
{
    struct world *world = *state;
    struct journal_cursor cursor;
    struct err e;

    assert_int_equal(journal_cursor_open(&cursor, world->path, 0, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_are_numbered_and_timed),
        TEST(a_line_that_was_begun_twice_is_written_once),
        TEST(numbering_goes_on_after_a_restart),
        TEST(a_torn_last_line_is_cut_off),
        TEST(a_torn_line_over_many_chunks_is_cut_off),
        TEST(a_journal_needs_its_directory),
        TEST(kill_9_leaves_whole_lines),
        TEST(a_full_disk_refuses_a_line_and_keeps_the_file_whole),
        TEST(the_last_line_fits_on_a_full_disk),
        TEST(writing_goes_on_when_there_is_room_again),
        TEST(a_full_disk_refuses_to_open),
        TEST(a_limit_on_file_size_refuses_a_line),
        TEST(a_line_over_several_chunks_is_read_whole),
        TEST(half_a_line_is_never_given),
        TEST(reading_goes_on_from_any_stored_offset),
        TEST(many_readers_read_while_it_is_written),
        TEST(there_is_nothing_to_read_in_a_file_that_is_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
