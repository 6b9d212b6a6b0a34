/* What is to be sent is in the store alone; kept here is only what is on its way, in as many slots
 * as there may be deliveries at a time. A slot is free again when the store has what came of its
 * delivery: were it given up before, the delivery would still be due and be sent again at once, for
 * as long as the store cannot be written.
 *
 * Webhooks take turns, so that those whose receivers hang, whatever has piled up for them, hold up
 * nobody for longer than a try. */
#include "runner/notices/deliveries.h"

#include "base/http.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runner/notices/webhook.h"
#include "runner/version.h"

#include <assert.h>
#include <stdlib.h>

#define TRY_MS 10000

/* The store failed: when it is asked again. */
#define STORE_RETRY_MS 5000

/* Times are wall clock, which may be set; at the latest then it is noticed. */
#define LOOK_AGAIN_MS 60000

/* Of an answer. What comes behind it is not waited for. */
#define ANSWER_BYTES_MAX (64 * KiB)
#define LINE_CHARS_MAX   200u
#define LINE_BYTES_MAX   (LINE_CHARS_MAX * 4u) /* UTF-8 */

/* Of what has ended this much is kept. Forgetting more of them at a time than can be added keeps
 * the log from growing, and is too little to be felt. */
#define LOG_KEPT_MS (30ll * 24 * 3600 * 1000)
#define FORGET_MAX  10u

/* One delivery: found to be due, on its way, or with an outcome that is to be written down. */
struct notice {
    struct delivery_row row; /* owns its texts */
    char *url;
    char *secret;
};

struct slot {
    struct deliveries *deliveries;
    bool is_used;
    struct notice notice;
    struct http_stream *stream; /* NULL: its outcome is to be written down */
    struct buf line;            /* of the answer: the first one, or its beginning */
    size_t answer_bytes;
};

struct deliveries {
    struct deliveries_options options;
    struct loop_source *timer;
    struct slot slots[DELIVERIES_AT_ONCE];
    int64_t last_webhook; /* that was served last */
};

/* What is due, one notice for each webhook. */
struct notice_list {
    const struct deliveries *deliveries;
    struct notice *items;
    size_t count, capacity;
};

/* --- notices --- */

static struct notice notice_copy(const struct delivery_row *row, const struct webhook_row *webhook)
{
    struct notice copy = {
        .row = *row, .url = mem_strdup(webhook->url), .secret = mem_strdup(webhook->secret)};

    copy.row.uuid = mem_strdup(row->uuid);
    copy.row.event = mem_strdup(row->event);
    copy.row.body = mem_strdup(row->body);
    copy.row.last_error = mem_strdup(row->last_error);
    return copy;
}

static void notice_clear(struct notice *notice)
{
    free((char *)notice->row.uuid);
    free((char *)notice->row.event);
    free((char *)notice->row.body);
    free((char *)notice->row.last_error);
    free(notice->url);
    free(notice->secret);
    *notice = (struct notice){0};
}

static void notice_list_clear(struct notice_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        notice_clear(&list->items[i]);
    free(list->items);
}

/* --- slots --- */

static struct slot *free_slot(struct deliveries *deliveries)
{
    for (size_t i = 0; i < DELIVERIES_AT_ONCE; i++)
        if (!deliveries->slots[i].is_used)
            return &deliveries->slots[i];
    return NULL;
}

static bool is_busy(const struct deliveries *deliveries, int64_t webhook)
{
    for (size_t i = 0; i < DELIVERIES_AT_ONCE; i++)
        if (deliveries->slots[i].is_used && deliveries->slots[i].notice.row.webhook == webhook)
            return true;
    return false;
}

static void slot_clear(struct slot *slot)
{
    http_stream_free(slot->stream);
    notice_clear(&slot->notice);
    buf_clear(&slot->line);
    *slot = (struct slot){.deliveries = slot->deliveries};
}

/* --- outcomes --- */

/* As much of the line as is shown, in characters that can be printed. */
static void put_line(struct buf *out, struct str line)
{
    const char *at = line.text, *end = at + line.len;

    for (unsigned chars = 0; at < end && *at != '\n' && chars < LINE_CHARS_MAX; chars++) {
        size_t len = str_utf8_len(at, end);
        bool is_control = (unsigned char)*at < ' ' || *at == 0x7f ||
                          (len == 2 && *at == '\xc2' && (unsigned char)at[1] < 0xa0);
        if (len == 0 || is_control)
            buf_putc(out, len == 0 ? '?' : ' ');
        else
            buf_put(out, at, len);
        at += len ? len : 1;
    }
    while (out->len > 0 && out->data[out->len - 1] == ' ')
        out->data[--out->len] = 0;
}

