#include "api/commands/progress.h"

#include "api/commands/screen.h"
#include "api/commands/shown.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "kernel-gateway/cause.h"
#include "runner/status.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define REDRAW_MS   200
#define BAR_WIDTH   20
#define TITLE_WIDTH 28

/* What is known of a step from the events so far. */
struct view {
    enum status status;
    uint32_t attempt;
    uint32_t cells_total, cells_done;
    msec started, ended; /* wall clock, as the events say; 0: not yet */
    char *failure;       /* the message, or NULL */
    char *cause;
    int64_t failed_cell; /* -1: none */
    bool is_running;
};

struct progress {
    enum progress_style style;
    bool is_live; /* lines on the screen can be written over */
    bool has_colour;
    const struct progress_run *run;
    struct map indices; /* of steps by uuid */
    struct view *views;
    enum status status; /* of the run */
    uint32_t done;
    uint32_t drawn;    /* lines of the live part on the screen */
    msec began, ended; /* wall clock */
    struct loop_source *timer;
};

/* --- pieces of text --- */

static const char *colour(const struct progress *progress, const char *code)
{
    return progress->has_colour ? code : "";
}

#define RED   "\033[31m"
#define GREEN "\033[32m"
#define GREY  "\033[90m"
#define BOLD  "\033[1m"
#define PLAIN "\033[0m"

static const char *label(const struct progress *progress, uint32_t step)
{
    return progress->run->steps[step].label;
}

static void put_bar(struct buf *out, uint32_t done, uint32_t total)
{
    uint32_t filled = total > 0 ? done * BAR_WIDTH / total : 0;

    for (uint32_t i = 0; i < BAR_WIDTH; i++)
        buf_puts(out, i < filled ? "█" : "░");
    buf_printf(out, " %u/%u cells", done, total);
}

static const char *mark(const struct view *view)
{
    switch (view->status) {
    case STATUS_SUCCESS:
        return "✓";
    case STATUS_FAILURE:
        return "✗";
    case STATUS_ABORTED:
        return "-";
    case STATUS_PENDING:
    case STATUS_STARTED:
        break;
    }
    return "▸";
}

static const char *mark_colour(const struct progress *progress, const struct view *view)
{
    return colour(progress, view->status == STATUS_SUCCESS   ? GREEN
                            : view->status == STATUS_FAILURE ? RED
                                                             : GREY);
}

/* --- the live part --- */

static void erase(struct progress *progress)
{
    if (progress->drawn > 0)
        printf("\033[%uA\033[J", progress->drawn);
    progress->drawn = 0;
}

static uint32_t rows_of_screen(void)
{
    int rows = screen_height();

    return rows > 4 ? (uint32_t)rows : 24;
}

static void put_running(const struct progress *progress, struct buf *out, uint32_t step)
{
    const struct view *view = &progress->views[step];

    buf_puts(out, "  ▸ ");
    shown_put_column(out, label(progress, step), TITLE_WIDTH);
    buf_putc(out, ' ');
    shown_put_duration(out, clock_wall() - view->started);
    buf_puts(out, "  ");
    if (view->cells_total > 0)
        put_bar(out, view->cells_done, view->cells_total);
    if (view->attempt > 1)
        buf_printf(out, "  attempt %u", view->attempt);
    buf_putc(out, '\n');
}

static void draw(struct progress *progress)
{
    auto_buf struct buf out = {0}, duration = {0};
    uint32_t room = rows_of_screen() - 3, running = 0;

    erase(progress);
    for (uint32_t i = 0; i < progress->run->count; i++) {
        if (!progress->views[i].is_running)
            continue;
        if (running++ < room) {
            put_running(progress, &out, i);
            progress->drawn++;
        }
    }
    shown_put_duration(&duration, clock_wall() - progress->began);
    const char *text = buf_text(&duration);
    buf_printf(&out, "%s  %u of %u steps done, %u running, %s%s\n", colour(progress, GREY),
               progress->done, progress->run->count, running, text + strspn(text, " "),
               colour(progress, PLAIN));
    progress->drawn++;
    fwrite(out.data, 1, out.len, stdout);
    fflush(stdout);
}

