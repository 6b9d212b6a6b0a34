/* A definition is read in three rounds: the keys of `steps` (so that every uuid is known), the
 * fields of each step, then the connections, which need the uuids. Cycles are looked for last, over
 * whatever connections are good. No round stops at a problem: who writes a definition wants to see
 * all of them.
 *
 * Absent, null and (for old files) "" are all the same to an optional field.
 */
#include "runner/plan/pipeline.h"

#include "base/fs.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <strings.h>

#define ID_MAX      64u /* uuids have 36; with suffixes it has to stay a file name */
#define CYCLE_SHOWN 10u /* steps of a cycle that are named; text for people */
#define LABEL_WIDTH 60  /* characters of a title in an error text */

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, size;
    char data[];
};

struct json_list {
    struct json_list *next;
    struct json doc;
};

/* What is needed while a definition is read. */
struct reading {
    struct pipeline *pipeline;
    struct problems *problems;
    const struct json *doc;
    json_at *connections; /* of each step: its array, or JSON_NONE */
    struct buf scratch;
};

static char *arena_alloc(struct arena_chunk **arena, size_t size)
{
    struct arena_chunk *chunk = *arena;
    if (!chunk || chunk->size - chunk->used < size) {
        size_t room = 64 * KiB > size ? 64 * KiB : size;
        chunk = mem_alloc(sizeof *chunk + room);
        *chunk = (struct arena_chunk){.next = *arena, .size = room};
        *arena = chunk;
    }
    chunk->used += size;
    return chunk->data + chunk->used - size;
}

static const char *arena_put(struct arena_chunk **arena, struct str s)
{
    if (s.len == 0)
        return "";
    char *text = arena_alloc(arena, s.len + 1);
    memcpy(text, s.text, s.len);
    text[s.len] = 0;
    return text;
}

/* --- fields --- */

static bool is_missing(const struct reading *r, json_at at)
{
    enum json_kind kind = json_kind(r->doc, at);
    return kind == JSON_ABSENT || kind == JSON_NULL;
}

/* Whether there is a value; one that is not of `kind` is a problem, and none. */
static bool has(struct reading *r, json_at at, enum json_kind kind)
{
    if (is_missing(r, at))
        return false;
    enum json_kind found = json_kind(r->doc, at);
    if (found == kind)
        return true;
    problems_add(r->problems, r->doc, at, "must be %s, is %s", json_kind_name(kind),
                 json_kind_name(found));
    return false;
}

/* A string field's value, kept with the pipeline; "" when missing or wrong. */
static const char *read_string(struct reading *r, json_at at)
{
    if (!has(r, at, JSON_STRING))
        return "";
    struct str value = json_text(r->doc, at, &r->scratch);
    if (memchr(value.text, 0, value.len)) {
        problems_add(r->problems, r->doc, at, "may not contain U+0000");
        return "";
    }
    return arena_put(&r->pipeline->strings, value);
}

/* A whole number from 0 to what fits; 3.0 is one too. */
static uint32_t read_whole(struct reading *r, json_at at, const char *unit)
{
    if (!has(r, at, JSON_NUMBER))
        return 0;
    double value;
    if (json_double(r->doc, at, &value) && value >= 0 && value <= UINT32_MAX &&
        value == floor(value))
        return (uint32_t)value;
    struct str raw = json_raw(r->doc, at);
    problems_add(r->problems, r->doc, at, "must be a whole number%s from 0 to %" PRIu32 ", is %.*s",
                 unit, UINT32_MAX, raw.len < 40 ? (int)raw.len : 40, raw.text);
    return 0;
}

/* Old files have parameters as JSON in a string; one that holds no object says nothing. */
static struct parameters read_parameters_text(struct reading *r, json_at at)
{
    struct json_list *text = mem_zalloc(sizeof *text);
    struct buf value = {0};
    struct err e;
    json_string(r->doc, at, &value);
    size_t len = value.len;
    if (json_parse_take(&text->doc, buf_take(&value), len, JSON_STRICT, NULL, &e) ||
        json_kind(&text->doc, 0) != JSON_OBJECT) {
        json_clear(&text->doc);
        free(text);
        return (struct parameters){r->doc, JSON_NONE};
    }
    text->next = r->pipeline->texts;
    r->pipeline->texts = text;
    return (struct parameters){&text->doc, 0};
}

