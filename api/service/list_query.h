/* list_query: what the query parameters of lists have in common: pages, and projects to filter by.
 *
 * Keeps nothing; any thread.
 */
#ifndef SEGUE_API_SERVICE_LIST_QUERY_H
#define SEGUE_API_SERVICE_LIST_QUERY_H

#include "api/server/exchange.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* `limit` (50 when it is not given, 1,000 at most) and `cursor`, for ids below that (0: from the
 * newest on). ERR_INVALID. */
int list_query_page(struct exchange *exchange, uint32_t *ret_limit, int64_t *ret_before,
                    struct err *e);

/* A whole number from 1 to `max`; false: it is none. */
bool list_query_number(const char *text, int64_t max, int64_t *ret_value);

/* Names, separated by commas, as bits: 1 << what `parse` gives for each. */
int list_query_set(const char *text,
                   int (*parse)(const char *name, unsigned *ret_value, struct err *e),
                   unsigned *ret_set, struct err *e);

/* The directory of the project at `path` below `projects`: rows keep it without links. One that is
 * gone has its old name. free() it. */
char *list_query_project(const char *projects, const char *path);

/* Appends the member next_cursor; `cursor` 0: this was the last page. */
void list_query_put_cursor(struct buf *out, int64_t cursor);

#endif
