#include "api/commands/log_text.h"

#include "api/commands/shown.h"

#define ESCAPE '\033'

/* No colour takes more; of titles and the like (OSC) no more than this is looked for an end. */
#define COLOUR_MOST 64
#define STRING_MOST 4096

/* What is at the beginning of a text. */
enum piece {
    PIECE_PASSES,
    PIECE_COLOUR,
    PIECE_DROPPED,
    PIECE_WRONG,   /* one byte that may not pass */
    PIECE_NOT_ALL, /* more of the text must be seen to tell */
};

/* ESC [ parameters intermediates final */
static enum piece look_at_csi(const char *text, size_t len, size_t *ret_len)
{
    size_t at = 2;

    while (at < len && text[at] >= 0x30 && text[at] <= 0x3f)
        at++;
    size_t parameters_end = at;
    while (at < len && text[at] >= 0x20 && text[at] <= 0x2f)
        at++;
    if (at >= STRING_MOST)
        return PIECE_WRONG;
    if (at == len)
        return PIECE_NOT_ALL;
    if (text[at] < 0x40 || text[at] > 0x7e)
        return PIECE_WRONG;
    *ret_len = at + 1;
    bool is_sgr = text[at] == 'm' && parameters_end == at && at < COLOUR_MOST &&
                  strspn(text + 2, "0123456789;:") >= at - 2;
    return is_sgr ? PIECE_COLOUR : PIECE_DROPPED;
}

/* ESC ] and the like, up to BEL or ESC \ */
static enum piece look_at_string(const char *text, size_t len, size_t *ret_len)
{
    for (size_t at = 2; at < len && at < STRING_MOST; at++) {
        bool is_bell = text[at] == '\a';
        bool is_end = text[at] == '\\' && text[at - 1] == ESCAPE && at > 2;
        if (is_bell || is_end) {
            *ret_len = at + 1;
            return PIECE_DROPPED;
        }
    }
    return len < STRING_MOST ? PIECE_NOT_ALL : PIECE_WRONG;
}

/* ESC intermediates final */
static enum piece look_at_escape(const char *text, size_t len, size_t *ret_len)
{
    size_t at = 1;

    if (len < 2)
        return PIECE_NOT_ALL;
    if (text[1] == '[')
        return look_at_csi(text, len, ret_len);
    if (text[1] == ']' || text[1] == 'P' || text[1] == 'X' || text[1] == '^' || text[1] == '_')
        return look_at_string(text, len, ret_len);
    while (at < len && at < COLOUR_MOST && text[at] >= 0x20 && text[at] <= 0x2f)
        at++;
    if (at == len)
        return PIECE_NOT_ALL;
    if (at == COLOUR_MOST || text[at] < 0x30 || text[at] > 0x7e)
        return PIECE_WRONG;
    *ret_len = at + 1;
    return PIECE_DROPPED;
}

/* A character that is not whole, for want of bytes and for no other reason. */
static bool is_cut_off(const char *text, size_t len)
{
    unsigned char first = (unsigned char)text[0];
    size_t needed = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 1;

    if (first > 0xf4 || len >= needed)
        return false;
    for (size_t i = 1; i < len; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return false;
    return true;
}

static enum piece look_at(const char *text, size_t len, size_t *ret_len)
{
    *ret_len = 1;
    if (*text == '\n' || *text == '\t')
        return PIECE_PASSES;
    if (*text == ESCAPE)
        return look_at_escape(text, len, ret_len);
    size_t shown = shown_len(text, text + len);
    if (shown > 0) {
        *ret_len = shown;
        return PIECE_PASSES;
    }
    return is_cut_off(text, len) ? PIECE_NOT_ALL : PIECE_WRONG;
}

/* CR LF is one end of a line; how many bytes it takes, 0: not to be told yet. */
static size_t return_len(const char *text, size_t len)
{
    if (len < 2)
        return 0;
    return text[1] == '\n' ? 2 : 1;
}

static bool undoes_colours(const char *text, size_t len)
{
    return text[len - 2] == '[' || (text[len - 2] == '0' && text[len - 3] == '[');
}

/* How many bytes were dealt with. */
static size_t pass(struct log_text *log, const char *text, size_t len, struct buf *out)
{
    size_t piece_len = 1;

    if (*text == '\r') {
        piece_len = return_len(text, len);
        if (piece_len > 0)
            buf_putc(out, '\n');
        return piece_len;
    }
    switch (look_at(text, len, &piece_len)) {
    case PIECE_COLOUR:
        log->is_coloured = !undoes_colours(text, piece_len);
        buf_put(out, text, piece_len);
        return piece_len;
    case PIECE_PASSES:
        buf_put(out, text, piece_len);
        return piece_len;
    case PIECE_DROPPED:
        return piece_len;
    case PIECE_WRONG:
        buf_putc(out, '?');
        return 1;
    case PIECE_NOT_ALL:
        break;
    }
    return 0;
}

/* Most of what is printed. */
static size_t plain_len(const char *text, size_t len)
{
    size_t at = 0;

    while (at < len && text[at] >= ' ' && text[at] < 0x7f)
        at++;
    return at;
}

void log_text_put(struct log_text *log, struct str bytes, struct buf *out)
{
    size_t at = 0, len = 1;

    buf_put(&log->held, bytes.text, bytes.len);
    while (at < log->held.len && len > 0) {
        size_t plain = plain_len(log->held.data + at, log->held.len - at);
        buf_put(out, log->held.data + at, plain);
        at += plain;
        if (at == log->held.len)
            break;
        len = pass(log, log->held.data + at, log->held.len - at, out);
        at += len;
    }
    buf_consume(&log->held, at);
}

void log_text_end(struct log_text *log, struct buf *out)
{
    if (log->held.len > 0 && log->held.data[0] == '\r')
        buf_putc(out, '\n');
    else
        shown_put(out, buf_text(&log->held));
    if (log->is_coloured)
        buf_puts(out, "\033[0m");
    log_text_clear(log);
}

void log_text_clear(struct log_text *log)
{
    buf_clear(&log->held);
    log->is_coloured = false;
}
