#include "kernel-gateway/interactive/interactive_task.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"

void interactive_task_clear(struct interactive_task *task)
{
#define X(name) free(task->name);
    INTERACTIVE_TEXTS(X)
#undef X
    mem_free_texts(task->env);
    for (size_t i = 0; i < task->mount_count; i++) {
        free(task->mounts[i].host);
        free(task->mounts[i].inside);
    }
    *task = (struct interactive_task){0};
}

/* --- writing --- */

static void put_env(struct buf *out, char *const *env)
{
    json_put_key(out, "env");
    buf_putc(out, '[');
    for (char *const *entry = env; entry && *entry; entry++) {
        if (entry != env)
            buf_putc(out, ',');
        json_put_text(out, *entry);
    }
    buf_putc(out, ']');
}

static void put_mounts(struct buf *out, const struct interactive_task *task)
{
    json_put_key(out, "mounts");
    buf_putc(out, '[');
    for (size_t i = 0; i < task->mount_count; i++) {
        buf_puts(out, i > 0 ? ",{" : "{");
        json_put_member(out, "host", task->mounts[i].host);
        json_put_member(out, "inside", task->mounts[i].inside);
        json_put_member_int(out, "read_only", task->mounts[i].read_only);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

void interactive_task_encode(const struct interactive_task *task, struct buf *out)
{
    buf_putc(out, '{');
#define X(name) json_put_member(out, #name, task->name);
    INTERACTIVE_TEXTS(X)
#undef X
#define X(name) json_put_member_int(out, #name, task->name);
    INTERACTIVE_NUMBERS(X)
#undef X
    put_env(out, task->env);
    put_mounts(out, task);
    buf_putc(out, '}');
}

/* --- reading --- */

static int parse_env(struct interactive_task *task, const struct json *doc, struct err *e)
{
    json_at array = json_get(doc, 0, "env");
    size_t count = 0;

    task->env = mem_array(json_count(doc, array) + 1, sizeof *task->env);
    json_each (doc, array, at) {
        char *entry = json_strdup(doc, at);
        if (!entry)
            return err_set(e, ERR_INVALID, "a variable is no text");
        task->env[count++] = entry;
    }
    return 0;
}

static int parse_mounts(struct interactive_task *task, const struct json *doc, struct err *e)
{
    json_each (doc, json_get(doc, 0, "mounts"), at) {
        if (task->mount_count == INTERACTIVE_MOUNTS_MAX)
            return err_set(e, ERR_INVALID, "there are more than %d mounts", INTERACTIVE_MOUNTS_MAX);
        struct interactive_mount *mount = &task->mounts[task->mount_count++];
        mount->host = json_strdup(doc, json_get(doc, at, "host"));
        mount->inside = json_strdup(doc, json_get(doc, at, "inside"));
        json_int(doc, json_get(doc, at, "read_only"), &mount->read_only);
        if (!mount->host || !mount->inside)
            return err_set(e, ERR_INVALID, "a mount lacks a path");
    }
    return 0;
}

static int check(const struct interactive_task *task, struct err *e)
{
    enum launcher_kind launcher;

#define X(name)                                                                                    \
    if (!task->name)                                                                               \
        return err_set(e, ERR_INVALID, "there is no " #name);
    INTERACTIVE_NEEDED_TEXTS(X)
#undef X
    if (!launcher_of_name(task->launcher, &launcher))
        return err_set(e, ERR_INVALID, "there is no launcher \"%s\"", task->launcher);
    return 0;
}

int interactive_task_parse(struct interactive_task *task, struct str text, struct err *e)
{
    auto_json struct json doc = {0};

    *task = (struct interactive_task){0};
    if (json_parse(&doc, text, JSON_TOLERANT, NULL, e) < 0)
        return err_prefix(e, "cannot read the kernel's task");
#define X(name) task->name = json_strdup(&doc, json_get(&doc, 0, #name));
    INTERACTIVE_TEXTS(X)
#undef X
#define X(name) json_int(&doc, json_get(&doc, 0, #name), &task->name);
    INTERACTIVE_NUMBERS(X)
#undef X
    if (parse_env(task, &doc, e) < 0 || parse_mounts(task, &doc, e) < 0 || check(task, e) < 0) {
        interactive_task_clear(task);
        return err_prefix(e, "cannot read the kernel's task");
    }
    return 0;
}

int interactive_task_read(struct interactive_task *task, const char *directory, struct err *e)
{
    auto_free char *path = fs_join(directory, INTERACTIVE_TASK_FILE);
    auto_buf struct buf text = {0};

    *task = (struct interactive_task){0};
    if (fs_read(path, LIMIT_REQUEST_BYTES, &text, e) < 0)
        return -1;
    return interactive_task_parse(task, (struct str){text.data, text.len}, e);
}
