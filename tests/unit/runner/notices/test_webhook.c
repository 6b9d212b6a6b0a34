#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/notices/webhook.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool may_connect(const char *text)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
        return webhook_may_connect((struct sockaddr *)&four, sizeof four);
    assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return webhook_may_connect((struct sockaddr *)&six, sizeof six);
}

static void local_addresses_are_refused(void **state)
{
    static const char *const refused[] = {
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "239.255.255.255",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "febf::1",
        "ff02::1",
        "::127.0.0.1",
        "::169.254.169.254",
        "::ffff:127.0.0.1",
        "::ffff:0.0.0.0",
        "::ffff:169.254.169.254",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
    };
    static const char *const allowed[] = {
        "10.0.0.1",       "192.168.1.1",       "172.16.0.1",      "8.8.8.8",
        "1.0.0.0",        "126.255.255.255",   "128.0.0.1",       "169.253.255.255",
        "169.255.0.0",    "223.255.255.255",   "2001:db8::1",     "fd00::1",
        "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",  "2002:808:808::1", "fec0::1",
        "::2:0:0:1",      "64:ff9b:1::7f00:1",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++)
        if (may_connect(refused[i]))
            fail_msg("%s is let pass", refused[i]);
    for (size_t i = 0; i < COUNT(allowed); i++)
        if (!may_connect(allowed[i]))
            fail_msg("%s is refused", allowed[i]);
}

static void what_is_no_ip_address_is_refused(void **state)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/run/docker.sock"};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x08080808)};

    (void)state;
    assert_false(webhook_may_connect((struct sockaddr *)&local, sizeof local));
    assert_true(webhook_may_connect((struct sockaddr *)&four, sizeof four));
    assert_false(webhook_may_connect((struct sockaddr *)&four, sizeof four - 1));
}

static void urls_are_checked(void **state)
{
    static char longest[2001], too_long[2002];
    struct {
        const char *url;
        const char *text; /* of the error; NULL: it is fine */
    } rows[] = {
        {"https://example.com/hooks/1?a=b", NULL},
        {"http://hooks.intern:8080", NULL},
        {"http://10.0.0.1/", NULL},
        {"http://[2001:db8::1]:8080/", NULL},
        {"http://localhost/", NULL}, /* a name: refused when it is connected to */
        {longest, NULL},
        {too_long, "2000 bytes"},
        {"", "no URL"},
        {"example.com/hook", "no URL"},
        {"ftp://example.com/", "http://"},
        {"file:///etc/passwd", "http://"},
        {"http://me@example.com/", "no user"},
        {"http://me:secret@example.com/", "no user"},
        {"http://127.0.0.1/", "\"127.0.0.1\" leads"},
        {"http://127.1/", "\"127.0.0.1\" leads"},
        {"http://2130706433/", "\"127.0.0.1\" leads"},
        {"http://0x7f000001/", "\"127.0.0.1\" leads"},
        {"http://0177.1/", "\"127.0.0.1\" leads"},
        {"http://0/", "\"0.0.0.0\" leads"},
        {"http://169.254.169.254/latest/meta-data", "\"169.254.169.254\" leads"},
        {"http://[::ffff:127.0.0.1]/", "\"::ffff:127.0.0.1\" leads"},
        {"http://[::1]:7878/", "\"::1\" leads"},
        {"http://[fe80::1%25eth0]/", "\"fe80::1\" leads"},
    };
    struct err e;

    (void)state;
    memset(longest, 'x', sizeof longest - 1);
    memcpy(longest, "http://example.com/", 19);
    memset(too_long, 'x', sizeof too_long - 1);
    memcpy(too_long, "http://example.com/", 19);
    for (size_t i = 0; i < COUNT(rows); i++) {
        int result = webhook_check_url(rows[i].url, false, &e);
        if (result == 0 && rows[i].text)
            fail_msg("%s is let pass", rows[i].url);
        if (result < 0 && !rows[i].text)
            fail_msg("%s: %s", rows[i].url, e.text);
        if (result < 0) {
            assert_int_equal(e.code, ERR_INVALID);
            if (!strstr(e.text, rows[i].text))
                fail_msg("%s: %s", rows[i].url, e.text);
        }
    }
}

