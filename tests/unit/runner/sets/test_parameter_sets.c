#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/map.h"
#include "runner/sets/parameter_sets.h"
#include "tests/unit/runner/notebook/quoted.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define PP           "'pipeline_parameters'"

/* Of {'parameters': {'seed': 1}} and the steps "load" ("Load data") and "train"; free it. */
static struct pipeline *small_pipeline(void)
{
    auto_free char *text =
        quoted("{'parameters': {'seed': 1}, 'steps': {'load': {'title': 'Load data', 'file_path': "
               "'load.py'}, 'train': {'file_path': 'train.ipynb', 'parameters': {'depth': 2}, "
               "'incoming_connections': ['load']}}}");
    auto_problems struct problems problems = {0};
    struct pipeline *pipeline = NULL;
    struct err e;

    assert_int_equal(pipeline_parse(str_of(text), "test", &pipeline, &problems, &e), 0);
    return pipeline;
}

static struct parameter_sets *sets_of(const char *text)
{
    auto_pipeline struct pipeline *pipeline = small_pipeline();
    auto_problems struct problems problems = {0};
    struct parameter_sets *sets = parameter_sets_read(quoted_json(text), 0, pipeline, &problems);

    if (!sets)
        fail_msg("%s: %s: %s", text, problems.items[0].pointer, problems.items[0].detail);
    assert_int_equal(problems.total, 0);
    return sets;
}

static char *set_text(const struct parameter_sets *sets, uint32_t number)
{
    struct buf out = {0};

    parameter_sets_put_set(sets, number, &out);
    return buf_take(&out);
}

/* All that are not left out: "NUMBER: SET" each on a line, with ' for ". free() it. */
static char *all_of(const struct parameter_sets *sets)
{
    struct buf out = {0};

    for (uint32_t k = 0; k < parameter_sets_count(sets); k++) {
        uint32_t number = parameter_sets_number(sets, k);
        buf_printf(&out, "%u: ", number);
        parameter_sets_put_set(sets, number, &out);
        buf_putc(&out, '\n');
    }
    for (size_t i = 0; i < out.len; i++)
        out.data[i] = out.data[i] == '"' ? '\'' : out.data[i];
    return buf_take(&out);
}

