/* nursery: where keepers are born: a small process that forks one for each request.
 *
 * Executing a program that links everything Segue needs costs about 10 ms; forking a process in
 * which it is loaded already costs well under one, and the keepers share its pages. The nursery is
 * started once per engine, before it has threads or ZeroMQ contexts, and stays single-threaded, so
 * that a plain fork of it is safe. It ends when its engine does; the keepers it bore live on.
 *
 * The engine's side belongs to the engine's thread.
 */
#ifndef SEGUE_KERNEL_GATEWAY_NURSERY_H
#define SEGUE_KERNEL_GATEWAY_NURSERY_H

#include "base/child.h"
#include "base/err.h"

/* What a keeper inherits. */
struct keeper_birth {
    const char *directory; /* of the attempt; absolute */
    int lock_fd;           /* flocked: held for as long as the keeper lives */
    int listen_fd;         /* the command socket, listening */
    int life_fd;           /* the read end of a pipe that closes with the engine, or -1 */
};

struct nursery;

/* Starts the nursery by running `argv` (of a program that calls nursery_serve) with its socket as
 * descriptor 3. */
int nursery_start(struct nursery **ret_nursery, const char *const *argv, struct err *e);

/* Has a keeper born. The descriptors stay with the caller. *ret_child: pid and pidfd; the keeper
 * is a child of the nursery, which reaps it. A nursery that was killed is started anew. On an error
 * no keeper is known to live. */
int nursery_bear(struct nursery *nursery, const struct keeper_birth *birth, struct child *ret_child,
                 struct err *e);

/* Ends the nursery; the keepers stay. NULL is allowed. */
void nursery_free(struct nursery *nursery);

/* The nursery's side: serves requests on descriptor `socket_fd` until the engine closes its end.
 * In each new keeper `run` is called and its result is the exit status. */
int nursery_serve(int socket_fd, int (*run)(const struct keeper_birth *birth));

#endif
