/* readers: reading connections to the store, lent for one request at a time.
 *
 * Thread-safe. Owns as many connections as were ever lent at once. The writing store must have been
 * opened before the first is lent.
 */
#ifndef SEGUE_RUNNER_READERS_H
#define SEGUE_RUNNER_READERS_H

#include "runner/store/store.h"

struct readers;

struct readers *readers_new(const char *path);
void readers_free(struct readers *readers); /* all must have been given back */

struct store *readers_lend(struct readers *readers, struct err *e); /* NULL: errors of store_open */
void readers_give_back(struct readers *readers, struct store *store); /* NULL is allowed */

#endif
