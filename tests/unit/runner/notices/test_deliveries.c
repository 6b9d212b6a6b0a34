#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/notices/deliveries.h"

#include "base/id.h"
#include "base/mem.h"
#include "runner/notices/webhook.h"
#include "tests/unit/base/scratch.c"
#include "tests/unit/base/scripted_server.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define START        1767225600000ll /* 2026-01-01 */
#define SECOND       1000ll
#define DAY          (24 * 3600 * SECOND)

enum { GATE_A = 1, GATE_B = 2 };

static msec clock_now;

static msec now(void)
{
    return clock_now;
}

/* One try, as it was told. */
struct told {
    char uuid[37];
    char error[300]; /* "": delivered */
};

struct world {
    char *directory; /* scratch */
    struct job_store *store;
    pthread_mutex_t lock;
    struct loop *loop;
    struct deliveries *deliveries;
    struct server server;
    struct deliveries_options options;
    struct told told[64];
    size_t told_count;
    bool is_store_to_fail; /* at the next try */
};

static void on_tried(void *user, const struct delivery_row *delivery, const char *url,
                     const char *error)
{
    struct world *world = user;
    struct told *told = &world->told[world->told_count++];
    struct err e;

    assert_non_null(strstr(url, "://"));
    snprintf(told->uuid, sizeof told->uuid, "%s", delivery->uuid);
    snprintf(told->error, sizeof told->error, "%s", error ? error : "");
    if (world->is_store_to_fail) /* nothing begins inside of a transaction */
        assert_int_equal(job_store_begin(world->store, &e), 0);
    world->is_store_to_fail = false;
}

static void world_restart(struct world *world)
{
    deliveries_free(world->deliveries);
    loop_free(world->loop);
    world->loop = world->options.loop = loop_new();
    world->deliveries = deliveries_new(&world->options);
}

static void world_open(struct world *world, struct rule *rules, size_t rule_count)
{
    struct err e;

    *world = (struct world){.directory = scratch_new()};
    clock_now = START;
    auto_free char *path = mem_printf("%s/jobs.db", world->directory);
    if (job_store_open(path, STORE_WRITE, &world->store, &e) < 0)
        fail_msg("%s", e.text);
    pthread_mutex_init(&world->lock, NULL);
    server_start(&world->server, SERVER_TCP, rules, rule_count);
    world->options = (struct deliveries_options){.store = world->store,
                                                 .lock = &world->lock,
                                                 .allow_local = true,
                                                 .timeout_ms = 60000,
                                                 .now = now,
                                                 .tried = on_tried,
                                                 .user = world};
    world_restart(world);
}

static void world_close(struct world *world)
{
    deliveries_free(world->deliveries);
    loop_free(world->loop);
    server_stop(&world->server);
    job_store_close(world->store);
    pthread_mutex_destroy(&world->lock);
    scratch_free(world->directory);
}

static int note_id(void *data, const struct webhook_row *webhook, struct err *e)
{
    (void)e;
    *(int64_t *)data = webhook->id;
    return 0;
}

/* `url` is a path of the server, or a whole URL. */
static int64_t add_webhook(struct world *world, const char *url, const char *secret,
                           struct uuid *ret_uuid)
{
    struct uuid uuid = uuid_random();
    auto_free char *whole = *url == '/'
                                ? mem_printf("http://127.0.0.1:%d%s", world->server.port, url)
                                : mem_strdup(url);
    struct webhook_row webhook = {.uuid = uuid.text,
                                  .url = whole,
                                  .secret = secret,
                                  .events = "run_finished",
                                  .job_uuid = "",
                                  .project = "",
                                  .created_time = clock_now};
    int64_t id = 0;
    struct err e;

    assert_int_equal(job_store_begin(world->store, &e), 0);
    assert_int_equal(job_store_add_webhook(world->store, &webhook, &e), 0);
    assert_int_equal(job_store_commit(world->store, STORE_LAZY, &e), 0);
    assert_int_equal(job_store_webhooks(world->store, uuid.text, note_id, &id, &e), 0);
    if (ret_uuid)
        *ret_uuid = uuid;
    return id;
}

