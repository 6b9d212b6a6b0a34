/* The body is read in the order of what depends on what: fields, project, pipeline, and what names
 * the pipeline's steps. Nothing stops at a problem that the next does not depend on, with one
 * exception: a pipeline file is read only when the body is in order, so that all the places that
 * are reported are in one text.
 */
#include "api/service/run_request.h"

#include "api/service/body.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runner/plan/overrides.h"

/* Names near to an unknown one are looked for among all steps: for so many of them. */
#define EXPLAINED_UNKNOWNS 5u

#define PIPELINE_PARAMETERS "pipeline_parameters"

static const struct body_field fields[] = {
    {"project", JSON_STRING, FIELD_REQUIRED},
    {"pipeline_path", JSON_STRING, FIELD_OPTIONAL},
    {"pipeline_definition", JSON_OBJECT, FIELD_OPTIONAL},
    {"run_type", JSON_STRING, FIELD_OPTIONAL},
    {"uuids", JSON_ARRAY, FIELD_OPTIONAL},
    {"parameters", JSON_OBJECT, FIELD_OPTIONAL},
    {"in_place", JSON_BOOL, FIELD_OPTIONAL},
    {"keep_kernels", JSON_NUMBER, FIELD_OPTIONAL},
    {0},
};

struct reading {
    const struct json *body;
    const char *projects;
    struct run_request *request;
    struct problems *problems;
    struct err broken; /* what is no fault of the request: with a code, when there is any */
};

static json_at get(const struct reading *r, const char *name)
{
    return body_get(r->body, fields, name);
}

/* Rightly or wrongly. */
static bool is_given(const struct reading *r, const char *name)
{
    enum json_kind kind = json_kind(r->body, json_get(r->body, 0, name));

    return kind != JSON_ABSENT && kind != JSON_NULL;
}

static int fail(const struct reading *r, struct err *e)
{
    if (r->broken.code != ERR_NONE) {
        *e = r->broken;
        return -1;
    }
    return problems_to_err(r->problems, e);
}

/* A string's value; NULL, with a problem, when a C string cannot hold it. free() it. */
static char *text_of(const struct reading *r, json_at at)
{
    char *text = json_strdup(r->body, at);

    if (!text)
        problems_add(r->problems, r->body, at, "may not contain U+0000");
    return text;
}

/* --- project and pipeline --- */

/* A path that does not lead where it should is the request's affair; descriptors that have run out
 * and disks that fail are ours. */
static void add_path_problem(struct reading *r, json_at at, const struct err *e)
{
    if (e->code == ERR_IO || e->code == ERR_NO_SPACE)
        r->broken = *e;
    else
        problems_add(r->problems, r->body, at, "%s", e->text);
}

static void read_pipeline_path(struct reading *r, enum project_file file)
{
    json_at at = get(r, "pipeline_path");
    auto_free char *path = at == JSON_NONE ? NULL : text_of(r, at);
    struct err e;

    if (path && project_set_pipeline(&r->request->project, path, file, &e) < 0)
        add_path_problem(r, at, &e);
}

static void read_project(struct reading *r)
{
    json_at at = get(r, "project");
    auto_free char *path = at == JSON_NONE ? NULL : text_of(r, at);
    bool is_defined = get(r, "pipeline_definition") != JSON_NONE;
    struct err e;

    if (!path)
        return;
    if (project_open_beneath(r->projects, path, &r->request->project, &e) == 0)
        read_pipeline_path(r, is_defined ? PROJECT_FILE_MAY_MISS : PROJECT_FILE_EXISTS);
    else
        add_path_problem(r, at, &e);
}

/* A problem of the definition as one of the body that it stands in. */
static void add_moved(const struct run_request *request, const struct problem *problem,
                      struct problems *problems)
{
    auto_free char *pointer = mem_printf("/pipeline_definition%s", problem->pointer);
    struct json_place place = {problem->line, problem->column};

    if (place.line == 1)
        place.column += request->place.column - 1;
    if (place.line > 0)
        place.line += request->place.line - 1;
    problems_add_place(problems, pointer, place, "%s", problem->detail);
}

static void add_from_pipeline(const struct run_request *request, const struct problems *from,
                              struct problems *problems)
{
    for (uint32_t i = 0; i < from->count; i++) {
        const struct problem *problem = &from->items[i];
        if (request->place.line > 0)
            add_moved(request, problem, problems);
        else
            problems_add_place(problems, problem->pointer,
                               (struct json_place){problem->line, problem->column}, "%s",
                               problem->detail);
    }
    problems->total += from->total - from->count;
}

