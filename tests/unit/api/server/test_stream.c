#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/api/server/served.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A source that has the numbers from 0 to `made`, one a line, and ends behind `last`. */
struct numbers {
    struct feeders *feeders;
    pthread_mutex_t lock;
    struct stream *stream; /* NULL: closed, or not opened yet */
    uint64_t made, last;
    uint64_t next; /* to be read: begun at `offset` of its text */
    size_t offset;
    bool is_closed;
};

#define STREAMS 16

struct feeders {
    struct served served; /* first: what handlers get */
    struct numbers numbers[STREAMS];
    unsigned opened, closed;
};

static ssize_t read_numbers(void *user, char *out, size_t room)
{
    struct numbers *numbers = user;
    size_t len = 0;

    pthread_mutex_lock(&numbers->lock);
    while (numbers->next < numbers->made && len < room) {
        char line[32];
        size_t size =
            (size_t)snprintf(line, sizeof line, "%llu\n", (unsigned long long)numbers->next);
        size_t part = size - numbers->offset < room - len ? size - numbers->offset : room - len;
        memcpy(out + len, line + numbers->offset, part);
        len += part;
        numbers->offset += part;
        if (numbers->offset == size) {
            numbers->next++;
            numbers->offset = 0;
        }
    }
    bool is_end = len == 0 && numbers->next == numbers->last;
    pthread_mutex_unlock(&numbers->lock);
    return is_end ? -1 : (ssize_t)len;
}

static void close_numbers(void *user)
{
    struct numbers *numbers = user;
    struct served *served = &numbers->feeders->served;

    pthread_mutex_lock(&numbers->lock);
    numbers->stream = NULL;
    numbers->is_closed = true;
    pthread_mutex_unlock(&numbers->lock);
    pthread_mutex_lock(&served->lock);
    numbers->feeders->closed++;
    pthread_cond_broadcast(&served->changed);
    pthread_mutex_unlock(&served->lock);
}

static const struct stream_source numbers_source = {read_numbers, close_numbers};

static void open_numbers(void *user, struct stream *stream)
{
    struct numbers *numbers = user;
    struct served *served = &numbers->feeders->served;

    pthread_mutex_lock(&numbers->lock);
    numbers->stream = stream;
    pthread_mutex_unlock(&numbers->lock);
    pthread_mutex_lock(&served->lock);
    numbers->feeders->opened++;
    pthread_cond_broadcast(&served->changed);
    pthread_mutex_unlock(&served->lock);
}

static void serve_numbers(struct exchange *exchange, void *user)
{
    struct feeders *feeders = user;
    struct numbers *numbers = &feeders->numbers[atoi(exchange_segment(exchange, 0))];

    exchange_answer_stream(exchange, "text/event-stream", &numbers_source, open_numbers, numbers);
}

static const struct route stream_routes[] = {
    {"GET", "/hello", ROUTE_OPEN, ROUTE_INLINE, 0, NULL, serve_hello},
    {"GET", "/numbers/{stream}", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, serve_numbers},
    {"GET", "/late/{stream}", ROUTE_TOKEN, ROUTE_WORKER, 0, NULL, serve_numbers},
};

static void start_feeders(struct feeders *feeders, uint64_t last)
{
    *feeders = (struct feeders){0};
    for (int i = 0; i < STREAMS; i++) {
        feeders->numbers[i].feeders = feeders;
        feeders->numbers[i].last = last;
        pthread_mutex_init(&feeders->numbers[i].lock, NULL);
    }
    serve_with(&feeders->served, stream_routes, COUNT(stream_routes), (struct server_limits){0});
}

static void end_feeders(struct feeders *feeders)
{
    serve_end(&feeders->served);
    for (int i = 0; i < STREAMS; i++)
        pthread_mutex_destroy(&feeders->numbers[i].lock);
}

static void wait_for(struct feeders *feeders, const unsigned *what, unsigned count)
{
    pthread_mutex_lock(&feeders->served.lock);
    while (*what < count)
        pthread_cond_wait(&feeders->served.changed, &feeders->served.lock);
    pthread_mutex_unlock(&feeders->served.lock);
}

/* May come between reading and sleeping. */
static void feed(struct numbers *numbers, uint64_t count)
{
    pthread_mutex_lock(&numbers->lock);
    numbers->made += count;
    if (numbers->stream)
        stream_wake(numbers->stream);
    pthread_mutex_unlock(&numbers->lock);
}

static void check_numbers(const struct buf *text, uint64_t last)
{
    auto_buf struct buf expected = {0};

    for (uint64_t i = 0; i < last; i++)
        buf_printf(&expected, "%llu\n", (unsigned long long)i);
    assert_int_equal(text->len, expected.len);
    assert_memory_equal(text->data, expected.data, expected.len);
}

/* --- whole streams --- */

#define NUMBERS 50000

static void *run_feeder(void *user)
{
    struct feeders *feeders = user;

    for (uint64_t made = 0; made < NUMBERS; made++)
        for (int i = 0; i < STREAMS; i++)
            feed(&feeders->numbers[i], 1);
    return NULL;
}