static struct parameters read_parameters(struct reading *r, json_at at)
{
    if (json_kind(r->doc, at) == JSON_STRING)
        return read_parameters_text(r, at);
    return (struct parameters){r->doc, has(r, at, JSON_OBJECT) ? at : JSON_NONE};
}

/* --- fields of a step --- */

static void read_uuid(struct reading *r, struct pipeline_step *step, json_at at)
{
    if (has(r, at, JSON_STRING) && !json_is(r->doc, at, step->uuid))
        problems_add(r->problems, r->doc, at, "must be the step's key, \"%s\"", step->uuid);
}

static void read_title(struct reading *r, struct pipeline_step *step, json_at at)
{
    if (!is_missing(r, at))
        step->title = read_string(r, at);
}

static void read_old_name(struct reading *r, struct pipeline_step *step, json_at at)
{
    if (step->title[0] == 0)
        step->title = read_string(r, at);
}

static enum step_kind kind_of_file(const char *path)
{
    const char *extension = fs_extension(path);
    if (path[0] == 0)
        return STEP_UNKNOWN;
    if (extension[0] == 0)
        return STEP_SHELL;
#define X(kind, name, text)                                                                        \
    if (strcasecmp(extension, text) == 0)                                                          \
        return kind;
    STEP_KINDS(X)
#undef X
    return STEP_UNKNOWN;
}

static void read_file_path(struct reading *r, struct pipeline_step *step, json_at at)
{
    step->file_path = read_string(r, at);
    step->kind = kind_of_file(step->file_path);
}

static void read_kernel(struct reading *r, struct pipeline_step *step, json_at at)
{
    if (has(r, at, JSON_OBJECT))
        step->kernel_name = read_string(r, json_get(r->doc, at, "name"));
}

static void read_environment(struct reading *r, struct pipeline_step *step, json_at at)
{
    step->environment = read_string(r, at);
}

static void read_step_parameters(struct reading *r, struct pipeline_step *step, json_at at)
{
    step->parameters = read_parameters(r, at);
}

/* Only remembered: every step has to be known first. */
static void read_incoming(struct reading *r, struct pipeline_step *step, json_at at)
{
    r->connections[step - r->pipeline->own_steps] = at;
}

static void read_timeout(struct reading *r, struct pipeline_step *step, json_at at)
{
    step->timeout_s = read_whole(r, at, " of seconds");
}

static void read_cell_timeout(struct reading *r, struct pipeline_step *step, json_at at)
{
    step->cell_timeout_s = read_whole(r, at, " of seconds");
}

static void read_retries(struct reading *r, struct pipeline_step *step, json_at at)
{
    if (!has(r, at, JSON_OBJECT))
        return;
    step->retry_limit = read_whole(r, json_get(r->doc, at, "limit"), "");
    step->retry_delay_s = read_whole(r, json_get(r->doc, at, "delay"), " of seconds");
}

/* "512MB", "2 GiB", "1g", "1024": a unit is a power of 1024 however it is spelled, as for Docker,
 * which is who gets the number. Gives 0 when it is none. */
static uint64_t parse_memory(const char *text)
{
    static const char UNITS[] = "kmgtp";
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return 0;
    double value = strtod(text, &end);
    while (*end == ' ')
        end++;
    const char *unit = *end ? strchr(UNITS, *end | 0x20) : NULL;
    if (unit) {
        value = ldexp(value, 10 * (int)(unit - UNITS + 1));
        end++;
    }
    bool is_whole = *end == 0 || strcasecmp(end, "b") == 0 || (unit && strcasecmp(end, "ib") == 0);
    if (!is_whole)
        return 0;
    return value >= 1 && value < 0x1p63 ? (uint64_t)value : 0;
}

