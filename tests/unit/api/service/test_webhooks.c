/* The handlers on a real job store, without a server and without what jobs do in the background. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/service/webhooks.h"

#include "api/service/parts.h"
#include "tests/unit/base/scratch.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define JOB          "2f1c9a52-6f3a-4f6e-9c1b-1b2f5b8f6f10"
#define NOBODY       "00000000-0000-4000-8000-000000000000"
#define NOW          1767225600000ll /* 2026-01-01 */

/* --- requests without a server --- */

struct exchange {
    const char *segment, *body;
    const char *limit, *cursor; /* NULL: not given */
    int status;                 /* 0: not answered */
    struct buf answer, location, problems;
};

const char *exchange_segment(const struct exchange *exchange, unsigned n)
{
    assert_int_equal(n, 0);
    return exchange->segment;
}

const char *exchange_query(struct exchange *exchange, const char *name)
{
    return strcmp(name, "limit") == 0 ? exchange->limit : exchange->cursor;
}

struct str exchange_body(const struct exchange *exchange)
{
    return str_of(exchange->body);
}

void exchange_add_header(struct exchange *exchange, const char *name, const char *value)
{
    assert_string_equal(name, "Location");
    buf_puts(&exchange->location, value);
}

void exchange_answer(struct exchange *exchange, int status, const char *content_type,
                     struct buf *take_body)
{
    assert_int_equal(exchange->status, 0);
    assert_true(!content_type && !take_body);
    exchange->status = status;
}

void exchange_answer_json(struct exchange *exchange, int status, struct buf *take_body)
{
    assert_int_equal(exchange->status, 0);
    exchange->status = status;
    exchange->answer = *take_body;
    *take_body = (struct buf){0};
}

void exchange_answer_problem(struct exchange *exchange, int status, const char *detail,
                             const struct problems *problems)
{
    assert_int_equal(exchange->status, 0);
    exchange->status = status;
    buf_puts(&exchange->answer, detail);
    for (uint32_t i = 0; problems && i < problems->count; i++)
        buf_printf(&exchange->problems, "%s: %s\n", problems->items[i].pointer,
                   problems->items[i].detail);
}

void exchange_answer_err(struct exchange *exchange, const struct err *e,
                         const struct problems *problems)
{
    int status = e->code == ERR_INVALID     ? 422
                 : e->code == ERR_NOT_FOUND ? 404
                 : e->code == ERR_CONFLICT  ? 409
                                            : 500;

    exchange_answer_problem(exchange, status, e->text, problems);
}

static void exchange_clear(struct exchange *exchange)
{
    buf_clear(&exchange->answer);
    buf_clear(&exchange->location);
    buf_clear(&exchange->problems);
}
#define auto_exchange __attribute__((cleanup(exchange_clear)))

/* --- jobs without threads --- */

struct jobs {
    struct job_store *store;
    bool is_full;
    unsigned pings;
};

struct job_store *jobs_lend(struct jobs *jobs, struct err *e)
{
    (void)e;
    return jobs->store;
}

void jobs_give_back(struct jobs *jobs, struct job_store *store)
{
    assert_ptr_equal(store, jobs->store);
}

int jobs_add_webhook(struct jobs *jobs, const struct webhook_row *webhook, struct uuid *ret_uuid,
                     struct err *e)
{
    struct webhook_row row = *webhook;

    if (jobs->is_full)
        return err_set(e, ERR_LIMIT, "there are too many webhooks");
    *ret_uuid = uuid_random();
    row.uuid = ret_uuid->text;
    row.created_time = NOW;
    assert_int_equal(job_store_begin(jobs->store, e), 0);
    assert_int_equal(job_store_add_webhook(jobs->store, &row, e), 0);
    return job_store_commit(jobs->store, STORE_LAZY, e);
}

int jobs_remove_webhook(struct jobs *jobs, const char *uuid, struct err *e)
{
    assert_int_equal(job_store_begin(jobs->store, e), 0);
    if (job_store_remove_webhook(jobs->store, uuid, e) == 0)
        return job_store_commit(jobs->store, STORE_LAZY, e);
    job_store_rollback(jobs->store);
    return -1;
}