static void redraw(void *user)
{
    struct progress *progress = user;

    draw(progress);
    loop_arm_in(progress->timer, REDRAW_MS);
}

/* --- lines that stay --- */

static void print_line(struct progress *progress, const struct buf *line)
{
    erase(progress);
    fwrite(line->data, 1, line->len, stdout);
    if (progress->is_live)
        draw(progress);
    fflush(stdout);
}

static void print_start(struct progress *progress, uint32_t step)
{
    auto_buf struct buf line = {0};

    if (progress->is_live)
        return; /* it is in the live part */
    buf_puts(&line, "  ▸ ");
    shown_put(&line, label(progress, step));
    if (progress->views[step].attempt > 1)
        buf_printf(&line, " (attempt %u)", progress->views[step].attempt);
    buf_putc(&line, '\n');
    print_line(progress, &line);
}

static void put_failure(const struct progress *progress, struct buf *out, const struct view *view)
{
    buf_printf(out, "      %s", colour(progress, RED));
    shown_put(out, view->cause ? view->cause : "");
    if (view->failed_cell >= 0)
        buf_printf(out, " in cell %lld", (long long)view->failed_cell);
    buf_puts(out, ": ");
    shown_put_lines(out, view->failure, 8);
    buf_printf(out, "%s\n", colour(progress, PLAIN));
}

static void print_end(struct progress *progress, uint32_t step)
{
    const struct view *view = &progress->views[step];
    auto_buf struct buf line = {0};

    buf_printf(&line, "  %s%s%s ", mark_colour(progress, view), mark(view),
               colour(progress, PLAIN));
    shown_put_column(&line, label(progress, step), TITLE_WIDTH);
    buf_putc(&line, ' ');
    if (view->started > 0)
        shown_put_duration(&line, view->ended - view->started);
    else
        buf_puts(&line, "    -  ");
    buf_putc(&line, '\n');
    if (view->failure && view->status == STATUS_FAILURE)
        put_failure(progress, &line, view);
    print_line(progress, &line);
}

/* --- events --- */

static int64_t get_int(const struct json *doc, json_at object, const char *key, int64_t otherwise)
{
    int64_t value;

    return json_int(doc, json_get(doc, object, key), &value) ? value : otherwise;
}

/* When it happened; an event that does not say so happens now. */
static msec event_time(const struct json *doc)
{
    auto_free char *text = json_strdup(doc, json_get(doc, 0, "time"));
    int64_t us = text ? time_text_parse(text) : -1;

    return us >= 0 ? us / 1000 : clock_wall();
}

static void get_status(const struct json *doc, enum status *status)
{
    auto_free char *name = json_strdup(doc, json_get(doc, 0, "status"));
    struct err ignored;

    status_parse(name ? name : "", status, &ignored);
}

/* MAP_NONE: it is about the run. */
static uint32_t step_of(const struct progress *progress, const struct json *doc)
{
    auto_buf struct buf scratch = {0};
    struct str uuid = json_text(doc, json_get(doc, 0, "step_uuid"), &scratch);

    return map_get(&progress->indices, uuid);
}

/* Once per step, but somebody else may say so again. */
static void on_step_finished(struct progress *progress, struct view *view, const struct json *doc)
{
    json_at failure = json_get(doc, 0, "failure");

    progress->done += view->ended == 0;
    get_status(doc, &view->status);
    view->ended = event_time(doc);
    view->is_running = false;
    free(view->failure);
    free(view->cause);
    view->failure = json_strdup(doc, json_get(doc, failure, "message"));
    view->cause = json_strdup(doc, json_get(doc, failure, "cause"));
    view->failed_cell = get_int(doc, failure, "cell_index", -1);
}