static void add_row(struct world *world, const struct delivery_row *row)
{
    struct err e;

    assert_int_equal(job_store_begin(world->store, &e), 0);
    assert_int_equal(job_store_add_delivery(world->store, row, &e), 0);
    assert_int_equal(job_store_commit(world->store, STORE_LAZY, &e), 0);
}

static struct uuid add_delivery(struct world *world, int64_t webhook, const char *body)
{
    struct uuid uuid = uuid_random();

    add_row(world, &(struct delivery_row){.uuid = uuid.text,
                                          .webhook = webhook,
                                          .event = "run_finished",
                                          .body = body,
                                          .state = DELIVERY_PENDING,
                                          .created_time = clock_now,
                                          .next_time = clock_now,
                                          .last_error = ""});
    return uuid;
}

/* Runs until so many tries have been told in all. */
static void await_tries(struct world *world, size_t count)
{
    deliveries_wake(world->deliveries);
    while (world->told_count < count)
        loop_dispatch(world->loop, -1);
    assert_int_equal(world->told_count, count);
}

static void await_requests(struct world *world, const char *text, size_t count)
{
    deliveries_wake(world->deliveries);
    while (server_saw(&world->server, text) < count)
        loop_dispatch(world->loop, 10);
}

/* What the store has of a delivery; texts in it are NULL but for the error. */
struct found {
    const char *uuid;
    bool is_there;
    struct delivery_row row;
    char error[1000];
};

static int find(void *data, const struct delivery_row *row, const struct webhook_row *webhook,
                struct err *e)
{
    struct found *found = data;

    (void)webhook;
    (void)e;
    if (strcmp(row->uuid, found->uuid) != 0)
        return 0;
    found->is_there = true;
    found->row = *row;
    snprintf(found->error, sizeof found->error, "%s", row->last_error);
    return 0;
}

static struct found look_up(struct world *world, int64_t webhook, const struct uuid *uuid)
{
    struct found found = {.uuid = uuid->text};
    struct err e;

    assert_int_equal(job_store_deliveries(world->store, webhook, 0, 0, find, &found, &e), 0);
    return found;
}

static void assert_delivered(struct world *world, int64_t webhook, const struct uuid *uuid)
{
    struct found found = look_up(world, webhook, uuid);

    assert_true(found.is_there);
    assert_int_equal(found.row.state, DELIVERY_DONE);
    assert_string_equal(found.error, "");
}

/* --- a try --- */

static void a_notice_arrives_signed_and_named(void **state)
{
    struct rule rules[] = {
        {.request = "POST /hook HTTP/1.1", .answer = "HTTP/1.1 202 Fine\r\n\r\nthank you"}};
    struct world world;
    char signature[72];

    (void)state;
    world_open(&world, rules, COUNT(rules));
    int64_t webhook = add_webhook(&world, "/hook", "s3cret", NULL);
    struct uuid uuid = add_delivery(&world, webhook, "{\"event\":\"run_finished\"}");
    await_tries(&world, 1);
    assert_string_equal(world.told[0].uuid, uuid.text);
    assert_string_equal(world.told[0].error, "");
    struct found found = look_up(&world, webhook, &uuid);
    assert_int_equal(found.row.state, DELIVERY_DONE);
    assert_int_equal(found.row.tries, 1);
    assert_int_equal(found.row.done_time, START);
    assert_int_equal(found.row.last_status, 202);
    assert_string_equal(found.error, "");

    webhook_sign("s3cret", STR("{\"event\":\"run_finished\"}"), signature);
    auto_free char *signed_so = mem_printf("\r\nX-Hub-Signature-256: %s\r\n", signature);
    auto_free char *named_so = mem_printf("\r\nX-Segue-Delivery: %s\r\n", uuid.text);
    assert_int_equal(server_received(&world.server, signed_so), 1);
    assert_int_equal(server_received(&world.server, named_so), 1);
    assert_int_equal(server_received(&world.server, "\r\nX-Segue-Event: run_finished\r\n"), 1);
    assert_int_equal(server_received(&world.server, "\r\nContent-Type: application/json\r\n"), 1);
    assert_int_equal(server_received(&world.server, "\r\n\r\n{\"event\":\"run_finished\"}"), 1);
    world_close(&world);
}

