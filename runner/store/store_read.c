/* The reading half of the store. One call is one statement and so one read transaction, which ends
 * before the call returns: no reader keeps the WAL from being reset.
 */
#include "runner/store/store_inner.h"

#include <stdio.h>

int store_begin_reading(struct store *store, struct err *e)
{
    return database_begin_reading(&store->database, e);
}

void store_end_reading(struct store *store)
{
    database_end_reading(&store->database);
}

int store_attempt(struct store *store, int64_t run, uint32_t step, uint32_t attempt,
                  struct store_attempt *ret_attempt, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_ATTEMPT);
    row_put(&row, run);
    row_put(&row, step);
    row_put(&row, attempt);
    int found = row_step(&row, e);
    if (found < 0)
        return -1;
    if (!found)
        return err_set(e, ERR_NOT_FOUND, "\"%s\": no such attempt", store->database.path);
    *ret_attempt = (struct store_attempt){.step = step, .attempt = attempt};
    snprintf(ret_attempt->mark, sizeof ret_attempt->mark, "%s", row_text(&row));
    ret_attempt->offset = (uint64_t)row_int(&row);
    return 0;
}

/* ---- runs ---- */

static void add_text_filter(struct buf *sql, const char *column, const char *value)
{
    if (value)
        buf_printf(sql, " AND %s=?", column);
}

static const char *name_of_status(unsigned status)
{
    return status_name((enum status)status);
}

/* One status goes by its index, which is in the order of ids too. Several would have to be merged
 * and sorted: those of open runs have an index of their own, others are filtered on the way (the
 * plus keeps SQLite from using the index). */
static void add_status_filter(struct buf *sql, unsigned statuses)
{
    const unsigned open = 1u << STATUS_PENDING | 1u << STATUS_STARTED;
    bool single = (statuses & (statuses - 1)) == 0;
    if (statuses == 0)
        return;
    if (!single && (statuses & ~open) == 0)
        buf_puts(sql, " AND finished_time=0");
    buf_puts(sql, single ? " AND status " : " AND +status ");
    sql_put_in(sql, statuses, STATUS_COUNT, name_of_status);
}

static void runs_query(const struct store_filter *filter, struct buf *sql)
{
    buf_puts(sql, STORE_RUN_COLUMNS " FROM runs WHERE id<?");
    add_text_filter(sql, "uuid", filter->uuid);
    add_text_filter(sql, "project", filter->project);
    add_text_filter(sql, "pipeline_uuid", filter->pipeline_uuid);
    add_text_filter(sql, "job_uuid", filter->job_uuid);
    add_status_filter(sql, filter->statuses);
    buf_puts(sql, " ORDER BY id DESC LIMIT ?");
}

static int read_run(struct row *row, struct store_run *run, struct err *e)
{
    *run = (struct store_run){.id = row_int(row), .uuid = row_text(row)};
    if (status_parse(row_text(row), &run->status, e) < 0)
        return database_damaged(row->database, run->uuid, e);
    run->cause = cause_of_name(row_text(row));
    run->created_time = row_int(row);
    run->started_time = row_int(row);
    run->finished_time = row_int(row);
    run->step_count = (uint32_t)row_int(row);
    run->project = row_text(row);
    run->pipeline_path = row_text(row);
    run->pipeline_uuid = row_text(row);
    run->pipeline_name = row_text(row);
    run->run_type = row_text(row);
    run->job_uuid = row_text(row);
    run->rerun_of = row_text(row);
    run->images = row_text(row);
    run->options = row_text(row);
    run->uuids = row_text(row);
    run->parameters = row_text(row);
    return 0;
}

static void put_filter(struct row *row, const struct store_filter *filter)
{
    const char *const values[] = {filter->uuid, filter->project, filter->pipeline_uuid,
                                  filter->job_uuid};
    row_put(row, filter->before > 0 ? filter->before : INT64_MAX);
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++)
        if (values[i])
            row_put_text(row, values[i]);
    row_put(row, filter->limit > 0 ? (int64_t)filter->limit : -1);
}

