/* All timers share one timerfd, which is set to the earliest deadline of a binary heap: a timer
 * then costs no descriptor, arming one that is not the next costs no system call, and timers fire
 * in the order of their deadlines whatever else is ready. It is a timerfd and not the timeout of
 * epoll_wait so that loop_fd tells who polls it about timers, too.
 *
 * A callback may remove sources for which the running round still holds events. A removed source is
 * only marked and moved to the graveyard; its memory is given back when the round is over.
 */
#include "base/loop.h"

#include "base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

enum { BATCH = 64 };

enum kind { KIND_FD, KIND_TIMER, KIND_SIGNAL, KIND_PIDFD };

struct loop_source {
    struct loop *loop;
    struct loop_source *previous, *next;
    enum kind kind;
    bool removed;
    void *user;
    union {
        loop_fd_fn *fd_fn;
        loop_timer_fn *timer_fn;
        loop_signal_fn *signal_fn;
        loop_exit_fn *exit_fn;
    };
    int fd;          /* in epoll when not negative; a timer has none */
    uint32_t events; /* asked for */
    msec deadline;
    uint64_t armed_as; /* counts armings: orders equal deadlines */
    bool armed;        /* is in the heap, */
    size_t heap_at;    /* there */
};

struct loop {
    int epoll_fd;
    int timer_fd;
    msec timer_set; /* what timer_fd is set to; NEVER: to nothing */
    bool stopped;
    bool dispatching;
    struct loop_source *sources;
    struct loop_source *graveyard;
    struct loop_source **heap; /* armed timers, the earliest first; i is not before (i - 1) / 2 */
    size_t heap_count, heap_cap;
    uint64_t armings;
};

#define NEVER INT64_MAX

/* What fails here is out of descriptors or kernel memory, or was given a bad descriptor. */
static int must(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        abort();
    }
    return result;
}

static void watch(struct loop *loop, int fd, uint32_t events, struct loop_source *source)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    must(epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event), "loop: epoll_ctl");
}

static void unwatch(struct loop_source *source)
{
    if (source->fd >= 0)
        must(epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL),
             "loop: descriptor closed before loop_remove");
}

static void link_into(struct loop_source **list, struct loop_source *source)
{
    source->previous = NULL;
    source->next = *list;
    if (*list)
        (*list)->previous = source;
    *list = source;
}

static void unlink_from(struct loop_source **list, struct loop_source *source)
{
    if (source->previous)
        source->previous->next = source->next;
    else
        *list = source->next;
    if (source->next)
        source->next->previous = source->previous;
}

static void bury(struct loop *loop)
{
    while (loop->graveyard) {
        struct loop_source *source = loop->graveyard;
        loop->graveyard = source->next;
        free(source);
    }
}

static struct loop_source *source_new(struct loop *loop, enum kind kind, int fd, uint32_t events,
                                      void *user)
{
    struct loop_source *source = mem_zalloc(sizeof *source);
    source->loop = loop;
    source->kind = kind;
    source->fd = fd;
    source->events = events;
    source->user = user;
    link_into(&loop->sources, source);
    if (fd >= 0)
        watch(loop, fd, events, source);
    return source;
}

/* --- timers --- */

static bool is_earlier(const struct loop_source *a, const struct loop_source *b)
{
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->armed_as < b->armed_as;
}

static void heap_put(struct loop *loop, size_t at, struct loop_source *timer)
{
    loop->heap[at] = timer;
    timer->heap_at = at;
}

/* Puts `timer` where it belongs, beginning at the hole `at`. */
static void heap_settle(struct loop *loop, size_t at, struct loop_source *timer)
{
    for (; at > 0 && is_earlier(timer, loop->heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap_put(loop, at, loop->heap[(at - 1) / 2]);
    for (size_t child; (child = 2 * at + 1) < loop->heap_count; at = child) {
        if (child + 1 < loop->heap_count && is_earlier(loop->heap[child + 1], loop->heap[child]))
            child++;
        if (!is_earlier(loop->heap[child], timer))
            break;
        heap_put(loop, at, loop->heap[child]);
    }
    heap_put(loop, at, timer);
}

static void heap_insert(struct loop *loop, struct loop_source *timer)
{
    mem_grow(loop->heap, loop->heap_count, loop->heap_cap);
    timer->armed = true;
    heap_settle(loop, loop->heap_count++, timer);
}

static void heap_remove(struct loop *loop, struct loop_source *timer)
{
    if (!timer->armed)
        return;
    timer->armed = false;
    struct loop_source *last = loop->heap[--loop->heap_count];
    if (last != timer)
        heap_settle(loop, timer->heap_at, last);
}

static void sync_timer_fd(struct loop *loop)
{
    msec earliest = loop->heap_count ? loop->heap[0]->deadline : NEVER;
    if (earliest == loop->timer_set)
        return;
    struct itimerspec when = {0};
    if (earliest != NEVER) {
        msec at = earliest > 0 ? earliest : 0;
        when.it_value.tv_sec = at / 1000;
        when.it_value.tv_nsec = at % 1000 * 1000000 + (at == 0); /* all zero would disarm it */
    }
    must(timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL), "loop: timerfd_settime");
    loop->timer_set = earliest;
}

/* Fires what is due, but not what the callbacks arm anew: that waits for the next round, or a timer
 * with no delay would starve everything else. */
static void fire_timers(struct loop *loop)
{
    uint64_t expirations;
    ssize_t got = read(loop->timer_fd, &expirations, sizeof expirations);
    (void)got; /* nothing to read when the timer was set anew in this round */
    loop->timer_set = NEVER;
    msec now = clock_mono();
    uint64_t last = loop->armings;
    while (loop->heap_count && loop->heap[0]->deadline <= now && loop->heap[0]->armed_as <= last) {
        struct loop_source *timer = loop->heap[0];
        heap_remove(loop, timer);
        timer->timer_fn(timer->user);
    }
    sync_timer_fd(loop);
}

struct loop_source *loop_add_timer(struct loop *loop, loop_timer_fn *fn, void *user)
{
    struct loop_source *timer = source_new(loop, KIND_TIMER, -1, 0, user);
    timer->timer_fn = fn;
    return timer;
}

void loop_arm(struct loop_source *timer, msec deadline)
{
    assert(timer->kind == KIND_TIMER && !timer->removed);
    struct loop *loop = timer->loop;
    heap_remove(loop, timer);
    timer->deadline = deadline < NEVER ? deadline : NEVER - 1;
    timer->armed_as = ++loop->armings;
    heap_insert(loop, timer);
    sync_timer_fd(loop);
}

void loop_arm_in(struct loop_source *timer, msec delay)
{
    msec deadline;
    if (__builtin_add_overflow(clock_mono(), delay, &deadline))
        deadline = NEVER;
    loop_arm(timer, deadline);
}

void loop_disarm(struct loop_source *timer)
{
    assert(timer->kind == KIND_TIMER && !timer->removed);
    heap_remove(timer->loop, timer);
    sync_timer_fd(timer->loop);
}

/* --- descriptors, signals, processes --- */

struct loop_source *loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn,
                                void *user)
{
    struct loop_source *source = source_new(loop, KIND_FD, fd, events, user);
    source->fd_fn = fn;
    return source;
}

