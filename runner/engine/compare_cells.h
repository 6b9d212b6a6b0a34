/* compare_cells: which cells of two executed notebooks of one step gave something else.
 *
 * Cells are matched by their position, but a cell of injected parameters only with another such:
 * where one notebook has none, all others still meet. Pure functions.
 */
#ifndef SEGUE_RUNNER_COMPARE_CELLS_H
#define SEGUE_RUNNER_COMPARE_CELLS_H

#include "base/buf.h"
#include "base/json.h"

#include <stdbool.h>

/* Appends the members cells_total, cells_changed and cells, as compare.h has them, to an object
 * that has been opened. Without `with_cells` the list is empty. */
void compare_cells_put(const struct json *a, const struct json *b, bool with_cells,
                       struct buf *out);

#endif
