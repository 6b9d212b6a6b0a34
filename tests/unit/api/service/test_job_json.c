#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/service/job_json.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tests/unit/base/scratch.c"

#define CREATED 1763775600123ll /* 2025-11-22T01:40:00.123Z */
#define NEXT    1764550800000ll /* 2025-12-01T01:00:00Z */
#define JOB     "11111111-0000-4000-8000-000000000000"
#define DEFINITION                                                                                 \
    "{\"uuid\":\"pipe\",\"steps\":{\"a\":{\"title\":\"First\",\"file_path\":\"a.py\"}}}"
#define NOW_SCHEDULE                                                                               \
    "{\"timezone\":\"UTC\",\"catch_up\":\"latest\",\"catch_up_limit\":10,\"overlap\":\"forbid\","  \
    "\"jitter\":0"

struct fixture {
    char *directory;
    struct job_store *store;
    struct buf out;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    struct err e;

    f->directory = scratch_new();
    auto_free char *path = fs_join(f->directory, "jobs.db");
    assert_int_equal(job_store_open(path, STORE_WRITE, &f->store, &e), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    job_store_close(f->store);
    scratch_free(f->directory);
    buf_clear(&f->out);
    free(f);
    return 0;
}

static struct job_row job_named(const char *uuid)
{
    return (struct job_row){
        .uuid = uuid,
        .name = "A \"name\"",
        .state = JOB_DRAFT,
        .project = "/projects/p",
        .pipeline_path = "p.json",
        .pipeline_uuid = "pipe",
        .pipeline_name = "Wine",
        .parameters = "{\"grid\":{\"a\":{\"x\":[1,2]},\"pipeline_parameters\":{\"y\":[0.1]}}}",
        .schedule = "{}",
        .policy = "{\"parallel\":3}",
        .duplicate_of = "",
        .snapshot = "",
        .set_count = 2,
        .snapshot_files = 3,
        .snapshot_bytes = 4000000000,
        .created_time = CREATED,
    };
}

static int64_t add(struct fixture *f, struct job_row row)
{
    int64_t id = 0;
    struct err e;

    if (job_store_begin(f->store, &e) < 0 ||
        job_store_add(f->store, &row, STR(DEFINITION), NULL, NULL, &id, &e) < 0 ||
        job_store_commit(f->store, STORE_LAZY, &e) < 0)
        fail_msg("%s", e.text);
    return id;
}

static void fire(struct fixture *f, int64_t job, enum fire_state state, msec due)
{
    struct fire_row row = {.job = job,
                           .kind = FIRE_SCHEDULE,
                           .state = state,
                           .due_time = due,
                           .created_time = CREATED,
                           .set_count = 2};
    int64_t id;
    struct err e;

    assert_int_equal(job_store_begin(f->store, &e), 0);
    if (job_store_add_fire(f->store, &row, &id, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(job_store_commit(f->store, STORE_LAZY, &e), 0);
}

static void put_job(struct fixture *f, char *const *retained)
{
    auto_stored_job struct stored_job job = {0};
    struct err e;

    buf_reset(&f->out);
    if (stored_job_read(f->store, JOB, &job, &e) < 0 ||
        job_json_put(&f->out, f->store, "/projects", &job, retained, &e) < 0)
        fail_msg("%s", e.text);
}

static void has(const struct fixture *f, const char *text)
{
    if (!strstr(buf_text(&f->out), text))
        fail_msg("no %s in %s", text, buf_text(&f->out));
}

/* --- one job --- */

static void a_draft(void **state)
{
    struct fixture *f = *state;

    add(f, job_named(JOB));
    put_job(f, NULL);
    assert_string_equal(
        buf_text(&f->out),
        "{\"uuid\":\"" JOB "\",\"name\":\"A \\\"name\\\"\",\"status\":\"DRAFT\",\"project\":\"p\","
        "\"pipeline_path\":\"p.json\",\"pipeline_uuid\":\"pipe\",\"pipeline_name\":\"Wine\","
        "\"duplicate_of\":null,\"created_time\":\"2025-11-22T01:40:00.123000Z\","
        "\"confirmed_time\":null,\"finished_time\":null,\"set_count\":2,"
        "\"policy\":{\"parallel\":3},\"snapshot\":{\"files\":3,\"bytes\":4000000000},\"dropped\":0,"
        "\"fires_total\":0,\"latest_fire\":null,\"schedule\":" NOW_SCHEDULE
        ",\"words\":\"now\",\"next\":[]},"
        "\"parameters\":{\"grid\":{\"a\":{\"x\":[1,2]},\"pipeline_parameters\":{\"y\":[0.1]}}},"
        "\"axes\":[{\"step_uuid\":\"a\",\"title\":\"First\",\"name\":\"x\"},"
        "{\"step_uuid\":null,\"title\":null,\"name\":\"y\"}],"
        "\"retention\":{\"runs\":0,\"uuids\":[]}}");
}

static void a_job_without_a_file(void **state)
{
    struct fixture *f = *state;
    struct job_row row = job_named(JOB);

    row.pipeline_path = "";
    row.project = "/elsewhere";
    row.duplicate_of = "22222222-0000-4000-8000-000000000000";
    add(f, row);
    put_job(f, NULL);
    has(f, "\"project\":\"/elsewhere\",\"pipeline_path\":null,");
    has(f, "\"duplicate_of\":\"22222222-0000-4000-8000-000000000000\"");
}

/* Behind the change to winter time, 02:00 is 01:00 UTC. */
static void add_nightly(struct fixture *f, enum job_state state)
{
    struct job_row row = job_named(JOB);

    row.schedule = "{\"cron\":\"0 2 * * *\",\"timezone\":\"Europe/Berlin\"}";
    row.state = state;
    row.next_due = NEXT;
    add(f, row);
    put_job(f, NULL);
}

static void times_to_come(void **state)
{
    struct fixture *f = *state;

    add_nightly(f, JOB_STARTED);
    has(f, "\"words\":\"at 02:00 every day (Europe/Berlin)\",\"next\":["
           "{\"time\":\"2025-12-01T01:00:00.000000Z\",\"local\":\"2025-12-01T02:00:00+01:00\"},"
           "{\"time\":\"2025-12-02T01:00:00.000000Z\",\"local\":\"2025-12-02T02:00:00+01:00\"},");
    has(f, "{\"time\":\"2025-12-05T01:00:00.000000Z\",\"local\":\"2025-12-05T02:00:00+01:00\"}]}");
}

static void a_paused_job_has_no_times_to_come(void **state)
{
    add_nightly(*state, JOB_PAUSED);
    has(*state, "\"next\":[]");
}

static void an_ended_job_has_no_times_to_come(void **state)
{
    add_nightly(*state, JOB_ABORTED);
    has(*state, "\"next\":[]");
}

static void the_latest_fire(void **state)
{
    struct fixture *f = *state;
    int64_t job = add(f, job_named(JOB));

    fire(f, job, FIRE_SUCCESS, CREATED);
    fire(f, job, FIRE_OPEN, CREATED + 1001);
    put_job(f, NULL);
    has(f, "\"fires_total\":2,\"latest_fire\":{\"number\":2,\"kind\":\"schedule\","
           "\"status\":\"STARTED\",\"due_time\":\"2025-11-22T01:40:01.124000Z\","
           "\"created_time\":\"2025-11-22T01:40:00.123000Z\",\"finished_time\":null,"
           "\"set_count\":2,\"counts\":{\"PENDING\":0,\"STARTED\":0,\"SUCCESS\":0,\"FAILURE\":0,"
           "\"ABORTED\":0}}");
}

static void what_retention_takes_next(void **state)
{
    struct fixture *f = *state;
    char *runs[102] = {0};
    unsigned shown = 0;

    add(f, job_named(JOB));
    for (int i = 0; i < 101; i++)
        runs[i] = (char *)"r";
    put_job(f, runs);
    has(f, "\"retention\":{\"runs\":101,\"uuids\":[\"r\",");
    for (const char *at = buf_text(&f->out); (at = strstr(at, "\"r\"")); at++)
        shown++;
    assert_int_equal(shown, 100);
}

/* --- many --- */

/* The names of the jobs of a page. */
static int64_t assert_list(struct fixture *f, const struct job_filter *filter, const char *expected)
{
    auto_json struct json doc = {0};
    auto_buf struct buf names = {0};
    int64_t cursor = -1;
    struct err e;

    buf_reset(&f->out);
    if (job_json_put_list(&f->out, f->store, "/projects", filter, &cursor, &e) < 0 ||
        json_parse(&doc, (struct str){f->out.data, f->out.len}, JSON_STRICT, NULL, &e) < 0)
        fail_msg("%s", e.text);
    json_each (&doc, 0, job)
        json_string(&doc, json_get(&doc, job, "name"), &names);
    assert_string_equal(buf_text(&names), expected);
    return cursor;
}

static void add_three(struct fixture *f)
{
    static const char *const uuids[] = {"11111111-0000-4000-8000-000000000001",
                                        "11111111-0000-4000-8000-000000000002",
                                        "11111111-0000-4000-8000-000000000003"};
    static const char *const names[] = {"a", "b", "c"};

    for (unsigned i = 0; i < 3; i++) {
        struct job_row row = job_named(uuids[i]);
        row.name = names[i];
        row.state = i == 1 ? JOB_STARTED : JOB_DRAFT;
        add(f, row);
    }
}

static void a_list_page_by_page(void **state)
{
    struct fixture *f = *state;

    add_three(f);
    int64_t cursor = assert_list(f, &(struct job_filter){.limit = 2}, "cb");
    assert_true(cursor > 0);
    assert_int_equal(assert_list(f, &(struct job_filter){.limit = 2, .before = cursor}, "a"), 0);
    assert_int_equal(assert_list(f, &(struct job_filter){.limit = 3}, "cba"), 0);
    assert_int_equal(
        assert_list(f, &(struct job_filter){.limit = 3, .states = 1u << JOB_STARTED}, "b"), 0);
    assert_int_equal(assert_list(f, &(struct job_filter){.limit = 3, .project = "/none"}, ""), 0);
}

static void jobs_of_a_list_are_short(void **state)
{
    struct fixture *f = *state;

    add_three(f);
    assert_list(f, &(struct job_filter){.limit = 1}, "c");
    has(f, "\"latest_fire\":null");
    has(f, "\"words\":\"now\"");
    assert_null(strstr(buf_text(&f->out), "\"parameters\""));
    assert_null(strstr(buf_text(&f->out), "\"axes\""));
}

static void fires_page_by_page(void **state)
{
    struct fixture *f = *state;
    int64_t job = add(f, job_named(JOB)), cursor = -1;
    struct fire_filter filter = {.job = job, .limit = 2};
    struct err e;

    for (unsigned i = 0; i < 3; i++)
        fire(f, job, FIRE_SUCCESS, CREATED + i);
    buf_reset(&f->out);
    assert_int_equal(job_json_put_fires(&f->out, f->store, &filter, &cursor, &e), 0);
    has(f, "[{\"number\":3,");
    has(f, "{\"number\":2,");
    assert_null(strstr(buf_text(&f->out), "\"number\":1,"));
    filter.before = cursor;
    buf_reset(&f->out);
    assert_int_equal(job_json_put_fires(&f->out, f->store, &filter, &cursor, &e), 0);
    has(f, "[{\"number\":1,");
    assert_int_equal(cursor, 0);
}

/* --- what is not made --- */

static void preview(struct fixture *f, const char *text)
{
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    auto_job_body struct job_body job = {0};
    struct err e;

    scratch_put(f->directory, "p/p.json", DEFINITION);
    scratch_put(f->directory, "p/a.py", "");
    assert_int_equal(json_parse(&body, str_of(text), JSON_STRICT, NULL, &e), 0);
    if (job_body_read(&job, &body, f->directory, &problems, &e) < 0)
        fail_msg("%s", e.text);
    buf_reset(&f->out);
    job_json_put_preview(&f->out, &job, NEXT);
}

static void a_preview(void **state)
{
    struct fixture *f = *state;

    preview(f, "{\"project\":\"p\",\"pipeline_path\":\"p.json\",\"name\":\"N\",\"schedule\":"
               "{\"at\":\"2025-12-01T01:00:01Z\"},\"parameters\":"
               "{\"grid\":{\"a\":{\"x\":[1,2,3]}},\"exclude\":[1]}}");
    has(f, "{\"name\":\"N\",\"set_count\":2,\"set_total\":3,\"sets\":["
           "{\"number\":0,\"parameters\":{\"a\":{\"x\":1}}},"
           "{\"number\":2,\"parameters\":{\"a\":{\"x\":3}}}],"
           "\"axes\":[{\"step_uuid\":\"a\",\"title\":\"First\",\"name\":\"x\"}],"
           "\"schedule\":{\"at\":\"2025-12-01T01:00:01");
    has(f, "\"next\":[{\"time\":\"2025-12-01T01:00:01.000000Z\","
           "\"local\":\"2025-12-01T01:00:01+00:00\"}]}");
}

static void a_preview_shows_the_first_thousand(void **state)
{
    struct fixture *f = *state;
    auto_json struct json doc = {0};
    struct err e;

    preview(f, "{\"project\":\"p\",\"pipeline_path\":\"p.json\",\"parameters\":"
               "{\"grid\":{\"a\":{\"x\":\"1..20000\"}}}}");
    assert_int_equal(json_parse(&doc, (struct str){f->out.data, f->out.len}, JSON_STRICT, NULL, &e),
                     0);
    assert_int_equal(json_count(&doc, json_get(&doc, 0, "sets")), 1000);
    has(f, "\"set_count\":20000,");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest cases[] = {
        CASE(a_draft),
        CASE(a_job_without_a_file),
        CASE(times_to_come),
        CASE(a_paused_job_has_no_times_to_come),
        CASE(an_ended_job_has_no_times_to_come),
        CASE(the_latest_fire),
        CASE(what_retention_takes_next),
        CASE(a_list_page_by_page),
        CASE(jobs_of_a_list_are_short),
        CASE(fires_page_by_page),
        CASE(a_preview),
        CASE(a_preview_shows_the_first_thousand),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
