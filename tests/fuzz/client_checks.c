/* What must hold for every message that a client may get. Included by the targets for the decoders.
 */
#include "base/mem.h"
#include "kernel-gateway/clients/client_text.h"
#include "kernel-gateway/clients/client_wire.h"

#include <stdint.h>
#include <stdio.h>

static inline void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s\n", what);
    abort();
}

static inline struct str str_of_buf(const struct buf *b)
{
    return (struct str){buf_text(b), b->len};
}

static inline void require_same(const struct client_message *a, const struct client_message *b)
{
    require(a->channel == b->channel, "the channel stays");
    for (int i = 0; i < WIRE_PART_COUNT; i++)
        require(str_eq(a->parts[i], b->parts[i]), "the parts stay");
    require(a->buffer_count == b->buffer_count, "no buffer is lost");
    for (size_t i = 0; i < a->buffer_count; i++)
        require(str_eq(a->buffers[i], b->buffers[i]), "the buffers stay");
}

static inline bool is_utf8(struct str text)
{
    const char *p = text.text, *end = p + text.len;

    while (p < end) {
        size_t len = str_utf8_len(p, end);
        if (len == 0)
            return false;
        p += len;
    }
    return true;
}

/* What one form of client gets for one message. */
struct received {
    const struct client_form *form;
    const struct client_message *message;
    bool is_json;      /* all parts of the message are objects */
    size_t count;      /* frames */
    struct buf stream; /* the texts of all streams, as they stand in the JSON */
};

static inline bool is_object(struct str text)
{
    auto_json struct json doc = {0};
    struct err ignored;
    bool has_mark = text.len >= 3 && memcmp(text.text, "\xef\xbb\xbf", 3) == 0;

    return !has_mark && json_parse(&doc, text, JSON_TOLERANT, NULL, &ignored) == 0 &&
           json_kind(&doc, 0) == JSON_OBJECT;
}

static inline void collect_stream(struct received *received, const struct json *doc,
                                  json_at content)
{
    json_at text = json_get(doc, content, "text");
    struct str raw = json_raw(doc, text);

    if (json_kind(doc, text) == JSON_STRING)
        buf_put(&received->stream, raw.text + 1, raw.len - 2);
}

static inline void check_text(struct received *received, struct str data)
{
    auto_json struct json doc = {0};
    struct err e;

    require(is_utf8(data), "text is UTF-8");
    if (!received->is_json)
        return;
    if (json_parse(&doc, data, JSON_STRICT, NULL, &e) < 0) {
        require(e.code == ERR_LIMIT, "text is JSON"); /* one level deeper than its parts */
        return;
    }
    require(json_is(&doc, json_get(&doc, 0, "channel"), channel_name(received->message->channel)),
            "the channel is told");
    require(json_kind(&doc, json_get(&doc, 0, "header")) == JSON_OBJECT, "there is a header");
    collect_stream(received, &doc, json_get(&doc, 0, "content"));
}

static inline void check_binary(struct received *received, struct str data)
{
    auto_client_message struct client_message again = {0};
    auto_json struct json content = {0};
    struct err e;

    if (received->form->protocol == CLIENT_LEGACY) {
        require(!received->form->is_text_only, "no binary where only text is taken");
        if (client_decode(&again, CLIENT_LEGACY, data, false, &e) == 0)
            require(again.buffer_count == received->message->buffer_count, "the buffers are there");
        else
            require(!received->is_json || e.code == ERR_NOT_FOUND || strstr(e.text, "levels"),
                    "what is sent can be read");
        return;
    }
    client_split_v1(&again, data);
    require(again.channel == received->message->channel, "the channel stays");
    if (json_parse(&content, again.parts[WIRE_CONTENT], JSON_TOLERANT, NULL, &e) == 0)
        collect_stream(received, &content, 0);
}

static inline void check_frame(void *user, bool is_text, struct str data)
{
    struct received *received = user;
    size_t cap = received->form->message_cap;

    require(cap == 0 || data.len <= cap, "no frame is longer than allowed");
    received->count++;
    if (is_text)
        check_text(received, data);
    else
        check_binary(received, data);
}

/* A stream that was cut says what it said before. */
static inline void check_stream(const struct received *received)
{
    auto_buf struct buf clean = {0};
    auto_json struct json content = {0};
    struct err e;

    if (received->count < 2 || !received->is_json)
        return;
    client_text_put(&clean, received->message->parts[WIRE_CONTENT]);
    require(json_parse(&content, str_of_buf(&clean), JSON_STRICT, NULL, &e) == 0,
            "what was made clean is JSON");
    struct str raw = json_raw(&content, json_get(&content, 0, "text"));
    require(raw.len == received->stream.len + 2, "a stream keeps its length");
    require(memcmp(raw.text + 1, received->stream.data, received->stream.len) == 0,
            "a stream keeps its text");
}

static inline void check_form(const struct client_form *form, const struct client_message *message)
{
    struct received received = {.form = form, .message = message, .is_json = true};
    auto_client_message struct client_message again = {0};
    auto_buf struct buf v1 = {0};

    client_encode_v1(&v1, message->channel, message->parts, message->buffers,
                     message->buffer_count);
    client_split_v1(&again, str_of_buf(&v1));
    require_same(message, &again);
    for (int i = 0; i < WIRE_PART_COUNT; i++)
        received.is_json = received.is_json && is_object(message->parts[i]);
    client_put(form, str_of_buf(&v1), check_frame, &received);
    require(received.count > 0 || form->message_cap, "a message is sent");
    check_stream(&received);
    buf_clear(&received.stream);
}

/* Whatever a client sends might as well come from a kernel. */
static inline void check_sending(struct client_message *message)
{
    static const struct client_form forms[] = {
        {.protocol = CLIENT_V1},
        {.protocol = CLIENT_V1, .message_cap = 1700},
        {.protocol = CLIENT_LEGACY},
        {.protocol = CLIENT_LEGACY, .message_cap = 500},
        {.protocol = CLIENT_LEGACY, .is_text_only = true, .message_cap = 1800},
    };
    static const enum channel channels[] = {CHANNEL_IOPUB, CHANNEL_SHELL, CHANNEL_STDIN};

    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        message->channel = channels[i];
        for (size_t form = 0; form < sizeof forms / sizeof *forms; form++)
            check_form(&forms[form], message);
    }
}
