/* The document is copied compactly first: the copy has the same nodes in the same order, so that
 * what is read in one is found in the other at a fixed distance. Problems are reported where they
 * stand in the document that was given; what is kept are positions in the copy.
 *
 * Sets are counted before anything is allocated for them: a grid is a few words, its product may be
 * anything.
 */
#include "base/limits.h"
#include "runner/plan/owners.h"
#include "runner/sets/fields.h"
#include "runner/sets/parameter_sets_private.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static const struct field fields[] = {
    {"strategy", JSON_STRING}, {"base", JSON_OBJECT}, {"grid", JSON_OBJECT},   {"sets", JSON_ARRAY},
    {"count", JSON_NUMBER},    {"seed", JSON_NUMBER}, {"exclude", JSON_ARRAY}, {0},
};

static const char *const strategies[] = {
#define X(strategy, name) [strategy] = name,
    STRATEGIES(X)
#undef X
        NULL,
};

struct reading {
    const struct json *doc; /* as it was given */
    json_at at;
    const struct pipeline *pipeline;
    struct problems *problems;
    uint32_t before; /* problems that others have found */
    struct parameter_sets *sets;
};

static bool has_failed(const struct reading *r)
{
    return r->problems->total > r->before;
}

static json_at get(const struct reading *r, const char *name)
{
    return fields_get(r->doc, r->at, fields, name);
}

/* The same node in the copy. */
static json_at kept(const struct reading *r, json_at at)
{
    return at - r->at;
}

static bool must_be(const struct reading *r, json_at at, enum json_kind kind)
{
    enum json_kind found = json_kind(r->doc, at);

    if (found == kind)
        return true;
    problems_add(r->problems, r->doc, at, "must be %s, is %s", json_kind_name(kind),
                 json_kind_name(found));
    return false;
}

/* "100,000" */
static const char *thousands(uint64_t number, char text[32])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, number);
    char *out = text;

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = 0;
    return text;
}

/* --- parameters --- */

static uint32_t add_owner(struct reading *r, uint32_t step)
{
    struct parameter_sets *sets = r->sets;

    for (uint32_t i = 0; i < sets->owner_count; i++)
        if (sets->owners[i].step == step)
            return i;
    mem_grow(sets->owners, sets->owner_count, sets->owner_capacity);
    sets->owners[sets->owner_count] = (struct sets_owner){
        step, mem_strdup(step == STEP_NONE ? OWNERS_PIPELINE : r->pipeline->steps[step].uuid)};
    return sets->owner_count++;
}

/* Its index; UINT32_MAX, with a problem, for a name that cannot be one, or one too many. */
static uint32_t add_parameter(struct reading *r, uint32_t step, json_at name_at)
{
    struct parameter_sets *sets = r->sets;
    auto_free char *name = json_strdup(r->doc, name_at);

    if (!name) {
        problems_add(r->problems, r->doc, name_at, "may not contain U+0000");
        return UINT32_MAX;
    }
    auto_free char *key = mem_printf("%" PRIu32 " %s", step, name);
    uint32_t known = map_get(&sets->by_key, str_of(key));
    if (known != MAP_NONE)
        return known;
    if (sets->parameter_count == LIMIT_JOB_PARAMETERS) {
        problems_add(r->problems, r->doc, name_at,
                     "more than the %u different parameters that the sets of a job may have",
                     LIMIT_JOB_PARAMETERS);
        return UINT32_MAX;
    }
    map_add(&sets->by_key, str_of(key), sets->parameter_count);
    mem_grow(sets->parameters, sets->parameter_count, sets->parameter_capacity);
    sets->parameters[sets->parameter_count] =
        (struct sets_parameter){add_owner(r, step), key, strchr(key, ' ') + 1};
    take_ptr(&key);
    return sets->parameter_count++;
}

/* Calls `each` with every parameter that OWNERS or a GRID names, and where its value stands. */
typedef void parameter_fn(struct reading *r, uint32_t parameter, json_at value);

static void read_owner(struct reading *r, json_at key, parameter_fn *each)
{
    json_at values = json_value(key);
    uint32_t step;

    if (!owners_read_key(r->pipeline, r->doc, key, r->problems, &step) ||
        !must_be(r, values, JSON_OBJECT))
        return;
    json_each (r->doc, values, name) {
        uint32_t parameter = add_parameter(r, step, name);
        if (parameter != UINT32_MAX)
            each(r, parameter, json_value(name));
    }
}

static void read_owners(struct reading *r, json_at owners, parameter_fn *each)
{
    json_each (r->doc, owners, key)
        read_owner(r, key, each);
}

static void add_setting(const struct reading *r, struct setting_list *list, uint32_t parameter,
                        json_at value)
{
    mem_grow(list->items, list->count, list->capacity);
    list->items[list->count++] = (struct setting){parameter, kept(r, value)};
}

