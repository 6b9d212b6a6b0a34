/* Writing. The containers that are being written are a stack of frames; the members of those that
 * are sorted lie in one array, those of the innermost last.
 */
#include "base/json_internal.h"

#include <assert.h>

static void put_escaped(struct buf *out, unsigned char c)
{
    static const char SHORT[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* the character, then its letter */
    for (const char *p = SHORT; *p; p += 2) {
        if (*p == (char)c) {
            buf_putc(out, '\\');
            buf_putc(out, p[1]);
            return;
        }
    }
    buf_printf(out, "\\u%04x", c);
}

enum source {
    FROM_VALUE,  /* any bytes */
    FROM_STRING, /* what was between the quotes of a JSON string */
};

/* Over an escape that was read, rewritten where Python would write it differently. */
static size_t put_escape_again(struct buf *out, const char *p, const char *end)
{
    size_t len;
    uint32_t point = json_read_escape(p, end, &len);
    if (json_is_surrogate(point))
        buf_put(out, p, len);
    else if (point < 0x20 || point == '"' || point == '\\')
        put_escaped(out, (unsigned char)point);
    else
        json_put_point(out, point);
    return len;
}

static void put_string(struct buf *out, struct str s, enum source source)
{
    if (s.len == 0) { /* also none */
        buf_puts(out, "\"\"");
        return;
    }
    const char *p = s.text, *from = p, *end = p + s.len;
    buf_reserve(out, s.len + 2);
    buf_putc(out, '"');
    while ((p = json_find_stop(p, end)) < end) {
        unsigned char c = (unsigned char)*p;
        size_t len = c < 0x80 ? 0 : str_utf8_len(p, end);
        if (source == FROM_STRING && c == '\\' && memchr("\"\\bfnrt", p[1], 7))
            len = 2; /* is already what would be written */
        if (len > 0) {
            p += len;
            continue;
        }
        buf_put(out, from, (size_t)(p - from));
        if (source == FROM_STRING && c == '\\') {
            p += put_escape_again(out, p, end);
        } else {
            if (c < 0x80)
                put_escaped(out, c);
            else
                buf_puts(out, JSON_REPLACEMENT);
            p++;
        }
        from = p;
    }
    buf_put(out, from, (size_t)(p - from));
    buf_putc(out, '"');
}

void json_put_str(struct buf *out, struct str s)
{
    put_string(out, s, FROM_VALUE);
}

void json_put_text(struct buf *out, const char *text)
{
    if (text)
        json_put_str(out, str_of(text));
    else
        buf_puts(out, "null");
}

static void write_leaf(const struct json *doc, const struct json_node *node, struct buf *out)
{
    if (node->kind == JSON_STRING && !node->plain)
        put_string(out, json_inside(doc, node), FROM_STRING);
    else
        buf_put(out, doc->text + node->start, node->end - node->start);
}

/* A container that is being written. Its children, as they come or its members sorted. */
struct frame {
    json_at container;
    uint32_t written;   /* children so far */
    json_at child;      /* as they come: the next one, or JSON_NONE */
    size_t member;      /* sorted: the next one in writer.members */
    size_t member_base; /* sorted: its first one there, and behind its last */
    size_t member_end;
};

struct member {
    struct str name;
    char *owned; /* the name's memory when it had to be decoded */
    json_at key;
};

struct writer {
    const struct json *doc;
    struct buf *out;
    enum json_style style;
    unsigned depth;
    struct frame *frames;
    size_t frame_count, frame_capacity;
    struct member *members; /* of all open objects, those of the innermost last */
    size_t member_count, member_capacity;
};

static int compare_members(const void *left, const void *right)
{
    const struct member *a = left, *b = right;
    size_t len = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order = len ? memcmp(a->name.text, b->name.text, len) : 0; /* is the order of code points */
    if (order == 0)
        order = (a->name.len > b->name.len) - (a->name.len < b->name.len);
    return order ? order : (a->key > b->key) - (a->key < b->key);
}

static void add_member(struct writer *w, json_at key)
{
    const struct json_node *node = &w->doc->nodes[key];
    mem_grow(w->members, w->member_count, w->member_capacity);
    struct member *member = &w->members[w->member_count++];
    *member = (struct member){.key = key, .name = json_inside(w->doc, node)};
    if (node->plain)
        return;
    struct buf name = {0};
    json_decode(&name, member->name, LONE_KEPT);
    member->name.len = name.len;
    member->name.text = member->owned = buf_take(&name);
}

/* The members of an object in order, the last of those with the same name. */
static void sort_members(struct writer *w, struct frame *frame)
{
    if (json_count(w->doc, frame->container) == 0)
        return;
    json_each (w->doc, frame->container, key)
        add_member(w, key);
    struct member *members = w->members + frame->member;
    size_t count = w->member_count - frame->member, kept = 0;
    bool sorted = true;
    for (size_t i = 1; i < count && sorted; i++)
        sorted = compare_members(&members[i - 1], &members[i]) < 0;
    if (!sorted)
        qsort(members, count, sizeof *members, compare_members);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && str_eq(members[i].name, members[i + 1].name))
            free(members[i].owned);
        else
            members[kept++] = members[i];
    }
    w->member_count = frame->member_end = frame->member + kept;
}

