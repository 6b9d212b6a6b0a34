/* The source stays as the text and positions it was read into; a cell keeps beside its position
 * only what execution needs or changes. What nbformat repairs is repaired at reading (ids); what it
 * only rearranges, at writing. */
#include "runner/notebook/notebook.h"

#include "base/id.h"
#include "base/map.h"
#include "base/mem.h"
#include "kernel-gateway/keeper/journal.h"
#include "runner/notebook/nbformat.h"
#include "runner/notebook/notebook_private.h"

#include <assert.h>
#include <inttypes.h>

/* --- reading --- */

static int wrong_at(const char *name, struct json_place place, struct err *e, const char *what)
{
    return err_set(e, ERR_INVALID, "%s:%" PRIu32 ":%" PRIu32 ": %s", name, place.line, place.column,
                   what);
}

static int wrong(const struct notebook *nb, const char *name, json_at at, struct err *e,
                 const char *what)
{
    return wrong_at(name, json_place(&nb->doc, at), e, what);
}

/* The scanner reads broken UTF-8 too, as kernels send it; in a file it means that the file is
 * something else or in another encoding, and writing it back would destroy it. */
static int check_utf8(struct str text, const char *name, struct err *e)
{
    const char *p = text.text, *end = p + text.len;

    while (p < end) {
        size_t len = (unsigned char)*p < 0x80 ? 1 : str_utf8_len(p, end);
        if (len == 0)
            return wrong_at(name, json_place_of(text, (size_t)(p - text.text)), e,
                            "not UTF-8 text");
        p += len;
    }
    return 0;
}

static int check_version(struct notebook *nb, const char *name, struct err *e)
{
    const struct json *doc = &nb->doc;
    json_at major_at = json_get(doc, 0, "nbformat");
    json_at minor_at = json_get(doc, 0, "nbformat_minor");
    int64_t major;

    if (json_kind(doc, 0) != JSON_OBJECT || !json_int(doc, major_at, &major))
        return wrong(nb, name, 0, e, "not a notebook: \"nbformat\" is missing");
    if (major < 4)
        return wrong(nb, name, major_at, e,
                     "a notebook of an old format (nbformat 3 or before): open and save it in "
                     "Jupyter, or run: jupyter nbconvert --to notebook --inplace FILE");
    if (major > 4)
        return wrong(nb, name, major_at, e, "a notebook of a newer format than nbformat 4");
    if (minor_at != JSON_NONE && (!json_int(doc, minor_at, &nb->minor) || nb->minor < 0))
        return wrong(nb, name, minor_at, e, "\"nbformat_minor\" is no number");
    return 0;
}

static bool has_tag(const struct json *doc, json_at cell, const char *tag)
{
    json_at tags = json_get(doc, json_get(doc, cell, "metadata"), "tags");

    if (json_kind(doc, tags) != JSON_ARRAY)
        return false;
    json_each (doc, tags, at) {
        if (json_is(doc, at, tag))
            return true;
    }
    return false;
}

static int check_outputs(const struct notebook *nb, json_at outputs, const char *name,
                         struct err *e)
{
    if (outputs == JSON_NONE)
        return 0;
    if (json_kind(&nb->doc, outputs) != JSON_ARRAY)
        return wrong(nb, name, outputs, e, "a cell's \"outputs\" is no list");
    json_each (&nb->doc, outputs, output) {
        if (json_kind(&nb->doc, output) != JSON_OBJECT)
            return wrong(nb, name, output, e, "an output is no object");
    }
    return 0;
}

static int read_cell(const struct notebook *nb, struct cell *cell, json_at at, const char *name,
                     struct err *e)
{
    const struct json *doc = &nb->doc;
    json_at source = json_get(doc, at, "source"), metadata = json_get(doc, at, "metadata");
    json_at kind = json_get(doc, at, "cell_type");

