#include "api/jupyter/jupyter_private.h"

#include "api/jupyter/model.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "runner/version.h"

#include <string.h>

/* --- life --- */

struct jupyter *jupyter_new(const struct jupyter_options *options)
{
    struct jupyter *jupyter = mem_zalloc(sizeof *jupyter);
    auto_free char *sessions = fs_join(options->state->dir, "sessions.json");

    jupyter->options = *options;
    jupyter->started_us = clock_wall_us();
    jupyter->offers = offers_new(options->projects, options->default_kernel, options->state);
    jupyter->sessions = session_store_new(sessions);
    return jupyter;
}

void jupyter_free(struct jupyter *jupyter)
{
    if (!jupyter)
        return;
    session_store_free(jupyter->sessions);
    offers_free(jupyter->offers);
    free(jupyter);
}

/* --- requests and answers --- */

int jupyter_read_body(struct exchange *exchange, struct json *ret_body)
{
    struct str body = exchange_body(exchange);
    struct err e;

    if (body.len == 0)
        body = STR("{}");
    if (json_parse(ret_body, body, JSON_TOLERANT, NULL, &e) < 0) {
        exchange_answer_problem(exchange, 400, "Invalid JSON in body of request", NULL);
        return -1;
    }
    /* jupyter_server's clients send null where there is nothing to say. */
    if (json_kind(ret_body, 0) == JSON_OBJECT || json_kind(ret_body, 0) == JSON_NULL)
        return 0;
    exchange_answer_problem(exchange, 400, "the body of the request must be an object", NULL);
    return -1;
}

int jupyter_read_text(const struct json *body, json_at object, const char *key, char **ret_text,
                      struct err *e)
{
    json_at at = json_get(body, object, key);

    *ret_text = json_strdup(body, at);
    if (*ret_text || at == JSON_NONE || json_kind(body, at) == JSON_NULL)
        return 0;
    return err_set(e, ERR_INVALID, "%s must be a text", key);
}

void jupyter_answer_failure(struct exchange *exchange, int status, const char *reason,
                            const char *message)
{
    auto_buf struct buf out = {0};

    buf_putc(&out, '{');
    json_put_member(&out, "reason", reason);
    json_put_member(&out, "message", message);
    buf_putc(&out, '}');
    exchange_answer_json(exchange, status, &out);
}

void jupyter_answer_no_kernel(struct exchange *exchange, const char *id)
{
    auto_free char *text = mem_printf("Kernel does not exist: %s", id);

    exchange_answer_problem(exchange, 404, text, NULL);
}

/* --- kernels --- */

void kernel_view_put(struct buf *out, const struct kernel_view *view)
{
    struct kernel_model model = {
        .id = view->id, .name = view->name, .news = &view->news, .since_us = view->created_us};

    kernel_model_put(out, &model);
}

void step_kernel_put(struct buf *out, const struct step_kernel *kernel)
{
    struct kernel_model model = {.id = kernel->id,
                                 .name = kernel->name,
                                 .news = &kernel->news,
                                 .run_uuid = kernel->run_uuid,
                                 .step_uuid = kernel->step_uuid};

    kernel_model_put(out, &model);
}

void any_kernel_put(struct buf *out, const struct any_kernel *kernel)
{
    if (kernel->kind == KERNEL_OF_STEP)
        step_kernel_put(out, &kernel->step);
    else
        kernel_view_put(out, &kernel->view);
}

void any_kernel_clear(struct any_kernel *kernel)
{
    kernel_view_clear(&kernel->view);
    step_kernel_clear(&kernel->step);
    kernel->kind = KERNEL_NONE;
}

enum kernel_kind any_kernel_find(const struct jupyter *jupyter, const char *id,
                                 struct any_kernel *kernel)
{
    *kernel = (struct any_kernel){0};
    if (gateway_find(jupyter->options.gateway, id, &kernel->view))
        kernel->kind = KERNEL_INTERACTIVE;
    else if (step_kernels_find(jupyter->options.state, id, &kernel->step))
        kernel->kind = KERNEL_OF_STEP;
    return kernel->kind;
}

void kernel_set_read(struct kernel_set *set, const struct jupyter *jupyter)
{
    set->view_count = gateway_list(jupyter->options.gateway, &set->views);
    set->step_count = step_kernels_list(jupyter->options.state, &set->steps);
}

void kernel_set_clear(struct kernel_set *set)
{
    for (size_t i = 0; i < set->view_count; i++)
        kernel_view_clear(&set->views[i]);
    for (size_t i = 0; i < set->step_count; i++)
        step_kernel_clear(&set->steps[i]);
    free(set->views);
    free(set->steps);
    *set = (struct kernel_set){0};
}

bool kernel_set_put(const struct kernel_set *set, const char *id, struct buf *out)
{
    for (size_t i = 0; i < set->view_count; i++) {
        if (strcmp(set->views[i].id, id) == 0) {
            kernel_view_put(out, &set->views[i]);
            return true;
        }
    }
    for (size_t i = 0; i < set->step_count; i++) {
        if (strcmp(set->steps[i].id, id) == 0) {
            step_kernel_put(out, &set->steps[i]);
            return true;
        }
    }
    return false;
}

/* --- /api, /api/status, /api/me --- */

void jupyter_version(struct exchange *exchange, struct jupyter *jupyter)
{
    auto_buf struct buf out = {0};

    (void)jupyter;
    buf_putc(&out, '{');
    json_put_member(&out, "version", SEGUE_VERSION);
    buf_putc(&out, '}');
    exchange_answer_json(exchange, 200, &out);
}

void jupyter_status(struct exchange *exchange, struct jupyter *jupyter)
{
    auto_kernel_set struct kernel_set set = {0};
    auto_buf struct buf out = {0};
    int64_t last_us = jupyter->started_us, connections = 0;

    kernel_set_read(&set, jupyter);
    for (size_t i = 0; i < set.view_count; i++) {
        const struct kernel_news *news = &set.views[i].news;
        connections += news->connections;
        if (news->last_activity_us > last_us)
            last_us = news->last_activity_us;
    }
    buf_putc(&out, '{');
    json_put_member(&out, "started", time_text_of_us(jupyter->started_us).text);
    json_put_member(&out, "last_activity", time_text_of_us(last_us).text);
    json_put_member_int(&out, "kernels", (int64_t)(set.view_count + set.step_count));
    json_put_member_int(&out, "connections", connections);
    buf_putc(&out, '}');
    exchange_answer_json(exchange, 200, &out);
}

/* There is one token, so everybody who has it is the same person. */
void jupyter_me(struct exchange *exchange, struct jupyter *jupyter)
{
    auto_buf struct buf out = {0};

    (void)jupyter;
    buf_puts(&out, "{\"identity\":{\"username\":\"segue\",\"name\":\"Segue\","
                   "\"display_name\":\"Segue\",\"initials\":\"S\",\"avatar_url\":null,"
                   "\"color\":null},\"permissions\":{}}");
    exchange_answer_json(exchange, 200, &out);
}
