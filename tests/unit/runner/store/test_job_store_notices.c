#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/runner/store/job_store_fixture.c"

static int copy_webhook(void *data, const struct webhook_row *webhook, struct err *e)
{
    (void)e;
    buf_printf(data, "%lld %s %s '%s' %s '%s' '%s' %d %lld;", (long long)webhook->id, webhook->uuid,
               webhook->url, webhook->secret, webhook->events, webhook->job_uuid, webhook->project,
               webhook->failures_only, (long long)webhook->created_time);
    return 0;
}

static const struct webhook_row a_webhook = {
    .uuid = "w1",
    .url = "https://example.org/hook",
    .secret = "s3cret",
    .events = "run_finished,job_finished",
    .job_uuid = "j",
    .project = "/projects/one",
    .failures_only = true,
    .created_time = 12,
};

static const struct delivery_row a_delivery = {
    .uuid = "d1",
    .webhook = 1,
    .event = "job_finished",
    .body = "{\"event\": \"job_finished\"}",
    .state = DELIVERY_PENDING,
    .created_time = 20,
    .next_time = 30,
    .last_error = "",
};

static void add_webhook(struct fixture *f, const char *uuid)
{
    struct webhook_row webhook = {.uuid = uuid,
                                  .url = "http://example.org",
                                  .secret = "",
                                  .events = "run_finished",
                                  .job_uuid = "",
                                  .project = ""};

    WRITTEN(f, job_store_add_webhook(f->store, &webhook, e));
}

static void webhooks_come_back_as_they_were(void **state)
{
    const char *first = "1 w1 https://example.org/hook 's3cret' run_finished,job_finished 'j' "
                        "'/projects/one' 1 12;";
    struct fixture *f = *state;

    LISTED("", job_store_webhooks(f->store, NULL, copy_webhook, &got, e));
    WRITTEN(f, job_store_add_webhook(f->store, &a_webhook, e));
    NOT_WRITTEN(f, ERR_CONFLICT, job_store_add_webhook(f->store, &a_webhook, e));
    add_webhook(f, "w2");
    reopen(f);
    LISTED(first, job_store_webhooks(f->store, "w1", copy_webhook, &got, e));
    auto_free char *both =
        mem_printf("%s2 w2 http://example.org '' run_finished '' '' 0 0;", first);
    LISTED(both, job_store_webhooks(f->store, NULL, copy_webhook, &got, e));
    REFUSED(ERR_NOT_FOUND, job_store_webhooks(f->store, "w3", copy_webhook, NULL, e));
}

static int copy_delivery(void *data, const struct delivery_row *delivery,
                         const struct webhook_row *webhook, struct err *e)
{
    (void)e;
    buf_printf(data, "%lld %s %lld %s %s %s %u %lld %lld %lld %u '%s' to %s;",
               (long long)delivery->id, delivery->uuid, (long long)delivery->webhook,
               delivery->event, delivery->body, delivery_state_name(delivery->state),
               delivery->tries, (long long)delivery->created_time, (long long)delivery->next_time,
               (long long)delivery->done_time, delivery->last_status, delivery->last_error,
               webhook->url);
    return 0;
}

static void deliveries_come_back_as_they_were(void **state)
{
    struct fixture *f = *state;
    struct delivery_row delivery = a_delivery;

    WRITTEN(f, job_store_add_webhook(f->store, &a_webhook, e));
    WRITTEN(f, job_store_add_delivery(f->store, &delivery, e));
    NOT_WRITTEN(f, ERR_CONFLICT, job_store_add_delivery(f->store, &delivery, e));
    reopen(f);
    LISTED("1 d1 1 job_finished {\"event\": \"job_finished\"} PENDING 0 20 30 0 0 '' to "
           "https://example.org/hook;",
           job_store_deliveries(f->store, 1, 0, 0, copy_delivery, &got, e));
    delivery = (struct delivery_row){.id = 1,
                                     .webhook = 9,
                                     .event = "no",
                                     .body = "no",
                                     .state = DELIVERY_FAILED,
                                     .tries = 5,
                                     .created_time = 9,
                                     .next_time = 40,
                                     .done_time = 50,
                                     .last_status = 503,
                                     .last_error = "busy"};
    WRITTEN(f, job_store_set_delivery(f->store, &delivery, e));
    LISTED("1 d1 1 job_finished {\"event\": \"job_finished\"} FAILED 5 20 40 50 503 'busy' to "
           "https://example.org/hook;",
           job_store_deliveries(f->store, 1, 0, 0, copy_delivery, &got, e));
    delivery.id = 2;
    NOT_WRITTEN(f, ERR_NOT_FOUND, job_store_set_delivery(f->store, &delivery, e));
}

static int list_delivery(void *data, const struct delivery_row *delivery,
                         const struct webhook_row *webhook, struct err *e)
{
    (void)webhook, (void)e;
    buf_printf(data, "%lld ", (long long)delivery->id);
    return 0;
}

