/* image_specs: the kernelspecs in images, looked up once per image: to look into one costs the
 * Docker engine some hundred milliseconds, and what an image id names never changes.
 *
 * One caller at a time.
 */
#ifndef SEGUE_API_JUPYTER_IMAGE_SPECS_H
#define SEGUE_API_JUPYTER_IMAGE_SPECS_H

#include "base/err.h"
#include "kernel-gateway/launch/kernelspec.h"
#include "runner/engine/state.h"

struct image_specs;

/* The state is borrowed: by its id containers are found that an earlier life left behind. */
struct image_specs *image_specs_new(const struct state *state);
void image_specs_free(struct image_specs *specs); /* NULL is allowed */

/* As launch_find_kernelspec in the image with this id. */
int image_specs_find(struct image_specs *specs, const char *image_id, const char *name,
                     const char *language, struct kernelspec *ret_spec, struct err *e);

#endif
