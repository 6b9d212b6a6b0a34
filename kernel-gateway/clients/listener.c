/* How far a client has got is known by position: each message that was sent is remembered with the
 * number of bytes on the wire behind it, until its TCP has acknowledged so many. A proxy's TCP
 * would acknowledge for the proxy; there a ping follows what was sent, one at a time, and its
 * answer says the same, a little later. */
#include "kernel-gateway/clients/listener.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/clients/client_wire.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* In one turn; then the others are to be served, and the kernel. */
#define TURN_MESSAGES 256
#define TURN_BYTES    (1 * MiB)

/* So much on its way makes a look worth its system calls. */
#define LOOK_MESSAGES 32
#define LOOK_BYTES    (64 * KiB)

/* A kernel that leaves messages unread is asked again. What it reads is not told to us, hence the
 * timer; a person does not notice. */
#define RETRY_MS 50

/* What it says while the kernel takes nothing is read all the same, up to here: behind it come its
 * answers to pings, and the news that it has hung up. */
#define KEPT_MESSAGES 64
#define KEPT_BYTES    (256 * KiB)

/* When a page comes back, jupyter_server connects twice for it within moments, and never reads from
 * the first connection, although its TCP acknowledges what comes. Hence it is sent nothing before
 * its first message, which pages send at once, or for so long. */
#define SILENCE_MS 1000

/* Headers are some hundred bytes. */
#define HEADER_MAX (64 * KiB)

#define REASON_MAX 123 /* RFC 6455 5.5 */

/* Sent, and not known to be got. */
struct flight {
    uint64_t number;
    uint64_t end; /* bytes on the wire, up to and with it */
};

/* A message that the kernel does not take yet. */
struct kept {
    enum websocket_kind kind;
    struct buf data;
};

struct listener {
    struct message_log *log;
    struct websocket *socket;
    struct client_form form;
    struct listener_share share;
    struct listener_events events;
    void *user;

    /* down */
    struct log_cursor cursor;
    uint64_t missing; /* messages, of which it is still to be told */
    struct flight *flights;
    size_t first_flight, flight_count, flight_capacity;
    bool is_behind_proxy, is_pinged, has_sent_since_ping;
    uint64_t answered;            /* behind a proxy: it has got all up to this number */
    bool is_awaited;              /* it is sent nothing before it has said something, */
    struct loop_source *silence;  /* or until then */
    bool is_deaf;                 /* what is sent goes nowhere any more */
    enum websocket_code farewell; /* 0, or with what it is closed behind the last message */
    char reason[REASON_MAX + 1];

    /* up */
    bool is_held;
    bool is_closing;                 /* nothing counts any more */
    struct kept kept[KEPT_MESSAGES]; /* oldest first */
    size_t kept_count, kept_bytes;
    struct loop_source *retry;
};

/* --- how far it has got --- */

static void add_flight(struct listener *listener, uint64_t number, uint64_t end)
{
    size_t behind = listener->first_flight + listener->flight_count;

    if (behind == listener->flight_capacity && listener->first_flight > listener->flight_count) {
        memcpy(listener->flights, listener->flights + listener->first_flight,
               listener->flight_count * sizeof *listener->flights);
        listener->first_flight = 0;
        behind = listener->flight_count;
    }
    mem_grow(listener->flights, behind, listener->flight_capacity);
    listener->flights[behind] = (struct flight){.number = number, .end = end};
    listener->flight_count++;
}

static void land(struct listener *listener)
{
    uint64_t arrived = websocket_acknowledged(listener->socket);

    while (listener->flight_count > 0 && listener->flights[listener->first_flight].end <= arrived) {
        listener->first_flight++;
        listener->flight_count--;
    }
    if (listener->flight_count == 0)
        listener->first_flight = 0;
}

static uint64_t last_read(const struct listener *listener)
{
    return listener->cursor.number - 1;
}

uint64_t listener_got(const struct listener *listener)
{
    if (listener->is_behind_proxy)
        return listener->answered;
    /* What was passed over, it needs not. */
    return listener->flight_count > 0 ? listener->flights[listener->first_flight].number - 1
                                      : last_read(listener);
}

