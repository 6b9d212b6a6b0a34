#include "api/service/run_request.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* PROJECTS/p with p.json (a -> b -> c), wrong.json, and the files of its steps but for c's;
 * PROJECTS/out leads outside. */
struct fixture {
    char *base, *projects, *project;
};

#define STEP_A "\"a\":{\"title\":\"First\",\"file_path\":\"a.py\"}"
#define STEP_B "\"b\":{\"file_path\":\"b.py\",\"incoming_connections\":[\"a\"]}"
#define STEP_C "\"c\":{\"file_path\":\"c.py\",\"incoming_connections\":[\"b\"]}"
#define PIPELINE                                                                                   \
    "{\"uuid\":\"pipe\",\"parameters\":{\"x\":1},\"steps\":{" STEP_A "," STEP_B "," STEP_C "}}"

static void write_file(const char *directory, const char *name, const char *text)
{
    auto_free char *path = fs_join(directory, name);
    struct err e;
    assert_int_equal(fs_write(path, str_of(text), 0600, FS_NO_SYNC, &e), 0);
}

static int set_up(void **state)
{
    char template[] = "/tmp/segue-test-XXXXXX";
    struct err e;
    assert_non_null(mkdtemp(template));
    struct fixture *f = mem_zalloc(sizeof *f);
    f->base = realpath(template, NULL);
    f->projects = fs_join(f->base, "projects");
    f->project = fs_join(f->projects, "p");
    assert_int_equal(fs_mkdirs(f->project, 0700, &e), 0);
    write_file(f->project, "p.json", PIPELINE);
    write_file(f->project, "wrong.json",
               "{\"steps\":{\n  \"a\":{\"incoming_connections\":[\"z\"]}}}");
    write_file(f->project, "a.py", "");
    write_file(f->project, "b.py", "");
    auto_free char *link = fs_join(f->projects, "out");
    assert_int_equal(symlink("/etc", link), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct err e;
    assert_int_equal(fs_remove_tree(f->base, &e), 0);
    free(f->base);
    free(f->projects);
    free(f->project);
    free(f);
    return 0;
}

static int read_body(const struct fixture *f, const char *text, struct run_request *request,
                     struct problems *problems, struct err *e)
{
    auto_json struct json body = {0};
    if (json_parse(&body, str_of(text), JSON_STRICT, NULL, e) < 0)
        fail_msg("%s: %s", text, e->text);
    return run_request_read(request, &body, f->projects, problems, e);
}

static void must_read(const struct fixture *f, const char *text, struct run_request *request)
{
    auto_problems struct problems problems = {0};
    struct err e;
    if (read_body(f, text, request, &problems, &e) < 0)
        fail_msg("%s: %s", text, e.text);
    assert_int_equal(problems.total, 0);
}

/* --- what is accepted --- */

static void a_path_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    auto_run_request struct run_request request = {0};
    must_read(f, "{\"project\":\"p\",\"pipeline_path\":\"p.json\"}", &request);
    assert_string_equal(request.source.project.dir, f->project);
    assert_string_equal(request.source.project.pipeline_path, "p.json");
    assert_string_equal(request.source.pipeline->uuid, "pipe");
    assert_int_equal(request.run_type, RUN_FULL);
    assert_int_equal(request.selected_count, 0);
    assert_int_equal(request.definition.len, 0);
    assert_int_equal(request.parameters.len, 0);
    assert_false(request.in_place);
    assert_int_equal(request.keep_kernels_s, 0);
    assert_int_equal(request.timeout_s, 0);
}

