/* gateway_cleaner: ends what kernels have left behind whose keepers were killed, and removes what
 * there is of them on disk: on a thread of its own, for Docker's engine may hang.
 *
 * What cannot be ended now is tried again and again, and found again by the next gateway.
 */
#ifndef SEGUE_KERNEL_GATEWAY_GATEWAY_CLEANER_H
#define SEGUE_KERNEL_GATEWAY_GATEWAY_CLEANER_H

#include "kernel-gateway/launch/launch.h"

struct gateway_cleaner;

/* What is to be cleaned; the texts are copied. */
struct gateway_leavings {
    enum launcher_kind launcher;
    const char *mark;
    const char *directory, *sockets;
    void *kernel; /* gateway_cleaner_next gives it back when this was tried; NULL: nobody waits */
};

/* `wake_fd`: an eventfd, written to when something was tried. */
struct gateway_cleaner *gateway_cleaner_new(int wake_fd, int64_t retry_ms);

/* Ends after what it is at. NULL is allowed. */
void gateway_cleaner_free(struct gateway_cleaner *cleaner);

void gateway_cleaner_add(struct gateway_cleaner *cleaner, const struct gateway_leavings *leavings);

/* One after the other, the kernels of what was tried; NULL: none now. */
void *gateway_cleaner_next(struct gateway_cleaner *cleaner);

/* What is on disk of a kernel that has left nothing else. Any thread. */
void gateway_remove_files(const char *directory, const char *sockets);

#endif
