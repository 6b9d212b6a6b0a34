#include "kernel-gateway/clients/client_wire.h"

#include "kernel-gateway/clients/client_cut.h"
#include "kernel-gateway/clients/client_text.h"

#include <assert.h>
#include <endian.h>

#define EMPTY_OBJECT STR("{}")

void client_message_clear(struct client_message *message)
{
    free(message->buffers);
    json_clear(&message->doc);
    *message = (struct client_message){0};
}

static struct str part_of(struct str raw)
{
    return raw.len == 0 || str_is(raw, "null") ? EMPTY_OBJECT : raw;
}

static bool find_channel(struct str name, enum channel *ret_channel)
{
    for (int i = 0; i < CHANNEL_COUNT; i++) {
        if (!str_is(name, channel_name((enum channel)i)))
            continue;
        *ret_channel = (enum channel)i;
        return true;
    }
    return false;
}

static int check_sender(enum channel channel, struct err *e)
{
    switch (channel) {
    case CHANNEL_SHELL:
    case CHANNEL_STDIN:
    case CHANNEL_CONTROL:
        return 0;
    case CHANNEL_IOPUB:
    case CHANNEL_HEARTBEAT:
        break;
    }
    return err_set(e, ERR_NOT_FOUND, "clients do not send on the channel \"%s\"",
                   channel_name(channel));
}

/* --- v1 --- */

#define V1_FIXED (1 + WIRE_PART_COUNT + 1) /* offsets without buffers */

static uint64_t v1_number(struct str data, uint64_t index)
{
    uint64_t number;

    memcpy(&number, data.text + 8 * index, 8);
    return le64toh(number);
}

/* The number of offsets, once all of them are right; 0: one is not. */
static size_t check_v1(struct str data, struct err *e)
{
    uint64_t count = data.len < 8 ? 0 : v1_number(data, 0);
    if (count < V1_FIXED || count >= data.len / 8) {
        err_set(e, ERR_INVALID, "a message with a wrong number of offsets");
        return 0;
    }
    uint64_t last = 8 * (1 + count);
    if (v1_number(data, 1) != last || v1_number(data, count) != data.len) {
        err_set(e, ERR_INVALID, "a message must fill the room between its offsets and its end");
        return 0;
    }
    for (uint64_t i = 2; i <= count; i++) { /* none is behind the end when each is behind another */
        uint64_t offset = v1_number(data, i);
        if (offset < last) {
            err_set(e, ERR_INVALID, "a message with a wrong offset");
            return 0;
        }
        last = offset;
    }
    return (size_t)count;
}

/* What lies between two offsets. */
static struct str v1_item(struct str data, size_t index)
{
    uint64_t start = v1_number(data, 1 + index), end = v1_number(data, 2 + index);

    return (struct str){data.text + start, (size_t)(end - start)};
}

static int split_v1(struct client_message *message, struct str data, size_t buffers_max,
                    struct err *e)
{
    size_t count = check_v1(data, e);
    if (count == 0)
        return -1;
    if (count - V1_FIXED > buffers_max)
        return err_set(e, ERR_INVALID, "a message with more than %zu buffers", buffers_max);
    struct str channel = v1_item(data, 0);
    if (channel.len > 0 && !find_channel(channel, &message->channel))
        return err_set(e, ERR_NOT_FOUND, "a message for an unknown channel");
    for (size_t i = 0; i < WIRE_PART_COUNT; i++)
        message->parts[i] = part_of(v1_item(data, 1 + i));
    message->buffer_count = count - V1_FIXED;
    if (message->buffer_count > 0)
        message->buffers = mem_array(message->buffer_count, sizeof *message->buffers);
    for (size_t i = 0; i < message->buffer_count; i++)
        message->buffers[i] = v1_item(data, 1 + WIRE_PART_COUNT + i);
    return 0;
}

void client_split_v1(struct client_message *message, struct str v1)
{
    struct err e;
    int failed = split_v1(message, v1, SIZE_MAX, &e); /* the kernel's own may be many */

    assert(!failed);
    (void)failed;
}

static void put_v1_number(struct buf *out, uint64_t number)
{
    uint64_t bytes = htole64(number);

    buf_put(out, &bytes, sizeof bytes);
}

void client_encode_v1(struct buf *out, enum channel channel,
                      const struct str parts[WIRE_PART_COUNT], const struct str *buffers,
                      size_t buffer_count)
{
    struct str fixed[1 + WIRE_PART_COUNT] = {str_of(channel_name(channel))};
    for (size_t i = 0; i < WIRE_PART_COUNT; i++)
        fixed[1 + i] = part_of(parts[i]);

    uint64_t count = V1_FIXED + buffer_count, offset = 8 * (1 + count);
    size_t size = offset;
    for (size_t i = 0; i < 1 + WIRE_PART_COUNT; i++)
        size += fixed[i].len;
    for (size_t i = 0; i < buffer_count; i++)
        size += buffers[i].len;
    buf_reserve(out, size);

    put_v1_number(out, count);
    put_v1_number(out, offset);
    for (size_t i = 0; i < 1 + WIRE_PART_COUNT; i++)
        put_v1_number(out, offset += fixed[i].len);
    for (size_t i = 0; i < buffer_count; i++)
        put_v1_number(out, offset += buffers[i].len);
    for (size_t i = 0; i < 1 + WIRE_PART_COUNT; i++)
        buf_put(out, fixed[i].text, fixed[i].len);
    for (size_t i = 0; i < buffer_count; i++)
        buf_put(out, buffers[i].text, buffers[i].len);
}

