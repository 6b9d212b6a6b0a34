#include "api/jupyter/kernels.h"

#include "base/mem.h"

#include <string.h>

/* --- answers --- */

static void answer_view(struct exchange *exchange, int status, const struct kernel_view *view)
{
    auto_buf struct buf out = {0};

    kernel_view_put(&out, view);
    exchange_answer_json(exchange, status, &out);
}

/* Not 503, which JupyterLab takes for a server that is down. */
static int status_of(const struct err *e)
{
    switch (e->code) {
    case ERR_LIMIT:
        return 403;
    case ERR_CONFLICT:
        return 409;
    case ERR_NONE:
    case ERR_INVALID:
    case ERR_NOT_FOUND:
    case ERR_IO:
    case ERR_NO_SPACE:
    case ERR_UNAVAILABLE:
    case ERR_PROTOCOL:
    case ERR_TIMEOUT:
    case ERR_CANCELLED:
        break;
    }
    return 500;
}

void kernels_answer_refusal(struct exchange *exchange, const struct err *e)
{
    const char *reason = e->code == ERR_LIMIT      ? "Resource Limit"
                         : e->code == ERR_CONFLICT ? "Conflict"
                                                   : "The kernel could not be started";

    jupyter_answer_failure(exchange, status_of(e), reason, e->text);
}

/* --- looking --- */

void kernels_list(struct exchange *exchange, struct jupyter *jupyter)
{
    auto_kernel_set struct kernel_set set = {0};
    auto_buf struct buf out = {0};

    kernel_set_read(&set, jupyter);
    buf_putc(&out, '[');
    for (size_t i = 0; i < set.view_count; i++) {
        if (i > 0)
            buf_putc(&out, ',');
        kernel_view_put(&out, &set.views[i]);
    }
    for (size_t i = 0; i < set.step_count; i++) {
        if (set.view_count + i > 0)
            buf_putc(&out, ',');
        step_kernel_put(&out, &set.steps[i]);
    }
    buf_putc(&out, ']');
    exchange_answer_json(exchange, 200, &out);
}

void kernels_get(struct exchange *exchange, struct jupyter *jupyter)
{
    const char *id = exchange_segment(exchange, 0);
    auto_any_kernel struct any_kernel kernel = {0};
    auto_buf struct buf out = {0};

    if (any_kernel_find(jupyter, id, &kernel) == KERNEL_NONE) {
        jupyter_answer_no_kernel(exchange, id);
        return;
    }
    any_kernel_put(&out, &kernel);
    exchange_answer_json(exchange, 200, &out);
}

/* --- starting --- */

int kernels_check_id(const struct jupyter *jupyter, const char *id, struct err *e)
{
    struct step_kernel kernel = {0};

    if (!step_kernels_find(jupyter->options.state, id, &kernel))
        return 0;
    step_kernel_clear(&kernel);
    return err_set(e, ERR_CONFLICT, "a step's kernel has the id %s", id);
}

static void on_started(void *user, const struct kernel_view *view, const struct err *e)
{
    struct exchange *exchange = user;

    if (!view) {
        kernels_answer_refusal(exchange, e);
        return;
    }
    auto_free char *location = mem_printf("/api/kernels/%s", view->id);
    exchange_add_header(exchange, "Location", location);
    answer_view(exchange, 201, view);
}

/* What a body asks for. Owns its texts. */
struct start_request {
    char *name, *path, *id;
    struct client_env env;
};

static void start_request_clear(struct start_request *request)
{
    free(request->name);
    free(request->path);
    free(request->id);
    client_env_clear(&request->env);
}

static int read_request(struct start_request *request, const struct json *body,
                        const char *const *allowed, struct err *e)
{
    if (jupyter_read_text(body, 0, "name", &request->name, e) < 0 ||
        jupyter_read_text(body, 0, "path", &request->path, e) < 0 ||
        jupyter_read_text(body, 0, "kernel_id", &request->id, e) < 0)
        return -1;
    if (request->id && !uuid_is_valid(request->id))
        return err_set(e, ERR_INVALID, "kernel_id must be a uuid");
    return client_env_read(&request->env, body, json_get(body, 0, "env"), allowed, e);
}

static void start(struct exchange *exchange, struct jupyter *jupyter,
                  const struct start_request *request)
{
    struct kernel_wish wish = {
        .name = request->name, .path = request->path, .id = request->id, .env = &request->env};
    struct interactive_task task;
    struct err e;

    if (gateway_check_limits(jupyter->options.gateway,
                             client_env_get(&request->env, "KERNEL_USERNAME"), &e) < 0) {
        kernels_answer_refusal(exchange, &e);
        return;
    }
    enum kernel_refusal refusal = kernel_make(&task, jupyter, &wish, &e);
    if (refusal == KERNEL_UNKNOWN) {
        exchange_answer_problem(exchange, 404, e.text, NULL);
        return;
    }
    if (refusal == KERNEL_IS_FINE && kernels_check_id(jupyter, task.kernel_id, &e) == 0) {
        gateway_start(jupyter->options.gateway, &task, on_started, exchange);
        return;
    }
    if (refusal == KERNEL_IS_FINE)
        interactive_task_clear(&task);
    kernels_answer_refusal(exchange, &e);
}

