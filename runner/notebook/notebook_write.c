/* The file is the sorted object {cells, metadata, nbformat, nbformat_minor} and whatever else the
 * source had there. Each cell's text is kept until the cell changes, so that writing after every
 * cell costs the copying of the others. */
#include "base/clock.h"
#include "base/mem.h"
#include "runner/notebook/nbformat.h"
#include "runner/notebook/notebook_private.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const STATE_NAMES[] = {
#define X(state, name) name,
    CELL_STATES(X)
#undef X
};

/* The oldest minor version with cell ids. */
enum { MINOR_WITH_IDS = 5 };

/* The level at which a cell lies in the file. */
enum { CELL_DEPTH = 2 };

static struct str str_of_buf(const struct buf *b)
{
    return (struct str){buf_text(b), b->len};
}

/* --- papermill's members --- */

/* As Python's datetime.isoformat writes UTC. */
static void add_time(struct nb_object *object, const char *key, int64_t time_us, char text[40])
{
    if (time_us >= 0) {
        struct time_text time = time_text_of_us(time_us);
        snprintf(text, 40, "%.*s+00:00", (int)strcspn(time.text, "Z"), time.text);
    }
    nb_add_text(object, key, time_us < 0 ? NULL : text);
}

static void add_duration(struct nb_object *object, int64_t start_us, int64_t end_us, char text[40])
{
    if (start_us < 0 || end_us < 0) {
        nb_add_text(object, "duration", NULL);
        return;
    }
    int len = snprintf(text, 40, "%.6f", (double)(end_us - start_us) / 1e6);
    while (text[len - 1] == '0' && text[len - 2] != '.')
        len--;
    nb_add_raw(object, "duration", (struct str){text, (size_t)len});
}

struct times {
    char start[40], end[40], duration[40];
};

static void add_times(struct nb_object *object, int64_t start_us, int64_t end_us,
                      struct times *texts)
{
    add_time(object, "start_time", start_us, texts->start);
    add_time(object, "end_time", end_us, texts->end);
    add_duration(object, start_us, end_us, texts->duration);
}

static void write_cell_papermill(const void *user, unsigned depth, struct buf *out)
{
    const struct cell *cell = user;
    auto_nb_object struct nb_object object = {0};
    struct times texts;

    if (cell->state == CELL_PENDING)
        nb_add_text(&object, "exception", NULL);
    else
        nb_add_raw(&object, "exception", cell->state == CELL_FAILED ? STR("true") : STR("false"));
    nb_add_text(&object, "status", STATE_NAMES[cell->state]);
    add_times(&object, cell->start_us, cell->end_us, &texts);
    nb_object_write(&object, depth, out);
}

static void write_compact(const void *user, unsigned depth, struct buf *out)
{
    auto_json struct json doc = {0};
    struct err e;

    /* The caller's JSON or our own; what is neither is left out. */
    if (json_parse(&doc, str_of_buf(user), JSON_TOLERANT, NULL, &e) < 0)
        buf_puts(out, "null");
    else
        json_write(&doc, 0, JSON_NBFORMAT, depth, out);
}

static void write_papermill(const void *user, unsigned depth, struct buf *out)
{
    const struct notebook *nb = user;
    auto_nb_object struct nb_object object = {0};
    struct times texts;

    nb_add_raw(&object, "default_parameters", STR("{}"));
    nb_add_raw(&object, "environment_variables", STR("{}"));
    nb_add_all(&object, &nb->doc, json_get(&nb->doc, nb->metadata, "papermill"));
    if (nb->parameters.len > 0)
        nb_add_call(&object, "parameters", write_compact, &nb->parameters);
    else
        nb_add_raw(&object, "parameters", STR("{}"));
    nb_add_text(&object, "input_path", nb->input_path);
    nb_add_text(&object, "output_path", nb->output_path);
    nb_add_text(&object, "version", nb->version);
    if (nb->has_failed)
        nb_add_raw(&object, "exception", STR("true"));
    else
        nb_add_text(&object, "exception", NULL);
    add_times(&object, nb->start_us, nb->end_us, &texts);
    nb_object_write(&object, depth, out);
}

