/* Writes tar archives; for the tests that need some, which include it. */
#include "base/buf.h"

#include <stdio.h>

static void tar_put(struct buf *out, const char *name, char type, const char *content, size_t len)
{
    char block[512] = {0};
    unsigned sum = 0;

    memcpy(block, name, strlen(name) < 100 ? strlen(name) : 100);
    memcpy(block + 100, "0000644\0000000000\0000000000", 24);
    snprintf(block + 124, 12, "%011zo", len);
    memcpy(block + 136, "00000000000", 12);
    memset(block + 148, ' ', 8);
    block[156] = type;
    memcpy(block + 257, "ustar\00000", 8);
    for (size_t i = 0; i < sizeof block; i++)
        sum += (unsigned char)block[i];
    snprintf(block + 148, 8, "%06o", sum);
    buf_put(out, block, sizeof block);
    if (len > 0)
        buf_put(out, content, len);
    memset(block, 0, sizeof block);
    buf_put(out, block, (512 - len % 512) % 512);
}

static void tar_put_text(struct buf *out, const char *name, const char *text)
{
    tar_put(out, name, '0', text, strlen(text));
}

static void tar_end(struct buf *out)
{
    static const char blocks[1024];
    buf_put(out, blocks, sizeof blocks);
}
