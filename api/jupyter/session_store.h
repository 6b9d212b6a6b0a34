/* session_store: which notebook has which kernel: Jupyter's sessions, kept in a small JSON file so
 * that they outlive the daemon as the kernels do.
 *
 * The file is written at each change, unsynced: what a power failure takes, it takes with the
 * kernels. One that cannot be written is tried again with the next change; one that cannot be read
 * counts as empty. Any thread.
 */
#ifndef SEGUE_API_JUPYTER_SESSION_STORE_H
#define SEGUE_API_JUPYTER_SESSION_STORE_H

#include "base/buf.h"
#include "base/id.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define SESSIONS_MAX     1000
#define SESSION_TEXT_MAX 4096 /* bytes of each text */

struct session {
    char *id;   /* a uuid */
    char *path; /* of the notebook, as the client has it */
    char *name; /* for people; "" is common */
    char *type; /* "notebook", "console", "file", ... */
    char *kernel_id;
};

void session_clear(struct session *session); /* all-zero is cleared already */
#define auto_session __attribute__((cleanup(session_clear)))

struct session session_copy(const struct session *session);

struct session_store;

struct session_store *session_store_new(const char *path);
void session_store_free(struct session_store *store); /* NULL is allowed */

/* Oldest first; the array and its items are the caller's. */
size_t session_store_list(struct session_store *store, struct session **ret_sessions);
bool session_store_find(struct session_store *store, const char *id, struct session *ret_session);
bool session_store_find_path(struct session_store *store, const char *path,
                             struct session *ret_session);

/* Adds a session, or replaces the one with its id. False: there are SESSIONS_MAX. */
bool session_store_put(struct session_store *store, const struct session *session);

/* False: there is none (any more). */
bool session_store_remove(struct session_store *store, const char *id);

/* The file. */
void sessions_encode(const struct session *sessions, size_t count, struct buf *out);
/* What is no session is left out. */
size_t sessions_parse(struct str text, struct session **ret_sessions);

#endif
