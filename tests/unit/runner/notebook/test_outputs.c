#include "runner/notebook/outputs.h"

#include "tests/unit/runner/notebook/quoted.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* What came out, a line per event, with ' for ". */
struct collected {
    struct buf line, all;
    bool breaks; /* commit fails */
};

static struct buf *begin(void *user, const char *event)
{
    struct collected *c = user;

    buf_reset(&c->line);
    buf_printf(&c->line, "{\"event\":\"%s\"", event);
    return &c->line;
}

static int commit(void *user, struct err *e)
{
    struct collected *c = user;
    auto_json struct json doc = {0};

    if (c->breaks)
        return err_set(e, ERR_NO_SPACE, "no room");
    buf_putc(&c->line, '}');
    if (json_parse(&doc, (struct str){c->line.data, c->line.len}, JSON_TOLERANT, NULL, e) < 0)
        fail_msg("%s: %s", c->line.data, e->text);
    auto_free char *text = unquoted(&doc, 0);
    buf_puts(&c->all, text);
    buf_putc(&c->all, '\n');
    return 0;
}

struct fixture {
    struct collected collected;
    struct outputs *outputs;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    struct outputs_sink sink = {begin, commit, &f->collected};

    f->outputs = outputs_new(&sink);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    outputs_free(f->outputs);
    buf_clear(&f->collected.line);
    buf_clear(&f->collected.all);
    free(f);
    return 0;
}

static void handle_from(struct fixture *f, const char *parent, const char *type,
                        const char *content)
{
    struct outputs_message message = {.type = type, .parent_id = parent};
    struct err e = {0};

    message.content = quoted_json(content);
    if (outputs_handle(f->outputs, 3, &message, &e) < 0)
        fail_msg("%s", e.text);
}

static void handle(struct fixture *f, const char *type, const char *content)
{
    handle_from(f, "request", type, content);
}

/* What came since the last check. */
static void check(struct fixture *f, const char *want)
{
    assert_string_equal(buf_text(&f->collected.all), want);
    buf_reset(&f->collected.all);
}

static void check_told(struct fixture *f, const char *want)
{
    auto_buf struct buf content = {0};

    if (!want) {
        assert_false(outputs_next_comm_msg(f->outputs, &content));
        return;
    }
    assert_true(outputs_next_comm_msg(f->outputs, &content));
    auto_free char *text = quoted(want);
    assert_string_equal(content.data, text);
}

#define OUTPUT "{'event':'output','cell_index':3,'output':"

static void each_kind_becomes_an_output(void **state)
{
    struct fixture *f = *state;

    handle(f, "stream", "{'name':'stderr','text':'a\\nb'}");
    check(f, OUTPUT "{'output_type':'stream','name':'stderr','text':'a\\nb'}}\n");
    handle(f, "display_data", "{'data':{'a':1},'metadata':{'m':{}},'transient':{}}");
    check(f, OUTPUT "{'output_type':'display_data','data':{'a':1},'metadata':{'m':{}}}}\n");
    handle(f, "execute_result", "{'data':{},'execution_count':7,'metadata':{}}");
    check(f, OUTPUT "{'output_type':'execute_result','data':{},'metadata':{},"
                    "'execution_count':7}}\n");
    handle(f, "error", "{'ename':'E','evalue':'v','traceback':['a','b'],'status':'error'}");
    check(f, OUTPUT "{'output_type':'error','ename':'E','evalue':'v','traceback':['a','b']}}\n");
}

static void a_display_id_is_beside_the_output(void **state)
{
    struct fixture *f = *state;

    handle(f, "display_data", "{'data':{},'metadata':{},'transient':{'display_id':'d'}}");
    check(f, OUTPUT "{'output_type':'display_data','data':{},'metadata':{}},'display_id':'d'}\n");
    handle(f, "update_display_data",
           "{'data':{'a':1},'metadata':{'b':2},'transient':{'display_id':'d'}}");
    check(f, "{'event':'output_updated','display_id':'d','data':{'a':1},'metadata':{'b':2}}\n");
}

static void an_id_that_is_none_is_none(void **state)
{
    struct fixture *f = *state;
    static const char *const CONTENTS[] = {
        "{'data':{},'metadata':{},'transient':null}",
        "{'data':{},'metadata':{},'transient':{'display_id':null}}",
        "{'data':{},'metadata':{},'transient':{'display_id':''}}",
        "{'data':{},'metadata':{},'transient':[]}",
    };

    for (size_t i = 0; i < sizeof CONTENTS / sizeof *CONTENTS; i++) {
        handle(f, "display_data", CONTENTS[i]);
        check(f, OUTPUT "{'output_type':'display_data','data':{},'metadata':{}}}\n");
        handle(f, "update_display_data", CONTENTS[i]);
        check(f, "");
    }
}

