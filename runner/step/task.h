/* task: everything a keeper needs to know for one attempt of a step, frozen when it starts.
 *
 * The engine writes it as task.json into the attempt's directory and hands over the directory; the
 * keeper reads it and asks nobody anything else. All paths are absolute paths on this machine;
 * what a container sees in their place is step_place.c's business. Owns its texts.
 */
#ifndef SEGUE_RUNNER_TASK_H
#define SEGUE_RUNNER_TASK_H

#include "base/err.h"
#include "base/json.h"
#include "kernel-gateway/launch/launch.h"
#include "runner/plan/pipeline.h"

#include <stdint.h>

#define TASK_FILE "task.json"

/* Texts that every task has. */
#define TASK_NEEDED_TEXTS(X)                                                                       \
    X(attempt_id) /* the mark of everything that is started */                                     \
    X(state_id)   /* of the state directory */                                                     \
    X(run_uuid)                                                                                    \
    X(step_uuid)                                                                                   \
    X(pipeline_uuid)                                                                               \
    X(source) /* the notebook or script */                                                         \
    X(project_dir)                                                                                 \
    X(pipeline_file) /* the frozen definition, parameters merged in */                             \
    X(io_dir)        /* results of this run's steps */                                             \
    X(data_dir)      /* data shared between projects */                                            \
    X(sdk_dir)       /* goes on PYTHONPATH */                                                      \
    X(socket_dir)    /* the keeper's and the kernel's sockets */                                   \
    X(launcher)      /* launcher_name */

/* NULL where there is none. */
#define TASK_OTHER_TEXTS(X)                                                                        \
    X(output)      /* where the executed notebook goes */                                          \
    X(image)       /* image id */                                                                  \
    X(kernelspec)  /* that the environment asks for */                                             \
    X(language)    /* that the environment asks for */                                             \
    X(environment) /* its name; for people */                                                      \
    X(origin_dir)  /* the project that project_dir is a copy of */

#define TASK_TEXTS(X)                                                                              \
    TASK_NEEDED_TEXTS(X)                                                                           \
    TASK_OTHER_TEXTS(X)

#define TASK_NUMBERS(X)                                                                            \
    X(kind)           /* enum step_kind */                                                         \
    X(number)         /* of the attempt, from 1 */                                                 \
    X(timeout_s)      /* 0: none */                                                                \
    X(cell_timeout_s) /* 0: none */                                                                \
    X(network)        /* 0 or 1, containers */                                                     \
    X(millicpus)      /* 0: no limit */                                                            \
    X(memory_bytes)   /* 0: no limit */                                                            \
    X(gpus)                                                                                        \
    X(keep_kernel_s) /* how long a notebook's kernel stays when it fails; 0: not at all */         \
    X(nice)          /* of everything of the step; 0: as others */                                 \
    X(change_user)   /* 0 or 1 */                                                                  \
    X(uid)                                                                                         \
    X(gid)

struct task {
#define X(name) char *name;
    TASK_TEXTS(X)
#undef X
#define X(name) int64_t name;
    TASK_NUMBERS(X)
#undef X
    char **env;             /* "NAME=value" of the environment, NULL at the end; or NULL */
    struct json parameters; /* an object: pipeline's, then the step's over them */
};

void task_clear(struct task *task); /* an all-zero task is cleared already */

/* Takes away the link k/<mark>/attempt: nothing of the attempt is left to be ended, so the next
 * start need not look for anything. */
void task_forget(const struct task *task);

/* The text of task.json. */
void task_encode(const struct task *task, struct buf *out);

/* Unknown members are passed over; of what may be missing texts are NULL and numbers 0.
 * ERR_INVALID: not a JSON object, a needed text is missing, or the parameters are no object; the
 * task is cleared then. */
int task_parse(struct task *task, struct str text, struct err *e);

/* The task in the attempt's directory. Errors of fs_read and task_parse. */
int task_read(struct task *task, const char *directory, struct err *e);

#endif