void loop_set_events(struct loop_source *source, uint32_t events)
{
    assert(source->kind == KIND_FD && !source->removed);
    if (events == source->events)
        return;
    struct epoll_event event = {.events = events, .data.ptr = source};
    must(epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event), "loop: epoll_ctl");
    source->events = events;
}

struct loop_source *loop_add_signal(struct loop *loop, int signal_number, loop_signal_fn *fn,
                                    void *user)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, signal_number);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    int fd = must(signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC), "loop: signalfd");
    struct loop_source *source = source_new(loop, KIND_SIGNAL, fd, EPOLLIN, user);
    source->signal_fn = fn;
    return source;
}

struct loop_source *loop_add_pidfd(struct loop *loop, int pidfd, loop_exit_fn *fn, void *user)
{
    struct loop_source *source = source_new(loop, KIND_PIDFD, pidfd, EPOLLIN, user);
    source->exit_fn = fn;
    return source;
}

/* The signal stays blocked: one that is pending would otherwise strike now. */
void loop_remove(struct loop_source *source)
{
    if (!source)
        return;
    assert(!source->removed);
    struct loop *loop = source->loop;
    unwatch(source);
    if (source->kind == KIND_SIGNAL)
        close(source->fd);
    if (source->kind == KIND_TIMER)
        loop_disarm(source);
    source->removed = true;
    unlink_from(&loop->sources, source);
    link_into(&loop->graveyard, source);
    if (!loop->dispatching)
        bury(loop);
}

/* --- the loop --- */

struct loop *loop_new(void)
{
    struct loop *loop = mem_zalloc(sizeof *loop);
    loop->epoll_fd = must(epoll_create1(EPOLL_CLOEXEC), "loop: epoll_create1");
    loop->timer_fd =
        must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "loop: timerfd_create");
    loop->timer_set = NEVER;
    watch(loop, loop->timer_fd, EPOLLIN, NULL); /* the only one without a source */
    return loop;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    assert(!loop->dispatching);
    while (loop->sources)
        loop_remove(loop->sources);
    close(loop->timer_fd);
    close(loop->epoll_fd);
    free(loop->heap);
    free(loop);
}

static void deliver_signal(struct loop_source *source)
{
    struct signalfd_siginfo info;
    if (read(source->fd, &info, sizeof info) == sizeof info)
        source->signal_fn(source->user, (int)info.ssi_signo);
}

/* An earlier callback of the round may have stopped asking for some of `events`. */
static void deliver(struct loop_source *source, uint32_t events)
{
    switch (source->kind) {
    case KIND_FD:
        events &= source->events | EPOLLERR | EPOLLHUP;
        if (events)
            source->fd_fn(source->user, events);
        break;
    case KIND_TIMER:
        break; /* has no descriptor */
    case KIND_SIGNAL:
        deliver_signal(source);
        break;
    case KIND_PIDFD:
        unwatch(source); /* once only; it would be readable for good */
        source->fd = -1;
        source->exit_fn(source->user);
        break;
    }
}

void loop_dispatch(struct loop *loop, int timeout_ms)
{
    assert(!loop->dispatching);
    struct epoll_event events[BATCH];
    int count = epoll_wait(loop->epoll_fd, events, BATCH, timeout_ms);
    if (count < 0 && errno != EINTR)
        must(count, "loop: epoll_wait");
    loop->dispatching = true;
    for (int i = 0; i < count; i++) {
        struct loop_source *source = events[i].data.ptr;
        if (!source)
            fire_timers(loop);
        else if (!source->removed)
            deliver(source, events[i].events);
    }
    loop->dispatching = false;
    bury(loop);
}

void loop_run(struct loop *loop)
{
    while (!loop->stopped)
        loop_dispatch(loop, -1);
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

int loop_fd(const struct loop *loop)
{
    return loop->epoll_fd;
}

int loop_is_stopped(const struct loop *loop)
{
    return loop->stopped;
}