static void each_strategy_gives_its_sets(void **state)
{
    static const struct {
        const char *name, *parameters, *sets;
    } rows[] = {
        {"nothing", "{}", "0: {}\n"},
        {"null", "null", "0: {}\n"},
        {"base alone", "{'base': {" PP ": {'a': 0.10}}}", "0: {" PP ":{'a':0.10}}\n"},
        {"an empty grid", "{'grid': {}}", "0: {}\n"},
        {"a product without a strategy", "{'grid': {" PP ": {'a': [1, 2], 'b': ['x', 'y']}}}",
         "0: {" PP ":{'a':1,'b':'x'}}\n"
         "1: {" PP ":{'a':1,'b':'y'}}\n"
         "2: {" PP ":{'a':2,'b':'x'}}\n"
         "3: {" PP ":{'a':2,'b':'y'}}\n"},
        {"steps and the pipeline",
         "{'strategy': 'product', 'grid': {'train': {'a': '1..2'}, " PP
         ": {'a': [null]}, 'load': {'a': '0:0.5:0.5'}}}",
         "0: {'train':{'a':1}," PP ":{'a':null},'load':{'a':0.0}}\n"
         "1: {'train':{'a':1}," PP ":{'a':null},'load':{'a':0.5}}\n"
         "2: {'train':{'a':2}," PP ":{'a':null},'load':{'a':0.0}}\n"
         "3: {'train':{'a':2}," PP ":{'a':null},'load':{'a':0.5}}\n"},
        {"the grid goes over the base, whose others stay",
         "{'base': {'train': {'x': 9, 'y': 8}, " PP ": {'z': {'k': [1]}}}, "
         "'grid': {'train': {'x': [1, 2], 'w': [3]}}}",
         "0: {'train':{'x':1,'y':8,'w':3}," PP ":{'z':{'k':[1]}}}\n"
         "1: {'train':{'x':2,'y':8,'w':3}," PP ":{'z':{'k':[1]}}}\n"},
        {"zip", "{'strategy': 'zip', 'grid': {" PP ": {'a': '3..1', 'b': ['x', 'y', 'z']}}}",
         "0: {" PP ":{'a':3,'b':'x'}}\n"
         "1: {" PP ":{'a':2,'b':'y'}}\n"
         "2: {" PP ":{'a':1,'b':'z'}}\n"},
        {"a list",
         "{'base': {" PP ": {'a': 1}}, 'sets': [{}, {'load': {'b': 2}}, "
         "{" PP ": {'a': 3}, 'train': {}}]}",
         "0: {" PP ":{'a':1}}\n"
         "1: {" PP ":{'a':1},'load':{'b':2}}\n"
         "2: {" PP ":{'a':3}}\n"},
        {"a list that changes nothing", "{'base': {" PP ": {'a': 1}}, 'sets': [{}]}",
         "0: {" PP ":{'a':1}}\n"},
        {"some left out", "{'grid': {" PP ": {'a': '1..5'}}, 'exclude': [3, 0, 3]}",
         "1: {" PP ":{'a':2}}\n"
         "2: {" PP ":{'a':3}}\n"
         "4: {" PP ":{'a':5}}\n"},
        {"nothing left out", "{'grid': {" PP ": {'a': '1..2'}}, 'exclude': []}",
         "0: {" PP ":{'a':1}}\n1: {" PP ":{'a':2}}\n"},
        {"names that need escapes", "{'grid': {" PP ": {'a\\n': ['\\u00e9\\n']}}}",
         "0: {" PP ":{'a\\n':'\xc3\xa9\\n'}}\n"},
        {"all of a small product, by chance",
         "{'strategy': 'random', 'count': 100, 'seed': 1, 'grid': {" PP ": {'a': [5]}}}",
         "0: {" PP ":{'a':5}}\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_parameter_sets struct parameter_sets *sets = sets_of(rows[i].parameters);
        auto_free char *all = all_of(sets);
        if (strcmp(all, rows[i].sets) != 0)
            fail_msg("%s:\n%s", rows[i].name, all);
    }
}

static void without_parameters_there_is_one_set(void **state)
{
    auto_pipeline struct pipeline *pipeline = small_pipeline();
    auto_problems struct problems problems = {0};
    auto_parameter_sets struct parameter_sets *sets =
        parameter_sets_read(quoted_json("[]"), JSON_NONE, pipeline, &problems);
    const struct parameter_axis *axes;
    auto_buf struct buf put = {0};
    auto_free char *set = set_text(sets, 0);

    (void)state;
    assert_int_equal(parameter_sets_total(sets), 1);
    assert_int_equal(parameter_sets_count(sets), 1);
    assert_int_equal(parameter_sets_axes(sets, &axes), 0);
    assert_string_equal(set, "{}");
    parameter_sets_put(sets, &put);
    assert_string_equal(buf_text(&put), "{}");
}

/* These stand for every machine: who changes them changes everybody's experiments. */
static void chance_is_the_same_for_ever(void **state)
{
    auto_parameter_sets struct parameter_sets *picked =
        sets_of("{'strategy': 'random', 'count': 6, 'seed': 7, 'grid': {" PP ": {'a': '0..23'}}}");
    auto_parameter_sets struct parameter_sets *drawn =
        sets_of("{'strategy': 'random', 'count': 3, 'grid': {" PP
                ": {'a': {'uniform': [0, 1]}, 'b': ['x', 'y']}, 'train': {'n': {'int_uniform': "
                "[1, 100]}, 'rate': {'log_uniform': [1e-4, 1]}}}}");
    auto_free char *picks = all_of(picked), *draws = all_of(drawn);

    (void)state;
    assert_string_equal(picks, "0: {" PP ":{'a':14}}\n"
                               "1: {" PP ":{'a':9}}\n"
                               "2: {" PP ":{'a':5}}\n"
                               "3: {" PP ":{'a':21}}\n"
                               "4: {" PP ":{'a':4}}\n"
                               "5: {" PP ":{'a':3}}\n");
    assert_string_equal(
        draws,
        "0: {" PP ":{'a':0.8164140271575341,'b':'y'},'train':{'n':7,'rate':0.17083698868523187}}\n"
        "1: {" PP
        ":{'a':0.21962388528642252,'b':'x'},'train':{'n':12,'rate':0.00702435776612764}}\n"
        "2: {" PP
        ":{'a':0.548387222030241,'b':'x'},'train':{'n':39,'rate':0.0005740705557061553}}\n");
}

static void a_seed_decides(void **state)
{
    static const char *const texts[] = {
        "{'strategy': 'random', 'count': 20, 'seed': %d, 'grid': {" PP ": {'a': '0..999'}}}",
        "{'strategy': 'random', 'count': 20, 'seed': %d, 'grid': {" PP
        ": {'a': {'uniform': [0, 9]}}}}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        auto_free char *one = mem_printf(texts[i], 1), *two = mem_printf(texts[i], 2);
        auto_parameter_sets struct parameter_sets *first = sets_of(one), *same = sets_of(one);
        auto_parameter_sets struct parameter_sets *other = sets_of(two);
        auto_free char *a = all_of(first), *b = all_of(same), *c = all_of(other);
        assert_string_equal(a, b);
        assert_string_not_equal(a, c);
    }
}

/* So that an experiment can be gone on with. */
static void a_larger_count_begins_with_the_same_sets(void **state)
{
    static const char *const texts[] = {
        "{'strategy': 'random', 'count': %d, 'grid': {" PP ": {'a': '0..999'}}}",
        "{'strategy': 'random', 'count': %d, 'grid': {" PP ": {'a': {'uniform': [0, 9]}}}}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        auto_free char *few_text = mem_printf(texts[i], 10), *many_text = mem_printf(texts[i], 50);
        auto_parameter_sets struct parameter_sets *few = sets_of(few_text);
        auto_parameter_sets struct parameter_sets *many = sets_of(many_text);
        auto_free char *a = all_of(few), *b = all_of(many);
        assert_memory_equal(a, b, strlen(a));
    }
}

/* Of more combinations than 64 bits can number: 10^24. */
static void chance_works_on_a_product_of_any_size(void **state)
{
    auto_buf struct buf text = {0};

    (void)state;
    buf_puts(&text, "{'strategy': 'random', 'count': 50, 'grid': {'train': {");
    for (int i = 0; i < 24; i++)
        buf_printf(&text, "%s'p%d': '0..9'", i ? ", " : "", i);
    buf_puts(&text, "}}}");
    auto_parameter_sets struct parameter_sets *sets = sets_of(buf_text(&text));
    auto_free char *first = set_text(sets, 0), *last = set_text(sets, 49);
    assert_int_equal(parameter_sets_count(sets), 50);
    assert_string_not_equal(first, last);
}

/* --- properties --- */

/* Sets of some grids, made up from a number: sizes of 1 to 4 of up to 5 axes. */
static char *made_up_grid(unsigned number, const char *more, uint64_t *ret_product)
{
    static const char *const owners[] = {PP, "'load'", "'train'"};
    struct buf text = {0};
    unsigned axis = 0;

    *ret_product = 1;
    buf_printf(&text, "{%s 'grid': {", more);
    for (unsigned o = 0; o < 3; o++) {
        buf_printf(&text, "%s%s: {", o ? ", " : "", owners[(o + number) % 3]);
        for (unsigned i = 0; i < 1 + (number >> o & 1); i++, axis++) {
            unsigned size = 1 + (number >> axis) % 4;
            buf_printf(&text, "%s'p%u': '1..%u'", i ? ", " : "", axis, size);
            *ret_product *= size;
        }
        buf_putc(&text, '}');
    }
    buf_puts(&text, "}}");
    return buf_take(&text);
}

static void must_all_differ(const struct parameter_sets *sets)
{
    uint32_t total = parameter_sets_total(sets);
    auto_free char **texts = mem_array(total, sizeof *texts);
    struct map seen = {0};

    for (uint32_t i = 0; i < total; i++) {
        texts[i] = set_text(sets, i);
        assert_int_equal(map_add(&seen, str_of(texts[i]), i), MAP_NONE);
    }
    map_clear(&seen);
    for (uint32_t i = 0; i < total; i++)
        free(texts[i]);
}

static void sets_of_a_product_are_as_many_as_its_axes_say_and_differ(void **state)
{
    (void)state;
    for (unsigned number = 0; number < 256; number++) {
        uint64_t product;
        auto_free char *text = made_up_grid(number, "", &product);
        auto_parameter_sets struct parameter_sets *sets = sets_of(text);
        assert_int_equal(parameter_sets_total(sets), product);
        must_all_differ(sets);
    }
}

static void sets_by_chance_differ_and_are_of_the_product(void **state)
{
    (void)state;
    for (unsigned number = 0; number < 256; number++) {
        uint64_t product;
        auto_free char *text =
            made_up_grid(number, "'strategy': 'random', 'count': 13, 'seed': 3,", &product);
        auto_parameter_sets struct parameter_sets *sets = sets_of(text);
        assert_int_equal(parameter_sets_total(sets), product < 13 ? product : 13);
        must_all_differ(sets);
    }
}

/* The n-th set of a product is that of a counter whose last axis turns fastest. */
static void the_first_axis_is_outermost(void **state)
{
    auto_parameter_sets struct parameter_sets *sets =
        sets_of("{'grid': {" PP ": {'a': '0..2'}, 'load': {'b': '0..3'}, 'train': {'c': '0..4'}}}");
    uint32_t number = 0;

    (void)state;
    for (int a = 0; a < 3; a++) {
        for (int b = 0; b < 4; b++) {
            for (int c = 0; c < 5; c++) {
                auto_free char *is = set_text(sets, number++);
                auto_free char *plain =
                    mem_printf("{" PP ":{'a':%d},'load':{'b':%d},'train':{'c':%d}}", a, b, c);
                auto_free char *wanted = quoted(plain);
                assert_string_equal(is, wanted);
            }
        }
    }
    assert_int_equal(number, parameter_sets_total(sets));
}

static void numbers_stay_when_sets_are_left_out(void **state)
{
    auto_parameter_sets struct parameter_sets *all =
        sets_of("{'grid': {" PP ": {'a': '1..6', 'b': '1..7'}}}");
    auto_parameter_sets struct parameter_sets *some =
        sets_of("{'grid': {" PP ": {'a': '1..6', 'b': '1..7'}}, 'exclude': [0, 5, 41, 20]}");

    (void)state;
    assert_int_equal(parameter_sets_total(some), 42);
    assert_int_equal(parameter_sets_count(some), 38);
    for (uint32_t k = 0; k < 38; k++) {
        uint32_t number = parameter_sets_number(some, k);
        auto_free char *a = set_text(all, number), *b = set_text(some, number);
        assert_true(number != 0 && number != 5 && number != 41 && number != 20);
        assert_true(k == 0 || number > parameter_sets_number(some, k - 1));
        assert_string_equal(a, b);
    }
}

static void what_is_put_gives_the_same_again(void **state)
{
    static const char *const texts[] = {
        "{ }",
        "{'base': {" PP
        ": {'a': 1e3}}, 'grid': {'train': {'b': '1..3', 'c': [ 1.50, '\\u0041' ]}}, "
        "'exclude': [1]}",
        "{'strategy': 'random', 'count': 5, 'seed': 3, 'grid': {'load': {'x': {'uniform': [0, "
        "1]}}}}",
        "{'sets': [{'load': {'a': 1}}, {}]}",
    };
    auto_pipeline struct pipeline *pipeline = small_pipeline();

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        auto_parameter_sets struct parameter_sets *sets = sets_of(texts[i]), *again = NULL;
        auto_buf struct buf put = {0}, twice = {0};
        struct err e;
        parameter_sets_put(sets, &put);
        assert_int_equal(
            parameter_sets_parse((struct str){put.data, put.len}, pipeline, &again, &e), 0);
        parameter_sets_put(again, &twice);
        assert_string_equal(buf_text(&put), buf_text(&twice));
        auto_free char *a = all_of(sets), *b = all_of(again);
        assert_string_equal(a, b);
    }
}

