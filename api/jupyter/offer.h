/* offer: one kernelspec as clients are shown it: a kernel of this machine, or an environment of a
 * project.
 *
 * Owns its texts.
 */
#ifndef SEGUE_API_JUPYTER_OFFER_H
#define SEGUE_API_JUPYTER_OFFER_H

#include "api/jupyter/image_specs.h"
#include "base/buf.h"
#include "kernel-gateway/launch/environment.h"
#include "kernel-gateway/launch/kernelspec_list.h"

#include <stdint.h>

struct offer {
    char *name;
    char *spec;                      /* {"argv","display_name","language",...} */
    char *resource_dir, **resources; /* as in struct listed_kernelspec; NULL: none */
    int64_t cull_idle_timeout_s;     /* 0: the gateway's */

    /* how it is started */
    char *kernelspec;  /* in its place; NULL: any of the language */
    char *language;    /* when there is no such kernelspec; NULL: none will do */
    char *project;     /* its path below the projects directory; NULL: of this machine */
    char *environment; /* its name; NULL: of this machine */
};

void offer_clear(struct offer *offer);

struct offer_source {
    const char *project; /* path below it; "." for itself */
    const struct environments *environments;
    struct image_specs *image_specs;
};

void offer_of_kernelspec(struct offer *offer, const struct listed_kernelspec *listed);

/* An environment that cannot be used now is offered too, and says why: to start it fails. May ask
 * the Docker engine. */
void offer_of_environment(struct offer *offer, const struct offer_source *source,
                          const struct environment *environment);

/* Appends {"name","spec","resources"}. */
void offer_put(struct buf *out, const struct offer *offer);

#endif
