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
    for (uint32_t i = 0; i < submission->frozen_count; i++) {
        const struct frozen_environment *frozen = &submission->frozen[i];
        if (frozen->image_id)
            json_put_member(&out, frozen->environment->name, frozen->image_id);
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
    struct str parameters = json_raw(pipeline->parameters.doc, pipeline->parameters.at);
    auto_free char *uuids = join_texts(submission->selected);
    auto_free char *images = frozen_images(submission);
    auto_free char *requested =
        parameters.text ? mem_strndup(parameters.text, parameters.len) : mem_strdup("{}");
    struct store_run row = {
        .uuid = submission->run_uuid.text,
        .project = submission->project.dir,
        .pipeline_path = submission->project.pipeline_path,
        .pipeline_uuid = pipeline->uuid,
        .pipeline_name = pipeline->name,
        .run_type = run_type_name(submission->plan->run_type),
        .uuids = uuids,
        .parameters = requested,
        .images = images,
        .options = submission->in_place ? "{\"in_place\":true}" : "{}",
        .job_uuid = "",
        .rerun_of = "",
        .definition = {pipeline->doc.text, pipeline->doc.len},
        .created_time = clock_wall(),
        .step_count = submission->plan->count,
    };

    if (store_add_run(store, &row, ret_run, e) < 0)
        return -1;
    return add_steps(store, submission, *ret_run, e);
}
