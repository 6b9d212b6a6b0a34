#include "api/service/jobs_api.h"

#include "api/service/body.h"
#include "api/service/job_body.h"
#include "api/service/job_json.h"
#include "api/service/list_query.h"
#include "api/service/parts.h"
#include "api/service/request_key.h"
#include "base/mem.h"

/* A store that cannot be written may be written later. What is over a limit was not the body. */
static void answer_refusal(struct exchange *exchange, const struct err *e,
                           const struct problems *problems)
{
    struct err shown = *e;

    if (e->code == ERR_IO)
        shown.code = ERR_UNAVAILABLE;
    if (e->code == ERR_LIMIT)
        shown.code = ERR_INVALID;
    exchange_answer_err(exchange, &shown, problems);
}

/* --- one job --- */

static int read_job(const struct service *service, const char *job_uuid, struct stored_job *job,
                    struct err *e)
{
    struct job_store *store = jobs_lend(service->jobs, e);
    int result = store ? stored_job_read(store, job_uuid, job, e) : -1;

    jobs_give_back(service->jobs, store);
    return result;
}

static int put_job(const struct service *service, struct job_store *store, const char *job_uuid,
                   char *const *retained, struct buf *out, struct err *e)
{
    auto_stored_job struct stored_job job = {0};

    if (job_store_begin_reading(store, e) < 0)
        return -1;
    int result = stored_job_read(store, job_uuid, &job, e);
    if (result == 0)
        result = job_json_put(out, store, service->projects, &job, retained, e);
    job_store_end_reading(store);
    return result;
}

static void answer_job(const struct service *service, struct exchange *exchange, int status,
                       const char *job_uuid)
{
    auto_buf struct buf out = {0};
    char **retained = NULL;
    struct job_store *store = NULL;
    struct err e;
    int result = jobs_retention(service->jobs, job_uuid, &retained, &e);

    if (result == 0)
        store = jobs_lend(service->jobs, &e);
    result = store ? put_job(service, store, job_uuid, retained, &out, &e) : -1;
    jobs_give_back(service->jobs, store);
    mem_free_texts(retained);
    if (result < 0)
        answer_refusal(exchange, &e, NULL);
    else
        exchange_answer_json(exchange, status, &out);
}

void jobs_api_get(struct exchange *exchange, void *user)
{
    answer_job(user, exchange, 200, exchange_segment(exchange, 0));
}

/* --- new jobs --- */

static void answer_made(const struct service *service, struct exchange *exchange,
                        const struct uuid *job, bool is_repeated)
{
    auto_free char *location = mem_printf("/api/v1/jobs/%s", job->text);

    exchange_add_header(exchange, "Location", location);
    if (is_repeated)
        exchange_add_header(exchange, "Idempotency-Replayed", "true");
    answer_job(service, exchange, 201, job->text);
}

/* As runs.c: who asks again gets the job of the first time. 1: the exchange was answered, -1 as
 * well. */
static int answer_repeated(const struct service *service, struct exchange *exchange,
                           const struct request_key *key)
{
    struct err e;
    struct uuid job;
    char digest[65];
    struct job_store *store = jobs_lend(service->jobs, &e);
    int found = store ? job_store_request(store, key->key, digest, &job, &e) : -1;

    jobs_give_back(service->jobs, store);
    if (found > 0 && request_key_check(key, digest, &e) < 0)
        found = -1;
    if (found < 0)
        answer_refusal(exchange, &e, NULL);
    else if (found > 0)
        answer_made(service, exchange, &job, true);
    return found;
}

/* The body, and the key that the request may have. -1, 1: the exchange was answered. */
static int read_request(const struct service *service, struct exchange *exchange,
                        struct request_key *key, struct json *body)
{
    if (request_key_read(exchange, key) < 0)
        return -1;
    int found = key->key ? answer_repeated(service, exchange, key) : 0;
    return found == 0 ? body_parse(exchange, body) : found;
}

static void make_job(const struct service *service, struct exchange *exchange,
                     struct job_request *request, const struct request_key *key)
{
    struct uuid job;
    bool is_repeated = false;
    struct err e;

    if (key->key) {
        request->key = key->key;
        request->digest = key->digest;
    }
    if (jobs_create(service->jobs, request, &job, &is_repeated, &e) < 0)
        answer_refusal(exchange, &e, NULL);
    else
        answer_made(service, exchange, &job, is_repeated);
}

