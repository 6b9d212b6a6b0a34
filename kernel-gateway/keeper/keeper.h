/* keeper: the frame of the small process that stays with one kernel or script: its event loop, its
 * command socket, and the end of everything it started.
 *
 * It outlives the daemon: commands come over a socket that anybody who may may connect to at any
 * time (now, or after a restart), and whoever is connected is told the news: one packet, always the
 * newest, of which any may be lost but the last. What the keeper does for a living (run a step,
 * keep an interactive kernel) and what its news are is its driver's business (runner/step/step.h,
 * interactive/interactive.h).
 *
 * The socket (SOCK_SEQPACKET): down come texts, one command a packet, with or without a descriptor
 * attached: "stop CAUSE", "admit {...}". Up go news, when a client connects and whenever there are
 * some.
 *
 * One per process, one thread.
 */
#ifndef SEGUE_KERNEL_GATEWAY_KEEPER_H
#define SEGUE_KERNEL_GATEWAY_KEEPER_H

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "kernel-gateway/cause.h"
#include "kernel-gateway/keeper/nursery.h"

struct keeper;

struct keeper_events {
    /* Stop what runs and end with this cause. May come more than once. */
    void (*stop)(void *user, enum cause cause);
    /* Any other command. *fd is -1 or what came with it, and is closed afterwards unless it was
     * taken (take_fd). */
    void (*command)(void *user, const char *command, int *fd);
    /* Appends the newest news. */
    void (*news)(void *user, struct buf *out);
};

/* Longest command; longer ones are cut off. */
#define KEEPER_COMMAND_MAX (32 * 1024)

/* Takes over the descriptors of `birth`; makes the process a child subreaper. SIGTERM, and the end
 * of the life pipe, count as "stop cancelled". */
struct keeper *keeper_open(const struct keeper_birth *birth, const struct keeper_events *events,
                           void *user);

struct loop *keeper_loop(struct keeper *keeper);

/* A descriptor that becomes readable when a command has come or a client has gone: for blocking
 * calls that must be given up then (launch_place.cancel_fd). */
int keeper_cancel_fd(const struct keeper *keeper);

/* There are news: clients are told soon. */
void keeper_notify(struct keeper *keeper);

void keeper_close(struct keeper *keeper); /* clients hear of the last news first */

/* The journal, lock and socket, below a step's attempt's (or kernel's) directory and k/<mark>. */
#define KEEPER_JOURNAL "journal"
#define KEEPER_LOCK    "lock"
#define KEEPER_SOCKET  "keeper"
#define KEEPER_ATTEMPT "attempt" /* a link from k/<mark> to the directory, see keeper_handle.h */

#endif
