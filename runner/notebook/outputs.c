/* Without Output widgets every message becomes at most one event and nothing is remembered.
 *
 * An Output widget captures by setting its state's msg_id to the id of a request: from then on, and
 * until it sets it to "", what that request publishes belongs to the widget. Several may capture at
 * once (nested `with` blocks); the one that came last gets it. In a notebook the browser does this
 * and reports the widget's new list of outputs to the kernel; here we do. The list is sent whole
 * each time, so it is sent once for many messages (outputs_next_comm_msg), not for each. */
#include "runner/notebook/outputs.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "runner/notebook/cell_outputs.h"
#include "runner/notebook/widgets.h"

#include <openssl/evp.h>

#define MESSAGE_KINDS(X)                                                                           \
    X(KIND_OTHER, "")                                                                              \
    X(KIND_STREAM, "stream")                                                                       \
    X(KIND_DISPLAY, "display_data")                                                                \
    X(KIND_RESULT, "execute_result")                                                               \
    X(KIND_ERROR, "error")                                                                         \
    X(KIND_UPDATE, "update_display_data")                                                          \
    X(KIND_CLEAR, "clear_output")                                                                  \
    X(KIND_COMM_OPEN, "comm_open")                                                                 \
    X(KIND_COMM_MSG, "comm_msg")                                                                   \
    X(KIND_COMM_CLOSE, "comm_close")

enum message_kind {
#define X(kind, name) kind,
    MESSAGE_KINDS(X)
#undef X
};

static const char *const KIND_NAMES[] = {
#define X(kind, name) name,
    MESSAGE_KINDS(X)
#undef X
};

struct output_widget {
    char *comm_id;
    char *captures; /* the id of the request whose output it gets, or NULL */
    uint64_t since; /* of those that capture, the highest gets the output */
    bool must_tell; /* the kernel does not know the newest list */
    struct cell_outputs captured;
};

struct outputs {
    struct outputs_sink sink;
    struct output_widget *widgets;
    uint32_t widget_count, widget_capacity;
    uint32_t capturing;  /* widgets that capture */
    uint32_t to_be_told; /* widgets that must tell */
    uint64_t captures;   /* that ever began */
    struct map by_comm_id;
};

struct outputs *outputs_new(const struct outputs_sink *sink)
{
    struct outputs *outputs = mem_zalloc(sizeof *outputs);

    outputs->sink = *sink;
    return outputs;
}

void outputs_free(struct outputs *outputs)
{
    if (!outputs)
        return;
    for (uint32_t i = 0; i < outputs->widget_count; i++) {
        struct output_widget *widget = &outputs->widgets[i];
        cell_outputs_free(&widget->captured);
        free(widget->captures);
        free(widget->comm_id);
    }
    free(outputs->widgets);
    map_clear(&outputs->by_comm_id);
    free(outputs);
}

static struct buf *begin(struct outputs *outputs, const char *event)
{
    return outputs->sink.begin(outputs->sink.user, event);
}

static int commit(struct outputs *outputs, struct err *e)
{
    return outputs->sink.commit(outputs->sink.user, e);
}

static void put_node(struct buf *out, const char *key, const struct json *doc, json_at at)
{
    json_put_key(out, key);
    json_write(doc, at, JSON_COMPACT, 0, out);
}

static void put_node_or(struct buf *out, const char *key, const struct json *doc, json_at at,
                        enum json_kind kind, const char *otherwise)
{
    if (json_kind(doc, at) == kind)
        put_node(out, key, doc, at);
    else
        json_put_member_raw(out, key, str_of(otherwise));
}

/* --- who captures --- */

static struct output_widget *find_widget(struct outputs *outputs, struct str comm_id)
{
    uint32_t index = map_get(&outputs->by_comm_id, comm_id);

    return index == MAP_NONE ? NULL : &outputs->widgets[index];
}

/* The widget that gets the output of a request, or NULL. */
static struct output_widget *find_capture(struct outputs *outputs, const char *request_id)
{
    struct output_widget *found = NULL;

