#include "runner/run/run.h"

#include "runner/run/step_heap.h"
#include "runner/run/step_set.h"
#include "tests/unit/runner/run/made_plan.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define EDGES(...)                                                                                 \
    (const struct edge[])                                                                          \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define COUNT(...)    (uint32_t)(sizeof(EDGES(__VA_ARGS__)) / sizeof(struct edge))
#define GRAPH(n, ...) made_plan_of(n, EDGES(__VA_ARGS__), COUNT(__VA_ARGS__))
#define NO_LIMIT      UINT32_MAX

static void apply(struct run *run, struct run_event event)
{
    struct err e = {0};
    if (run_apply(run, &event, &e) < 0)
        fail_msg("refused: %s", e.text);
}

static void refused(struct run *run, struct run_event event)
{
    struct err e = {0};
    struct run_action before;
    struct run_action after;
    run_next(run, 1000, NO_LIMIT, &before);
    assert_int_equal(run_apply(run, &event, &e), -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_true(e.text[0] != 0);
    run_next(run, 1000, NO_LIMIT, &after);
    assert_memory_equal(&before, &after, sizeof before);
}

static struct run_action next(const struct run *run, msec now, uint32_t slots)
{
    struct run_action action;
    struct run_action again;
    run_next(run, now, slots, &action);
    run_next(run, now, slots, &again);
    assert_memory_equal(&action, &again, sizeof action);
    return action;
}

static void is_start(struct run *run, msec now, uint32_t step, uint32_t attempt)
{
    struct run_action action = next(run, now, NO_LIMIT);
    assert_int_equal(action.kind, ACTION_START);
    assert_int_equal(action.event.step, step);
    assert_int_equal(action.event.attempt, attempt);
    assert_int_equal(action.event.time, now);
    apply(run, action.event);
}

static void is_abort(struct run *run, uint32_t step, enum cause cause)
{
    struct run_action action = next(run, 0, NO_LIMIT);
    assert_int_equal(action.kind, ACTION_ABORT);
    assert_int_equal(action.event.step, step);
    assert_int_equal(action.event.status, STATUS_ABORTED);
    assert_int_equal(action.event.cause, cause);
    apply(run, action.event);
    assert_int_equal(run_step_status(run, step), STATUS_ABORTED);
    assert_int_equal(run_step_cause(run, step), cause);
}

static void is_stop(struct run *run, msec now, uint32_t step, enum cause cause)
{
    struct run_action action = next(run, now, NO_LIMIT);
    assert_int_equal(action.kind, ACTION_STOP);
    assert_int_equal(action.event.step, step);
    assert_int_equal(action.event.cause, cause);
    apply(run, action.event);
    assert_true(run_step_is_stopping(run, step));
}

static void is_finish(struct run *run, enum status status, enum cause cause)
{
    struct run_action action = next(run, 0, 0);
    assert_int_equal(action.kind, ACTION_FINISH);
    assert_int_equal(action.event.status, status);
    assert_int_equal(action.event.cause, cause);
    apply(run, action.event);
    assert_int_equal(run_status(run), status);
    assert_int_equal(next(run, 0, NO_LIMIT).kind, ACTION_NOTHING);
}

static void is_idle(const struct run *run, msec now)
{
    assert_int_equal(next(run, now, NO_LIMIT).kind, ACTION_NOTHING);
}

static void is_wait(const struct run *run, msec now, msec until)
{
    struct run_action action = next(run, now, NO_LIMIT);
    assert_int_equal(action.kind, ACTION_WAIT);
    assert_int_equal(action.time, until);
}

static void ended(struct run *run, msec now, uint32_t step, enum status status, enum cause cause)
{
    struct run_event event;
    run_attempt_ended(run, step, status, cause, now, &event);
    apply(run, event);
}

static void succeeds(struct run *run, uint32_t step)
{
    ended(run, 0, step, STATUS_SUCCESS, CAUSE_NONE);
    assert_int_equal(run_step_status(run, step), STATUS_SUCCESS);
}

static struct run *started_at(const struct made_plan *m, msec now, uint32_t timeout_s)
{
    struct run *run = run_new(&m->plan, &m->pipeline, timeout_s);
    apply(run, (struct run_event){.kind = EVENT_RUN_QUEUED, .step = STEP_NONE});
    apply(run, (struct run_event){.kind = EVENT_RUN_STARTED, .step = STEP_NONE, .time = now});
    return run;
}

static struct run *started(const struct made_plan *m)
{
    return started_at(m, 0, 0);
}

static void cancelled(struct run *run)
{
    apply(run, (struct run_event){.kind = EVENT_CANCEL_REQUESTED, .step = STEP_NONE});
}

/* ---- execution order: graphs, how long each step takes, how long the whole must take ---- */

struct order_case {
    const char *name;
    uint32_t count;
    uint32_t took[9];
    uint32_t edge_count;
    struct edge edges[14];
    msec makespan; /* the longest path: nothing waits for more than its parents */
};

static const struct order_case order_cases[] = {
    {"fan-out of three", 4, {5, 3, 1, 2}, 3, {{0, 1}, {0, 2}, {0, 3}}, 8},
    {"diamond, left slower", 4, {1, 7, 2, 1}, 4, {{0, 1}, {0, 2}, {1, 3}, {2, 3}}, 9},
    {"diamond, right slower", 4, {1, 2, 7, 1}, 4, {{0, 1}, {0, 2}, {1, 3}, {2, 3}}, 9},
    {"chain with a skipping edge", 4, {1, 2, 4, 1}, 4, {{0, 1}, {1, 2}, {0, 3}, {2, 3}}, 8},
    {"chain, then fork", 5, {1, 2, 1, 6, 3}, 4, {{0, 1}, {1, 2}, {2, 3}, {2, 4}}, 10},
    {"fork and join, one isolated", 5, {2, 3, 5, 1, 4}, 4, {{0, 2}, {0, 3}, {2, 4}, {3, 4}}, 11},
    {"three roots, partial joins",
     7,
     {1, 6, 2, 3, 1, 1, 1},
     7,
     {{0, 3}, {1, 3}, {1, 4}, {2, 4}, {3, 5}, {4, 5}, {4, 6}},
     10},
    {"double ladder",
     9,
     {1, 2, 1, 3, 1, 1, 4, 1, 1},
     12,
     {{0, 1},
      {0, 2},
      {1, 3},
      {2, 4},
      {1, 4},
      {2, 3},
      {3, 5},
      {4, 6},
      {3, 6},
      {4, 5},
      {5, 7},
      {6, 8}},
     11},
    {"two roots joined, then chain", 5, {4, 1, 1, 2, 1}, 4, {{0, 2}, {1, 2}, {2, 3}, {3, 4}}, 8},
};

struct timing {
    msec start[9];
    msec end[9];
    uint32_t order[9]; /* of starts */
    uint32_t starts;
};

/* Lets every step take its time; gives when each started and ended. */
static msec simulate(struct run *run, const struct order_case *c, struct timing *t)
{
    msec now = 0;
    for (;;) {
        struct run_action action = next(run, now, NO_LIMIT);
        if (action.kind == ACTION_FINISH) {
            assert_int_equal(action.event.status, STATUS_SUCCESS);
            return now;
        }
        if (action.kind == ACTION_START) {
            apply(run, action.event);
            t->start[action.event.step] = now;
            t->end[action.event.step] = now + c->took[action.event.step];
            t->order[t->starts++] = action.event.step;
            continue;
        }
        uint32_t first = STEP_NONE;
        for (uint32_t i = 0; i < c->count; i++)
            if (run_step_is_running(run, i) && (first == STEP_NONE || t->end[i] < t->end[first]))
                first = i;
        assert_true(first != STEP_NONE);
        now = t->end[first];
        succeeds(run, first);
    }
}

static void order_without_limit(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof order_cases / sizeof *order_cases; i++) {
        const struct order_case *c = &order_cases[i];
        struct made_plan m = made_plan_of(c->count, c->edges, c->edge_count);
        auto_run struct run *run = started(&m);
        struct timing t = {0};
        msec took = simulate(run, c, &t);
        if (took != c->makespan)
            fail_msg("%s: took %d, not %d", c->name, (int)took, (int)c->makespan);
        for (uint32_t k = 0; k < c->edge_count; k++)
            if (t.end[c->edges[k].parent] > t.start[c->edges[k].child])
                fail_msg("%s: %u started before %u ended", c->name, c->edges[k].child,
                         c->edges[k].parent);
        made_plan_clear(&m);
    }
}

