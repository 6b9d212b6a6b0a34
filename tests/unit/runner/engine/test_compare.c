#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "runner/engine/compare.h"
#include "runner/engine/compare_cells.h"
#include "runner/step/task.h"
#include "tests/unit/base/scratch.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- cells --- */

#define OUTPUTS(source, outputs)                                                                   \
    "{'cell_type':'code','execution_count':1,'metadata':{},'source':'" source                      \
    "','outputs':[" outputs "]}"
#define CELL(source, text)                                                                         \
    OUTPUTS(source, "{'output_type':'stream','name':'stdout','text':'" text "'}")
#define RESULT(data) OUTPUTS("x", "{'output_type':'execute_result','data':{" data "}}")
#define INJECTED(source)                                                                           \
    "{'cell_type':'code','metadata':{'tags':['injected-parameters']},'source':'" source            \
    "','outputs':[]}"
#define MARKDOWN(source) "{'cell_type':'markdown','metadata':{},'source':'" source "'}"

static char *quoted(const char *text)
{
    char *copy = mem_strdup(text);

    for (char *p = copy; *p; p++)
        if (*p == '\'')
            *p = '"';
    return copy;
}

static void parse_cells(const char *cells, struct json *doc)
{
    auto_free char *text = quoted(cells);
    struct err e;
    char *whole = mem_printf("{\"cells\":[%s]}", text);

    if (json_parse_take(doc, whole, strlen(whole), JSON_STRICT, NULL, &e) < 0)
        fail_msg("%s: %s", e.text, cells);
}

static char *compared(const char *cells_a, const char *cells_b)
{
    auto_json struct json a = {0}, b = {0};
    struct buf out = {0};

    parse_cells(cells_a, &a);
    parse_cells(cells_b, &b);
    buf_putc(&out, '{');
    compare_cells_put(&a, &b, true, &out);
    buf_putc(&out, '}');
    return buf_take(&out);
}

