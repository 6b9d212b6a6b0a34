#include "runner/plan/pipeline.h"

#include "base/fs.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define DATA         "tests/data/pipelines"

static struct pipeline *parsed(const char *text)
{
    struct pipeline *pipeline = NULL;
    auto_problems struct problems problems = {0};
    struct err e = {0};
    if (pipeline_parse(str_of(text), "here", &pipeline, &problems, &e))
        fail_msg("%s: %s", text, e.text);
    assert_int_equal(problems.total, 0);
    return pipeline;
}

static struct pipeline *read_data(const char *name)
{
    struct pipeline *pipeline = NULL;
    auto_problems struct problems problems = {0};
    struct err e = {0};
    if (pipeline_read(DATA, name, &pipeline, &problems, &e))
        fail_msg("%s", e.text);
    return pipeline;
}

/* "line:column pointer: detail" of every problem, a line each. */
static char *problems_text(const struct problems *problems)
{
    struct buf out = {0};
    for (uint32_t i = 0; i < problems->count; i++) {
        const struct problem *p = &problems->items[i];
        buf_printf(&out, "%s%u:%u %s: %s", i ? "\n" : "", p->line, p->column, p->pointer,
                   p->detail);
    }
    return buf_take(&out);
}

static void assert_refused(const char *text, const char *expected)
{
    struct pipeline *pipeline = NULL;
    auto_problems struct problems problems = {0};
    struct err e = {0};
    assert_int_equal(pipeline_parse(str_of(text), "here", &pipeline, &problems, &e), -1);
    assert_null(pipeline);
    assert_int_equal(e.code, ERR_INVALID);
    auto_free char *found = problems_text(&problems);
    assert_string_equal(found, expected);
}

static void assert_incoming(const struct pipeline *pipeline, uint32_t step, const char *expected)
{
    char found[64] = "";
    struct step_list list = pipeline->steps[step].incoming;
    for (uint32_t i = 0; i < list.count; i++)
        strcat(found, pipeline->steps[list.at[i]].uuid);
    assert_string_equal(found, expected);
}

/* --- what is accepted --- */

static void the_current_version_is_read_unchanged(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *p = read_data("housing.orchest");
    assert_string_equal(p->name, "California housing");
    assert_string_equal(p->uuid, "a6ead519-1a2b-4c3d-8e4f-e9000006a4eb");
    assert_int_equal(p->step_count, 7);
    assert_int_equal(p->max_steps_parallelism, 0);
    assert_false(p->auto_eviction);
    assert_int_equal(json_count(p->parameters.doc, p->parameters.at), 3);
    uint32_t at;
    struct err e;
    assert_int_equal(pipeline_find_step(p, "Collect results", &at, &e), 0);
    const struct pipeline_step *step = &p->steps[at];
    assert_string_equal(step->file_path, "collect.py");
    assert_string_equal(step->environment, "b6527b0b-bfcc-4aff-91d1-37f9dfd5d8e8");
    assert_string_equal(step->kernel_name, "python");
    assert_int_equal(step->kind, STEP_PYTHON);
    assert_int_equal(step->incoming.count, 3);
    static const char *const PARENTS[] = {"Linear regression", "Random forest", "Decision tree"};
    for (uint32_t i = 0; i < 3; i++)
        assert_string_equal(p->steps[step->incoming.at[i]].title, PARENTS[i]);
    assert_int_equal(pipeline_find_step(p, "Get data", &at, &e), 0);
    assert_int_equal(json_count(&p->doc, p->steps[at].parameters.at), 3);
}

static void version_1_0_0(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *p = read_data("version-1.0.0.orchest");
    assert_int_equal(p->step_count, 2);
    assert_true(p->auto_eviction);
    assert_int_equal(p->parameters.at, JSON_NONE);
    assert_ptr_equal(p->parameters.doc, &p->doc);
    assert_string_equal(p->steps[1].kernel_name, "ir");
    assert_string_equal(p->steps[0].title, "second");
    assert_int_equal(p->steps[0].incoming.count, 1);
    assert_int_equal(p->steps[0].incoming.at[0], 1);
}

