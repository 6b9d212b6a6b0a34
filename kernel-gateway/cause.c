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
