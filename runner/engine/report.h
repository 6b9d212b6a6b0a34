/* report: what the steps of a run have said of themselves: metrics, parameters, figures.
 *
 * By the SDK (segue.log_metric, log_param, log_figure), which appends lines to
 *
 *     IO/<step>/report.jsonl    {"kind":"metric","name":"loss","value":0.1,"step":3,"time":"..."}
 *                               {"kind":"param","name":"depth","value":4,"time":"..."}
 *                               {"kind":"figure","name":"roc","file":"figures/roc.png",
 *                                "mime":"image/png","time":"..."}
 *     IO/<step>/figures/
 *
 * and by cells of scrapbook's kind: display_data with application/scrapbook.scrap.json+json or
 * .text+json ({"name", "data", ...}; what is no JSON scalar is left out) or papermill's older
 * application/papermill.record+json, which are found in the journal of the step's last attempt.
 * A scrap is a metric when it is a number, else a parameter; under the same name what the SDK said
 * counts. Lines that are none, and what is over the limits (LIMIT_REPORT_*), are passed over and
 * counted. Reads files; any thread. Owns its texts.
 */
#ifndef SEGUE_RUNNER_REPORT_H
#define SEGUE_RUNNER_REPORT_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum report_kind { REPORT_METRIC, REPORT_PARAM, REPORT_FIGURE };

struct report_point {
    int64_t step; /* as it was given, else the how-many-th of its name, from 0 */
    double value; /* NaN and infinities too */
    msec time;    /* 0: not said */
};

struct report_item {
    enum report_kind kind;
    char *name;
    char *value; /* JSON: the latest; of a metric a number, or a string "NaN", "Infinity",
                    "-Infinity"; of a figure its mime type as a string */
    char *file;  /* of a figure: below IO/<step>/; NULL: another kind */
    struct report_point *points; /* of a metric, in the order in which they were logged */
    uint32_t point_count, point_capacity;
};

struct report {
    struct report_item *items; /* in the order in which names came first */
    uint32_t count, capacity;
    uint64_t passed_over;
};

/* Of one step: `run_dir` is STATE/runs/<run>, `attempt` the number of its last attempt (0: none).
 * A step that reported nothing gives an empty one. Only what cannot be read although it is there is
 * an error. */
int report_read(const char *run_dir, const char *step_uuid, uint32_t attempt,
                struct report *ret_report, struct err *e);
void report_clear(struct report *report);
#define auto_report __attribute__((cleanup(report_clear)))

/* Appends it as JSON: {"metrics":[{name,value,points:[{step,value,time}]}],"params":[{name,value}],
 * "figures":[{name,mime}],"passed_over":0}; `with_points` false leaves the points out. */
void report_put(const struct report *report, bool with_points, struct buf *out);

/* The same without the braces, into an object that has been opened. */
void report_put_members(const struct report *report, bool with_points, struct buf *out);

/* Appends a number as a text that reads back as it, 0.1 as 0.1; else "NaN", "Infinity",
 * "-Infinity", with their quotes. */
void report_put_number(double value, struct buf *out);

/* The file of a figure, opened below IO/<step>/; -1 with ERR_NOT_FOUND. Its mime type (one of
 * image/png, image/jpeg, image/svg+xml, text/html, application/json) in *ret_mime. */
int report_open_figure(const char *run_dir, const char *step_uuid, const char *name,
                       const char **ret_mime, struct err *e);

#endif