static void everything(void **state)
{
    struct fixture *f = *state;
    auto_run_request struct run_request request = {0};
    must_read(f,
              "{\"project\":\"./p/\",\"pipeline_path\":\"p.json\",\"run_type\":\"upto\","
              "\"uuids\":[\"b\",\"a\",\"b\"],\"in_place\":true,\"pipeline_definition\":null,"
              "\"keep_kernels\":86400,\"timeout\":2592000,"
              "\"parameters\":{ \"pipeline_parameters\":{\"x\" : 0.10,\"y\":[]}, \"b\":{\"z\":2}}}",
              &request);
    assert_int_equal(request.run_type, RUN_UPTO);
    assert_int_equal(request.selected_count, 3);
    assert_int_equal(request.selected[0], 1);
    assert_int_equal(request.selected[1], 0);
    assert_true(request.in_place);
    assert_int_equal(request.keep_kernels_s, 86400);
    assert_int_equal(request.timeout_s, 2592000);
    assert_string_equal(request.parameters.data,
                        "{\"pipeline_parameters\":{\"x\":0.10,\"y\":[]},\"b\":{\"z\":2}}");
    assert_string_equal(request.definition.data,
                        "{\"uuid\":\"pipe\",\"parameters\":{\"x\":0.10,\"y\":[]},\"steps\":{" STEP_A
                        ",\"b\":{\"parameters\":{\"z\":2},\"file_path\":\"b.py\",\"incoming_"
                        "connections\":[\"a\"]}," STEP_C "}}");
}

static void a_definition_alone_lies_in_the_project(void **state)
{
    struct fixture *f = *state;
    auto_run_request struct run_request request = {0};
    struct uuid derived = uuid_from_name(f->project);
    must_read(f, "{\"pipeline_definition\": {\"steps\" : { }},\"project\":\"p\"}", &request);
    assert_string_equal(request.source.project.pipeline_path, "");
    assert_string_equal(request.source.project.pipeline_dir, ".");
    assert_string_equal(request.source.pipeline->uuid, derived.text);
    assert_string_equal(request.source.pipeline->doc.text, "{\"steps\" : { }}"); /* byte for byte */
}

static void a_definition_stands_for_the_file_at_its_path(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"p.json", "new.json"};
    for (size_t i = 0; i < 2; i++) {
        auto_run_request struct run_request request = {0};
        auto_free char *text =
            mem_printf("{\"project\":\"p\",\"pipeline_path\":\"%s\","
                       "\"pipeline_definition\":{\"name\":\"mine\",\"steps\":{}}}",
                       paths[i]);
        auto_free char *origin = fs_join(f->project, paths[i]);
        struct uuid derived = uuid_from_name(origin);
        must_read(f, text, &request);
        assert_string_equal(request.source.project.pipeline_path, paths[i]);
        assert_string_equal(request.source.pipeline->name, "mine");
        assert_string_equal(request.source.pipeline->uuid, derived.text);
    }
}

/* --- what is refused --- */

#define P      "\"project\":\"p\",\"pipeline_path\":\"p.json\""
#define INLINE "\"project\":\"p\",\"pipeline_definition\":"