void jobs_api_create(struct exchange *exchange, void *user)
{
    const struct service *service = user;
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    auto_job_body struct job_body job = {0};
    struct request_key key;
    struct err e;

    if (read_request(service, exchange, &key, &body) != 0)
        return;
    if (job_body_read(&job, &body, service->projects, &problems, &e) < 0) {
        exchange_answer_err(exchange, &e, &problems);
        return;
    }
    struct job_request request = {
        .name = job.name,
        .project_dir = job.source.project.dir,
        .pipeline_path = job.source.project.pipeline_path,
        .pipeline = job.source.pipeline,
        .sets = job.sets,
        .schedule = job.schedule,
        .policy = &job.policy,
        .is_draft = job.is_draft,
    };
    make_job(service, exchange, &request, &key);
}

void jobs_api_preview(struct exchange *exchange, void *user)
{
    const struct service *service = user;
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    auto_job_body struct job_body job = {0};
    auto_buf struct buf out = {0};
    struct err e;

    if (body_parse(exchange, &body) < 0)
        return;
    if (job_body_read(&job, &body, service->projects, &problems, &e) < 0) {
        exchange_answer_err(exchange, &e, &problems);
        return;
    }
    job_json_put_preview(&out, &job, clock_wall());
    exchange_answer_json(exchange, 200, &out);
}

void jobs_api_duplicate(struct exchange *exchange, void *user)
{
    const struct service *service = user;
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    auto_stored_job struct stored_job job = {0};
    auto_job_change_body struct job_change_body made = {0};
    struct request_key key;
    struct err e;

    if (read_request(service, exchange, &key, &body) != 0)
        return;
    if (read_job(service, exchange_segment(exchange, 0), &job, &e) < 0) {
        answer_refusal(exchange, &e, NULL);
        return;
    }
    if (job_duplicate_body_read(&made, &body, service->projects, &job, &problems, &e) < 0) {
        exchange_answer_err(exchange, &e, &problems);
        return;
    }
    struct job_request request = {
        .name = made.name,
        .project_dir = job.held.row.project,
        .pipeline_path = job.held.row.pipeline_path,
        .pipeline = made.pipeline,
        .sets = made.sets,
        .schedule = job.schedule,
        .policy = &job.policy,
        .duplicate_of = job.held.row.uuid,
        .is_draft = true,
    };
    make_job(service, exchange, &request, &key);
}

/* --- changes --- */

void jobs_api_change(struct exchange *exchange, void *user)
{
    const struct service *service = user;
    const char *job_uuid = exchange_segment(exchange, 0);
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    auto_stored_job struct stored_job job = {0};
    auto_job_change_body struct job_change_body asked = {0};
    struct err e;

    if (body_parse(exchange, &body) < 0)
        return;
    if (read_job(service, job_uuid, &job, &e) < 0) {
        answer_refusal(exchange, &e, NULL);
        return;
    }
    if (job_change_body_read(&asked, &body, service->projects, &job, &problems, &e) < 0) {
        exchange_answer_err(exchange, &e, &problems);
        return;
    }
    struct job_change change = {
        .name = asked.name,
        .pipeline = asked.pipeline,
        .sets = asked.sets,
        .schedule = asked.schedule,
        .policy = asked.has_policy ? &asked.policy : NULL,
    };
    if (jobs_change(service->jobs, job_uuid, &change, &e) < 0)
        answer_refusal(exchange, &e, NULL);
    else
        answer_job(service, exchange, 200, job_uuid);
}

typedef int change_fn(struct jobs *jobs, const char *job_uuid, struct err *e);

/* What needs no more than the job's name. */
static void change(const struct service *service, struct exchange *exchange, change_fn *fn,
                   int status)
{
    const char *job_uuid = exchange_segment(exchange, 0);
    struct err e;

    if (body_must_be_empty(exchange) < 0)
        return;
    if (fn(service->jobs, job_uuid, &e) < 0)
        answer_refusal(exchange, &e, NULL);
    else
        answer_job(service, exchange, status, job_uuid);
}

void jobs_api_confirm(struct exchange *exchange, void *user)
{
    change(user, exchange, jobs_confirm, 200);
}

void jobs_api_pause(struct exchange *exchange, void *user)
{
    change(user, exchange, jobs_pause, 200);
}

void jobs_api_resume(struct exchange *exchange, void *user)
{
    change(user, exchange, jobs_resume, 200);
}

void jobs_api_abort(struct exchange *exchange, void *user)
{
    change(user, exchange, jobs_abort, 202);
}

void jobs_api_delete(struct exchange *exchange, void *user)
{
    const struct service *service = user;
    struct err e;

    if (jobs_delete(service->jobs, exchange_segment(exchange, 0), &e) < 0)
        answer_refusal(exchange, &e, NULL);
    else
        exchange_answer(exchange, 204, NULL, NULL);
}

/* --- fires --- */

