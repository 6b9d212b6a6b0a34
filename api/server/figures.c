#include "api/server/figures.h"

#include "base/mem.h"
#include "base/metrics.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

/* Every status that is ever answered; 0 stands for any other. */
static const int statuses[] = {101, 200, 201, 202, 204, 206, 304, 400, 401, 403, 404, 405, 409, 410,
                               413, 415, 416, 422, 426, 429, 500, 501, 502, 503, 504, 507, 0};
#define STATUS_COUNT (sizeof statuses / sizeof *statuses)

struct route_figures {
    _Atomic uint64_t by_status[STATUS_COUNT];
    struct histogram duration;
};

struct figures {
    const struct route *routes;
    size_t count;
    _Atomic uint64_t refusals[REFUSAL_COUNT];
    struct route_figures rows[]; /* one for each route, and one for what fits none */
};

struct figures *figures_new(const struct route *routes, size_t count)
{
    struct figures *figures = mem_zalloc(sizeof *figures + (count + 1) * sizeof *figures->rows);

    figures->routes = routes;
    figures->count = count;
    return figures;
}

void figures_free(struct figures *figures)
{
    free(figures);
}

static size_t index_of(int status)
{
    size_t i = 0;
    while (statuses[i] != status && statuses[i] != 0)
        i++;
    return i;
}

void figures_count(struct figures *figures, const struct route *route, int status,
                   int64_t duration_us)
{
    size_t row = route ? (size_t)(route - figures->routes) : figures->count;

    atomic_fetch_add_explicit(&figures->rows[row].by_status[index_of(status)], 1,
                              memory_order_relaxed);
    histogram_add(&figures->rows[row].duration, duration_us);
}

void figures_count_refusal(struct figures *figures, enum refusal refusal)
{
    atomic_fetch_add_explicit(&figures->refusals[refusal], 1, memory_order_relaxed);
}

static void put_route_label(const struct figures *figures, size_t row, struct buf *labels)
{
    buf_reset(labels);
    metrics_put_label(labels, "method", row < figures->count ? figures->routes[row].method : "any");
    metrics_put_label(labels, "route", row < figures->count ? figures->routes[row].path : "none");
}

static void put_requests(const struct figures *figures, struct buf *out)
{
    static const char name[] = "segue_http_requests_total";
    auto_buf struct buf labels = {0};

    metrics_put_head(out, name, "counter", "Requests answered.");
    for (size_t row = 0; row <= figures->count; row++) {
        put_route_label(figures, row, &labels);
        size_t len = labels.len;
        for (size_t i = 0; i < STATUS_COUNT; i++) {
            uint64_t count = figures->rows[row].by_status[i];
            char status[16];
            if (count == 0)
                continue;
            snprintf(status, sizeof status, "%d", statuses[i]);
            labels.len = len;
            metrics_put_label(&labels, "status", statuses[i] ? status : "other");
            metrics_put_value(out, name, buf_text(&labels), (int64_t)count);
        }
    }
}

static bool was_asked(const struct route_figures *row)
{
    for (size_t i = 0; i < STATUS_COUNT; i++)
        if (row->by_status[i] > 0)
            return true;
    return false;
}

static void put_durations(const struct figures *figures, struct buf *out)
{
    static const char name[] = "segue_http_request_duration_seconds";
    auto_buf struct buf labels = {0};

    metrics_put_head(out, name, "histogram",
                     "Time from the request being there whole to its answer being ready.");
    for (size_t row = 0; row <= figures->count; row++) {
        if (!was_asked(&figures->rows[row]))
            continue;
        put_route_label(figures, row, &labels);
        metrics_put_histogram(out, name, buf_text(&labels), &figures->rows[row].duration);
    }
}

static const char *refusal_name(enum refusal refusal)
{
    switch (refusal) {
    case REFUSED_WORKERS_BUSY:
        return "workers_busy";
    case REFUSED_BODIES_FULL:
        return "bodies_full";
    case REFUSED_CLOSING:
        return "closing";
    case REFUSED_LATE_BODY:
        return "late_body";
    case REFUSAL_COUNT:
        break;
    }
    return "?";
}

void figures_put(const struct figures *figures, struct buf *out)
{
    static const char name[] = "segue_http_refusals_total";

    put_requests(figures, out);
    put_durations(figures, out);
    metrics_put_head(out, name, "counter", "Requests that there was no room for.");
    for (int i = 0; i < REFUSAL_COUNT; i++) {
        auto_buf struct buf labels = {0};
        metrics_put_label(&labels, "reason", refusal_name((enum refusal)i));
        metrics_put_value(out, name, buf_text(&labels), (int64_t)figures->refusals[i]);
    }
}
