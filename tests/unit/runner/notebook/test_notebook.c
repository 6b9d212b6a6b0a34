#include "runner/notebook/notebook.h"

#include "tests/unit/runner/notebook/quoted.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct notebook *read_text(const char *text)
{
    struct notebook *nb = NULL;
    struct err e = {0};
    char *copy = quoted(text);

    if (notebook_read(copy, strlen(copy), "x.ipynb", &nb, &e) < 0)
        fail_msg("%s: %s", text, e.text);
    return nb;
}

/* A notebook with these cells. */
static struct notebook *read_cells(const char *cells)
{
    auto_free char *text =
        mem_printf("{'nbformat':4,'nbformat_minor':5,'metadata':{},'cells':[%s]}", cells);

    return read_text(text);
}

#define CODE(id, source, more)                                                                     \
    "{'cell_type':'code','id':'" id "','source':'" source                                          \
    "','metadata':{},'execution_count':9,'outputs':[{'output_type':'stream','name':'stdout',"      \
    "'text':['old']}]" more "}"
#define TAGGED(id, source, tags)                                                                   \
    "{'cell_type':'code','id':'" id "','source':'" source "','metadata':{'tags':[" tags            \
    "]},'execution_count':null,'outputs':[]}"
#define MARKDOWN(id) "{'cell_type':'markdown','id':'" id "','source':'# t','metadata':{}}"

static void start(struct notebook *nb)
{
    notebook_start(nb, &(struct notebook_options){.errors = NOTEBOOK_ERRORS_STOP});
}

static void apply(struct notebook *nb, const char *line)
{
    auto_free char *text = quoted(line);
    struct err e = {0};

    if (notebook_apply(nb, str_of(text), &e) < 0)
        fail_msg("%s: %s", line, e.text);
}

static char *written(struct notebook *nb)
{
    struct buf out = {0};

    notebook_write(nb, &out);
    return buf_take(&out);
}

/* A part of the written file, found by keys and, from '0' on, indices; absent: "". */
static char *part(struct notebook *nb, const char *const *path)
{
    auto_free char *text = written(nb);
    auto_json struct json doc = {0};
    struct err e;
    json_at at = 0;

    assert_int_equal(json_parse(&doc, str_of(text), JSON_TOLERANT, NULL, &e), 0);
    for (; *path; path++)
        at = json_kind(&doc, at) == JSON_ARRAY ? json_item(&doc, at, (uint32_t)(**path - '0'))
                                               : json_get(&doc, at, *path);
    return unquoted(&doc, at);
}

static void check_part(struct notebook *nb, const char *const *path, const char *want)
{
    auto_free char *text = part(nb, path);

    assert_string_equal(text, want);
}

#define CHECK(nb, want, ...) check_part(nb, (const char *const[]){__VA_ARGS__, NULL}, want)

/* --- reading --- */

static void what_is_no_notebook_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } ROWS[] = {
        {"", "x.ipynb: "},
        {"{\n 'nbformat': }", "x.ipynb: line 2, column "},
        {"[]", "x.ipynb:1:1: not a notebook: \"nbformat\" is missing"},
        {"{}", "x.ipynb:1:1: not a notebook: \"nbformat\" is missing"},
        {"{\n 'nbformat': 3}", "x.ipynb:2:14: a notebook of an old format"},
        {"{'nbformat':2}", "x.ipynb:1:13: a notebook of an old format"},
        {"{'nbformat':5}", "x.ipynb:1:13: a notebook of a newer format"},
        {"{'nbformat':4,'nbformat_minor':'a'}", "x.ipynb:1:32: \"nbformat_minor\" is no number"},
        {"{'nbformat':4}", "x.ipynb:1:1: not a notebook: \"cells\" is no list"},
        {"{'nbformat':4,'cells':{}}", "x.ipynb:1:23: not a notebook: \"cells\" is no list"},
        {"{'nbformat':4,'metadata':1,'cells':[]}", "x.ipynb:1:26: \"metadata\" is no object"},
        {"{'nbformat':4,'cells':[1]}", "x.ipynb:1:24: a cell is no object"},
        {"{'nbformat':4,'cells':[{}]}", "x.ipynb:1:24: a cell without \"cell_type\""},
        {"{'nbformat':4,'cells':[{'cell_type':'raw','metadata':[]}]}",
         "x.ipynb:1:54: a cell's \"metadata\" is no object"},
        {"{'nbformat':4,'cells':[{'cell_type':'raw','source':['a',1]}]}",
         "x.ipynb:1:52: a cell's \"source\" is neither text nor lines of text"},
        {"{'nbformat':4,'cells':[{'cell_type':'code','outputs':{}}]}",
         "x.ipynb:1:54: a cell's \"outputs\" is no list"},
        {"{'nbformat':4,'cells':[{'cell_type':'code','outputs':[1]}]}",
         "x.ipynb:1:55: an output is no object"},
        {"{\n'nbformat':4,'\xff':1}", "x.ipynb:2:15: not UTF-8 text"},
    };

    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct notebook *nb = NULL;
        struct err e = {0};
        char *copy = quoted(ROWS[i].text);
        assert_int_equal(notebook_read(copy, strlen(copy), "x.ipynb", &nb, &e), -1);
        assert_null(nb);
        assert_int_equal(e.code, ERR_INVALID);
        if (strncmp(e.text, ROWS[i].error, strlen(ROWS[i].error)) != 0)
            fail_msg("\"%s\" is refused with: %s", ROWS[i].text, e.text);
    }
}

