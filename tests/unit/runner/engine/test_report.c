#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/limits.h"
#include "runner/engine/report.h"
#include "tests/unit/base/scratch.c"

#include <math.h>
#include <sys/stat.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define STEP    "aaaaaaaa-0000-4000-8000-000000000000"
#define REPORT  "io/" STEP "/report.jsonl"
#define JOURNAL "steps/" STEP "/2/journal"

#define METRIC(name, rest) "{\"kind\":\"metric\",\"name\":\"" name "\"," rest "}\n"
#define PARAM(name, value) "{\"kind\":\"param\",\"name\":\"" name "\",\"value\":" value "}\n"
#define FIGURE(name, file, mime)                                                                   \
    "{\"kind\":\"figure\",\"name\":\"" name "\",\"file\":\"" file "\",\"mime\":\"" mime "\"}\n"

#define OUTPUT(type, data)                                                                         \
    "{\"n\":1,\"time\":\"2026-01-01T00:00:05.000000Z\",\"event\":\"output\",\"cell_index\":0,"     \
    "\"output\":{\"output_type\":\"" type "\",\"metadata\":{},\"data\":{" data "}}}\n"
#define DISPLAY(data) OUTPUT("display_data", data)
#define SCRAP(name, value)                                                                         \
    DISPLAY("\"application/scrapbook.scrap.json+json\":{\"name\":\"" name "\",\"data\":" value     \
            ",\"encoder\":\"json\",\"version\":1}")
#define TEXT_SCRAP(name, value)                                                                    \
    DISPLAY("\"application/scrapbook.scrap.text+json\":{\"name\":\"" name "\",\"data\":" value "}")
#define RECORD(members) DISPLAY("\"application/papermill.record+json\":{" members "}")

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

static void read_it(const char *run_dir, struct report *report)
{
    struct err e;

    if (report_read(run_dir, STEP, 2, report, &e) < 0)
        fail_msg("%s", e.text);
}

/* As JSON; free() it. */
static char *text_of(const char *run_dir, bool with_points)
{
    auto_report struct report report = {0};
    struct buf out = {0};

    read_it(run_dir, &report);
    report_put(&report, with_points, &out);
    return buf_take(&out);
}

static void check(const char *name, const char *run_dir, const char *expected)
{
    auto_free char *text = text_of(run_dir, false);

    if (strcmp(text, expected) != 0)
        fail_msg("%s: %s", name, text);
}

#define RESULT(metrics, params, figures, passed_over)                                              \
    "{\"metrics\":[" metrics "],\"params\":[" params "],\"figures\":[" figures                     \
    "],\"passed_over\":" #passed_over "}"
#define VALUE(name, value) "{\"name\":\"" name "\",\"value\":" value "}"

struct row {
    const char *name, *text, *expected;
};

static void check_rows(const char *run_dir, const char *file, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        scratch_put(run_dir, file, rows[i].text);
        check(rows[i].name, run_dir, rows[i].expected);
    }
}

static void what_lines_of_the_sdk_say(void **state)
{
    static const struct row rows[] = {
        {"nothing", "", RESULT("", "", "", 0)},
        {"a metric", METRIC("loss", "\"value\":0.1"), RESULT(VALUE("loss", "0.1"), "", "", 0)},
        {"the latest counts", METRIC("a", "\"value\":1") METRIC("a", "\"value\":2"),
         RESULT(VALUE("a", "2"), "", "", 0)},
        {"digits stay", METRIC("a", "\"value\":12345678901234567890"),
         RESULT(VALUE("a", "12345678901234567890"), "", "", 0)},
        {"what JSON cannot say",
         METRIC("a", "\"value\":\"NaN\"") METRIC("b", "\"value\":\"Infinity\"")
             METRIC("c", "\"value\":\"-Infinity\""),
         RESULT(
             VALUE("a", "\"NaN\"") "," VALUE("b", "\"Infinity\"") "," VALUE("c", "\"-Infinity\""),
             "", "", 0)},
        {"what Python says all the same", METRIC("a", "\"value\":NaN") PARAM("p", "-Infinity"),
         RESULT(VALUE("a", "\"NaN\""), VALUE("p", "\"-Infinity\""), "", 0)},
        {"a number that is too large", METRIC("a", "\"value\":1e999"),
         RESULT(VALUE("a", "\"Infinity\""), "", "", 0)},
        {"params of every kind",
         PARAM("a", "\"x\"") PARAM("b", "null") PARAM("c", "[1, 2]") PARAM("d", "true"),
         RESULT("",
                VALUE("a", "\"x\"") "," VALUE("b", "null") "," VALUE("c", "[1,2]") "," VALUE(
                    "d", "true"),
                "", 0)},
        {"one name for each kind", METRIC("x", "\"value\":1") PARAM("x", "2"),
         RESULT(VALUE("x", "1"), VALUE("x", "2"), "", 0)},
        {"in the order of their first lines",
         METRIC("b", "\"value\":1") METRIC("a", "\"value\":1") METRIC("b", "\"value\":2"),
         RESULT(VALUE("b", "2") "," VALUE("a", "1"), "", "", 0)},
        {"a figure", FIGURE("roc", "figures/roc.png", "image/png"),
         RESULT("", "", "{\"name\":\"roc\",\"mime\":\"image/png\"}", 0)},
        {"a figure in another form",
         FIGURE("roc", "a", "image/png") FIGURE("roc", "b", "text/html"),
         RESULT("", "", "{\"name\":\"roc\",\"mime\":\"text/html\"}", 0)},
        {"a torn last line", METRIC("a", "\"value\":1") "{\"kind\":\"metric\",\"name\":\"b\"",
         RESULT(VALUE("a", "1"), "", "", 0)},
        {"a whole line without its end",
         METRIC("a", "\"value\":1") "{\"kind\":\"param\","
                                    "\"name\":\"b\",\"value\":1}",
         RESULT(VALUE("a", "1"), "", "", 0)},
    };

    check_rows(*state, REPORT, rows, COUNT(rows));
}