static void local_urls_can_be_allowed(void **state)
{
    struct err e;

    (void)state;
    assert_int_equal(webhook_check_url("http://127.0.0.1:8080/", true, &e), 0);
    assert_int_equal(webhook_check_url("http://[::1]/", true, &e), 0);
    assert_int_equal(webhook_check_url("http://me@127.0.0.1/", true, &e), -1);
}

static void events_are_known_and_named_once(void **state)
{
    static const struct {
        const char *events;
        const char *text;
    } wrong[] = {
        {"", "no event"},
        {"ping", "unknown event \"ping\""},
        {"run_finishd", "did you mean \"run_finished\"?"},
        {"run_finished,", "unknown event \"\""},
        {",run_finished", "unknown event \"\""},
        {"run_finished,,job_finished", "unknown event \"\""},
        {"run_finished, job_finished", "did you mean \"job_finished\"?"},
        {"job_finished,run_finished,job_finished", "\"job_finished\" is named twice"},
    };
    struct err e;

    (void)state;
    assert_int_equal(webhook_check_events("run_finished", &e), 0);
    assert_int_equal(webhook_check_events("job_finished,run_finished", &e), 0);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        if (webhook_check_events(wrong[i].events, &e) == 0)
            fail_msg("\"%s\" is let pass", wrong[i].events);
        assert_int_equal(e.code, ERR_INVALID);
        if (!strstr(e.text, wrong[i].text))
            fail_msg("\"%s\": %s", wrong[i].events, e.text);
    }
}

static void a_webhook_wants_what_it_names(void **state)
{
    (void)state;
    assert_true(webhook_wants("run_finished,job_finished", "run_finished"));
    assert_true(webhook_wants("run_finished,job_finished", "job_finished"));
    assert_false(webhook_wants("job_finished", "run_finished"));
    assert_false(webhook_wants("run_finished", "run_"));
    assert_false(webhook_wants("run_finished", "run_finished,job_finished"));
}

/* The example in GitHub's documentation, "Validating webhook deliveries". */
static void signs_as_github_does(void **state)
{
    char signature[72];

    (void)state;
    webhook_sign("It's a Secret to Everybody", STR("Hello, World!"), signature);
    assert_string_equal(signature,
                        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
    webhook_sign("k", STR(""), signature);
    assert_int_equal(strlen(signature), 71);
}

static void tries_come_later_and_later_for_a_day(void **state)
{
    static const int64_t seconds[] = {10,    30,    120,   600,   1800,  3600, 10800,
                                      10800, 10800, 10800, 10800, 10800, 10800};
    int64_t waited = 0;

    (void)state;
    for (uint32_t i = 0; i < COUNT(seconds); i++) {
        assert_int_equal(webhook_retry_in(i + 1), seconds[i] * 1000);
        waited += seconds[i];
    }
    assert_true(waited <= 24 * 3600 && waited + 10800 > 24 * 3600);
    assert_int_equal(webhook_retry_in(COUNT(seconds) + 1), -1);
    assert_int_equal(webhook_retry_in(UINT32_MAX), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(local_addresses_are_refused),
        cmocka_unit_test(what_is_no_ip_address_is_refused),
        cmocka_unit_test(urls_are_checked),
        cmocka_unit_test(local_urls_can_be_allowed),
        cmocka_unit_test(events_are_known_and_named_once),
        cmocka_unit_test(a_webhook_wants_what_it_names),
        cmocka_unit_test(signs_as_github_does),
        cmocka_unit_test(tries_come_later_and_later_for_a_day),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
