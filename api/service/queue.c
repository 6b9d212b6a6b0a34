/* The store gives runs newest first, and wanted are the first to come: of each class the last ones
 * that it gave are kept in a ring. */
#include "api/service/queue.h"

#include "api/service/parts.h"
#include "api/service/run_json.h"
#include "base/json.h"
#include "base/mem.h"

#define WAITING_SHOWN 100u

/* What of a waiting run is kept. */
struct waiting {
    struct store_run run; /* for store_place */
    struct buf members;   /* the object up to waiting_for */
};

struct class_queue {
    struct waiting waiting[WAITING_SHOWN]; /* the n-th that came at n % WAITING_SHOWN */
    uint32_t total;
    uint32_t running;
};

struct queue_reading {
    const char *projects;
    struct class_queue classes[RUN_CLASS_COUNT];
};

static void waiting_clear(struct waiting *waiting)
{
    free((char *)waiting->run.project);
    free((char *)waiting->run.pipeline_uuid);
    free((char *)waiting->run.job_uuid);
    buf_clear(&waiting->members);
}

static void keep(struct waiting *waiting, const char *projects, const struct store_run *run)
{
    struct buf *members = &waiting->members;

    waiting_clear(waiting);
    waiting->run = (struct store_run){
        .id = run->id,
        .project = mem_strdup(run->project),
        .pipeline_uuid = mem_strdup(run->pipeline_uuid),
        .job_uuid = mem_strdup(run->job_uuid),
    };
    buf_putc(members, '{');
    json_put_member(members, "run_uuid", run->uuid);
    json_put_member(members, "pipeline_name", run->pipeline_name);
    run_json_put_project(members, projects, run->project);
    run_json_put_time(members, "created_time", run->created_time);
}

static int on_run(void *data, const struct store_run *run, struct err *e)
{
    struct queue_reading *reading = data;
    struct class_queue *queue =
        &reading->classes[*run->job_uuid ? RUN_BACKGROUND : RUN_INTERACTIVE];

    (void)e;
    if (run->status == STATUS_STARTED)
        queue->running++;
    else
        keep(&queue->waiting[queue->total++ % WAITING_SHOWN], reading->projects, run);
    return 0;
}

static int put_waiting(struct buf *out, struct store *store, const struct waiting *waiting,
                       struct err *e)
{
    struct store_place place;

    if (store_place(store, &waiting->run, &place, e) < 0)
        return -1;
    if (out->data[out->len - 1] != '[')
        buf_putc(out, ',');
    buf_put(out, waiting->members.data, waiting->members.len);
    json_put_key(out, "waiting_for");
    json_put_text(out, place.waiting_for.text[0] ? place.waiting_for.text : NULL);
    buf_putc(out, '}');
    return 0;
}

static int put_class(struct buf *out, struct store *store, const struct class_queue *queue,
                     uint32_t limit, struct err *e)
{
    uint32_t shown = queue->total < WAITING_SHOWN ? queue->total : WAITING_SHOWN;

    buf_putc(out, '{');
    json_put_member_int(out, "limit", limit);
    json_put_member_int(out, "running", queue->running);
    json_put_member_int(out, "waiting_total", queue->total);
    json_put_key(out, "waiting");
    buf_putc(out, '[');
    for (uint32_t i = 1; i <= shown; i++)
        if (put_waiting(out, store, &queue->waiting[(queue->total - i) % WAITING_SHOWN], e) < 0)
            return -1;
    buf_puts(out, "]}");
    return 0;
}

static int put_queue(const struct service *service, struct store *store,
                     struct queue_reading *reading, struct buf *out, struct err *e)
{
    const struct store_filter open = {.statuses = 1u << STATUS_PENDING | 1u << STATUS_STARTED};

    if (store_runs(store, &open, on_run, reading, e) < 0)
        return -1;
    buf_putc(out, '{');
    for (unsigned i = 0; i < RUN_CLASS_COUNT; i++) {
        json_put_key(out, run_class_name((enum run_class)i));
        if (put_class(out, store, &reading->classes[i], service->options->limits[i].runs, e) < 0)
            return -1;
    }
    buf_putc(out, '}');
    return 0;
}

static void reading_free(struct queue_reading *reading)
{
    for (unsigned i = 0; i < RUN_CLASS_COUNT; i++)
        for (unsigned k = 0; k < WAITING_SHOWN; k++)
            waiting_clear(&reading->classes[i].waiting[k]);
    free(reading);
}

void queue_get(struct exchange *exchange, void *user)
{
    const struct service *service = user;
    auto_buf struct buf out = {0};
    struct err e;
    struct store *store = readers_lend(service->readers, &e);
    struct queue_reading *reading = mem_zalloc(sizeof *reading);

    reading->projects = service->projects;
    int result = store ? put_queue(service, store, reading, &out, &e) : -1;
    readers_give_back(service->readers, store);
    reading_free(reading);
    if (result < 0)
        exchange_answer_err(exchange, &e, NULL);
    else
        exchange_answer_json(exchange, 200, &out);
}