static void without_a_secret_nothing_is_signed(void **state)
{
    struct rule rules[] = {{.request = "POST /", .answer = "HTTP/1.1 200 OK\r\n\r\n"}};
    struct world world;

    (void)state;
    world_open(&world, rules, COUNT(rules));
    int64_t webhook = add_webhook(&world, "/", "", NULL);
    struct uuid uuid = add_delivery(&world, webhook, "{}");
    await_tries(&world, 1);
    assert_delivered(&world, webhook, &uuid);
    assert_int_equal(server_received(&world.server, "X-Hub-Signature"), 0);
    world_close(&world);
}

static void proxies_of_the_environment_are_not_asked(void **state)
{
    struct rule rules[] = {{.request = "POST / ", .answer = "HTTP/1.1 200 OK\r\n\r\n"}};
    struct world world;

    (void)state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    world_open(&world, rules, COUNT(rules));
    int64_t webhook = add_webhook(&world, "/", "", NULL);
    struct uuid uuid = add_delivery(&world, webhook, "{}");
    await_tries(&world, 1);
    unsetenv("http_proxy");
    assert_delivered(&world, webhook, &uuid);
    world_close(&world);
}

static void local_addresses_are_not_connected_to(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"};
    struct rule rules[] = {{.request = "", .answer = "HTTP/1.1 200 OK\r\n\r\n"}};
    struct world world;

    (void)state;
    world_open(&world, rules, COUNT(rules));
    world.options.allow_local = false;
    world_restart(&world);
    for (size_t i = 0; i < COUNT(hosts); i++) {
        auto_free char *url = mem_printf("http://%s:%d/", hosts[i], world.server.port);
        int64_t webhook = add_webhook(&world, url, "", NULL);
        struct uuid uuid = add_delivery(&world, webhook, "{}");
        await_tries(&world, i + 1);
        struct found found = look_up(&world, webhook, &uuid);
        assert_int_equal(found.row.state, DELIVERY_PENDING);
        assert_int_equal(found.row.last_status, 0);
        if (!strstr(found.error, "is not allowed"))
            fail_msg("%s: %s", hosts[i], found.error);
    }
    assert_int_equal(server_saw(&world.server, "POST"), 0);
    world_close(&world);
}

static void what_went_wrong_is_said_in_one_line(void **state)
{
    static char long_line[1000], shown[220];
    static const struct {
        const char *path, *text;
        uint32_t status;
    } rows[] = {
        {"/line", "HTTP 500: it broke", 500},
        {"/bare", "HTTP 404", 404},
        {"/dirty", "HTTP 400: a b?c\xc3\xa4 [31m", 400},
        {"/long", shown, 503},
        {"/moved", "HTTP 302: redirects are not followed", 302},
        {"/silent", "Empty reply from server", 0},
    };
    struct rule rules[] = {
        {.request = "POST /line", .answer = "HTTP/1.1 500 No\r\n\r\nit broke\nat line 1\n"},
        {.request = "POST /bare", .answer = "HTTP/1.1 404 No\r\n\r\n"},
        {.request = "POST /dirty",
         .answer = "HTTP/1.1 400 No\r\n\r\na\x01"
                   "b\xff"
                   "c\xc3\xa4\x1b[31m\r\n\n"},
        {.request = "POST /long", .answer = long_line},
        {.request = "POST /moved",
         .answer = "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"},
        {.request = "POST /silent", .answer = NULL},
    };
    struct world world;

    (void)state;
    memset(long_line, 'x', sizeof long_line - 1);
    memcpy(long_line, "HTTP/1.1 503 No\r\n\r\n", 19);
    memset(shown, 'x', 10 + 200);
    memcpy(shown, "HTTP 503: ", 10);
    world_open(&world, rules, COUNT(rules));
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t webhook = add_webhook(&world, rows[i].path, "", NULL);
        struct uuid uuid = add_delivery(&world, webhook, "{}");
        await_tries(&world, i + 1);
        struct found found = look_up(&world, webhook, &uuid);
        assert_int_equal(found.row.state, DELIVERY_PENDING);
        assert_int_equal(found.row.last_status, rows[i].status);
        assert_string_equal(found.error, rows[i].text);
        assert_string_equal(world.told[i].error, rows[i].text);
    }
    assert_int_equal(server_saw(&world.server, "/other"), 0);
    world_close(&world);
}

