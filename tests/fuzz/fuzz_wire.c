/* Any bytes as the frames of a message: cut at each newline, split, checked, signed. A message that
 * was signed with the key must pass, and no other signature may. */
#include "kernel-gateway/wire.h"

#include "base/str.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#define FRAMES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t cut(const char *text, size_t len, struct str *frames)
{
    size_t count = 0;
    const char *end = text + len;
    while (count < FRAMES_MAX) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        if (!stop)
            stop = end;
        frames[count++] = (struct str){text, (size_t)(stop - text)};
        if (stop == end)
            break;
        text = stop + 1;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str frames[FRAMES_MAX];
    struct wire_parts parts;
    size_t count = cut((const char *)data, size, frames);
    if (wire_split(frames, count, &parts) != WIRE_OK)
        return 0;
    assert(parts.identity_count + 2 + WIRE_PART_COUNT == parts.buffers && parts.buffers <= count);

    struct wire_key *key = wire_key_new("key");
    char signature[WIRE_SIGNATURE_SIZE + 1];
    wire_sign(key, parts.parts, signature);
    bool is_right = str_is(parts.signature, signature);
    assert((wire_check(key, &parts) == WIRE_OK) == is_right);
    parts.signature = str_of(signature);
    assert(wire_check(key, &parts) == WIRE_OK);
    wire_key_free(key);
    return 0;
}
