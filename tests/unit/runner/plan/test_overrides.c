#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fs.h"
#include "runner/plan/overrides.h"
#include "tests/unit/runner/notebook/quoted.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct pipeline *parsed(struct str text)
{
    auto_problems struct problems problems = {0};
    struct pipeline *pipeline = NULL;
    struct err e;

    if (pipeline_parse(text, "test", &pipeline, &problems, &e) < 0)
        fail_msg("%s: " STR_FMT, e.text, STR_ARG(text));
    return pipeline;
}

/* The definition with the overrides in it; free() it. */
static char *applied(const char *definition, const struct override *overrides, size_t count)
{
    auto_pipeline struct pipeline *pipeline = parsed(str_of(definition));
    struct buf out = {0};

    overrides_apply(pipeline, overrides, count, &out);
    return buf_take(&out);
}

/* "NAME=VALUE" and "N:NAME=VALUE" with a step's index, one after the other; ' for ". */
static size_t overrides_of(const char *const *texts, struct override *overrides, char **owned)
{
    size_t count = 0;

    for (; texts[count]; count++) {
        char *text = owned[count] = quoted(texts[count]);
        char *equals = strchr(text, '=');
        overrides[count].step = STEP_NONE;
        if (text[0] >= '0' && text[0] <= '9' && text[1] == ':') {
            overrides[count].step = (uint32_t)(text[0] - '0');
            text += 2;
        }
        *equals = 0;
        overrides[count].name = text;
        overrides[count].value = str_of(equals + 1);
    }
    return count;
}

static void goes_into_every_shape_of_parameters(void **state)
{
    static const struct {
        const char *name, *before;
        const char *overrides[6];
        const char *after;
    } rows[] = {
        {"nothing to do",
         "{ 'name' : 'n' , 'steps' : { } }",
         {NULL},
         "{ 'name' : 'n' , 'steps' : { } }"},
        {"none there yet", "{'steps': {}}", {"a=1"}, "{'parameters':{'a':1},'steps': {}}"},
        {"empty",
         "{'steps':{}, 'parameters' : { } }",
         {"a=1"},
         "{'steps':{}, 'parameters' : {'a':1} }"},
        {"another one",
         "{'parameters':{'b': 0.10},'steps':{}}",
         {"a=1"},
         "{'parameters':{'b':0.10,'a':1},'steps':{}}"},
        {"the same one",
         "{'parameters':{'a':0,'b':2},'steps':{}}",
         {"a=1"},
         "{'parameters':{'b':2,'a':1},'steps':{}}"},
        {"null", "{'parameters':null,'steps':{}}", {"a=1"}, "{'parameters':{'a':1},'steps':{}}"},
        {"as text, the old way",
         "{'parameters':'{\\'b\\': 2}','steps':{}}",
         {"a=1"},
         "{'parameters':{'b':2,'a':1},'steps':{}}"},
        {"an empty text",
         "{'parameters':'{}','steps':{}}",
         {"a=1"},
         "{'parameters':{'a':1},'steps':{}}"},
        {"the later one counts",
         "{'steps':{}}",
         {"a=1", "b=2", "a=3"},
         "{'parameters':{'b':2,'a':3},'steps':{}}"},
        {"repeated in the file",
         "{'parameters':{'a':1,'c':5,'a':2},'steps':{}}",
         {"a=3"},
         "{'parameters':{'c':5,'a':3},'steps':{}}"},
        {"any value",
         "{'steps':{}}",
         {"a={'x': [1, null]}", "b='text'", "c=null"},
         "{'parameters':{'a':{'x': [1, null]},'b':'text','c':null},'steps':{}}"},
        {"a step",
         "{'steps':{'s':{'title':'t'}}}",
         {"0:a=1"},
         "{'steps':{'s':{'parameters':{'a':1},'title':'t'}}}"},
        {"an empty step",
         "{'steps':{'s':{}}}",
         {"0:a=1"},
         "{'steps':{'s':{'parameters':{'a':1}}}}"},
        {"a step's",
         "{'steps':{'s':{'parameters':{'b':2}, 'title':'t'}}}",
         {"0:a=1"},
         "{'steps':{'s':{'parameters':{'b':2,'a':1}, 'title':'t'}}}"},
        {"step and pipeline do not mix",
         "{'steps':{'s':{'parameters':{'a':2}}},'parameters':{'a':3}}",
         {"a=9", "0:a=8"},
         "{'steps':{'s':{'parameters':{'a':8}}},'parameters':{'a':9}}"},
        {"several steps, in any order",
         "{'steps':{'s':{'x':[1,  2]},'t':{'parameters':{}},'u':{'title':'u'}}}",
         {"2:a=1", "0:b=2", "1:c=3", "2:d=4", "e=5"},
         "{'parameters':{'e':5},'steps':{'s':{'parameters':{'b':2},'x':[1,  2]},"
         "'t':{'parameters':{'c':3}},'u':{'parameters':{'a':1,'d':4},'title':'u'}}}"},
        {"unknown keys and their bytes",
         "{\n  'settings' : {'auto_eviction':false},\n  'steps':{},  'x' : 1.50e0\t}\n",
         {"a=1"},
         "{'parameters':{'a':1},\n  'settings' : {'auto_eviction':false},\n  'steps':{},  'x' : "
         "1.50e0\t}\n"},
        {"names that need escapes",
         "{'parameters':{'\\u0061':1,'q\\'':2},'steps':{}}",
         {"a=3"},
         "{'parameters':{'q\\'':2,'a':3},'steps':{}}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct override overrides[8];
        char *owned[8];
        size_t count = overrides_of(rows[i].overrides, overrides, owned);
        /* The escaped quote in a row is one: \' stands for \". */
        auto_free char *before = quoted(rows[i].before), *expected = quoted(rows[i].after);
        auto_free char *after = applied(before, overrides, count);
        if (strcmp(after, expected) != 0)
            fail_msg("%s:\n%s\n%s", rows[i].name, after, expected);
        for (size_t k = 0; k < count; k++)
            free(owned[k]);
    }
}

static void names_are_escaped(void **state)
{
    static const char *const names[] = {"",  "a b", "q\"uote", "back\\slash", "line\nbreak",
                                        "ü", "\x01"};

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        /* Twice, so that it has to find its own spelling again. */
        struct override first = {STEP_NONE, names[i], STR("1")};
        struct override second = {STEP_NONE, names[i], STR("2")};
        auto_free char *once = applied("{\"steps\":{}}", &first, 1);
        auto_free char *twice = applied(once, &second, 1);
        auto_pipeline struct pipeline *pipeline = parsed(str_of(twice));
        const struct parameters *parameters = &pipeline->parameters;
        int64_t value;
        assert_int_equal(json_count(parameters->doc, parameters->at), 1);
        assert_true(
            json_int(parameters->doc, json_get(parameters->doc, parameters->at, names[i]), &value));
        assert_int_equal(value, 2);
    }
}

