#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/commands/run_doc.h"
#include "base/clock.h"
#include "base/mem.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ' for " in `text`. */
static void parse(struct json *doc, const char *text)
{
    char *copy = mem_strdup(text);
    struct err e;

    for (char *p = copy; *p; p++)
        if (*p == '\'')
            *p = '"';
    assert_int_equal(json_parse_take(doc, copy, strlen(copy), JSON_STRICT, NULL, &e), 0);
}

static void check_shown(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part, text);
}

/* --- reading --- */

static void the_end_is_an_exit_status(void **state)
{
    static const struct {
        const char *run;
        enum exit_status status;
    } rows[] = {
        {"{'status':'SUCCESS'}", EXIT_DONE},
        {"{'status':'FAILURE','steps':[]}", EXIT_NOT_SUCCESS},
        {"{'status':'ABORTED'}", EXIT_NOT_SUCCESS},
        {"{'status':'STARTED'}", EXIT_NOT_SUCCESS},
        {"{'status':7}", EXIT_NOT_SUCCESS},
        {"{'status':'FAILURE','steps':[{'failure':null},"
         "{'failure':{'cause':'launcher_unavailable'}}]}",
         EXIT_UNAVAILABLE},
        {"{'status':'SUCCESS','steps':[{'failure':{'cause':'launcher_unavailable'}}]}", EXIT_DONE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_json struct json doc = {0};
        parse(&doc, rows[i].run);
        assert_int_equal(run_doc_exit_status(&doc, 0), rows[i].status);
    }
}

static void names_are_the_best_there_are(void **state)
{
    static const struct {
        const char *object, *name, *label;
    } rows[] = {
        {"{'pipeline_name':'N','pipeline_path':'p','title':'T','file_path':'f'}", "N", "T"},
        {"{'pipeline_name':'','pipeline_path':'p','title':'','file_path':'f'}", "p", "f"},
        {"{'pipeline_name':null,'uuid':'u','title':1,'step_uuid':'s'}", "u", "s"},
        {"{}", "?", "?"},
        {"[]", "?", "?"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_json struct json doc = {0};
        parse(&doc, rows[i].object);
        auto_free char *name = run_doc_name(&doc, 0), *label = run_doc_label(&doc, 0);
        assert_string_equal(name, rows[i].name);
        assert_string_equal(label, rows[i].label);
    }
}

static void steps_are_found_by_what_fits_one(void **state)
{
    static const struct {
        const char *word, *uuid, *error;
    } rows[] = {
        {"u1", "u1", NULL},
        {"load", "u1", NULL},
        {"b.py", "u2", NULL},
        {"u3", "u3", NULL}, /* also the title of another */
        {"twice", NULL, "any of 2 steps"},
        {"laod", NULL, "did you mean \"load\"?"},
        {"", NULL, "no step \"\""},
    };
    auto_json struct json doc = {0};

    (void)state;
    parse(&doc, "{'steps':[{'step_uuid':'u1','title':'load','file_path':'a.py'},"
                "{'step_uuid':'u2','title':'u3','file_path':'b.py'},"
                "{'step_uuid':'u3','title':'twice','file_path':'c.py'},"
                "{'step_uuid':'u4','title':'twice','file_path':'d.py'}]}");
    for (size_t i = 0; i < COUNT(rows); i++) {
        json_at step = JSON_NONE;
        struct err e = {0};
        int result = run_doc_find_step(&doc, 0, rows[i].word, &step, &e);
        assert_int_equal(result, rows[i].uuid ? 0 : -1);
        if (rows[i].uuid)
            assert_true(json_is(&doc, json_get(&doc, step, "step_uuid"), rows[i].uuid));
        else
            check_shown(e.text, rows[i].error);
    }
}

/* --- showing --- */

static const char LONG_RUN[] =
    "{'uuid':'12345678-0000-4000-8000-000000000000','status':'STARTED','project':'a/long/way/down',"
    "'pipeline_name':'A pipeline with a name that is longer than any column',"
    "'created_time':'2026-11-22T01:00:00.000000Z','started_time':'2026-11-22T01:00:00.000000Z',"
    "'steps':[{'step_uuid':'s','title':'A step with a title that is longer than any column',"
    "'file_path':'a/rather/long/path/to/a/notebook.ipynb','status':'STARTED','attempt':1,"
    "'started_time':'2026-11-22T01:00:00.000000Z','cells_total':12,'cells_done':3}]}";

static int width_of_widest(const char *text)
{
    int widest = 0, width = 0;

    for (; *text; text++) {
        width = *text == '\n' ? 0 : width + (((unsigned char)*text & 0xc0) != 0x80);
        widest = width > widest ? width : widest;
    }
    return widest;
}

static void tables_fit_80_columns(void **state)
{
    auto_json struct json doc = {0};
    auto_table struct table *list = run_doc_list_new();
    auto_buf struct buf out = {0};

    (void)state;
    parse(&doc, LONG_RUN);
    run_doc_add(list, &doc, 0, time_text_parse("2026-11-22T01:01:05Z"));
    table_put(list, 80, &out);
    assert_int_equal(width_of_widest(out.data), 80);
    check_shown(out.data, "12345678  STARTED  ");
    check_shown(out.data, "  1:05 min  A pipeline");
    buf_reset(&out);
    run_doc_put(&doc, 0, time_text_parse("2026-11-22T01:01:05Z"), 80, &out);
    const char *table = strstr(out.data, "\n\n");
    assert_non_null(table);
    assert_int_equal(width_of_widest(table), 80);
    check_shown(table, "  1:05 min  3/12   a/rather");
}

static void what_is_missing_is_left_out(void **state)
{
    static const char *const rows[] = {"{}", "[]", "null", "{'steps':[{}]}", "{'steps':7}"};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_json struct json doc = {0};
        auto_table struct table *list = run_doc_list_new();
        auto_buf struct buf out = {0};
        parse(&doc, rows[i]);
        run_doc_put(&doc, 0, 0, 80, &out);
        check_shown(out.data, "STEP");
        run_doc_add(list, &doc, 0, 0);
        table_put(list, 80, &out);
        check_shown(out.data, "-    -       -        -     ?         -\n");
    }
}

static void a_run_that_waits_says_for_what(void **state)
{
    static const struct {
        const char *run, *text;
    } rows[] = {
        {"{}", ""},
        {"{'queue_position':null,'waiting_for':null}", ""},
        {"{'queue_position':2}", "number 2 in the queue"},
        {"{'queue_position':1,'waiting_for':'12345678-0000'}",
         "number 1 in the queue, waits for run 12345678 of the same pipeline"},
        {"{'waiting_for':'1234'}", "waits for run 1234 of the same pipeline"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_json struct json doc = {0};
        auto_buf struct buf out = {0};
        parse(&doc, rows[i].run);
        run_doc_put_waiting(&doc, 0, &out);
        assert_string_equal(buf_text(&out), rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_is_an_exit_status),
        cmocka_unit_test(names_are_the_best_there_are),
        cmocka_unit_test(steps_are_found_by_what_fits_one),
        cmocka_unit_test(tables_fit_80_columns),
        cmocka_unit_test(what_is_missing_is_left_out),
        cmocka_unit_test(a_run_that_waits_says_for_what),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