static void order_one_at_a_time_is_plan_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof order_cases / sizeof *order_cases; i++) {
        const struct order_case *c = &order_cases[i];
        struct made_plan m = made_plan_of(c->count, c->edges, c->edge_count);
        m.pipeline.max_steps_parallelism = 1;
        auto_run struct run *run = started(&m);
        struct timing t = {0};
        simulate(run, c, &t);
        for (uint32_t k = 0; k < c->count; k++)
            assert_int_equal(t.order[k], k);
        made_plan_clear(&m);
    }
}

/* ---- one thing at a time ---- */

static void queued_run_starts_nothing(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(2, NULL, 0);
    auto_run struct run *run = run_new(&m.plan, &m.pipeline, 0);
    is_idle(run, 0);
    apply(run, (struct run_event){.kind = EVENT_RUN_QUEUED, .step = STEP_NONE});
    assert_int_equal(run_status(run), STATUS_PENDING);
    is_idle(run, 0);
    apply(run, (struct run_event){.kind = EVENT_RUN_STARTED, .step = STEP_NONE});
    assert_int_equal(run_status(run), STATUS_STARTED);
    is_start(run, 5, 0, 1);
    made_plan_clear(&m);
}

static void single_step_succeeds(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(1, NULL, 0);
    auto_run struct run *run = started(&m);
    is_start(run, 5, 0, 1);
    assert_int_equal(run_step_status(run, 0), STATUS_STARTED);
    assert_int_equal(run_step_attempt(run, 0), 1);
    assert_int_equal(run_running(run), 1);
    is_idle(run, 6);
    succeeds(run, 0);
    assert_int_equal(run_running(run), 0);
    assert_int_equal(run_count(run, STATUS_SUCCESS), 1);
    is_finish(run, STATUS_SUCCESS, CAUSE_NONE);
    made_plan_clear(&m);
}

static void single_step_fails(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(1, NULL, 0);
    auto_run struct run *run = started(&m);
    is_start(run, 5, 0, 1);
    ended(run, 9, 0, STATUS_FAILURE, CAUSE_OUT_OF_MEMORY);
    assert_int_equal(run_step_cause(run, 0), CAUSE_OUT_OF_MEMORY);
    assert_int_equal(run_first_failure(run), 0);
    is_finish(run, STATUS_FAILURE, CAUSE_OUT_OF_MEMORY);
    made_plan_clear(&m);
}

/* Every child of a parent that has only started has to wait, not just the first one. */
static void no_child_starts_before_its_parent_has_ended(void **state)
{
    (void)state;
    struct made_plan m = GRAPH(3, {0, 1}, {0, 2});
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    is_idle(run, 1);
    succeeds(run, 0);
    is_start(run, 2, 1, 1);
    is_start(run, 2, 2, 1);
    is_idle(run, 2);
    made_plan_clear(&m);
}