/* Why it was not delivered; NULL: it was. Once the receiver has said 2xx it has it, whatever
 * becomes of the rest of its answer. `e` may be NULL. */
static char *failure_of(const struct slot *slot, int status, const struct err *e)
{
    auto_buf struct buf line = {0};

    if (status >= 200 && status < 300)
        return NULL;
    if (status == 0) {
        assert(e);
        return mem_strdup(e->text);
    }
    put_line(&line, (struct str){buf_text(&slot->line), slot->line.len});
    if (status >= 300 && status < 400)
        return mem_printf("HTTP %d: redirects are not followed", status);
    return mem_printf("HTTP %d%s%s", status, line.len > 0 ? ": " : "", buf_text(&line));
}

/* What came of this try. */
static void take_outcome(struct delivery_row *row, int status, char *take_error, msec now)
{
    int64_t delay = webhook_retry_in(++row->tries);

    free((char *)row->last_error);
    row->last_error = take_error ? take_error : mem_strdup("");
    row->last_status = (uint32_t)status;
    row->state = !take_error ? DELIVERY_DONE : delay < 0 ? DELIVERY_FAILED : DELIVERY_PENDING;
    row->next_time = row->state == DELIVERY_PENDING ? now + delay : 0;
    row->done_time = row->state == DELIVERY_PENDING ? 0 : now;
}

static int write_down(struct job_store *store, const struct delivery_row *row, msec now,
                      struct err *e)
{
    if (job_store_begin(store, e) == 0 && job_store_set_delivery(store, row, e) == 0 &&
        job_store_forget_deliveries(store, now - LOG_KEPT_MS, FORGET_MAX, e) == 0 &&
        job_store_commit(store, STORE_LAZY, e) == 0)
        return 0;
    job_store_rollback(store);
    return -1;
}

/* False: it is to be tried again. */
static bool save(struct slot *slot)
{
    const struct deliveries_options *options = &slot->deliveries->options;
    struct err e = {0};

    pthread_mutex_lock(options->lock);
    int result = write_down(options->store, &slot->notice.row, options->now(), &e);
    pthread_mutex_unlock(options->lock);
    if (result < 0 && e.code != ERR_NOT_FOUND) /* then the webhook was removed meanwhile */
        return false;
    slot_clear(slot);
    return true;
}

/* --- sending --- */

static void finish(struct slot *slot, const struct err *e)
{
    struct deliveries *deliveries = slot->deliveries;
    const struct deliveries_options *options = &deliveries->options;
    struct delivery_row *row = &slot->notice.row;
    int status = http_stream_status(slot->stream);
    char *error = failure_of(slot, status, e);

    take_outcome(row, status, error, options->now());
    http_stream_free(take_ptr(&slot->stream));
    if (options->tried)
        options->tried(options->user, row, slot->notice.url, error);
    deliveries_wake(deliveries);
}

static void on_data(void *user, const char *data, size_t len)
{
    struct slot *slot = user;
    size_t room = LINE_BYTES_MAX - slot->line.len;

    buf_put(&slot->line, data, len < room ? len : room);
    slot->answer_bytes += len;
    if (slot->answer_bytes > ANSWER_BYTES_MAX)
        finish(slot, NULL);
}

static void on_closed(void *user, const struct err *e)
{
    finish(user, e);
}

static void begin(struct slot *slot, struct notice *take_notice)
{
    static const struct http_stream_events events = {on_data, on_closed};
    static const char agent[] = "User-Agent: Segue/" SEGUE_VERSION;
    const struct deliveries_options *options = &slot->deliveries->options;
    const struct delivery_row *row = &take_notice->row;
    struct str body = str_of(row->body);
    char signature[72] = "";

    if (*take_notice->secret)
        webhook_sign(take_notice->secret, body, signature);
    auto_free char *event = mem_printf("X-Segue-Event: %s", row->event);
    auto_free char *delivery = mem_printf("X-Segue-Delivery: %s", row->uuid);
    auto_free char *hub = mem_printf("X-Hub-Signature-256: %s", signature);
    const char *const headers[] = {"Content-Type: application/json", agent, event, delivery,
                                   *signature ? hub : NULL,          NULL};
    struct http_request request = {
        .url = take_notice->url,
        .headers = headers,
        .body = body,
        .timeout_ms = options->timeout_ms ? options->timeout_ms : TRY_MS,
        .is_direct = true,
        .may_connect = options->allow_local ? NULL : webhook_may_connect,
    };
    slot->stream = http_stream_open(options->loop, &request, &events, slot);
    slot->notice = *take_notice;
    slot->is_used = true;
    *take_notice = (struct notice){0};
}

