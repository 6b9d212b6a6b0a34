/* An output is kept as the few texts it consists of: the decoded text of a stream, so that more can
 * be put behind it; compact JSON for the rest, which is read again when it is written to a file. A
 * parsed form would take several times the memory, and most outputs are written once or twice. */
#include "runner/notebook/cell_outputs.h"

#include "base/limits.h"
#include "base/mem.h"
#include "runner/notebook/nbformat.h"

#include <assert.h>
#include <inttypes.h>

/* Errors beyond the caps: enough for any sensible traceback, and for a cell that catches and shows
 * some more. */
#define LATE_ERRORS      100u
#define LATE_ERROR_BYTES (1 * MiB)

#define OUTPUT_KINDS(X)                                                                            \
    X(OUTPUT_STREAM, "stream")                                                                     \
    X(OUTPUT_DISPLAY, "display_data")                                                              \
    X(OUTPUT_RESULT, "execute_result")                                                             \
    X(OUTPUT_ERROR, "error")

enum output_kind {
#define X(kind, name) kind,
    OUTPUT_KINDS(X)
#undef X
};

static const char *const KIND_NAMES[] = {
#define X(kind, name) name,
    OUTPUT_KINDS(X)
#undef X
};

struct output {
    enum output_kind kind;
    uint32_t display;   /* whose content it shows instead of its own, or DISPLAY_NONE */
    struct buf content; /* stream: text; display and result: data (JSON); error: all of it (JSON) */
    struct buf metadata; /* display and result (JSON) */
    struct buf label;    /* stream: its name; result: execution_count (JSON) */
};

void cell_outputs_init(struct cell_outputs *outputs)
{
    *outputs = (struct cell_outputs){
        .max_count = LIMIT_CELL_OUTPUTS,
        .max_bytes = LIMIT_CELL_OUTPUT_BYTES,
    };
}

static void output_clear(struct output *output)
{
    buf_clear(&output->content);
    buf_clear(&output->metadata);
    buf_clear(&output->label);
}

static void drop_all(struct cell_outputs *outputs)
{
    while (outputs->count > 0)
        output_clear(&outputs->items[--outputs->count]);
    outputs->bytes = 0;
    outputs->late_errors = 0;
    outputs->dropped = 0;
    outputs->dropped_bytes = 0;
    outputs->clears_before_next = false;
}

void cell_outputs_free(struct cell_outputs *outputs)
{
    drop_all(outputs);
    free(outputs->items);
    outputs->items = NULL;
    outputs->capacity = 0;
}

void cell_outputs_clear(struct cell_outputs *outputs, enum clear_when when)
{
    if (when == CLEAR_NOW)
        drop_all(outputs);
    else
        outputs->clears_before_next = true;
}

/* --- taking --- */

static struct output *add(struct cell_outputs *outputs, enum output_kind kind)
{
    mem_grow(outputs->items, outputs->count, outputs->capacity);
    struct output *output = &outputs->items[outputs->count++];
    *output = (struct output){.kind = kind, .display = DISPLAY_NONE};
    return output;
}

static void drop(struct cell_outputs *outputs, size_t bytes)
{
    outputs->dropped++;
    outputs->dropped_bytes += bytes;
}

/* The last output when more of this stream belongs to it. */
static struct output *find_open_stream(struct cell_outputs *outputs, struct str name)
{
    if (outputs->count == 0)
        return NULL;
    struct output *last = &outputs->items[outputs->count - 1];
    struct str last_name = {buf_text(&last->label), last->label.len};
    return last->kind == OUTPUT_STREAM && str_eq(last_name, name) ? last : NULL;
}

/* How much of a text of `len` bytes still fits, without cutting a character. */
static size_t fitting(const struct cell_outputs *outputs, struct str text)
{
    size_t room = outputs->max_bytes - outputs->bytes;

    if (text.len <= room)
        return text.len;
    while (room > 0 && ((unsigned char)text.text[room] & 0xc0) == 0x80)
        room--;
    return room;
}