/* A run whose steps all were fine but one is not a success. */
static void one_failure_makes_the_run_a_failure(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(3, NULL, 0);
    auto_run struct run *run = started(&m);
    for (uint32_t i = 0; i < 3; i++)
        is_start(run, 0, i, 1);
    succeeds(run, 0);
    ended(run, 0, 2, STATUS_FAILURE, CAUSE_CELL_ERROR);
    is_idle(run, 0);
    succeeds(run, 1);
    is_finish(run, STATUS_FAILURE, CAUSE_CELL_ERROR);
    assert_int_equal(run_count(run, STATUS_SUCCESS), 2);
    made_plan_clear(&m);
}

static void failure_aborts_descendants_only(void **state)
{
    (void)state;
    struct made_plan m = GRAPH(6, {0, 2}, {2, 3}, {1, 3}, {1, 4}, {3, 5});
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    is_start(run, 0, 1, 1);
    ended(run, 0, 0, STATUS_FAILURE, CAUSE_EXIT_CODE);
    is_abort(run, 2, CAUSE_UPSTREAM);
    is_abort(run, 3, CAUSE_UPSTREAM);
    is_abort(run, 5, CAUSE_UPSTREAM);
    is_idle(run, 0);
    succeeds(run, 1);
    is_start(run, 0, 4, 1);
    succeeds(run, 4);
    assert_int_equal(run_count(run, STATUS_ABORTED), 3);
    is_finish(run, STATUS_FAILURE, CAUSE_EXIT_CODE);
    made_plan_clear(&m);
}

/* The only leaf is ABORTED at once, but a parent of it still runs: the run goes on. */
static void run_outlives_its_aborted_leaf(void **state)
{
    (void)state;
    struct made_plan m = GRAPH(3, {0, 2}, {1, 2});
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    is_start(run, 0, 1, 1);
    ended(run, 0, 0, STATUS_FAILURE, CAUSE_CELL_ERROR);
    is_abort(run, 2, CAUSE_UPSTREAM);
    is_idle(run, 0);
    refused(run, (struct run_event){.kind = EVENT_RUN_FINISHED,
                                    .status = STATUS_FAILURE,
                                    .cause = CAUSE_CELL_ERROR,
                                    .step = STEP_NONE});
    succeeds(run, 1);
    is_finish(run, STATUS_FAILURE, CAUSE_CELL_ERROR);
    made_plan_clear(&m);
}

/* The same, with the other parent held up by other runs that use all slots. */
static void run_outlives_its_aborted_leaf_without_a_slot(void **state)
{
    (void)state;
    struct made_plan m = GRAPH(3, {0, 2}, {1, 2});
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    ended(run, 0, 0, STATUS_FAILURE, CAUSE_CELL_ERROR);
    is_abort(run, 2, CAUSE_UPSTREAM);
    assert_int_equal(next(run, 0, 0).kind, ACTION_NOTHING);
    is_start(run, 0, 1, 1);
    succeeds(run, 1);
    is_finish(run, STATUS_FAILURE, CAUSE_CELL_ERROR);
    made_plan_clear(&m);
}

static void two_failures_abort_a_common_child_once(void **state)
{
    (void)state;
    struct made_plan m = GRAPH(3, {0, 2}, {1, 2});
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    is_start(run, 0, 1, 1);
    ended(run, 0, 1, STATUS_FAILURE, CAUSE_KERNEL_DIED);
    ended(run, 0, 0, STATUS_FAILURE, CAUSE_CELL_ERROR);
    is_abort(run, 2, CAUSE_UPSTREAM);
    assert_int_equal(run_first_failure(run), 1);
    is_finish(run, STATUS_FAILURE, CAUSE_KERNEL_DIED);
    made_plan_clear(&m);
}

static void parallelism_is_limited(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(4, NULL, 0);
    m.pipeline.max_steps_parallelism = 2;
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    is_start(run, 0, 1, 1);
    is_idle(run, 0);
    succeeds(run, 1);
    assert_int_equal(next(run, 0, 0).kind, ACTION_NOTHING); /* no slot left elsewhere */
    is_start(run, 0, 2, 1);
    is_idle(run, 0);
    made_plan_clear(&m);
}

/* ---- retries and time limits ---- */

static void retry_waits_then_starts_again(void **state)
{
    (void)state;
    struct made_plan m = GRAPH(2, {0, 1});
    m.definitions[0].retry_limit = 2;
    m.definitions[0].retry_delay_s = 3;
    auto_run struct run *run = started(&m);
    is_start(run, 1000, 0, 1);
    ended(run, 2000, 0, STATUS_FAILURE, CAUSE_CELL_ERROR);
    assert_int_equal(run_step_status(run, 0), STATUS_STARTED);
    assert_int_equal(run_running(run), 0);
    is_wait(run, 2000, 5000);
    is_wait(run, 4999, 5000);
    assert_int_equal(next(run, 5000, 0).kind, ACTION_NOTHING); /* due: waits for a slot */
    is_start(run, 5000, 0, 2);
    ended(run, 6000, 0, STATUS_FAILURE, CAUSE_KERNEL_DIED);
    is_start(run, 9000, 0, 3);
    ended(run, 9001, 0, STATUS_FAILURE, CAUSE_CELL_ERROR);
    assert_int_equal(run_step_status(run, 0), STATUS_FAILURE);
    is_abort(run, 1, CAUSE_UPSTREAM);
    is_finish(run, STATUS_FAILURE, CAUSE_CELL_ERROR);
    made_plan_clear(&m);
}

