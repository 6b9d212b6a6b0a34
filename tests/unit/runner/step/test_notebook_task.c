#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "runner/step/notebook_task.h"
#include "tests/unit/base/scratch.c"

#include <sys/stat.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct world {
    char *dir;
    struct task task;
};

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);

    world->dir = scratch_new();
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

    if (notebook_of_task(&world->task, &notebook, &e) < 0 ||
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

/* Whoever completes a notebook after its driver was killed comes to the same cells. */
static void twice_is_the_same_but_for_the_time(void **state)
{
    struct world *world = *state;

    put_notebook(world, "{}");
    set_parameters(&world->task, "{\"p\":1}");
    auto_free char *first = saved(world), *second = saved(world);
    auto_json struct json a = {0}, b = {0};
    struct err e;
    assert_int_equal(json_parse(&a, str_of(first), JSON_STRICT, NULL, &e), 0);
    assert_int_equal(json_parse(&b, str_of(second), JSON_STRICT, NULL, &e), 0);
    json_at cells = json_get(&a, 0, "cells");
    assert_int_equal(json_count(&a, cells), json_count(&b, json_get(&b, 0, "cells")));
    assert_int_equal(json_count(&a, cells), 2);
    for (uint32_t i = 0; i < 2; i++) {
        struct str left = json_raw(&a, json_get(&a, json_item(&a, cells, i), "source"));
        struct str right =
            json_raw(&b, json_get(&b, json_item(&b, json_get(&b, 0, "cells"), i), "source"));
        assert_true(str_eq(left, right));
    }
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
        assert_int_equal(notebook_of_task(&world->task, &notebook, &e), -1);
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
    assert_int_equal(notebook_of_task(&world->task, &notebook, &e), 0);
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
        TEST(twice_is_the_same_but_for_the_time),
        TEST(what_cannot_be_read_is_refused),
        TEST(a_copy_that_cannot_be_written_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