uint64_t listener_sent(const struct listener *listener)
{
    return last_read(listener);
}

uint64_t listener_look(struct listener *listener)
{
    land(listener);
    return listener_got(listener);
}

static bool is_worth_a_look(const struct listener *listener)
{
    if (listener->flight_count == 0)
        return false;
    const struct flight *first = &listener->flights[listener->first_flight];
    return listener->flight_count >= LOOK_MESSAGES ||
           first[listener->flight_count - 1].end - first->end >= LOOK_BYTES;
}

/* Asks a client behind a proxy how far it is, unless it was asked already. */
static void ask(struct listener *listener)
{
    if (listener->is_pinged || listener->is_deaf || listener->answered == last_read(listener))
        return;
    if (!listener->has_sent_since_ping) { /* there was nothing for it */
        listener->answered = last_read(listener);
        return;
    }
    listener->is_pinged = true;
    listener->has_sent_since_ping = false;
    websocket_ping(listener->socket, last_read(listener));
}

static void on_pong(void *user, uint64_t mark)
{
    struct listener *listener = user;

    if (!listener->is_pinged || mark < listener->answered || mark > last_read(listener))
        return; /* it makes them up */
    listener->is_pinged = false;
    listener->answered = mark;
    ask(listener);
    listener->events.progress(listener->user);
}

/* --- down --- */

static void send_frame(void *user, bool is_text, struct str data)
{
    struct listener *listener = user;

    websocket_send(listener->socket, is_text ? WEBSOCKET_TEXT : WEBSOCKET_BINARY, data);
}

/* That something is missing is said where it is missing: with the parent of what comes next, so
 * that it is seen in the cell whose output it was. */
static void tell_missing(struct listener *listener, struct str next)
{
    auto_client_message struct client_message message = {0};
    auto_buf struct buf header = {0}, content = {0}, v1 = {0};
    struct uuid session = uuid_random(), id;
    char text[200];

    client_split_v1(&message, next);
    message_put_header(&header, "stream", &session, &id);
    snprintf(text, sizeof text,
             "[segue] %" PRIu64 " messages were dropped here: nobody was connected, or this client "
             "was too slow, and only the newest are kept\n",
             listener->missing);
    buf_putc(&content, '{');
    json_put_member(&content, "name", "stderr");
    json_put_member(&content, "text", text);
    buf_putc(&content, '}');
    const struct str parts[WIRE_PART_COUNT] = {
        [WIRE_HEADER] = {header.data, header.len},
        [WIRE_PARENT] = message.parts[WIRE_PARENT],
        [WIRE_METADATA] = STR("{}"),
        [WIRE_CONTENT] = {content.data, content.len},
    };
    client_encode_v1(&v1, CHANNEL_IOPUB, parts, NULL, 0);
    client_put(&listener->form, (struct str){v1.data, v1.len}, send_frame, listener);
    listener->missing = 0;
}

static bool is_for(const struct listener *listener, const struct log_entry *entry)
{
    if ((entry->tag & LISTENER_ONCE) && entry->number <= listener->share.sent)
        return false;
    uint32_t session = entry->tag & ~LISTENER_ONCE;
    return session == 0 || session == listener->share.session ||
           entry->number < listener->share.all_before;
}

static void send_entry(struct listener *listener, const struct log_entry *entry)
{
    uint64_t before = websocket_queued(listener->socket);

    if (listener->missing > 0)
        tell_missing(listener, entry->data);
    client_put(&listener->form, entry->data, send_frame, listener);
    listener->has_sent_since_ping = true;
    uint64_t end = websocket_queued(listener->socket);
    listener->is_deaf = end == before;
    if (!listener->is_behind_proxy)
        add_flight(listener, entry->number, listener->is_deaf ? UINT64_MAX : end);
}

/* False: there is nothing to read. */
static bool read_one(struct listener *listener)
{
    const struct log_entry *entry;
    uint64_t missing;

    switch (message_log_read(listener->log, &listener->cursor, &entry, &missing)) {
    case LOG_NOTHING:
        return false;
    case LOG_GAP:
        listener->missing += missing;
        return true;
    case LOG_ENTRY:
        break;
    }
    if (is_for(listener, entry))
        send_entry(listener, entry);
    message_log_put(listener->log, entry);
    return true;
}