    *cell = (struct cell){.at = at, .start_us = -1, .end_us = -1};
    cell_outputs_init(&cell->outputs);
    if (json_kind(doc, at) != JSON_OBJECT)
        return wrong(nb, name, at, e, "a cell is no object");
    if (json_kind(doc, kind) != JSON_STRING)
        return wrong(nb, name, at, e, "a cell without \"cell_type\"");
    if (metadata != JSON_NONE && json_kind(doc, metadata) != JSON_OBJECT)
        return wrong(nb, name, metadata, e, "a cell's \"metadata\" is no object");
    if (source != JSON_NONE && !nb_join(doc, source, &cell->source))
        return wrong(nb, name, source, e, "a cell's \"source\" is neither text nor lines of text");
    cell->is_code = json_is(doc, kind, "code");
    cell->is_skipped = has_tag(doc, at, "skip-execution") || has_tag(doc, at, "skip");
    cell->allows_errors = has_tag(doc, at, "raises-exception");
    return cell->is_code ? check_outputs(nb, json_get(doc, at, "outputs"), name, e) : 0;
}

static int read_cells(struct notebook *nb, const char *name, struct err *e)
{
    json_at cells = json_get(&nb->doc, 0, "cells");

    if (json_kind(&nb->doc, cells) != JSON_ARRAY)
        return wrong(nb, name, cells == JSON_NONE ? 0 : cells, e,
                     "not a notebook: \"cells\" is no list");
    nb->cells = mem_array(json_count(&nb->doc, cells) + 1ul, sizeof *nb->cells);
    json_each (&nb->doc, cells, at) {
        /* counted before it is read, so that it is cleared whatever happens */
        if (read_cell(nb, &nb->cells[nb->cell_count++], at, name, e) < 0)
            return -1;
    }
    return 0;
}

/* --- ids --- */

static bool is_valid_id(struct str id)
{
    if (id.len < 1 || id.len > CELL_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return false;
    }
    return true;
}

/* The ids that the source has, the first of equal ones. */
static void keep_ids(struct notebook *nb, struct map *ids)
{
    auto_buf struct buf scratch = {0};

    for (uint32_t i = 0; i < nb->cell_count; i++) {
        struct cell *cell = &nb->cells[i];
        struct str id = json_text(&nb->doc, json_get(&nb->doc, cell->at, "id"), &scratch);
        if (!id.text || !is_valid_id(id) || map_get(ids, id) != MAP_NONE)
            continue;
        memcpy(cell->id, id.text, id.len);
        map_set(ids, (struct str){cell->id, id.len}, i);
    }
}

/* Eight hexadecimal digits that depend on nothing else: running a notebook twice makes no
 * difference between the two files, and a replay none at all. */
static void make_id(struct cell *cell, uint32_t index, const struct map *ids)
{
    for (unsigned attempt = 0; cell->id[0] == 0 || map_get(ids, str_of(cell->id)) != MAP_NONE;
         attempt++) {
        auto_free char *seed =
            mem_printf("cell %" PRIu32 " %u %s", index, attempt, buf_text(&cell->source));
        struct uuid uuid = uuid_from_name(seed);
        memcpy(cell->id, uuid.text, 8);
    }
}

static void assign_ids(struct notebook *nb)
{
    auto_with(map_clear) struct map ids = {0};

    keep_ids(nb, &ids);
    for (uint32_t i = 0; i < nb->cell_count; i++) {
        struct cell *cell = &nb->cells[i];
        if (cell->id[0])
            continue;
        make_id(cell, i, &ids);
        map_set(&ids, str_of(cell->id), i);
    }
}

/* --- the whole --- */

static char *metadata_text(const struct notebook *nb, const char *object, const char *key)
{
    json_at from = json_get(&nb->doc, nb->metadata, object);

    return json_strdup(&nb->doc, json_get(&nb->doc, from, key));
}

