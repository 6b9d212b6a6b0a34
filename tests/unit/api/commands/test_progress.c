#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/commands/progress.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define FOOTER "executed notebooks: /state/runs/r/executed"

/* --- what comes out --- */

struct world {
    struct loop *loop;
    struct progress_run run;
    int file, terminal; /* where stdout goes for the while, and where it went */
    struct progress *progress;
    struct buf out;
};

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);

    world->loop = loop_new();
    *state = world;
    return 0;
}

/* Borrowed until the end of the test. */
static void begin(struct world *world, enum progress_style style, struct progress_run run)
{
    world->run = run;
    fflush(stdout);
    world->file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    world->terminal = dup(STDOUT_FILENO);
    dup2(world->file, STDOUT_FILENO);
    world->progress = progress_new(world->loop, style);
    progress_begin(world->progress, &world->run);
}

/* Everything that was shown. */
static const char *shown(struct world *world)
{
    struct err e;

    fflush(stdout);
    dup2(world->terminal, STDOUT_FILENO);
    close(world->terminal);
    lseek(world->file, 0, SEEK_SET);
    assert_int_equal(fs_read_fd(world->file, "shown", 1 << 24, &world->out, &e), 0);
    close(world->file);
    return buf_text(&world->out);
}

static int tear_down(void **state)
{
    struct world *world = *state;

    progress_free(world->progress);
    loop_free(world->loop);
    buf_clear(&world->out);
    free(world);
    return 0;
}

#define RUN_ITSELF UINT32_MAX

/* ' for " in `json`, and the step's uuid in it. */
static void event(struct world *world, uint32_t step, const char *name, const char *json)
{
    auto_buf struct buf text = {0};

    if (step != RUN_ITSELF && json[0] == '{' && json[1])
        buf_printf(&text, "{'step_uuid':'s%u'%s", step + 1, json[1] == '}' ? "" : ",");
    buf_puts(&text, json + (text.len > 0 ? 1 : 0));
    for (char *p = text.data; *p; p++)
        if (*p == '\'')
            *p = '"';
    progress_event(world->progress, name, (struct str){text.data, text.len});
}

static void check_shown(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part, text);
}

static void check_not_shown(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("\"%s\" in:\n%s", part, text);
}

static const struct progress_step STEPS[] = {{"s1", "First", "sub/a.ipynb"},
                                             {"s2", "Second", NULL}};

#define TWO ((struct progress_run){"My pipeline", "r", STEPS, 2})

/* --- text --- */

static void each_start_and_end_is_a_line(void **state)
{
    struct world *world = *state;

    begin(world, PROGRESS_TEXT, TWO);
    event(world, RUN_ITSELF, "run_started", "{'event':'run_started'}");
    event(world, 0, "step_started", "{'event':'step_started','attempt':1}");
    event(world, 0, "kernel_ready", "{'event':'kernel_ready'}");
    event(world, 0, "cell_started", "{'cells_total':7}");
    event(world, 0, "cell_finished", "{'cells_total':7}");
    event(world, 0, "", "{'event':'comm'}");
    event(world, 0, "step_finished", "{'status':'SUCCESS'}");
    event(world, 1, "step_started", "{'attempt':1}");
    event(world, 1, "step_finished",
          "{'status':'FAILURE','failure':{'cause':'cell_error','message':'it broke',"
          "'cell_index':3}}");
    const char *text = shown(world);
    check_shown(text, "My pipeline: 2 steps, run ");
    check_shown(text, "  ▸ First\n");
    check_shown(text, "  ✓ First ");
    check_shown(text, "  ▸ Second\n");
    check_shown(text, "  ✗ Second ");
    check_shown(text, "cell_error in cell 3: it broke\n");
    check_not_shown(text, "\033"); /* it is no terminal */
    size_t lines = 0;
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, 6);
}

static void another_attempt_is_told(void **state)
{
    struct world *world = *state;

    begin(world, PROGRESS_TEXT, TWO);
    event(world, 0, "step_started", "{'attempt':1}");
    event(world, 0, "step_retrying", "{'attempt':1}");
    event(world, 0, "step_started", "{'attempt':2}");
    check_shown(shown(world), "  ▸ First (attempt 2)\n");
}

static void what_cannot_be_read_is_passed_over(void **state)
{
    static const char *const rows[] = {
        "", "{", "[]", "null", "{'status':1,'failure':[]}", "{'failure':{'message':1}}"};
    static const char *const names[] = {"step_started", "step_finished", "cell_started",
                                        "cell_finished", "of_the_future"};
    struct world *world = *state;

    begin(world, PROGRESS_TEXT, TWO);
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t k = 0; k < COUNT(names); k++)
            event(world, 0, names[k], rows[i]);
    check_shown(shown(world), "My pipeline");
}

