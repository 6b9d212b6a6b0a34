/* Streams behind the real server: clients that do not read for a while, and then read to the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/server/server.h"
#include "api/service/streams.h"
#include "runner/store/event_text.h"
#include "tests/unit/runner/engine/made_log.c"

#include <arpa/inet.h>
#include <sys/socket.h>

#define CLIENTS 6
#define EVENTS  120
#define SIZE    70000 /* in all twice of what is kept in memory */

struct world {
    struct made_log log;
    struct loop *loop;
    struct readers *readers;
    struct streams *streams;
    struct server *server;
    struct buf all, one; /* what is expected of either stream */
};

static void handle(struct exchange *exchange, void *user)
{
    struct world *world = user;

    streams_open(world->streams, exchange);
}

static int set_up(void **state)
{
    static const char *const queries[] = {"run", "after", NULL};
    static const struct route routes[] = {
        {"GET", "/events", ROUTE_TOKEN, ROUTE_INLINE, 0, queries, handle}};
    const struct server_options options = {
        .address = "127.0.0.1", .token = "secret", .routes = routes, .route_count = 1};
    struct world *world = mem_zalloc(sizeof *world);

    made_log_open(&world->log);
    made_begin(&world->log);
    made_run(&world->log);
    made_attempt(&world->log, &world->log.runs[0], 0);
    made_commit(&world->log);
    world->loop = loop_new();
    world->readers = readers_new(world->log.path);
    world->streams = streams_new(world->loop, world->readers, world->log.runs_dir);
    MADE(server_start(&world->server, &options, world, e));
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    server_stop(world->server);
    streams_free(world->streams);
    readers_free(world->readers);
    loop_free(world->loop);
    made_log_close(&world->log);
    buf_clear(&world->all);
    buf_clear(&world->one);
    free(world);
    return 0;
}

static void publish(struct world *world)
{
    const struct notices *notices = &world->log.notices;

    for (size_t i = 0; i < notices->count; i++) {
        const struct notice *notice = &notices->items[i];
        const char *json = notices->text.data + notice->start;
        auto_free char *frame =
            mem_printf("id: %" PRId64 "\nevent: %s\ndata: %s\n\n", notice->id, notice->event, json);
        if (event_text_is_for_all(notice->event))
            buf_puts(&world->all, frame);
        buf_puts(&world->one, frame);
        streams_publish(world->streams, &(struct engine_event){.id = notice->id,
                                                               .run = notice->run,
                                                               .event = notice->event,
                                                               .json = json,
                                                               .json_len = notice->len});
    }
}

static int ask(struct world *world, const char *query)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(server_port(world->server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    auto_free char *request = mem_printf("GET /events?%s HTTP/1.1\r\nHost: localhost\r\n"
                                         "Authorization: Bearer secret\r\n\r\n",
                                         query);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    return fd;
}

static void read_line(FILE *from, char *line, size_t size)
{
    if (!fgets(line, (int)size, from))
        fail_msg("the connection has ended");
    line[strcspn(line, "\r\n")] = 0;
}

static void check_head(FILE *from)
{
    char line[512];

    read_line(from, line, sizeof line);
    assert_string_equal(line, "HTTP/1.1 200 OK");
    while (*line)
        read_line(from, line, sizeof line);
}

/* The body, out of its chunks, up to `len` bytes and as far as the chunk goes; false: its end. */
static bool read_body(FILE *from, size_t len, struct buf *out)
{
    while (out->len < len) {
        char line[64];
        read_line(from, line, sizeof line);
        size_t size = strtoul(line, NULL, 16);
        buf_reserve(out, size);
        assert_int_equal(fread(out->data + out->len, 1, size, from), size);
        out->len += size;
        read_line(from, line, sizeof line);
        if (size == 0)
            return false;
    }
    return true;
}

static void check_client(int fd, const struct buf *expected, bool has_end)
{
    static const struct str first = {"retry: 1000\n\n", 13};
    FILE *from = fdopen(fd, "r");
    auto_buf struct buf got = {0};

    check_head(from);
    assert_true(read_body(from, first.len + expected->len, &got));
    assert_int_equal(got.len, first.len + expected->len);
    assert_memory_equal(got.data, first.text, first.len);
    assert_memory_equal(got.data + first.len, expected->data, expected->len);
    if (has_end)
        assert_false(read_body(from, got.len + 1, &got));
    fclose(from);
}

static void slow_clients_get_everything(void **state)
{
    struct world *world = *state;
    struct made_run *run = &world->log.runs[0];
    auto_free char *of_run = mem_printf("after=0&run=%s", run->uuid.text);
    int clients[CLIENTS];

    publish(world);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = ask(world, i % 2 ? of_run : "after=0");
    for (unsigned i = 0; i < EVENTS; i++) {
        made_begin(&world->log);
        made_line(&world->log, run, 0, i % 3 ? "output" : "cell_started", SIZE);
        made_commit(&world->log);
        publish(world);
    }
    made_begin(&world->log);
    made_end(&world->log, run);
    made_commit(&world->log);
    publish(world);
    for (unsigned i = 0; i < CLIENTS; i++)
        check_client(clients[i], i % 2 ? &world->one : &world->all, i % 2);
}

/* The server is stopped by tear_down while they wait, and the streams are freed behind it. */
static void open_streams_do_not_keep_the_server(void **state)
{
    struct world *world = *state;
    char first[512];
    int clients[CLIENTS];

    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = ask(world, "after=0");
        assert_true(read(clients[i], first, sizeof first) > 0);
    }
    for (unsigned i = 0; i < CLIENTS; i += 2)
        close(clients[i]);
    made_begin(&world->log);
    made_event(&world->log, &world->log.runs[0], EVENT_RUN_STARTED, STEP_NONE);
    made_commit(&world->log);
    publish(world);
    server_stop(take_ptr(&world->server));
    for (unsigned i = 1; i < CLIENTS; i += 2)
        close(clients[i]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(slow_clients_get_everything),
        TEST(open_streams_do_not_keep_the_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
