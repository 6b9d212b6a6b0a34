/* Any bytes as what the peer of a WebSocket sends. However they are cut into pieces, the same must
 * come of them, and what is sent back must be frames. Once more, events pause, close or free the
 * socket, as the first byte says. */
#include "kernel-gateway/clients/websocket.h"

#include "base/mem.h"
#include "tests/unit/kernel-gateway/clients/websocket_peer.c"

#include <assert.h>
#include <poll.h>
#include <sys/socket.h>

#define MESSAGE_CAP 5000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum act { ACT_NOTHING, ACT_SEND, ACT_PAUSE, ACT_CLOSE, ACT_FREE, ACT_COUNT };

struct talk {
    struct loop *loop;
    struct websocket *socket;
    int fd;              /* the peer's */
    enum act act;        /* what every message does */
    struct buf log;      /* what happened */
    struct buf received; /* by the peer */
    unsigned closed;     /* told so often */
};

static void act(struct talk *talk)
{
    switch (talk->act) {
    case ACT_SEND:
        websocket_send(talk->socket, WEBSOCKET_TEXT, STR("an answer"));
        websocket_ping(talk->socket, 1);
        break;
    case ACT_PAUSE:
        websocket_pause(talk->socket, true);
        break;
    case ACT_CLOSE:
        websocket_close(talk->socket, WEBSOCKET_GOING_AWAY, "enough");
        break;
    case ACT_FREE:
        websocket_free(take_ptr(&talk->socket));
        break;
    case ACT_NOTHING:
    case ACT_COUNT:
        break;
    }
}

static void on_message(void *user, enum websocket_kind kind, struct str data)
{
    struct talk *talk = user;

    assert(!talk->closed && data.text && data.len <= MESSAGE_CAP);
    act(talk);
    buf_printf(&talk->log, "message %d %zu:", (int)kind, data.len);
    buf_put(&talk->log, data.text, data.len);
}

static void on_room(void *user)
{
    (void)user;
    assert(false); /* nothing that is sent here fills a socket */
}

static void on_pong(void *user, uint64_t mark)
{
    struct talk *talk = user;

    assert(!talk->closed);
    buf_printf(&talk->log, "pong %llx;", (unsigned long long)mark);
}

static void on_closed(void *user, unsigned code)
{
    struct talk *talk = user;

    talk->closed++;
    buf_printf(&talk->log, "closed %u;", code);
}

static void talk_begin(struct talk *talk, enum act what, struct str read_ahead)
{
    static const struct websocket_events events = {
        .message = on_message, .room = on_room, .pong = on_pong, .closed = on_closed};
    static const struct websocket_options options = {.message_cap = MESSAGE_CAP};
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        abort();
    *talk = (struct talk){.loop = loop_new(), .fd = fds[1], .act = what};
    talk->socket = websocket_open(talk->loop, fds[0], read_ahead, &options, &events, talk);
}

/* Runs the loop until it has nothing to do, and takes what came for the peer. */
static void settle(struct talk *talk)
{
    struct pollfd ready = {.fd = loop_fd(talk->loop), .events = POLLIN};
    char data[65536];
    ssize_t got;

    while (poll(&ready, 1, 0) > 0)
        loop_dispatch(talk->loop, 0);
    while ((got = recv(talk->fd, data, sizeof data, MSG_DONTWAIT)) > 0)
        buf_put(&talk->received, data, (size_t)got);
}

/* In pieces whose lengths follow from the bytes; a socket that has ended takes nothing more. */
static void say(struct talk *talk, struct str rest)
{
    uint32_t random = 1;

    while (rest.len > 0) {
        random = random * 1664525 + 1013904223 + (uint8_t)rest.text[0];
        size_t len = 1 + (random >> 16) % ((random >> 28) < 12 ? 8 : 2000);
        if (len > rest.len)
            len = rest.len;
        if (send(talk->fd, rest.text, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
            break;
        rest = (struct str){rest.text + len, rest.len - len};
        settle(talk);
    }
}

/* A close frame is the last one. */
static void check_received(const struct talk *talk)
{
    struct str rest = {buf_text(&talk->received), talk->received.len};
    struct peer_frame frame = {.opcode = PEER_TEXT};

    while (rest.len > 0) {
        bool is_frame = frame.opcode != PEER_CLOSE && peer_take_frame(rest, &frame);
        assert(is_frame);
        assert(frame.opcode == PEER_TEXT || frame.opcode == PEER_CLOSE ||
               frame.opcode == PEER_PING || frame.opcode == PEER_PONG);
        rest = (struct str){rest.text + frame.size, rest.len - frame.size};
    }
}

static void unpause(struct talk *talk)
{
    if (talk->socket)
        websocket_pause(talk->socket, false);
    settle(talk);
}

static void talk_end(struct talk *talk)
{
    settle(talk);
    unpause(talk); /* up to the next message, perhaps */
    talk->act = ACT_NOTHING;
    unpause(talk);
    shutdown(talk->fd, SHUT_WR);
    settle(talk);
    check_received(talk);
    assert(talk->closed == (talk->socket != NULL));
    if (talk->socket)
        assert(websocket_acknowledged(talk->socket) <= websocket_queued(talk->socket));
    websocket_free(talk->socket);
    loop_free(talk->loop);
    close(talk->fd);
}

static void talk_clear(struct talk *talk)
{
    buf_clear(&talk->log);
    buf_clear(&talk->received);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct str bytes = {(const char *)data + 1, size - 1};
    size_t ahead = bytes.len * (data[0] / ACT_COUNT) / 52;
    struct talk whole, pieces, acting;

    talk_begin(&whole, ACT_NOTHING, bytes);
    talk_end(&whole);

    talk_begin(&pieces, ACT_NOTHING, (struct str){NULL, 0});
    say(&pieces, bytes);
    talk_end(&pieces);
    assert(pieces.log.len == whole.log.len);
    assert(memcmp(buf_text(&pieces.log), buf_text(&whole.log), whole.log.len) == 0);
    assert(pieces.received.len == whole.received.len);

    talk_begin(&acting, (enum act)(data[0] % ACT_COUNT), (struct str){bytes.text, ahead});
    say(&acting, (struct str){bytes.text + ahead, bytes.len - ahead});
    talk_end(&acting);

    talk_clear(&whole);
    talk_clear(&pieces);
    talk_clear(&acting);
    return 0;
}