int jobs_ping_webhook(struct jobs *jobs, const char *uuid, struct err *e)
{
    jobs->pings++;
    return strcmp(uuid, NOBODY) == 0 ? err_set(e, ERR_NOT_FOUND, "there is no webhook") : 0;
}

/* --- a service --- */

struct world {
    char *directory;
    struct service_options options;
    struct jobs jobs;
    struct service service;
};

static void add_job(struct job_store *store)
{
    struct job_row job = {.uuid = JOB,
                          .name = "job",
                          .state = JOB_PENDING,
                          .project = "/p",
                          .pipeline_path = "",
                          .pipeline_uuid = "",
                          .pipeline_name = "",
                          .parameters = "{}",
                          .schedule = "{}",
                          .policy = "{}",
                          .duplicate_of = "",
                          .snapshot = ""};
    int64_t id;
    struct err e;

    assert_int_equal(job_store_begin(store, &e), 0);
    assert_int_equal(job_store_add(store, &job, STR("{}"), NULL, NULL, &id, &e), 0);
    assert_int_equal(job_store_commit(store, STORE_LAZY, &e), 0);
}

static void world_open(struct world *world)
{
    struct err e;

    *world = (struct world){.directory = scratch_new()};
    auto_free char *path = fs_join(world->directory, "jobs.db");
    auto_free char *file = scratch_write(world->directory, "projects/wine/a.py", "");
    assert_int_equal(job_store_open(path, STORE_WRITE, &world->jobs.store, &e), 0);
    add_job(world->jobs.store);
    auto_free char *projects = fs_join(world->directory, "projects");
    world->service.projects = realpath(projects, NULL);
    world->service.options = &world->options;
    world->service.jobs = &world->jobs;
}

static void world_close(struct world *world)
{
    job_store_close(world->jobs.store);
    free(world->service.projects);
    scratch_free(world->directory);
}

/* Makes a webhook; its uuid. */
static struct uuid create(struct world *world, const char *body)
{
    auto_exchange struct exchange exchange = {.body = body};
    static const char path[] = "/api/v1/webhooks/";

    webhooks_create(&exchange, &world->service);
    if (exchange.status != 201)
        fail_msg("%s: %d %s", body, exchange.status, buf_text(&exchange.answer));
    assert_memory_equal(exchange.location.data, path, sizeof path - 1);
    return uuid_of(exchange.location.data + sizeof path - 1);
}

/* The answer to a GET behind its uuid. */
static void assert_shown(struct world *world, const struct uuid *uuid, const char *rest)
{
    auto_exchange struct exchange exchange = {.segment = uuid->text};
    auto_free char *expected = mem_printf("{\"uuid\":\"%s\",%s", uuid->text, rest);

    webhooks_get(&exchange, &world->service);
    assert_int_equal(exchange.status, 200);
    assert_string_equal(exchange.answer.data, expected);
}

static void a_webhook_is_made_and_shown_without_its_secret(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    struct uuid plain = create(&world, "{\"url\": \"https://example.com/a\"}");
    assert_shown(&world, &plain,
                 "\"url\":\"https://example.com/a\",\"has_secret\":false,"
                 "\"events\":[\"run_finished\",\"job_finished\"],\"job_uuid\":null,"
                 "\"project\":null,\"failures_only\":false,"
                 "\"created_time\":\"2026-01-01T00:00:00.000000Z\"}");
    struct uuid full = create(&world, "{\"url\": \"https://example.com/b\", \"secret\": \"s3cret\","
                                      " \"events\": [\"job_finished\"], \"job_uuid\": \"" JOB "\","
                                      " \"project\": \"wine\", \"failures_only\": true}");
    assert_shown(&world, &full,
                 "\"url\":\"https://example.com/b\",\"has_secret\":true,"
                 "\"events\":[\"job_finished\"],\"job_uuid\":\"" JOB "\",\"project\":\"wine\","
                 "\"failures_only\":true,\"created_time\":\"2026-01-01T00:00:00.000000Z\"}");

    auto_exchange struct exchange exchange = {0};
    webhooks_list(&exchange, &world.service);
    assert_int_equal(exchange.status, 200);
    assert_memory_equal(exchange.answer.data, "{\"webhooks\":[{\"uuid\":", 21);
    assert_non_null(strstr(exchange.answer.data, "},{"));
    assert_null(strstr(exchange.answer.data, "s3cret"));
    world_close(&world);
}