static uint64_t read_memory(struct reading *r, json_at at)
{
    uint64_t bytes = 0;
    double value;
    if (is_missing(r, at))
        return 0;
    auto_free char *text = json_strdup(r->doc, at);
    if (text)
        bytes = parse_memory(text);
    else if (json_double(r->doc, at, &value) && value >= 0 && value < 0x1p63)
        bytes = value == floor(value) ? (uint64_t)value : 0;
    if (bytes == 0)
        problems_add(r->problems, r->doc, at,
                     "must be a number of bytes or a text such as \"512MB\" or \"2GiB\"");
    return bytes;
}

static void read_resources(struct reading *r, struct pipeline_step *step, json_at at)
{
    if (!has(r, at, JSON_OBJECT))
        return;
    json_at cpus = json_get(r->doc, at, "cpus");
    step->memory_bytes = read_memory(r, json_get(r->doc, at, "memory"));
    step->gpus = read_whole(r, json_get(r->doc, at, "gpus"), "");
    if (has(r, cpus, JSON_NUMBER) && json_double(r->doc, cpus, &step->cpus) &&
        !(step->cpus > 0 && step->cpus <= 1e6))
        problems_add(r->problems, r->doc, cpus, "must be more than 0 and at most a million");
}

static const struct field {
    const char *key;
    void (*read)(struct reading *r, struct pipeline_step *step, json_at at);
} FIELDS[] = {
    {"uuid", read_uuid},
    {"title", read_title},
    {"name", read_old_name},
    {"file_path", read_file_path},
    {"kernel", read_kernel},
    {"environment", read_environment},
    {"parameters", read_step_parameters},
    {"incoming_connections", read_incoming},
    {"timeout", read_timeout},
    {"cell_timeout", read_cell_timeout},
    {"retries", read_retries},
    {"resources", read_resources},
};

static void read_step(struct reading *r, uint32_t index, json_at at)
{
    struct pipeline_step *step = &r->pipeline->own_steps[index];
    if (json_kind(r->doc, at) != JSON_OBJECT) {
        problems_add(r->problems, r->doc, at, "must be an object, is %s",
                     json_kind_name(json_kind(r->doc, at)));
        return;
    }
    auto_buf struct buf scratch = {0};
    json_each (r->doc, at, member) {
        struct str key = json_text(r->doc, member, &scratch);
        size_t i = 0;
        while (i < sizeof FIELDS / sizeof *FIELDS && !str_is(key, FIELDS[i].key))
            i++;
        if (i < sizeof FIELDS / sizeof *FIELDS)
            FIELDS[i].read(r, step, json_value(member));
    }
}

/* --- steps --- */

static bool is_step_id(struct str id)
{
    if (id.len == 0 || id.len > ID_MAX || id.text[0] == '.')
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.text[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '_' && c != '.' && c != '-')
            return false;
    }
    return true;
}

/* Makes the step of a key of `steps`, with nothing in it yet. */
static void add_step(struct reading *r, json_at key)
{
    struct pipeline *pipeline = r->pipeline;
    struct str id = json_text(r->doc, key, &r->scratch);
    uint32_t index = pipeline->step_count++;
    struct pipeline_step *step = &pipeline->own_steps[index];
    *step = (struct pipeline_step){
        .uuid = "",
        .title = "",
        .file_path = "",
        .environment = "",
        .kernel_name = "",
        .parameters = {r->doc, JSON_NONE},
        .node = json_value(key),
        .kind = STEP_UNKNOWN,
    };
    r->connections[index] = JSON_NONE;
    if (!is_step_id(id)) {
        problems_add(r->problems, r->doc, key,
                     "a step's key must be 1 to %u characters of A-Z, a-z, 0-9, \"_\", \".\" and "
                     "\"-\", and not start with \".\"",
                     ID_MAX);
        return;
    }
    step->uuid = arena_put(&pipeline->strings, id);
    uint32_t first = map_add(&pipeline->indices, str_of(step->uuid), index);
    if (first != MAP_NONE)
        problems_add(r->problems, r->doc, key, "step \"%s\" is there twice", step->uuid);
}

