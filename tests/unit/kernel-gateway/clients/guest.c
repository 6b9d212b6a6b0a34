/* A client of a kernel in a test: the other end of a WebSocket, over real TCP, with nothing between
 * it and the bytes. Speaks v1. Included by the tests that need it. */
#include "base/buf.h"
#include "base/json.h"
#include "kernel-gateway/clients/client_wire.h"
#include "kernel-gateway/message.h"

#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { GUEST_TEXT = 1, GUEST_BINARY = 2, GUEST_CLOSE = 8, GUEST_PING = 9, GUEST_PONG = 10 };

struct guest {
    int fd; /* does not block */
    struct buf in;
    bool is_at_end; /* the connection, and all of it is read */
};

/* A connected pair: *ret_theirs is for the one under test. */
static inline struct guest guest_connect(int *ret_theirs)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct guest guest = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};

    if (bind(listener, (struct sockaddr *)&address, len) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) < 0 ||
        connect(guest.fd, (struct sockaddr *)&address, len) < 0)
        abort();
    *ret_theirs = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    close(listener);
    if (*ret_theirs < 0 || fcntl(guest.fd, F_SETFL, O_NONBLOCK) < 0)
        abort();
    return guest;
}

static inline void guest_leave(struct guest *guest)
{
    if (guest->fd >= 0)
        close(guest->fd);
    buf_clear(&guest->in);
    *guest = (struct guest){.fd = -1};
}

/* Appends a masked frame; the mask is 0, which is one like any other. */
static inline void guest_put_frame(struct buf *out, int opcode, struct str payload)
{
    uint16_t len16 = htobe16((uint16_t)payload.len);
    uint64_t len64 = htobe64(payload.len);

    buf_putc(out, (char)(0x80 | opcode));
    buf_putc(out, (char)(0x80 | (payload.len < 126     ? (int)payload.len
                                 : payload.len < 65536 ? 126
                                                       : 127)));
    if (payload.len >= 65536)
        buf_put(out, &len64, sizeof len64);
    else if (payload.len >= 126)
        buf_put(out, &len16, sizeof len16);
    buf_put(out, "\0\0\0\0", 4);
    buf_put(out, payload.text, payload.len);
}

/* Bytes that are few enough for any socket. */
static inline void guest_write(struct guest *guest, const struct buf *bytes)
{
    if (send(guest->fd, bytes->data, bytes->len, MSG_NOSIGNAL) != (ssize_t)bytes->len)
        abort();
}

static inline void guest_send(struct guest *guest, int opcode, struct str payload)
{
    auto_buf struct buf frame = {0};

    guest_put_frame(&frame, opcode, payload);
    guest_write(guest, &frame);
}

static inline void guest_put_request(struct buf *out, enum channel channel, const char *msg_id,
                                     const char *msg_type, const char *content)
{
    auto_free char *header =
        mem_printf("{\"msg_id\":\"%s\",\"msg_type\":\"%s\",\"session\":\"guest\","
                   "\"username\":\"\",\"version\":\"5.4\"}",
                   msg_id, msg_type);
    const struct str parts[WIRE_PART_COUNT] = {str_of(header), STR("{}"), STR("{}"),
                                               str_of(content)};

    client_encode_v1(out, channel, parts, NULL, 0);
}

static inline void guest_ask(struct guest *guest, enum channel channel, const char *msg_id,
                             const char *msg_type, const char *content)
{
    auto_buf struct buf v1 = {0};

    guest_put_request(&v1, channel, msg_id, msg_type, content);
    guest_send(guest, GUEST_BINARY, (struct str){v1.data, v1.len});
}

/* Takes in what has come, at most `most` bytes. */
static inline void guest_read(struct guest *guest, size_t most)
{
    char data[65536];

    while (most > 0 && !guest->is_at_end) {
        ssize_t got = recv(guest->fd, data, most < sizeof data ? most : sizeof data, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        guest->is_at_end = got <= 0;
        if (got > 0) {
            buf_put(&guest->in, data, (size_t)got);
            most -= (size_t)got;
        }
    }
}

/* Takes the first frame off what was read: its opcode, and the payload to be cleared by the caller;
 * 0: it is not whole yet. */
static inline int guest_take_frame(struct guest *guest, struct buf *payload)
{
    const unsigned char *in = (const unsigned char *)guest->in.data;
    size_t head = 2, len;

    if (guest->in.len < head)
        return 0;
    len = in[1] & 127;
    head += len == 126 ? 2 : len == 127 ? 8 : 0;
    if (guest->in.len < head)
        return 0;
    if (len >= 126) {
        len = 0;
        for (size_t i = 2; i < head; i++)
            len = len << 8 | in[i];
    }
    if (guest->in.len - head < len)
        return 0;
    int opcode = in[0] & 15;
    buf_put(payload, in + head, len);
    buf_consume(&guest->in, head + len);
    return opcode;
}

/* "iopub stream {content}" of a message in v1. */
static inline void guest_describe(struct buf *out, const struct buf *v1)
{
    auto_client_message struct client_message message = {0};
    auto_json struct json header = {0};
    auto_free char *type = NULL;
    struct err e;

    client_split_v1(&message, (struct str){v1->data, v1->len});
    if (json_parse(&header, message.parts[WIRE_HEADER], JSON_STRICT, NULL, &e) < 0)
        abort();
    type = json_strdup(&header, json_get(&header, 0, "msg_type"));
    buf_printf(out, "%s %s " STR_FMT, channel_name(message.channel), type,
               STR_ARG(message.parts[WIRE_CONTENT]));
}