static void the_first_form_of_2020(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *p = read_data("pipeline-2020.json");
    assert_int_equal(p->step_count, 3);
    assert_string_equal(p->steps[0].title, "Load");
    assert_string_equal(p->steps[0].environment, "");
    assert_string_equal(p->steps[0].kernel_name, "");
    assert_int_equal(p->steps[1].kind, STEP_R);
    assert_int_equal(p->steps[1].parameters.at, JSON_NONE); /* lists to choose from are no values */
    assert_int_equal(p->steps[1].incoming.count, 1);        /* not the stray outgoing ones */
    assert_int_equal(p->steps[2].kind, STEP_SHELL);
    assert_int_equal(p->steps[2].parameters.at, JSON_NONE);
}

static void anomalies_of_public_files(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *p = read_data("anomalies.orchest");
    uint32_t at;
    struct err e;
    assert_int_equal(p->step_count, 7);
    assert_int_equal(pipeline_find_step(p, "bin/tool", &at, &e), 0);
    assert_int_equal(p->steps[at].kind, STEP_SHELL);
    assert_int_equal(p->steps[at].parameters.at, JSON_NONE);
    assert_int_equal(pipeline_find_step(p, "Upper", &at, &e), 0);
    assert_int_equal(p->steps[at].kind, STEP_NOTEBOOK);
    assert_int_equal(pipeline_find_step(p, "Kernel only", &at, &e), 0);
    assert_int_equal(p->steps[at].kind, STEP_JULIA);
    assert_string_equal(p->steps[at].environment, "");
    uint32_t edges = 0, texts = 0;
    for (uint32_t i = 0; i < p->step_count; i++) {
        edges += p->steps[i].incoming.count;
        if (p->steps[i].parameters.doc == &p->doc)
            continue;
        texts++; /* parameters as JSON in a string */
        struct str b =
            json_raw(p->steps[i].parameters.doc,
                     json_get(p->steps[i].parameters.doc, p->steps[i].parameters.at, "b"));
        assert_true(str_is(b, "[1, 2.50]"));
    }
    assert_int_equal(texts, 1);
    assert_int_equal(edges, 6); /* the repeated one once */
    assert_true(str_is(json_raw(&p->doc, json_get(&p->doc, json_get(&p->doc, 0, "future"), "x")),
                       "123456789012345678901234567890"));
}

static void segues_own_keys(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *p = read_data("segue-keys.orchest");
    assert_string_equal(p->steps[0].uuid, "extract");
    assert_int_equal(p->steps[0].timeout_s, 3600);
    assert_int_equal(p->steps[0].cell_timeout_s, 90);
    assert_int_equal(p->steps[0].retry_limit, 3);
    assert_int_equal(p->steps[0].retry_delay_s, 10);
    assert_true(p->steps[0].cpus == 0);
    assert_true(p->steps[1].cpus == 1.5);
    assert_true(p->steps[1].memory_bytes == 2 * GiB);
    assert_int_equal(p->steps[1].gpus, 1);
    assert_true(p->steps[2].memory_bytes == 512 * MiB);
    assert_int_equal(p->steps[2].timeout_s, 0);
    assert_string_equal(pipeline_step_label(&p->steps[1]), "Train");
    assert_string_equal(pipeline_step_label(&p->steps[2]), "report.ipynb");
    auto_free char *origin = fs_join(DATA, "segue-keys.orchest");
    assert_string_equal(p->uuid, uuid_from_name(origin).text);
}

static void only_steps_are_needed(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *p = parsed("{\"steps\":{}}");
    assert_int_equal(p->step_count, 0);
    assert_string_equal(p->name, "");
    assert_string_equal(p->uuid, uuid_from_name("here").text);
    assert_int_equal(pipeline_index(p, STR("a")), STEP_NONE);
    auto_pipeline struct pipeline *q = parsed("{\"steps\":{\"a\":{}}}");
    assert_int_equal(q->step_count, 1);
    assert_int_equal(q->steps[0].kind, STEP_UNKNOWN);
    assert_string_equal(pipeline_step_label(&q->steps[0]), "a");
}