static void a_byte_order_mark_stays(void **state)
{
    struct override override = {STEP_NONE, "a", STR("1")};

    (void)state;
    auto_free char *after = applied("\xef\xbb\xbf{\"steps\":{}}", &override, 1);
    assert_string_equal(after, "\xef\xbb\xbf{\"parameters\":{\"a\":1},\"steps\":{}}");
}

/* --- a property: whatever the definition and the overrides, what is read back is what an
 * assignment to a table would have given --- */

enum { STEPS = 4, NAMES = 5, ROUNDS = 2000 };

static uint32_t roll(uint32_t *seed, uint32_t sides)
{
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 8) % sides;
}

/* Parameters of a random shape; `table` gets what they say (0: nothing). Behind a comma if
 * needed. */
static void put_shape(struct buf *out, uint32_t *seed, int table[NAMES])
{
    uint32_t shape = roll(seed, 5);
    const char *quote = shape == 4 ? "\\\"" : "\"";

    if (shape == 0)
        return;
    buf_puts(out, "\"parameters\" : ");
    if (shape == 1) {
        buf_puts(out, "null, ");
        return;
    }
    buf_puts(out, shape == 4 ? "\"{" : "{");
    for (int name = 0, first = 1; name < NAMES; name++) {
        if (shape == 2 || roll(seed, 2))
            continue;
        table[name] = (int)roll(seed, 1000) + 1;
        buf_printf(out, "%s%sp%d%s: %d", first ? "" : ",", quote, name, quote, table[name]);
        first = 0;
    }
    buf_puts(out, shape == 4 ? "}\", " : "}, ");
}

