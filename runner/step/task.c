#include "runner/step/task.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/keeper/keeper_handle.h"

void task_clear(struct task *task)
{
#define X(name) free(task->name);
    TASK_TEXTS(X)
#undef X
    mem_free_texts(task->env);
    json_clear(&task->parameters);
    *task = (struct task){0};
}

void task_forget(const struct task *task)
{
    auto_free char *sockets = fs_dirname(task->socket_dir);

    keeper_forget(sockets);
}

void task_encode(const struct task *task, struct buf *out)
{
    buf_putc(out, '{');
#define X(name) json_put_member(out, #name, task->name);
    TASK_TEXTS(X)
#undef X
#define X(name) json_put_member_int(out, #name, task->name);
    TASK_NUMBERS(X)
#undef X
    json_put_key(out, "env");
    buf_putc(out, '[');
    for (char **entry = task->env; entry && *entry; entry++) {
        if (entry != task->env)
            buf_putc(out, ',');
        json_put_text(out, *entry);
    }
    buf_putc(out, ']');
    json_put_member_raw(out, "parameters", json_raw(&task->parameters, 0));
    buf_putc(out, '}');
}

static char **texts_of(const struct json *doc, json_at array)
{
    char **texts = mem_array(json_count(doc, array) + 1, sizeof *texts);
    size_t count = 0;

    json_each (doc, array, at)
        texts[count++] = json_strdup(doc, at);
    return texts;
}

static int parse_parameters(struct task *task, const struct json *doc, struct err *e)
{
    json_at at = json_get(doc, 0, "parameters");
    struct str text = at == JSON_NONE ? STR("{}") : json_raw(doc, at);
    char *copy = mem_strndup(text.text, text.len);

    if (at != JSON_NONE && json_kind(doc, at) != JSON_OBJECT) {
        free(copy);
        return err_set(e, ERR_INVALID, "the parameters are no object");
    }
    return json_parse_take(&task->parameters, copy, text.len, JSON_TOLERANT, NULL, e);
}

static int check(const struct task *task, struct err *e)
{
#define X(name)                                                                                    \
    if (!task->name)                                                                               \
        return err_set(e, ERR_INVALID, "there is no " #name);
    TASK_NEEDED_TEXTS(X)
#undef X
    return 0;
}

int task_parse(struct task *task, struct str text, struct err *e)
{
    auto_json struct json doc = {0};

    *task = (struct task){0};
    if (json_parse(&doc, text, JSON_TOLERANT, NULL, e) < 0)
        return err_prefix(e, "cannot read the task");
#define X(name) task->name = json_strdup(&doc, json_get(&doc, 0, #name));
    TASK_TEXTS(X)
#undef X
#define X(name) json_int(&doc, json_get(&doc, 0, #name), &task->name);
    TASK_NUMBERS(X)
#undef X
    task->env = texts_of(&doc, json_get(&doc, 0, "env"));
    if (parse_parameters(task, &doc, e) < 0 || check(task, e) < 0) {
        task_clear(task);
        return err_prefix(e, "cannot read the task");
    }
    return 0;
}

int task_read(struct task *task, const char *directory, struct err *e)
{
    auto_free char *path = fs_join(directory, TASK_FILE);
    auto_buf struct buf text = {0};

    if (fs_read(path, LIMIT_PIPELINE_BYTES, &text, e) < 0)
        return -1;
    return task_parse(task, (struct str){text.data, text.len}, e);
}