static void a_webhook_that_is_wrong_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *body, *problem; /* "": at no place */
        int status;
    } rows[] = {
        {"{", "", 400},
        {"[]", ": the body must be an object", 422},
        {"{}", ": \"url\" is missing", 422},
        {"{\"url\": 1}", "/url: must be a string", 422},
        {"{\"url\": \"\"}", "/url: may not be empty", 422},
        {"{\"url\": \"http://a\\u0000b\"}", "/url: may not contain", 422},
        {"{\"url\": \"ftp://a\"}", "/url: must begin with http://", 422},
        {"{\"url\": \"http://127.1/\"}", "/url: \"127.0.0.1\" leads", 422},
        {"{\"url\": \"http://a\", \"secret\": \"\"}", "/secret: may not be empty", 422},
        {"{\"url\": \"http://a\", \"event\": []}", "/event: unknown field", 422},
        {"{\"url\": \"http://a\", \"events\": []}", "/events: names no event", 422},
        {"{\"url\": \"http://a\", \"events\": [1]}", "/events/0: must be the name", 422},
        {"{\"url\": \"http://a\", \"events\": [\"ping\"]}", "/events/0: unknown event", 422},
        {"{\"url\": \"http://a\", \"events\": [\"run_finished,job_finished\"]}",
         "/events/0: must be the name", 422},
        {"{\"url\": \"http://a\", \"events\": [\"run_finished\", \"run_finished\"]}",
         "/events/1: \"run_finished\" is named twice", 422},
        {"{\"url\": \"http://a\", \"job_uuid\": \"" NOBODY "\"}", "/job_uuid: there is no job",
         422},
        {"{\"url\": \"http://a\", \"project\": \"beer\"}", "/project: ", 422},
        {"{\"url\": \"http://a\", \"project\": \"../..\"}", "/project: ", 422},
        {"{\"url\": \"http://a\", \"failures_only\": \"yes\"}", "/failures_only: must be", 422},
    };
    struct world world;

    (void)state;
    world_open(&world);
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_exchange struct exchange exchange = {.body = rows[i].body};
        webhooks_create(&exchange, &world.service);
        if (exchange.status != rows[i].status ||
            !strstr(buf_text(&exchange.problems), rows[i].problem))
            fail_msg("%s: %d %s\n%s", rows[i].body, exchange.status, buf_text(&exchange.answer),
                     buf_text(&exchange.problems));
    }
    auto_exchange struct exchange list = {0};
    webhooks_list(&list, &world.service);
    assert_string_equal(list.answer.data, "{\"webhooks\":[]}");
    world_close(&world);
}

static void a_service_may_allow_local_addresses_and_be_full(void **state)
{
    auto_exchange struct exchange exchange = {.body = "{\"url\": \"http://a\"}"};
    struct world world;

    (void)state;
    world_open(&world);
    world.options.allow_local_webhooks = true;
    create(&world, "{\"url\": \"http://127.0.0.1:8080/\"}");
    world.jobs.is_full = true;
    webhooks_create(&exchange, &world.service);
    assert_int_equal(exchange.status, 409);
    world_close(&world);
}

static void one_is_pinged_and_removed(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    struct uuid uuid = create(&world, "{\"url\": \"http://a\"}");
    {
        auto_exchange struct exchange wrong = {.segment = uuid.text, .body = "{\"a\": 1}"};
        webhooks_ping(&wrong, &world.service);
        assert_int_equal(wrong.status, 422);
        assert_int_equal(world.jobs.pings, 0);
        auto_exchange struct exchange ping = {.segment = uuid.text};
        webhooks_ping(&ping, &world.service);
        assert_int_equal(ping.status, 202);
        assert_int_equal(world.jobs.pings, 1);
        assert_non_null(strstr(ping.answer.data, uuid.text));
        auto_exchange struct exchange removed = {.segment = uuid.text};
        webhooks_delete(&removed, &world.service);
        assert_int_equal(removed.status, 204);
    }
    void (*const handlers[])(struct exchange *, void *) = {webhooks_get, webhooks_delete,
                                                           webhooks_ping, webhooks_deliveries};
    for (size_t i = 0; i < COUNT(handlers); i++) {
        auto_exchange struct exchange missing = {.segment = NOBODY};
        handlers[i](&missing, &world.service);
        assert_int_equal(missing.status, 404);
    }
    world_close(&world);
}

