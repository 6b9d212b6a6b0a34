/* fs: files as whole things: read under a cap, written by temporary file and rename, looked up
 * without being led out of a directory.
 *
 * Thread-safe; keeps no state.
 */
#ifndef SEGUE_BASE_FS_H
#define SEGUE_BASE_FS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Appends a regular file's content to `out`; on failure `out` is as before. Larger than `cap`
 * bytes: ERR_LIMIT; missing: ERR_NOT_FOUND; not a regular file: ERR_INVALID. */
int fs_read(const char *path, size_t cap, struct buf *out, struct err *e);
int fs_read_fd(int fd, const char *name, size_t cap, struct buf *out, struct err *e);

enum fs_sync { FS_NO_SYNC, FS_SYNC };

/* Writes `path` so that a reader sees the old file or the new one, never a part: a temporary file
 * beside it, then rename. An existing file keeps its mode, and its owner where that is allowed; a
 * new one gets `mode` less the umask. A symbolic link is followed: its target is replaced. */
int fs_write(const char *path, struct str content, mode_t mode, enum fs_sync sync, struct err *e);

int fs_mkdirs(const char *path, mode_t mode, struct err *e); /* with parents; existing is fine */
int fs_remove_tree(const char *path, struct err *e);         /* missing is fine; follows no links */
char *fs_join(const char *directory, const char *name); /* "a/b"; an absolute name stands alone */
char *fs_dirname(const char *path);                     /* "." where there is no slash */
const char *fs_basename(const char *path);
const char *fs_extension(const char *path); /* ".ipynb" of the last component, else "" */
bool fs_exists(const char *path);
int fs_copy(const char *from, const char *to, mode_t mode, struct err *e); /* atomic at `to` */

/* Opens `relative` below the directory `root` for reading so that no "..", absolute part or
 * symbolic link leads out of it (openat2, RESOLVE_BENEATH). A descriptor; -1 with ERR_NOT_FOUND
 * when missing, ERR_INVALID when it would lead outside, is no regular file or may not be read. */
int fs_open_beneath(const char *root, const char *relative, struct err *e);

/* The same for a directory; ERR_INVALID for anything else. */
int fs_open_directory_beneath(const char *root, const char *relative, struct err *e);

/* Takes an exclusive flock for as long as the descriptor is open. -1 with ERR_CONFLICT when
 * somebody else holds it. The file is made when missing. */
int fs_lock(const char *path, struct err *e);

#endif
