#include "api/service/run_json.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define CREATED 1763775600123ll /* 2025-11-22T01:40:00.123Z */

struct fixture {
    char dir[32];
    struct store *store;
    struct buf out;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    struct err e;
    strcpy(f->dir, "/tmp/segue-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    auto_free char *path = fs_join(f->dir, "segue.db");
    assert_int_equal(store_open(path, STORE_WRITE, &f->store, &e), 0);
    buf_putc(&f->out, '>'); /* what was there before must stay */
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct err e;
    store_close(f->store);
    assert_int_equal(fs_remove_tree(f->dir, &e), 0);
    buf_clear(&f->out);
    free(f);
    return 0;
}

static struct store_run run_named(const char *uuid)
{
    return (struct store_run){
        .uuid = uuid,
        .project = "/projects/p",
        .pipeline_path = "p.json",
        .pipeline_uuid = "pipe",
        .pipeline_name = "A \"name\"",
        .run_type = "upto",
        .uuids = "[\"b\"]",
        .parameters = "{\"b\":{\"x\":0.10}}",
        .images = "{}",
        .options = "{}",
        .job_uuid = "",
        .rerun_of = "",
        .created_time = CREATED,
    };
}

static int64_t add(struct fixture *f, struct store_run run, uint32_t steps)
{
    static const char *const uuids[] = {"a", "b"};
    struct store_frozen frozen = {STR("{}"), "[]"};
    int64_t id;
    struct err e;
    run.step_count = steps;
    assert_int_equal(store_begin(f->store, &e), 0);
    assert_int_equal(store_add_run(f->store, &run, &frozen, &id, &e), 0);
    for (uint32_t i = 0; i < steps && i < 2; i++) {
        struct store_step step = {
            .step = i, .uuid = uuids[i], .title = "T", .file_path = "t.ipynb", .failure = ""};
        assert_int_equal(store_add_step(f->store, id, &step, &e), 0);
    }
    assert_int_equal(store_commit(f->store, STORE_LAZY, &e), 0);
    return id;
}

static void assert_run(struct fixture *f, const char *uuid, const char *expected)
{
    struct err e;
    f->out.len = 1;
    if (run_json_put(&f->out, f->store, "/projects", uuid, &e) < 0)
        fail_msg("%s", e.text);
    assert_string_equal(f->out.data + 1, expected);
}

#define HEAD(uuid)                                                                                 \
    "{\"uuid\":\"" uuid "\",\"project\":\"p\",\"pipeline_path\":\"p.json\","                       \
    "\"pipeline_uuid\":\"pipe\",\"pipeline_name\":\"A \\\"name\\\"\",\"run_type\":\"upto\","       \
    "\"uuids\":[\"b\"],"
#define WAITS                                                                                      \
    "\"status\":\"PENDING\",\"class\":\"interactive\","                                            \
    "\"created_time\":\"2025-11-22T01:40:00.123000Z\",\"started_time\":null,"                      \
    "\"finished_time\":null,\"job_uuid\":null,\"rerun_of\":null,\"in_place\":false,"               \
    "\"keep_kernels\":0,\"timeout\":0,\"parameters\":{\"b\":{\"x\":0.10}},"
#define STEP(uuid)                                                                                 \
    "{\"step_uuid\":\"" uuid "\",\"title\":\"T\",\"file_path\":\"t.ipynb\","                       \
    "\"status\":\"PENDING\",\"attempt\":0,\"started_time\":null,\"finished_time\":null,"           \
    "\"cells_total\":0,\"cells_done\":0,\"failure\":null}"

static void a_run_that_waits(void **state)
{
    struct fixture *f = *state;
    add(f, run_named("r1"), 2);
    assert_run(f, "r1",
               HEAD("r1") WAITS "\"queue_position\":1,\"waiting_for\":null,\"steps\":[" STEP(
                   "a") "," STEP("b") "]}");
}

static void a_run_that_waits_for_another(void **state)
{
    struct fixture *f = *state;
    add(f, run_named("r1"), 1);
    add(f, run_named("r2"), 1);
    assert_run(f, "r2",
               HEAD("r2") WAITS
               "\"queue_position\":2,\"waiting_for\":\"r1\",\"steps\":[" STEP("a") "]}");
}

static void a_run_that_failed(void **state)
{
    struct fixture *f = *state;
    struct store_run run = run_named("r1");
    struct err e;
    run.project = "/projects-of-others";
    run.pipeline_path = "";
    run.job_uuid = "j";
    run.rerun_of = "r0";
    run.options = "{\"output_dir\":\"x\",\"in_place\":true,\"keep_kernels\":600,\"timeout\":90}";
    int64_t id = add(f, run, 1);
    struct store_step step = {
        .step = 0,
        .status = STATUS_FAILURE,
        .cause = CAUSE_CELL_ERROR,
        .attempt = 2,
        .cells_total = 5,
        .cells_done = 3,
        .started_time = CREATED + 1000,
        .finished_time = CREATED + 2000,
        .failure = "{\"cause\":\"cell_error\",\"message\":\"m\"}",
    };
    assert_int_equal(store_begin(f->store, &e), 0);
    assert_int_equal(store_set_step(f->store, id, &step, &e), 0);
    assert_int_equal(store_set_run(f->store, id, STATUS_FAILURE, CAUSE_CELL_ERROR, CREATED + 900,
                                   CREATED + 2100, &e),
                     0);
    assert_int_equal(store_commit(f->store, STORE_LAZY, &e), 0);
    assert_run(f, "r1",
               "{\"uuid\":\"r1\",\"project\":\"/projects-of-others\",\"pipeline_path\":null,"
               "\"pipeline_uuid\":\"pipe\",\"pipeline_name\":\"A \\\"name\\\"\","
               "\"run_type\":\"upto\",\"uuids\":[\"b\"],\"status\":\"FAILURE\","
               "\"class\":\"background\",\"created_time\":\"2025-11-22T01:40:00.123000Z\","
               "\"started_time\":\"2025-11-22T01:40:01.023000Z\","
               "\"finished_time\":\"2025-11-22T01:40:02.223000Z\",\"job_uuid\":\"j\","
               "\"rerun_of\":\"r0\",\"in_place\":true,\"keep_kernels\":600,\"timeout\":90,"
               "\"parameters\":{\"b\":{\"x\":0.10}},"
               "\"queue_position\":null,\"waiting_for\":null,\"steps\":[{\"step_uuid\":\"a\","
               "\"title\":\"T\",\"file_path\":\"t.ipynb\",\"status\":\"FAILURE\",\"attempt\":2,"
               "\"started_time\":\"2025-11-22T01:40:01.123000Z\","
               "\"finished_time\":\"2025-11-22T01:40:02.123000Z\",\"cells_total\":5,"
               "\"cells_done\":3,\"failure\":{\"cause\":\"cell_error\",\"message\":\"m\"}}]}");
}

static void an_accepted_run_has_the_steps_it_is_given(void **state)
{
    struct fixture *f = *state;
    struct err e;
    add(f, run_named("r1"), 2);
    assert_int_equal(run_json_put_accepted(&f->out, f->store, "/projects", "r1", STR("[1]"), &e),
                     0);
    assert_string_equal(f->out.data, ">" HEAD("r1") WAITS
                        "\"queue_position\":1,\"waiting_for\":null,\"steps\":[1]}");
}

/* The second has lost a step already. */
static void what_is_not_there_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct err e;
    add(f, run_named("r1"), 3);
    const char *const missing[] = {"r0", "r1"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(run_json_put(&f->out, f->store, "/projects", missing[i], &e), -1);
        assert_int_equal(e.code, ERR_NOT_FOUND);
        assert_string_equal(f->out.data, ">");
    }
}

