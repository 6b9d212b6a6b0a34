/* Each request has an easy handle and a multi handle of its own. A blocking request waits in
 * curl_multi_poll, which takes the cancelling descriptor beside curl's own. A stream puts curl's
 * sockets into the loop.
 *
 * curl forbids to end a transfer inside its callbacks, and the owner of a stream wants to do just
 * that. So curl only ever fills a buffer, and the buffer is handed over when curl has returned. One
 * round of curl reads at most a hundred of its 16 KiB buffers, which bounds ours.
 *
 * curl_global_init is left to curl: 7.84 and later do it safely from any thread. */
#include "base/http.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>

/* An HTTP/1.1 header that is not done after this many bytes belongs to something else. */
#define HEADER_CAP (256 * 1024)

/* One transfer opens one connection: at most two attempts side by side and the resolver's wake-up
 * descriptor. */
#define SOCKETS_MAX 8

/* What a transfer leaves behind while curl runs; shared by both kinds of request. */
struct transfer {
    CURL *easy;
    CURLM *multi;
    struct curl_slist *headers;
    char *body;
    struct buf received;
    size_t cap;          /* of `received`; SIZE_MAX for a stream */
    size_t header_bytes; /* so far */
    int status;          /* 0 until the header is complete */
    bool over_cap;
    bool (*may_connect)(const struct sockaddr *address, socklen_t len);
    bool was_let_connect;               /* to an address */
    char refused[INET6_ADDRSTRLEN + 1]; /* an address that it may not connect to; "": none */
    char detail[CURL_ERROR_SIZE];
};

struct http_socket {
    struct http_stream *stream;
    int fd; /* -1: free */
    uint32_t events;
    struct loop_source *source;
};

struct http_stream {
    struct transfer transfer;
    struct loop *loop;
    struct loop_source *timer;
    msec timer_at; /* when curl wants to be called; -1: not */
    struct http_socket sockets[SOCKETS_MAX];
    struct http_stream_events events;
    void *user;
    bool ended;    /* curl is done; `end` says how */
    bool failed;   /* `end` is an error */
    bool reported; /* `closed` was called */
    bool delivering;
    bool freed; /* by the user, inside a callback of ours */
    struct err end;
};

void http_answer_clear(struct http_answer *answer)
{
    buf_clear(&answer->body);
    answer->status = 0;
}

void http_put_escaped(struct buf *out, struct str text)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.text[i];

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            (c != 0 && strchr("-._~", c))) {
            buf_putc(out, (char)c);
        } else {
            char escaped[3] = {'%', hex[c >> 4], hex[c & 15]};
            buf_put(out, escaped, sizeof escaped);
        }
    }
}

/* --- URLs --- */

/* A part of the URL, "" where it has none. free() it. */
static char *url_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;

    if (curl_url_get(url, part, &text, 0) != CURLUE_OK)
        return mem_strdup("");
    char *copy = mem_strdup(text);
    curl_free(text);
    return copy;
}

static void url_read(struct http_url *ret_url, CURLU *url)
{
    auto_free char *host = url_part(url, CURLUPART_HOST);
    auto_free char *user = url_part(url, CURLUPART_USER);
    auto_free char *password = url_part(url, CURLUPART_PASSWORD);
    size_t len = strlen(host);

    *ret_url = (struct http_url){.scheme = url_part(url, CURLUPART_SCHEME),
                                 .has_user = *user || *password};
    if (host[0] == '[')
        ret_url->host = mem_strndup(host + 1, len - 2);
    else
        ret_url->host = mem_strndup(host, len);
}

int http_url_parse(struct http_url *ret_url, const char *text, struct err *e)
{
    CURLU *url = curl_url();

    if (!url)
        abort(); /* for want of memory only */
    CURLUcode code = curl_url_set(url, CURLUPART_URL, text, 0);
    if (code == CURLUE_OK)
        url_read(ret_url, url);
    curl_url_cleanup(url);
    if (code != CURLUE_OK)
        return err_set(e, ERR_INVALID, "no URL: %s", curl_url_strerror(code));
    return 0;
}

void http_url_clear(struct http_url *url)
{
    free(url->scheme);
    free(url->host);
    *url = (struct http_url){0};
}

/* --- a transfer --- */

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct transfer *transfer = user;
    size_t len = size * count;

    if (len > transfer->cap - transfer->received.len) {
        transfer->over_cap = true;
        return 0;
    }
    buf_put(&transfer->received, data, len);
    return len;
}

