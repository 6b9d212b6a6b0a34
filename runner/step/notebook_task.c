#include "runner/step/notebook_task.h"

#include "base/fs.h"
#include "base/limits.h"
#include "kernel-gateway/keeper/keeper.h"
#include "runner/notebook/parameters.h"
#include "runner/version.h"

static void inject_parameters(struct notebook *notebook, const struct task *task)
{
    auto_buf struct buf source = {0};
    const char *kernel = notebook_kernel_name(notebook);
    const char *language = notebook_language(notebook);

    if (!language)
        language = task->language;
    if (!kernel)
        kernel = task->kernelspec;
    /* A notebook that says nothing runs in the default kernel, which is Python's. */
    if (!kernel && !language)
        language = "python";
    if (parameters_write(&task->parameters, 0, kernel, language, &source) > 0)
        notebook_inject(notebook, (struct str){source.data, source.len});
}

/* The name of the source is the one that people know, also where a copy of it is read. */
static int start(const struct task *task, struct buf *take_text, struct notebook **ret_notebook,
                 struct err *e)
{
    struct notebook_options options = {
        .errors = NOTEBOOK_ERRORS_STOP,
        .input_path = task->source,
        .output_path = task->output,
        .parameters = json_raw(&task->parameters, 0),
        .version = SEGUE_VERSION,
    };
    size_t len = take_text->len;

    if (notebook_read(buf_take(take_text), len, fs_basename(task->source), ret_notebook, e) < 0)
        return -1;
    inject_parameters(*ret_notebook, task);
    notebook_start(*ret_notebook, &options);
    return 0;
}

int notebook_begin(const struct task *task, const char *directory, struct notebook **ret_notebook,
                   struct err *e)
{
    auto_free char *kept = fs_join(directory, SOURCE_FILE);
    auto_buf struct buf text = {0};

    if (fs_read(task->source, LIMIT_NOTEBOOK_BYTES, &text, e) < 0 ||
        fs_write(kept, (struct str){text.data, text.len}, 0600, FS_NO_SYNC, e) < 0)
        return -1;
    return start(task, &text, ret_notebook, e);
}

int notebook_so_far(const struct task *task, const char *directory, struct notebook **ret_notebook,
                    struct err *e)
{
    auto_free char *kept = fs_join(directory, SOURCE_FILE);
    auto_free char *journal = fs_join(directory, KEEPER_JOURNAL);
    auto_notebook struct notebook *notebook = NULL;
    auto_buf struct buf text = {0};

    if (fs_read(kept, LIMIT_NOTEBOOK_BYTES, &text, e) < 0 || start(task, &text, &notebook, e) < 0 ||
        notebook_replay(notebook, journal, e) < 0)
        return -1;
    *ret_notebook = take_ptr(&notebook);
    return 0;
}

int notebook_save(struct notebook *notebook, const struct task *task, struct err *e)
{
    auto_buf struct buf text = {0};

    notebook_write(notebook, &text);
    return fs_write(task->output, (struct str){text.data, text.len}, 0644, FS_NO_SYNC, e);
}