static void add_five(struct fixture *f)
{
    static const char *const uuids[] = {"r1", "r2", "r3", "r4", "r5"};
    for (size_t i = 0; i < 5; i++) {
        struct store_run run = run_named(uuids[i]);
        run.job_uuid = "j"; /* they wait for nobody */
        add(f, run, i == 2 ? 3 : 1);
    }
}

/* The uuids of a list, one behind the other. */
static char *uuids_in(const char *text)
{
    auto_json struct json doc = {0};
    struct buf out = {0};
    struct err e;
    if (json_parse(&doc, str_of(text), JSON_STRICT, NULL, &e) < 0)
        fail_msg("%s: %s", text, e.text);
    json_each (&doc, 0, run)
        json_string(&doc, json_get(&doc, run, "uuid"), &out);
    return buf_take(&out);
}

static int64_t assert_list(struct fixture *f, int64_t before, uint32_t limit,
                           enum run_json_steps steps, const char *expected)
{
    const struct store_filter filter = {.before = before, .limit = limit};
    int64_t cursor = -1;
    struct err e;
    f->out.len = 1;
    if (run_json_put_list(&f->out, f->store, "/projects", &filter, steps, &cursor, &e) < 0)
        fail_msg("%s", e.text);
    auto_free char *uuids = uuids_in(f->out.data + 1);
    assert_string_equal(uuids, expected);
    return cursor;
}

