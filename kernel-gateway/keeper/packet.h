/* packet: packets with descriptors on them, over a unix socket that keeps packets apart
 * (SOCK_SEQPACKET). Any thread. */
#ifndef SEGUE_KERNEL_GATEWAY_PACKET_H
#define SEGUE_KERNEL_GATEWAY_PACKET_H

#include <stddef.h>
#include <sys/types.h>

#define PACKET_FDS_MAX 3

/* A socket connected to the one that listens at `path`, or -1 with errno. It does not block, but
 * with a timeout: then connecting and sending wait for so many seconds at most. */
int packet_connect(const char *path, int timeout_s);

/* 0, or -1 with errno. `flags` as for send(2), MSG_NOSIGNAL is added. The descriptors stay the
 * caller's. */
int packet_send(int socket_fd, const void *data, size_t len, const int *fds, size_t fd_count,
                int flags);

/* Bytes received, 0 at the end, -1 with errno; *fd_count: how many descriptors came, at most
 * PACKET_FDS_MAX (they are the caller's now, close-on-exec). `flags` as for recv(2). */
ssize_t packet_receive(int socket_fd, void *data, size_t room, int fds[PACKET_FDS_MAX],
                       size_t *fd_count, int flags);

#endif
