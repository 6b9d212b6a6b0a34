/* table: rows of texts under headings, aligned, for people.
 *
 * Owns its cells. What is too wide for the terminal is cut in those columns that may be cut, the
 * widest first. The last column is not filled up. Texts are made fit for a terminal.
 */
#ifndef SEGUE_API_TABLE_H
#define SEGUE_API_TABLE_H

#include "base/buf.h"

#include <stdint.h>

struct table_column {
    const char *heading;
    int least; /* characters that it may be cut to; 0: it is not cut */
};

struct table;

/* The columns are borrowed. */
struct table *table_new(const struct table_column *columns, uint32_t count);
void table_free(struct table *table); /* NULL is allowed */
AUTO_FUNCTION(struct table, table_free)
#define auto_table auto_with(table_free_at)

/* The next cell, from left to right and row by row; owns `text` (from malloc) from here on. NULL
 * shows as "-". */
void table_add(struct table *table, char *take_text);

/* `width`: of the terminal; 0: as wide as it gets. */
void table_put(const struct table *table, int width, struct buf *out);

/* On stdout, as wide as the screen. */
void table_print(const struct table *table);

#endif