static void a_notebook_is_written_as_nbformat_does(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb = read_text(
        "{'nbformat_minor':5,'nbformat':4,'zz':1e2,'metadata':{'signature':'s','orig_nbformat':3,"
        "'kernelspec':{'name':'python3','display_name':'P','language':'python'}},'cells':["
        "{'source':['a\\n','b'],'cell_type':'markdown','id':'x','metadata':{'trusted':true},"
        "'attachments':{'i.png':{'image/png':['aa','bb'],'text/plain':'a\\nb'}}},"
        "{'cell_type':'code','id':'y','metadata':{},'source':'','execution_count':1,'outputs':["
        "{'output_type':'display_data','data':{'text/html':['<a>','</a>\\n','x']},'metadata':{}},"
        "{'output_type':'stream','name':'stdout','text':'a\\rb'}]}]}");
    auto_free char *want = quoted("{\n 'cells': [\n  {\n   'attachments': {\n    'i.png': {\n"
                                  "     'image/png': 'aabb',\n     'text/plain': [\n"
                                  "      'a\\n',\n      'b'\n     ]\n    }\n   },\n"
                                  "   'cell_type': 'markdown',\n   'id': 'x',\n"
                                  "   'metadata': {},\n   'source': [\n    'a\\n',\n    'b'\n"
                                  "   ]\n  },\n  {\n   'cell_type': 'code',\n"
                                  "   'execution_count': 1,\n   'id': 'y',\n   'metadata': {},\n"
                                  "   'outputs': [\n    {\n     'data': {\n"
                                  "      'text/html': [\n       '<a></a>\\n',\n       'x'\n"
                                  "      ]\n     },\n     'metadata': {},\n"
                                  "     'output_type': 'display_data'\n    },\n    {\n"
                                  "     'name': 'stdout',\n     'output_type': 'stream',\n"
                                  "     'text': [\n      'a\\r',\n      'b'\n     ]\n    }\n"
                                  "   ],\n   'source': []\n  }\n ],\n 'metadata': {\n"
                                  "  'kernelspec': {\n   'display_name': 'P',\n"
                                  "   'language': 'python',\n   'name': 'python3'\n  }\n },\n"
                                  " 'nbformat': 4,\n 'nbformat_minor': 5,\n 'zz': 1e2\n}\n");
    auto_free char *text = written(nb);

    assert_string_equal(text, want);
    assert_string_equal(notebook_kernel_name(nb), "python3");
    assert_string_equal(notebook_language(nb), "python");
}

static void incomplete_outputs_stay_as_they_are(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb = read_cells(
        "{'cell_type':'code','id':'a','source':' ','outputs':[{},{'output_type':'display_data'},"
        "{'output_type':'stream'},{'output_type':'else','data':['a','b']}]}");

    CHECK(nb,
          "[{},{'output_type':'display_data'},{'output_type':'stream'},{'data':['a','b'],"
          "'output_type':'else'}]",
          "cells", "0", "outputs");
}

