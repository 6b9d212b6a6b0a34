/* gateway: the interactive kernels of a service: starts them, takes them up again after a restart,
 * culls them, and knows at any time how they do.
 *
 * A thread of its own has a loop, a nursery and one connection per kernel, to its keeper. The
 * kernels' messages do not come by here: clients talk to the keepers themselves (admission.h), and
 * kernels go on when the gateway ends. All functions may be called from any thread; answers come on
 * the gateway's thread, or at once where something is refused (ERR_LIMIT, ERR_CONFLICT), and must
 * not block.
 *
 *     DIRECTORY/<kernel id>/interactive.json, lock, kernel.log
 *     SOCKETS/<mark>/keeper, attempt, s/
 */
#ifndef SEGUE_KERNEL_GATEWAY_GATEWAY_H
#define SEGUE_KERNEL_GATEWAY_GATEWAY_H

#include "base/buf.h"
#include "base/err.h"
#include "kernel-gateway/clients/admission.h"
#include "kernel-gateway/interactive/interactive_task.h"
#include "kernel-gateway/interactive/kernel_news.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gateway;

struct gateway_culling {
    int64_t idle_timeout_s; /* 0: never */
    int64_t interval_s;     /* 0: 300 */
    bool connected;         /* also those that somebody is connected to */
    bool busy;              /* also those that execute something */
};

/* 0: the default in brackets. */
struct gateway_limits {
    uint32_t kernels;          /* in all, those that start included (200) */
    uint32_t kernels_per_user; /* by KERNEL_USERNAME (as many) */
    uint32_t starting;         /* at a time; others wait (the number of processors) */
    int64_t answer_ms;         /* a start or restart that takes longer is answered as it is (30 s);
                                  clients give up after 42 s */
    int64_t shutdown_ms;       /* a keeper that has not ended by then is killed (15 s) */
};

/* How a kernel is, for whoever asks. A copy; owns its texts. */
struct kernel_view {
    char *id, *name, *launcher, *image, *project, *environment, *username;
    char *socket_path; /* of its keeper: admission_send */
    int64_t created_us;
    struct kernel_news news;
    bool is_waiting; /* for its turn to start */
};
void kernel_view_clear(struct kernel_view *view);
#define auto_kernel_view __attribute__((cleanup(kernel_view_clear)))

/* For a log: "kernel_started", "kernel_died" (or could not be started), "kernel_culled",
 * "kernel_gone" (its keeper was killed, and the kernel with it). On the gateway's thread. */
typedef void gateway_event_fn(void *user, const char *what, const struct kernel_view *view);

/* Texts are copied. */
struct gateway_options {
    const char *directory; /* made when missing */
    const char *sockets;   /* STATE/k */
    const char *const *nursery_argv;
    struct gateway_limits limits;
    struct gateway_culling culling;
    gateway_event_fn *event; /* or NULL */
    void *event_user;
};

/* Takes up the kernels that live already, ends what is left of those whose keepers are gone (in the
 * background, where that needs Docker's engine), and starts the thread. */
int gateway_open(struct gateway **ret_gateway, const struct gateway_options *options,
                 struct err *e);
void gateway_close(struct gateway *gateway); /* kernels go on; who waits gets ERR_UNAVAILABLE; NULL
                                                is allowed */

/* `view`: how the kernel is now; NULL with `e`: it is not there, or the wish could not be met. */
typedef void gateway_answer_fn(void *user, const struct kernel_view *view, const struct err *e);

/* Whether another kernel of this user may be started now: ERR_LIMIT with a text for the user. The
 * number is checked again by gateway_start. */
int gateway_check_limits(struct gateway *gateway, const char *username, struct err *e);

/* Starts a kernel; `take_task` (all but mark and socket_dir set, which are made
 * here, and mounted where there is a socket_dir_inside) is cleared.
 * Answers when it is ready, when it could not be started (then it is gone again: ERR_INVALID,
 * ERR_NOT_FOUND, ERR_UNAVAILABLE, ... with why), or after answer_ms as it is. ERR_LIMIT: too many;
 * ERR_CONFLICT: the id is taken. */
void gateway_start(struct gateway *gateway, struct interactive_task *take_task,
                   gateway_answer_fn *answer, void *user);

/* Answers as soon as the keeper was told. */
void gateway_interrupt(struct gateway *gateway, const char *id, gateway_answer_fn *answer,
                       void *user);

/* Answers when it is ready again, or dead (ERR_UNAVAILABLE with why), or after answer_ms. */
void gateway_restart(struct gateway *gateway, const char *id, gateway_answer_fn *answer,
                     void *user);

/* Answers when the kernel and its keeper are gone (`view` as it was last). */
void gateway_shutdown(struct gateway *gateway, const char *id, gateway_answer_fn *answer,
                      void *user);

/* All kernels, oldest first; the array and its items are the caller's. */
size_t gateway_list(struct gateway *gateway, struct kernel_view **ret_views);
bool gateway_find(struct gateway *gateway, const char *id, struct kernel_view *ret_view);

/* Appends Prometheus text. */
void gateway_metrics(struct gateway *gateway, struct buf *out);

#endif
