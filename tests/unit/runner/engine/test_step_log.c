#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel-gateway/keeper/keeper.h"
#include "runner/engine/step_log.h"
#include "tests/unit/base/scratch.c"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define LINE(event, rest)                                                                          \
    "{\"n\":1,\"time\":\"2026-01-01T00:00:00.000000Z\",\"event\":\"" event "\"" rest "}\n"
#define OUTPUT(output) LINE("output", ",\"cell_index\":0,\"output\":{" output "}")
#define STREAM(text)   OUTPUT("\"output_type\":\"stream\",\"name\":\"stdout\",\"text\":\"" text "\"")
#define RESULT(data)                                                                               \
    OUTPUT("\"output_type\":\"execute_result\",\"data\":{" data "},\"metadata\":{},"               \
           "\"execution_count\":1")
#define DISPLAY(data) OUTPUT("\"output_type\":\"display_data\",\"data\":{" data "},\"metadata\":{}")
#define ERROR(traceback)                                                                           \
    OUTPUT("\"output_type\":\"error\",\"ename\":\"E\",\"evalue\":\"v\",\"traceback\":[" traceback  \
           "]")

/* --- rendering --- */

static char *rendered(const char *journal)
{
    struct buf out = {0};
    bool is_mid_line = false;

    for (const char *at = journal, *end; (end = strchr(at, '\n')); at = end + 1)
        step_log_render((struct str){at, (size_t)(end - at)}, &is_mid_line, &out);
    return buf_take(&out);
}

