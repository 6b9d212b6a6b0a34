#include "kernel-gateway/clients/websocket.h"

#include "base/limits.h"
#include "base/mem.h"

#include "tests/unit/kernel-gateway/clients/websocket_peer.c"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cmocka.h>

/* --- one connection: our side, and the peer's end by hand --- */

enum medium { MEDIUM_UNIX, MEDIUM_TCP };

enum act { ACT_NOTHING, ACT_FREE, ACT_PAUSE, ACT_CLOSE };

struct pair {
    struct loop *loop;
    struct websocket *socket;
    int fd;              /* the peer's */
    struct buf log;      /* what happened: "text:abc;pong:7;room;closed:1000;" */
    struct buf received; /* by the peer, frames not taken yet */
    bool has_ended;      /* nothing more comes to the peer */

    enum act act; /* what the next event but `closed` does */
    bool is_freed_when_closed;
    bool is_within; /* a call of ours: no event may come */
    size_t message_bytes;
    struct buf *keep; /* messages go here, not into the log */
    uint64_t left;    /* what still waited when there was room again */
};

static void note(struct pair *pair, const char *format, ...)
{
    va_list args;
    assert_false(pair->is_within);
    va_start(args, format);
    char text[300];
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_puts(&pair->log, text);
}

static void act(struct pair *pair)
{
    enum act now = pair->act;
    pair->act = ACT_NOTHING;
    pair->is_within = true;
    switch (now) {
    case ACT_FREE:
        websocket_free(take_ptr(&pair->socket));
        break;
    case ACT_PAUSE:
        websocket_pause(pair->socket, true);
        break;
    case ACT_CLOSE:
        websocket_close(pair->socket, WEBSOCKET_GOING_AWAY, "enough");
        break;
    case ACT_NOTHING:
        break;
    }
    pair->is_within = false;
}

static void on_message(void *user, enum websocket_kind kind, struct str data)
{
    struct pair *pair = user;
    act(pair); /* `data` must outlive it */
    assert_non_null(data.text);
    pair->message_bytes += data.len;
    if (pair->keep) {
        buf_put(pair->keep, data.text, data.len);
        return;
    }
    note(pair, kind == WEBSOCKET_TEXT ? "text:" : "binary:");
    if (data.len <= 64)
        buf_put(&pair->log, data.text, data.len);
    else
        note(pair, "%zu bytes", data.len);
    buf_puts(&pair->log, ";");
}

static void on_room(void *user)
{
    struct pair *pair = user;
    pair->left = websocket_queued(pair->socket) - websocket_acknowledged(pair->socket);
    act(pair);
    note(pair, "room;");
}

static void on_pong(void *user, uint64_t mark)
{
    act(user);
    note(user, "pong:%llu;", (unsigned long long)mark);
}

static void on_closed(void *user, unsigned code)
{
    struct pair *pair = user;
    if (pair->is_freed_when_closed)
        websocket_free(take_ptr(&pair->socket));
    note(pair, "closed:%u;", code);
}

static const struct websocket_events events = {
    .message = on_message, .room = on_room, .pong = on_pong, .closed = on_closed};

static void make_tcp_pair(int fds[2])
{
    auto_close int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fds[1], (struct sockaddr *)&address, len), 0);
    fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fds[0] >= 0);
}

static void make_fds(enum medium medium, int fds[2])
{
    if (medium == MEDIUM_TCP)
        make_tcp_pair(fds);
    else
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
}

static void pair_begin(struct pair *pair, int fd, int peer_fd, struct str read_ahead,
                       struct websocket_options options)
{
    *pair = (struct pair){.loop = loop_new(), .fd = peer_fd, .is_within = true};
    pair->socket = websocket_open(pair->loop, fd, read_ahead, &options, &events, pair);
    pair->is_within = false;
}

static void pair_open(struct pair *pair, enum medium medium, struct websocket_options options)
{
    int fds[2];
    make_fds(medium, fds);
    pair_begin(pair, fds[0], fds[1], (struct str){NULL, 0}, options);
}

static void pair_close(struct pair *pair)
{
    websocket_free(take_ptr(&pair->socket));
    loop_free(pair->loop);
    mem_auto_close(&pair->fd);
    buf_clear(&pair->log);
    buf_clear(&pair->received);
}

static void hang_up(struct pair *pair)
{
    close(take_fd(&pair->fd));
}

static void reset(struct pair *pair)
{
    struct linger linger = {.l_onoff = 1};
    assert_int_equal(setsockopt(pair->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    hang_up(pair);
}

/* Runs the loop until it has nothing to do at once. */
static void settle(struct pair *pair)
{
    struct pollfd ready = {.fd = loop_fd(pair->loop), .events = POLLIN};
    while (poll(&ready, 1, 0) > 0)
        loop_dispatch(pair->loop, 0);
}

/* Reads what is there for the peer; true: there was something. */
static bool peer_read(struct pair *pair)
{
    char data[65536];
    ssize_t got = recv(pair->fd, data, sizeof data, 0);
    if (got > 0)
        buf_put(&pair->received, data, (size_t)got);
    else if (got == 0 || errno != EAGAIN)
        pair->has_ended = true;
    return got > 0;
}

/* Puts bytes on the wire while the other side runs, which may need to read for that. */
static void peer_write(struct pair *pair, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(pair->fd, data, len, MSG_NOSIGNAL);
        if (sent < 0) {
            assert_int_equal(errno, EAGAIN);
            loop_dispatch(pair->loop, 1000);
            continue;
        }
        data += sent;
        len -= (size_t)sent;
    }
}

static void peer_say(struct pair *pair, const struct buf *frames)
{
    peer_write(pair, frames->data, frames->len);
    settle(pair);
}

static void peer_text(struct pair *pair, const char *text)
{
    auto_buf struct buf frame = {0};
    peer_put_frame(&frame, PEER_FIN | PEER_TEXT, str_of(text));
    peer_say(pair, &frame);
}

/* The next frame for the peer must be this one. */
static void expect_frame(struct pair *pair, enum peer_opcode opcode, struct str payload)
{
    struct peer_frame frame;
    while (!peer_take_frame((struct str){pair->received.data, pair->received.len}, &frame)) {
        assert_false(pair->has_ended);
        if (!peer_read(pair))
            loop_dispatch(pair->loop, 1000);
    }
    assert_int_equal(frame.opcode, opcode);
    assert_int_equal(frame.payload.len, payload.len);
    if (payload.len)
        assert_memory_equal(frame.payload.text, payload.text, payload.len);
    buf_consume(&pair->received, frame.size);
}

static void expect_close(struct pair *pair, unsigned code, const char *reason)
{
    auto_buf struct buf payload = {0};
    if (code) {
        buf_putc(&payload, (char)(code >> 8));
        buf_putc(&payload, (char)code);
        buf_puts(&payload, reason);
    }
    expect_frame(pair, PEER_CLOSE, (struct str){payload.data, payload.len});
}

/* Nothing more for the peer but the end of the connection. */
static void expect_end(struct pair *pair)
{
    while (!pair->has_ended) {
        peer_read(pair);
        if (!pair->has_ended)
            loop_dispatch(pair->loop, 1000);
    }
    assert_int_equal(pair->received.len, 0);
}

/* All that has happened must be, or become, this. */
static void expect_log(struct pair *pair, const char *expected)
{
    for (int i = 0; i < 100 && pair->log.len < strlen(expected); i++)
        loop_dispatch(pair->loop, 100);
    settle(pair);
    assert_string_equal(buf_text(&pair->log), expected);
}

static void fill_with_pattern(struct buf *out, size_t len)
{
    buf_reserve(out, len);
    for (size_t i = 0; i < len; i++)
        out->data[i] = (char)(i * 131 + (i >> 8) * 7 + (i >> 16));
    out->len = len;
}

/* --- messages of the peer --- */

static void messages_come_whole(void **state)
{
    (void)state;
    for (enum medium medium = MEDIUM_UNIX; medium <= MEDIUM_TCP; medium++) {
        struct pair pair;
        auto_buf struct buf frames = {0};
        pair_open(&pair, medium, (struct websocket_options){0});
        peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("hello"));
        peer_put_frame(&frames, PEER_FIN | PEER_BINARY, (struct str){"\x01\x02", 2});
        peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR(""));
        peer_put_frame(&frames, PEER_FIN | PEER_BINARY, STR(""));
        peer_say(&pair, &frames);
        expect_log(&pair, "text:hello;binary:\x01\x02;text:;binary:;");
        pair_close(&pair);
    }
}

