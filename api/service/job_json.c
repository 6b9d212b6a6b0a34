/* While the store reads rows it can be asked nothing else: so the rows of a list are held, then
 * each is shown with its latest fire.
 */
#include "api/service/job_json.h"

#include "api/service/run_json.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"

#include <string.h>

#define PREVIEW_SETS   1000u
#define RETAINED_SHOWN 100u

static void put_optional(struct buf *out, const char *key, const char *text)
{
    json_put_key(out, key);
    json_put_text(out, *text ? text : NULL);
}

static void put_comma(struct buf *out)
{
    if (out->data[out->len - 1] != '[')
        buf_putc(out, ',');
}

/* --- fires --- */

void job_json_put_fire(struct buf *out, const struct fire_row *fire)
{
    buf_putc(out, '{');
    json_put_member_int(out, "number", fire->number);
    json_put_member(out, "kind", fire_kind_name(fire->kind));
    json_put_member(out, "status", fire_state_name(fire->state));
    run_json_put_time(out, "due_time", fire->due_time);
    run_json_put_time(out, "created_time", fire->created_time);
    run_json_put_time(out, "finished_time", fire->finished_time);
    json_put_member_int(out, "set_count", fire->set_count);
    json_put_key(out, "counts");
    buf_putc(out, '{');
    for (unsigned i = 0; i < STATUS_COUNT; i++)
        json_put_member_int(out, status_name(i), fire->counts[i]);
    buf_puts(out, "}}");
}

struct fire_reading {
    struct buf *out;
    uint32_t limit, count;
    int64_t last; /* id */
    bool has_more;
};

/* One more than wanted is looked at, to know whether there is one. */
static int on_fire(void *data, const struct fire_row *fire, struct err *e)
{
    struct fire_reading *reading = data;

    (void)e;
    if (reading->count == reading->limit) {
        reading->has_more = true;
        return 1;
    }
    put_comma(reading->out);
    job_json_put_fire(reading->out, fire);
    reading->last = fire->id;
    reading->count++;
    return 0;
}

int job_json_put_fires(struct buf *out, struct job_store *store, const struct fire_filter *filter,
                       int64_t *ret_cursor, struct err *e)
{
    struct fire_reading reading = {.out = out, .limit = filter->limit};
    struct fire_filter one_more = *filter;

    one_more.limit++;
    buf_putc(out, '[');
    if (job_store_fires(store, &one_more, on_fire, &reading, e) < 0)
        return -1;
    buf_putc(out, ']');
    *ret_cursor = reading.has_more ? reading.last : 0;
    return 0;
}

/* --- schedules --- */

static void put_due(struct buf *out, const struct schedule *schedule, msec due)
{
    auto_buf struct buf local = {0};

    schedule_put_local(schedule, due, &local);
    put_comma(out);
    buf_putc(out, '{');
    run_json_put_time(out, "time", due);
    json_put_member(out, "local", buf_text(&local));
    buf_putc(out, '}');
}

/* With the times from `due` on; 0: none comes. */
static void put_schedule(struct buf *out, const struct schedule *schedule, msec due)
{
    auto_buf struct buf words = {0};

    json_put_key(out, "schedule");
    schedule_put(schedule, out);
    out->len--; /* the closing brace */
    schedule_put_words(schedule, &words);
    json_put_member(out, "words", buf_text(&words));
    json_put_key(out, "next");
    buf_putc(out, '[');
    for (unsigned i = 0; i < JOB_JSON_TIMES && due > 0; i++) {
        put_due(out, schedule, due);
        due = schedule_next(schedule, due);
    }
    buf_puts(out, "]}");
}

/* When the job is due next; 0: it is not, as it stands. */
static msec next_due(const struct job_row *row)
{
    bool can_fire = row->state == JOB_PENDING || row->state == JOB_STARTED;

    return can_fire ? row->next_due : 0;
}

/* --- jobs --- */

static void put_row(struct buf *out, const char *projects, const struct job_row *row)
{
    json_put_member(out, "uuid", row->uuid);
    json_put_member(out, "name", row->name);
    json_put_member(out, "status", job_state_name(row->state));
    run_json_put_project(out, projects, row->project);
    put_optional(out, "pipeline_path", row->pipeline_path);
    json_put_member(out, "pipeline_uuid", row->pipeline_uuid);
    json_put_member(out, "pipeline_name", row->pipeline_name);
    put_optional(out, "duplicate_of", row->duplicate_of);
    run_json_put_time(out, "created_time", row->created_time);
    run_json_put_time(out, "confirmed_time", row->confirmed_time);
    run_json_put_time(out, "finished_time", row->finished_time);
    json_put_member_int(out, "set_count", row->set_count);
    json_put_member_raw(out, "policy", str_of(row->policy));
    json_put_key(out, "snapshot");
    buf_putc(out, '{');
    json_put_member_int(out, "files", (int64_t)row->snapshot_files);
    json_put_member_int(out, "bytes", (int64_t)row->snapshot_bytes);
    buf_putc(out, '}');
    json_put_member_int(out, "dropped", (int64_t)row->dropped);
}

/* Fires are numbered from 1, and none is taken from the middle: the latest says how many there
 * were. */
