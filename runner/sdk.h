/* sdk: where the Python module lies that steps import: installed beside the program, or in the
 * source tree that it was built in. */
#ifndef SEGUE_RUNNER_SDK_H
#define SEGUE_RUNNER_SDK_H

#include "base/err.h"

/* The directory for PYTHONPATH; free() it. ERR_NOT_FOUND when the installation is not whole. */
char *sdk_find(struct err *e);

#endif