int store_runs(struct store *store, const struct store_filter *filter, store_run_fn *fn, void *data,
               struct err *e)
{
    auto_buf struct buf sql = {0};
    runs_query(filter, &sql);
    auto_row struct row row = row_of_text(&store->database, buf_text(&sql));
    put_filter(&row, filter);
    for (;;) {
        struct store_run run;
        int more = row_step(&row, e);
        if (more <= 0)
            return more;
        if (read_run(&row, &run, e) < 0)
            return -1;
        int ended = fn(data, &run, e);
        if (ended != 0)
            return ended;
    }
}

int store_run(struct store *store, const char *uuid, store_run_fn *fn, void *data, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_RUN);
    struct store_run run;

    row_put_text(&row, uuid);
    int found = row_step(&row, e);
    if (found == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no run \"%s\"", uuid);
    if (found < 0 || read_run(&row, &run, e) < 0)
        return -1;
    return fn(data, &run, e);
}

int store_frozen(struct store *store, int64_t run, store_frozen_fn *fn, void *data, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_FROZEN);
    struct store_run found_run;

    row_put(&row, run);
    int found = row_step(&row, e);
    if (found == 0)
        return err_set(e, ERR_NOT_FOUND, "\"%s\": no such run", store->database.path);
    if (found < 0 || read_run(&row, &found_run, e) < 0)
        return -1;
    struct store_frozen frozen = {.environments = row_text(&row)};
    frozen.definition = row_blob(&row);
    return fn(data, &found_run, &frozen, e);
}

int store_sources(struct store *store, int64_t run, struct buf *out, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_SOURCES);

    row_put(&row, run);
    int found = row_step(&row, e);
    if (found > 0)
        buf_puts(out, row_text(&row));
    return found < 0 ? -1 : 0;
}

int store_request(struct store *store, const char *key, char digest[65], struct uuid *ret_run,
                  struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_REQUEST);

    row_put_text(&row, key);
    int found = row_step(&row, e);
    if (found <= 0)
        return found;
    snprintf(digest, 65, "%s", row_text(&row));
    *ret_run = uuid_of(row_text(&row));
    return 1;
}

static int read_position(struct store *store, const struct store_run *run, uint32_t *ret_position,
                         struct err *e)
{
    auto_row struct row row =
        row_of(&store->database, *run->job_uuid ? SQL_POSITION_IN_BACKGROUND : SQL_POSITION);

    row_put(&row, run->id);
    row_put(&row, STORE_PLACE_MAX - 1);
    if (row_step(&row, e) < 0)
        return -1;
    *ret_position = 1 + (uint32_t)row_int(&row);
    return 0;
}

int store_place(struct store *store, const struct store_run *run, struct store_place *ret_place,
                struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_WAITING_FOR);

    *ret_place = (struct store_place){0};
    if (read_position(store, run, &ret_place->position, e) < 0)
        return -1;
    if (*run->job_uuid)
        return 0; /* works on a snapshot of its own */
    row_put(&row, run->id);
    row_put_text(&row, run->pipeline_uuid);
    row_put_text(&row, run->project);
    int found = row_step(&row, e);
    if (found > 0)
        ret_place->waiting_for = uuid_of(row_text(&row));
    return found < 0 ? -1 : 0;
}

int store_next_trash(struct store *store, int64_t after, struct store_trash *ret_trash,
                     struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_NEXT_TRASH);

    row_put(&row, after);
    int found = row_step(&row, e);
    if (found <= 0)
        return found;
    ret_trash->id = row_int(&row);
    ret_trash->run = row_int(&row);
    ret_trash->run_uuid = uuid_of(row_text(&row));
    return 1;
}

/* ---- steps ---- */

static int read_step(struct row *row, struct store_step *step, struct err *e)
{
    *step = (struct store_step){.step = (uint32_t)row_int(row)};
    step->uuid = row_text(row);
    step->title = row_text(row);
    step->file_path = row_text(row);
    if (status_parse(row_text(row), &step->status, e) < 0)
        return database_damaged(row->database, step->uuid, e);
    step->cause = cause_of_name(row_text(row));
    step->attempt = (uint32_t)row_int(row);
    step->cells_total = (uint32_t)row_int(row);
    step->cells_done = (uint32_t)row_int(row);
    step->started_time = row_int(row);
    step->finished_time = row_int(row);
    step->failure = row_text(row);
    return 0;
}

