#include "api/commands/progress.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_MS   200
#define BAR_WIDTH   20
#define TITLE_WIDTH 28

/* What is known of a step from the events so far. */
struct view {
    enum status status;
    uint32_t attempt;
    uint32_t cells_total, cells_done;
    msec started, ended; /* clock_mono; 0: not yet */
    char *failure;       /* the message, or NULL */
    char *cause;
    int64_t failed_cell; /* -1: none */
    bool is_running;
};

struct progress {
    enum progress_style style;
    bool is_live; /* stdout is a terminal that can move its cursor */
    bool has_colour;
    const struct live_run *live;
    struct view *views;
    uint32_t count, done, failed;
    uint32_t drawn; /* lines of the live part on the screen */
    msec began;
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
    return pipeline_step_label(submission_step(live_run_submission(progress->live), step));
}

/* Length of the character at `text`; 0 when it is none that may reach a terminal: control
 * characters, those of Latin-1's upper half (U+0080 to U+009F) too, would be obeyed by it. */
static size_t shown_len(const char *text, const char *end)
{
    size_t len = str_utf8_len(text, end);
    unsigned char first = (unsigned char)text[0];

    if (first < ' ' || first == 0x7f)
        return 0;
    return len == 2 && first == 0xc2 && (unsigned char)text[1] < 0xa0 ? 0 : len;
}

static void put_shown(struct buf *out, const char *text)
{
    const char *end = text + strlen(text);

    while (text < end) {
        size_t len = shown_len(text, end);
        if (len > 0)
            buf_put(out, text, len);
        else
            buf_putc(out, '?');
        text += len > 0 ? len : 1;
    }
}

/* Text in a column: cut or filled up, counted in characters. */
static void put_column(struct buf *out, const char *text, int width)
{
    const char *end = text + strlen(text);
    int used = 0;

    while (text < end && used < width) {
        size_t len = shown_len(text, end);
        if (len == 0) {
            buf_putc(out, '?');
            text++;
        } else if (used == width - 1 && text + len < end) {
            buf_puts(out, "…");
            text = end;
        } else {
            buf_put(out, text, len);
            text += len;
        }
        used++;
    }
    buf_printf(out, "%*s", width - used, "");
}

