#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "runner/sets/axis.h"
#include "tests/unit/runner/notebook/quoted.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* All values of an axis, with blanks between; free() it. */
static char *values_of(const char *text)
{
    const struct json *doc = quoted_json(text);
    struct buf out = {0};
    struct axis axis;
    struct err e;

    if (axis_read(&axis, doc, 0, &e) < 0)
        fail_msg("%s: %s", text, e.text);
    for (uint64_t i = 0; i < axis.count; i++) {
        if (i > 0)
            buf_putc(&out, ' ');
        axis_put(&axis, doc, i, &out);
    }
    axis_clear(&axis);
    return buf_take(&out);
}

static void lists_and_ranges_have_values(void **state)
{
    static const struct {
        const char *name, *axis, *values;
    } rows[] = {
        {"a list", "[1, 'a', null, [2, 3], {'b': 0.10}]", "1 \"a\" null [2, 3] {\"b\": 0.10}"},
        {"a single value", "[7]", "7"},
        {"decimals that doubles do not hit", "'0.1:1:0.1'",
         "0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1.0"},
        {"a stop that is not hit", "'0:1:0.3'", "0.0 0.3 0.6 0.9"},
        {"a start with more places than the step", "'0.05:0.4:0.1'", "0.05 0.15 0.25 0.35"},
        {"through zero", "'-0.2:0.2:0.1'", "-0.2 -0.1 0.0 0.1 0.2"},
        {"downwards", "'1:0:-0.25'", "1.0 0.75 0.5 0.25 0.0"},
        {"one value", "'3:3:1'", "3"},
        {"a step that is too long", "'1:2:5'", "1"},
        {"whole numbers stay whole", "'10:30:10'", "10 20 30"},
        {"a point anywhere makes all fractions", "'1.0:3:1'", "1.0 2.0 3.0"},
        {"exponents", "'1e-3:3e-3:1e-3'", "0.001 0.002 0.003"},
        {"large exponents", "'1e3:3E+3:1e3'", "1000.0 2000.0 3000.0"},
        {"zero with an exponent", "'0e9:1e-2:5e-3'", "0.0 0.005 0.01"},
        {"no digit in front of the point", "'.5:1:.5'", "0.5 1.0"},
        {"fifteen digits", "'0.10000000000001:0.10000000000003:0.00000000000001'",
         "0.10000000000001 0.10000000000002 0.10000000000003"},
        {"upwards", "'1..5'", "1 2 3 4 5"},
        {"upwards from below zero", "'-2..1'", "-2 -1 0 1"},
        {"counted down", "'3..-1'", "3 2 1 0 -1"},
        {"from a number to itself", "'4..4'", "4"},
        {"a text with an escape", "'1\\u002e.2'", "1 2"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *values = values_of(rows[i].axis);
        if (strcmp(values, rows[i].values) != 0)
            fail_msg("%s: %s, not %s", rows[i].name, values, rows[i].values);
    }
}

static void long_ranges_are_only_counted(void **state)
{
    static const struct {
        const char *axis;
        uint64_t count;
    } rows[] = {
        {"'1..1000000000'", 1000000000},
        {"'-999999999999999..999999999999999'", 1999999999999999},
        {"'0:1:0.000000000001'", 1000000000001},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct axis axis;
        struct err e;
        assert_int_equal(axis_read(&axis, quoted_json(rows[i].axis), 0, &e), 0);
        assert_true(axis.count == rows[i].count);
        assert_false(axis_is_distribution(&axis));
        axis_clear(&axis);
    }
}

static void what_is_no_axis_is_refused(void **state)
{
    static const struct {
        const char *axis, *text;
    } rows[] = {
        {"5", "must be a list of values, also of a single one, or a range such as \"0.1:1:0.1\" or "
              "\"1..5\", is a number"},
        {"null", "is null"},
        {"[]", "has no values"},
        {"''", "\"\" is no range: start:stop:step or first..last"},
        {"'abc'", "\"abc\" is no range"},
        {"'1:5'", "\"1:5\" has no step"},
        {"'1:2:3:4'", "\"1:2:3:4\": \"3:4\" is no number"},
        {"'a:1:1'", "\"a:1:1\": \"a\" is no number"},
        {"'1::1'", "\"\" is no number"},
        {"'1:2:-'", "\"-\" is no number"},
        {"'1:2:1e'", "\"1e\" is no number"},
        {"'1.2.3:2:1'", "\"1.2.3\" is no number"},
        {"'+1:2:1'", "\"+1\" is no number"},
        {"' 1:2:1'", "\" 1\" is no number"},
        {"'0:1:0'", "\"0:1:0\" has 0 as its step"},
        {"'1:1:0'", "has 0 as its step"},
        {"'0:1:-0.1'", "has a step that leads away from where it stops"},
        {"'1:0:0.1'", "has a step that leads away from where it stops"},
        {"'0:1:0.0000000000000001'", "has more than the 15 digits that a number keeps"},
        {"'1234567890123456:2:1'", "\"1234567890123456\" has more than the 15 digits"},
        {"'1e15:2e15:1'", "\"1e15\" has more than the 15 digits"},
        {"'1e-99:1:1'", "\"1e-99\" has more than the 15 digits"},
        {"'1e99999999999999:1:1'", "has more than the 15 digits"},
        {"'1..'", "\"\" is no number"},
        {"'..5'", "\"\" is no number"},
        {"'1...5'", "must be of whole numbers"},
        {"'1.5..3'", "must be of whole numbers; decimals go start:stop:step"},
        {"'1e3..2e3'", "must be of whole numbers"},
        {"'1..2..3'", "\"2..3\" is no number"},
        {"{}", "must have one of \"uniform\", \"log_uniform\" and \"int_uniform\""},
        {"{'normal': [0, 1]}", "must have one of"},
        {"{'uniform': [0, 1], 'int_uniform': [0, 1]}", "must have one of"},
        {"{'uniform': 1}", "uniform must have two numbers: [from, to]"},
        {"{'uniform': [1]}", "uniform must have two numbers"},
        {"{'uniform': [1, 2, 3]}", "uniform must have two numbers"},
        {"{'uniform': {'0': 1}}", "uniform must have two numbers"},
        {"{'uniform': [1, 'a']}", "uniform must have two numbers"},
        {"{'uniform': [1, 1]}", "uniform must go from a smaller number to a larger one"},
        {"{'uniform': [-1e308, 1e308]}", "uniform is too wide"},
        {"{'uniform': [0, 1e999]}", "uniform is too wide"},
        {"{'log_uniform': [2, 1]}", "log_uniform must go from a smaller number to a larger one"},
        {"{'log_uniform': [0, 1]}", "log_uniform must start above 0"},
        {"{'int_uniform': [0, 1.5]}", "int_uniform must have two whole numbers"},
        {"{'int_uniform': [3, 3]}", "int_uniform must go from a smaller number to a larger one"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct axis axis;
        struct err e;
        if (axis_read(&axis, quoted_json(rows[i].axis), 0, &e) == 0)
            fail_msg("%s: was accepted", rows[i].axis);
        if (!strstr(e.text, rows[i].text))
            fail_msg("%s: %s, not %s", rows[i].axis, e.text, rows[i].text);
        assert_int_equal(e.code, ERR_INVALID);
    }
}

/* Some draws from an axis, with blanks between; free() it. */
static char *drawn(const char *text, uint64_t seed, uint64_t count)
{
    const struct json *doc = quoted_json(text);
    struct buf out = {0};
    struct axis axis;
    struct err e;

    if (axis_read(&axis, doc, 0, &e) < 0)
        fail_msg("%s: %s", text, e.text);
    for (uint64_t i = 0; i < count; i++) {
        struct draw draw = draw_at(seed, 1, i);
        if (i > 0)
            buf_putc(&out, ' ');
        axis_put_drawn(&axis, doc, &draw, &out);
    }
    axis_clear(&axis);
    return buf_take(&out);
}

/* These stand for every machine: who changes them changes everybody's experiments. */
static void draws_are_the_same_for_ever(void **state)
{
    static const struct {
        const char *axis;
        uint64_t seed;
        const char *values;
    } rows[] = {
        {"['a', 'b', 'c']", 7, "\"c\" \"a\" \"b\" \"b\""},
        {"'0.1:1:0.1'", 7, "0.8 0.4 0.4 0.8"},
        {"{'uniform': [0, 1]}", 0,
         "0.8164140271575341 0.21962388528642252 0.548387222030241 0.6957200868154367"},
        {"{'uniform': [-5, 5]}", 7,
         "-0.30563114980449835 2.6416946955891007 2.1121315013154742 2.182426903820396"},
        {"{'log_uniform': [1e-5, 1]}", 7,
         "0.004155676377485022 0.0033504653749986545 0.2982734647249569 0.8262884555679001"},
        {"{'int_uniform': [1, 1000]}", 7, "298 674 784 48"},
        {"{'int_uniform': [-9223372036854775808, 9223372036854775807]}", 7,
         "-563789960139716511 4873066597040820865 3896194925478647975 4025867055435318239"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *values = drawn(rows[i].axis, rows[i].seed, 4);
        if (strcmp(values, rows[i].values) != 0)
            fail_msg("%s: %s, not %s", rows[i].axis, values, rows[i].values);
    }
}

/* The published first numbers of SplitMix64 that starts at 0, so that it is the generator that it
 * says it is. */
static void bits_are_those_of_splitmix64(void **state)
{
    struct draw draw = {0};

    (void)state;
    assert_true(draw_bits(&draw) == 0xe220a8397b1dcdaf);
    assert_true(draw_bits(&draw) == 0x6e789e6aa1b965f4);
    assert_true(draw_bits(&draw) == 0x06c45d188009454f);
}

/* What a number of draws of one kind comes to. */
struct figures {
    double least, most, mean, mean_of_logs;
};

#define DRAWS 20000u

static struct figures figures_of(const char *text)
{
    auto_free char *values = drawn(text, 3, DRAWS);
    struct figures figures = {INFINITY, -INFINITY, 0, 0};
    char *at = values;

    for (unsigned i = 0; i < DRAWS; i++) {
        double value = strtod(at, &at);
        figures.least = fmin(figures.least, value);
        figures.most = fmax(figures.most, value);
        figures.mean += value / DRAWS;
        figures.mean_of_logs += value > 0 ? log(value) / DRAWS : 0;
    }
    return figures;
}

/* Bounds are five standard deviations wide, and the seed is fixed. */
static void draws_keep_to_their_distribution(void **state)
{
    struct figures uniform = figures_of("{'uniform': [2, 4]}");
    struct figures logs = figures_of("{'log_uniform': [0.001, 10]}");
    struct figures whole = figures_of("{'int_uniform': [1, 6]}");
    double middle = log(0.001 * 10) / 2;

    (void)state;
    assert_true(uniform.least >= 2 && uniform.least < 2.01);
    assert_true(uniform.most <= 4 && uniform.most > 3.99);
    assert_true(fabs(uniform.mean - 3) < 0.021);
    assert_true(logs.least >= 0.001 && logs.least < 0.00101);
    assert_true(logs.most <= 10 && logs.most > 9.9);
    assert_true(fabs(logs.mean_of_logs - middle) < 0.095);
    assert_true(whole.least == 1 && whole.most == 6);
    assert_true(fabs(whole.mean - 3.5) < 0.061);
}

static void drawn_numbers_read_back_and_are_fractions(void **state)
{
    auto_free char *values = drawn("{'uniform': [0, 16]}", 0, 1000);
    char *rest = values;

    (void)state;
    for (char *word = strtok_r(rest, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char longest[64];
        snprintf(longest, sizeof longest, "%.17g", strtod(word, NULL));
        assert_true(strlen(word) <= strlen(longest) || strstr(word, ".0"));
        assert_true(strpbrk(word, ".e") != NULL);
    }
}

static void distinct_draws_are_all_different(void **state)
{
    static const struct {
        uint64_t bound;
        uint32_t count;
    } rows[] = {{1, 1},         {2, 2},          {10, 10},           {1000, 37},
                {20000, 20000}, {100000, 20000}, {UINT64_MAX, 5000}, {7, 0}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free uint64_t *numbers = mem_array(rows[i].count, sizeof *numbers);
        draw_distinct(5, rows[i].bound, rows[i].count, numbers);
        for (uint32_t a = 0; a < rows[i].count; a++) {
            assert_true(numbers[a] < rows[i].bound);
            for (uint32_t b = 0; b < a && a < 3000; b++)
                assert_true(numbers[a] != numbers[b]);
        }
    }
}

static void more_distinct_draws_begin_with_the_same(void **state)
{
    uint64_t few[10], many[50];

    (void)state;
    draw_distinct(9, 1000, 10, few);
    draw_distinct(9, 1000, 50, many);
    assert_memory_equal(few, many, sizeof few);
    draw_distinct(10, 1000, 10, few);
    assert_memory_not_equal(few, many, sizeof few);
}

static void the_longest_value_is_known(void **state)
{
    const struct json *doc =
        quoted_json("['a', '01234567890123456789012345678901234567890123456789']");
    struct axis axis;
    struct err e;

    (void)state;
    assert_int_equal(axis_read(&axis, doc, 0, &e), 0);
    assert_int_equal(axis_longest(&axis, doc), 52);
    axis_clear(&axis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_and_ranges_have_values),
        cmocka_unit_test(long_ranges_are_only_counted),
        cmocka_unit_test(what_is_no_axis_is_refused),
        cmocka_unit_test(bits_are_those_of_splitmix64),
        cmocka_unit_test(draws_are_the_same_for_ever),
        cmocka_unit_test(draws_keep_to_their_distribution),
        cmocka_unit_test(drawn_numbers_read_back_and_are_fractions),
        cmocka_unit_test(distinct_draws_are_all_different),
        cmocka_unit_test(more_distinct_draws_begin_with_the_same),
        cmocka_unit_test(the_longest_value_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