static const struct wrong {
    const char *name;
    const char *body;
    const char *expected; /* pointer:line:column: detail, a line for each */
} wrongs[] = {
    {"no object", "[]", ":1:1: the body must be an object, is an array\n"},
    {"nothing", "{}",
     ":1:1: \"project\" is missing\n"
     ":1:1: \"pipeline_path\" or \"pipeline_definition\" is missing\n"},
    {"unknown", "{" P ",\n \"uuid\":[]}",
     "/uuid:2:2: unknown field \"uuid\"; did you mean \"uuids\"?\n"},
    {"unknown, far from all", "{" P ",\"colour\":1}", "/colour:1:41: unknown field \"colour\"\n"},
    {"a key with an escape", "{" P ",\"~/\":1}", "/~0~1:1:41: unknown field \"~/\"\n"},
    {"twice", "{" P ",\"project\":\"p\"}", "/project:1:41: \"project\" is there twice\n"},
    {"wrong types",
     "{\"project\":1,\"pipeline_path\":[],\"run_type\":{},\"uuids\":\"a\",\"parameters\":[],"
     "\"in_place\":1,\"pipeline_definition\":\"{}\"}",
     "/project:1:12: must be a string, is a number\n"
     "/pipeline_path:1:30: must be a string, is an array\n"
     "/run_type:1:44: must be a string, is an object\n"
     "/uuids:1:55: must be an array, is a string\n"
     "/parameters:1:72: must be an object, is an array\n"
     "/in_place:1:86: must be true or false, is a number\n"
     "/pipeline_definition:1:110: must be an object, is a string\n"},
    {"kept for too long", "{" P ",\"keep_kernels\":86401}",
     "/keep_kernels:1:56: must be a number of seconds, 0 to 86400, whole\n"},
    {"kept for less than nothing", "{" P ",\"keep_kernels\":-1}",
     "/keep_kernels:1:56: must be a number of seconds, 0 to 86400, whole\n"},
    {"kept for a part of a second", "{" P ",\"keep_kernels\":1.5}",
     "/keep_kernels:1:56: must be a number of seconds, 0 to 86400, whole\n"},
    {"longer than a month", "{" P ",\"timeout\":2592001}",
     "/timeout:1:51: must be a number of seconds, 0 to 2592000, whole\n"},
    {"a time limit in the past", "{" P ",\"timeout\":-1}",
     "/timeout:1:51: must be a number of seconds, 0 to 2592000, whole\n"},
    {"kept for a text", "{" P ",\"keep_kernels\":\"10m\"}",
     "/keep_kernels:1:56: must be a number, is a string\n"},
    {"null is no project", "{\"project\":null,\"pipeline_path\":\"p.json\"}",
     "/project:1:12: must be a string, is null\n"},
    {"a project outside", "{\"project\":\"../x\",\"pipeline_path\":\"p.json\"}",
     "/project:1:12: \"../x\" leads out of \"PROJECTS\"\n"},
    {"a link to outside", "{\"project\":\"out\",\"pipeline_path\":\"passwd\"}",
     "/project:1:12: \"out\" leads out of \"PROJECTS\"\n"},
    {"an absolute project", "{\"project\":\"/etc\",\"pipeline_path\":\"passwd\"}",
     "/project:1:12: \"/etc\" is an absolute path\n"},
    {"an empty project", "{\"project\":\"\",\"pipeline_path\":\"p.json\"}",
     "/project:1:12: the path is empty\n"},
    {"NUL in a project", "{\"project\":\"p\\u0000/x\",\"pipeline_path\":\"p.json\"}",
     "/project:1:12: may not contain U+0000\n"},
    {"no such project", "{\"project\":\"q\",\"pipeline_path\":\"p.json\"}",
     "/project:1:12: cannot open \"q\" in \"PROJECTS\": no such file or directory\n"},
    {"a file as project", "{\"project\":\"p/a.py\",\"pipeline_path\":\"p.json\"}",
     "/project:1:12: \"p/a.py\" is no directory\n"},
    {"no such pipeline", "{\"project\":\"p\",\n\"pipeline_path\":\"q.json\"}",
     "/pipeline_path:2:17: cannot open \"q.json\" in \"PROJECTS/p\": no such file or directory\n"},
    {"a pipeline outside", "{\"project\":\"p\",\"pipeline_path\":\"../../p/p.json\"}",
     "/pipeline_path:1:32: \"../../p/p.json\" leads out of \"PROJECTS/p\"\n"},
    {"NUL in a pipeline", "{\"project\":\"p\",\"pipeline_path\":\"p.json\\u0000\"}",
     "/pipeline_path:1:32: may not contain U+0000\n"},
    {"run_type", "{" P ",\"run_type\":\"ful\"}",
     "/run_type:1:52: unknown run type \"ful\"; known are full, selection, incoming, upto and "
     "from\n"},
    {"uuids", "{" P ",\"run_type\":\"upto\",\"uuids\":[\"a\",1,null]}",
     "/uuids/1:1:72: must be a step's uuid, is a number\n"
     "/uuids/2:1:74: must be a step's uuid, is null\n"},
    {"unknown uuid", "{" P ",\"run_type\":\"upto\",\"uuids\":[\"nowhere\"]}",
     "/uuids/0:1:68: no step has the uuid, title or file path \"nowhere\"\n"},
    {"a title is no uuid", "{" P ",\"uuids\":[\"First\"]}",
     "/uuids/0:1:50: \"First\" is no uuid; the step's is \"a\"\n"},
    {"parameters of unknown steps",
     "{" P ",\"parameters\":{\"b\":1,\"nowhere\":{},\"pipeline_parameter\":{}}}",
     "/parameters/b:1:59: must be an object, is a number\n"
     "/parameters/nowhere:1:61: no step has the uuid, title or file path \"nowhere\"\n"
     "/parameters/pipeline_parameter:1:74: unknown step \"pipeline_parameter\"; did you mean "
     "\"pipeline_parameters\"?\n"},
    {"NUL in a parameter's name", "{" P ",\"parameters\":{\"a\":{\"x\\u0000\":1}}}",
     "/parameters/a/x:1:60: may not contain U+0000\n"},
    {"the file's places", "{\"project\":\"p\",\"pipeline_path\":\"wrong.json\"}",
     "/steps/a/incoming_connections/0:2:32: unknown step \"z\"\n"},
    {"the body comes before the file",
     "{\"project\":\"p\",\"pipeline_path\":\"wrong.json\",\"x\":1}",
     "/x:1:45: unknown field \"x\"\n"},
    {"a definition's places, first line",
     "{" INLINE "{\"steps\":{\"a\":{\"incoming_connections\":[\"z\"]}}}}",
     "/pipeline_definition/steps/a/incoming_connections/0:1:77: unknown step \"z\"\n"},
    {"a definition's places, later lines",
     "{\n\"project\":\"p\",\n  \"pipeline_definition\":{\n\"steps\":{\"a\":{\"title\":1}}}}",
     "/pipeline_definition/steps/a/title:4:23: must be a string, is a number\n"},
    {"a definition without steps", "{" INLINE "{}}",
     "/pipeline_definition:1:38: has no \"steps\"\n"},
    {"all of it at once",
     "{\"project\":\"q\",\"run_type\":\"x\",\"uuids\":[\"z\"],\"zzz\":0,"
     "\"pipeline_definition\":{\"steps\":{\"a\":{\"title\":1}}}}",
     "/zzz:1:45: unknown field \"zzz\"\n"
     "/project:1:12: cannot open \"q\" in \"PROJECTS\": no such file or directory\n"
     "/pipeline_definition/steps/a/title:1:98: must be a string, is a number\n"
     "/run_type:1:27: unknown run type \"x\"; known are full, selection, incoming, upto and "
     "from\n"},
};

