/* Answers from files, over sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/api/server/served.c"

#include <sys/mman.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Of which only the first ten bytes are to be seen. */
static void serve_file(struct exchange *exchange, void *user)
{
    int fd = memfd_create("file", MFD_CLOEXEC);

    (void)user;
    assert(write(fd, "0123456789abc", 13) == 13);
    exchange_answer_file(exchange, "text/plain; charset=utf-8", FILE_FIXED, "\"v1\"", fd,
                         strcmp(exchange_path(exchange), "/empty") == 0 ? 0 : 10);
}

/* What a sending that is not whole in one go needs. */
static void serve_large(struct exchange *exchange, void *user)
{
    int fd = memfd_create("file", MFD_CLOEXEC);

    (void)user;
    for (uint32_t i = 0; i < 1000000; i++)
        assert(write(fd, &i, sizeof i) == sizeof i);
    exchange_answer_file(exchange, "application/octet-stream", FILE_GROWING, NULL, fd, 4000000);
}

/* Of which more is to come: the same tag, other content. */
static void serve_growing(struct exchange *exchange, void *user)
{
    int fd = memfd_create("file", MFD_CLOEXEC);

    (void)user;
    assert(write(fd, "0123456789", 10) == 10);
    exchange_answer_file(exchange, "text/plain; charset=utf-8", FILE_GROWING, "\"v1\"", fd, 10);
}

static const struct route file_routes[] = {
    {"GET", "/file", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, serve_file},
    {"GET", "/empty", ROUTE_TOKEN, ROUTE_WORKER, 0, NULL, serve_file},
    {"GET", "/growing", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, serve_growing},
    {"GET", "/large", ROUTE_TOKEN, ROUTE_WORKER, 0, NULL, serve_large},
};

static struct served served;

static int serve_it(void **state)
{
    (void)state;
    served = (struct served){0};
    serve_with(&served, file_routes, COUNT(file_routes), (struct server_limits){0});
    return 0;
}

static int end_it(void **state)
{
    (void)state;
    serve_end(&served);
    return 0;
}

static void the_part_that_was_asked_for_is_sent(void **state)
{
    static const struct {
        const char *name, *path, *headers;
        int status;
        const char *range, *body;
    } rows[] = {
        {"whole", "/file", "", 200, NULL, "0123456789"},
        {"middle", "/file", "Range: bytes=2-4\r\n", 206, "bytes 2-4/10", "234"},
        {"from", "/file", "Range: bytes=7-\r\n", 206, "bytes 7-9/10", "789"},
        {"last", "/file", "Range: bytes=-3\r\n", 206, "bytes 7-9/10", "789"},
        {"beyond", "/file", "Range: bytes=7-99\r\n", 206, "bytes 7-9/10", "789"},
        {"nothing there", "/file", "Range: bytes=10-\r\n", 416, "bytes */10", NULL},
        {"several", "/file", "Range: bytes=0-1,3-4\r\n", 200, NULL, "0123456789"},
        {"same version", "/file", "Range: bytes=2-4\r\nIf-Range: \"v1\"\r\n", 206, "bytes 2-4/10",
         "234"},
        {"other version", "/file", "Range: bytes=2-4\r\nIf-Range: \"v0\"\r\n", 200, NULL,
         "0123456789"},
        {"date", "/file", "Range: bytes=2-4\r\nIf-Range: Sun, 22 Nov 2026 05:10:33 GMT\r\n", 200,
         NULL, "0123456789"},
        {"known", "/file", "If-None-Match: \"v1\"\r\n", 304, NULL, ""},
        {"known and growing", "/growing", "If-None-Match: \"v1\"\r\n", 200, NULL, "0123456789"},
        {"not known", "/file", "If-None-Match: \"v0\"\r\n", 200, NULL, "0123456789"},
        {"empty", "/empty", "", 200, NULL, ""},
        {"from empty", "/empty", "Range: bytes=0-\r\n", 416, "bytes */0", NULL},
    };
    auto_client struct client client = client_open(served.port);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_reply struct reply reply = {0};
        auto_buf struct buf request = {0};
        buf_printf(&request, "GET %s HTTP/1.1\r\n" LOCAL TOKEN "%s\r\n", rows[i].path,
                   rows[i].headers);
        client_ask(&client, request.data, &reply);
        if (reply.status != rows[i].status)
            fail_msg("%s: %s", rows[i].name, reply.head.data);
        if (rows[i].body)
            assert_string_equal(buf_text(&reply.body), rows[i].body);
        if (rows[i].range)
            assert_string_equal(reply_header(&reply, "Content-Range"), rows[i].range);
        else
            assert_null(reply_header(&reply, "Content-Range"));
        assert_string_equal(reply_header(&reply, "ETag"), "\"v1\"");
        assert_string_equal(reply_header(&reply, "Accept-Ranges"), "bytes");
        if (rows[i].status == 200)
            assert_string_equal(reply_header(&reply, "Content-Type"), "text/plain; charset=utf-8");
    }
}

static void head_tells_the_size(void **state)
{
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};

    (void)state;
    client_send(&client, "HEAD /file HTTP/1.1\r\n" LOCAL TOKEN "\r\n" GET("/file"));
    client_take_head(&client, &reply);
    assert_string_equal(reply_header(&reply, "Content-Length"), "10");
    client_take_reply(&client, &reply);
    expect_reply(&reply, 200, "0123456789");
}

static void a_large_file_comes_whole(void **state)
{
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};

    (void)state;
    client_ask(&client, GET("/large"), &reply);
    assert_int_equal(reply.body.len, 4000000);
    for (uint32_t i = 0; i < 1000000; i++)
        assert_memory_equal(reply.body.data + i * sizeof i, &i, sizeof i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_part_that_was_asked_for_is_sent),
        cmocka_unit_test(head_tells_the_size),
        cmocka_unit_test(a_large_file_comes_whole),
    };

    return cmocka_run_group_tests(tests, serve_it, end_it);
}
