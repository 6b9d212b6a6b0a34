#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

/* The one thing here that changes; see the header. */
static _Atomic int lowest_level = LOG_INFO;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&lowest_level, (int)level, memory_order_relaxed);
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return "debug";
    case LOG_INFO:
        return "info";
    case LOG_WARNING:
        return "warning";
    case LOG_ERROR:
        return "error";
    }
    return "?";
}

/* Can stand as it is, without quotes. */
static bool is_plain(const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p <= ' ' || *p >= 0x7f || *p == '"' || *p == '\\' || *p == '=')
            return false;
    return *text != 0;
}

/* Between quotes, with what would end the line or upset a terminal escaped. */
static void put_quoted(struct buf *out, const char *text)
{
    const char *end = text + strlen(text);

    buf_putc(out, '"');
    for (const char *p = text; p < end;) {
        size_t len = str_utf8_len(p, end);
        if (len == 0 || (unsigned char)*p < ' ' || *p == 0x7f)
            buf_printf(out, "\\x%02x", (unsigned)(unsigned char)*p);
        else if (len == 2 && (unsigned char)p[0] == 0xc2 && (unsigned char)p[1] < 0xa0)
            buf_printf(out, "\\xc2\\x%02x", (unsigned)(unsigned char)p[1]); /* C1 controls */
        else if (*p == '"' || *p == '\\')
            buf_printf(out, "\\%c", *p);
        else
            buf_put(out, p, len);
        p += len ? len : 1;
    }
    buf_putc(out, '"');
}

static void put_pair(struct buf *out, const char *key, const char *text)
{
    buf_printf(out, " %s=", key);
    if (is_plain(text))
        buf_puts(out, text);
    else
        put_quoted(out, text);
}

void log_line(enum log_level level, const char *event, ...)
{
    auto_buf struct buf line = {0};
    const char *key;
    va_list args;

    if ((int)level < atomic_load_explicit(&lowest_level, memory_order_relaxed))
        return;
    buf_printf(&line, "time=%s level=%s", time_text_now().text, level_name(level));
    put_pair(&line, "event", event);
    va_start(args, event);
    while ((key = va_arg(args, const char *))) {
        const char *text = va_arg(args, const char *);
        if (text)
            put_pair(&line, key, text);
    }
    va_end(args);
    buf_putc(&line, '\n');
    /* There is nobody to tell when this fails. */
    if (write(STDERR_FILENO, line.data, line.len) < 0)
        return;
}