static void an_empty_notebook_is_one(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb = read_text("{'nbformat':4,'cells':[]}");
    auto_free char *text = written(nb);

    assert_string_equal(text, "{\n \"cells\": [],\n \"metadata\": {},\n \"nbformat\": 4,\n"
                              " \"nbformat_minor\": 5\n}\n");
    assert_null(notebook_kernel_name(nb));
    assert_null(notebook_language(nb));
}

static void the_language_may_be_in_language_info(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb = read_text(
        "{'nbformat':4,'metadata':{'language_info':{'name':'R'},'kernelspec':{'name':'ir'}},"
        "'cells':[]}");

    assert_string_equal(notebook_language(nb), "R");
}

static void ids_are_kept_or_made(void **state)
{
    (void)state;
    static const char CELLS[] = "{'cell_type':'raw','id':'A-_9','source':''},"
                                "{'cell_type':'raw','source':'a'},"
                                "{'cell_type':'raw','id':'A-_9','source':'b'},"
                                "{'cell_type':'raw','id':'no good','source':'c'},"
                                "{'cell_type':'raw','id':'','source':'d'},"
                                "{'cell_type':'raw','id':7,'source':'d'}";
    auto_notebook struct notebook *nb = read_cells(CELLS), *again = read_cells(CELLS);

    start(nb);
    start(again);
    assert_string_equal(notebook_cell_id(nb, 0), "A-_9");
    for (uint32_t i = 1; i < notebook_cell_count(nb); i++) {
        const char *id = notebook_cell_id(nb, i);
        assert_int_equal(strspn(id, "0123456789abcdef"), 8);
        assert_int_equal(strlen(id), 8);
        assert_string_equal(id, notebook_cell_id(again, i));
        for (uint32_t j = 0; j < i; j++)
            assert_string_not_equal(id, notebook_cell_id(nb, j));
    }
}

static void an_old_minor_becomes_5_a_newer_stays(void **state)
{
    (void)state;
    auto_notebook struct notebook *old = read_text("{'nbformat':4,'nbformat_minor':0,'cells':[]}");
    auto_notebook struct notebook *newer =
        read_text("{'nbformat':4,'nbformat_minor':6,'cells':[]}");

    CHECK(old, "5", "nbformat_minor");
    CHECK(newer, "6", "nbformat_minor");
}

/* --- preparing --- */

static void check_sources(const struct notebook *nb, const char *want)
{
    auto_buf struct buf out = {0};

    for (uint32_t i = 0; i < notebook_cell_count(nb); i++) {
        struct str source = notebook_cell_source(nb, i);
        buf_printf(&out, "%s" STR_FMT, i ? "|" : "", STR_ARG(source));
    }
    assert_string_equal(buf_text(&out), want);
}

static void parameters_are_injected_where_papermill_does(void **state)
{
    (void)state;
    static const struct {
        const char *cells, *sources;
    } ROWS[] = {
        {"", "P"},
        {CODE("a", "1", "") "," MARKDOWN("b"), "P|1|# t"},
        {CODE("a", "1", "") "," TAGGED("b", "2", "'x','parameters'") "," TAGGED("c", "3",
                                                                                "'parame"
                                                                                "ters'"),
         "1|2|P|3"},
        {TAGGED("a", "1", "'injected-parameters'") "," TAGGED("b", "2", "'parameters'") "," TAGGED(
             "c", "3", "'injected-parameters'"),
         "P|2|3"},
        {TAGGED("a", "1", "'parameters'"), "1|P"},
    };

    for (size_t i = 0; i < COUNT(ROWS); i++) {
        auto_notebook struct notebook *nb = read_cells(ROWS[i].cells);
        notebook_inject(nb, STR("P"));
        start(nb);
        check_sources(nb, ROWS[i].sources);
    }
}

static void an_injected_cell_is_a_tagged_code_cell(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb = read_cells(CODE("a", "1", ""));

    notebook_inject(nb, STR("# Parameters\nx = 1\n"));
    CHECK(nb, "{'tags':['injected-parameters']}", "cells", "0", "metadata");
    CHECK(nb, "['# Parameters\\n','x = 1\\n']", "cells", "0", "source");
    CHECK(nb, "'code'", "cells", "0", "cell_type");
    CHECK(nb, "[]", "cells", "0", "outputs");
    CHECK(nb, "null", "cells", "0", "execution_count");
    start(nb);
    assert_int_equal(notebook_cell_action(nb, 0), CELL_RUN);
    assert_int_equal(strlen(notebook_cell_id(nb, 0)), 8);
}

