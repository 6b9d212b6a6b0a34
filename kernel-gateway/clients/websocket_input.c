/* libwslay's frame API reads headers, takes masks off and checks lengths; control frames that are
 * longer than 125 bytes or in fragments, and lengths that are not in their shortest form, it
 * refuses itself. It takes the bytes 4 KiB at a time. */
#include "kernel-gateway/clients/websocket_input.h"

#include "base/buf.h"
#include "base/limits.h"

#include <wslay/wslay.h>

#define KEPT_BYTES (64 * KiB) /* an empty buffer that is larger is given back */

struct websocket_input {
    wslay_frame_context_ptr frames;
    size_t message_cap;
    struct buf bytes; /* up to `at` taken by libwslay */
    size_t at;
    uint64_t frame_got; /* of the current frame's payload; 0: a frame begins */
    struct buf control; /* the control frame that is under way */
    uint8_t opcode;     /* of the message that is; WSLAY_CONTINUATION_FRAME: none is */
    struct buf message; /* its first fragments */
    bool is_given;      /* `control` or `message` was lent, and is to be emptied */
};

static ssize_t give_bytes(uint8_t *data, size_t room, int flags, void *user)
{
    struct websocket_input *input = user;
    size_t len = input->bytes.len - input->at;

    (void)flags;
    if (len == 0)
        return -1;
    if (len > room)
        len = room;
    memcpy(data, input->bytes.data + input->at, len);
    input->at += len;
    return (ssize_t)len;
}

struct websocket_input *websocket_input_new(size_t message_cap)
{
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = give_bytes};
    struct websocket_input *input = mem_zalloc(sizeof *input);

    input->message_cap = message_cap;
    if (wslay_frame_context_init(&input->frames, &callbacks, input) < 0)
        abort(); /* out of memory */
    return input;
}

void websocket_input_free(struct websocket_input *input)
{
    if (!input)
        return;
    wslay_frame_context_free(input->frames);
    buf_clear(&input->bytes);
    buf_clear(&input->control);
    buf_clear(&input->message);
    free(input);
}

char *websocket_input_room(struct websocket_input *input, size_t len)
{
    input->at = 0;
    buf_reset(&input->bytes);
    buf_reserve(&input->bytes, len);
    return input->bytes.data;
}

void websocket_input_add(struct websocket_input *input, size_t len)
{
    input->bytes.len += len;
}

/* What is wrong with a frame by its header, or NULL. */
static const char *frame_fault(const struct websocket_input *input,
                               const struct wslay_frame_iocb *frame)
{
    bool is_in_message = input->opcode != WSLAY_CONTINUATION_FRAME;

    if (frame->rsv)
        return "reserved bits are set";
    if (!frame->mask)
        return "frame is not masked";
    switch (frame->opcode) {
    case WSLAY_CONTINUATION_FRAME:
        return is_in_message ? NULL : "nothing to continue";
    case WSLAY_TEXT_FRAME:
    case WSLAY_BINARY_FRAME:
        return is_in_message ? "message inside a message" : NULL;
    case WSLAY_CONNECTION_CLOSE:
    case WSLAY_PING:
    case WSLAY_PONG:
        return NULL;
    default:
        return "unknown opcode";
    }
}

static void fault(struct websocket_item *item, enum wslay_status_code code, const char *what)
{
    *item = (struct websocket_item){WEBSOCKET_ITEM_FAULT, str_of(what), code};
}

/* False: it is refused. */
static bool begin_frame(struct websocket_input *input, const struct wslay_frame_iocb *frame,
                        struct websocket_item *item)
{
    const char *what = frame_fault(input, frame);

    if (what) {
        fault(item, WSLAY_CODE_PROTOCOL_ERROR, what);
        return false;
    }
    if (wslay_is_ctrl_frame(frame->opcode))
        return true;
    if (frame->payload_length > input->message_cap - input->message.len) {
        fault(item, WSLAY_CODE_MESSAGE_TOO_BIG, "message is too long");
        return false;
    }
    if (frame->opcode != WSLAY_CONTINUATION_FRAME)
        input->opcode = frame->opcode;
    return true;
}

