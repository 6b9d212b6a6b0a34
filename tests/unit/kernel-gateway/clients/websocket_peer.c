/* The client's side of a WebSocket, by hand: makes masked frames, right and wrong ones, and takes
 * the server's apart. */
#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum peer_opcode {
    PEER_CONTINUATION = 0,
    PEER_TEXT = 1,
    PEER_BINARY = 2,
    PEER_CLOSE = 8,
    PEER_PING = 9,
    PEER_PONG = 10,
};

#define PEER_FIN  0x80u
#define PEER_MASK 0x80u

/* The header's first byte, the second one's mask bit, and the length as it is claimed. */
static inline void peer_put_header(struct buf *out, unsigned first, unsigned mask, uint64_t len)
{
    unsigned length_bytes = len < 126 ? 0 : len < 65536 ? 2 : 8;

    buf_putc(out, (char)first);
    buf_putc(out, (char)(mask | (length_bytes == 0   ? (unsigned)len
                                 : length_bytes == 2 ? 126u
                                                     : 127u)));
    for (unsigned i = length_bytes; i-- > 0;)
        buf_putc(out, (char)(len >> (8 * i)));
}

static inline void peer_put_masked(struct buf *out, struct str payload)
{
    static const char key[4] = {0x5a, (char)0xc3, 0x11, (char)0x98};

    buf_put(out, key, sizeof key);
    buf_reserve(out, payload.len);
    for (size_t i = 0; i < payload.len; i++)
        out->data[out->len++] = (char)(payload.text[i] ^ key[i % 4]);
}

static inline void peer_put_frame(struct buf *out, unsigned first, struct str payload)
{
    peer_put_header(out, first, PEER_MASK, payload.len);
    peer_put_masked(out, payload);
}

static inline void peer_put_close(struct buf *out, unsigned code, const char *reason)
{
    auto_buf struct buf payload = {0};

    buf_putc(&payload, (char)(code >> 8));
    buf_putc(&payload, (char)code);
    buf_puts(&payload, reason);
    peer_put_frame(out, PEER_FIN | PEER_CLOSE, (struct str){payload.data, payload.len});
}

struct peer_frame {
    enum peer_opcode opcode;
    struct str payload; /* in the buffer it was taken from */
    size_t size;        /* with its header */
};

/* The frame that `in` starts with; false: not all of it is there. What a server may not send, a
 * fragment, a mask or reserved bits, shows as an opcode that does not exist. */
static inline bool peer_take_frame(struct str in, struct peer_frame *ret_frame)
{
    const uint8_t *at = (const uint8_t *)in.text;
    if (in.len < 2)
        return false;
    unsigned length_bytes = at[1] == 126 ? 2 : at[1] == 127 ? 8 : 0;
    uint64_t len = length_bytes ? 0 : at[1];
    if (in.len < 2 + length_bytes)
        return false;
    for (unsigned i = 0; i < length_bytes; i++)
        len = len << 8 | at[2 + i];
    bool is_right = (at[0] & 0xf0) == PEER_FIN && !(at[1] & PEER_MASK);
    ret_frame->opcode = is_right ? (enum peer_opcode)(at[0] & 0x0f) : (enum peer_opcode)0xff;
    if (is_right && in.len - 2 - length_bytes < len)
        return false;
    ret_frame->payload = (struct str){in.text + 2 + length_bytes, is_right ? len : 0};
    ret_frame->size = 2 + length_bytes + ret_frame->payload.len;
    return true;
}