static void cells_run_or_are_skipped(void **state)
{
    (void)state;
    static const enum cell_action ACTIONS[] = {CELL_RUN,        CELL_SKIP_KIND, CELL_SKIP_TAG,
                                               CELL_SKIP_BLANK, CELL_SKIP_KIND, CELL_RUN};
    auto_notebook struct notebook *nb = read_cells(
        CODE("a", "1", "") "," MARKDOWN("b") "," TAGGED("c", "2", "'skip-execution'") "," CODE(
            "d", " \\n\\t\\u00a0\\u3000\\u001f\\u0085",
            "") ","
                "{'cell_type':'else','id':'e','source':'x'}," TAGGED("f", "3",
                                                                     "'raises-exception'"));

    start(nb);
    for (uint32_t i = 0; i < COUNT(ACTIONS); i++)
        assert_int_equal(notebook_cell_action(nb, i), ACTIONS[i]);
    assert_int_equal(notebook_cells_total(nb), 2);
    assert_false(notebook_cell_allows_errors(nb, 0));
    assert_true(notebook_cell_allows_errors(nb, 5));
}

static void only_cells_that_run_are_reset(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb = read_cells(
        CODE("a", "1", "") "," CODE("b", " ", "") ",{'cell_type':'code','id':'c','source':'1',"
                                                  "'metadata':{'execution':{'x':'y'},'k':1},"
                                                  "'execution_count':2,'outputs':[]}");

    start(nb);
    CHECK(nb, "[]", "cells", "0", "outputs");
    CHECK(nb, "null", "cells", "0", "execution_count");
    CHECK(nb, "[{'name':'stdout','output_type':'stream','text':['old']}]", "cells", "1", "outputs");
    CHECK(nb, "9", "cells", "1", "execution_count");
    CHECK(nb, "", "cells", "2", "metadata", "execution");
    CHECK(nb, "1", "cells", "2", "metadata", "k");
}

static void errors_may_be_allowed_for_all(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb = read_cells(CODE("a", "1", ""));

    notebook_start(nb, &(struct notebook_options){.errors = NOTEBOOK_ERRORS_ALLOWED});
    assert_true(notebook_cell_allows_errors(nb, 0));
}

/* --- events --- */

#define AT(second) "'time':'2026-01-02T03:04:" second "Z'"
#define STARTED(cell, second)                                                                      \
    "{'event':'cell_started','cell_index':" cell ",'cells_total':9," AT(second) "}"
#define FINISHED(cell, status, second)                                                             \
    "{'event':'cell_finished','cell_index':" cell ",'status':'" status                             \
    "','execution_count':5,'timing':{'b':'2','a':'1'}," AT(second) "}"
#define PRINTED(cell, text)                                                                        \
    "{'event':'output','cell_index':" cell                                                         \
    ",'output':{'output_type':'stream','name':'stdout','text':'" text "'}}"
#define SHOWN(cell, value, id)                                                                     \
    "{'event':'output','cell_index':" cell ",'display_id':'" id                                    \
    "','output':{'output_type':'display_data','data':{'v':" value "},'metadata':{}}}"
#define DONE(status, second) "{'event':'step_finished','status':'" status "'," AT(second) "}"
#define STATE(name, exception, start, end, duration)                                               \
    "{'duration':" duration ",'end_time':" end ",'exception':" exception ",'start_time':" start    \
    ",'status':'" name "'}"
#define TIME(second) "'2026-01-02T03:04:" second "+00:00'"

