#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/service/job_body.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tests/unit/base/scratch.c"

/* PROJECTS/p with p.json (a -> b) and the files of its steps, named.json, which has a name,
 * lost.json with a file that is missing, and wrong.json. STORE has a job of p.json. */
struct fixture {
    char *base, *projects;
    struct job_store *store;
    struct stored_job job;
};

#define STEPS                                                                                      \
    "\"steps\":{\"a\":{\"title\":\"First\",\"file_path\":\"a.py\"},"                               \
    "\"b\":{\"file_path\":\"b.py\",\"incoming_connections\":[\"a\"]}}"
#define JOB     "11111111-0000-4000-8000-000000000000"
#define P       "\"project\":\"p\",\"pipeline_path\":\"p.json\""
#define CRON(x) "{" P ",\"schedule\":{\"cron\":\"" x "\"}}"

static void add_job(struct fixture *f)
{
    auto_free char *project = fs_join(f->projects, "p");
    auto_free char *path = fs_join(f->base, "jobs.db");
    struct job_row row = {
        .uuid = JOB,
        .name = "Nightly",
        .state = JOB_DRAFT,
        .project = project,
        .pipeline_path = "p.json",
        .pipeline_uuid = "pipe",
        .pipeline_name = "",
        .parameters = "{\"grid\":{\"a\":{\"x\":[1,2]}}}",
        .schedule = "{\"cron\":\"0 2 * * *\"}",
        .policy = "{\"parallel\":3}",
        .duplicate_of = "",
        .snapshot = "",
        .set_count = 2,
    };
    int64_t id;
    struct err e;

    assert_int_equal(job_store_open(path, STORE_WRITE, &f->store, &e), 0);
    assert_int_equal(job_store_begin(f->store, &e), 0);
    assert_int_equal(
        job_store_add(f->store, &row, STR("{\"uuid\":\"pipe\"," STEPS "}"), NULL, NULL, &id, &e),
        0);
    assert_int_equal(job_store_commit(f->store, STORE_LAZY, &e), 0);
    if (stored_job_read(f->store, JOB, &f->job, &e) < 0)
        fail_msg("%s", e.text);
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    auto_free char *base = scratch_new();

    f->base = realpath(base, NULL);
    f->projects = fs_join(f->base, "projects");
    scratch_put(f->projects, "p/p.json", "{\"uuid\":\"pipe\"," STEPS "}");
    scratch_put(f->projects, "p/named.json", "{\"name\":\"Wine\"," STEPS "}");
    scratch_put(f->projects, "p/lost.json", "{\"steps\":{\"z\":{\"file_path\":\"z.py\"}}}");
    scratch_put(f->projects, "p/wrong.json",
                "{\"steps\":{\n  \"a\":{\"incoming_connections\":[\"z\"]}}}");
    scratch_put(f->projects, "p/a.py", "");
    scratch_put(f->projects, "p/b.py", "");
    add_job(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    stored_job_clear(&f->job);
    job_store_close(f->store);
    free(f->projects);
    scratch_free(f->base);
    free(f);
    return 0;
}

static void parse(struct json *body, const char *text)
{
    struct err e;

    if (json_parse(body, str_of(text), JSON_STRICT, NULL, &e) < 0)
        fail_msg("%s: %s", text, e.text);
}

static void must_read(const struct fixture *f, const char *text, struct job_body *job)
{
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    struct err e;

    parse(&body, text);
    if (job_body_read(job, &body, f->projects, &problems, &e) < 0)
        fail_msg("%s: %s", text, e.text);
    assert_int_equal(problems.total, 0);
}

/* --- what is accepted --- */

static void a_path_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    auto_job_body struct job_body job = {0};

    must_read(f, "{" P "}", &job);
    assert_string_equal(job.name, "p.json");
    assert_string_equal(job.source.pipeline->uuid, "pipe");
    assert_int_equal(parameter_sets_count(job.sets), 1);
    assert_int_equal(schedule_kind(job.schedule), SCHEDULE_NOW);
    assert_int_equal(job.policy.parallel, 0);
    assert_false(job.is_draft);
}

