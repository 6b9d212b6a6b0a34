/* tree: copies a directory with everything in it, or what is chosen of it.
 *
 * Files share their blocks with the original where the file system can (reflinks), else are copied;
 * never hard links, by which a later change would reach both. Modes, times and, as root, owners are
 * kept; links are copied as links; sockets, pipes and devices are left out. Nobody who exchanges a
 * directory for a link meanwhile leads the walk elsewhere. Thread-safe.
 */
#ifndef SEGUE_BASE_TREE_H
#define SEGUE_BASE_TREE_H

#include "base/err.h"

#include <sys/stat.h>
#include <sys/types.h>

/* A directory, file or link that is met on the way. */
struct tree_entry {
    const char *path; /* below what is copied; "" for that itself */
    int at;           /* the directory that it lies in, or AT_FDCWD */
    const char *name; /* in there */
    const struct stat *st;
};

struct tree_options {
    mode_t add, drop; /* bits of the mode that every copy gets, and that none gets */

    /* Asked about each entry before it is copied, directories before what is in them. 1: copy it;
     * 0: leave it out, a directory with all that is in it; -1: the whole copy fails. `*scope` is
     * what was put there for the directory that the entry lies in, NULL in the beginning; what a
     * directory's call leaves there is given to the entries in it. NULL: everything is copied. */
    int (*choose)(void *user, const struct tree_entry *entry, const void **scope, struct err *e);
    void *user;
};

/* Copies what is in `from`, a directory or a file, into `to`, which is made. What vanishes from the
 * directory meanwhile is not missed: others may be at work in it. While it is copied, `to` itself
 * is open to its owner only. `options` may be NULL. */
int tree_copy_with(const char *from, const char *to, const struct tree_options *options,
                   struct err *e);
int tree_copy(const char *from, const char *to, struct err *e); /* everything, as it is */

#endif
