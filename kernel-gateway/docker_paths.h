/* docker_paths: whether a path means the same to us and to the Docker engine.
 *
 * Directories are mounted into containers by the engine, which reads their names on its own
 * machine. When we run in a container ourselves, beside a mounted socket, a directory that is
 * called differently here and there would be mounted empty, or another one would be. Only asks.
 */
#ifndef SEGUE_KERNEL_GATEWAY_DOCKER_PATHS_H
#define SEGUE_KERNEL_GATEWAY_DOCKER_PATHS_H

#include "base/err.h"

/* 0: the same, or it cannot matter: no engine answers, we are in no container of it. -1 with
 * ERR_INVALID: it differs, and how. */
int docker_check_path(const char *path, struct err *e);

#endif
