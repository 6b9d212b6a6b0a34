/* What names the pipeline's steps is read last; a pipeline file only when the rest of the body is
 * in order, as in run_request.c.
 */
#include "api/service/job_body.h"

#include "api/service/body.h"
#include "base/fs.h"
#include "base/mem.h"
#include "runner/engine/submission.h"

#include <string.h>

static const struct body_field job_fields[] = {
    {"name", JSON_STRING, FIELD_OPTIONAL},
    {"project", JSON_STRING, FIELD_REQUIRED},
    {"pipeline_path", JSON_STRING, FIELD_OPTIONAL},
    {"pipeline_definition", JSON_OBJECT, FIELD_OPTIONAL},
    {"parameters", JSON_OBJECT, FIELD_OPTIONAL},
    {"schedule", JSON_OBJECT, FIELD_OPTIONAL},
    {"policy", JSON_OBJECT, FIELD_OPTIONAL},
    {"draft", JSON_BOOL, FIELD_OPTIONAL},
    {0},
};

static const struct body_field change_fields[] = {
    {"name", JSON_STRING, FIELD_OPTIONAL},     {"parameters", JSON_OBJECT, FIELD_OPTIONAL},
    {"schedule", JSON_OBJECT, FIELD_OPTIONAL}, {"policy", JSON_OBJECT, FIELD_OPTIONAL},
    {"refresh", JSON_BOOL, FIELD_OPTIONAL},    {0},
};

static const struct body_field duplicate_fields[] = {
    {"name", JSON_STRING, FIELD_OPTIONAL},
    {0},
};

/* --- names --- */

/* The bytes of the first `max` characters. */
static size_t head_of(const char *text, uint32_t max)
{
    const char *end = text + strlen(text), *at = text;

    while (at < end && max-- > 0) {
        size_t len = str_utf8_len(at, end);
        at += len > 0 ? len : 1;
    }
    return (size_t)(at - text);
}

/* NULL: none was given, or, with a problem, one that cannot be. free() it. */
static char *read_name(const struct json *body, json_at at, struct problems *problems)
{
    char *name = json_strdup(body, at);

    if (at == JSON_NONE)
        return NULL;
    if (name && *name && head_of(name, JOB_NAME_MAX) == strlen(name))
        return name;
    problems_add(problems, body, at, "a name has 1 to %u characters, and no U+0000", JOB_NAME_MAX);
    free(name);
    return NULL;
}

static char *default_name(const struct pipeline_request *source)
{
    const char *path = source->project.pipeline_path;
    const char *name = source->pipeline->name;

    if (!*name)
        name = fs_basename(path && *path ? path : source->project.dir);
    return mem_strndup(name, head_of(name, JOB_NAME_MAX));
}

static char *copy_name(const char *name)
{
    static const char mark[] = " (copy)";
    size_t len = head_of(name, JOB_NAME_MAX - (uint32_t)strlen(mark));

    return mem_printf("%.*s%s", (int)len, name, mark);
}

/* --- new jobs --- */

static int check_files(const struct pipeline_request *source, struct problems *problems,
                       struct err *e)
{
    auto_plan struct plan *plan = NULL;

    if (plan_make(source->pipeline, RUN_FULL, NULL, 0, &plan, e) < 0)
        return -1;
    return pipeline_request_check_files(source, plan, problems, e);
}

static int read_job(struct job_body *job, const struct json *body, const char *projects,
                    struct problems *problems, struct err *e)
{
    struct pipeline_request *source = &job->source;

    if (!body_check(body, job_fields, problems))
        return problems_to_err(problems, e);
    job->name = read_name(body, body_get(body, job_fields, "name"), problems);
    job->is_draft = json_is_true(body, body_get(body, job_fields, "draft"));
    job->schedule = schedule_read(body, body_get(body, job_fields, "schedule"), problems);
    job_policy_read(&job->policy, body, body_get(body, job_fields, "policy"), problems);
    if (pipeline_request_read(source, body, projects, problems, e) < 0 ||
        pipeline_request_read_file(source, body, problems, e) < 0)
        return -1;
    job->sets = parameter_sets_read(body, body_get(body, job_fields, "parameters"),
                                    source->pipeline, problems);
    if (problems->total > 0)
        return problems_to_err(problems, e);
    if (!job->name)
        job->name = default_name(source);
    return check_files(source, problems, e);
}

int job_body_read(struct job_body *ret_job, const struct json *body, const char *projects,
                  struct problems *problems, struct err *e)
{
    struct job_body job = {0};

    if (read_job(&job, body, projects, problems, e) < 0) {
        job_body_clear(&job);
        return -1;
    }
    *ret_job = job;
    return 0;
}

void job_body_clear(struct job_body *job)
{
    pipeline_request_clear(&job->source);
    free(job->name);
    parameter_sets_free(job->sets);
    schedule_free(job->schedule);
    job_policy_clear(&job->policy);
    *job = (struct job_body){0};
}

/* --- the live project --- */

/* What names things of a job, and not of a body, has no place in it. */
static int refuse(struct err *e)
{
    if (e->code == ERR_NOT_FOUND || e->code == ERR_LIMIT)
        e->code = ERR_INVALID;
    return -1;
}

