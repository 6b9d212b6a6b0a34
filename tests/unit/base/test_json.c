#include "base/json.h"

#include "base/limits.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The text in memory of exactly its size, so that reading beyond it is seen. */
static int parse_bytes(struct json *doc, struct str text, enum json_dialect dialect,
                       size_t *ret_offset, struct err *e)
{
    char *copy = mem_resize(NULL, text.len, 1);
    memcpy(copy, text.text, text.len);
    return json_parse_take(doc, copy, text.len, dialect, ret_offset, e);
}

static struct json parsed(const char *text, enum json_dialect dialect)
{
    struct json doc;
    struct err e = {0};
    if (parse_bytes(&doc, str_of(text), dialect, NULL, &e))
        fail_msg("%s: %s", text, e.text);
    return doc;
}

static void assert_text(struct buf *actual, const char *expected)
{
    assert_string_equal(buf_text(actual), expected);
    assert_int_equal(actual->len, strlen(expected));
    buf_clear(actual);
}

static void assert_refused(struct str text, enum json_dialect dialect, const char *message)
{
    struct json doc;
    struct err e = {0};
    size_t offset = SIZE_MAX;
    if (parse_bytes(&doc, text, dialect, &offset, &e) == 0)
        fail_msg("accepted: %.*s", (int)text.len, text.text);
    assert_int_equal(e.code, ERR_INVALID);
    assert_string_equal(e.text, message);
    struct json_place place = json_place_of(text, offset);
    char expected[64];
    snprintf(expected, sizeof expected, "line %u, column %u: ", place.line, place.column);
    assert_memory_equal(e.text, expected, strlen(expected));
    assert_null(doc.nodes);
    assert_int_equal(doc.count, 0);
}

/* --- reading --- */

static void kinds_of_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum json_kind kind;
    } ROWS[] = {
        {"null", JSON_NULL},       {"true", JSON_BOOL},          {" false ", JSON_BOOL},
        {"0", JSON_NUMBER},        {"-0.5e+10", JSON_NUMBER},    {"\"\"", JSON_STRING},
        {"\t[ ]\r\n", JSON_ARRAY}, {"{ }", JSON_OBJECT},         {"\xef\xbb\xbf[1]", JSON_ARRAY},
        {"1E5", JSON_NUMBER},      {"10.0e-1", JSON_NUMBER},     {"-0", JSON_NUMBER},
        {"[[[]]]", JSON_ARRAY},    {"\"\\u0000\"", JSON_STRING},
    };
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        auto_json struct json doc = parsed(ROWS[i].text, JSON_STRICT);
        assert_int_equal(json_kind(&doc, 0), ROWS[i].kind);
    }
}

