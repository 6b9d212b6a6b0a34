/* keeper: the frame of the small process that stays with one kernel or script: its event loop, its
 * journal, its command socket, and the end of everything it started.
 *
 * It outlives the engine: commands come over a socket that an engine may connect to at any time
 * (now, or after a restart), and what happens goes into the journal, of which a connected engine is
 * only told how long it has become. What the keeper does for a living (drive a notebook, run a
 * script) is its driver's business (runner/step/step.h).
 *
 * The socket (SOCK_SEQPACKET): down come texts, one command a packet: "stop CAUSE". Up go 8 bytes,
 * the size of the journal in native byte order, when a client connects and whenever it has grown.
 *
 * One per process, one thread.
 */
#ifndef SEGUE_KERNEL_GATEWAY_KEEPER_H
#define SEGUE_KERNEL_GATEWAY_KEEPER_H

#include "base/err.h"
#include "base/loop.h"
#include "kernel-gateway/cause.h"
#include "kernel-gateway/journal.h"
#include "kernel-gateway/nursery.h"

struct keeper;

struct keeper_events {
    /* Stop what runs and end the step with this cause. May come more than once. */
    void (*stop)(void *user, enum cause cause);
};

/* Takes over the descriptors of `birth`; makes the process a child subreaper; opens the journal in
 * the attempt's directory. SIGTERM, and the end of the life pipe, count as "stop cancelled". */
int keeper_open(struct keeper **ret_keeper, const struct keeper_birth *birth,
                const struct keeper_events *events, void *user, struct err *e);

struct loop *keeper_loop(struct keeper *keeper);
struct journal *keeper_journal(struct keeper *keeper);

/* A descriptor that becomes readable when a command has come or the engine has gone: for blocking
 * calls that must be given up then (launch_place.cancel_fd). */
int keeper_cancel_fd(const struct keeper *keeper);

/* Ends the line that was begun in the journal and has the engine told soon. */
int keeper_commit(struct keeper *keeper, struct str *ret_line, struct err *e);

void keeper_close(struct keeper *keeper); /* the engine hears of the last line first */

/* The journal, lock and socket of an attempt, below its directory and socket directory. */
#define KEEPER_JOURNAL "journal"
#define KEEPER_LOCK    "lock"
#define KEEPER_SOCKET  "keeper"

#endif