static void read_definition(struct reading *r, json_at at)
{
    struct run_request *request = r->request;
    auto_problems struct problems found = {0};
    auto_free char *origin =
        request->project.dir ? submission_origin(&request->project) : mem_strdup("");
    struct err e;

    request->place = json_place(r->body, at);
    pipeline_parse(json_raw(r->body, at), origin, &request->pipeline, &found, &e);
    add_from_pipeline(request, &found, r->problems);
}

/* -1: it cannot be read, or is wrong. */
static int read_file(struct reading *r, struct err *e)
{
    const struct project *project = &r->request->project;

    if (pipeline_read(project->dir, project->pipeline_path, &r->request->pipeline, r->problems,
                      e) == 0)
        return 0;
    if (r->problems->total > 0)
        return -1;
    add_path_problem(r, get(r, "pipeline_path"), e);
    return fail(r, e);
}

/* --- selection --- */

static void read_run_type(struct reading *r)
{
    json_at at = get(r, "run_type");
    auto_free char *name = at == JSON_NONE ? NULL : text_of(r, at);
    struct err e;

    if (name && run_type_parse(name, &r->request->run_type, &e) < 0)
        problems_add(r->problems, r->body, at, "%s", e.text);
}

/* People may have written a title or a path: then it is said whose that is. */
static void add_unknown_step(struct reading *r, json_at at, struct str name)
{
    const struct pipeline *pipeline = r->request->pipeline;
    auto_free char *text = mem_strndup(name.text, name.len);
    struct err e;
    uint32_t meant;

    if (r->problems->total >= EXPLAINED_UNKNOWNS)
        problems_add(r->problems, r->body, at, "unknown step \"%s\"", text);
    else if (pipeline_find_step(pipeline, text, &meant, &e) < 0)
        problems_add(r->problems, r->body, at, "%s", e.text);
    else
        problems_add(r->problems, r->body, at, "\"%s\" is no uuid; the step's is \"%s\"", text,
                     pipeline->steps[meant].uuid);
}

static void read_uuids(struct reading *r)
{
    struct run_request *request = r->request;
    json_at uuids = get(r, "uuids");
    auto_buf struct buf scratch = {0};

    request->selected = mem_array((size_t)json_count(r->body, uuids) + 1, sizeof(uint32_t));
    if (uuids == JSON_NONE)
        return;
    json_each (r->body, uuids, at) {
        if (json_kind(r->body, at) != JSON_STRING) {
            problems_add(r->problems, r->body, at, "must be a step's uuid, is %s",
                         json_kind_name(json_kind(r->body, at)));
            continue;
        }
        struct str uuid = json_text(r->body, at, &scratch);
        uint32_t step = pipeline_index(request->pipeline, uuid);
        if (step == STEP_NONE)
            add_unknown_step(r, at, uuid);
        else
            request->selected[request->selected_count++] = step;
    }
}

/* --- parameters --- */

struct override_list {
    struct override *items;
    size_t count, capacity;
};

static void override_list_clear(struct override_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free((char *)list->items[i].name);
    free(list->items);
}

/* The step, or STEP_NONE for the pipeline; false, with a problem, when the key is neither. */
static bool read_owner(struct reading *r, json_at key, uint32_t *ret_step)
{
    static const char *const known[] = {PIPELINE_PARAMETERS, NULL};
    auto_buf struct buf name = {0};

    json_string(r->body, key, &name);
    struct str owner = {buf_text(&name), name.len};
    *ret_step = STEP_NONE;
    if (str_is(owner, PIPELINE_PARAMETERS))
        return true;
    *ret_step = pipeline_index(r->request->pipeline, owner);
    if (*ret_step != STEP_NONE)
        return true;
    if (str_nearest(owner.text, known))
        problems_add(r->problems, r->body, key, "unknown step \"%s\"; did you mean \"%s\"?",
                     owner.text, PIPELINE_PARAMETERS);
    else
        add_unknown_step(r, key, owner);
    return false;
}

static void read_owner_parameters(struct reading *r, json_at key, struct override_list *list)
{
    json_at values = json_value(key);
    uint32_t step;

    if (!read_owner(r, key, &step))
        return;
    if (json_kind(r->body, values) != JSON_OBJECT) {
        problems_add(r->problems, r->body, values, "must be an object, is %s",
                     json_kind_name(json_kind(r->body, values)));
        return;
    }
    json_each (r->body, values, member) {
        char *name = text_of(r, member);
        if (!name)
            continue;
        mem_grow(list->items, list->count, list->capacity);
        list->items[list->count++] = (struct override){
            .step = step, .name = name, .value = json_raw(r->body, json_value(member))};
    }
}