static void null_is_absent(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *p = parsed(
        "{\"name\":null,\"uuid\":null,\"settings\":null,\"parameters\":null,\"steps\":"
        "{\"a\":{\"uuid\":null,\"title\":null,\"name\":\"N\",\"file_path\":null,\"kernel\":"
        "null,\"environment\":null,\"parameters\":null,\"incoming_connections\":null,"
        "\"timeout\":null,\"retries\":null,\"resources\":{\"memory\":null,\"cpus\":null}}}}");
    assert_string_equal(p->steps[0].title, "N");
    assert_int_equal(p->steps[0].incoming.count, 0);
    assert_int_equal(p->steps[0].memory_bytes, 0);
}

static void a_title_wins_over_an_old_name(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *p =
        parsed("{\"steps\":{\"a\":{\"title\":\"T\",\"name\":\"N\"},\"b\":{\"name\":\"N\",\"title\":"
               "\"T\"},\"c\":{\"name\":\"N\"}}}");
    assert_string_equal(p->steps[0].title, "T");
    assert_string_equal(p->steps[1].title, "T");
    assert_string_equal(p->steps[2].title, "N");
}

static void kinds_by_extension(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum step_kind kind;
    } ROWS[] = {
        {"a.ipynb", STEP_NOTEBOOK},
        {"a.py", STEP_PYTHON},
        {"a.R", STEP_R},
        {"a.r", STEP_R},
        {"a.sh", STEP_SHELL},
        {"a.JL", STEP_JULIA},
        {"a.js", STEP_JAVASCRIPT},
        {"dir.py/run", STEP_SHELL},
        {"a.ipynb.py", STEP_PYTHON},
        {"a.txt", STEP_UNKNOWN},
        {"a.", STEP_UNKNOWN},
        {"", STEP_UNKNOWN},
    };
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        char text[100];
        snprintf(text, sizeof text, "{\"steps\":{\"a\":{\"file_path\":\"%s\"}}}", ROWS[i].path);
        auto_pipeline struct pipeline *p = parsed(text);
        assert_int_equal(p->steps[0].kind, ROWS[i].kind);
    }
    assert_string_equal(step_kind_name(STEP_JAVASCRIPT), "javascript");
}

static void amounts_of_memory(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } ROWS[] = {
        {"1024", 1024},
        {"\"1024\"", 1024},
        {"\"512MB\"", 512 * MiB},
        {"\"2GiB\"", 2 * GiB},
        {"\"1g\"", GiB},
        {"\"1.5 kb\"", 1536},
        {"\"100b\"", 100},
        {"\"1Ti\"", 0},
        {"\"3TB\"", 3072 * GiB},
        {"\"\"", 0},
        {"\"MB\"", 0},
        {"\"-1g\"", 0},
        {"\"1gb extra\"", 0},
        {"\"1ib\"", 0},
        {"0", 0},
        {"1.5", 0},
        {"1e30", 0},
        {"\"1e30\"", 0},
        {"-5", 0},
        {"true", 0},
        {"\"inf\"", 0},
    };
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        char text[100];
        snprintf(text, sizeof text, "{\"steps\":{\"a\":{\"resources\":{\"memory\":%s}}}}",
                 ROWS[i].text);
        if (ROWS[i].bytes == 0) {
            assert_refused(text, "1:38 /steps/a/resources/memory: must be a number of bytes or a "
                                 "text such as \"512MB\" or \"2GiB\"");
            continue;
        }
        auto_pipeline struct pipeline *p = parsed(text);
        assert_true(p->steps[0].memory_bytes == ROWS[i].bytes);
    }
}

/* --- what is refused --- */

