#include "runner/engine/compare_private.h"

#include "base/mem.h"
#include "runner/engine/report.h"

/* --- the two runs --- */

void compare_side_clear(struct compare_side *side)
{
    for (uint32_t i = 0; i < side->count; i++) {
        free(side->steps[i].uuid);
        free(side->steps[i].title);
    }
    free(side->steps);
    free(side->dir);
    buf_clear(&side->head);
    json_clear(&side->definition);
    map_clear(&side->places);
}

void compare_put_duration(msec started, msec finished, struct buf *out)
{
    json_put_key(out, "duration");
    if (started > 0 && finished >= started)
        report_put_number((double)(finished - started) / 1000, out);
    else
        json_put_text(out, NULL);
}

static void put_time(const char *key, msec time, struct buf *out)
{
    json_put_key(out, key);
    json_put_text(out, time ? time_text_of_us(time * 1000).text : NULL);
}

static void put_cause(enum cause cause, struct buf *out)
{
    json_put_key(out, "cause");
    json_put_text(out, cause == CAUSE_NONE ? NULL : cause_name(cause));
}

static int take_run(void *data, const struct store_run *run, const struct store_frozen *frozen,
                    struct err *e)
{
    struct compare_side *side = data;
    struct buf *out = &side->head;
    struct str text = frozen->definition;

    buf_putc(out, '{');
    json_put_member(out, "uuid", run->uuid);
    json_put_member(out, "pipeline_name", run->pipeline_name);
    json_put_key(out, "job_uuid");
    json_put_text(out, *run->job_uuid ? run->job_uuid : NULL);
    json_put_member(out, "status", status_name(run->status));
    put_cause(run->cause, out);
    put_time("created_time", run->created_time, out);
    put_time("started_time", run->started_time, out);
    put_time("finished_time", run->finished_time, out);
    compare_put_duration(run->started_time, run->finished_time, out);
    buf_putc(out, '}');
    return json_parse_take(&side->definition, mem_strndup(text.text, text.len), text.len,
                           JSON_TOLERANT, NULL, e);
}

static int take_id(void *data, const struct store_run *run, struct err *e)
{
    struct compare_side *side = data;

    (void)e;
    side->id = run->id;
    return 0;
}

static int take_step(void *data, const struct store_step *row, struct err *e)
{
    struct compare_side *side = data;

    (void)e;
    mem_grow(side->steps, side->count, side->capacity);
    struct compare_step *step = &side->steps[side->count];
    *step = (struct compare_step){
        .uuid = mem_strdup(row->uuid),
        .title = mem_strdup(row->title),
        .status = row->status,
        .attempt = row->attempt,
        .started = row->started_time,
        .finished = row->finished_time,
        .parameters = JSON_NONE,
    };
    map_set(&side->places, str_of(step->uuid), side->count++);
    return 0;
}

static void find_parameters(struct compare_side *side)
{
    const struct json *doc = &side->definition;
    auto_buf struct buf scratch = {0};
    json_at steps = json_get(doc, 0, "steps");

    json_each (doc, steps, key) {
        uint32_t at = map_get(&side->places, json_text(doc, key, &scratch));
        if (at != MAP_NONE)
            side->steps[at].parameters = json_get(doc, json_value(key), "parameters");
    }
}

int compare_side_read(struct compare_side *side, struct store *store, const struct state *state,
                      struct err *e)
{
    side->dir = state_run_dir(state, side->uuid);
    if (store_run(store, side->uuid, take_id, side, e) < 0 ||
        store_frozen(store, side->id, take_run, side, e) < 0 ||
        store_steps(store, side->id, take_step, side, e) < 0)
        return -1;
    find_parameters(side);
    return 0;
}

/* --- pairs of steps: those of a in their order, then what only b has --- */

static const struct compare_step *find_step(const struct compare_side *side, const char *uuid)
{
    uint32_t at = map_get(&side->places, str_of(uuid));

    return at == MAP_NONE ? NULL : &side->steps[at];
}

bool compare_next_pair(struct compare_pair *pair)
{
    const struct compare_side *a = pair->a, *b = pair->b;

    if (pair->next < a->count) {
        pair->step_a = &a->steps[pair->next++];
        pair->step_b = find_step(b, pair->step_a->uuid);
        return true;
    }
    pair->step_a = NULL;
    while (pair->next < a->count + b->count) {
        pair->step_b = &b->steps[pair->next++ - a->count];
        if (!find_step(a, pair->step_b->uuid))
            return true;
    }
    return false;
}