static void what_is_no_line_is_counted(void **state)
{
    static const struct row rows[] = {
        {"nonsense", "nonsense\n\n[]\n{}\n7\n", RESULT("", "", "", 5)},
        {"two lines in one", "{\"kind\":\"met" METRIC("a", "\"value\":1"), RESULT("", "", "", 1)},
        {"another kind", "{\"kind\":\"table\",\"name\":\"a\",\"value\":1}\n",
         RESULT("", "", "", 1)},
        {"without a name", "{\"kind\":\"metric\",\"value\":1}\n", RESULT("", "", "", 1)},
        {"a name that is none", "{\"kind\":\"metric\",\"name\":7,\"value\":1}\n",
         RESULT("", "", "", 1)},
        {"an empty name", METRIC("", "\"value\":1"), RESULT("", "", "", 1)},
        {"a name with a line end", METRIC("a\\nb", "\"value\":1"), RESULT("", "", "", 1)},
        {"a name with a zero", METRIC("a\\u0000", "\"value\":1"), RESULT("", "", "", 1)},
        {"a name with DEL", METRIC("\\u007f", "\"value\":1"), RESULT("", "", "", 1)},
        {"a name with a late control character", METRIC("\\u0085", "\"value\":1"),
         RESULT("", "", "", 1)},
        {"a name in other letters", METRIC("Güte\\u00a0日", "\"value\":1"),
         RESULT(VALUE("Güte\u00a0日", "1"), "", "", 0)},
        {"a metric without a value", METRIC("a", "\"step\":1"), RESULT("", "", "", 1)},
        {"a text", METRIC("a", "\"value\":\"1\""), RESULT("", "", "", 1)},
        {"a step that is a fraction", METRIC("a", "\"value\":1,\"step\":1.5"),
         RESULT("", "", "", 1)},
        {"a wrong line leaves the value", METRIC("a", "\"value\":1") METRIC("a", "\"value\":null"),
         RESULT(VALUE("a", "1"), "", "", 1)},
        {"a param without a value", "{\"kind\":\"param\",\"name\":\"a\"}\n", RESULT("", "", "", 1)},
        {"a param that is no JSON", PARAM("a", "[NaN]"), RESULT("", "", "", 1)},
        {"a figure without a file", "{\"kind\":\"figure\",\"name\":\"a\",\"mime\":\"image/png\"}\n",
         RESULT("", "", "", 1)},
        {"a figure of another type", FIGURE("a", "a.js", "text/javascript"), RESULT("", "", "", 1)},
    };

    check_rows(*state, REPORT, rows, COUNT(rows));
}