static void every_form_of_length_is_read(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 125, 126, 127, 4096, 32768, 65535, 65536, 65537, 1000000};
    struct pair pair;
    auto_buf struct buf got = {0}, all = {0};
    pair_open(&pair, MEDIUM_TCP, (struct websocket_options){0});
    pair.keep = &got;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        auto_buf struct buf payload = {0}, frame = {0};
        fill_with_pattern(&payload, lengths[i]);
        buf_put(&all, payload.data, payload.len);
        peer_put_frame(&frame, PEER_FIN | PEER_BINARY, (struct str){payload.data, payload.len});
        peer_say(&pair, &frame);
    }
    while (got.len < all.len)
        loop_dispatch(pair.loop, 1000);
    assert_int_equal(got.len, all.len);
    assert_memory_equal(got.data, all.data, all.len);
    pair_close(&pair);
}

static void text_need_not_be_utf8(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf frames = {0};
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("\xff\xfe\xc0"));
    peer_say(&pair, &frames);
    expect_log(&pair, "text:\xff\xfe\xc0;");
    pair_close(&pair);
}

/* Fragments with control frames between them, and lengths of two forms. */
static void put_varied_frames(struct buf *out)
{
    char long_text[300];
    memset(long_text, 'x', sizeof long_text);
    peer_put_frame(out, PEER_TEXT, STR("one "));
    peer_put_frame(out, PEER_FIN | PEER_PING, STR("are you there"));
    peer_put_frame(out, PEER_CONTINUATION, STR(""));
    peer_put_frame(out, PEER_FIN | PEER_PONG, STR("\0\0\0\0\0\0\1\2"));
    peer_put_frame(out, PEER_CONTINUATION, STR("two "));
    peer_put_frame(out, PEER_FIN | PEER_CONTINUATION, STR("three"));
    peer_put_frame(out, PEER_FIN | PEER_BINARY, (struct str){long_text, sizeof long_text});
    peer_put_frame(out, PEER_BINARY, STR(""));
    peer_put_frame(out, PEER_FIN | PEER_CONTINUATION, STR("end"));
    peer_put_frame(out, PEER_TEXT, STR("all of it"));
    peer_put_frame(out, PEER_FIN | PEER_CONTINUATION, STR(""));
}

#define VARIED_LOG "pong:258;text:one two three;binary:300 bytes;binary:end;text:all of it;"

static void fragments_are_put_together(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf frames = {0};
    put_varied_frames(&frames);
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    peer_say(&pair, &frames);
    expect_log(&pair, VARIED_LOG);
    expect_frame(&pair, PEER_PONG, STR("are you there"));
    pair_close(&pair);
}

static void frames_may_come_in_any_pieces(void **state)
{
    (void)state;
    auto_buf struct buf frames = {0};
    put_varied_frames(&frames);
    for (size_t piece = 1; piece <= 7; piece++) {
        struct pair pair;
        pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
        for (size_t at = 0; at < frames.len; at += piece) {
            size_t rest = frames.len - at;
            peer_write(&pair, frames.data + at, rest < piece ? rest : piece);
            settle(&pair);
        }
        expect_log(&pair, VARIED_LOG);
        expect_frame(&pair, PEER_PONG, STR("are you there"));
        pair_close(&pair);
    }
}

static void what_was_read_ahead_comes_first(void **state)
{
    (void)state;
    auto_buf struct buf frames = {0};
    put_varied_frames(&frames);
    for (size_t ahead = 0; ahead <= frames.len; ahead++) {
        struct pair pair;
        int fds[2];
        make_fds(MEDIUM_UNIX, fds);
        pair_begin(&pair, fds[0], fds[1], (struct str){frames.data, ahead},
                   (struct websocket_options){0});
        assert_int_equal(pair.log.len, 0);
        peer_write(&pair, frames.data + ahead, frames.len - ahead);
        expect_log(&pair, VARIED_LOG);
        pair_close(&pair);
    }
}

static void much_may_be_read_ahead(void **state)
{
    (void)state;
    struct pair pair;
    int fds[2];
    auto_buf struct buf payload = {0}, frames = {0};
    fill_with_pattern(&payload, 100000);
    peer_put_frame(&frames, PEER_FIN | PEER_BINARY, (struct str){payload.data, payload.len});
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("and this"));
    make_fds(MEDIUM_UNIX, fds);
    pair_begin(&pair, fds[0], fds[1], (struct str){frames.data, frames.len},
               (struct websocket_options){0});
    expect_log(&pair, "binary:100000 bytes;text:and this;");
    peer_text(&pair, "later");
    expect_log(&pair, "binary:100000 bytes;text:and this;text:later;");
    pair_close(&pair);
}