    if (outputs->capturing == 0)
        return NULL;
    for (uint32_t i = 0; i < outputs->widget_count; i++) {
        struct output_widget *widget = &outputs->widgets[i];
        if (widget->captures && strcmp(widget->captures, request_id) == 0 &&
            (!found || widget->since > found->since))
            found = widget;
    }
    return found;
}

static void stop_capture(struct outputs *outputs, struct output_widget *widget)
{
    if (!widget->captures)
        return;
    free(take_ptr(&widget->captures));
    outputs->capturing--;
}

static void start_capture(struct outputs *outputs, struct output_widget *widget,
                          struct str request_id)
{
    stop_capture(outputs, widget);
    widget->captures = mem_strndup(request_id.text, request_id.len);
    widget->since = ++outputs->captures;
    outputs->capturing++;
}

static void must_tell(struct outputs *outputs, struct output_widget *widget)
{
    outputs->to_be_told += !widget->must_tell;
    widget->must_tell = true;
}

bool outputs_next_comm_msg(struct outputs *outputs, struct buf *content)
{
    struct output_widget *widget = outputs->widgets;

    if (outputs->to_be_told == 0)
        return false;
    while (!widget->must_tell)
        widget++;
    widget->must_tell = false;
    outputs->to_be_told--;
    buf_reset(content);
    buf_putc(content, '{');
    json_put_member(content, "comm_id", widget->comm_id);
    buf_puts(content, ",\"data\":{\"method\":\"update\",\"state\":{\"outputs\":");
    cell_outputs_put(&widget->captured, content);
    buf_puts(content, "},\"buffer_paths\":[]}}");
    return true;
}

/* --- comm messages --- */

static struct output_widget *open_widget(struct outputs *outputs, struct str comm_id)
{
    struct output_widget *widget = find_widget(outputs, comm_id);

    if (widget)
        return widget;
    uint32_t index = outputs->widget_count;
    mem_grow(outputs->widgets, outputs->widget_count, outputs->widget_capacity);
    widget = &outputs->widgets[outputs->widget_count++];
    *widget = (struct output_widget){.comm_id = mem_strndup(comm_id.text, comm_id.len)};
    cell_outputs_init(&widget->captured);
    map_set(&outputs->by_comm_id, (struct str){widget->comm_id, comm_id.len}, index);
    return widget;
}

/* What a message says about the widget's state: its list, and whether it captures. */
static void apply_state(struct outputs *outputs, struct output_widget *widget,
                        const struct json *content)
{
    auto_buf struct buf scratch = {0};
    json_at data = json_get(content, 0, "data");
    json_at list = widgets_set_outputs(content, 0);
    json_at msg_id = json_get(content, json_get(content, data, "state"), "msg_id");

    if (list != JSON_NONE) {
        cell_outputs_clear(&widget->captured, CLEAR_NOW);
        json_each (content, list, output)
            cell_outputs_append(&widget->captured, content, output, DISPLAY_NONE);
    }
    if (msg_id == JSON_NONE || json_is(content, json_get(content, data, "method"), "echo_update"))
        return;
    struct str request_id = json_text(content, msg_id, &scratch);
    if (request_id.len > 0)
        start_capture(outputs, widget, request_id);
    else
        stop_capture(outputs, widget);
}

static void follow_comm(struct outputs *outputs, enum message_kind kind, const struct json *content,
                        struct str comm_id)
{
    json_at state = json_get(content, json_get(content, 0, "data"), "state");
    struct output_widget *widget = find_widget(outputs, comm_id);

    if (kind == KIND_COMM_OPEN && widgets_is_output_model(content, state))
        widget = open_widget(outputs, comm_id);
    if (!widget)
        return;
    if (kind == KIND_COMM_CLOSE)
        stop_capture(outputs, widget);
    else
        apply_state(outputs, widget, content);
}

static void put_base64(struct buf *out, struct str bytes)
{
    size_t len = (bytes.len + 2) / 3 * 4;

    buf_putc(out, '"');
    buf_reserve(out, len + 1);
    EVP_EncodeBlock((unsigned char *)out->data + out->len, (const unsigned char *)bytes.text,
                    (int)bytes.len);
    out->len += len;
    buf_putc(out, '"');
}