static void refusals_name_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } ROWS[] = {
        {"", "line 1, column 1: expected a value, found the end of the text"},
        {"\xef\xbb\xbf", "line 1, column 1: expected a value, found the end of the text"},
        {"\n\n  ", "line 3, column 3: expected a value, found the end of the text"},
        {"[1,\n  x]", "line 2, column 3: expected a value, found \"x\""},
        {"[\"é✓😀\", x]", "line 1, column 9: expected a value, found \"x\""},
        {"[1, é]", "line 1, column 5: expected a value, found \"é\""},
        {"[1, \x01]", "line 1, column 5: expected a value, found the control character U+0001"},
        {"[1, \xff]", "line 1, column 5: expected a value, found a byte that is no UTF-8 (0xff)"},
        {"[", "line 1, column 2: expected a value or \"]\", found the end of the text"},
        {"[1", "line 1, column 3: expected \",\" or \"]\", found the end of the text"},
        {"[1,", "line 1, column 4: expected a value, found the end of the text"},
        {"[1,]", "line 1, column 4: expected a value, found \"]\""},
        {"[,1]", "line 1, column 2: expected a value, found \",\""},
        {"[1 2]", "line 1, column 4: expected \",\" or \"]\", found \"2\""},
        {"[1}", "line 1, column 3: expected \",\" or \"]\", found \"}\""},
        {"{",
         "line 1, column 2: expected a name in double quotes or \"}\", found the end of the text"},
        {"{]", "line 1, column 2: expected a name in double quotes, found \"]\""},
        {"{a: 1}", "line 1, column 2: expected a name in double quotes, found \"a\""},
        {"{'a': 1}", "line 1, column 2: expected a name in double quotes, found \"'\""},
        {"{1: 1}", "line 1, column 2: expected a name in double quotes, found \"1\""},
        {"{\"a\" 1}", "line 1, column 6: expected \":\" behind a name, found \"1\""},
        {"{\"a\"", "line 1, column 5: expected \":\" behind a name, found the end of the text"},
        {"{\"a\":", "line 1, column 6: expected a value, found the end of the text"},
        {"{\"a\":}", "line 1, column 6: expected a value, found \"}\""},
        {"{\"a\":1", "line 1, column 7: expected \",\" or \"}\", found the end of the text"},
        {"{\"a\":1,}", "line 1, column 8: expected a name in double quotes, found \"}\""},
        {"{\"a\":1,", "line 1, column 8: expected a name in double quotes, found the end of the "
                      "text"},
        {"{\"a\":1]", "line 1, column 7: expected \",\" or \"}\", found \"]\""},
        {"1 2", "line 1, column 3: expected the end of the text, found \"2\""},
        {"{}}", "line 1, column 3: expected the end of the text, found \"}\""},
        {"]", "line 1, column 1: expected a value, found \"]\""},
        {"// x\n1", "line 1, column 1: expected a value, found \"/\""},
        {"tru", "line 1, column 1: expected a value, found \"t\""},
        {"nulL", "line 1, column 1: expected a value, found \"n\""},
        {"truex", "line 1, column 5: expected the end of the text, found \"x\""},
        {"NaN", "line 1, column 1: expected a value, found \"N\""},
        {"[Infinity]", "line 1, column 2: expected a value, found \"I\""},
        {"-Infinity", "line 1, column 2: expected a digit behind the sign of a number"},
        {"-", "line 1, column 2: expected a digit behind the sign of a number"},
        {"+1", "line 1, column 1: expected a value, found \"+\""},
        {".5", "line 1, column 1: expected a value, found \".\""},
        {"01", "line 1, column 1: a number that starts with \"0\""},
        {"[-012]", "line 1, column 3: a number that starts with \"0\""},
        {"1.", "line 1, column 3: expected a digit behind the point of a number"},
        {"[1.e5]", "line 1, column 4: expected a digit behind the point of a number"},
        {"1e", "line 1, column 3: expected a digit behind the exponent of a number"},
        {"1e+", "line 1, column 4: expected a digit behind the exponent of a number"},
        {"0x10", "line 1, column 2: expected the end of the text, found \"x\""},
        {"\n \"abc", "line 2, column 2: a string without an end"},
        {"\"abcdefghijklmnop\\\"", "line 1, column 1: a string without an end"},
        {"\"abc\\", "line 1, column 6: a string without an end"},
        {"\"a\\x\"", "line 1, column 3: unknown escape \"\\x\" in a string"},
        {"\"a\\\x01\"", "line 1, column 3: unknown escape in a string"},
        {"\"\\u12g4\"", "line 1, column 2: \"\\u\" without four hexadecimal digits behind it"},
        {"\"\\u123", "line 1, column 2: \"\\u\" without four hexadecimal digits behind it"},
        {"\"a\nb\"", "line 1, column 3: a raw control character (U+000A) in a string"},
        {"\"12345678\x1f\"", "line 1, column 10: a raw control character (U+001F) in a string"},
        {"\"1234\xc3\"", "line 1, column 6: a byte that is no UTF-8 (0xc3) in a string"},
        {"{\"\xed\xa0\x80\":1}", "line 1, column 3: a byte that is no UTF-8 (0xed) in a string"},
        {"\"\xc0\x80\"", "line 1, column 2: a byte that is no UTF-8 (0xc0) in a string"},
        {"\"\xf4\x90\x80\x80\"", "line 1, column 2: a byte that is no UTF-8 (0xf4) in a string"},
    };
    for (size_t i = 0; i < COUNT(ROWS); i++)
        assert_refused(str_of(ROWS[i].text), JSON_STRICT, ROWS[i].message);
    assert_refused((struct str){"[\0]", 3}, JSON_STRICT,
                   "line 1, column 2: expected a value, found the control character U+0000");
    assert_refused((struct str){"\"\\\0\"", 4}, JSON_TOLERANT,
                   "line 1, column 2: unknown escape in a string");
}

