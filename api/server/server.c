#include "api/server/server.h"

#include "api/server/reception.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/metrics.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* An idle connection costs about 1 kB, one with a stream CONNECTION_MEMORY and 2 kB. */
#define CONNECTIONS_DEFAULT 4096

/* Bounds the request line and the headers, which browsers with many cookies make 8 kB. */
#define CONNECTION_MEMORY (16 * KiB)

/* Proxies keep idle connections for 60 s, and close them on their side then. */
#define PATIENCE_MS 75000

/* Workers wait, for disks and for Docker; they do not compute. */
#define WORKERS      8
#define WORKER_QUEUE 256

/* A few of the largest bodies at a time. */
#define BODY_BYTES (4 * LIMIT_REQUEST_BYTES)

#define STOP_GRACE_MS 1800

/* Inline handlers take microseconds: more threads would only wait for each other. */
#define THREADS_MIN 2u /* the least that libmicrohttpd takes for a pool */
#define THREADS_MAX 4u

struct server {
    struct reception reception;
    struct parking parking;
    struct server_limits limits;
    char *address, *token;
    char **hosts, **origins;
    struct MHD_Daemon *daemon;
    uint16_t port;
};

/* --- parts --- */

static struct server_limits with_defaults(struct server_limits limits)
{
    if (limits.connections == 0)
        limits.connections = CONNECTIONS_DEFAULT;
    if (limits.patience_ms == 0)
        limits.patience_ms = PATIENCE_MS;
    if (limits.workers == 0)
        limits.workers = WORKERS;
    if (limits.worker_queue == 0)
        limits.worker_queue = WORKER_QUEUE;
    if (limits.body_bytes == 0)
        limits.body_bytes = BODY_BYTES;
    if (limits.stop_grace_ms == 0)
        limits.stop_grace_ms = STOP_GRACE_MS;
    return limits;
}

/* Room for the connections beside what the rest of the program has open. */
static void raise_descriptor_limit(rlim_t connections)
{
    struct rlimit limit;
    rlim_t wanted = connections + 1024;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit); /* what is missing is met as a refused connection */
}

static char **copy_texts(const char *const *texts)
{
    size_t count = 0;
    while (texts && texts[count])
        count++;
    char **copy = mem_array(count + 1, sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = mem_strdup(texts[i]);
    return copy;
}

static void free_texts(char **texts)
{
    for (char **text = texts; *text; text++)
        free(*text);
    free(texts);
}

/* --- listening --- */

static int set_flag(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof on);
}

static int listen_at(const struct addrinfo *info, const struct server_options *options,
                     struct err *e)
{
    auto_close int fd =
        socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);

    if (fd < 0)
        return err_errno(e, errno, "cannot make a socket");
    if (set_flag(fd, SOL_SOCKET, SO_REUSEADDR) < 0 ||
        (info->ai_family == AF_INET6 && set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY) < 0))
        return err_errno(e, errno, "cannot set up a socket");
    if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0) {
        int number = errno;
        err_errno(e, number, "cannot listen on %s port %u", options->address, options->port);
        if (number == EADDRINUSE)
            e->code = ERR_CONFLICT;
        else if (number == EADDRNOTAVAIL)
            e->code = ERR_INVALID;
        return -1;
    }
    return take_fd(&fd);
}

