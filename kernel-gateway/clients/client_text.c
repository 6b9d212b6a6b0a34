/* One pass that knows only whether it is inside a string. Most bytes lie in strings, so these are
 * gone through eight at a time. Nothing is copied until something has to be replaced. */
#include "kernel-gateway/clients/client_text.h"

#include <endian.h>
#include <stdbool.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

#define EVERY_BYTE(byte) (0x0101010101010101ull * (byte))

/* The first byte that is a quote, a backslash, a control character or not ASCII; else `end`. */
static const char *find_stop(const char *p, const char *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        word = le64toh(word);
        /* A subtraction sets the high bit of a byte that it makes negative. Its borrow may set bits
         * of bytes behind that one, never in front: the lowest is right. */
        uint64_t stops = ((word ^ EVERY_BYTE('"')) - EVERY_BYTE(1)) |
                         ((word ^ EVERY_BYTE('\\')) - EVERY_BYTE(1)) | (word - EVERY_BYTE(0x20)) |
                         word;
        stops &= EVERY_BYTE(0x80);
        if (stops)
            return p + __builtin_ctzll(stops) / 8;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\')
        p++;
    return p;
}

struct scan {
    struct buf *out;
    const char *from; /* everything before it is in `out` */
    const char *p;
    const char *end;
};

static void replace(struct scan *s, size_t len, const char *with)
{
    buf_put(s->out, s->from, (size_t)(s->p - s->from));
    buf_puts(s->out, with);
    s->p += len;
    s->from = s->p;
}

static bool is_ascii(char c)
{
    return !(c & 0x80);
}

/* Over the characters at p that are not ASCII. */
static void scan_characters(struct scan *s)
{
    while (s->p < s->end && !is_ascii(*s->p)) {
        size_t len = str_utf8_len(s->p, s->end);
        if (len)
            s->p += len;
        else
            replace(s, 1, REPLACEMENT);
    }
}

static void escape(struct scan *s)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char c = (unsigned char)*s->p;
    const char text[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15], 0};

    replace(s, 1, text);
}

/* To the end of the string that p is in. */
static void scan_string(struct scan *s)
{
    while ((s->p = find_stop(s->p, s->end)) < s->end) {
        char c = *s->p;
        if (!is_ascii(c)) {
            scan_characters(s);
        } else if (c == '"') {
            s->p++;
            return;
        } else if (c != '\\') {
            escape(s);
        } else {
            s->p++;
            if (s->p < s->end && *s->p >= 0x20)
                s->p++; /* a quote too */
        }
    }
}

/* The length of a number at p that only Python knows, or 0. */
static size_t odd_number_len(const char *p, const char *end)
{
    static const struct str words[] = {STR("NaN"), STR("Infinity"), STR("-Infinity")};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if ((size_t)(end - p) >= words[i].len && memcmp(p, words[i].text, words[i].len) == 0)
            return words[i].len;
    return 0;
}

static void scan_number(struct scan *s)
{
    size_t len = odd_number_len(s->p, s->end);

    if (len)
        replace(s, len, "null");
    else
        s->p++;
}

/* To behind the quote that opens the next string. */
static void scan_between(struct scan *s)
{
    while (s->p < s->end) {
        char c = *s->p;
        if (c == '"') {
            s->p++;
            return;
        }
        if (c == 'N' || c == 'I' || c == '-')
            scan_number(s);
        else if (is_ascii(c))
            s->p++;
        else
            scan_characters(s);
    }
}

void client_text_put(struct buf *out, struct str json)
{
    if (json.len == 0)
        return;
    struct scan s = {.out = out, .from = json.text, .p = json.text, .end = json.text + json.len};
    buf_reserve(out, json.len);
    while (s.p < s.end) {
        scan_between(&s);
        scan_string(&s);
    }
    buf_put(out, s.from, (size_t)(s.end - s.from));
}