static void everything(void **state)
{
    struct fixture *f = *state;
    auto_job_body struct job_body job = {0};

    must_read(f,
              "{" P ",\"name\":\"Sweep\",\"draft\":true,"
              "\"parameters\":{\"grid\":{\"a\":{\"x\":\"1..3\"},\"pipeline_parameters\":"
              "{\"y\":[0.1,0.2]}}},"
              "\"schedule\":{\"cron\":\"0 2 * * *\",\"timezone\":\"Europe/Berlin\"},"
              "\"policy\":{\"parallel\":4}}",
              &job);
    assert_string_equal(job.name, "Sweep");
    assert_int_equal(parameter_sets_count(job.sets), 6);
    assert_int_equal(schedule_kind(job.schedule), SCHEDULE_CRON);
    assert_int_equal(job.policy.parallel, 4);
    assert_true(job.is_draft);
}

static void nulls_are_absent(void **state)
{
    struct fixture *f = *state;
    auto_job_body struct job_body job = {0};

    must_read(f,
              "{" P ",\"name\":null,\"parameters\":null,\"schedule\":null,\"policy\":null,"
              "\"draft\":null,\"pipeline_definition\":null}",
              &job);
    assert_string_equal(job.name, "p.json");
}

static void names_by_default(void **state)
{
    static const char *const cases[][2] = {
        {"{\"project\":\"p\",\"pipeline_path\":\"named.json\"}", "Wine"},
        {"{\"project\":\"p\",\"pipeline_definition\":{" STEPS "}}", "p"},
        {"{\"project\":\"p\",\"pipeline_definition\":{\"name\":\"Given\"," STEPS "}}", "Given"},
        {"{" P ",\"pipeline_definition\":{" STEPS "}}", "p.json"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        auto_job_body struct job_body job = {0};
        must_read(f, cases[i][0], &job);
        assert_string_equal(job.name, cases[i][1]);
    }
}

static void a_name_is_counted_in_characters(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf text = {0};
    auto_job_body struct job_body job = {0};

    buf_puts(&text, "{" P ",\"name\":\"");
    for (unsigned i = 0; i < JOB_NAME_MAX; i++)
        buf_puts(&text, "\u00e4");
    buf_puts(&text, "\"}");
    must_read(f, buf_text(&text), &job);
    assert_int_equal(strlen(job.name), 2 * JOB_NAME_MAX);
}

/* --- what is refused --- */

static const struct wrong {
    const char *name, *body, *expected;
} wrongs[] = {
    {"nothing", "{}",
     ":1:1: \"project\" is missing\n"
     ":1:1: \"pipeline_path\" or \"pipeline_definition\" is missing\n"},
    {"no object", "[]", ":1:1: the body must be an object, is an array\n"},
    {"an unknown field", "{" P ",\"shedule\":{}}",
     "/shedule:1:41: unknown field \"shedule\"; did you mean \"schedule\"?\n"},
    {"wrong kinds", "{" P ",\"name\":1,\"draft\":\"yes\",\"policy\":[]}",
     "/name:1:48: must be a string, is a number\n"
     "/draft:1:58: must be true or false, is a string\n"
     "/policy:1:73: must be an object, is an array\n"},
    {"an empty name", "{" P ",\"name\":\"\"}",
     "/name:1:48: a name has 1 to 200 characters, and no U+0000\n"},
    {"NUL in a name", "{" P ",\"name\":\"a\\u0000\"}",
     "/name:1:48: a name has 1 to 200 characters, and no U+0000\n"},
    {"the file's places", "{\"project\":\"p\",\"pipeline_path\":\"wrong.json\"}",
     "/steps/a/incoming_connections/0:2:32: unknown step \"z\"\n"},
    {"a missing file", "{\"project\":\"p\",\"pipeline_path\":\"lost.json\"}",
     "/steps/z/file_path:1:28: cannot open \"./z.py\" in \"PROJECTS/p\": no such file or "
     "directory\n"},
    {"no such project", "{\"project\":\"q\",\"pipeline_path\":\"p.json\"}",
     "/project:1:12: cannot open \"q\" in \"PROJECTS\": no such file or directory\n"},
};

/* What is found, a line each, with the directory's name taken out. */
static char *shown(const struct fixture *f, const struct problems *problems)
{
    struct buf out = {0};

    for (uint32_t i = 0; i < problems->count; i++) {
        const struct problem *p = &problems->items[i];
        const char *found = strstr(p->detail, f->projects);
        size_t before = found ? (size_t)(found - p->detail) : strlen(p->detail);
        buf_printf(&out, "%s:%u:%u: %.*s", p->pointer, p->line, p->column, (int)before, p->detail);
        buf_printf(&out, "%s%s\n", found ? "PROJECTS" : "",
                   found ? found + strlen(f->projects) : "");
    }
    return buf_take(&out);
}

static char *refusal(const struct fixture *f, const char *text, struct err *e)
{
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    auto_job_body struct job_body job = {0};

    parse(&body, text);
    if (job_body_read(&job, &body, f->projects, &problems, e) == 0)
        fail_msg("accepted: %s", text);
    assert_null(job.name);
    return shown(f, &problems);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        const struct wrong *wrong = &wrongs[i];
        struct err e = {0};
        auto_free char *found = refusal(f, wrong->body, &e);
        if (strcmp(found, wrong->expected) != 0)
            fail_msg("%s: %s", wrong->name, found);
        assert_int_equal(e.code, ERR_INVALID);
    }
}

