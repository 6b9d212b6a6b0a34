#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/commands/params.h"

#include <stdbool.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct pipeline *two_steps(void)
{
    static const char text[] = "{\"steps\":{\"u1\":{\"title\":\"one\"},"
                               "\"u2\":{\"title\":\"two\"},\"u3\":{\"title\":\"two\"}}}";
    auto_problems struct problems problems = {0};
    struct pipeline *pipeline;
    struct err e;

    assert_int_equal(pipeline_parse(str_of(text), "x", &pipeline, &problems, &e), 0);
    return pipeline;
}

static void fill(struct params *params, const char *const *words)
{
    for (; *words; words++)
        params_add(params, *words);
}

static void words_become_the_parameters_of_a_request(void **state)
{
    static const struct {
        const char *name;
        const char *words[6];
        const char *json;
    } rows[] = {
        {"none", {NULL}, "{}"},
        {"JSON stays as it is",
         {"a=0.10", "b=[1, 2]"},
         "{\"pipeline_parameters\":{\"a\":0.10,\"b\":[1, 2]}}"},
        {"else it is text",
         {"a=b=c", "d=", "e=NaN", "f=\"x"},
         "{\"pipeline_parameters\":{\"a\":\"b=c\",\"d\":\"\",\"e\":\"NaN\","
         "\"f\":\"\\\"x\"}}"},
        {"the later counts", {"a=1", "b=2", "a=3"}, "{\"pipeline_parameters\":{\"b\":2,\"a\":3}}"},
        {"steps by title and uuid",
         {"one:a=1", "b=2", "u1:c=3", "u2:a=4"},
         "{\"u1\":{\"a\":1,\"c\":3},\"pipeline_parameters\":{\"b\":2},\"u2\":{\"a\":4}}"},
        {"a colon in the value", {"a=one:b"}, "{\"pipeline_parameters\":{\"a\":\"one:b\"}}"},
    };
    auto_pipeline struct pipeline *pipeline = two_steps();

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_params struct params params = {0};
        auto_buf struct buf out = {0};
        struct err e;
        fill(&params, rows[i].words);
        assert_int_equal(params_put_json(&params, pipeline, &out, &e), 0);
        if (strcmp(out.data, rows[i].json) != 0)
            fail_msg("%s: %s", rows[i].name, out.data);
    }
}

static void without_a_pipeline_steps_are_uuids(void **state)
{
    auto_params struct params params = {0};
    auto_buf struct buf out = {0};
    struct err e;

    (void)state;
    fill(&params, (const char *const[]){"any:a=1", NULL});
    assert_int_equal(params_put_json(&params, NULL, &out, &e), 0);
    assert_string_equal(out.data, "{\"any\":{\"a\":1}}");
}

static void wrong_words_are_refused(void **state)
{
    static const struct {
        const char *word, *error;
    } rows[] = {
        {"a", "is not NAME=VALUE"}, {"=1", "is not NAME=VALUE"},   {"one:=1", "names no parameter"},
        {"nobody:a=1", "nobody"},   {"two:a=1", "any of 2 steps"},
    };
    auto_pipeline struct pipeline *pipeline = two_steps();

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_params struct params params = {0};
        auto_buf struct buf out = {0};
        struct err e;
        params_add(&params, "good=1");
        params_add(&params, rows[i].word);
        assert_int_equal(params_put_json(&params, pipeline, &out, &e), -1);
        assert_non_null(strstr(e.text, rows[i].error));
        assert_int_equal(params_apply(&params, pipeline, &out, &e), -1);
        assert_non_null(strstr(e.text, rows[i].error));
        assert_int_equal(out.len, 0);
    }
}

static void only_a_step_in_front_of_the_name_is_one(void **state)
{
    static const struct {
        const char *word;
        bool names_step;
    } rows[] = {{"a=1", false}, {"a=b:c", false}, {"s:a=1", true}, {"x:y:a=1", true}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_params struct params params = {0};
        params_add(&params, rows[i].word);
        assert_int_equal(params_name_steps(&params), rows[i].names_step);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_become_the_parameters_of_a_request),
        cmocka_unit_test(without_a_pipeline_steps_are_uuids),
        cmocka_unit_test(wrong_words_are_refused),
        cmocka_unit_test(only_a_step_in_front_of_the_name_is_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
