#include "runner/step/notebook_task.h"

#include "base/fs.h"
#include "base/limits.h"
#include "runner/notebook/parameters.h"
#include "runner/version.h"

static int read_source(const struct task *task, struct notebook **ret_notebook, struct err *e)
{
    auto_buf struct buf text = {0};

    if (fs_read(task->source, LIMIT_NOTEBOOK_BYTES, &text, e) < 0)
        return -1;
    size_t len = text.len;
    return notebook_read(buf_take(&text), len, fs_basename(task->source), ret_notebook, e);
}

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

int notebook_of_task(const struct task *task, struct notebook **ret_notebook, struct err *e)
{
    struct notebook_options options = {
        .errors = NOTEBOOK_ERRORS_STOP,
        .input_path = task->source,
        .output_path = task->output,
        .parameters = json_raw(&task->parameters, 0),
        .version = SEGUE_VERSION,
    };

    if (read_source(task, ret_notebook, e) < 0)
        return -1;
    inject_parameters(*ret_notebook, task);
    notebook_start(*ret_notebook, &options);
    return 0;
}

int notebook_save(struct notebook *notebook, const struct task *task, struct err *e)
{
    auto_buf struct buf text = {0};

    notebook_write(notebook, &text);
    return fs_write(task->output, (struct str){text.data, text.len}, 0644, FS_NO_SYNC, e);
}
