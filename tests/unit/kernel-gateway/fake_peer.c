/* The kernel's side of the channels, for tests: real sockets, and every byte on them ours to spoil.
 *
 * Included by the tests that need it. Whatever goes wrong here aborts: it is the test that is
 * wrong. */
#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/channels.h"

#include <zmq.h>

/* Long enough for any machine; only a broken test gets there. */
#define PEER_TIMEOUT_MS 30000

struct peer {
    void *context;
    void *sockets[CHANNEL_HEARTBEAT];
    struct wire_key *key;
};

static void must(bool condition)
{
    if (!condition)
        abort();
}

/* What the kernel was told; for kernels that are processes of their own. */
static inline void peer_read_connection(const char *path, struct connection *connection)
{
    struct err e;
    struct buf text = {0};
    auto_json struct json doc = {0};
    must(fs_read(path, LIMIT_CONFIG_BYTES, &text, &e) == 0);
    size_t len = text.len;
    must(json_parse_take(&doc, buf_take(&text), len, JSON_STRICT, NULL, &e) == 0);
    bool ipc = json_is(&doc, json_get(&doc, 0, "transport"), "ipc");
    connection->transport = ipc ? TRANSPORT_IPC : TRANSPORT_TCP;
    connection->ip = json_strdup(&doc, json_get(&doc, 0, "ip"));
    auto_free char *key = json_strdup(&doc, json_get(&doc, 0, "key"));
    must(strlen(key) < sizeof connection->key);
    strcpy(connection->key, key);
    for (int i = 0; i < CHANNEL_COUNT; i++) {
        auto_free char *name = mem_printf("%s_port", channel_name((enum channel)i));
        int64_t port = 0;
        must(json_int(&doc, json_get(&doc, 0, name), &port));
        connection->ports[i] = (uint16_t)port;
    }
}

static void peer_set(void *socket, int option, int value)
{
    must(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

static void peer_open(struct peer *peer, const struct connection *connection)
{
    peer->context = zmq_ctx_new();
    peer->key = wire_key_new(connection->key);
    for (int i = 0; i < CHANNEL_HEARTBEAT; i++) {
        peer->sockets[i] = zmq_socket(peer->context, i == CHANNEL_IOPUB ? ZMQ_XPUB : ZMQ_ROUTER);
        peer_set(peer->sockets[i], ZMQ_SNDTIMEO, PEER_TIMEOUT_MS);
        peer_set(peer->sockets[i], ZMQ_RCVTIMEO, PEER_TIMEOUT_MS);
        /* What the other side does not take in fails loudly instead of being dropped. */
        peer_set(peer->sockets[i], i == CHANNEL_IOPUB ? ZMQ_XPUB_NODROP : ZMQ_ROUTER_MANDATORY, 1);
        auto_free char *address = connection_address(connection, (enum channel)i);
        must(zmq_bind(peer->sockets[i], address) == 0);
    }
}

/* linger_ms: how long it may take to deliver what was sent. */
static void peer_close(struct peer *peer, int linger_ms)
{
    for (int i = 0; i < CHANNEL_HEARTBEAT; i++) {
        peer_set(peer->sockets[i], ZMQ_LINGER, linger_ms);
        zmq_close(peer->sockets[i]);
    }
    zmq_ctx_term(peer->context);
    wire_key_free(peer->key);
    *peer = (struct peer){0};
}

/* Blocks until the subscriber to everything is there. */
static void peer_await_subscriber(struct peer *peer)
{
    char event[2] = {0};
    must(zmq_recv(peer->sockets[CHANNEL_IOPUB], event, sizeof event, 0) == 1 && event[0] == 1);
}

/* False: the other side did not take it in time. */
static bool peer_send_frames(struct peer *peer, enum channel channel, const struct str *frames,
                             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (zmq_send(peer->sockets[channel], frames[i].text, frames[i].len,
                     i + 1 < count ? ZMQ_SNDMORE : 0) < 0)
            return false;
    }
    return true;
}

/* A well-formed message; `to` is the peer's identity (or the topic), none: no frame for it. */
static bool peer_send(struct peer *peer, enum channel channel, struct str to, const char *type,
                      struct str parent, struct str content)
{
    struct uuid session = uuid_random(), id;
    auto_buf struct buf header = {0};
    message_put_header(&header, type, &session, &id);
    const struct str parts[WIRE_PART_COUNT] = {
        {header.data, header.len}, parent, STR("{}"), content};
    char signature[WIRE_SIGNATURE_SIZE + 1];
    wire_sign(peer->key, parts, signature);
    const struct str frames[] = {to,       WIRE_DELIMITER, str_of(signature), parts[0],
                                 parts[1], parts[2],       parts[3]};
    size_t skip = to.text ? 0 : 1;
    return peer_send_frames(peer, channel, frames + skip, 7 - skip);
}

static bool peer_publish(struct peer *peer, const char *type, struct str parent, struct str content)
{
    return peer_send(peer, CHANNEL_IOPUB, STR("topic"), type, parent, content);
}

/* Blocks for the next request; a wrong signature aborts. */
static void peer_receive(struct peer *peer, enum channel channel, struct message *message)
{
    zmq_msg_t *frames = mem_array(16, sizeof *frames);
    size_t count = 0;
    do {
        must(count < 16);
        zmq_msg_init(&frames[count]);
        must(zmq_msg_recv(&frames[count], peer->sockets[channel], 0) >= 0);
    } while (zmq_msg_more(&frames[count++]));
    must(message_take_frames(message, frames, count, peer->key) == WIRE_OK);
}

static struct str peer_identity(const struct message *request)
{
    return (struct str){zmq_msg_data(&request->frames[0]), zmq_msg_size(&request->frames[0])};
}

static bool peer_reply(struct peer *peer, enum channel channel, const struct message *request,
                       const char *type, struct str content)
{
    return peer_send(peer, channel, peer_identity(request), type, message_raw(request, WIRE_HEADER),
                     content);
}
