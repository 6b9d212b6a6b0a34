/* loop: waits for descriptors, deadlines, signals and children, and calls back.
 *
 * One epoll per loop; one thread runs it and is the only one that may touch it. Callbacks run one
 * after the other inside loop_run or loop_dispatch; a callback may add, change and remove any
 * source, its own too. loop_fd is itself a descriptor that can be polled, so that a loop fits
 * beside zmq_poll. Sources belong to the loop; the pointer is good until loop_remove.
 */
#ifndef SEGUE_BASE_LOOP_H
#define SEGUE_BASE_LOOP_H

#include "base/clock.h"
#include "base/err.h"

#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

struct loop;
struct loop_source;

struct loop *loop_new(void);
void loop_free(struct loop *loop); /* removes what is left; closes only what it opened itself */

/* events: EPOLLIN, EPOLLOUT, ...; `events` of the callback as epoll_wait gave them. The caller
 * keeps the descriptor and closes it after loop_remove. */
typedef void loop_fd_fn(void *user, uint32_t events);
struct loop_source *loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn,
                                void *user);
void loop_set_events(struct loop_source *source, uint32_t events);

/* A timer, made unarmed. Arming sets the one deadline (clock_mono); it fires once. */
typedef void loop_timer_fn(void *user);
struct loop_source *loop_add_timer(struct loop *loop, loop_timer_fn *fn, void *user);
void loop_arm(struct loop_source *timer, msec deadline);
void loop_arm_in(struct loop_source *timer, msec delay);
void loop_disarm(struct loop_source *timer);

/* Blocks the signal for the calling thread and takes it from a signalfd. */
typedef void loop_signal_fn(void *user, int signal_number);
struct loop_source *loop_add_signal(struct loop *loop, int signal_number, loop_signal_fn *fn,
                                    void *user);

/* Called once when the process behind the pidfd has ended (it is not reaped). */
typedef void loop_exit_fn(void *user);
struct loop_source *loop_add_pidfd(struct loop *loop, int pidfd, loop_exit_fn *fn, void *user);

void loop_remove(struct loop_source *source); /* NULL is allowed */

int loop_fd(const struct loop *loop);
void loop_dispatch(struct loop *loop, int timeout_ms); /* one round; -1 waits, 0 does not */
void loop_run(struct loop *loop);                      /* until loop_stop */
void loop_stop(struct loop *loop);
int loop_is_stopped(const struct loop *loop);

#endif