static void on_step_event(struct progress *progress, uint32_t step, const char *name,
                          const struct json *doc)
{
    struct view *view = &progress->views[step];

    if (strcmp(name, "step_started") == 0) {
        view->started = view->started ? view->started : event_time(doc);
        view->attempt = (uint32_t)get_int(doc, 0, "attempt", 1);
        view->cells_done = 0;
        view->is_running = true;
        print_start(progress, step);
    } else if (strcmp(name, "step_retrying") == 0) {
        view->is_running = false;
    } else if (strcmp(name, "step_finished") == 0) {
        on_step_finished(progress, view, doc);
        if (progress->style == PROGRESS_TEXT)
            print_end(progress, step);
    } else if (strcmp(name, "cell_started") == 0) {
        view->cells_total = (uint32_t)get_int(doc, 0, "cells_total", 0);
    } else if (strcmp(name, "cell_finished") == 0) {
        view->cells_done++;
    }
}

static void on_run_event(struct progress *progress, const char *name, const struct json *doc)
{
    if (strcmp(name, "run_started") == 0) {
        progress->began = event_time(doc);
    } else if (strcmp(name, "run_finished") == 0) {
        get_status(doc, &progress->status);
        progress->ended = event_time(doc);
    }
}

/* Outputs may be large, and nothing of them is shown; of what programs get to see as it is, only
 * the ends matter here. */
static bool is_looked_at(const struct progress *progress, const char *name)
{
    if (progress->style == PROGRESS_JSON)
        return strcmp(name, "step_finished") == 0 || strcmp(name, "run_finished") == 0;
    return *name && strcmp(name, "output") != 0;
}

void progress_event(struct progress *progress, const char *name, struct str json)
{
    auto_json struct json doc = {0};
    struct err ignored;

    if (progress->style == PROGRESS_JSON) {
        fwrite(json.text, 1, json.len, stdout);
        putchar('\n');
        fflush(stdout);
    }
    if (!is_looked_at(progress, name) || json_parse(&doc, json, JSON_TOLERANT, NULL, &ignored) < 0)
        return;
    uint32_t step = step_of(progress, &doc);
    if (step != MAP_NONE)
        on_step_event(progress, step, name, &doc);
    else
        on_run_event(progress, name, &doc);
}

void progress_say(struct progress *progress, const char *text)
{
    auto_buf struct buf line = {0};

    shown_put(&line, text);
    if (progress->style == PROGRESS_JSON) {
        fprintf(stderr, "segue: %s\n", buf_text(&line));
        return;
    }
    erase(progress);
    printf("  %s\n", buf_text(&line));
    fflush(stdout);
}

/* --- beginning and end --- */

struct progress *progress_new(struct loop *loop, enum progress_style style)
{
    struct progress *progress = mem_zalloc(sizeof *progress);

    progress->style = style;
    progress->is_live = style == PROGRESS_TEXT && screen_is_live();
    progress->has_colour = progress->is_live && !getenv("NO_COLOR");
    progress->timer = loop_add_timer(loop, redraw, progress);
    return progress;
}

void progress_free(struct progress *progress)
{
    if (!progress)
        return;
    for (uint32_t i = 0; progress->views && i < progress->run->count; i++) {
        free(progress->views[i].failure);
        free(progress->views[i].cause);
    }
    free(progress->views);
    map_clear(&progress->indices);
    loop_remove(progress->timer);
    free(progress);
}

