/* janitor: does in a thread of its own what may take long and what nobody waits for: ends what
 * killed keepers left running, also when Docker's engine is slow or away, and removes the files of
 * deleted runs.
 *
 * Work that cannot be done now is tried again later; what is not done when the janitor is let go
 * stays marked on disk, for the next start. All functions may be called from any thread.
 */
#ifndef SEGUE_RUNNER_JANITOR_H
#define SEGUE_RUNNER_JANITOR_H

#include "runner/engine/state.h"

#include <stdint.h>

struct janitor;

/* `removed` is called, on the janitor's thread, when the files of a run are gone. */
struct janitor *janitor_new(void (*removed)(void *user, int64_t run), void *user);
void janitor_free(struct janitor *janitor); /* waits for what is in hand; NULL is allowed */

/* What carries the mark of an attempt whose keeper is gone: ended, and its sockets removed. One
 * that lives, with a kernel that was kept, is looked at again until it is gone. Twice is fine. */
void janitor_clean(struct janitor *janitor, const struct state *state, const char *mark);

/* How many marks are looked after at present. */
uint32_t janitor_marks(struct janitor *janitor);

/* What engines of other state directories below the root left behind. */
void janitor_clean_others(struct janitor *janitor, const struct state *state);

/* The files of a deleted run, `take_path`; kernels that were kept of it are ended first. */
void janitor_remove(struct janitor *janitor, const struct state *state, int64_t run,
                    char *take_path);

#endif