static void read_steps(struct reading *r, json_at steps)
{
    struct pipeline *pipeline = r->pipeline;
    uint32_t count = json_count(r->doc, steps);
    pipeline->own_steps = mem_array(count, sizeof *pipeline->own_steps);
    pipeline->steps = pipeline->own_steps;
    r->connections = mem_array(count, sizeof *r->connections);
    map_reserve(&pipeline->indices, count);
    json_each (r->doc, steps, key)
        add_step(r, key);
    uint32_t index = 0;
    json_each (r->doc, steps, key)
        read_step(r, index++, json_value(key));
}

/* --- connections --- */

/* A step in error texts. */
static void put_label(struct buf *out, const struct pipeline_step *step)
{
    const char *label = pipeline_step_label(step);
    size_t len = strlen(label);
    if (len > LABEL_WIDTH)
        buf_printf(out, "%.*s...", LABEL_WIDTH - 3, label);
    else
        buf_puts(out, label);
}

/* The step that an element of incoming_connections names, or STEP_NONE with a problem. */
static uint32_t resolve(struct reading *r, uint32_t index, json_at element)
{
    const struct pipeline_step *step = &r->pipeline->own_steps[index];
    if (json_kind(r->doc, element) != JSON_STRING) {
        problems_add(r->problems, r->doc, element, "must be a step's uuid, is %s",
                     json_kind_name(json_kind(r->doc, element)));
        return STEP_NONE;
    }
    struct str uuid = json_text(r->doc, element, &r->scratch);
    uint32_t parent = map_get(&r->pipeline->indices, uuid);
    if (parent == MAP_NONE) {
        problems_add(r->problems, r->doc, element, "unknown step \"%.*s\"",
                     uuid.len < 80 ? (int)uuid.len : 80, uuid.text);
        return STEP_NONE;
    }
    if (parent != index)
        return parent;
    auto_buf struct buf label = {0};
    put_label(&label, step);
    problems_add(r->problems, r->doc, element, "the step waits for itself: %s -> %s",
                 buf_text(&label), buf_text(&label));
    return STEP_NONE;
}

/* Fills the graph. `seen` holds, for each step, the last one that it was found to be a parent of.
 */
static void read_connections(struct reading *r)
{
    struct pipeline *pipeline = r->pipeline;
    struct graph *graph = &pipeline->incoming;
    auto_free uint32_t *seen = mem_array(pipeline->step_count, sizeof *seen);
    uint32_t capacity = 0, count = 0;
    graph->count = pipeline->step_count;
    graph->starts = mem_array(pipeline->step_count + 1ul, sizeof *graph->starts);
    for (uint32_t index = 0; index < pipeline->step_count; index++) {
        json_at array = r->connections[index];
        graph->starts[index] = count;
        if (!has(r, array, JSON_ARRAY))
            continue;
        json_each (r->doc, array, element) {
            uint32_t parent = resolve(r, index, element);
            if (parent == STEP_NONE || seen[parent] == index + 1)
                continue;
            seen[parent] = index + 1;
            mem_grow(graph->edges, count, capacity);
            graph->edges[count++] = parent;
        }
    }
    graph->starts[pipeline->step_count] = count;
    graph->edges = mem_resize(graph->edges, count, sizeof *graph->edges);
    for (uint32_t index = 0; index < pipeline->step_count; index++)
        pipeline->own_steps[index].incoming = graph_list(graph, index);
}

/* The element of `child`'s incoming_connections that names `parent`. */
static json_at connection_node(struct reading *r, uint32_t parent, uint32_t child)
{
    const char *uuid = r->pipeline->own_steps[parent].uuid;
    json_each (r->doc, r->connections[child], element) {
        if (json_is(r->doc, element, uuid))
            return element;
    }
    return r->connections[child];
}

