/* connection: the addresses and the key by which a kernel and Segue talk, and the connection file
 * that tells them to the kernel.
 *
 * Source: Jupyter's "Connection files". An ipc address is `ipc://{ip}-{port}`: ip is the beginning
 * of a path, the ports are 1 to 5. A kernel in a container sees the same directory under another
 * path, so there are two ips: ours to connect to and the one in the file. Over TCP, which only
 * kernels without ipc get, both sides are on 127.0.0.1.
 *
 * Owns its texts and, over TCP, the sockets that keep its ports free until the kernel is started.
 * Belongs to one thread.
 */
#ifndef SEGUE_KERNEL_GATEWAY_CONNECTION_H
#define SEGUE_KERNEL_GATEWAY_CONNECTION_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum channel { CHANNEL_SHELL, CHANNEL_IOPUB, CHANNEL_STDIN, CHANNEL_CONTROL, CHANNEL_HEARTBEAT };
#define CHANNEL_COUNT 5

const char *channel_name(enum channel channel); /* "shell", "iopub", "stdin", "control", "hb" */

enum transport { TRANSPORT_IPC, TRANSPORT_TCP };

struct connection {
    enum transport transport;
    char *ip;        /* "127.0.0.1", or the beginning of a path as we see it */
    char *ip_inside; /* the same as the kernel sees it */
    uint16_t ports[CHANNEL_COUNT];
    char key[65]; /* random hexadecimal; "" in a connection that was made without signatures */
    int held[CHANNEL_COUNT]; /* sockets bound to the TCP ports, or -1 */
};

/* Over ipc the sockets will be `directory`/s-1 to s-5; `inside` is the directory as the kernel sees
 * it (NULL: the same). Errors: ERR_LIMIT when a path is longer than a socket's address. */
int connection_make_ipc(struct connection *connection, const char *directory, const char *inside,
                        struct err *e);

/* Over TCP on 127.0.0.1: five free ports, which stay taken until connection_release_ports. */
int connection_make_tcp(struct connection *connection, struct err *e);

/* Lets the kernel bind its ports. Somebody else may be faster: the kernel then ends with "address
 * already in use", and whoever starts it makes another connection and tries again. */
void connection_release_ports(struct connection *connection);

/* Closes, frees, and removes the socket files, which kernels leave behind. All-zero is allowed. */
void connection_clear(struct connection *connection);

/* Where we connect to: "ipc:///run/k/s-1", "tcp://127.0.0.1:41234". free() it. */
char *connection_address(const struct connection *connection, enum channel channel);

/* The text of the connection file, for the kernel's side. */
void connection_encode(const struct connection *connection, const char *kernel_name,
                       struct buf *out);

struct connection_owner {
    bool change; /* else the file belongs to whoever writes it */
    uid_t uid;
    gid_t gid;
};

/* Writes the connection file with mode 0600; never through a link or over what is there already. */
int connection_write(const struct connection *connection, const char *kernel_name, const char *path,
                     struct connection_owner owner, struct err *e);

#endif
