#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/server/target.h"
#include "base/mem.h"

#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* As "segment|segment?name=value&name=value". */
static void show(const struct target *target, char *out, size_t size)
{
    size_t len = 0;

    for (unsigned i = 0; i < target->segment_count; i++)
        len +=
            (size_t)snprintf(out + len, size - len, "%s%s", i ? "|" : "", target->segments[i].text);
    for (unsigned i = 0; i < target->query_count; i++)
        len += (size_t)snprintf(out + len, size - len, "%s%s=%s", i ? "&" : "?",
                                target->queries[i].name, target->queries[i].value);
}

static void a_target_is_taken_apart(void **state)
{
    static const struct {
        const char *text, *parts; /* NULL: refused */
    } rows[] = {
        {"/", ""},
        {"/a", "a"},
        {"/a/b", "a|b"},
        {"/a/b/", "a|b|"},
        {"//a", "|a"},
        {"/a%2fb/%41%c3%bc", "a/b|A\xc3\xbc"},
        {"/a+b", "a+b"},
        {"/\xc3\xbc", "\xc3\xbc"},
        {"/a?", "a"},
        {"/a?x", "a?x="},
        {"/a?x=", "a?x="},
        {"/a?x=1&y=2", "a?x=1&y=2"},
        {"/a?&x=1&&y=2&", "a?x=1&y=2"},
        {"/a?x=a+b%2B%26%3d", "a?x=a b+&="},
        {"/a?x=1=2", "a?x=1=2"},
        {"/a?x=/?", "a?x=/?"},
        {"/a?%78=1", "a?x=1"},
        {"/a?x=%0A", "a?x=\n"},
        {"/a?=1", "a?=1"},
        {"", NULL},
        {"*", NULL},
        {"a", NULL},
        {"?", NULL},
        {"http://a/b", NULL},
        {"/%", NULL},
        {"/%4", NULL},
        {"/%4g", NULL},
        {"/%g4", NULL},
        {"/a%", NULL},
        {"/a%/b", NULL},
        {"/%4/1", NULL},
        {"/%00", NULL},
        {"/%0a", NULL},
        {"/%7f", NULL},
        {"/a b", NULL},
        {"/a\tb", NULL},
        {"/\xff", NULL},
        {"/%ff", NULL},
        {"/%c3/%bc", NULL},
        {"/%ed%a0%80", NULL},
        {"/a?x=%", NULL},
        {"/a?x=%4&y=1", NULL},
        {"/a?x=%00", NULL},
        {"/a?%00=1", NULL},
        {"/a?x=%ff", NULL},
        {"/a?x y=1", NULL},
        {"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", "1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16"},
        {"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", NULL},
        {"/?1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17&18&19&20&21&22&23&24&25&26&27&28&29&30&31&32"
         "&33",
         NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *text = mem_strdup(rows[i].text);
        struct target target;
        struct err e;
        char parts[200] = "";
        int result = target_parse(&target, text, &e);
        if ((result == 0) != (rows[i].parts != NULL))
            fail_msg("%s: %s", rows[i].text, result == 0 ? "taken" : e.text);
        if (result < 0) {
            assert_int_equal(e.code, ERR_INVALID);
            continue;
        }
        show(&target, parts, sizeof parts);
        assert_string_equal(parts, rows[i].parts);
    }
}

static void only_known_parameters_pass(void **state)
{
    static const char *const known[] = {"status", "limit", NULL};
    static const struct {
        const char *text, *error; /* NULL: passes */
    } rows[] = {
        {"/", NULL},
        {"/?limit=1&status=A&limit=2", NULL},
        {"/?1700000000000", NULL},
        {"/?limit=1&1700000000000", NULL},
        {"/?17=1", "unknown query parameter \"17\""},
        {"/?17a", "unknown query parameter \"17a\""},
        {"/?=", "unknown query parameter \"\""},
        {"/?limits=1", "unknown query parameter \"limits\"; did you mean \"limit\"?"},
        {"/?limit=1&Status=A", "unknown query parameter \"Status\"; did you mean \"status\"?"},
        {"/?elephant", "unknown query parameter \"elephant\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *text = mem_strdup(rows[i].text);
        struct target target;
        struct err e = {0};
        assert_int_equal(target_parse(&target, text, &e), 0);
        assert_int_equal(target_check_queries(&target, known, &e), rows[i].error ? -1 : 0);
        assert_string_equal(e.text, rows[i].error ? rows[i].error : "");
    }
}

static void where_none_is_known_none_passes(void **state)
{
    char text[] = "/?limit=1&2", digits[] = "/?2";
    struct target target;
    struct err e;

    (void)state;
    assert_int_equal(target_parse(&target, text, &e), 0);
    assert_int_equal(target_check_queries(&target, NULL, &e), -1);
    assert_int_equal(target_parse(&target, digits, &e), 0);
    assert_int_equal(target_check_queries(&target, NULL, &e), 0);
}

static void the_first_of_a_name_counts(void **state)
{
    char text[] = "/?a=1&b=2&a=3&c";
    struct target target;
    struct err e;

    (void)state;
    assert_int_equal(target_parse(&target, text, &e), 0);
    assert_string_equal(target_query(&target, "a"), "1");
    assert_string_equal(target_query(&target, "b"), "2");
    assert_string_equal(target_query(&target, "c"), "");
    assert_null(target_query(&target, "d"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_is_taken_apart),
        cmocka_unit_test(only_known_parameters_pass),
        cmocka_unit_test(where_none_is_known_none_passes),
        cmocka_unit_test(the_first_of_a_name_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