static void put_replaced(struct buf *out, const char *text, const char *what, const char *with)
{
    for (const char *at; (at = strstr(text, what)); text = at + strlen(what)) {
        buf_put(out, text, (size_t)(at - text));
        buf_puts(out, with);
    }
    buf_puts(out, text);
}

/* What is found, with the directories' name taken out. */
static char *shown(const struct fixture *f, const struct problems *problems)
{
    auto_buf struct buf text = {0};
    struct buf out = {0};
    for (uint32_t i = 0; i < problems->count; i++) {
        const struct problem *p = &problems->items[i];
        buf_printf(&text, "%s:%u:%u: %s\n", p->pointer, p->line, p->column, p->detail);
    }
    put_replaced(&out, buf_text(&text), f->projects, "PROJECTS");
    return buf_take(&out);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        const struct wrong *wrong = &wrongs[i];
        auto_problems struct problems problems = {0};
        auto_run_request struct run_request request = {0};
        struct err e = {0};
        if (read_body(f, wrong->body, &request, &problems, &e) == 0)
            fail_msg("%s: accepted", wrong->name);
        auto_free char *found = shown(f, &problems);
        if (strcmp(found, wrong->expected) != 0)
            print_error("%s: %s", wrong->name, found);
        assert_string_equal(found, wrong->expected);
        assert_int_equal(e.code, ERR_INVALID);
        assert_null(request.source.pipeline);
    }
}

static void too_many_parameters(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf body = {0};
    auto_problems struct problems problems = {0};
    struct run_request request = {0};
    struct err e;
    buf_puts(&body, "{" P ",\"parameters\":{\"a\":{");
    for (unsigned i = 0; i <= LIMIT_REQUEST_PARAMETERS; i++)
        buf_printf(&body, "%s\"x%u\":0", i ? "," : "", i);
    buf_puts(&body, "}}}");
    assert_int_equal(read_body(f, body.data, &request, &problems, &e), -1);
    assert_string_equal(problems.items[0].pointer, "/parameters");
}

