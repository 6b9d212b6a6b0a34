/* step_kernels: the kernels of steps that run, or that were kept after they failed: found by their
 * keepers' sockets in the state directory, so that the engine need not be asked.
 *
 * A kernel's id is made of its attempt's mark. Any thread; may wait for a keeper for some ms.
 */
#ifndef SEGUE_RUNNER_STEP_KERNELS_H
#define SEGUE_RUNNER_STEP_KERNELS_H

#include "kernel-gateway/interactive/kernel_news.h"
#include "runner/engine/state.h"

#include <stdbool.h>
#include <stddef.h>

struct step_kernel {
    char *id;   /* a uuid */
    char *name; /* of the kernelspec */
    char *run_uuid, *step_uuid, *project_dir, *source, *launcher;
    char *image, *environment; /* NULL where there is none */
    char *socket_path;         /* of its keeper: admission_send */
    uint32_t attempt;
    int64_t created_us; /* since 1970 */
    struct kernel_news news;
    bool is_kept; /* the step has failed, and its kernel was kept to be looked at */
};

void step_kernel_clear(struct step_kernel *kernel);

/* All of them, oldest first; the array and its items are the caller's. */
size_t step_kernels_list(const struct state *state, struct step_kernel **ret_kernels);
bool step_kernels_find(const struct state *state, const char *id, struct step_kernel *ret_kernel);

/* Sends a command of the step's keeper: "interrupt", "release" (ends one that was kept).
 * ERR_NOT_FOUND: it has ended; ERR_UNAVAILABLE: it does not take it. */
int step_kernel_tell(const struct step_kernel *kernel, const char *command, struct err *e);

/* Releases what the keeper at `socket_path` may have kept, and waits for its end, a moment. False:
 * it lives on for now. */
bool step_kernel_release(const char *socket_path);

#endif
