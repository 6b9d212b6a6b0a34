#include "api/service/pipeline_request.h"

#include "base/mem.h"
#include "runner/engine/submission.h"

/* The value of a field; JSON_NONE when it is absent, null, or of another kind. */
static json_at get(const struct json *body, const char *name, enum json_kind kind)
{
    json_at at = json_get(body, 0, name);

    return json_kind(body, at) == kind ? at : JSON_NONE;
}

/* Rightly or wrongly. */
static bool is_given(const struct json *body, const char *name)
{
    enum json_kind kind = json_kind(body, json_get(body, 0, name));

    return kind != JSON_ABSENT && kind != JSON_NULL;
}

/* A string's value; NULL when there is none, or, with a problem, when a C string cannot hold it.
 * free() it. */
static char *text_of(const struct json *body, json_at at, struct problems *problems)
{
    char *text = json_strdup(body, at);

    if (!text && at != JSON_NONE)
        problems_add(problems, body, at, "may not contain U+0000");
    return text;
}

/* A path that does not lead where it should is the request's affair; descriptors that have run out
 * and disks that fail are ours. */
static int add_path_problem(const struct json *body, json_at at, struct problems *problems,
                            const struct err *e)
{
    if (e->code == ERR_IO || e->code == ERR_NO_SPACE)
        return -1;
    problems_add(problems, body, at, "%s", e->text);
    return 0;
}

static int read_path(struct project *project, const struct json *body, struct problems *problems,
                     struct err *e)
{
    json_at at = get(body, "pipeline_path", JSON_STRING);
    auto_free char *path = text_of(body, at, problems);
    bool is_defined = get(body, "pipeline_definition", JSON_OBJECT) != JSON_NONE;
    enum project_file file = is_defined ? PROJECT_FILE_MAY_MISS : PROJECT_FILE_EXISTS;

    if (path && project_set_pipeline(project, path, file, e) < 0)
        return add_path_problem(body, at, problems, e);
    return 0;
}

static int read_project(struct project *project, const struct json *body, const char *projects,
                        struct problems *problems, struct err *e)
{
    json_at at = get(body, "project", JSON_STRING);
    auto_free char *path = text_of(body, at, problems);

    if (!path)
        return 0;
    if (project_open_beneath(projects, path, project, e) < 0)
        return add_path_problem(body, at, problems, e);
    return read_path(project, body, problems, e);
}

/* A problem of the definition as one of the body that it stands in. */
static void add_moved(const struct pipeline_request *request, const struct problem *problem,
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

void pipeline_request_add(const struct pipeline_request *request, const struct problems *found,
                          struct problems *problems)
{
    for (uint32_t i = 0; i < found->count; i++) {
        const struct problem *problem = &found->items[i];
        if (request->place.line > 0)
            add_moved(request, problem, problems);
        else
            problems_add_place(problems, problem->pointer,
                               (struct json_place){problem->line, problem->column}, "%s",
                               problem->detail);
    }
    problems->total += found->total - found->count;
}

static void read_definition(struct pipeline_request *request, const struct json *body, json_at at,
                            struct problems *problems)
{
    auto_problems struct problems found = {0};
    auto_free char *origin =
        request->project.dir ? submission_origin(&request->project) : mem_strdup("");
    struct err ignored;

    request->place = json_place(body, at);
    pipeline_parse(json_raw(body, at), origin, &request->pipeline, &found, &ignored);
    pipeline_request_add(request, &found, problems);
}

int pipeline_request_read(struct pipeline_request *request, const struct json *body,
                          const char *projects, struct problems *problems, struct err *e)
{
    json_at definition = get(body, "pipeline_definition", JSON_OBJECT);

    if (read_project(&request->project, body, projects, problems, e) < 0)
        return -1;
    if (definition != JSON_NONE)
        read_definition(request, body, definition, problems);
    else if (!is_given(body, "pipeline_path") && !is_given(body, "pipeline_definition"))
        problems_add(problems, body, 0, "\"pipeline_path\" or \"pipeline_definition\" is missing");
    return 0;
}

int pipeline_request_read_file(struct pipeline_request *request, const struct json *body,
                               struct problems *problems, struct err *e)
{
    const struct project *project = &request->project;

    if (request->pipeline)
        return 0;
    if (problems->total > 0)
        return problems_to_err(problems, e);
    if (pipeline_read(project->dir, project->pipeline_path, &request->pipeline, problems, e) == 0)
        return 0;
    if (problems->total > 0)
        return -1;
    if (add_path_problem(body, get(body, "pipeline_path", JSON_STRING), problems, e) < 0)
        return -1;
    return problems_to_err(problems, e);
}

int pipeline_request_check_files(const struct pipeline_request *request, const struct plan *plan,
                                 struct problems *problems, struct err *e)
{
    const struct project *project = &request->project;
    auto_problems struct problems found = {0};

    if (plan_check_files(plan, request->pipeline, project->dir, project->pipeline_dir, &found, e) <
        0)
        return -1;
    if (found.total == 0)
        return 0;
    pipeline_request_add(request, &found, problems);
    problems_to_err(problems, e);
    return request->place.line > 0 ? -1 : err_prefix(e, "\"%s\"", project->pipeline_path);
}

void pipeline_request_clear(struct pipeline_request *request)
{
    project_clear(&request->project);
    pipeline_free(request->pipeline);
    *request = (struct pipeline_request){0};
}
