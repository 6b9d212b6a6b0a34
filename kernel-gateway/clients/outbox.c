/* What TCP has acknowledged is what was written less SIOCOUTQ. Linux counts there from the oldest
 * byte that is not acknowledged to the last one that was written, a FIN of ours among them, and
 * keeps both ends as they are when a RST comes or it gives up: the number is final then. It does
 * not look at a RST's own acknowledgement, so what the peer took at the very last, within a delayed
 * acknowledgement, may be missing; never is there too much. What others wrote before us (the
 * answer to a handshake) counts too while it waits.
 *
 * For unix sockets SIOCOUTQ is memory, not bytes; what such a socket took is with the peer.
 */
#include "kernel-gateway/clients/outbox.h"

#include "base/limits.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define DIRECT_BYTES (16 * KiB) /* from which on copying costs more than a call of its own */
#define KEPT_BYTES   (64 * KiB) /* an empty buffer that is larger is given back */
#define SMALL_BYTES  64         /* as little may lie in front: the frame's header does */

void outbox_init(struct outbox *outbox, int fd)
{
    int protocol = 0;
    socklen_t len = sizeof protocol;

    *outbox = (struct outbox){.fd = fd};
    outbox->is_tcp =
        getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 && protocol == IPPROTO_TCP;
}

void outbox_clear(struct outbox *outbox)
{
    buf_clear(&outbox->bytes);
    outbox->at = 0;
}

static void break_off(struct outbox *outbox)
{
    outbox->is_broken = true;
    outbox_clear(outbox);
}

static void consume(struct outbox *outbox, size_t len)
{
    outbox->at += len;
    if (outbox_waiting(outbox) > 0)
        return;
    outbox->at = 0;
    if (outbox->bytes.cap > KEPT_BYTES)
        buf_clear(&outbox->bytes);
    else
        buf_reset(&outbox->bytes);
}

/* Writes what waits and `more` behind it, as far as the system takes it. How much of `more`. */
static size_t write_out(struct outbox *outbox, struct str more)
{
    size_t waiting = outbox_waiting(outbox);
    struct iovec parts[] = {{(void *)(buf_text(&outbox->bytes) + outbox->at), waiting},
                            {(void *)more.text, more.len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t sent;

    do
        sent = sendmsg(outbox->fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        if (errno != EAGAIN)
            break_off(outbox);
        return 0;
    }
    size_t first = (size_t)sent < waiting ? (size_t)sent : waiting;
    outbox->written += (size_t)sent;
    consume(outbox, first);
    return (size_t)sent - first;
}

/* Moves what waits to the front when it is no more than what is gone: each byte once, on average.
 */
static void append(struct outbox *outbox, const char *data, size_t len)
{
    if (outbox->at > 0 && outbox->at >= outbox_waiting(outbox)) {
        buf_consume(&outbox->bytes, outbox->at);
        outbox->at = 0;
    }
    buf_put(&outbox->bytes, data, len);
}

void outbox_put(struct outbox *outbox, struct str data)
{
    size_t done = 0;

    if (outbox->is_broken)
        return;
    outbox->queued += data.len;
    if (data.len >= DIRECT_BYTES && outbox_waiting(outbox) <= SMALL_BYTES)
        done = write_out(outbox, data);
    if (!outbox->is_broken && done < data.len)
        append(outbox, data.text + done, data.len - done);
}

void outbox_flush(struct outbox *outbox)
{
    if (outbox_waiting(outbox) > 0)
        write_out(outbox, (struct str){NULL, 0});
}

void outbox_shut(struct outbox *outbox)
{
    if (!outbox->is_shut)
        (void)shutdown(outbox->fd, SHUT_WR); /* fails only where there is no peer any more */
    outbox->is_shut = true;
}

uint64_t outbox_acknowledged(const struct outbox *outbox)
{
    int waiting = 0;

    if (outbox->is_tcp && ioctl(outbox->fd, SIOCOUTQ, &waiting) < 0)
        return 0;
    if (outbox->is_shut && waiting > 0)
        waiting--; /* the FIN, behind everything else */
    return (uint64_t)waiting < outbox->written ? outbox->written - (uint64_t)waiting : 0;
}