static void cells_that_gave_something_else(void **state)
{
    static const struct {
        const char *name, *a, *b, *expected; /* ' for " */
    } rows[] = {
        {"none", "", "", "{'cells_total':0,'cells_changed':0,'cells':[]}"},
        {"the same", CELL("1", "x"), CELL("1", "x"),
         "{'cells_total':1,'cells_changed':0,'cells':[]}"},
        {"another output", CELL("0", "x") "," CELL("1", "x"), CELL("0", "x") "," CELL("1", "y"),
         "{'cells_total':2,'cells_changed':1,'cells':["
         "{'index':1,'source_changed':false,'a':'x','b':'y'}]}"},
        {"another source", CELL("1", "x"), CELL("2", "x"),
         "{'cells_total':1,'cells_changed':1,'cells':[{'index':0,'source_changed':true,'a':'x',"
         "'b':'x','source_a':'1','source_b':'2'}]}"},
        {"markdown", MARKDOWN("old"), MARKDOWN("new"),
         "{'cells_total':1,'cells_changed':1,'cells':[{'index':0,'source_changed':true,'a':'',"
         "'b':'','source_a':'old','source_b':'new'}]}"},
        {"one more", CELL("1", "x"), CELL("1", "x") "," CELL("2", "y"),
         "{'cells_total':2,'cells_changed':1,'cells':[{'index':1,'source_changed':true,'a':null,"
         "'b':'y','source_a':null,'source_b':'2'}]}"},
        {"parameters in both", INJECTED("a = 1") "," CELL("1", "x"),
         INJECTED("a = 2") "," CELL("1", "x"),
         "{'cells_total':2,'cells_changed':1,'cells':[{'index':0,'source_changed':true,'a':'',"
         "'b':'','source_a':'a = 1','source_b':'a = 2'}]}"},
        {"parameters in one move no other", INJECTED("a = 1") "," CELL("1", "x"), CELL("1", "x"),
         "{'cells_total':2,'cells_changed':1,'cells':[{'index':0,'source_changed':true,'a':'',"
         "'b':null,'source_a':'a = 1','source_b':null}]}"},
        {"nor in the other", CELL("1", "x") "," CELL("2", "y"),
         CELL("1", "x") "," INJECTED("a = 1") "," CELL("2", "z"),
         "{'cells_total':3,'cells_changed':2,'cells':[{'index':1,'source_changed':true,'a':null,"
         "'b':'','source_a':null,'source_b':'a = 1'},"
         "{'index':1,'source_changed':false,'a':'y','b':'z'}]}"},
        {"counts and metadata do not count", CELL("1", "x"),
         "{'cell_type':'code','execution_count':9,'metadata':{'x':1},'source':['1'],'outputs':["
         "{'output_type':'stream','name':'stderr','text':['x']}]}",
         "{'cells_total':1,'cells_changed':0,'cells':[]}"},
        {"nor do addresses", RESULT("'text/plain':'<A at 0x7f00aB>, 1'"),
         RESULT("'text/plain':'<A at 0x61>, 1'"), "{'cells_total':1,'cells_changed':0,'cells':[]}"},
        {"of a result the text", RESULT("'text/plain':'1','text/html':'a'"),
         RESULT("'text/plain':['2'],'text/html':'a'"),
         "{'cells_total':1,'cells_changed':1,'cells':["
         "{'index':0,'source_changed':false,'a':'1','b':'2'}]}"},
        {"pictures by their digest", RESULT("'text/plain':'<F>','image/png':'aGk='"),
         RESULT("'text/plain':'<F>','image/png':'aGo='"),
         "{'cells_total':1,'cells_changed':1,'cells':[{'index':0,'source_changed':false,"
         "'a':'<F>\\n[image/png 96e3186a]','b':'<F>\\n[image/png b8106557]'}]}"},
        {"errors by name and value",
         OUTPUTS("1", "{'output_type':'error','ename':'E','evalue':'v','traceback':['a']}"),
         OUTPUTS("1", "{'output_type':'error','ename':'E','evalue':'w','traceback':['b']}"),
         "{'cells_total':1,'cells_changed':1,'cells':["
         "{'index':0,'source_changed':false,'a':'E: v','b':'E: w'}]}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *text = compared(rows[i].a, rows[i].b);
        auto_free char *expected = quoted(rows[i].expected);
        if (strcmp(text, expected) != 0)
            fail_msg("%s: %s", rows[i].name, text);
    }
}

static char *repeated(const char *text, size_t count)
{
    struct buf out = {0};

    for (size_t i = 0; i < count; i++)
        buf_puts(&out, text);
    return buf_take(&out);
}

static void long_texts_are_cut(void **state)
{
    auto_free char *kept = repeated("é", 2000), *longer = repeated("é", 2001);
    auto_free char *a = mem_printf(CELL("1", "%s"), kept), *b = mem_printf(CELL("1", "%s"), longer);
    auto_free char *text = compared(a, b);
    auto_free char *whole = mem_printf("\"a\":\"%s\"", kept),
                   *cut = mem_printf("\"b\":\"%s…\"", kept);

    (void)state;
    assert_non_null(strstr(text, whole));
    assert_non_null(strstr(text, cut));
}

static void many_cells_are_cut(void **state)
{
    auto_free char *a = repeated(CELL("1", "x") ",", 201), *b = repeated(CELL("1", "y") ",", 201);
    auto_json struct json doc = {0};
    struct err e;

    (void)state;
    a[strlen(a) - 1] = b[strlen(b) - 1] = 0;
    auto_free char *text = compared(a, b);
    assert_int_equal(json_parse(&doc, str_of(text), JSON_STRICT, NULL, &e), 0);
    assert_int_equal(json_count(&doc, json_get(&doc, 0, "cells")), 200);
    assert_non_null(strstr(text, "\"cells_changed\":201"));
}

/* --- runs --- */

#define RUN_A  "11111111-0000-4000-8000-000000000000"
#define RUN_B  "22222222-0000-4000-8000-000000000000"
#define TRAIN  "aaaaaaaa-0000-4000-8000-000000000000"
#define REPORT "bbbbbbbb-0000-4000-8000-000000000000"
#define LOAD   "cccccccc-0000-4000-8000-000000000000"

struct world {
    char *dir;
    struct state state;
    struct store *store;
};

static void add_run(struct world *world, const char *uuid, const char *definition,
                    const struct store_step *steps, uint32_t count)
{
    auto_free char *text = quoted(definition);
    struct store_run run = {.uuid = uuid,
                            .project = "/p",
                            .pipeline_path = "",
                            .pipeline_uuid = "p",
                            .pipeline_name = "P",
                            .run_type = "full",
                            .uuids = "[]",
                            .parameters = "{}",
                            .images = "{}",
                            .options = "{}",
                            .job_uuid = "",
                            .rerun_of = "",
                            .created_time = 1767225600000,
                            .step_count = count};
    struct store_frozen frozen = {.definition = str_of(text), .environments = "{}"};
    int64_t id;
    struct err e;

    int result = store_begin(world->store, &e);
    if (result == 0)
        result = store_add_run(world->store, &run, &frozen, &id, &e);
    for (uint32_t i = 0; result == 0 && i < count; i++)
        if ((result = store_add_step(world->store, id, &steps[i], &e)) == 0)
            result = store_set_step(world->store, id, &steps[i], &e);
    if (result == 0)
        result = store_set_run(world->store, id, STATUS_SUCCESS, CAUSE_NONE, 1767225601000,
                               1767225603500, &e);
    if (result < 0 || store_commit(world->store, STORE_LAZY, &e) < 0)
        fail_msg("%s", e.text);
}

static void put_file(const struct world *world, const char *run, const char *name, const char *text)
{
    auto_free char *path = mem_printf("runs/%s/%s", run, name);
    auto_free char *json = quoted(text);

    scratch_put(world->dir, path, json);
}

/* The first attempt of a notebook, with its executed copy. */
static void put_notebook(const struct world *world, const char *run, const char *step,
                         const char *cells)
{
    auto_free char *name = mem_printf("steps/%s/1/" TASK_FILE, step);
    auto_free char *notebook = mem_printf("{'cells':[%s]}", cells);
    auto_free char *copy = mem_printf("%s/runs/%s/executed/%s.ipynb", world->dir, run, step);
    auto_free char *copy_name = mem_printf("executed/%s.ipynb", step);
    auto_buf struct buf text = {0};
    struct task task = {
#define X(name) .name = (char *)"the " #name,
        TASK_NEEDED_TEXTS(X)
#undef X
            .kind = STEP_NOTEBOOK,
        .output = copy,
    };
    struct err e;

    assert_int_equal(json_parse(&task.parameters, STR("{}"), JSON_STRICT, NULL, &e), 0);
    task_encode(&task, &text);
    json_clear(&task.parameters);
    put_file(world, run, name, text.data);
    put_file(world, run, copy_name, notebook);
}

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);
    struct err e;

    world->dir = scratch_new();
    world->state.dir = world->dir;
    auto_free char *path = fs_join(world->dir, "segue.db");
    if (store_open(path, STORE_WRITE, &world->store, &e) < 0)
        fail_msg("%s", e.text);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    store_close(world->store);
    scratch_free(world->dir);
    free(world);
    return 0;
}

