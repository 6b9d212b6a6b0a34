/* backup: a copy of a state directory that a service can be started from, made while its own goes
 * on.
 *
 * The database is copied as of one moment; journals and files are copied after it and only ever
 * grow, so they have at least what the database speaks of. The database of jobs is copied right
 * after it, with the projects that the jobs hold, and is put right where it is ahead of the first:
 * a run that is not in the copy is begun in it again. Steps that ran at that moment end as
 * step_lost when the copy is taken up, and what runs for the original is not touched by that. The
 * token is not copied. Changes nothing in the original.
 */
#ifndef SEGUE_RUNNER_BACKUP_H
#define SEGUE_RUNNER_BACKUP_H

#include "base/err.h"

/* `target` must not exist, or be empty. On the disk when it succeeds; a copy that was cut short has
 * no segue.db. Errors: ERR_CONFLICT (something is there), ERR_INVALID (it lies in the state
 * directory), as of the stores, ERR_IO, ERR_NO_SPACE. */
int backup_make(const char *state_dir, const char *target, struct err *e);

#endif