static void one_peer_cannot_keep_the_loop(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf payload = {0}, frames = {0}, kept = {0};
    int size = 4 << 20;
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    pair.keep = &kept;
    assert_int_equal(setsockopt(pair.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    fill_with_pattern(&payload, 1000);
    for (int i = 0; i < 1000; i++)
        peer_put_frame(&frames, PEER_FIN | PEER_BINARY, (struct str){payload.data, payload.len});
    ssize_t sent = send(pair.fd, frames.data, frames.len, 0);
    assert_true(sent > (ssize_t)(300 * KiB));
    loop_dispatch(pair.loop, 1000);
    assert_in_range(pair.message_bytes, 250 * KiB, 256 * KiB);
    settle(&pair);
    assert_int_equal(pair.message_bytes, sent / 1008 * 1000); /* header and mask: 8 bytes */
    pair_close(&pair);
}

/* --- what is refused --- */

static void put_unmasked(struct buf *out)
{
    peer_put_header(out, PEER_FIN | PEER_TEXT, 0, 2);
    buf_puts(out, "hi");
}

static void put_unmasked_ping(struct buf *out)
{
    peer_put_header(out, PEER_FIN | PEER_PING, 0, 2);
    buf_puts(out, "hi");
}

static void put_rsv1(struct buf *out)
{
    peer_put_frame(out, PEER_FIN | 0x40 | PEER_TEXT, STR("hi"));
}

static void put_rsv2(struct buf *out)
{
    peer_put_frame(out, PEER_FIN | 0x20 | PEER_TEXT, STR("hi"));
}

static void put_rsv3_on_a_ping(struct buf *out)
{
    peer_put_frame(out, PEER_FIN | 0x10 | PEER_PING, STR("hi"));
}

static void put_opcode_3(struct buf *out)
{
    peer_put_frame(out, PEER_FIN | 3, STR("hi"));
}

static void put_opcode_7(struct buf *out)
{
    peer_put_frame(out, PEER_FIN | 7, STR(""));
}

static void put_opcode_11(struct buf *out)
{
    peer_put_frame(out, PEER_FIN | 11, STR("hi"));
}

static void put_opcode_15(struct buf *out)
{
    peer_put_frame(out, PEER_FIN | 15, STR(""));
}

static void put_ping_in_fragments(struct buf *out)
{
    peer_put_frame(out, PEER_PING, STR("hi"));
}

static void put_long_ping(struct buf *out)
{
    char text[126] = {0};
    peer_put_frame(out, PEER_FIN | PEER_PING, (struct str){text, sizeof text});
}

static void put_continuation_of_nothing(struct buf *out)
{
    peer_put_frame(out, PEER_FIN | PEER_CONTINUATION, STR("hi"));
}

static void put_second_continuation(struct buf *out)
{
    peer_put_frame(out, PEER_TEXT, STR(""));
    peer_put_frame(out, PEER_FIN | PEER_CONTINUATION, STR(""));
    peer_put_frame(out, PEER_FIN | PEER_CONTINUATION, STR("hi"));
}

static void put_text_inside_text(struct buf *out)
{
    peer_put_frame(out, PEER_TEXT, STR("a"));
    peer_put_frame(out, PEER_FIN | PEER_TEXT, STR("b"));
}

static void put_long_form_of_5(struct buf *out)
{
    buf_put(out, "\x81\xfe\0\5", 4);
    peer_put_masked(out, STR("12345"));
}

static void put_longest_form_of_200(struct buf *out)
{
    buf_put(out, "\x81\xff\0\0\0\0\0\0\0\xc8", 10);
    peer_put_masked(out, STR("1"));
}

static void put_negative_length(struct buf *out)
{
    buf_put(out, "\x81\xff\x80\0\0\0\0\0\0\0", 10);
    peer_put_masked(out, STR("1"));
}

static void put_close_of_one_byte(struct buf *out)
{
    peer_put_frame(out, PEER_FIN | PEER_CLOSE, STR("\3"));
}

static void put_too_long(struct buf *out)
{
    char text[1001] = {0};
    peer_put_frame(out, PEER_FIN | PEER_BINARY, (struct str){text, sizeof text});
}

static void put_too_long_in_all(struct buf *out)
{
    char text[500] = {0};
    peer_put_frame(out, PEER_BINARY, (struct str){text, sizeof text});
    peer_put_frame(out, PEER_CONTINUATION, (struct str){text, sizeof text});
    peer_put_frame(out, PEER_FIN | PEER_CONTINUATION, STR("x"));
}

static void put_lying_length(struct buf *out)
{
    peer_put_header(out, PEER_FIN | PEER_TEXT, PEER_MASK, 1ull << 62);
    peer_put_masked(out, STR("x"));
}

static void put_lying_continuation(struct buf *out)
{
    peer_put_frame(out, PEER_TEXT, STR("123456789"));
    peer_put_header(out, PEER_FIN | PEER_CONTINUATION, PEER_MASK, (1ull << 63) - 1);
    peer_put_masked(out, STR("x"));
}

struct refusal {
    void (*put)(struct buf *out);
    unsigned code;
    const char *reason;
};

#define MALFORMED "malformed frame"

static const struct refusal refusals[] = {
    {put_unmasked, 1002, "frame is not masked"},
    {put_unmasked_ping, 1002, "frame is not masked"},
    {put_rsv1, 1002, "reserved bits are set"},
    {put_rsv2, 1002, "reserved bits are set"},
    {put_rsv3_on_a_ping, 1002, "reserved bits are set"},
    {put_opcode_3, 1002, "unknown opcode"},
    {put_opcode_7, 1002, "unknown opcode"},
    {put_opcode_11, 1002, "unknown opcode"},
    {put_opcode_15, 1002, "unknown opcode"},
    {put_ping_in_fragments, 1002, MALFORMED},
    {put_long_ping, 1002, MALFORMED},
    {put_continuation_of_nothing, 1002, "nothing to continue"},
    {put_second_continuation, 1002, "nothing to continue"},
    {put_text_inside_text, 1002, "message inside a message"},
    {put_long_form_of_5, 1002, MALFORMED},
    {put_longest_form_of_200, 1002, MALFORMED},
    {put_negative_length, 1002, MALFORMED},
    {put_close_of_one_byte, 1002, "close frame with a wrong code"},
    {put_too_long, 1009, "message is too long"},
    {put_too_long_in_all, 1009, "message is too long"},
    {put_lying_length, 1009, "message is too long"},
    {put_lying_continuation, 1009, "message is too long"},
};

/* What came before counts, what comes afterwards does not; the peer is told, then nothing more
 * comes to it, and it is over when it hangs up. */
static void check_refused(const struct refusal *refusal, enum medium medium)
{
    struct pair pair;
    auto_buf struct buf frames = {0};
    auto_buf struct buf log = {0};
    pair_open(&pair, medium, (struct websocket_options){.message_cap = 1000});
    peer_put_frame(&frames, PEER_FIN | PEER_BINARY, STR("before"));
    refusal->put(&frames);
    peer_put_frame(&frames, PEER_FIN | PEER_BINARY, STR("behind"));
    peer_say(&pair, &frames);
    buf_puts(&log, "binary:before;");
    if (refusal->put == put_second_continuation)
        buf_puts(&log, "text:;");
    expect_log(&pair, log.data);
    expect_close(&pair, refusal->code, refusal->reason);
    expect_end(&pair);
    websocket_send(pair.socket, WEBSOCKET_TEXT, STR("nobody reads that"));
    peer_write(&pair, "what is this", 12);
    settle(&pair);
    assert_string_equal(pair.log.data, log.data);
    hang_up(&pair);
    buf_printf(&log, "closed:%u;", refusal->code);
    expect_log(&pair, log.data);
    assert_int_equal(websocket_acknowledged(pair.socket), websocket_queued(pair.socket));
    pair_close(&pair);
}

static void breaking_the_rules_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        check_refused(&refusals[i], MEDIUM_UNIX);
        check_refused(&refusals[i], MEDIUM_TCP);
    }
}

