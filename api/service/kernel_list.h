/* kernel_list: the resource /api/v1/kernels: every kernel of the service in one list, those of
 * notebooks that people work with and those of steps that run, or were kept after they failed.
 *
 * What is done with one of them is asked of Jupyter's own API (api/jupyter/kernels.c).
 */
#ifndef SEGUE_API_SERVICE_KERNEL_LIST_H
#define SEGUE_API_SERVICE_KERNEL_LIST_H

#include "api/server/exchange.h"

/* GET; `user` is the service. */
void kernel_list(struct exchange *exchange, void *user);

#endif