static void a_document_around_it_does_not_matter(void **state)
{
    auto_pipeline struct pipeline *pipeline = small_pipeline();
    auto_problems struct problems problems = {0};
    const struct json *doc =
        quoted_json("{'name': 'x', 'parameters': {'grid': {'load': {'a': [1, [2]]}}}, 'z': 1}");
    auto_parameter_sets struct parameter_sets *sets =
        parameter_sets_read(doc, json_get(doc, 0, "parameters"), pipeline, &problems);

    (void)state;
    assert_non_null(sets);
    quoted_json("{}"); /* the document is gone */
    auto_free char *all = all_of(sets);
    assert_string_equal(all, "0: {'load':{'a':1}}\n1: {'load':{'a':[2]}}\n");
}

/* --- axes --- */

static void axes_are_the_columns_of_a_table(void **state)
{
    static const struct {
        const char *parameters, *columns;
    } rows[] = {
        {"{}", ""},
        {"{'base': {" PP ": {'a': 1}}}", ""},
        {"{'base': {" PP ": {'z': 1, 'a': 1}}, 'grid': {'train': {'b': [1]}, " PP ": {'a': [1]}}}",
         "1:b -:a "},
        {"{'base': {" PP ": {'a': 1}}, 'sets': [{'train': {'b': 1}}, {" PP ": {'a': 2}, "
         "'load': {'b': 1}}, {'train': {'b': 2, 'c': 3}}]}",
         "1:b -:a 0:b 1:c "},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_parameter_sets struct parameter_sets *sets = sets_of(rows[i].parameters);
        const struct parameter_axis *axes;
        uint32_t count = parameter_sets_axes(sets, &axes);
        auto_buf struct buf columns = {0};
        for (uint32_t k = 0; k < count; k++) {
            if (axes[k].step == STEP_NONE)
                buf_printf(&columns, "-:%s ", axes[k].name);
            else
                buf_printf(&columns, "%u:%s ", axes[k].step, axes[k].name);
        }
        assert_string_equal(buf_text(&columns), rows[i].columns);
    }
}

