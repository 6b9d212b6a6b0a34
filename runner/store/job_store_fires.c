/* Fires, and the counts of their sets. */
#include "runner/store/job_store_inner.h"

#include "base/mem.h"

static const char *const kind_names[] = {
#define X(kind, name) [kind] = name,
    FIRE_KINDS(X)
#undef X
};

static const char *const state_names[] = {
#define X(state, name) [state] = name,
    FIRE_STATES(X)
#undef X
};

const char *fire_kind_name(enum fire_kind kind)
{
    return kind_names[kind];
}

const char *fire_state_name(enum fire_state state)
{
    return state_names[state];
}

bool fire_state_is_final(enum fire_state state)
{
    return state != FIRE_WAITING && state != FIRE_OPEN;
}

/* ---- writing ---- */

int job_store_add_fire(struct job_store *store, const struct fire_row *fire, int64_t *ret_fire,
                       struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_FIRE);

    row_put(&row, fire->job);
    row_put_text(&row, fire_kind_name(fire->kind));
    row_put_text(&row, fire_state_name(fire->state));
    row_put(&row, fire->is_stopped);
    row_put(&row, fire->due_time);
    row_put(&row, fire->created_time);
    row_put(&row, fire_state_is_final(fire->state) ? fire->created_time : 0);
    row_put(&row, fire->set_count);
    if (row_run(&row, e) < 0)
        return -1;
    *ret_fire = database_last_id(&store->database);
    return 0;
}

static int read_pending(struct job_store *store, int64_t fire, int64_t *ret_job,
                        int64_t *ret_pending, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_PENDING_OF_FIRE);

    row_put(&row, fire);
    if (row_step(&row, e) < 0)
        return -1;
    *ret_job = row_int(&row);
    *ret_pending = row_int(&row);
    return 0;
}

static int set_fire(struct job_store *store, int64_t fire, enum fire_state state, bool is_stopped,
                    msec finished_time, struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_SET_FIRE);

    row_put(&row, fire);
    row_put_text(&row, fire_state_name(state));
    row_put(&row, is_stopped);
    row_put(&row, finished_time);
    return row_update(&row, "fire", e);
}

int job_store_set_fire(struct job_store *store, int64_t fire, enum fire_state state,
                       bool is_stopped, msec finished_time, struct err *e)
{
    int64_t job, pending;

    if (set_fire(store, fire, state, is_stopped, finished_time, e) < 0 ||
        read_pending(store, fire, &job, &pending, e) < 0)
        return -1;
    return job_store_set_hungry(store, job, e);
}

static int add_counts(struct job_store *store, int64_t fire, const int64_t added[STATUS_COUNT],
                      struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_COUNT_SETS);

    row_put(&row, fire);
    for (unsigned i = 0; i < STATUS_COUNT; i++)
        row_put(&row, added[i]);
    return row_update(&row, "fire", e);
}

int job_store_count_sets(struct job_store *store, int64_t fire, const int64_t added[STATUS_COUNT],
                         struct err *e)
{
    int64_t job, pending;

    if (add_counts(store, fire, added, e) < 0 || read_pending(store, fire, &job, &pending, e) < 0)
        return -1;
    bool had_pending = pending > added[STATUS_PENDING];
    return had_pending == (pending > 0) ? 0 : job_store_set_hungry(store, job, e);
}

/* ---- reading ---- */

/* The number of a name, or `count`. */
static unsigned find_name(const char *const *names, unsigned count, const char *name)
{
    unsigned i = 0;

    while (i < count && strcmp(names[i], name) != 0)
        i++;
    return i;
}

static int read_fire(struct row *row, struct fire_row *fire, struct err *e)
{
    const unsigned kinds = sizeof kind_names / sizeof *kind_names;
    const unsigned states = sizeof state_names / sizeof *state_names;

    *fire = (struct fire_row){.id = row_int(row), .job = row_int(row)};
    fire->number = (uint32_t)row_int(row);
    unsigned kind = find_name(kind_names, kinds, row_text(row));
    unsigned state = find_name(state_names, states, row_text(row));
    if (kind == kinds || state == states) {
        err_set(e, ERR_IO, "fire %lld", (long long)fire->id);
        return database_damaged(row->database, "an unknown kind or status", e);
    }
    fire->kind = (enum fire_kind)kind;
    fire->state = (enum fire_state)state;
    fire->is_stopped = row_int(row) != 0;
    fire->due_time = row_int(row);
    fire->created_time = row_int(row);
    fire->finished_time = row_int(row);
    fire->set_count = (uint32_t)row_int(row);
    for (unsigned i = 0; i < STATUS_COUNT; i++)
        fire->counts[i] = (uint32_t)row_int(row);
    return 0;
}

int job_store_fire(struct job_store *store, int64_t id, fire_row_fn *fn, void *data, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_FIRE);
    struct fire_row fire;

    row_put(&row, id);
    int found = row_step(&row, e);
    if (found == 0)
        return err_set(e, ERR_NOT_FOUND, "\"%s\": no such fire", store->database.path);
    if (found < 0 || read_fire(&row, &fire, e) < 0)
        return -1;
    return fn(data, &fire, e);
}

static void fires_query(const struct fire_filter *filter, struct buf *sql)
{
    buf_puts(sql, JOB_STORE_FIRE_COLUMNS);
    if (filter->is_open) /* few: they are put in order rather than looked for among all */
        buf_puts(sql, " INDEXED BY fires_open WHERE f.state IN ('WAITING','STARTED') AND f.id<?");
    else
        buf_puts(sql, " WHERE f.id<?");
    if (filter->job)
        buf_puts(sql, " AND f.job=?");
    if (filter->number)
        buf_puts(sql, " AND f.number=?");
    buf_printf(sql, " ORDER BY f.id%s LIMIT ?", filter->is_oldest_first ? "" : " DESC");
}

int job_store_fires(struct job_store *store, const struct fire_filter *filter, fire_row_fn *fn,
                    void *data, struct err *e)
{
    auto_buf struct buf sql = {0};
    fires_query(filter, &sql);
    auto_row struct row row = row_of_text(&store->database, buf_text(&sql));
    row_put(&row, filter->before > 0 ? filter->before : INT64_MAX);
    if (filter->job)
        row_put(&row, filter->job);
    if (filter->number)
        row_put(&row, filter->number);
    row_put(&row, filter->limit > 0 ? (int64_t)filter->limit : -1);
    for (;;) {
        struct fire_row fire;
        int more = row_step(&row, e);
        if (more <= 0)
            return more;
        if (read_fire(&row, &fire, e) < 0)
            return -1;
        int ended = fn(data, &fire, e);
        if (ended != 0)
            return ended;
    }
}
