#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "runner/step/task.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A task with nothing but what every task has. */
static struct task smallest(void)
{
    struct task task = {0};

#define X(name) task.name = mem_strdup("the " #name);
    TASK_NEEDED_TEXTS(X)
#undef X
    return task;
}

static void set_parameters(struct task *task, const char *json)
{
    struct err e;

    assert_int_equal(
        json_parse_take(&task->parameters, mem_strdup(json), strlen(json), JSON_TOLERANT, NULL, &e),
        0);
}

static void check_same(const struct task *a, const struct task *b)
{
    struct str left = json_raw(&a->parameters, 0), right = json_raw(&b->parameters, 0);

#define X(name)                                                                                    \
    if (a->name)                                                                                   \
        assert_string_equal(a->name, b->name);                                                     \
    else                                                                                           \
        assert_null(b->name);
    TASK_TEXTS(X)
#undef X
#define X(name) assert_int_equal(a->name, b->name);
    TASK_NUMBERS(X)
#undef X
    size_t count = 0;
    for (; a->env && a->env[count]; count++)
        assert_string_equal(a->env[count], b->env[count]);
    assert_true(!b->env || !b->env[count]);
    assert_true(str_eq(left, right));
}

/* Through task.json and back; the copy is compared and cleared. */
static void round_trip(const struct task *task)
{
    auto_buf struct buf text = {0};
    struct task copy;
    struct err e;

    task_encode(task, &text);
    if (task_parse(&copy, (struct str){text.data, text.len}, &e) < 0)
        fail_msg("%s: %s", e.text, text.data);
    check_same(task, &copy);
    task_clear(&copy);
}

static void every_field_comes_back(void **state)
{
    struct task task = smallest();
    int64_t number = 1;

    (void)state;
#define X(name) task.name = mem_strdup("the " #name);
    TASK_OTHER_TEXTS(X)
#undef X
#define X(name) task.name = number++ * 1000003;
    TASK_NUMBERS(X)
#undef X
    task.env = mem_array(3, sizeof *task.env);
    task.env[0] = mem_strdup("A=1");
    task.env[1] = mem_strdup("EMPTY=");
    set_parameters(&task, "{\"a\": 0.1, \"b\":[1e400, null], \"c\" : {\"d\": \"\\u00e9\"} }");
    round_trip(&task);
    task_clear(&task);
}

static void what_is_not_there_stays_away(void **state)
{
    struct task task = smallest();

    (void)state;
    set_parameters(&task, "{}");
    round_trip(&task);
    task_clear(&task);
}

static void any_text_comes_back(void **state)
{
    static const char *const rows[] = {
        "",
        " ",
        "/tmp/with space/ü/日本/🐍.ipynb",
        "quote \" and \\ and /",
        "line\nbreak\ttab",
        "\x01\x02\x1f\x7f",
        "{\"json\": [1]}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct task task = smallest();
        task.image = mem_strdup(rows[i]);
        task.env = mem_array(2, sizeof *task.env);
        task.env[0] = mem_printf("NAME=%s", rows[i]);
        set_parameters(&task, "{}");
        round_trip(&task);
        task_clear(&task);
    }
}

static void any_number_comes_back(void **state)
{
    static const int64_t rows[] = {0, 1, -1, INT64_MAX, INT64_MIN, (int64_t)1 << 53};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct task task = smallest();
        task.memory_bytes = rows[i];
        set_parameters(&task, "{}");
        round_trip(&task);
        task_clear(&task);
    }
}

/* The text of the smallest task, with `old` (once in it) replaced by `new`; free() it. */
static char *changed(const char *old, const char *new)
{
    struct task task = smallest();
    auto_buf struct buf text = {0};

    set_parameters(&task, "{}");
    task_encode(&task, &text);
    task_clear(&task);
    const char *at = strstr(text.data, old);
    if (!at)
        fail_msg("no %s in %s", old, text.data);
    return mem_printf("%.*s%s%s", (int)(at - text.data), text.data, new, at + strlen(old));
}

/* A task of a newer or older Segue. */
static void unknown_members_are_passed_over_and_missing_ones_are_nothing(void **state)
{
    auto_free char *newer = changed("{", "{\"new\":[1],");
    auto_free char *older = changed(",\"parameters\":{}", "");
    struct task task;
    struct err e;

    (void)state;
    assert_int_equal(task_parse(&task, str_of(newer), &e), 0);
    assert_string_equal(task.source, "the source");
    assert_null(task.output);
    assert_int_equal(task.timeout_s, 0);
    task_clear(&task);
    assert_int_equal(task_parse(&task, str_of(older), &e), 0);
    assert_int_equal(json_kind(&task.parameters, 0), JSON_OBJECT);
    assert_int_equal(json_count(&task.parameters, 0), 0);
    task_clear(&task);
}

static void check_refused(const char *text)
{
    struct task task;
    struct err e = {0};

    if (task_parse(&task, str_of(text), &e) == 0)
        fail_msg("taken: %s", text);
    assert_int_equal(e.code, ERR_INVALID);
    assert_null(task.source); /* cleared */
    assert_null(task.env);
}

static void what_is_no_task_is_refused(void **state)
{
    static const char *const rows[] = {
        "", "{", "{\"source\": \"s\"", "nonsense", "{} and more", "[]", "1", "null", "{}",
    };
    static const char *const parameters[] = {"1", "[]", "null", "\"{}\""};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_refused(rows[i]);
    for (size_t i = 0; i < COUNT(parameters); i++) {
        auto_free char *value = mem_printf("\"parameters\":%s", parameters[i]);
        auto_free char *text = changed("\"parameters\":{}", value);
        check_refused(text);
    }
}

static void a_task_that_is_not_whole_is_refused(void **state)
{
    static const char *const needed[] = {
#define X(name) #name,
        TASK_NEEDED_TEXTS(X)
#undef X
    };

    (void)state;
    for (size_t i = 0; i < COUNT(needed); i++) {
        auto_free char *key = mem_printf("\"%s\"", needed[i]);
        auto_free char *text = changed(key, "\"other\"");
        check_refused(text);
    }
}

static void clearing_twice_is_fine(void **state)
{
    struct task task = {0};

    (void)state;
    task_clear(&task);
    task.run_uuid = mem_strdup("x");
    task_clear(&task);
    assert_null(task.run_uuid);
    task_clear(&task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_comes_back),
        cmocka_unit_test(what_is_not_there_stays_away),
        cmocka_unit_test(any_text_comes_back),
        cmocka_unit_test(any_number_comes_back),
        cmocka_unit_test(unknown_members_are_passed_over_and_missing_ones_are_nothing),
        cmocka_unit_test(what_is_no_task_is_refused),
        cmocka_unit_test(a_task_that_is_not_whole_is_refused),
        cmocka_unit_test(clearing_twice_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