/* --- refusals --- */

static void what_is_wrong_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *parameters, *pointer, *detail;
    } rows[] = {
        {"[]", "", "must be an object, is an array"},
        {"{'grit': {}}", "/grit", "unknown field \"grit\"; did you mean \"grid\"?"},
        {"{'grid': []}", "/grid", "must be an object, is an array"},
        {"{'strategy': 'produkt', 'grid': {}}", "/strategy",
         "unknown strategy \"produkt\"; did you mean \"product\"?"},
        {"{'strategy': 'bayes', 'grid': {}}", "/strategy",
         "unknown strategy \"bayes\"; there are \"product\", \"zip\", \"random\" and \"list\""},
        {"{'strategy': 'zip'}", "", "\"grid\" is missing"},
        {"{'strategy': 'list'}", "", "\"sets\" is missing"},
        {"{'strategy': 'list', 'sets': null}", "", "\"sets\" is missing"},
        {"{'grid': {}, 'sets': [{}]}", "/sets", "\"sets\" goes with the strategy \"list\" only"},
        {"{'strategy': 'list', 'sets': [{}], 'grid': {}}", "/grid", "\"grid\" goes with"},
        {"{'grid': {}, 'count': 3}", "/count", "\"count\" goes with the strategy \"random\" only"},
        {"{'grid': {}, 'seed': 3}", "/seed", "\"seed\" goes with the strategy \"random\" only"},
        {"{'strategy': 'random', 'grid': {}}", "", "\"count\" is missing"},
        {"{'strategy': 'random', 'grid': {}, 'count': null}", "", "\"count\" is missing"},
        {"{'strategy': 'random', 'grid': {}, 'count': 0}", "/count", "must be a whole number"},
        {"{'strategy': 'random', 'grid': {}, 'count': 1.5}", "/count", "must be a whole number"},
        {"{'strategy': 'random', 'grid': {}, 'count': 1, 'seed': -1}", "/seed",
         "must be a whole number"},
        {"{'base': {'nobody': {}}}", "/base/nobody",
         "no step has the uuid, title or file path \"nobody\""},
        {"{'base': {'Load data': {}}}", "/base/Load data",
         "\"Load data\" is no uuid; the step's is \"load\""},
        {"{'grid': {'train.ipynb': {'a': [1]}}}", "/grid/train.ipynb",
         "\"train.ipynb\" is no uuid; the step's is \"train\""},
        {"{'grid': {'pipeline_parameter': {}}}", "/grid/pipeline_parameter",
         "did you mean \"pipeline_parameters\"?"},
        {"{'sets': [{}, {'trein': {}}]}", "/sets/1/trein", "no step \"trein\"; did you mean"},
        {"{'sets': [{}, 5]}", "/sets/1", "must be an object, is a number"},
        {"{'base': {'load': 5}}", "/base/load", "must be an object, is a number"},
        {"{'grid': {'load': {'a': 5}}}", "/grid/load/a", "must be a list of values"},
        {"{'grid': {'load': {'a': []}}}", "/grid/load/a", "has no values"},
        {"{'grid': {'load': {'a': '1:0:1'}}}", "/grid/load/a", "leads away"},
        {"{'grid': {'load': {'a': {'uniform': [0, 1]}}}}", "/grid/load/a",
         "a distribution has no values to go through; it goes with the strategy \"random\""},
        {"{'grid': {'load': {'a': [1], 'a': [2]}}}", "/grid/load/a", "\"a\" is there twice"},
        {"{'grid': {'load': {'a': [1]}, 'load': {'a': [2]}}}", "/grid/load/a",
         "\"a\" is there twice"},
        {"{'grid': {'load': {'a\\u0000b': [1]}}}", NULL, "may not contain U+0000"},
        {"{'strategy': 'zip', 'grid': {'load': {'a': [1, 2]}, 'train': {'b': '1..3'}}}",
         "/grid/train/b", "has 3 values, \"a\" has 2; in a zip all have the same number"},
        {"{'sets': []}", "/sets", "nothing to run"},
        {"{'exclude': [0]}", "/exclude", "nothing to run: all sets (1) are left out"},
        {"{'grid': {'load': {'a': '1..3'}}, 'exclude': [2, 1, 0, 1]}", "/exclude",
         "nothing to run: all sets (3) are left out"},
        {"{'grid': {'load': {'a': '1..3'}}, 'exclude': [1, 3]}", "/exclude/1",
         "there is no set 3: they are numbered 0 to 2"},
        {"{'grid': {'load': {'a': '1..3'}}, 'exclude': [-1]}", "/exclude/0", "there is no set -1"},
        {"{'grid': {'load': {'a': '1..3'}}, 'exclude': ['1']}", "/exclude/0",
         "must be the number of a set"},
        {"{'grid': {'load': {'a': '1..3'}}, 'exclude': [1.5]}", "/exclude/0",
         "must be the number of a set"},
        {"{'grid': {'load': {'a': '1..100', 'b': '1..1000'}}}", "/grid",
         "the grid has 100,000 sets; at most 20,000 may be run in one job: leave out some values, "
         "or have some of the sets picked by the strategy \"random\""},
        {"{'grid': {'load': {'a': '1..1000000000'}}}", "/grid", "the grid has 1,000,000,000 sets"},
        {"{'grid': {'load': {'a': '1..20001'}}}", "/grid", "the grid has 20,001 sets"},
        {"{'strategy': 'zip', 'grid': {'load': {'a': '1..20001'}}}", "/grid",
         "the grid has 20,001 sets"},
        {"{'grid': {'load': {'a': '1..999999999999', 'b': '1..999999999999'}}}", "/grid",
         "the grid has more than 18446744073709551615 sets"},
        {"{'strategy': 'random', 'count': 20001, 'grid': {'load': {'a': {'uniform': [0, 1]}}}}",
         "/count", "at most 20000 sets may be run in one job"},
        {"{'strategy': 'random', 'count': 20001, 'grid': {'load': {'a': '1..20001'}}}", "/count",
         "at most 20000 sets may be run in one job"},
    };
    auto_pipeline struct pipeline *pipeline = small_pipeline();

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_problems struct problems problems = {0};
        auto_free char *text = quoted(rows[i].parameters);
        auto_parameter_sets struct parameter_sets *sets =
            parameter_sets_read(quoted_json(rows[i].parameters), 0, pipeline, &problems);
        struct err e = {0};
        if (sets || problems.total != 1)
            fail_msg("%s: %u problems", rows[i].parameters, problems.total);
        if (!strstr(problems.items[0].detail, rows[i].detail))
            fail_msg("%s: %s", rows[i].parameters, problems.items[0].detail);
        if (rows[i].pointer)
            assert_string_equal(problems.items[0].pointer, rows[i].pointer);
        assert_int_equal(parameter_sets_parse(str_of(text), pipeline, &sets, &e), -1);
        assert_int_equal(e.code, ERR_INVALID);
    }
}