static int open_project(const struct job_row *row, const char *projects, struct project *project,
                        struct err *e)
{
    const char *path = project_path_beneath(projects, row->project);

    if (!path)
        return err_set(e, ERR_INVALID, "the project \"%s\" does not lie below \"%s\"", row->project,
                       projects);
    if (project_open_beneath(projects, path, project, e) < 0)
        return refuse(e);
    if (*row->pipeline_path &&
        project_set_pipeline(project, row->pipeline_path, PROJECT_FILE_EXISTS, e) < 0)
        return refuse(e);
    return 0;
}

/* A definition that came with the request stays what it was. */
static int read_pipeline(const struct stored_job *job, struct pipeline_request *source,
                         struct problems *problems, struct err *e)
{
    const struct json *doc = &job->pipeline->doc;
    const struct project *project = &source->project;
    auto_free char *origin = submission_origin(project);
    int result;

    if (*project->pipeline_path)
        result =
            pipeline_read(project->dir, project->pipeline_path, &source->pipeline, problems, e);
    else
        result = pipeline_parse((struct str){doc->text, doc->len}, origin, &source->pipeline,
                                problems, e);
    return result < 0 ? refuse(e) : check_files(source, problems, e);
}

/* The job's sets for the pipeline as it is now, unless others were given. */
static int read_sets(struct job_change_body *change, const struct json *body, json_at at,
                     const struct stored_job *job, const struct pipeline *pipeline,
                     struct problems *problems, struct err *e)
{
    if (at != JSON_NONE) {
        change->sets = parameter_sets_read(body, at, pipeline, problems);
        return change->sets ? 0 : problems_to_err(problems, e);
    }
    if (parameter_sets_parse(str_of(job->held.row.parameters), pipeline, &change->sets, e) < 0) {
        err_prefix(e, "the job's parameters do not fit the pipeline as it is now");
        return refuse(e);
    }
    return 0;
}

static int read_anew(struct job_change_body *change, const struct json *body, json_at parameters,
                     const struct stored_job *job, const char *projects, struct problems *problems,
                     struct err *e)
{
    auto_pipeline_request struct pipeline_request source = {0};

    if (open_project(&job->held.row, projects, &source.project, e) < 0 ||
        read_pipeline(job, &source, problems, e) < 0 ||
        read_sets(change, body, parameters, job, source.pipeline, problems, e) < 0)
        return -1;
    change->pipeline = take_ptr(&source.pipeline);
    return 0;
}

/* --- changes --- */

static int read_change(struct job_change_body *change, const struct json *body,
                       const char *projects, const struct stored_job *job,
                       struct problems *problems, struct err *e)
{
    if (!body_check(body, change_fields, problems))
        return problems_to_err(problems, e);
    json_at parameters = body_get(body, change_fields, "parameters");
    json_at schedule = body_get(body, change_fields, "schedule");
    json_at policy = body_get(body, change_fields, "policy");
    bool is_refreshed = json_is_true(body, body_get(body, change_fields, "refresh"));
    change->name = read_name(body, body_get(body, change_fields, "name"), problems);
    change->has_policy = policy != JSON_NONE;
    if (schedule != JSON_NONE)
        change->schedule = schedule_read(body, schedule, problems);
    if (change->has_policy)
        job_policy_read(&change->policy, body, policy, problems);
    if (parameters != JSON_NONE && !is_refreshed)
        change->sets = parameter_sets_read(body, parameters, job->pipeline, problems);
    if (problems->total > 0)
        return problems_to_err(problems, e);
    return is_refreshed ? read_anew(change, body, parameters, job, projects, problems, e) : 0;
}

int job_change_body_read(struct job_change_body *ret_change, const struct json *body,
                         const char *projects, const struct stored_job *job,
                         struct problems *problems, struct err *e)
{
    struct job_change_body change = {0};

    if (read_change(&change, body, projects, job, problems, e) < 0) {
        job_change_body_clear(&change);
        return -1;
    }
    *ret_change = change;
    return 0;
}

int job_duplicate_body_read(struct job_change_body *ret_change, const struct json *body,
                            const char *projects, const struct stored_job *job,
                            struct problems *problems, struct err *e)
{
    struct job_change_body change = {0};

    if (!body_check(body, duplicate_fields, problems))
        return problems_to_err(problems, e);
    change.name = read_name(body, body_get(body, duplicate_fields, "name"), problems);
    if (!change.name)
        change.name = copy_name(job->held.row.name);
    if (problems->total > 0)
        problems_to_err(problems, e);
    else if (read_anew(&change, body, JSON_NONE, job, projects, problems, e) == 0) {
        *ret_change = change;
        return 0;
    }
    job_change_body_clear(&change);
    return -1;
}

void job_change_body_clear(struct job_change_body *change)
{
    free(change->name);
    pipeline_free(change->pipeline);
    parameter_sets_free(change->sets);
    schedule_free(change->schedule);
    job_policy_clear(&change->policy);
    *change = (struct job_change_body){0};
}