static void a_list_page_by_page(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(assert_list(f, 0, 2, RUN_JSON_WITHOUT_STEPS, ""), 0);
    add_five(f);
    int64_t cursor = assert_list(f, 0, 2, RUN_JSON_WITHOUT_STEPS, "r5r4");
    assert_null(strstr(f->out.data, "\"steps\""));
    cursor = assert_list(f, cursor, 2, RUN_JSON_WITHOUT_STEPS, "r3r2");
    assert_true(cursor > 0);
    assert_int_equal(assert_list(f, cursor, 2, RUN_JSON_WITHOUT_STEPS, "r1"), 0);
    assert_int_equal(assert_list(f, 0, 5, RUN_JSON_WITHOUT_STEPS, "r5r4r3r2r1"), 0);
}

static void a_list_with_steps_leaves_out_what_is_being_deleted(void **state)
{
    struct fixture *f = *state;
    add_five(f);
    assert_list(f, 0, 4, RUN_JSON_WITH_STEPS, "r5r4r2");
    assert_non_null(strstr(f->out.data, "\"steps\":[" STEP("a") "]}"));
}

/* 9 MiB of parameters each. */
static void a_page_ends_when_it_is_long_enough(void **state)
{
    struct fixture *f = *state;
    static const char *const uuids[] = {"r1", "r2", "r3", "r4", "r5"};
    auto_buf struct buf parameters = {0};
    buf_puts(&parameters, "{\"a\":\"");
    buf_reserve(&parameters, 9 * MiB);
    memset(parameters.data + parameters.len, 'x', 9 * MiB);
    parameters.len += 9 * MiB;
    buf_puts(&parameters, "\"}");
    for (size_t i = 0; i < 5; i++) {
        struct store_run run = run_named(uuids[i]);
        run.parameters = parameters.data;
        add(f, run, 1);
    }
    int64_t cursor = assert_list(f, 0, 5, RUN_JSON_WITHOUT_STEPS, "r5r4");
    cursor = assert_list(f, cursor, 5, RUN_JSON_WITHOUT_STEPS, "r3r2");
    assert_int_equal(assert_list(f, cursor, 5, RUN_JSON_WITHOUT_STEPS, "r1"), 0);
    assert_int_equal(assert_list(f, 0, 1, RUN_JSON_WITHOUT_STEPS, "r5"), 5);
}

/* The rows are short, the steps are long. */
static void a_page_with_steps_ends_too(void **state)
{
    struct fixture *f = *state;
    auto_free char *title = mem_alloc(17 * MiB + 1);
    struct err e;
    memset(title, 'x', 17 * MiB);
    title[17 * MiB] = 0;
    struct store_step step = {
        .step = 2, .uuid = "c", .title = title, .file_path = "", .failure = ""};
    add_five(f);
    assert_int_equal(store_begin(f->store, &e), 0);
    assert_int_equal(store_add_step(f->store, 3, &step, &e), 0); /* r3 has three steps */
    assert_int_equal(store_commit(f->store, STORE_LAZY, &e), 0);
    int64_t cursor = assert_list(f, 0, 5, RUN_JSON_WITH_STEPS, "r5r4r3");
    assert_int_equal(assert_list(f, cursor, 5, RUN_JSON_WITH_STEPS, "r2r1"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_that_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_run_that_waits_for_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_run_that_failed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_accepted_run_has_the_steps_it_is_given, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_there_leaves_nothing_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_list_page_by_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_list_with_steps_leaves_out_what_is_being_deleted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_page_ends_when_it_is_long_enough, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_page_with_steps_ends_too, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
