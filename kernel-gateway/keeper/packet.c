#include "kernel-gateway/keeper/packet.h"

#include <sys/time.h>

#include <sys/un.h>

#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union fd_space {
    char bytes[CMSG_SPACE(PACKET_FDS_MAX * sizeof(int))];
    struct cmsghdr align;
};

static void attach(struct msghdr *message, union fd_space *space, const int *fds, size_t fd_count)
{
    message->msg_control = space->bytes;
    message->msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
}

int packet_connect(const char *path, int timeout_s)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval timeout = {.tv_sec = timeout_s};
    int kind = SOCK_SEQPACKET | SOCK_CLOEXEC | (timeout_s > 0 ? 0 : SOCK_NONBLOCK);

    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    auto_close int fd = socket(AF_UNIX, kind, 0);
    if (fd < 0)
        return -1;
    if (timeout_s > 0) /* holds for connect, too */
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return take_fd(&fd);
    int number = errno;
    close(take_fd(&fd));
    errno = number;
    return -1;
}

int packet_send(int socket_fd, const void *data, size_t len, const int *fds, size_t fd_count,
                int flags)
{
    union fd_space space = {0};
    struct iovec part = {(void *)data, len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t sent;

    if (fd_count > 0)
        attach(&message, &space, fds, fd_count);
    do
        sent = sendmsg(socket_fd, &message, flags | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)len ? 0 : -1;
}

static void take_fds(struct cmsghdr *header, int fds[PACKET_FDS_MAX], size_t *fd_count)
{
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

    for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
        if (*fd_count < PACKET_FDS_MAX)
            fds[(*fd_count)++] = fd;
        else
            close(fd);
    }
}

/* The space offered is for just as many descriptors as there may be: the system closes what is
 * more (MSG_CTRUNC), and what does not fit into our table of descriptors. What came, came. */
ssize_t packet_receive(int socket_fd, void *data, size_t room, int fds[PACKET_FDS_MAX],
                       size_t *fd_count, int flags)
{
    union fd_space space;
    struct iovec part = {data, room};
    struct msghdr message;
    ssize_t got;

    do {
        message = (struct msghdr){.msg_iov = &part,
                                  .msg_iovlen = 1,
                                  .msg_control = space.bytes,
                                  .msg_controllen = CMSG_LEN(PACKET_FDS_MAX * sizeof(int))};
        got = recvmsg(socket_fd, &message, flags | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    *fd_count = 0;
    if (got < 0)
        return -1;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
         header = CMSG_NXTHDR(&message, header))
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            take_fds(header, fds, fd_count);
    return got;
}