static void a_message_of_just_the_cap_is_none_too_long(void **state)
{
    (void)state;
    struct pair pair;
    char text[1000] = {0};
    auto_buf struct buf frames = {0};
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){.message_cap = sizeof text});
    peer_put_frame(&frames, PEER_FIN | PEER_BINARY, (struct str){text, sizeof text});
    peer_put_frame(&frames, PEER_BINARY, (struct str){text, 999});
    peer_put_frame(&frames, PEER_FIN | PEER_CONTINUATION, (struct str){text, 1});
    peer_put_frame(&frames, PEER_TEXT, (struct str){text, 999});
    peer_put_frame(&frames, PEER_FIN | PEER_CONTINUATION, (struct str){text, 2});
    peer_say(&pair, &frames);
    expect_log(&pair, "binary:1000 bytes;binary:1000 bytes;");
    expect_close(&pair, 1009, "message is too long");
    pair_close(&pair);
}

static void refused_close_codes(void **state)
{
    (void)state;
    static const unsigned codes[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct pair pair;
        auto_buf struct buf frame = {0};
        pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
        peer_put_close(&frame, codes[i], "");
        peer_say(&pair, &frame);
        expect_close(&pair, 1002, "close frame with a wrong code");
        expect_end(&pair);
        hang_up(&pair);
        expect_log(&pair, "closed:1002;");
        pair_close(&pair);
    }
}

static void who_is_refused_and_stays_is_cut_off(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf frames = {0};
    pair_open(&pair, MEDIUM_TCP, (struct websocket_options){.close_grace_ms = 1});
    put_unmasked(&frames);
    peer_write(&pair, frames.data, frames.len);
    expect_log(&pair, "closed:1002;");
    pair_close(&pair);
}

/* --- closing --- */

static void a_close_is_answered(void **state)
{
    (void)state;
    static const unsigned codes[] = {1000, 1001, 1003, 1007, 1011, 1012, 1014, 3000, 4999};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct pair pair;
        auto_buf struct buf frames = {0};
        char log[64];
        pair_open(&pair, i % 2 ? MEDIUM_TCP : MEDIUM_UNIX, (struct websocket_options){0});
        peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("bye"));
        peer_put_close(&frames, codes[i], "going home");
        peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("too late"));
        peer_say(&pair, &frames);
        snprintf(log, sizeof log, "text:bye;closed:%u;", codes[i]);
        expect_log(&pair, log);
        expect_close(&pair, codes[i], "");
        expect_end(&pair);
        pair_close(&pair);
    }
}

static void a_close_without_a_code_is_answered_by_one(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf frame = {0};
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    peer_put_frame(&frame, PEER_FIN | PEER_CLOSE, STR(""));
    peer_say(&pair, &frame);
    expect_close(&pair, 0, "");
    expect_end(&pair);
    expect_log(&pair, "closed:1005;");
    pair_close(&pair);
}

static void we_close_behind_what_was_sent(void **state)
{
    (void)state;
    for (enum medium medium = MEDIUM_UNIX; medium <= MEDIUM_TCP; medium++) {
        struct pair pair;
        auto_buf struct buf frames = {0}, large = {0};
        pair_open(&pair, medium, (struct websocket_options){0});
        fill_with_pattern(&large, 8 << 20);
        websocket_send(pair.socket, WEBSOCKET_BINARY, (struct str){large.data, large.len});
        pair.is_within = true;
        websocket_close(pair.socket, WEBSOCKET_GOING_AWAY, "the kernel was shut down");
        pair.is_within = false;
        uint64_t queued = websocket_queued(pair.socket);
        websocket_send(pair.socket, WEBSOCKET_TEXT, STR("more"));
        websocket_ping(pair.socket, 1);
        websocket_close(pair.socket, WEBSOCKET_FAILED, "again");
        assert_int_equal(websocket_queued(pair.socket), queued);
        expect_frame(&pair, PEER_BINARY, (struct str){large.data, large.len});
        expect_close(&pair, 1001, "the kernel was shut down");
        peer_put_frame(&frames, PEER_FIN | PEER_PING, STR("not answered"));
        peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("not delivered"));
        peer_put_frame(&frames, PEER_TEXT, STR("nor "));
        peer_put_frame(&frames, PEER_FIN | PEER_CONTINUATION, STR("this"));
        peer_say(&pair, &frames);
        assert_int_equal(pair.log.len, 0);
        buf_reset(&frames);
        peer_put_close(&frames, 1000, "");
        peer_say(&pair, &frames);
        expect_log(&pair, "closed:1001;");
        expect_end(&pair);
        assert_int_equal(websocket_acknowledged(pair.socket), queued);
        pair_close(&pair);
    }
}

static void a_reason_may_be_123_bytes_or_none(void **state)
{
    (void)state;
    struct pair pair;
    char reason[124];
    memset(reason, 'r', sizeof reason - 1);
    reason[123] = 0;
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    websocket_close(pair.socket, WEBSOCKET_POLICY, reason);
    expect_close(&pair, 1008, reason);
    pair_close(&pair);
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    websocket_close(pair.socket, WEBSOCKET_NORMAL, NULL);
    expect_close(&pair, 1000, "");
    pair_close(&pair);
}

static void who_does_not_answer_a_close_is_cut_off(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf large = {0};
    pair_open(&pair, MEDIUM_TCP, (struct websocket_options){.close_grace_ms = 1});
    websocket_close(pair.socket, WEBSOCKET_NORMAL, "");
    expect_log(&pair, "closed:1000;");
    expect_close(&pair, 1000, "");
    pair_close(&pair);
    /* One that does not even read. */
    pair_open(&pair, MEDIUM_TCP, (struct websocket_options){.close_grace_ms = 1});
    fill_with_pattern(&large, 16 << 20);
    websocket_send(pair.socket, WEBSOCKET_BINARY, (struct str){large.data, large.len});
    websocket_close(pair.socket, WEBSOCKET_NORMAL, "");
    expect_log(&pair, "closed:1000;");
    pair_close(&pair);
}

static void who_hangs_up_instead_of_answering_a_close_is_closed(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MEDIUM_TCP, (struct websocket_options){0});
    websocket_close(pair.socket, WEBSOCKET_TRY_LATER, "");
    hang_up(&pair);
    expect_log(&pair, "closed:1013;");
    pair_close(&pair);
}

static void nonsense_instead_of_an_answer_ends_it_too(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf frames = {0};
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    websocket_close(pair.socket, WEBSOCKET_NORMAL, "");
    put_unmasked(&frames);
    peer_say(&pair, &frames);
    expect_close(&pair, 1000, "");
    expect_end(&pair);
    hang_up(&pair);
    expect_log(&pair, "closed:1000;");
    pair_close(&pair);
}

static void closing_while_paused_finds_the_peers_close(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf frames = {0};
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){.close_grace_ms = 1000000});
    pair.act = ACT_PAUSE;
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("1"));
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("2"));
    peer_put_close(&frames, 4000, "");
    peer_say(&pair, &frames);
    expect_log(&pair, "text:1;");
    websocket_close(pair.socket, WEBSOCKET_GOING_AWAY, "");
    expect_log(&pair, "text:1;closed:1001;");
    pair_close(&pair);
}