static void add_cycle(struct reading *r, const uint32_t *path, uint32_t length)
{
    const struct pipeline_step *steps = r->pipeline->own_steps;
    auto_buf struct buf text = {0};
    for (uint32_t i = 0; i < length && i < CYCLE_SHOWN; i++) {
        put_label(&text, &steps[path[i]]);
        buf_puts(&text, " -> ");
    }
    if (length > CYCLE_SHOWN)
        buf_printf(&text, "... (%" PRIu32 " more) -> ", length - CYCLE_SHOWN);
    put_label(&text, &steps[path[0]]);
    problems_add(r->problems, r->doc, connection_node(r, path[length - 1], path[0]),
                 "the steps wait for each other in a cycle: %s", buf_text(&text));
}

static void check_cycles(struct reading *r)
{
    const struct graph *incoming = &r->pipeline->incoming;
    auto_graph struct graph outgoing = graph_inverse(incoming);
    auto_free uint32_t *ranks = mem_array(incoming->count, sizeof *ranks);
    if (graph_ranks(incoming, &outgoing, ranks) == incoming->count)
        return;
    struct cycle_search search = cycle_search_start(incoming, ranks);
    for (uint32_t length; (length = cycle_search_next(&search));)
        add_cycle(r, search.path, length);
    cycle_search_clear(&search);
}

/* --- the whole --- */

static void read_settings(struct reading *r, json_at settings)
{
    if (!has(r, settings, JSON_OBJECT))
        return;
    json_at eviction = json_get(r->doc, settings, "auto_eviction");
    r->pipeline->auto_eviction = has(r, eviction, JSON_BOOL) && json_is_true(r->doc, eviction);
    r->pipeline->max_steps_parallelism =
        read_whole(r, json_get(r->doc, settings, "max_steps_parallelism"), "");
}

static void read_definition(struct reading *r, const char *origin)
{
    struct pipeline *pipeline = r->pipeline;
    json_at steps = json_get(r->doc, 0, "steps");
    pipeline->name = read_string(r, json_get(r->doc, 0, "name"));
    pipeline->uuid = read_string(r, json_get(r->doc, 0, "uuid"));
    pipeline->parameters = read_parameters(r, json_get(r->doc, 0, "parameters"));
    read_settings(r, json_get(r->doc, 0, "settings"));
    if (pipeline->uuid[0] == 0) {
        struct uuid derived = uuid_from_name(origin);
        pipeline->uuid = arena_put(&pipeline->strings, str_of(derived.text));
    }
    if (steps == JSON_NONE) {
        problems_add(r->problems, r->doc, 0, "has no \"steps\"");
        return;
    }
    if (json_kind(r->doc, steps) != JSON_OBJECT) {
        problems_add(r->problems, r->doc, steps, "must be an object, is %s",
                     json_kind_name(json_kind(r->doc, steps)));
        return;
    }
    read_steps(r, steps);
    read_connections(r);
    check_cycles(r);
}

static int add_syntax_problem(struct problems *problems, struct str text, size_t offset,
                              const struct err *e)
{
    const char *detail = strstr(e->text, ": "); /* behind "line L, column C" */
    problems_add_place(problems, "", json_place_of(text, offset), "%s", detail + 2);
    return -1;
}

/* Of a document that was parsed. */
static int read_document(struct pipeline *pipeline, const char *origin, struct problems *problems,
                         struct err *e)
{
    struct reading r = {.pipeline = pipeline, .problems = problems, .doc = &pipeline->doc};
    uint32_t before = problems->total;
    uint32_t count = json_count(r.doc, json_get(r.doc, 0, "steps"));
    if (json_kind(r.doc, 0) != JSON_OBJECT) {
        problems_add(problems, r.doc, 0, "a pipeline must be an object, this is %s",
                     json_kind_name(json_kind(r.doc, 0)));
    } else if (count > LIMIT_PIPELINE_STEPS) {
        problems_add(problems, r.doc, json_get(r.doc, 0, "steps"),
                     "%" PRIu32 " steps, more than the %u a pipeline may have", count,
                     LIMIT_PIPELINE_STEPS);
        problems_to_err(problems, e);
        e->code = ERR_LIMIT;
        return -1;
    } else {
        read_definition(&r, origin);
        free(r.connections);
        buf_clear(&r.scratch);
    }
    return problems->total > before ? problems_to_err(problems, e) : 0;
}

