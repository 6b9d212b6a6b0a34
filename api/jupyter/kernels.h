/* kernels: what sessions need of the life of kernels. The handlers are in jupyter.h. */
#ifndef SEGUE_API_JUPYTER_KERNELS_H
#define SEGUE_API_JUPYTER_KERNELS_H

#include "api/jupyter/kernel_make.h"

/* A kernel that could not be started: 403 with "Resource Limit", 409 for an id that is taken, else
 * 500; always with why. */
void kernels_answer_refusal(struct exchange *exchange, const struct err *e);

/* ERR_CONFLICT: a step's kernel has this id. */
int kernels_check_id(const struct jupyter *jupyter, const char *id, struct err *e);

#endif