#define STEP_ROW(number, id, name, tries, last)                                                    \
    {                                                                                              \
        .step = number, .uuid = id, .title = name, .file_path = "a.ipynb", .attempt = tries,       \
        .status = tries ? STATUS_SUCCESS : STATUS_ABORTED, .started_time = tries ? 1000 : 0,       \
        .finished_time = last, .failure = ""                                                       \
    }

static char *comparison(const struct world *world)
{
    struct buf out = {0};
    struct err e;

    if (compare_put(world->store, &world->state, RUN_A, RUN_B, &out, &e) < 0)
        fail_msg("%s", e.text);
    return buf_take(&out);
}

static void check_member(const char *text, const char *name, const char *expected)
{
    auto_json struct json doc = {0};
    auto_free char *wanted = quoted(expected);
    struct err e;

    if (json_parse(&doc, str_of(text), JSON_STRICT, NULL, &e) < 0)
        fail_msg("%s: %s", e.text, text);
    struct str raw = json_raw(&doc, json_get(&doc, 0, name));
    if (!str_is(raw, wanted))
        fail_msg("%s: " STR_FMT, name, STR_ARG(raw));
}

static void two_runs_side_by_side(void **state)
{
    static const struct store_step steps_a[] = {STEP_ROW(0, TRAIN, "Train", 1, 2500),
                                                STEP_ROW(1, REPORT, "Report", 1, 1000)};
    static const struct store_step steps_b[] = {STEP_ROW(0, LOAD, "Load", 0, 0),
                                                STEP_ROW(1, TRAIN, "Train", 1, 1001)};
    struct world *world = *state;

    add_run(world, RUN_A,
            "{'parameters':{'seed':1,'gone':null,'same':{'a':1,'b':2}},'steps':{'" TRAIN
            "':{'parameters':{'depth':4,'x':1}},'" REPORT "':{'parameters':{'y':1}},"
            "'not run':{'parameters':{'z':1}}}}",
            steps_a, COUNT(steps_a));
    add_run(world, RUN_B,
            "{'parameters':{'seed':2, 'same' : {'b':2, 'a':1}},'steps':{'" TRAIN
            "':{'parameters':{'depth':5,'x':1,'new':[1, 2]}}}}",
            steps_b, COUNT(steps_b));
    put_file(
        world, RUN_A, "io/" TRAIN "/report.jsonl",
        "{'kind':'metric','name':'acc','value':0.5}\n{'kind':'metric','name':'n','value':1}\n"
        "{'kind':'metric','name':'bad','value':'NaN'}\n{'kind':'param','name':'p','value':1}\n");
    put_file(world, RUN_B, "io/" TRAIN "/report.jsonl",
             "{'kind':'metric','name':'late','value':7}\n{'kind':'metric','name':'acc','value':9}\n"
             "{'kind':'metric','name':'acc','value':0.75}\n"
             "{'kind':'metric','name':'bad','value':1}\n");
    put_notebook(world, RUN_A, TRAIN, CELL("1", "one") "," CELL("2", "x"));
    put_notebook(world, RUN_B, TRAIN, CELL("1", "two") "," CELL("2", "x"));
    put_notebook(world, RUN_A, REPORT, CELL("1", "x"));

    auto_free char *text = comparison(world);
    check_member(text, "a",
                 "{'uuid':'" RUN_A "','pipeline_name':'P','job_uuid':null,'status':'SUCCESS',"
                 "'cause':null,'created_time':'2026-01-01T00:00:00.000000Z',"
                 "'started_time':'2026-01-01T00:00:01.000000Z',"
                 "'finished_time':'2026-01-01T00:00:03.500000Z','duration':2.5}");
    check_member(text, "parameters",
                 "[{'step_uuid':null,'name':'seed','a':1,'b':2},"
                 "{'step_uuid':null,'name':'gone','a':null},"
                 "{'step_uuid':'" TRAIN "','name':'depth','a':4,'b':5},"
                 "{'step_uuid':'" TRAIN "','name':'new','b':[1,2]},"
                 "{'step_uuid':'" REPORT "','name':'y','a':1}]");
    check_member(text, "metrics",
                 "[{'step_uuid':'" TRAIN "','title':'Train','name':'acc','a':0.5,'b':0.75,"
                 "'delta':0.25},"
                 "{'step_uuid':'" TRAIN "','title':'Train','name':'n','a':1,'b':null,'delta':null},"
                 "{'step_uuid':'" TRAIN "','title':'Train','name':'bad','a':'NaN','b':1,"
                 "'delta':null},"
                 "{'step_uuid':'" TRAIN "','title':'Train','name':'late','a':null,'b':7,"
                 "'delta':null}]");
    check_member(text, "steps",
                 "[{'step_uuid':'" TRAIN "','title':'Train','a':{'status':'SUCCESS',"
                 "'duration':1.5},'b':{'status':'SUCCESS','duration':0.001},'cells_total':2,"
                 "'cells_changed':1,'cells':[{'index':0,'source_changed':false,'a':'one',"
                 "'b':'two'}]},"
                 "{'step_uuid':'" REPORT "','title':'Report','a':{'status':'SUCCESS',"
                 "'duration':0},'b':null,'cells_total':0,'cells_changed':0,'cells':[]},"
                 "{'step_uuid':'" LOAD "','title':'Load','a':null,'b':{'status':'ABORTED',"
                 "'duration':null},'cells_total':0,'cells_changed':0,'cells':[]}]");
}