static void append_stream(struct cell_outputs *outputs, const struct json *doc, json_at output)
{
    auto_buf struct buf name_scratch = {0}, joined = {0};
    json_at text_at = json_get(doc, output, "text");
    struct str name = json_text(doc, json_get(doc, output, "name"), &name_scratch);
    struct str text = json_text(doc, text_at, &joined);

    if (!text.text && nb_join(doc, text_at, &joined))
        text = (struct str){buf_text(&joined), joined.len};
    if (!name.text)
        name = STR("stdout");
    struct output *stream = find_open_stream(outputs, name);
    bool is_full = outputs->dropped > 0 || (!stream && outputs->count >= outputs->max_count);
    size_t kept = is_full ? 0 : fitting(outputs, text);
    if (!stream && (kept > 0 || (text.len == 0 && !is_full))) {
        stream = add(outputs, OUTPUT_STREAM);
        buf_put(&stream->label, name.text, name.len);
    }
    if (kept > 0)
        buf_put(&stream->content, text.text, kept);
    outputs->bytes += kept;
    if (kept < text.len)
        drop(outputs, text.len - kept);
}

static void put_compact(const struct json *doc, json_at at, const char *otherwise, struct buf *out)
{
    if (json_kind(doc, at) == JSON_ABSENT)
        buf_puts(out, otherwise);
    else
        json_write(doc, at, JSON_COMPACT, 0, out);
}

static bool fits(const struct cell_outputs *outputs, size_t bytes)
{
    return outputs->dropped == 0 && outputs->count < outputs->max_count &&
           bytes <= outputs->max_bytes - outputs->bytes;
}

static void append_whole(struct cell_outputs *outputs, struct output *output)
{
    size_t bytes = output->content.len + output->metadata.len;

    if (fits(outputs, bytes)) {
        outputs->bytes += bytes;
    } else if (output->kind == OUTPUT_ERROR && bytes <= LATE_ERROR_BYTES &&
               outputs->late_errors < LATE_ERRORS) {
        outputs->late_errors++;
    } else {
        drop(outputs, bytes);
        output_clear(output);
        return;
    }
    *add(outputs, output->kind) = *output;
}

static void append_display(struct cell_outputs *outputs, const struct json *doc, json_at from,
                           enum output_kind kind, uint32_t display)
{
    struct output output = {.kind = kind, .display = display};

    if (display == DISPLAY_NONE) {
        put_compact(doc, json_get(doc, from, "data"), "{}", &output.content);
        put_compact(doc, json_get(doc, from, "metadata"), "{}", &output.metadata);
    }
    if (kind == OUTPUT_RESULT)
        put_compact(doc, json_get(doc, from, "execution_count"), "null", &output.label);
    append_whole(outputs, &output);
}

static void append_error(struct cell_outputs *outputs, const struct json *doc, json_at from)
{
    struct output output = {.kind = OUTPUT_ERROR, .display = DISPLAY_NONE};

    json_write(doc, from, JSON_COMPACT, 0, &output.content);
    append_whole(outputs, &output);
}

static bool find_kind(const struct json *doc, json_at type, enum output_kind *ret_kind)
{
    for (size_t i = 0; i < sizeof KIND_NAMES / sizeof *KIND_NAMES; i++) {
        if (json_is(doc, type, KIND_NAMES[i])) {
            *ret_kind = (enum output_kind)i;
            return true;
        }
    }
    return false;
}

void cell_outputs_append(struct cell_outputs *outputs, const struct json *doc, json_at output,
                         uint32_t display)
{
    enum output_kind kind;

    if (!find_kind(doc, json_get(doc, output, "output_type"), &kind))
        return;
    if (outputs->clears_before_next)
        drop_all(outputs);
    switch (kind) {
    case OUTPUT_STREAM:
        append_stream(outputs, doc, output);
        break;
    case OUTPUT_DISPLAY:
    case OUTPUT_RESULT:
        append_display(outputs, doc, output, kind, display);
        break;
    case OUTPUT_ERROR:
        append_error(outputs, doc, output);
        break;
    }
}

/* --- giving --- */

static void put_notice(const struct cell_outputs *outputs, struct buf *out)
{
    buf_printf(out,
               "[segue] the output of this cell is longer than what is kept (%zu outputs, %zu "
               "bytes): %" PRIu64 " more outputs with %" PRIu64 " bytes were dropped.\n",
               outputs->max_count, outputs->max_bytes, outputs->dropped, outputs->dropped_bytes);
}

/* Our own compact JSON as a document. */
static void reread(struct json *doc, const struct buf *text)
{
    struct err e;
    struct str s = {buf_text(text), text->len};
    int parsed = json_parse(doc, s, JSON_TOLERANT, NULL, &e);

    assert(parsed == 0);
}

static void write_bundle(const void *user, unsigned depth, struct buf *out)
{
    auto_json struct json doc = {0};

    reread(&doc, user);
    nb_write_bundle(&doc, 0, depth, out);
}