static void everything_wrong_is_said_at_once_where_it_stands(void **state)
{
    auto_pipeline struct pipeline *pipeline = small_pipeline();
    auto_problems struct problems problems = {0};
    const struct json *doc =
        quoted_json("{'parameters': {\n 'cout': 3,\n 'base': {'Load data': {}},\n"
                    " 'grid': {'load': {'a': [],\n  'b': 5}}}}");

    (void)state;
    problems_add(&problems, doc, 0, "something of somebody else");
    assert_null(parameter_sets_read(doc, json_get(doc, 0, "parameters"), pipeline, &problems));
    assert_int_equal(problems.total, 5);
    assert_string_equal(problems.items[1].pointer, "/parameters/cout");
    assert_string_equal(problems.items[2].pointer, "/parameters/base/Load data");
    assert_string_equal(problems.items[3].pointer, "/parameters/grid/load/a");
    assert_string_equal(problems.items[4].pointer, "/parameters/grid/load/b");
    assert_int_equal(problems.items[4].line, 5);
    assert_int_equal(problems.items[4].column, 8);
}

static void problems_of_others_do_not_spoil_it(void **state)
{
    auto_pipeline struct pipeline *pipeline = small_pipeline();
    auto_problems struct problems problems = {0};
    const struct json *doc =
        quoted_json("{'strategy': 'random', 'count': 2, 'grid': {'load': {'a': '1..9'}}}");

    (void)state;
    problems_add(&problems, doc, 0, "something of somebody else");
    auto_parameter_sets struct parameter_sets *sets =
        parameter_sets_read(doc, 0, pipeline, &problems);
    assert_non_null(sets);
    auto_free char *all = all_of(sets);
    assert_non_null(strstr(all, "1: {'load'"));
}

