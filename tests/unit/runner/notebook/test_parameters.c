#include "runner/notebook/parameters.h"

#include "tests/unit/runner/notebook/quoted.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct row {
    const char *value;
    const char *text; /* behind the equals sign; NULL: left out */
};

/* Each value as parameter `x` of a language: "OPEN" + text + "CLOSE". */
static void check_rows(const char *language, const struct row *rows, size_t count, const char *open,
                       const char *close)
{
    for (size_t i = 0; i < count; i++) {
        auto_buf struct buf out = {0};
        auto_free char *object = mem_printf("{'x':%s}", rows[i].value);
        auto_free char *want =
            rows[i].text ? mem_printf("%s%s%s\n", open, rows[i].text, close) : mem_strdup("");
        uint32_t written = parameters_write(quoted_json(object), 0, NULL, language, &out);
        assert_string_equal(buf_text(&out), want);
        assert_int_equal(written, rows[i].text != NULL);
    }
}

static void python_values(void **state)
{
    (void)state;
    static const struct row ROWS[] = {
        {"null", "None"},
        {"true", "True"},
        {"false", "False"},
        {"'foo'", "\"foo\""},
        {"'a\\\"b'", "\"a\\\"b\""},
        {"'a\\\\b'", "\"a\\\\b\""},
        {"'\\n\\t\\r'", "\"\\n\\t\\r\""},
        {"'\\u0000\\u001f\\u007f'", "\"\\x00\\x1f\\x7f\""},
        {"'\\u2028\\ufeff\\u0085'", "\"\\u2028\\ufeff\\x85\""},
        {"'\u00e9\u6f22\U0001f600$'", "\"\u00e9\u6f22\U0001f600$\""},
        {"'\\u00e9'", "\"\u00e9\""},
        {"12345", "12345"},
        {"-54321", "-54321"},
        {"1.2345", "1.2345"},
        {"1e400", "float('inf')"},
        {"12345678901234567890123", "12345678901234567890123"},
        {"NaN", "float('nan')"},
        {"Infinity", "float('inf')"},
        {"-Infinity", "float('-inf')"},
        {"{'foo':'bar'}", "{\"foo\": \"bar\"}"},
        {"{'foo':{'baz':'bar'}}", "{\"foo\": {\"baz\": \"bar\"}}"},
        {"['foo',{'foo':[]}]", "[\"foo\", {\"foo\": []}]"},
        {"{}", "{}"},
    };
    check_rows("python", ROWS, COUNT(ROWS), "# Parameters\nx = ", "");
}

static void r_values(void **state)
{
    (void)state;
    static const struct row ROWS[] = {
        {"null", "NULL"},
        {"true", "TRUE"},
        {"'a\\\"\\\\\\n'", "\"a\\\"\\\\\\n\""},
        {"'\u00e9\\u0001'", "\"\u00e9\\u0001\""},
        {"'\\u0000'", NULL},
        {"[1,'a',null]", "list(1, \"a\", NULL)"},
        {"{'k':{'l':true}}", "list(\"k\" = list(\"l\" = TRUE))"},
        {"{'':1}", NULL},
        {"-Infinity", "-Inf"},
        {"NaN", "NaN"},
    };
    check_rows("R", ROWS, COUNT(ROWS), "# Parameters\nx = ", "");
}

static void julia_values(void **state)
{
    (void)state;
    static const struct row ROWS[] = {
        {"null", "nothing"},
        {"true", "true"},
        {"'a$b\\\"'", "\"a\\$b\\\"\""},
        {"'\\u0085\u00e9'", "\"\\u0085\u00e9\""},
        {"[1,[2]]", "[1, [2]]"},
        {"{'k':1}", "Dict(\"k\" => 1)"},
        {"Infinity", "Inf"},
    };
    check_rows("julia", ROWS, COUNT(ROWS), "# Parameters\nx = ", "");
}

static void javascript_values(void **state)
{
    (void)state;
    static const struct row ROWS[] = {
        {"null", "null"},
        {"'a\\\"\\u2028'", "\"a\\\"\\u2028\""},
        {"{'k':[1,{}]}", "{\"k\": [1, {}]}"},
        {"{'__proto__':1}", "{[\"__proto__\"]: 1}"},
        {"-Infinity", "-Infinity"},
    };
    check_rows("javascript", ROWS, COUNT(ROWS), "// Parameters\nvar x = ", ";");
}

