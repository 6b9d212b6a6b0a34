/* Each libzmq socket gets a monitor where its disconnection matters; the monitor is a socket of its
 * own and is polled with the others. libzmq's descriptors are edge-triggered and mean "look again",
 * not "readable", so they never go into an epoll: zmq_poll is the outer wait, and the loop's
 * descriptor is one of the things it waits for. */
#include "kernel-gateway/channels.h"

#include "base/limits.h"
#include "base/mem.h"

#include <assert.h>
#include <zmq.h>

/* Messages of one channel in one round. */
#define BATCH_MAX 64

/* While a kernel starts there is nobody to connect to yet. libzmq's own 100 ms would delay the
 * first contact by 50 ms on average; an attempt on a missing ipc path costs some microseconds.
 * (It cannot be changed after connecting, and once connected it no longer matters.) */
#define RECONNECT_MS 3

/* Frames of a usual message, so that the array rarely grows. */
#define FRAMES_USUAL 8

struct line {
    void *socket;
    void *monitor; /* NULL: not watched */
    bool connected;
    bool disconnected;
};

/* The heartbeat has the last number of enum channel and no socket. */
#define LINE_COUNT CHANNEL_HEARTBEAT

struct channels {
    void *context;
    struct line lines[LINE_COUNT];
    struct wire_key *key;
    struct uuid session;
    struct channels_counts counts;
    struct channels_events events;
    void *user;
};

static void set_int(void *socket, int option, int value)
{
    int rc = zmq_setsockopt(socket, option, &value, sizeof value);
    assert(rc == 0);
    (void)rc;
}

static void set_bytes(void *socket, int option, const void *value, size_t len)
{
    int rc = zmq_setsockopt(socket, option, value, len);
    assert(rc == 0);
    (void)rc;
}

static int watch(struct channels *channels, enum channel channel, struct err *e)
{
    struct line *line = &channels->lines[channel];
    auto_free char *address = mem_printf("inproc://monitor-%s", channel_name(channel));
    if (zmq_socket_monitor(line->socket, address, ZMQ_EVENT_CONNECTED | ZMQ_EVENT_DISCONNECTED) < 0)
        return err_errno(e, errno, "cannot watch channel %s", channel_name(channel));
    line->monitor = zmq_socket(channels->context, ZMQ_PAIR);
    if (!line->monitor)
        return err_errno(e, errno, "cannot watch channel %s", channel_name(channel));
    set_int(line->monitor, ZMQ_LINGER, 0);
    if (zmq_connect(line->monitor, address) < 0)
        return err_errno(e, errno, "cannot watch channel %s", channel_name(channel));
    return 0;
}

static int connect_channel(struct channels *channels, enum channel channel,
                           const struct connection *connection, int64_t max_message_bytes,
                           struct err *e)
{
    struct line *line = &channels->lines[channel];
    line->socket = zmq_socket(channels->context, channel == CHANNEL_IOPUB ? ZMQ_SUB : ZMQ_DEALER);
    if (!line->socket)
        return err_errno(e, errno, "cannot make the socket of channel %s", channel_name(channel));
    set_int(line->socket, ZMQ_LINGER, 0);
    set_int(line->socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    set_bytes(line->socket, ZMQ_MAXMSGSIZE, &max_message_bytes, sizeof max_message_bytes);
    if (channel == CHANNEL_IOPUB) {
        set_int(line->socket, ZMQ_RCVHWM, 0);
        set_bytes(line->socket, ZMQ_SUBSCRIBE, "", 0);
    } else {
        /* Shell and stdin must have the same one: the kernel asks back on stdin by it. It must be
         * new for each connection: some kernels ignore a second peer with a known one. */
        set_bytes(line->socket, ZMQ_ROUTING_ID, channels->session.text,
                  strlen(channels->session.text));
    }
    if (channel != CHANNEL_STDIN && watch(channels, channel, e) < 0)
        return -1;
    auto_free char *address = connection_address(connection, channel);
    if (zmq_connect(line->socket, address) < 0)
        return err_errno(e, errno, "cannot connect to \"%s\"", address);
    return 0;
}

int channels_open(struct channels **ret_channels, const struct connection *connection,
                  const struct channels_options *options, const struct channels_events *events,
                  void *user, struct err *e)
{
    struct channels *channels = mem_zalloc(sizeof *channels);
    channels->events = *events;
    channels->user = user;
    channels->session = uuid_random();
    channels->key = wire_key_new(connection->key);
    channels->context = zmq_ctx_new();
    if (!channels->context) {
        err_errno(e, errno, "cannot make a messaging context");
        goto fail;
    }
    uint64_t max = options->max_message_bytes ? options->max_message_bytes : LIMIT_MESSAGE_BYTES;
    /* iopub first: the sooner it is subscribed, the less of the kernel's start is missed. */
    static const enum channel order[] = {CHANNEL_IOPUB, CHANNEL_SHELL, CHANNEL_CONTROL,
                                         CHANNEL_STDIN};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (connect_channel(channels, order[i], connection, (int64_t)max, e) < 0)
            goto fail;
    }
    *ret_channels = channels;
    return 0;
fail:
    channels_free(channels);
    return -1;
}