static int listen_socket(const struct server_options *options, int *ret_family, struct err *e)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *info;
    char port[8];

    snprintf(port, sizeof port, "%u", options->port);
    if (getaddrinfo(options->address, port, &hints, &info) != 0)
        return err_set(e, ERR_INVALID, "\"%s\" is no IPv4 or IPv6 address", options->address);
    int fd = listen_at(info, options, e);
    *ret_family = info->ai_family;
    freeaddrinfo(info);
    return fd;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.any = {0}};
    socklen_t len = sizeof address;

    if (getsockname(fd, &address.any, &len) < 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

static unsigned thread_count(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (cores < (long)THREADS_MIN)
        return THREADS_MIN;
    return cores < (long)THREADS_MAX ? (unsigned)cores : THREADS_MAX;
}

/* The socket is the daemon's once it runs. */
static struct MHD_Daemon *start_daemon(struct server *server, int listener, int family)
{
    struct reception *reception = &server->reception;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE |
                     (family == AF_INET6 ? (unsigned)MHD_USE_IPv6 : 0);

    return MHD_start_daemon(
        flags, 0, reception_accept, reception, reception_access, reception,
        MHD_OPTION_LISTEN_SOCKET, (MHD_socket)listener, MHD_OPTION_THREAD_POOL_SIZE, thread_count(),
        MHD_OPTION_CONNECTION_LIMIT, server->limits.connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
        (server->limits.patience_ms + 999) / 1000, MHD_OPTION_NOTIFY_CONNECTION,
        reception_notify_connection, reception, MHD_OPTION_NOTIFY_COMPLETED, reception_complete,
        reception, MHD_OPTION_URI_LOG_CALLBACK, reception_begin, reception,
        MHD_OPTION_UNESCAPE_CALLBACK, reception_unescape, reception, MHD_OPTION_END);
}

/* --- life --- */

static void free_server(struct server *server)
{
    struct reception *reception = &server->reception;

    workers_free(reception->workers);
    watch_free(reception->watch);
    figures_free(reception->figures);
    router_free(reception->admission.router);
    parking_clear(&server->parking);
    pthread_cond_destroy(&reception->drained);
    pthread_mutex_destroy(&reception->lock);
    free_texts(server->hosts);
    free_texts(server->origins);
    free(server->address);
    free(server->token);
    free(server);
}

static struct server *new_server(const struct server_options *options, void *user)
{
    struct server *server = mem_zalloc(sizeof *server);

    server->limits = with_defaults(options->limits);
    server->address = mem_strdup(options->address);
    server->token = mem_strdup(options->token);
    server->hosts = copy_texts(options->hosts);
    server->origins = copy_texts(options->origins);
    parking_init(&server->parking);
    struct reception *reception = &server->reception;
    reception->admission =
        (struct admission){.address = server->address,
                           .token = server->token,
                           .hosts = (const char *const *)server->hosts,
                           .router = router_new(options->routes, options->route_count)};
    reception->origins = (const char *const *)server->origins;
    reception->dialects = options->dialects;
    reception->user = user;
    reception->bodies_cap = server->limits.body_bytes;
    reception->parking = &server->parking;
    reception->figures = figures_new(options->routes, options->route_count);
    pthread_mutex_init(&reception->lock, NULL);
    pthread_cond_init(&reception->drained, NULL);
    return server;
}

static int start_threads(struct server *server, int listener, int family, struct err *e)
{
    struct reception *reception = &server->reception;
    struct workers_options workers = {.threads = server->limits.workers,
                                      .queue_cap = server->limits.worker_queue,
                                      .run = reception_work,
                                      .drop = reception_drop};

    reception->watch = watch_new(server->limits.patience_ms, e);
    if (!reception->watch)
        return -1;
    reception->workers = workers_new(&workers, e);
    if (!reception->workers)
        return -1;
    server->daemon = start_daemon(server, listener, family);
    if (!server->daemon)
        return err_set(e, ERR_IO, "cannot start the HTTP server");
    return 0;
}

/* All signals are for the caller's threads. */
static int start_deaf_threads(struct server *server, int listener, int family, struct err *e)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = start_threads(server, listener, family, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

int server_start(struct server **ret_server, const struct server_options *options, void *user,
                 struct err *e)
{
    int family = 0;
    auto_close int listener = listen_socket(options, &family, e);

    if (listener < 0)
        return -1;
    struct server *server = new_server(options, user);
    server->port = port_of(listener);
    raise_descriptor_limit(server->limits.connections);
    if (start_deaf_threads(server, listener, family, e) < 0) {
        free_server(server);
        return -1;
    }
    take_fd(&listener);
    *ret_server = server;
    return 0;
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

/* The clients are cut off before running workers are waited for, and the daemon is stopped only
 * behind them: they may still look at their requests. */
void server_stop(struct server *server)
{
    if (!server)
        return;
    struct reception *reception = &server->reception;
    msec deadline = clock_mono() + server->limits.stop_grace_ms;

    reception->is_closing = true;
    workers_close(reception->workers);
    parking_close(&server->parking);
    reception_close(reception, deadline);
    watch_cut_all(reception->watch);
    workers_join(reception->workers);
    parking_cut(&server->parking);
    MHD_stop_daemon(server->daemon);
    free_server(server);
}

/* --- figures --- */

static void put_gauge(struct buf *out, const char *name, const char *help, uint64_t value)
{
    metrics_put_head(out, name, "gauge", help);
    metrics_put_value(out, name, "", (int64_t)value);
}

void server_metrics(const struct server *server, struct buf *out)
{
    const struct reception *reception = &server->reception;

    figures_put(reception->figures, out);
    metrics_put_head(out, "segue_http_slow_clients_total", "counter",
                     "Connections that were cut off because no whole request came.");
    metrics_put_value(out, "segue_http_slow_clients_total", "",
                      (int64_t)watch_cut_count(reception->watch));
    put_gauge(out, "segue_http_connections", "Open connections.",
              watch_peer_count(reception->watch));
    put_gauge(out, "segue_http_requests_in_flight",
              "Requests being handled, open streams included.", reception->in_flight);
    put_gauge(out, "segue_http_body_bytes", "Bodies of requests being collected or handled.",
              reception->body_bytes);
    put_gauge(out, "segue_http_worker_queue", "Requests that wait for a worker thread.",
              workers_queued(reception->workers));
}