static void success_after_a_retry_is_a_success(void **state)
{
    (void)state;
    struct made_plan m = GRAPH(2, {0, 1});
    m.definitions[0].retry_limit = 1;
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    ended(run, 0, 0, STATUS_FAILURE, CAUSE_KERNEL_DIED);
    is_start(run, 0, 0, 2);
    succeeds(run, 0);
    is_start(run, 0, 1, 1);
    succeeds(run, 1);
    is_finish(run, STATUS_SUCCESS, CAUSE_NONE);
    made_plan_clear(&m);
}

static void due_retry_goes_before_new_steps(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(3, NULL, 0);
    m.definitions[1].retry_limit = 1;
    m.pipeline.max_steps_parallelism = 2;
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    is_start(run, 0, 1, 1);
    ended(run, 10, 1, STATUS_FAILURE, CAUSE_TIMEOUT);
    is_start(run, 10, 1, 2);
    succeeds(run, 0);
    is_start(run, 11, 2, 1);
    made_plan_clear(&m);
}

static void causes_that_are_retried(void **state)
{
    (void)state;
    static const enum cause retried[] = {CAUSE_CELL_ERROR,    CAUSE_EXIT_CODE,
                                         CAUSE_KERNEL_DIED,   CAUSE_KERNEL_START_FAILED,
                                         CAUSE_OUT_OF_MEMORY, CAUSE_TIMEOUT};
    static const enum cause final[] = {CAUSE_INPUT_INVALID, CAUSE_WRITE_REFUSED, CAUSE_INTERNAL};
    static const enum cause lost[] = {CAUSE_STEP_LOST, CAUSE_ENVIRONMENT_MISSING,
                                      CAUSE_LAUNCHER_UNAVAILABLE, CAUSE_STORAGE_FAILED};
    struct made_plan m = made_plan_of(1, NULL, 0);
    m.definitions[0].retry_limit = 5;
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    struct run_event event;
    for (unsigned i = 0; i < sizeof retried / sizeof *retried; i++) {
        run_attempt_ended(run, 0, STATUS_FAILURE, retried[i], 0, &event);
        assert_int_equal(event.kind, EVENT_STEP_RETRYING);
        assert_int_equal(event.cause, retried[i]);
        assert_int_equal(event.retry_at, 0); /* the step's own delay: none */
    }
    for (unsigned i = 0; i < sizeof lost / sizeof *lost; i++) {
        run_attempt_ended(run, 0, STATUS_FAILURE, lost[i], 0, &event);
        assert_int_equal(event.kind, EVENT_STEP_RETRYING);
        assert_int_equal(event.cause, lost[i]);
        assert_int_equal(event.retry_at, RUN_LOST_DELAY_MS);
        run_step_failed(run, 0, lost[i], 0, &event);
        assert_int_equal(event.kind, EVENT_STEP_FINISHED);
        assert_int_equal(event.status, STATUS_FAILURE);
        assert_int_equal(event.cause, lost[i]);
    }
    for (unsigned i = 0; i < sizeof final / sizeof *final; i++) {
        run_attempt_ended(run, 0, STATUS_FAILURE, final[i], 0, &event);
        assert_int_equal(event.kind, EVENT_STEP_FINISHED);
        assert_int_equal(event.status, STATUS_FAILURE);
        assert_int_equal(event.cause, final[i]);
    }
    made_plan_clear(&m);
}

/* Nobody asked for an end: whoever stopped it, the step is lost. */
static void attempt_stopped_by_others_is_lost(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(1, NULL, 0);
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    ended(run, 0, 0, STATUS_ABORTED, CAUSE_CANCELLED);
    assert_int_equal(run_step_status(run, 0), STATUS_FAILURE);
    is_finish(run, STATUS_FAILURE, CAUSE_STEP_LOST);
    made_plan_clear(&m);
}

static void time_limit_stops_and_fails(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(2, NULL, 0);
    m.definitions[0].timeout_s = 10;
    m.definitions[1].timeout_s = 4;
    m.definitions[1].retry_limit = 1;
    auto_run struct run *run = started(&m);
    is_start(run, 1000, 0, 1);
    is_start(run, 2000, 1, 1);
    is_wait(run, 2000, 6000);
    is_stop(run, 6000, 1, CAUSE_TIMEOUT);
    is_wait(run, 6000, 11000);
    ended(run, 6500, 1, STATUS_FAILURE, CAUSE_KERNEL_DIED); /* that was us */
    is_start(run, 6500, 1, 2);
    is_wait(run, 6500, 10500); /* a limit of its own for the second attempt */
    succeeds(run, 0);
    is_stop(run, 10500, 1, CAUSE_TIMEOUT);
    ended(run, 10501, 1, STATUS_ABORTED, CAUSE_CANCELLED);
    assert_int_equal(run_step_cause(run, 1), CAUSE_TIMEOUT);
    is_finish(run, STATUS_FAILURE, CAUSE_TIMEOUT);
    made_plan_clear(&m);
}

static void success_in_the_last_moment_counts(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(1, NULL, 0);
    m.definitions[0].timeout_s = 1;
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    is_stop(run, 1000, 0, CAUSE_TIMEOUT);
    is_idle(run, 2000);
    succeeds(run, 0);
    is_finish(run, STATUS_SUCCESS, CAUSE_NONE);
    made_plan_clear(&m);
}

/* ---- attempts that infrastructure failed ---- */