static void points_keep_their_order_and_their_steps(void **state)
{
    scratch_put(*state, REPORT,
                METRIC("a", "\"value\":0.5,\"time\":\"2026-01-01T00:00:01.500000Z\"")
                    METRIC("a", "\"value\":-0.0")
                        METRIC("b", "\"value\":1,\"step\":-7,\"time\":\"yesterday\"")
                            METRIC("a", "\"value\":\"NaN\",\"step\":40")
                                METRIC("a", "\"value\":1e-7"));
    auto_free char *text = text_of(*state, true);
    assert_string_equal(
        text,
        RESULT("{\"name\":\"a\",\"value\":1e-7,\"points\":["
               "{\"step\":0,\"value\":0.5,\"time\":\"2026-01-01T00:00:01.500000Z\"},"
               "{\"step\":1,\"value\":-0,\"time\":null},"
               "{\"step\":40,\"value\":\"NaN\",\"time\":null},"
               "{\"step\":3,\"value\":1e-07,\"time\":null}]},"
               "{\"name\":\"b\",\"value\":1,\"points\":[{\"step\":-7,\"value\":1,\"time\":null}]}",
               "", "", 0));
}

static void numbers_are_as_short_as_they_read_back(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0.1, "0.1"},
        {1.0 / 3, "0.3333333333333333"},
        {5e-324, "4.94065645841247e-324"},
        {100000, "100000"},
        {0.1 + 0.2, "0.30000000000000004"},
        {NAN, "\"NaN\""},
        {-INFINITY, "\"-Infinity\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_buf struct buf out = {0};
        report_put_number(rows[i].value, &out);
        assert_string_equal(out.data, rows[i].text);
    }
}

static void what_cells_displayed(void **state)
{
    static const struct row rows[] = {
        {"a number", SCRAP("acc", "0.9"), RESULT(VALUE("acc", "0.9"), "", "", 0)},
        {"other scalars", SCRAP("a", "true") SCRAP("b", "null") SCRAP("c", "\"x\""),
         RESULT("", VALUE("a", "true") "," VALUE("b", "null") "," VALUE("c", "\"x\""), "", 0)},
        {"a text", TEXT_SCRAP("model", "\"forest\""),
         RESULT("", VALUE("model", "\"forest\""), "", 0)},
        {"what is no scalar is left out", SCRAP("a", "[1]") SCRAP("b", "{}"),
         RESULT("", "", "", 0)},
        {"NaN", SCRAP("a", "NaN"), RESULT(VALUE("a", "\"NaN\""), "", "", 0)},
        {"of papermill", RECORD("\"a\":1,\"b\":\"x\""),
         RESULT(VALUE("a", "1"), VALUE("b", "\"x\""), "", 0)},
        {"the latest counts", SCRAP("a", "1") SCRAP("a", "2"), RESULT(VALUE("a", "2"), "", "", 0)},
        {"without a name", DISPLAY("\"application/scrapbook.scrap.json+json\":{\"data\":1}"),
         RESULT("", "", "", 1)},
        {"without data", DISPLAY("\"application/scrapbook.scrap.json+json\":{\"name\":\"a\"}"),
         RESULT("", "", "", 0)},
        {"that is no object", DISPLAY("\"application/scrapbook.scrap.json+json\":7"),
         RESULT("", "", "", 0)},
        {"a result is none",
         OUTPUT("execute_result", "\"application/papermill.record+json\":"
                                  "{\"a\":1}"),
         RESULT("", "", "", 0)},
        {"a text that speaks of it",
         DISPLAY("\"text/plain\":\"application/papermill.record+json {}\""), RESULT("", "", "", 0)},
        {"among other lines",
         DISPLAY("\"text/plain\":\"x\"")
             SCRAP("a", "1") "application/papermill.record+json\n" RECORD("\"b\":2"),
         RESULT(VALUE("a", "1") "," VALUE("b", "2"), "", "", 0)},
        {"a torn last line", SCRAP("a", "1") "{\"event\":\"output\",\"application/scrapbook.scrap.",
         RESULT(VALUE("a", "1"), "", "", 0)},
    };

    check_rows(*state, JOURNAL, rows, COUNT(rows));
}

static void a_scrap_has_the_time_of_its_line(void **state)
{
    scratch_put(*state, JOURNAL, SCRAP("a", "1") SCRAP("a", "2"));
    auto_free char *text = text_of(*state, true);
    assert_string_equal(
        text, RESULT("{\"name\":\"a\",\"value\":2,\"points\":["
                     "{\"step\":0,\"value\":1,\"time\":\"2026-01-01T00:00:05.000000Z\"},"
                     "{\"step\":1,\"value\":2,\"time\":\"2026-01-01T00:00:05.000000Z\"}]}",
                     "", "", 0));
}

static void what_the_sdk_said_counts(void **state)
{
    scratch_put(*state, REPORT, METRIC("a", "\"value\":1") PARAM("b", "2"));
    scratch_put(*state, JOURNAL, SCRAP("a", "7") SCRAP("b", "8") SCRAP("c", "9") SCRAP("c", "10"));
    check("both", *state, RESULT(VALUE("a", "1") "," VALUE("c", "10"), VALUE("b", "2"), "", 0));
}

