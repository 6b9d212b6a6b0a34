/* Random pipelines and random selections against a reference that is as simple as it can be: a
 * matrix of edges, closed by brute force. SEGUE_TEST_SEED repeats a failure, SEGUE_TEST_ROUNDS
 * makes it longer.
 */
#include "base/mem.h"
#include "runner/plan/plan.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { MOST_STEPS = 12, ROUNDS = 120000 };

struct reference {
    uint32_t count;
    bool edge[MOST_STEPS][MOST_STEPS]; /* [parent][child] */
    bool path[MOST_STEPS][MOST_STEPS];
    uint32_t listed[MOST_STEPS][2 * MOST_STEPS]; /* incoming as written, repetitions too */
    uint32_t listed_count[MOST_STEPS];
    bool selected[MOST_STEPS];
    bool kept[MOST_STEPS];
    uint32_t rank[MOST_STEPS];
};

/* splitmix64 (Steele, Lea, Flood, 2014) */
static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint32_t below(uint64_t *seed, uint32_t limit)
{
    return (uint32_t)(next_random(seed) % limit);
}

/* --- the reference --- */

/* Edges only go up in a hidden order, so that there is no cycle, but not in that of the file. */
static void make_graph(struct reference *r, uint64_t *seed)
{
    uint32_t hidden[MOST_STEPS], density = 1 + below(seed, 99);
    memset(r, 0, sizeof *r);
    r->count = 1 + below(seed, MOST_STEPS);
    for (uint32_t i = 0; i < r->count; i++) {
        uint32_t j = below(seed, i + 1);
        hidden[i] = hidden[j];
        hidden[j] = i;
    }
    for (uint32_t parent = 0; parent < r->count; parent++) {
        for (uint32_t child = 0; child < r->count; child++)
            r->edge[parent][child] = hidden[parent] < hidden[child] && below(seed, 100) < density;
    }
}

/* The parents of each step in a random order, some of them twice. */
static void list_parents(struct reference *r, uint64_t *seed)
{
    for (uint32_t child = 0; child < r->count; child++) {
        uint32_t *list = r->listed[child], *count = &r->listed_count[child];
        for (uint32_t parent = 0; parent < r->count; parent++) {
            for (uint32_t times = r->edge[parent][child] ? 1 + (below(seed, 5) == 0) : 0; times;
                 times--)
                list[(*count)++] = parent;
        }
        for (uint32_t i = *count; i > 1; i--) {
            uint32_t j = below(seed, i), swapped = list[j];
            list[j] = list[i - 1];
            list[i - 1] = swapped;
        }
    }
}

static void close_paths(struct reference *r)
{
    memcpy(r->path, r->edge, sizeof r->path);
    for (uint32_t via = 0; via < r->count; via++) {
        for (uint32_t a = 0; a < r->count; a++) {
            for (uint32_t b = 0; b < r->count; b++)
                r->path[a][b] |= r->path[a][via] && r->path[via][b];
        }
    }
}

static bool leads_to_selected(const struct reference *r, uint32_t step)
{
    for (uint32_t other = 0; other < r->count; other++) {
        if (r->selected[other] && r->path[step][other])
            return true;
    }
    return false;
}

static bool is_led_to_by_selected(const struct reference *r, uint32_t step)
{
    for (uint32_t other = 0; other < r->count; other++) {
        if (r->selected[other] && r->path[other][step])
            return true;
    }
    return false;
}

static bool is_kept(const struct reference *r, enum run_type type, uint32_t step)
{
    switch (type) {
    case RUN_FULL:
        return true;
    case RUN_SELECTION:
        return r->selected[step];
    case RUN_INCOMING:
        return leads_to_selected(r, step) && !r->selected[step];
    case RUN_UPTO:
        return leads_to_selected(r, step) || r->selected[step];
    case RUN_FROM:
        return is_led_to_by_selected(r, step) || r->selected[step];
    }
    return false;
}

static uint32_t keep(struct reference *r, enum run_type type)
{
    uint32_t count = 0;
    for (uint32_t step = 0; step < r->count; step++)
        count += r->kept[step] = is_kept(r, type, step);
    memset(r->rank, 0, sizeof r->rank);
    for (uint32_t round = 0; round < r->count; round++) {
        for (uint32_t a = 0; a < r->count; a++) {
            for (uint32_t b = 0; b < r->count; b++) {
                if (r->kept[a] && r->kept[b] && r->edge[a][b] && r->rank[b] <= r->rank[a])
                    r->rank[b] = r->rank[a] + 1;
            }
        }
    }
    return count;
}

/* --- what is tested --- */

static struct pipeline *to_pipeline(const struct reference *r)
{
    struct buf text = {0};
    buf_puts(&text, "{\"steps\":{");
    for (uint32_t i = 0; i < r->count; i++) {
        buf_printf(&text, "%s\"%u\":{\"incoming_connections\":[", i ? "," : "", i);
        for (uint32_t j = 0; j < r->listed_count[i]; j++)
            buf_printf(&text, "%s\"%u\"", j ? "," : "", r->listed[i][j]);
        buf_puts(&text, "]}");
    }
    buf_puts(&text, "}}");
    struct pipeline *pipeline;
    auto_problems struct problems problems = {0};
    struct err e;
    size_t len = text.len;
    if (pipeline_parse_take(buf_take(&text), len, "x", &pipeline, &problems, &e))
        fail_msg("%s", e.text);
    return pipeline;
}

