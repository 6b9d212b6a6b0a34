/* keeper_handle: the other end of a keeper: of who has it born, takes it up again after a restart,
 * tells it what to do, hears its news and sees it end.
 *
 *     DIRECTORY/lock           held for as long as it lives
 *     SOCKETS/<mark>/keeper    its command socket; attempt: a link to DIRECTORY; s/: the kernel's
 *
 * Knows nothing of what the keeper does. Belongs to its loop's thread.
 */
#ifndef SEGUE_KERNEL_GATEWAY_KEEPER_HANDLE_H
#define SEGUE_KERNEL_GATEWAY_KEEPER_HANDLE_H

#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"
#include "kernel-gateway/keeper/nursery.h"

#include <stdbool.h>
#include <sys/types.h>

struct keeper_handle;

struct keeper_handle_events {
    /* A packet of news; lent. */
    void (*news)(void *user, struct str packet);
    /* Once: the process has ended. */
    void (*ended)(void *user);
};

/* Where it lives and whose rights its kernel has. Borrowed for the call. */
struct keeper_site {
    const char *directory;  /* of the attempt or kernel; absolute, exists */
    const char *socket_dir; /* SOCKETS/<mark>; its kernel's sockets go to s/ in it */
    bool change_user;       /* s/ is given to uid:gid */
    uid_t uid;
    gid_t gid;
};

/* A name for marks and socket directories: 10 characters. */
void keeper_mark(char mark[11]);

/* Makes the socket directory, takes the lock, has the keeper born. ERR_UNAVAILABLE: the nursery was
 * killed meanwhile, and whether it has borne one is for keeper_adopt to say; after other errors
 * nothing is left. */
int keeper_bear(struct keeper_handle **ret_handle, struct loop *loop, struct nursery *nursery,
                const struct keeper_site *site, int life_fd,
                const struct keeper_handle_events *events, void *user, struct err *e);

enum keeper_found {
    KEEPER_LIVES,       /* *ret_handle */
    KEEPER_GONE,        /* it has lived, and ended */
    KEEPER_NEVER_BEGUN, /* it was decided to start it, and it has come to nothing */
};

/* Takes up a keeper that an earlier daemon had borne. -1 with ERR_UNAVAILABLE: it cannot be said
 * yet. Only KEEPER_LIVES sets *ret_handle. */
int keeper_adopt(struct keeper_handle **ret_handle, enum keeper_found *ret_found, struct loop *loop,
                 const char *directory, const char *socket_dir,
                 const struct keeper_handle_events *events, void *user, struct err *e);

/* Sends a command; one that is not read for long is lost (-1), as after the keeper's end. */
int keeper_tell(struct keeper_handle *handle, const char *command);

void keeper_kill(struct keeper_handle *handle); /* SIGKILL; `ended` comes */
bool keeper_has_ended(const struct keeper_handle *handle);

/* Lets go; a keeper that lives goes on. Removes nothing. NULL is allowed. */
void keeper_handle_free(struct keeper_handle *handle);

/* Whether something that the keeper of k/<mark> started may be left: its link `attempt` is there.
 */
bool keeper_may_have_left(const char *socket_dir);

/* Takes that link away: nothing is left to be ended, so the next start need not look for it. */
void keeper_forget(const char *socket_dir);

/* What k/<mark> has left of a keeper that is gone: removes it, unless the link `attempt` says that
 * something that it started may be left. */
void keeper_clear_sockets(const char *socket_dir);

/* Whether the lock in `directory` is held: its keeper lives. */
bool keeper_is_alive(const char *directory);

#endif