static void every_cut_document_is_refused(void **state)
{
    (void)state;
    static const char TEXT[] =
        "{\"k\\u00e9y\":[true,null,-1.5e+3,\"\\ud83d\\ude00 é\",{}],\"\":[]}";
    for (size_t len = 0; len < sizeof TEXT - 1; len++) {
        for (int dialect = JSON_STRICT; dialect <= JSON_TOLERANT; dialect++) {
            struct json doc;
            struct err e;
            assert_int_equal(
                parse_bytes(&doc, (struct str){TEXT, len}, (enum json_dialect)dialect, NULL, &e),
                -1);
        }
    }
    auto_json struct json doc = parsed(TEXT, JSON_STRICT);
    assert_int_equal(json_count(&doc, 0), 2);
}

static void special_bytes_are_found_at_every_position(void **state)
{
    (void)state;
    static const char *const SPECIAL[] = {"\\n", "\x02", "é", "\xff", "\x80", "\\u00e9"};
    static const char *const VALUE[] = {"\n", "\x02", "é", "\xef\xbf\xbd", "\xef\xbf\xbd", "é"};
    for (size_t kind = 0; kind < COUNT(SPECIAL); kind++) {
        for (int before = 0; before < 20; before++) {
            char text[64], expected[64];
            snprintf(text, sizeof text, "\"%.*s%s%.*s\"", before, "~~~~!!!!####    ~~~~",
                     SPECIAL[kind], 19 - before, "abcdefghijklmnopqrs");
            snprintf(expected, sizeof expected, "%.*s%s%.*s", before, "~~~~!!!!####    ~~~~",
                     VALUE[kind], 19 - before, "abcdefghijklmnopqrs");
            auto_json struct json doc = parsed(text, JSON_TOLERANT);
            struct buf value = {0};
            json_string(&doc, 0, &value);
            assert_int_equal(doc.nodes[0].plain, kind == 2);
            assert_text(&value, expected);
        }
    }
}

static void depth_has_a_cap(void **state)
{
    (void)state;
    struct buf text = {0};
    struct json doc;
    struct err e;
    for (unsigned i = 0; i < LIMIT_JSON_DEPTH; i++)
        buf_puts(&text, i % 2 ? "{\"a\":" : "[");
    buf_puts(&text, "0");
    for (unsigned i = LIMIT_JSON_DEPTH; i-- > 0;)
        buf_puts(&text, i % 2 ? "}" : "]");
    assert_int_equal(json_parse(&doc, (struct str){text.data, text.len}, JSON_STRICT, NULL, &e), 0);
    struct buf out = {0};
    json_write(&doc, 0, JSON_COMPACT, 0, &out);
    assert_string_equal(out.data, text.data);
    json_clear(&doc);
    buf_reset(&text);
    for (unsigned i = 0; i <= LIMIT_JSON_DEPTH; i++)
        buf_putc(&text, '[');
    size_t offset;
    assert_int_equal(json_parse(&doc, (struct str){text.data, text.len}, JSON_STRICT, &offset, &e),
                     -1);
    assert_int_equal(e.code, ERR_LIMIT);
    assert_int_equal(offset, LIMIT_JSON_DEPTH);
    assert_string_equal(e.text, "line 1, column 1001: more than 1000 levels of arrays and objects");
    buf_clear(&text);
    buf_clear(&out);
}

