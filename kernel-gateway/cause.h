/* cause: why something that Segue ran has failed: the closed list that users see as
 * `failure.cause`.
 *
 * Values only. A cause says what a person has to look at; the message beside it says the details.
 */
#ifndef SEGUE_KERNEL_GATEWAY_CAUSE_H
#define SEGUE_KERNEL_GATEWAY_CAUSE_H

#include <stdbool.h>

#define CAUSES(X)                                                                                  \
    X(CAUSE_NONE, "")                                                                              \
    X(CAUSE_CELL_ERROR, "cell_error")                     /* a cell raised */                      \
    X(CAUSE_EXIT_CODE, "exit_code")                       /* a script ended with another than 0 */ \
    X(CAUSE_KERNEL_DIED, "kernel_died")                   /* the kernel ended by itself */         \
    X(CAUSE_KERNEL_START_FAILED, "kernel_start_failed")   /* it never answered */                  \
    X(CAUSE_OUT_OF_MEMORY, "out_of_memory")               /* the memory limit was hit */           \
    X(CAUSE_TIMEOUT, "timeout")                           /* a step, cell or start time limit */   \
    X(CAUSE_INPUT_INVALID, "input_invalid")               /* the step's file cannot be run */      \
    X(CAUSE_ENVIRONMENT_MISSING, "environment_missing")   /* no such environment or image */       \
    X(CAUSE_LAUNCHER_UNAVAILABLE, "launcher_unavailable") /* Docker does not answer */             \
    X(CAUSE_WRITE_REFUSED, "write_refused")               /* the notebook changed meanwhile */     \
    X(CAUSE_STORAGE_FAILED, "storage_failed")             /* disk full or broken */                \
    X(CAUSE_STEP_LOST, "step_lost")                       /* its keeper is gone */                 \
    X(CAUSE_CANCELLED, "cancelled")                       /* somebody asked */                     \
    X(CAUSE_UPSTREAM, "upstream")                         /* a step that it needs failed */        \
    X(CAUSE_INTERNAL, "internal")                         /* a bug of ours */

enum cause {
#define X(cause, name) cause,
    CAUSES(X)
#undef X
};

const char *cause_name(enum cause cause);
enum cause cause_of_name(const char *name); /* CAUSE_INTERNAL for a name that is none of these */

/* What runs could not be kept or started, and it was not its own doing: the same again may well
 * succeed, once the machine has recovered. */
bool cause_is_infrastructure(enum cause cause);

#endif