/* It stays open behind what is read of it. */
static void an_answer_without_end_is_not_waited_for(void **state)
{
    enum { SIZE = 200 * 1000 };
    auto_free char *yes = mem_alloc(SIZE);
    auto_free char *no = mem_alloc(SIZE);
    struct rule rules[] = {
        {.request = "POST /yes", .answer = yes, .answer_len = SIZE, .wait_after = GATE_STOP},
        {.request = "POST /no", .answer = no, .answer_len = SIZE, .wait_after = GATE_STOP},
    };
    struct world world;

    (void)state;
    memset(yes, 'x', SIZE);
    memcpy(yes, "HTTP/1.1 200 OK\r\n\r\n", 19);
    memset(no, 'x', SIZE);
    memcpy(no, "HTTP/1.1 500 No\r\n\r\nno\n", 22);
    world_open(&world, rules, COUNT(rules));
    int64_t taken = add_webhook(&world, "/yes", "", NULL);
    int64_t refused = add_webhook(&world, "/no", "", NULL);
    struct uuid first = add_delivery(&world, taken, "{}");
    struct uuid second = add_delivery(&world, refused, "{}");
    await_tries(&world, 2);
    assert_delivered(&world, taken, &first);
    assert_string_equal(look_up(&world, refused, &second).error, "HTTP 500: no");
    world_close(&world);
}

/* --- tries --- */

static void what_failed_is_tried_again_at_its_time(void **state)
{
    struct rule rules[] = {
        {.request = "POST /hook", .answer = "HTTP/1.1 500 No\r\n\r\n", .times = 1},
        {.request = "POST /", .answer = "HTTP/1.1 200 OK\r\n\r\n"},
    };
    struct world world;

    (void)state;
    world_open(&world, rules, COUNT(rules));
    int64_t webhook = add_webhook(&world, "/hook", "", NULL);
    int64_t other = add_webhook(&world, "/other", "", NULL);
    struct uuid uuid = add_delivery(&world, webhook, "{}");
    await_tries(&world, 1);
    struct found found = look_up(&world, webhook, &uuid);
    assert_int_equal(found.row.state, DELIVERY_PENDING);
    assert_int_equal(found.row.tries, 1);
    assert_int_equal(found.row.next_time, START + 10 * SECOND);

    clock_now = START + 10 * SECOND - 1;
    for (size_t i = 0; i < 3; i++) { /* the others would come after it */
        add_delivery(&world, other, "{}");
        await_tries(&world, 2 + i);
    }
    assert_int_equal(server_saw(&world.server, "POST /hook"), 1);

    clock_now = START + 10 * SECOND;
    await_tries(&world, 5);
    assert_delivered(&world, webhook, &uuid);
    assert_int_equal(look_up(&world, webhook, &uuid).row.tries, 2);
    assert_int_equal(server_saw(&world.server, "POST /hook"), 2);
    auto_free char *named_so = mem_printf("X-Segue-Delivery: %s", uuid.text);
    assert_int_equal(server_received(&world.server, named_so), 2);
    world_close(&world);
}