static void many_unknown_uuids_are_counted(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf body = {0};
    auto_problems struct problems problems = {0};
    struct run_request request = {0};
    struct err e;
    buf_puts(&body, "{" P ",\"uuids\":[");
    for (unsigned i = 0; i < 5000; i++)
        buf_printf(&body, "%s\"nowhere%u\"", i ? "," : "", i);
    buf_puts(&body, "]}");
    assert_int_equal(read_body(f, body.data, &request, &problems, &e), -1);
    assert_int_equal(problems.count, LIMIT_PROBLEMS);
    assert_int_equal(problems.total, 5000);
    assert_string_equal(problems.items[99].detail, "unknown step \"nowhere99\"");
}

/* --- what comes of it --- */

static void a_plan(void **state)
{
    struct fixture *f = *state;
    auto_run_request struct run_request request = {0};
    auto_plan struct plan *plan = NULL;
    auto_problems struct problems problems = {0};
    struct err e;
    must_read(f, "{" P ",\"run_type\":\"upto\",\"uuids\":[\"b\"]}", &request);
    assert_int_equal(run_request_plan(&request, &plan, &problems, &e), 0);
    assert_int_equal(plan->count, 2);
}

static void nothing_to_run(void **state)
{
    struct fixture *f = *state;
    auto_run_request struct run_request request = {0};
    auto_problems struct problems problems = {0};
    struct plan *plan;
    struct err e;
    must_read(f, "{" P ",\"run_type\":\"selection\"}", &request);
    assert_int_equal(run_request_plan(&request, &plan, &problems, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_int_equal(problems.total, 0);
}

static void a_submission_with_its_parameters(void **state)
{
    struct fixture *f = *state;
    auto_run_request struct run_request request = {0};
    auto_submission struct submission *submission = NULL;
    auto_problems struct problems problems = {0};
    struct err e;
    must_read(f,
              "{" P ",\"run_type\":\"upto\",\"uuids\":[\"b\"],\"in_place\":true,\"keep_kernels\":"
              "60,\"timeout\":90,"
              "\"parameters\":{\"pipeline_parameters\":{\"x\":2}}}",
              &request);
    if (run_request_submission(&request, &submission, &problems, &e) < 0)
        fail_msg("%s", e.text);
    const struct parameters *parameters = &submission->pipeline->parameters;
    int64_t x = 0;
    assert_true(json_int(parameters->doc, json_get(parameters->doc, parameters->at, "x"), &x));
    assert_int_equal(x, 2);
    assert_string_equal(submission->parameters, "{\"pipeline_parameters\":{\"x\":2}}");
    assert_string_equal(submission->selected[0], "b");
    assert_true(submission->in_place);
    assert_int_equal(submission->keep_kernels_s, 60);
    assert_int_equal(submission->timeout_s, 90);
}

/* The parameters move what stands behind them; whoever asked wants to know where he has it. */
static void missing_files_have_the_place_that_was_given(void **state)
{
    struct fixture *f = *state;
    static const char *const bodies[][2] = {
        {"{" P ",\"parameters\":{\"pipeline_parameters\":{\"long\":\"long\"}}}",
         "/steps/c/file_path:1:158: cannot open \"./c.py\" in \"PROJECTS/p\": "
         "no such file or directory\n"},
        {"{" INLINE "\n" PIPELINE ",\"parameters\":{\"a\":{\"long\":\"long\"}}}",
         "/pipeline_definition/steps/c/file_path:2:158: cannot open \"./c.py\" in \"PROJECTS/p\": "
         "no such file or directory\n"},
    };
    for (size_t i = 0; i < 2; i++) {
        auto_run_request struct run_request request = {0};
        auto_problems struct problems problems = {0};
        struct submission *submission;
        struct err e;
        must_read(f, bodies[i][0], &request);
        assert_int_equal(run_request_submission(&request, &submission, &problems, &e), -1);
        assert_int_equal(e.code, ERR_INVALID);
        auto_free char *found = shown(f, &problems);
        assert_string_equal(found, bodies[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_path_and_nothing_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(everything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_definition_alone_lies_in_the_project, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_definition_stands_for_the_file_at_its_path, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_said_with_its_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_parameters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_unknown_uuids_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_plan, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_to_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_submission_with_its_parameters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missing_files_have_the_place_that_was_given, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
