/* tar: walks the regular files of a tar archive that lies in memory.
 *
 * Source: POSIX.1-2017, pax, section ustar. What is needed to read what a Docker engine hands out:
 * directories, links and extended headers are passed over, and so is a file whose name needs one
 * (over 255 bytes). Borrows the archive; never allocates.
 */
#ifndef SEGUE_KERNEL_GATEWAY_TAR_H
#define SEGUE_KERNEL_GATEWAY_TAR_H

#include "base/str.h"

#include <stdbool.h>

struct tar {
    struct str rest; /* what is still to be walked; the whole archive at first */
};

struct tar_file {
    char name[257]; /* "kernels/python3/kernel.json" */
    struct str content;
};

/* The next file; false: no more, or what follows is no tar header or was cut off. */
bool tar_next(struct tar *tar, struct tar_file *ret_file);

#endif
