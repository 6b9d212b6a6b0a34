#include "base/metrics.h"

#include <inttypes.h>

/* Upper ends, each belonging to its bucket, and how they are written. */
static const struct {
    int64_t us;
    const char *seconds;
} bounds[HISTOGRAM_BUCKETS] = {
    {100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},  {2500, "0.0025"},
    {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"},
    {250000, "0.25"}, {500000, "0.5"},  {1000000, "1"},   {2500000, "2.5"}, {5000000, "5"},
    {10000000, "10"}, {30000000, "30"}, {60000000, "60"},
};

void histogram_add(struct histogram *histogram, int64_t duration_us)
{
    unsigned i = 0;

    if (duration_us < 0)
        duration_us = 0;
    while (i < HISTOGRAM_BUCKETS && duration_us > bounds[i].us)
        i++;
    atomic_fetch_add_explicit(&histogram->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_us, (uint64_t)duration_us, memory_order_relaxed);
}

void metrics_put_head(struct buf *out, const char *name, const char *kind, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

static void put_labels(struct buf *out, const char *labels)
{
    if (labels[0])
        buf_printf(out, "{%s}", labels);
}

void metrics_put_value(struct buf *out, const char *name, const char *labels, int64_t value)
{
    buf_puts(out, name);
    put_labels(out, labels);
    buf_printf(out, " %" PRId64 "\n", value);
}

static void put_bucket(struct buf *out, const char *name, const char *labels, const char *bound,
                       uint64_t count)
{
    buf_printf(out, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, labels, labels[0] ? "," : "",
               bound, count);
}

/* The count is the sum of the buckets that were just read, so that the two agree even while others
 * add. */
void metrics_put_histogram(struct buf *out, const char *name, const char *labels,
                           const struct histogram *histogram)
{
    uint64_t sum = atomic_load_explicit(&histogram->sum_us, memory_order_relaxed);
    uint64_t count = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
        put_bucket(out, name, labels, bounds[i].seconds, count);
    }
    count += atomic_load_explicit(&histogram->buckets[HISTOGRAM_BUCKETS], memory_order_relaxed);
    put_bucket(out, name, labels, "+Inf", count);
    buf_printf(out, "%s_sum", name);
    put_labels(out, labels);
    buf_printf(out, " %" PRIu64 ".%06" PRIu64 "\n%s_count", sum / 1000000, sum % 1000000, name);
    put_labels(out, labels);
    buf_printf(out, " %" PRIu64 "\n", count);
}

void metrics_put_label(struct buf *labels, const char *name, const char *value)
{
    buf_printf(labels, "%s%s=\"", labels->len > 0 ? "," : "", name);
    for (const char *p = value; *p; p++) {
        if (*p == '\n')
            buf_puts(labels, "\\n");
        else if (*p == '"' || *p == '\\')
            buf_printf(labels, "\\%c", *p);
        else
            buf_putc(labels, *p);
    }
    buf_putc(labels, '"');
}