static void only_the_last_attempt_has_scraps(void **state)
{
    auto_report struct report report = {0};
    struct err e;

    scratch_put(*state, "steps/" STEP "/1/journal", SCRAP("a", "1"));
    check("no second journal", *state, RESULT("", "", "", 0));
    assert_int_equal(report_read(*state, STEP, 1, &report, &e), 0);
    assert_int_equal(report.count, 1);
    report_clear(&report);
    assert_int_equal(report_read(*state, STEP, 0, &report, &e), 0);
    assert_int_equal(report.count, 0);
}

/* --- limits --- */

static char *repeated(const char *text, size_t count)
{
    struct buf out = {0};

    for (size_t i = 0; i < count; i++)
        buf_puts(&out, text);
    return buf_take(&out);
}

static void names_have_a_length(void **state)
{
    auto_free char *longest = repeated("é", 255), *longer = repeated("é", 256);
    auto_free char *text = mem_printf("{\"kind\":\"param\",\"name\":\"%s\",\"value\":1}\n"
                                      "{\"kind\":\"param\",\"name\":\"%s\",\"value\":1}\n",
                                      longest, longer);
    auto_report struct report report = {0};

    scratch_put(*state, REPORT, text);
    read_it(*state, &report);
    assert_int_equal(report.count, 1);
    assert_string_equal(report.items[0].name, longest);
    assert_int_equal(report.passed_over, 1);
}

static void there_are_only_so_many_names(void **state)
{
    auto_buf struct buf text = {0};
    auto_report struct report report = {0};

    for (unsigned i = 0; i < LIMIT_REPORT_NAMES + 5; i++)
        buf_printf(&text, "{\"kind\":\"param\",\"name\":\"%u\",\"value\":%u}\n", i, i);
    buf_puts(&text, PARAM("7", "\"known\""));
    scratch_put(*state, REPORT, text.data);
    scratch_put(*state, JOURNAL, SCRAP("new", "1"));
    read_it(*state, &report);
    assert_int_equal(report.count, LIMIT_REPORT_NAMES);
    assert_int_equal(report.passed_over, 6);
    assert_string_equal(report.items[7].value, "\"known\"");
}

/* Its first lines are there, and the rest counts once. */
static void a_report_that_is_too_long(void **state)
{
    static const char line[] = METRIC("a", "\"value\":1");
    size_t fit = LIMIT_REPORT_BYTES / strlen(line);
    auto_free char *text = repeated(line, fit + 100);
    auto_report struct report report = {0};

    scratch_put(*state, REPORT, text);
    read_it(*state, &report);
    assert_int_equal(report.items[0].point_count, fit);
    assert_int_equal(report.passed_over, 1);
}

static void a_line_that_is_too_long(void **state)
{
    auto_free char *filler = repeated("application/papermill.record+json", LIMIT_REPORT_BYTES / 32);
    auto_free char *text = mem_printf("%s\n" SCRAP("a", "1"), filler);
    auto_free char *long_scrap =
        mem_printf(TEXT_SCRAP("long", "\"%s\"") SCRAP("b", "1") TEXT_SCRAP("c", "\"%.9999999s\"")
                       TEXT_SCRAP("d", "\"%.9999999s\"") SCRAP("e", "1"),
                   filler, filler, filler);
    auto_report struct report report = {0};

    scratch_put(*state, JOURNAL, text);
    check("in the journal", *state, RESULT(VALUE("a", "1"), "", "", 0));

    /* All scraps together: "d" is over it. */
    scratch_put(*state, JOURNAL, long_scrap);
    read_it(*state, &report);
    assert_int_equal(report.count, 3);
    assert_string_equal(report.items[0].name, "b");
    assert_string_equal(report.items[1].name, "c");
    assert_string_equal(report.items[2].name, "e");
    assert_int_equal(report.passed_over, 1);

    scratch_put(*state, JOURNAL, "");
    scratch_put(*state, REPORT, text);
    check("of the SDK, with one that is none", *state, RESULT("", "", "", 2));
}

/* --- where user code may have put links --- */

static void make_link(const char *run_dir, const char *to, const char *name)
{
    auto_free char *path = fs_join(run_dir, name);
    auto_free char *parent = fs_dirname(path);
    struct err e;

    assert_int_equal(fs_mkdirs(parent, 0755, &e), 0);
    assert_int_equal(symlink(to, path), 0);
}