/* --- connections that break --- */

static void a_peer_that_is_gone_is_lost(void **state)
{
    (void)state;
    for (enum medium medium = MEDIUM_UNIX; medium <= MEDIUM_TCP; medium++) {
        struct pair pair;
        auto_buf struct buf frames = {0};
        pair_open(&pair, medium, (struct websocket_options){0});
        peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("last words"));
        peer_put_frame(&frames, PEER_TEXT, STR("not finis"));
        peer_write(&pair, frames.data, frames.len);
        hang_up(&pair);
        expect_log(&pair, "text:last words;closed:1006;");
        websocket_send(pair.socket, WEBSOCKET_TEXT, STR("anybody?"));
        assert_int_equal(websocket_queued(pair.socket), 0);
        pair_close(&pair);
    }
}

static void a_reset_is_a_loss(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MEDIUM_TCP, (struct websocket_options){0});
    reset(&pair);
    expect_log(&pair, "closed:1006;");
    pair_close(&pair);
}

static void a_reset_is_noticed_while_paused(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MEDIUM_TCP, (struct websocket_options){0});
    websocket_pause(pair.socket, true);
    peer_text(&pair, "not read");
    reset(&pair);
    expect_log(&pair, "closed:1006;");
    pair_close(&pair);
}

/* Sending finds out first; what the peer had said counts all the same. */
static void what_was_said_before_the_loss_is_heard(void **state)
{
    (void)state;
    for (enum medium medium = MEDIUM_UNIX; medium <= MEDIUM_TCP; medium++) {
        struct pair pair;
        auto_buf struct buf frames = {0};
        pair_open(&pair, medium, (struct websocket_options){0});
        peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("do it"));
        peer_put_frame(&frames, PEER_FIN | PEER_PING, STR("?"));
        peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("now"));
        assert_int_equal(send(pair.fd, frames.data, frames.len, 0), (ssize_t)frames.len);
        if (medium == MEDIUM_TCP)
            reset(&pair);
        else
            hang_up(&pair);
        pair.is_within = true;
        websocket_send(pair.socket, WEBSOCKET_TEXT, STR("done"));
        uint64_t queued = websocket_queued(pair.socket);
        websocket_send(pair.socket, WEBSOCKET_TEXT, STR("this goes nowhere"));
        pair.is_within = false;
        assert_int_equal(websocket_queued(pair.socket), queued);
        expect_log(&pair, "text:do it;text:now;closed:1006;");
        pair_close(&pair);
    }
}

static void a_loss_found_by_sending_ends_a_paused_one(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf large = {0};
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    websocket_pause(pair.socket, true);
    hang_up(&pair);
    fill_with_pattern(&large, 1 << 20);
    websocket_send(pair.socket, WEBSOCKET_BINARY, (struct str){large.data, large.len});
    expect_log(&pair, "closed:1006;");
    pair_close(&pair);
}

static void a_close_frame_behind_the_loss_gives_the_code(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf frames = {0};
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("bye"));
    peer_put_close(&frames, 1000, "");
    assert_int_equal(send(pair.fd, frames.data, frames.len, 0), (ssize_t)frames.len);
    hang_up(&pair);
    websocket_send(pair.socket, WEBSOCKET_TEXT, STR("too late"));
    expect_log(&pair, "text:bye;closed:1000;");
    pair_close(&pair);
}

/* --- pings and pongs --- */

static void pings_are_answered(void **state)
{
    (void)state;
    struct pair pair;
    char most[125];
    auto_buf struct buf frames = {0};
    memset(most, 'm', sizeof most);
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    peer_put_frame(&frames, PEER_FIN | PEER_PING, STR(""));
    peer_put_frame(&frames, PEER_FIN | PEER_PING, STR("\0\1"));
    peer_put_frame(&frames, PEER_FIN | PEER_PING, (struct str){most, sizeof most});
    peer_say(&pair, &frames);
    expect_frame(&pair, PEER_PONG, STR(""));
    expect_frame(&pair, PEER_PONG, STR("\0\1"));
    expect_frame(&pair, PEER_PONG, (struct str){most, sizeof most});
    assert_int_equal(pair.log.len, 0);
    pair_close(&pair);
}

/* One that reads nothing cannot make us keep answers for it; messages still get through. */
static void a_flood_of_pings_is_not_kept(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf frames = {0};
    char text[125] = {0};
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){.room = 1000});
    for (unsigned i = 0; i < 50000; i++) {
        memcpy(text, &i, sizeof i);
        peer_put_frame(&frames, PEER_FIN | PEER_PING, (struct str){text, sizeof text});
    }
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("heard"));
    peer_say(&pair, &frames);
    expect_log(&pair, "text:heard;");
    assert_true(websocket_has_room(pair.socket));
    assert_in_range(websocket_queued(pair.socket), 10000, 2000000); /* of 6.3 million */
    unsigned newest = 0;
    struct peer_frame frame;
    for (; newest != 49999; buf_consume(&pair.received, frame.size)) {
        while (!peer_take_frame((struct str){pair.received.data, pair.received.len}, &frame)) {
            if (!peer_read(&pair))
                loop_dispatch(pair.loop, 1000);
        }
        assert_int_equal(frame.opcode, PEER_PONG);
        unsigned number;
        memcpy(&number, frame.payload.text, sizeof number);
        assert_true(number >= newest);
        newest = number;
    }
    assert_string_equal(pair.log.data, "text:heard;");
    pair_close(&pair);
}

static void our_pings_carry_a_mark(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf frames = {0};
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    websocket_send(pair.socket, WEBSOCKET_TEXT, STR("first"));
    websocket_ping(pair.socket, 0x0102030405060708);
    expect_frame(&pair, PEER_TEXT, STR("first"));
    expect_frame(&pair, PEER_PING, STR("\1\2\3\4\5\6\7\10"));
    peer_put_frame(&frames, PEER_FIN | PEER_PONG, STR("\1\2\3\4\5\6\7\10"));
    peer_put_frame(&frames, PEER_FIN | PEER_PONG, STR(""));
    peer_put_frame(&frames, PEER_FIN | PEER_PONG, STR("1234567"));
    peer_put_frame(&frames, PEER_FIN | PEER_PONG, STR("123456789"));
    peer_put_frame(&frames, PEER_FIN | PEER_PONG, STR("\xff\xff\xff\xff\xff\xff\xff\xff"));
    peer_say(&pair, &frames);
    expect_log(&pair, "pong:72623859790382856;pong:18446744073709551615;");
    pair_close(&pair);
}

static void three_unanswered_pings_are_a_loss(void **state)
{
    (void)state;
    for (enum medium medium = MEDIUM_UNIX; medium <= MEDIUM_TCP; medium++) {
        struct pair pair;
        pair_open(&pair, medium, (struct websocket_options){.ping_interval_ms = 1});
        expect_log(&pair, "closed:1006;");
        for (int i = 0; i < 3; i++)
            expect_frame(&pair, PEER_PING, STR(""));
        expect_end(&pair);
        pair_close(&pair);
    }
}