int store_steps(struct store *store, int64_t run, store_step_fn *fn, void *data, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_STEPS);
    row_put(&row, run);
    for (;;) {
        struct store_step step;
        int more = row_step(&row, e);
        if (more <= 0)
            return more;
        if (read_step(&row, &step, e) < 0)
            return -1;
        int ended = fn(data, &step, e);
        if (ended != 0)
            return ended;
    }
}

/* ---- events ---- */

static uint32_t read_step_index(struct row *row)
{
    bool none = row_is_null(row);
    uint32_t step = (uint32_t)row_int(row);
    return none ? STEP_NONE : step;
}

static void read_event(struct row *row, struct store_event *event)
{
    *event = (struct store_event){.id = row_int(row)};
    event->run = row_int(row);
    event->run_uuid = row_text(row);
    event->step_uuid = row_text(row);
    event->event = row_text(row);
    event->step = read_step_index(row);
    event->attempt = (uint32_t)row_int(row);
    event->time = row_int(row);
    event->status = row_text(row);
    event->cause = row_text(row);
    event->retry_at = row_int(row);
    event->payload = row_text(row);
    event->offset = (uint64_t)row_int(row);
    event->length = (uint32_t)row_int(row);
}

int store_events_after(struct store *store, int64_t id, int64_t run, uint32_t limit,
                       store_event_fn *fn, void *data, struct err *e)
{
    auto_row struct row row = row_of(&store->database, run ? SQL_EVENTS_OF_RUN : SQL_EVENTS);
    row_put(&row, id);
    row_put(&row, limit);
    if (run)
        row_put(&row, run);
    for (;;) {
        struct store_event event;
        int more = row_step(&row, e);
        if (more <= 0)
            return more;
        read_event(&row, &event);
        int ended = fn(data, &event, e);
        if (ended != 0)
            return ended;
    }
}

int store_last_event(struct store *store, int64_t *ret_id, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_LAST_EVENT);

    if (row_step(&row, e) < 0)
        return -1;
    *ret_id = row_int(&row);
    return 0;
}

static int read_finished(struct row *row, struct store_finished *finished, struct err *e)
{
    *finished = (struct store_finished){.id = row_int(row)};
    finished->run_uuid = row_text(row);
    finished->job_uuid = row_text(row);
    if (status_parse(row_text(row), &finished->status, e) < 0)
        return database_damaged(row->database, finished->run_uuid, e);
    finished->cause = cause_of_name(row_text(row));
    finished->time = row_int(row);
    return 0;
}

int store_finished_after(struct store *store, int64_t id, uint32_t limit, store_finished_fn *fn,
                         void *data, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_FINISHED);

    row_put(&row, id);
    row_put(&row, limit);
    for (;;) {
        struct store_finished finished;
        int more = row_step(&row, e);
        if (more <= 0)
            return more;
        if (read_finished(&row, &finished, e) < 0)
            return -1;
        int ended = fn(data, &finished, e);
        if (ended != 0)
            return ended;
    }
}

static int read_run_event(struct row *row, struct run_event *event, struct err *e)
{
    int64_t id = row_int(row);
    *event = (struct run_event){0};
    int known = run_event_parse(row_text(row), &event->kind, e);
    event->step = read_step_index(row);
    event->attempt = (uint32_t)row_int(row);
    event->time = row_int(row);
    const char *status = row_text(row);
    if (known == 0 && *status)
        known = status_parse(status, &event->status, e);
    event->cause = cause_of_name(row_text(row));
    event->retry_at = row_int(row);
    if (known < 0) {
        err_prefix(e, "event %lld", (long long)id);
        return database_damaged(row->database, "the log", e);
    }
    return 0;
}

int store_replay(struct store *store, int64_t run, store_replay_fn *fn, void *data, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_REPLAY);
    row_put(&row, run);
    for (;;) {
        struct run_event event;
        int more = row_step(&row, e);
        if (more <= 0)
            return more;
        if (read_run_event(&row, &event, e) < 0)
            return -1;
        int ended = fn(data, &event, row_text(&row), e);
        if (ended != 0)
            return ended;
    }
}
