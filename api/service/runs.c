#include "api/service/runs.h"

#include "api/service/body.h"
#include "api/service/list_query.h"
#include "api/service/parts.h"
#include "api/service/request_key.h"
#include "api/service/run_json.h"
#include "api/service/run_request.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runner/engine/rerun.h"
#include "runner/plan/project.h"

#include <string.h>

/* --- commands --- */

/* A command on its way through the engine. */
struct command {
    struct exchange *exchange;
    struct service *service;
    struct buf steps; /* of a run that is to be accepted, as JSON */
};

static struct command *command_new(struct exchange *exchange, struct service *service)
{
    struct command *command = mem_zalloc(sizeof *command);

    command->exchange = exchange;
    command->service = service;
    return command;
}

static void command_free(struct command *command)
{
    buf_clear(&command->steps);
    free(command);
}

/* A store that cannot be written and a queue that is full are nobody's fault and may pass. */
static void answer_refusal(struct exchange *exchange, const struct err *e)
{
    struct err shown = *e;

    if (e->code == ERR_IO || e->code == ERR_LIMIT)
        shown.code = ERR_UNAVAILABLE;
    exchange_answer_err(exchange, &shown, NULL);
}

/* The run as it is now. `steps`: those of a run that was just accepted; none: they are read. */
static void answer_run(const struct service *service, struct exchange *exchange, int status,
                       const char *run_uuid, struct str steps)
{
    auto_buf struct buf out = {0};
    struct err e;
    struct store *store = readers_lend(service->readers, &e);
    int result = -1;

    if (store && steps.len > 0)
        result = run_json_put_accepted(&out, store, service->projects, run_uuid, steps, &e);
    else if (store)
        result = run_json_put(&out, store, service->projects, run_uuid, &e);
    readers_give_back(service->readers, store);
    if (result < 0)
        answer_refusal(exchange, &e);
    else
        exchange_answer_json(exchange, status, &out);
}

static void answer_accepted(const struct service *service, struct exchange *exchange,
                            const char *run_uuid, bool is_repeated, struct str steps)
{
    auto_free char *location = mem_printf("/api/v1/runs/%s", run_uuid);

    exchange_add_header(exchange, "Location", location);
    if (is_repeated)
        exchange_add_header(exchange, "Idempotency-Replayed", "true");
    answer_run(service, exchange, 201, run_uuid, is_repeated ? (struct str){0} : steps);
}

/* --- keys of requests --- */

/* Who asks again gets the run of the first time, whatever has become of the project since: the key
 * is looked up before anything is checked. The engine decides between two that come at once.
 * 1: the exchange was answered, -1 as well. */
static int answer_repeated(const struct service *service, struct exchange *exchange,
                           const struct request_key *key)
{
    struct err e;
    struct uuid run;
    char digest[65];
    struct store *store = readers_lend(service->readers, &e);
    int found = store ? store_request(store, key->key, digest, &run, &e) : -1;

    readers_give_back(service->readers, store);
    if (found > 0 && request_key_check(key, digest, &e) < 0)
        found = -1;
    if (found < 0)
        answer_refusal(exchange, &e);
    else if (found > 0)
        answer_accepted(service, exchange, run.text, true, (struct str){0});
    return found;
}

/* The request's key; key->key NULL: it has none. -1, 1: the exchange was answered. */
static int read_key(const struct service *service, struct exchange *exchange,
                    struct request_key *key)
{
    if (request_key_read(exchange, key) < 0)
        return -1;
    return key->key ? answer_repeated(service, exchange, key) : 0;
}

/* --- new runs --- */

static void on_accepted(void *user, const struct engine_reply *reply)
{
    struct command *command = user;

    if (reply->error)
        answer_refusal(command->exchange, reply->error);
    else
        answer_accepted(command->service, command->exchange, reply->run_uuid, reply->is_repeated,
                        (struct str){command->steps.data, command->steps.len});
    command_free(command);
}

static void submit(struct service *service, struct exchange *exchange,
                   struct submission *take_submission, const struct request_key *key)
{
    struct command *command = command_new(exchange, service);
    struct err e;

    run_json_put_accepted_steps(&command->steps, take_submission);
    if (engine_post_submit(service->engine, take_submission, key->key ? key : NULL, on_accepted,
                           command, &e) == 0)
        return;
    answer_refusal(exchange, &e);
    command_free(command);
}