static void clear_output_is_passed_on(void **state)
{
    struct fixture *f = *state;

    handle(f, "clear_output", "{'wait':true}");
    handle(f, "clear_output", "{'wait':false}");
    handle(f, "clear_output", "{}");
    check(f, "{'event':'output_cleared','cell_index':3,'wait':true}\n"
             "{'event':'output_cleared','cell_index':3,'wait':false}\n"
             "{'event':'output_cleared','cell_index':3,'wait':false}\n");
}

static void what_is_unknown_or_malformed_is_ignored(void **state)
{
    struct fixture *f = *state;

    handle(f, "status", "{'execution_state':'busy'}");
    handle(f, "execute_input", "{'execution_count':1,'code':''}");
    handle(f, "", "{}");
    handle(f, "pyout", "{'data':{}}");
    handle(f, "stream", "{'name':'stdout'}");
    handle(f, "stream", "[]");
    handle(f, "display_data", "{'data':'text'}");
    handle(f, "comm_open", "{'data':{}}");
    check(f, "");
}

static void a_broken_error_is_still_one(void **state)
{
    struct fixture *f = *state;

    handle(f, "error", "{'ename':7,'traceback':['a',1]}");
    check(f, OUTPUT "{'output_type':'error','ename':'','evalue':'','traceback':[]}}\n");
}

static void what_json_cannot_say_survives(void **state)
{
    struct fixture *f = *state;

    handle(f, "stream", "{'name':'stdout','text':'a\xff\\u0000\\ud800b'}");
    check(f, OUTPUT "{'output_type':'stream','name':'stdout',"
                    "'text':'a\xef\xbf\xbd\\u0000\\ud800b'}}\n");
    handle(f, "display_data",
           "{'data':{'application/json':[NaN,-Infinity,123456789012345678901234567890,1E2]}}");
    check(f, OUTPUT "{'output_type':'display_data','data':{'application/json':[NaN,-Infinity,"
                    "123456789012345678901234567890,1E2]},'metadata':{}}}\n");
}

static void content_that_is_too_deep_is_ignored(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf content = {0};

    for (int depth = 960; depth <= 980; depth += 20) {
        buf_reset(&content);
        buf_puts(&content, "{'data':{'a':");
        for (int i = 0; i < depth; i++)
            buf_putc(&content, '[');
        for (int i = 0; i < depth; i++)
            buf_putc(&content, ']');
        buf_puts(&content, "}}");
        handle(f, "display_data", content.data);
        assert_int_equal(f->collected.all.len > 0, depth == 960);
        buf_reset(&f->collected.all);
    }
}

static void a_sink_that_fails_is_heard(void **state)
{
    struct fixture *f = *state;
    struct outputs_message message = {.type = "stream", .parent_id = "request"};
    struct err e = {0};

    f->collected.breaks = true;
    message.content = quoted_json("{'name':'stdout','text':'a'}");
    assert_int_equal(outputs_handle(f->outputs, 0, &message, &e), -1);
    assert_int_equal(e.code, ERR_NO_SPACE);
}

static void comm_messages_are_kept_with_their_buffers(void **state)
{
    struct fixture *f = *state;
    struct str buffers[] = {STR("\0\xff"), STR(""), STR("abc")};
    struct outputs_message message = {
        .type = "comm_msg", .parent_id = "request", .buffers = buffers, .buffer_count = 3};
    struct err e = {0};

    message.content = quoted_json("{'comm_id':'c','data':{'x':[1]}}");
    assert_int_equal(outputs_handle(f->outputs, 0, &message, &e), 0);
    check(f, "{'event':'comm','msg_type':'comm_msg','content':{'comm_id':'c','data':{'x':[1]}},"
             "'buffers':['AP8=','','YWJj']}\n");
    handle(f, "comm_close", "{'comm_id':'c','data':{}}");
    check(f, "{'event':'comm','msg_type':'comm_close','content':{'comm_id':'c','data':{}},"
             "'buffers':[]}\n");
}

/* --- Output widgets --- */

static void open_widget(struct fixture *f, const char *id)
{
    auto_free char *content =
        mem_printf("{'comm_id':'%s','target_name':'jupyter.widget','data':{'state':{'_model_module'"
                   ":'@jupyter-widgets/output','_model_name':'OutputModel','msg_id':'','outputs':"
                   "[]}}}",
                   id);

    handle(f, "comm_open", content);
    buf_reset(&f->collected.all);
}

static void set_capture(struct fixture *f, const char *id, const char *request)
{
    auto_free char *content = mem_printf(
        "{'comm_id':'%s','data':{'method':'update','state':{'msg_id':'%s'}}}", id, request);

    handle(f, "comm_msg", content);
    buf_reset(&f->collected.all);
}

#define STREAM(text)     "{'output_type':'stream','name':'stdout','text':'" text "'}"
#define CAPTURED(id, it) "{'event':'widget_output','comm_id':'" id "','output':" it "}\n"
#define TOLD(id, list)                                                                             \
    "{'comm_id':'" id "','data':{'method':'update','state':{'outputs':" list "},'buffer_paths':[]" \
    "}}"

