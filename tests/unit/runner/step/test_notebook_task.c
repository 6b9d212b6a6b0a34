#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "kernel-gateway/keeper/keeper.h"
#include "runner/step/notebook_task.h"
#include "tests/unit/base/scratch.c"

#include <sys/stat.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct world {
    char *dir;
    char *attempt; /* its directory */
    struct task task;
};

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);

    struct err e;

    world->dir = scratch_new();
    world->attempt = fs_join(world->dir, "attempt");
    assert_int_equal(fs_mkdirs(world->attempt, 0755, &e), 0);
    world->task.source = fs_join(world->dir, "a.ipynb");
    world->task.output = fs_join(world->dir, "executed.ipynb");
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    task_clear(&world->task);
    scratch_free(world->dir);
    free(world->attempt);
    free(world);
    return 0;
}

static void set_parameters(struct task *task, const char *json)
{
    struct err e;

    json_clear(&task->parameters);
    assert_int_equal(
        json_parse_take(&task->parameters, mem_strdup(json), strlen(json), JSON_STRICT, NULL, &e),
        0);
}

static void put_notebook(const struct world *world, const char *metadata)
{
    auto_free char *text =
        mem_printf("{\"cells\":[{\"cell_type\":\"code\",\"id\":\"x\",\"source\":\"print(p)\","
                   "\"metadata\":{},\"outputs\":[],\"execution_count\":null}],"
                   "\"metadata\":%s,\"nbformat\":4,\"nbformat_minor\":5}",
                   metadata);

    scratch_put(world->dir, "a.ipynb", text);
}

/* The executed copy before anything ran; free() it. */
static char *saved(struct world *world)
{
    struct notebook *notebook = NULL;
    struct err e;

    if (notebook_begin(&world->task, world->attempt, &notebook, &e) < 0 ||
        notebook_save(notebook, &world->task, &e) < 0)
        fail_msg("%s", e.text);
    notebook_free(notebook);
    return scratch_read(world->dir, "executed.ipynb");
}

static void parameters_are_injected_in_the_notebooks_language(void **state)
{
    static const struct {
        const char *name, *metadata, *language, *kernelspec;
        const char *expected; /* in the file; NULL: no cell */
    } rows[] = {
        {"Python", "{\"kernelspec\":{\"name\":\"python3\",\"language\":\"python\"}}", NULL, NULL,
         "p = True"},
        {"says nothing", "{}", NULL, NULL, "p = True"},
        {"R", "{\"kernelspec\":{\"name\":\"ir\",\"language\":\"R\"}}", NULL, NULL, "p = TRUE"},
        {"the environment says it", "{}", "r", NULL, "p = TRUE"},
        {"the environment's kernel says it", "{}", NULL, "ir", "p = TRUE"},
        {"the notebook counts first",
         "{\"kernelspec\":{\"name\":\"python3\",\"language\":\"python\"}}", "r", "ir", "p = True"},
        {"unknown", "{\"kernelspec\":{\"name\":\"what\",\"language\":\"what\"}}", NULL, NULL, NULL},
    };
    struct world *world = *state;

    set_parameters(&world->task, "{\"p\":true}");
    for (size_t i = 0; i < COUNT(rows); i++) {
        put_notebook(world, rows[i].metadata);
        free(world->task.language);
        free(world->task.kernelspec);
        world->task.language = mem_strdup(rows[i].language);
        world->task.kernelspec = mem_strdup(rows[i].kernelspec);
        auto_free char *text = saved(world);
        bool has_cell = strstr(text, "injected-parameters") != NULL;
        if (has_cell != (rows[i].expected != NULL) ||
            (rows[i].expected && !strstr(text, rows[i].expected)))
            fail_msg("%s: %s", rows[i].name, text);
    }
}

static void without_parameters_no_cell_is_added(void **state)
{
    struct world *world = *state;

    put_notebook(world, "{}");
    set_parameters(&world->task, "{}");
    auto_free char *text = saved(world);
    assert_null(strstr(text, "injected-parameters"));
}

static void the_source_is_not_touched(void **state)
{
    struct world *world = *state;

    put_notebook(world, "{}");
    set_parameters(&world->task, "{\"p\":1}");
    auto_free char *before = scratch_read(world->dir, "a.ipynb");
    auto_free char *copy = saved(world);
    auto_free char *after = scratch_read(world->dir, "a.ipynb");
    assert_string_equal(before, after);
    assert_string_not_equal(copy, before);
}

#define LINE(time, rest) "{\"time\":\"2026-01-01T00:00:0" time ".000000Z\",\"event\":" rest "}\n"

static const char JOURNAL[] = LINE("1", "\"cell_started\",\"cell_index\":1,\"cells_total\":2")
    LINE("2", "\"output\",\"cell_index\":1,\"output\":{\"output_type\":\"stream\","
              "\"name\":\"stdout\",\"text\":\"printed\"}") "{\"time\":\"torn";