static void a_run_that_succeeds(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb = read_cells(MARKDOWN("a") "," CODE(
        "b", "1", "") "," MARKDOWN("c") "," CODE("d", "2", "") "," MARKDOWN("e"));

    start(nb);
    CHECK(nb, STATE("pending", "null", "null", "null", "null"), "cells", "1", "metadata",
          "papermill");
    apply(nb, "{'event':'kernel_ready'," AT("05.000000") "}");
    apply(nb, STARTED("1", "06.000000"));
    CHECK(nb, STATE("completed", "false", TIME("06.000000"), TIME("06.000000"), "0.0"), "cells",
          "0", "metadata", "papermill");
    CHECK(nb, STATE("running", "false", TIME("06.000000"), "null", "null"), "cells", "1",
          "metadata", "papermill");
    CHECK(nb, "'pending'", "cells", "2", "metadata", "papermill", "status");
    apply(nb, PRINTED("1", "x"));
    CHECK(nb, "[{'name':'stdout','output_type':'stream','text':['x']}]", "cells", "1", "outputs");
    apply(nb, FINISHED("1", "ok", "07.250000"));
    assert_int_equal(notebook_cells_done(nb), 1);
    CHECK(nb, "5", "cells", "1", "execution_count");
    CHECK(nb, "{'a':'1','b':'2'}", "cells", "1", "metadata", "execution");
    CHECK(nb, STATE("completed", "false", TIME("06.000000"), TIME("07.250000"), "1.25"), "cells",
          "1", "metadata", "papermill");
    apply(nb, STARTED("3", "08.000000"));
    apply(nb, FINISHED("3", "ok", "08.500000"));
    CHECK(nb, "'pending'", "cells", "4", "metadata", "papermill", "status");
    apply(nb, DONE("SUCCESS", "09.000000"));
    CHECK(nb, "'completed'", "cells", "4", "metadata", "papermill", "status");
    CHECK(nb,
          "{'default_parameters':{},'duration':4.0,'end_time':" TIME(
              "09.000000") ","
                           "'environment_variables':{},'exception':null,'input_path':null,'output_"
                           "path':null,"
                           "'parameters':{},'start_time':" TIME("05.000000") ",'version':null}",
          "metadata", "papermill");
    assert_int_equal(notebook_cells_done(nb), notebook_cells_total(nb));
}

static void a_run_that_fails(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb =
        read_cells(CODE("a", "1", "") "," MARKDOWN("b") "," CODE("c", "2", ""));

    start(nb);
    apply(nb, STARTED("0", "06.000000"));
    apply(nb, FINISHED("0", "error", "07.000000"));
    apply(nb, DONE("FAILURE", "08.000000"));
    CHECK(nb, STATE("failed", "true", TIME("06.000000"), TIME("07.000000"), "1.0"), "cells", "0",
          "metadata", "papermill");
    CHECK(nb, "'pending'", "cells", "1", "metadata", "papermill", "status");
    CHECK(nb, "'pending'", "cells", "2", "metadata", "papermill", "status");
    CHECK(nb, "true", "metadata", "papermill", "exception");
}

static void an_allowed_error_is_no_failure(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb = read_cells(TAGGED("a", "1", "'raises-exception'"));

    start(nb);
    apply(nb, STARTED("0", "06.000000"));
    apply(nb, FINISHED("0", "error", "07.000000"));
    apply(nb, DONE("SUCCESS", "08.000000"));
    CHECK(nb, "'completed'", "cells", "0", "metadata", "papermill", "status");
    CHECK(nb, "null", "metadata", "papermill", "exception");
}

static void a_cell_that_was_cut_off_has_failed(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb = read_cells(CODE("a", "1", ""));

    start(nb);
    apply(nb, STARTED("0", "06.000000"));
    apply(nb, PRINTED("0", "so far"));
    apply(nb, DONE("FAILURE", "08.000000"));
    CHECK(nb, "'failed'", "cells", "0", "metadata", "papermill", "status");
    CHECK(nb, "['so far']", "cells", "0", "outputs", "0", "text");
    assert_int_equal(notebook_cells_done(nb), 0);
}

static void options_are_in_papermills_metadata(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb =
        read_text("{'nbformat':4,'metadata':{'papermill':{'parameters':{'old':1},'mine':2,"
                  "'default_parameters':{'d':1}}},'cells':[]}");

    notebook_start(nb, &(struct notebook_options){.input_path = "in.ipynb",
                                                  .output_path = "out.ipynb",
                                                  .parameters = STR("{\"b\":1e2,\"a\":[]}"),
                                                  .version = "1.0"});
    CHECK(nb, "{'a':[],'b':1e2}", "metadata", "papermill", "parameters");
    CHECK(nb, "'in.ipynb'", "metadata", "papermill", "input_path");
    CHECK(nb, "'out.ipynb'", "metadata", "papermill", "output_path");
    CHECK(nb, "'1.0'", "metadata", "papermill", "version");
    CHECK(nb, "2", "metadata", "papermill", "mine");
    CHECK(nb, "{'d':1}", "metadata", "papermill", "default_parameters");
}