static void wrong_types_are_all_reported(void **state)
{
    (void)state;
    assert_refused("{\"name\":1,\n\"uuid\":[],\n\"parameters\":[],\n"
                   "\"settings\":{\"auto_eviction\":1,\"max_steps_parallelism\":\"2\"},\n"
                   "\"steps\":{\"a\":[],\n"
                   "\"b\":{\"uuid\":1,\n\"title\":{},\n\"file_path\":3,\n\"kernel\":\"python\",\n"
                   "\"environment\":[],\n\"parameters\":7,\n\"incoming_connections\":\"a\"},\n"
                   "\"c\":{\"kernel\":{\"name\":1},\n\"incoming_connections\":[1,null,\"b\"]}}}",
                   "1:9 /name: must be a string, is a number\n"
                   "2:8 /uuid: must be a string, is an array\n"
                   "3:14 /parameters: must be an object, is an array\n"
                   "4:29 /settings/auto_eviction: must be true or false, is a number\n"
                   "4:55 /settings/max_steps_parallelism: must be a number, is a string\n"
                   "5:14 /steps/a: must be an object, is an array\n"
                   "6:13 /steps/b/uuid: must be a string, is a number\n"
                   "7:9 /steps/b/title: must be a string, is an object\n"
                   "8:13 /steps/b/file_path: must be a string, is a number\n"
                   "9:10 /steps/b/kernel: must be an object, is a string\n"
                   "10:15 /steps/b/environment: must be a string, is an array\n"
                   "11:14 /steps/b/parameters: must be an object, is a number\n"
                   "13:23 /steps/c/kernel/name: must be a string, is a number\n"
                   "12:24 /steps/b/incoming_connections: must be an array, is a string\n"
                   "14:25 /steps/c/incoming_connections/0: must be a step's uuid, is a number\n"
                   "14:27 /steps/c/incoming_connections/1: must be a step's uuid, is null");
}

static void numbers_out_of_range(void **state)
{
    (void)state;
    assert_refused("{\"settings\":{\"max_steps_parallelism\":-1},\"steps\":{\"a\":{\n"
                   "\"timeout\":-1,\n\"cell_timeout\":1.5,\n\"retries\":{\"limit\":4294967296,\n"
                   "\"delay\":\"1\"},\n\"resources\":{\"cpus\":0,\n\"gpus\":-1}}}}",
                   "1:38 /settings/max_steps_parallelism: must be a whole number from 0 to "
                   "4294967295, is -1\n"
                   "2:11 /steps/a/timeout: must be a whole number of seconds from 0 to 4294967295, "
                   "is -1\n"
                   "3:16 /steps/a/cell_timeout: must be a whole number of seconds from 0 to "
                   "4294967295, is 1.5\n"
                   "4:20 /steps/a/retries/limit: must be a whole number from 0 to 4294967295, is "
                   "4294967296\n"
                   "5:9 /steps/a/retries/delay: must be a number, is a string\n"
                   "7:8 /steps/a/resources/gpus: must be a whole number from 0 to 4294967295, is "
                   "-1\n"
                   "6:21 /steps/a/resources/cpus: must be more than 0 and at most a million");
}

static void what_is_no_json_is_one_problem(void **state)
{
    (void)state;
    assert_refused("{\"steps\": {\n  \"a\": {},\n}}",
                   "3:1 : expected a name in double quotes, found \"}\"");
    assert_refused("", "1:1 : expected a value, found the end of the text");
    assert_refused("[]", "1:1 : a pipeline must be an object, this is an array");
    assert_refused("{}", "1:1 : has no \"steps\"");
    assert_refused("{\"steps\":[]}", "1:10 /steps: must be an object, is an array");
    assert_refused("{\"steps\":null}", "1:10 /steps: must be an object, is null");
}

