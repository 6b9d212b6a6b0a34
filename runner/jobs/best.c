#include "runner/jobs/best.h"

#include "base/json.h"
#include "base/mem.h"
#include "runner/jobs/held.h"
#include "runner/jobs/job.h"

#include <math.h>
#include <string.h>

struct value {
    int64_t set;
    double value;
};

struct values {
    const char *metric;
    struct value *items; /* in the order of sets */
    size_t count, capacity;
};

static int take_metric(void *user, int64_t set, const struct metric_row *metric, struct err *e)
{
    struct values *values = user;
    auto_json struct json doc = {0};
    struct err ignored;
    double value;

    (void)e;
    if (metric->is_param || strcmp(metric->name, values->metric) != 0)
        return 0;
    if (json_parse(&doc, str_of(metric->value), JSON_TOLERANT, NULL, &ignored) < 0 ||
        !json_double(&doc, 0, &value) || !isfinite(value))
        return 0;
    if (values->count == 0 || values->items[values->count - 1].set != set) {
        mem_grow(values->items, values->count, values->capacity);
        values->items[values->count++].set = set;
    }
    values->items[values->count - 1].value = value;
    return 0;
}

struct search {
    const struct values *values;
    size_t at;
    bool is_least;
    bool has_best;
    double value;
    struct held_set best;
};

static int take_set(void *user, const struct set_row *set, struct err *e)
{
    struct search *search = user;
    const struct values *values = search->values;

    while (search->at < values->count && values->items[search->at].set < set->id)
        search->at++;
    if (search->at == values->count || values->items[search->at].set != set->id)
        return 0;
    double value = values->items[search->at].value;
    if (search->has_best && !(search->is_least ? value < search->value : value > search->value))
        return 0;
    search->has_best = true;
    search->value = value;
    return held_set_take(&search->best, set, e);
}

static void put(const struct search *search, struct buf *out)
{
    const struct set_row *set = &search->best.row;

    buf_putc(out, '{');
    json_put_member_int(out, "number", set->number);
    json_put_member(out, "run_uuid", set->run_uuid);
    json_put_member(out, "metric", search->values->metric);
    json_put_key(out, "value");
    buf_printf(out, "%.17g", search->value);
    json_put_member_raw(out, "parameters", str_of(set->parameters));
    buf_putc(out, '}');
}

int best_put(struct job_store *store, const struct job_row *job, int64_t fire, struct buf *out,
             struct err *e)
{
    const struct set_filter done = {.job = job->id, .fire = fire, .statuses = 1u << STATUS_SUCCESS};
    struct job_policy policy;
    int result = 0;

    if (job_policy_parse(&policy, job->policy, e) < 0)
        return -1;
    struct values values = {.metric = policy.metric};
    struct search search = {.values = &values, .is_least = policy.is_least};
    if (policy.metric)
        result = job_store_metrics(store, job->id, fire, take_metric, &values, e);
    if (result == 0 && values.count > 0)
        result = job_store_sets(store, &done, take_set, &search, e);
    if (result == 0 && search.has_best)
        put(&search, out);
    else if (result == 0)
        buf_puts(out, "null");
    held_set_clear(&search.best);
    free(values.items);
    job_policy_clear(&policy);
    return result;
}
