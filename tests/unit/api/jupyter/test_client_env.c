#include "api/jupyter/client_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int read_env(struct client_env *env, const char *text, const char *const *allowed,
                    struct err *e)
{
    auto_json struct json doc = {0};

    assert_int_equal(json_parse(&doc, str_of(text), JSON_STRICT, NULL, e), 0);
    return client_env_read(env, &doc, json_get(&doc, 0, "env"), allowed, e);
}

static void takes_what_is_allowed(void **state)
{
    (void)state;
    static const char *const named[] = {"HTTP_PROXY", "AWS_*", NULL};
    static const char *const all[] = {"*", NULL};
    static const char *const dangerous[] = {"PATH", "LD_LIBRARY_PATH", "PYTHON*", "SEGUE_X", NULL};
    static const struct {
        const char *name;
        bool by_none, by_named, by_all, by_dangerous;
    } rows[] = {
        {"KERNEL_USERNAME", true, true, true, true},
        {"KERNEL_", true, true, true, true},
        {"KERNEL", false, false, true, false},
        {"XKERNEL_A", false, false, true, false},
        {"HTTP_PROXY", false, true, true, false},
        {"HTTP_PROXY2", false, false, true, false},
        {"http_proxy", false, false, true, false},
        {"AWS_KEY", false, true, true, false},
        {"AWS", false, false, true, false},
        {"PATH", false, false, false, true},
        {"LD_PRELOAD", false, false, false, false},
        {"LD_LIBRARY_PATH", false, false, false, true},
        {"PYTHONPATH", false, false, false, true},
        {"PYTHONSTARTUP", false, false, false, true},
        {"SEGUE_ATTEMPT", false, false, false, false},
        {"KERNEL_A B", false, false, false, false},
        {"KERNEL_A=B", false, false, false, false},
        {"KERNEL_\u00e4", false, false, false, false},
        {"1A", false, false, false, false},
        {"", false, false, false, false},
        {"BASH_FUNC_x%%", false, false, false, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(client_env_is_allowed(rows[i].name, NULL), rows[i].by_none);
        assert_int_equal(client_env_is_allowed(rows[i].name, named), rows[i].by_named);
        assert_int_equal(client_env_is_allowed(rows[i].name, all), rows[i].by_all);
        assert_int_equal(client_env_is_allowed(rows[i].name, dangerous), rows[i].by_dangerous);
    }
}

static void keeps_values_as_they_are(void **state)
{
    (void)state;
    auto_client_env struct client_env env = {0};
    struct err e;

    assert_int_equal(read_env(&env,
                              "{\"env\": {\"KERNEL_A\": \"$(reboot) `x` ${HOME}\\n; =\", "
                              "\"HOME\": \"/root\", \"KERNEL_B\": \"\"}}",
                              NULL, &e),
                     0);
    assert_int_equal(env.count, 2);
    assert_string_equal(env.entries[0], "KERNEL_A=$(reboot) `x` ${HOME}\n; =");
    assert_string_equal(env.entries[1], "KERNEL_B=");
    assert_null(env.entries[2]);
    assert_string_equal(client_env_get(&env, "KERNEL_A"), "$(reboot) `x` ${HOME}\n; =");
    assert_null(client_env_get(&env, "KERNEL_B"));
    assert_null(client_env_get(&env, "KERNEL_C"));
    assert_null(client_env_get(&env, "KERNEL"));
}

static void the_last_of_a_name_counts(void **state)
{
    (void)state;
    auto_client_env struct client_env env = {0};
    struct err e;

    assert_int_equal(
        read_env(&env,
                 "{\"env\": {\"KERNEL_A\": \"1\", \"KERNEL_AB\": \"2\", \"KERNEL_A\": \"3\"}}",
                 NULL, &e),
        0);
    assert_int_equal(env.count, 2);
    assert_string_equal(client_env_get(&env, "KERNEL_A"), "3");
    assert_string_equal(client_env_get(&env, "KERNEL_AB"), "2");
}

static void drops_what_cannot_be_a_variable(void **state)
{
    (void)state;
    auto_client_env struct client_env env = {0};
    struct err e;

    assert_int_equal(
        read_env(&env, "{\"env\": {\"KERNEL_A\": \"a\\u0000b\", \"KERNEL_\\u0000B\": \"c\"}}", NULL,
                 &e),
        0);
    assert_int_equal(env.count, 0);
}

static void none_is_fine(void **state)
{
    (void)state;
    static const char *const texts[] = {"{}", "{\"env\": null}", "{\"env\": {}}"};
    struct err e;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        auto_client_env struct client_env env = {0};
        assert_int_equal(read_env(&env, texts[i], NULL, &e), 0);
        assert_int_equal(env.count, 0);
        assert_null(env.entries[0]);
    }
}

static void refuses_other_kinds(void **state)
{
    (void)state;
    static const char *const texts[] = {"{\"env\": []}", "{\"env\": \"KERNEL_A=1\"}",
                                        "{\"env\": 1}", "{\"env\": {\"KERNEL_A\": 1}}",
                                        "{\"env\": {\"OTHER\": null}}"};
    struct err e;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct client_env env = {0};
        assert_int_equal(read_env(&env, texts[i], NULL, &e), -1);
        assert_int_equal(e.code, ERR_INVALID);
        assert_null(env.entries); /* nothing is left to be cleared */
    }
}

static void refuses_what_cannot_be_passed_on(void **state)
{
    (void)state;
    struct err e;
    auto_buf struct buf many = {0}, large = {0};

    buf_puts(&many, "{\"env\": {");
    for (int i = 0; i <= CLIENT_ENV_MAX; i++)
        buf_printf(&many, "%s\"KERNEL_%d\": \"\"", i > 0 ? "," : "", i);
    buf_puts(&many, "}}");
    struct client_env env = {0};
    assert_int_equal(read_env(&env, buf_text(&many), NULL, &e), -1);
    assert_non_null(strstr(e.text, "1000"));

    /* "KERNEL_A=" and 131062 more make the longest entry; the NUL is its last byte. */
    buf_puts(&large, "{\"env\": {\"KERNEL_A\": \"");
    size_t value = large.len;
    for (int i = 0; i < 131062; i++)
        buf_putc(&large, 'x');
    buf_puts(&large, "\"}}");
    assert_int_equal(read_env(&env, buf_text(&large), NULL, &e), 0);
    client_env_clear(&env);
    buf_clear(&many);
    buf_put(&many, large.data, value);
    buf_puts(&many, "x");
    buf_puts(&many, large.data + value);
    assert_int_equal(read_env(&env, buf_text(&many), NULL, &e), -1);
    assert_non_null(strstr(e.text, "KERNEL_A"));
    assert_null(strstr(e.text, "xxx")); /* values are nobody's business */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_is_allowed),
        cmocka_unit_test(keeps_values_as_they_are),
        cmocka_unit_test(the_last_of_a_name_counts),
        cmocka_unit_test(drops_what_cannot_be_a_variable),
        cmocka_unit_test(none_is_fine),
        cmocka_unit_test(refuses_other_kinds),
        cmocka_unit_test(refuses_what_cannot_be_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