static void four_gib_are_refused_unread(void **state)
{
    (void)state;
    struct json doc;
    struct err e;
    assert_int_equal(json_parse(&doc, (struct str){"", UINT32_MAX}, JSON_STRICT, NULL, &e), -1);
    assert_int_equal(e.code, ERR_LIMIT);
}

static void the_tolerant_dialect_takes_what_python_writes(void **state)
{
    (void)state;
    auto_json struct json doc =
        parsed("[NaN, Infinity, -Infinity, \"a\tb\", \"\xff\xc3|\"]", JSON_TOLERANT);
    double value;
    assert_true(json_double(&doc, 1, &value) && isnan(value));
    assert_true(json_double(&doc, 2, &value) && value > 0 && isinf(value));
    assert_true(json_double(&doc, 3, &value) && value < 0 && isinf(value));
    assert_true(json_is(&doc, 4, "a\tb"));
    assert_true(json_is(&doc, 5, "\xef\xbf\xbd\xef\xbf\xbd|"));
    assert_refused(STR("[nan]"), JSON_TOLERANT, "line 1, column 2: expected a value, found \"n\"");
    assert_refused(STR("[-NaN]"), JSON_TOLERANT,
                   "line 1, column 3: expected a digit behind the sign of a number");
    assert_refused(STR("[\xff]"), JSON_TOLERANT,
                   "line 1, column 2: expected a value, found a byte that is no UTF-8 (0xff)");
}

/* --- looking around --- */

static void children_are_walked_in_order(void **state)
{
    (void)state;
    auto_json struct json doc = parsed("{\"a\":[1,[2,3],{\"x\":4}],\"b\":{},\"c\":5}", JSON_STRICT);
    char seen[8] = "";
    json_each (&doc, 0, key)
        strncat(seen, json_raw(&doc, key).text + 1, 1);
    assert_string_equal(seen, "abc");
    json_at array = json_get(&doc, 0, "a");
    assert_int_equal(json_count(&doc, array), 3);
    assert_true(str_is(json_raw(&doc, json_item(&doc, array, 0)), "1"));
    assert_true(str_is(json_raw(&doc, json_item(&doc, array, 2)), "{\"x\":4}"));
    assert_int_equal(json_item(&doc, array, 3), JSON_NONE);
    assert_int_equal(json_item(&doc, 0, 0), JSON_NONE);
    assert_int_equal(json_first(&doc, json_get(&doc, 0, "b")), JSON_NONE);
    assert_int_equal(json_first(&doc, json_get(&doc, 0, "c")), JSON_NONE);
    assert_true(str_is(json_raw(&doc, json_get(&doc, 0, "c")), "5"));
}

static void no_node_behaves_as_absent(void **state)
{
    (void)state;
    auto_json struct json doc = parsed("[1]", JSON_STRICT);
    struct buf scratch = {0};
    int64_t number;
    double real;
    assert_int_equal(json_kind(&doc, JSON_NONE), JSON_ABSENT);
    assert_int_equal(json_count(&doc, JSON_NONE), 0);
    assert_int_equal(json_get(&doc, JSON_NONE, "a"), JSON_NONE);
    assert_int_equal(json_get(&doc, 0, "a"), JSON_NONE);
    assert_int_equal(json_first(&doc, JSON_NONE), JSON_NONE);
    assert_int_equal(json_next(&doc, 0, JSON_NONE), JSON_NONE);
    assert_int_equal(json_value(JSON_NONE), JSON_NONE);
    assert_null(json_raw(&doc, JSON_NONE).text);
    assert_null(json_text(&doc, JSON_NONE, &scratch).text);
    assert_null(json_strdup(&doc, JSON_NONE));
    assert_false(json_is(&doc, JSON_NONE, ""));
    assert_false(json_is_true(&doc, JSON_NONE));
    assert_false(json_int(&doc, JSON_NONE, &number));
    assert_false(json_double(&doc, JSON_NONE, &real));
    json_write(&doc, JSON_NONE, JSON_COMPACT, 0, &scratch);
    assert_int_equal(scratch.len, 0);
    assert_string_equal(json_kind_name(JSON_ABSENT), "nothing");
    assert_string_equal(json_kind_name(JSON_OBJECT), "an object");
}