bool listener_pump(struct listener *listener)
{
    uint64_t begin = websocket_queued(listener->socket);
    bool is_over = false, is_at_end = false;

    if (listener->is_awaited || (listener->is_closing && listener->farewell == 0))
        return false;
    for (int i = 0; !is_over && !is_at_end; i++) {
        if (listener->is_deaf || !websocket_has_room(listener->socket))
            break;
        is_over = i == TURN_MESSAGES || websocket_queued(listener->socket) - begin >= TURN_BYTES;
        is_at_end = !is_over && !read_one(listener);
    }
    if (is_worth_a_look(listener))
        land(listener);
    if (listener->is_behind_proxy)
        ask(listener);
    if (is_at_end && listener->farewell != 0)
        listener_close(listener, listener->farewell, listener->reason);
    return is_over;
}

static void on_room(void *user)
{
    struct listener *listener = user;

    land(listener);
    listener->events.progress(listener->user);
}

/* --- up --- */

static void refuse(struct listener *listener, const char *what, const char *why)
{
    char reason[REASON_MAX + 1];

    snprintf(reason, sizeof reason, "%s: %s", what, why);
    for (char *at = reason; *at; at++) /* cut anywhere it must still be UTF-8 */
        if ((unsigned char)*at < ' ' || (unsigned char)*at > '~')
            *at = '?';
    listener_close(listener, WEBSOCKET_BAD_DATA, reason);
}

static void request_clear(struct listener_request *request)
{
    free((char *)request->msg_id);
    free((char *)request->msg_type);
}

static int read_header(struct listener_request *request, struct str text, struct err *e)
{
    auto_json struct json header = {0};

    if (text.len > HEADER_MAX)
        return err_set(e, ERR_INVALID, "it is too long");
    if (json_parse(&header, text, JSON_STRICT, NULL, e) < 0)
        return -1;
    request->msg_id = json_strdup(&header, json_get(&header, 0, "msg_id"));
    request->msg_type = json_strdup(&header, json_get(&header, 0, "msg_type"));
    if (!request->msg_id || !request->msg_type)
        return err_set(e, ERR_INVALID, "it has no msg_id or no msg_type");
    return 0;
}

static int pass_on(struct listener *listener, const struct client_message *message)
{
    __attribute__((cleanup(request_clear))) struct listener_request request = {
        .channel = message->channel,
        .message = {.header = message->parts[WIRE_HEADER],
                    .parent = message->parts[WIRE_PARENT],
                    .metadata = message->parts[WIRE_METADATA],
                    .content = message->parts[WIRE_CONTENT],
                    .buffers = message->buffers,
                    .buffer_count = message->buffer_count},
    };
    struct err e;

    if (read_header(&request, message->parts[WIRE_HEADER], &e) < 0) {
        refuse(listener, "a message's header cannot be read", e.text);
        return 0;
    }
    if (listener->events.request(listener->user, &request, &e) == 0)
        return 0;
    if (e.code == ERR_LIMIT)
        return -1;
    return 0; /* the kernel has just ended: it would not have answered either */
}

/* -1: the kernel does not take it now. */
static int offer(struct listener *listener, enum websocket_kind kind, struct str data)
{
    auto_client_message struct client_message message = {0};
    struct err e;

    if (client_decode(&message, listener->form.protocol, data, kind == WEBSOCKET_TEXT, &e) == 0)
        return pass_on(listener, &message);
    if (e.code != ERR_NOT_FOUND) /* other channels are nobody's, as with other gateways */
        refuse(listener, "this is no message", e.text);
    return 0;
}

static void update_pause(struct listener *listener)
{
    websocket_pause(listener->socket,
                    listener->kept_count == KEPT_MESSAGES || listener->kept_bytes >= KEPT_BYTES);
}