/* --- a cell --- */

/* A cell together with the notebook it is of. */
struct cell_of {
    const struct notebook *nb;
    const struct cell *cell;
};

/* An output of the source: its long texts in lines. */
static void write_source_output(const struct json *doc, json_at output, unsigned depth,
                                struct buf *out)
{
    auto_nb_object struct nb_object object = {0};
    auto_buf struct buf text = {0}, bundle = {0};
    json_at type = json_get(doc, output, "output_type"), data = json_get(doc, output, "data");
    bool is_display = json_is(doc, type, "display_data") || json_is(doc, type, "execute_result");

    nb_add_all(&object, doc, output);
    if (is_display && data != JSON_NONE) {
        nb_write_bundle(doc, data, depth + 1, &bundle);
        nb_add_raw(&object, "data", str_of_buf(&bundle));
    }
    if (json_is(doc, type, "stream") && nb_join(doc, json_get(doc, output, "text"), &text))
        nb_add_lines(&object, "text", str_of_buf(&text));
    nb_object_write(&object, depth, out);
}

static void write_outputs(const void *user, unsigned depth, struct buf *out)
{
    const struct cell_of *of = user;
    const struct json *doc = &of->nb->doc;
    json_at list = json_get(doc, of->cell->at, "outputs");
    char separator = '[';

    if (of->cell->action == CELL_RUN && of->nb->is_started) {
        cell_outputs_write(&of->cell->outputs, &of->nb->displays, depth, out);
        return;
    }
    if (json_count(doc, list) == 0) {
        buf_puts(out, "[]");
        return;
    }
    json_each (doc, list, output) {
        buf_putc(out, separator);
        nb_write_break(depth + 1, out);
        write_source_output(doc, output, depth + 1, out);
        separator = ',';
    }
    nb_write_break(depth, out);
    buf_putc(out, ']');
}

/* Each attachment is a mime bundle. */
static void write_attachments(const void *user, unsigned depth, struct buf *out)
{
    const struct cell_of *of = user;
    const struct json *doc = &of->nb->doc;
    json_at attachments = json_get(doc, of->cell->at, "attachments");
    auto_nb_object struct nb_object object = {0};
    auto_free struct buf *bundles = mem_array(json_count(doc, attachments) + 1ul, sizeof *bundles);
    struct buf *bundle = bundles;

    nb_add_all(&object, doc, attachments);
    json_each (doc, attachments, key) {
        auto_free char *name = json_strdup(doc, key);
        nb_write_bundle(doc, json_value(key), depth + 1, bundle);
        if (name)
            nb_add_raw(&object, name, str_of_buf(bundle));
        bundle++;
    }
    nb_object_write(&object, depth, out);
    while (bundle > bundles)
        buf_clear(--bundle);
}

static void write_injected_tags(const void *user, unsigned depth, struct buf *out)
{
    (void)user;
    nb_write_lines(STR("injected-parameters"), depth, out); /* a list of one text */
}

static void write_cell_metadata(const void *user, unsigned depth, struct buf *out)
{
    const struct cell_of *of = user;
    const struct cell *cell = of->cell;
    const struct json *doc = &of->nb->doc;
    auto_nb_object struct nb_object object = {0};

    nb_add_all(&object, doc, json_get(doc, cell->at, "metadata"));
    nb_drop(&object, "trusted");
    if (cell->at == JSON_NONE)
        nb_add_call(&object, "tags", write_injected_tags, NULL);
    if (of->nb->is_started) {
        nb_add_call(&object, "papermill", write_cell_papermill, cell);
        if (cell->action == CELL_RUN)
            nb_drop(&object, "execution");
        if (cell->timing.len > 0)
            nb_add_call(&object, "execution", write_compact, &cell->timing);
    }
    nb_object_write(&object, depth, out);
}