static void the_last_of_a_repeated_key_counts(void **state)
{
    (void)state;
    auto_json struct json doc =
        parsed("{\"a\":1,\"b\":2,\"\\u0061\":3,\"ab\":4,\"\":5}", JSON_STRICT);
    int64_t value;
    assert_true(json_int(&doc, json_get(&doc, 0, "a"), &value) && value == 3);
    assert_true(json_int(&doc, json_get(&doc, 0, "b"), &value) && value == 2);
    assert_true(json_int(&doc, json_get(&doc, 0, ""), &value) && value == 5);
    assert_int_equal(json_get(&doc, 0, "abc"), JSON_NONE);
    struct buf out = {0};
    json_write(&doc, 0, JSON_COMPACT, 0, &out);
    assert_text(&out, "{\"a\":1,\"b\":2,\"a\":3,\"ab\":4,\"\":5}");
    json_write(&doc, 0, JSON_NBFORMAT, 0, &out);
    assert_text(&out, "{\n \"\": 5,\n \"a\": 3,\n \"ab\": 4,\n \"b\": 2\n}");
}

/* --- values --- */

static void escapes_are_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value;
    } ROWS[] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20AC\\uFFFF\"", "Aé€\xef\xbf\xbf"},
        {"\"\\ud83d\\ude00\"", "😀"},
        {"\"\\uDBFF\\uDFFF\"", "\xf4\x8f\xbf\xbf"},
        {"\"a\\ud83d\"", "a\xef\xbf\xbd"},
        {"\"\\ude00b\"", "\xef\xbf\xbd"
                         "b"},
        {"\"\\ud83dx\\ude00\"", "\xef\xbf\xbdx\xef\xbf\xbd"},
        {"\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd😀"},
        {"\"\\ud83d\\n\\u0041\"", "\xef\xbf\xbd\nA"},
        {"\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
                               "A"},
    };
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        auto_json struct json doc = parsed(ROWS[i].text, JSON_STRICT);
        struct buf value = {0}, scratch = {0};
        json_string(&doc, 0, &value);
        assert_true(json_is(&doc, 0, ROWS[i].value));
        assert_true(str_is(json_text(&doc, 0, &scratch), ROWS[i].value));
        auto_free char *copy = json_strdup(&doc, 0);
        assert_string_equal(copy, ROWS[i].value);
        assert_text(&value, ROWS[i].value);
        buf_clear(&scratch);
    }
}

static void a_string_with_nul_is_no_c_string(void **state)
{
    (void)state;
    auto_json struct json doc = parsed("\"a\\u0000b\"", JSON_STRICT);
    struct buf value = {0};
    assert_null(json_strdup(&doc, 0));
    json_string(&doc, 0, &value);
    assert_int_equal(value.len, 3);
    assert_memory_equal(value.data, "a\0b", 3);
    assert_false(json_is(&doc, 0, "a"));
    buf_clear(&value);
}

static void text_is_borrowed_where_it_can_be(void **state)
{
    (void)state;
    auto_json struct json doc = parsed("[\"plain é\", \"a\\tb\"]", JSON_STRICT);
    struct buf scratch = {0};
    buf_puts(&scratch, "old");
    assert_ptr_equal(json_text(&doc, 1, &scratch).text, doc.text + 2);
    assert_ptr_equal(json_text(&doc, 2, &scratch).text, scratch.data);
    assert_text(&scratch, "a\tb");
}

