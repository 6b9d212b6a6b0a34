/* tree: copies a directory with everything in it.
 *
 * Files share their blocks with the original where the file system can (reflinks), else are copied;
 * never hard links, by which a later change would reach both. Modes, times and, as root, owners are
 * kept; links are copied as links; sockets, pipes and devices are left out. Thread-safe.
 */
#ifndef SEGUE_BASE_TREE_H
#define SEGUE_BASE_TREE_H

#include "base/err.h"

/* Copies what is in `from`, a directory or a file, into `to`, which is made. What vanishes from the
 * directory meanwhile is not missed: others may be at work in it. */
int tree_copy(const char *from, const char *to, struct err *e);

#endif
