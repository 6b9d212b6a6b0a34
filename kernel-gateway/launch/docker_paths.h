/* docker_paths: whether a path means the same to us and to the Docker engine.
 *
 * Directories are mounted into containers by the engine, which reads their names on its own
 * machine. When we run in a container ourselves, beside a mounted socket, a directory that is
 * called differently here and there would be mounted empty, or another one would be. Only asks.
 */
#ifndef SEGUE_KERNEL_GATEWAY_DOCKER_PATHS_H
#define SEGUE_KERNEL_GATEWAY_DOCKER_PATHS_H

#include "base/err.h"
#include "base/json.h"

/* 0: the same, or it cannot matter: no engine answers, we are in no container of it. -1 with
 * ERR_INVALID: it differs, and how. `path` is absolute and has no links in it. */
int docker_check_path(const char *path, struct err *e);

/* What it is made of. The id of the container whose mount table (/proc/self/mountinfo) this is;
 * NULL: of none. free() it. */
char *docker_own_container(const char *mount_table);

/* The same as docker_check_path inside of the container that the engine describes so (the answer
 * to GET /containers/<id>/json). */
int docker_check_mounts(const struct json *container, const char *path, struct err *e);

#endif