static void integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_int;
        int64_t value;
    } ROWS[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"42", true, 42},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"123456789012345678901234567890", false, 0},
        {"1.0", false, 0},
        {"1e3", false, 0},
        {"\"1\"", false, 0},
        {"true", false, 0},
    };
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        auto_json struct json doc = parsed(ROWS[i].text, JSON_STRICT);
        int64_t value = 77;
        assert_int_equal(json_int(&doc, 0, &value), ROWS[i].is_int);
        assert_true(value == (ROWS[i].is_int ? ROWS[i].value : 77));
    }
}

static void doubles(void **state)
{
    (void)state;
    auto_json struct json doc = parsed("[0.1, 1e999, -2.5E-3, 7, \"x\"]", JSON_STRICT);
    double value = 0;
    assert_true(json_double(&doc, 1, &value) && value == 0.1);
    assert_true(json_double(&doc, 2, &value) && isinf(value));
    assert_true(json_double(&doc, 3, &value) && value == -2.5e-3);
    assert_true(json_double(&doc, 4, &value) && value == 7);
    assert_false(json_double(&doc, 5, &value));
}

static void true_is_true_only(void **state)
{
    (void)state;
    auto_json struct json doc = parsed("[true, false, 1, \"true\"]", JSON_STRICT);
    assert_true(json_is_true(&doc, 1));
    assert_false(json_is_true(&doc, 2));
    assert_false(json_is_true(&doc, 3));
    assert_false(json_is_true(&doc, 4));
}

/* --- where --- */

static void places_count_characters(void **state)
{
    (void)state;
    auto_json struct json doc =
        parsed("\xef\xbb\xbf{\"é\": 1,\r\n \"b\":\t[\"😀\", 2]\n}", JSON_STRICT);
    struct json_place place = json_place(&doc, 0);
    assert_int_equal(place.line, 1);
    assert_int_equal(place.column, 1);
    place = json_place(&doc, json_get(&doc, 0, "é"));
    assert_int_equal(place.line, 1);
    assert_int_equal(place.column, 7);
    json_at array = json_get(&doc, 0, "b");
    place = json_place(&doc, json_item(&doc, array, 1));
    assert_int_equal(place.line, 2);
    assert_int_equal(place.column, 13);
    place = json_place(&doc, JSON_NONE);
    assert_int_equal(place.line, 1);
    place = json_place_of(STR("a\nb"), 99); /* beyond the end is the end */
    assert_int_equal(place.line, 2);
    assert_int_equal(place.column, 2);
}

static void pointers(void **state)
{
    (void)state;
    auto_json struct json doc = parsed(
        "{\"steps\":[{},[7,{\"a/b~c\":{\"\":1}}],\"x\"],\"\\u00e9\":{\"k\":true}}", JSON_STRICT);
    struct buf out = {0};
    json_pointer(&doc, 0, &out);
    assert_text(&out, "");
    json_at steps = json_get(&doc, 0, "steps");
    json_pointer(&doc, steps, &out);
    assert_text(&out, "/steps");
    json_pointer(&doc, steps - 1, &out); /* its key */
    assert_text(&out, "/steps");
    json_pointer(&doc, json_item(&doc, steps, 2), &out);
    assert_text(&out, "/steps/2");
    json_at inner = json_get(&doc, json_item(&doc, json_item(&doc, steps, 1), 1), "a/b~c");
    json_pointer(&doc, json_get(&doc, inner, ""), &out);
    assert_text(&out, "/steps/1/1/a~1b~0c/");
    json_pointer(&doc, json_get(&doc, json_get(&doc, 0, "é"), "k"), &out);
    assert_text(&out, "/é/k");
    json_pointer(&doc, JSON_NONE, &out);
    assert_text(&out, "");
}

/* --- writing --- */

/* What Python's json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False) gives.
 */