static void a_report_elsewhere_is_not_read(void **state)
{
    static const struct {
        const char *name, *to, *link;
    } rows[] = {
        {"the file", "../../secret", REPORT},
        {"the file, absolute", "/etc/passwd", REPORT},
        {"the directory", "/etc", "io/" STEP},
        {"a device", "/dev/zero", REPORT},
    };

    scratch_put(*state, "secret", METRIC("a", "\"value\":1"));
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *io = fs_join(*state, "io");
        struct err e;
        make_link(*state, rows[i].to, rows[i].link);
        check(rows[i].name, *state, RESULT("", "", "", 1));
        assert_int_equal(fs_remove_tree(io, &e), 0);
    }
}

static void a_pipe_does_not_hold_us(void **state)
{
    auto_free char *path = fs_join(*state, REPORT);

    scratch_put(*state, "io/" STEP "/x", "");
    assert_int_equal(mkfifo(path, 0600), 0);
    check("a pipe", *state, RESULT("", "", "", 1));
}

/* The content of a figure; NULL: ERR_NOT_FOUND. free() it. */
static char *figure(const char *run_dir, const char *name, const char **ret_mime)
{
    struct buf text = {0};
    struct err e;
    auto_close int fd = report_open_figure(run_dir, STEP, name, ret_mime, &e);

    if (fd < 0) {
        assert_int_equal(e.code, ERR_NOT_FOUND);
        return NULL;
    }
    assert_int_equal(fs_read_fd(fd, name, 1 << 20, &text, &e), 0);
    return buf_take(&text);
}

static void figures_are_opened_by_name(void **state)
{
    const char *mime = NULL;

    scratch_put(*state, "io/" STEP "/figures/a%2Fb.svg", "<svg/>");
    scratch_put(*state, REPORT,
                FIGURE("a/b", "figures/a%2Fb.svg", "image/svg+xml")
                    FIGURE("gone", "figures/gone.png", "image/png") METRIC("m", "\"value\":1"));
    auto_free char *text = figure(*state, "a/b", &mime);
    assert_string_equal(text, "<svg/>");
    assert_string_equal(mime, "image/svg+xml");
    assert_null(figure(*state, "gone", &mime));
    assert_null(figure(*state, "m", &mime));
    assert_null(figure(*state, "figures/a%2Fb.svg", &mime));
}

static void figures_lead_nowhere_else(void **state)
{
    static const char *const files[] = {
        "../../secret",       "/etc/passwd", "figures/out", "figures/etc",
        "figures/etc/passwd", "figures",     ".",           ""};
    const char *mime;

    scratch_put(*state, "secret", "secret");
    make_link(*state, "../../../secret", "io/" STEP "/figures/out");
    make_link(*state, "/etc", "io/" STEP "/figures/etc");
    for (size_t i = 0; i < COUNT(files); i++) {
        auto_free char *text = mem_printf(FIGURE("f", "%s", "text/html"), files[i]);
        scratch_put(*state, REPORT, text);
        auto_free char *found = figure(*state, "f", &mime);
        if (found)
            fail_msg("%s: %s", files[i], found);
    }
}

static void a_figure_that_is_too_large(void **state)
{
    auto_free char *path = scratch_write(*state, "io/" STEP "/figures/f.png", "");
    const char *mime;

    scratch_put(*state, REPORT, FIGURE("f", "figures/f.png", "image/png"));
    assert_int_equal(truncate(path, (off_t)LIMIT_FIGURE_BYTES + 1), 0);
    assert_null(figure(*state, "f", &mime));
}

static void a_run_without_files_has_reported_nothing(void **state)
{
    const char *mime;

    check("no files", *state, RESULT("", "", "", 0));
    assert_null(figure(*state, "f", &mime));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_lines_of_the_sdk_say),
        TEST(what_is_no_line_is_counted),
        TEST(points_keep_their_order_and_their_steps),
        TEST(numbers_are_as_short_as_they_read_back),
        TEST(what_cells_displayed),
        TEST(a_scrap_has_the_time_of_its_line),
        TEST(what_the_sdk_said_counts),
        TEST(only_the_last_attempt_has_scraps),
        TEST(names_have_a_length),
        TEST(there_are_only_so_many_names),
        TEST(a_report_that_is_too_long),
        TEST(a_line_that_is_too_long),
        TEST(a_report_elsewhere_is_not_read),
        TEST(a_pipe_does_not_hold_us),
        TEST(figures_are_opened_by_name),
        TEST(figures_lead_nowhere_else),
        TEST(a_figure_that_is_too_large),
        TEST(a_run_without_files_has_reported_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
#undef TEST
}