/* --- legacy --- */

static const char *const part_names[WIRE_PART_COUNT] = {
    [WIRE_HEADER] = "header",
    [WIRE_PARENT] = "parent_header",
    [WIRE_METADATA] = "metadata",
    [WIRE_CONTENT] = "content",
};

static int read_legacy_channel(struct client_message *message, struct err *e)
{
    const struct json *doc = &message->doc;
    json_at at = json_get(doc, 0, "channel");
    auto_buf struct buf scratch = {0};
    struct str name = json_text(doc, at, &scratch);

    if (json_kind(doc, at) <= JSON_NULL || (name.text && name.len == 0))
        return 0;
    if (!name.text)
        return err_set(e, ERR_INVALID, "\"channel\" is %s, not a string",
                       json_kind_name(json_kind(doc, at)));
    if (!find_channel(name, &message->channel))
        return err_set(e, ERR_NOT_FOUND, "a message for an unknown channel");
    return 0;
}

static int read_legacy_json(struct client_message *message, struct str text, struct err *e)
{
    struct json *doc = &message->doc;
    if (json_parse(doc, text, JSON_TOLERANT, NULL, e) < 0) {
        e->code = ERR_INVALID; /* also where it is nested too deeply */
        return err_prefix(e, "a message that is no JSON");
    }
    if (json_kind(doc, 0) != JSON_OBJECT)
        return err_set(e, ERR_INVALID, "a message that is %s, not an object",
                       json_kind_name(json_kind(doc, 0)));
    for (int i = 0; i < WIRE_PART_COUNT; i++) {
        json_at at = json_get(doc, 0, part_names[i]);
        enum json_kind kind = json_kind(doc, at);
        if (kind > JSON_NULL && kind != JSON_OBJECT)
            return err_set(e, ERR_INVALID, "\"%s\" is %s, not an object", part_names[i],
                           json_kind_name(kind));
        message->parts[i] = kind == JSON_OBJECT ? json_raw(doc, at) : EMPTY_OBJECT;
    }
    return read_legacy_channel(message, e);
}

static uint32_t legacy_number(struct str data, size_t index)
{
    uint32_t number;

    memcpy(&number, data.text + 4 * index, 4);
    return be32toh(number);
}

/* The JSON and then the buffers; each ends where the next one starts. */
static int split_legacy(struct client_message *message, struct str data, struct str *ret_text,
                        struct err *e)
{
    uint32_t count = data.len < 4 ? 0 : legacy_number(data, 0);
    if (count < 1 || count > 1 + CLIENT_BUFFERS_MAX)
        return err_set(e, ERR_INVALID, "a message must have 1 to %d parts", 1 + CLIENT_BUFFERS_MAX);
    size_t last = 4 * (1 + (size_t)count);
    if (data.len < last || legacy_number(data, 1) != last)
        return err_set(e, ERR_INVALID, "a message must begin behind its offsets");
    message->buffer_count = count - 1;
    if (message->buffer_count > 0)
        message->buffers = mem_array(message->buffer_count, sizeof *message->buffers);
    for (uint32_t i = 0; i < count; i++) {
        size_t end = i + 1 < count ? legacy_number(data, 2 + i) : data.len;
        if (end < last || end > data.len)
            return err_set(e, ERR_INVALID, "a message with a wrong offset");
        struct str *item = i == 0 ? ret_text : &message->buffers[i - 1];
        *item = (struct str){data.text + last, end - last};
        last = end;
    }
    return 0;
}

/* No JSON starts with a NUL, and every number of parts that is allowed does. */
static int decode_legacy(struct client_message *message, struct str data, struct err *e)
{
    struct str text = data;

    if (data.len > 0 && data.text[0] == 0 && split_legacy(message, data, &text, e) < 0)
        return -1;
    return read_legacy_json(message, text, e);
}

static int decode(struct client_message *message, enum client_protocol protocol, struct str data,
                  bool is_text, struct err *e)
{
    switch (protocol) {
    case CLIENT_LEGACY:
        return decode_legacy(message, data, e);
    case CLIENT_V1:
        break;
    }
    if (is_text)
        return err_set(e, ERR_INVALID, "a text frame, where " CLIENT_V1_NAME " was agreed on");
    return split_v1(message, data, CLIENT_BUFFERS_MAX, e);
}

int client_decode(struct client_message *message, enum client_protocol protocol, struct str data,
                  bool is_text, struct err *e)
{
    if (decode(message, protocol, data, is_text, e) < 0 || check_sender(message->channel, e) < 0) {
        client_message_clear(message);
        return -1;
    }
    return 0;
}

/* --- sending --- */