/* A peer that takes nothing is lost as well, though the last ping has not even reached it. */
static void a_peer_that_takes_nothing_is_lost(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf large = {0};
    fill_with_pattern(&large, 16 << 20);
    pair_open(&pair, MEDIUM_TCP, (struct websocket_options){.ping_interval_ms = 5});
    websocket_send(pair.socket, WEBSOCKET_BINARY, (struct str){large.data, large.len});
    expect_log(&pair, "closed:1006;");
    pair_close(&pair);
}

/* One ping lies behind much that arrives slowly; no more of them are sent until it has. */
static void a_slow_peer_is_not_lost(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf large = {0};
    fill_with_pattern(&large, 32 << 20);
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){.ping_interval_ms = 1});
    websocket_send(pair.socket, WEBSOCKET_BINARY, (struct str){large.data, large.len});
    for (int i = 0; i < 50; i++) {
        while (peer_read(&pair))
            continue;
        msec now = clock_mono();
        while (clock_mono() == now)
            loop_dispatch(pair.loop, 1);
    }
    assert_true(pair.received.len < large.len);
    assert_int_equal(pair.log.len, 0);
    assert_int_equal(websocket_queued(pair.socket), 10 + large.len + 2);
    pair_close(&pair);
}

static void expect_eight_pings(struct pair *pair, struct str answer)
{
    for (int i = 0; i < 8; i++) {
        expect_frame(pair, PEER_PING, STR(""));
        if (answer.len > 0)
            peer_write(pair, answer.text, answer.len);
    }
    assert_int_equal(pair->log.len, 0);
}

static void who_answers_is_not_lost(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf pong = {0};
    peer_put_frame(&pong, PEER_FIN | PEER_PONG, STR(""));
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){.ping_interval_ms = 1});
    expect_eight_pings(&pair, (struct str){pong.data, pong.len});
    pair_close(&pair);
}

static void every_byte_is_a_sign_of_life(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf frame = {0};
    peer_put_header(&frame, PEER_FIN | PEER_BINARY, PEER_MASK, 1000);
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){.ping_interval_ms = 1});
    peer_say(&pair, &frame);
    expect_eight_pings(&pair, STR("x"));
    pair_close(&pair);
}

static void nobody_is_lost_while_paused(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){.ping_interval_ms = 1});
    websocket_pause(pair.socket, true);
    expect_eight_pings(&pair, STR(""));
    websocket_pause(pair.socket, false);
    expect_log(&pair, "closed:1006;");
    pair_close(&pair);
}

/* --- sending --- */

static void messages_go_whole(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 125, 126, 65535, 65536, 300000, 5 << 20};
    for (enum medium medium = MEDIUM_UNIX; medium <= MEDIUM_TCP; medium++) {
        struct pair pair;
        uint64_t size = 0;
        pair_open(&pair, medium, (struct websocket_options){0});
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            auto_buf struct buf payload = {0};
            fill_with_pattern(&payload, lengths[i]);
            struct str data = {payload.data, payload.len};
            websocket_send(pair.socket, i % 2 ? WEBSOCKET_TEXT : WEBSOCKET_BINARY, data);
            size += lengths[i] + (lengths[i] < 126 ? 2u : lengths[i] < 65536 ? 4u : 10u);
            assert_int_equal(websocket_queued(pair.socket), size);
            auto_buf struct buf same = {0};
            buf_put(&same, payload.data, payload.len);
            memset(payload.data, 0, payload.len); /* what is sent was copied */
            expect_frame(&pair, i % 2 ? PEER_TEXT : PEER_BINARY, (struct str){same.data, same.len});
        }
        pair_close(&pair);
    }
}

/* The peer reads nothing until all is queued: small ones behind large ones, at all their edges. */
static void order_is_kept_behind_a_full_socket(void **state)
{
    (void)state;
    for (enum medium medium = MEDIUM_UNIX; medium <= MEDIUM_TCP; medium++) {
        struct pair pair;
        auto_buf struct buf payload = {0};
        fill_with_pattern(&payload, 3 << 20);
        pair_open(&pair, medium, (struct websocket_options){0});
        for (size_t i = 0; i < 200; i++) {
            size_t len = i % 50 == 0 ? payload.len : i * 37;
            websocket_send(pair.socket, WEBSOCKET_BINARY, (struct str){payload.data, len});
        }
        for (size_t i = 0; i < 200; i++) {
            size_t len = i % 50 == 0 ? payload.len : i * 37;
            expect_frame(&pair, PEER_BINARY, (struct str){payload.data, len});
        }
        pair_close(&pair);
    }
}

static void much_goes_both_ways_at_once(void **state)
{
    (void)state;
    for (enum medium medium = MEDIUM_UNIX; medium <= MEDIUM_TCP; medium++) {
        struct pair pair;
        auto_buf struct buf payload = {0}, frame = {0}, got = {0};
        fill_with_pattern(&payload, 10 << 20);
        struct str data = {payload.data, payload.len};
        peer_put_frame(&frame, PEER_FIN | PEER_BINARY, data);
        pair_open(&pair, medium, (struct websocket_options){0});
        pair.keep = &got;
        websocket_send(pair.socket, WEBSOCKET_BINARY, data);
        peer_write(&pair, frame.data, frame.len);
        expect_frame(&pair, PEER_BINARY, data);
        while (got.len < payload.len)
            loop_dispatch(pair.loop, 1000);
        assert_int_equal(got.len, payload.len);
        assert_memory_equal(got.data, payload.data, payload.len);
        pair_close(&pair);
    }
}

static void room_ends_and_comes_back(void **state)
{
    (void)state;
    struct pair pair;
    char text[1000] = {0};
    struct str data = {text, sizeof text};
    size_t count = 0, room = 2000000; /* several times what the system takes */
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){.room = room});
    assert_true(websocket_has_room(pair.socket));
    for (; websocket_has_room(pair.socket); count++)
        websocket_send(pair.socket, WEBSOCKET_BINARY, data);
    uint64_t most = websocket_queued(pair.socket);
    uint64_t left = most - websocket_acknowledged(pair.socket); /* a unix socket's: not written */
    assert_in_range(left, room, room + sizeof text + 3);
    settle(&pair);
    assert_false(websocket_has_room(pair.socket));
    assert_int_equal(pair.log.len, 0);
    for (size_t i = 0; i < count; i++)
        expect_frame(&pair, PEER_BINARY, data);
    expect_log(&pair, "room;"); /* once */
    assert_in_range(pair.left, 1, room / 2);
    assert_true(websocket_has_room(pair.socket));
    assert_int_equal(websocket_queued(pair.socket), most);
    pair_close(&pair);
}

static void one_large_message_takes_all_room(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf payload = {0};
    fill_with_pattern(&payload, 8 << 20);
    pair_open(&pair, MEDIUM_TCP, (struct websocket_options){0});
    websocket_send(pair.socket, WEBSOCKET_BINARY, (struct str){payload.data, payload.len});
    assert_false(websocket_has_room(pair.socket));
    expect_frame(&pair, PEER_BINARY, (struct str){payload.data, payload.len});
    expect_log(&pair, "room;");
    pair_close(&pair);
}

