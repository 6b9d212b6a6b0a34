#include "runner/notebook/cell_outputs.h"

#include "tests/unit/runner/notebook/quoted.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define OUT     "{'name':'stdout','output_type':'stream','text':"
#define ERR     "{'name':'stderr','output_type':'stream','text':"
#define RAISED  "{'output_type':'error','ename':'E','evalue':'v','traceback':['t']}"
#define RAISED_ "{'ename':'E','evalue':'v','output_type':'error','traceback':['t']}"
#define SHOWN   "{'output_type':'display_data','data':{'text/plain':'a\\nb'},'metadata':{'m':1}}"

static void append(struct cell_outputs *outputs, const char *output)
{
    cell_outputs_append(outputs, quoted_json(output), 0, DISPLAY_NONE);
}

static void append_text(struct cell_outputs *outputs, const char *name, const char *text)
{
    auto_free char *output =
        mem_printf("{'output_type':'stream','name':'%s','text':'%s'}", name, text);

    append(outputs, output);
}

static void check_written(const struct cell_outputs *outputs, const struct displays *displays,
                          const char *want)
{
    auto_buf struct buf out = {0};
    auto_json struct json doc = {0};
    struct err e;

    cell_outputs_write(outputs, displays, 0, &out);
    assert_int_equal(json_parse(&doc, (struct str){out.data, out.len}, JSON_STRICT, NULL, &e), 0);
    auto_free char *text = unquoted(&doc, 0);
    assert_string_equal(text, want);
}

#define WITH_OUTPUTS(name)                                                                         \
    auto_with(cell_outputs_free) struct cell_outputs name;                                         \
    cell_outputs_init(&name)

static void consecutive_streams_of_a_name_are_one(void **state)
{
    (void)state;
    WITH_OUTPUTS(outputs);

    check_written(&outputs, NULL, "[]");
    append_text(&outputs, "stdout", "a");
    append_text(&outputs, "stdout", "b\\nc");
    append_text(&outputs, "stderr", "x");
    append_text(&outputs, "stdout", "d");
    check_written(&outputs, NULL, "[" OUT "['ab\\n','c']}," ERR "['x']}," OUT "['d']}]");
    assert_int_equal(outputs.count, 3);
    append(&outputs, SHOWN);
    append_text(&outputs, "stdout", "e");
    assert_int_equal(outputs.count, 5);
}

static void a_flood_is_one_output(void **state)
{
    (void)state;
    WITH_OUTPUTS(outputs);
    auto_buf struct buf out = {0};

    for (int i = 0; i < 20000; i++)
        append_text(&outputs, "stdout", "line\\n");
    assert_int_equal(outputs.count, 1);
    assert_int_equal(outputs.bytes, 100000);
    cell_outputs_put(&outputs, &out);
    assert_int_equal(out.len, 20000 * 6 + strlen("[" OUT "''}]"));
}

static void each_type_is_written_as_nbformat_does(void **state)
{
    (void)state;
    WITH_OUTPUTS(outputs);

    append(&outputs, SHOWN);
    append(&outputs, "{'output_type':'execute_result','execution_count':3,'metadata':{},'data':{"
                     "'text/plain':'7','application/json':{'z':[NaN,1e2],'a':1},"
                     "'image/png':'aa\\nbb','image/svg+xml':'<a>\\n</a>'}}");
    append(&outputs, RAISED);
    auto_buf struct buf out = {0};
    cell_outputs_write(&outputs, NULL, 0, &out);
    auto_free char *want = quoted(
        "[\n {\n  'data': {\n   'text/plain': [\n    'a\\n',\n    'b'\n   ]\n  },\n"
        "  'metadata': {\n   'm': 1\n  },\n  'output_type': 'display_data'\n },\n"
        " {\n  'data': {\n   'application/json': {\n    'a': 1,\n    'z': [\n     NaN,\n"
        "     1e2\n    ]\n   },\n   'image/png': 'aa\\nbb',\n   'image/svg+xml': [\n"
        "    '<a>\\n',\n    '</a>'\n   ],\n   'text/plain': [\n    '7'\n   ]\n  },\n"
        "  'execution_count': 3,\n  'metadata': {},\n  'output_type': 'execute_result'\n },\n"
        " {\n  'ename': 'E',\n  'evalue': 'v',\n  'output_type': 'error',\n"
        "  'traceback': [\n   't'\n  ]\n }\n]");
    assert_string_equal(out.data, want);
}

static void all_line_ends_of_python_split(void **state)
{
    (void)state;
    WITH_OUTPUTS(outputs);

    append_text(&outputs, "stdout",
                "a\\nb\\rc\\r\\nd\\u000be\\u000cf\\u001cg\\u001dh\\u001ei\\u0085j\\u2028k\\u2029l"
                "\\u001fm\\tn");
    check_written(&outputs, NULL,
                  "[" OUT "['a\\n','b\\r','c\\r\\n','d\\u000b','e\\f','f\\u001c','g\\u001d',"
                  "'h\\u001e','i\xc2\x85','j\u2028','k\u2029','l\\u001fm\\tn']}]");
}

static void messages_have_texts_in_one_piece(void **state)
{
    (void)state;
    WITH_OUTPUTS(outputs);
    auto_buf struct buf out = {0};

    append_text(&outputs, "stdout", "a\\nb");
    append(&outputs, SHOWN);
    append(&outputs, RAISED);
    cell_outputs_put(&outputs, &out);
    auto_free char *want =
        quoted("[{'output_type':'stream','name':'stdout','text':'a\\nb'}," SHOWN "," RAISED "]");
    assert_string_equal(out.data, want);
}

