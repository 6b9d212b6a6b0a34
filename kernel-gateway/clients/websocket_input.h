/* websocket_input: takes what the client of a WebSocket sends apart: bytes in, whole messages out.
 *
 * Checks all rules of RFC 6455 for the frames of a client; fragments are put together, control
 * frames may lie between them. Owns its memory, of which a message never takes more than the cap,
 * whatever length it claims. Knows no sockets and answers nothing. One owner, one thread.
 */
#ifndef SEGUE_KERNEL_GATEWAY_WEBSOCKET_INPUT_H
#define SEGUE_KERNEL_GATEWAY_WEBSOCKET_INPUT_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

struct websocket_input;

enum websocket_item_kind {
    WEBSOCKET_ITEM_TEXT, /* a whole message; need not be UTF-8 */
    WEBSOCKET_ITEM_BINARY,
    WEBSOCKET_ITEM_PING, /* with at most 125 bytes */
    WEBSOCKET_ITEM_PONG,
    WEBSOCKET_ITEM_CLOSE, /* code: 1005 stands for none (RFC 6455 7.4.1) */
    WEBSOCKET_ITEM_FAULT, /* code: why to close; what comes afterwards makes no sense */
};

struct websocket_item {
    enum websocket_item_kind kind;
    struct str data; /* of a fault: what is wrong, in words */
    unsigned code;
};

struct websocket_input *websocket_input_new(size_t message_cap);
void websocket_input_free(struct websocket_input *input); /* NULL is allowed */

/* `len` bytes for the caller to fill, and to say with websocket_input_add how many there are. What
 * was given before and is not taken yet is dropped. */
char *websocket_input_room(struct websocket_input *input, size_t len);
void websocket_input_add(struct websocket_input *input, size_t len);

/* False: nothing more without more bytes. The item's data is good until the next call of any of
 * these. After a close or a fault it must not be called any more. */
bool websocket_input_next(struct websocket_input *input, struct websocket_item *ret_item);

#endif
