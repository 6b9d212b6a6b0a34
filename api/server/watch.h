/* watch: open connections, and the patience with their clients.
 *
 * A client that does not get a request whole to us in time is cut off, however busily it drips
 * bytes: time since its connection was opened, its last request ended or its request line came,
 * and more for a body, by what has arrived of it. One thread of its own does the cutting.
 *
 * It also closes gently: after an answer to a request that was not read to its end, what is still
 * coming is read and dropped for a while, since closing at once would take the answer away from the
 * client (TCP resets). Thread-safe, but a peer belongs to the thread of its connection.
 */
#ifndef SEGUE_API_SERVER_WATCH_H
#define SEGUE_API_SERVER_WATCH_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct watch;
struct peer; /* one open connection */

struct watch *watch_new(int64_t patience_ms, struct err *e);
void watch_free(struct watch *watch); /* NULL is allowed; no peer any more */

struct peer *peer_open(struct watch *watch, int fd); /* the descriptor stays the caller's */
void peer_close(struct peer *peer);                  /* before the descriptor is closed */

void peer_await(struct peer *peer);               /* a request, or the rest of one, must come now */
void peer_receive(struct peer *peer, size_t len); /* so much of its body came */
void peer_hold(struct peer *peer);                /* it is for us to do something now */

/* Its socket is somebody else's from here on, and not to be shut down; only peer_close follows. */
void peer_release(struct peer *peer);

/* The connection is about to be closed: its socket is to be read empty for a while. */
void peer_linger(struct peer *peer);

uint64_t watch_peer_count(const struct watch *watch);
uint64_t watch_cut_count(const struct watch *watch); /* for having been too slow */

void watch_cut_all(struct watch *watch); /* whatever they are doing */

#endif
