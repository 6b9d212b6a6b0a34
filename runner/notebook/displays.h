/* displays: what is shown under each display id of a notebook.
 *
 * A kernel that sends something under a display id replaces what every earlier output with that id
 * shows, in all cells. So the content belongs to the id and outputs only refer to it: an update
 * costs the same however many outputs there are. Keeps content as compact JSON text, and which
 * cells have ever shown it. Owns all of it; one owner, one thread.
 */
#ifndef SEGUE_RUNNER_DISPLAYS_H
#define SEGUE_RUNNER_DISPLAYS_H

#include "base/buf.h"
#include "base/json.h"
#include "base/map.h"

#include <stdint.h>

#define DISPLAY_NONE MAP_NONE

struct display {
    char *id;
    struct buf data, metadata; /* JSON */
    uint32_t *cells;           /* that have shown it, each at least once */
    uint32_t cell_count, cell_capacity;
};

struct displays {
    struct display *items;
    uint32_t count, capacity;
    struct map by_id;
};

void displays_clear(struct displays *displays); /* an all-zero one is empty */

/* DISPLAY_NONE: nothing was ever shown under this id. */
uint32_t displays_find(const struct displays *displays, struct str id);

/* The display with this id, made when there is none, now shown by the cell too. */
uint32_t displays_show(struct displays *displays, struct str id, uint32_t cell_index);

/* Replaces the content by members `data` and `metadata` of `from`. */
void displays_set(struct displays *displays, uint32_t display, const struct json *doc,
                  json_at from);

#endif