static void add_delivery(struct fixture *f, int64_t webhook, enum delivery_state state, msec next,
                         msec done)
{
    struct delivery_row delivery = a_delivery;
    char uuid[16];

    snprintf(uuid, sizeof uuid, "d-%u", ++f->made);
    delivery.uuid = uuid;
    delivery.webhook = webhook;
    delivery.state = state;
    delivery.next_time = next;
    delivery.done_time = done;
    WRITTEN(f, job_store_add_delivery(f->store, &delivery, e));
}

static void check_due(struct fixture *f, msec now, uint32_t limit, const char *ids, msec wake)
{
    msec at = -1;

    LISTED(ids, job_store_due_deliveries(f->store, now, limit, list_delivery, &got, &at, e));
    assert_int_equal(at, wake);
}

static void each_webhook_has_one_that_is_due(void **state)
{
    struct fixture *f = *state;

    check_due(f, 1000, 10, "", 0);
    add_webhook(f, "w1");
    add_webhook(f, "w2");
    add_delivery(f, 2, DELIVERY_PENDING, 300, 0);
    add_delivery(f, 2, DELIVERY_PENDING, 100, 0);
    add_delivery(f, 1, DELIVERY_DONE, 10, 20);
    add_delivery(f, 1, DELIVERY_FAILED, 10, 20);
    add_delivery(f, 1, DELIVERY_PENDING, 200, 0);
    add_delivery(f, 1, DELIVERY_PENDING, 100, 0);
    check_due(f, 99, 10, "", 100);
    check_due(f, 100, 10, "6 2 ", 200);
    check_due(f, 100, 1, "6 ", 200);
    check_due(f, 200, 10, "5 2 ", 300); /* the one that was made first, not that was due first */
    check_due(f, 300, 10, "5 1 ", 0);
}

static void a_webhook_has_a_log(void **state)
{
    struct fixture *f = *state;

    add_webhook(f, "w1");
    add_webhook(f, "w2");
    for (int i = 0; i < 6; i++)
        add_delivery(f, 1 + i % 2, DELIVERY_DONE, 0, 5);
    LISTED("5 3 1 ", job_store_deliveries(f->store, 1, 0, 0, list_delivery, &got, e));
    LISTED("5 3 ", job_store_deliveries(f->store, 1, 0, 2, list_delivery, &got, e));
    LISTED("3 1 ", job_store_deliveries(f->store, 1, 5, 10, list_delivery, &got, e));
    LISTED("", job_store_deliveries(f->store, 3, 0, 0, list_delivery, &got, e));
}

static void a_removed_webhook_takes_its_deliveries_along(void **state)
{
    struct fixture *f = *state;

    add_webhook(f, "w1");
    add_webhook(f, "w2");
    add_delivery(f, 1, DELIVERY_PENDING, 10, 0);
    add_delivery(f, 2, DELIVERY_PENDING, 20, 0);
    WRITTEN(f, job_store_remove_webhook(f->store, "w1", e));
    check_due(f, 0, 10, "", 20);
    LISTED("", job_store_deliveries(f->store, 1, 0, 0, list_delivery, &got, e));
    NOT_WRITTEN(f, ERR_NOT_FOUND, job_store_remove_webhook(f->store, "w1", e));
    add_webhook(f, "w1");
    LISTED("3 w1 http://example.org '' run_finished '' '' 0 0;",
           job_store_webhooks(f->store, "w1", copy_webhook, &got, e));
}

static void old_deliveries_are_forgotten(void **state)
{
    struct fixture *f = *state;

    add_webhook(f, "w1");
    add_delivery(f, 1, DELIVERY_DONE, 0, 30);
    add_delivery(f, 1, DELIVERY_FAILED, 0, 20);
    add_delivery(f, 1, DELIVERY_DONE, 0, 10);
    add_delivery(f, 1, DELIVERY_DONE, 0, 90);
    add_delivery(f, 1, DELIVERY_PENDING, 5, 0); /* however old */
    WRITTEN(f, job_store_forget_deliveries(f->store, 50, 2, e));
    LISTED("5 4 1 ", job_store_deliveries(f->store, 1, 0, 0, list_delivery, &got, e));
    WRITTEN(f, job_store_forget_deliveries(f->store, 90, 10, e));
    LISTED("5 4 ", job_store_deliveries(f->store, 1, 0, 0, list_delivery, &got, e));
}

static void an_unknown_state_is_damage(void **state)
{
    struct fixture *f = *state;

    add_webhook(f, "w1");
    add_delivery(f, 1, DELIVERY_PENDING, 5, 0);
    raw(f->path, "UPDATE deliveries SET state='LOST'");
    const char *text =
        REFUSED(ERR_IO, job_store_deliveries(f->store, 1, 0, 0, list_delivery, NULL, e));
    assert_non_null(strstr(text, "is damaged"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(webhooks_come_back_as_they_were),
        TEST(deliveries_come_back_as_they_were),
        TEST(each_webhook_has_one_that_is_due),
        TEST(a_webhook_has_a_log),
        TEST(a_removed_webhook_takes_its_deliveries_along),
        TEST(old_deliveries_are_forgotten),
        TEST(an_unknown_state_is_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
