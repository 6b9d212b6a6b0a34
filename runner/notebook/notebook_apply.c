/* What an event of the journal changes in a notebook. All times are those in the lines, none is
 * taken from a clock. */
#include "base/clock.h"
#include "base/mem.h"
#include "runner/notebook/notebook_private.h"

struct event {
    struct json doc;
    int64_t time_us; /* -1: none */
};

static void event_clear(struct event *event)
{
    json_clear(&event->doc);
}

/* --- cells --- */

static void change_state(struct cell *cell, enum cell_state state)
{
    cell->state = state;
    cell->is_written = false;
}

/* Cells before `index` that have nothing to run are through as soon as a later one begins. */
static void pass_over(struct notebook *nb, uint32_t index, int64_t time_us)
{
    while (index > 0) {
        struct cell *cell = &nb->cells[--index];
        if (cell->state != CELL_PENDING || cell->action == CELL_RUN)
            return;
        cell->start_us = cell->end_us = time_us;
        change_state(cell, CELL_COMPLETED);
    }
}

/* The cell that an event is about, or NULL when it is about none that runs. */
static struct cell *find_cell(struct notebook *nb, const struct event *event)
{
    int64_t index;

    if (!json_int(&event->doc, json_get(&event->doc, 0, "cell_index"), &index) || index < 0 ||
        index >= nb->cell_count || nb->cells[index].action != CELL_RUN)
        return NULL;
    return &nb->cells[index];
}

static void apply_cell_started(struct notebook *nb, const struct event *event)
{
    struct cell *cell = find_cell(nb, event);

    if (!cell)
        return;
    pass_over(nb, (uint32_t)(cell - nb->cells), event->time_us);
    cell->start_us = event->time_us;
    cell->end_us = -1;
    cell_outputs_clear(&cell->outputs, CLEAR_NOW);
    change_state(cell, CELL_RUNNING);
}

static void keep_json(struct buf *kept, const struct event *event, json_at at, enum json_kind kind)
{
    buf_reset(kept);
    if (json_kind(&event->doc, at) == kind)
        json_write(&event->doc, at, JSON_COMPACT, 0, kept);
}

static void finish_cell(struct notebook *nb, struct cell *cell, enum cell_state state,
                        int64_t time_us)
{
    cell->end_us = time_us;
    nb->has_failed |= state == CELL_FAILED;
    change_state(cell, state);
}

static void apply_cell_finished(struct notebook *nb, const struct event *event)
{
    const struct json *doc = &event->doc;
    struct cell *cell = find_cell(nb, event);

    if (!cell || cell->state != CELL_RUNNING)
        return;
    bool is_error = json_is(doc, json_get(doc, 0, "status"), "error");
    bool is_allowed = notebook_cell_allows_errors(nb, (uint32_t)(cell - nb->cells));
    keep_json(&cell->execution_count, event, json_get(doc, 0, "execution_count"), JSON_NUMBER);
    keep_json(&cell->timing, event, json_get(doc, 0, "timing"), JSON_OBJECT);
    finish_cell(nb, cell, is_error && !is_allowed ? CELL_FAILED : CELL_COMPLETED, event->time_us);
    nb->cells_done++;
}

/* --- outputs --- */

static void mark_display(struct notebook *nb, uint32_t display)
{
    const struct display *shown = &nb->displays.items[display];

    for (uint32_t i = 0; i < shown->cell_count; i++)
        nb->cells[shown->cells[i]].is_written = false;
}

static void apply_output(struct notebook *nb, const struct event *event)
{
    auto_buf struct buf scratch = {0};
    const struct json *doc = &event->doc;
    json_at output = json_get(doc, 0, "output");
    struct str id = json_text(doc, json_get(doc, 0, "display_id"), &scratch);
    struct cell *cell = find_cell(nb, event);
    uint32_t display = DISPLAY_NONE;

    if (!cell)
        return;
    if (id.text && json_kind(doc, json_get(doc, output, "data")) == JSON_OBJECT) {
        display = displays_show(&nb->displays, id, (uint32_t)(cell - nb->cells));
        displays_set(&nb->displays, display, doc, output);
        mark_display(nb, display);
    }
    cell_outputs_append(&cell->outputs, doc, output, display);
    cell->is_written = false;
}