static int handle_comm(struct outputs *outputs, enum message_kind kind,
                       const struct outputs_message *message, struct err *e)
{
    auto_buf struct buf scratch = {0};
    const struct json *content = message->content;
    struct str comm_id = json_text(content, json_get(content, 0, "comm_id"), &scratch);

    if (!comm_id.text)
        return 0;
    struct buf *line = begin(outputs, "comm");
    json_put_member(line, "msg_type", KIND_NAMES[kind]);
    put_node(line, "content", content, 0);
    json_put_key(line, "buffers");
    buf_putc(line, '[');
    for (size_t i = 0; i < message->buffer_count; i++) {
        if (i > 0)
            buf_putc(line, ',');
        put_base64(line, message->buffers[i]);
    }
    buf_putc(line, ']');
    follow_comm(outputs, kind, content, comm_id);
    return commit(outputs, e);
}

/* --- output --- */

static bool is_text_list(const struct json *doc, json_at at)
{
    if (json_kind(doc, at) != JSON_ARRAY)
        return false;
    json_each (doc, at, item) {
        if (json_kind(doc, item) != JSON_STRING)
            return false;
    }
    return true;
}

static bool is_wellformed(enum message_kind kind, const struct json *content)
{
    switch (kind) {
    case KIND_STREAM:
        return json_kind(content, json_get(content, 0, "text")) == JSON_STRING;
    case KIND_DISPLAY:
    case KIND_RESULT:
    case KIND_UPDATE:
        return json_kind(content, json_get(content, 0, "data")) == JSON_OBJECT;
    case KIND_ERROR: /* however broken, it says that something failed */
    case KIND_CLEAR:
    case KIND_COMM_OPEN:
    case KIND_COMM_MSG:
    case KIND_COMM_CLOSE:
    case KIND_OTHER:
        break;
    }
    return true;
}

/* The nbformat output of a message. */
static void put_output(struct buf *out, enum message_kind kind, const struct json *content)
{
    buf_putc(out, '{');
    json_put_member(out, "output_type", KIND_NAMES[kind]);
    if (kind == KIND_STREAM) {
        put_node_or(out, "name", content, json_get(content, 0, "name"), JSON_STRING, "\"stdout\"");
        put_node(out, "text", content, json_get(content, 0, "text"));
    } else if (kind == KIND_ERROR) {
        json_at traceback = json_get(content, 0, "traceback");
        put_node_or(out, "ename", content, json_get(content, 0, "ename"), JSON_STRING, "\"\"");
        put_node_or(out, "evalue", content, json_get(content, 0, "evalue"), JSON_STRING, "\"\"");
        if (!is_text_list(content, traceback))
            traceback = JSON_NONE;
        put_node_or(out, "traceback", content, traceback, JSON_ARRAY, "[]");
    } else {
        put_node(out, "data", content, json_get(content, 0, "data"));
        put_node_or(out, "metadata", content, json_get(content, 0, "metadata"), JSON_OBJECT, "{}");
    }
    if (kind == KIND_RESULT)
        put_node_or(out, "execution_count", content, json_get(content, 0, "execution_count"),
                    JSON_NUMBER, "null");
    buf_putc(out, '}');
}

/* A string that is not empty, or JSON_NONE. */
static json_at find_display_id(const struct json *content)
{
    json_at id = json_get(content, json_get(content, 0, "transient"), "display_id");

    return json_kind(content, id) == JSON_STRING && !json_is(content, id, "") ? id : JSON_NONE;
}

static int handle_update(struct outputs *outputs, const struct json *content, struct err *e)
{
    json_at id = find_display_id(content);

    if (id == JSON_NONE)
        return 0;
    struct buf *line = begin(outputs, "output_updated");
    put_node(line, "display_id", content, id);
    put_node(line, "data", content, json_get(content, 0, "data"));
    put_node_or(line, "metadata", content, json_get(content, 0, "metadata"), JSON_OBJECT, "{}");
    return commit(outputs, e);
}

static int capture_output(struct outputs *outputs, struct output_widget *widget,
                          enum message_kind kind, const struct json *content, struct err *e)
{
    auto_buf struct buf output = {0};
    auto_json struct json doc = {0};

