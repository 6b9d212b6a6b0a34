/* The file's form of a model is
 *   COMM_ID: {"model_name", "model_module", "model_module_version", "state": {...},
 *             "buffers": [{"data", "encoding": "base64", "path"}]}
 * where the three names are members of the state too. Only models whose name is known are written:
 * of the others no opening was seen, and nothing could be made of them.
 *
 * What an Output widget has captured comes as events of its own, piece by piece; a program may set
 * the widget's outputs as a whole. Both end in `captured`. */
#include "runner/notebook/widgets.h"

#include "base/map.h"
#include "base/mem.h"
#include "runner/notebook/cell_outputs.h"
#include "runner/notebook/nbformat.h"

#include <assert.h>

struct value {
    char *key;
    struct buf json;
};

struct buffer {
    struct buf path; /* JSON */
    struct buf data; /* a JSON string, base64 */
};

struct model {
    char *id;
    struct value *values;
    uint32_t value_count, value_capacity;
    struct map by_key;
    struct buffer *buffers;
    uint32_t buffer_count, buffer_capacity;
    bool is_output;
    struct cell_outputs captured; /* of an Output widget: counts for the state's "outputs" */
};

struct widgets {
    struct model *models;
    uint32_t count, capacity;
    struct map by_id;
    struct buf written;
    bool is_written; /* `written` is up to date */
};

struct widgets *widgets_new(void)
{
    return mem_zalloc(sizeof(struct widgets));
}

static void model_clear(struct model *model)
{
    for (uint32_t i = 0; i < model->value_count; i++) {
        free(model->values[i].key);
        buf_clear(&model->values[i].json);
    }
    for (uint32_t i = 0; i < model->buffer_count; i++) {
        buf_clear(&model->buffers[i].path);
        buf_clear(&model->buffers[i].data);
    }
    cell_outputs_free(&model->captured);
    map_clear(&model->by_key);
    free(model->values);
    free(model->buffers);
    free(model->id);
}

void widgets_free(struct widgets *widgets)
{
    if (!widgets)
        return;
    for (uint32_t i = 0; i < widgets->count; i++)
        model_clear(&widgets->models[i]);
    free(widgets->models);
    map_clear(&widgets->by_id);
    buf_clear(&widgets->written);
    free(widgets);
}

bool widgets_has_state(const struct widgets *widgets)
{
    return widgets->count > 0;
}

bool widgets_is_output_model(const struct json *doc, json_at state)
{
    return json_is(doc, json_get(doc, state, "_model_module"), "@jupyter-widgets/output") &&
           json_is(doc, json_get(doc, state, "_model_name"), "OutputModel");
}

json_at widgets_set_outputs(const struct json *doc, json_at content)
{
    json_at data = json_get(doc, content, "data");
    json_at outputs = json_get(doc, json_get(doc, data, "state"), "outputs");

    /* ipywidgets echoes what it was told, late: an old list must not replace a newer one. */
    if (json_is(doc, json_get(doc, data, "method"), "echo_update") ||
        json_kind(doc, outputs) != JSON_ARRAY)
        return JSON_NONE;
    return outputs;
}

/* --- state --- */

static struct model *find_model(struct widgets *widgets, struct str id)
{
    uint32_t index = map_get(&widgets->by_id, id);

    if (index != MAP_NONE)
        return &widgets->models[index];
    mem_grow(widgets->models, widgets->count, widgets->capacity);
    index = widgets->count++;
    struct model *model = &widgets->models[index];
    *model = (struct model){.id = mem_strndup(id.text, id.len)};
    cell_outputs_init(&model->captured);
    map_set(&widgets->by_id, (struct str){model->id, id.len}, index);
    return model;
}

static struct value *find_value(struct model *model, struct str key)
{
    uint32_t index = map_get(&model->by_key, key);

    if (index != MAP_NONE)
        return &model->values[index];
    mem_grow(model->values, model->value_count, model->value_capacity);
    index = model->value_count++;
    struct value *value = &model->values[index];
    *value = (struct value){.key = mem_strndup(key.text, key.len)};
    map_set(&model->by_key, (struct str){value->key, key.len}, index);
    return value;
}

