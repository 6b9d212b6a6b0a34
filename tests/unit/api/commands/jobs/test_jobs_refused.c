#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/commands/jobs/jobs_cli.h"
#include "base/mem.h"

#include <string.h>

#include "tests/unit/api/commands/captured.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char BODY[] =
    "{\"name\":\"\",\"parameters\":{\"grid\":{\"pipeline_parameters\":{\"a/"
    "b\":[1]},\"u\":{\"d\":[1]}},"
    "\"exclude\":[9]},\"schedule\":{\"cron\":\"x\"},\"policy\":{\"retries\":{\"limit\":-1}}}";

/* Of what stands in BODY; "": nowhere, the first column of the second line. */
static void add(struct problems *problems, const char *pointer, const char *text,
                const char *detail)
{
    struct json_place place = {2, 1};

    if (*text)
        place = (struct json_place){1, (uint32_t)(strstr(BODY, text) - BODY) + 1};
    problems_add_place(problems, pointer, place, "%s", detail);
}

static const struct row {
    const char *name, *pointer, *text, *said;
} ROWS[] = {
    {"an option", "/schedule/cron", "\"x\"", "segue jobs create: --cron: bad\n"},
    {"a value", "/name", "\"\",", "segue jobs create: --name: bad\n"},
    {"a key", "/parameters/grid/u", "\"u\"", "segue jobs create: --grid u: bad\n"},
    {"a pipeline's parameter", "/parameters/grid/pipeline_parameters/a~1b", "[1]}",
     "segue jobs create: --grid a/b: bad\n"},
    {"a step's parameter", "/parameters/grid/u/d", "[1]}},",
     "segue jobs create: --grid u:d: bad\n"},
    {"an item of a list", "/parameters/exclude/0", "9]", "segue jobs create: --exclude: bad\n"},
    {"a member of an option", "/policy/retries/limit", "-1",
     "segue jobs create: --retries limit: bad\n"},
    {"the file, which has such a pointer too", "/name", "", "p.json:2:1: /name: bad\n"},
    {"the file", "/steps/x", "", "p.json:2:1: /steps/x: bad\n"},
};

static const struct row *now;

static int refuse(int argc, char **argv)
{
    auto_problems struct problems problems = {0};
    auto_buf struct buf body = {0};
    struct err e;

    (void)argc;
    (void)argv;
    err_set(&e, ERR_INVALID, "refused");
    buf_puts(&body, BODY);
    add(&problems, now->pointer, now->text, "bad");
    return jobs_refused("jobs create", "p.json", &body, &problems, &e);
}

static void problems_are_told_where_they_came_from(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        now = &ROWS[i];
        struct captured c = captured(refuse, (const char *const[]){"refuse", NULL});
        if (c.status != EXIT_INPUT || strcmp(buf_text(&c.error), now->said) != 0)
            fail_msg("%s: %d, %s", now->name, c.status, buf_text(&c.error));
        assert_int_equal(c.out.len, 0);
        captured_clear(&c);
    }
}

static int refuse_without_problems(int argc, char **argv)
{
    auto_problems struct problems problems = {0};
    auto_buf struct buf body = {0};
    struct err e;

    (void)argc;
    (void)argv;
    err_set(&e, ERR_UNAVAILABLE, "not \x1b[2J there");
    buf_puts(&body, "{}");
    return jobs_refused("jobs edit", NULL, &body, &problems, &e);
}

static void without_problems_the_error_is_told(void **state)
{
    (void)state;
    struct captured c = captured(refuse_without_problems, (const char *const[]){"refuse", NULL});
    assert_int_equal(c.status, EXIT_UNAVAILABLE);
    assert_string_equal(buf_text(&c.error), "segue jobs edit: not ?[2J there\n");
    captured_clear(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(problems_are_told_where_they_came_from),
        cmocka_unit_test(without_problems_the_error_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