void progress_begin(struct progress *progress, const struct progress_run *run)
{
    auto_buf struct buf name = {0};

    progress->run = run;
    progress->views = mem_array(run->count, sizeof *progress->views);
    progress->began = clock_wall();
    for (uint32_t i = 0; i < run->count; i++) {
        progress->views[i].failed_cell = -1;
        map_add(&progress->indices, str_of(run->steps[i].uuid), i);
    }
    if (progress->style == PROGRESS_JSON)
        return;
    shown_put(&name, run->name);
    printf("%s%s%s: %u %s, run ", colour(progress, BOLD), buf_text(&name), colour(progress, PLAIN),
           run->count, run->count == 1 ? "step" : "steps");
    buf_reset(&name);
    shown_put(&name, run->uuid);
    printf("%s\n", buf_text(&name));
    fflush(stdout);
    if (progress->is_live)
        redraw(progress);
}

/* A table of what is worth a line each; of a large run only what did not succeed. */
#define TABLE_LIMIT 60

static bool has_notebooks(const struct progress *progress)
{
    for (uint32_t i = 0; i < progress->run->count; i++)
        if (progress->run->steps[i].executed)
            return true;
    return false;
}

static void put_row(const struct progress *progress, struct buf *out, uint32_t step)
{
    const struct view *view = &progress->views[step];
    const char *executed = progress->run->steps[step].executed;

    buf_puts(out, "  ");
    shown_put_column(out, label(progress, step), TITLE_WIDTH);
    buf_printf(out, " %s%-8s%s  ", mark_colour(progress, view), status_name(view->status),
               colour(progress, PLAIN));
    if (view->started > 0 && view->ended > 0)
        shown_put_duration(out, view->ended - view->started);
    else
        buf_puts(out, "      -");
    if (view->cells_total > 0)
        buf_printf(out, "  %4u/%-4u", view->cells_done, view->cells_total);
    else
        buf_puts(out, "       -   ");
    if (executed && view->started > 0) {
        buf_putc(out, ' ');
        shown_put(out, executed);
    }
    buf_putc(out, '\n');
}

static void print_table(const struct progress *progress)
{
    printf("\n  %-*s %-8s %9s %9s%s\n", TITLE_WIDTH, "STEP", "STATUS", "TIME", "CELLS",
           has_notebooks(progress) ? "  EXECUTED NOTEBOOK" : "");
    for (uint32_t i = 0; i < progress->run->count; i++) {
        auto_buf struct buf line = {0};
        if (progress->run->count > TABLE_LIMIT && progress->views[i].status == STATUS_SUCCESS)
            continue;
        put_row(progress, &line, i);
        fwrite(line.data, 1, line.len, stdout);
    }
}

static uint32_t count_of(const struct progress *progress, enum status status)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < progress->run->count; i++)
        count += progress->views[i].status == status;
    return count;
}

void progress_end(struct progress *progress, const char *footer)
{
    auto_buf struct buf out = {0};
    struct view whole = {.status = progress->status};

    if (progress->style == PROGRESS_JSON)
        return;
    loop_disarm(progress->timer);
    erase(progress);
    print_table(progress);
    shown_put_duration(&out, (progress->ended ? progress->ended : clock_wall()) - progress->began);
    const char *text = buf_text(&out);
    printf("\n%s%s%s in %s: %u succeeded, %u failed, %u aborted\n", mark_colour(progress, &whole),
           status_name(progress->status), colour(progress, PLAIN), text + strspn(text, " "),
           count_of(progress, STATUS_SUCCESS), count_of(progress, STATUS_FAILURE),
           count_of(progress, STATUS_ABORTED));
    buf_reset(&out);
    shown_put(&out, footer);
    printf("%s\n", buf_text(&out));
    fflush(stdout);
}

enum exit_status progress_exit_status(const struct progress *progress)
{
    if (progress->status == STATUS_SUCCESS)
        return EXIT_DONE;
    for (uint32_t i = 0; progress->run && i < progress->run->count; i++) {
        const char *cause = progress->views[i].cause;
        if (cause && cause_of_name(cause) == CAUSE_LAUNCHER_UNAVAILABLE)
            return EXIT_UNAVAILABLE;
    }
    return EXIT_NOT_SUCCESS;
}
