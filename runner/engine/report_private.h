/* report_private: how a report is put together.
 *
 *   report.c          finds the files, reads those of the SDK, and figures
 *   report_scraps.c   finds in the journal what cells displayed
 *   report_build.c    takes what one line says
 *   report_put.c      writes the report as JSON
 */
#ifndef SEGUE_RUNNER_REPORT_PRIVATE_H
#define SEGUE_RUNNER_REPORT_PRIVATE_H

#include "base/json.h"
#include "base/map.h"
#include "runner/engine/report.h"

#define REPORT_KINDS 3

struct report_builder {
    struct report *report;
    struct map names[REPORT_KINDS]; /* places in report->items */
    uint32_t sdk_count;             /* of the items, those that the SDK said */
};

/* One thing that was said. */
struct report_saying {
    enum report_kind kind;
    struct str name;
    const struct json *doc;
    json_at value; /* of a figure its mime type */
    json_at step;  /* JSON_NONE: not given */
    json_at time;  /* the same */
    json_at file;  /* of a figure */
};

void report_builder_clear(struct report_builder *builder);

/* False: it is none, or too much. */
bool report_add(struct report_builder *builder, const struct report_saying *saying);

/* The mime type of a figure, for good; NULL: one that figures cannot have. */
const char *report_mime(struct str text);

/* Adds the scraps of a journal, which it takes. */
int report_add_scraps(struct report_builder *builder, int take_fd, struct err *e);

#endif
