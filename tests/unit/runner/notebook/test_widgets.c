#include "runner/notebook/widgets.h"

#include "tests/unit/runner/notebook/quoted.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

AUTO_FUNCTION(struct widgets, widgets_free)
#define auto_widgets auto_with(widgets_free_at)

static void comm(struct widgets *widgets, const char *event)
{
    widgets_comm(widgets, quoted_json(event), 0);
}

static void output(struct widgets *widgets, const char *event)
{
    widgets_output(widgets, quoted_json(event), 0);
}

static void check(struct widgets *widgets, const char *models)
{
    auto_buf struct buf out = {0};
    auto_json struct json doc = {0};
    struct err e;

    widgets_write(widgets, 0, &out);
    assert_int_equal(json_parse(&doc, (struct str){out.data, out.len}, JSON_STRICT, NULL, &e), 0);
    auto_free char *text = unquoted(&doc, 0);
    auto_free char *want = mem_printf("{'application/vnd.jupyter.widget-state+json':{'state':%s,"
                                      "'version_major':2,'version_minor':0}}",
                                      models);
    assert_string_equal(text, want);
}

#define OPEN(id, state)                                                                            \
    "{'msg_type':'comm_open','content':{'comm_id':'" id "','target_name':'jupyter.widget','data':" \
    "{'state':" state "}},'buffers':[]}"
#define UPDATE(id, state)                                                                          \
    "{'msg_type':'comm_msg','content':{'comm_id':'" id                                             \
    "','data':{'method':'update','state':" state "}},'buffers':[]}"
#define MODEL(name, more) "{'_model_name':'" name "'" more "}"
#define WRITTEN(id, name, state)                                                                   \
    "'" id "':{'model_module':null,'model_module_version':null,'model_name':'" name                \
    "','state':{'_model_name':'" name "'" state "}}"

static void state_is_merged_by_member(void **state)
{
    (void)state;
    auto_widgets struct widgets *widgets = widgets_new();

    assert_false(widgets_has_state(widgets));
    comm(widgets, OPEN("b", "{'_model_name':'M','_model_module':'m','_model_module_version':'2',"
                            "'value':{'x':1},'z':[]}"));
    comm(widgets, UPDATE("b", "{'value':{'y':2}}"));
    comm(widgets, OPEN("a", MODEL("N", "")));
    assert_true(widgets_has_state(widgets));
    check(
        widgets,
        "{" WRITTEN("a", "N",
                    "") ",'b':{'model_module':'m','model_module_version':'2',"
                        "'model_name':'M','state':{'_model_module':'m','_model_module_version':'2',"
                        "'_model_name':'M','value':{'y':2},'z':[]}}}");
}

static void only_models_with_a_name_are_written(void **state)
{
    (void)state;
    auto_widgets struct widgets *widgets = widgets_new();

    comm(widgets, UPDATE("a", "{'value':1}"));
    check(widgets, "{}");
    comm(widgets, UPDATE("a", MODEL("M", "")));
    check(widgets, "{" WRITTEN("a", "M", ",'value':1") "}");
}

static void messages_without_state_change_nothing(void **state)
{
    (void)state;
    auto_widgets struct widgets *widgets = widgets_new();

    comm(widgets, "{'content':{'comm_id':'a','data':{'method':'custom','content':{}}}}");
    comm(widgets, "{'content':{'comm_id':7,'data':{'state':{}}}}");
    comm(widgets, "{'content':{'comm_id':'a','data':{'state':7}}}");
    comm(widgets, "{}");
    output(widgets, "{'comm_id':'a','cleared':true}");
    assert_false(widgets_has_state(widgets));
}

static void buffers_are_kept_by_path(void **state)
{
    (void)state;
    auto_widgets struct widgets *widgets = widgets_new();

    comm(widgets, "{'content':{'comm_id':'a','data':{'state':{'_model_name':'M'},'buffer_paths':"
                  "[['x'],['y',0],['lost']]}},'buffers':['AA==','AQ==']}");
    comm(widgets, "{'content':{'comm_id':'a','data':{'state':{},'buffer_paths':[['x']]}},"
                  "'buffers':['Ag==']}");
    check(widgets, "{'a':{'buffers':[{'data':'Ag==','encoding':'base64','path':['x']},"
                   "{'data':'AQ==','encoding':'base64','path':['y',0]}],'model_module':null,"
                   "'model_module_version':null,'model_name':'M','state':{'_model_name':'M'}}}");
}

#define OUTPUT_STATE                                                                               \
    "{'_model_module':'@jupyter-widgets/output','_model_name':'OutputModel','outputs':[]}"
#define OUTPUT_WRITTEN(list)                                                                       \
    "{'w':{'model_module':'@jupyter-widgets/output','model_module_version':null,'model_name':"     \
    "'OutputModel','state':{'_model_module':'@jupyter-widgets/output','_model_name':'OutputModel'" \
    ",'outputs':" list "}}}"
#define STREAM(text) "{'output_type':'stream','name':'stdout','text':'" text "'}"
/* sorted, as in the file */
#define STREAM_(text) "{'name':'stdout','output_type':'stream','text':'" text "'}"

static void what_is_captured_is_in_the_state(void **state)
{
    (void)state;
    auto_widgets struct widgets *widgets = widgets_new();

    comm(widgets, OPEN("w", OUTPUT_STATE));
    check(widgets, OUTPUT_WRITTEN("[]"));
    output(widgets, "{'comm_id':'w','output':" STREAM("a\\nb") "}");
    output(widgets, "{'comm_id':'w','output':" STREAM("c") "}");
    check(widgets, OUTPUT_WRITTEN("[" STREAM_("a\\nbc") "]"));
    output(widgets, "{'comm_id':'w','cleared':true,'wait':true}");
    check(widgets, OUTPUT_WRITTEN("[" STREAM_("a\\nbc") "]"));
    output(widgets, "{'comm_id':'w','output':" STREAM("d") "}");
    check(widgets, OUTPUT_WRITTEN("[" STREAM_("d") "]"));
    output(widgets, "{'comm_id':'w','cleared':true,'wait':false}");
    check(widgets, OUTPUT_WRITTEN("[]"));
}

static void a_program_replaces_what_was_captured(void **state)
{
    (void)state;
    auto_widgets struct widgets *widgets = widgets_new();

    comm(widgets, OPEN("w", OUTPUT_STATE));
    output(widgets, "{'comm_id':'w','output':" STREAM("a") "}");
    comm(widgets, UPDATE("w", "{'outputs':[" STREAM("x") "]}"));
    check(widgets, OUTPUT_WRITTEN("[" STREAM_("x") "]"));
    output(widgets, "{'comm_id':'w','output':" STREAM("y") "}");
    check(widgets, OUTPUT_WRITTEN("[" STREAM_("xy") "]"));
    comm(widgets, "{'content':{'comm_id':'w','data':{'method':'echo_update','state':{'outputs':"
                  "[]}}}}");
    check(widgets, OUTPUT_WRITTEN("[" STREAM_("xy") "]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_is_merged_by_member),
        cmocka_unit_test(only_models_with_a_name_are_written),
        cmocka_unit_test(messages_without_state_change_nothing),
        cmocka_unit_test(buffers_are_kept_by_path),
        cmocka_unit_test(what_is_captured_is_in_the_state),
        cmocka_unit_test(a_program_replaces_what_was_captured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
