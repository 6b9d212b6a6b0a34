#include "runner/engine/submission.h"

#include "base/fs.h"
#include "base/map.h"
#include "base/mem.h"

#include <string.h>
#include <unistd.h>

/* --- environments --- */

static void freeze_environments(struct submission *submission,
                                const struct environments *environments)
{
    const struct plan *plan = submission->plan;
    struct map known = {0};

    submission->frozen_of = mem_array(plan->count, sizeof *submission->frozen_of);
    for (uint32_t i = 0; i < plan->count; i++) {
        const char *name = submission_step(submission, i)->environment;
        uint32_t index = map_add(&known, str_of(name), submission->frozen.count);
        if (index == MAP_NONE) {
            index = submission->frozen.count;
            frozen_add(&submission->frozen, environments, name, submission->launcher);
        }
        submission->frozen_of[i] = index;
    }
    map_clear(&known);
}

/* --- making --- */

static int check_project(const struct project *project, struct err *e)
{
    if (access(project->dir, W_OK) == 0)
        return 0;
    return err_set(e, ERR_INVALID,
                   "cannot write to the project directory \"%s\": run as somebody who can",
                   project->dir);
}

static void copy_project(struct submission *submission, const struct request *request)
{
    const struct project *project = request->project;

    submission->origin_dir = mem_strdup(project->dir);
    submission->project = (struct project){
        .dir = mem_strdup(request->workspace ? request->workspace : project->dir),
        .pipeline_path = mem_strdup(project->pipeline_path),
        .pipeline_dir = mem_strdup(project->pipeline_dir),
    };
}

static void copy_selection(struct submission *submission, const struct request *request)
{
    uint32_t count = request->run_type == RUN_FULL ? 0 : request->selected_count;

    submission->selected = mem_array((size_t)count + 1, sizeof *submission->selected);
    for (uint32_t i = 0; i < count; i++)
        submission->selected[i] =
            mem_strdup(submission->pipeline->steps[request->selected[i]].uuid);
}

static int check(struct submission *submission, const struct request *request,
                 struct problems *problems, struct err *e)
{
    const struct project *project = &submission->project;
    auto_free char *origin = submission_origin(request->project);
    auto_environments struct environments environments = {0};

    if (check_project(project, e) < 0)
        return -1;
    if (pipeline_parse(request->definition, origin, &submission->pipeline, problems, e) < 0)
        return -1;
    if (plan_make(submission->pipeline, request->run_type, request->selected,
                  request->selected_count, &submission->plan, e) < 0)
        return -1;
    if (plan_check_files(submission->plan, submission->pipeline, project->dir,
                         project->pipeline_dir, problems, e) < 0)
        return -1;
    if (problems->total > 0)
        return problems_to_err(problems, e);
    if (environments_read(&environments, project->dir, NULL, e) < 0)
        return -1;
    freeze_environments(submission, &environments);
    return 0;
}

int submission_make(const struct request *request, struct submission **ret_submission,
                    struct problems *problems, struct err *e)
{
    auto_submission struct submission *submission = mem_zalloc(sizeof *submission);

    submission->run_uuid = request->run_uuid ? uuid_of(request->run_uuid) : uuid_random();
    submission->launcher = request->launcher;
    submission->in_place = request->in_place;
    submission->keep_kernels_s = request->keep_kernels_s;
    submission->timeout_s = request->timeout_s;
    submission->output_dir = mem_strdup(request->output_dir);
    submission->job_uuid = uuid_of(request->job_uuid ? request->job_uuid : "");
    submission->parameters = request->parameters.text
                                 ? mem_strndup(request->parameters.text, request->parameters.len)
                                 : mem_strdup("{}");
    copy_project(submission, request);
    if (check(submission, request, problems, e) < 0)
        return -1;
    copy_selection(submission, request);
    *ret_submission = take_ptr(&submission);
    return 0;
}

/* --- made again --- */

char *submission_origin(const struct project *project)
{
    return *project->pipeline_path ? fs_join(project->dir, project->pipeline_path)
                                   : mem_strdup(project->dir);
}