static void keep(struct listener *listener, enum websocket_kind kind, struct str data)
{
    assert(listener->kept_count < KEPT_MESSAGES);
    struct kept *kept = &listener->kept[listener->kept_count++];
    *kept = (struct kept){.kind = kind};
    buf_put(&kept->data, data.text, data.len);
    listener->kept_bytes += data.len;
    update_pause(listener);
}

static void drop_first_kept(struct listener *listener)
{
    struct kept *first = listener->kept;

    listener->kept_bytes -= first->data.len;
    buf_clear(&first->data);
    memmove(first, first + 1, --listener->kept_count * sizeof *first);
}

static void on_silence_end(void *user)
{
    struct listener *listener = user;

    listener->is_awaited = false;
    listener->events.progress(listener->user);
}

static void on_message(void *user, enum websocket_kind kind, struct str data)
{
    struct listener *listener = user;

    if (listener->is_closing)
        return;
    if (listener->is_awaited)
        loop_arm_in(listener->silence, 0);
    if (!listener->is_held && listener->kept_count == 0) {
        if (offer(listener, kind, data) == 0)
            return;
        loop_arm_in(listener->retry, RETRY_MS);
    }
    keep(listener, kind, data);
}

static void on_retry(void *user)
{
    struct listener *listener = user;

    while (listener->kept_count > 0 && !listener->is_held && !listener->is_closing) {
        const struct kept *first = listener->kept;
        if (offer(listener, first->kind, (struct str){first->data.data, first->data.len}) < 0) {
            loop_arm_in(listener->retry, RETRY_MS);
            break;
        }
        drop_first_kept(listener);
    }
    if (!listener->is_closing)
        update_pause(listener);
}

void listener_hold(struct listener *listener, bool is_held)
{
    listener->is_held = is_held;
    if (!is_held && listener->kept_count > 0)
        loop_arm_in(listener->retry, 0);
}

/* --- life --- */

/* Unpaused, or the peer's answer to the close would not be read. */
static void stop_hearing(struct listener *listener)
{
    listener->is_closing = true;
    websocket_pause(listener->socket, false);
}

void listener_close(struct listener *listener, enum websocket_code code, const char *reason)
{
    stop_hearing(listener);
    listener->farewell = 0;
    websocket_close(listener->socket, code, reason);
}

void listener_dismiss(struct listener *listener, enum websocket_code code, const char *reason)
{
    if (listener->is_closing)
        return;
    stop_hearing(listener);
    listener->is_awaited = false;
    listener->farewell = code;
    snprintf(listener->reason, sizeof listener->reason, "%s", reason);
}

static void on_closed(void *user, unsigned code)
{
    struct listener *listener = user;

    (void)code;
    land(listener);
    listener->events.closed(listener->user);
}

struct listener *listener_open(struct loop *loop, struct message_log *log,
                               const struct admission *admission, int take_fd,
                               const struct listener_share *share,
                               const struct listener_events *events, void *user)
{
    static const struct websocket_events socket_events = {
        .message = on_message, .room = on_room, .pong = on_pong, .closed = on_closed};
    struct listener *listener = mem_zalloc(sizeof *listener);

    *listener = (struct listener){
        .log = log,
        .form = admission->form,
        .share = *share,
        .events = *events,
        .user = user,
        .is_behind_proxy = admission->is_behind_proxy,
        .answered = share->from - 1,
        .is_awaited = admission->form.is_text_only, /* jupyter_server's */
    };
    log_cursor_set(&listener->cursor, share->from);
    listener->retry = loop_add_timer(loop, on_retry, listener);
    listener->silence = loop_add_timer(loop, on_silence_end, listener);
    if (listener->is_awaited)
        loop_arm_in(listener->silence, SILENCE_MS);
    listener->socket = websocket_open(
        loop, take_fd, (struct str){admission->read_ahead.data, admission->read_ahead.len},
        &(struct websocket_options){0}, &socket_events, listener);
    return listener;
}

void listener_free(struct listener *listener)
{
    if (!listener)
        return;
    websocket_free(listener->socket);
    loop_remove(listener->retry);
    loop_remove(listener->silence);
    while (listener->kept_count > 0)
        drop_first_kept(listener);
    free(listener->flights);
    free(listener);
}