static void lost_attempts_use_up_no_tries(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(1, NULL, 0);
    m.definitions[0].retry_limit = 1;
    m.definitions[0].retry_delay_s = 1;
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    assert_false(run_step_is_last_try(run, 0));
    ended(run, 0, 0, STATUS_FAILURE, CAUSE_STEP_LOST);
    is_start(run, 5000, 0, 2);
    ended(run, 6000, 0, STATUS_FAILURE, CAUSE_LAUNCHER_UNAVAILABLE);
    is_wait(run, 6000, 16000);
    is_start(run, 16000, 0, 3);
    assert_false(run_step_is_last_try(run, 0));
    ended(run, 17000, 0, STATUS_FAILURE, CAUSE_CELL_ERROR); /* its first own failure */
    is_start(run, 18000, 0, 4);
    assert_true(run_step_is_last_try(run, 0));
    ended(run, 19000, 0, STATUS_FAILURE, CAUSE_STEP_LOST); /* not in a row with the others */
    is_start(run, 24000, 0, 5);
    assert_true(run_step_is_last_try(run, 0));
    ended(run, 25000, 0, STATUS_FAILURE, CAUSE_EXIT_CODE);
    is_finish(run, STATUS_FAILURE, CAUSE_EXIT_CODE);
    made_plan_clear(&m);
}

static void a_step_that_is_always_lost_is_given_up(void **state)
{
    (void)state;
    static const msec rests[] = {5, 10, 20, 40, 80, 160, 300, 300, 300, 300}; /* seconds */
    struct made_plan m = made_plan_of(1, NULL, 0);
    msec now = 0;
    m.definitions[0].retry_limit = 1;
    auto_run struct run *run = started(&m);
    for (uint32_t i = 0; i < RUN_LOST_TRIES; i++) {
        is_start(run, now, 0, i + 1);
        ended(run, now, 0, STATUS_FAILURE, CAUSE_STEP_LOST);
        is_wait(run, now, now + rests[i] * 1000);
        now += rests[i] * 1000;
    }
    is_start(run, now, 0, RUN_LOST_TRIES + 1);
    ended(run, now, 0, STATUS_FAILURE, CAUSE_STEP_LOST);
    is_finish(run, STATUS_FAILURE, CAUSE_STEP_LOST);
    made_plan_clear(&m);
}

/* Somebody may wait for it, and wants to know. */
static void a_step_without_retries_fails_at_once(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(1, NULL, 0);
    m.definitions[0].retry_delay_s = 1;
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    assert_true(run_step_is_last_try(run, 0));
    ended(run, 0, 0, STATUS_FAILURE, CAUSE_LAUNCHER_UNAVAILABLE);
    is_finish(run, STATUS_FAILURE, CAUSE_LAUNCHER_UNAVAILABLE);
    made_plan_clear(&m);
}

/* ---- the time limit of a run ---- */

static void is_late(struct run *run, msec now)
{
    struct run_action action = next(run, now, NO_LIMIT);
    assert_int_equal(action.kind, ACTION_CANCEL);
    assert_int_equal(action.event.kind, EVENT_CANCEL_REQUESTED);
    assert_int_equal(action.event.cause, CAUSE_TIMEOUT);
    assert_int_equal(action.event.step, STEP_NONE);
    assert_int_equal(action.event.time, now);
    apply(run, action.event);
    assert_int_equal(run_cancel_cause(run), CAUSE_TIMEOUT);
}

static void a_late_run_is_stopped_and_fails(void **state)
{
    (void)state;
    struct made_plan m = GRAPH(4, {0, 1}, {2, 3});
    m.definitions[2].retry_limit = 3;
    m.definitions[2].retry_delay_s = 100;
    m.pipeline.max_steps_parallelism = 2;
    auto_run struct run *run = started_at(&m, 1000, 60);
    assert_int_equal(run_cancel_cause(run), CAUSE_NONE);
    is_start(run, 1000, 0, 1);
    is_start(run, 1000, 2, 1);
    is_wait(run, 1000, 61000);
    ended(run, 2000, 2, STATUS_FAILURE, CAUSE_CELL_ERROR); /* rests beyond the limit */
    is_wait(run, 2000, 61000);
    is_late(run, 61000);
    refused(run,
            (struct run_event){
                .kind = EVENT_STEP_STOPPING, .cause = CAUSE_CANCELLED, .step = 0, .attempt = 1});
    is_stop(run, 61000, 0, CAUSE_TIMEOUT);
    is_abort(run, 1, CAUSE_CANCELLED);
    is_abort(run, 2, CAUSE_CANCELLED);
    is_abort(run, 3, CAUSE_CANCELLED);
    is_idle(run, 1000000);
    ended(run, 62000, 0, STATUS_ABORTED, CAUSE_CANCELLED);
    assert_int_equal(run_step_status(run, 0), STATUS_FAILURE);
    assert_int_equal(run_step_cause(run, 0), CAUSE_TIMEOUT);
    is_finish(run, STATUS_FAILURE, CAUSE_TIMEOUT);
    made_plan_clear(&m);
}

/* The limit is the run's, not another try's. */
static void a_late_run_is_not_tried_again(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(2, NULL, 0);
    m.definitions[0].retry_limit = m.definitions[1].retry_limit = 3;
    auto_run struct run *run = started_at(&m, 0, 10);
    is_start(run, 0, 0, 1);
    is_start(run, 0, 1, 1);
    is_late(run, 12000);
    ended(run, 12000, 0, STATUS_FAILURE, CAUSE_CELL_ERROR); /* before it could be told to stop */
    is_stop(run, 12000, 1, CAUSE_TIMEOUT);
    ended(run, 12001, 1, STATUS_FAILURE, CAUSE_STEP_LOST);
    assert_int_equal(run_step_cause(run, 0), CAUSE_CELL_ERROR);
    assert_int_equal(run_step_cause(run, 1), CAUSE_TIMEOUT);
    is_finish(run, STATUS_FAILURE, CAUSE_TIMEOUT);
    made_plan_clear(&m);
}

