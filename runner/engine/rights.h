/* rights: as whom programs run that work in a directory. A value. */
#ifndef SEGUE_RUNNER_RIGHTS_H
#define SEGUE_RUNNER_RIGHTS_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct rights {
    bool change_user; /* we are root, and the directory's owner is not */
    uid_t uid;
    gid_t gid;
};

/* As root, programs run as the directory's owner, so that files keep theirs; else as we do. */
int rights_in(const char *directory, struct rights *ret_rights, struct err *e);

#endif
