/* launch_docker: what the parts of the Docker launcher share.
 *
 * Included by launch_docker*.c only.
 */
#ifndef SEGUE_KERNEL_GATEWAY_LAUNCH_DOCKER_H
#define SEGUE_KERNEL_GATEWAY_LAUNCH_DOCKER_H

#include "base/buf.h"
#include "base/str.h"
#include "kernel-gateway/launch/docker.h"
#include "kernel-gateway/launch/launch.h"

/* Appends the member "Labels" that says whose the container is. */
void launch_docker_put_labels(struct buf *body, const struct launch_place *place);

/* Appends the whole request for a container that runs the program, as JSON. */
void launch_docker_put_container(struct buf *body, const struct launch_place *place,
                                 const struct launch_program *program);

/* Creates a container. After a failure there is none: a call that was cancelled or broke off is
 * made good, which is what the name is for. ERR_NOT_FOUND: no such image. */
int launch_docker_create(const struct docker *docker, const char *name, struct str body,
                         char **ret_id, struct err *e);

/* launch_find_kernelspec for an image. */
int launch_docker_find_kernelspec(const struct launch_place *place, const char *name,
                                  const char *language, struct kernelspec *ret_spec, struct err *e);

#endif