static void add_to_base(struct reading *r, uint32_t parameter, json_at value)
{
    add_setting(r, &r->sets->base, parameter, value);
}

static void add_to_list(struct reading *r, uint32_t parameter, json_at value)
{
    add_setting(r, &r->sets->listed, parameter, value);
}

/* --- axes --- */

static void add_axis(struct reading *r, uint32_t parameter, json_at value)
{
    struct parameter_sets *sets = r->sets;
    struct axis axis;
    struct err e;

    for (uint32_t i = 0; i < sets->axis_count; i++) {
        if (sets->axes[i].parameter == parameter) {
            problems_add(r->problems, r->doc, value, "\"%s\" is there twice",
                         sets->parameters[parameter].name);
            return;
        }
    }
    if (axis_read(&axis, &sets->doc, kept(r, value), &e) < 0) {
        problems_add(r->problems, r->doc, value, "%s", e.text);
        return;
    }
    mem_grow(sets->axes, sets->axis_count, sets->axis_capacity);
    sets->axes[sets->axis_count++] = (struct sets_axis){axis, parameter};
    if (axis_is_distribution(&axis) && sets->strategy != STRATEGY_RANDOM)
        problems_add(r->problems, r->doc, value,
                     "a distribution has no values to go through; it goes with the strategy "
                     "\"random\"");
    else if (sets->strategy == STRATEGY_ZIP && axis.count != sets->axes[0].axis.count)
        problems_add(
            r->problems, r->doc, value,
            "has %" PRIu64 " values, \"%s\" has %" PRIu64 "; in a zip all have the same number",
            axis.count, sets->parameters[sets->axes[0].parameter].name, sets->axes[0].axis.count);
}

/* --- how many --- */

static void add_too_many(const struct reading *r, json_at at, const char *what, uint64_t count)
{
    char number[32], most[32];

    problems_add(r->problems, r->doc, at,
                 "%s has %s sets; at most %s may be run in one job: leave out some values, or have "
                 "some of the sets picked by the strategy \"random\"",
                 what, thousands(count, number), thousands(LIMIT_JOB_SETS, most));
}

/* Combinations of the grid; false: too many for 64 bits. */
static bool count_product(const struct parameter_sets *sets, uint64_t *ret_count)
{
    *ret_count = 1;
    for (uint32_t i = 0; i < sets->axis_count; i++)
        if (__builtin_mul_overflow(*ret_count, sets->axes[i].axis.count, ret_count))
            return false;
    return true;
}

static bool has_distribution(const struct parameter_sets *sets)
{
    for (uint32_t i = 0; i < sets->axis_count; i++)
        if (axis_is_distribution(&sets->axes[i].axis))
            return true;
    return false;
}

static void check_total(struct reading *r, json_at at, const char *what, uint64_t total)
{
    if (total > LIMIT_JOB_SETS)
        add_too_many(r, at, what, total);
    else
        r->sets->total = (uint32_t)total;
}

static void count_grid(struct reading *r)
{
    uint64_t total;

    if (count_product(r->sets, &total))
        check_total(r, get(r, "grid"), "the grid", total);
    else
        problems_add(r->problems, r->doc, get(r, "grid"),
                     "the grid has more than %" PRIu64
                     " sets; have some of them picked by the strategy \"random\"",
                     UINT64_MAX);
}

static void count_zip(struct reading *r)
{
    const struct parameter_sets *sets = r->sets;

    check_total(r, get(r, "grid"), "the grid", sets->axis_count ? sets->axes[0].axis.count : 1);
}

/* Of more combinations than 64 bits can number, values are drawn one by one: that 20,000 such draws
 * have the same twice is less likely than that the machine errs. */
static void count_random(struct reading *r)
{
    struct parameter_sets *sets = r->sets;
    json_at at = get(r, "count");
    int64_t wanted = fields_whole(r->doc, at, 1, INT64_MAX, 1, r->problems);
    uint64_t product, total = (uint64_t)wanted;

    sets->seed = (uint64_t)fields_whole(r->doc, get(r, "seed"), 0, INT64_MAX, 0, r->problems);
    bool is_picked = !has_distribution(sets) && count_product(sets, &product);
    if (is_picked && product < total)
        total = product;
    if (total > LIMIT_JOB_SETS)
        problems_add(r->problems, r->doc, at, "at most %u sets may be run in one job",
                     LIMIT_JOB_SETS);
    else
        sets->total = (uint32_t)total;
    if (!is_picked || has_failed(r))
        return;
    sets->picks = mem_array(sets->total, sizeof *sets->picks);
    draw_distinct(sets->seed, product, sets->total, sets->picks);
}

