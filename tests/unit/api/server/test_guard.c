#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/server/guard.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void take_all(struct guard_headers *headers, const char *const *pairs)
{
    *headers = (struct guard_headers){0};
    for (; *pairs; pairs += 2)
        guard_take(headers, str_of(pairs[0]), str_of(pairs[1]));
}

#define HOST "Host", "localhost"

static void where_a_body_ends_must_be_beyond_doubt(void **state)
{
    static const struct {
        const char *name;
        const char *pairs[10];
        int result; /* -1: refused */
        bool is_chunked;
        uint64_t length;
    } rows[] = {
        {"no body", {HOST}, 0, false, 0},
        {"empty", {HOST, "Content-Length", "0"}, 0, false, 0},
        {"length", {HOST, "content-LENGTH", "12"}, 0, false, 12},
        {"blanks", {HOST, "Content-Length", " 12\t"}, 0, false, 12},
        {"zeros", {HOST, "Content-Length", "0012"}, 0, false, 12},
        {"largest", {HOST, "Content-Length", "999999999999999999"}, 0, false, 999999999999999999},
        {"chunked", {HOST, "Transfer-Encoding", "chunked"}, 0, true, 0},
        {"chunked in capitals", {HOST, "TRANSFER-ENCODING", "Chunked"}, 0, true, 0},
        {"others twice", {HOST, "Accept", "a", "Accept", "b", "Cookie", ""}, 0, false, 0},
        {"no host", {"Content-Length", "12"}, -1, false, 0},
        {"host twice", {HOST, HOST}, -1, false, 0},
        {"too long", {HOST, "Content-Length", "1000000000000000000"}, -1, false, 0},
        {"empty length", {HOST, "Content-Length", ""}, -1, false, 0},
        {"negative", {HOST, "Content-Length", "-1"}, -1, false, 0},
        {"signed", {HOST, "Content-Length", "+1"}, -1, false, 0},
        {"list", {HOST, "Content-Length", "5,5"}, -1, false, 0},
        {"two numbers", {HOST, "Content-Length", "5 5"}, -1, false, 0},
        {"twice", {HOST, "Content-Length", "5", "Content-Length", "5"}, -1, false, 0},
        {"empty twice", {HOST, "Content-Length", "", "Content-Length", "5"}, -1, false, 0},
        {"both", {HOST, "Content-Length", "5", "Transfer-Encoding", "chunked"}, -1, false, 0},
        {"gzip", {HOST, "Transfer-Encoding", "gzip"}, -1, false, 0},
        {"gzip and chunked", {HOST, "Transfer-Encoding", "gzip, chunked"}, -1, false, 0},
        {"identity", {HOST, "Transfer-Encoding", "identity"}, -1, false, 0},
        {"empty encoding", {HOST, "Transfer-Encoding", ""}, -1, false, 0},
        {"encoding twice",
         {HOST, "Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"},
         -1,
         false,
         0},
        {"blank in a name", {HOST, "Content-Length ", "5"}, -1, false, 0},
        {"tab before a name", {HOST, "\tContent-Length", "5"}, -1, false, 0},
        {"empty name", {HOST, "", "5"}, -1, false, 0},
        {"name with a colon", {HOST, "X:Y", "5"}, -1, false, 0},
        {"name that is no ASCII", {HOST, "X\xc3\xbc", "5"}, -1, false, 0},
        {"continued length", {HOST, "Content-Length0", "5"}, -1, false, 0},
        {"continued encoding", {HOST, "Transfer-Encodingchunked", ""}, -1, false, 0},
        {"continued host", {"Host.evil", "localhost", HOST}, -1, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct guard_headers headers;
        struct guard_body body;
        struct err e = {0};
        take_all(&headers, rows[i].pairs);
        int result = guard_check_framing(&headers, &body, &e);
        if (result != rows[i].result)
            fail_msg("%s: %s", rows[i].name, result == 0 ? "passed" : e.text);
        if (result < 0)
            assert_int_equal(e.code, ERR_INVALID);
        else if (body.is_chunked != rows[i].is_chunked || body.length != rows[i].length)
            fail_msg("%s: %d, %llu", rows[i].name, body.is_chunked,
                     (unsigned long long)body.length);
    }
}

static void hosts_are_ours_or_not(void **state)
{
    static const char *const names[] = {"segue.example", "10.0.0.7", "fd00::7", NULL};
    static const struct {
        const char *host, *address;
        bool is_allowed;
    } rows[] = {
        {"localhost", "0.0.0.0", true},
        {"LocalHost:7878", "0.0.0.0", true},
        {"localhost.", "0.0.0.0", true},
        {"localhost.:80", "0.0.0.0", true},
        {"127.0.0.1", "0.0.0.0", true},
        {"127.0.0.1:7878", "0.0.0.0", true},
        {"127.8.9.10:1", "0.0.0.0", true},
        {"[::1]", "0.0.0.0", true},
        {"[::1]:7878", "0.0.0.0", true},
        {"[0:0::0:1]:7878", "0.0.0.0", true},
        {"192.168.1.5:7878", "192.168.1.5", true},
        {"[fe80::5]", "fe80:0:0:0::5", true},
        {"segue.example", "127.0.0.1", true},
        {"SEGUE.example:443", "127.0.0.1", true},
        {"10.0.0.7:443", "127.0.0.1", true},
        {"[fd00:0::7]:443", "127.0.0.1", true},
        {"0.0.0.0", "0.0.0.0", true},
        {"", "127.0.0.1", false},
        {".", "127.0.0.1", false},
        {":80", "127.0.0.1", false},
        {"[]", "127.0.0.1", false},
        {"[::1", "127.0.0.1", false},
        {"[::1]x", "127.0.0.1", false},
        {"::1", "127.0.0.1", false},
        {"[::2]", "127.0.0.1", false},
        {"evil.example", "127.0.0.1", false},
        {"localhost.evil.example", "127.0.0.1", false},
        {"evil.localhost", "127.0.0.1", false},
        {"segue.example.evil", "127.0.0.1", false},
        {"xsegue.example", "127.0.0.1", false},
        {"segue.exampl", "127.0.0.1", false},
        {"127.0.0.1.evil.example", "127.0.0.1", false},
        {"1127.0.0.1", "127.0.0.1", false},
        {"127.1", "127.0.0.1", false},
        {"2130706433", "127.0.0.1", false},
        {"128.0.0.1", "127.0.0.1", false},
        {"192.168.1.6", "192.168.1.5", false},
        {"192.168.1.5", "0.0.0.0", false},
        {"localhost:80:80", "127.0.0.1", false},
        {"localhost:port", "127.0.0.1", false},
        {"localhost@evil", "127.0.0.1", false},
        {"localhost, evil", "127.0.0.1", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (guard_is_allowed_host(str_of(rows[i].host), rows[i].address, names) !=
            rows[i].is_allowed)
            fail_msg("\"%s\" at %s", rows[i].host, rows[i].address);
    assert_false(guard_is_allowed_host(STR("segue.example"), "127.0.0.1", NULL));
    assert_false(guard_is_allowed_host((struct str){0}, "127.0.0.1", NULL));
}

static void only_the_token_opens(void **state)
{
    static const struct {
        const char *header;
        bool opens;
    } rows[] = {
        {"Bearer s3cret", true},
        {"bearer s3cret", true},
        {"BEARER   s3cret", true},
        {"token s3cret", true},
        {"Token s3cret", true},
        {NULL, false},
        {"", false},
        {"s3cret", false},
        {"Bearer", false},
        {"Bearer ", false},
        {"token ", false},
        {"Bearer S3cret", false},
        {"Bearer s3cre", false},
        {"Bearer s3cretx", false},
        {"Bearer s3cret x", false},
        {"Bearers3cret", false},
        {"Basic s3cret", false},
        {"Bearer Bearer s3cret", false},
        {"bearer\ts3cret", false},
        {"BEARER   s3cret", true},
        {"Basic c2VndWU6czNjcmV0", true},         /* segue:s3cret */
        {"Basic OnMzY3JldA==", true},             /* :s3cret */
        {"Basic YSBsb25nIG5hbWU6czNjcmV0", true}, /* a long name:s3cret */
        {"Basic czNjcmV0", false},                /* s3cret */
        {"Basic czNjcmV0Og==", false},            /* s3cret: */
        {"Basic YTpTM2NyZXQ=", false},            /* a:S3cret */
        {"Basic YTpzM2NyZXR4", false},            /* a:s3cretx */
        {"Basic YTpiOnMzY3JldA==", false},        /* a:b:s3cret */
        {"Basic YTo=", false},                    /* a: */
        {"Basic ", false},                        /*  */
        {"bAsIc c2VndWU6czNjcmV0", true},
        {"Basic c2VndWU6czNjcmV", false},
        {"Basic ====", false},
        {"Basic !!!!", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (guard_has_token(str_of(rows[i].header), "s3cret") != rows[i].opens)
            fail_msg("\"%s\"", rows[i].header);
    assert_false(guard_has_token(STR("Bearer "), "")); /* no token opens nothing */
    assert_false(guard_has_token(STR("Basic YTo="), ""));
}

static void a_long_name_is_no_way_in(void **state)
{
    char header[6 + 4000 + 1] = "Basic ";

    (void)state;
    for (size_t len = 4; len <= 4000; len += 4) {
        memset(header + 6, 'A', len);
        assert_false(guard_has_token((struct str){header, 6 + len}, "s3cret"));
    }
}

static void json_is_named_so(void **state)
{
    static const struct {
        const char *type;
        bool is_json;
    } rows[] = {
        {"application/json", true},
        {"Application/JSON", true},
        {"application/json; charset=utf-8", true},
        {"application/json ;charset=utf-8", true},
        {"application/json;", true},
        {NULL, false},
        {"", false},
        {"text/json", false},
        {"application/jsonx", false},
        {"application/problem+json", false},
        {"text/plain; application/json", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (guard_is_json(str_of(rows[i].type)) != rows[i].is_json)
            fail_msg("\"%s\"", rows[i].type);
}

static void the_first_of_the_others_counts(void **state)
{
    static const char *const pairs[] = {
        "Authorization", "a",      "authorization", "b", "Content-Type",
        " c ",           "Expect", "100-Continue",  NULL};
    struct guard_headers headers;

    (void)state;
    take_all(&headers, pairs);
    assert_true(str_is(headers.authorization, "a"));
    assert_true(str_is(headers.content_type, "c"));
    assert_true(guard_expects_continue(headers.expect));
    assert_false(guard_expects_continue(STR("200-ok")));
    assert_false(guard_expects_continue((struct str){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_a_body_ends_must_be_beyond_doubt),
        cmocka_unit_test(hosts_are_ours_or_not),
        cmocka_unit_test(only_the_token_opens),
        cmocka_unit_test(a_long_name_is_no_way_in),
        cmocka_unit_test(json_is_named_so),
        cmocka_unit_test(the_first_of_the_others_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