void channels_free(struct channels *channels)
{
    if (!channels)
        return;
    for (int i = 0; i < LINE_COUNT; i++) {
        struct line *line = &channels->lines[i];
        if (line->monitor) {
            zmq_socket_monitor(line->socket, NULL, 0);
            zmq_close(line->monitor);
        }
        if (line->socket)
            zmq_close(line->socket);
    }
    if (channels->context)
        zmq_ctx_term(channels->context);
    wire_key_free(channels->key);
    free(channels);
}

/* --- sending --- */

static struct str or_empty_object(struct str text)
{
    return text.text ? text : STR("{}");
}

static int send_frame(void *socket, struct str frame, int flags)
{
    return zmq_send(socket, frame.text, frame.len, flags | ZMQ_DONTWAIT) < 0 ? -1 : 0;
}

int channels_send(struct channels *channels, enum channel channel, const struct outgoing *message,
                  struct uuid *ret_msg_id, struct err *e)
{
    assert(channel < LINE_COUNT && channel != CHANNEL_IOPUB);
    auto_buf struct buf header = {0};
    struct uuid id = {0};
    if (!message->header.text)
        message_put_header(&header, message->msg_type, &channels->session, &id);
    struct str parts[WIRE_PART_COUNT] = {
        message->header.text ? message->header : (struct str){header.data, header.len},
        or_empty_object(message->parent),
        or_empty_object(message->metadata),
        or_empty_object(message->content),
    };
    char signature[WIRE_SIGNATURE_SIZE + 1];
    wire_sign(channels->key, parts, signature);

    void *socket = channels->lines[channel].socket;
    /* Only the first frame can meet a full queue: what has begun is taken whole. */
    int rc = send_frame(socket, WIRE_DELIMITER, ZMQ_SNDMORE);
    if (rc < 0 && errno == EAGAIN)
        return err_set(e, ERR_LIMIT, "the kernel leaves its messages on channel %s unread",
                       channel_name(channel));
    if (rc == 0)
        rc = send_frame(socket, str_of(signature), ZMQ_SNDMORE);
    for (size_t i = 0; i < WIRE_PART_COUNT && rc == 0; i++) {
        bool more = i + 1 < WIRE_PART_COUNT || message->buffer_count > 0;
        rc = send_frame(socket, parts[i], more ? ZMQ_SNDMORE : 0);
    }
    for (size_t i = 0; i < message->buffer_count && rc == 0; i++)
        rc = send_frame(socket, message->buffers[i],
                        i + 1 < message->buffer_count ? ZMQ_SNDMORE : 0);
    if (rc < 0)
        return err_errno(e, errno, "cannot send on channel %s", channel_name(channel));
    if (ret_msg_id && *id.text)
        *ret_msg_id = id;
    return 0;
}

/* --- receiving --- */

struct frames {
    zmq_msg_t *items;
    size_t count;
    size_t capacity;
};

/* zmq_msg_t must not be copied as bytes, so the array grows by moving one by one. */
static zmq_msg_t *frames_add(struct frames *frames)
{
    if (frames->count == frames->capacity) {
        size_t capacity = frames->capacity ? frames->capacity * 2 : FRAMES_USUAL;
        zmq_msg_t *items = mem_array(capacity, sizeof *items);
        for (size_t i = 0; i < frames->count; i++) {
            zmq_msg_init(&items[i]);
            zmq_msg_move(&items[i], &frames->items[i]);
        }
        free(frames->items);
        frames->items = items;
        frames->capacity = capacity;
    }
    zmq_msg_t *frame = &frames->items[frames->count++];
    zmq_msg_init(frame);
    return frame;
}