void kernels_start(struct exchange *exchange, struct jupyter *jupyter)
{
    auto_json struct json body = {0};
    auto_with(start_request_clear) struct start_request request = {0};
    struct err e;

    if (jupyter_read_body(exchange, &body) < 0)
        return;
    if (read_request(&request, &body, jupyter->options.kernel_env, &e) < 0)
        exchange_answer_problem(exchange, 400, e.text, NULL);
    else
        start(exchange, jupyter, &request);
}

/* --- the rest of its life --- */

static const char RUNNING_STEP[] =
    "this kernel belongs to a running step: cancel the run to end it";

/* What a handler waits for: its kernel may be gone when the answer comes. */
struct waiting {
    struct exchange *exchange;
    char *id;
};

static struct waiting *waiting_new(struct exchange *exchange, const char *id)
{
    struct waiting *waiting = mem_zalloc(sizeof *waiting);

    waiting->exchange = exchange;
    waiting->id = mem_strdup(id);
    return waiting;
}

static void waiting_free(struct waiting *waiting)
{
    free(waiting->id);
    free(waiting);
}

static void answer_failed(const struct waiting *waiting, const struct err *e, const char *reason)
{
    if (e->code == ERR_NOT_FOUND)
        jupyter_answer_no_kernel(waiting->exchange, waiting->id);
    else
        jupyter_answer_failure(waiting->exchange, status_of(e), reason, e->text);
}

static void on_restarted(void *user, const struct kernel_view *view, const struct err *e)
{
    struct waiting *waiting = user;

    if (view)
        answer_view(waiting->exchange, 200, view);
    else
        answer_failed(waiting, e, "The kernel could not be restarted");
    waiting_free(waiting);
}

static void on_interrupted(void *user, const struct kernel_view *view, const struct err *e)
{
    struct waiting *waiting = user;

    if (view)
        exchange_answer(waiting->exchange, 204, NULL, NULL);
    else
        answer_failed(waiting, e, "The kernel could not be interrupted");
    waiting_free(waiting);
}

static void on_shut_down(void *user, const struct kernel_view *view, const struct err *e)
{
    struct waiting *waiting = user;

    if (view)
        exchange_answer(waiting->exchange, 204, NULL, NULL);
    else
        answer_failed(waiting, e, "The kernel could not be shut down");
    waiting_free(waiting);
}

/* Answers 204 when the step's keeper was told. */
static void tell_step(struct exchange *exchange, const struct step_kernel *kernel,
                      const char *command)
{
    struct err e;

    if (step_kernel_tell(kernel, command, &e) == 0)
        exchange_answer(exchange, 204, NULL, NULL);
    else if (e.code == ERR_NOT_FOUND)
        jupyter_answer_no_kernel(exchange, kernel->id);
    else
        jupyter_answer_failure(exchange, 500, "The step's kernel does not listen", e.text);
}

void kernels_interrupt(struct exchange *exchange, struct jupyter *jupyter)
{
    const char *id = exchange_segment(exchange, 0);
    auto_any_kernel struct any_kernel kernel = {0};

    switch (any_kernel_find(jupyter, id, &kernel)) {
    case KERNEL_NONE:
        jupyter_answer_no_kernel(exchange, id);
        break;
    case KERNEL_INTERACTIVE:
        gateway_interrupt(jupyter->options.gateway, id, on_interrupted, waiting_new(exchange, id));
        break;
    case KERNEL_OF_STEP:
        tell_step(exchange, &kernel.step, "interrupt");
        break;
    }
}

void kernels_restart(struct exchange *exchange, struct jupyter *jupyter)
{
    const char *id = exchange_segment(exchange, 0);
    auto_any_kernel struct any_kernel kernel = {0};

    switch (any_kernel_find(jupyter, id, &kernel)) {
    case KERNEL_NONE:
        jupyter_answer_no_kernel(exchange, id);
        break;
    case KERNEL_INTERACTIVE:
        gateway_restart(jupyter->options.gateway, id, on_restarted, waiting_new(exchange, id));
        break;
    case KERNEL_OF_STEP:
        jupyter_answer_failure(exchange, 403, "Forbidden",
                               "this kernel belongs to a step of a run, which cannot go on with "
                               "another one: run the step again");
        break;
    }
}

void kernels_delete(struct exchange *exchange, struct jupyter *jupyter)
{
    const char *id = exchange_segment(exchange, 0);
    auto_any_kernel struct any_kernel kernel = {0};

    switch (any_kernel_find(jupyter, id, &kernel)) {
    case KERNEL_NONE:
        jupyter_answer_no_kernel(exchange, id);
        break;
    case KERNEL_INTERACTIVE:
        gateway_shutdown(jupyter->options.gateway, id, on_shut_down, waiting_new(exchange, id));
        break;
    case KERNEL_OF_STEP:
        if (kernel.step.is_kept)
            tell_step(exchange, &kernel.step, "release");
        else
            jupyter_answer_failure(exchange, 403, "Forbidden", RUNNING_STEP);
        break;
    }
}
