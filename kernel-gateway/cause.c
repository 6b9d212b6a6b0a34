#include "kernel-gateway/cause.h"

#include <string.h>

static const char *const names[] = {
#define X(cause, name) [cause] = name,
    CAUSES(X)
#undef X
};

const char *cause_name(enum cause cause)
{
    return names[cause];
}

enum cause cause_of_name(const char *name)
{
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return (enum cause)i;
    return CAUSE_INTERNAL;
}

bool cause_is_infrastructure(enum cause cause)
{
    switch (cause) {
    case CAUSE_ENVIRONMENT_MISSING:
    case CAUSE_LAUNCHER_UNAVAILABLE:
    case CAUSE_STORAGE_FAILED:
    case CAUSE_STEP_LOST:
        return true;
    case CAUSE_NONE:
    case CAUSE_CELL_ERROR:
    case CAUSE_EXIT_CODE:
    case CAUSE_KERNEL_DIED:
    case CAUSE_KERNEL_START_FAILED:
    case CAUSE_OUT_OF_MEMORY:
    case CAUSE_TIMEOUT:
    case CAUSE_INPUT_INVALID:
    case CAUSE_WRITE_REFUSED:
    case CAUSE_CANCELLED:
    case CAUSE_UPSTREAM:
    case CAUSE_INTERNAL:
        return false;
    }
    return false;
}