static void a_run_that_is_over_is_not_late(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(1, NULL, 0);
    auto_run struct run *run = started_at(&m, 0, 10);
    is_start(run, 0, 0, 1);
    ended(run, 9999, 0, STATUS_SUCCESS, CAUSE_NONE);
    assert_int_equal(next(run, 20000, NO_LIMIT).kind, ACTION_FINISH);
    is_finish(run, STATUS_SUCCESS, CAUSE_NONE);
    made_plan_clear(&m);
}

static void the_limit_counts_from_the_start(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(1, NULL, 0);
    auto_run struct run *run = run_new(&m.plan, &m.pipeline, 10);
    const struct run_event late = {
        .kind = EVENT_CANCEL_REQUESTED, .cause = CAUSE_TIMEOUT, .step = STEP_NONE};
    is_idle(run, 1000000); /* it waits for its turn */
    refused(run, late);
    apply(run, (struct run_event){.kind = EVENT_RUN_STARTED, .step = STEP_NONE, .time = 2000000});
    is_start(run, 2000000, 0, 1);
    is_wait(run, 2000000, 2010000);
    cancelled(run);
    refused(run, late);
    refused(run, (struct run_event){
                     .kind = EVENT_STEP_STOPPING, .cause = CAUSE_TIMEOUT, .step = 0, .attempt = 1});
    is_stop(run, 3000000, 0, CAUSE_CANCELLED); /* whoever came first */
    ended(run, 3000000, 0, STATUS_ABORTED, CAUSE_CANCELLED);
    is_finish(run, STATUS_ABORTED, CAUSE_CANCELLED);
    made_plan_clear(&m);
}

static void the_limit_follows_the_clock(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(1, NULL, 0);
    auto_run struct run *run = started_at(&m, 1000, 10);
    is_start(run, 1000, 0, 1);
    run_clock_jumped(run, 3600000);
    is_wait(run, 3601000, 3611000);
    run_clock_jumped(run, -7200000);
    is_wait(run, -3599000, -3589000);
    is_late(run, -3589000);
    made_plan_clear(&m);
}

static void a_run_without_a_limit_is_never_late(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(1, NULL, 0);
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    is_idle(run, INT64_MAX / 2);
    refused(run, (struct run_event){
                     .kind = EVENT_CANCEL_REQUESTED, .cause = CAUSE_TIMEOUT, .step = STEP_NONE});
    refused(run, (struct run_event){
                     .kind = EVENT_CANCEL_REQUESTED, .cause = CAUSE_CELL_ERROR, .step = STEP_NONE});
    made_plan_clear(&m);
}

/* ---- cancel ---- */

static void cancel_before_start(void **state)
{
    (void)state;
    struct made_plan m = GRAPH(2, {0, 1});
    auto_run struct run *run = run_new(&m.plan, &m.pipeline, 0);
    cancelled(run);
    refused(run, (struct run_event){.kind = EVENT_RUN_STARTED, .step = STEP_NONE});
    is_abort(run, 0, CAUSE_CANCELLED);
    is_abort(run, 1, CAUSE_CANCELLED);
    is_finish(run, STATUS_ABORTED, CAUSE_CANCELLED);
    made_plan_clear(&m);
}

static void cancel_in_the_middle(void **state)
{
    (void)state;
    struct made_plan m = GRAPH(6, {0, 2}, {2, 4}, {1, 5});
    m.definitions[1].retry_limit = 1;
    m.definitions[1].retry_delay_s = 100;
    m.definitions[2].timeout_s = 1;
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    is_start(run, 0, 1, 1);
    is_start(run, 0, 3, 1);
    succeeds(run, 0);
    ended(run, 0, 1, STATUS_FAILURE, CAUSE_CELL_ERROR); /* rests until 100 s */
    is_start(run, 0, 2, 1);
    cancelled(run);
    assert_true(run_is_cancelled(run));
    is_stop(run, 5000, 2, CAUSE_CANCELLED); /* not for its time limit, which is over too */
    is_stop(run, 5000, 3, CAUSE_CANCELLED);
    is_abort(run, 1, CAUSE_CANCELLED);
    is_abort(run, 4, CAUSE_CANCELLED);
    is_abort(run, 5, CAUSE_CANCELLED);
    is_idle(run, 1000000);
    ended(run, 0, 2, STATUS_FAILURE, CAUSE_KERNEL_DIED);
    assert_int_equal(run_step_status(run, 2), STATUS_ABORTED);
    assert_int_equal(run_step_cause(run, 2), CAUSE_CANCELLED);
    succeeds(run, 3); /* it was faster, and a success stays one */
    assert_int_equal(run_step_status(run, 0), STATUS_SUCCESS);
    is_finish(run, STATUS_ABORTED, CAUSE_CANCELLED);
    made_plan_clear(&m);
}

static void failure_after_cancel_is_not_retried(void **state)
{
    (void)state;
    struct made_plan m = made_plan_of(1, NULL, 0);
    m.definitions[0].retry_limit = 3;
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    cancelled(run);
    ended(run, 0, 0, STATUS_FAILURE, CAUSE_CELL_ERROR); /* before it could be told to stop */
    assert_int_equal(run_step_status(run, 0), STATUS_FAILURE);
    is_finish(run, STATUS_ABORTED, CAUSE_CANCELLED);
    made_plan_clear(&m);
}

/* ---- refusals ---- */