static void tcp_does_not_wait_for_more(void **state)
{
    (void)state;
    struct pair pair;
    int fds[2], on = 0;
    socklen_t len = sizeof on;
    make_fds(MEDIUM_TCP, fds);
    auto_close int same = dup(fds[0]);
    pair_begin(&pair, fds[0], fds[1], (struct str){NULL, 0}, (struct websocket_options){0});
    assert_int_equal(getsockopt(same, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_int_equal(on, 1);
    assert_true(fcntl(same, F_GETFL) & O_NONBLOCK);
    pair_close(&pair);
}

/* --- pausing --- */

static void paused_in_the_middle_of_what_was_read(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf frames = {0};
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("1"));
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("2"));
    peer_put_frame(&frames, PEER_FIN | PEER_PING, STR("p"));
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("3"));
    pair.act = ACT_PAUSE;
    peer_say(&pair, &frames);
    expect_log(&pair, "text:1;");
    assert_int_equal(websocket_queued(pair.socket), 0); /* no pong */
    pair.act = ACT_PAUSE;
    pair.is_within = true;
    websocket_pause(pair.socket, false);
    pair.is_within = false;
    expect_log(&pair, "text:1;text:2;");
    peer_text(&pair, "4");
    expect_log(&pair, "text:1;text:2;");
    websocket_pause(pair.socket, false);
    expect_log(&pair, "text:1;text:2;text:3;text:4;");
    expect_frame(&pair, PEER_PONG, STR("p"));
    pair_close(&pair);
}

static void paused_the_peer_stalls_and_we_can_send(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf frame = {0};
    char text[10000] = {0};
    peer_put_frame(&frame, PEER_FIN | PEER_BINARY, (struct str){text, sizeof text});
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    websocket_pause(pair.socket, true);
    size_t taken = 0;
    for (ssize_t sent; (sent = send(pair.fd, frame.data, frame.len, 0)) == (ssize_t)frame.len;) {
        taken += (size_t)sent;
        settle(&pair);
        assert_true(taken < 100 << 20);
    }
    websocket_send(pair.socket, WEBSOCKET_TEXT, STR("wait"));
    expect_frame(&pair, PEER_TEXT, STR("wait"));
    assert_int_equal(pair.message_bytes, 0);
    pair_close(&pair);
}

static void the_end_waits_for_what_a_pause_held_back(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MEDIUM_TCP, (struct websocket_options){0});
    websocket_pause(pair.socket, true);
    peer_text(&pair, "said and gone");
    hang_up(&pair);
    expect_log(&pair, "");
    websocket_pause(pair.socket, false);
    expect_log(&pair, "text:said and gone;closed:1006;");
    websocket_pause(pair.socket, true);
    websocket_pause(pair.socket, false);
    expect_log(&pair, "text:said and gone;closed:1006;"); /* once */
    pair_close(&pair);
}

/* --- within events --- */

static void freed_by_a_message(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf frames = {0};
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("in one piece"));
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("unheard"));
    pair.act = ACT_FREE;
    peer_say(&pair, &frames);
    expect_log(&pair, "text:in one piece;");
    expect_end(&pair);
    pair_close(&pair);
}

static void freed_by_a_message_in_fragments(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf frames = {0};
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    peer_put_frame(&frames, PEER_TEXT, STR("in "));
    peer_put_frame(&frames, PEER_FIN | PEER_CONTINUATION, STR("pieces"));
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("unheard"));
    pair.act = ACT_FREE;
    peer_say(&pair, &frames);
    expect_log(&pair, "text:in pieces;");
    pair_close(&pair);
}

static void freed_by_a_message_read_ahead(void **state)
{
    (void)state;
    struct pair pair;
    int fds[2];
    auto_buf struct buf frames = {0};
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("early"));
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("unheard"));
    make_fds(MEDIUM_UNIX, fds);
    pair_begin(&pair, fds[0], fds[1], (struct str){frames.data, frames.len},
               (struct websocket_options){0});
    pair.act = ACT_FREE;
    expect_log(&pair, "text:early;");
    pair_close(&pair);
}

static void freed_by_a_pong(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf frames = {0};
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    peer_put_frame(&frames, PEER_FIN | PEER_PONG, STR("\0\0\0\0\0\0\0\7"));
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("unheard"));
    pair.act = ACT_FREE;
    peer_say(&pair, &frames);
    expect_log(&pair, "pong:7;");
    pair_close(&pair);
}

static void freed_by_room(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf payload = {0}, frame = {0};
    fill_with_pattern(&payload, 1 << 20);
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    websocket_send(pair.socket, WEBSOCKET_BINARY, (struct str){payload.data, payload.len});
    pair.act = ACT_FREE;
    while (pair.socket) {
        peer_read(&pair);
        loop_dispatch(pair.loop, 1000);
    }
    expect_log(&pair, "room;");
    pair_close(&pair);
}

static void freed_when_closed(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    pair.is_freed_when_closed = true;
    hang_up(&pair);
    expect_log(&pair, "closed:1006;");
    assert_null(pair.socket);
    pair_close(&pair);
}

static void freed_before_closed_is_told(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    hang_up(&pair);
    websocket_send(pair.socket, WEBSOCKET_TEXT, STR("broken by now"));
    websocket_free(take_ptr(&pair.socket));
    websocket_free(NULL);
    expect_log(&pair, "");
    pair_close(&pair);
}

static void closed_by_a_message(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf frames = {0};
    pair_open(&pair, MEDIUM_UNIX, (struct websocket_options){0});
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("stop"));
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("unheard"));
    peer_put_close(&frames, 1000, "");
    pair.act = ACT_CLOSE;
    peer_say(&pair, &frames);
    expect_log(&pair, "text:stop;closed:1001;");
    expect_close(&pair, 1001, "enough");
    expect_end(&pair);
    pair_close(&pair);
}

/* --- what the peer has got --- */

/* Until TCP has nothing in flight: what the peer's side holds is acknowledged. */
static size_t held_by_peer(struct pair *pair)
{
    int held = 0;
    for (int i = 0; i < 1000; i++) {
        loop_dispatch(pair->loop, 1);
        assert_int_equal(ioctl(pair->fd, FIONREAD, &held), 0);
        if (held > 0 && websocket_acknowledged(pair->socket) == (uint64_t)held)
            break;
    }
    return (size_t)held;
}

static void acknowledged_is_what_the_peer_holds(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf payload = {0};
    fill_with_pattern(&payload, 8 << 20);
    pair_open(&pair, MEDIUM_TCP, (struct websocket_options){0});
    websocket_send(pair.socket, WEBSOCKET_BINARY, (struct str){payload.data, payload.len});
    uint64_t queued = websocket_queued(pair.socket);
    size_t held = held_by_peer(&pair);
    assert_int_equal(websocket_acknowledged(pair.socket), held);
    assert_true(held < queued / 2);
    expect_frame(&pair, PEER_BINARY, (struct str){payload.data, payload.len});
    for (int i = 0; i < 1000 && websocket_acknowledged(pair.socket) < queued; i++)
        loop_dispatch(pair.loop, 1);
    assert_int_equal(websocket_acknowledged(pair.socket), queued);
    pair_close(&pair);
}

