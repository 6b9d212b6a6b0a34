/* Deadlines are atomics that only the connection's thread sets; the list and the descriptors are
 * under the lock, which is taken when connections come and go, and by the sweep: a descriptor in
 * the list is open, so that the sweep never touches a reused one.
 *
 * Deadlines only ever move away, and a new one is `patience` away at least; so the sweep can sleep
 * until the earliest that it has seen.
 */
#include "api/server/watch.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

/* A body may take this much longer for its size: 1 s for 100 kB. */
#define BYTES_PER_MS 100

/* Enough for what a client has sent before it can have seen the answer. */
#define LINGER_MS  2000
#define LINGER_MAX 64

struct peer {
    struct watch *watch;
    struct peer *next, *previous;
    int fd;                /* -1: released */
    _Atomic msec deadline; /* 0: none */
    msec since;            /* when waiting for the request began */
    uint64_t received;     /* of its body */
};

struct lingering {
    int fd;
    msec deadline;
};

struct watch {
    msec patience;
    pthread_t thread;
    int wake_fd;
    _Atomic bool is_over;
    _Atomic uint64_t peer_count, cut_count;
    pthread_mutex_t lock;
    struct peer *first;
    struct lingering lingering[LINGER_MAX];
    unsigned lingering_count;
};

static void wake(struct watch *watch)
{
    uint64_t one = 1;
    if (write(watch->wake_fd, &one, sizeof one) < 0)
        return; /* full: awake already */
}

/* --- the sweep --- */

/* Shuts late ones down (their own thread sees it and closes them) and gives when to look again. */
static msec sweep_peers(struct watch *watch, msec now)
{
    msec next = now + watch->patience;

    for (struct peer *peer = watch->first; peer; peer = peer->next) {
        msec deadline = atomic_load_explicit(&peer->deadline, memory_order_relaxed);
        if (deadline == 0 || peer->fd < 0)
            continue;
        if (deadline <= now) {
            shutdown(peer->fd, SHUT_RDWR);
            atomic_store_explicit(&peer->deadline, 0, memory_order_relaxed);
            watch->cut_count++;
        } else if (deadline < next) {
            next = deadline;
        }
    }
    return next;
}

/* false: the other side is done, or there is an error. Only so much at a time, however fast it
 * sends. */
static bool drop_input(int fd)
{
    char dropped[16384];
    ssize_t n = 1;

    for (int i = 0; i < 16 && n > 0; i++)
        n = recv(fd, dropped, sizeof dropped, MSG_DONTWAIT);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static msec sweep_lingering(struct watch *watch, msec now, msec next)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < watch->lingering_count; i++) {
        struct lingering *one = &watch->lingering[i];
        if (one->deadline <= now || !drop_input(one->fd)) {
            close(one->fd);
            continue;
        }
        if (one->deadline < next)
            next = one->deadline;
        watch->lingering[kept++] = *one;
    }
    watch->lingering_count = kept;
    return next;
}

static void *run_watch(void *user)
{
    struct watch *watch = user;
    struct pollfd fds[1 + LINGER_MAX];
    uint64_t count;

    while (!watch->is_over) {
        pthread_mutex_lock(&watch->lock);
        msec now = clock_mono();
        msec next = sweep_lingering(watch, now, sweep_peers(watch, now));
        nfds_t fd_count = 0;
        fds[fd_count++] = (struct pollfd){.fd = watch->wake_fd, .events = POLLIN};
        for (unsigned i = 0; i < watch->lingering_count; i++)
            fds[fd_count++] = (struct pollfd){.fd = watch->lingering[i].fd, .events = POLLIN};
        bool is_idle = !watch->first && watch->lingering_count == 0;
        pthread_mutex_unlock(&watch->lock);

        poll(fds, fd_count, is_idle ? -1 : (int)(next - now));
        if ((fds[0].revents & POLLIN) && read(watch->wake_fd, &count, sizeof count) < 0)
            continue; /* somebody else's interruption; it stays readable */
    }
    return NULL;
}