static void open_frame(struct writer *w, json_at container)
{
    mem_grow(w->frames, w->frame_count, w->frame_capacity);
    struct frame *frame = &w->frames[w->frame_count++];
    *frame = (struct frame){
        .container = container,
        .child = json_first(w->doc, container),
        .member = w->member_count,
        .member_end = w->member_count,
        .member_base = w->member_count,
    };
    if (w->style == JSON_NBFORMAT && w->doc->nodes[container].kind == JSON_OBJECT)
        sort_members(w, frame);
}

static void close_frame(struct writer *w)
{
    struct frame *frame = &w->frames[--w->frame_count];
    for (size_t i = frame->member_base; i < frame->member_end; i++)
        free(w->members[i].owned);
    w->member_count = frame->member_base;
}

/* The next child of the innermost container, or JSON_NONE. */
static json_at next_child(struct writer *w)
{
    struct frame *frame = &w->frames[w->frame_count - 1];
    if (frame->member_end > frame->member_base)
        return frame->member < frame->member_end ? w->members[frame->member++].key : JSON_NONE;
    json_at child = frame->child;
    if (child != JSON_NONE)
        frame->child = json_next(w->doc, frame->container, child);
    return child;
}

static void put_line_break(const struct writer *w)
{
    if (w->style == JSON_COMPACT)
        return;
    size_t spaces = w->depth + w->frame_count;
    buf_reserve(w->out, spaces + 1);
    buf_putc(w->out, '\n');
    for (size_t i = 0; i < spaces; i++)
        buf_putc(w->out, ' ');
}

/* A leaf, or the start of a container. */
static void write_value(struct writer *w, json_at at)
{
    const struct json_node *node = &w->doc->nodes[at];
    if (node->kind != JSON_ARRAY && node->kind != JSON_OBJECT) {
        write_leaf(w->doc, node, w->out);
        return;
    }
    buf_putc(w->out, node->kind == JSON_ARRAY ? '[' : '{');
    open_frame(w, at);
}

/* One child of the innermost container, or its end. */
static void write_next(struct writer *w)
{
    json_at container = w->frames[w->frame_count - 1].container;
    bool is_array = w->doc->nodes[container].kind == JSON_ARRAY;
    json_at child = next_child(w);
    if (child == JSON_NONE) {
        close_frame(w);
        if (json_count(w->doc, container))
            put_line_break(w);
        buf_putc(w->out, is_array ? ']' : '}');
        return;
    }
    if (w->frames[w->frame_count - 1].written++)
        buf_putc(w->out, ',');
    put_line_break(w);
    if (!is_array) {
        write_leaf(w->doc, &w->doc->nodes[child], w->out);
        buf_puts(w->out, w->style == JSON_COMPACT ? ":" : ": ");
        child = json_value(child);
    }
    write_value(w, child);
}

void json_write(const struct json *doc, json_at at, enum json_style style, unsigned depth,
                struct buf *out)
{
    if (at >= doc->count)
        return;
    struct writer w = {.doc = doc, .out = out, .style = style, .depth = depth};
    write_value(&w, at);
    while (w.frame_count > 0)
        write_next(&w);
    free(w.frames);
    free(w.members);
}

void json_put_key(struct buf *out, const char *key)
{
    assert(out->len > 0);
    if (out->data[out->len - 1] != '{')
        buf_putc(out, ',');
    json_put_text(out, key);
    buf_putc(out, ':');
}

void json_put_member(struct buf *out, const char *key, const char *text)
{
    if (!text)
        return;
    json_put_key(out, key);
    json_put_text(out, text);
}

void json_put_member_int(struct buf *out, const char *key, int64_t value)
{
    json_put_key(out, key);
    buf_put_int(out, value);
}

void json_put_member_raw(struct buf *out, const char *key, struct str json)
{
    if (!json.text)
        return;
    json_put_key(out, key);
    buf_put(out, json.text, json.len);
}
