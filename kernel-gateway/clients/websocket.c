/* What the peer's frames mean is decided here; websocket_input takes them apart, and libwslay makes
 * ours.
 *
 *   OPEN --- websocket_close ---> CLOSING --+-- the peer's close --> ANSWERED -- written --> ENDED
 *    | | |                          |       |                                                 ^
 *    | | +-- the peer's close ------|-------+                                                 |
 *    | +---- rules broken -------> FAILING --- hung up ---------------------------------------+
 *    +------ cannot write -------> BROKEN ---- all is read that had come ---------------------+
 *
 * It ends from anywhere when the connection does, or when the grace for closing is over.
 *
 * `closed` is told by the timer `soon` only, and all other events from there and from the
 * descriptor's callback: so no call of the user's is ever answered by an event from within. Both
 * mark the socket as busy. One that websocket_free finds busy loses its descriptor and its sources
 * at once, but its memory only behind the callback, whose data is lent until then.
 *
 * Pings cannot make the output grow: while a pong waits to be written, only the newest ping is
 * remembered, and answered behind it (RFC 6455 5.5.3 allows that). So reading need not stop for a
 * peer that does not read: what it has to say counts whatever waits for it.
 */
#include "kernel-gateway/clients/websocket.h"

#include "base/buf.h"
#include "base/limits.h"
#include "kernel-gateway/clients/outbox.h"
#include "kernel-gateway/clients/websocket_input.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

#define READ_BYTES  (32 * KiB)  /* by one call */
#define ROUND_BYTES (256 * KiB) /* in one round of the loop: others want to be served too */

enum {
    CONTROL_MAX = 125, /* payload of a control frame */
    PINGS_MAX = 3,     /* as many unanswered: lost */
};

/* In an order in which it only ever goes forward. */
enum state {
    STATE_OPEN,
    STATE_BROKEN,   /* cannot write; what the peer had sent is still read */
    STATE_CLOSING,  /* our close frame is out, the peer's is waited for; messages are dropped */
    STATE_FAILING,  /* the same, but what comes is no longer understood */
    STATE_ANSWERED, /* both close frames are there, ours perhaps not written */
    STATE_ENDED,
};

struct websocket {
    struct websocket_options options;
    struct websocket_events events;
    void *user;
    enum state state;
    unsigned code; /* for `closed` */
    bool is_paused;
    bool is_busy;
    bool is_freed; /* while busy */
    int fd;
    struct loop_source *watch;
    struct loop_source *timer; /* open: the next ping; later: the end of the grace */
    struct loop_source *soon;  /* reads on in what is here already; ended: tells `closed` */
    struct websocket_input *in;
    wslay_frame_context_ptr frames; /* those that we send */

    struct outbox out;
    bool is_full;          /* there is no room, and `room` is owed */
    bool is_final;         /* `acknowledged` does not change any more */
    uint64_t acknowledged; /* as it was when the connection ended, or at the last ping */

    struct buf pong;        /* that is owed, behind the one that waits to be written, */
    bool has_pong;          /* if any is */
    uint64_t pong_end;      /* where in the output the last pong ends, */
    uint64_t ping_end;      /* and our last ping to find out about the peer; 0: none was sent */
    unsigned pings_pending; /* unanswered */
    bool is_heard;          /* something came since */
};

static void enter(struct websocket *s, enum state state)
{
    assert(state > s->state);
    s->state = state;
}

/* While paused the peer's frames are not looked at; once we have closed, they are for its close. */
static bool is_reading(const struct websocket *s)
{
    switch (s->state) {
    case STATE_OPEN:
    case STATE_BROKEN:
        return !s->is_paused;
    case STATE_CLOSING:
    case STATE_FAILING:
        return true;
    case STATE_ANSWERED:
    case STATE_ENDED:
        break;
    }
    return false;
}

/* Whether messages are still for the user. */
static bool is_listening(const struct websocket *s)
{
    return s->state == STATE_OPEN || s->state == STATE_BROKEN;
}

static void update_watch(struct websocket *s)
{
    if (s->state != STATE_ENDED)
        loop_set_events(s->watch,
                        (is_reading(s) ? EPOLLIN : 0u) | (outbox_waiting(&s->out) ? EPOLLOUT : 0u));
}

static void settle_acknowledged(struct websocket *s)
{
    s->acknowledged = websocket_acknowledged(s);
    s->is_final = true;
}

static void let_go(struct websocket *s)
{
    loop_remove(take_ptr(&s->watch));
    if (s->fd >= 0)
        close(take_fd(&s->fd));
}

