#include "api/service/results_table.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define STARTED 1763775600000ll /* 2025-11-22T01:40:00Z */

/* "a" and "b" have the same title, "c" another one. */
#define PIPELINE                                                                                   \
    "{\"steps\":{\"a\":{\"title\":\"Train\",\"file_path\":\"a.py\"},"                              \
    "\"b\":{\"title\":\"Train\",\"file_path\":\"b.py\"},"                                          \
    "\"c\":{\"title\":\"Score\",\"file_path\":\"c.py\"}}}"

struct fixture {
    struct pipeline *pipeline;
    struct results_table *table;
    struct job_policy policy;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    auto_problems struct problems problems = {0};
    struct err e;

    assert_int_equal(pipeline_parse(STR(PIPELINE), "", &f->pipeline, &problems, &e), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    results_table_free(f->table);
    pipeline_free(f->pipeline);
    free(f);
    return 0;
}

static void begin(struct fixture *f, const struct parameter_axis *axes, uint32_t count)
{
    f->table = results_table_new(f->pipeline, axes, count);
}

static void add_row(struct fixture *f, struct set_row row)
{
    struct err e;

    if (results_table_add_set(f->table, &row, &e) < 0)
        fail_msg("%s", e.text);
}

/* An ended set whose run took as many seconds as its number says. */
static void add(struct fixture *f, uint32_t number, const char *parameters)
{
    add_row(f, (struct set_row){
                   .id = number + 1,
                   .fire_number = 1,
                   .number = number,
                   .status = STATUS_SUCCESS,
                   .started_time = STARTED,
                   .finished_time = STARTED + 1000 * (msec)number,
                   .run_uuid = "11111111-0000-4000-8000-000000000000",
                   .parameters = parameters,
               });
}

static void say(struct fixture *f, uint32_t number, const char *step, const char *name,
                const char *value, bool is_param)
{
    struct metric_row metric = {step, name, value, is_param};
    struct err e;

    if (results_table_add_metric(f->table, number + 1, &metric, &e) < 0)
        fail_msg("%s", e.text);
}

static void measure(struct fixture *f, uint32_t number, const char *name, const char *value)
{
    say(f, number, "c", name, value, false);
}

static void sort(struct fixture *f, const char *by)
{
    struct err e;

    if (results_table_sort(f->table, by, &f->policy, &e) < 0)
        fail_msg("%s", e.text);
}

/* The rows' numbers, as "3 1 2". */
static char *order_of(struct fixture *f)
{
    auto_buf struct buf out = {0};
    auto_json struct json doc = {0};
    struct buf order = {0};
    struct err e;

    buf_putc(&out, '{');
    assert_int_equal(results_table_put(f->table, 0, UINT32_MAX, &out), 0);
    buf_putc(&out, '}');
    assert_int_equal(json_parse(&doc, (struct str){out.data, out.len}, JSON_STRICT, NULL, &e), 0);
    json_each (&doc, json_get(&doc, 0, "rows"), row) {
        struct str number = json_raw(&doc, json_get(&doc, row, "number"));
        buf_printf(&order, "%s" STR_FMT, order.len > 0 ? " " : "", STR_ARG(number));
    }
    return buf_take(&order);
}

static void is_in_order(struct fixture *f, const char *expected)
{
    auto_free char *order = order_of(f);

    assert_string_equal(order, expected);
}

/* The keys of a kind of columns, one a line. */
static char *keys_of(struct fixture *f, const char *kind)
{
    auto_buf struct buf out = {0};
    auto_json struct json doc = {0};
    struct buf keys = {0};
    struct err e;

    buf_putc(&out, '{');
    results_table_put(f->table, 0, 0, &out);
    buf_putc(&out, '}');
    assert_int_equal(json_parse(&doc, (struct str){out.data, out.len}, JSON_STRICT, NULL, &e), 0);
    json_each (&doc, json_get(&doc, json_get(&doc, 0, "columns"), kind), column) {
        json_string(&doc, json_get(&doc, column, "key"), &keys);
        buf_putc(&keys, '\n');
    }
    return buf_take(&keys);
}

static void has_keys(struct fixture *f, const char *kind, const char *expected)
{
    auto_free char *keys = keys_of(f, kind);

    assert_string_equal(keys, expected);
}

static const struct parameter_axis one_axis[] = {{STEP_NONE, "alpha"}};

/* --- JSON --- */

static void a_whole_table(void **state)
{
    struct fixture *f = *state;
    static const struct parameter_axis axes[] = {{STEP_NONE, "alpha"}, {2, "depth"}};
    auto_buf struct buf out = {0};

    begin(f, axes, 2);
    add(f, 0,
        "{\"pipeline_parameters\":{\"alpha\":0.10,\"seed\":7},\"c\":{\"depth\":[1, 2]},"
        "\"a\":{\"depth\":9}}");
    add_row(f, (struct set_row){.id = 2,
                                .number = 4,
                                .fire_number = 1,
                                .status = STATUS_FAILURE,
                                .cause = CAUSE_CELL_ERROR,
                                .tries_used = 2,
                                .tries_lost = 1,
                                .run_uuid = "22222222-0000-4000-8000-000000000000",
                                .parameters = "{\"pipeline_parameters\":{\"seed\":7},"
                                              "\"a\":{\"depth\":9}}",
                                .is_run_deleted = true});
    measure(f, 0, "accuracy", "0.910");
    say(f, 0, "c", "note", "\"x\"", true);
    sort(f, NULL);
    buf_putc(&out, '{');
    assert_int_equal(results_table_put(f->table, 0, 10, &out), 0);
    assert_string_equal(
        buf_text(&out),
        "{\"columns\":{\"parameters\":[{\"key\":\"alpha\",\"step_uuid\":null,\"title\":null,"
        "\"name\":\"alpha\"},{\"key\":\"depth\",\"step_uuid\":\"c\",\"title\":\"Score\","
        "\"name\":\"depth\"}],\"metrics\":[{\"key\":\"accuracy\",\"step_uuid\":\"c\","
        "\"title\":\"Score\",\"name\":\"accuracy\"}],\"reported\":[{\"key\":\"note\","
        "\"step_uuid\":\"c\",\"title\":\"Score\",\"name\":\"note\"}]},\"rows\":["
        "{\"number\":0,\"fire\":1,\"run_uuid\":\"11111111-0000-4000-8000-000000000000\","
        "\"status\":\"SUCCESS\",\"cause\":null,\"try\":1,"
        "\"started_time\":\"2025-11-22T01:40:00.000000Z\","
        "\"finished_time\":\"2025-11-22T01:40:00.000000Z\",\"duration\":0.000,"
        "\"parameters\":{\"alpha\":0.10,\"depth\":[1,2]},\"metrics\":{\"accuracy\":0.910},"
        "\"reported\":{\"note\":\"x\"},\"run_deleted\":false},"
        "{\"number\":4,\"fire\":1,\"run_uuid\":\"22222222-0000-4000-8000-000000000000\","
        "\"status\":\"FAILURE\",\"cause\":\"cell_error\",\"try\":3,\"started_time\":null,"
        "\"finished_time\":null,\"duration\":null,\"parameters\":{},\"metrics\":{},"
        "\"reported\":{},\"run_deleted\":true}],\"total\":2");
}

static void an_empty_table(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf out = {0};

    begin(f, NULL, 0);
    sort(f, "-number");
    buf_putc(&out, '{');
    assert_int_equal(results_table_put(f->table, 0, 10, &out), 0);
    assert_string_equal(buf_text(&out), "{\"columns\":{\"parameters\":[],\"metrics\":[],"
                                        "\"reported\":[]},\"rows\":[],\"total\":0");
}

static void how_many_tries_there_were(void **state)
{
    static const struct {
        enum status status;
        uint32_t used, lost;
        const char *run, *expected;
    } cases[] = {
        {STATUS_PENDING, 0, 0, "", "\"try\":0"},  {STATUS_PENDING, 1, 0, "r", "\"try\":1"},
        {STATUS_STARTED, 0, 0, "r", "\"try\":1"}, {STATUS_STARTED, 1, 2, "r", "\"try\":4"},
        {STATUS_SUCCESS, 1, 0, "r", "\"try\":2"}, {STATUS_FAILURE, 3, 0, "r", "\"try\":3"},
        {STATUS_ABORTED, 0, 0, "", "\"try\":0"},  {STATUS_ABORTED, 0, 0, "r", "\"try\":1"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        auto_buf struct buf out = {0};
        begin(f, NULL, 0);
        add_row(f, (struct set_row){.id = 1,
                                    .status = cases[i].status,
                                    .tries_used = cases[i].used,
                                    .tries_lost = cases[i].lost,
                                    .run_uuid =
                                        *cases[i].run ? "11111111-0000-4000-8000-000000000000" : "",
                                    .parameters = "{}"});
        sort(f, NULL);
        buf_putc(&out, '{');
        results_table_put(f->table, 0, 1, &out);
        assert_non_null(strstr(buf_text(&out), cases[i].expected));
        results_table_free(f->table);
        f->table = NULL;
    }
}

static void pages(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf out = {0};

    begin(f, NULL, 0);
    for (uint32_t i = 0; i < 5; i++)
        add(f, i, "{}");
    sort(f, "-number");
    buf_putc(&out, '{');
    assert_int_equal(results_table_put(f->table, 0, 2, &out), 2);
    assert_int_equal(results_table_put(f->table, 2, 2, &out), 4);
    assert_int_equal(results_table_put(f->table, 4, 2, &out), 0);
    assert_int_equal(results_table_put(f->table, 9, 2, &out), 0); /* behind the end */
    assert_int_equal(results_table_count(f->table), 5);
}

static void a_page_of_long_rows_is_cut(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf out = {0}, parameters = {0};

    begin(f, one_axis, 1);
    buf_puts(&parameters, "{\"pipeline_parameters\":{\"alpha\":\"");
    for (unsigned i = 0; i < LIMIT_LIST_BYTES / 2 + 100; i++)
        buf_putc(&parameters, 'x');
    buf_puts(&parameters, "\"}}");
    for (uint32_t i = 0; i < 3; i++)
        add(f, i, buf_text(&parameters));
    sort(f, NULL);
    buf_putc(&out, '{');
    assert_int_equal(results_table_put(f->table, 0, 10, &out), 2);
}

static void reports_of_unknown_sets_are_passed_over(void **state)
{
    struct fixture *f = *state;

    begin(f, NULL, 0);
    add(f, 1, "{}");
    add(f, 3, "{}");
    measure(f, 0, "a", "1");
    measure(f, 1, "b", "1");
    measure(f, 2, "c", "1");
    measure(f, 3, "d", "1");
    measure(f, 9, "e", "1");
    sort(f, NULL);
    has_keys(f, "metrics", "b\nd\n");
}

/* --- parameters that are no axes --- */

static void what_all_sets_have_is_not_shown(void **state)
{
    struct fixture *f = *state;

    begin(f, one_axis, 1);
    for (uint32_t i = 0; i < 3; i++)
        add(f, i, "{\"pipeline_parameters\":{\"seed\":7,\"alpha\":1},\"c\":{\"depth\":[]}}");
    sort(f, NULL);
    has_keys(f, "parameters", "alpha\n");
    auto_buf struct buf out = {0};
    buf_putc(&out, '{');
    results_table_put(f->table, 0, 3, &out);
    assert_non_null(strstr(buf_text(&out), "\"parameters\":{\"alpha\":1},"));
    assert_null(strstr(buf_text(&out), "seed"));
}

static void what_sets_differ_in_is_shown_of_all(void **state)
{
    struct fixture *f = *state;

    begin(f, NULL, 0);
    add(f, 0, "{\"c\":{\"same\":1,\"last\":1,\"late\":1,\"gap\":1}}");
    add(f, 1, "{\"c\":{\"same\":1,\"last\":1,\"late\":1}}");
    add(f, 2, "{\"c\":{\"same\":1,\"last\":1,\"late\":2,\"gap\":1,\"new\":5}}");
    add(f, 3, "{\"c\":{\"same\":1,\"late\":1,\"gap\":1,\"new\":5}}");
    sort(f, "-late");
    has_keys(f, "parameters", "last\nlate\ngap\nnew\n");
    is_in_order(f, "2 0 1 3");
    auto_buf struct buf out = {0};
    results_table_put_csv(f->table, 0, 4, &out);
    static const char *const lines[] = {"2,1,SUCCESS,1,2,1,5,", "0,1,SUCCESS,1,1,1,,",
                                        "1,1,SUCCESS,1,1,,,", "3,1,SUCCESS,,1,1,5,"};
    for (size_t i = 0; i < 4; i++)
        if (!strstr(buf_text(&out), lines[i]))
            fail_msg("no %s in %s", lines[i], buf_text(&out));
    buf_reset(&out);
    buf_putc(&out, '{');
    results_table_put(f->table, 2, 1, &out);
    assert_non_null(strstr(buf_text(&out), "\"parameters\":{\"last\":1,\"late\":1},"));
}

/* --- keys --- */

static void keys_are_names_where_they_are_unambiguous(void **state)
{
    struct fixture *f = *state;
    static const struct parameter_axis axes[] = {{STEP_NONE, "seed"}, {2, "seed"},  {0, "depth"},
                                                 {1, "depth"},        {2, "depth"}, {2, "alpha"}};

    begin(f, axes, 6);
    add(f, 0, "{}");
    measure(f, 0, "alpha", "1"); /* of another kind */
    say(f, 0, "gone", "loss", "1", false);
    measure(f, 0, "loss", "1");
    sort(f, NULL);
    has_keys(f, "parameters",
             "pipeline_parameters:seed\nScore:seed\na:depth\nb:depth\nScore:depth\nalpha\n");
    has_keys(f, "metrics", "alpha\ngone:loss\nScore:loss\n");
}

static void what_is_logged_is_no_metric(void **state)
{
    struct fixture *f = *state;

    begin(f, NULL, 0);
    add(f, 0, "{}");
    say(f, 0, "c", "depth", "4", true);
    say(f, 0, "c", "depth", "5", false);
    sort(f, NULL);
    has_keys(f, "metrics", "depth\n");
    has_keys(f, "reported", "depth\n");
}

/* --- sorting --- */

static void fill_alphas(struct fixture *f, const char *const *values)
{
    begin(f, one_axis, 1);
    for (uint32_t i = 0; values[i]; i++) {
        auto_free char *text = mem_printf("{\"pipeline_parameters\":{\"alpha\":%s}}", values[i]);
        add(f, i, *values[i] ? text : "{}");
    }
}

static void numbers_are_sorted_as_numbers(void **state)
{
    static const char *const values[] = {"10", "9", "-1.5e1", "9.5", "1e3", "", "9", NULL};
    struct fixture *f = *state;

    fill_alphas(f, values);
    sort(f, "alpha");
    is_in_order(f, "2 1 6 3 0 4 5");
}

static void descending_with_missing_last_and_stable(void **state)
{
    static const char *const values[] = {"", "1", "2", "1", "", NULL};
    struct fixture *f = *state;

    fill_alphas(f, values);
    sort(f, "-alpha");
    is_in_order(f, "2 1 3 0 4");
}

static void texts_are_sorted_as_texts(void **state)
{
    static const char *const values[] = {"\"b\"", "\"a b\"", "\"a\"", "\"B\"", "3", "\"\"", NULL};
    struct fixture *f = *state;

    fill_alphas(f, values);
    sort(f, "alpha");
    is_in_order(f, "4 5 3 2 1 0"); /* numbers before texts */
}

static void no_number_is_last_and_infinity_is_one(void **state)
{
    static const char *const values[] = {"\"NaN\"", "\"Infinity\"", "1", "\"-Infinity\""};
    struct fixture *f = *state;

    begin(f, NULL, 0);
    for (uint32_t i = 0; i < 4; i++)
        add(f, i, "{}");
    for (uint32_t i = 0; i < 4; i++)
        measure(f, i, "loss", values[i]);
    sort(f, "loss");
    is_in_order(f, "3 2 1 0");
}

static void by_what_every_row_has(void **state)
{
    struct fixture *f = *state;

    begin(f, NULL, 0);
    add(f, 5, "{}");
    add_row(f, (struct set_row){.id = 7, .number = 9, .run_uuid = "", .parameters = "{}"});
    add_row(f, (struct set_row){.id = 8,
                                .number = 1,
                                .started_time = STARTED,
                                .finished_time = STARTED + 1,
                                .run_uuid = "",
                                .parameters = "{}"});
    sort(f, "-duration");
    is_in_order(f, "5 1 9");
}

static void a_metric_goes_before_a_parameter_of_the_same_name(void **state)
{
    struct fixture *f = *state;

    begin(f, one_axis, 1);
    add(f, 0, "{\"pipeline_parameters\":{\"alpha\":1}}");
    add(f, 1, "{\"pipeline_parameters\":{\"alpha\":2}}");
    measure(f, 0, "alpha", "8");
    measure(f, 1, "alpha", "7");
    sort(f, "alpha");
    is_in_order(f, "1 0");
}

static void a_column_has_its_long_names_too(void **state)
{
    struct fixture *f = *state;

    begin(f, one_axis, 1);
    add(f, 0, "{\"pipeline_parameters\":{\"alpha\":1}}");
    add(f, 1, "{\"pipeline_parameters\":{\"alpha\":2}}");
    measure(f, 0, "alpha", "8");
    measure(f, 1, "alpha", "7");
    sort(f, "-pipeline_parameters:alpha");
    is_in_order(f, "1 0");
}

static void fill_scores(struct fixture *f)
{
    begin(f, NULL, 0);
    for (uint32_t i = 0; i < 3; i++)
        add(f, i, "{}");
    measure(f, 0, "score", "2");
    measure(f, 2, "score", "3");
}

static void the_best_first(void **state)
{
    struct fixture *f = *state;

    fill_scores(f);
    f->policy.metric = (char *)"score";
    sort(f, NULL);
    is_in_order(f, "2 0 1");
}

static void the_least_can_be_the_best(void **state)
{
    struct fixture *f = *state;

    fill_scores(f);
    f->policy.metric = (char *)"score";
    f->policy.is_least = true;
    sort(f, NULL);
    is_in_order(f, "0 2 1");
}

static void an_objective_of_several_steps_is_the_first_ones(void **state)
{
    struct fixture *f = *state;

    begin(f, NULL, 0);
    for (uint32_t i = 0; i < 2; i++)
        add(f, i, "{}");
    say(f, 0, "a", "score", "1", false);
    say(f, 0, "c", "score", "9", false);
    say(f, 1, "a", "score", "2", false);
    say(f, 1, "c", "score", "8", false);
    f->policy.metric = (char *)"score";
    sort(f, NULL);
    is_in_order(f, "1 0");
}

static void an_objective_that_nothing_reports_sorts_nothing(void **state)
{
    struct fixture *f = *state;

    fill_scores(f);
    say(f, 2, "c", "accuracy", "1", true); /* no metric */
    f->policy.metric = (char *)"accuracy";
    sort(f, NULL);
    is_in_order(f, "0 1 2");
}

static void unknown_columns_are_refused(void **state)
{
    struct fixture *f = *state;
    struct err e;

    fill_scores(f);
    assert_int_equal(results_table_sort(f->table, "-scroe", &f->policy, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_string_equal(e.text, "there is no column \"scroe\"; did you mean \"score\"?");
}

static void unknown_columns_that_are_like_none(void **state)
{
    struct fixture *f = *state;
    struct err e;

    fill_scores(f);
    assert_int_equal(results_table_sort(f->table, "zzzzzzzz", &f->policy, &e), -1);
    assert_string_equal(e.text, "there is no column \"zzzzzzzz\"");
}

/* --- CSV --- */

static void is_csv(struct fixture *f, const char *expected)
{
    auto_buf struct buf out = {0};

    results_table_put_csv(f->table, 0, UINT32_MAX, &out);
    assert_string_equal(buf_text(&out), expected);
}

static void csv_of_a_table(void **state)
{
    struct fixture *f = *state;

    begin(f, one_axis, 1);
    add(f, 1, "{\"pipeline_parameters\":{\"alpha\":0.10}}");
    add_row(f, (struct set_row){.id = 3, .number = 2, .run_uuid = "", .parameters = "{}"});
    say(f, 1, "c", "note", "null", true);
    measure(f, 1, "loss", "\"NaN\"");
    sort(f, NULL);
    is_csv(f, "number,fire,status,alpha,loss,note,cause,try,started_time,finished_time,duration,"
              "run_uuid\r\n"
              "1,1,SUCCESS,0.10,NaN,,,1,2025-11-22T01:40:00.000000Z,2025-11-22T01:40:01.000000Z,"
              "1.000,11111111-0000-4000-8000-000000000000\r\n"
              "2,0,PENDING,,,,,0,,,,\r\n");
}

static void csv_cells(void **state)
{
    static const struct {
        const char *value, *expected;
    } cases[] = {
        {"\"plain\"", "plain"},
        {"\"a,b\"", "\"a,b\""},
        {"\"say \\\"hi\\\"\"", "\"say \"\"hi\"\"\""},
        {"\"two\\nlines\"", "\"two\nlines\""},
        {"\"\\u00e4\"", "\u00e4"},
        {"[1,2]", "\"[1,2]\""},
        {"{\"a\":1}", "\"{\"\"a\"\":1}\""},
        {"true", "true"},
        {"\"\"", ""},
        {"null", ""},
        {"\"=1+1\"", "'=1+1"},
        {"\"+A1\"", "'+A1"},
        {"\"-A1,B\"", "\"'-A1,B\""},
        {"\"@SUM(A1)\"", "'@SUM(A1)"},
        {"\"\\t=1\"", "'\t=1"},
        {"\"\\r=1\"", "\"'\r=1\""},
        {"\"-5\"", "-5"},
        {"\"+1e3\"", "+1e3"},
        {"\"-5 \"", "'-5 "},
        {"-5", "-5"},
        {"-0.5e-3", "-0.5e-3"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        auto_buf struct buf out = {0};
        begin(f, NULL, 0);
        add(f, 0, "{}");
        say(f, 0, "c", "x", cases[i].value, true);
        sort(f, NULL);
        results_table_put_csv(f->table, 0, 1, &out);
        const char *cell = strstr(buf_text(&out), "SUCCESS,") + strlen("SUCCESS,");
        size_t len = (size_t)(strstr(cell, ",,1,2025") - cell);
        auto_free char *found = mem_strndup(cell, len);
        if (strcmp(found, cases[i].expected) != 0)
            fail_msg("%s: %s, not %s", cases[i].value, found, cases[i].expected);
        results_table_free(f->table);
        f->table = NULL;
    }
}

static void csv_headers_are_all_different(void **state)
{
    struct fixture *f = *state;
    static const struct parameter_axis axes[] = {{STEP_NONE, "alpha"}, {2, "=x,"}, {2, "status"}};
    auto_buf struct buf out = {0};

    begin(f, axes, 3);
    add(f, 0, "{}");
    say(f, 0, "c", "alpha", "1", true);
    measure(f, 0, "alpha", "1");
    measure(f, 0, "duration", "1");
    sort(f, NULL);
    results_table_put_csv(f->table, 0, 0, &out);
    assert_string_equal(buf_text(&out),
                        "number,fire,status,alpha,\"'=x,\",parameters.status,metrics.alpha,"
                        "metrics.duration,reported.alpha,cause,try,started_time,finished_time,"
                        "duration,run_uuid\r\n");
}

/* --- bounds --- */

static void more_rows_than_a_table_shows(void **state)
{
    struct fixture *f = *state;
    struct set_row row = {.id = 1, .run_uuid = "", .parameters = "{}"};
    struct err e;

    begin(f, NULL, 0);
    for (; row.id <= LIMIT_RESULTS_ROWS; row.id++)
        add_row(f, row);
    assert_int_equal(results_table_add_set(f->table, &row, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest cases[] = {
        CASE(a_whole_table),
        CASE(an_empty_table),
        CASE(how_many_tries_there_were),
        CASE(pages),
        CASE(a_page_of_long_rows_is_cut),
        CASE(reports_of_unknown_sets_are_passed_over),
        CASE(what_all_sets_have_is_not_shown),
        CASE(what_sets_differ_in_is_shown_of_all),
        CASE(keys_are_names_where_they_are_unambiguous),
        CASE(what_is_logged_is_no_metric),
        CASE(numbers_are_sorted_as_numbers),
        CASE(descending_with_missing_last_and_stable),
        CASE(texts_are_sorted_as_texts),
        CASE(no_number_is_last_and_infinity_is_one),
        CASE(by_what_every_row_has),
        CASE(a_metric_goes_before_a_parameter_of_the_same_name),
        CASE(a_column_has_its_long_names_too),
        CASE(the_best_first),
        CASE(the_least_can_be_the_best),
        CASE(an_objective_of_several_steps_is_the_first_ones),
        CASE(an_objective_that_nothing_reports_sorts_nothing),
        CASE(unknown_columns_are_refused),
        CASE(unknown_columns_that_are_like_none),
        CASE(csv_of_a_table),
        CASE(csv_cells),
        CASE(csv_headers_are_all_different),
        CASE(more_rows_than_a_table_shows),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