static void a_receiver_that_hangs_is_given_up_and_tried_again(void **state)
{
    struct rule rules[] = {
        {.request = "POST /hook", .wait_before = GATE_STOP, .times = 1},
        {.request = "POST /hook", .answer = "HTTP/1.1 200 OK\r\n\r\n"},
    };
    struct world world;

    (void)state;
    world_open(&world, rules, COUNT(rules));
    world.options.timeout_ms = 50;
    world_restart(&world);
    int64_t webhook = add_webhook(&world, "/hook", "", NULL);
    struct uuid uuid = add_delivery(&world, webhook, "{}");
    await_tries(&world, 1);
    struct found found = look_up(&world, webhook, &uuid);
    assert_int_equal(found.row.state, DELIVERY_PENDING);
    assert_int_equal(found.row.last_status, 0);
    assert_non_null(strstr(found.error, "timed out"));
    world.options.timeout_ms = 60000;
    world_restart(&world);
    clock_now += 10 * SECOND;
    await_tries(&world, 2);
    assert_delivered(&world, webhook, &uuid);
    world_close(&world);
}

static void after_a_day_it_is_given_up(void **state)
{
    struct rule rules[] = {{.request = "POST /hook", .answer = "HTTP/1.1 500 No\r\n\r\n"}};
    struct world world;
    uint32_t tries = 0;
    struct found found;

    (void)state;
    world_open(&world, rules, COUNT(rules));
    int64_t webhook = add_webhook(&world, "/hook", "", NULL);
    struct uuid uuid = add_delivery(&world, webhook, "{}");
    do {
        await_tries(&world, ++tries);
        found = look_up(&world, webhook, &uuid);
        assert_int_equal(found.row.tries, tries);
        if (found.row.state == DELIVERY_PENDING)
            clock_now = found.row.next_time;
    } while (found.row.state == DELIVERY_PENDING);
    assert_int_equal(found.row.state, DELIVERY_FAILED);
    assert_int_equal(found.row.done_time, clock_now);
    assert_true(clock_now > START + DAY - 3 * 3600 * SECOND && clock_now <= START + DAY);
    clock_now += DAY;
    struct uuid next = add_delivery(&world, webhook, "{}");
    await_tries(&world, tries + 1);
    assert_string_equal(world.told[tries].uuid, next.text);
    world_close(&world);
}

/* --- kills and failures of ours --- */

static void what_was_sent_and_not_written_down_is_sent_again(void **state)
{
    struct rule rules[] = {
        {.request = "POST /hook", .wait_before = GATE_STOP, .times = 1},
        {.request = "POST /hook", .answer = "HTTP/1.1 200 OK\r\n\r\n"},
    };
    struct world world;

    (void)state;
    world_open(&world, rules, COUNT(rules));
    int64_t webhook = add_webhook(&world, "/hook", "", NULL);
    struct uuid uuid = add_delivery(&world, webhook, "{\"a\":1}");
    await_requests(&world, "{\"a\":1}", 1);
    world_restart(&world);
    await_tries(&world, 1);
    assert_delivered(&world, webhook, &uuid);
    assert_int_equal(look_up(&world, webhook, &uuid).row.tries, 1);
    auto_free char *named_so = mem_printf("X-Segue-Delivery: %s", uuid.text);
    assert_int_equal(server_received(&world.server, named_so), 2);
    assert_int_equal(server_saw(&world.server, "{\"a\":1}"), 2);
    world_close(&world);
}

