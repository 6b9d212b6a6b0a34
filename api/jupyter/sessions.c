/* A session is no more than a line of a table: a path, and the kernel that belongs to it. One whose
 * kernel is gone is forgotten as soon as it is looked at. */
#include "api/jupyter/kernels.h"

#include "base/fs.h"
#include "base/mem.h"

#include <string.h>

/* --- models --- */

static void put_session(struct buf *out, const struct session *session, struct str kernel)
{
    buf_putc(out, '{');
    json_put_member(out, "id", session->id);
    json_put_member(out, "path", session->path);
    json_put_member(out, "name", session->name);
    json_put_member(out, "type", session->type);
    json_put_member_raw(out, "kernel", kernel);
    if (strcmp(session->type, "notebook") == 0) {
        json_put_key(out, "notebook");
        buf_putc(out, '{');
        json_put_member(out, "path", session->path);
        json_put_member(out, "name", session->name);
        buf_putc(out, '}');
    }
    buf_putc(out, '}');
}

static void answer_session(struct exchange *exchange, int status, const struct session *session,
                           struct str kernel)
{
    auto_buf struct buf out = {0};

    if (status == 201) {
        auto_free char *location = mem_printf("/api/sessions/%s", session->id);
        exchange_add_header(exchange, "Location", location);
    }
    put_session(&out, session, kernel);
    exchange_answer_json(exchange, status, &out);
}

static void answer_with_kernel(struct exchange *exchange, int status, const struct session *session,
                               const struct any_kernel *kernel)
{
    auto_buf struct buf model = {0};

    any_kernel_put(&model, kernel);
    answer_session(exchange, status, session, (struct str){model.data, model.len});
}

static void answer_with_view(struct exchange *exchange, int status, const struct session *session,
                             const struct kernel_view *view)
{
    auto_buf struct buf model = {0};

    kernel_view_put(&model, view);
    answer_session(exchange, status, session, (struct str){model.data, model.len});
}

/* As jupyter_server words it, so that JupyterLab shows it. */
static void answer_no_start(struct exchange *exchange, const char *why)
{
    auto_buf struct buf out = {0};

    buf_putc(&out, '{');
    json_put_member(&out, "message", why);
    json_put_member(&out, "short_message", "The kernel could not be started");
    json_put_member(&out, "reason", "The kernel could not be started");
    buf_putc(&out, '}');
    exchange_answer_json(exchange, 501, &out);
}

static void answer_refusal(struct exchange *exchange, const struct err *e)
{
    if (e->code == ERR_LIMIT || e->code == ERR_CONFLICT)
        kernels_answer_refusal(exchange, e);
    else
        answer_no_start(exchange, e->text);
}

static void answer_no_session(struct exchange *exchange, const char *id)
{
    auto_free char *text = mem_printf("Session not found: session_id=%s", id);

    exchange_answer_problem(exchange, 404, text, NULL);
}

/* --- looking --- */

/* The sessions are read first: a kernel is there before its session is. */
void sessions_list(struct exchange *exchange, struct jupyter *jupyter)
{
    auto_free struct session *sessions = NULL;
    auto_kernel_set struct kernel_set kernels = {0};
    auto_buf struct buf out = {0};
    size_t count = session_store_list(jupyter->sessions, &sessions);

    kernel_set_read(&kernels, jupyter);
    buf_putc(&out, '[');
    for (size_t i = 0; i < count; i++) {
        auto_buf struct buf model = {0};
        if (kernel_set_put(&kernels, sessions[i].kernel_id, &model)) {
            if (out.len > 1)
                buf_putc(&out, ',');
            put_session(&out, &sessions[i], (struct str){model.data, model.len});
        } else {
            session_store_remove(jupyter->sessions, sessions[i].id);
        }
        session_clear(&sessions[i]);
    }
    buf_putc(&out, ']');
    exchange_answer_json(exchange, 200, &out);
}