static void put_duration(struct buf *out, msec duration)
{
    if (duration < 60 * 1000)
        buf_printf(out, "%5.1f s", (double)duration / 1000);
    else
        buf_printf(out, "%lld:%02lld min", (long long)(duration / 60000),
                   (long long)(duration / 1000 % 60));
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

static uint32_t screen_rows(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 4 ? size.ws_row : 24;
}

static void put_running(const struct progress *progress, struct buf *out, uint32_t step)
{
    const struct view *view = &progress->views[step];

    buf_puts(out, "  ▸ ");
    put_column(out, label(progress, step), TITLE_WIDTH);
    buf_putc(out, ' ');
    put_duration(out, clock_mono() - view->started);
    buf_puts(out, "  ");
    if (view->cells_total > 0)
        put_bar(out, view->cells_done, view->cells_total);
    if (view->attempt > 1)
        buf_printf(out, "  attempt %u", view->attempt);
    buf_putc(out, '\n');
}

static void draw(struct progress *progress)
{
    auto_buf struct buf out = {0};
    uint32_t room = screen_rows() - 3, running = 0;

    erase(progress);
    for (uint32_t i = 0; i < progress->count; i++) {
        if (!progress->views[i].is_running)
            continue;
        if (running++ < room) {
            put_running(progress, &out, i);
            progress->drawn++;
        }
    }
    buf_printf(&out, "%s  %u of %u steps done, %u running,", colour(progress, GREY), progress->done,
               progress->count, running);
    put_duration(&out, clock_mono() - progress->began);
    buf_printf(&out, "%s\n", colour(progress, PLAIN));
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
    put_shown(&line, label(progress, step));
    if (progress->views[step].attempt > 1)
        buf_printf(&line, " (attempt %u)", progress->views[step].attempt);
    buf_putc(&line, '\n');
    print_line(progress, &line);
}

/* Further lines are set in, so that a message cannot be taken for lines of ours. */
static void put_lines(struct buf *out, const char *text)
{
    for (const char *at = text; *at; at += strspn(at, "\n")) {
        size_t len = strcspn(at, "\n");
        auto_free char *line = mem_strndup(at, len);
        if (at != text)
            buf_puts(out, "\n        ");
        put_shown(out, line);
        at += len;
    }
}

static void put_failure(const struct progress *progress, struct buf *out, const struct view *view)
{
    buf_printf(out, "      %s%s", colour(progress, RED), view->cause ? view->cause : "");
    if (view->failed_cell >= 0)
        buf_printf(out, " in cell %lld", (long long)view->failed_cell);
    buf_puts(out, ": ");
    put_lines(out, view->failure);
    buf_printf(out, "%s\n", colour(progress, PLAIN));
}

static void print_end(struct progress *progress, uint32_t step)
{
    const struct view *view = &progress->views[step];
    auto_buf struct buf line = {0};

    buf_printf(&line, "  %s%s%s ", mark_colour(progress, view), mark(view),
               colour(progress, PLAIN));
    put_column(&line, label(progress, step), TITLE_WIDTH);
    buf_putc(&line, ' ');
    if (view->started > 0)
        put_duration(&line, view->ended - view->started);
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

static void on_step_finished(struct progress *progress, struct view *view, const struct json *doc)
{
    json_at failure = json_get(doc, 0, "failure");
    auto_free char *status = json_strdup(doc, json_get(doc, 0, "status"));
    struct err ignored;

    status_parse(status ? status : "", &view->status, &ignored);
    view->ended = clock_mono();
    view->is_running = false;
    view->failure = json_strdup(doc, json_get(doc, failure, "message"));
    view->cause = json_strdup(doc, json_get(doc, failure, "cause"));
    view->failed_cell = get_int(doc, failure, "cell_index", -1);
    progress->done++;
    progress->failed += view->status == STATUS_FAILURE;
}

static void on_step_event(struct progress *progress, uint32_t step, const char *name,
                          const struct json *doc)
{
    struct view *view = &progress->views[step];

    if (strcmp(name, "step_started") == 0) {
        view->started = view->started ? view->started : clock_mono();
        view->attempt = (uint32_t)get_int(doc, 0, "attempt", 1);
        view->cells_done = 0;
        view->is_running = true;
        print_start(progress, step);
    } else if (strcmp(name, "step_retrying") == 0) {
        view->is_running = false;
    } else if (strcmp(name, "step_finished") == 0) {
        on_step_finished(progress, view, doc);
        print_end(progress, step);
    } else if (strcmp(name, "cell_started") == 0) {
        view->cells_total = (uint32_t)get_int(doc, 0, "cells_total", 0);
    } else if (strcmp(name, "cell_finished") == 0) {
        view->cells_done++;
    }
}

void progress_event(struct progress *progress, const struct engine_event *event)
{
    auto_json struct json doc = {0};
    struct err ignored;

    if (progress->style == PROGRESS_JSON) {
        puts(event->json);
        fflush(stdout);
        return;
    }
    /* Outputs may be large, and nothing of them is shown here. */
    if (event->step == STEP_NONE || strcmp(event->event, "output") == 0 || !*event->event)
        return;
    if (json_parse(&doc, str_of(event->json), JSON_TOLERANT, NULL, &ignored) == 0)
        on_step_event(progress, event->step, event->event, &doc);
}

void progress_say(struct progress *progress, const char *text)
{
    if (progress->style == PROGRESS_JSON) {
        fprintf(stderr, "segue: %s\n", text);
        return;
    }
    erase(progress);
    printf("  %s\n", text);
    fflush(stdout);
}

/* --- beginning and end --- */

struct progress *progress_new(struct loop *loop, enum progress_style style)
{
    struct progress *progress = mem_zalloc(sizeof *progress);
    const char *terminal = getenv("TERM");
    bool is_terminal = isatty(STDOUT_FILENO);

    progress->style = style;
    progress->is_live =
        style == PROGRESS_TEXT && is_terminal && terminal && strcmp(terminal, "dumb") != 0;
    progress->has_colour = progress->is_live && !getenv("NO_COLOR");
    progress->timer = loop_add_timer(loop, redraw, progress);
    return progress;
}

void progress_free(struct progress *progress)
{
    if (!progress)
        return;
    for (uint32_t i = 0; i < progress->count; i++) {
        free(progress->views[i].failure);
        free(progress->views[i].cause);
    }
    free(progress->views);
    loop_remove(progress->timer);
    free(progress);
}

void progress_begin(struct progress *progress, const struct live_run *live)
{
    const struct submission *submission = live_run_submission(live);

    progress->live = live;
    progress->count = submission->plan->count;
    progress->views = mem_array(progress->count, sizeof *progress->views);
    progress->began = clock_mono();
    for (uint32_t i = 0; i < progress->count; i++)
        progress->views[i].failed_cell = -1;
    if (progress->style == PROGRESS_JSON)
        return;
    auto_buf struct buf name = {0};
    put_shown(&name, *submission->pipeline->name ? submission->pipeline->name
                                                 : submission->project.pipeline_path);
    printf("%s%s%s: %u %s, run %s\n", colour(progress, BOLD), buf_text(&name),
           colour(progress, PLAIN), progress->count, progress->count == 1 ? "step" : "steps",
           submission->run_uuid.text);
    fflush(stdout);
    if (progress->is_live)
        redraw(progress);
}

/* A table of what is worth a line each; of a large run only what did not succeed. */
#define TABLE_LIMIT 60

static void print_table(const struct progress *progress)
{
    printf("\n  %-*s %-8s %9s %9s  %s\n", TITLE_WIDTH, "STEP", "STATUS", "TIME", "CELLS",
           "EXECUTED NOTEBOOK");
    for (uint32_t i = 0; i < progress->count; i++) {
        const struct view *view = &progress->views[i];
        const char *path = live_run_executed(progress->live, i);
        auto_buf struct buf line = {0};
        if (progress->count > TABLE_LIMIT && view->status == STATUS_SUCCESS)
            continue;
        buf_puts(&line, "  ");
        put_column(&line, label(progress, i), TITLE_WIDTH);
        buf_printf(&line, " %s%-8s%s  ", mark_colour(progress, view), status_name(view->status),
                   colour(progress, PLAIN));
        if (view->started > 0 && view->ended > 0)
            put_duration(&line, view->ended - view->started);
        else
            buf_puts(&line, "      -");
        if (view->cells_total > 0)
            buf_printf(&line, "  %4u/%-4u", view->cells_done, view->cells_total);
        else
            buf_puts(&line, "       -   ");
        if (path && view->started > 0) {
            buf_putc(&line, ' ');
            put_shown(&line, path + strlen(live_run_dir(progress->live)) + strlen("/executed/"));
        }
        buf_putc(&line, '\n');
        fwrite(line.data, 1, line.len, stdout);
    }
}

static bool has_notebooks(const struct progress *progress)
{
    for (uint32_t i = 0; i < progress->count; i++)
        if (live_run_executed(progress->live, i))
            return true;
    return false;
}

void progress_end(struct progress *progress)
{
    const struct run *run = live_run_state(progress->live);
    auto_buf struct buf duration = {0};

    if (progress->style == PROGRESS_JSON)
        return;
    loop_disarm(progress->timer);
    erase(progress);
    print_table(progress);
    put_duration(&duration, clock_mono() - progress->began);
    const char *text = buf_text(&duration);
    struct view whole = {.status = run_status(run)};
    printf("\n%s%s%s in %s: %u succeeded, %u failed, %u aborted\n", mark_colour(progress, &whole),
           status_name(run_status(run)), colour(progress, PLAIN), text + strspn(text, " "),
           run_count(run, STATUS_SUCCESS), run_count(run, STATUS_FAILURE),
           run_count(run, STATUS_ABORTED));
    const char *output = live_run_submission(progress->live)->output_dir;
    if (has_notebooks(progress))
        printf("executed notebooks: %s%s\n", output ? output : live_run_dir(progress->live),
               output ? "" : "/executed");
    else
        printf("the run's files: %s\n", live_run_dir(progress->live));
    fflush(stdout);
}