/* --- peers --- */

struct peer *peer_open(struct watch *watch, int fd)
{
    struct peer *peer = mem_zalloc(sizeof *peer);

    peer->watch = watch;
    peer->fd = fd;
    peer_await(peer);
    pthread_mutex_lock(&watch->lock);
    bool is_alone = !watch->first;
    peer->next = watch->first;
    if (watch->first)
        watch->first->previous = peer;
    watch->first = peer;
    watch->peer_count++;
    pthread_mutex_unlock(&watch->lock);
    if (is_alone)
        wake(watch);
    return peer;
}

void peer_close(struct peer *peer)
{
    struct watch *watch = peer->watch;

    pthread_mutex_lock(&watch->lock);
    if (peer->next)
        peer->next->previous = peer->previous;
    if (peer->previous)
        peer->previous->next = peer->next;
    else
        watch->first = peer->next;
    watch->peer_count--;
    pthread_mutex_unlock(&watch->lock);
    free(peer);
}

static void set_deadline(struct peer *peer, msec deadline)
{
    atomic_store_explicit(&peer->deadline, deadline, memory_order_relaxed);
}

void peer_await(struct peer *peer)
{
    peer->since = clock_mono();
    peer->received = 0;
    set_deadline(peer, peer->since + peer->watch->patience);
}

void peer_receive(struct peer *peer, size_t len)
{
    peer->received += len;
    set_deadline(peer, peer->since + peer->watch->patience + (msec)(peer->received / BYTES_PER_MS));
}

void peer_hold(struct peer *peer)
{
    set_deadline(peer, 0);
}

void peer_release(struct peer *peer)
{
    pthread_mutex_lock(&peer->watch->lock);
    peer->fd = -1;
    pthread_mutex_unlock(&peer->watch->lock);
}

void peer_linger(struct peer *peer)
{
    struct watch *watch = peer->watch;

    pthread_mutex_lock(&watch->lock);
    if (watch->lingering_count < LINGER_MAX) {
        int fd = fcntl(peer->fd, F_DUPFD_CLOEXEC, 0);
        if (fd >= 0)
            watch->lingering[watch->lingering_count++] =
                (struct lingering){fd, clock_mono() + LINGER_MS};
    }
    pthread_mutex_unlock(&watch->lock);
    wake(watch);
}

/* --- the whole --- */

struct watch *watch_new(int64_t patience_ms, struct err *e)
{
    struct watch *watch = mem_zalloc(sizeof *watch);

    watch->patience = patience_ms;
    watch->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watch->wake_fd < 0) {
        err_errno(e, errno, "cannot make an event descriptor");
        free(watch);
        return NULL;
    }
    pthread_mutex_init(&watch->lock, NULL);
    int error = pthread_create(&watch->thread, NULL, run_watch, watch);
    if (error) {
        err_errno(e, error, "cannot start a thread");
        pthread_mutex_destroy(&watch->lock);
        close(watch->wake_fd);
        free(watch);
        return NULL;
    }
    return watch;
}

void watch_free(struct watch *watch)
{
    if (!watch)
        return;
    watch->is_over = true;
    wake(watch);
    pthread_join(watch->thread, NULL);
    for (unsigned i = 0; i < watch->lingering_count; i++)
        close(watch->lingering[i].fd);
    pthread_mutex_destroy(&watch->lock);
    close(watch->wake_fd);
    free(watch);
}

uint64_t watch_peer_count(const struct watch *watch)
{
    return watch->peer_count;
}

uint64_t watch_cut_count(const struct watch *watch)
{
    return watch->cut_count;
}

void watch_cut_all(struct watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    for (struct peer *peer = watch->first; peer; peer = peer->next)
        if (peer->fd >= 0)
            shutdown(peer->fd, SHUT_RDWR);
    pthread_mutex_unlock(&watch->lock);
}