static int make_submission(const struct service *service, const struct json *body,
                           struct submission **ret_submission, struct problems *problems,
                           struct err *e)
{
    auto_run_request struct run_request request = {0};

    if (run_request_read(&request, body, service->projects, problems, e) < 0)
        return -1;
    return run_request_submission(&request, ret_submission, problems, e);
}

void runs_create(struct exchange *exchange, void *user)
{
    struct service *service = user;
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    struct submission *submission;
    struct request_key key;
    struct err e;

    if (read_key(service, exchange, &key) != 0 || body_parse(exchange, &body) < 0)
        return;
    if (make_submission(service, &body, &submission, &problems, &e) < 0)
        exchange_answer_err(exchange, &e, &problems);
    else
        submit(service, exchange, submission, &key);
}

/* --- runs again --- */

static const struct body_field rerun_fields[] = {
    {"from", JSON_STRING, FIELD_REQUIRED},
    {"keep_kernels", JSON_NUMBER, FIELD_OPTIONAL},
    {0},
};

struct rerun_body {
    struct rerun_wish wish;
    uint32_t keep_kernels_s; /* what the wish points to, where it is given */
};

static int read_rerun(const struct json *body, struct rerun_body *ret_body,
                      struct problems *problems, struct err *e)
{
    body_check(body, rerun_fields, problems);
    json_at from = body_get(body, rerun_fields, "from");
    bool is_failed = json_is(body, from, "failed");
    if (from != JSON_NONE && !is_failed && !json_is(body, from, "start"))
        problems_add(problems, body, from, "must be \"start\" or \"failed\"");
    json_at keep = body_get(body, rerun_fields, "keep_kernels");
    ret_body->keep_kernels_s = body_seconds(body, keep, LIMIT_KEEP_KERNELS_S, problems);
    ret_body->wish = (struct rerun_wish){
        .from = is_failed ? RERUN_FAILED : RERUN_START,
        .keep_kernels_s = keep == JSON_NONE ? NULL : &ret_body->keep_kernels_s,
    };
    return problems->total > 0 ? problems_to_err(problems, e) : 0;
}

static int make_rerun(const struct service *service, const char *run_uuid, const struct json *body,
                      struct submission **ret_submission, struct problems *problems, struct err *e)
{
    struct rerun_body asked;

    if (read_rerun(body, &asked, problems, e) < 0)
        return -1;
    struct store *store = readers_lend(service->readers, e);
    if (!store)
        return -1;
    int result = rerun_make(store, run_uuid, &asked.wish, ret_submission, problems, e);
    readers_give_back(service->readers, store);
    return result;
}

void runs_rerun(struct exchange *exchange, void *user)
{
    struct service *service = user;
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    struct submission *submission;
    struct request_key key;
    struct err e;

    if (read_key(service, exchange, &key) != 0 || body_parse(exchange, &body) < 0)
        return;
    if (make_rerun(service, exchange_segment(exchange, 0), &body, &submission, &problems, &e) < 0)
        exchange_answer_err(exchange, &e, &problems);
    else
        submit(service, exchange, submission, &key);
}

/* --- the end of runs --- */

static void on_cancelled(void *user, const struct engine_reply *reply)
{
    struct command *command = user;

    if (reply->error)
        answer_refusal(command->exchange, reply->error);
    else
        answer_run(command->service, command->exchange, 202, reply->run_uuid, (struct str){0});
    command_free(command);
}

void runs_cancel(struct exchange *exchange, void *user)
{
    struct service *service = user;
    struct err e;

    if (body_must_be_empty(exchange) < 0)
        return;
    struct command *command = command_new(exchange, service);
    if (engine_post_cancel(service->engine, exchange_segment(exchange, 0), on_cancelled, command,
                           &e) == 0)
        return;
    answer_refusal(exchange, &e);
    command_free(command);
}

static void on_deleted(void *user, const struct engine_reply *reply)
{
    struct command *command = user;

    if (reply->error)
        answer_refusal(command->exchange, reply->error);
    else
        exchange_answer(command->exchange, 204, NULL, NULL);
    command_free(command);
}

void runs_delete(struct exchange *exchange, void *user)
{
    struct service *service = user;
    struct command *command = command_new(exchange, service);
    struct err e;

    if (engine_post_delete(service->engine, exchange_segment(exchange, 0), on_deleted, command,
                           &e) == 0)
        return;
    answer_refusal(exchange, &e);
    command_free(command);
}

