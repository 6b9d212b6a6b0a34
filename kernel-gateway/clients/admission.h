/* admission: a WebSocket client on its way from the HTTP server to the keeper of its kernel.
 *
 * The server has checked who it is and has left HTTP; the connected socket itself goes to the
 * keeper, which talks to the client from then on. So the daemon may be killed and started again
 * without the client noticing. The rest of what the keeper needs to know is this, as JSON in the
 * command "admit {...}" with the descriptor attached (keeper.h).
 */
#ifndef SEGUE_KERNEL_GATEWAY_ADMISSION_H
#define SEGUE_KERNEL_GATEWAY_ADMISSION_H

#include "base/buf.h"
#include "base/err.h"
#include "kernel-gateway/clients/client_wire.h"

struct admission {
    char session[129];       /* the client's session_id; "": it has none, and gets one */
    struct client_form form; /* how it wants its messages */
    bool is_behind_proxy;    /* its TCP's acknowledgements say nothing about the client itself */
    struct buf read_ahead;   /* what came behind the handshake already; 8 KiB at most */
};

#define ADMISSION_READ_AHEAD_MAX 8192

void admission_clear(struct admission *admission); /* all-zero is cleared already */
#define auto_admission __attribute__((cleanup(admission_clear)))

/* Appends the command. */
void admission_encode(const struct admission *admission, struct buf *out);

/* ERR_INVALID: no such command. */
int admission_parse(struct admission *admission, struct str command, struct err *e);

/* Gives the client to the keeper that listens at `socket_path`. Takes the descriptor, whatever
 * happens. ERR_NOT_FOUND: nobody listens there; ERR_UNAVAILABLE: it does not take it. Any thread.
 */
int admission_send(const struct admission *admission, const char *socket_path, int take_fd,
                   struct err *e);

#endif
