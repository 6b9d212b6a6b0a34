/* Requests that are answered later and from elsewhere: the races of going to sleep and being woken,
 * over sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/api/server/served.c"

#include <sched.h>

#define CLIENTS  200
#define REQUESTS 20

/* --- answered from other threads after random delays, none included --- */

struct answerers {
    struct served served; /* first: what handlers get */
    pthread_t threads[3];
    struct exchange *queue[CLIENTS];
    unsigned count;
    bool is_over;
};

static void delay_by_chance(unsigned *seed)
{
    for (int i = rand_r(seed) % 50; i > 0; i--)
        sched_yield();
}

static void *run_answerer(void *user)
{
    struct answerers *all = user;
    unsigned seed = (unsigned)(uintptr_t)pthread_self();

    for (;;) {
        pthread_mutex_lock(&all->served.lock);
        while (all->count == 0 && !all->is_over)
            pthread_cond_wait(&all->served.changed, &all->served.lock);
        struct exchange *exchange = all->count > 0 ? all->queue[--all->count] : NULL;
        pthread_mutex_unlock(&all->served.lock);
        if (!exchange)
            return NULL;
        delay_by_chance(&seed);
        serve_item(exchange, NULL);
    }
}

static void serve_later(struct exchange *exchange, void *user)
{
    static _Thread_local unsigned seed = 1;
    struct answerers *all = user;

    pthread_mutex_lock(&all->served.lock);
    all->queue[all->count++] = exchange;
    pthread_cond_signal(&all->served.changed);
    pthread_mutex_unlock(&all->served.lock);
    delay_by_chance(&seed); /* so that it often is answered before this returns */
}

static const struct route later_routes[] = {
    {"GET", "/inline/{client}/{n}", ROUTE_TOKEN, ROUTE_INLINE, 0, item_queries, serve_later},
    {"GET", "/worker/{client}/{n}", ROUTE_TOKEN, ROUTE_WORKER, 0, item_queries, serve_later},
};

static void every_answer_finds_its_client(void **state)
{
    static struct answerers all;
    static struct client clients[CLIENTS];
    auto_reply struct reply reply = {0};
    char text[200];

    (void)state;
    all = (struct answerers){0};
    serve_with(&all.served, later_routes, 2, (struct server_limits){.worker_queue = CLIENTS});
    for (int i = 0; i < 3; i++)
        pthread_create(&all.threads[i], NULL, run_answerer, &all);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = client_open(all.served.port);
    for (int n = 0; n < REQUESTS; n++) {
        for (int i = 0; i < CLIENTS; i++) {
            snprintf(text, sizeof text,
                     "GET /%s/%d/%d?query=%d HTTP/1.1\r\n" LOCAL TOKEN "X-Header: h%d\r\n\r\n",
                     (i + n) % 3 ? "inline" : "worker", i, n, i * n, i + n);
            client_send(&clients[i], text);
        }
        for (int i = 0; i < CLIENTS; i++) {
            const char *kind = (i + n) % 3 ? "inline" : "worker";
            client_take_reply(&clients[i], &reply);
            snprintf(text, sizeof text, "/%s/%d/%d %d|%d|%d|-|h%d", kind, i, n, i, n, i * n, i + n);
            expect_reply(&reply, 202, text);
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        client_close(&clients[i]);
    server_stop(all.served.server);
    all.served.server = NULL;
    pthread_mutex_lock(&all.served.lock);
    all.is_over = true;
    pthread_cond_broadcast(&all.served.changed);
    pthread_mutex_unlock(&all.served.lock);
    for (int i = 0; i < 3; i++)
        pthread_join(all.threads[i], NULL);
    serve_end(&all.served);
}

/* --- what can happen meanwhile --- */

static void a_client_may_be_gone_when_it_is_answered(void **state)
{
    struct served served;

    (void)state;
    serve(&served, (struct server_limits){0});
    for (unsigned i = 0; i < 50; i++) {
        auto_client struct client client = client_open(served.port);
        client_send(&client, GET("/hold"));
        wait_for_held(&served, i + 1);
    }
    release_held(&served);
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};
    client_ask(&client, GET("/hello"), &reply);
    expect_status(&reply, 200);
    serve_end(&served);
}

/* What waits is not in the way of others on the same thread, whichever that is. */
static void others_are_served_while_requests_wait(void **state)
{
    struct client waiting[64];
    struct served served;
    auto_reply struct reply reply = {0};

    (void)state;
    serve(&served, (struct server_limits){0});
    for (unsigned i = 0; i < 64; i++) {
        waiting[i] = client_open(served.port);
        client_send(&waiting[i], GET("/hold") GET("/hello"));
    }
    wait_for_held(&served, 64);
    for (int i = 0; i < 64; i++) {
        auto_client struct client client = client_open(served.port);
        client_ask(&client, GET("/hello"), &reply);
        expect_status(&reply, 200);
    }
    release_held(&served);
    for (int i = 0; i < 64; i++) {
        client_take_reply(&waiting[i], &reply);
        expect_status(&reply, 200);
        client_take_reply(&waiting[i], &reply); /* what was sent behind it meanwhile */
        expect_status(&reply, 200);
        client_close(&waiting[i]);
    }
    serve_end(&served);
}

static void what_finds_no_room_at_the_workers_is_refused(void **state)
{
    struct client blocked[3];
    struct served served;
    auto_reply struct reply reply = {0};

    (void)state;
    serve(&served, (struct server_limits){.workers = 2, .worker_queue = 1});
    for (unsigned i = 0; i < 2; i++) {
        blocked[i] = client_open(served.port);
        client_send(&blocked[i], POST("/blocked", "1") "1");
        wait_for_blocked(&served, i + 1);
    }
    blocked[2] = client_open(served.port);
    client_send(&blocked[2], POST("/work", "1") "2"); /* the queue, or what is refused */
    auto_client struct client client = client_open(served.port);
    client_send(&client, POST("/work", "1") "3");
    struct pollfd fds[2] = {{blocked[2].fd, POLLIN, 0}, {client.fd, POLLIN, 0}};
    assert_int_equal(poll(fds, 2, PATIENCE_S * 1000), 1);
    bool is_second = fds[1].revents != 0;
    client_take_reply(is_second ? &client : &blocked[2], &reply);
    expect_status(&reply, 503);
    assert_string_equal(reply_header(&reply, "Retry-After"), "1");
    client_ask(is_second ? &client : &blocked[2], GET("/hello"), &reply);
    expect_status(&reply, 200);
    open_gate(&served);
    client_take_reply(is_second ? &blocked[2] : &client, &reply);
    expect_status(&reply, 200);
    for (int i = 0; i < 3; i++)
        client_close(&blocked[i]);
    serve_end(&served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_finds_its_client),
        cmocka_unit_test(a_client_may_be_gone_when_it_is_answered),
        cmocka_unit_test(others_are_served_while_requests_wait),
        cmocka_unit_test(what_finds_no_room_at_the_workers_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