static int read_notebook(struct notebook *nb, const char *name, struct err *e)
{
    if (check_utf8((struct str){nb->doc.text, nb->doc.len}, name, e) < 0 ||
        check_version(nb, name, e) < 0)
        return -1;
    nb->metadata = json_get(&nb->doc, 0, "metadata");
    if (nb->metadata != JSON_NONE && json_kind(&nb->doc, nb->metadata) != JSON_OBJECT)
        return wrong(nb, name, nb->metadata, e, "\"metadata\" is no object");
    if (read_cells(nb, name, e) < 0)
        return -1;
    assign_ids(nb);
    nb->kernel_name = metadata_text(nb, "kernelspec", "name");
    nb->language = metadata_text(nb, "kernelspec", "language");
    if (!nb->language)
        nb->language = metadata_text(nb, "language_info", "name");
    return 0;
}

int notebook_read(char *text, size_t len, const char *name, struct notebook **ret_notebook,
                  struct err *e)
{
    auto_notebook struct notebook *nb = mem_zalloc(sizeof *nb);

    nb->widgets = widgets_new();
    nb->start_us = nb->end_us = -1;
    if (json_parse_take(&nb->doc, text, len, JSON_TOLERANT, NULL, e) < 0)
        return err_prefix(e, "%s", name);
    if (read_notebook(nb, name, e) < 0)
        return -1;
    *ret_notebook = take_ptr(&nb);
    return 0;
}

static void cell_clear(struct cell *cell)
{
    cell_outputs_free(&cell->outputs);
    buf_clear(&cell->source);
    buf_clear(&cell->timing);
    buf_clear(&cell->execution_count);
    buf_clear(&cell->written);
}

void notebook_free(struct notebook *nb)
{
    if (!nb)
        return;
    for (uint32_t i = 0; i < nb->cell_count; i++)
        cell_clear(&nb->cells[i]);
    free(nb->cells);
    free(nb->kernel_name);
    free(nb->language);
    free(nb->input_path);
    free(nb->output_path);
    free(nb->version);
    buf_clear(&nb->parameters);
    buf_clear(&nb->language_info);
    displays_clear(&nb->displays);
    widgets_free(nb->widgets);
    json_clear(&nb->doc);
    free(nb);
}

const char *notebook_kernel_name(const struct notebook *nb)
{
    return nb->kernel_name;
}

const char *notebook_language(const struct notebook *nb)
{
    return nb->language;
}

/* --- preparing --- */

static uint32_t find_tagged(const struct notebook *nb, const char *tag)
{
    for (uint32_t i = 0; i < nb->cell_count; i++) {
        if (has_tag(&nb->doc, nb->cells[i].at, tag))
            return i;
    }
    return nb->cell_count;
}

/* A place for the injected cell: an old one's, or a gap. */
static struct cell *make_place(struct notebook *nb)
{
    uint32_t old = find_tagged(nb, "injected-parameters");
    uint32_t defaults = find_tagged(nb, "parameters");

    if (old < nb->cell_count) {
        cell_clear(&nb->cells[old]);
        return &nb->cells[old];
    }
    uint32_t place = defaults < nb->cell_count ? defaults + 1 : 0;
    memmove(&nb->cells[place + 1], &nb->cells[place], (nb->cell_count - place) * sizeof *nb->cells);
    nb->cell_count++;
    return &nb->cells[place];
}

static bool is_id_of_another(const struct notebook *nb, const struct cell *cell)
{
    for (uint32_t i = 0; i < nb->cell_count; i++) {
        if (&nb->cells[i] != cell && strcmp(nb->cells[i].id, cell->id) == 0)
            return true;
    }
    return false;
}