static void bash_values(void **state)
{
    (void)state;
    static const struct row ROWS[] = {
        {"null", "''"},
        {"true", "true"},
        {"12", "12"},
        {"''", "''"},
        {"'a/b.c:d@e'", "a/b.c:d@e"},
        {"'a b'", "'a b'"},
        {"'$(rm)`'", "'$(rm)`'"},
        {"'a\\u0027b'", "'a'\"'\"'b'"},
        {"'\u00e9'", "'\u00e9'"},
        {"'a\\u0000'", NULL},
        {"['a b','c',1]", "('a b' c 1)"},
        {"[['a']]", NULL},
        {"{'a':1}", NULL},
    };
    check_rows("bash", ROWS, COUNT(ROWS), "# Parameters\nx=", "");
}

static void check_names(const char *language, const char *names, const char *want)
{
    auto_buf struct buf out = {0};

    parameters_write(quoted_json(names), 0, NULL, language, &out);
    assert_string_equal(buf_text(&out), want);
}

static void names_that_are_none_are_left_out(void **state)
{
    (void)state;
    check_names("python", "{'a b':1,'1a':2,'':3,'class':4,'a-b':5,'None':6,'ok_1':7,'\u00d7':8}",
                "# Parameters\nok_1 = 7\n");
    check_names("python", "{'gr\u00f6\u00dfe':1,'\u540d':2,'x\\u0000':3}",
                "# Parameters\ngr\u00f6\u00dfe = 1\n\u540d = 2\n");
    check_names("R", "{'_a':1,'a.b':2,'.2a':3,'TRUE':4,'..1':5,'__':6,'\u00e9':7}",
                "# Parameters\na = 1\na.b = 2\n");
    check_names("julia", "{'end':1,'in':2,'x':3}", "# Parameters\nx = 3\n");
    check_names("javascript", "{'let':1,'undefined':2,'x':3}", "// Parameters\nvar x = 3;\n");
    check_names("bash", "{'UID':1,'a.b':2,'x':3,'\u00e9':4}", "# Parameters\nx=3\n");
    check_names("python", "{'a-b':5}", "");
}

static void the_last_of_equal_names_counts(void **state)
{
    (void)state;
    check_names("python", "{'a':1,'b':2,'a':3}", "# Parameters\nb = 2\na = 3\n");
}

static void what_is_too_deep_or_too_long_is_left_out(void **state)
{
    (void)state;
    auto_buf struct buf deep = {0}, number = {0};

    buf_puts(&deep, "{'x':1,'y':");
    for (int i = 0; i < 200; i++)
        buf_putc(&deep, '[');
    for (int i = 0; i < 200; i++)
        buf_putc(&deep, ']');
    buf_putc(&deep, '}');
    check_names("python", deep.data, "# Parameters\nx = 1\n");

    buf_puts(&number, "{'x':1,'y':");
    for (int i = 0; i < 5000; i++)
        buf_putc(&number, '1');
    buf_putc(&number, '}');
    check_names("python", number.data, "# Parameters\nx = 1\n");
}

static void the_kernel_counts_before_the_language(void **state)
{
    (void)state;
    static const struct {
        const char *kernel, *language, *text;
    } ROWS[] = {
        {"python3", NULL, "# Parameters\nx = True\n"},
        {"xpython", "Python", "# Parameters\nx = True\n"},
        {"sparkrkernel", "python", "# Parameters\nx = TRUE\n"},
        {"ir", "R", "# Parameters\nx = TRUE\n"},
        {"deno", "typescript", "// Parameters\nvar x = true;\n"},
        {"gonb", "go", ""},
        {NULL, NULL, ""},
    };
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        auto_buf struct buf out = {0};
        parameters_write(quoted_json("{'x':true}"), 0, ROWS[i].kernel, ROWS[i].language, &out);
        assert_string_equal(buf_text(&out), ROWS[i].text);
    }
}

static void nothing_is_written_for_what_is_no_object(void **state)
{
    (void)state;
    auto_buf struct buf out = {0};

    buf_puts(&out, "before");
    assert_int_equal(parameters_write(quoted_json("[1]"), 0, "python3", NULL, &out), 0);
    assert_int_equal(parameters_write(quoted_json("{}"), 0, "python3", NULL, &out), 0);
    assert_string_equal(out.data, "before");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(python_values),
        cmocka_unit_test(r_values),
        cmocka_unit_test(julia_values),
        cmocka_unit_test(javascript_values),
        cmocka_unit_test(bash_values),
        cmocka_unit_test(names_that_are_none_are_left_out),
        cmocka_unit_test(the_last_of_equal_names_counts),
        cmocka_unit_test(what_is_too_deep_or_too_long_is_left_out),
        cmocka_unit_test(the_kernel_counts_before_the_language),
        cmocka_unit_test(nothing_is_written_for_what_is_no_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
