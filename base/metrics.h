/* metrics: counters and histograms that any thread may add to, and their text for Prometheus
 * (exposition format 0.0.4).
 *
 * A histogram has fixed buckets from 100 microseconds to 60 s. An all-zero one is empty. Adding is
 * a few atomic additions; no lock.
 */
#ifndef SEGUE_BASE_METRICS_H
#define SEGUE_BASE_METRICS_H

#include "base/buf.h"

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS 18

struct histogram {
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS + 1]; /* not cumulative; the last: above all */
    _Atomic uint64_t sum_us;
};

void histogram_add(struct histogram *histogram, int64_t duration_us);

/* "# HELP ..." and "# TYPE ..."; kind: "counter", "gauge", "histogram". */
void metrics_put_head(struct buf *out, const char *name, const char *kind, const char *help);

/* One sample; `labels` is `route="/healthz",status="200"` or "". Values in labels must have been
 * escaped by metrics_put_label. */
void metrics_put_value(struct buf *out, const char *name, const char *labels, int64_t value);
void metrics_put_histogram(struct buf *out, const char *name, const char *labels,
                           const struct histogram *histogram);

/* Appends name="value", escaped, behind a comma when `labels` is not empty. */
void metrics_put_label(struct buf *labels, const char *name, const char *value);

#endif