static void the_kernel_describes_its_language(void **state)
{
    (void)state;
    static const char READY[] = "{'event':'kernel_ready','kernel':{'name':'k','language':'l',"
                                "'display_name':'K'},'language_info':{'version':'2','name':'l'}}";
    auto_notebook struct notebook *with =
        read_text("{'nbformat':4,'metadata':{'kernelspec':{'name':'mine'},'language_info':{'a':1}},"
                  "'cells':[]}");
    auto_notebook struct notebook *without = read_text("{'nbformat':4,'cells':[]}");

    start(with);
    apply(with, READY);
    CHECK(with, "{'name':'l','version':'2'}", "metadata", "language_info");
    CHECK(with, "{'name':'mine'}", "metadata", "kernelspec");
    start(without);
    apply(without, READY);
    CHECK(without, "{'name':'l','version':'2'}", "metadata", "language_info");
}

static void clear_output_clears_a_cell(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb = read_cells(CODE("a", "1", "") "," CODE("b", "2", ""));

    start(nb);
    apply(nb, STARTED("0", "06"));
    apply(nb, PRINTED("0", "x"));
    apply(nb, "{'event':'output_cleared','cell_index':0,'wait':false}");
    CHECK(nb, "[]", "cells", "0", "outputs");
    apply(nb, PRINTED("0", "y"));
    apply(nb, "{'event':'output_cleared','cell_index':0,'wait':true}");
    apply(nb, FINISHED("0", "ok", "07"));
    apply(nb, STARTED("1", "08"));
    apply(nb, PRINTED("1", "z")); /* what waited in the cell before does not clear this one */
    apply(nb, PRINTED("1", "z"));
    CHECK(nb, "['y']", "cells", "0", "outputs", "0", "text");
    CHECK(nb, "['zz']", "cells", "1", "outputs", "0", "text");
}

static void a_display_is_the_same_in_all_cells(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb = read_cells(CODE("a", "1", "") "," CODE("b", "2", ""));

    start(nb);
    apply(nb, "{'event':'output_updated','display_id':'d','data':{'v':0},'metadata':{}}");
    apply(nb, STARTED("0", "06"));
    apply(nb, SHOWN("0", "1", "d"));
    apply(nb, SHOWN("0", "2", "e"));
    CHECK(nb, "{'v':1}", "cells", "0", "outputs", "0", "data");
    apply(nb, FINISHED("0", "ok", "07"));
    apply(nb, STARTED("1", "08"));
    apply(nb, SHOWN("1", "3", "d"));
    CHECK(nb, "{'v':3}", "cells", "0", "outputs", "0", "data");
    apply(nb, "{'event':'output_updated','display_id':'d','data':{'v':4},'metadata':{'m':5}}");
    CHECK(nb, "{'v':4}", "cells", "0", "outputs", "0", "data");
    CHECK(nb, "{'m':5}", "cells", "0", "outputs", "0", "metadata");
    CHECK(nb, "{'v':2}", "cells", "0", "outputs", "1", "data");
    CHECK(nb, "{'v':4}", "cells", "1", "outputs", "0", "data");
    apply(nb, "{'event':'output_cleared','cell_index':1,'wait':false}");
    apply(nb, "{'event':'output_updated','display_id':'d','data':{'v':6},'metadata':{}}");
    CHECK(nb, "[]", "cells", "1", "outputs");
    CHECK(nb, "{'v':6}", "cells", "0", "outputs", "0", "data");
}

static void widgets_replace_those_of_the_source(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb =
        read_text("{'nbformat':4,'metadata':{'widgets':{'old':1}},'cells':[]}");

    start(nb);
    CHECK(nb, "{'old':1}", "metadata", "widgets");
    apply(nb, "{'event':'comm','msg_type':'comm_open','content':{'comm_id':'c','data':{'state':{"
              "'_model_name':'M'}}},'buffers':[]}");
    CHECK(nb, "'M'", "metadata", "widgets", "application/vnd.jupyter.widget-state+json", "state",
          "c", "model_name");
    CHECK(nb, "", "metadata", "widgets", "old");
}