/* The session with its kernel; false: there is none (any more). */
static bool find_live(const struct jupyter *jupyter, const char *id, struct session *session,
                      struct any_kernel *kernel)
{
    if (!session_store_find(jupyter->sessions, id, session))
        return false;
    if (any_kernel_find(jupyter, session->kernel_id, kernel) != KERNEL_NONE)
        return true;
    session_store_remove(jupyter->sessions, id);
    return false;
}

void sessions_get(struct exchange *exchange, struct jupyter *jupyter)
{
    const char *id = exchange_segment(exchange, 0);
    auto_session struct session session = {0};
    auto_any_kernel struct any_kernel kernel = {0};

    if (find_live(jupyter, id, &session, &kernel))
        answer_with_kernel(exchange, 200, &session, &kernel);
    else
        answer_no_session(exchange, id);
}

/* --- what is asked for --- */

struct session_request {
    struct session session; /* texts are NULL where nothing was said */
    char *kernel_name, *kernel_id;
    struct client_env env;
};

static void session_request_clear(struct session_request *request)
{
    session_clear(&request->session);
    free(request->kernel_name);
    free(request->kernel_id);
    client_env_clear(&request->env);
}
#define auto_session_request __attribute__((cleanup(session_request_clear)))

static bool is_too_long(const char *text)
{
    return text && strlen(text) > SESSION_TEXT_MAX;
}

/* The old form names the path inside of "notebook", and has no type. */
static int read_notebook(struct session *session, const struct json *body, struct err *e)
{
    if (session->path)
        return 0;
    if (jupyter_read_text(body, json_get(body, 0, "notebook"), "path", &session->path, e) < 0)
        return -1;
    if (session->path && !session->type)
        session->type = mem_strdup("notebook");
    return 0;
}

static int read_texts(struct session_request *request, const struct json *body, struct err *e)
{
    struct session *session = &request->session;
    json_at kernel = json_get(body, 0, "kernel");

    if (jupyter_read_text(body, 0, "path", &session->path, e) < 0 ||
        jupyter_read_text(body, 0, "name", &session->name, e) < 0 ||
        jupyter_read_text(body, 0, "type", &session->type, e) < 0 ||
        jupyter_read_text(body, kernel, "name", &request->kernel_name, e) < 0 ||
        jupyter_read_text(body, kernel, "id", &request->kernel_id, e) < 0 ||
        read_notebook(session, body, e) < 0)
        return -1;
    if (is_too_long(session->path) || is_too_long(session->name) || is_too_long(session->type))
        return err_set(e, ERR_INVALID, "path, name or type is too long");
    return 0;
}

/* -1: the exchange was answered with 400. */
static int read_request(struct exchange *exchange, const struct jupyter *jupyter,
                        struct session_request *request)
{
    auto_json struct json body = {0};
    struct err e;

    if (jupyter_read_body(exchange, &body) < 0)
        return -1;
    if (read_texts(request, &body, &e) == 0 &&
        client_env_read(&request->env, &body, json_get(&body, 0, "env"),
                        jupyter->options.kernel_env, &e) == 0)
        return 0;
    exchange_answer_problem(exchange, 400, e.text, NULL);
    return -1;
}

/* --- with a new kernel --- */

/* A session that waits for its kernel. */
struct beginning {
    struct exchange *exchange;
    struct jupyter *jupyter;
    struct session session;
    char *old_kernel_id; /* which the new one replaces; NULL: the session is new */
};

static void beginning_free(struct beginning *beginning)
{
    session_clear(&beginning->session);
    free(beginning->old_kernel_id);
    free(beginning);
}

static void on_shut_down(void *user, const struct kernel_view *view, const struct err *e)
{
    (void)user;
    (void)view;
    (void)e;
}

/* Nobody waits for it. */
static void shut_down(const struct jupyter *jupyter, const char *kernel_id)
{
    gateway_shutdown(jupyter->options.gateway, kernel_id, on_shut_down, NULL);
}

