/* ignore: which files of a project its ignore files leave out, by git's rules.
 *
 * Patterns lie in .gitignore and .segueignore of every directory and hold for what is below it
 * (https://git-scm.com/docs/gitignore). Those of deeper directories go before those around them,
 * those of .segueignore before those of the .gitignore beside it, later lines before earlier ones;
 * so .segueignore can take in again what git leaves out. A directory that is left out is not to be
 * entered: nothing below it is asked about, and nothing below it can be taken in again. As in git,
 * an ignore file that is a link is not read.
 *
 * Owns what it has read. One owner, one thread.
 */
#ifndef SEGUE_RUNNER_IGNORE_H
#define SEGUE_RUNNER_IGNORE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* The patterns of one directory and of those around it; NULL: none. Owned by the struct ignore. */
struct ignore_level;

struct ignore {
    struct ignore_level *levels; /* all that were read */
    size_t bytes;
};

void ignore_clear(struct ignore *i); /* an all-zero one is one that has read nothing */

/* Enters the directory `name` of the directory that is open as `at` (or AT_FDCWD). `path` is its
 * path from the project, "" for the project itself; `around` is what entering the directory that it
 * lies in gave. ERR_LIMIT: a file over LIMIT_CONFIG_BYTES, a line over 4,096 bytes, or all files
 * together over 64 MiB. */
int ignore_enter(struct ignore *i, int at, const char *name, const char *path,
                 const struct ignore_level *around, const struct ignore_level **ret_level,
                 struct err *e);

enum ignore_kind { IGNORE_FILE, IGNORE_DIRECTORY }; /* a link is a file, wherever it leads */

/* Whether the entry at `path` (from the project) of the directory that `level` is of is left out.
 */
bool ignore_matches(const struct ignore_level *level, const char *path, enum ignore_kind kind);

#endif
