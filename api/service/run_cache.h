/* run_cache: answers about runs that were given a moment ago, for those who ask the same again.
 *
 * An answer is good for as long as the engine has changed nothing since before it was read; that of
 * a run that has ended, for as long as no run was deleted. Bounded: a few hundred answers of a few
 * kilobytes. Thread-safe.
 */
#ifndef SEGUE_API_RUN_CACHE_H
#define SEGUE_API_RUN_CACHE_H

#include "base/buf.h"
#include "runner/engine/engine.h"

#include <stdbool.h>

struct run_cache;

struct run_cache *run_cache_new(void);
void run_cache_free(struct run_cache *cache); /* NULL is allowed */

/* Appends the answer; false: there is none that is good now. */
bool run_cache_get(struct run_cache *cache, const char *run_uuid, const struct engine_version *now,
                   struct buf *out);

/* Keeps an answer, read when the engine's version was `before` or later. */
void run_cache_put(struct run_cache *cache, const char *run_uuid,
                   const struct engine_version *before, bool has_ended, struct str answer);

#endif