/* Somebody else may have begun a session with this path meanwhile: there is one for each. */
static bool answer_other(const struct beginning *beginning, const struct kernel_view *view)
{
    const struct jupyter *jupyter = beginning->jupyter;
    auto_session struct session other = {0};
    struct kernel_view kernel = {0};

    if (beginning->old_kernel_id ||
        !session_store_find_path(jupyter->sessions, beginning->session.path, &other) ||
        !gateway_find(jupyter->options.gateway, other.kernel_id, &kernel))
        return false;
    answer_with_view(beginning->exchange, 201, &other, &kernel);
    kernel_view_clear(&kernel);
    shut_down(jupyter, view->id);
    return true;
}

static void answer_full(struct exchange *exchange)
{
    jupyter_answer_failure(exchange, 403, "Resource Limit", "there are too many sessions");
}

static void on_started(void *user, const struct kernel_view *view, const struct err *e)
{
    struct beginning *beginning = user;
    struct session *session = &beginning->session;
    const struct jupyter *jupyter = beginning->jupyter;

    if (!view) {
        answer_refusal(beginning->exchange, e);
    } else if (!answer_other(beginning, view)) {
        free(session->kernel_id);
        session->kernel_id = mem_strdup(view->id);
        if (!session_store_put(jupyter->sessions, session)) {
            shut_down(jupyter, view->id);
            answer_full(beginning->exchange);
        } else {
            if (beginning->old_kernel_id)
                shut_down(jupyter, beginning->old_kernel_id);
            answer_with_view(beginning->exchange, beginning->old_kernel_id ? 200 : 201, session,
                             view);
        }
    }
    beginning_free(beginning);
}

static int make_task(struct interactive_task *task, const struct jupyter *jupyter,
                     const struct session_request *request, const struct session *session,
                     struct err *e)
{
    struct kernel_wish wish = {
        .name = request->kernel_name, .path = session->path, .env = &request->env};

    if (gateway_check_limits(jupyter->options.gateway,
                             client_env_get(&request->env, "KERNEL_USERNAME"), e) < 0 ||
        kernel_make(task, jupyter, &wish, e) != KERNEL_IS_FINE)
        return -1;
    if (kernels_check_id(jupyter, task->kernel_id, e) == 0)
        return 0;
    interactive_task_clear(task);
    return -1;
}

/* `old_kernel_id`: see struct beginning. */
static void begin(struct exchange *exchange, struct jupyter *jupyter,
                  const struct session_request *request, const struct session *session,
                  const char *old_kernel_id)
{
    struct interactive_task task;
    struct err e;

    if (make_task(&task, jupyter, request, session, &e) < 0) {
        answer_refusal(exchange, &e);
        return;
    }
    struct beginning *beginning = mem_zalloc(sizeof *beginning);
    beginning->exchange = exchange;
    beginning->jupyter = jupyter;
    beginning->session = session_copy(session);
    beginning->old_kernel_id = mem_strdup(old_kernel_id);
    gateway_start(jupyter->options.gateway, &task, on_started, beginning);
}

/* --- creating --- */

static bool answer_existing(struct exchange *exchange, const struct jupyter *jupyter,
                            const char *path)
{
    auto_session struct session session = {0};
    auto_any_kernel struct any_kernel kernel = {0};

    if (!session_store_find_path(jupyter->sessions, path, &session))
        return false;
    if (any_kernel_find(jupyter, session.kernel_id, &kernel) == KERNEL_NONE) {
        session_store_remove(jupyter->sessions, session.id);
        return false;
    }
    answer_with_kernel(exchange, 201, &session, &kernel);
    return true;
}

/* With a kernel that is there already; false: it is not. */
static bool put_with_kernel(struct exchange *exchange, const struct jupyter *jupyter, int status,
                            struct session *session, const char *kernel_id)
{
    auto_any_kernel struct any_kernel kernel = {0};