void submission_put_options(const struct submission *submission, struct buf *out)
{
    buf_putc(out, '{');
    if (submission->in_place)
        json_put_member_raw(out, "in_place", STR("true"));
    if (submission->keep_kernels_s > 0)
        json_put_member_int(out, "keep_kernels", submission->keep_kernels_s);
    if (submission->launcher != LAUNCHER_CHOICE_ENVIRONMENT)
        json_put_member(out, "launcher", launcher_choice_name(submission->launcher));
    json_put_member(out, "output_dir", submission->output_dir);
    if (submission->timeout_s > 0)
        json_put_member_int(out, "timeout", submission->timeout_s);
    if (strcmp(submission->project.dir, submission->origin_dir) != 0)
        json_put_member(out, "workspace", submission->project.dir);
    buf_putc(out, '}');
}

static int restore_options(struct submission *submission, const char *text, struct err *e)
{
    auto_json struct json doc = {0};
    int64_t keep_kernels = 0, timeout = 0;

    if (json_parse(&doc, str_of(text), JSON_STRICT, NULL, e) < 0)
        return err_prefix(e, "the run's options");
    auto_free char *launcher = json_strdup(&doc, json_get(&doc, 0, "launcher"));
    submission->in_place = json_is_true(&doc, json_get(&doc, 0, "in_place"));
    json_int(&doc, json_get(&doc, 0, "keep_kernels"), &keep_kernels);
    submission->keep_kernels_s = (uint32_t)keep_kernels;
    json_int(&doc, json_get(&doc, 0, "timeout"), &timeout);
    submission->timeout_s = (uint32_t)timeout;
    submission->launcher = launcher_choice_of_name(launcher);
    submission->output_dir = json_strdup(&doc, json_get(&doc, 0, "output_dir"));
    submission->project.dir = json_strdup(&doc, json_get(&doc, 0, "workspace"));
    if (!submission->project.dir)
        submission->project.dir = mem_strdup(submission->origin_dir);
    return 0;
}

static int restore_selection(struct submission *submission, const char *text, struct err *e)
{
    auto_json struct json doc = {0};
    uint32_t count = 0;

    if (json_parse(&doc, str_of(text), JSON_STRICT, NULL, e) < 0)
        return err_prefix(e, "the run's selection");
    submission->selected = mem_array((size_t)json_count(&doc, 0) + 1, sizeof(char *));
    json_each (&doc, 0, at)
        if ((submission->selected[count] = json_strdup(&doc, at)))
            count++;
    return 0;
}

/* The plan of the uuids in `selected`. */
static int replan(struct submission *submission, enum run_type run_type, struct err *e)
{
    const struct pipeline *pipeline = submission->pipeline;
    uint32_t count = 0;

    while (submission->selected[count])
        count++;
    auto_free uint32_t *steps = mem_array((size_t)count + 1, sizeof *steps);
    for (uint32_t i = 0; i < count; i++) {
        steps[i] = pipeline_index(pipeline, str_of(submission->selected[i]));
        if (steps[i] == STEP_NONE)
            return err_set(e, ERR_INVALID, "there is no step \"%s\"", submission->selected[i]);
    }
    plan_free(take_ptr(&submission->plan));
    return plan_make(pipeline, run_type, steps, count, &submission->plan, e);
}

/* Steps find their environment among the frozen ones by its name. */
static int restore_environments(struct submission *submission, struct err *e)
{
    const struct frozen_list *frozen = &submission->frozen;
    struct map known = {0};
    int result = 0;

    for (uint32_t i = 0; i < frozen->count; i++)
        map_add(&known, str_of(frozen->items[i].name), i);
    free(submission->frozen_of);
    submission->frozen_of = mem_array(submission->plan->count, sizeof *submission->frozen_of);
    for (uint32_t i = 0; result == 0 && i < submission->plan->count; i++) {
        const char *name = submission_step(submission, i)->environment;
        submission->frozen_of[i] = map_get(&known, str_of(name));
        if (submission->frozen_of[i] == MAP_NONE)
            result = err_set(e, ERR_IO, "the environment \"%s\" was not kept", name);
    }
    map_clear(&known);
    return result;
}

