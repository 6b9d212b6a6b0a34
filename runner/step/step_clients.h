/* step_clients: the people who look into a step's kernel while it runs, or when it was kept, and
 * how the kernel does in their eyes.
 *
 * They hear all that the kernel says, the step's own cells included, and may execute things of
 * their own, which wait in the kernel's queue as they would in a notebook. Nothing is kept before
 * the first of them comes, so that a step which nobody looks into pays nothing. Owns the audience;
 * belongs to the step's thread.
 */
#ifndef SEGUE_RUNNER_STEP_CLIENTS_H
#define SEGUE_RUNNER_STEP_CLIENTS_H

#include "base/loop.h"
#include "kernel-gateway/clients/audience.h"
#include "kernel-gateway/interactive/activity.h"
#include "kernel-gateway/interactive/kernel_news.h"
#include "kernel-gateway/kernel.h"

struct step_clients {
    struct loop *loop;
    const char *directory;        /* for what does not fit into memory */
    struct kernel *const *kernel; /* where it is once it was started; NULL in it: not yet */
    struct audience *audience;    /* NULL: nobody has come so far */
    struct activity activity;
    bool is_ready; /* the kernel was, at some time */
};

/* The command "admit ...": takes the descriptor when it is one. */
void step_clients_admit(struct step_clients *clients, const char *command, int *fd);

void step_clients_ready(struct step_clients *clients); /* the kernel is */
void step_clients_tell(struct step_clients *clients, enum channel channel, struct message *message);

/* How the kernel does. */
struct kernel_news step_clients_news(const struct step_clients *clients);

/* Whether a message stems from a request of somebody else than `request`. */
bool step_clients_are_meant(const struct step_clients *clients, const struct message *message,
                            const struct uuid *request);

/* The kernel has ended: says good-bye to everybody, waits a moment for those who do not listen, and
 * lets go of what it owns. Turns the loop. */
void step_clients_end(struct step_clients *clients);

#endif
