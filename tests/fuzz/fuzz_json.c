/* Any bytes, in both dialects: what is accepted can be walked and located, and written in both
 * styles gives a text that is accepted and says the same.
 */
#include "base/json.h"

#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s\n", what);
    abort();
}

static void write_again(struct str text, enum json_dialect dialect, enum json_style style,
                        struct buf *out)
{
    auto_json struct json doc = {0};
    struct err e;
    require(json_parse(&doc, text, dialect, NULL, &e) == 0, "what was written is accepted");
    json_write(&doc, 0, style, 0, out);
}

static struct str str_of_buf(const struct buf *b)
{
    return (struct str){b->data, b->len};
}

static void check_writing(const struct json *doc, enum json_dialect dialect)
{
    auto_buf struct buf compact = {0}, indented = {0}, again = {0};
    json_write(doc, 0, JSON_COMPACT, 0, &compact);
    json_write(doc, 0, JSON_NBFORMAT, 0, &indented);
    write_again(str_of_buf(&compact), dialect, JSON_COMPACT, &again);
    require(str_eq(str_of_buf(&compact), str_of_buf(&again)), "compact text stays as it is");
    buf_reset(&again);
    write_again(str_of_buf(&indented), dialect, JSON_NBFORMAT, &again);
    require(str_eq(str_of_buf(&indented), str_of_buf(&again)), "indented text stays as it is");
    buf_reset(&again);
    write_again(str_of_buf(&compact), dialect, JSON_NBFORMAT, &again);
    require(str_eq(str_of_buf(&indented), str_of_buf(&again)), "both styles say the same");
}

static void check_nodes(const struct json *doc)
{
    auto_buf struct buf scratch = {0}, value = {0};
    for (json_at at = 0; at < doc->count; at++) {
        uint32_t children = 0;
        json_each (doc, at, child) {
            require(child > at && child < doc->nodes[at].next, "children lie inside");
            children++;
        }
        require(children == json_count(doc, at), "the count is the number of children");
        buf_reset(&value);
        json_string(doc, at, &value);
        require(str_eq(json_text(doc, at, &scratch), str_of_buf(&value)), "text is the value");
    }
    json_at last = doc->count - 1;
    buf_reset(&value);
    json_pointer(doc, last, &value);
    require(json_place(doc, last).line > 0, "every node has a place");
}

static int check(struct str text, enum json_dialect dialect)
{
    auto_json struct json doc = {0};
    struct err e;
    size_t offset = SIZE_MAX;
    if (json_parse(&doc, text, dialect, &offset, &e)) {
        require(offset <= text.len, "a failure lies in the text");
        return -1;
    }
    check_nodes(&doc);
    check_writing(&doc, dialect);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    int strict = check(text, JSON_STRICT);
    int tolerant = check(text, JSON_TOLERANT);
    require(strict != 0 || tolerant == 0, "the tolerant dialect takes more, not less");
    return 0;
}
