/* Many streams of events at once, and how late each event comes: from the time that is in it (when
 * a keeper wrote it down) to here.
 *
 *     listen PORT PATH TOKEN STREAMS [EVENT]      EVENT: the only kind to be measured
 *
 * Prints "open" when all streams have begun; ends when all have ended, or with its input; then
 * prints {"streams", "events", "p50_ms", "p99_ms", "max_ms"}. One thread, one epoll.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 65536, KEPT = 65536 };

/* One stream: what came of it and is no whole line yet. */
struct stream {
    int fd;
    bool has_begun;
    bool is_wanted; /* the event whose data come next */
    size_t len;
    char line[KEPT];
};

struct listener {
    struct stream *streams;
    int count, open, begun;
    const char *wanted;
    double *late_ms;
    size_t events, capacity;
};

static double wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* "time":"2026-11-22T01:54:40.344715Z" -> milliseconds; -1: there is none. */
static double time_in(const char *data)
{
    const char *text = strstr(data, "\"time\":\"");
    struct tm tm = {0};
    char *rest = text ? strptime(text + 8, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    if (!rest)
        return -1;
    return (double)timegm(&tm) * 1e3 + strtod(rest, NULL) * 1e3;
}

static void add(struct listener *l, double ms)
{
    if (l->events == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 65536;
        l->late_ms = realloc(l->late_ms, l->capacity * sizeof *l->late_ms);
        if (!l->late_ms)
            abort();
    }
    l->late_ms[l->events++] = ms;
}

static void take_line(struct listener *l, struct stream *s, const char *line, double now)
{
    if (strncmp(line, "event: ", 7) == 0)
        s->is_wanted = !l->wanted || strcmp(line + 7, l->wanted) == 0;
    if (strncmp(line, "data: ", 6) == 0 && s->is_wanted) {
        double then = time_in(line);
        if (then >= 0)
            add(l, now - then);
    }
}

/* Sizes of chunks, and headers, are lines that mean nothing here. */
static void take(struct listener *l, struct stream *s, const char *bytes, size_t len, double now)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\r')
            continue;
        if (bytes[i] != '\n') {
            if (s->len < KEPT - 1)
                s->line[s->len++] = bytes[i];
            continue;
        }
        s->line[s->len] = 0;
        take_line(l, s, s->line, now);
        s->len = 0;
    }
}

static void read_stream(struct listener *l, struct stream *s)
{
    static char bytes[CHUNK];
    ssize_t got = recv(s->fd, bytes, sizeof bytes, 0);
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        close(s->fd);
        l->open--;
        return;
    }
    if (!s->has_begun) {
        if (strncmp(bytes, "HTTP/1.1 200", 12) != 0) {
            fprintf(stderr, "listen: %.*s\n", (int)got, bytes);
            exit(1);
        }
        s->has_begun = true;
        l->begun++;
    }
    take(l, s, bytes, (size_t)got, wall_ms());
}

static int open_stream(int port, const char *request)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0 ||
        send(fd, request, strlen(request), 0) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        perror("listen");
        exit(1);
    }
    return fd;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const struct listener *l, double q)
{
    return l->events ? l->late_ms[(size_t)(q * (double)(l->events - 1))] : 0;
}

static void print(struct listener *l)
{
    if (l->events)
        qsort(l->late_ms, l->events, sizeof *l->late_ms, compare);
    printf("{\"streams\":%d,\"events\":%zu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n",
           l->begun, l->events, quantile(l, 0.5), quantile(l, 0.99), quantile(l, 1));
}

static void serve(struct listener *l, int epoll)
{
    bool was_told = false;
    while (l->open > 0) {
        struct epoll_event ready[256];
        int count = epoll_wait(epoll, ready, 256, -1);
        for (int i = 0; i < count; i++) {
            if (!ready[i].data.ptr)
                return;
            read_stream(l, ready[i].data.ptr);
        }
        if (!was_told && l->begun == l->count) {
            puts("open");
            fflush(stdout);
            was_told = true;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    struct listener l = {.count = atoi(argv[4]), .wanted = argc > 5 ? argv[5] : NULL};
    l.open = l.count;
    l.streams = calloc((size_t)l.count, sizeof *l.streams);
    char request[4096];
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer "
             "%s\r\n\r\n",
             argv[2], argv[3]);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!l.streams || epoll < 0)
        return 1;
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &(struct epoll_event){.events = EPOLLIN});
    for (int i = 0; i < l.count; i++) {
        struct stream *s = &l.streams[i];
        s->fd = open_stream(atoi(argv[1]), request);
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = s};
        epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &wanted);
    }
    serve(&l, epoll);
    print(&l);
    return 0;
}