/* What the driver's notebook would be after these lines; free() it. */
static char *driven(struct world *world)
{
    auto_notebook struct notebook *notebook = NULL;
    struct buf text = {0};
    struct err e;

    scratch_put(world->attempt, KEEPER_JOURNAL, JOURNAL);
    if (notebook_begin(&world->task, world->attempt, &notebook, &e) < 0)
        fail_msg("%s", e.text);
    for (const char *at = JOURNAL, *end; (end = strchr(at, '\n')); at = end + 1)
        assert_int_equal(notebook_apply(notebook, (struct str){at, (size_t)(end - at)}, &e), 0);
    notebook_write(notebook, &text);
    return buf_take(&text);
}

static char *so_far(struct world *world)
{
    auto_notebook struct notebook *notebook = NULL;
    struct buf text = {0};
    struct err e;

    if (notebook_so_far(&world->task, world->attempt, &notebook, &e) < 0)
        fail_msg("%s", e.text);
    notebook_write(notebook, &text);
    return buf_take(&text);
}

/* Whoever makes a notebook from the journal comes to the driver's very bytes, whatever has become
 * of the source meanwhile. */
static void the_journal_goes_with_what_the_driver_read(void **state)
{
    static const char *const sources[] = {
        NULL, "", "no notebook",
        "{\"cells\":[{\"cell_type\":\"code\",\"id\":\"new\",\"source\":\"edited()\",\"metadata\":{}"
        ","
        "\"outputs\":[],\"execution_count\":null}],\"metadata\":{},\"nbformat\":4,"
        "\"nbformat_minor\":5}"};
    struct world *world = *state;

    put_notebook(world, "{}");
    set_parameters(&world->task, "{\"p\":1}");
    auto_free char *expected = driven(world);
    assert_non_null(strstr(expected, "print(p)"));
    assert_non_null(strstr(expected, "printed"));
    for (size_t i = 0; i < COUNT(sources); i++) {
        if (sources[i])
            scratch_put(world->dir, "a.ipynb", sources[i]);
        else
            assert_int_equal(unlink(world->task.source), 0);
        auto_free char *made = so_far(world);
        assert_string_equal(made, expected);
    }
}

static void before_the_driver_began_there_is_nothing(void **state)
{
    struct world *world = *state;
    struct notebook *notebook = NULL;
    struct err e;

    put_notebook(world, "{}");
    set_parameters(&world->task, "{}");
    scratch_put(world->attempt, KEEPER_JOURNAL, "");
    assert_int_equal(notebook_so_far(&world->task, world->attempt, &notebook, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_null(notebook);
}

static void a_source_that_cannot_be_kept_is_told(void **state)
{
    struct world *world = *state;
    struct notebook *notebook = NULL;
    struct err e;

    put_notebook(world, "{}");
    set_parameters(&world->task, "{}");
    if (!scratch_small_disk(world->attempt, 1 << 16))
        skip();
    scratch_fill_disk(world->attempt);
    assert_int_equal(notebook_begin(&world->task, world->attempt, &notebook, &e), -1);
    umount2(world->attempt, MNT_DETACH);
    assert_int_equal(e.code, ERR_NO_SPACE);
    assert_null(notebook);
}

static void what_cannot_be_read_is_refused(void **state)
{
    static const struct {
        const char *text; /* NULL: no file */
        enum err_code code;
    } rows[] = {
        {NULL, ERR_NOT_FOUND}, {"", ERR_INVALID}, {"no json", ERR_INVALID}, {"[]", ERR_INVALID}};
    struct world *world = *state;

    set_parameters(&world->task, "{}");
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct notebook *notebook = NULL;
        struct err e;
        if (rows[i].text)
            scratch_put(world->dir, "a.ipynb", rows[i].text);
        assert_int_equal(notebook_begin(&world->task, world->attempt, &notebook, &e), -1);
        assert_int_equal(e.code, rows[i].code);
        assert_non_null(strstr(e.text, "a.ipynb"));
        assert_null(notebook);
    }
}

static void a_copy_that_cannot_be_written_is_told(void **state)
{
    struct world *world = *state;
    struct notebook *notebook = NULL;
    struct err e;

    put_notebook(world, "{}");
    set_parameters(&world->task, "{}");
    free(world->task.output);
    world->task.output = fs_join(world->dir, "nowhere/executed.ipynb");
    assert_int_equal(notebook_begin(&world->task, world->attempt, &notebook, &e), 0);
    assert_int_equal(notebook_save(notebook, &world->task, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    notebook_free(notebook);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(parameters_are_injected_in_the_notebooks_language),
        TEST(without_parameters_no_cell_is_added),
        TEST(the_source_is_not_touched),
        TEST(the_journal_goes_with_what_the_driver_read),
        TEST(before_the_driver_began_there_is_nothing),
        TEST(a_source_that_cannot_be_kept_is_told),
        TEST(what_cannot_be_read_is_refused),
        TEST(a_copy_that_cannot_be_written_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