static void what_is_no_output_is_ignored(void **state)
{
    (void)state;
    WITH_OUTPUTS(outputs);

    append(&outputs, "{'output_type':'pyout'}");
    append(&outputs, "{}");
    append(&outputs, "7");
    append(&outputs, "{'output_type':7}");
    assert_int_equal(outputs.count, 0);
    assert_int_equal(outputs.dropped, 0);
}

static void clear_drops_at_once_or_before_the_next(void **state)
{
    (void)state;
    WITH_OUTPUTS(outputs);

    append_text(&outputs, "stdout", "a");
    cell_outputs_clear(&outputs, CLEAR_BEFORE_NEXT);
    check_written(&outputs, NULL, "[" OUT "['a']}]");
    append_text(&outputs, "stdout", "b"); /* is not merged with what goes */
    check_written(&outputs, NULL, "[" OUT "['b']}]");
    append_text(&outputs, "stdout", "c");
    cell_outputs_clear(&outputs, CLEAR_NOW);
    check_written(&outputs, NULL, "[]");
    assert_int_equal(outputs.bytes, 0);
}

static void outputs_of_a_display_show_its_content(void **state)
{
    (void)state;
    WITH_OUTPUTS(outputs);
    auto_with(displays_clear) struct displays displays = {0};
    const char *result = "{'output_type':'execute_result','data':{'a':1},'execution_count':2}";

    assert_int_equal(displays_find(&displays, STR("id")), DISPLAY_NONE);
    uint32_t display = displays_show(&displays, STR("id"), 0);
    displays_set(&displays, display, quoted_json(SHOWN), 0);
    cell_outputs_append(&outputs, quoted_json(SHOWN), 0, display);
    assert_int_equal(displays_show(&displays, STR("id"), 0), display);
    displays_set(&displays, display, quoted_json(result), 0);
    cell_outputs_append(&outputs, quoted_json(result), 0, display);
    displays_set(&displays, display, quoted_json("{'data':{'b':2},'metadata':{'c':3}}"), 0);
    check_written(&outputs, &displays,
                  "[{'data':{'b':2},'metadata':{'c':3},'output_type':'display_data'},"
                  "{'data':{'b':2},'execution_count':2,'metadata':{'c':3},"
                  "'output_type':'execute_result'}]");
    assert_int_equal(displays.items[display].cell_count, 1);
    displays_show(&displays, STR("id"), 4);
    assert_int_equal(displays.items[display].cell_count, 2);
}

#define NOTICE(count, bytes, more, dropped)                                                        \
    ERR "['[segue] the output of this cell is longer than what is kept (" count " outputs, " bytes \
        " bytes): " more " more outputs with " dropped " bytes were dropped.\\n']}"

static void what_is_over_the_bytes_is_counted(void **state)
{
    (void)state;
    WITH_OUTPUTS(outputs);

    outputs.max_bytes = 10;
    append_text(&outputs, "stdout", "12345678");
    append_text(&outputs, "stdout", "9\u00e9\u00e9"); /* a character is not cut */
    append_text(&outputs, "stderr", "abc");
    check_written(&outputs, NULL, "[" OUT "['123456789']}," NOTICE("200000", "10", "2", "7") "]");
    append(&outputs, RAISED);
    check_written(&outputs, NULL,
                  "[" OUT "['123456789']}," RAISED_ "," NOTICE("200000", "10", "2", "7") "]");
    auto_buf struct buf out = {0};
    cell_outputs_put(&outputs, &out);
    assert_non_null(strstr(out.data, "2 more outputs with 7 bytes were dropped.\\n\"}]"));
    cell_outputs_clear(&outputs, CLEAR_NOW);
    append_text(&outputs, "stdout", "1");
    check_written(&outputs, NULL, "[" OUT "['1']}]");
}

static void what_is_over_the_count_is_counted(void **state)
{
    (void)state;
    WITH_OUTPUTS(outputs);

    outputs.max_count = 2;
    append_text(&outputs, "stdout", "a");
    append_text(&outputs, "stderr", "b");
    append_text(&outputs, "stderr", "c"); /* makes no new one */
    append(&outputs, "{'output_type':'display_data','data':{'a':1},'metadata':{}}");
    append_text(&outputs, "stderr", "d"); /* nothing is kept of what comes after a gap */
    check_written(&outputs, NULL,
                  "[" OUT "['a']}," ERR "['bc']}," NOTICE("2", "536870912", "2", "10") "]");
}

static void errors_beyond_the_caps_are_bounded_too(void **state)
{
    (void)state;
    WITH_OUTPUTS(outputs);

    outputs.max_count = 1;
    for (int i = 0; i < 500; i++)
        append(&outputs, RAISED);
    assert_int_equal(outputs.count, 101);
    assert_int_equal(outputs.dropped, 399);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(consecutive_streams_of_a_name_are_one),
        cmocka_unit_test(a_flood_is_one_output),
        cmocka_unit_test(each_type_is_written_as_nbformat_does),
        cmocka_unit_test(all_line_ends_of_python_split),
        cmocka_unit_test(messages_have_texts_in_one_piece),
        cmocka_unit_test(what_is_no_output_is_ignored),
        cmocka_unit_test(clear_drops_at_once_or_before_the_next),
        cmocka_unit_test(outputs_of_a_display_show_its_content),
        cmocka_unit_test(what_is_over_the_bytes_is_counted),
        cmocka_unit_test(what_is_over_the_count_is_counted),
        cmocka_unit_test(errors_beyond_the_caps_are_bounded_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