static void too_many_sets_in_a_list_are_refused(void **state)
{
    auto_pipeline struct pipeline *pipeline = small_pipeline();
    auto_problems struct problems problems = {0};
    auto_buf struct buf text = {0};

    (void)state;
    buf_puts(&text, "{'sets': [{}");
    for (uint32_t i = 0; i < LIMIT_JOB_SETS; i++)
        buf_puts(&text, ",{}");
    buf_puts(&text, "]}");
    assert_null(parameter_sets_read(quoted_json(buf_text(&text)), 0, pipeline, &problems));
    assert_non_null(strstr(problems.items[0].detail, "the list has 20,001 sets; at most 20,000"));
}

static void too_many_parameters_are_refused(void **state)
{
    auto_pipeline struct pipeline *pipeline = small_pipeline();
    auto_problems struct problems problems = {0};
    auto_buf struct buf text = {0};

    (void)state;
    buf_puts(&text, "{'base': {'load': {'p': 0");
    for (uint32_t i = 0; i < LIMIT_JOB_PARAMETERS; i++)
        buf_printf(&text, ",'p%u': 0", i);
    buf_puts(&text, "}}}");
    assert_null(parameter_sets_read(quoted_json(buf_text(&text)), 0, pipeline, &problems));
    assert_int_equal(problems.total, 1);
    assert_non_null(strstr(problems.items[0].detail, "more than the 1000 different parameters"));
}

