#include "api/service/reports.h"

#include "api/service/parts.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runner/engine/compare.h"
#include "runner/engine/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* --- the steps of a run --- */

struct step {
    char *uuid, *title;
    uint32_t attempt;
};

struct steps {
    struct step *items;
    uint32_t count, capacity;
};

static void steps_clear(struct steps *steps)
{
    for (uint32_t i = 0; i < steps->count; i++) {
        free(steps->items[i].uuid);
        free(steps->items[i].title);
    }
    free(steps->items);
}

static int take_run(void *data, const struct store_run *run, struct err *e)
{
    int64_t *id = data;

    (void)e;
    *id = run->id;
    return 0;
}

/* A step that was not started has said nothing. */
static int take_step(void *data, const struct store_step *row, struct err *e)
{
    struct steps *steps = data;

    (void)e;
    if (row->attempt == 0)
        return 0;
    mem_grow(steps->items, steps->count, steps->capacity);
    steps->items[steps->count++] = (struct step){
        .uuid = mem_strdup(row->uuid),
        .title = mem_strdup(row->title),
        .attempt = row->attempt,
    };
    return 0;
}

/* Of the run; the store is given back before any file is looked at. */
static int read_steps(struct service *service, const char *run_uuid, struct steps *steps,
                      struct err *e)
{
    struct store *store = readers_lend(service->readers, e);
    int64_t run;

    if (!store)
        return -1;
    int result = store_run(store, run_uuid, take_run, &run, e);
    if (result == 0)
        result = store_steps(store, run, take_step, steps, e);
    readers_give_back(service->readers, store);
    return result;
}

/* --- reports --- */

/* The points of a step are left out when the answer is long enough without them. */
static int put_report(const char *run_dir, const struct step *step, struct buf *out, struct err *e)
{
    auto_report struct report report = {0};

    if (report_read(run_dir, step->uuid, step->attempt, &report, e) < 0)
        return -1;
    if (report.count == 0 && report.passed_over == 0)
        return 0;
    if (out->data[out->len - 1] != '[')
        buf_putc(out, ',');
    buf_putc(out, '{');
    json_put_member(out, "step_uuid", step->uuid);
    json_put_member(out, "title", step->title);
    report_put_members(&report, out->len < LIMIT_LIST_BYTES, out);
    buf_putc(out, '}');
    return 0;
}

static int put_reports(struct service *service, const char *run_uuid, struct buf *out,
                       struct err *e)
{
    auto_with(steps_clear) struct steps steps = {0};
    auto_free char *run_dir = state_run_dir(&service->state, run_uuid);

    if (read_steps(service, run_uuid, &steps, e) < 0)
        return -1;
    buf_puts(out, "{\"steps\":[");
    for (uint32_t i = 0; i < steps.count; i++)
        if (put_report(run_dir, &steps.items[i], out, e) < 0)
            return -1;
    buf_puts(out, "]}");
    return 0;
}

void reports_get(struct exchange *exchange, void *service)
{
    auto_buf struct buf body = {0};
    struct err e;

    if (put_reports(service, exchange_segment(exchange, 0), &body, &e) < 0)
        exchange_answer_err(exchange, &e, NULL);
    else
        exchange_answer_json(exchange, 200, &body);
}

/* --- figures --- */

/* Names that the store knows lead nowhere else. */
static int check_step(struct service *service, const char *run_uuid, const char *step_uuid,
                      struct err *e)
{
    auto_with(steps_clear) struct steps steps = {0};

    if (read_steps(service, run_uuid, &steps, e) < 0)
        return -1;
    for (uint32_t i = 0; i < steps.count; i++)
        if (strcmp(steps.items[i].uuid, step_uuid) == 0)
            return 0;
    return err_set(e, ERR_NOT_FOUND, "no step \"%s\" of the run has been started", step_uuid);
}

static int open_figure(struct service *service, struct exchange *exchange, const char **ret_mime,
                       struct err *e)
{
    const char *run = exchange_segment(exchange, 0), *step = exchange_segment(exchange, 1);

    if (check_step(service, run, step, e) < 0)
        return -1;
    auto_free char *run_dir = state_run_dir(&service->state, run);
    return report_open_figure(run_dir, step, exchange_segment(exchange, 2), ret_mime, e);
}

/* Another figure of the same name is another file. */
static void put_tag(const struct stat *st, char *tag, size_t size)
{
    snprintf(tag, size, "\"%jx-%jx-%jx.%lx\"", (uintmax_t)st->st_ino, (uintmax_t)st->st_size,
             (uintmax_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

static void answer_figure(struct exchange *exchange, const char *mime, int taken_fd)
{
    auto_close int fd = taken_fd;
    struct stat st;
    struct err e;
    char tag[100];

    if (fstat(fd, &st) < 0) {
        err_errno(&e, errno, "cannot look at the figure");
        exchange_answer_err(exchange, &e, NULL);
        return;
    }
    /* A page that somebody's code wrote, under the address of the service: it may do nothing. */
    exchange_add_header(exchange, "Content-Security-Policy",
                        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:");
    put_tag(&st, tag, sizeof tag);
    exchange_answer_file(exchange, mime, FILE_FIXED, tag, take_fd(&fd), (uint64_t)st.st_size);
}

void reports_figure(struct exchange *exchange, void *service)
{
    const char *mime;
    struct err e;
    int fd = open_figure(service, exchange, &mime, &e);

    if (fd < 0)
        exchange_answer_err(exchange, &e, NULL);
    else
        answer_figure(exchange, strcmp(mime, "text/html") == 0 ? "text/html; charset=utf-8" : mime,
                      fd);
}

/* --- two runs --- */

static int put_comparison(struct service *service, const char *run_a, const char *run_b,
                          struct buf *out, struct err *e)
{
    struct store *store = readers_lend(service->readers, e);

    if (!store)
        return -1;
    int result = compare_put(store, &service->state, run_a, run_b, out, e);
    readers_give_back(service->readers, store);
    return result;
}

void reports_compare(struct exchange *exchange, void *service)
{
    const char *to = exchange_query(exchange, "to");
    auto_buf struct buf body = {0};
    struct err e;

    if (!to)
        exchange_answer_problem(exchange, 400, "\"to\" is missing: the run to compare with", NULL);
    else if (put_comparison(service, exchange_segment(exchange, 0), to, &body, &e) < 0)
        exchange_answer_err(exchange, &e, NULL);
    else
        exchange_answer_json(exchange, 200, &body);
}
