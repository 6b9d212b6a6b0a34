/* kernelspec_list: all kernels of this machine, with what a notebook's interface shows of them.
 *
 * Owns its items; immutable once read, so any thread may look at it.
 */
#ifndef SEGUE_KERNEL_GATEWAY_KERNELSPEC_LIST_H
#define SEGUE_KERNEL_GATEWAY_KERNELSPEC_LIST_H

#include "kernel-gateway/launch/kernelspec.h"

struct listed_kernelspec {
    struct kernelspec spec;
    char **resources; /* files in its resource_dir that interfaces ask for: kernel.js, kernel.css,
                         logo-64x64.png, ...; NULL at the end; never NULL itself */
};

struct kernelspec_list {
    struct listed_kernelspec *items; /* by name */
    size_t count, capacity;
};

/* Reads what there is (kernelspec_each). Kernels whose names Jupyter's paths have no room for
 * ([a-z0-9._-]+) are left out. */
void kernelspec_list_read(struct kernelspec_list *list);
void kernelspec_list_clear(struct kernelspec_list *list); /* an all-zero list is an empty one */
#define auto_kernelspec_list __attribute__((cleanup(kernelspec_list_clear)))

#endif