static void outputs_are_not_shown(void **state)
{
    struct world *world = *state;

    begin(world, PROGRESS_TEXT, TWO);
    event(world, 0, "output", "{'output':{'text':'a secret'}}");
    check_not_shown(shown(world), "secret");
}

static void the_end_is_a_table(void **state)
{
    struct world *world = *state;

    begin(world, PROGRESS_TEXT, TWO);
    event(world, 0, "step_started", "{'attempt':1}");
    event(world, 0, "cell_started", "{'cells_total':7}");
    event(world, 0, "cell_finished", "{'cells_total':7}");
    event(world, 0, "step_finished",
          "{'status':'FAILURE','failure':{'cause':'timeout','message':'too long'}}");
    event(world, 1, "step_finished",
          "{'status':'ABORTED','failure':{'cause':'upstream','message':'not needed'}}");
    event(world, RUN_ITSELF, "run_finished", "{'status':'FAILURE'}");
    progress_end(world->progress, FOOTER);
    const char *text = shown(world);
    check_shown(text, "STEP");
    check_shown(text, "First                        FAILURE");
    check_shown(text, "1/7");
    check_shown(text, " sub/a.ipynb\n");
    check_shown(text, "Second                       ABORTED");
    check_shown(text, "FAILURE in ");
    check_shown(text, "0 succeeded, 1 failed, 1 aborted\n");
    check_shown(text, "executed notebooks: /state/runs/r/executed\n");
    check_not_shown(text, "not needed"); /* the step that failed has said why */
    check_not_shown(text, "\033");
}

static void news_that_is_no_event_is_a_line(void **state)
{
    struct world *world = *state;

    begin(world, PROGRESS_TEXT, TWO);
    progress_say(world->progress, "stopping ...");
    check_shown(shown(world), "  stopping ...\n");
}

/* --- what would be obeyed by a terminal --- */