/* Called for each line; an empty one ends the header. 1xx are interim answers. */
static size_t on_header(char *line, size_t size, size_t count, void *user)
{
    struct transfer *transfer = user;
    size_t len = size * count;
    long status = 0;

    transfer->header_bytes += len;
    if (transfer->header_bytes > HEADER_CAP) {
        transfer->over_cap = true;
        return 0;
    }
    if (len <= 2 && (line[0] == '\r' || line[0] == '\n')) {
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status >= 200)
            transfer->status = (int)status;
    }
    return len;
}

static void put_address(char *out, size_t size, const struct sockaddr *address)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &four->sin_addr, out, (socklen_t)size);
    else if (address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &six->sin6_addr, out, (socklen_t)size);
    else
        snprintf(out, size, "a unix socket");
}

/* From curl: give me a socket for this address. It tries the host's next one where it gets none. */
static curl_socket_t on_open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *transfer = user;

    (void)purpose;
    if (!transfer->may_connect(&address->addr, address->addrlen)) {
        put_address(transfer->refused, sizeof transfer->refused, &address->addr);
        return CURL_SOCKET_BAD;
    }
    transfer->was_let_connect = true;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static void transfer_set_headers(struct transfer *transfer, const struct http_request *request)
{
    for (size_t i = 0; request->headers && request->headers[i]; i++)
        transfer->headers = curl_slist_append(transfer->headers, request->headers[i]);
    /* Neither a round trip for permission nor a body that was not asked for. */
    transfer->headers = curl_slist_append(transfer->headers, "Expect:");
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
}

static void transfer_set_body(struct transfer *transfer, const struct http_request *request)
{
    const char *method = request->method;

    if (!method)
        method = request->body.text ? "POST" : "GET";
    if (request->body.text || strcmp(method, "POST") == 0) {
        transfer->body =
            mem_strndup(request->body.text ? request->body.text : "", request->body.len);
        curl_easy_setopt(transfer->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)request->body.len);
        curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, transfer->body);
    }
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(transfer->easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(transfer->easy, CURLOPT_CUSTOMREQUEST, method);
}

static void transfer_init(struct transfer *transfer, const struct http_request *request, size_t cap)
{
    CURL *easy = curl_easy_init();
    CURLM *multi = curl_multi_init();

    if (!easy || !multi)
        abort(); /* both fail for want of memory only */
    *transfer = (struct transfer){.easy = easy, .multi = multi, .cap = cap};
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->detail);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    if (request->timeout_ms > 0)
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    if (request->socket_path)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->socket_path);
    if (request->socket_path || request->is_direct)
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
    if (request->may_connect) {
        transfer->may_connect = request->may_connect;
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    }
    /* A name that is slow to resolve holds up nobody who gives up. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    transfer_set_headers(transfer, request);
    transfer_set_body(transfer, request);
}

static void transfer_clear(struct transfer *transfer)
{
    curl_multi_remove_handle(transfer->multi, transfer->easy);
    curl_easy_cleanup(transfer->easy);
    curl_multi_cleanup(transfer->multi);
    curl_slist_free_all(transfer->headers);
    free(transfer->body);
    buf_clear(&transfer->received);
}

/* The transfer's result once curl has one; false: not yet. */
static bool transfer_result(struct transfer *transfer, CURLcode *ret_code)
{
    int left;
    const CURLMsg *message = curl_multi_info_read(transfer->multi, &left);

    if (!message || message->msg != CURLMSG_DONE)
        return false;
    *ret_code = message->data.result;
    return true;
}

/* A peer that speaks no HTTP looks like HTTP/0.9 to curl, which it refuses with the same code as a
 * URL of another protocol; only the former had a connection. */
static enum err_code code_of(CURL *easy, CURLcode code)
{
    long connections = 0;

    curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return ERR_TIMEOUT;
    if (code == CURLE_URL_MALFORMAT || (code == CURLE_UNSUPPORTED_PROTOCOL && connections == 0))
        return ERR_INVALID;
    if (code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_UNSUPPORTED_PROTOCOL)
        return ERR_PROTOCOL;
    return ERR_UNAVAILABLE;
}

static int set_refused(const struct transfer *transfer, struct err *e)
{
    auto_http_url struct http_url url = {0};
    char *text = NULL;

    curl_easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &text);
    if (!text || http_url_parse(&url, text, e) < 0)
        return err_set(e, ERR_INVALID, "the address %s is not allowed", transfer->refused);
    return err_set(e, ERR_INVALID, "the address %s of \"%s\" is not allowed", transfer->refused,
                   url.host);
}