/* All frames of one message; false: none is there. */
static bool receive_frames(void *socket, struct frames *frames)
{
    int more = 1;
    while (more) {
        zmq_msg_t *frame = frames_add(frames);
        if (zmq_msg_recv(frame, socket, ZMQ_DONTWAIT) < 0) {
            for (size_t i = 0; i < frames->count; i++)
                zmq_msg_close(&frames->items[i]);
            free(frames->items);
            return false;
        }
        more = zmq_msg_more(frame);
    }
    return true;
}

/* One message off the socket, good or not; false: none is there. */
static bool receive_one(struct channels *channels, enum channel channel, struct message *message,
                        enum wire_fault *ret_fault)
{
    struct frames frames = {0};
    if (!receive_frames(channels->lines[channel].socket, &frames))
        return false;
    *ret_fault = message_take_frames(message, frames.items, frames.count, channels->key);
    if (*ret_fault == WIRE_OK)
        channels->counts.received[channel]++;
    else
        channels->counts.dropped[*ret_fault]++;
    return true;
}

int channels_receive(struct channels *channels, enum channel channel, struct message *message)
{
    enum wire_fault fault;
    while (receive_one(channels, channel, message, &fault)) {
        if (fault == WIRE_OK)
            return 1;
    }
    return 0;
}

/* A monitor's event is two frames: number and value, then the address. */
static void read_monitor(struct channels *channels, enum channel channel)
{
    struct line *line = &channels->lines[channel];
    struct frames frames = {0};
    while (receive_frames(line->monitor, &frames)) {
        uint16_t number = 0;
        if (zmq_msg_size(&frames.items[0]) >= sizeof number)
            memcpy(&number, zmq_msg_data(&frames.items[0]), sizeof number);
        for (size_t i = 0; i < frames.count; i++)
            zmq_msg_close(&frames.items[i]);
        free(frames.items);
        frames = (struct frames){0};

        if (number == ZMQ_EVENT_CONNECTED)
            line->connected = true;
        if (number == ZMQ_EVENT_DISCONNECTED && !line->disconnected) {
            line->disconnected = true;
            channels->events.disconnected(channels->user, channel);
        }
    }
}

static size_t pass_on(struct channels *channels, enum channel channel)
{
    size_t count = 0;
    for (int i = 0; i < BATCH_MAX; i++) {
        auto_message struct message message = {0};
        enum wire_fault fault;
        if (!receive_one(channels, channel, &message, &fault))
            break;
        if (fault == WIRE_OK)
            channels->events.message(channels->user, channel, &message);
        count++;
    }
    return count;
}

size_t channels_poll(struct channels *channels, int wake_fd, int timeout_ms)
{
    zmq_pollitem_t items[2 * LINE_COUNT + 1];
    enum channel channel_of[2 * LINE_COUNT];
    int count = 0;
    for (int i = 0; i < LINE_COUNT; i++) {
        channel_of[count] = (enum channel)i;
        items[count++] =
            (zmq_pollitem_t){.socket = channels->lines[i].socket, .events = ZMQ_POLLIN};
    }
    for (int i = 0; i < LINE_COUNT; i++) {
        if (!channels->lines[i].monitor)
            continue;
        channel_of[count] = (enum channel)i;
        items[count++] =
            (zmq_pollitem_t){.socket = channels->lines[i].monitor, .events = ZMQ_POLLIN};
    }
    items[count] = (zmq_pollitem_t){.fd = wake_fd, .events = ZMQ_POLLIN};
    /* An interrupting signal is as good as a round with nothing in it. */
    if (zmq_poll(items, count + 1, timeout_ms) <= 0)
        return 0;

    size_t passed = 0;
    for (int i = 0; i < count; i++) {
        if (!(items[i].revents & ZMQ_POLLIN))
            continue;
        if (i < LINE_COUNT)
            passed += pass_on(channels, channel_of[i]);
        else
            read_monitor(channels, channel_of[i]);
    }
    return passed;
}

bool channels_are_closed(struct channels *channels)
{
    read_monitor(channels, CHANNEL_IOPUB);
    read_monitor(channels, CHANNEL_SHELL);
    const struct line *iopub = &channels->lines[CHANNEL_IOPUB];
    const struct line *shell = &channels->lines[CHANNEL_SHELL];
    return (!iopub->connected || iopub->disconnected) && (!shell->connected || shell->disconnected);
}

const struct uuid *channels_session(const struct channels *channels)
{
    return &channels->session;
}

const struct channels_counts *channels_counts(const struct channels *channels)
{
    return &channels->counts;
}