static struct run_event step_event(enum run_event_kind kind, uint32_t step, uint32_t attempt,
                                   enum status status, enum cause cause)
{
    return (struct run_event){
        .kind = kind, .step = step, .attempt = attempt, .status = status, .cause = cause};
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct made_plan m = GRAPH(3, {0, 1});
    auto_run struct run *run = run_new(&m.plan, &m.pipeline, 0);
    const struct run_event start = step_event(EVENT_STEP_STARTED, 0, 1, 0, 0);
    const struct run_event run_start = {.kind = EVENT_RUN_STARTED, .step = STEP_NONE};
    refused(run, start); /* the run has not started */
    apply(run, run_start);
    refused(run, run_start);
    refused(run, (struct run_event){.kind = EVENT_RUN_QUEUED, .step = STEP_NONE});
    refused(run, step_event(EVENT_STEP_STARTED, 1, 1, 0, 0)); /* its parent has not ended */
    refused(run, step_event(EVENT_STEP_STARTED, 0, 2, 0, 0)); /* attempts count from 1 */
    refused(run, step_event(EVENT_STEP_STARTED, 3, 1, 0, 0)); /* no such step */
    refused(run, step_event(EVENT_STEP_STARTED, STEP_NONE, 1, 0, 0));
    refused(run, step_event(EVENT_STEP_FINISHED, 0, 0, STATUS_SUCCESS, CAUSE_NONE));
    refused(run, step_event(EVENT_STEP_FINISHED, 0, 0, STATUS_ABORTED, CAUSE_CANCELLED));
    refused(run, step_event(EVENT_STEP_STOPPING, 0, 0, 0, CAUSE_TIMEOUT));
    apply(run, start);
    refused(run, start);
    refused(run, step_event(EVENT_STEP_STARTED, 0, 2, 0, 0)); /* the first one still runs */
    refused(run, step_event(EVENT_STEP_STOPPING, 0, 1, 0, CAUSE_CANCELLED)); /* nobody cancelled */
    refused(run, step_event(EVENT_STEP_STOPPING, 0, 1, 0, CAUSE_NONE));
    refused(run, step_event(EVENT_STEP_RETRYING, 0, 1, 0, CAUSE_NONE));
    refused(run, step_event(EVENT_STEP_FINISHED, 0, 2, STATUS_SUCCESS, CAUSE_NONE));
    refused(run, step_event(EVENT_STEP_FINISHED, 0, 1, STATUS_SUCCESS, CAUSE_TIMEOUT));
    refused(run, step_event(EVENT_STEP_FINISHED, 0, 1, STATUS_FAILURE, CAUSE_NONE));
    refused(run, step_event(EVENT_STEP_FINISHED, 0, 1, STATUS_ABORTED, CAUSE_CANCELLED));
    refused(run, step_event(EVENT_STEP_FINISHED, 0, 1, STATUS_STARTED, CAUSE_NONE));
    refused(run, (struct run_event){.kind = EVENT_RUN_FINISHED, .status = STATUS_SUCCESS});
    made_plan_clear(&m);
}

static void ended_steps_and_runs_never_change(void **state)
{
    (void)state;
    struct made_plan m = GRAPH(3, {0, 1}, {0, 2});
    auto_run struct run *run = started(&m);
    is_start(run, 0, 0, 1);
    succeeds(run, 0);
    const struct run_event late[] = {
        step_event(EVENT_STEP_FINISHED, 0, 1, STATUS_FAILURE, CAUSE_STEP_LOST),
        step_event(EVENT_STEP_FINISHED, 0, 1, STATUS_SUCCESS, CAUSE_NONE),
        step_event(EVENT_STEP_FINISHED, 0, 1, STATUS_ABORTED, CAUSE_CANCELLED),
        step_event(EVENT_STEP_RETRYING, 0, 1, 0, CAUSE_CELL_ERROR),
        step_event(EVENT_STEP_STARTED, 0, 2, 0, 0),
        step_event(EVENT_STEP_STOPPING, 0, 1, 0, CAUSE_TIMEOUT),
    };
    for (unsigned i = 0; i < sizeof late / sizeof *late; i++)
        refused(run, late[i]);
    is_start(run, 0, 1, 1);
    ended(run, 0, 1, STATUS_FAILURE, CAUSE_CELL_ERROR);
    refused(run, step_event(EVENT_STEP_FINISHED, 1, 1, STATUS_SUCCESS, CAUSE_NONE));
    cancelled(run);
    refused(run, (struct run_event){.kind = EVENT_CANCEL_REQUESTED, .step = STEP_NONE});
    refused(run, step_event(EVENT_STEP_FINISHED, 2, 0, STATUS_ABORTED, CAUSE_UPSTREAM));
    is_abort(run, 2, CAUSE_CANCELLED);
    refused(run, step_event(EVENT_STEP_FINISHED, 2, 0, STATUS_ABORTED, CAUSE_CANCELLED));
    refused(run, (struct run_event){.kind = EVENT_RUN_FINISHED, .status = STATUS_SUCCESS});
    is_finish(run, STATUS_ABORTED, CAUSE_CANCELLED);
    refused(run, (struct run_event){.kind = EVENT_CANCEL_REQUESTED, .step = STEP_NONE});
    refused(run, step_event(EVENT_STEP_FINISHED, 0, 1, STATUS_SUCCESS, CAUSE_NONE));
    made_plan_clear(&m);
}

/* ---- size ---- */

static void million_steps(struct made_plan *m, enum status first, enum status rest)
{
    auto_run struct run *run = started(m);
    uint32_t starts = 0;
    for (;;) {
        struct run_action action = next(run, 0, NO_LIMIT);
        if (action.kind == ACTION_FINISH)
            break;
        assert_true(action.kind == ACTION_START || action.kind == ACTION_ABORT);
        apply(run, action.event);
        if (action.kind == ACTION_START && starts++ == 0 && first == STATUS_FAILURE)
            ended(run, 0, action.event.step, first, CAUSE_CELL_ERROR);
        else if (action.kind == ACTION_START)
            ended(run, 0, action.event.step, STATUS_SUCCESS, CAUSE_NONE);
    }
    assert_int_equal(run_count(run, rest), m->plan.count - (first != rest));
    assert_int_equal(run_count(run, first), first != rest ? 1 : m->plan.count);
}