static void a_run_compared_with_itself_is_the_same(void **state)
{
    static const struct store_step steps[] = {STEP_ROW(0, TRAIN, "Train", 1, 2500)};
    struct world *world = *state;
    auto_buf struct buf out = {0};
    struct err e;

    add_run(world, RUN_A, "{'parameters':{'seed':1},'steps':{'" TRAIN "':{}}}", steps, 1);
    put_notebook(world, RUN_A, TRAIN, CELL("1", "one"));
    assert_int_equal(compare_put(world->store, &world->state, RUN_A, RUN_A, &out, &e), 0);
    check_member(out.data, "parameters", "[]");
    check_member(out.data, "metrics", "[]");
    assert_non_null(strstr(out.data, "\"cells_total\":1,\"cells_changed\":0"));
}

static void an_unknown_run_is_not_found(void **state)
{
    struct world *world = *state;
    auto_buf struct buf out = {0};
    struct err e;

    add_run(world, RUN_A, "{'steps':{}}", NULL, 0);
    assert_int_equal(compare_put(world->store, &world->state, RUN_A, RUN_B, &out, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_int_equal(compare_put(world->store, &world->state, RUN_B, RUN_A, &out, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_int_equal(out.len, 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_that_gave_something_else),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(many_cells_are_cut),
        TEST(two_runs_side_by_side),
        TEST(a_run_compared_with_itself_is_the_same),
        TEST(an_unknown_run_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
#undef TEST
}