static void sets_that_are_too_large_together_are_refused(void **state)
{
    auto_pipeline struct pipeline *pipeline = small_pipeline();
    auto_problems struct problems problems = {0};
    auto_buf struct buf text = {0};

    (void)state;
    buf_puts(&text, "{'base': {'load': {'p': '");
    for (uint32_t i = 0; i < 60000; i++)
        buf_putc(&text, 'x');
    buf_puts(&text, "'}}, 'grid': {'load': {'a': '1..20000'}}}");
    assert_null(parameter_sets_read(quoted_json(buf_text(&text)), 0, pipeline, &problems));
    assert_int_equal(problems.total, 1);
    assert_non_null(strstr(problems.items[0].detail, "MiB, more than the 1024 MiB"));
}

/* --- large ones --- */

static void the_most_sets_there_may_be_are_given_out(void **state)
{
    static const char *const texts[] = {
        "{'grid': {'load': {'a': '1..100', 'b': '0.005:1:0.005'}, " PP ": {'c': [1]}}}",
        "{'strategy': 'random', 'count': 20000, 'grid': {'load': {'a': '1..20000'}}}",
        "{'strategy': 'random', 'count': 20000, 'grid': {'load': {'a': {'log_uniform': [1e-9, "
        "1]}}}}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        auto_parameter_sets struct parameter_sets *sets = sets_of(texts[i]);
        assert_int_equal(parameter_sets_count(sets), LIMIT_JOB_SETS);
        must_all_differ(sets);
    }
}

/* --- a set in a pipeline --- */

static void a_set_goes_into_the_definition(void **state)
{
    auto_pipeline struct pipeline *pipeline = small_pipeline();
    auto_buf struct buf out = {0};
    auto_free char *owners = quoted("{" PP ": {'seed': 5}, 'train': {'depth': [7], 'new': 'x'}}");
    auto_json struct json doc = {0};
    struct err e;

    (void)state;
    assert_int_equal(parameter_sets_apply(pipeline, str_of(owners), &out, &e), 0);
    assert_int_equal(json_parse(&doc, (struct str){out.data, out.len}, JSON_STRICT, NULL, &e), 0);
    auto_free char *pipeline_parameters = unquoted(&doc, json_get(&doc, 0, "parameters"));
    json_at train = json_get(&doc, json_get(&doc, 0, "steps"), "train");
    auto_free char *step_parameters = unquoted(&doc, json_get(&doc, train, "parameters"));
    assert_string_equal(pipeline_parameters, "{'seed':5}");
    assert_string_equal(step_parameters, "{'depth':[7],'new':'x'}");
}

static void an_empty_set_leaves_the_definition(void **state)
{
    auto_pipeline struct pipeline *pipeline = small_pipeline();
    auto_buf struct buf out = {0};
    struct err e;

    (void)state;
    assert_int_equal(parameter_sets_apply(pipeline, STR("{}"), &out, &e), 0);
    assert_int_equal(out.len, pipeline->doc.len);
    assert_memory_equal(out.data, pipeline->doc.text, out.len);
}

static void a_wrong_set_is_not_applied(void **state)
{
    static const char *const texts[] = {
        "", "[]", "{", "{'nobody': {}}", "{'load': 5}", "{'load': {'a\\u0000': 5}}"};
    auto_pipeline struct pipeline *pipeline = small_pipeline();

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        auto_buf struct buf out = {0};
        auto_free char *owners = quoted(texts[i]);
        struct err e = {0};
        assert_int_equal(parameter_sets_apply(pipeline, str_of(owners), &out, &e), -1);
        assert_int_equal(e.code, ERR_INVALID);
        assert_int_equal(out.len, 0);
    }
}

/* --- Orchest's files --- */