static void nbformat_style_is_pythons(void **state)
{
    (void)state;
    static const struct {
        const char *text, *written;
    } ROWS[] = {
        {"{}", "{}"},
        {"[ ]", "[]"},
        {"[[],{}]", "[\n [],\n {}\n]"},
        {"{\"b\":1,\"a\":[1,2]}", "{\n \"a\": [\n  1,\n  2\n ],\n \"b\": 1\n}"},
        {"{\"Z\":1,\"a\":2,\"_\":3,\"\":4,\"aa\":5}",
         "{\n \"\": 4,\n \"Z\": 1,\n \"_\": 3,\n \"a\": 2,\n \"aa\": 5\n}"},
        /* by code point, not by UTF-16 unit */
        {"{\"\\ud83d\\ude00\":1,\"\\uffee\":2,\"\\u00e9\":3}",
         "{\n \"é\": 3,\n \"\xef\xbf\xae\": 2,\n \"😀\": 1\n}"},
        {"\"\\/\\u0041\\u001F\\u007f\\u2028\\b\\f\\n\\r\\t\\\"\\\\\"",
         "\"/A\\u001f\x7f\xe2\x80\xa8\\b\\f\\n\\r\\t\\\"\\\\\""},
        {"\"\\u0022\\u005c\\u000a\\u0000\"", "\"\\\"\\\\\\n\\u0000\""},
    };
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        auto_json struct json doc = parsed(ROWS[i].text, JSON_STRICT);
        struct buf out = {0};
        json_write(&doc, 0, JSON_NBFORMAT, 0, &out);
        assert_text(&out, ROWS[i].written);
    }
}

static void depth_indents_all_but_the_first_line(void **state)
{
    (void)state;
    auto_json struct json doc = parsed("{\"a\":[1,{}]}", JSON_STRICT);
    struct buf out = {0};
    json_write(&doc, 0, JSON_NBFORMAT, 3, &out);
    assert_text(&out, "{\n    \"a\": [\n     1,\n     {}\n    ]\n   }");
    json_write(&doc, json_get(&doc, 0, "a"), JSON_NBFORMAT, 1, &out);
    assert_text(&out, "[\n  1,\n  {}\n ]");
}

static void compact_style_has_no_space(void **state)
{
    (void)state;
    auto_json struct json doc =
        parsed(" { \"b\" : [ 1 , 2.50 , { } , [ ] ] ,\n\"a\" : \" x \\u0041\" } ", JSON_STRICT);
    struct buf out = {0};
    json_write(&doc, 0, JSON_COMPACT, 0, &out);
    assert_text(&out, "{\"b\":[1,2.50,{},[]],\"a\":\" x A\"}");
}

static void numbers_keep_their_bytes(void **state)
{
    (void)state;
    static const char TEXT[] = "[0.1,1.50,1E+2,-0,123456789012345678901234567890,1e999,"
                               "0.30000000000000004,NaN,-Infinity]";
    auto_json struct json doc = parsed(TEXT, JSON_TOLERANT);
    struct buf out = {0};
    json_write(&doc, 0, JSON_COMPACT, 0, &out);
    assert_text(&out, TEXT);
}

static void lone_surrogates_keep_their_escape(void **state)
{
    (void)state;
    auto_json struct json doc = parsed(
        "{\"\\uD83D\":1,\"\\ude00x\":\"a\\uDEAD\\/\\ud83d\\ude00\",\"\\ud83c\":2}", JSON_STRICT);
    struct buf out = {0};
    json_write(&doc, 0, JSON_NBFORMAT, 0, &out);
    assert_text(&out, "{\n \"\\ud83c\": 2,\n \"\\uD83D\": 1,\n \"\\ude00x\": \"a\\uDEAD/😀\"\n}");
}

static void bad_bytes_are_written_as_valid_text(void **state)
{
    (void)state;
    auto_json struct json doc = parsed("\"a\xff\n\xe2\x82z\\n\"", JSON_TOLERANT);
    struct buf out = {0};
    json_write(&doc, 0, JSON_COMPACT, 0, &out);
    assert_text(&out, "\"a\xef\xbf\xbd\\n\xef\xbf\xbd\xef\xbf\xbdz\\n\"");
}

