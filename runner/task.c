#include "runner/task.h"

#include "base/limits.h"
#include "base/mem.h"

void task_clear(struct task *task)
{
#define X(name) free(task->name);
    TASK_TEXTS(X)
#undef X
    for (char **entry = task->env; entry && *entry; entry++)
        free(*entry);
    free(task->env);
    json_clear(&task->parameters);
    *task = (struct task){0};
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

int task_parse(struct task *task, struct str text, struct err *e)
{
    auto_json struct json doc = {0};

    *task = (struct task){0};
    if (json_parse(&doc, text, JSON_TOLERANT, NULL, e) < 0)
        return err_prefix(e, "cannot read the task");
    json_at given = json_get(&doc, 0, "parameters");
    if (json_kind(&doc, 0) != JSON_OBJECT ||
        (given != JSON_NONE && json_kind(&doc, given) != JSON_OBJECT))
        return err_set(e, ERR_INVALID, "cannot read the task: it and its parameters are objects");
#define X(name) task->name = json_strdup(&doc, json_get(&doc, 0, #name));
    TASK_TEXTS(X)
#undef X
#define X(name) json_int(&doc, json_get(&doc, 0, #name), &task->name);
    TASK_NUMBERS(X)
#undef X
    task->env = texts_of(&doc, json_get(&doc, 0, "env"));
    struct str parameters = json_raw(&doc, given);
    if (!parameters.text)
        parameters = STR("{}");
    char *copy = mem_strndup(parameters.text, parameters.len);
    if (json_parse_take(&task->parameters, copy, parameters.len, JSON_TOLERANT, NULL, e) < 0) {
        task_clear(task);
        return err_prefix(e, "cannot read the task's parameters");
    }
    return 0;
}