static void no_text_of_others_moves_the_cursor(void **state)
{
    static const struct {
        const char *name, *text; /* in JSON */
        const char *shown;
    } rows[] = {
        {"escape", "a\\u001b[31mb", "a?[31mb"},
        {"bell", "a\\u0007b", "a?b"},
        {"carriage return", "a\\rb", "a?b"},
        {"tab", "a\\tb", "a?b"},
        {"backspace", "a\\bb", "a?b"},
        {"delete", "a\\u007fb", "a?b"},
        {"control sequence introducer of 8 bits", "a\\u009b31mb", "a??31mb"},
        {"next line of 8 bits", "a\\u0085b", "a??b"},
        {"harmless ones", "aé\u00a0日🐍b", "aé\u00a0日🐍b"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct world *world;
        set_up((void **)&world);
        auto_json struct json doc = {0};
        auto_free char *quoted = mem_printf("\"%s\"", rows[i].text);
        struct err e;
        assert_int_equal(json_parse(&doc, str_of(quoted), JSON_STRICT, NULL, &e), 0);
        auto_free char *plain = json_strdup(&doc, 0);
        auto_free char *name = mem_printf("P%s", plain), *label = mem_printf("T%s", plain);
        auto_free char *executed = mem_printf("E%s", plain), *uuid = mem_printf("U%s", plain);
        struct progress_step step = {"s1", label, executed};
        auto_free char *failure = mem_printf(
            "{'status':'FAILURE','failure':{'cause':'exit_code','message':'M%s'}}", rows[i].text);
        begin(world, PROGRESS_TEXT, (struct progress_run){name, uuid, &step, 1});
        event(world, 0, "step_started", "{'attempt':1}");
        event(world, 0, "step_finished", failure);
        progress_end(world->progress, FOOTER);
        const char *text = shown(world);
        static const char *const places[] = {"P%s: 1 step", "run U%s\n",        "▸ T%s\n",
                                             "✗ T%s ",      "exit_code: M%s\n", " E%s\n"};
        for (size_t k = 0; k < COUNT(places); k++) {
            auto_free char *expected = mem_printf(places[k], rows[i].shown);
            if (!strstr(text, expected))
                fail_msg("%s: no \"%s\" in:\n%s", rows[i].name, expected, text);
        }
        for (const char *p = text; *p; p++)
            assert_true((unsigned char)*p >= ' ' ? *p != 0x7f : *p == '\n');
        tear_down((void **)&world);
    }
    (void)state;
}

static void a_message_of_several_lines_is_set_in(void **state)
{
    struct world *world = *state;

    begin(world, PROGRESS_TEXT, TWO);
    event(world, 0, "step_finished",
          "{'status':'FAILURE','failure':{'cause':'exit_code',"
          "'message':'one\\n  ✓ Second\\n\\nthree\\n'}}");
    const char *text = shown(world);
    check_shown(text, "exit_code: one\n          ✓ Second\n        three\n");
    check_not_shown(text, "\n  ✓ Second");
}

static void titles_are_cut_to_their_column(void **state)
{
    static const struct progress_step step = {"s1", "äöüäöüäöüäöüäöüäöüäöüäöüäöüäöü", NULL};
    struct world *world = *state;

    begin(world, PROGRESS_TEXT, (struct progress_run){"P", "r", &step, 1});
    event(world, 0, "step_finished", "{'status':'SUCCESS'}");
    check_shown(shown(world), "✓ äöüäöüäöüäöüäöüäöüäöüäöüäöü… ");
}

/* --- JSON --- */

static void lines_pass_as_they_are(void **state)
{
    static const char *const rows[] = {
        "{\"id\":1,\"event\":\"step_started\"}",
        "{\"id\":2,\"event\":\"output\",\"text\":\"\\u001b[0m é\"}",
        "{\"id\":3,\"event\":\"comm\"}",
    };
    struct world *world = *state;
    auto_buf struct buf expected = {0};

    begin(world, PROGRESS_JSON, TWO);
    for (size_t i = 0; i < COUNT(rows); i++) {
        progress_event(world->progress, "", str_of(rows[i]));
        buf_printf(&expected, "%s\n", rows[i]);
    }
    progress_end(world->progress, FOOTER);
    assert_string_equal(shown(world), expected.data); /* and nothing but them */
}

/* --- what the events say --- */

static void times_are_those_of_the_events(void **state)
{
    struct world *world = *state;

    begin(world, PROGRESS_TEXT, TWO);
    event(world, RUN_ITSELF, "run_started", "{'time':'2026-11-22T01:00:00.000000Z'}");
    event(world, 0, "step_started", "{'attempt':1,'time':'2026-11-22T01:00:01.000000Z'}");
    event(world, 0, "step_finished", "{'status':'SUCCESS','time':'2026-11-22T01:00:03.500000Z'}");
    event(world, 1, "step_started", "{'attempt':1,'time':'2026-11-22T01:00:03.500000Z'}");
    event(world, 1, "step_finished", "{'status':'SUCCESS','time':'2026-11-22T02:10:08.500000Z'}");
    event(world, RUN_ITSELF, "run_finished",
          "{'status':'SUCCESS','time':'2026-11-22T02:11:00.000000Z'}");
    progress_end(world->progress, FOOTER);
    const char *text = shown(world);
    check_shown(text, "✓ First                          2.5 s");
    check_shown(text, "✓ Second                       1:10:05 h");
    check_shown(text, "SUCCESS in 1:11:00 h: 2 succeeded");
}

static void the_end_is_an_exit_status(void **state)
{
    static const struct {
        const char *name, *step, *run;
        enum exit_status status;
    } rows[] = {
        {"success", "{'status':'SUCCESS'}", "{'status':'SUCCESS'}", EXIT_DONE},
        {"failure", "{'status':'FAILURE','failure':{'cause':'timeout'}}", "{'status':'FAILURE'}",
         EXIT_NOT_SUCCESS},
        {"no docker", "{'status':'FAILURE','failure':{'cause':'launcher_unavailable'}}",
         "{'status':'FAILURE'}", EXIT_UNAVAILABLE},
        {"a cause of the future", "{'status':'FAILURE','failure':{'cause':'flood'}}",
         "{'status':'FAILURE'}", EXIT_NOT_SUCCESS},
        {"cancelled", "{'status':'ABORTED'}", "{'status':'ABORTED'}", EXIT_NOT_SUCCESS},
        {"no end", "{'status':'SUCCESS'}", "{}", EXIT_NOT_SUCCESS},
    };
    static const enum progress_style styles[] = {PROGRESS_TEXT, PROGRESS_JSON};

    for (size_t i = 0; i < 2 * COUNT(rows); i++) {
        struct world *world;
        set_up((void **)&world);
        begin(world, styles[i % 2], TWO);
        event(world, 0, "step_finished", rows[i / 2].step);
        event(world, RUN_ITSELF, "run_finished", rows[i / 2].run);
        enum exit_status status = progress_exit_status(world->progress);
        shown(world);
        if (status != rows[i / 2].status)
            fail_msg("%s: %d", rows[i / 2].name, (int)status);
        tear_down((void **)&world);
    }
    (void)state;
}

static void nothing_is_nothing_to_free(void **state)
{
    (void)state;
    progress_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_start_and_end_is_a_line),
        TEST(another_attempt_is_told),
        TEST(what_cannot_be_read_is_passed_over),
        TEST(outputs_are_not_shown),
        TEST(the_end_is_a_table),
        TEST(news_that_is_no_event_is_a_line),
        cmocka_unit_test(no_text_of_others_moves_the_cursor),
        TEST(a_message_of_several_lines_is_set_in),
        TEST(titles_are_cut_to_their_column),
        TEST(lines_pass_as_they_are),
        TEST(times_are_those_of_the_events),
        cmocka_unit_test(the_end_is_an_exit_status),
        cmocka_unit_test(nothing_is_nothing_to_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