static void read_sets(struct reading *r)
{
    struct parameter_sets *sets = r->sets;
    json_at at = get(r, "sets");
    uint32_t count = json_count(r->doc, at), index = 0;

    if (count > LIMIT_JOB_SETS) {
        add_too_many(r, at, "the list", count);
        return;
    }
    if (count == 0 && at != JSON_NONE)
        problems_add(r->problems, r->doc, at, "nothing to run: there is no set");
    sets->starts = mem_array(count + 1ul, sizeof *sets->starts);
    json_each (r->doc, at, owners) {
        if (must_be(r, owners, JSON_OBJECT))
            read_owners(r, owners, add_to_list);
        sets->starts[++index] = sets->listed.count;
    }
    sets->total = count;
}

/* What all sets would take, each written down. */
static void check_bytes(struct reading *r)
{
    const struct parameter_sets *sets = r->sets;
    uint64_t each = json_raw(r->doc, get(r, "base")).len, all;

    for (uint32_t i = 0; i < sets->axis_count; i++)
        each += axis_longest(&sets->axes[i].axis, &sets->doc);
    all = each * sets->total + json_raw(r->doc, get(r, "sets")).len;
    if (all > LIMIT_JOB_SETS_BYTES)
        problems_add(r->problems, r->doc, r->at,
                     "the sets take up to %" PRIu64 " MiB, more than the %lu MiB that those of a "
                     "job may",
                     all / MiB, LIMIT_JOB_SETS_BYTES / MiB);
}

/* --- which of them --- */

static void read_excluded(struct reading *r, bool *is_excluded)
{
    const struct parameter_sets *sets = r->sets;
    json_at exclude = get(r, "exclude");
    int64_t number;

    json_each (r->doc, exclude, at) {
        if (!json_int(r->doc, at, &number))
            problems_add(r->problems, r->doc, at, "must be the number of a set");
        else if (number < 0 || number >= sets->total)
            problems_add(r->problems, r->doc, at,
                         "there is no set %" PRId64 ": they are numbered 0 to %" PRIu32, number,
                         sets->total - 1);
        else
            is_excluded[number] = true;
    }
}

static void leave_out(struct reading *r)
{
    struct parameter_sets *sets = r->sets;
    auto_free bool *is_excluded = mem_array(sets->total, sizeof *is_excluded);
    uint32_t count = 0;

    read_excluded(r, is_excluded);
    sets->kept = mem_array(sets->total, sizeof *sets->kept);
    for (uint32_t i = 0; i < sets->total; i++)
        if (!is_excluded[i])
            sets->kept[count++] = i;
    sets->count = count;
    if (count == 0)
        problems_add(r->problems, r->doc, get(r, "exclude"),
                     "nothing to run: all sets (%" PRIu32 ") are left out", sets->total);
}

/* --- the whole --- */

static bool read_strategy(struct reading *r)
{
    json_at at = get(r, "strategy");
    auto_buf struct buf scratch = {0};

    if (at == JSON_NONE) {
        bool is_list = get(r, "sets") != JSON_NONE && get(r, "grid") == JSON_NONE;
        r->sets->strategy = is_list ? STRATEGY_LIST : STRATEGY_PRODUCT;
        return true;
    }
    json_string(r->doc, at, &scratch);
    for (unsigned i = 0; strategies[i]; i++) {
        if (json_is(r->doc, at, strategies[i])) {
            r->sets->strategy = (enum strategy)i;
            return true;
        }
    }
    const char *nearest = str_nearest(buf_text(&scratch), strategies);
    if (nearest)
        problems_add(r->problems, r->doc, at, "unknown strategy \"%s\"; did you mean \"%s\"?",
                     buf_text(&scratch), nearest);
    else
        problems_add(r->problems, r->doc, at,
                     "unknown strategy \"%s\"; there are \"product\", \"zip\", \"random\" and "
                     "\"list\"",
                     buf_text(&scratch));
    return false;
}

/* Neither rightly nor wrongly given. */
static bool is_missing(const struct reading *r, const char *name)
{
    enum json_kind kind = json_kind(r->doc, json_get(r->doc, r->at, name));

    return kind == JSON_ABSENT || kind == JSON_NULL;
}

/* A field that would say nothing is a mistake. */
static void check_fits(const struct reading *r, const char *name, bool fits, const char *with)
{
    json_at at = get(r, name);

    if (at != JSON_NONE && !fits)
        problems_add(r->problems, r->doc, at, "\"%s\" goes with %s", name, with);
}

