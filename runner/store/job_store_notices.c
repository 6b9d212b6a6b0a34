/* Webhooks, and what is or was on its way to them. */
#include "runner/store/job_store_inner.h"

#include "base/mem.h"

/* ---- webhooks ---- */

int job_store_add_webhook(struct job_store *store, const struct webhook_row *webhook, struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_WEBHOOK);

    row_put_text(&row, webhook->uuid);
    row_put_text(&row, webhook->url);
    row_put_text(&row, webhook->secret);
    row_put_text(&row, webhook->events);
    row_put_text(&row, webhook->job_uuid);
    row_put_text(&row, webhook->project);
    row_put(&row, webhook->failures_only);
    row_put(&row, webhook->created_time);
    return row_run(&row, e);
}

static int no_webhook(const char *uuid, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "there is no webhook \"%s\"", uuid);
}

static int remove_deliveries(struct job_store *store, const char *uuid, struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_REMOVE_DELIVERIES);

    row_put_text(&row, uuid);
    return row_run(&row, e);
}

int job_store_remove_webhook(struct job_store *store, const char *uuid, struct err *e)
{
    if (remove_deliveries(store, uuid, e) < 0)
        return -1;
    auto_row struct row row = row_to_write(&store->database, SQL_REMOVE_WEBHOOK);
    row_put_text(&row, uuid);
    int removed = row_change(&row, e);
    if (removed == 0)
        return no_webhook(uuid, e);
    return removed < 0 ? -1 : 0;
}

static void read_webhook(struct row *row, struct webhook_row *webhook)
{
    *webhook = (struct webhook_row){.id = row_int(row), .uuid = row_text(row)};
    webhook->url = row_text(row);
    webhook->secret = row_text(row);
    webhook->events = row_text(row);
    webhook->job_uuid = row_text(row);
    webhook->project = row_text(row);
    webhook->failures_only = row_int(row) != 0;
    webhook->created_time = row_int(row);
}

static int each_webhook(struct job_store *store, webhook_row_fn *fn, void *data, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_WEBHOOKS);

    for (;;) {
        struct webhook_row webhook;
        int more = row_step(&row, e);
        if (more <= 0)
            return more;
        read_webhook(&row, &webhook);
        int ended = fn(data, &webhook, e);
        if (ended != 0)
            return ended;
    }
}

int job_store_webhooks(struct job_store *store, const char *uuid, webhook_row_fn *fn, void *data,
                       struct err *e)
{
    if (!uuid)
        return each_webhook(store, fn, data, e);
    auto_row struct row row = row_of(&store->database, SQL_WEBHOOK);
    struct webhook_row webhook;
    row_put_text(&row, uuid);
    int found = row_step(&row, e);
    if (found == 0)
        return no_webhook(uuid, e);
    if (found < 0)
        return -1;
    read_webhook(&row, &webhook);
    return fn(data, &webhook, e);
}

/* ---- deliveries ---- */

static const char *const state_names[] = {
#define X(state, name) [state] = name,
    DELIVERY_STATES(X)
#undef X
};

const char *delivery_state_name(enum delivery_state state)
{
    return state_names[state];
}

/* What job_store_add_delivery and job_store_set_delivery both write, in the order of their
 * statements. */
static void put_delivery(struct row *row, const struct delivery_row *delivery)
{
    row_put_text(row, delivery_state_name(delivery->state));
    row_put(row, delivery->tries);
    row_put(row, delivery->next_time);
    row_put(row, delivery->done_time);
    row_put(row, delivery->last_status);
    row_put_text(row, delivery->last_error);
}

int job_store_add_delivery(struct job_store *store, const struct delivery_row *delivery,
                           struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_DELIVERY);

    row_put_text(&row, delivery->uuid);
    row_put(&row, delivery->webhook);
    row_put_text(&row, delivery->event);
    row_put_text(&row, delivery->body);
    row_put(&row, delivery->created_time);
    put_delivery(&row, delivery);
    return row_run(&row, e);
}

int job_store_set_delivery(struct job_store *store, const struct delivery_row *delivery,
                           struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_SET_DELIVERY);

    row_put(&row, delivery->id);
    put_delivery(&row, delivery);
    return row_update(&row, "delivery", e);
}

static int parse_state(struct row *row, enum delivery_state *ret_state, struct err *e)
{
    const char *name = row_text(row);

    for (unsigned i = 0; i < sizeof state_names / sizeof *state_names; i++) {
        if (strcmp(name, state_names[i]) == 0) {
            *ret_state = (enum delivery_state)i;
            return 0;
        }
    }
    err_set(e, ERR_IO, "unknown status \"%s\"", name);
    return database_damaged(row->database, "a delivery", e);
}

static int read_delivery(struct row *row, struct delivery_row *delivery, struct err *e)
{
    *delivery = (struct delivery_row){.id = row_int(row), .uuid = row_text(row)};
    delivery->webhook = row_int(row);
    delivery->event = row_text(row);
    if (parse_state(row, &delivery->state, e) < 0)
        return -1;
    delivery->tries = (uint32_t)row_int(row);
    delivery->created_time = row_int(row);
    delivery->next_time = row_int(row);
    delivery->done_time = row_int(row);
    delivery->last_status = (uint32_t)row_int(row);
    delivery->last_error = row_text(row);
    delivery->body = row_text(row);
    return 0;
}

static int each_delivery(struct row *row, delivery_row_fn *fn, void *data, struct err *e)
{
    for (;;) {
        struct webhook_row webhook;
        struct delivery_row delivery;
        int more = row_step(row, e);
        if (more <= 0)
            return more;
        read_webhook(row, &webhook);
        if (read_delivery(row, &delivery, e) < 0)
            return -1;
        int ended = fn(data, &delivery, &webhook, e);
        if (ended != 0)
            return ended;
    }
}

int job_store_due_deliveries(struct job_store *store, msec now, uint32_t limit, delivery_row_fn *fn,
                             void *data, msec *ret_wake, struct err *e)
{
    auto_row struct row next = row_of(&store->database, SQL_NEXT_DELIVERY);
    auto_row struct row row = row_of(&store->database, SQL_DUE_DELIVERIES);

    row_put(&next, now);
    if (row_step(&next, e) < 0)
        return -1;
    *ret_wake = row_int(&next);
    row_put(&row, now);
    row_put(&row, limit);
    return each_delivery(&row, fn, data, e);
}

int job_store_deliveries(struct job_store *store, int64_t webhook, int64_t before, uint32_t limit,
                         delivery_row_fn *fn, void *data, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_DELIVERIES);

    row_put(&row, webhook);
    row_put(&row, before > 0 ? before : INT64_MAX);
    row_put(&row, limit > 0 ? (int64_t)limit : -1);
    return each_delivery(&row, fn, data, e);
}

int job_store_forget_deliveries(struct job_store *store, msec time, uint32_t limit, struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_FORGET_DELIVERIES);

    row_put(&row, time);
    row_put(&row, limit);
    return row_run(&row, e);
}
