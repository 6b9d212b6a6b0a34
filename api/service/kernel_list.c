#include "api/service/kernel_list.h"

#include "api/service/parts.h"
#include "api/service/run_json.h"
#include "base/json.h"
#include "runner/engine/step_kernels.h"

#include <inttypes.h>
#include <string.h>

/* A member, null where there is nothing to say. */
static void put(struct buf *out, const char *key, const char *text)
{
    json_put_key(out, key);
    json_put_text(out, text && *text ? text : NULL);
}

static void put_number(struct buf *out, const char *key, uint32_t number)
{
    json_put_key(out, key);
    if (number > 0)
        buf_printf(out, "%" PRIu32, number);
    else
        buf_puts(out, "null");
}

static void begin_kernel(struct buf *out, const char *id, const char *kind, const char *name)
{
    if (out->data[out->len - 1] != '[')
        buf_putc(out, ',');
    buf_putc(out, '{');
    json_put_member(out, "id", id);
    json_put_member(out, "kind", kind);
    json_put_member(out, "name", name);
}

static void put_news(struct buf *out, const struct kernel_news *news, int64_t created_us)
{
    int64_t last_us = news->last_activity_us > 0 ? news->last_activity_us : created_us;

    json_put_member(out, "status", kernel_activity_name(news->activity));
    json_put_member_int(out, "connections", news->connections);
    json_put_member(out, "last_activity", time_text_of_us(last_us).text);
    json_put_member(out, "created_time", time_text_of_us(created_us).text);
    put(out, "reason", news->reason);
}

static void put_interactive(struct buf *out, const struct kernel_view *view)
{
    begin_kernel(out, view->id, "interactive", view->name);
    put_news(out, &view->news, view->created_us);
    json_put_member(out, "launcher", view->launcher);
    put(out, "image", view->image);
    put(out, "project", view->project);
    put(out, "environment", view->environment);
    put(out, "username", view->username);
    put(out, "run_uuid", NULL);
    put(out, "step_uuid", NULL);
    put(out, "file_path", NULL);
    put_number(out, "attempt", 0);
    json_put_member_raw(out, "is_kept", STR("false"));
    buf_putc(out, '}');
}

/* Below the project, as steps name their files. */
static const char *file_of(const struct step_kernel *kernel)
{
    size_t len = strlen(kernel->project_dir);

    return strncmp(kernel->source, kernel->project_dir, len) == 0 && kernel->source[len] == '/'
               ? kernel->source + len + 1
               : kernel->source;
}

static void put_step(struct buf *out, const struct step_kernel *kernel, const char *projects)
{
    begin_kernel(out, kernel->id, "step", kernel->name);
    put_news(out, &kernel->news, kernel->created_us);
    json_put_member(out, "launcher", kernel->launcher);
    put(out, "image", kernel->image);
    run_json_put_project(out, projects, kernel->project_dir);
    put(out, "environment", kernel->environment);
    put(out, "username", NULL);
    json_put_member(out, "run_uuid", kernel->run_uuid);
    json_put_member(out, "step_uuid", kernel->step_uuid);
    json_put_member(out, "file_path", file_of(kernel));
    put_number(out, "attempt", kernel->attempt);
    json_put_member_raw(out, "is_kept", kernel->is_kept ? STR("true") : STR("false"));
    buf_putc(out, '}');
}

static void put_all_interactive(struct buf *out, struct gateway *gateway)
{
    struct kernel_view *views;
    size_t count = gateway_list(gateway, &views);

    for (size_t i = 0; i < count; i++) {
        put_interactive(out, &views[i]);
        kernel_view_clear(&views[i]);
    }
    free(views);
}

static void put_all_steps(struct buf *out, const struct state *state, const char *projects)
{
    struct step_kernel *kernels;
    size_t count = step_kernels_list(state, &kernels);

    for (size_t i = 0; i < count; i++) {
        put_step(out, &kernels[i], projects);
        step_kernel_clear(&kernels[i]);
    }
    free(kernels);
}

void kernel_list(struct exchange *exchange, void *user)
{
    const struct service *service = user;
    auto_buf struct buf out = {0};

    buf_puts(&out, "{\"kernels\":[");
    put_all_interactive(&out, service->gateway);
    put_all_steps(&out, &service->state, service->projects);
    buf_puts(&out, "]}");
    exchange_answer_json(exchange, 200, &out);
}