static void merge_state(struct model *model, const struct json *doc, json_at state)
{
    auto_buf struct buf scratch = {0};

    json_each (doc, state, key) {
        struct value *value = find_value(model, json_text(doc, key, &scratch));
        buf_reset(&value->json);
        json_write(doc, json_value(key), JSON_COMPACT, 0, &value->json);
    }
    if (widgets_is_output_model(doc, state))
        model->is_output = true;
}

static struct buffer *find_buffer(struct model *model, struct str path)
{
    for (uint32_t i = 0; i < model->buffer_count; i++) {
        struct buffer *buffer = &model->buffers[i];
        if (str_eq((struct str){buf_text(&buffer->path), buffer->path.len}, path))
            return buffer;
    }
    mem_grow(model->buffers, model->buffer_count, model->buffer_capacity);
    struct buffer *buffer = &model->buffers[model->buffer_count++];
    *buffer = (struct buffer){0};
    buf_put(&buffer->path, path.text, path.len);
    return buffer;
}

/* The n-th path names the n-th buffer. */
static void merge_buffers(struct model *model, const struct json *doc, json_at paths,
                          json_at buffers)
{
    auto_buf struct buf path_text = {0};
    json_at data = json_first(doc, buffers);

    if (json_kind(doc, paths) != JSON_ARRAY || json_kind(doc, buffers) != JSON_ARRAY)
        return;
    json_each (doc, paths, path) {
        if (data == JSON_NONE)
            return;
        buf_reset(&path_text);
        json_write(doc, path, JSON_COMPACT, 0, &path_text);
        struct buffer *buffer =
            find_buffer(model, (struct str){buf_text(&path_text), path_text.len});
        buf_reset(&buffer->data);
        json_write(doc, data, JSON_COMPACT, 0, &buffer->data);
        data = json_next(doc, buffers, data);
    }
}

static void load_outputs(struct model *model, const struct json *doc, json_at outputs)
{
    cell_outputs_clear(&model->captured, CLEAR_NOW);
    json_each (doc, outputs, output)
        cell_outputs_append(&model->captured, doc, output, DISPLAY_NONE);
}

void widgets_comm(struct widgets *widgets, const struct json *doc, json_at event)
{
    auto_buf struct buf scratch = {0};
    json_at content = json_get(doc, event, "content");
    json_at data = json_get(doc, content, "data");
    json_at state = json_get(doc, data, "state");
    struct str id = json_text(doc, json_get(doc, content, "comm_id"), &scratch);

    if (!id.text || json_kind(doc, state) != JSON_OBJECT)
        return;
    struct model *model = find_model(widgets, id);
    merge_state(model, doc, state);
    merge_buffers(model, doc, json_get(doc, data, "buffer_paths"), json_get(doc, event, "buffers"));
    json_at outputs = widgets_set_outputs(doc, content);
    if (model->is_output && outputs != JSON_NONE)
        load_outputs(model, doc, outputs);
    widgets->is_written = false;
}

void widgets_output(struct widgets *widgets, const struct json *doc, json_at event)
{
    auto_buf struct buf scratch = {0};
    struct str id = json_text(doc, json_get(doc, event, "comm_id"), &scratch);
    uint32_t index = id.text ? map_get(&widgets->by_id, id) : MAP_NONE;

    if (index == MAP_NONE)
        return;
    struct model *model = &widgets->models[index];
    if (json_is_true(doc, json_get(doc, event, "cleared")))
        cell_outputs_clear(&model->captured, json_is_true(doc, json_get(doc, event, "wait"))
                                                 ? CLEAR_BEFORE_NEXT
                                                 : CLEAR_NOW);
    cell_outputs_append(&model->captured, doc, json_get(doc, event, "output"), DISPLAY_NONE);
    widgets->is_written = false;
}

/* --- writing --- */

