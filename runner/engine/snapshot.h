/* snapshot: the executed notebook of an attempt as it is now, as a file to be read.
 *
 * When the attempt is over and was its step's last, that is the executed copy; until then, and for
 * attempts whose copy a later one has replaced, it is made from the journal. Any thread; changes
 * nothing on the disk.
 */
#ifndef SEGUE_RUNNER_SNAPSHOT_H
#define SEGUE_RUNNER_SNAPSHOT_H

#include "base/err.h"

#include <stdint.h>

enum snapshot_source {
    SNAPSHOT_COPY, /* where there is one; else the journal */
    SNAPSHOT_JOURNAL,
};

struct snapshot {
    int fd; /* the caller closes it */
    uint64_t size;
    char etag[64]; /* strong, with its quotes: the same only for the same bytes */
};

/* Of the attempt in `directory`. ERR_NOT_FOUND: it has not come as far as its notebook, or is not
 * there; ERR_INVALID: it is a script, or its notebook is none. */
int snapshot_open(const char *directory, enum snapshot_source source, struct snapshot *ret_snapshot,
                  struct err *e);

#endif