/* What other modules word is only looked for. */
static const struct part {
    const char *name, *body, *pointer, *words;
} parts[] = {
    {"an unknown zone",
     "{" P ",\"schedule\":{\"cron\":\"0 2 * * *\",\"timezone\":\"Europe/Berln\"}}",
     "/schedule/timezone:1:", "Europe/Berlin"},
    {"31 February", CRON("0 0 31 2 *"), "/schedule/cron:1:", "character 5"},
    {"a cron line of four fields", CRON("0 0 * *"), "/schedule/cron:1:", "character"},
    {"no such time", "{" P ",\"schedule\":{\"at\":\"tomorrow\"}}", "/schedule/at:1:", ""},
    {"both at and cron",
     "{" P ",\"schedule\":{\"at\":\"2026-12-01T06:00:00Z\",\"cron\":\"@daily\"}}", "/schedule",
     "at"},
    {"an unknown field of a schedule", "{" P ",\"schedule\":{\"cronn\":\"@daily\"}}",
     "/schedule/cronn:1:", "\"cron\""},
    {"an unknown field of a policy", "{" P ",\"policy\":{\"paralel\":1}}",
     "/policy/paralel:1:", "\"parallel\""},
    {"a share of failures that is none", "{" P ",\"policy\":{\"stop_after_failures\":\"200%\"}}",
     "/policy/stop_after_failures:1:", "share"},
    {"parameters that name no step", "{" P ",\"parameters\":{\"grid\":{\"z\":{\"x\":[1]}}}}",
     "/parameters/grid/z:1:", "no step"},
    {"parameters that name a step by its title",
     "{" P ",\"parameters\":{\"base\":{\"First\":{\"x\":1}}}}",
     "/parameters/base/First:1:", "the step's is \"a\""},
    {"more sets than a job may have",
     "{" P ",\"parameters\":{\"grid\":{\"a\":{\"x\":\"1..1000\",\"y\":\"1..100\"}}}}",
     "/parameters", "100,000 sets"},
    {"both a grid and sets", "{" P ",\"parameters\":{\"grid\":{\"a\":{\"x\":[1]}},\"sets\":[{}]}}",
     "/parameters", "sets"},
    {"a zip of unequal axes",
     "{" P ",\"parameters\":{\"strategy\":\"zip\",\"grid\":{\"a\":{\"x\":[1,2],\"y\":[1]}}}}",
     "/parameters/grid/a/y", "same number"},
    {"no set left", "{" P ",\"parameters\":{\"sets\":[{}],\"exclude\":[0]}}", "/parameters/exclude",
     "left out"},
};

