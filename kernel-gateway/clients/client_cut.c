#include "kernel-gateway/clients/client_cut.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/limits.h"
#include "kernel-gateway/clients/client_text.h"

#include <inttypes.h>
#include <stdbool.h>

/* A part of a stream is at least so long: the longest character is 12 bytes of JSON, and parts of a
 * few characters each would be no help to anybody. */
#define STREAM_PART_MIN 1024

/* What a header may grow by when it gets another type and id. */
#define HEADER_EXTRA 64

/* Types longer than this are not told to people. */
#define TYPE_MAX 64

struct cut {
    struct str parts[WIRE_PART_COUNT]; /* clean */
    struct json header;
    enum channel channel;
    size_t size, cap;
    void (*put)(void *user, const struct client_piece *piece);
    void *user;
};

static struct str str_of_buf(const struct buf *b)
{
    return (struct str){buf_text(b), b->len};
}

static size_t frame_bound(const struct str parts[WIRE_PART_COUNT])
{
    size_t bound = CLIENT_FRAME_EXTRA + parts[WIRE_HEADER].len;

    for (int i = 0; i < WIRE_PART_COUNT; i++)
        bound += parts[i].len;
    return bound;
}

/* The header with another type and another id: the old one with `-N` behind it. */
static void put_header(struct buf *out, const struct json *header, unsigned number)
{
    auto_buf struct buf id = {0};

    json_string(header, json_get(header, 0, "msg_id"), &id);
    buf_printf(&id, "-%u", number);
    buf_puts(out, "{\"msg_id\":");
    json_put_str(out, str_of_buf(&id));
    json_put_member(out, "msg_type", "stream");
    json_at object = json_kind(header, 0) == JSON_OBJECT ? 0 : JSON_NONE;
    json_each (header, object, key) {
        if (json_is(header, key, "msg_id") || json_is(header, key, "msg_type"))
            continue;
        struct str name = json_raw(header, key), value = json_raw(header, json_value(key));
        buf_putc(out, ',');
        buf_put(out, name.text, name.len);
        buf_putc(out, ':');
        buf_put(out, value.text, value.len);
    }
    buf_putc(out, '}');
}

/* --- streams --- */

static bool is_surrogate_escape(const char *p, const char *end, const char *digits)
{
    return end - p >= 6 && p[0] == '\\' && p[1] == 'u' && (p[2] | 0x20) == 'd' &&
           strchr(digits, p[3] | 0x20) != NULL;
}

/* Of the escape at p: with its partner where it is half a surrogate pair. */
static size_t escape_len(const char *p, const char *end)
{
    if (p[1] != 'u')
        return 2;
    bool is_pair = is_surrogate_escape(p, end, "89ab") && is_surrogate_escape(p + 6, end, "cdef");
    return is_pair ? 12 : 6;
}

/* How much of the inside of a JSON string, at most `room` bytes, ends where a character does. */
static size_t cut_at(struct str text, size_t room)
{
    if (text.len <= room)
        return text.len;
    const char *p = text.text, *limit = p + room, *end = p + text.len;
    for (;;) {
        const char *next = memchr(p, '\\', (size_t)(limit - p));
        if (!next)
            break;
        p = next + escape_len(next, end);
        if (p > limit)
            return (size_t)(next - text.text);
    }
    while ((*limit & 0xc0) == 0x80)
        limit--;
    return (size_t)(limit - text.text);
}

static struct str inside(const struct json *doc, json_at string)
{
    struct str raw = json_raw(doc, string);

    return (struct str){raw.text + 1, raw.len - 2};
}

static void put_stream_part(const struct cut *cut, unsigned number, struct str name,
                            struct str text)
{
    auto_buf struct buf header = {0}, content = {0};

    put_header(&header, &cut->header, number);
    buf_reserve(&content, name.len + text.len + 32);
    buf_puts(&content, "{\"name\":");
    buf_put(&content, name.text, name.len);
    buf_puts(&content, ",\"text\":\"");
    buf_put(&content, text.text, text.len);
    buf_puts(&content, "\"}");
    struct client_piece piece = {
        .channel = cut->channel,
        .parts = {str_of_buf(&header), cut->parts[WIRE_PARENT], cut->parts[WIRE_METADATA],
                  str_of_buf(&content)},
    };
    cut->put(cut->user, &piece);
}

/* false: it is none, or its other parts are too long already. */
static bool cut_stream(const struct cut *cut)
{
    auto_json struct json content = {0};
    struct err ignored;

    if (!json_is(&cut->header, json_get(&cut->header, 0, "msg_type"), "stream") ||
        json_parse(&content, cut->parts[WIRE_CONTENT], JSON_TOLERANT, NULL, &ignored) < 0)
        return false;
    json_at name = json_get(&content, 0, "name"), text = json_get(&content, 0, "text");
    if (json_kind(&content, name) != JSON_STRING || json_kind(&content, text) != JSON_STRING)
        return false;
    struct str name_raw = json_raw(&content, name), rest = inside(&content, text);
    size_t other = frame_bound(cut->parts) - cut->parts[WIRE_CONTENT].len + name_raw.len + 32 +
                   2 * HEADER_EXTRA;
    if (cut->cap < other + STREAM_PART_MIN)
        return false;
    for (unsigned number = 1; rest.len > 0; number++) {
        size_t len = cut_at(rest, cut->cap - other);
        put_stream_part(cut, number, name_raw, (struct str){rest.text, len});
        rest = (struct str){rest.text + len, rest.len - len};
    }
    return true;
}