struct frames {
    const struct client_form *form;
    void (*frame)(void *user, bool is_text, struct str data);
    void *user;
};

static void put_header_field(struct buf *out, const struct json *header, const char *name)
{
    json_at at = json_get(header, 0, name);

    if (at == JSON_NONE)
        return;
    json_put_key(out, name);
    client_text_put(out, json_raw(header, at));
}

static void put_part(struct buf *out, const struct client_message *message, enum wire_part part)
{
    json_put_key(out, part_names[part]);
    client_text_put(out, message->parts[part]);
}

enum legacy_kind { LEGACY_TEXT, LEGACY_BINARY };

static void put_legacy_json(struct buf *out, const struct client_message *message,
                            enum legacy_kind kind)
{
    auto_json struct json header = {0};
    struct err ignored;

    (void)json_parse(&header, message->parts[WIRE_HEADER], JSON_TOLERANT, NULL, &ignored);
    buf_putc(out, '{');
    put_part(out, message, WIRE_HEADER);
    put_header_field(out, &header, "msg_id");
    put_header_field(out, &header, "msg_type");
    put_part(out, message, WIRE_PARENT);
    put_part(out, message, WIRE_METADATA);
    put_part(out, message, WIRE_CONTENT);
    if (kind == LEGACY_TEXT)
        json_put_member_raw(out, "buffers", STR("[]"));
    json_put_member(out, "channel", channel_name(message->channel));
    buf_putc(out, '}');
}

static void set_legacy_number(struct buf *out, size_t index, size_t number)
{
    uint32_t bytes = htobe32((uint32_t)number);

    memcpy(out->data + 4 * index, &bytes, sizeof bytes);
}

static void put_legacy_binary(struct buf *out, const struct client_message *message)
{
    size_t count = 1 + message->buffer_count, offsets = 4 * (1 + count);

    buf_reserve(out, offsets);
    out->len = offsets;
    set_legacy_number(out, 0, count);
    set_legacy_number(out, 1, offsets);
    put_legacy_json(out, message, LEGACY_BINARY);
    for (size_t i = 0; i < message->buffer_count; i++) {
        set_legacy_number(out, 2 + i, out->len);
        buf_put(out, message->buffers[i].text, message->buffers[i].len);
    }
}

static size_t json_size(const struct client_message *message)
{
    size_t size = CLIENT_FRAME_EXTRA;

    for (int i = 0; i < WIRE_PART_COUNT; i++)
        size += message->parts[i].len;
    return size;
}

/* Offsets have 32 bits, and a byte of JSON may need six in client_text_put. */
static bool is_sent_binary(const struct client_form *form, const struct client_message *message)
{
    size_t size = 7 * json_size(message);

    for (size_t i = 0; i < message->buffer_count; i++)
        size += message->buffers[i].len;
    return message->buffer_count > 0 && !form->is_text_only && size <= UINT32_MAX;
}

static void put_piece(void *user, const struct client_piece *piece)
{
    const struct frames *frames = user;
    auto_buf struct buf out = {0};

    switch (frames->form->protocol) {
    case CLIENT_V1:
        client_encode_v1(&out, piece->channel, piece->parts, NULL, 0);
        frames->frame(frames->user, false, (struct str){out.data, out.len});
        return;
    case CLIENT_LEGACY:
        break;
    }
    struct client_message message = {.channel = piece->channel};
    memcpy(message.parts, piece->parts, sizeof message.parts);
    put_legacy_json(&out, &message, LEGACY_TEXT);
    frames->frame(frames->user, true, (struct str){out.data, out.len});
}

static void put_in_pieces(struct frames *frames, const struct client_message *message, size_t size)
{
    struct client_piece whole = {.channel = message->channel};

    memcpy(whole.parts, message->parts, sizeof whole.parts);
    client_cut(&whole, size, frames->form->message_cap, put_piece, frames);
}

static bool is_too_long(const struct client_form *form, size_t size)
{
    return form->message_cap > 0 && size > form->message_cap;
}

static void put_legacy(struct frames *frames, const struct client_message *message, size_t size)
{
    bool is_binary = is_sent_binary(frames->form, message);
    auto_buf struct buf out = {0};

    if (is_binary) {
        put_legacy_binary(&out, message);
    } else {
        buf_reserve(&out, json_size(message));
        put_legacy_json(&out, message, LEGACY_TEXT);
    }
    if (is_too_long(frames->form, out.len))
        put_in_pieces(frames, message, size);
    else
        frames->frame(frames->user, !is_binary, (struct str){out.data, out.len});
}

void client_put(const struct client_form *form, struct str v1,
                void (*frame)(void *user, bool is_text, struct str data), void *user)
{
    struct frames frames = {.form = form, .frame = frame, .user = user};
    auto_client_message struct client_message message = {0};

    if (form->protocol == CLIENT_V1 && !is_too_long(form, v1.len)) {
        frame(user, false, v1);
        return;
    }
    client_split_v1(&message, v1);
    if (form->protocol == CLIENT_V1)
        put_in_pieces(&frames, &message, v1.len);
    else
        put_legacy(&frames, &message, v1.len);
}