static int note_id(void *data, const struct webhook_row *webhook, struct err *e)
{
    (void)e;
    *(int64_t *)data = webhook->id;
    return 0;
}

static void add_deliveries(struct world *world, const struct uuid *webhook, unsigned count)
{
    struct delivery_row row = {.event = "run_finished",
                               .body = "{\"n\":1}",
                               .state = DELIVERY_DONE,
                               .tries = 1,
                               .created_time = NOW,
                               .done_time = NOW,
                               .last_status = 200,
                               .last_error = ""};
    struct err e;

    assert_int_equal(
        job_store_webhooks(world->jobs.store, webhook->text, note_id, &row.webhook, &e), 0);
    assert_int_equal(job_store_begin(world->jobs.store, &e), 0);
    for (unsigned i = 0; i < count; i++) {
        struct uuid uuid = uuid_random();
        row.uuid = uuid.text;
        if (i == count - 1) /* the newest */
            row = (struct delivery_row){.uuid = uuid.text,
                                        .webhook = row.webhook,
                                        .event = "ping",
                                        .body = "{}",
                                        .state = DELIVERY_PENDING,
                                        .tries = 2,
                                        .created_time = NOW,
                                        .next_time = NOW + 1000,
                                        .last_error = "timed \"out\""};
        assert_int_equal(job_store_add_delivery(world->jobs.store, &row, &e), 0);
    }
    assert_int_equal(job_store_commit(world->jobs.store, STORE_LAZY, &e), 0);
}

static void the_log_is_shown_in_pages(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    struct uuid uuid = create(&world, "{\"url\": \"http://a\"}");
    struct uuid other = create(&world, "{\"url\": \"http://b\"}");
    add_deliveries(&world, &other, 2);
    add_deliveries(&world, &uuid, 3);

    auto_exchange struct exchange first = {.segment = uuid.text, .limit = "1"};
    webhooks_deliveries(&first, &world.service);
    assert_int_equal(first.status, 200);
    const char *shown = strstr(first.answer.data, ",\"event\"");
    assert_string_equal(shown, ",\"event\":\"ping\",\"status\":\"PENDING\",\"tries\":2,"
                               "\"created_time\":\"2026-01-01T00:00:00.000000Z\","
                               "\"next_time\":\"2026-01-01T00:00:01.000000Z\",\"done_time\":null,"
                               "\"last_status\":null,\"last_error\":\"timed \\\"out\\\"\","
                               "\"body\":{}}],\"next_cursor\":\"5\"}");

    auto_exchange struct exchange rest = {.segment = uuid.text, .limit = "2", .cursor = "5"};
    webhooks_deliveries(&rest, &world.service);
    assert_int_equal(rest.status, 200);
    shown = strstr(rest.answer.data, "\"status\":\"DELIVERED\"");
    assert_non_null(shown);
    shown = strstr(shown + 1, ",\"event\"");
    assert_string_equal(shown, ",\"event\":\"run_finished\",\"status\":\"DELIVERED\",\"tries\":1,"
                               "\"created_time\":\"2026-01-01T00:00:00.000000Z\","
                               "\"next_time\":null,\"done_time\":\"2026-01-01T00:00:00.000000Z\","
                               "\"last_status\":200,\"last_error\":null,\"body\":{\"n\":1}}],"
                               "\"next_cursor\":null}");

    auto_exchange struct exchange wrong = {.segment = uuid.text, .limit = "0"};
    webhooks_deliveries(&wrong, &world.service);
    assert_int_equal(wrong.status, 400);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_webhook_is_made_and_shown_without_its_secret),
        cmocka_unit_test(a_webhook_that_is_wrong_is_refused_with_its_place),
        cmocka_unit_test(a_service_may_allow_local_addresses_and_be_full),
        cmocka_unit_test(one_is_pinged_and_removed),
        cmocka_unit_test(the_log_is_shown_in_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