static void check_strategy(const struct reading *r)
{
    enum strategy strategy = r->sets->strategy;
    bool is_list = strategy == STRATEGY_LIST, is_random = strategy == STRATEGY_RANDOM;
    const char *needed = is_list ? "sets" : "grid";

    check_fits(r, "sets", is_list, "the strategy \"list\" only");
    check_fits(r, "grid", !is_list, "\"product\", \"zip\" and \"random\" only");
    check_fits(r, "count", is_random, "the strategy \"random\" only");
    check_fits(r, "seed", is_random, "the strategy \"random\" only");
    if (get(r, "strategy") != JSON_NONE && is_missing(r, needed))
        problems_add(r->problems, r->doc, r->at, "\"%s\" is missing", needed);
    if (is_random && is_missing(r, "count"))
        problems_add(r->problems, r->doc, r->at,
                     "\"count\" is missing: how many sets are to be drawn");
}

static void count_sets(struct reading *r)
{
    switch (r->sets->strategy) {
    case STRATEGY_PRODUCT:
        count_grid(r);
        return;
    case STRATEGY_ZIP:
        count_zip(r);
        return;
    case STRATEGY_RANDOM:
        count_random(r);
        return;
    case STRATEGY_LIST:
        read_sets(r);
        return;
    }
}

static void add_column(struct parameter_sets *sets, uint32_t parameter)
{
    const struct sets_parameter *p = &sets->parameters[parameter];

    sets->columns[sets->column_count++] =
        (struct parameter_axis){sets->owners[p->owner].step, p->name};
}

static void make_columns(struct parameter_sets *sets)
{
    auto_free bool *is_there = mem_array(sets->parameter_count, sizeof *is_there);

    sets->columns = mem_array(sets->parameter_count, sizeof *sets->columns);
    for (uint32_t i = 0; i < sets->axis_count; i++)
        add_column(sets, sets->axes[i].parameter);
    for (uint32_t i = 0; i < sets->listed.count; i++) {
        uint32_t parameter = sets->listed.items[i].parameter;
        if (!is_there[parameter])
            add_column(sets, parameter);
        is_there[parameter] = true;
    }
}

static void make_order(struct parameter_sets *sets)
{
    uint32_t count = 0;

    sets->order = mem_array(sets->parameter_count, sizeof *sets->order);
    for (uint32_t owner = 0; owner < sets->owner_count; owner++)
        for (uint32_t i = 0; i < sets->parameter_count; i++)
            if (sets->parameters[i].owner == owner)
                sets->order[count++] = i;
}

static void read_all(struct reading *r)
{
    if (!fields_check(r->doc, r->at, fields, r->problems))
        return;
    if (read_strategy(r))
        check_strategy(r);
    read_owners(r, get(r, "base"), add_to_base);
    read_owners(r, get(r, "grid"), add_axis);
    if (has_failed(r))
        return;
    count_sets(r);
    if (!has_failed(r))
        check_bytes(r);
    if (has_failed(r))
        return;
    r->sets->count = r->sets->total;
    if (json_count(r->doc, get(r, "exclude")) > 0)
        leave_out(r);
    make_columns(r->sets);
    make_order(r->sets);
}

static void copy_doc(struct parameter_sets *sets, const struct json *doc, json_at at)
{
    struct buf text = {0};
    struct err e;

    if (at == JSON_NONE)
        buf_puts(&text, "{}");
    else
        json_write(doc, at, JSON_COMPACT, 0, &text);
    size_t len = text.len;
    int failed = json_parse_take(&sets->doc, buf_take(&text), len, JSON_TOLERANT, NULL, &e);
    assert(!failed);
    (void)failed;
}

struct parameter_sets *parameter_sets_read(const struct json *doc, json_at at,
                                           const struct pipeline *pipeline,
                                           struct problems *problems)
{
    auto_parameter_sets struct parameter_sets *sets = mem_zalloc(sizeof *sets);
    bool is_given = json_kind(doc, at) != JSON_NULL && at != JSON_NONE;

    copy_doc(sets, doc, is_given ? at : JSON_NONE);
    struct reading r = {
        .doc = is_given ? doc : &sets->doc,
        .at = is_given ? at : 0,
        .pipeline = pipeline,
        .problems = problems,
        .before = problems->total,
        .sets = sets,
    };
    read_all(&r);
    return has_failed(&r) ? NULL : take_ptr(&sets);
}

int parameter_sets_parse(struct str text, const struct pipeline *pipeline,
                         struct parameter_sets **ret_sets, struct err *e)
{
    auto_problems struct problems problems = {0};
    auto_json struct json doc = {0};

    if (json_parse(&doc, text, JSON_STRICT, NULL, e) < 0)
        return -1;
    struct parameter_sets *sets = parameter_sets_read(&doc, 0, pipeline, &problems);
    if (!sets)
        return problems_to_err(&problems, e);
    *ret_sets = sets;
    return 0;
}