/* --- notes --- */

/* "10 MiB", "12.3 KiB"; rounded up, so that what is over a limit is told as more. */
static void put_size(struct buf *out, size_t size)
{
    bool is_large = size >= MiB;
    size_t unit = is_large ? MiB : KiB;
    size_t tenths = size / unit * 10 + (size % unit * 10 + unit - 1) / unit;

    buf_printf(out, "%zu", tenths / 10);
    if (tenths % 10)
        buf_printf(out, ".%zu", tenths % 10);
    buf_puts(out, is_large ? " MiB" : " KiB");
}

/* "an execute_result of 12.3 MiB was left out: this client takes messages of 10 MiB at most" */
static void put_note(const struct cut *cut, struct buf *out)
{
    auto_buf struct buf type = {0};

    json_string(&cut->header, json_get(&cut->header, 0, "msg_type"), &type);
    if (type.len == 0 || type.len > TYPE_MAX || memchr(type.data, 0, type.len)) {
        buf_reset(&type);
        buf_puts(&type, "message");
    }
    buf_puts(out, strchr("aeiou", type.data[0]) ? "an " : "a ");
    buf_put(out, type.data, type.len);
    buf_puts(out, " of ");
    put_size(out, cut->size);
    buf_puts(out, " was left out: this client takes messages of ");
    put_size(out, cut->cap);
    buf_puts(out, " at most");
}

static void put_if_it_fits(const struct cut *cut, struct str header, struct str parent,
                           struct str content)
{
    struct client_piece piece = {cut->channel, {header, parent, STR("{}"), content}};

    if (frame_bound(piece.parts) > cut->cap)
        piece.parts[WIRE_PARENT] = STR("{}");
    if (frame_bound(piece.parts) <= cut->cap)
        cut->put(cut->user, &piece);
}

static void say_on_stderr(const struct cut *cut)
{
    auto_buf struct buf header = {0}, text = {0}, content = {0};

    put_header(&header, &cut->header, 1);
    buf_puts(&text, "[segue] ");
    put_note(cut, &text);
    buf_putc(&text, '\n');
    buf_putc(&content, '{');
    json_put_member(&content, "name", "stderr");
    json_put_member(&content, "text", text.data);
    buf_putc(&content, '}');
    put_if_it_fits(cut, str_of_buf(&header), cut->parts[WIRE_PARENT], str_of_buf(&content));
}

static void reply_with_error(const struct cut *cut)
{
    auto_buf struct buf note = {0}, content = {0};

    put_note(cut, &note);
    buf_putc(&content, '{');
    json_put_member(&content, "status", "error");
    json_put_member(&content, "ename", "MessageTooLong");
    json_put_member(&content, "evalue", note.data);
    json_put_member_raw(&content, "traceback", STR("[]"));
    buf_putc(&content, '}');
    put_if_it_fits(cut, cut->parts[WIRE_HEADER], cut->parts[WIRE_PARENT], str_of_buf(&content));
}

/* The kernel waits for an answer, so it is asked all the same. */
static void ask_with_note(const struct cut *cut)
{
    auto_buf struct buf prompt = {0}, content = {0};
    auto_json struct json asked = {0};
    struct err ignored;

    (void)json_parse(&asked, cut->parts[WIRE_CONTENT], JSON_TOLERANT, NULL, &ignored);
    bool is_secret = json_is_true(&asked, json_get(&asked, 0, "password"));
    buf_puts(&prompt, "[segue] ");
    put_note(cut, &prompt);
    buf_puts(&prompt, ": ");
    buf_putc(&content, '{');
    json_put_member(&content, "prompt", prompt.data);
    json_put_member_raw(&content, "password", is_secret ? STR("true") : STR("false"));
    buf_putc(&content, '}');
    put_if_it_fits(cut, cut->parts[WIRE_HEADER], cut->parts[WIRE_PARENT], str_of_buf(&content));
}

static void tell(const struct cut *cut)
{
    switch (cut->channel) {
    case CHANNEL_SHELL:
    case CHANNEL_CONTROL:
        reply_with_error(cut);
        return;
    case CHANNEL_STDIN:
        ask_with_note(cut);
        return;
    case CHANNEL_IOPUB:
    case CHANNEL_HEARTBEAT:
        say_on_stderr(cut);
        return;
    }
}

/* Everything is cleaned first: what is measured then stays as long as it is. */
void client_cut(const struct client_piece *message, size_t size, size_t cap,
                void (*put)(void *user, const struct client_piece *piece), void *user)
{
    auto_buf struct buf clean = {0};
    size_t ends[WIRE_PART_COUNT], start = 0;
    struct cut cut = {
        .channel = message->channel, .size = size, .cap = cap, .put = put, .user = user};
    struct err ignored;

    for (int i = 0; i < WIRE_PART_COUNT; i++) {
        client_text_put(&clean, message->parts[i]);
        ends[i] = clean.len;
    }
    for (int i = 0; i < WIRE_PART_COUNT; start = ends[i++])
        cut.parts[i] = (struct str){buf_text(&clean) + start, ends[i] - start};
    (void)json_parse(&cut.header, cut.parts[WIRE_HEADER], JSON_TOLERANT, NULL, &ignored);
    if (!cut_stream(&cut))
        tell(&cut);
    json_clear(&cut.header);
}
