#include "api/commands/sse.h"

#include "base/limits.h"
#include "base/mem.h"

/* An output as its kernel sent it, with escapes of JSON that a kernel may have done without. */
#define EVENT_CAP (2 * LIMIT_MESSAGE_BYTES)

void sse_restart(struct sse *sse)
{
    buf_reset(&sse->line);
    buf_reset(&sse->data);
    buf_reset(&sse->event);
    sse->seen = 0;
    sse->has_data = false;
    sse->id = sse->last_id;
}

void sse_clear(struct sse *sse)
{
    buf_clear(&sse->line);
    buf_clear(&sse->data);
    buf_clear(&sse->event);
    *sse = (struct sse){0};
}

static void end_event(struct sse *sse, sse_fn *fn, void *user)
{
    sse->last_id = sse->id;
    if (sse->has_data)
        fn(user, sse->last_id, sse->event.len > 0 ? sse->event.data : "message",
           (struct str){buf_text(&sse->data), sse->data.len});
    buf_reset(&sse->data);
    buf_reset(&sse->event);
    sse->has_data = false;
}

/* Ids are numbers here; another one would be no use for asking again. */
static void take_id(struct sse *sse, struct str value)
{
    int64_t id = 0;

    for (size_t i = 0; i < value.len; i++) {
        if (value.text[i] < '0' || value.text[i] > '9' || id > INT64_MAX / 10 - 9)
            return;
        id = id * 10 + (value.text[i] - '0');
    }
    if (value.len > 0)
        sse->id = id;
}

static void take_field(struct sse *sse, struct str name, struct str value)
{
    if (str_is(name, "data")) {
        if (sse->has_data)
            buf_putc(&sse->data, '\n');
        buf_put(&sse->data, value.text, value.len);
        sse->has_data = true;
    } else if (str_is(name, "event")) {
        buf_reset(&sse->event);
        buf_put(&sse->event, value.text, value.len);
    } else if (str_is(name, "id")) {
        take_id(sse, value);
    }
}

static void take_line(struct sse *sse, struct str line, sse_fn *fn, void *user)
{
    if (line.len > 0 && line.text[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0) {
        end_event(sse, fn, user);
        return;
    }
    const char *colon = memchr(line.text, ':', line.len);
    size_t name_len = colon ? (size_t)(colon - line.text) : line.len;
    size_t value_at = name_len + (colon ? 1 : 0);
    if (value_at < line.len && line.text[value_at] == ' ')
        value_at++;
    take_field(sse, (struct str){line.text, name_len},
               (struct str){line.text + value_at, line.len - value_at});
}

int sse_feed(struct sse *sse, struct str bytes, sse_fn *fn, void *user, struct err *e)
{
    size_t start = 0;
    const char *end;

    buf_put(&sse->line, bytes.text, bytes.len);
    while ((end = memchr(sse->line.data + sse->seen, '\n', sse->line.len - sse->seen))) {
        size_t stop = (size_t)(end - sse->line.data);
        take_line(sse, (struct str){sse->line.data + start, stop - start}, fn, user);
        start = sse->seen = stop + 1;
    }
    buf_consume(&sse->line, start);
    sse->seen = sse->line.len;
    if (sse->line.len + sse->data.len > EVENT_CAP)
        return err_set(e, ERR_LIMIT, "the service sends an event of more than %lu bytes",
                       EVENT_CAP);
    return 0;
}