static void what_lines_of_the_journal_say(void **state)
{
    static const struct {
        const char *name, *journal, *expected;
    } rows[] = {
        {"nothing", "", ""},
        {"streams stand as they are", STREAM("a") STREAM("b\\n") STREAM("\\r10%") STREAM("\\r20%"),
         "ab\n\r10%\r20%"},
        {"stderr too", OUTPUT("\"output_type\":\"stream\",\"name\":\"stderr\",\"text\":\"oh\\n\""),
         "oh\n"},
        {"colours are kept", STREAM("\\u001b[31mred\\u001b[0m\\n"), "\033[31mred\033[0m\n"},
        {"characters", STREAM("caf\\u00e9 \\ud83d\\ude00 日本\\n"), "café 😀 日本\n"},
        {"half a surrogate", STREAM("\\ud83d\\n"), "\ufffd\n"},
        {"bytes that are no text", STREAM("\xff\\n"), "\ufffd\n"},
        {"a text in lines",
         OUTPUT("\"output_type\":\"stream\",\"name\":\"stdout\",\"text\":[\"a\\n\",\"b\"]"),
         "a\nb"},
        {"a result has a line of its own", STREAM("no newline") RESULT("\"text/plain\":\"42\""),
         "no newline\n42\n"},
        {"what ends in a newline gets no other", DISPLAY("\"text/plain\":\"x\\n\"") STREAM("y"),
         "x\ny"},
        {"of several forms the text",
         DISPLAY("\"image/png\":\"aGk=\",\"text/plain\":\"<Figure>\",\"text/html\":\"<b>\""),
         "<Figure>\n"},
        {"what has no text says nothing", STREAM("a") DISPLAY("\"image/png\":\"aGk=\"") STREAM("b"),
         "ab"},
        {"text/plain that is none", DISPLAY("\"text/plain\":{\"a\":1}"), ""},
        {"a traceback", STREAM("a") ERROR("\"Traceback\",\"\\u001b[0;31mE\\u001b[0m: v\""),
         "a\nTraceback\n\033[0;31mE\033[0m: v\n"},
        {"an error without one", ERROR(""), "E: v\n"},
        {"nothing is taken back",
         STREAM("old\\n") LINE("output_cleared", ",\"cell_index\":0") STREAM("new\\n"),
         "old\nnew\n"},
        {"an update is what came later",
         DISPLAY("\"text/plain\":\"loading\"")
             LINE("output_updated", ",\"display_id\":\"d\",\"data\":{\"text/plain\":\"done\"}"),
         "loading\ndone\n"},
        {"what a widget captured was printed",
         LINE("widget_output", ",\"comm_id\":\"c\",\"output\":{\"output_type\":\"stream\","
                               "\"name\":\"stdout\",\"text\":\"inside\\n\"}"),
         "inside\n"},
        {"what a widget cleared was too",
         LINE("widget_output", ",\"comm_id\":\"c\",\"cleared\":true,\"wait\":false"), ""},
        {"the rest is no text",
         LINE("kernel_ready", ",\"kernel\":{}") LINE("cell_started", ",\"cell_index\":0") LINE(
             "comm", ",\"content\":{\"text\":\"no\"}") LINE("cell_finished", ",\"cell_index\":0"),
         ""},
        {"an end in order", STREAM("a") LINE("step_finished", ",\"status\":\"SUCCESS\""), "a"},
        {"a failure",
         STREAM("a")
             LINE("step_finished", ",\"status\":\"FAILURE\",\"failure\":{\"cause\":\"kernel_died\","
                                   "\"message\":\"killed by SIGKILL\",\"cell_index\":3}"),
         "a\n[segue] FAILURE, kernel_died in cell 3: killed by SIGKILL\n"},
        {"a failure of no cell",
         LINE("step_finished", ",\"status\":\"ABORTED\",\"failure\":{\"cause\":\"cancelled\","
                               "\"message\":\"stopped on request\"}"),
         "[segue] ABORTED, cancelled: stopped on request\n"},
        {"damage", "nonsense\n[]\n{}\n\n" STREAM("a") OUTPUT("") LINE("output", ""), "a"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *text = rendered(rows[i].journal);
        if (strcmp(text, rows[i].expected) != 0)
            fail_msg("%s: \"%s\"", rows[i].name, text);
    }
}

static void a_zero_byte_is_a_character(void **state)
{
    auto_buf struct buf out = {0};
    bool is_mid_line = false;
    const char line[] = STREAM("a\\u0000b");

    (void)state;
    step_log_render((struct str){line, sizeof line - 2}, &is_mid_line, &out);
    assert_int_equal(out.len, 3);
    assert_memory_equal(out.data, "a\0b", 3);
    assert_true(is_mid_line);
}

/* --- the file --- */

static const char JOURNAL[] = STREAM("one\\n") STREAM("two") RESULT("\"text/plain\":\"3\"")
    STREAM("vi\\u00e9r") ERROR("\"five\"") STREAM("six");
static const char TEXT[] = "one\ntwo\n3\nviér\nfive\nsix";

static int set_up(void **state)
{
    *state = scratch_new();
    return 0;
}

static int tear_down(void **state)
{
    scratch_free(*state);
    return 0;
}

static void add(const char *directory, const char *name, const char *text, size_t len)
{
    auto_free char *path = fs_join(directory, name);
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

    assert_int_equal(write(fd, text, len), len);
}

/* The text as a reader gets it; free() it. */
static char *read_log(const char *directory)
{
    struct buf text = {0};
    auto_close int fd = -1;
    uint64_t size;
    struct err e;

    if (step_log_open(directory, &fd, &size, &e) < 0)
        fail_msg("%s", e.text);
    buf_reserve(&text, size);
    assert_int_equal(pread(fd, text.data, size, 0), size);
    text.len = size;
    text.data[size] = 0;
    return buf_take(&text);
}

static void check_log(const char *directory, const char *expected, const char *name)
{
    auto_free char *text = read_log(directory);

    if (strcmp(text, expected) != 0)
        fail_msg("%s: \"%s\"", name, text);
}

static void byte_by_byte_comes_to_the_same(void **state)
{
    const char *directory = *state;

    for (size_t i = 0; i < strlen(JOURNAL); i++) {
        add(directory, KEEPER_JOURNAL, JOURNAL + i, 1);
        auto_free char *so_far = mem_strndup(JOURNAL, i + 1);
        auto_free char *expected = rendered(so_far); /* a torn line is not seen */
        check_log(directory, expected, so_far);
        assert_memory_equal(expected, TEXT, strlen(expected));
    }
    check_log(directory, TEXT, "the end");
}

static void a_journal_without_text_is_an_empty_log(void **state)
{
    scratch_put(*state, KEEPER_JOURNAL, "");
    check_log(*state, "", "empty");
    scratch_put(*state, KEEPER_JOURNAL, LINE("kernel_ready", ""));
    check_log(*state, "", "no output");
}

static void without_a_journal_there_is_no_log(void **state)
{
    auto_free char *nowhere = fs_join(*state, "nowhere");
    uint64_t size;
    struct err e;
    int fd;

    assert_int_equal(step_log_open(*state, &fd, &size, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_int_equal(step_log_open(nowhere, &fd, &size, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    auto_free char *log = fs_join(*state, STEP_LOG_FILE);
    assert_false(fs_exists(log));
}

static ino_t inode_of(const char *directory, const char *name)
{
    auto_free char *path = fs_join(directory, name);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

/* What was made once is not made again: otherwise a mark put there would be gone. */
static void only_what_is_new_costs_something(void **state)
{
    const char *directory = *state;

    scratch_put(directory, KEEPER_JOURNAL, JOURNAL);
    check_log(directory, TEXT, "first");
    scratch_put(directory, STEP_LOG_FILE, "ONE\nTWO\n3\nviér\nfive\nsix");
    ino_t inode = inode_of(directory, STEP_LOG_STATE);
    check_log(directory, "ONE\nTWO\n3\nviér\nfive\nsix", "nothing new");
    assert_true(inode == inode_of(directory, STEP_LOG_STATE));
    add(directory, KEEPER_JOURNAL, STREAM("!"), strlen(STREAM("!")));
    check_log(directory, "ONE\nTWO\n3\nviér\nfive\nsix!", "something new");
    assert_false(inode == inode_of(directory, STEP_LOG_STATE));
}

/* What a reader has open does not change under it. */
static void an_older_size_stays_good(void **state)
{
    const char *directory = *state;
    char text[sizeof TEXT] = "";
    auto_close int fd = -1;
    uint64_t size;
    struct err e;

    scratch_put(directory, KEEPER_JOURNAL, STREAM("one\\n"));
    assert_int_equal(step_log_open(directory, &fd, &size, &e), 0);
    scratch_put(directory, KEEPER_JOURNAL, JOURNAL);
    check_log(directory, TEXT, "grown");
    assert_int_equal(size, 4);
    assert_int_equal(pread(fd, text, sizeof text, 0), strlen(TEXT));
    assert_string_equal(text, TEXT);
}

/* A kill after each step of an update, and power cuts that took the end of some file. */
static void whatever_was_left_the_text_is_whole(void **state)
{
    static const struct {
        const char *name, *log, *place, *journal; /* NULL: no such file, the journal: whole */
    } rows[] = {
        {"killed before the first place was written", "one\ntwo", NULL, NULL},
        {"killed before anything was written", "", NULL, NULL},
        {"killed in the middle of adding", "one\ntwo\n3\nvi\xc3", "%zu 4\n", NULL},
        {"other text in the middle of adding", "one\ntwo\nrubbish and more of it than there is",
         "%zu 4\n", NULL},
        {"killed before the place was replaced", TEXT, "%zu 4\n", NULL},
        {"the place is empty", "one\n", "", NULL},
        {"the place is cut", "one\n", "%zu", NULL},
        {"the place is cut in its last number", "one\n", "%zu 1", NULL},
        {"the place is none", "one\n", "what\n", NULL},
        {"the place is long", "one\n",
         "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", NULL},
        {"the log was cut", "on", "%zu 4\n", NULL},
        {"the log is gone", NULL, "%zu 4\n", NULL},
        {"the journal was cut", "one\ntwo", "100000 7\n", NULL},
    };
    size_t first_line = strlen(STREAM("one\\n"));

    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *directory = fs_join(*state, rows[i].name);
        struct err e;
        fs_mkdirs(directory, 0755, &e);
        scratch_put(directory, KEEPER_JOURNAL, JOURNAL);
        if (rows[i].log)
            scratch_put(directory, STEP_LOG_FILE, rows[i].log);
        if (rows[i].place) {
            auto_free char *place = mem_printf(rows[i].place, first_line);
            scratch_put(directory, STEP_LOG_STATE, place);
        }
        check_log(directory, TEXT, rows[i].name);
        check_log(directory, TEXT, rows[i].name);
    }
}

static void huge_outputs(void **state)
{
    enum { SIZE = 5 << 20, LINES = 40000 };
    const char *directory = *state;
    auto_buf struct buf journal = {0}, expected = {0};

    buf_puts(&journal, "{\"event\":\"output\",\"output\":{\"output_type\":\"stream\",\"text\":\"");
    for (size_t i = 0; i < SIZE; i++) {
        buf_putc(&journal, (char)('a' + i % 26));
        buf_putc(&expected, (char)('a' + i % 26));
    }
    buf_puts(&journal, "\"}}\n");
    for (size_t i = 0; i < LINES; i++) {
        buf_printf(&journal,
                   "{\"event\":\"output\",\"output\":{\"output_type\":\"stream\",\"text\":"
                   "\"line %zu\\n\"}}\n",
                   i);
        buf_printf(&expected, "line %zu\n", i);
    }
    scratch_put(directory, KEEPER_JOURNAL, journal.data);
    auto_free char *text = read_log(directory);
    assert_int_equal(strlen(text), expected.len);
    assert_memory_equal(text, expected.data, expected.len);
}

/* --- several at once --- */

enum { WRITES = 400, READERS = 4 };

struct scene {
    const char *directory;
    atomic_bool is_over;
};

static char *line_of(size_t i)
{
    return mem_printf(STREAM("%zu,"), i);
}

/* Appends lines in two halves each. */
static void *write_journal(void *user)
{
    struct scene *scene = user;

    for (size_t i = 0; i < WRITES; i++) {
        auto_free char *line = line_of(i);
        size_t half = strlen(line) / 2;
        add(scene->directory, KEEPER_JOURNAL, line, half);
        add(scene->directory, KEEPER_JOURNAL, line + half, strlen(line) - half);
    }
    atomic_store(&scene->is_over, true);
    return NULL;
}

/* How many of a reader's texts were no beginning of the whole, or shorter than an earlier one. */
static void *read_often(void *user)
{
    struct scene *scene = user;
    auto_buf struct buf whole = {0};
    size_t wrong = 0, longest = 0;
    bool was_over;

    for (size_t i = 0; i < WRITES; i++)
        buf_printf(&whole, "%zu,", i);
    do {
        was_over = atomic_load(&scene->is_over);
        auto_free char *text = read_log(scene->directory);
        size_t len = strlen(text);
        wrong += len < longest || len > whole.len || memcmp(text, whole.data, len) != 0;
        longest = len;
    } while (!was_over);
    return (void *)(wrong + (longest != whole.len));
}

static void several_at_once_see_beginnings_of_the_whole(void **state)
{
    struct scene scene = {.directory = *state};
    pthread_t readers[READERS], writer;

    scratch_put(*state, KEEPER_JOURNAL, "");
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_often, &scene), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_journal, &scene), 0);
    pthread_join(writer, NULL);
    for (size_t i = 0; i < READERS; i++) {
        void *wrong;
        pthread_join(readers[i], &wrong);
        assert_null(wrong);
    }
}

/* Whether somebody waits for a lock on the file. */
static bool is_waited_for(ino_t inode)
{
    auto_free char *entry = mem_printf(":%ju ", (uintmax_t)inode);
    char line[256];
    bool found = false;
    FILE *locks = fopen("/proc/locks", "r");

    assert_non_null(locks);
    while (!found && fgets(line, sizeof line, locks))
        found = strstr(line, "-> FLOCK") && strstr(line, entry);
    fclose(locks);
    return found;
}

static void *read_once(void *user)
{
    struct scene *scene = user;
    char *text = read_log(scene->directory);

    atomic_store(&scene->is_over, true);
    return text;
}

/* Whoever comes second goes on from where the first has got to. */
static void one_at_a_time_adds(void **state)
{
    const char *directory = *state;
    auto_free char *log = scratch_write(directory, STEP_LOG_FILE, "");
    auto_close int held = -1;
    struct scene scene = {.directory = directory};
    pthread_t reader;
    void *text;
    struct err e;

    scratch_put(directory, KEEPER_JOURNAL, JOURNAL);
    held = fs_lock(log, &e);
    assert_true(held >= 0);
    assert_int_equal(pthread_create(&reader, NULL, read_once, &scene), 0);
    while (!is_waited_for(inode_of(directory, STEP_LOG_FILE)) && !atomic_load(&scene.is_over))
        sched_yield();
    assert_false(atomic_load(&scene.is_over));
    add(directory, STEP_LOG_FILE, "ONE\n", 4);
    auto_free char *place = mem_printf("%zu 4\n", strlen(STREAM("one\\n")));
    scratch_put(directory, STEP_LOG_STATE, place);
    close(take_fd(&held));
    pthread_join(reader, &text);
    assert_string_equal(text, "ONE\ntwo\n3\nviér\nfive\nsix");
    free(text);
}

/* --- a full disk --- */

static void a_full_disk_is_told_and_harms_nothing(void **state)
{
    const char *directory = *state;
    uint64_t size;
    struct err e;
    int fd;

    if (!scratch_small_disk(directory, 1 << 20))
        skip();
    scratch_put(directory, KEEPER_JOURNAL, STREAM("one\\n"));
    check_log(directory, "one\n", "before");
    auto_buf struct buf line = {0};
    buf_puts(&line, "{\"event\":\"output\",\"output\":{\"output_type\":\"stream\",\"text\":\"");
    for (size_t i = 0; i < 100000; i++)
        buf_putc(&line, 'x');
    buf_puts(&line, "\"}}\n");
    add(directory, KEEPER_JOURNAL, line.data, line.len);
    scratch_fill_disk(directory);

    assert_int_equal(step_log_open(directory, &fd, &size, &e), -1);
    assert_int_equal(e.code, ERR_NO_SPACE);
    assert_non_null(strstr(e.text, STEP_LOG_FILE));
    auto_free char *left = scratch_read(directory, STEP_LOG_FILE);
    assert_string_equal(left, "one\n"); /* nothing was taken from the step */

    auto_free char *filler = fs_join(directory, "filler");
    assert_int_equal(unlink(filler), 0);
    auto_free char *text = read_log(directory);
    assert_int_equal(strlen(text), 4 + 100000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lines_of_the_journal_say),
        cmocka_unit_test(a_zero_byte_is_a_character),
        TEST(byte_by_byte_comes_to_the_same),
        TEST(a_journal_without_text_is_an_empty_log),
        TEST(without_a_journal_there_is_no_log),
        TEST(only_what_is_new_costs_something),
        TEST(an_older_size_stays_good),
        TEST(whatever_was_left_the_text_is_whole),
        TEST(huge_outputs),
        TEST(several_at_once_see_beginnings_of_the_whole),
        TEST(one_at_a_time_adds),
        TEST(a_full_disk_is_told_and_harms_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