static int check_size(size_t len, struct problems *problems, struct err *e)
{
    if (len <= LIMIT_PIPELINE_BYTES)
        return 0;
    err_set(e, ERR_LIMIT, "more than the %lu MiB a pipeline may have", LIMIT_PIPELINE_BYTES / MiB);
    problems_add_place(problems, "", (struct json_place){0}, "%s", e->text);
    return -1;
}

int pipeline_parse_take(char *text, size_t len, const char *origin, struct pipeline **ret_pipeline,
                        struct problems *problems, struct err *e)
{
    auto_pipeline struct pipeline *pipeline = mem_zalloc(sizeof *pipeline);
    auto_free char *owned = text;
    size_t offset;
    if (check_size(len, problems, e))
        return -1;
    if (json_parse(&pipeline->doc, (struct str){text, len}, JSON_STRICT, &offset, e))
        return add_syntax_problem(problems, (struct str){text, len}, offset, e);
    pipeline->doc.owned = take_ptr(&owned);
    if (read_document(pipeline, origin, problems, e))
        return -1;
    *ret_pipeline = take_ptr(&pipeline);
    return 0;
}

int pipeline_parse(struct str text, const char *origin, struct pipeline **ret_pipeline,
                   struct problems *problems, struct err *e)
{
    if (check_size(text.len, problems, e))
        return -1;
    char *copy = mem_strndup(text.len ? text.text : "", text.len);
    return pipeline_parse_take(copy, text.len, origin, ret_pipeline, problems, e);
}

static int read_file(const char *project_dir, const char *path, struct buf *out, struct err *e)
{
    if (!project_dir)
        return fs_read(path, LIMIT_PIPELINE_BYTES, out, e);
    auto_close int fd = fs_open_beneath(project_dir, path, e);
    return fd < 0 ? -1 : fs_read_fd(fd, path, LIMIT_PIPELINE_BYTES, out, e);
}

int pipeline_read(const char *project_dir, const char *path, struct pipeline **ret_pipeline,
                  struct problems *problems, struct err *e)
{
    auto_buf struct buf text = {0};
    if (read_file(project_dir, path, &text, e))
        return -1;
    auto_free char *origin = project_dir ? fs_join(project_dir, path) : mem_strdup(path);
    size_t len = text.len;
    if (pipeline_parse_take(buf_take(&text), len, origin, ret_pipeline, problems, e))
        return err_prefix(e, "\"%s\"", path);
    return 0;
}

void pipeline_free(struct pipeline *pipeline)
{
    if (!pipeline)
        return;
    for (struct json_list *next, *text = pipeline->texts; text; text = next) {
        next = text->next;
        json_clear(&text->doc);
        free(text);
    }
    for (struct arena_chunk *next, *chunk = pipeline->strings; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    map_clear(&pipeline->indices);
    graph_clear(&pipeline->incoming);
    json_clear(&pipeline->doc);
    free(pipeline->own_steps);
    free(pipeline);
}

uint32_t pipeline_index(const struct pipeline *pipeline, struct str uuid)
{
    uint32_t index = map_get(&pipeline->indices, uuid);
    return index == MAP_NONE ? STEP_NONE : index;
}

const char *pipeline_step_label(const struct pipeline_step *step)
{
    if (step->title[0])
        return step->title;
    return step->file_path[0] ? step->file_path : step->uuid;
}

const char *step_kind_name(enum step_kind kind)
{
    static const char *const NAMES[] = {
#define X(kind, name, extension) [kind] = name,
        STEP_KINDS(X)
#undef X
    };
    return NAMES[kind];
}
