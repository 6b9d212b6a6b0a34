#include "runner/engine/submission.h"

#include "base/fs.h"
#include "base/map.h"
#include "base/mem.h"

#include <string.h>
#include <unistd.h>

/* --- environments --- */

static void cannot_run(struct frozen_environment *frozen, enum cause cause, const char *message)
{
    frozen->environment = NULL;
    frozen->cause = cause;
    free(frozen->message);
    frozen->message = mem_strdup(message);
}

static void freeze_image(struct frozen_environment *frozen)
{
    const struct environment *environment = frozen->environment;
    struct err e;

    if (!environment->image) {
        cannot_run(frozen, CAUSE_ENVIRONMENT_MISSING,
                   "the step shall run in a container, but its environment names no image");
        return;
    }
    frozen->image_id = launch_image_id(environment->image, &e);
    if (frozen->image_id)
        return;
    if (e.code == ERR_NOT_FOUND) {
        auto_free char *hint = environment_build_hint(environment);
        auto_free char *message =
            mem_printf("there is no image \"%s\"; build it with: %s", environment->image, hint);
        cannot_run(frozen, CAUSE_ENVIRONMENT_MISSING, message);
    } else {
        cannot_run(frozen, CAUSE_LAUNCHER_UNAVAILABLE, e.text);
    }
}

static void freeze_environment(struct frozen_environment *frozen,
                               const struct submission *submission, const char *name)
{
    struct err e;
    const struct environment *found = environment_find(&submission->environments, name, &e);

    /* Local processes need no environment, so a missing one stops nobody who asked for them. */
    if (!found && submission->launcher == LAUNCHER_CHOICE_PROCESS)
        found = environment_find(&submission->environments, "", &e);
    if (!found) {
        cannot_run(frozen, CAUSE_ENVIRONMENT_MISSING, e.text);
        return;
    }
    frozen->environment = found;
    frozen->launcher = submission->launcher == LAUNCHER_CHOICE_PROCESS  ? LAUNCHER_PROCESS
                       : submission->launcher == LAUNCHER_CHOICE_DOCKER ? LAUNCHER_DOCKER
                                                                        : found->launcher;
    if (frozen->launcher == LAUNCHER_DOCKER)
        freeze_image(frozen);
}

static void freeze_environments(struct submission *submission)
{
    const struct plan *plan = submission->plan;
    struct map known = {0};
    uint32_t capacity = 0;

    submission->frozen_of = mem_array(plan->count, sizeof *submission->frozen_of);
    for (uint32_t i = 0; i < plan->count; i++) {
        const char *name = submission_step(submission, i)->environment;
        uint32_t index = map_add(&known, str_of(name), submission->frozen_count);
        if (index == MAP_NONE) {
            index = submission->frozen_count;
            mem_grow(submission->frozen, index, capacity);
            submission->frozen[index] = (struct frozen_environment){0};
            freeze_environment(&submission->frozen[index], submission, name);
            submission->frozen_count++;
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

static void copy_project(struct submission *submission, const struct project *project)
{
    submission->project = (struct project){
        .dir = mem_strdup(project->dir),
        .pipeline_path = mem_strdup(project->pipeline_path),
        .pipeline_dir = mem_strdup(project->pipeline_dir),
    };
}

static void copy_selection(struct submission *submission, const struct request *request)
{
    uint32_t count = request->run_type == RUN_FULL ? 0 : request->selected_count;

    submission->selected = mem_array(count + 1, sizeof *submission->selected);
    for (uint32_t i = 0; i < count; i++)
        submission->selected[i] =
            mem_strdup(submission->pipeline->steps[request->selected[i]].uuid);
}

static int check(struct submission *submission, const struct request *request,
                 struct problems *problems, struct err *e)
{
    const struct project *project = &submission->project;

    if (check_project(project, e) < 0)
        return -1;
    if (pipeline_parse(request->definition, request->origin, &submission->pipeline, problems, e) <
        0)
        return -1;
    if (plan_make(submission->pipeline, request->run_type, request->selected,
                  request->selected_count, &submission->plan, e) < 0)
        return -1;
    plan_check_files(submission->plan, submission->pipeline, project->dir, project->pipeline_dir,
                     problems);
    if (problems->total > 0)
        return problems_to_err(problems, e);
    return environments_read(&submission->environments, project->dir, NULL, e);
}

int submission_make(const struct request *request, struct submission **ret_submission,
                    struct problems *problems, struct err *e)
{
    auto_submission struct submission *submission = mem_zalloc(sizeof *submission);

    submission->run_uuid = uuid_random();
    submission->launcher = request->launcher;
    submission->in_place = request->in_place;
    submission->output_dir = mem_strdup(request->output_dir);
    copy_project(submission, request->project);
    if (check(submission, request, problems, e) < 0)
        return -1;
    copy_selection(submission, request);
    freeze_environments(submission);
    *ret_submission = take_ptr(&submission);
    return 0;
}

static bool is_limited(const struct pipeline_step *step, const struct environment *environment)
{
    const struct environment_resources *resources = &environment->resources;

    return step->cpus > 0 || step->memory_bytes > 0 || step->gpus > 0 || resources->cpus > 0 ||
           resources->memory_bytes > 0 || resources->gpus > 0;
}

void submission_warn(const struct submission *submission, struct problems *warnings)
{
    for (uint32_t i = 0; i < submission->plan->count; i++) {
        const struct pipeline_step *step = submission_step(submission, i);
        const struct frozen_environment *frozen = submission_environment(submission, i);
        if (frozen->environment && frozen->launcher == LAUNCHER_PROCESS &&
            is_limited(step, frozen->environment))
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
    for (uint32_t i = 0; i < submission->frozen_count; i++) {
        free(submission->frozen[i].message);
        free(submission->frozen[i].image_id);
    }
    for (char **uuid = submission->selected; uuid && *uuid; uuid++)
        free(*uuid);
    free(submission->selected);
    free(submission->frozen);
    free(submission->frozen_of);
    environments_clear(&submission->environments);
    plan_free(submission->plan);
    pipeline_free(submission->pipeline);
    project_clear(&submission->project);
    free(submission->output_dir);
    free(submission);
}

const struct frozen_environment *submission_environment(const struct submission *submission,
                                                        uint32_t plan_step)
{
    return &submission->frozen[submission->frozen_of[plan_step]];
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