static int read_fire(const struct service *service, const char *job_uuid, uint32_t number,
                     struct fire_row *ret_fire, struct err *e)
{
    auto_held_job struct held_job held = {0};
    struct job_store *store = jobs_lend(service->jobs, e);
    int result = store ? stored_job_read_row(store, job_uuid, &held, e) : -1;

    if (result == 0) {
        const struct fire_filter filter = {.job = held.row.id, .number = number, .limit = 1};
        result = job_store_fires(store, &filter, held_fire_take, ret_fire, e);
    }
    jobs_give_back(service->jobs, store);
    return result < 0 ? -1 : 0;
}

void jobs_api_trigger(struct exchange *exchange, void *user)
{
    const struct service *service = user;
    const char *job_uuid = exchange_segment(exchange, 0);
    auto_buf struct buf out = {0};
    struct fire_row fire = {0};
    uint32_t number;
    struct err e;

    if (body_must_be_empty(exchange) < 0)
        return;
    if (jobs_trigger(service->jobs, job_uuid, &number, &e) < 0 ||
        read_fire(service, job_uuid, number, &fire, &e) < 0) {
        answer_refusal(exchange, &e, NULL);
        return;
    }
    job_json_put_fire(&out, &fire);
    exchange_answer_json(exchange, 201, &out);
}

static int put_fires(const struct service *service, const char *job_uuid,
                     struct fire_filter *filter, struct buf *out, struct err *e)
{
    auto_held_job struct held_job held = {0};
    struct job_store *store = jobs_lend(service->jobs, e);
    int64_t cursor = 0;
    int result = store ? stored_job_read_row(store, job_uuid, &held, e) : -1;

    filter->job = held.row.id;
    buf_puts(out, "{\"fires\":");
    if (result == 0)
        result = job_json_put_fires(out, store, filter, &cursor, e);
    jobs_give_back(service->jobs, store);
    list_query_put_cursor(out, cursor);
    buf_putc(out, '}');
    return result;
}

static int read_fires_query(struct exchange *exchange, struct fire_filter *filter, struct err *e)
{
    const char *text = exchange_query(exchange, "number");
    int64_t number = 0;

    if (text && !list_query_number(text, UINT32_MAX, &number))
        return err_set(e, ERR_INVALID, "number is that of a fire, from 1 on");
    filter->number = (uint32_t)number;
    return list_query_page(exchange, &filter->limit, &filter->before, e);
}

void jobs_api_fires(struct exchange *exchange, void *user)
{
    auto_buf struct buf out = {0};
    struct fire_filter filter = {0};
    struct err e;

    if (read_fires_query(exchange, &filter, &e) < 0)
        exchange_answer_problem(exchange, 400, e.text, NULL);
    else if (put_fires(user, exchange_segment(exchange, 0), &filter, &out, &e) < 0)
        exchange_answer_err(exchange, &e, NULL);
    else
        exchange_answer_json(exchange, 200, &out);
}

/* --- many jobs --- */

static int parse_state(const char *name, unsigned *ret_state, struct err *e)
{
    enum job_state state;

    if (job_state_parse(name, &state, e) < 0)
        return -1;
    *ret_state = state;
    return 0;
}

/* free() *ret_project, to which the filter points. */
static int read_list_query(const struct service *service, struct exchange *exchange,
                           struct job_filter *filter, char **ret_project, struct err *e)
{
    const char *status = exchange_query(exchange, "status");
    const char *project = exchange_query(exchange, "project");

    filter->pipeline_uuid = exchange_query(exchange, "pipeline_uuid");
    if (status && list_query_set(status, parse_state, &filter->states, e) < 0)
        return err_prefix(e, "status");
    if (project)
        filter->project = *ret_project = list_query_project(service->projects, project);
    return list_query_page(exchange, &filter->limit, &filter->before, e);
}

static int put_list(const struct service *service, const struct job_filter *filter, struct buf *out,
                    struct err *e)
{
    struct job_store *store = jobs_lend(service->jobs, e);
    int64_t cursor = 0;
    int result = -1;

    buf_puts(out, "{\"jobs\":");
    if (store)
        result = job_json_put_list(out, store, service->projects, filter, &cursor, e);
    jobs_give_back(service->jobs, store);
    list_query_put_cursor(out, cursor);
    buf_putc(out, '}');
    return result;
}

void jobs_api_list(struct exchange *exchange, void *user)
{
    const struct service *service = user;
    struct job_filter filter = {0};
    auto_free char *project = NULL;
    auto_buf struct buf out = {0};
    struct err e;

    if (read_list_query(service, exchange, &filter, &project, &e) < 0)
        exchange_answer_problem(exchange, 400, e.text, NULL);
    else if (put_list(service, &filter, &out, &e) < 0)
        exchange_answer_err(exchange, &e, NULL);
    else
        exchange_answer_json(exchange, 200, &out);
}
