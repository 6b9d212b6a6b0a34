/* cell_outputs: the list of outputs of one cell, or of one Output widget.
 *
 * Takes nbformat outputs one by one and merges consecutive stream outputs of the same name, each
 * append in amortised constant time. Keeps what fits under its caps and counts the rest, about
 * which a last output on stderr tells; errors are kept beyond the caps, within reason, because they
 * say why the cell failed. Content under a display id is kept by `displays`. Owns its outputs; one
 * owner, one thread.
 */
#ifndef SEGUE_RUNNER_CELL_OUTPUTS_H
#define SEGUE_RUNNER_CELL_OUTPUTS_H

#include "base/buf.h"
#include "base/json.h"
#include "runner/notebook/displays.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct output;

struct cell_outputs {
    struct output *items;
    size_t count, capacity;
    size_t max_count, max_bytes; /* the caps, of base/limits.h */
    size_t bytes;                /* of content that is kept */
    uint32_t late_errors;        /* kept beyond the caps */
    uint64_t dropped;            /* outputs, before merging */
    uint64_t dropped_bytes;
    bool clears_before_next; /* a clear_output waits for the next output */
};

void cell_outputs_init(struct cell_outputs *outputs);
void cell_outputs_free(struct cell_outputs *outputs); /* what it owns; to be used after init only */

/* Appends an output of type stream, display_data, execute_result or error; ignores others. With a
 * `display` other than DISPLAY_NONE the output shows that one's content. */
void cell_outputs_append(struct cell_outputs *outputs, const struct json *doc, json_at output,
                         uint32_t display);

enum clear_when { CLEAR_NOW, CLEAR_BEFORE_NEXT };
void cell_outputs_clear(struct cell_outputs *outputs, enum clear_when when);

/* The list as it is in a notebook's file. `displays` may be NULL when none is referred to. */
void cell_outputs_write(const struct cell_outputs *outputs, const struct displays *displays,
                        unsigned depth, struct buf *out);

/* The list as it is in messages: compact, texts in one piece. Without displays. */
void cell_outputs_put(const struct cell_outputs *outputs, struct buf *out);

#endif
