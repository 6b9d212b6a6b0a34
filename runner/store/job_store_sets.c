/* Sets, and what their runs have reported. */
#include "runner/store/job_store_inner.h"

#include "base/mem.h"

/* ---- writing ---- */

/* What job_store_add_set and job_store_set_set both write, in the order of their statements. */
static void put_set(struct row *row, const struct set_row *set)
{
    row_put_text(row, status_name(set->status));
    row_put_text(row, cause_name(set->cause));
    row_put(row, set->is_posted);
    row_put(row, set->tries_used);
    row_put(row, set->tries_lost);
    row_put(row, set->not_before);
    row_put(row, set->started_time);
    row_put(row, set->finished_time);
    row_put_text(row, set->run_uuid);
    row_put(row, set->is_run_deleted);
}

static int add_set(struct job_store *store, const struct set_row *set, int64_t *ret_set,
                   struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_SET);

    row_put(&row, set->job);
    row_put(&row, set->fire);
    row_put(&row, set->number);
    row_put_text(&row, set->parameters);
    put_set(&row, set);
    if (row_run(&row, e) < 0)
        return -1;
    *ret_set = database_last_id(&store->database);
    return 0;
}

int job_store_add_set(struct job_store *store, const struct set_row *set, int64_t *ret_set,
                      struct err *e)
{
    int64_t added[STATUS_COUNT] = {0};
    int64_t id;

    added[set->status] = 1;
    if (add_set(store, set, &id, e) < 0 || job_store_count_sets(store, set->fire, added, e) < 0)
        return -1;
    *ret_set = id;
    return 0;
}

static int status_of_set(struct job_store *store, int64_t set, enum status *ret_status,
                         int64_t *ret_fire, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_STATUS_OF_SET);

    row_put(&row, set);
    int found = row_step(&row, e);
    if (found == 0)
        err_set(e, ERR_NOT_FOUND, "\"%s\": no such set", store->database.path);
    if (found <= 0)
        return -1;
    *ret_fire = row_int(&row);
    if (status_parse(row_text(&row), ret_status, e) == 0)
        return 0;
    database_damaged(&store->database, "a set", e);
    return -1;
}

static int set_set(struct job_store *store, const struct set_row *set, struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_SET_SET);

    row_put(&row, set->id);
    put_set(&row, set);
    return row_update(&row, "set", e);
}

int job_store_set_set(struct job_store *store, const struct set_row *set, struct err *e)
{
    int64_t added[STATUS_COUNT] = {0};
    enum status before;
    int64_t fire;

    if (status_of_set(store, set->id, &before, &fire, e) < 0 || set_set(store, set, e) < 0)
        return -1;
    added[before]--;
    added[set->status]++;
    return before == set->status ? 0 : job_store_count_sets(store, fire, added, e);
}

int job_store_abort_pending(struct job_store *store, int64_t fire, enum cause cause, msec time,
                            struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ABORT_PENDING);

    row_put(&row, fire);
    row_put_text(&row, cause_name(cause));
    row_put(&row, time);
    int64_t aborted = row_change(&row, e);
    const int64_t added[STATUS_COUNT] = {[STATUS_PENDING] = -aborted, [STATUS_ABORTED] = aborted};
    return aborted < 0 ? -1 : job_store_count_sets(store, fire, added, e);
}

/* ---- reading ---- */

static int read_set(struct row *row, struct set_row *set, struct err *e)
{
    *set = (struct set_row){.id = row_int(row), .job = row_int(row), .fire = row_int(row)};
    set->fire_number = (uint32_t)row_int(row);
    set->number = (uint32_t)row_int(row);
    if (status_parse(row_text(row), &set->status, e) < 0)
        return database_damaged(row->database, "a set", e);
    set->cause = cause_of_name(row_text(row));
    set->is_posted = row_int(row) != 0;
    set->tries_used = (uint32_t)row_int(row);
    set->tries_lost = (uint32_t)row_int(row);
    set->not_before = row_int(row);
    set->started_time = row_int(row);
    set->finished_time = row_int(row);
    set->run_uuid = row_text(row);
    set->is_run_deleted = row_int(row) != 0;
    set->parameters = row_text(row);
    return 0;
}

static int each_set(struct row *row, set_row_fn *fn, void *data, struct err *e)
{
    for (;;) {
        struct set_row set;
        int more = row_step(row, e);
        if (more <= 0)
            return more;
        if (read_set(row, &set, e) < 0)
            return -1;
        int ended = fn(data, &set, e);
        if (ended != 0)
            return ended;
    }
}

