/* interactive_task: everything the keeper of an interactive kernel needs to know, decided when the
 * kernel was asked for.
 *
 * Written as interactive.json (mode 0600: variables may be secrets) into the kernel's directory,
 * which is handed over; read by the keeper, and by a gateway that takes the kernel up again. All
 * paths are absolute. Variables reach the kernel's process as data only. Owns its texts.
 */
#ifndef SEGUE_KERNEL_GATEWAY_INTERACTIVE_TASK_H
#define SEGUE_KERNEL_GATEWAY_INTERACTIVE_TASK_H

#include "base/buf.h"
#include "base/err.h"
#include "kernel-gateway/launch/launch.h"

#include <stdint.h>

#define INTERACTIVE_TASK_FILE "interactive.json"

#define INTERACTIVE_NEEDED_TEXTS(X)                                                                \
    X(kernel_id)                                                                                   \
    X(name)       /* under which it was asked for: of the list of kernelspecs */                   \
    X(mark)       /* of everything that is started */                                              \
    X(state_id)   /* of the state directory */                                                     \
    X(socket_dir) /* of the kernel's sockets: k/<mark>/s */                                        \
    X(launcher)   /* launcher_name */                                                              \
    X(cwd)        /* as the kernel sees it */

/* NULL where there is none. */
#define INTERACTIVE_OTHER_TEXTS(X)                                                                 \
    X(kernelspec)        /* in its place: on this machine or in the image */                       \
    X(language)          /* when there is no such kernelspec */                                    \
    X(image)             /* image id */                                                            \
    X(socket_dir_inside) /* as the kernel sees it */                                               \
    X(project)           /* path below the projects directory; for people */                       \
    X(environment)       /* its name; for people */                                                \
    X(username)          /* whose it is: KERNEL_USERNAME of the request */

#define INTERACTIVE_TEXTS(X)                                                                       \
    INTERACTIVE_NEEDED_TEXTS(X)                                                                    \
    INTERACTIVE_OTHER_TEXTS(X)

#define INTERACTIVE_NUMBERS(X)                                                                     \
    X(network) /* 0 or 1, containers */                                                            \
    X(millicpus)                                                                                   \
    X(memory_bytes)                                                                                \
    X(gpus)                                                                                        \
    X(change_user) /* 0 or 1 */                                                                    \
    X(uid)                                                                                         \
    X(gid)                                                                                         \
    X(cull_idle_timeout_s) /* of this kernel; 0: the gateway's */                                  \
    X(created_us)          /* since 1970 */

struct interactive_mount {
    char *host, *inside;
    int64_t read_only; /* 0 or 1 */
};

#define INTERACTIVE_MOUNTS_MAX 8

struct interactive_task {
#define X(name) char *name;
    INTERACTIVE_TEXTS(X)
#undef X
#define X(name) int64_t name;
    INTERACTIVE_NUMBERS(X)
#undef X
    char **env; /* "NAME=value", NULL at the end; or NULL */
    struct interactive_mount mounts[INTERACTIVE_MOUNTS_MAX];
    size_t mount_count;
};

void interactive_task_clear(struct interactive_task *task); /* all-zero is cleared already */
#define auto_interactive_task __attribute__((cleanup(interactive_task_clear)))

void interactive_task_encode(const struct interactive_task *task, struct buf *out);

/* Unknown members are passed over; of what may be missing texts are NULL and numbers 0.
 * ERR_INVALID: no JSON object, a needed text is missing, no such launcher, or mounts that are none
 * or too many; the task is cleared then. */
int interactive_task_parse(struct interactive_task *task, struct str text, struct err *e);
int interactive_task_read(struct interactive_task *task, const char *directory, struct err *e);

#endif
