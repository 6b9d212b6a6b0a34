#include "runner/notebook/displays.h"

#include "base/mem.h"

#include <assert.h>

void displays_clear(struct displays *displays)
{
    for (uint32_t i = 0; i < displays->count; i++) {
        struct display *display = &displays->items[i];
        buf_clear(&display->data);
        buf_clear(&display->metadata);
        free(display->cells);
        free(display->id);
    }
    free(displays->items);
    map_clear(&displays->by_id);
    *displays = (struct displays){0};
}

uint32_t displays_find(const struct displays *displays, struct str id)
{
    return map_get(&displays->by_id, id);
}

static uint32_t make(struct displays *displays, struct str id)
{
    uint32_t index = displays->count;

    mem_grow(displays->items, displays->count, displays->capacity);
    struct display *display = &displays->items[displays->count++];
    *display = (struct display){.id = mem_strndup(id.text, id.len)};
    map_set(&displays->by_id, (struct str){display->id, id.len}, index);
    return index;
}

uint32_t displays_show(struct displays *displays, struct str id, uint32_t cell_index)
{
    uint32_t index = displays_find(displays, id);

    if (index == DISPLAY_NONE)
        index = make(displays, id);
    struct display *display = &displays->items[index];
    /* Cells run one after the other, so looking at the last entry keeps the list short. */
    if (display->cell_count == 0 || display->cells[display->cell_count - 1] != cell_index) {
        mem_grow(display->cells, display->cell_count, display->cell_capacity);
        display->cells[display->cell_count++] = cell_index;
    }
    return index;
}

static void replace(struct buf *content, const struct json *doc, json_at at)
{
    buf_reset(content);
    if (json_kind(doc, at) == JSON_OBJECT)
        json_write(doc, at, JSON_COMPACT, 0, content);
    else
        buf_puts(content, "{}");
}

void displays_set(struct displays *displays, uint32_t display, const struct json *doc, json_at from)
{
    assert(display < displays->count);
    replace(&displays->items[display].data, doc, json_get(doc, from, "data"));
    replace(&displays->items[display].metadata, doc, json_get(doc, from, "metadata"));
}