static void keys_are_fit_for_directory_names(void **state)
{
    (void)state;
    static const char *const BAD[] = {"",
                                      ".",
                                      "..",
                                      ".a",
                                      "a/b",
                                      "a b",
                                      "é",
                                      "a\\u0000",
                                      "12345678901234567890123456789012345678901234567890123456789"
                                      "012345"};
    for (size_t i = 0; i < COUNT(BAD); i++) {
        char text[150];
        auto_problems struct problems problems = {0};
        struct pipeline *pipeline;
        struct err e;
        snprintf(text, sizeof text, "{\"steps\":{\"%s\":{}}}", BAD[i]);
        assert_int_equal(pipeline_parse(str_of(text), "here", &pipeline, &problems, &e), -1);
        assert_int_equal(problems.total, 1);
        assert_int_equal(problems.items[0].column, 11);
    }
    auto_pipeline struct pipeline *p =
        parsed("{\"steps\":{\"a.B-c_9\":{},\"12345678901234567890123456789012345678901234567890"
               "12345678901234\":{},\"\\u0061\":{}}}");
    assert_int_equal(pipeline_index(p, STR("a")), 2);
}

static void a_uuid_is_its_key(void **state)
{
    (void)state;
    assert_refused("{\"steps\":{\"a\":{\"uuid\":\"b\"}}}",
                   "1:23 /steps/a/uuid: must be the step's key, \"a\"");
}

static void a_step_is_there_once(void **state)
{
    (void)state;
    assert_refused("{\"steps\":{\"a\":{},\n\"a\":{}}}", "2:1 /steps/a: step \"a\" is there twice");
}

static void text_with_nul(void **state)
{
    (void)state;
    assert_refused("{\"steps\":{\"a\":{\"file_path\":\"x\\u0000.py\"}}}",
                   "1:28 /steps/a/file_path: may not contain U+0000");
}

static void only_a_hundred_problems_are_kept(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_puts(&text, "{\"steps\":{");
    for (int i = 0; i < 250; i++)
        buf_printf(&text, "%s\"s%d\":%d", i ? "," : "", i, i);
    buf_puts(&text, "}}");
    struct pipeline *pipeline;
    auto_problems struct problems problems = {0};
    struct err e;
    assert_int_equal(pipeline_parse(str_of(text.data), "x", &pipeline, &problems, &e), -1);
    assert_int_equal(problems.total, 250);
    assert_int_equal(problems.count, LIMIT_PROBLEMS);
    assert_string_equal(problems.items[99].pointer, "/steps/s99");
    assert_string_equal(e.text, "line 1, column 16: must be an object, is a number (and 249 more)");
    buf_clear(&text);
}

static void too_many_steps(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_puts(&text, "{\"steps\":{\"a\":0");
    for (uint32_t i = 0; i < LIMIT_PIPELINE_STEPS; i++)
        buf_puts(&text, ",\"a\":0");
    buf_puts(&text, "}}");
    struct pipeline *pipeline;
    auto_problems struct problems problems = {0};
    struct err e;
    size_t len = text.len;
    assert_int_equal(pipeline_parse_take(buf_take(&text), len, "x", &pipeline, &problems, &e), -1);
    assert_int_equal(e.code, ERR_LIMIT);
    assert_int_equal(problems.count, 1);
    assert_string_equal(problems.items[0].pointer, "/steps");
}

static void too_many_bytes_are_refused_unread(void **state)
{
    (void)state;
    struct pipeline *pipeline;
    auto_problems struct problems problems = {0};
    struct err e;
    struct str text = {"", LIMIT_PIPELINE_BYTES + 1};
    assert_int_equal(pipeline_parse(text, "x", &pipeline, &problems, &e), -1);
    assert_int_equal(e.code, ERR_LIMIT);
    assert_int_equal(problems.count, 1);
}

/* --- defects of the ancestor --- */

static void ancestor_defect_cycle_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"steps\":{\n\"a\":{\"title\":\"A\",\"incoming_connections\":[\"x\",\"c\"]},\n"
                   "\"b\":{\"incoming_connections\":[\"a\"]},\n"
                   "\"c\":{\"file_path\":\"c.py\",\"incoming_connections\":[\"b\"]},\n"
                   "\"d\":{\"incoming_connections\":[\"c\"]},\n\"x\":{}}}",
                   "2:46 /steps/a/incoming_connections/1: the steps wait for each other in a "
                   "cycle: A -> b -> c.py -> A");
}