static void what_is_wrong_inside_of_its_parts(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const struct part *part = &parts[i];
        struct err e = {0};
        auto_free char *found = refusal(f, part->body, &e);
        if (strncmp(found, part->pointer, strlen(part->pointer)) != 0 ||
            !strstr(found, part->words))
            fail_msg("%s: %s", part->name, found);
        assert_int_equal(e.code, ERR_INVALID);
    }
}

/* --- changes --- */

static void must_change(const struct fixture *f, const char *text, struct job_change_body *change)
{
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    struct err e;

    parse(&body, text);
    if (job_change_body_read(change, &body, f->projects, &f->job, &problems, &e) < 0)
        fail_msg("%s: %s", text, e.text);
    assert_int_equal(problems.total, 0);
}

static void a_change_of_nothing(void **state)
{
    struct fixture *f = *state;
    auto_job_change_body struct job_change_body change = {0};

    must_change(f, "{\"refresh\":false,\"name\":null}", &change);
    assert_null(change.name);
    assert_null(change.pipeline);
    assert_null(change.sets);
    assert_null(change.schedule);
    assert_false(change.has_policy);
}

static void a_change_of_everything(void **state)
{
    struct fixture *f = *state;
    auto_job_change_body struct job_change_body change = {0};

    must_change(f,
                "{\"name\":\"Other\",\"parameters\":{\"grid\":{\"b\":{\"y\":[1,2,3]}}},"
                "\"schedule\":{},\"policy\":{\"parallel\":1}}",
                &change);
    assert_string_equal(change.name, "Other");
    assert_int_equal(parameter_sets_count(change.sets), 3);
    assert_int_equal(schedule_kind(change.schedule), SCHEDULE_NOW);
    assert_true(change.has_policy);
    assert_int_equal(change.policy.parallel, 1);
    assert_null(change.pipeline);
}

static void refreshed_from_the_file(void **state)
{
    struct fixture *f = *state;
    auto_job_change_body struct job_change_body change = {0};

    scratch_put(f->projects, "p/p.json", "{\"uuid\":\"pipe\",\"name\":\"New\"," STEPS "}");
    must_change(f, "{\"refresh\":true}", &change);
    assert_string_equal(change.pipeline->name, "New");
    assert_int_equal(parameter_sets_count(change.sets), 2); /* as before */
}

static char *change_refusal(const struct fixture *f, const char *text, struct err *e)
{
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    auto_job_change_body struct job_change_body change = {0};

    parse(&body, text);
    if (job_change_body_read(&change, &body, f->projects, &f->job, &problems, e) == 0)
        fail_msg("accepted: %s", text);
    assert_null(change.name);
    assert_int_equal(e->code, ERR_INVALID);
    return shown(f, &problems);
}

static void changes_that_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"[]", ":1:1: the body must be an object, is an array\n"},
        {"{\"name\":\"x\",\"project\":\"p\"}", "/project:1:13: unknown field \"project\"\n"},
        {"{\"name\":\"\"}", "/name:1:9: a name has 1 to 200 characters, and no U+0000\n"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e;
        auto_free char *found = change_refusal(f, cases[i][0], &e);
        assert_string_equal(found, cases[i][1]);
    }
}

static void sets_that_fit_no_longer(void **state)
{
    struct fixture *f = *state;
    struct err e;

    scratch_put(f->projects, "p/p.json", "{\"steps\":{\"c\":{\"file_path\":\"a.py\"}}}");
    auto_free char *found = change_refusal(f, "{\"refresh\":true}", &e);
    assert_string_equal(found, ""); /* they do not stand in the body */
    assert_non_null(strstr(e.text, "do not fit the pipeline as it is now"));
    /* Others do. */
    auto_job_change_body struct job_change_body change = {0};
    must_change(f, "{\"refresh\":true,\"parameters\":{\"base\":{\"c\":{\"x\":1}}}}", &change);
    assert_int_equal(parameter_sets_count(change.sets), 1);
}

static void a_project_that_is_gone(void **state)
{
    struct fixture *f = *state;
    auto_free char *project = fs_join(f->projects, "p");
    struct err e;

    assert_int_equal(fs_remove_tree(project, &e), 0);
    auto_free char *found = change_refusal(f, "{\"refresh\":true}", &e);
    assert_string_equal(found, "");
    assert_non_null(strstr(e.text, "no such file or directory"));
}