static void a_million_steps_in_a_chain_or_a_fan(void **state)
{
    (void)state;
    const uint32_t count = 1000000;
    auto_free struct edge *edges = mem_array(count, sizeof *edges);
    for (int chain = 0; chain < 2; chain++) {
        for (uint32_t i = 1; i < count; i++)
            edges[i - 1] = (struct edge){chain ? i - 1 : 0, i};
        struct made_plan m = made_plan_of(count, edges, count - 1);
        million_steps(&m, STATUS_SUCCESS, STATUS_SUCCESS);
        million_steps(&m, STATUS_FAILURE, STATUS_ABORTED);
        made_plan_clear(&m);
    }
}

/* ---- the containers ---- */

static void set_gives_its_lowest(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 63, 64, 65, 4096, 4097, 300000};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct step_set set;
        step_set_init(&set, sizes[i]);
        assert_int_equal(step_set_lowest(&set), STEP_NONE);
        for (uint32_t k = sizes[i]; k-- > 0;) {
            step_set_add(&set, k);
            assert_int_equal(step_set_lowest(&set), k);
        }
        for (uint32_t k = 1; k < sizes[i]; k += 2)
            step_set_remove(&set, k);
        for (uint32_t k = 0; k < sizes[i]; k += 2) {
            assert_int_equal(step_set_lowest(&set), k);
            step_set_remove(&set, k);
            step_set_remove(&set, k);
        }
        assert_int_equal(step_set_lowest(&set), STEP_NONE);
        step_set_clear(&set);
    }
}

static void heap_gives_its_earliest(void **state)
{
    (void)state;
    enum { SIZE = 500 };
    bool removed[SIZE] = {0};
    struct step_heap heap;
    step_heap_init(&heap, SIZE);
    assert_null(step_heap_earliest(&heap));
    step_heap_remove(&heap, 7); /* nothing */
    for (uint32_t i = 0; i < SIZE; i++)
        step_heap_add(&heap, i, (msec)(i * 7919 % 101)); /* many equal times */
    for (uint32_t i = 0; i < SIZE; i += 3) {
        step_heap_remove(&heap, i);
        removed[i] = true;
    }
    for (msec time = 0; time < 101; time++) {
        for (uint32_t i = 0; i < SIZE; i++) {
            if (removed[i] || (msec)(i * 7919 % 101) != time)
                continue;
            const struct step_heap_entry *first = step_heap_earliest(&heap);
            assert_non_null(first);
            assert_int_equal(first->time, time);
            assert_int_equal(first->step, i);
            step_heap_remove(&heap, i);
        }
    }
    assert_null(step_heap_earliest(&heap));
    step_heap_clear(&heap);
}

static void names(void **state)
{
    (void)state;
    struct err e;
    enum run_event_kind kind;
    enum status status;
    for (int i = EVENT_RUN_QUEUED; i <= EVENT_RUN_FINISHED; i++) {
        assert_int_equal(run_event_parse(run_event_name((enum run_event_kind)i), &kind, &e), 0);
        assert_int_equal(kind, i);
    }
    for (int i = 0; i < STATUS_COUNT; i++) {
        assert_int_equal(status_parse(status_name((enum status)i), &status, &e), 0);
        assert_int_equal(status, i);
        assert_int_equal(status_is_final((enum status)i), i >= STATUS_SUCCESS);
    }
    assert_int_equal(run_event_parse("step_rested", &kind, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_int_equal(status_parse("success", &status, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_without_limit),
        cmocka_unit_test(order_one_at_a_time_is_plan_order),
        cmocka_unit_test(queued_run_starts_nothing),
        cmocka_unit_test(single_step_succeeds),
        cmocka_unit_test(single_step_fails),
        cmocka_unit_test(no_child_starts_before_its_parent_has_ended),
        cmocka_unit_test(one_failure_makes_the_run_a_failure),
        cmocka_unit_test(failure_aborts_descendants_only),
        cmocka_unit_test(run_outlives_its_aborted_leaf),
        cmocka_unit_test(run_outlives_its_aborted_leaf_without_a_slot),
        cmocka_unit_test(two_failures_abort_a_common_child_once),
        cmocka_unit_test(parallelism_is_limited),
        cmocka_unit_test(retry_waits_then_starts_again),
        cmocka_unit_test(success_after_a_retry_is_a_success),
        cmocka_unit_test(due_retry_goes_before_new_steps),
        cmocka_unit_test(causes_that_are_retried),
        cmocka_unit_test(attempt_stopped_by_others_is_lost),
        cmocka_unit_test(time_limit_stops_and_fails),
        cmocka_unit_test(success_in_the_last_moment_counts),
        cmocka_unit_test(lost_attempts_use_up_no_tries),
        cmocka_unit_test(a_step_that_is_always_lost_is_given_up),
        cmocka_unit_test(a_step_without_retries_fails_at_once),
        cmocka_unit_test(a_late_run_is_stopped_and_fails),
        cmocka_unit_test(a_late_run_is_not_tried_again),
        cmocka_unit_test(a_run_that_is_over_is_not_late),
        cmocka_unit_test(the_limit_counts_from_the_start),
        cmocka_unit_test(the_limit_follows_the_clock),
        cmocka_unit_test(a_run_without_a_limit_is_never_late),
        cmocka_unit_test(cancel_before_start),
        cmocka_unit_test(cancel_in_the_middle),
        cmocka_unit_test(failure_after_cancel_is_not_retried),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(ended_steps_and_runs_never_change),
        cmocka_unit_test(a_million_steps_in_a_chain_or_a_fan),
        cmocka_unit_test(set_gives_its_lowest),
        cmocka_unit_test(heap_gives_its_earliest),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