    /* What a widget shows is not under its display id, but replaces what is. */
    if ((kind == KIND_DISPLAY || kind == KIND_RESULT) && handle_update(outputs, content, e) < 0)
        return -1;
    put_output(&output, kind, content);
    struct str text = {output.data, output.len};
    if (json_parse(&doc, text, JSON_TOLERANT, NULL, e) < 0)
        return err_prefix(e, "cannot capture an output");
    cell_outputs_append(&widget->captured, &doc, 0, DISPLAY_NONE);
    must_tell(outputs, widget);
    struct buf *line = begin(outputs, "widget_output");
    json_put_member(line, "comm_id", widget->comm_id);
    json_put_member_raw(line, "output", text);
    return commit(outputs, e);
}

static int handle_output(struct outputs *outputs, uint32_t cell_index, enum message_kind kind,
                         const struct outputs_message *message, struct err *e)
{
    const struct json *content = message->content;
    struct output_widget *widget = find_capture(outputs, message->parent_id);

    if (widget)
        return capture_output(outputs, widget, kind, content, e);
    struct buf *line = begin(outputs, "output");
    json_put_member_int(line, "cell_index", cell_index);
    json_put_key(line, "output");
    put_output(line, kind, content);
    json_at id = find_display_id(content);
    if (id != JSON_NONE)
        put_node(line, "display_id", content, id);
    return commit(outputs, e);
}

static int handle_clear(struct outputs *outputs, uint32_t cell_index,
                        const struct outputs_message *message, struct err *e)
{
    bool wait = json_is_true(message->content, json_get(message->content, 0, "wait"));
    struct output_widget *widget = find_capture(outputs, message->parent_id);
    struct buf *line = begin(outputs, widget ? "widget_output" : "output_cleared");

    if (widget) {
        cell_outputs_clear(&widget->captured, wait ? CLEAR_BEFORE_NEXT : CLEAR_NOW);
        if (!wait)
            must_tell(outputs, widget);
        json_put_member(line, "comm_id", widget->comm_id);
        json_put_member_raw(line, "cleared", STR("true"));
    } else {
        json_put_member_int(line, "cell_index", cell_index);
    }
    json_put_member_raw(line, "wait", wait ? STR("true") : STR("false"));
    return commit(outputs, e);
}

/* Whether content would be too deep for the scanner once it lies in a line of the journal, or in a
 * notebook, which both add levels of their own. */
static bool is_too_deep(const struct json *content)
{
    enum { ROOM = 32 };
    uint32_t ends[LIMIT_JSON_DEPTH];
    size_t depth = 0;

    for (uint32_t i = 0; i < content->count; i++) {
        while (depth > 0 && i >= ends[depth - 1])
            depth--;
        if (content->nodes[i].next == i + 1)
            continue; /* holds nothing */
        if (depth + ROOM >= LIMIT_JSON_DEPTH)
            return true;
        ends[depth++] = content->nodes[i].next;
    }
    return false;
}

static enum message_kind find_kind(const char *type)
{
    for (size_t i = 1; i < sizeof KIND_NAMES / sizeof *KIND_NAMES; i++) {
        if (strcmp(KIND_NAMES[i], type) == 0)
            return (enum message_kind)i;
    }
    return KIND_OTHER;
}

int outputs_handle(struct outputs *outputs, uint32_t cell_index,
                   const struct outputs_message *message, struct err *e)
{
    enum message_kind kind = find_kind(message->type);

    if (kind == KIND_OTHER || !is_wellformed(kind, message->content) ||
        is_too_deep(message->content))
        return 0;
    switch (kind) {
    case KIND_OTHER:
        return 0;
    case KIND_STREAM:
    case KIND_DISPLAY:
    case KIND_RESULT:
    case KIND_ERROR:
        return handle_output(outputs, cell_index, kind, message, e);
    case KIND_UPDATE:
        return handle_update(outputs, message->content, e);
    case KIND_CLEAR:
        return handle_clear(outputs, cell_index, message, e);
    case KIND_COMM_OPEN:
    case KIND_COMM_MSG:
    case KIND_COMM_CLOSE:
        return handle_comm(outputs, kind, message, e);
    }
    return 0;
}