static void events_that_cannot_be_change_nothing(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb =
        read_cells(MARKDOWN("a") "," CODE("b", " ", "") "," CODE("c", "1", ""));
    static const char *const LINES[] = {
        STARTED("0", "06"),
        STARTED("1", "06"),
        STARTED("3", "06"),
        STARTED("-1", "06"),
        STARTED("4294967298", "06"),
        PRINTED("0", "x"),
        PRINTED("1", "x"),
        FINISHED("2", "ok", "06"), /* was never started */
        "{'event':'cell_started'}",
        "{'event':'something'}",
        "{'event':7}",
        "{}",
    };

    start(nb);
    apply(nb, "{" AT("05") "}");
    auto_free char *before = written(nb);
    for (size_t i = 0; i < COUNT(LINES); i++)
        apply(nb, LINES[i]);
    auto_free char *after = written(nb);
    assert_string_equal(before, after);
    assert_int_equal(notebook_cells_done(nb), 0);
}

static void a_line_that_is_no_object_is_refused(void **state)
{
    (void)state;
    auto_notebook struct notebook *nb = read_cells("");
    struct err e = {0};

    start(nb);
    assert_int_equal(notebook_apply(nb, STR("[]"), &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_int_equal(notebook_apply(nb, STR("{"), &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
}

static void a_replay_comes_to_the_same_bytes(void **state)
{
    (void)state;
    static const char CELLS[] = CODE("", "1", "") "," MARKDOWN("b") "," CODE("c", "2", "");
    static const char *const LINES[] = {
        "{'event':'kernel_ready','language_info':{'name':'x'}," AT("05") "}",
        STARTED("1", "06"),
        SHOWN("1", "1", "d"),
        FINISHED("1", "ok", "07"),
        STARTED("3", "08"),
        SHOWN("3", "2", "d"),
        PRINTED("3", "text\\n"),
    };
    auto_notebook struct notebook *live = read_cells(CELLS), *replayed = read_cells(CELLS);
    char path[] = "/tmp/segue-test-XXXXXX";
    auto_close int fd = mkstemp(path);
    struct err e = {0};

    assert_true(fd >= 0);
    notebook_inject(live, STR("x = 1\n"));
    notebook_inject(replayed, STR("x = 1\n"));
    start(live);
    start(replayed);
    for (size_t i = 0; i < COUNT(LINES); i++) {
        auto_free char *line = quoted(LINES[i]);
        apply(live, LINES[i]);
        dprintf(fd, "%s\n", line);
        free(written(live)); /* what is kept from writing must not matter */
    }
    dprintf(fd, "{\"event\":\"torn");
    if (notebook_replay(replayed, path, &e) < 0)
        fail_msg("%s", e.text);
    auto_free char *want = written(live), *got = written(replayed);
    assert_string_equal(got, want);

    dprintf(fd, "\n");
    assert_int_equal(notebook_replay(replayed, path, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    unlink(path);
    assert_int_equal(notebook_replay(replayed, path, &e), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_notebook_is_refused_with_its_place),
        cmocka_unit_test(a_notebook_is_written_as_nbformat_does),
        cmocka_unit_test(incomplete_outputs_stay_as_they_are),
        cmocka_unit_test(an_empty_notebook_is_one),
        cmocka_unit_test(the_language_may_be_in_language_info),
        cmocka_unit_test(ids_are_kept_or_made),
        cmocka_unit_test(an_old_minor_becomes_5_a_newer_stays),
        cmocka_unit_test(parameters_are_injected_where_papermill_does),
        cmocka_unit_test(an_injected_cell_is_a_tagged_code_cell),
        cmocka_unit_test(cells_run_or_are_skipped),
        cmocka_unit_test(only_cells_that_run_are_reset),
        cmocka_unit_test(errors_may_be_allowed_for_all),
        cmocka_unit_test(a_run_that_succeeds),
        cmocka_unit_test(a_run_that_fails),
        cmocka_unit_test(an_allowed_error_is_no_failure),
        cmocka_unit_test(a_cell_that_was_cut_off_has_failed),
        cmocka_unit_test(options_are_in_papermills_metadata),
        cmocka_unit_test(the_kernel_describes_its_language),
        cmocka_unit_test(clear_output_clears_a_cell),
        cmocka_unit_test(a_display_is_the_same_in_all_cells),
        cmocka_unit_test(widgets_replace_those_of_the_source),
        cmocka_unit_test(events_that_cannot_be_change_nothing),
        cmocka_unit_test(a_line_that_is_no_object_is_refused),
        cmocka_unit_test(a_replay_comes_to_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
