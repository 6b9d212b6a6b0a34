/* A client on a bare socket: sends bytes as they are and reads answers one by one. For tests of the
 * server; included by them. What does not come within 20 s fails the test. */
#include "base/buf.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_S 20

/* Not every test uses all of these. */
#define HELPER __attribute__((unused))

struct client {
    int fd;
    struct buf in;
};

struct reply {
    int status;
    struct buf head; /* with the status line and the empty line */
    struct buf body;
};

static void reply_clear(struct reply *reply)
{
    buf_clear(&reply->head);
    buf_clear(&reply->body);
    *reply = (struct reply){0};
}

#define auto_reply  __attribute__((cleanup(reply_clear)))
#define auto_client __attribute__((cleanup(client_close)))

static void client_close(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    buf_clear(&client->in);
}

static struct client client_open(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)port)};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    struct client client = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};

    setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(client.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(client.fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail_msg("cannot connect: %s", strerror(errno));
    return client;
}

/* false: the other side has closed. */
static bool client_try_send(struct client *client, const void *data, size_t len)
{
    for (const char *p = data; len > 0;) {
        ssize_t n = send(client->fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static HELPER void client_send(struct client *client, const char *text)
{
    if (!client_try_send(client, text, strlen(text)))
        fail_msg("cannot send: %s", strerror(errno));
}

/* false: the end. Being cut off counts as one. */
static bool client_fill(struct client *client)
{
    char chunk[65536];
    ssize_t n = recv(client->fd, chunk, sizeof chunk, 0);

    if (n < 0 && errno != ECONNRESET)
        fail_msg("nothing came: %s", strerror(errno));
    if (n <= 0)
        return false;
    buf_put(&client->in, chunk, (size_t)n);
    return true;
}

/* Moves the first `len` bytes that come to `out`. */
static void client_take(struct client *client, size_t len, struct buf *out)
{
    while (client->in.len < len)
        if (!client_fill(client))
            fail_msg("closed after \"%s\"", buf_text(&client->in));
    buf_put(out, client->in.data, len);
    buf_consume(&client->in, len);
}

/* Moves what comes to `out`, up to and with `end`. */
static void client_take_until(struct client *client, const char *end, struct buf *out)
{
    const char *at;

    while (
        !(at = client->in.len ? memmem(client->in.data, client->in.len, end, strlen(end)) : NULL))
        if (!client_fill(client))
            fail_msg("closed after \"%s\"", buf_text(&client->in));
    client_take(client, (size_t)(at - client->in.data) + strlen(end), out);
}

/* The value of a header, for as long as the reply is there; NULL: not there. */
static HELPER const char *reply_header(struct reply *reply, const char *name)
{
    static _Thread_local char value[1000];
    char line[100];

    snprintf(line, sizeof line, "\r\n%s: ", name);
    const char *at = strcasestr(buf_text(&reply->head), line);
    if (!at)
        return NULL;
    at += strlen(line);
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r"), at);
    return value;
}

static HELPER void client_take_chunks(struct client *client, struct buf *out)
{
    for (size_t size = 1; size > 0;) {
        auto_buf struct buf line = {0};
        client_take_until(client, "\r\n", &line);
        size = strtoul(line.data, NULL, 16);
        client_take(client, size, out);
        buf_reset(&line);
        client_take(client, 2, &line);
    }
}

/* The next head only. */
static void client_take_head(struct client *client, struct reply *ret)
{
    reply_clear(ret);
    client_take_until(client, "\r\n\r\n", &ret->head);
    if (sscanf(ret->head.data, "HTTP/1.1 %d ", &ret->status) != 1)
        fail_msg("no answer: %s", ret->head.data);
}

static HELPER void client_take_reply(struct client *client, struct reply *ret)
{
    client_take_head(client, ret);
    const char *length = reply_header(ret, "Content-Length");
    if (length)
        client_take(client, strtoul(length, NULL, 10), &ret->body);
    else if (reply_header(ret, "Transfer-Encoding"))
        client_take_chunks(client, &ret->body);
}

/* Waits until the other side closes; nothing must come before. */
static HELPER void client_expect_end(struct client *client)
{
    if (client_fill(client) || client->in.len > 0)
        fail_msg("more came: \"%s\"", buf_text(&client->in));
}

static HELPER void client_ask(struct client *client, const char *request, struct reply *ret)
{
    client_send(client, request);
    client_take_reply(client, ret);
}

static HELPER void expect_status(const struct reply *reply, int status)
{
    if (reply->status != status)
        fail_msg("not %d: %s%s", status, buf_text(&reply->head), buf_text(&reply->body));
}

static HELPER void expect_reply(const struct reply *reply, int status, const char *body)
{
    expect_status(reply, status);
    assert_string_equal(buf_text(&reply->body), body);
}
