/* kernel_make: from what a client asks for to the task of a kernel's keeper. */
#ifndef SEGUE_API_JUPYTER_KERNEL_MAKE_H
#define SEGUE_API_JUPYTER_KERNEL_MAKE_H

#include "api/jupyter/client_env.h"
#include "api/jupyter/jupyter_private.h"

/* Borrowed. */
struct kernel_wish {
    const char *name; /* of a kernelspec; NULL: the default */
    const char *path; /* of the notebook or its directory, below the projects directory; or NULL */
    const char *id;   /* a uuid; NULL: KERNEL_ID, else one is made */
    const struct client_env *env;
};

enum kernel_refusal {
    KERNEL_IS_FINE,
    KERNEL_UNKNOWN,   /* there is no such kernelspec, and which there are */
    KERNEL_CANNOT_BE, /* its project or environment cannot be used now */
};

/* Fills all of the task but mark and socket_dir. May ask the Docker engine. */
enum kernel_refusal kernel_make(struct interactive_task *task, const struct jupyter *jupyter,
                                const struct kernel_wish *wish, struct err *e);

/* Where a kernel starts: below `root` (without links), the directory that `path` names or lies in,
 * else `working_dir`, an absolute path; when neither leads to a directory below it, `root`. Links
 * are followed. `path` is relative to `projects`; both may be NULL. free() it. */
char *kernel_make_cwd(const char *root, const char *projects, const char *path,
                      const char *working_dir);

#endif