/* 0: a complete answer. */
static int transfer_check(const struct transfer *transfer, CURLcode code, struct err *e)
{
    const char *detail = transfer->detail[0] ? transfer->detail : curl_easy_strerror(code);

    if (transfer->over_cap)
        return err_set(e, ERR_LIMIT, "the answer is larger than %zu bytes",
                       transfer->header_bytes > HEADER_CAP ? (size_t)HEADER_CAP : transfer->cap);
    if (code != CURLE_OK && transfer->refused[0] && !transfer->was_let_connect)
        return set_refused(transfer, e);
    if (code != CURLE_OK)
        return err_set(e, code_of(transfer->easy, code), "%s", detail);
    return 0;
}

/* --- blocking --- */

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return fd > 0 && poll(&p, 1, 0) > 0;
}

static int time_left(msec deadline) /* for poll; -1: no deadline */
{
    msec left = deadline - clock_mono();

    if (deadline < 0)
        return -1;
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

/* Runs the transfer to its end; -1 only where it was given up. */
static int transfer_run(struct transfer *transfer, const struct http_request *request,
                        CURLcode *ret_code, struct err *e)
{
    struct curl_waitfd cancel = {.fd = request->cancel_fd, .events = CURL_WAIT_POLLIN};
    bool watch = request->cancel_fd > 0;
    msec give_up = -1; /* set when cancelled: end of the grace time */
    int running;

    curl_multi_add_handle(transfer->multi, transfer->easy);
    for (;;) {
        if (watch && is_readable(request->cancel_fd)) {
            give_up = clock_mono() + request->cancel_grace_ms;
            watch = false;
        }
        if (give_up >= 0 && time_left(give_up) == 0)
            return err_set(e, ERR_CANCELLED, "cancelled");
        curl_multi_perform(transfer->multi, &running);
        if (transfer_result(transfer, ret_code))
            return 0;
        curl_multi_poll(transfer->multi, &cancel, watch ? 1 : 0,
                        give_up < 0 ? 60000 : time_left(give_up), NULL);
    }
}

int http_request(const struct http_request *request, struct http_answer *answer, struct err *e)
{
    struct transfer transfer;
    CURLcode code = CURLE_OK;

    transfer_init(&transfer, request, request->answer_cap);
    int result = transfer_run(&transfer, request, &code, e);
    if (result == 0)
        result = transfer_check(&transfer, code, e);
    if (result == 0) {
        answer->status = transfer.status;
        answer->body = transfer.received;
        transfer.received = (struct buf){0};
    }
    transfer_clear(&transfer);
    return result;
}

/* --- a stream --- */

static void stream_destroy(struct http_stream *stream)
{
    /* Cleaning up, curl calls stream_on_socket for what is still open. */
    transfer_clear(&stream->transfer);
    for (size_t i = 0; i < SOCKETS_MAX; i++)
        loop_remove(stream->sockets[i].source);
    loop_remove(stream->timer);
    free(stream);
}

static void stream_take_result(struct http_stream *stream)
{
    CURLcode code;

    if (stream->ended || !transfer_result(&stream->transfer, &code))
        return;
    stream->ended = true;
    stream->failed = transfer_check(&stream->transfer, code, &stream->end) < 0;
}

/* Hands over what curl left. The user may free the stream in either callback. */
static void stream_deliver(struct http_stream *stream)
{
    struct buf data = stream->transfer.received;

    stream->transfer.received = (struct buf){0};
    stream->delivering = true;
    if (data.len > 0)
        stream->events.data(stream->user, data.data, data.len);
    if (!stream->freed && stream->ended && !stream->reported) {
        stream->reported = true;
        stream->events.closed(stream->user, stream->failed ? &stream->end : NULL);
    }
    stream->delivering = false;
    buf_clear(&data);
    if (stream->freed)
        stream_destroy(stream);
}

static void stream_act(struct http_stream *stream, curl_socket_t fd, int what)
{
    int running;

    if (fd == CURL_SOCKET_TIMEOUT)
        stream->timer_at = -1;
    curl_multi_socket_action(stream->transfer.multi, fd, what, &running);
    stream_take_result(stream);
}

static int what_of_events(uint32_t events)
{
    int what = 0;

    if (events & (EPOLLIN | EPOLLHUP))
        what |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        what |= CURL_CSELECT_OUT;
    if (events & EPOLLERR)
        what |= CURL_CSELECT_ERR;
    return what;
}

static void stream_on_fd(void *user, uint32_t events)
{
    struct http_socket *slot = user;
    struct http_stream *stream = slot->stream;

    stream_act(stream, slot->fd, what_of_events(events));
    stream_deliver(stream);
}

static void stream_on_timer(void *user)
{
    struct http_stream *stream = user;

    stream_act(stream, CURL_SOCKET_TIMEOUT, 0);
    stream_deliver(stream);
}

static struct http_socket *socket_slot(struct http_stream *stream, int fd)
{
    for (size_t i = 0; i < SOCKETS_MAX; i++)
        if (stream->sockets[i].fd == fd)
            return &stream->sockets[i];
    return NULL;
}

/* From curl: watch this socket for that. */
static int stream_on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *unused)
{
    struct http_stream *stream = user;
    struct http_socket *slot = socket_slot(stream, fd);
    uint32_t events = 0;

    (void)easy;
    (void)unused;
    if (what == CURL_POLL_REMOVE) {
        if (slot) {
            loop_remove(slot->source);
            *slot = (struct http_socket){.stream = stream, .fd = -1};
        }
        return 0;
    }
    if (what & CURL_POLL_IN)
        events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        events |= EPOLLOUT;
    if (slot) {
        loop_set_events(slot->source, events);
    } else {
        slot = socket_slot(stream, -1);
        assert(slot);
        slot->fd = fd;
        slot->source = loop_add_fd(stream->loop, fd, events, stream_on_fd, slot);
    }
    slot->events = events;
    return 0;
}

