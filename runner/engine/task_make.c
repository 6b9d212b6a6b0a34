#include "runner/engine/task_make.h"

#include "base/fs.h"
#include "base/mem.h"
#include "runner/engine/attempt.h"
#include "runner/engine/results.h"
#include "runner/plan/overrides.h"

#include <math.h>

/* A tenth of the processor beside one that a person waits for, all of it when nobody does. */
#define BACKGROUND_NICE 10

static void put_names(struct task *task, const struct task_source *source, uint32_t plan_step,
                      const char *mark)
{
    const struct submission *submission = source->submission;
    const struct run_dir *dir = source->dir;

    task->attempt_id = mem_strdup(mark);
    task->state_id = mem_strdup(source->state->id.text);
    task->run_uuid = mem_strdup(submission->run_uuid.text);
    task->step_uuid = mem_strdup(submission_step(submission, plan_step)->uuid);
    task->pipeline_uuid = mem_strdup(submission->pipeline->uuid);
    task->source = submission_source(submission, plan_step);
    task->output = mem_strdup(executed_path(source->executed, plan_step));
    task->project_dir = mem_strdup(submission->project.dir);
    task->origin_dir = mem_strdup(submission->origin_dir);
    task->pipeline_file = mem_strdup(dir->pipeline_file);
    task->io_dir = mem_strdup(dir->io);
    task->data_dir = state_data_dir(source->state);
    task->sdk_dir = mem_strdup(source->sdk_dir);
    task->socket_dir = attempt_socket_dir(source->state, mark);
    task->change_user = dir->change_user;
    task->uid = dir->uid;
    task->gid = dir->gid;
    if (submission_class(submission) == RUN_BACKGROUND)
        task->nice = BACKGROUND_NICE;
}

static void put_environment(struct task *task, const struct frozen_environment *frozen)
{
    task->environment = mem_strdup(frozen->name);
    task->launcher = mem_strdup(launcher_name(frozen->launcher));
    task->image = mem_strdup(frozen->image);
    task->kernelspec = mem_strdup(frozen->kernelspec);
    task->language = mem_strdup(frozen->language);
    task->network = frozen->network;
    task->millicpus = llround(1000 * frozen->resources.cpus);
    task->memory_bytes = (int64_t)frozen->resources.memory_bytes;
    task->gpus = frozen->resources.gpus;
    task->env = mem_copy_texts(frozen->env);
}

/* What the step itself asks for goes over what its environment gives. */
static void put_step(struct task *task, const struct pipeline_step *step)
{
    task->kind = step->kind;
    task->timeout_s = step->timeout_s;
    task->cell_timeout_s = step->cell_timeout_s;
    if (step->cpus > 0)
        task->millicpus = llround(1000 * step->cpus);
    if (step->memory_bytes > 0)
        task->memory_bytes = (int64_t)step->memory_bytes;
    if (step->gpus > 0)
        task->gpus = step->gpus;
}

static int put_parameters(struct task *task, const struct pipeline *pipeline,
                          const struct pipeline_step *step, struct err *e)
{
    struct buf merged = {0};

    parameters_merge(&pipeline->parameters, &step->parameters, &merged);
    size_t len = merged.len;
    return json_parse_take(&task->parameters, buf_take(&merged), len, JSON_STRICT, NULL, e);
}

/* What a run again leaves out is taken from the run that it repeats, if that left something. */
static int bring_parent(const struct task_source *source, const char *parent, struct err *e)
{
    const struct submission *submission = source->submission;

    if (*submission->rerun_of.text) {
        auto_free char *run_dir = state_run_dir(source->state, submission->rerun_of.text);
        auto_free char *results = mem_printf("%s/io/%s", run_dir, parent);
        if (fs_exists(results))
            return results_bring(results, parent, source->dir->io, e);
    }
    auto_free char *latest = results_latest(source->state->root, &source->dir->results_key, parent);
    return results_bring(latest, parent, source->dir->io, e);
}

static int bring_results(const struct task_source *source, uint32_t plan_step, struct err *e)
{
    const struct submission *submission = source->submission;
    const struct pipeline_step *step = submission_step(submission, plan_step);

    if (submission->plan->steps[plan_step].incoming.count == step->incoming.count)
        return 0; /* all of its parents run here */
    for (uint32_t i = 0; i < step->incoming.count; i++) {
        const char *parent = submission->pipeline->steps[step->incoming.at[i]].uuid;
        auto_free char *own = fs_join(source->dir->io, parent);
        if (!fs_exists(own) && bring_parent(source, parent, e) < 0)
            return -1;
    }
    return 0;
}

/* Steps may have made links of what is theirs, and we may be root: nothing is removed outside. */
static int remove_report(const struct task_source *source, const char *step_uuid, struct err *e)
{
    struct err missing;
    auto_close int fd = fs_open_directory_beneath(source->dir->io, step_uuid, &missing);

    if (fd < 0)
        return 0;
    auto_free char *report = mem_printf("/proc/self/fd/%d/report.jsonl", fd);
    auto_free char *figures = mem_printf("/proc/self/fd/%d/figures", fd);
    if (fs_remove_tree(report, e) < 0 || fs_remove_tree(figures, e) < 0)
        return err_prefix(e, "what the step reported before");
    return 0;
}

int task_make(struct task *task, const struct task_source *source, uint32_t plan_step,
              const char *mark, struct err *e)
{
    const struct submission *submission = source->submission;
    const struct pipeline_step *step = submission_step(submission, plan_step);

    *task = (struct task){.number = run_step_attempt(source->run, plan_step)};
    put_names(task, source, plan_step, mark);
    put_environment(task, submission_environment(submission, plan_step));
    put_step(task, step);
    if (step->kind == STEP_NOTEBOOK && run_step_is_last_try(source->run, plan_step))
        task->keep_kernel_s = submission->keep_kernels_s;
    if (put_parameters(task, submission->pipeline, step, e) < 0 ||
        bring_results(source, plan_step, e) < 0 ||
        (task->number > 1 && remove_report(source, step->uuid, e) < 0)) {
        task_clear(task);
        return -1;
    }
    return 0;
}
