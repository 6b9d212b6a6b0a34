/* A server on a unix socket that answers requests from a table: for tests of clients. Each
 * connection is served by a thread of its own and closed behind the answer. Tests steer it by
 * gates: a rule may wait for one before or within its answer, and open one. Included by the tests
 * that need it. */
#include "base/buf.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Gate 0 stands for "none"; the last one opens when the server is stopped. */
enum { GATES = 8, GATE_STOP = GATES };

struct rule {
    const char *request; /* how the request line begins: "GET /version" */
    const char *answer;  /* bytes; NULL: the connection is closed without any */
    size_t answer_len;   /* 0: strlen */
    int arrived;         /* gate that is opened when the request is there */
    int wait_before;     /* gate */
    int wait_after;      /* gate, before `more` is sent */
    const char *more;
    size_t more_len;
    int opens; /* gate, once all is sent */
    int times; /* 0: for ever; else the rule is used up after so many */
};

struct server {
    char directory[40];
    char path[60];
    int port;
    int listener;
    struct rule *rules; /* used in order: the first that fits */
    size_t rule_count;
    int *used;
    pthread_t accepter;
    pthread_t workers[64];
    int worker_fds[64];
    size_t worker_count;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool gates[GATES + 1];
    struct buf log; /* "POST /x HTTP/1.1\nBODY\n" for each request */
    struct buf raw; /* requests as they came, with their headers */
};

struct connection {
    struct server *server;
    int fd;
};

static void server_open_gate(struct server *server, int gate)
{
    pthread_mutex_lock(&server->lock);
    server->gates[gate] = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

static void server_wait_gate(struct server *server, int gate)
{
    pthread_mutex_lock(&server->lock);
    while (gate && !server->gates[gate] && !server->gates[GATE_STOP])
        pthread_cond_wait(&server->changed, &server->lock);
    pthread_mutex_unlock(&server->lock);
}

/* Head and body, as far as Content-Length says. */
static bool server_read_request(int fd, struct buf *request)
{
    char chunk[4096];

    for (;;) {
        const char *end = strstr(buf_text(request), "\r\n\r\n");
        if (end) {
            const char *length = strcasestr(request->data, "content-length:");
            size_t body = length && length < end ? strtoul(length + 15, NULL, 10) : 0;
            if (request->len >= (size_t)(end + 4 - request->data) + body)
                return true;
        }
        ssize_t n = recv(fd, chunk, sizeof chunk, 0);
        if (n <= 0)
            return false;
        buf_put(request, chunk, (size_t)n);
    }
}

static void server_send(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        data += n;
        len -= (size_t)n;
    }
}

static const struct rule *server_match(struct server *server, const struct buf *request)
{
    const struct rule *found = NULL;
    const char *body = strstr(buf_text(request), "\r\n\r\n");

    pthread_mutex_lock(&server->lock);
    buf_put(&server->raw, request->data, request->len);
    buf_put(&server->log, request->data, strcspn(request->data, "\r\n"));
    buf_printf(&server->log, "\n%s\n", body ? body + 4 : "");
    for (size_t i = 0; i < server->rule_count && !found; i++) {
        const struct rule *rule = &server->rules[i];
        if (strncmp(request->data, rule->request, strlen(rule->request)) == 0 &&
            (rule->times == 0 || server->used[i] < rule->times)) {
            server->used[i]++;
            found = rule;
        }
    }
    pthread_mutex_unlock(&server->lock);
    return found;
}

static void *server_serve(void *user)
{
    struct connection *connection = user;
    struct server *server = connection->server;
    auto_buf struct buf request = {0};
    int fd = connection->fd;

    free(connection);
    if (server_read_request(fd, &request)) {
        const struct rule *rule = server_match(server, &request);
        if (rule) {
            if (rule->arrived)
                server_open_gate(server, rule->arrived);
            server_wait_gate(server, rule->wait_before);
            if (rule->answer)
                server_send(fd, rule->answer,
                            rule->answer_len ? rule->answer_len : strlen(rule->answer));
            server_wait_gate(server, rule->wait_after);
            if (rule->more)
                server_send(fd, rule->more, rule->more_len ? rule->more_len : strlen(rule->more));
            if (rule->opens)
                server_open_gate(server, rule->opens);
        } else {
            static const char unknown[] = "HTTP/1.1 501 Not In The Script\r\n\r\n";
            server_send(fd, unknown, sizeof unknown - 1);
        }
    }
    shutdown(fd, SHUT_RDWR);
    return NULL;
}

static void *server_accept(void *user)
{
    struct server *server = user;
    int fd;

    while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
        struct connection *connection = mem_zalloc(sizeof *connection);
        *connection = (struct connection){server, fd};
        assert(server->worker_count < 64);
        server->worker_fds[server->worker_count] = fd;
        pthread_create(&server->workers[server->worker_count++], NULL, server_serve, connection);
    }
    return NULL;
}

static void server_listen_unix(struct server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    strcpy(server->directory, "/tmp/scripted-XXXXXX");
    if (!mkdtemp(server->directory))
        abort();
    snprintf(server->path, sizeof server->path, "%s/socket", server->directory);
    strcpy(address.sun_path, server->path);
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server->listener, (struct sockaddr *)&address, sizeof address) < 0)
        abort();
}

static void server_listen_tcp(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;

    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server->listener, (struct sockaddr *)&address, len) < 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &len) < 0)
        abort();
    server->port = ntohs(address.sin_port);
}

enum server_kind { SERVER_UNIX, SERVER_TCP };

static void server_start(struct server *server, enum server_kind kind, struct rule *rules,
                         size_t count)
{
    *server = (struct server){.rules = rules, .rule_count = count};
    server->used = mem_array(count + 1, sizeof *server->used);
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->changed, NULL);
    if (kind == SERVER_UNIX)
        server_listen_unix(server);
    else
        server_listen_tcp(server);
    if (listen(server->listener, 64) < 0)
        abort();
    pthread_create(&server->accepter, NULL, server_accept, server);
}

/* No new connections, and the ones there are are cut: an engine that is killed. */
static void server_kill(struct server *server)
{
    if (server->listener < 0)
        return;
    if (server->path[0])
        unlink(server->path);
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->accepter, NULL);
    close(server->listener);
    server->listener = -1;
    for (size_t i = 0; i < server->worker_count; i++)
        shutdown(server->worker_fds[i], SHUT_RDWR);
}

static void server_stop(struct server *server)
{
    server_kill(server);
    server_open_gate(server, GATE_STOP);
    for (size_t i = 0; i < server->worker_count; i++) {
        pthread_join(server->workers[i], NULL);
        close(server->worker_fds[i]);
    }
    if (server->directory[0])
        rmdir(server->directory);
    free(server->used);
    buf_clear(&server->log);
    buf_clear(&server->raw);
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->changed);
}

static size_t server_count(struct server *server, const struct buf *where, const char *text)
{
    size_t count = 0;

    pthread_mutex_lock(&server->lock);
    for (const char *at = buf_text(where); (at = strstr(at, text)); at++)
        count++;
    pthread_mutex_unlock(&server->lock);
    return count;
}

/* How often `text` is in the log of requests. */
static size_t server_saw(struct server *server, const char *text)
{
    return server_count(server, &server->log, text);
}

/* The same for requests with their headers. */
static inline size_t server_received(struct server *server, const char *text)
{
    return server_count(server, &server->raw, text);
}