/* RFC 6455 7.4; 1012 to 1014 were registered later. */
static bool is_code(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static void make_close(struct websocket_item *item, struct str payload)
{
    const uint8_t *bytes = (const uint8_t *)payload.text;
    bool has_code = payload.len >= 2;
    unsigned code = has_code ? bytes[0] * 256u + bytes[1] : WSLAY_CODE_NO_STATUS_RCVD;

    if (payload.len == 1 || (has_code && !is_code(code)))
        fault(item, WSLAY_CODE_PROTOCOL_ERROR, "close frame with a wrong code");
    else
        *item = (struct websocket_item){.kind = WEBSOCKET_ITEM_CLOSE, .code = code};
}

/* True: the item is there. */
static bool take_control(struct websocket_input *input, const struct wslay_frame_iocb *part,
                         bool is_whole, struct websocket_item *item)
{
    buf_put(&input->control, part->data, part->data_length);
    if (!is_whole)
        return false;
    struct str payload = {buf_text(&input->control), input->control.len};
    input->is_given = true;
    if (part->opcode == WSLAY_CONNECTION_CLOSE)
        make_close(item, payload);
    else
        *item = (struct websocket_item){.kind = part->opcode == WSLAY_PING ? WEBSOCKET_ITEM_PING
                                                                           : WEBSOCKET_ITEM_PONG,
                                        .data = payload};
    return true;
}

/* True: the item is there. A message in one piece is not copied. */
static bool take_data(struct websocket_input *input, const struct wslay_frame_iocb *part,
                      bool is_whole, struct websocket_item *item)
{
    bool is_last = is_whole && part->fin;
    struct str data = {(const char *)part->data, part->data_length};

    if (!is_last || input->message.len > 0) {
        buf_put(&input->message, part->data, part->data_length);
        data = (struct str){buf_text(&input->message), input->message.len};
    }
    if (!is_last)
        return false;
    *item = (struct websocket_item){
        .kind = input->opcode == WSLAY_TEXT_FRAME ? WEBSOCKET_ITEM_TEXT : WEBSOCKET_ITEM_BINARY,
        .data = data};
    input->opcode = WSLAY_CONTINUATION_FRAME;
    input->is_given = true;
    return true;
}

/* A piece of a frame; an empty one only of a frame without payload. True: the item is there. */
static bool take_part(struct websocket_input *input, const struct wslay_frame_iocb *part,
                      struct websocket_item *item)
{
    if (input->frame_got == 0 && !begin_frame(input, part, item))
        return true;
    input->frame_got += part->data_length;
    bool is_whole = input->frame_got == part->payload_length;
    if (is_whole)
        input->frame_got = 0;
    return wslay_is_ctrl_frame(part->opcode) ? take_control(input, part, is_whole, item)
                                             : take_data(input, part, is_whole, item);
}

/* A message that is under way stays: what was given then is a control frame between its parts. */
static void take_back(struct websocket_input *input)
{
    input->is_given = false;
    buf_reset(&input->control);
    if (input->opcode != WSLAY_CONTINUATION_FRAME)
        return;
    if (input->message.cap > KEPT_BYTES)
        buf_clear(&input->message);
    else
        buf_reset(&input->message);
}

bool websocket_input_next(struct websocket_input *input, struct websocket_item *ret_item)
{
    if (input->is_given)
        take_back(input);
    for (;;) {
        struct wslay_frame_iocb part = {0};
        ssize_t got = wslay_frame_recv(input->frames, &part);
        if (got == WSLAY_ERR_WANT_READ)
            return false;
        if (got < 0) {
            fault(ret_item, WSLAY_CODE_PROTOCOL_ERROR, "malformed frame");
            return true;
        }
        if (take_part(input, &part, ret_item))
            return true;
    }
}