static void apply_output_updated(struct notebook *nb, const struct event *event)
{
    auto_buf struct buf scratch = {0};
    struct str id = json_text(&event->doc, json_get(&event->doc, 0, "display_id"), &scratch);
    uint32_t display = id.text ? displays_find(&nb->displays, id) : DISPLAY_NONE;

    if (display == DISPLAY_NONE)
        return;
    displays_set(&nb->displays, display, &event->doc, 0);
    mark_display(nb, display);
}

static void apply_output_cleared(struct notebook *nb, const struct event *event)
{
    struct cell *cell = find_cell(nb, event);

    if (!cell)
        return;
    bool waits = json_is_true(&event->doc, json_get(&event->doc, 0, "wait"));
    cell_outputs_clear(&cell->outputs, waits ? CLEAR_BEFORE_NEXT : CLEAR_NOW);
    cell->is_written = false;
}

static void apply_comm(struct notebook *nb, const struct event *event)
{
    widgets_comm(nb->widgets, &event->doc, 0);
}

static void apply_widget_output(struct notebook *nb, const struct event *event)
{
    widgets_output(nb->widgets, &event->doc, 0);
}

/* --- the whole --- */

static void apply_kernel_ready(struct notebook *nb, const struct event *event)
{
    keep_json(&nb->language_info, event, json_get(&event->doc, 0, "language_info"), JSON_OBJECT);
}

static void apply_step_finished(struct notebook *nb, const struct event *event)
{
    const struct json *doc = &event->doc;
    bool is_success = json_is(doc, json_get(doc, 0, "status"), "SUCCESS");

    for (uint32_t i = 0; i < nb->cell_count; i++) {
        if (nb->cells[i].state == CELL_RUNNING)
            finish_cell(nb, &nb->cells[i], CELL_FAILED, event->time_us);
    }
    if (is_success)
        pass_over(nb, nb->cell_count, event->time_us);
    else
        nb->has_failed = true;
    nb->end_us = event->time_us;
}

static const struct {
    const char *name;
    void (*apply)(struct notebook *nb, const struct event *event);
} EVENTS[] = {
    {"output", apply_output},
    {"output_updated", apply_output_updated},
    {"output_cleared", apply_output_cleared},
    {"comm", apply_comm},
    {"widget_output", apply_widget_output},
    {"cell_started", apply_cell_started},
    {"cell_finished", apply_cell_finished},
    {"kernel_ready", apply_kernel_ready},
    {"step_finished", apply_step_finished},
};

static int64_t time_of(const struct json *doc)
{
    auto_free char *text = json_strdup(doc, json_get(doc, 0, "time"));

    return text ? time_text_parse(text) : -1;
}

int notebook_apply(struct notebook *nb, struct str line, struct err *e)
{
    auto_with(event_clear) struct event event = {0};

    if (json_parse(&event.doc, line, JSON_TOLERANT, NULL, e) < 0)
        return -1;
    if (json_kind(&event.doc, 0) != JSON_OBJECT)
        return err_set(e, ERR_INVALID, "a line of the journal is no object");
    event.time_us = time_of(&event.doc);
    if (nb->start_us < 0)
        nb->start_us = event.time_us;
    json_at name = json_get(&event.doc, 0, "event");
    for (size_t i = 0; i < sizeof EVENTS / sizeof *EVENTS; i++) {
        if (json_is(&event.doc, name, EVENTS[i].name)) {
            EVENTS[i].apply(nb, &event);
            break;
        }
    }
    return 0;
}