static void write_json(const void *user, unsigned depth, struct buf *out)
{
    const struct buf *text = user;
    auto_json struct json doc = {0};
    struct err e;
    struct str s = {buf_text(text), text->len};
    int parsed = json_parse(&doc, s, JSON_TOLERANT, NULL, &e);

    assert(parsed == 0); /* our own */
    json_write(&doc, 0, JSON_NBFORMAT, depth, out);
}

static void write_captured(const void *user, unsigned depth, struct buf *out)
{
    const struct model *model = user;
    auto_buf struct buf list = {0};

    cell_outputs_put(&model->captured, &list);
    write_json(&list, depth, out);
}

static void write_state(const void *user, unsigned depth, struct buf *out)
{
    const struct model *model = user;
    auto_nb_object struct nb_object object = {0};

    for (uint32_t i = 0; i < model->value_count; i++)
        nb_add_call(&object, model->values[i].key, write_json, &model->values[i].json);
    if (model->is_output)
        nb_add_call(&object, "outputs", write_captured, model);
    nb_object_write(&object, depth, out);
}

static void write_buffer(const struct buffer *buffer, unsigned depth, struct buf *out)
{
    auto_nb_object struct nb_object object = {0};

    nb_add_raw(&object, "data", (struct str){buf_text(&buffer->data), buffer->data.len});
    nb_add_text(&object, "encoding", "base64");
    nb_add_call(&object, "path", write_json, &buffer->path);
    nb_object_write(&object, depth, out);
}

static void write_buffers(const void *user, unsigned depth, struct buf *out)
{
    const struct model *model = user;

    for (uint32_t i = 0; i < model->buffer_count; i++) {
        buf_putc(out, i == 0 ? '[' : ',');
        nb_write_break(depth + 1, out);
        write_buffer(&model->buffers[i], depth + 1, out);
    }
    nb_write_break(depth, out);
    buf_putc(out, ']');
}

static const struct value *name_of(const struct model *model, const char *key)
{
    uint32_t index = map_get(&model->by_key, str_of(key));

    return index == MAP_NONE ? NULL : &model->values[index];
}

static void add_name(struct nb_object *object, const char *key, const struct value *value)
{
    if (value)
        nb_add_call(object, key, write_json, &value->json);
    else
        nb_add_text(object, key, NULL);
}

static void write_model(const void *user, unsigned depth, struct buf *out)
{
    const struct model *model = user;
    auto_nb_object struct nb_object object = {0};

    add_name(&object, "model_name", name_of(model, "_model_name"));
    add_name(&object, "model_module", name_of(model, "_model_module"));
    add_name(&object, "model_module_version", name_of(model, "_model_module_version"));
    nb_add_call(&object, "state", write_state, model);
    if (model->buffer_count > 0)
        nb_add_call(&object, "buffers", write_buffers, model);
    nb_object_write(&object, depth, out);
}

static void write_models(const void *user, unsigned depth, struct buf *out)
{
    const struct widgets *widgets = user;
    auto_nb_object struct nb_object object = {0};

    for (uint32_t i = 0; i < widgets->count; i++) {
        const struct model *model = &widgets->models[i];
        if (name_of(model, "_model_name"))
            nb_add_call(&object, model->id, write_model, model);
    }
    nb_object_write(&object, depth, out);
}

static void write_view(const void *user, unsigned depth, struct buf *out)
{
    auto_nb_object struct nb_object object = {0};

    nb_add_call(&object, "state", write_models, user);
    nb_add_raw(&object, "version_major", STR("2"));
    nb_add_raw(&object, "version_minor", STR("0"));
    nb_object_write(&object, depth, out);
}

void widgets_write(struct widgets *widgets, unsigned depth, struct buf *out)
{
    if (!widgets->is_written) {
        auto_nb_object struct nb_object object = {0};
        buf_reset(&widgets->written);
        nb_add_call(&object, "application/vnd.jupyter.widget-state+json", write_view, widgets);
        nb_object_write(&object, depth, &widgets->written);
        widgets->is_written = true;
    }
    buf_put(out, widgets->written.data, widgets->written.len);
}