/* --- what is due --- */

static int on_due(void *data, const struct delivery_row *row, const struct webhook_row *webhook,
                  struct err *e)
{
    struct notice_list *list = data;

    (void)e;
    if (is_busy(list->deliveries, row->webhook))
        return 0;
    mem_grow(list->items, list->count, list->capacity);
    list->items[list->count++] = notice_copy(row, webhook);
    return 0;
}

static int compare_webhooks(const void *a, const void *b)
{
    const struct notice *left = a, *right = b;

    return (left->row.webhook > right->row.webhook) - (left->row.webhook < right->row.webhook);
}

/* Begins with the webhook behind the one that was served last. */
static void begin_in_turn(struct deliveries *deliveries, struct notice_list *list)
{
    size_t first = 0;

    if (list->count == 0)
        return;
    qsort(list->items, list->count, sizeof *list->items, compare_webhooks);
    while (first < list->count && list->items[first].row.webhook <= deliveries->last_webhook)
        first++;
    for (size_t i = 0; i < list->count; i++) {
        struct slot *slot = free_slot(deliveries);
        struct notice *notice = &list->items[(first + i) % list->count];
        if (!slot)
            return;
        deliveries->last_webhook = notice->row.webhook;
        begin(slot, notice);
    }
}

/* Begins what is due. In how many milliseconds to look again; -1: when something changes. With
 * every slot in use nothing is looked for: the first that gets free looks. */
static msec look(struct deliveries *deliveries)
{
    const struct deliveries_options *options = &deliveries->options;
    auto_with(notice_list_clear) struct notice_list list = {.deliveries = deliveries};
    msec now = options->now(), wake = 0;
    struct err ignored;

    if (!free_slot(deliveries))
        return -1;
    pthread_mutex_lock(options->lock);
    int result = job_store_due_deliveries(options->store, now, LIMIT_WEBHOOKS, on_due, &list, &wake,
                                          &ignored);
    pthread_mutex_unlock(options->lock);
    if (result < 0)
        return STORE_RETRY_MS;
    begin_in_turn(deliveries, &list);
    if (wake == 0)
        return -1;
    return wake - now < LOOK_AGAIN_MS ? wake - now : LOOK_AGAIN_MS;
}

void deliveries_wake(struct deliveries *deliveries)
{
    bool has_unsaved = false;

    for (size_t i = 0; i < DELIVERIES_AT_ONCE; i++) {
        struct slot *slot = &deliveries->slots[i];
        if (slot->is_used && !slot->stream)
            has_unsaved |= !save(slot);
    }
    msec delay = look(deliveries);
    if (has_unsaved && (delay < 0 || delay > STORE_RETRY_MS))
        delay = STORE_RETRY_MS;
    if (delay < 0)
        loop_disarm(deliveries->timer);
    else
        loop_arm_in(deliveries->timer, delay);
}

/* --- life --- */

static void on_timer(void *user)
{
    deliveries_wake(user);
}

struct deliveries *deliveries_new(const struct deliveries_options *options)
{
    struct deliveries *deliveries = mem_zalloc(sizeof *deliveries);

    deliveries->options = *options;
    deliveries->timer = loop_add_timer(options->loop, on_timer, deliveries);
    for (size_t i = 0; i < DELIVERIES_AT_ONCE; i++)
        deliveries->slots[i].deliveries = deliveries;
    return deliveries;
}

void deliveries_free(struct deliveries *deliveries)
{
    if (!deliveries)
        return;
    for (size_t i = 0; i < DELIVERIES_AT_ONCE; i++)
        slot_clear(&deliveries->slots[i]);
    loop_remove(deliveries->timer);
    free(deliveries);
}