static void add_code(struct nb_object *object, const struct cell_of *of)
{
    const struct cell *cell = of->cell;

    nb_add_call(object, "outputs", write_outputs, of);
    if (cell->action != CELL_RUN || !of->nb->is_started)
        return;
    if (cell->execution_count.len > 0)
        nb_add_raw(object, "execution_count", str_of_buf(&cell->execution_count));
    else
        nb_add_text(object, "execution_count", NULL);
}

static void write_cell(const struct notebook *nb, const struct cell *cell, struct buf *out)
{
    auto_nb_object struct nb_object object = {0};
    struct cell_of of = {nb, cell};

    if (cell->is_code) { /* what an incomplete source lacks */
        nb_add_text(&object, "cell_type", "code");
        nb_add_text(&object, "execution_count", NULL);
    }
    nb_add_all(&object, &nb->doc, cell->at);
    nb_add_text(&object, "id", cell->id);
    nb_add_lines(&object, "source", str_of_buf(&cell->source));
    nb_add_call(&object, "metadata", write_cell_metadata, &of);
    if (json_kind(&nb->doc, json_get(&nb->doc, cell->at, "attachments")) == JSON_OBJECT)
        nb_add_call(&object, "attachments", write_attachments, &of);
    if (cell->is_code)
        add_code(&object, &of);
    nb_object_write(&object, CELL_DEPTH, out);
}

static void renew_cells(struct notebook *nb)
{
    for (uint32_t i = 0; i < nb->cell_count; i++) {
        struct cell *cell = &nb->cells[i];
        if (cell->is_written)
            continue;
        buf_reset(&cell->written);
        write_cell(nb, cell, &cell->written);
        cell->is_written = true;
    }
}

/* --- the file --- */

static void write_cells(const void *user, unsigned depth, struct buf *out)
{
    const struct notebook *nb = user;

    for (uint32_t i = 0; i < nb->cell_count; i++) {
        buf_putc(out, i == 0 ? '[' : ',');
        nb_write_break(depth + 1, out);
        buf_put(out, nb->cells[i].written.data, nb->cells[i].written.len);
    }
    if (nb->cell_count == 0) {
        buf_puts(out, "[]");
        return;
    }
    nb_write_break(depth, out);
    buf_putc(out, ']');
}

static void write_metadata(const void *user, unsigned depth, struct buf *out)
{
    const struct notebook *nb = user;
    auto_nb_object struct nb_object object = {0};
    auto_buf struct buf widgets = {0};

    nb_add_all(&object, &nb->doc, nb->metadata);
    nb_drop(&object, "orig_nbformat");
    nb_drop(&object, "orig_nbformat_minor");
    nb_drop(&object, "signature");
    if (nb->language_info.len > 0)
        nb_add_call(&object, "language_info", write_compact, &nb->language_info);
    if (nb->is_started)
        nb_add_call(&object, "papermill", write_papermill, nb);
    if (widgets_has_state(nb->widgets)) {
        widgets_write(nb->widgets, depth + 1, &widgets);
        nb_add_raw(&object, "widgets", str_of_buf(&widgets));
    }
    nb_object_write(&object, depth, out);
}

void notebook_write(struct notebook *nb, struct buf *out)
{
    auto_nb_object struct nb_object object = {0};
    auto_free char *minor =
        mem_printf("%" PRId64, nb->minor < MINOR_WITH_IDS ? MINOR_WITH_IDS : nb->minor);

    renew_cells(nb);
    nb_add_all(&object, &nb->doc, 0);
    nb_add_call(&object, "cells", write_cells, nb);
    nb_add_call(&object, "metadata", write_metadata, nb);
    nb_add_raw(&object, "nbformat_minor", str_of(minor));
    nb_object_write(&object, 0, out);
    buf_putc(out, '\n');
}