static void files_of_orchest_become_grids(void **state)
{
    static const struct {
        const char *name, *file, *grid;
    } rows[] = {
        {"nothing", "{}", "{}"},
        {"as its documentation has them",
         "{" PP ": {'some_key': ['a', 'list', 'of', 'values']}, 'load': {'some_key': [1, 2, 3], "
         "'another_key': [1]}}",
         "{" PP ":{'some_key':['a','list','of','values']},'load':{'some_key':[1,2,3],"
         "'another_key':[1]}}"},
        {"lists in texts", "{'load': {'a': '[1, 2.50]', 'b': '1..5'}}",
         "{'load':{'a':[1,2.50],'b':'1..5'}}"},
        {"as a job keeps them",
         "{" PP ": {'key': " PP ", 'title': 'Name', 'parameters': {'a': '[1, 2]'}}, "
         "'load': {'key': 'load', 'title': 'Load data', 'parameters': {'b': '[true]', 'c': [3]}}}",
         "{" PP ":{'a':[1,2]},'load':{'b':[true],'c':[3]}}"},
        {"a parameter of that name", "{'load': {'parameters': [1], 'key': [2]}}",
         "{'load':{'parameters':[1],'key':[2]}}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *file = quoted(rows[i].file), *wanted = quoted(rows[i].grid);
        auto_problems struct problems problems = {0};
        auto_buf struct buf grid = {0};
        struct err e;
        if (parameter_sets_of_file(str_of(file), &grid, &problems, &e) < 0)
            fail_msg("%s: %s", rows[i].name, e.text);
        if (strcmp(buf_text(&grid), wanted) != 0)
            fail_msg("%s: %s", rows[i].name, buf_text(&grid));
    }
}

static void other_files_are_refused(void **state)
{
    static const struct {
        const char *file, *pointer, *detail;
    } rows[] = {
        {"", "", ""},
        {"{'load': ", "", ""},
        {"[]", "", "must be an object, is an array"},
        {"{'load': []}", "/load", "must be an object, is an array"},
        {"{'load': {'a': 5}}", "/load/a", "must be a list of values, also of a single one: [5]"},
        {"{'load': {'a': 'x'}}", "/load/a", "must be a list of values"},
        {"{'load': {'a': '{}'}}", "/load/a", "must be a list of values"},
        {"{'load': {'key': 'load', 'parameters': {'a': 'x'}}}", "/load/parameters/a",
         "must be a list of values"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *file = quoted(rows[i].file);
        auto_problems struct problems problems = {0};
        auto_buf struct buf grid = {0};
        struct err e = {0};
        assert_int_equal(parameter_sets_of_file(str_of(file), &grid, &problems, &e), -1);
        assert_int_equal(e.code, ERR_INVALID);
        assert_int_equal(problems.total, 1);
        assert_int_equal(grid.len, 0);
        assert_string_equal(problems.items[0].pointer, rows[i].pointer);
        if (!strstr(problems.items[0].detail, rows[i].detail))
            fail_msg("%s: %s", rows[i].file, problems.items[0].detail);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_strategy_gives_its_sets),
        cmocka_unit_test(without_parameters_there_is_one_set),
        cmocka_unit_test(chance_is_the_same_for_ever),
        cmocka_unit_test(a_seed_decides),
        cmocka_unit_test(a_larger_count_begins_with_the_same_sets),
        cmocka_unit_test(chance_works_on_a_product_of_any_size),
        cmocka_unit_test(sets_of_a_product_are_as_many_as_its_axes_say_and_differ),
        cmocka_unit_test(sets_by_chance_differ_and_are_of_the_product),
        cmocka_unit_test(the_first_axis_is_outermost),
        cmocka_unit_test(numbers_stay_when_sets_are_left_out),
        cmocka_unit_test(what_is_put_gives_the_same_again),
        cmocka_unit_test(a_document_around_it_does_not_matter),
        cmocka_unit_test(axes_are_the_columns_of_a_table),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_place),
        cmocka_unit_test(everything_wrong_is_said_at_once_where_it_stands),
        cmocka_unit_test(problems_of_others_do_not_spoil_it),
        cmocka_unit_test(too_many_sets_in_a_list_are_refused),
        cmocka_unit_test(too_many_parameters_are_refused),
        cmocka_unit_test(sets_that_are_too_large_together_are_refused),
        cmocka_unit_test(the_most_sets_there_may_be_are_given_out),
        cmocka_unit_test(a_set_goes_into_the_definition),
        cmocka_unit_test(an_empty_set_leaves_the_definition),
        cmocka_unit_test(a_wrong_set_is_not_applied),
        cmocka_unit_test(files_of_orchest_become_grids),
        cmocka_unit_test(other_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
