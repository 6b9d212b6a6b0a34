/* The socket files of an ipc connection are named by us, not by the kernel, so they can be removed
 * whatever became of it. */
#include "kernel-gateway/connection.h"

#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* libzmq's limit on the path behind "ipc://": sun_path with its NUL. */
#define IPC_PATH_MAX (sizeof((struct sockaddr_un *)NULL)->sun_path - 1)

const char *channel_name(enum channel channel)
{
    static const char *const names[CHANNEL_COUNT] = {
        [CHANNEL_SHELL] = "shell",     [CHANNEL_IOPUB] = "iopub",  [CHANNEL_STDIN] = "stdin",
        [CHANNEL_CONTROL] = "control", [CHANNEL_HEARTBEAT] = "hb",
    };
    return names[channel];
}

static void connection_init(struct connection *connection, enum transport transport)
{
    *connection = (struct connection){.transport = transport};
    for (int i = 0; i < CHANNEL_COUNT; i++)
        connection->held[i] = -1;
    random_hex(connection->key, sizeof connection->key - 1);
}

static int check_directory(const char *directory, struct err *e)
{
    if (*directory != '/')
        return err_set(e, ERR_INVALID, "socket directory \"%s\" is not an absolute path",
                       directory);
    if (strlen(directory) + strlen("/s-1") > IPC_PATH_MAX)
        return err_set(e, ERR_LIMIT, "socket directory \"%s\" is longer than %zu bytes", directory,
                       IPC_PATH_MAX - strlen("/s-1"));
    return 0;
}

int connection_make_ipc(struct connection *connection, const char *directory, const char *inside,
                        struct err *e)
{
    if (!inside)
        inside = directory;
    if (check_directory(directory, e) < 0 || check_directory(inside, e) < 0)
        return -1;
    connection_init(connection, TRANSPORT_IPC);
    connection->ip = mem_printf("%s/s", directory);
    connection->ip_inside = mem_printf("%s/s", inside);
    for (int i = 0; i < CHANNEL_COUNT; i++)
        connection->ports[i] = (uint16_t)(i + 1);
    return 0;
}

/* Binds a socket to a port of the system's choice on 127.0.0.1. */
static int hold_port(uint16_t *ret_port, struct err *e)
{
    auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(e, errno, "cannot make a socket");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    if (bind(fd, (struct sockaddr *)&address, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return err_errno(e, errno, "cannot bind a port on 127.0.0.1");
    *ret_port = ntohs(address.sin_port);
    return take_fd(&fd);
}

int connection_make_tcp(struct connection *connection, struct err *e)
{
    connection_init(connection, TRANSPORT_TCP);
    connection->ip = mem_strdup("127.0.0.1");
    connection->ip_inside = mem_strdup("127.0.0.1");
    for (int i = 0; i < CHANNEL_COUNT; i++) {
        connection->held[i] = hold_port(&connection->ports[i], e);
        if (connection->held[i] < 0) {
            connection_clear(connection);
            return -1;
        }
    }
    return 0;
}

void connection_release_ports(struct connection *connection)
{
    for (int i = 0; i < CHANNEL_COUNT; i++) {
        if (connection->transport == TRANSPORT_TCP && connection->held[i] >= 0)
            close(take_fd(&connection->held[i]));
    }
}

static char *socket_path(const struct connection *connection, enum channel channel)
{
    return mem_printf("%s-%u", connection->ip, connection->ports[channel]);
}

void connection_clear(struct connection *connection)
{
    connection_release_ports(connection);
    for (int i = 0; i < CHANNEL_COUNT && connection->ip; i++) {
        auto_free char *path = socket_path(connection, (enum channel)i);
        if (connection->transport == TRANSPORT_IPC)
            unlink(path);
    }
    free(connection->ip);
    free(connection->ip_inside);
    *connection = (struct connection){0};
}

char *connection_address(const struct connection *connection, enum channel channel)
{
    if (connection->transport == TRANSPORT_IPC) {
        auto_free char *path = socket_path(connection, channel);
        return mem_printf("ipc://%s", path);
    }
    return mem_printf("tcp://%s:%u", connection->ip, connection->ports[channel]);
}

void connection_encode(const struct connection *connection, const char *kernel_name,
                       struct buf *out)
{
    buf_putc(out, '{');
    for (int i = 0; i < CHANNEL_COUNT; i++) {
        auto_free char *key = mem_printf("%s_port", channel_name((enum channel)i));
        json_put_member_int(out, key, connection->ports[i]);
    }
    json_put_member(out, "transport", connection->transport == TRANSPORT_IPC ? "ipc" : "tcp");
    json_put_member(out, "ip", connection->ip_inside);
    json_put_member(out, "key", connection->key);
    json_put_member(out, "signature_scheme", "hmac-sha256");
    json_put_member(out, "kernel_name", kernel_name);
    buf_putc(out, '}');
}

int connection_write(const struct connection *connection, const char *kernel_name, const char *path,
                     struct connection_owner owner, struct err *e)
{
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(e, errno, "cannot make connection file \"%s\"", path);
    auto_buf struct buf text = {0};
    connection_encode(connection, kernel_name, &text);
    ssize_t written = write(fd, text.data, text.len);
    if (written >= 0 && (size_t)written < text.len) {
        written = -1;
        errno = ENOSPC;
    }
    if (written < 0 || fchmod(fd, 0600) < 0 ||
        (owner.change && fchown(fd, owner.uid, owner.gid) < 0)) {
        err_errno(e, errno, "cannot write connection file \"%s\"", path);
        unlink(path);
        return -1;
    }
    return 0;
}