    if (any_kernel_find(jupyter, kernel_id, &kernel) == KERNEL_NONE) {
        auto_free char *text = mem_printf("Kernel does not exist: %s", kernel_id);
        answer_no_start(exchange, text);
        return false;
    }
    free(session->kernel_id);
    session->kernel_id = mem_strdup(kernel_id);
    bool has_room = session_store_put(jupyter->sessions, session);
    if (has_room)
        answer_with_kernel(exchange, status, session, &kernel);
    else
        answer_full(exchange);
    return has_room;
}

static const char *missing_field(const struct session *session)
{
    return !session->path || !*session->path   ? "Missing field in JSON data: path"
           : !session->type || !*session->type ? "Missing field in JSON data: type"
                                               : NULL;
}

void sessions_create(struct exchange *exchange, struct jupyter *jupyter)
{
    auto_session_request struct session_request request = {0};
    struct session *session = &request.session;

    if (read_request(exchange, jupyter, &request) < 0)
        return;
    const char *missing = missing_field(session);
    if (missing) {
        exchange_answer_problem(exchange, 400, missing, NULL);
        return;
    }
    if (answer_existing(exchange, jupyter, session->path))
        return;
    session->id = mem_strdup(uuid_random().text);
    if (!session->name)
        session->name = mem_strdup("");
    if (request.kernel_id)
        put_with_kernel(exchange, jupyter, 201, session, request.kernel_id);
    else
        begin(exchange, jupyter, &request, session, NULL);
}

/* --- changing --- */

static void take_text(char **text, char **take_new)
{
    if (!*take_new)
        return;
    free(*text);
    *text = take_ptr(take_new);
}

void sessions_change(struct exchange *exchange, struct jupyter *jupyter)
{
    const char *id = exchange_segment(exchange, 0);
    auto_session_request struct session_request request = {0};
    auto_session struct session session = {0};
    auto_any_kernel struct any_kernel kernel = {0};

    if (read_request(exchange, jupyter, &request) < 0)
        return;
    if (!find_live(jupyter, id, &session, &kernel)) {
        answer_no_session(exchange, id);
        return;
    }
    auto_free char *old_kernel_id = mem_strdup(session.kernel_id);
    take_text(&session.path, &request.session.path);
    take_text(&session.name, &request.session.name);
    take_text(&session.type, &request.session.type);
    if (request.kernel_name && !request.kernel_id) {
        begin(exchange, jupyter, &request, &session, old_kernel_id);
        return;
    }
    const char *kernel_id = request.kernel_id ? request.kernel_id : old_kernel_id;
    if (put_with_kernel(exchange, jupyter, 200, &session, kernel_id) &&
        strcmp(kernel_id, old_kernel_id) != 0)
        shut_down(jupyter, old_kernel_id);
}

/* --- deleting --- */

static void on_deleted(void *user, const struct kernel_view *view, const struct err *e)
{
    struct exchange *exchange = user;

    if (view)
        exchange_answer(exchange, 204, NULL, NULL);
    else if (e->code == ERR_NOT_FOUND)
        exchange_answer_problem(exchange, 410, "Kernel deleted before session", NULL);
    else
        jupyter_answer_failure(exchange, 500, "The kernel could not be shut down", e->text);
}

/* A step's kernel goes on without the session: it is the run's. */
void sessions_delete(struct exchange *exchange, struct jupyter *jupyter)
{
    const char *id = exchange_segment(exchange, 0);
    auto_session struct session session = {0};
    auto_any_kernel struct any_kernel kernel = {0};

    if (!session_store_find(jupyter->sessions, id, &session) ||
        !session_store_remove(jupyter->sessions, id)) {
        answer_no_session(exchange, id);
        return;
    }
    switch (any_kernel_find(jupyter, session.kernel_id, &kernel)) {
    case KERNEL_NONE:
        exchange_answer_problem(exchange, 410, "Kernel deleted before session", NULL);
        break;
    case KERNEL_INTERACTIVE:
        gateway_shutdown(jupyter->options.gateway, session.kernel_id, on_deleted, exchange);
        break;
    case KERNEL_OF_STEP:
        exchange_answer(exchange, 204, NULL, NULL);
        break;
    }
}
