/* With an exchange of our own in place of the server's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/service/request_key.h"

struct exchange {
    const char *key, *path, *body;
    int status;
};

const char *exchange_header(struct exchange *exchange, const char *name)
{
    assert_string_equal(name, "Idempotency-Key");
    return exchange->key;
}

const char *exchange_path(const struct exchange *exchange)
{
    return exchange->path;
}

struct str exchange_body(const struct exchange *exchange)
{
    return str_of(exchange->body);
}

void exchange_answer_problem(struct exchange *exchange, int status, const char *detail,
                             const struct problems *problems)
{
    assert_non_null(detail);
    assert_null(problems);
    exchange->status = status;
}

static struct request_key key_of(const char *text, const char *path, const char *body)
{
    struct exchange exchange = {text, path, body, 0};
    struct request_key key;

    assert_int_equal(request_key_read(&exchange, &key), 0);
    assert_int_equal(exchange.status, 0);
    return key;
}

static void without_a_key(void **state)
{
    (void)state;
    assert_null(key_of(NULL, "/runs", "{}").key);
}

static void a_digest_of_path_and_body(void **state)
{
    struct request_key key = key_of("k", "/runs", "{}");

    (void)state;
    assert_string_equal(key.key, "k");
    /* printf '/runs\0{}' | sha256sum */
    assert_string_equal(key.digest,
                        "615947bb96632def3b51b91d9d6a1ab25ab6c709c03534442f7f5a591cc14f22");
    assert_string_equal(key_of("other", "/runs", "{}").digest, key.digest);
}

static void another_request_is_refused(void **state)
{
    struct request_key key = key_of("k", "/runs", "{}");
    struct err e;

    (void)state;
    assert_int_equal(request_key_check(&key, key_of("k", "/runs", "{}").digest, &e), 0);
    assert_int_equal(request_key_check(&key, key_of("k", "/runs", "{} ").digest, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_int_equal(request_key_check(&key, key_of("k", "/jobs", "{}").digest, &e), -1);
    assert_int_equal(request_key_check(&key, key_of("k", "/runs", NULL).digest, &e), -1);
}

static void keys_that_are_none(void **state)
{
    char longest[257];

    (void)state;
    memset(longest, 'k', 256);
    longest[256] = 0;
    for (const char *const *wrong =
             (const char *const[]){"", "a b", "a\t", "\x7f", "\xc3\xa4", longest, NULL};
         *wrong; wrong++) {
        struct exchange exchange = {*wrong, "/runs", "{}", 0};
        struct request_key key;
        assert_int_equal(request_key_read(&exchange, &key), -1);
        assert_int_equal(exchange.status, 400);
    }
    assert_non_null(key_of(longest + 1, "/runs", "{}").key);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        cmocka_unit_test(without_a_key),
        cmocka_unit_test(a_digest_of_path_and_body),
        cmocka_unit_test(another_request_is_refused),
        cmocka_unit_test(keys_that_are_none),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
