#include "runner/engine/rerun.h"

#include "base/mem.h"

struct old_run {
    int64_t id;
    enum status status;
    struct submission *submission;
    char **left; /* uuids of steps that did not succeed */
    uint32_t count, capacity;
};

static int take_run(void *data, const struct store_run *run, struct err *e)
{
    struct old_run *old = data;

    (void)e;
    old->id = run->id;
    old->status = run->status;
    return 0;
}

static int take_frozen(void *data, const struct store_run *run, const struct store_frozen *frozen,
                       struct err *e)
{
    struct old_run *old = data;

    return submission_restore(run, frozen, &old->submission, e);
}

static int take_step(void *data, const struct store_step *step, struct err *e)
{
    struct old_run *old = data;

    (void)e;
    if (step->status == STATUS_SUCCESS)
        return 0;
    mem_grow(old->left, old->count, old->capacity);
    old->left[old->count++] = mem_strdup(step->uuid);
    return 0;
}

static int narrow_to_failed(struct store *reader, struct old_run *old, struct err *e)
{
    if (store_steps(reader, old->id, take_step, old, e) < 0)
        return -1;
    if (old->count == 0)
        return err_set(e, ERR_CONFLICT, "nothing failed in the run: all of its steps succeeded");
    return submission_narrow(old->submission, (const char *const *)old->left, old->count, e);
}

static int make(struct store *reader, const char *run_uuid, const struct rerun_wish *wish,
                struct old_run *old, struct problems *problems, struct err *e)
{
    if (store_run(reader, run_uuid, take_run, old, e) < 0)
        return -1;
    if (!status_is_final(old->status))
        return err_set(e, ERR_CONFLICT, "the run has not ended: %s", status_name(old->status));
    if (store_frozen(reader, old->id, take_frozen, old, e) < 0)
        return -1;
    if (wish->from == RERUN_FAILED && narrow_to_failed(reader, old, e) < 0)
        return -1;
    submission_leave_job(old->submission);
    const struct submission *submission = old->submission;
    if (plan_check_files(submission->plan, submission->pipeline, submission->project.dir,
                         submission->project.pipeline_dir, problems, e) < 0)
        return -1;
    return problems->total > 0 ? problems_to_err(problems, e) : 0;
}

int rerun_make(struct store *reader, const char *run_uuid, const struct rerun_wish *wish,
               struct submission **ret_submission, struct problems *problems, struct err *e)
{
    struct old_run old = {0};
    int result = make(reader, run_uuid, wish, &old, problems, e);

    for (uint32_t i = 0; i < old.count; i++)
        free(old.left[i]);
    free(old.left);
    if (result < 0) {
        submission_free(old.submission);
        return -1;
    }
    old.submission->run_uuid = uuid_random();
    old.submission->rerun_of = uuid_of(run_uuid);
    if (wish->keep_kernels_s)
        old.submission->keep_kernels_s = *wish->keep_kernels_s;
    *ret_submission = old.submission;
    return 0;
}
