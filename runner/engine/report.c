/* Everything below IO/ was written by code of the user's, with whatever links in it: files there
 * are opened from a descriptor of the step's own directory, which itself is found without being led
 * out of the run's. */
#include "runner/engine/report_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "runner/engine/lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPORT_FILE "report.jsonl"

static void item_clear(struct report_item *item)
{
    free(item->name);
    free(item->value);
    free(item->file);
    free(item->points);
}

void report_clear(struct report *report)
{
    for (uint32_t i = 0; i < report->count; i++)
        item_clear(&report->items[i]);
    free(report->items);
    *report = (struct report){0};
}

/* --- the file of the SDK --- */

static bool read_kind(const struct json *doc, enum report_kind *ret_kind)
{
    static const char *const names[REPORT_KINDS] = {"metric", "param", "figure"};

    for (unsigned kind = 0; kind < REPORT_KINDS; kind++) {
        if (!json_is(doc, json_get(doc, 0, "kind"), names[kind]))
            continue;
        *ret_kind = (enum report_kind)kind;
        return true;
    }
    return false;
}

/* False: it is no line of a report. */
static bool add_line(struct report_builder *builder, struct str line)
{
    auto_json struct json doc = {0};
    auto_buf struct buf scratch = {0};
    struct report_saying saying = {.doc = &doc};
    struct err ignored;

    if (json_parse(&doc, line, JSON_TOLERANT, NULL, &ignored) < 0 || !read_kind(&doc, &saying.kind))
        return false;
    saying.name = json_text(&doc, json_get(&doc, 0, "name"), &scratch);
    saying.value = json_get(&doc, 0, saying.kind == REPORT_FIGURE ? "mime" : "value");
    saying.step = json_get(&doc, 0, "step");
    saying.time = json_get(&doc, 0, "time");
    saying.file = json_get(&doc, 0, "file");
    return report_add(builder, &saying);
}

static int add_lines(struct report_builder *builder, int take_fd, struct err *e)
{
    auto_lines struct lines lines;
    struct str line;
    size_t taken = 0;
    int got;

    lines_open(&lines, take_fd, LIMIT_REPORT_BYTES);
    while ((got = lines_next(&lines, &line, e)) > 0) {
        taken += line.len + 1;
        if (taken > LIMIT_REPORT_BYTES) { /* what else there is is one thing that is too much */
            builder->report->passed_over++;
            break;
        }
        if (!add_line(builder, line))
            builder->report->passed_over++;
    }
    builder->report->passed_over += lines.too_long;
    return got < 0 ? -1 : 0;
}

/* What is missing, and what leads elsewhere, is as if it were not there: *ret_fd is then -1. */
static int tolerate(int fd, struct report *report, int *ret_fd, const struct err *e)
{
    *ret_fd = fd;
    if (fd >= 0 || e->code == ERR_NOT_FOUND)
        return 0;
    if (e->code != ERR_INVALID)
        return -1;
    report->passed_over++;
    return 0;
}

/* The directory of the step's files; it stays the same one, whatever is renamed meanwhile. */
static int open_step_dir(const char *run_dir, const char *step_uuid, struct err *e)
{
    auto_free char *name = mem_printf("io/%s", step_uuid);

    return fs_open_directory_beneath(run_dir, name, e);
}

static int open_file(int step_dir, const char *name, struct err *e)
{
    char root[32];

    snprintf(root, sizeof root, "/proc/self/fd/%d", step_dir);
    return fs_open_beneath(root, name, e);
}

/* *ret_directory: the step's, or -1 where there is none. */
static int read_sdk(struct report_builder *builder, const char *run_dir, const char *step_uuid,
                    int *ret_directory, struct err *e)
{
    int fd = open_step_dir(run_dir, step_uuid, e);

    if (tolerate(fd, builder->report, ret_directory, e) < 0)
        return -1;
    if (*ret_directory < 0)
        return 0;
    fd = open_file(*ret_directory, REPORT_FILE, e);
    if (tolerate(fd, builder->report, &fd, e) < 0)
        return -1;
    return fd < 0 ? 0 : add_lines(builder, fd, e);
}

static int read_journal(struct report_builder *builder, const char *run_dir, const char *step_uuid,
                        uint32_t attempt, struct err *e)
{
    auto_free char *name = mem_printf("steps/%s/%" PRIu32 "/journal", step_uuid, attempt);
    int fd = fs_open_beneath(run_dir, name, e);

    if (tolerate(fd, builder->report, &fd, e) < 0)
        return -1;
    return fd < 0 ? 0 : report_add_scraps(builder, fd, e);
}

int report_read(const char *run_dir, const char *step_uuid, uint32_t attempt,
                struct report *ret_report, struct err *e)
{
    struct report report = {0};
    auto_with(report_builder_clear) struct report_builder builder = {.report = &report};
    auto_close int directory = -1;

    int result = read_sdk(&builder, run_dir, step_uuid, &directory, e);
    builder.sdk_count = report.count;
    if (result == 0 && attempt > 0)
        result = read_journal(&builder, run_dir, step_uuid, attempt, e);
    if (result < 0) {
        report_clear(&report);
        return err_prefix(e, "cannot read what step \"%s\" has reported", step_uuid);
    }
    *ret_report = report;
    return 0;
}

/* --- figures --- */

static const struct report_item *find_figure(const struct report *report, const char *name)
{
    for (uint32_t i = 0; i < report->count; i++)
        if (report->items[i].kind == REPORT_FIGURE && strcmp(report->items[i].name, name) == 0)
            return &report->items[i];
    return NULL;
}

/* Whatever is wrong with it: to who asks for it, it is not there. */
static int open_figure(int directory, const struct report_item *figure, struct err *e)
{
    auto_close int fd = open_file(directory, figure->file, e);
    struct stat st;

    if (fd < 0 && e->code == ERR_INVALID)
        e->code = ERR_NOT_FOUND;
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0)
        return err_errno(e, errno, "cannot look at \"%s\"", figure->file);
    if ((uint64_t)st.st_size > LIMIT_FIGURE_BYTES)
        return err_set(e, ERR_NOT_FOUND, "it is larger than %lu bytes", LIMIT_FIGURE_BYTES);
    return take_fd(&fd);
}

int report_open_figure(const char *run_dir, const char *step_uuid, const char *name,
                       const char **ret_mime, struct err *e)
{
    auto_report struct report report = {0};
    auto_with(report_builder_clear) struct report_builder builder = {.report = &report};
    auto_close int directory = -1;

    if (read_sdk(&builder, run_dir, step_uuid, &directory, e) < 0)
        return -1;
    const struct report_item *figure = find_figure(&report, name);
    if (!figure)
        return err_set(e, ERR_NOT_FOUND, "the step has reported no figure \"%s\"", name);
    int fd = open_figure(directory, figure, e);
    if (fd < 0)
        return err_prefix(e, "figure \"%s\"", name);
    *ret_mime = report_mime((struct str){figure->value + 1, strlen(figure->value) - 2});
    return fd;
}
