#include "api/service/jobs_api.h"

#include "api/service/list_query.h"
#include "api/service/parts.h"
#include "api/service/results_table.h"
#include "api/service/stored_job.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

#define ROWS_DEFAULT 100

struct results_query {
    const char *sort; /* NULL: by the objective */
    bool is_csv;
    bool is_all;          /* all fires */
    uint32_t fire_number; /* else this one; 0: the latest */
    uint32_t first, limit;
};

static int read_fire_query(const char *text, struct results_query *query, struct err *e)
{
    int64_t number = 0;

    query->is_all = text && strcmp(text, "all") == 0;
    if (!text || query->is_all || strcmp(text, "latest") == 0)
        return 0;
    if (!list_query_number(text, UINT32_MAX, &number))
        return err_set(e, ERR_INVALID, "fire is a number from 1 on, \"latest\" or \"all\"");
    query->fire_number = (uint32_t)number;
    return 0;
}

/* A table to be kept is asked for whole, unless it is said how much. */
static int read_page(struct exchange *exchange, struct results_query *query, struct err *e)
{
    const char *limit = exchange_query(exchange, "limit");
    const char *cursor = exchange_query(exchange, "cursor");
    int64_t count = query->is_csv ? LIMIT_RESULTS_ROWS : ROWS_DEFAULT, first = 0;

    if (limit && !list_query_number(limit, LIMIT_JOB_SETS, &count))
        return err_set(e, ERR_INVALID, "limit is a number from 1 to %u", LIMIT_JOB_SETS);
    if (cursor && !list_query_number(cursor, LIMIT_RESULTS_ROWS, &first))
        return err_set(e, ERR_INVALID, "cursor is not what next_cursor of an earlier answer was");
    query->limit = (uint32_t)count;
    query->first = (uint32_t)first;
    return 0;
}

static int read_query(struct exchange *exchange, struct results_query *query, struct err *e)
{
    const char *format = exchange_query(exchange, "format");

    query->sort = exchange_query(exchange, "sort");
    query->is_csv = format && strcmp(format, "csv") == 0;
    if (format && !query->is_csv && strcmp(format, "json") != 0)
        return err_set(e, ERR_INVALID, "format is \"json\" or \"csv\", is \"%s\"", format);
    if (read_fire_query(exchange_query(exchange, "fire"), query, e) < 0)
        return -1;
    return read_page(exchange, query, e);
}

/* --- which fire --- */

/* The newest whose sets have been begun, or have ended. */
static int on_fire(void *data, const struct fire_row *fire, struct err *e)
{
    struct fire_row *found = data;

    (void)e;
    if (fire->state == FIRE_WAITING || fire->state == FIRE_SKIPPED)
        return 0;
    *found = *fire;
    return 1;
}

/* fire->id 0: there is none yet. */
static int find_fire(struct job_store *store, int64_t job, uint32_t number, struct fire_row *fire,
                     struct err *e)
{
    const struct fire_filter filter = {.job = job, .number = number, .limit = number ? 1 : 0};

    if (job_store_fires(store, &filter, number ? held_fire_take : on_fire, fire, e) < 0)
        return -1;
    if (number > 0 && fire->id == 0)
        return err_set(e, ERR_NOT_FOUND, "the job has no fire %" PRIu32, number);
    return 0;
}

/* --- the answer --- */

static void put_head(struct buf *out, const struct stored_job *job,
                     const struct results_query *query, const struct fire_row *fire)
{
    buf_putc(out, '{');
    json_put_member(out, "job_uuid", job->held.row.uuid);
    json_put_key(out, "fire");
    if (query->is_all)
        buf_puts(out, "\"all\"");
    else if (fire->id > 0)
        buf_put_int(out, fire->number);
    else
        buf_puts(out, "null");
    json_put_key(out, "objective");
    if (!job->policy.metric) {
        buf_puts(out, "null");
        return;
    }
    buf_putc(out, '{');
    json_put_member(out, "metric", job->policy.metric);
    json_put_member(out, "goal", job->policy.is_least ? "min" : "max");
    buf_putc(out, '}');
}

static void put_table(struct buf *out, const struct stored_job *job,
                      const struct results_query *query, const struct fire_row *fire,
                      const struct results_table *table)
{
    if (query->is_csv) {
        results_table_put_csv(table, query->first, query->limit, out);
        return;
    }
    put_head(out, job, query, fire);
    uint32_t next = results_table_put(table, query->first, query->limit, out);
    list_query_put_cursor(out, next);
    buf_putc(out, '}');
}

static int fill(struct results_table *table, struct job_store *store, int64_t job, int64_t fire,
                struct err *e)
{
    const struct set_filter filter = {.job = job, .fire = fire};

    if (job_store_sets(store, &filter, results_table_add_set, table, e) < 0)
        return -1;
    return job_store_metrics(store, job, fire, results_table_add_metric, table, e) < 0 ? -1 : 0;
}

/* 1: what the query asks for there is not. */
static int read_results(struct job_store *store, const char *job_uuid,
                        const struct results_query *query, struct buf *out, struct err *e)
{
    auto_stored_job struct stored_job job = {0};
    auto_results_table struct results_table *table = NULL;
    const struct parameter_axis *axes;
    struct fire_row fire = {0};

    if (stored_job_read(store, job_uuid, &job, e) < 0)
        return -1;
    int64_t id = job.held.row.id;
    if (!query->is_all && find_fire(store, id, query->fire_number, &fire, e) < 0)
        return -1;
    uint32_t count = parameter_sets_axes(job.sets, &axes);
    table = results_table_new(job.pipeline, axes, count);
    if ((query->is_all || fire.id > 0) && fill(table, store, id, fire.id, e) < 0)
        return -1;
    if (results_table_sort(table, query->sort, &job.policy, e) < 0)
        return 1;
    put_table(out, &job, query, &fire, table);
    return 0;
}

static int put_results(const struct service *service, const char *job_uuid,
                       const struct results_query *query, struct buf *out, struct err *e)
{
    struct job_store *store = jobs_lend(service->jobs, e);

    if (!store)
        return -1;
    int result = job_store_begin_reading(store, e);
    if (result == 0) {
        result = read_results(store, job_uuid, query, out, e);
        job_store_end_reading(store);
    }
    jobs_give_back(service->jobs, store);
    return result;
}

void jobs_api_results(struct exchange *exchange, void *user)
{
    struct results_query query = {0};
    auto_buf struct buf out = {0};
    struct err e;

    if (read_query(exchange, &query, &e) < 0) {
        exchange_answer_problem(exchange, 400, e.text, NULL);
        return;
    }
    int result = put_results(user, exchange_segment(exchange, 0), &query, &out, &e);
    if (result > 0)
        exchange_answer_problem(exchange, 400, e.text, NULL);
    else if (result < 0)
        exchange_answer_err(exchange, &e, NULL);
    else if (query.is_csv)
        exchange_answer(exchange, 200, "text/csv; charset=utf-8", &out);
    else
        exchange_answer_json(exchange, 200, &out);
}
