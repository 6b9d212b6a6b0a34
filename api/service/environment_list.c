#include "api/service/environment_list.h"

#include "api/service/parts.h"
#include "base/json.h"
#include "kernel-gateway/launch/environment.h"
#include "runner/engine/frozen.h"
#include "runner/plan/project.h"

#include <inttypes.h>

/* Numbers that are not there are null. */
static void put_double(struct buf *out, const char *key, double value)
{
    json_put_key(out, key);
    if (value > 0)
        buf_printf(out, "%.15g", value);
    else
        buf_puts(out, "null");
}

static void put_count(struct buf *out, const char *key, uint64_t value)
{
    json_put_key(out, key);
    if (value > 0)
        buf_printf(out, "%" PRIu64, value);
    else
        buf_puts(out, "null");
}

static void put_text(struct buf *out, const char *key, const char *text)
{
    json_put_key(out, key);
    json_put_text(out, text);
}

static void put_bool(struct buf *out, const char *key, bool value)
{
    json_put_member_raw(out, key, value ? STR("true") : STR("false"));
}

static void put_resources(struct buf *out, const struct environment_resources *resources)
{
    json_put_key(out, "resources");
    buf_putc(out, '{');
    put_double(out, "cpus", resources->cpus);
    put_count(out, "memory", resources->memory_bytes);
    put_count(out, "gpus", resources->gpus);
    buf_putc(out, '}');
}

/* Their names only: values may be secrets. */
static void put_variables(struct buf *out, char *const *env)
{
    json_put_key(out, "env");
    buf_putc(out, '[');
    for (size_t i = 0; env[i]; i++) {
        if (i > 0)
            buf_putc(out, ',');
        json_put_str(out, (struct str){env[i], strcspn(env[i], "=")});
    }
    buf_putc(out, ']');
}

static void put_environment(struct buf *out, const struct environment *environment,
                            const struct frozen_environment *now)
{
    buf_putc(out, '{');
    put_text(out, "name", environment->name);
    put_text(out, "uuid", environment->uuid);
    put_text(out, "launcher", launcher_name(environment->launcher));
    put_text(out, "image", environment->image);
    put_text(out, "image_id", now->cause == CAUSE_NONE ? now->image : NULL);
    put_bool(out, "available", now->cause == CAUSE_NONE);
    put_text(out, "problem", now->cause == CAUSE_NONE ? NULL : now->message);
    put_text(out, "kernelspec", environment->kernelspec);
    put_text(out, "language", environment->language);
    put_bool(out, "network", environment->network);
    put_resources(out, &environment->resources);
    put_variables(out, environment->env);
    buf_putc(out, '}');
}

/* Each is looked at as if a run were accepted now. */
static void put_list(struct buf *out, const struct environments *environments)
{
    struct frozen_list now = {0};

    buf_puts(out, "{\"environments\":[");
    for (size_t i = 0; i < environments->count; i++) {
        const struct environment *environment = &environments->items[i];
        frozen_add(&now, environments, environment->name, LAUNCHER_CHOICE_ENVIRONMENT);
        if (i > 0)
            buf_putc(out, ',');
        put_environment(out, environment, &now.items[now.count - 1]);
    }
    buf_puts(out, "]}");
    frozen_clear(&now);
}

static int list_of(const struct service *service, const char *path, struct buf *out,
                   struct problems *problems, struct err *e)
{
    auto_project struct project project = {0};
    auto_environments struct environments environments = {0};

    if (project_open_beneath(service->projects, path, &project, e) < 0 ||
        environments_read(&environments, project.dir, problems, e) < 0)
        return -1;
    put_list(out, &environments);
    return 0;
}

void environment_list(struct exchange *exchange, void *user)
{
    const char *path = exchange_query(exchange, "project");
    auto_buf struct buf out = {0};
    auto_problems struct problems problems = {0};
    struct err e;

    if (!path)
        exchange_answer_problem(exchange, 400, "which project? ?project=PATH is missing", NULL);
    else if (list_of(user, path, &out, &problems, &e) < 0)
        exchange_answer_err(exchange, &e, &problems);
    else
        exchange_answer_json(exchange, 200, &out);
}