static void an_outcome_is_kept_while_the_store_fails(void **state)
{
    struct rule rules[] = {{.request = "POST /hook", .answer = "HTTP/1.1 200 OK\r\n\r\n"}};
    struct world world;

    (void)state;
    world_open(&world, rules, COUNT(rules));
    int64_t webhook = add_webhook(&world, "/hook", "", NULL);
    struct uuid uuid = add_delivery(&world, webhook, "{}");
    world.is_store_to_fail = true;
    await_tries(&world, 1);
    assert_int_equal(look_up(&world, webhook, &uuid).row.state, DELIVERY_PENDING);
    deliveries_wake(world.deliveries);
    assert_delivered(&world, webhook, &uuid);
    assert_int_equal(server_saw(&world.server, "POST"), 1);
    world_close(&world);
}

static void a_webhook_can_be_removed_meanwhile(void **state)
{
    struct rule rules[] = {
        {.request = "POST /slow", .wait_before = GATE_A, .answer = "HTTP/1.1 200 OK\r\n\r\n"},
        {.request = "POST /hook", .answer = "HTTP/1.1 200 OK\r\n\r\n"},
    };
    struct uuid slow[DELIVERIES_AT_ONCE];
    struct world world;
    struct err e;

    (void)state;
    world_open(&world, rules, COUNT(rules));
    for (size_t i = 0; i < DELIVERIES_AT_ONCE; i++)
        add_delivery(&world, add_webhook(&world, "/slow", "", &slow[i]), "{}");
    await_requests(&world, "POST /slow", DELIVERIES_AT_ONCE);
    assert_int_equal(job_store_begin(world.store, &e), 0);
    for (size_t i = 0; i < DELIVERIES_AT_ONCE; i++)
        assert_int_equal(job_store_remove_webhook(world.store, slow[i].text, &e), 0);
    assert_int_equal(job_store_commit(world.store, STORE_LAZY, &e), 0);
    int64_t webhook = add_webhook(&world, "/hook", "", NULL);
    struct uuid uuid = add_delivery(&world, webhook, "{}");
    server_open_gate(&world.server, GATE_A);
    await_tries(&world, DELIVERIES_AT_ONCE + 1);
    assert_delivered(&world, webhook, &uuid);
    world_close(&world);
}

/* --- several --- */

static void to_one_webhook_they_come_in_order_but_for_those_that_fail(void **state)
{
    struct rule rules[] = {
        {.request = "POST /hook", .answer = "HTTP/1.1 200 OK\r\n\r\n", .times = 1},
        {.request = "POST /hook", .answer = "HTTP/1.1 500 No\r\n\r\n", .times = 1},
        {.request = "POST /hook", .answer = "HTTP/1.1 200 OK\r\n\r\n"},
    };
    struct uuid uuids[4];
    struct world world;

    (void)state;
    world_open(&world, rules, COUNT(rules));
    int64_t webhook = add_webhook(&world, "/hook", "", NULL);
    for (size_t i = 0; i < COUNT(uuids); i++) {
        uuids[i] = add_delivery(&world, webhook, "{}");
        clock_now -= SECOND; /* a clock that is set back changes no order */
    }
    clock_now = START;
    await_tries(&world, 4);
    for (size_t i = 0; i < COUNT(uuids); i++)
        assert_string_equal(world.told[i].uuid, uuids[i].text);
    assert_string_equal(world.told[1].error, "HTTP 500");
    assert_delivered(&world, webhook, &uuids[3]);
    clock_now += 10 * SECOND;
    await_tries(&world, 5);
    assert_string_equal(world.told[4].uuid, uuids[1].text);
    assert_delivered(&world, webhook, &uuids[1]);
    world_close(&world);
}

static void one_that_hangs_holds_up_no_other(void **state)
{
    struct rule rules[] = {
        {.request = "POST /slow", .wait_before = GATE_STOP},
        {.request = "POST /fast", .answer = "HTTP/1.1 200 OK\r\n\r\n"},
    };
    struct world world;

    (void)state;
    world_open(&world, rules, COUNT(rules));
    int64_t slow = add_webhook(&world, "/slow", "", NULL);
    int64_t fast = add_webhook(&world, "/fast", "", NULL);
    for (size_t i = 0; i < 200; i++)
        add_delivery(&world, slow, "{}");
    struct uuid first = add_delivery(&world, fast, "{}");
    struct uuid second = add_delivery(&world, fast, "{}");
    await_tries(&world, 2);
    assert_delivered(&world, fast, &first);
    assert_delivered(&world, fast, &second);
    assert_true(server_saw(&world.server, "POST /slow") <= 1);
    world_close(&world);
}

