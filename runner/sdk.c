#include "runner/sdk.h"

#include "base/fs.h"
#include "base/mem.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* From the program's own directory: PREFIX/bin and build/<variant>. */
static const char *const places[] = {"../share/segue/python", "../../runner/sdk/python"};

char *sdk_find(struct err *e)
{
    char program[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);

    program[len > 0 ? len : 0] = 0;
    auto_free char *directory = fs_dirname(program);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        auto_free char *place = fs_join(directory, places[i]);
        char *real = realpath(place, NULL);
        if (real)
            return real;
    }
    err_set(e, ERR_NOT_FOUND,
            "the Python module for steps is not beside \"%s\": install Segue anew", program);
    return NULL;
}
