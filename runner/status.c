#include "runner/status.h"

#include <string.h>

static const char *const names[] = {
#define X(status, name) [status] = name,
    STATUSES(X)
#undef X
};

_Static_assert(sizeof names / sizeof *names == STATUS_COUNT, "STATUS_COUNT counts STATUSES");

const char *status_name(enum status status)
{
    return names[status];
}

int status_parse(const char *name, enum status *ret_status, struct err *e)
{
    for (unsigned i = 0; i < STATUS_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            *ret_status = (enum status)i;
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "\"%s\" is no status", name);
}

bool status_is_final(enum status status)
{
    return status >= STATUS_SUCCESS;
}