static void webhooks_take_turns(void **state)
{
    struct rule rules[] = {
        {.request = "POST /first", .wait_before = GATE_A, .answer = "HTTP/1.1 500 No\r\n\r\n"},
        {.request = "POST /slow", .wait_before = GATE_STOP},
        {.request = "POST /last", .answer = "HTTP/1.1 200 OK\r\n\r\n"},
    };
    struct world world;

    (void)state;
    world_open(&world, rules, COUNT(rules));
    for (size_t i = 0; i < DELIVERIES_AT_ONCE; i++) {
        int64_t webhook = add_webhook(&world, i == 0 ? "/first" : "/slow", "", NULL);
        add_delivery(&world, webhook, "{}");
        add_delivery(&world, webhook, "{}");
    }
    int64_t webhook = add_webhook(&world, "/last", "", NULL);
    struct uuid last = add_delivery(&world, webhook, "{}");
    await_requests(&world, "POST", DELIVERIES_AT_ONCE);
    server_open_gate(&world.server, GATE_A);
    await_tries(&world, 2);
    assert_string_equal(world.told[0].error, "HTTP 500");
    assert_string_equal(world.told[1].uuid, last.text);
    assert_delivered(&world, webhook, &last);
    world_close(&world);
}

static void what_ended_long_ago_is_forgotten(void **state)
{
    struct rule rules[] = {{.request = "POST /hook", .answer = "HTTP/1.1 200 OK\r\n\r\n"}};
    struct uuid old = uuid_random(), young = uuid_random();
    struct world world;

    (void)state;
    world_open(&world, rules, COUNT(rules));
    int64_t webhook = add_webhook(&world, "/hook", "", NULL);
    struct delivery_row row = {.uuid = old.text,
                               .webhook = webhook,
                               .event = "ping",
                               .body = "{}",
                               .state = DELIVERY_FAILED,
                               .created_time = START - 32 * DAY,
                               .done_time = START - 30 * DAY - 1,
                               .last_error = "HTTP 500"};
    add_row(&world, &row);
    row.uuid = young.text;
    row.done_time = START - 30 * DAY;
    add_row(&world, &row);
    struct uuid uuid = add_delivery(&world, webhook, "{}");
    await_tries(&world, 1);
    assert_delivered(&world, webhook, &uuid);
    assert_false(look_up(&world, webhook, &old).is_there);
    assert_true(look_up(&world, webhook, &young).is_there);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_notice_arrives_signed_and_named),
        cmocka_unit_test(without_a_secret_nothing_is_signed),
        cmocka_unit_test(proxies_of_the_environment_are_not_asked),
        cmocka_unit_test(local_addresses_are_not_connected_to),
        cmocka_unit_test(what_went_wrong_is_said_in_one_line),
        cmocka_unit_test(an_answer_without_end_is_not_waited_for),
        cmocka_unit_test(what_failed_is_tried_again_at_its_time),
        cmocka_unit_test(a_receiver_that_hangs_is_given_up_and_tried_again),
        cmocka_unit_test(after_a_day_it_is_given_up),
        cmocka_unit_test(what_was_sent_and_not_written_down_is_sent_again),
        cmocka_unit_test(an_outcome_is_kept_while_the_store_fails),
        cmocka_unit_test(a_webhook_can_be_removed_meanwhile),
        cmocka_unit_test(to_one_webhook_they_come_in_order_but_for_those_that_fail),
        cmocka_unit_test(one_that_hangs_holds_up_no_other),
        cmocka_unit_test(webhooks_take_turns),
        cmocka_unit_test(what_ended_long_ago_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