static void write_json(const void *user, unsigned depth, struct buf *out)
{
    auto_json struct json doc = {0};

    reread(&doc, user);
    json_write(&doc, 0, JSON_NBFORMAT, depth, out);
}

static void write_stream(struct str name, struct str text, unsigned depth, struct buf *out)
{
    auto_nb_object struct nb_object object = {0};
    auto_free char *name_text = mem_strndup(name.text, name.len);

    nb_add_text(&object, "name", name_text);
    nb_add_text(&object, "output_type", "stream");
    nb_add_lines(&object, "text", text);
    nb_object_write(&object, depth, out);
}

static void write_display(const struct output *output, const struct displays *displays,
                          unsigned depth, struct buf *out)
{
    auto_nb_object struct nb_object object = {0};
    const struct buf *data = &output->content, *metadata = &output->metadata;

    if (output->display != DISPLAY_NONE) {
        data = &displays->items[output->display].data;
        metadata = &displays->items[output->display].metadata;
    }
    nb_add_call(&object, "data", write_bundle, data);
    nb_add_call(&object, "metadata", write_json, metadata);
    nb_add_text(&object, "output_type", KIND_NAMES[output->kind]);
    if (output->kind == OUTPUT_RESULT)
        nb_add_raw(&object, "execution_count",
                   (struct str){buf_text(&output->label), output->label.len});
    nb_object_write(&object, depth, out);
}

static void write_output(const struct output *output, const struct displays *displays,
                         unsigned depth, struct buf *out)
{
    switch (output->kind) {
    case OUTPUT_STREAM:
        write_stream((struct str){buf_text(&output->label), output->label.len},
                     (struct str){buf_text(&output->content), output->content.len}, depth, out);
        break;
    case OUTPUT_DISPLAY:
    case OUTPUT_RESULT:
        write_display(output, displays, depth, out);
        break;
    case OUTPUT_ERROR:
        write_json(&output->content, depth, out);
        break;
    }
}

void cell_outputs_write(const struct cell_outputs *outputs, const struct displays *displays,
                        unsigned depth, struct buf *out)
{
    char separator = '[';

    for (size_t i = 0; i < outputs->count; i++) {
        buf_putc(out, separator);
        nb_write_break(depth + 1, out);
        write_output(&outputs->items[i], displays, depth + 1, out);
        separator = ',';
    }
    if (outputs->dropped > 0) {
        auto_buf struct buf notice = {0};
        put_notice(outputs, &notice);
        buf_putc(out, separator);
        nb_write_break(depth + 1, out);
        write_stream(STR("stderr"), (struct str){notice.data, notice.len}, depth + 1, out);
        separator = ',';
    }
    if (separator == '[') {
        buf_puts(out, "[]");
        return;
    }
    nb_write_break(depth, out);
    buf_putc(out, ']');
}

static void put_stream(struct str name, struct str text, struct buf *out)
{
    buf_puts(out, "{\"output_type\":\"stream\",\"name\":");
    json_put_str(out, name);
    buf_puts(out, ",\"text\":");
    json_put_str(out, text);
    buf_putc(out, '}');
}

static void put_output(const struct output *output, struct buf *out)
{
    struct str content = {buf_text(&output->content), output->content.len};
    struct str label = {buf_text(&output->label), output->label.len};

    assert(output->display == DISPLAY_NONE);
    switch (output->kind) {
    case OUTPUT_STREAM:
        put_stream(label, content, out);
        break;
    case OUTPUT_DISPLAY:
    case OUTPUT_RESULT:
        buf_putc(out, '{');
        json_put_member(out, "output_type", KIND_NAMES[output->kind]);
        json_put_member_raw(out, "data", content);
        json_put_member_raw(out, "metadata",
                            (struct str){buf_text(&output->metadata), output->metadata.len});
        if (output->kind == OUTPUT_RESULT)
            json_put_member_raw(out, "execution_count", label);
        buf_putc(out, '}');
        break;
    case OUTPUT_ERROR:
        buf_put(out, content.text, content.len);
        break;
    }
}

void cell_outputs_put(const struct cell_outputs *outputs, struct buf *out)
{
    buf_putc(out, '[');
    for (size_t i = 0; i < outputs->count; i++) {
        if (i > 0)
            buf_putc(out, ',');
        put_output(&outputs->items[i], out);
    }
    if (outputs->dropped > 0) {
        auto_buf struct buf notice = {0};
        put_notice(outputs, &notice);
        if (outputs->count > 0)
            buf_putc(out, ',');
        put_stream(STR("stderr"), (struct str){notice.data, notice.len}, out);
    }
    buf_putc(out, ']');
}
