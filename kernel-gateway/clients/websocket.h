/* websocket: one WebSocket connection, from the moment at which HTTP has been left behind.
 *
 * Source: RFC 6455; frames are libwslay's (its frame API, since its event API insists on valid
 * UTF-8, which some clients do not send). Messages come whole and go whole; pings are answered
 * here; a peer that answers no ping of ours is lost. Owns the descriptor. What it sends is copied
 * into a buffer, which whoever sends keeps small by looking at websocket_has_room. Belongs to the
 * loop's thread; never blocks.
 */
#ifndef SEGUE_KERNEL_GATEWAY_WEBSOCKET_H
#define SEGUE_KERNEL_GATEWAY_WEBSOCKET_H

#include "base/loop.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct websocket;

enum websocket_kind { WEBSOCKET_TEXT, WEBSOCKET_BINARY };

/* Close codes, RFC 6455 7.4.1 and the registry behind it. */
enum websocket_code {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL_ERROR = 1002,
    WEBSOCKET_NO_CODE = 1005, /* never sent: the peer has closed and gave no code */
    WEBSOCKET_LOST = 1006,    /* never sent: the connection broke */
    WEBSOCKET_BAD_DATA = 1007,
    WEBSOCKET_POLICY = 1008,
    WEBSOCKET_TOO_BIG = 1009,
    WEBSOCKET_FAILED = 1011,
    WEBSOCKET_TRY_LATER = 1013,
};

struct websocket_events {
    /* A whole message; lent for the call. Text is passed on as it came, valid UTF-8 or not. */
    void (*message)(void *user, enum websocket_kind kind, struct str data);
    /* There is room again, after there was none. */
    void (*room)(void *user);
    /* The peer has answered websocket_ping: it has read everything that was sent before it. `mark`
     * is its word: a bad one may answer what was never asked. */
    void (*pong)(void *user, uint64_t mark);
    /* Once, the last event, never from within a call of ours: it is closed (by whom ever: `code`)
     * and is still to be freed. websocket_acknowledged is final by now. */
    void (*closed)(void *user, unsigned code);
};

/* 0: the default in brackets. */
struct websocket_options {
    size_t message_cap;    /* bytes of one message of the peer (64 MiB) */
    size_t room;           /* bytes that may wait to be sent before there is no room (256 KiB) */
    msec ping_interval_ms; /* (30 s); not answered for three of them: lost */
    msec close_grace_ms;   /* for the peer to answer a close, and for what waits to be sent (2 s) */
};

/* Takes over a connected stream socket, makes it non-blocking and, where it is TCP, switches
 * TCP_NODELAY on. `read_ahead` is what was read of it already. */
struct websocket *websocket_open(struct loop *loop, int take_fd, struct str read_ahead,
                                 const struct websocket_options *options,
                                 const struct websocket_events *events, void *user);
void websocket_free(struct websocket *socket); /* closes at once; NULL is allowed */

/* One message; copied. After websocket_close, and once it is lost, it goes nowhere. */
void websocket_send(struct websocket *socket, enum websocket_kind kind, struct str data);
bool websocket_has_room(const struct websocket *socket);

/* A ping that is answered by `pong`, behind all that was sent so far. */
void websocket_ping(struct websocket *socket, uint64_t mark);

/* While paused no message is read, and the peer's sending stalls in the end. Pings of ours are not
 * answered then either, and nobody is taken for lost. */
void websocket_pause(struct websocket *socket, bool is_paused);

/* What was sent so far is still sent, then a close frame with `code` and `reason` (at most 123
 * bytes); `closed` comes when the peer has answered, or after the grace. */
void websocket_close(struct websocket *socket, enum websocket_code code, const char *reason);

/* Bytes on the wire since the beginning: as queued by us, and as acknowledged by the peer's TCP
 * (TCP_INFO, SIOCOUTQ): exact for a peer that is no proxy, also when the connection has broken. */
uint64_t websocket_queued(const struct websocket *socket);
uint64_t websocket_acknowledged(const struct websocket *socket);

#endif
