#include "api/commands/shown.h"

#include "base/mem.h"
#include "base/str.h"

/* Control characters, those of Latin-1's upper half (U+0080 to U+009F) too, would be obeyed. */
size_t shown_len(const char *text, const char *end)
{
    size_t len = str_utf8_len(text, end);
    unsigned char first = (unsigned char)text[0];

    if (first < ' ' || first == 0x7f)
        return 0;
    return len == 2 && first == 0xc2 && (unsigned char)text[1] < 0xa0 ? 0 : len;
}

void shown_put(struct buf *out, const char *text)
{
    const char *end = text + strlen(text);

    while (text < end) {
        size_t len = shown_len(text, end);
        if (len > 0)
            buf_put(out, text, len);
        else
            buf_putc(out, '?');
        text += len > 0 ? len : 1;
    }
}

void shown_put_lines(struct buf *out, const char *text, int indent)
{
    for (const char *at = text; *at; at += strspn(at, "\n")) {
        size_t len = strcspn(at, "\n");
        auto_free char *line = mem_strndup(at, len);
        if (at != text)
            buf_printf(out, "\n%*s", indent, "");
        shown_put(out, line);
        at += len;
    }
}

void shown_put_column(struct buf *out, const char *text, int width)
{
    const char *end = text + strlen(text);
    int used = 0;

    while (text < end && used < width) {
        size_t len = shown_len(text, end);
        if (used == width - 1 && text + (len > 0 ? len : 1) < end) {
            buf_puts(out, "…");
            text = end;
        } else if (len == 0) {
            buf_putc(out, '?');
            text++;
        } else {
            buf_put(out, text, len);
            text += len;
        }
        used++;
    }
    buf_printf(out, "%*s", width - used, "");
}

int shown_width(const char *text)
{
    const char *end = text + strlen(text);
    int width = 0;

    while (text < end) {
        size_t len = shown_len(text, end);
        text += len > 0 ? len : 1;
        width++;
    }
    return width;
}

void shown_put_duration(struct buf *out, msec duration)
{
    long long seconds = duration / 1000;

    if (seconds < 60)
        buf_printf(out, "%5.1f s", duration < 0 ? 0 : (double)duration / 1000);
    else if (seconds < 3600)
        buf_printf(out, "%lld:%02lld min", seconds / 60, seconds % 60);
    else
        buf_printf(out, "%lld:%02lld:%02lld h", seconds / 3600, seconds / 60 % 60, seconds % 60);
}
