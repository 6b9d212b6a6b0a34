/* kernel: one live kernel, from its connection file to its end.
 *
 *   starting --(kernel_info_reply and any iopub message)--> ready --(kernel_shutdown)--> stopping
 *       `----------------------- its program ends, for whatever reason ------------------> ended
 *
 * Owns the program (launch), the sockets (channels), the connection file and its socket files. An
 * event machine over a loop: nothing here waits. A kernel is ended when its process or container
 * has ended, and only then; one that never answers or whose connection breaks is killed first.
 * There is no heartbeat (see channels.h). Belongs to the loop's thread.
 *
 * While a kernel lives, its loop is run by
 *     while (!loop_is_stopped(loop))
 *         kernel_dispatch(kernel, loop, -1);
 * in place of loop_run.
 */
#ifndef SEGUE_KERNEL_GATEWAY_KERNEL_H
#define SEGUE_KERNEL_GATEWAY_KERNEL_H

#include "base/err.h"
#include "base/id.h"
#include "base/loop.h"
#include "kernel-gateway/channels.h"
#include "kernel-gateway/launch/kernelspec.h"
#include "kernel-gateway/launch/launch.h"
#include "kernel-gateway/message.h"

struct kernel;

enum kernel_state { KERNEL_STARTING, KERNEL_READY, KERNEL_STOPPING, KERNEL_ENDED };

enum kernel_end_reason {
    KERNEL_PROGRAM_ENDED,   /* by itself, by a signal from somewhere, or as kernel_shutdown asked */
    KERNEL_START_TIMED_OUT, /* it did not answer in time and was killed */
    KERNEL_CONNECTION_LOST, /* it broke off the connection but lived on, and was killed; or it sent
                               a message over LIMIT_MESSAGE_BYTES */
    KERNEL_KILLED,          /* by kernel_kill, or because it did not stop when asked */
};

struct kernel_end {
    enum kernel_end_reason reason;
    enum kernel_state during; /* the state in which that happened */
    struct launch_end launch; /* how the program ended */
    char text[300];           /* for a message: "the kernel did not answer within 60 s", ... */
};

struct kernel_events {
    /* Once; `info` is the content of the kernel_info_reply, lent for the call. */
    void (*ready)(void *user, const struct json *info);
    /* What comes while it is ready or stopping; lent for the call (message_move keeps it). Requests
     * of the kernel's own handshake have strange parents: look at message_is_child_of. */
    void (*message)(void *user, enum channel channel, struct message *message);
    /* What the program wrote to its stdout (1) or stderr (2) as a process: for a log. */
    void (*output)(void *user, int fd, const char *data, size_t len);
    /* Once, the last event. */
    void (*ended)(void *user, const struct kernel_end *end);
};

/* Borrowed until kernel_free, everything it points to too. */
struct kernel_options {
    const struct launch_place *place;
    const char *name;       /* of the kernelspec; may be NULL */
    const char *language;   /* may be NULL; see kernelspec_find */
    const char *socket_dir; /* empty, short, belongs to whom the kernel runs as; the sockets and
                               kernel.json (the connection file) go there */
    const char *socket_dir_inside; /* the same as the program sees it; NULL: the same path */
    const char *cwd;               /* as the program sees it */
    const char *const *env;        /* "NAME=value" to be added, NULL at the end; may be NULL */
    msec start_timeout_ms;         /* 0: 60 s */
};

/* Finds the kernelspec and starts the kernel. Errors: those of launch_find_kernelspec and
 * launch_start; ERR_LIMIT when the socket directory's path is too long; ERR_INVALID when the kernel
 * cannot talk to us where it shall run (one without ipc, in a container). */
int kernel_start(struct kernel **ret_kernel, struct loop *loop,
                 const struct kernel_options *options, const struct kernel_events *events,
                 void *user, struct err *e);

/* Kills what still runs, removes connection file and sockets; no event comes any more. Not from the
 * kernel's own events; other callbacks of the loop may. NULL is allowed. */
void kernel_free(struct kernel *kernel);

/* One round, see above: waits at most timeout_ms (-1: as long as it takes), passes on a bounded
 * number of messages, then does one round of the loop. NULL: no kernel (yet, or any more). */
void kernel_dispatch(struct kernel *kernel, struct loop *loop, int timeout_ms);

/* Sends a request (or an input_reply); *ret_msg_id may be NULL. Errors: ERR_LIMIT when the kernel
 * has left too many unread; ERR_CONFLICT when it has ended. */
int kernel_send(struct kernel *kernel, enum channel channel, const struct outgoing *message,
                struct uuid *ret_msg_id, struct err *e);

/* Interrupts what it executes, as its kernelspec wants it: by SIGINT or by a message. In a
 * container, where a signal may not reach the right process, by a message first, then by a signal
 * when that is not answered. That it works is not promised: the caller keeps a deadline. */
void kernel_interrupt(struct kernel *kernel);

/* Asks it to shut down and lets its exit handlers run for up to 10 s; one that hangs gets SIGTERM,
 * then SIGKILL. Then `ended` comes. A kernel that is still starting is killed at once. One that
 * executes something goes on with it first: interrupt or kill it. */
void kernel_shutdown(struct kernel *kernel);

void kernel_kill(struct kernel *kernel); /* at once, with all its processes; then `ended` comes */

enum kernel_state kernel_state(const struct kernel *kernel);

/* In the headers of what we ask ourselves, and so in the parents of the answers. Another one after
 * each start; not of a kernel that has ended. */
const struct uuid *kernel_session(const struct kernel *kernel);

const struct kernelspec *kernel_spec(const struct kernel *kernel);
struct channels_counts kernel_counts(const struct kernel *kernel); /* since its start */

#endif
