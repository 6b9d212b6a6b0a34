/* What is compared of a cell is text: its source, and what its outputs say. Addresses of objects
 * ("<Model at 0x7f2c...>"), which are others each time, are left out of it. */
#include "runner/engine/compare_cells.h"

#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"
#include "runner/notebook/nbformat.h"

#include <ctype.h>
#include <string.h>

#define CELLS_MAX   200u
#define TEXT_LENGTH 2000u /* characters */

/* --- text --- */

static void put_without_addresses(struct str text, struct buf *out)
{
    static const struct str mark = {" at 0x", 6};
    const char *at = text.text, *end = text.text + text.len, *found;

    while ((found = memmem(at, (size_t)(end - at), mark.text, mark.len))) {
        buf_put(out, at, (size_t)(found - at) + mark.len);
        at = found + mark.len;
        while (at < end && isxdigit((unsigned char)*at))
            at++;
    }
    buf_put(out, at, (size_t)(end - at));
}

/* On lines of its own. */
static void put_block(const struct buf *text, struct buf *out)
{
    if (text->len == 0)
        return;
    if (out->len > 0 && out->data[out->len - 1] != '\n')
        buf_putc(out, '\n');
    put_without_addresses((struct str){text->data, text->len}, out);
}

static void put_stream(const struct json *doc, json_at output, struct buf *out)
{
    auto_buf struct buf text = {0};

    if (nb_join(doc, json_get(doc, output, "text"), &text) && text.len > 0)
        put_without_addresses((struct str){text.data, text.len}, out);
}

static void put_error(const struct json *doc, json_at output, struct buf *out)
{
    auto_buf struct buf text = {0};

    json_string(doc, json_get(doc, output, "ename"), &text);
    buf_puts(&text, ": ");
    json_string(doc, json_get(doc, output, "evalue"), &text);
    put_block(&text, out);
}

/* "[image/png 1f0c2d3e]": a picture by its digest. */
static void put_image(const struct json *doc, json_at type, struct buf *out)
{
    auto_buf struct buf bytes = {0}, text = {0};

    nb_join(doc, json_value(type), &bytes);
    buf_putc(&text, '[');
    json_string(doc, type, &text);
    buf_printf(&text, " %.8s]", uuid_from_name(buf_text(&bytes)).text);
    put_block(&text, out);
}

static void put_data(const struct json *doc, json_at output, struct buf *out)
{
    auto_buf struct buf text = {0}, name = {0};
    json_at data = json_get(doc, output, "data");

    nb_join(doc, json_get(doc, data, "text/plain"), &text);
    put_block(&text, out);
    json_each (doc, data, type) {
        struct str mime = json_text(doc, type, &name);
        if (mime.len > 6 && memcmp(mime.text, "image/", 6) == 0)
            put_image(doc, type, out);
    }
}

static void put_outputs(const struct json *doc, json_at cell, struct buf *out)
{
    json_at outputs = json_get(doc, cell, "outputs");

    json_each (doc, outputs, output) {
        json_at type = json_get(doc, output, "output_type");
        if (json_is(doc, type, "stream"))
            put_stream(doc, output, out);
        else if (json_is(doc, type, "error"))
            put_error(doc, output, out);
        else
            put_data(doc, output, out);
    }
}

/* --- cells --- */

/* A cell of one notebook, or that it has none. */
struct side {
    const struct json *doc;
    json_at cell;
    struct buf source, outputs;
};

static void side_read(struct side *side)
{
    buf_reset(&side->source);
    buf_reset(&side->outputs);
    if (side->cell == JSON_NONE)
        return;
    nb_join(side->doc, json_get(side->doc, side->cell, "source"), &side->source);
    put_outputs(side->doc, side->cell, &side->outputs);
}

static void side_clear(struct side *side)
{
    buf_clear(&side->source);
    buf_clear(&side->outputs);
}

static bool is_same(const struct buf *a, const struct buf *b)
{
    return str_eq((struct str){a->data, a->len}, (struct str){b->data, b->len});
}

/* Cut, with a sign that it is. null: there is no such cell. */
static void put_text(const struct side *side, const char *key, const struct buf *text,
                     struct buf *out)
{
    auto_buf struct buf cut = {0};
    const char *start = buf_text(text), *end = start + text->len, *p = start;

