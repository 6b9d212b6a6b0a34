/* sdk: where the Python module lies that steps import: installed beside the program, or in the
 * source tree that it was built in. */
#ifndef SEGUE_RUNNER_SDK_H
#define SEGUE_RUNNER_SDK_H

#include "base/err.h"

/* The directory for PYTHONPATH; free() it. ERR_NOT_FOUND when the installation is not whole. */
char *sdk_find(struct err *e);

/* The same as a copy below STATE/sdk/, made when this version of it is not there yet: it stays as
 * it is for the steps that have it, whatever is installed meanwhile, and lies where the Docker
 * engine finds it, also when this program runs in a container. free() it. */
char *sdk_keep(const char *state_dir, struct err *e);

#endif
