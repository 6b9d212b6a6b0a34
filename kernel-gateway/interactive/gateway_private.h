/* gateway_private: the gateway, and one of its kernels, for the sources gateway*.c alone.
 *
 * Two things are shared between threads, under the mutex: the table of kernels with what each looks
 * like from outside (`view`), and the queue of commands. Everything else of a kernel belongs to the
 * gateway's thread, which alone changes views and takes kernels out of the table: it reads both
 * without the mutex, but for the table itself, which others add to.
 */
#ifndef SEGUE_KERNEL_GATEWAY_GATEWAY_PRIVATE_H
#define SEGUE_KERNEL_GATEWAY_GATEWAY_PRIVATE_H

#include "base/loop.h"
#include "kernel-gateway/interactive/gateway.h"
#include "kernel-gateway/interactive/gateway_cleaner.h"
#include "kernel-gateway/keeper/keeper_handle.h"

#include <pthread.h>

/*   reserved -> waiting -> starting -> alive
 *                  ^ taken up -------^
 * and from each of them: stopping, after which it is taken out of the table. */
enum gateway_state {
    GATEWAY_RESERVED, /* it has a place in the table, and nothing else */
    GATEWAY_TAKEN_UP, /* it was there before us and has not been heard of yet */
    GATEWAY_WAITING,  /* its keeper lives; too many others start */
    GATEWAY_STARTING, /* its keeper was told "start" */
    GATEWAY_ALIVE,    /* it was ready, and may be dead by now */
    GATEWAY_STOPPING, /* it is told to end, or has ended; what is left of it is removed */
};

enum gateway_wish { GATEWAY_FOR_READY, GATEWAY_FOR_END };

/* Somebody who waits for an answer. */
struct gateway_waiter {
    struct gateway_kernel *kernel;
    enum gateway_wish wish;
    uint32_t starts; /* ready: more often than so */
    bool has_lived;  /* not dead, since: a death that is told now is a new one */
    gateway_answer_fn *answer;
    void *user;
    struct loop_source *deadline; /* or NULL */
    struct gateway_waiter *next;
};

struct gateway_kernel {
    struct gateway *gateway;
    struct kernel_view view;
    bool is_failed; /* it could not be started, and is seen by nobody while it goes away */
    enum gateway_state state;
    struct interactive_task task;
    char *directory, *sockets; /* sockets: k/<mark> */
    enum launcher_kind launcher;
    struct keeper_handle *keeper; /* NULL: none yet, or no more */
    struct loop_source *kill_timer;
    bool was_killed; /* or ended without being asked: something may be left of it */
    struct gateway_waiter *waiters;
};

enum gateway_command_kind {
    GATEWAY_START, /* a reserved kernel */
    GATEWAY_INTERRUPT,
    GATEWAY_RESTART,
    GATEWAY_SHUTDOWN,
};

struct gateway_command {
    enum gateway_command_kind kind;
    struct gateway_kernel *kernel; /* START */
    char *id;                      /* all others */
    gateway_answer_fn *answer;
    void *user;
    struct gateway_command *next;
};

struct gateway_counts {
    uint64_t starts, start_failures, culled;
};

struct gateway {
    char *directory, *sockets;
    struct gateway_limits limits;
    struct gateway_culling culling;
    gateway_event_fn *event; /* or NULL */
    void *event_user;
    pthread_t thread;
    struct loop *loop;
    struct nursery *nursery;
    struct gateway_cleaner *cleaner;
    struct loop_source *cull_timer;
    int wake_fd;

    pthread_mutex_t mutex;
    /* under the mutex: */
    struct gateway_kernel **kernels; /* oldest first */
    size_t kernel_count, kernel_capacity;
    struct gateway_command *commands, **commands_end;
    size_t command_count;
    struct gateway_counts counts;
    bool is_closing;
};

/* --- gateway_table.c --- */

/* A kernel with everything that follows from its task, which it takes; in no table yet. */
struct gateway_kernel *gateway_kernel_new(struct gateway *gateway,
                                          struct interactive_task *take_task);
void gateway_kernel_free(struct gateway_kernel *kernel); /* its keeper, if any, lives on */

/* With the mutex held; refused as gateway_start says. */
int gateway_table_add(struct gateway *gateway, struct gateway_kernel *kernel, struct err *e);
/* Without a limit; those that were there before us. */
void gateway_table_take_up(struct gateway *gateway, struct gateway_kernel *kernel);
void gateway_table_remove(struct gateway *gateway, const struct gateway_kernel *kernel);

/* On the gateway's thread, where it cannot go in between. NULL: no such. */
struct gateway_kernel *gateway_table_at(struct gateway *gateway, size_t index);
struct gateway_kernel *gateway_table_find(struct gateway *gateway, const char *id);

void gateway_set_news(struct gateway_kernel *kernel, const struct kernel_news *news);
void gateway_set_failed(struct gateway_kernel *kernel);
void gateway_set_waiting(struct gateway_kernel *kernel, bool is_waiting);
void gateway_count(struct gateway *gateway, uint64_t *count, uint64_t more);

void gateway_tell_event(const struct gateway_kernel *kernel, const char *what);

/* --- gateway_waiters.c --- */

/* `starts`: ready: more often than so. Who waits for that is answered after a while in any case. */
void gateway_wait_for(struct gateway_kernel *kernel, enum gateway_wish wish, uint32_t starts,
                      gateway_answer_fn *answer, void *user);
bool gateway_is_waited_for(const struct gateway_kernel *kernel); /* to be ready */

/* All who wish this; e: NULL: it has come true. */
void gateway_answer_all(struct gateway_kernel *kernel, enum gateway_wish wish, const struct err *e);

/* Those whom the newest news say something. */
void gateway_answer_by_news(struct gateway_kernel *kernel);

bool gateway_is_ready(const struct kernel_news *news);
void gateway_death_of(const struct kernel_news *news, struct err *e);

/* --- gateway_kernel.c --- */

/* Who waits is answered in the end, by whatever becomes of the kernel. */
void gateway_kernel_start(struct gateway_kernel *kernel, gateway_answer_fn *answer, void *user);
void gateway_kernel_interrupt(struct gateway_kernel *kernel, gateway_answer_fn *answer, void *user);
void gateway_kernel_restart(struct gateway_kernel *kernel, gateway_answer_fn *answer, void *user);
void gateway_kernel_shutdown(struct gateway_kernel *kernel, gateway_answer_fn *answer, void *user);

/* Nothing is left of it that we could remove: it leaves the table. */
void gateway_kernel_finish(struct gateway_kernel *kernel);

/* The gateway ends: who waits hears that. */
void gateway_kernel_let_go(struct gateway_kernel *kernel);

/* As keeper_adopt; where its keeper lives it is a kernel of ours again. */
int gateway_kernel_adopt(struct gateway_kernel *kernel, enum keeper_found *ret_found,
                         struct err *e);

/* Has as many kernels start as may at a time. */
void gateway_admit_next(struct gateway *gateway);

/* --- gateway_recover.c, gateway_culling.c --- */

void gateway_recover(struct gateway *gateway);

void gateway_cull(struct gateway *gateway);
int64_t gateway_cull_interval_ms(const struct gateway_culling *culling);

/* Whether a kernel that looks like this has been left alone for long enough. */
bool gateway_is_to_cull(const struct gateway_culling *culling, const struct kernel_view *view,
                        int64_t own_timeout_s, int64_t now_us);

#endif
