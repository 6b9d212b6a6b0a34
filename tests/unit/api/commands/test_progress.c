#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/commands/progress.h"
#include "base/json.h"
#include "tests/unit/base/scratch.c"
#include "tests/unit/runner/engine/made_submission.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- a run that is what the test says: progress looks at one through these four only --- */

struct live_run {
    struct submission *submission;
    struct run *run;
    const char *executed; /* of the first step */
};

const struct submission *live_run_submission(const struct live_run *live)
{
    return live->submission;
}

const struct run *live_run_state(const struct live_run *live)
{
    return live->run;
}

const char *live_run_dir(const struct live_run *live)
{
    (void)live;
    return "/state/runs/r";
}

const char *live_run_executed(const struct live_run *live, uint32_t step)
{
    return step == 0 ? live->executed : NULL;
}

/* --- what comes out --- */

struct world {
    char *dir;
    struct loop *loop;
    struct live_run live;
    int file, terminal; /* where stdout goes for the while, and where it went */
    struct progress *progress;
    struct buf out;
};

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);

    world->dir = scratch_new();
    world->loop = loop_new();
    scratch_put(world->dir, "a.sh", "");
    *state = world;
    return 0;
}

static void begin(struct world *world, enum progress_style style, const char *definition)
{
    world->live.submission = submission_of(world->dir, definition, (struct request){0});
    world->live.run = run_new(world->live.submission->plan, world->live.submission->pipeline);
    fflush(stdout);
    world->file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    world->terminal = dup(STDOUT_FILENO);
    dup2(world->file, STDOUT_FILENO);
    world->progress = progress_new(world->loop, style);
    progress_begin(world->progress, &world->live);
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
    run_free(world->live.run);
    submission_free(world->live.submission);
    loop_free(world->loop);
    buf_clear(&world->out);
    scratch_free(world->dir);
    free(world);
    return 0;
}

/* ' for " in `json`. */
static void event(struct world *world, uint32_t step, const char *name, const char *json)
{
    auto_free char *text = mem_strdup(json);

    for (char *p = text; *p; p++)
        if (*p == '\'')
            *p = '"';
    progress_event(world->progress,
                   &(struct engine_event){.id = 1, .event = name, .step = step, .json = text});
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

static void apply(struct world *world, enum run_event_kind kind, uint32_t step, enum status status,
                  enum cause cause)
{
    struct run_event happened = {.kind = kind,
                                 .step = step,
                                 .status = status,
                                 .cause = cause,
                                 .attempt = step == STEP_NONE ? 0 : 1,
                                 .time = 1};
    struct err e;

    if (run_apply(world->live.run, &happened, &e) < 0)
        fail_msg("%s", e.text);
}

#define TWO                                                                                        \
    "{'name':'My pipeline','steps':{'s1':{'title':'First','file_path':'a.sh'},"                    \
    "'s2':{'title':'Second','file_path':'a.sh','incoming_connections':['s1']}}}"

/* --- text --- */

static void each_start_and_end_is_a_line(void **state)
{
    struct world *world = *state;

    begin(world, PROGRESS_TEXT, TWO);
    event(world, STEP_NONE, "run_started", "{'event':'run_started'}");
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

    world->live.executed = "/state/runs/r/executed/sub/a.ipynb";
    begin(world, PROGRESS_TEXT, TWO);
    event(world, 0, "step_started", "{'attempt':1}");
    event(world, 0, "cell_started", "{'cells_total':7}");
    event(world, 0, "cell_finished", "{'cells_total':7}");
    event(world, 0, "step_finished",
          "{'status':'FAILURE','failure':{'cause':'timeout','message':'too long'}}");
    event(world, 1, "step_finished",
          "{'status':'ABORTED','failure':{'cause':'upstream','message':'not needed'}}");
    apply(world, EVENT_RUN_STARTED, STEP_NONE, STATUS_STARTED, CAUSE_NONE);
    apply(world, EVENT_STEP_STARTED, 0, STATUS_STARTED, CAUSE_NONE);
    apply(world, EVENT_STEP_FINISHED, 0, STATUS_FAILURE, CAUSE_TIMEOUT);
    progress_end(world->progress);
    const char *text = shown(world);
    check_shown(text, "STEP");
    check_shown(text, "First                        FAILURE");
    check_shown(text, "1/7");
    check_shown(text, " sub/a.ipynb\n");
    check_shown(text, "Second                       ABORTED");
    check_shown(text, "0 succeeded, 1 failed, ");
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
        auto_free char *definition =
            mem_printf("{'name':'P%s','steps':{'s1':{'title':'T%s','file_path':'a.sh'}}}",
                       rows[i].text, rows[i].text);
        auto_free char *failure = mem_printf(
            "{'status':'FAILURE','failure':{'cause':'exit_code','message':'M%s'}}", rows[i].text);
        begin(world, PROGRESS_TEXT, definition);
        event(world, 0, "step_started", "{'attempt':1}");
        event(world, 0, "step_finished", failure);
        progress_end(world->progress);
        const char *text = shown(world);
        static const char *const places[] = {"P%s: 1 step", "▸ T%s\n", "✗ T%s ",
                                             "exit_code: M%s\n"};
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
    struct world *world = *state;

    begin(world, PROGRESS_TEXT,
          "{'steps':{'s1':{'title':'äöüäöüäöüäöüäöüäöüäöüäöüäöüäöü','file_path':'a.sh'}}}");
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
        progress_event(world->progress,
                       &(struct engine_event){.id = 1, .event = "", .step = 0, .json = rows[i]});
        buf_printf(&expected, "%s\n", rows[i]);
    }
    progress_end(world->progress);
    assert_string_equal(shown(world), expected.data); /* and nothing but them */
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
        cmocka_unit_test(nothing_is_nothing_to_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
