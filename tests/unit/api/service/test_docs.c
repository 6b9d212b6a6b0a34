#include "api/service/docs.h"

#include "base/json.h"
#include "runner/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* What was answered: the server's part is played by this file. */
static struct {
    int status;
    const char *content_type;
    const char *policy;
    struct buf body;
} answer;

void exchange_add_header(struct exchange *exchange, const char *name, const char *value)
{
    (void)exchange;
    if (strcmp(name, "Content-Security-Policy") == 0)
        answer.policy = value;
}

void exchange_answer(struct exchange *exchange, int status, const char *content_type,
                     struct buf *take_body)
{
    (void)exchange;
    answer.status = status;
    answer.content_type = content_type;
    answer.body = *take_body;
    *take_body = (struct buf){0};
}

void exchange_answer_json(struct exchange *exchange, int status, struct buf *take_body)
{
    exchange_answer(exchange, status, "application/json", take_body);
}

static char *openapi(void)
{
    docs_openapi(NULL, NULL);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.content_type, "application/json");
    return buf_take(&answer.body);
}

static void the_description_is_of_this_version(void **state)
{
    (void)state;
    auto_free char *text = openapi();
    auto_json struct json doc = {0};
    struct err e;
    assert_int_equal(json_parse(&doc, str_of(text), JSON_STRICT, NULL, &e), 0);
    assert_true(json_is(&doc, json_get(&doc, 0, "openapi"), "3.1.0"));
    assert_true(json_is(&doc, json_get(&doc, json_get(&doc, 0, "info"), "version"), SEGUE_VERSION));
}

static void the_description_may_lie_in_a_script_element(void **state)
{
    (void)state;
    auto_free char *text = openapi();
    assert_null(strstr(text, "</"));
    assert_null(strstr(text, "<!"));
}

static void the_page_carries_the_description(void **state)
{
    (void)state;
    auto_free char *description = openapi();
    docs_page(NULL, NULL);
    auto_free char *page = buf_take(&answer.body);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.content_type, "text/html; charset=utf-8");
    assert_memory_equal(page, "<!DOCTYPE html>", 15);
    char *place = strstr(page, description);
    assert_non_null(place);
    assert_memory_equal(place + strlen(description), "</script>", 9);
    assert_null(strstr(page, "@OPENAPI@"));
    assert_true(strlen(page) - strlen(description) < 40 * 1024);
}

static void the_page_may_load_nothing(void **state)
{
    (void)state;
    docs_page(NULL, NULL);
    auto_free char *page = buf_take(&answer.body);
    assert_non_null(strstr(answer.policy, "default-src 'none'"));
    assert_null(strstr(page, "src=\""));
    assert_null(strstr(page, "<link"));
    assert_null(strstr(page, "@import"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_description_is_of_this_version),
        cmocka_unit_test(the_description_may_lie_in_a_script_element),
        cmocka_unit_test(the_page_carries_the_description),
        cmocka_unit_test(the_page_may_load_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