static int restore(struct submission *submission, const struct store_run *run,
                   const struct store_frozen *frozen, struct err *e)
{
    auto_problems struct problems problems = {0};
    struct project live = {submission->origin_dir, submission->project.pipeline_path, NULL};
    auto_free char *origin = submission_origin(&live);
    enum run_type run_type;

    if (run_type_parse(run->run_type, &run_type, e) < 0 ||
        restore_options(submission, run->options, e) < 0 ||
        restore_selection(submission, run->uuids, e) < 0 ||
        frozen_parse(&submission->frozen, frozen->environments, e) < 0 ||
        pipeline_parse(frozen->definition, origin, &submission->pipeline, &problems, e) < 0 ||
        replan(submission, run_type, e) < 0)
        return -1;
    return restore_environments(submission, e);
}

int submission_restore(const struct store_run *run, const struct store_frozen *frozen,
                       struct submission **ret_submission, struct err *e)
{
    auto_submission struct submission *submission = mem_zalloc(sizeof *submission);

    submission->run_uuid = uuid_of(run->uuid);
    submission->rerun_of = uuid_of(run->rerun_of);
    submission->job_uuid = uuid_of(run->job_uuid);
    submission->origin_dir = mem_strdup(run->project);
    submission->project = (struct project){
        .pipeline_path = mem_strdup(run->pipeline_path),
        .pipeline_dir = fs_dirname(run->pipeline_path),
    };
    submission->parameters = mem_strdup(run->parameters);
    if (restore(submission, run, frozen, e) < 0)
        return err_prefix(e, "the run \"%s\" cannot be taken up again", run->uuid);
    *ret_submission = take_ptr(&submission);
    return 0;
}

int submission_narrow(struct submission *submission, const char *const *uuids, uint32_t count,
                      struct err *e)
{
    mem_free_texts(submission->selected);
    submission->selected = mem_array((size_t)count + 1, sizeof *submission->selected);
    for (uint32_t i = 0; i < count; i++)
        submission->selected[i] = mem_strdup(uuids[i]);
    if (replan(submission, RUN_SELECTION, e) < 0)
        return -1;
    return restore_environments(submission, e);
}

void submission_leave_job(struct submission *submission)
{
    submission->job_uuid = (struct uuid){0};
    free(submission->project.dir);
    submission->project.dir = mem_strdup(submission->origin_dir);
}

/* --- looking --- */

enum run_class submission_class(const struct submission *submission)
{
    return *submission->job_uuid.text ? RUN_BACKGROUND : RUN_INTERACTIVE;
}

static bool is_limited(const struct pipeline_step *step, const struct frozen_environment *frozen)
{
    const struct environment_resources *resources = &frozen->resources;

    return step->cpus > 0 || step->memory_bytes > 0 || step->gpus > 0 || resources->cpus > 0 ||
           resources->memory_bytes > 0 || resources->gpus > 0;
}

void submission_warn(const struct submission *submission, struct problems *warnings)
{
    for (uint32_t i = 0; i < submission->plan->count; i++) {
        const struct pipeline_step *step = submission_step(submission, i);
        const struct frozen_environment *frozen = submission_environment(submission, i);
        if (frozen->cause == CAUSE_NONE && frozen->launcher == LAUNCHER_PROCESS &&
            is_limited(step, frozen))
            problems_add(warnings, &submission->pipeline->doc, step->node,
                         "resources bind containers only: as a local process, \"%s\" runs "
                         "without limits",
                         pipeline_step_label(step));
    }
}

void submission_free(struct submission *submission)
{
    if (!submission)
        return;
    mem_free_texts(submission->selected);
    free(submission->parameters);
    frozen_clear(&submission->frozen);
    free(submission->frozen_of);
    plan_free(submission->plan);
    pipeline_free(submission->pipeline);
    project_clear(&submission->project);
    free(submission->origin_dir);
    free(submission->output_dir);
    free(submission);
}

const struct frozen_environment *submission_environment(const struct submission *submission,
                                                        uint32_t plan_step)
{
    return &submission->frozen.items[submission->frozen_of[plan_step]];
}

const struct pipeline_step *submission_step(const struct submission *submission, uint32_t plan_step)
{
    return &submission->pipeline->steps[submission->plan->steps[plan_step].step];
}

char *submission_source(const struct submission *submission, uint32_t plan_step)
{
    const char *file = submission_step(submission, plan_step)->file_path;
    const char *directory = submission->project.pipeline_dir;

    if (strcmp(directory, ".") == 0)
        return fs_join(submission->project.dir, file);
    return mem_printf("%s/%s/%s", submission->project.dir, directory, file);
}
