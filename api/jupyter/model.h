/* model: kernels as Jupyter's clients read them. Pure. */
#ifndef SEGUE_API_JUPYTER_MODEL_H
#define SEGUE_API_JUPYTER_MODEL_H

#include "base/buf.h"
#include "kernel-gateway/interactive/kernel_news.h"

struct kernel_model {
    const char *id, *name;
    const struct kernel_news *news;
    int64_t since_us;                 /* its last activity as long as it had none */
    const char *run_uuid, *step_uuid; /* of a step's kernel; else NULL */
};

/* Appends the object. Its last_activity always has a fraction and a Z, without which jupyter_server
 * cannot read it. */
void kernel_model_put(struct buf *out, const struct kernel_model *model);

#endif
