/* options: how a service is to be, as its command line says. Borrows its texts. */
#ifndef SEGUE_API_OPTIONS_H
#define SEGUE_API_OPTIONS_H

#include "kernel-gateway/interactive/gateway.h"
#include "runner/engine/engine.h"

#include <stdbool.h>
#include <stdint.h>

struct service_options {
    const char *address;
    uint16_t port;
    const char *const *hosts;   /* see server_options */
    const char *const *origins; /* see server_options */
    const char *projects;       /* directory below which projects lie */
    const char *state_dir;
    const char *token_file; /* NULL: STATE/token */
    struct engine_limits limits[RUN_CLASS_COUNT];
    bool is_holding;               /* accepts runs and starts none */
    bool allow_local_webhooks;     /* see jobs_options */
    const char *const *kernel_env; /* see jupyter_options */
    const char *default_kernel;    /* see jupyter_options */
    struct gateway_limits kernel_limits;
    struct gateway_culling culling;
};

#endif
