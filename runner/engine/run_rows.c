#include "runner/engine/run_rows.h"

#include "base/mem.h"

static char *join_texts(char *const *texts)
{
    struct buf out = {0};

    buf_putc(&out, '[');
    for (size_t i = 0; texts[i]; i++) {
        if (i > 0)
            buf_putc(&out, ',');
        json_put_text(&out, texts[i]);
    }
    buf_putc(&out, ']');
    return buf_take(&out);
}

static char *frozen_images(const struct submission *submission)
{
    struct buf out = {0};

    buf_putc(&out, '{');
    for (uint32_t i = 0; i < submission->frozen.count; i++) {
        const struct frozen_environment *frozen = &submission->frozen.items[i];
        json_put_member(&out, frozen->name, frozen->image);
    }
    buf_putc(&out, '}');
    return buf_take(&out);
}

static int add_steps(struct store *store, const struct submission *submission, int64_t run,
                     struct err *e)
{
    for (uint32_t i = 0; i < submission->plan->count; i++) {
        const struct pipeline_step *step = submission_step(submission, i);
        struct store_step row = {
            .step = i,
            .uuid = step->uuid,
            .title = step->title,
            .file_path = step->file_path,
            .status = STATUS_PENDING,
            .failure = "",
        };
        if (store_add_step(store, run, &row, e) < 0)
            return -1;
    }
    return 0;
}

int run_rows_add(struct store *store, const struct submission *submission, int64_t *ret_run,
                 struct err *e)
{
    const struct pipeline *pipeline = submission->pipeline;
    auto_free char *uuids = join_texts(submission->selected);
    auto_free char *images = frozen_images(submission);
    auto_buf struct buf options = {0}, environments = {0};

    submission_put_options(submission, &options);
    frozen_encode(&submission->frozen, &environments);
    struct store_run row = {
        .uuid = submission->run_uuid.text,
        .project = submission->origin_dir,
        .pipeline_path = submission->project.pipeline_path,
        .pipeline_uuid = pipeline->uuid,
        .pipeline_name = pipeline->name,
        .run_type = run_type_name(submission->plan->run_type),
        .uuids = uuids,
        .parameters = submission->parameters,
        .images = images,
        .options = buf_text(&options),
        .job_uuid = submission->job_uuid.text,
        .rerun_of = submission->rerun_of.text,
        .created_time = clock_wall(),
        .step_count = submission->plan->count,
    };
    struct store_frozen frozen = {
        .definition = {pipeline->doc.text, pipeline->doc.len},
        .environments = buf_text(&environments),
    };

    if (store_add_run(store, &row, &frozen, ret_run, e) < 0)
        return -1;
    return add_steps(store, submission, *ret_run, e);
}