static void end(struct websocket *s)
{
    settle_acknowledged(s);
    enter(s, STATE_ENDED);
    let_go(s);
    loop_disarm(s->timer);
    loop_arm_in(s->soon, 0);
}

/* Without a word, and what the system still had to send is thrown away: nothing shall reach the
 * peer behind what counts as acknowledged. */
static void cut_off(struct websocket *s)
{
    struct linger linger = {.l_onoff = 1};

    (void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    end(s);
}

/* --- sending --- */

static ssize_t take_output(const uint8_t *data, size_t len, int flags, void *user)
{
    struct websocket *s = user;

    (void)flags;
    outbox_put(&s->out, (struct str){(const char *)data, len});
    return (ssize_t)len;
}

static void put_frame(struct websocket *s, uint8_t opcode, struct str payload)
{
    struct wslay_frame_iocb frame = {.fin = 1,
                                     .opcode = opcode,
                                     .payload_length = payload.len,
                                     .data = (const uint8_t *)payload.text,
                                     .data_length = payload.len};
    ssize_t sent = wslay_frame_send(s->frames, &frame);

    assert(sent == (ssize_t)payload.len); /* take_output takes all */
    (void)sent;
}

static void put_pong(struct websocket *s)
{
    put_frame(s, WSLAY_PONG, (struct str){s->pong.data, s->pong.len});
    s->pong_end = s->out.queued;
    s->has_pong = false;
}

/* What follows when something was written, or could not be. */
static void go_on(struct websocket *s)
{
    bool is_done = s->out.is_broken || outbox_waiting(&s->out) == 0;

    switch (s->state) {
    case STATE_OPEN:
        if (s->out.is_broken) {
            enter(s, STATE_BROKEN);
            loop_arm_in(s->soon, 0);
        } else if (s->has_pong && s->out.written >= s->pong_end) {
            put_pong(s);
        }
        break;
    case STATE_CLOSING:
        if (s->out.is_broken)
            end(s);
        break;
    case STATE_FAILING:
        if (s->out.is_broken)
            end(s);
        else if (is_done)
            outbox_shut(&s->out); /* the peer hangs up when it has read our reason */
        break;
    case STATE_ANSWERED:
        if (is_done)
            end(s);
        break;
    case STATE_BROKEN:
    case STATE_ENDED:
        break;
    }
}

static void flush(struct websocket *s)
{
    outbox_flush(&s->out);
    go_on(s);
}

/* Right away when nothing waits in front of it. */
static void send_frame(struct websocket *s, uint8_t opcode, struct str payload)
{
    bool is_idle = outbox_waiting(&s->out) == 0;

    put_frame(s, opcode, payload);
    if (is_idle || s->out.is_broken)
        flush(s);
    if (outbox_waiting(&s->out) >= s->options.room)
        s->is_full = true;
    update_watch(s);
}

/* --- closing --- */

/* Our last frame. */
static void send_close(struct websocket *s, enum state state, unsigned code, const char *reason)
{
    bool is_idle = outbox_waiting(&s->out) == 0;
    auto_buf struct buf payload = {0};

    if (code != WEBSOCKET_NO_CODE) {
        buf_putc(&payload, (char)(code >> 8));
        buf_putc(&payload, (char)code);
        buf_puts(&payload, reason);
    }
    assert(payload.len <= CONTROL_MAX);
    put_frame(s, WSLAY_CONNECTION_CLOSE, (struct str){payload.data, payload.len});
    enter(s, state);
    s->code = code;
    loop_arm_in(s->timer, s->options.close_grace_ms);
    if (is_idle)
        flush(s);
}

/* The peer's side is over: `next` says how. */
static void leave_open(struct websocket *s, enum state next, unsigned code, const char *reason)
{
    switch (s->state) {
    case STATE_OPEN:
        send_close(s, next, code, reason);
        break;
    case STATE_CLOSING:
        enter(s, next);
        go_on(s);
        break;
    case STATE_BROKEN:
        s->code = code;
        end(s);
        break;
    case STATE_FAILING:
    case STATE_ANSWERED:
    case STATE_ENDED:
        assert(false); /* no frame is looked at */
    }
}

static void fail(struct websocket *s, unsigned code, const char *reason)
{
    leave_open(s, STATE_FAILING, code, reason);
}

/* A peer that has closed throws away what comes afterwards, even if its TCP acknowledges it. */
static void take_close(struct websocket *s, unsigned code)
{
    settle_acknowledged(s);
    leave_open(s, STATE_ANSWERED, code, "");
}

/* --- receiving --- */

static void take_message(struct websocket *s, enum websocket_kind kind, struct str data)
{
    if (is_listening(s))
        s->events.message(s->user, kind, data);
}

/* Answered only as long as we are open: see go_on. */
static void take_ping(struct websocket *s, struct str payload)
{
    bool is_idle = outbox_waiting(&s->out) == 0;

    buf_reset(&s->pong);
    buf_put(&s->pong, payload.text, payload.len);
    s->has_pong = true;
    go_on(s);
    if (is_idle)
        flush(s);
}

static void take_pong(struct websocket *s, struct str payload)
{
    uint64_t mark;

    if (!is_listening(s) || payload.len != sizeof mark)
        return;
    memcpy(&mark, payload.text, sizeof mark);
    s->events.pong(s->user, be64toh(mark));
}

static void take_item(struct websocket *s, const struct websocket_item *item)
{
    switch (item->kind) {
    case WEBSOCKET_ITEM_TEXT:
        take_message(s, WEBSOCKET_TEXT, item->data);
        break;
    case WEBSOCKET_ITEM_BINARY:
        take_message(s, WEBSOCKET_BINARY, item->data);
        break;
    case WEBSOCKET_ITEM_PING:
        take_ping(s, item->data);
        break;
    case WEBSOCKET_ITEM_PONG:
        take_pong(s, item->data);
        break;
    case WEBSOCKET_ITEM_CLOSE:
        take_close(s, item->code);
        break;
    case WEBSOCKET_ITEM_FAULT:
        fail(s, item->code, item->data.text);
        break;
    }
}

static void take_items(struct websocket *s)
{
    struct websocket_item item;

    while (is_reading(s) && s->state != STATE_FAILING && websocket_input_next(s->in, &item))
        take_item(s, &item);
}

/* Whether there may be more: there was as much as was asked for. */
static bool fill(struct websocket *s)
{
    ssize_t got = recv(s->fd, websocket_input_room(s->in, READ_BYTES), READ_BYTES, 0);

    if (got > 0) {
        websocket_input_add(s->in, (size_t)got);
        s->is_heard = true;
    } else if (got == 0 && s->state == STATE_OPEN) {
        cut_off(s); /* it has hung up, and listens to nothing more */
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR) || s->state == STATE_BROKEN) {
        end(s);
    }
    return got == (ssize_t)READ_BYTES;
}