static void check_table(const struct parameters *parameters, const int table[NAMES])
{
    uint32_t expected = 0;

    for (int name = 0; name < NAMES; name++) {
        char text[8];
        int64_t value = 0;
        snprintf(text, sizeof text, "p%d", name);
        json_int(parameters->doc, json_get(parameters->doc, parameters->at, text), &value);
        assert_int_equal(value, table[name]);
        expected += table[name] != 0;
    }
    assert_int_equal(json_count(parameters->doc, parameters->at), expected);
}

static void one_round(uint32_t *seed)
{
    static const char *const names[NAMES] = {"p0", "p1", "p2", "p3", "p4"};
    int tables[STEPS + 1][NAMES] = {0};
    auto_buf struct buf definition = {0};
    struct override overrides[12];
    char values[12][8];
    size_t count = roll(seed, 12);

    buf_puts(&definition, "{ ");
    put_shape(&definition, seed, tables[STEPS]);
    buf_puts(&definition, "\"steps\": {");
    for (int step = 0; step < STEPS; step++) {
        buf_printf(&definition, "%s\"s%d\": {", step ? ", " : "", step);
        put_shape(&definition, seed, tables[step]);
        buf_puts(&definition, "\"title\": \"t\"}");
    }
    buf_puts(&definition, "}}");
    for (size_t i = 0; i < count; i++) {
        uint32_t table = roll(seed, STEPS + 1), name = roll(seed, NAMES);
        tables[table][name] = (int)roll(seed, 1000) + 1;
        snprintf(values[i], sizeof values[i], "%d", tables[table][name]);
        overrides[i] =
            (struct override){table == STEPS ? STEP_NONE : table, names[name], str_of(values[i])};
    }
    auto_free char *after = applied(definition.data, overrides, count);
    auto_pipeline struct pipeline *pipeline = parsed(str_of(after));
    check_table(&pipeline->parameters, tables[STEPS]);
    for (int step = 0; step < STEPS; step++)
        check_table(&pipeline->steps[step].parameters, tables[step]);
}

static void what_is_read_back_is_what_was_set(void **state)
{
    uint32_t seed = 20;

    (void)state;
    for (int i = 0; i < ROUNDS; i++)
        one_round(&seed);
}

/* --- merging --- */

static void a_steps_parameters_hide_those_of_its_pipeline(void **state)
{
    static const struct {
        const char *name, *pipeline, *step, *merged;
    } rows[] = {
        {"both empty", "{}", "{}", "{}"},
        {"none at all", NULL, NULL, "{}"},
        {"the step's only", NULL, "{'a':1}", "{'a':1}"},
        {"the pipeline's only", "{'a':1}", NULL, "{'a':1}"},
        {"both", "{'c':3,'b':9}", "{'a':1,'b':2}", "{'c':3,'b':2,'a':1}"},
        {"null hides too", "{'a':1}", "{'a':null}", "{'a':null}"},
        {"spelt in another way", "{'a':2}", "{'\\u0061':1}", "{'a':1}"},
        {"values keep their bytes", "{'b':{ 'x' : 1 }}", "{'a':0.10}",
         "{'b':{ 'x' : 1 },'a':0.10}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct json docs[2] = {{0}};
        struct parameters both[2];
        const char *texts[] = {rows[i].pipeline, rows[i].step};
        auto_free char *expected = quoted(rows[i].merged);
        auto_buf struct buf out = {0};
        struct err e;
        for (int k = 0; k < 2; k++) {
            char *text = quoted(texts[k] ? texts[k] : "1");
            assert_int_equal(json_parse_take(&docs[k], text, strlen(text), JSON_STRICT, NULL, &e),
                             0);
            both[k] = (struct parameters){&docs[k], texts[k] ? 0 : JSON_NONE};
        }
        buf_puts(&out, "before ");
        parameters_merge(&both[0], &both[1], &out);
        if (strcmp(out.data + strlen("before "), expected) != 0)
            fail_msg("%s: %s", rows[i].name, out.data);
        json_clear(&docs[0]);
        json_clear(&docs[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_into_every_shape_of_parameters),
        cmocka_unit_test(names_are_escaped),
        cmocka_unit_test(a_byte_order_mark_stays),
        cmocka_unit_test(what_is_read_back_is_what_was_set),
        cmocka_unit_test(a_steps_parameters_hide_those_of_its_pipeline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
