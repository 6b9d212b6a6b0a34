/* jupyter: Jupyter's kernel gateway API, as JupyterLab and jupyter_server ask for it, below /api.
 *
 *   jupyter.c        what the resources share: life, lookups; /api, /api/status, /api/me
 *   kernels.c        /api/kernels...: a kernel's life
 *   kernel_make.c    from what a client asks for to a kernel's task
 *   channels.c       /api/kernels/{id}/channels: from HTTP to the kernel's keeper
 *   kernelspecs.c    /api/kernelspecs, /kernelspecs
 *   offers.c         what can be started: kernels of this machine, environments of projects
 *   sessions.c       /api/sessions: which notebook has which kernel
 *
 * Handlers answer from any thread. Everything here may be used from any thread.
 */
#ifndef SEGUE_API_JUPYTER_H
#define SEGUE_API_JUPYTER_H

#include "api/server/exchange.h"
#include "kernel-gateway/interactive/gateway.h"
#include "runner/engine/state.h"

struct jupyter;

/* Borrowed until jupyter_free. */
struct jupyter_options {
    struct gateway *gateway;
    const struct state *state;
    const char *projects;          /* the directory below which projects lie */
    const char *sdk_dir;           /* goes on kernels' PYTHONPATH */
    const char *const *kernel_env; /* names of variables that clients may set beside KERNEL_*;
                                      "A*" is a prefix; NULL at the end; NULL: none */
    const char *default_kernel;    /* name of a kernelspec; NULL: python3, else the first */
};

struct jupyter *jupyter_new(const struct jupyter_options *options);
void jupyter_free(struct jupyter *jupyter); /* no request any more; NULL is allowed */

/* The handlers. None but jupyter_version and jupyter_me may run where it must not block. */
void jupyter_version(struct exchange *exchange, struct jupyter *jupyter);
void jupyter_status(struct exchange *exchange, struct jupyter *jupyter);
void jupyter_me(struct exchange *exchange, struct jupyter *jupyter);
void kernels_list(struct exchange *exchange, struct jupyter *jupyter);
void kernels_start(struct exchange *exchange, struct jupyter *jupyter);
void kernels_get(struct exchange *exchange, struct jupyter *jupyter);
void kernels_delete(struct exchange *exchange, struct jupyter *jupyter);
void kernels_interrupt(struct exchange *exchange, struct jupyter *jupyter);
void kernels_restart(struct exchange *exchange, struct jupyter *jupyter);
void channels_connect(struct exchange *exchange, struct jupyter *jupyter);
void kernelspecs_list(struct exchange *exchange, struct jupyter *jupyter);
void kernelspecs_get(struct exchange *exchange, struct jupyter *jupyter);
void kernelspecs_resource(struct exchange *exchange, struct jupyter *jupyter);
void sessions_list(struct exchange *exchange, struct jupyter *jupyter);
void sessions_create(struct exchange *exchange, struct jupyter *jupyter);
void sessions_get(struct exchange *exchange, struct jupyter *jupyter);
void sessions_change(struct exchange *exchange, struct jupyter *jupyter);
void sessions_delete(struct exchange *exchange, struct jupyter *jupyter);

#endif