static void a_project_that_lies_elsewhere_now(void **state)
{
    struct fixture *f = *state;
    auto_free char *elsewhere = fs_join(f->base, "elsewhere");
    struct err e;
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    auto_job_change_body struct job_change_body change = {0};

    assert_int_equal(fs_mkdirs(elsewhere, 0755, &e), 0);
    parse(&body, "{\"refresh\":true}");
    assert_int_equal(job_change_body_read(&change, &body, elsewhere, &f->job, &problems, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.text, "does not lie below"));
}

/* --- copies --- */

static void must_duplicate(const struct fixture *f, const char *text,
                           struct job_change_body *change)
{
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    struct err e;

    parse(&body, text);
    if (job_duplicate_body_read(change, &body, f->projects, &f->job, &problems, &e) < 0)
        fail_msg("%s: %s", text, e.text);
}

static void a_copy_is_of_the_live_project(void **state)
{
    struct fixture *f = *state;
    auto_job_change_body struct job_change_body copy = {0};

    scratch_put(f->projects, "p/p.json", "{\"name\":\"New\"," STEPS "}");
    must_duplicate(f, "{}", &copy);
    assert_string_equal(copy.name, "Nightly (copy)");
    assert_string_equal(copy.pipeline->name, "New");
    assert_int_equal(parameter_sets_count(copy.sets), 2);
}

static void a_copy_with_a_name(void **state)
{
    struct fixture *f = *state;
    auto_job_change_body struct job_change_body copy = {0};

    must_duplicate(f, "{\"name\":\"Mine\"}", &copy);
    assert_string_equal(copy.name, "Mine");
}

static void a_copy_of_a_definition_without_a_file(void **state)
{
    struct fixture *f = *state;
    auto_job_change_body struct job_change_body copy = {0};

    f->job.held.row.pipeline_path = "";
    scratch_put(f->projects, "p/p.json", "");
    must_duplicate(f, "{}", &copy);
    assert_string_equal(copy.pipeline->uuid, "pipe");
}

static void copies_that_are_refused(void **state)
{
    struct fixture *f = *state;
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    auto_job_change_body struct job_change_body copy = {0};
    struct err e;

    parse(&body, "{\"nam\":1}");
    assert_int_equal(job_duplicate_body_read(&copy, &body, f->projects, &f->job, &problems, &e),
                     -1);
    assert_string_equal(e.text, "line 1, column 2: unknown field \"nam\"; did you mean \"name\"?");
}

/* --- stored jobs --- */

static void deleted_jobs_are_not_there(void **state)
{
    struct fixture *f = *state;
    auto_stored_job struct stored_job job = {0};
    struct job_row row = f->job.held.row;
    struct err e;

    row.is_deleted = true;
    assert_int_equal(job_store_begin(f->store, &e), 0);
    assert_int_equal(job_store_set(f->store, &row, &e), 0);
    assert_int_equal(job_store_commit(f->store, STORE_LAZY, &e), 0);
    assert_int_equal(stored_job_read(f->store, JOB, &job, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest cases[] = {
        CASE(a_path_and_nothing_else),
        CASE(everything),
        CASE(nulls_are_absent),
        CASE(names_by_default),
        CASE(a_name_is_counted_in_characters),
        CASE(what_is_wrong_is_said_with_its_place),
        CASE(what_is_wrong_inside_of_its_parts),
        CASE(a_change_of_nothing),
        CASE(a_change_of_everything),
        CASE(refreshed_from_the_file),
        CASE(changes_that_are_refused),
        CASE(sets_that_fit_no_longer),
        CASE(a_project_that_is_gone),
        CASE(a_project_that_lies_elsewhere_now),
        CASE(a_copy_is_of_the_live_project),
        CASE(a_copy_with_a_name),
        CASE(a_copy_of_a_definition_without_a_file),
        CASE(copies_that_are_refused),
        CASE(deleted_jobs_are_not_there),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