static void read_round(struct websocket *s)
{
    bool is_more = true;

    take_items(s);
    for (size_t got = 0; is_more && got < ROUND_BYTES && is_reading(s); got += READ_BYTES) {
        is_more = fill(s);
        take_items(s);
    }
    if (s->state != STATE_BROKEN)
        return;
    if (s->is_paused)
        end(s); /* what was not read goes the way of its sender */
    else
        loop_arm_in(s->soon, 0);
}

/* --- the loop --- */

static void destroy(struct websocket *s)
{
    wslay_frame_context_free(s->frames);
    websocket_input_free(s->in);
    outbox_clear(&s->out);
    buf_clear(&s->pong);
    free(s);
}

static void leave(struct websocket *s)
{
    s->is_busy = false;
    if (s->is_freed)
        destroy(s);
    else
        update_watch(s);
}

static void tell_room(struct websocket *s)
{
    if (s->is_full && s->state == STATE_OPEN && outbox_waiting(&s->out) <= s->options.room / 2) {
        s->is_full = false;
        s->events.room(s->user);
    }
}

static void on_ready(void *user, uint32_t events)
{
    struct websocket *s = user;

    s->is_busy = true;
    if (events & EPOLLOUT) {
        flush(s);
        tell_room(s);
    }
    if (events & ~(uint32_t)EPOLLOUT) {
        if (is_reading(s))
            read_round(s);
        else if (s->state != STATE_ENDED && events & (EPOLLERR | EPOLLHUP))
            end(s); /* it would be told for ever */
    }
    leave(s);
}

static void on_soon(void *user)
{
    struct websocket *s = user;

    s->is_busy = true;
    if (s->state == STATE_ENDED)
        s->events.closed(s->user, s->code);
    else
        read_round(s);
    leave(s);
}

/* Silence means nothing while what lies in front of our ping is still arriving, at however slow a
 * peer. The next ping is sent when the last one has arrived, so they do not pile up. */
static void ping_peer(struct websocket *s)
{
    uint64_t before = s->acknowledged, now = websocket_acknowledged(s);
    bool is_arriving = now < s->ping_end && now > before;

    if (s->ping_end == 0 || s->is_heard || s->is_paused || is_arriving)
        s->pings_pending = 0;
    else
        s->pings_pending++;
    if (s->pings_pending >= PINGS_MAX) {
        cut_off(s);
        return;
    }
    s->is_heard = false;
    s->acknowledged = now;
    loop_arm_in(s->timer, s->options.ping_interval_ms);
    if (now >= s->ping_end) {
        send_frame(s, WSLAY_PING, (struct str){NULL, 0});
        s->ping_end = s->out.queued;
    }
}