/* Each kept step is there once, by rank and then in the order of the file. */
static void check_order(const struct reference *r, const struct plan *plan, uint32_t kept)
{
    assert_int_equal(plan->count, kept);
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct plan_step *step = &plan->steps[i];
        assert_true(r->kept[step->step]);
        assert_int_equal(step->rank, r->rank[step->step]);
        if (i == 0)
            continue;
        const struct plan_step *before = &plan->steps[i - 1];
        assert_true(before->rank < step->rank ||
                    (before->rank == step->rank && before->step < step->step));
    }
    assert_int_equal(plan->rank_count, plan->steps[plan->count - 1].rank + 1);
}

/* Incoming is what is written, each once, of kept steps only, in the order that is written. */
static void check_incoming(const struct reference *r, const struct plan *plan, uint32_t at)
{
    uint32_t step = plan->steps[at].step, found = 0;
    struct step_list incoming = plan->steps[at].incoming;
    bool seen[MOST_STEPS] = {false};
    for (uint32_t i = 0; i < r->listed_count[step]; i++) {
        uint32_t parent = r->listed[step][i];
        if (seen[parent] || !r->kept[parent])
            continue;
        seen[parent] = true;
        assert_true(found < incoming.count && incoming.at[found] < at);
        assert_int_equal(plan->steps[incoming.at[found++]].step, parent);
    }
    assert_int_equal(found, incoming.count);
}

static void check_outgoing(const struct reference *r, const struct plan *plan, uint32_t at)
{
    uint32_t found = 0;
    struct step_list outgoing = plan->steps[at].outgoing;
    for (uint32_t child = 0; child < plan->count; child++) {
        if (!r->edge[plan->steps[at].step][plan->steps[child].step])
            continue;
        assert_true(found < outgoing.count);
        assert_int_equal(outgoing.at[found++], child);
    }
    assert_int_equal(found, outgoing.count);
}

static void check_sentinel(const struct plan *plan)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < plan->count; i++) {
        if (plan->steps[i].outgoing.count > 0)
            continue;
        assert_true(found < plan->sentinel.count);
        assert_int_equal(plan->sentinel.at[found++], i);
    }
    assert_int_equal(found, plan->sentinel.count);
}

static void check_plan(struct reference *r, const struct pipeline *pipeline, enum run_type type,
                       const uint32_t *selected, uint32_t selected_count)
{
    uint32_t kept = keep(r, type);
    auto_plan struct plan *plan = NULL;
    struct err e;
    if (kept == 0) {
        assert_int_equal(plan_make(pipeline, type, selected, selected_count, &plan, &e), -1);
        assert_int_equal(e.code, ERR_INVALID);
        return;
    }
    assert_int_equal(plan_make(pipeline, type, selected, selected_count, &plan, &e), 0);
    assert_int_equal(plan->run_type, type);
    check_order(r, plan, kept);
    for (uint32_t i = 0; i < plan->count; i++) {
        check_incoming(r, plan, i);
        check_outgoing(r, plan, i);
    }
    check_sentinel(plan);
}

/* The pipeline is what was written, before and after. */
static void check_pipeline(const struct reference *r, const struct pipeline *pipeline)
{
    assert_int_equal(pipeline->step_count, r->count);
    for (uint32_t step = 0; step < r->count; step++) {
        struct step_list incoming = pipeline->steps[step].incoming;
        bool seen[MOST_STEPS] = {false};
        uint32_t found = 0;
        for (uint32_t i = 0; i < r->listed_count[step]; i++) {
            uint32_t parent = r->listed[step][i];
            if (seen[parent])
                continue;
            seen[parent] = true;
            assert_true(found < incoming.count && incoming.at[found] == parent);
            found++;
        }
        assert_int_equal(found, incoming.count);
    }
}

static uint32_t select_some(struct reference *r, uint64_t *seed, uint32_t *selected)
{
    uint32_t count = 0, density = below(seed, 101);
    for (uint32_t step = 0; step < r->count; step++) {
        r->selected[step] = below(seed, 100) < density;
        if (r->selected[step])
            selected[count++] = step;
    }
    if (count > 0 && below(seed, 4) == 0) { /* one of them twice */
        selected[count] = selected[below(seed, count)];
        count++;
    }
    return count;
}

static void run_round(uint64_t seed)
{
    struct reference r;
    uint32_t selected[MOST_STEPS + 1];
    make_graph(&r, &seed);
    list_parents(&r, &seed);
    close_paths(&r);
    uint32_t count = select_some(&r, &seed, selected);
    auto_pipeline struct pipeline *pipeline = to_pipeline(&r);
    check_pipeline(&r, pipeline);
    for (int type = RUN_FULL; type <= RUN_FROM; type++)
        check_plan(&r, pipeline, (enum run_type)type, selected, count);
    check_pipeline(&r, pipeline);
}

static uint64_t number_from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static uint64_t current_seed;

static void random_plans_are_what_they_promise(void **state)
{
    (void)state;
    uint64_t seed = number_from_environment("SEGUE_TEST_SEED", 1);
    uint64_t rounds = number_from_environment("SEGUE_TEST_ROUNDS", ROUNDS);
    for (uint64_t i = 0; i < rounds; i++) {
        current_seed = seed + i;
        run_round(current_seed);
    }
    current_seed = 0;
}

static int say_seed(void **state)
{
    (void)state;
    if (current_seed)
        print_message("repeat with SEGUE_TEST_SEED=%" PRIu64 " SEGUE_TEST_ROUNDS=1\n",
                      current_seed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(random_plans_are_what_they_promise, say_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
