#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/log.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* Standard error goes to a file in memory while a line is written. */
static int kept_stderr, captured;

static int begin_capture(void **state)
{
    (void)state;
    fflush(stderr);
    kept_stderr = dup(STDERR_FILENO);
    captured = memfd_create("captured", MFD_CLOEXEC);
    return dup2(captured, STDERR_FILENO) < 0 ? -1 : 0;
}

static int end_capture(void **state)
{
    (void)state;
    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    close(captured);
    log_set_level(LOG_INFO);
    return 0;
}

/* What was written since; empty again after it. */
static void take_text(char *out, size_t size)
{
    ssize_t len = pread(captured, out, size - 1, 0);

    assert_true(len >= 0);
    out[len] = 0;
    assert_int_equal(ftruncate(captured, 0), 0);
    lseek(captured, 0, SEEK_SET);
}

/* The line behind its time, which is checked for its form. */
static const char *behind_time(const char *line)
{
    static const char form[] = "time=dddd-dd-ddTdd:dd:dd.ddddddZ ";

    for (size_t i = 0; form[i]; i++)
        if (form[i] == 'd' && i > 4 ? line[i] < '0' || line[i] > '9' : line[i] != form[i])
            fail_msg("no time: %s", line);
    return line + sizeof form - 1;
}

static void a_line_has_level_event_and_pairs(void **state)
{
    char text[1000];

    (void)state;
    log_line(LOG_INFO, "run_finished", "run", "8617", "status", "SUCCESS", NULL);
    take_text(text, sizeof text);
    assert_string_equal(behind_time(text),
                        "level=info event=run_finished run=8617 status=SUCCESS\n");
    log_line(LOG_ERROR, "failed", "missing", NULL, "last", "x", NULL);
    take_text(text, sizeof text);
    assert_string_equal(behind_time(text), "level=error event=failed last=x\n");
    log_line(LOG_WARNING, "alone", NULL);
    take_text(text, sizeof text);
    assert_string_equal(behind_time(text), "level=warning event=alone\n");
}

static void a_value_cannot_leave_its_line(void **state)
{
    static const struct {
        const char *value, *written;
    } rows[] = {
        {"plain/value-1.0:7878", "plain/value-1.0:7878"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"say \"x\"", "\"say \\\"x\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"a\nlevel=error", "\"a\\x0alevel=error\""},
        {"\r\t\x1b[31m\x7f", "\"\\x0d\\x09\\x1b[31m\\x7f\""},
        {"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\""},
        {"\xff\xc3", "\"\\xff\\xc3\""},
        {"\xc2\x9b", "\"\\xc2\\x9b\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[1000], expected[1000];
        log_line(LOG_INFO, "e", "key", rows[i].value, NULL);
        take_text(text, sizeof text);
        snprintf(expected, sizeof expected, "level=info event=e key=%s\n", rows[i].written);
        assert_string_equal(behind_time(text), expected);
    }
}

static void lines_below_the_level_are_dropped(void **state)
{
    static const enum log_level levels[] = {LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR};
    char text[1000];

    (void)state;
    for (size_t lowest = 0; lowest < 4; lowest++) {
        log_set_level(levels[lowest]);
        for (size_t level = 0; level < 4; level++) {
            log_line(levels[level], "e", NULL);
            take_text(text, sizeof text);
            assert_int_equal(text[0] != 0, level >= lowest);
        }
    }
}

int main(void)
{
#define LOG_TEST(test) cmocka_unit_test_setup_teardown(test, begin_capture, end_capture)
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_line_has_level_event_and_pairs),
        LOG_TEST(a_value_cannot_leave_its_line),
        LOG_TEST(lines_below_the_level_are_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
