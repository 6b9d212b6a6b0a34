/* project_snapshot: a project as it was when a job was made, and the copies that its runs work on.
 *
 *     STATE/jobs/<job>/project/     the snapshot: no write permission for anybody
 *     STATE/runs/<run>/project/     a run's own copy, writable
 *
 * What ignore files (.gitignore and .segueignore, in every directory, as git reads them) name is
 * left out, and so are .git and .ipynb_checkpoints; .segue and .orchest stay in, less what ignore
 * files in them name. Files share their blocks with the original where the file system can
 * (reflinks), else are copied, never hard linked. A project that changes while it is copied is
 * copied again, and refused when it will not hold still. Owners, modes and times are kept, links as
 * links (one that leads out of the project is refused). Keeps no state; any thread.
 */
#ifndef SEGUE_RUNNER_PROJECT_SNAPSHOT_H
#define SEGUE_RUNNER_PROJECT_SNAPSHOT_H

#include "base/err.h"

#include <stdint.h>

struct project_snapshot_size {
    uint64_t files;
    uint64_t bytes;
};

/* Makes `to` (its parents too), whole or not at all; one that is there already is replaced. What is
 * half done lies beside it, in a directory whose name begins with ".making-", and is removed on
 * failure. On success it is on the disk for good. ERR_CONFLICT: files keep changing (one of them is
 * named); ERR_LIMIT: more than LIMIT_SNAPSHOT_BYTES or LIMIT_SNAPSHOT_FILES; ERR_NO_SPACE;
 * ERR_INVALID: a link leads out, or `to` lies in a part of the project that is not left out. */
int project_snapshot_make(const char *project, const char *to,
                          struct project_snapshot_size *ret_size, struct err *e);

/* A copy of the snapshot `from` that its owner may write in, whole or not at all; one that is there
 * already is replaced. A power loss soon after may take it. */
int project_snapshot_copy(const char *from, const char *to, struct err *e);

/* Removes a snapshot or a copy, read-only directories included; missing is fine. */
int project_snapshot_remove(const char *path, struct err *e);

/* What a killed maker left beside the snapshots in `directory`. */
int project_snapshot_clean(const char *directory, struct err *e);

#endif
