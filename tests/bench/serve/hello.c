/* The least that an HTTP server made with libmicrohttpd can do: the same few bytes for every
 * request, with the threads that the service has (api/server/server.c). What no service built on it
 * can go beyond.
 *
 *     hello PORT [BODY_BYTES]        port 0: a free one; it is printed. Ends with its input.
 */
#include <microhttpd.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS = 4096, CONNECTION_MEMORY = 16384, THREADS_MIN = 2, THREADS_MAX = 4 };

struct hello {
    char *body;
    size_t len;
};

static enum MHD_Result answer(void *user, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_len, void **seen)
{
    (void)url, (void)method, (void)version, (void)upload, (void)upload_len;
    const struct hello *hello = user;
    if (!*seen) { /* the headers; the request follows */
        *seen = connection;
        return MHD_YES;
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(hello->len, hello->body, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static unsigned thread_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < THREADS_MIN ? THREADS_MIN : count > THREADS_MAX ? THREADS_MAX : (unsigned)count;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    struct hello hello = {.len = argc > 2 ? (size_t)atol(argv[2]) : 13};
    hello.body = malloc(hello.len + 1);
    memset(hello.body, 'x', hello.len);

    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, (uint16_t)atoi(argv[1]), NULL,
        NULL, answer, &hello, MHD_OPTION_THREAD_POOL_SIZE, thread_count(),
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, 75u,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    if (!daemon) {
        fprintf(stderr, "hello: cannot listen on port %s\n", argv[1]);
        return 1;
    }
    printf("%u\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    MHD_stop_daemon(daemon);
    free(hello.body);
    return 0;
}