int job_store_set_of_run(struct job_store *store, const char *run_uuid, set_row_fn *fn, void *data,
                         struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_SET_OF_RUN);
    struct set_row set;

    row_put_text(&row, run_uuid);
    int found = row_step(&row, e);
    if (found == 0)
        return err_set(e, ERR_NOT_FOUND, "no set has the run \"%s\"", run_uuid);
    if (found < 0 || read_set(&row, &set, e) < 0)
        return -1;
    return fn(data, &set, e);
}

static const char *name_of_status(unsigned status)
{
    return status_name((enum status)status);
}

static void sets_query(const struct set_filter *filter, struct buf *sql)
{
    buf_puts(sql, JOB_STORE_SET_COLUMNS);
    if (filter->statuses == 1u << STATUS_STARTED) { /* few: as with open fires */
        buf_puts(sql, " INDEXED BY sets_started WHERE s.status='STARTED' AND s.id>?");
    } else {
        buf_puts(sql, " WHERE s.id>?");
        if (filter->statuses) {
            buf_puts(sql, " AND s.status ");
            sql_put_in(sql, filter->statuses, STATUS_COUNT, name_of_status);
        }
    }
    if (filter->job)
        buf_puts(sql, " AND s.job=?");
    if (filter->fire)
        buf_puts(sql, " AND s.fire=?");
    buf_puts(sql, " ORDER BY s.id LIMIT ?");
}

int job_store_sets(struct job_store *store, const struct set_filter *filter, set_row_fn *fn,
                   void *data, struct err *e)
{
    auto_buf struct buf sql = {0};
    sets_query(filter, &sql);
    auto_row struct row row = row_of_text(&store->database, buf_text(&sql));
    row_put(&row, filter->after);
    if (filter->job)
        row_put(&row, filter->job);
    if (filter->fire)
        row_put(&row, filter->fire);
    row_put(&row, filter->limit > 0 ? (int64_t)filter->limit : -1);
    return each_set(&row, fn, data, e);
}

/* When the earliest of the job's sets is to be begun. */
static int read_wake(struct job_store *store, int64_t job, msec *ret_wake, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_NEXT_SET_TIME);

    row_put(&row, job);
    if (row_step(&row, e) < 0)
        return -1;
    *ret_wake = row_int(&row);
    return 0;
}

int job_store_next_set(struct job_store *store, int64_t job, msec now, set_row_fn *fn, void *data,
                       msec *ret_wake, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_NEXT_SET);
    struct set_row set;

    *ret_wake = 0;
    row_put(&row, job);
    row_put(&row, now);
    int found = row_step(&row, e);
    if (found == 0)
        return read_wake(store, job, ret_wake, e);
    if (found < 0 || read_set(&row, &set, e) < 0)
        return -1;
    return fn(data, &set, e) < 0 ? -1 : 1;
}

int job_store_started(struct job_store *store, int64_t job, uint32_t *ret_count, struct err *e)
{
    auto_row struct row row = row_of(&store->database, job ? SQL_STARTED_OF_JOB : SQL_STARTED);

    if (job)
        row_put(&row, job);
    if (row_step(&row, e) < 0)
        return -1;
    *ret_count = (uint32_t)row_int(&row);
    return 0;
}

int job_store_kept_sets(struct job_store *store, int64_t job, set_row_fn *fn, void *data,
                        struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_KEPT_SETS);

    row_put(&row, job);
    return each_set(&row, fn, data, e);
}

/* ---- metrics ---- */

int job_store_clear_metrics(struct job_store *store, int64_t set, struct err *e)
{
    return database_change(&store->database, SQL_CLEAR_METRICS, set, e) < 0 ? -1 : 0;
}

int job_store_add_metric(struct job_store *store, int64_t set, const struct metric_row *metric,
                         struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_METRIC);

    row_put(&row, set);
    row_put_text(&row, metric->step_uuid);
    row_put(&row, metric->is_param);
    row_put_text(&row, metric->name);
    row_put_text(&row, metric->value);
    return row_run(&row, e);
}

int job_store_metrics(struct job_store *store, int64_t job, int64_t fire, metric_row_fn *fn,
                      void *data, struct err *e)
{
    auto_row struct row row =
        row_of(&store->database, fire ? SQL_METRICS_OF_FIRE : SQL_METRICS_OF_JOB);

    row_put(&row, fire ? fire : job);
    for (;;) {
        int more = row_step(&row, e);
        if (more <= 0)
            return more;
        int64_t set = row_int(&row);
        struct metric_row metric = {.step_uuid = row_text(&row)};
        metric.name = row_text(&row);
        metric.value = row_text(&row);
        metric.is_param = row_int(&row) != 0;
        int ended = fn(data, set, &metric, e);
        if (ended != 0)
            return ended;
    }
}
