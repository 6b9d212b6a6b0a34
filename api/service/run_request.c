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
#include "runner/plan/owners.h"

static const struct body_field fields[] = {
    {"project", JSON_STRING, FIELD_REQUIRED},
    {"pipeline_path", JSON_STRING, FIELD_OPTIONAL},
    {"pipeline_definition", JSON_OBJECT, FIELD_OPTIONAL},
    {"run_type", JSON_STRING, FIELD_OPTIONAL},
    {"uuids", JSON_ARRAY, FIELD_OPTIONAL},
    {"parameters", JSON_OBJECT, FIELD_OPTIONAL},
    {"in_place", JSON_BOOL, FIELD_OPTIONAL},
    {"keep_kernels", JSON_NUMBER, FIELD_OPTIONAL},
    {"timeout", JSON_NUMBER, FIELD_OPTIONAL},
    {0},
};

struct reading {
    const struct json *body;
    struct run_request *request;
    struct problems *problems;
};

static json_at get(const struct reading *r, const char *name)
{
    return body_get(r->body, fields, name);
}

/* A string's value; NULL, with a problem, when a C string cannot hold it. free() it. */
static char *text_of(const struct reading *r, json_at at)
{
    char *text = json_strdup(r->body, at);

    if (!text)
        problems_add(r->problems, r->body, at, "may not contain U+0000");
    return text;
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
        uint32_t step = pipeline_index(request->source.pipeline, uuid);
        if (step == STEP_NONE)
            owners_add_unknown_step(request->source.pipeline, r->body, at, r->problems);
        else
            request->selected[request->selected_count++] = step;
    }
}

/* --- parameters --- */

static void read_parameters(struct reading *r)
{
    struct run_request *request = r->request;
    auto_override_list struct override_list list = {0};
    json_at parameters = get(r, "parameters");

    if (parameters == JSON_NONE)
        return;
    owners_read(request->source.pipeline, r->body, parameters, r->problems, &list);
    if (list.count > 0)
        overrides_apply(request->source.pipeline, list.items, list.count, &request->definition);
    json_write(r->body, parameters, JSON_COMPACT, 0, &request->parameters);
}

/* --- the whole --- */

/* What needs no pipeline. */
static void read_options(struct reading *r)
{
    struct run_request *request = r->request;

    read_run_type(r);
    request->in_place = json_is_true(r->body, get(r, "in_place"));
    request->keep_kernels_s =
        body_seconds(r->body, get(r, "keep_kernels"), LIMIT_KEEP_KERNELS_S, r->problems);
    request->timeout_s = body_seconds(r->body, get(r, "timeout"), LIMIT_RUN_TIMEOUT_S, r->problems);
}

static int read_all(struct reading *r, const char *projects, struct err *e)
{
    struct pipeline_request *source = &r->request->source;

    if (!body_check(r->body, fields, r->problems))
        return problems_to_err(r->problems, e);
    if (pipeline_request_read(source, r->body, projects, r->problems, e) < 0)
        return -1;
    read_options(r);
    if (pipeline_request_read_file(source, r->body, r->problems, e) < 0)
        return -1;
    read_uuids(r);
    read_parameters(r);
    return r->problems->total > 0 ? problems_to_err(r->problems, e) : 0;
}

int run_request_read(struct run_request *ret_request, const struct json *body, const char *projects,
                     struct problems *problems, struct err *e)
{
    struct run_request request = {0};
    struct reading r = {body, &request, problems};

    if (read_all(&r, projects, e) < 0) {
        run_request_clear(&request);
        return -1;
    }
    *ret_request = request;
    return 0;
}

void run_request_clear(struct run_request *request)
{
    pipeline_request_clear(&request->source);
    buf_clear(&request->definition);
    buf_clear(&request->parameters);
    free(request->selected);
    *request = (struct run_request){0};
}

/* --- what comes of it --- */

int run_request_plan(const struct run_request *request, struct plan **ret_plan,
                     struct problems *problems, struct err *e)
{
    auto_plan struct plan *plan = NULL;

    if (plan_make(request->source.pipeline, request->run_type, request->selected,
                  request->selected_count, &plan, e) < 0 ||
        pipeline_request_check_files(&request->source, plan, problems, e) < 0)
        return -1;
    *ret_plan = take_ptr(&plan);
    return 0;
}

int run_request_submission(const struct run_request *request, struct submission **ret_submission,
                           struct problems *problems, struct err *e)
{
    auto_problems struct problems found = {0};
    auto_plan struct plan *plan = NULL;
    const struct json *doc = &request->source.pipeline->doc;
    bool has_parameters = request->definition.len > 0;
    struct request asked = {
        .project = &request->source.project,
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
        .timeout_s = request->timeout_s,
    };

    if (submission_make(&asked, ret_submission, &found, e) == 0)
        return 0;
    /* Lines and columns are those of the definition with the parameters in it: what is wrong is
     * looked for again in the one that was given. */
    if (found.total > 0)
        run_request_plan(request, &plan, problems, e);
    return -1;
}