void notebook_inject(struct notebook *nb, struct str source)
{
    assert(!nb->is_started);
    struct cell *cell = make_place(nb);
    struct map none = {0};

    *cell = (struct cell){.at = JSON_NONE, .is_code = true, .start_us = -1, .end_us = -1};
    cell_outputs_init(&cell->outputs);
    buf_put(&cell->source, source.text, source.len);
    for (uint32_t seed = UINT32_MAX; cell->id[0] == 0 || is_id_of_another(nb, cell); seed--) {
        cell->id[0] = 0;
        make_id(cell, seed, &none);
    }
}

/* Whether Python's str.strip would leave nothing. */
static bool is_blank(struct str text)
{
    static const char *const WIDE[] = {
        "\xc2\x85", "\xc2\xa0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
        "\u2004",   "\u2005",   "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
        "\u2028",   "\u2029",   "\u202f", "\u205f", "\u3000",
    };
    size_t at = 0;

    while (at < text.len) {
        unsigned char c = (unsigned char)text.text[at];
        size_t len = c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
        for (size_t i = 0; len == 0 && i < sizeof WIDE / sizeof *WIDE; i++) {
            size_t wide = strlen(WIDE[i]);
            if (text.len - at >= wide && memcmp(text.text + at, WIDE[i], wide) == 0)
                len = wide;
        }
        if (len == 0)
            return false;
        at += len;
    }
    return true;
}

static enum cell_action choose_action(const struct cell *cell)
{
    if (!cell->is_code)
        return CELL_SKIP_KIND;
    if (cell->is_skipped)
        return CELL_SKIP_TAG;
    if (is_blank((struct str){buf_text(&cell->source), cell->source.len}))
        return CELL_SKIP_BLANK;
    return CELL_RUN;
}

void notebook_start(struct notebook *nb, const struct notebook_options *options)
{
    assert(!nb->is_started);
    nb->is_started = true;
    nb->errors = options->errors;
    nb->input_path = mem_strdup(options->input_path);
    nb->output_path = mem_strdup(options->output_path);
    nb->version = mem_strdup(options->version);
    if (options->parameters.text)
        buf_put(&nb->parameters, options->parameters.text, options->parameters.len);
    for (uint32_t i = 0; i < nb->cell_count; i++) {
        struct cell *cell = &nb->cells[i];
        cell->action = choose_action(cell);
        cell->is_written = false;
        nb->cells_total += cell->action == CELL_RUN;
    }
}

static const struct cell *cell_at(const struct notebook *nb, uint32_t index)
{
    assert(nb->is_started && index < nb->cell_count);
    return &nb->cells[index];
}

uint32_t notebook_cell_count(const struct notebook *nb)
{
    return nb->cell_count;
}

enum cell_action notebook_cell_action(const struct notebook *nb, uint32_t index)
{
    return cell_at(nb, index)->action;
}

struct str notebook_cell_source(const struct notebook *nb, uint32_t index)
{
    const struct cell *cell = cell_at(nb, index);

    return (struct str){buf_text(&cell->source), cell->source.len};
}

const char *notebook_cell_id(const struct notebook *nb, uint32_t index)
{
    return cell_at(nb, index)->id;
}

bool notebook_cell_allows_errors(const struct notebook *nb, uint32_t index)
{
    return nb->errors == NOTEBOOK_ERRORS_ALLOWED || cell_at(nb, index)->allows_errors;
}

uint32_t notebook_cells_total(const struct notebook *nb)
{
    return nb->cells_total;
}

uint32_t notebook_cells_done(const struct notebook *nb)
{
    return nb->cells_done;
}

int notebook_replay(struct notebook *nb, const char *journal_path, struct err *e)
{
    auto_with(journal_cursor_close) struct journal_cursor cursor = {.fd = -1};
    struct str line;
    int got;

    if (journal_cursor_open(&cursor, journal_path, 0, e) < 0)
        return -1;
    while ((got = journal_cursor_next(&cursor, &line, e)) > 0) {
        if (notebook_apply(nb, line, e) < 0)
            return err_prefix(e, "\"%s\"", journal_path);
    }
    return got;
}
