#include "runner/engine/lines.h"

#include <unistd.h>

/* How much is read in one go. */
#define PIECE (256 * 1024)

void lines_open(struct lines *lines, int take_fd, size_t cap)
{
    *lines = (struct lines){.fd = take_fd, .cap = cap};
}

void lines_close(struct lines *lines)
{
    mem_auto_close(&lines->fd);
    buf_clear(&lines->pending);
}

/* Reads on; what was given is dropped to make room. 1: there is more, 0: the end. */
static int fill(struct lines *lines, struct err *e)
{
    ssize_t n;

    buf_consume(&lines->pending, lines->given);
    lines->given = 0;
    buf_reserve(&lines->pending, PIECE);
    do
        n = read(lines->fd, lines->pending.data + lines->pending.len, PIECE);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_errno(e, errno, "cannot read a line");
    lines->pending.len += (size_t)n;
    return n > 0;
}

/* The beginning of a line that is already too long need not be kept to find its end. */
static void drop_if_too_long(struct lines *lines)
{
    if (lines->pending.len - lines->given <= lines->cap)
        return;
    buf_reset(&lines->pending);
    lines->given = 0;
    lines->is_skipping = true;
}

int lines_next(struct lines *lines, struct str *ret_line, struct err *e)
{
    struct buf *pending = &lines->pending;
    size_t looked = 0; /* bytes behind `given` that hold no newline */

    for (;;) {
        const char *start = buf_text(pending) + lines->given;
        size_t len = pending->len - lines->given;
        const char *end = len > looked ? memchr(start + looked, '\n', len - looked) : NULL;
        if (end) {
            struct str line = {start, (size_t)(end - start)};
            bool is_too_long = lines->is_skipping || line.len > lines->cap;
            lines->given += line.len + 1;
            lines->is_skipping = false;
            looked = 0;
            if (!is_too_long) {
                *ret_line = line;
                return 1;
            }
            lines->too_long++;
            continue;
        }
        drop_if_too_long(lines);
        looked = pending->len - lines->given;
        int more = fill(lines, e);
        if (more <= 0)
            return more;
    }
}