    json_put_key(out, key);
    if (side->cell == JSON_NONE) {
        json_put_text(out, NULL);
        return;
    }
    for (unsigned count = 0; p < end && count < TEXT_LENGTH; count++) {
        size_t len = str_utf8_len(p, end);
        p += len ? len : 1;
    }
    buf_put(&cut, start, (size_t)(p - start));
    if (p < end)
        buf_puts(&cut, "…");
    json_put_str(out, (struct str){cut.data, cut.len});
}

static void put_cell(uint32_t index, const struct side *a, const struct side *b, struct buf *out)
{
    bool source_changed = !is_same(&a->source, &b->source);

    if (out->data[out->len - 1] != '[')
        buf_putc(out, ',');
    buf_putc(out, '{');
    json_put_member_int(out, "index", index);
    json_put_member_raw(out, "source_changed", source_changed ? STR("true") : STR("false"));
    put_text(a, "a", &a->outputs, out);
    put_text(b, "b", &b->outputs, out);
    if (source_changed) {
        put_text(a, "source_a", &a->source, out);
        put_text(b, "source_b", &b->source, out);
    }
    buf_putc(out, '}');
}

/* --- two lists of them --- */

static bool is_injected(const struct json *doc, json_at cell)
{
    json_at tags = json_get(doc, json_get(doc, cell, "metadata"), "tags");

    json_each (doc, tags, tag) {
        if (json_is(doc, tag, "injected-parameters"))
            return true;
    }
    return false;
}

struct walk {
    struct side a, b;
    json_at cells_a, cells_b;
    json_at next_a, next_b; /* the cells to come */
    uint32_t place_a, place_b;
    uint32_t index; /* of the cells that are looked at: in a, or, where that has none, in b */
};

static void walk_clear(struct walk *walk)
{
    side_clear(&walk->a);
    side_clear(&walk->b);
}

/* The next two cells that belong together, or one alone; false: the end. */
static bool step_on(struct walk *walk)
{
    bool has_a = walk->next_a != JSON_NONE, has_b = walk->next_b != JSON_NONE;

    if (has_a && has_b) {
        bool a = is_injected(walk->a.doc, walk->next_a), b = is_injected(walk->b.doc, walk->next_b);
        has_a = a || !b;
        has_b = b || !a;
    }
    walk->a.cell = has_a ? walk->next_a : JSON_NONE;
    walk->b.cell = has_b ? walk->next_b : JSON_NONE;
    walk->index = has_a ? walk->place_a : walk->place_b;
    if (has_a)
        walk->next_a = json_next(walk->a.doc, walk->cells_a, walk->next_a);
    if (has_b)
        walk->next_b = json_next(walk->b.doc, walk->cells_b, walk->next_b);
    walk->place_a += has_a;
    walk->place_b += has_b;
    return has_a || has_b;
}

void compare_cells_put(const struct json *a, const struct json *b, bool with_cells, struct buf *out)
{
    auto_with(walk_clear) struct walk walk = {
        .a.doc = a,
        .b.doc = b,
        .cells_a = json_get(a, 0, "cells"),
        .cells_b = json_get(b, 0, "cells"),
    };
    auto_buf struct buf list = {0};
    uint32_t total = 0, changed = 0;

    walk.next_a = json_first(a, walk.cells_a);
    walk.next_b = json_first(b, walk.cells_b);
    buf_putc(&list, '[');
    for (; step_on(&walk); total++) {
        side_read(&walk.a);
        side_read(&walk.b);
        if (walk.a.cell != JSON_NONE && walk.b.cell != JSON_NONE &&
            is_same(&walk.a.source, &walk.b.source) && is_same(&walk.a.outputs, &walk.b.outputs))
            continue;
        if (with_cells && changed < CELLS_MAX)
            put_cell(walk.index, &walk.a, &walk.b, &list);
        changed++;
    }
    buf_putc(&list, ']');
    json_put_member_int(out, "cells_total", total);
    json_put_member_int(out, "cells_changed", changed);
    json_put_member_raw(out, "cells", (struct str){list.data, list.len});
}