static uint32_t count_parameters(const struct reading *r, json_at parameters)
{
    uint64_t count = 0;

    json_each (r->body, parameters, key)
        count += json_count(r->body, json_value(key));
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

static void read_parameters(struct reading *r)
{
    struct run_request *request = r->request;
    auto_with(override_list_clear) struct override_list list = {0};
    json_at parameters = get(r, "parameters");

    if (parameters == JSON_NONE)
        return;
    if (count_parameters(r, parameters) > LIMIT_REQUEST_PARAMETERS) {
        problems_add(r->problems, r->body, parameters,
                     "more than the %u parameters that a request may set",
                     LIMIT_REQUEST_PARAMETERS);
        return;
    }
    json_each (r->body, parameters, key)
        read_owner_parameters(r, key, &list);
    if (list.count > 0)
        overrides_apply(request->pipeline, list.items, list.count, &request->definition);
    json_write(r->body, parameters, JSON_COMPACT, 0, &request->parameters);
}

/* --- the whole --- */

/* Fields that need no pipeline, and the pipeline as far as the body has it. */
static int read_body(struct reading *r, struct err *e)
{
    json_at definition;

    if (!body_check(r->body, fields, r->problems))
        return fail(r, e);
    definition = get(r, "pipeline_definition");
    read_project(r);
    read_run_type(r);
    r->request->in_place = json_is_true(r->body, get(r, "in_place"));
    r->request->keep_kernels_s =
        body_seconds(r->body, get(r, "keep_kernels"), LIMIT_KEEP_KERNELS_S, r->problems);
    if (definition != JSON_NONE)
        read_definition(r, definition);
    else if (!is_given(r, "pipeline_path") && !is_given(r, "pipeline_definition"))
        problems_add(r->problems, r->body, 0,
                     "\"pipeline_path\" or \"pipeline_definition\" is missing");
    return 0;
}

static int read_all(struct reading *r, struct err *e)
{
    struct run_request *request = r->request;

    if (read_body(r, e) < 0)
        return -1;
    if (r->broken.code != ERR_NONE)
        return fail(r, e);
    if (!request->pipeline) {
        if (r->problems->total > 0)
            return fail(r, e);
        if (read_file(r, e) < 0)
            return -1;
    }
    read_uuids(r);
    read_parameters(r);
    return r->problems->total > 0 ? fail(r, e) : 0;
}

int run_request_read(struct run_request *ret_request, const struct json *body, const char *projects,
                     struct problems *problems, struct err *e)
{
    struct run_request request = {0};
    struct reading r = {body, projects, &request, problems, {0}};

    if (read_all(&r, e) < 0) {
        run_request_clear(&request);
        return -1;
    }
    *ret_request = request;
    return 0;
}

void run_request_clear(struct run_request *request)
{
    project_clear(&request->project);
    pipeline_free(request->pipeline);
    buf_clear(&request->definition);
    buf_clear(&request->parameters);
    free(request->selected);
    *request = (struct run_request){0};
}

/* --- what comes of it --- */

static int check_files(const struct run_request *request, const struct plan *plan,
                       struct problems *problems, struct err *e)
{
    const struct project *project = &request->project;
    auto_problems struct problems found = {0};

    if (plan_check_files(plan, request->pipeline, project->dir, project->pipeline_dir, &found, e) <
        0)
        return -1;
    if (found.total == 0)
        return 0;
    add_from_pipeline(request, &found, problems);
    problems_to_err(problems, e);
    return request->place.line > 0 ? -1 : err_prefix(e, "\"%s\"", project->pipeline_path);
}

int run_request_plan(const struct run_request *request, struct plan **ret_plan,
                     struct problems *problems, struct err *e)
{
    auto_plan struct plan *plan = NULL;

    if (plan_make(request->pipeline, request->run_type, request->selected, request->selected_count,
                  &plan, e) < 0 ||
        check_files(request, plan, problems, e) < 0)
        return -1;
    *ret_plan = take_ptr(&plan);
    return 0;
}

int run_request_submission(const struct run_request *request, struct submission **ret_submission,
                           struct problems *problems, struct err *e)
{
    auto_problems struct problems found = {0};
    auto_plan struct plan *plan = NULL;
    const struct json *doc = &request->pipeline->doc;
    bool has_parameters = request->definition.len > 0;
    struct request asked = {
        .project = &request->project,
        .definition = has_parameters
                          ? (struct str){request->definition.data, request->definition.len}
                          : (struct str){doc->text, doc->len},
        .parameters = {request->parameters.data, request->parameters.len},
        .run_type = request->run_type,
        .selected = request->selected,
        .selected_count = request->selected_count,
        .launcher = LAUNCHER_CHOICE_ENVIRONMENT,
        .in_place = request->in_place,
        .keep_kernels_s = request->keep_kernels_s,
    };

    if (submission_make(&asked, ret_submission, &found, e) == 0)
        return 0;
    /* Lines and columns are those of the definition with the parameters in it: what is wrong is
     * looked for again in the one that was given. */
    if (found.total > 0)
        run_request_plan(request, &plan, problems, e);
    return -1;
}