static void strings_of_any_bytes(void **state)
{
    (void)state;
    struct buf out = {0};
    json_put_str(&out, STR("a\"b\\c/\n\x01\x7f é\xff\0z"));
    assert_text(&out, "\"a\\\"b\\\\c/\\n\\u0001\x7f é\xef\xbf\xbd\\u0000z\"");
    json_put_str(&out, (struct str){NULL, 0});
    assert_text(&out, "\"\"");
    json_put_text(&out, NULL);
    assert_text(&out, "null");
}

static void members_are_put_one_by_one(void **state)
{
    (void)state;
    struct buf out = {0};
    buf_putc(&out, '{');
    json_put_member(&out, "none", NULL);
    json_put_member(&out, "a\"", "x");
    json_put_member_int(&out, "b", INT64_MIN);
    json_put_member_raw(&out, "none", (struct str){NULL, 0});
    json_put_key(&out, "c");
    buf_putc(&out, '{');
    json_put_member_raw(&out, "d", STR("[1.50]"));
    buf_puts(&out, "}}");
    assert_text(&out, "{\"a\\\"\":\"x\",\"b\":-9223372036854775808,\"c\":{\"d\":[1.50]}}");
}

static void many_members_are_sorted(void **state)
{
    (void)state;
    struct buf text = {0}, expected = {0}, out = {0};
    enum { MEMBERS = 5000 };
    buf_putc(&text, '{');
    buf_putc(&expected, '{');
    for (int i = 0; i < MEMBERS; i++) {
        buf_printf(&text, "%s\"%05d\":[{\"%d\":0}]", i ? "," : "", (i * 7919) % MEMBERS, i);
        buf_printf(&expected, "%s\n \"%05d\": [\n  {\n   \"%d\": 0\n  }\n ]", i ? "," : "", i,
                   (int)((long)i * 2679 % MEMBERS));
    }
    buf_putc(&text, '}');
    buf_puts(&expected, "\n}");
    assert_int_equal(7919l * 2679 % MEMBERS, 1); /* the one undoes the other */
    auto_json struct json doc = parsed(text.data, JSON_STRICT);
    json_write(&doc, 0, JSON_NBFORMAT, 0, &out);
    assert_string_equal(out.data, expected.data);
    buf_clear(&text);
    buf_clear(&expected);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_of_values),
        cmocka_unit_test(refusals_name_their_place),
        cmocka_unit_test(every_cut_document_is_refused),
        cmocka_unit_test(special_bytes_are_found_at_every_position),
        cmocka_unit_test(depth_has_a_cap),
        cmocka_unit_test(four_gib_are_refused_unread),
        cmocka_unit_test(the_tolerant_dialect_takes_what_python_writes),
        cmocka_unit_test(children_are_walked_in_order),
        cmocka_unit_test(no_node_behaves_as_absent),
        cmocka_unit_test(the_last_of_a_repeated_key_counts),
        cmocka_unit_test(escapes_are_decoded),
        cmocka_unit_test(a_string_with_nul_is_no_c_string),
        cmocka_unit_test(text_is_borrowed_where_it_can_be),
        cmocka_unit_test(integers),
        cmocka_unit_test(doubles),
        cmocka_unit_test(true_is_true_only),
        cmocka_unit_test(places_count_characters),
        cmocka_unit_test(pointers),
        cmocka_unit_test(nbformat_style_is_pythons),
        cmocka_unit_test(depth_indents_all_but_the_first_line),
        cmocka_unit_test(compact_style_has_no_space),
        cmocka_unit_test(numbers_keep_their_bytes),
        cmocka_unit_test(lone_surrogates_keep_their_escape),
        cmocka_unit_test(bad_bytes_are_written_as_valid_text),
        cmocka_unit_test(strings_of_any_bytes),
        cmocka_unit_test(members_are_put_one_by_one),
        cmocka_unit_test(many_members_are_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