static void on_timer(void *user)
{
    struct websocket *s = user;

    switch (s->state) {
    case STATE_OPEN:
        ping_peer(s);
        break;
    case STATE_CLOSING:
    case STATE_FAILING:
    case STATE_ANSWERED:
        cut_off(s);
        break;
    case STATE_BROKEN:
    case STATE_ENDED:
        break;
    }
}

/* --- the interface --- */

static struct websocket_options with_defaults(const struct websocket_options *options)
{
    struct websocket_options all = *options;

    if (!all.message_cap)
        all.message_cap = 64 * MiB;
    if (!all.room)
        all.room = 256 * KiB;
    if (!all.ping_interval_ms)
        all.ping_interval_ms = 30 * 1000;
    if (!all.close_grace_ms)
        all.close_grace_ms = 2 * 1000;
    return all;
}

/* TCP_NODELAY: else a small message behind another one waits for the peer's delayed acknowledgement
 * (40 ms) of the first. */
static void set_up_socket(int fd)
{
    int on = 1;

    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* refused where it is no TCP */
}

static wslay_frame_context_ptr make_frames(struct websocket *s)
{
    static const struct wslay_frame_callbacks callbacks = {.send_callback = take_output};
    wslay_frame_context_ptr frames;

    if (wslay_frame_context_init(&frames, &callbacks, s) < 0)
        abort(); /* out of memory */
    return frames;
}

struct websocket *websocket_open(struct loop *loop, int fd, struct str read_ahead,
                                 const struct websocket_options *options,
                                 const struct websocket_events *events, void *user)
{
    struct websocket *s = mem_zalloc(sizeof *s);

    s->options = with_defaults(options);
    s->events = *events;
    s->user = user;
    s->code = WEBSOCKET_LOST;
    s->fd = fd;
    s->frames = make_frames(s);
    set_up_socket(fd);
    outbox_init(&s->out, fd);
    s->in = websocket_input_new(s->options.message_cap);
    s->watch = loop_add_fd(loop, fd, EPOLLIN, on_ready, s);
    s->timer = loop_add_timer(loop, on_timer, s);
    s->soon = loop_add_timer(loop, on_soon, s);
    loop_arm_in(s->timer, s->options.ping_interval_ms);
    if (read_ahead.len > 0) {
        memcpy(websocket_input_room(s->in, read_ahead.len), read_ahead.text, read_ahead.len);
        websocket_input_add(s->in, read_ahead.len);
        loop_arm_in(s->soon, 0);
    }
    return s;
}

void websocket_free(struct websocket *s)
{
    if (!s)
        return;
    s->state = STATE_ENDED;
    let_go(s);
    loop_remove(take_ptr(&s->timer));
    loop_remove(take_ptr(&s->soon));
    if (s->is_busy)
        s->is_freed = true;
    else
        destroy(s);
}

void websocket_send(struct websocket *s, enum websocket_kind kind, struct str data)
{
    if (s->state == STATE_OPEN)
        send_frame(s, kind == WEBSOCKET_TEXT ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, data);
}

bool websocket_has_room(const struct websocket *s)
{
    return !s->is_full;
}

void websocket_ping(struct websocket *s, uint64_t mark)
{
    uint64_t payload = htobe64(mark);

    if (s->state == STATE_OPEN)
        send_frame(s, WSLAY_PING, (struct str){(const char *)&payload, sizeof payload});
}

void websocket_pause(struct websocket *s, bool is_paused)
{
    if (s->is_paused == is_paused || s->state == STATE_ENDED)
        return;
    s->is_paused = is_paused;
    s->pings_pending = 0;
    if (!is_paused)
        loop_arm_in(s->soon, 0); /* for what was read already */
    update_watch(s);
}

void websocket_close(struct websocket *s, enum websocket_code code, const char *reason)
{
    assert(code != WEBSOCKET_LOST && code != WEBSOCKET_NO_CODE);
    if (s->state != STATE_OPEN)
        return;
    send_close(s, STATE_CLOSING, code, reason ? reason : "");
    if (s->is_paused)
        loop_arm_in(s->soon, 0); /* the peer's close may have been read already */
    update_watch(s);
}

uint64_t websocket_queued(const struct websocket *s)
{
    return s->out.queued;
}

uint64_t websocket_acknowledged(const struct websocket *s)
{
    return s->is_final ? s->acknowledged : outbox_acknowledged(&s->out);
}
