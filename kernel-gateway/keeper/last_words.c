#include "kernel-gateway/keeper/last_words.h"

#include <string.h>

/* Enough for a line that a person reads. */
#define KEPT_BYTES 400

void last_words_add(struct last_words *words, const char *data, size_t len)
{
    struct buf *tail = &words->tail;

    if (len > KEPT_BYTES) {
        data += len - KEPT_BYTES;
        len = KEPT_BYTES;
    }
    if (tail->len + len > KEPT_BYTES)
        buf_consume(tail, tail->len + len - KEPT_BYTES);
    buf_put(tail, data, len);
}

void last_words_clear(struct last_words *words)
{
    buf_clear(&words->tail);
}

const char *last_words_line(struct last_words *words)
{
    struct buf *tail = &words->tail;

    while (tail->len > 0 && strchr(" \t\r\n", tail->data[tail->len - 1]))
        tail->data[--tail->len] = 0;
    const char *newline = tail->len > 0 ? memrchr(tail->data, '\n', tail->len) : NULL;
    return newline ? newline + 1 : buf_text(tail);
}