static void every_byte_comes_however_often_it_is_woken(void **state)
{
    static struct feeders feeders;
    struct client clients[STREAMS];
    struct buf texts[STREAMS] = {{0}};
    pthread_t feeder;

    (void)state;
    start_feeders(&feeders, NUMBERS);
    for (int i = 0; i < STREAMS; i++) {
        char request[200];
        clients[i] = client_open(feeders.served.port);
        snprintf(request, sizeof request, GET("/%s/%d") GET("/hello"), i % 2 ? "numbers" : "late",
                 i);
        client_send(&clients[i], request);
    }
    pthread_create(&feeder, NULL, run_feeder, &feeders);
    for (int i = 0; i < STREAMS; i++) {
        auto_reply struct reply reply = {0};
        client_take_head(&clients[i], &reply);
        expect_status(&reply, 200);
        assert_string_equal(reply_header(&reply, "Content-Type"), "text/event-stream");
        assert_string_equal(reply_header(&reply, "Cache-Control"), "no-store");
        client_take_chunks(&clients[i], &texts[i]);
        check_numbers(&texts[i], NUMBERS);
        client_take_reply(&clients[i], &reply); /* the connection goes on */
        expect_status(&reply, 200);
        buf_clear(&texts[i]);
        client_close(&clients[i]);
    }
    pthread_join(feeder, NULL);
    assert_int_equal(feeders.closed, STREAMS);
    end_feeders(&feeders);
}

static void what_was_there_at_once_comes_without_being_woken(void **state)
{
    static struct feeders feeders;
    auto_reply struct reply reply = {0};

    (void)state;
    start_feeders(&feeders, 100000);
    feeders.numbers[0].made = 100000;
    auto_client struct client client = client_open(feeders.served.port);
    client_ask(&client, GET("/numbers/0"), &reply);
    check_numbers(&reply.body, 100000);
    end_feeders(&feeders);
}

static void old_clients_get_it_up_to_the_closing(void **state)
{
    static struct feeders feeders;
    auto_reply struct reply reply = {0};

    (void)state;
    start_feeders(&feeders, 10000);
    auto_client struct client client = client_open(feeders.served.port);
    client_send(&client, "GET /numbers/0 HTTP/1.0\r\n" LOCAL TOKEN "\r\n");
    wait_for(&feeders, &feeders.opened, 1);
    for (int i = 0; i < 100; i++)
        feed(&feeders.numbers[0], 100);
    client_take_head(&client, &reply);
    assert_null(reply_header(&reply, "Transfer-Encoding"));
    while (client_fill(&client))
        continue;
    check_numbers(&client.in, 10000);
    end_feeders(&feeders);
}

static void head_is_answered_and_closed(void **state)
{
    static struct feeders feeders;
    auto_reply struct reply reply = {0};

    (void)state;
    start_feeders(&feeders, 1);
    auto_client struct client client = client_open(feeders.served.port);
    client_send(&client, "HEAD /numbers/0 HTTP/1.1\r\n" LOCAL TOKEN "\r\n");
    client_take_head(&client, &reply);
    expect_status(&reply, 200);
    client_ask(&client, GET("/hello"), &reply);
    expect_reply(&reply, 200, "{\"hello\":true}");
    assert_int_equal(feeders.closed, 1);
    end_feeders(&feeders);
}

/* --- broken off --- */

static void a_client_that_leaves_is_noticed_at_the_next_write(void **state)
{
    static struct feeders feeders;

    (void)state;
    start_feeders(&feeders, UINT64_MAX);
    for (int i = 0; i < STREAMS; i++) {
        char request[200];
        auto_client struct client client = client_open(feeders.served.port);
        auto_buf struct buf text = {0};
        snprintf(request, sizeof request, GET("/numbers/%d"), i);
        client_send(&client, request);
        feed(&feeders.numbers[i], 1);
        client_take_until(&client, "0\n", &text);
    }
    for (bool is_done = false; !is_done;) {
        for (int i = 0; i < STREAMS; i++)
            feed(&feeders.numbers[i], 1);
        pthread_mutex_lock(&feeders.served.lock);
        is_done = feeders.closed == STREAMS;
        pthread_mutex_unlock(&feeders.served.lock);
    }
    end_feeders(&feeders);
}

/* Asleep ones, busy ones, and one whose client reads nothing. */
static void stopping_ends_streams(void **state)
{
    static struct feeders feeders;
    struct client clients[STREAMS];
    pthread_t feeder;

    (void)state;
    for (int round = 0; round < 10; round++) {
        start_feeders(&feeders, UINT64_MAX);
        for (int i = 0; i < STREAMS; i++) {
            char request[200];
            clients[i] = client_open(feeders.served.port);
            snprintf(request, sizeof request, GET("/numbers/%d"), i);
            client_send(&clients[i], request);
        }
        if (round % 2 == 0)
            wait_for(&feeders, &feeders.opened, STREAMS);
        pthread_create(&feeder, NULL, run_feeder, &feeders);
        server_stop(feeders.served.server);
        feeders.served.server = NULL;
        assert_int_equal(feeders.closed, feeders.opened);
        pthread_join(feeder, NULL);
        for (int i = 0; i < STREAMS; i++)
            client_close(&clients[i]);
        end_feeders(&feeders);
    }
}

static void a_sleeping_stream_ends_in_order_when_the_server_stops(void **state)
{
    static struct feeders feeders;
    auto_reply struct reply reply = {0};

    (void)state;
    start_feeders(&feeders, UINT64_MAX);
    auto_client struct client client = client_open(feeders.served.port);
    feed(&feeders.numbers[0], 3);
    client_send(&client, GET("/numbers/0"));
    wait_for(&feeders, &feeders.opened, 1);
    server_stop(feeders.served.server);
    feeders.served.server = NULL;
    client_take_head(&client, &reply);
    client_take_chunks(&client, &reply.body); /* with the last, empty one */
    client_expect_end(&client);
    end_feeders(&feeders);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_comes_however_often_it_is_woken),
        cmocka_unit_test(what_was_there_at_once_comes_without_being_woken),
        cmocka_unit_test(old_clients_get_it_up_to_the_closing),
        cmocka_unit_test(head_is_answered_and_closed),
        cmocka_unit_test(a_client_that_leaves_is_noticed_at_the_next_write),
        cmocka_unit_test(stopping_ends_streams),
        cmocka_unit_test(a_sleeping_stream_ends_in_order_when_the_server_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
