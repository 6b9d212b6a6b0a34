#include "base/err.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* "Permission denied" becomes "permission denied", but "RFS specific error" stays. */
static void reason_of(int number, char out[static 100])
{
    const char *text = strerrordesc_np(number);
    if (!text) {
        snprintf(out, 100, "error %d", number);
        return;
    }
    snprintf(out, 100, "%s", text);
    if (out[0] >= 'A' && out[0] <= 'Z' && out[1] >= 'a' && out[1] <= 'z')
        out[0] = (char)(out[0] - 'A' + 'a');
}

/* `len` without the beginning of a character that was cut off behind it. */
static size_t whole_characters(const char *text, size_t len)
{
    for (size_t back = 1; back < 4 && back <= len; back++) {
        const char *p = text + len - back;
        if ((*p & 0xc0) == 0xc0)
            return str_utf8_len(p, text + len) ? len : len - back;
    }
    return len;
}

/* The text quotes names that others chose, and ends up in logs and on terminals: it has to be one
 * line of valid UTF-8. */
static void make_printable(char *text)
{
    const char *end = text + strlen(text);
    for (char *p = text; p < end;) {
        size_t len = str_utf8_len(p, end);
        if (len == 0 || (unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
        p += len ? len : 1;
    }
}

/* When both do not fit, it is `before` that is cut. */
static void set_text(struct err *e, const char *before, const char *after)
{
    size_t after_len = strlen(after);
    size_t room = sizeof e->text - 1 - after_len;
    size_t len = strlen(before);
    len = whole_characters(before, len < room ? len : room);
    memcpy(e->text, before, len);
    memcpy(e->text + len, after, after_len + 1);
    make_printable(e->text);
}

/* Texts are put together aside: an argument may be e->text itself. */
int err_set(struct err *e, enum err_code code, const char *format, ...)
{
    char text[sizeof e->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    set_text(e, text, "");
    e->code = code;
    return -1;
}

int err_errno(struct err *e, int number, const char *format, ...)
{
    char text[sizeof e->text], reason[100], after[102];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    reason_of(number, reason);
    snprintf(after, sizeof after, ": %s", reason);
    set_text(e, text, after); /* a long name is cut, the reason is not */

    if (number == ENOENT)
        e->code = ERR_NOT_FOUND;
    else if (number == ENOSPC || number == EDQUOT)
        e->code = ERR_NO_SPACE;
    else
        e->code = ERR_IO;
    return -1;
}

int err_prefix(struct err *e, const char *format, ...)
{
    char prefix[sizeof e->text], text[2 * sizeof e->text + 2];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    snprintf(text, sizeof text, "%s: %s", prefix, e->text);
    set_text(e, text, "");
    return -1;
}

const char *err_name(enum err_code code)
{
    switch (code) {
#define X(value, name)                                                                             \
    case value:                                                                                    \
        return name;
        ERR_CODES(X)
#undef X
    }
    return "unknown";
}