static void ancestor_defect_every_separate_cycle_is_found(void **state)
{
    (void)state;
    assert_refused("{\"steps\":{\n\"a\":{\"incoming_connections\":[\"b\"]},\n"
                   "\"b\":{\"incoming_connections\":[\"a\"]},\n"
                   "\"c\":{\"incoming_connections\":[\"a\"]},\n"
                   "\"d\":{\"incoming_connections\":[\"c\",\"e\"]},\n"
                   "\"e\":{\"incoming_connections\":[\"f\"]},\n"
                   "\"f\":{\"incoming_connections\":[\"e\"]}}}",
                   "2:30 /steps/a/incoming_connections/0: the steps wait for each other in a "
                   "cycle: a -> b -> a\n"
                   "6:30 /steps/e/incoming_connections/0: the steps wait for each other in a "
                   "cycle: e -> f -> e");
}

static void ancestor_defect_self_loop_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"steps\":{\"a\":{\"title\":\"A\",\"incoming_connections\":[\"a\"]}}}",
                   "1:52 /steps/a/incoming_connections/0: the step waits for itself: A -> A");
}

static void ancestor_defect_dangling_uuid_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"steps\":{\"a\":{},\n\"b\":{\"incoming_connections\":[\"a\",\"gone\"]}}}",
                   "2:34 /steps/b/incoming_connections/1: unknown step \"gone\"");
}

static void ancestor_defect_duplicate_edge_counts_once(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *p = parsed(
        "{\"steps\":{\"a\":{},\"b\":{},\"c\":{\"incoming_connections\":[\"b\",\"a\",\"b\",\"a\"]},"
        "\"d\":{\"incoming_connections\":[\"b\",\"\\u0062\"]}}}");
    assert_incoming(p, 2, "ba");
    assert_incoming(p, 3, "b");
}

static void a_long_cycle_is_named_in_part(void **state)
{
    (void)state;
    struct buf text = {0};
    enum { STEPS = 20000 };
    buf_puts(&text, "{\"steps\":{");
    for (int i = 0; i < STEPS; i++)
        buf_printf(&text, "%s\"s%d\":{\"incoming_connections\":[\"s%d\"]}", i ? "," : "", i,
                   (i + STEPS - 1) % STEPS);
    buf_puts(&text, "}}");
    struct pipeline *pipeline;
    auto_problems struct problems problems = {0};
    struct err e;
    assert_int_equal(pipeline_parse(str_of(text.data), "x", &pipeline, &problems, &e), -1);
    assert_int_equal(problems.total, 1);
    assert_string_equal(problems.items[0].detail,
                        "the steps wait for each other in a cycle: s0 -> s1 -> s2 -> s3 -> s4 -> "
                        "s5 -> s6 -> s7 -> s8 -> s9 -> ... (19990 more) -> s0");
    buf_clear(&text);
}

/* --- reading a file --- */