/* --- one run --- */

static int read_run_and_event(const struct service *service, struct store *store,
                              const char *run_uuid, struct buf *out, int64_t *ret_last,
                              struct err *e)
{
    if (store_begin_reading(store, e) < 0 || store_last_event(store, ret_last, e) < 0)
        return -1;
    return run_json_put(out, store, service->projects, run_uuid, e);
}

static int put_run_and_event(const struct service *service, const char *run_uuid, struct buf *out,
                             struct err *e)
{
    struct store *store = readers_lend(service->readers, e);
    int64_t last = 0;

    if (!store)
        return -1;
    int result = read_run_and_event(service, store, run_uuid, out, &last, e);
    store_end_reading(store);
    readers_give_back(service->readers, store);
    if (result < 0)
        return -1;
    out->len--; /* the closing brace */
    json_put_member_int(out, "last_event_id", last);
    buf_putc(out, '}');
    return 0;
}

/* An open run says so; inside of a string the quotes would be escaped. */
static bool has_ended(const struct buf *run)
{
    return strstr(run->data, "\"finished_time\":null") == NULL;
}

static int put_run(const struct service *service, const char *run_uuid, struct buf *out,
                   struct err *e)
{
    struct engine_version now = engine_version(service->engine);

    if (run_cache_get(service->run_cache, run_uuid, &now, out))
        return 0;
    if (put_run_and_event(service, run_uuid, out, e) < 0)
        return -1;
    run_cache_put(service->run_cache, run_uuid, &now, has_ended(out),
                  (struct str){out->data, out->len});
    return 0;
}

void runs_get(struct exchange *exchange, void *user)
{
    auto_buf struct buf out = {0};
    struct err e;

    if (put_run(user, exchange_segment(exchange, 0), &out, &e) < 0)
        exchange_answer_err(exchange, &e, NULL);
    else
        exchange_answer_json(exchange, 200, &out);
}

/* --- many runs --- */

struct list_query {
    struct store_filter filter;
    enum run_json_steps steps;
    char *project; /* what filter.project points to */
};

static int parse_status(const char *name, unsigned *ret_status, struct err *e)
{
    enum status status;

    if (status_parse(name, &status, e) < 0)
        return -1;
    *ret_status = status;
    return 0;
}

static int read_list_query(const struct service *service, struct exchange *exchange,
                           struct list_query *query, struct err *e)
{
    const char *status = exchange_query(exchange, "status");
    const char *project = exchange_query(exchange, "project");
    const char *include = exchange_query(exchange, "include");

    query->filter.pipeline_uuid = exchange_query(exchange, "pipeline_uuid");
    query->filter.job_uuid = exchange_query(exchange, "job_uuid");
    query->steps = include ? RUN_JSON_WITH_STEPS : RUN_JSON_WITHOUT_STEPS;
    if (project)
        query->filter.project = query->project = list_query_project(service->projects, project);
    if (include && strcmp(include, "steps") != 0)
        return err_set(e, ERR_INVALID, "include can be \"steps\" only, is \"%s\"", include);
    if (status && list_query_set(status, parse_status, &query->filter.statuses, e) < 0)
        return err_prefix(e, "status");
    return list_query_page(exchange, &query->filter.limit, &query->filter.before, e);
}

static int put_list(const struct service *service, const struct list_query *query, struct buf *out,
                    struct err *e)
{
    struct store *store = readers_lend(service->readers, e);
    int64_t last = 0, cursor = 0;
    int result = -1;

    buf_puts(out, "{\"runs\":");
    if (store && store_last_event(store, &last, e) == 0)
        result = run_json_put_list(out, store, service->projects, &query->filter, query->steps,
                                   &cursor, e);
    readers_give_back(service->readers, store);
    if (result < 0)
        return -1;
    list_query_put_cursor(out, cursor);
    json_put_member_int(out, "last_event_id", last);
    buf_putc(out, '}');
    return 0;
}

void runs_list(struct exchange *exchange, void *user)
{
    const struct service *service = user;
    struct list_query query = {0};
    auto_buf struct buf out = {0};
    struct err e;

    if (read_list_query(service, exchange, &query, &e) < 0)
        exchange_answer_problem(exchange, 400, e.text, NULL);
    else if (put_list(service, &query, &out, &e) < 0)
        exchange_answer_err(exchange, &e, NULL);
    else
        exchange_answer_json(exchange, 200, &out);
    free(query.project);
}
