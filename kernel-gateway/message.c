#include "kernel-gateway/message.h"

#include "base/clock.h"
#include "base/mem.h"

static enum message_type type_of_name(struct str name)
{
    static const char *const names[] = {
#define X(type, name) [type] = name,
        MESSAGE_TYPES(X)
#undef X
    };
    for (unsigned i = MESSAGE_OTHER + 1; i < sizeof names / sizeof *names; i++) {
        if (str_is(name, names[i]))
            return (enum message_type)i;
    }
    return MESSAGE_OTHER;
}

void message_clear(struct message *message)
{
    json_clear(&message->header);
    json_clear(&message->parent);
    json_clear(&message->metadata);
    json_clear(&message->content);
    for (size_t i = 0; i < message->frame_count; i++)
        zmq_msg_close(&message->frames[i]);
    free(message->frames);
    free(message->buffers);
    free(message->id);
    free(message->parent_id);
    *message = (struct message){0};
}

/* Finds the parts among the frames and keeps what is behind them as buffers. */
static enum wire_fault split_frames(struct message *message)
{
    struct str *all = mem_array(message->frame_count, sizeof *all);
    message->buffers = all;
    for (size_t i = 0; i < message->frame_count; i++)
        all[i] = (struct str){zmq_msg_data(&message->frames[i]), zmq_msg_size(&message->frames[i])};
    enum wire_fault fault = wire_split(all, message->frame_count, &message->wire);
    if (fault != WIRE_OK)
        return fault;
    message->buffer_count = message->frame_count - message->wire.buffers;
    memmove(all, all + message->wire.buffers, message->buffer_count * sizeof *all);
    return WIRE_OK;
}

static enum wire_fault read_headers(struct message *message)
{
    struct err e;
    const struct str *parts = message->wire.parts;
    if (json_parse(&message->header, parts[WIRE_HEADER], JSON_TOLERANT, NULL, &e) < 0 ||
        json_parse(&message->parent, parts[WIRE_PARENT], JSON_TOLERANT, NULL, &e) < 0)
        return WIRE_BAD_HEADER;
    json_at type = json_get(&message->header, 0, "msg_type");
    if (json_kind(&message->header, type) != JSON_STRING)
        return WIRE_BAD_HEADER;
    auto_buf struct buf scratch = {0};
    message->type = type_of_name(json_text(&message->header, type, &scratch));
    message->id = json_strdup(&message->header, json_get(&message->header, 0, "msg_id"));
    message->parent_id = json_strdup(&message->parent, json_get(&message->parent, 0, "msg_id"));
    return WIRE_OK;
}

enum wire_fault message_take_frames(struct message *message, zmq_msg_t *frames, size_t count,
                                    struct wire_key *key)
{
    message->frames = frames;
    message->frame_count = count;
    enum wire_fault fault = split_frames(message);
    if (fault == WIRE_OK)
        fault = wire_check(key, &message->wire);
    if (fault == WIRE_OK)
        fault = read_headers(message);
    if (fault != WIRE_OK)
        message_clear(message);
    return fault;
}

void message_move(struct message *to, struct message *from)
{
    *to = *from;
    *from = (struct message){0};
}

struct str message_raw(const struct message *message, enum wire_part part)
{
    return message->wire.parts[part];
}

static const struct json *read_part(struct message *message, enum wire_part part, struct json *doc)
{
    struct err e;
    unsigned bit = 1u << part;
    if (!(message->has_read & bit))
        json_parse(doc, message->wire.parts[part], JSON_TOLERANT, NULL, &e);
    message->has_read |= bit;
    return doc;
}

const struct json *message_content(struct message *message)
{
    return read_part(message, WIRE_CONTENT, &message->content);
}

const struct json *message_metadata(struct message *message)
{
    return read_part(message, WIRE_METADATA, &message->metadata);
}

const char *message_id(const struct message *message)
{
    return message->id ? message->id : "";
}

const char *message_parent_id(const struct message *message)
{
    return message->parent_id ? message->parent_id : "";
}

int64_t message_date_us(const struct message *message)
{
    auto_free char *date = json_strdup(&message->header, json_get(&message->header, 0, "date"));
    return date ? time_text_parse(date) : -1;
}

size_t message_buffer_count(const struct message *message)
{
    return message->buffer_count;
}

struct str message_buffer(const struct message *message, size_t index)
{
    return message->buffers[index];
}

bool message_is_child_of(const struct message *message, const struct uuid *request_id)
{
    return *request_id->text && strcmp(message_parent_id(message), request_id->text) == 0;
}

void message_put_header(struct buf *out, const char *msg_type, const struct uuid *session,
                        struct uuid *ret_msg_id)
{
    *ret_msg_id = uuid_random();
    buf_putc(out, '{');
    json_put_member(out, "msg_id", ret_msg_id->text);
    json_put_member(out, "session", session->text);
    json_put_member(out, "username", "segue");
    json_put_member(out, "date", time_text_now().text);
    json_put_member(out, "msg_type", msg_type);
    json_put_member(out, "version", "5.4");
    buf_putc(out, '}');
}