static int put_latest_fire(struct buf *out, struct job_store *store, int64_t job, struct err *e)
{
    const struct fire_filter latest = {.job = job, .limit = 1};
    struct fire_row fire = {0};

    if (job_store_fires(store, &latest, held_fire_take, &fire, e) < 0)
        return -1;
    json_put_member_int(out, "fires_total", fire.number);
    json_put_key(out, "latest_fire");
    if (fire.number > 0)
        job_json_put_fire(out, &fire);
    else
        buf_puts(out, "null");
    return 0;
}

static void put_axes(struct buf *out, const struct pipeline *pipeline,
                     const struct parameter_sets *sets)
{
    const struct parameter_axis *axes;
    uint32_t count = parameter_sets_axes(sets, &axes);

    json_put_key(out, "axes");
    buf_putc(out, '[');
    for (uint32_t i = 0; i < count; i++) {
        bool is_step = axes[i].step != STEP_NONE;
        const struct pipeline_step *step = is_step ? &pipeline->steps[axes[i].step] : NULL;
        put_comma(out);
        buf_putc(out, '{');
        json_put_key(out, "step_uuid");
        json_put_text(out, step ? step->uuid : NULL);
        json_put_key(out, "title");
        json_put_text(out, step ? pipeline_step_label(step) : NULL);
        json_put_member(out, "name", axes[i].name);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

static void put_retention(struct buf *out, char *const *retained)
{
    uint32_t count = 0;

    while (retained && retained[count])
        count++;
    json_put_key(out, "retention");
    buf_putc(out, '{');
    json_put_member_int(out, "runs", count);
    json_put_key(out, "uuids");
    buf_putc(out, '[');
    for (uint32_t i = 0; i < count && i < RETAINED_SHOWN; i++) {
        put_comma(out);
        json_put_text(out, retained[i]);
    }
    buf_puts(out, "]}");
}

int job_json_put(struct buf *out, struct job_store *store, const char *projects,
                 const struct stored_job *job, char *const *retained, struct err *e)
{
    const struct job_row *row = &job->held.row;

    buf_putc(out, '{');
    put_row(out, projects, row);
    if (put_latest_fire(out, store, row->id, e) < 0)
        return -1;
    put_schedule(out, job->schedule, next_due(row));
    json_put_member_raw(out, "parameters", str_of(row->parameters));
    put_axes(out, job->pipeline, job->sets);
    put_retention(out, retained);
    buf_putc(out, '}');
    return 0;
}

/* --- many --- */

struct held_list {
    struct held_job *items;
    uint32_t count, capacity;
};

static int hold(void *data, const struct job_row *row, struct err *e)
{
    struct held_list *list = data;
    struct job_row shown = *row;

    shown.parameters = ""; /* they may be large */
    mem_grow(list->items, list->count, list->capacity);
    list->items[list->count] = (struct held_job){0};
    return held_job_take(&list->items[list->count++], &shown, e);
}

static void held_list_clear(struct held_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        held_job_clear(&list->items[i]);
    free(list->items);
}

static int put_listed(struct buf *out, struct job_store *store, const char *projects,
                      const struct job_row *row, struct err *e)
{
    auto_schedule struct schedule *schedule = NULL;

    if (schedule_parse(row->schedule, &schedule, e) < 0)
        return err_prefix(e, "job \"%s\"", row->uuid);
    put_comma(out);
    buf_putc(out, '{');
    put_row(out, projects, row);
    if (put_latest_fire(out, store, row->id, e) < 0)
        return -1;
    put_schedule(out, schedule, next_due(row));
    buf_putc(out, '}');
    return 0;
}

int job_json_put_list(struct buf *out, struct job_store *store, const char *projects,
                      const struct job_filter *filter, int64_t *ret_cursor, struct err *e)
{
    auto_with(held_list_clear) struct held_list list = {0};
    struct job_filter one_more = *filter;
    uint32_t shown = 0;

    one_more.limit++;
    if (job_store_jobs(store, &one_more, hold, &list, e) < 0)
        return -1;
    buf_putc(out, '[');
    for (; shown < list.count && shown < filter->limit && out->len <= LIMIT_LIST_BYTES; shown++)
        if (put_listed(out, store, projects, &list.items[shown].row, e) < 0)
            return -1;
    buf_putc(out, ']');
    *ret_cursor = shown < list.count && shown > 0 ? list.items[shown - 1].row.id : 0;
    return 0;
}

/* --- what is not made --- */

void job_json_put_preview(struct buf *out, const struct job_body *job, msec now)
{
    uint32_t count = parameter_sets_count(job->sets);

    buf_putc(out, '{');
    json_put_member(out, "name", job->name);
    json_put_member_int(out, "set_count", count);
    json_put_member_int(out, "set_total", parameter_sets_total(job->sets));
    json_put_key(out, "sets");
    buf_putc(out, '[');
    for (uint32_t k = 0; k < count && k < PREVIEW_SETS && out->len <= LIMIT_LIST_BYTES; k++) {
        uint32_t number = parameter_sets_number(job->sets, k);
        put_comma(out);
        buf_putc(out, '{');
        json_put_member_int(out, "number", number);
        json_put_key(out, "parameters");
        parameter_sets_put_set(job->sets, number, out);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
    put_axes(out, job->source.pipeline, job->sets);
    put_schedule(out, job->schedule, schedule_next(job->schedule, now));
    json_put_key(out, "policy");
    job_policy_put(&job->policy, out);
    buf_putc(out, '}');
}