static void a_missing_file_is_no_problem_of_the_definition(void **state)
{
    (void)state;
    struct pipeline *pipeline;
    auto_problems struct problems problems = {0};
    struct err e;
    assert_int_equal(pipeline_read(DATA, "gone.orchest", &pipeline, &problems, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_int_equal(problems.total, 0);
    assert_int_equal(pipeline_read(NULL, DATA "/gone.orchest", &pipeline, &problems, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
}

static void a_wrong_file_is_named(void **state)
{
    (void)state;
    struct pipeline *pipeline;
    auto_problems struct problems problems = {0};
    struct err e;
    assert_int_equal(pipeline_read(DATA, "cycle.orchest", &pipeline, &problems, &e), -1);
    assert_int_equal(problems.total, 2);
    assert_string_equal(e.text,
                        "\"cycle.orchest\": line 29, column 17: unknown step \"e\" (and 1 more)");
}

/* --- which step is meant --- */

static const char NAMED[] =
    "{\"steps\":{\"id-1\":{\"title\":\"Load data\",\"file_path\":\"load.ipynb\"},"
    "\"id-2\":{\"title\":\"Train\",\"file_path\":\"train.py\"},"
    "\"id-3\":{\"title\":\"Train\",\"file_path\":\"./sub/train.py\"},"
    "\"id-4\":{\"title\":\"train.py\",\"file_path\":\"\"},"
    "\"id-5\":{\"title\":\"id-1\",\"file_path\":\"same.py\"},"
    "\"id-6\":{\"title\":\"same.py\",\"file_path\":\"same.py\"},"
    "\"id-7\":{\"title\":\"loop\",\"file_path\":\"loop\"}}}";

static void a_step_is_found_by_uuid_title_or_path(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t step;
    } ROWS[] = {
        {"id-1", 0}, /* a uuid wins over a title */
        {"Load data", 0}, {"load.ipynb", 0},   {"./load.ipynb", 0},
        {"id-3", 2},      {"sub/train.py", 2}, {"loop", 6},
    };
    auto_pipeline struct pipeline *p = parsed(NAMED);
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        uint32_t step = STEP_NONE;
        struct err e;
        assert_int_equal(pipeline_find_step(p, ROWS[i].text, &step, &e), 0);
        assert_int_equal(step, ROWS[i].step);
    }
}

static void an_ambiguous_step_lists_the_candidates(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *p = parsed(NAMED);
    uint32_t step = 77;
    struct err e;
    assert_int_equal(pipeline_find_step(p, "Train", &step, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_string_equal(e.text, "\"Train\" may be any of 2 steps: id-2 (\"Train\", train.py), "
                                "id-3 (\"Train\", ./sub/train.py)");
    assert_int_equal(pipeline_find_step(p, "train.py", &step, &e), -1); /* a path and a title */
    assert_string_equal(e.text, "\"train.py\" may be any of 2 steps: id-2 (\"Train\", train.py), "
                                "id-4 (\"train.py\", no file)");
    assert_int_equal(pipeline_find_step(p, "same.py", &step, &e), -1);
    assert_int_equal(step, 77);
}

static void an_unknown_step_suggests_the_nearest(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *p = parsed(NAMED);
    uint32_t step = 77;
    struct err e;
    assert_int_equal(pipeline_find_step(p, "Laod data", &step, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_string_equal(e.text, "no step \"Laod data\"; did you mean \"Load data\"?");
    assert_int_equal(pipeline_find_step(p, "quite different", &step, &e), -1);
    assert_string_equal(e.text, "no step has the uuid, title or file path \"quite different\"");
    assert_int_equal(pipeline_find_step(p, "", &step, &e), -1);
    assert_int_equal(step, 77);
}

/* --- files of steps --- */

static void put_file(const char *dir, const char *name)
{
    auto_free char *path = fs_join(dir, name);
    struct err e;
    assert_int_equal(fs_write(path, STR("x"), 0600, FS_NO_SYNC, &e), 0);
}

static void put_link(const char *dir, const char *name, const char *target)
{
    auto_free char *path = fs_join(dir, name);
    assert_int_equal(symlink(target, path), 0);
}

static void files_are_checked_for_steps_that_run(void **state)
{
    (void)state;
    static const struct {
        const char *path, *detail;
    } ROWS[] = {
        {"in.py", NULL},
        {"../top.py", NULL},
        {"link-inside.py", NULL},
        {"tool", NULL},
        {"", "the step has no file"},
        {"in.txt", "\"in.txt\" has the extension \".txt\"; a step's file has .ipynb, .py, .r, .sh, "
                   ".jl, .js or none (a shell script)"},
        {"/etc/passwd", "\"/etc/passwd\" is an absolute path; a step's file lies inside the "
                        "project, its path starts at the pipeline file"},
        {"gone.py", ""},
        {"directory.py", ""},
        {"../../outside.py", ""},
        {"link-outside.py", ""},
        {"fifo.py", ""},
    };
    char base[] = "/tmp/segue-test-XXXXXX";
    assert_non_null(mkdtemp(base));
    auto_free char *project = fs_join(base, "project"), *sub = fs_join(project, "sub");
    auto_free char *directory = fs_join(sub, "directory.py"), *fifo = fs_join(sub, "fifo.py");
    struct err e;
    assert_int_equal(fs_mkdirs(directory, 0700, &e), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    put_file(base, "outside.py");
    put_file(project, "top.py");
    put_file(sub, "in.py");
    put_file(sub, "in.txt");
    put_file(sub, "tool");
    put_link(sub, "link-inside.py", "../top.py");
    put_link(sub, "link-outside.py", "../../outside.py");
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        char text[100];
        auto_problems struct problems problems = {0};
        snprintf(text, sizeof text, "{\"steps\":{\"a\":{\"file_path\":\"%s\"}}}", ROWS[i].path);
        auto_pipeline struct pipeline *p = parsed(text);
        assert_int_equal(pipeline_check_step(p, 0, project, "sub", &problems, &e), 0);
        assert_int_equal(problems.total, ROWS[i].detail ? 1 : 0);
        if (!ROWS[i].detail)
            continue;
        assert_string_equal(problems.items[0].pointer, "/steps/a/file_path");
        assert_int_equal(problems.items[0].column, 28);
        if (ROWS[i].detail[0])
            assert_string_equal(problems.items[0].detail, ROWS[i].detail);
    }
    assert_int_equal(fs_remove_tree(base, &e), 0);
}

static void a_step_without_file_path_is_pointed_at(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *p = parsed("{\"steps\":{\"a\":{}}}");
    auto_problems struct problems problems = {0};
    struct err e;
    assert_int_equal(pipeline_check_step(p, 0, "/", ".", &problems, &e), 0);
    assert_int_equal(problems.total, 1);
    assert_string_equal(problems.items[0].pointer, "/steps/a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_current_version_is_read_unchanged),
        cmocka_unit_test(version_1_0_0),
        cmocka_unit_test(the_first_form_of_2020),
        cmocka_unit_test(anomalies_of_public_files),
        cmocka_unit_test(segues_own_keys),
        cmocka_unit_test(only_steps_are_needed),
        cmocka_unit_test(null_is_absent),
        cmocka_unit_test(a_title_wins_over_an_old_name),
        cmocka_unit_test(kinds_by_extension),
        cmocka_unit_test(amounts_of_memory),
        cmocka_unit_test(wrong_types_are_all_reported),
        cmocka_unit_test(numbers_out_of_range),
        cmocka_unit_test(what_is_no_json_is_one_problem),
        cmocka_unit_test(keys_are_fit_for_directory_names),
        cmocka_unit_test(a_uuid_is_its_key),
        cmocka_unit_test(a_step_is_there_once),
        cmocka_unit_test(text_with_nul),
        cmocka_unit_test(only_a_hundred_problems_are_kept),
        cmocka_unit_test(too_many_steps),
        cmocka_unit_test(too_many_bytes_are_refused_unread),
        cmocka_unit_test(ancestor_defect_cycle_is_refused),
        cmocka_unit_test(ancestor_defect_every_separate_cycle_is_found),
        cmocka_unit_test(ancestor_defect_self_loop_is_refused),
        cmocka_unit_test(ancestor_defect_dangling_uuid_is_refused),
        cmocka_unit_test(ancestor_defect_duplicate_edge_counts_once),
        cmocka_unit_test(a_long_cycle_is_named_in_part),
        cmocka_unit_test(a_missing_file_is_no_problem_of_the_definition),
        cmocka_unit_test(a_wrong_file_is_named),
        cmocka_unit_test(a_step_is_found_by_uuid_title_or_path),
        cmocka_unit_test(an_ambiguous_step_lists_the_candidates),
        cmocka_unit_test(an_unknown_step_suggests_the_nearest),
        cmocka_unit_test(files_are_checked_for_steps_that_run),
        cmocka_unit_test(a_step_without_file_path_is_pointed_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
