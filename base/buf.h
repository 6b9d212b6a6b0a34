/* buf: a growing run of bytes.
 *
 * Owns its memory. Always has a NUL behind the last byte once something was put in, so that text
 * can be passed on as a C string. `struct buf b = {0}` is an empty one; buf_clear gives the memory
 * back and leaves an empty one. Not thread-safe; belongs to one owner.
 */
#ifndef SEGUE_BASE_BUF_H
#define SEGUE_BASE_BUF_H

#include "base/mem.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
    char *data;
    size_t len;
    size_t cap;
};

void buf_clear(struct buf *b);
void buf_reserve(struct buf *b, size_t extra); /* room for `extra` more bytes and a NUL */
void buf_put(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *text);
void buf_putc(struct buf *b, char c);
void buf_put_int(struct buf *b, int64_t value); /* in decimal */
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_consume(struct buf *b, size_t len); /* drops the first `len` bytes */
char *buf_take(struct buf *b); /* the text (never NULL); free() it; b is empty again */

static inline void buf_reset(struct buf *b) /* empty, but keeps the memory */
{
    b->len = 0;
    if (b->data)
        b->data[0] = 0;
}

static inline const char *buf_text(const struct buf *b) /* never NULL */
{
    return b->data ? b->data : "";
}

#define auto_buf __attribute__((cleanup(buf_clear)))

#endif