static void print(struct fixture *f, const char *text)
{
    auto_free char *content = mem_printf("{'name':'stdout','text':'%s'}", text);

    handle(f, "stream", content);
}

static void an_output_widget_captures(void **state)
{
    struct fixture *f = *state;

    open_widget(f, "w");
    print(f, "before");
    set_capture(f, "w", "request");
    buf_reset(&f->collected.all);
    print(f, "a");
    print(f, "b");
    check(f, CAPTURED("w", STREAM("a")) CAPTURED("w", STREAM("b")));
    check_told(f, TOLD("w", "[" STREAM("ab") "]")); /* once, merged */
    check_told(f, NULL);
    handle_from(f, "another", "stream", "{'name':'stdout','text':'c'}");
    check(f, OUTPUT STREAM("c") "}\n");
    set_capture(f, "w", "");
    print(f, "d");
    check(f, OUTPUT STREAM("d") "}\n");
    check_told(f, NULL);
}

static void the_innermost_widget_gets_it(void **state)
{
    struct fixture *f = *state;

    open_widget(f, "outer");
    open_widget(f, "inner");
    set_capture(f, "outer", "request");
    set_capture(f, "inner", "request");
    print(f, "a");
    check(f, CAPTURED("inner", STREAM("a")));
    set_capture(f, "inner", "");
    print(f, "b");
    check(f, CAPTURED("outer", STREAM("b")));
    check_told(f, TOLD("outer", "[" STREAM("b") "]"));
    check_told(f, TOLD("inner", "[" STREAM("a") "]"));
    check_told(f, NULL);
    handle(f, "comm_close", "{'comm_id':'outer','data':{}}");
    buf_reset(&f->collected.all);
    print(f, "c");
    check(f, OUTPUT STREAM("c") "}\n");
}

static void clear_output_clears_the_capture(void **state)
{
    struct fixture *f = *state;

    open_widget(f, "w");
    set_capture(f, "w", "request");
    print(f, "a");
    check_told(f, TOLD("w", "[" STREAM("a") "]"));
    buf_reset(&f->collected.all);
    handle(f, "clear_output", "{'wait':true}");
    check(f, "{'event':'widget_output','comm_id':'w','cleared':true,'wait':true}\n");
    check_told(f, NULL);
    print(f, "b");
    check_told(f, TOLD("w", "[" STREAM("b") "]"));
    handle(f, "clear_output", "{}");
    check_told(f, TOLD("w", "[]"));
}

static void a_captured_display_updates_its_id(void **state)
{
    struct fixture *f = *state;

    open_widget(f, "w");
    set_capture(f, "w", "request");
    handle(f, "display_data", "{'data':{'a':1},'metadata':{},'transient':{'display_id':'d'}}");
    check(f, "{'event':'output_updated','display_id':'d','data':{'a':1},'metadata':{}}\n" CAPTURED(
                 "w", "{'output_type':'display_data','data':{'a':1},'metadata':{}}"));
}

static void a_program_sets_the_outputs_an_echo_does_not(void **state)
{
    struct fixture *f = *state;

    open_widget(f, "w");
    set_capture(f, "w", "request");
    print(f, "a");
    handle(f, "comm_msg",
           "{'comm_id':'w','data':{'method':'echo_update','state':{'outputs':[],'msg_id':''}}}");
    print(f, "b");
    check_told(f, TOLD("w", "[" STREAM("ab") "]"));
    handle(f, "comm_msg",
           "{'comm_id':'w','data':{'method':'update','state':{'outputs':[" STREAM("x") "]}}}");
    print(f, "y");
    check_told(f, TOLD("w", "[" STREAM("xy") "]"));
}

static void other_widgets_capture_nothing(void **state)
{
    struct fixture *f = *state;

    handle(f, "comm_open",
           "{'comm_id':'w','target_name':'jupyter.widget','data':{'state':{'_model_module':"
           "'@jupyter-widgets/controls','_model_name':'IntSliderModel','msg_id':'request'}}}");
    set_capture(f, "w", "request");
    set_capture(f, "unknown", "request");
    print(f, "a");
    check(f, OUTPUT STREAM("a") "}\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_kind_becomes_an_output),
        TEST(a_display_id_is_beside_the_output),
        TEST(an_id_that_is_none_is_none),
        TEST(clear_output_is_passed_on),
        TEST(what_is_unknown_or_malformed_is_ignored),
        TEST(a_broken_error_is_still_one),
        TEST(what_json_cannot_say_survives),
        TEST(content_that_is_too_deep_is_ignored),
        TEST(a_sink_that_fails_is_heard),
        TEST(comm_messages_are_kept_with_their_buffers),
        TEST(an_output_widget_captures),
        TEST(the_innermost_widget_gets_it),
        TEST(clear_output_clears_the_capture),
        TEST(a_captured_display_updates_its_id),
        TEST(a_program_sets_the_outputs_an_echo_does_not),
        TEST(other_widgets_capture_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
