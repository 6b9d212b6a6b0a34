/* Any bytes as the `parameters` of a job: what is refused has problems with places in it; what is
 * accepted can be given out, applied to its pipeline, written down and read again as the same.
 */
#include "runner/sets/parameter_sets.h"

#include "base/limits.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PIPELINE                                                                                   \
    "{\"parameters\":{\"x\":1},\"steps\":{\"a\":{\"title\":\"A\",\"file_path\":\"a.py\"},"         \
    "\"b\":{\"file_path\":\"b.py\",\"incoming_connections\":[\"a\"]}}}"

/* Applying every one of thousands would leave no time for other inputs. */
#define SETS_LOOKED_AT 20u

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s\n", what);
    abort();
}

static struct pipeline *pipeline;

static void free_pipeline(void)
{
    pipeline_free(pipeline);
}

/* Made at the first input. */
static void make_pipeline(void)
{
    auto_problems struct problems problems = {0};
    struct err e;

    if (pipeline)
        return;
    require(pipeline_parse(STR(PIPELINE), "fuzz", &pipeline, &problems, &e) == 0,
            "the pipeline is one");
    atexit(free_pipeline);
}

static void check_problems(const struct problems *problems)
{
    require(problems->count > 0 && problems->count <= LIMIT_PROBLEMS, "a refusal has problems");
    for (uint32_t i = 0; i < problems->count; i++) {
        const struct problem *problem = &problems->items[i];
        require(problem->line > 0 && problem->column > 0, "a problem has a place");
        require(problem->detail[0] != 0, "a problem says what is wrong");
        require(problem->pointer[0] == 0 || problem->pointer[0] == '/', "a pointer is one");
    }
}

/* Applied, the definition has every parameter of the set. */
static void check_applied(struct str set)
{
    auto_pipeline struct pipeline *changed = NULL;
    auto_problems struct problems problems = {0};
    auto_buf struct buf definition = {0};
    struct err e;

    require(parameter_sets_apply(pipeline, set, &definition, &e) == 0, "a set can be applied");
    require(pipeline_parse((struct str){definition.data, definition.len}, "fuzz", &changed,
                           &problems, &e) == 0,
            "a definition stays one");
}

static void check_set(const struct parameter_sets *sets, const struct parameter_sets *again,
                      uint32_t number)
{
    auto_buf struct buf set = {0}, other = {0};
    auto_json struct json doc = {0};
    struct err e;

    parameter_sets_put_set(sets, number, &set);
    parameter_sets_put_set(again, number, &other);
    struct str text = {set.data, set.len};
    require(str_eq(text, (struct str){other.data, other.len}), "sets are the same again");
    require(json_parse(&doc, text, JSON_STRICT, NULL, &e) == 0, "a set is JSON");
    require(json_kind(&doc, 0) == JSON_OBJECT, "a set is an object");
    check_applied(text);
}

static void check_accepted(const struct parameter_sets *sets)
{
    auto_parameter_sets struct parameter_sets *again = NULL;
    auto_buf struct buf put = {0}, twice = {0};
    const struct parameter_axis *axes;
    struct err e;
    uint32_t count = parameter_sets_count(sets), total = parameter_sets_total(sets);

    require(count > 0 && count <= total && total <= LIMIT_JOB_SETS, "there are as many as may be");
    require(parameter_sets_axes(sets, &axes) <= LIMIT_JOB_PARAMETERS, "columns are bounded");
    parameter_sets_put(sets, &put);
    require(parameter_sets_parse((struct str){put.data, put.len}, pipeline, &again, &e) == 0,
            "what was written is read");
    parameter_sets_put(again, &twice);
    require(put.len == twice.len && memcmp(put.data, twice.data, put.len) == 0,
            "what was read is written the same");
    require(parameter_sets_count(again) == count, "there are as many again");
    for (uint32_t k = 0; k < count && k < SETS_LOOKED_AT; k++) {
        uint32_t number = parameter_sets_number(sets, count - 1 - k);
        require(number < total, "numbers are below the total");
        check_set(sets, again, number);
    }
}

/* As a file of lists too. */
static void check_file(struct str text)
{
    auto_problems struct problems problems = {0};
    auto_json struct json doc = {0};
    auto_buf struct buf grid = {0};
    struct err e;

    if (parameter_sets_of_file(text, &grid, &problems, &e) < 0) {
        check_problems(&problems);
        return;
    }
    require(json_parse(&doc, (struct str){grid.data, grid.len}, JSON_STRICT, NULL, &e) == 0,
            "a grid is JSON");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_problems struct problems problems = {0};
    auto_json struct json doc = {0};
    struct str text = {(const char *)data, size};
    struct err e;

    make_pipeline();
    check_file(text);
    if (json_parse(&doc, text, JSON_STRICT, NULL, &e) < 0)
        return 0;
    auto_parameter_sets struct parameter_sets *sets =
        parameter_sets_read(&doc, 0, pipeline, &problems);
    if (sets)
        check_accepted(sets);
    else
        check_problems(&problems);
    return 0;
}