static void acknowledged_survives_the_connection(void **state)
{
    (void)state;
    for (int is_reset = 0; is_reset <= 1; is_reset++) {
        struct pair pair;
        auto_buf struct buf payload = {0};
        fill_with_pattern(&payload, 8 << 20);
        pair_open(&pair, MEDIUM_TCP, (struct websocket_options){0});
        websocket_send(pair.socket, WEBSOCKET_BINARY, (struct str){payload.data, payload.len});
        size_t held = held_by_peer(&pair);
        if (is_reset)
            reset(&pair);
        else
            hang_up(&pair); /* unread bytes make a reset of that, too */
        expect_log(&pair, "closed:1006;");
        assert_int_equal(websocket_acknowledged(pair.socket), held);
        pair_close(&pair);
    }
}

static void acknowledged_at_a_half_close(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, MEDIUM_TCP, (struct websocket_options){0});
    websocket_send(pair.socket, WEBSOCKET_TEXT, STR("got it"));
    expect_frame(&pair, PEER_TEXT, STR("got it"));
    assert_int_equal(shutdown(pair.fd, SHUT_WR), 0);
    expect_log(&pair, "closed:1006;");
    assert_int_equal(websocket_acknowledged(pair.socket), 8);
    pair_close(&pair);
}

/* The peer's TCP goes on acknowledging what no WebSocket will look at. */
static void acknowledged_stays_when_the_peer_has_closed(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf payload = {0}, frame = {0};
    fill_with_pattern(&payload, 8 << 20);
    pair_open(&pair, MEDIUM_TCP, (struct websocket_options){0});
    websocket_send(pair.socket, WEBSOCKET_BINARY, (struct str){payload.data, payload.len});
    size_t held = held_by_peer(&pair);
    peer_put_close(&frame, 1000, "");
    peer_say(&pair, &frame);
    expect_frame(&pair, PEER_BINARY, (struct str){payload.data, payload.len});
    expect_close(&pair, 1000, "");
    expect_log(&pair, "closed:1000;");
    assert_int_equal(websocket_acknowledged(pair.socket), held);
    pair_close(&pair);
}

static void the_handshake_is_not_counted(void **state)
{
    (void)state;
    struct pair pair;
    int fds[2];
    static char handshake[1 << 20];
    make_fds(MEDIUM_TCP, fds);
    ssize_t sent = send(fds[0], handshake, sizeof handshake, MSG_DONTWAIT);
    assert_true(sent > 0);
    pair_begin(&pair, fds[0], fds[1], (struct str){NULL, 0}, (struct websocket_options){0});
    websocket_send(pair.socket, WEBSOCKET_TEXT, STR("behind it"));
    assert_int_equal(websocket_acknowledged(pair.socket), 0);
    while (pair.received.len < (size_t)sent + 11)
        if (!peer_read(&pair))
            loop_dispatch(pair.loop, 1);
    for (int i = 0; i < 1000 && websocket_acknowledged(pair.socket) < 11; i++)
        loop_dispatch(pair.loop, 1);
    assert_int_equal(websocket_acknowledged(pair.socket), 11);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_whole),
        cmocka_unit_test(every_form_of_length_is_read),
        cmocka_unit_test(text_need_not_be_utf8),
        cmocka_unit_test(fragments_are_put_together),
        cmocka_unit_test(frames_may_come_in_any_pieces),
        cmocka_unit_test(what_was_read_ahead_comes_first),
        cmocka_unit_test(much_may_be_read_ahead),
        cmocka_unit_test(one_peer_cannot_keep_the_loop),
        cmocka_unit_test(breaking_the_rules_is_refused),
        cmocka_unit_test(a_message_of_just_the_cap_is_none_too_long),
        cmocka_unit_test(refused_close_codes),
        cmocka_unit_test(who_is_refused_and_stays_is_cut_off),
        cmocka_unit_test(a_close_is_answered),
        cmocka_unit_test(a_close_without_a_code_is_answered_by_one),
        cmocka_unit_test(we_close_behind_what_was_sent),
        cmocka_unit_test(a_reason_may_be_123_bytes_or_none),
        cmocka_unit_test(who_does_not_answer_a_close_is_cut_off),
        cmocka_unit_test(who_hangs_up_instead_of_answering_a_close_is_closed),
        cmocka_unit_test(nonsense_instead_of_an_answer_ends_it_too),
        cmocka_unit_test(closing_while_paused_finds_the_peers_close),
        cmocka_unit_test(a_peer_that_is_gone_is_lost),
        cmocka_unit_test(a_reset_is_a_loss),
        cmocka_unit_test(a_reset_is_noticed_while_paused),
        cmocka_unit_test(what_was_said_before_the_loss_is_heard),
        cmocka_unit_test(a_loss_found_by_sending_ends_a_paused_one),
        cmocka_unit_test(a_close_frame_behind_the_loss_gives_the_code),
        cmocka_unit_test(pings_are_answered),
        cmocka_unit_test(a_flood_of_pings_is_not_kept),
        cmocka_unit_test(our_pings_carry_a_mark),
        cmocka_unit_test(three_unanswered_pings_are_a_loss),
        cmocka_unit_test(a_peer_that_takes_nothing_is_lost),
        cmocka_unit_test(a_slow_peer_is_not_lost),
        cmocka_unit_test(who_answers_is_not_lost),
        cmocka_unit_test(every_byte_is_a_sign_of_life),
        cmocka_unit_test(nobody_is_lost_while_paused),
        cmocka_unit_test(messages_go_whole),
        cmocka_unit_test(order_is_kept_behind_a_full_socket),
        cmocka_unit_test(much_goes_both_ways_at_once),
        cmocka_unit_test(room_ends_and_comes_back),
        cmocka_unit_test(one_large_message_takes_all_room),
        cmocka_unit_test(tcp_does_not_wait_for_more),
        cmocka_unit_test(paused_in_the_middle_of_what_was_read),
        cmocka_unit_test(paused_the_peer_stalls_and_we_can_send),
        cmocka_unit_test(the_end_waits_for_what_a_pause_held_back),
        cmocka_unit_test(freed_by_a_message),
        cmocka_unit_test(freed_by_a_message_in_fragments),
        cmocka_unit_test(freed_by_a_message_read_ahead),
        cmocka_unit_test(freed_by_a_pong),
        cmocka_unit_test(freed_by_room),
        cmocka_unit_test(freed_when_closed),
        cmocka_unit_test(freed_before_closed_is_told),
        cmocka_unit_test(closed_by_a_message),
        cmocka_unit_test(acknowledged_is_what_the_peer_holds),
        cmocka_unit_test(acknowledged_survives_the_connection),
        cmocka_unit_test(acknowledged_at_a_half_close),
        cmocka_unit_test(acknowledged_stays_when_the_peer_has_closed),
        cmocka_unit_test(the_handshake_is_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