/* From curl: call me in so many milliseconds. It must not be called back from in here. */
static int stream_on_timeout(CURLM *multi, long timeout_ms, void *user)
{
    struct http_stream *stream = user;

    (void)multi;
    stream->timer_at = timeout_ms < 0 ? -1 : clock_mono() + timeout_ms;
    if (timeout_ms < 0)
        loop_disarm(stream->timer);
    else
        loop_arm(stream->timer, stream->timer_at);
    return 0;
}

struct http_stream *http_stream_open(struct loop *loop, const struct http_request *request,
                                     const struct http_stream_events *events, void *user)
{
    struct http_stream *stream = mem_zalloc(sizeof *stream);

    transfer_init(&stream->transfer, request, SIZE_MAX);
    stream->loop = loop;
    stream->events = *events;
    stream->user = user;
    stream->timer_at = -1;
    stream->timer = loop_add_timer(loop, stream_on_timer, stream);
    for (size_t i = 0; i < SOCKETS_MAX; i++)
        stream->sockets[i] = (struct http_socket){.stream = stream, .fd = -1};
    CURLM *multi = stream->transfer.multi;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, stream_on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, stream);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, stream_on_timeout);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, stream);
    curl_multi_add_handle(multi, stream->transfer.easy);
    return stream;
}

/* One round of waiting on the stream's sockets without the loop; false: `cancel_fd` fired. */
static bool stream_wait(struct http_stream *stream, msec deadline, int cancel_fd)
{
    struct pollfd polls[SOCKETS_MAX + 1] = {
        {.fd = cancel_fd > 0 ? cancel_fd : -1, .events = POLLIN}};
    int timeout = time_left(deadline);

    if (stream->timer_at >= 0 && (timeout < 0 || time_left(stream->timer_at) < timeout))
        timeout = time_left(stream->timer_at);
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        /* The events of poll and epoll are the same bits. */
        polls[i + 1] = (struct pollfd){.fd = stream->sockets[i].fd,
                                       .events = (short)stream->sockets[i].events};
    }
    poll(polls, SOCKETS_MAX + 1, timeout);
    if (polls[0].revents)
        return false;
    for (size_t i = 1; i <= SOCKETS_MAX; i++)
        if (polls[i].revents)
            stream_act(stream, polls[i].fd, what_of_events((uint32_t)polls[i].revents));
    if (stream->timer_at >= 0 && time_left(stream->timer_at) == 0)
        stream_act(stream, CURL_SOCKET_TIMEOUT, 0);
    return true;
}

int http_stream_await(struct http_stream *stream, int timeout_ms, int cancel_fd, struct err *e)
{
    msec deadline = clock_mono() + timeout_ms;

    while (stream->transfer.status == 0 && !stream->ended) {
        if (time_left(deadline) == 0)
            return err_set(e, ERR_TIMEOUT, "no answer after %d ms", timeout_ms);
        if (!stream_wait(stream, deadline, cancel_fd))
            return err_set(e, ERR_CANCELLED, "cancelled");
    }
    if (stream->failed) {
        *e = stream->end;
        return -1;
    }
    /* What is here already comes from the loop. */
    stream->timer_at = clock_mono();
    loop_arm(stream->timer, stream->timer_at);
    return 0;
}

int http_stream_status(const struct http_stream *stream)
{
    return stream->transfer.status;
}

void http_stream_free(struct http_stream *stream)
{
    if (!stream)
        return;
    if (stream->delivering)
        stream->freed = true;
    else
        stream_destroy(stream);
}
