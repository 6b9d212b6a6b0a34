/* Random pipelines, driven by a tiny scheduler with a clock of its own, against a reference that
 * shares no idea with run.c: what ends how is computed by looking at all parents again and again,
 * what may start is searched for among all steps at every moment.
 *
 * SEGUE_TEST_SEED=n repeats the cases of one seed, SEGUE_TEST_CASES=n makes more of them. */
#include "runner/run/run.h"

#include "tests/unit/runner/run/made_plan.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define CASES      100000
#define STEPS_MOST 24
#define EDGES_MOST (STEPS_MOST * STEPS_MOST / 2)
#define TRIES_MOST 4
#define LOST_MOST  10
/* Between two tries that count come at most three that do not; more in a row are given up. */
#define ATTEMPTS_MOST (TRIES_MOST * TRIES_MOST + LOST_MOST)
#define EVENTS_MOST   (STEPS_MOST * (3 * ATTEMPTS_MOST + 1) + 4)
#define NEVER         INT64_MAX

#define COUNT(array) (sizeof(array) / sizeof *(array))

static uint64_t random_state;

static uint64_t random_bits(void) /* splitmix64 */
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint32_t below(uint32_t bound)
{
    return (uint32_t)(random_bits() % bound);
}

static bool one_in(uint32_t n)
{
    return below(n) == 0;
}

/* What an attempt will do when it is left alone. */
struct
try {
    msec takes;
    enum cause cause; /* CAUSE_NONE: it succeeds */
    bool stubborn;    /* ends as it would have, although it was told to stop */
};

struct scenario {
    struct made_plan m;
    struct try tries[STEPS_MOST][TRIES_MOST]; /* after the last comes the first again */
    uint32_t slots;
    uint32_t timeout_s; /* of the whole run; 0: none */
    msec start_at;
    msec cancel_at; /* NEVER */
    uint32_t count;
};

/* What the scheduler saw happen, kept apart from what the run says. Its own clock never jumps; what
 * the run is told is the wall's. */
struct world {
    const struct scenario *s;
    struct run *run;
    msec now;
    msec offset; /* of the wall clock */
    enum status seen[STEPS_MOST];
    enum cause cause[STEPS_MOST];
    uint32_t attempt[STEPS_MOST];
    bool running[STEPS_MOST];
    bool stopping[STEPS_MOST];
    msec ends_at[STEPS_MOST];  /* of running ones */
    msec started[STEPS_MOST];  /* the current attempt */
    msec retry_at[STEPS_MOST]; /* of resting ones, else NEVER */
    msec finished[STEPS_MOST];
    uint32_t finals[STEPS_MOST]; /* step_finished events */
    uint32_t lost[STEPS_MOST];   /* in a row */
    uint32_t first_failure;
    bool run_started;
    msec began; /* run_started */
    bool cancelled;
    enum cause cancel_cause;
    bool held_up; /* for this moment other runs use all slots */
    struct run_event log[EVENTS_MOST];
    msec jumped[EVENTS_MOST + 1]; /* before the event of that place */
    uint32_t logged;
    uint32_t cut; /* how many events the replay in the middle is given */
};

static const enum cause all_causes[] = {
    CAUSE_CELL_ERROR,     CAUSE_EXIT_CODE,           CAUSE_KERNEL_DIED,
    CAUSE_TIMEOUT,        CAUSE_KERNEL_START_FAILED, CAUSE_OUT_OF_MEMORY, /* are tried again */
    CAUSE_STEP_LOST,      CAUSE_ENVIRONMENT_MISSING, CAUSE_LAUNCHER_UNAVAILABLE,
    CAUSE_STORAGE_FAILED, /* for these no try is counted */
    CAUSE_INPUT_INVALID,  CAUSE_WRITE_REFUSED,       CAUSE_INTERNAL};
#define RETRIED_CAUSES 6
#define LOST_CAUSES    10 /* from there to here */

static bool tried_again(enum cause cause)
{
    for (unsigned i = 0; i < RETRIED_CAUSES; i++)
        if (all_causes[i] == cause)
            return true;
    return false;
}

static bool is_lost(enum cause cause)
{
    for (unsigned i = RETRIED_CAUSES; i < LOST_CAUSES; i++)
        if (all_causes[i] == cause)
            return true;
    return false;
}

static void make_scenario(struct scenario *s)
{
    struct edge edges[EDGES_MOST];
    uint32_t edge_count = 0;
    uint32_t sparse = 1 + below(8);
    *s = (struct scenario){.count = 1 + below(one_in(10) ? STEPS_MOST : 9)};
    for (uint32_t child = 1; child < s->count; child++)
        for (uint32_t parent = 0; parent < child; parent++)
            if (one_in(sparse))
                edges[edge_count++] = (struct edge){parent, child};
    s->m = made_plan_of(s->count, edges, edge_count);
    s->m.pipeline.max_steps_parallelism = one_in(2) ? 0 : 1 + below(4);
    s->slots = one_in(2) ? UINT32_MAX : 1 + below(4);
    s->start_at = below(5);
    s->cancel_at = one_in(3) ? below(30) * 400 : NEVER;
    s->timeout_s = one_in(3) ? 1 + below(one_in(4) ? 1000 : 10) : 0;
    uint32_t fails = 1 + below(12);
    uint32_t causes = one_in(8) ? LOST_CAUSES - RETRIED_CAUSES : COUNT(all_causes);
    const enum cause *cause =
        causes == COUNT(all_causes) ? all_causes : all_causes + RETRIED_CAUSES;
    for (uint32_t i = 0; i < s->count; i++) {
        struct pipeline_step *d = &s->m.definitions[i];
        d->retry_limit = one_in(2) ? 0 : below(TRIES_MOST);
        d->retry_delay_s = below(4);
        d->timeout_s = one_in(3) ? 1 + below(4) : 0;
        for (unsigned k = 0; k < TRIES_MOST; k++) /* never ends exactly at a time limit */
            s->tries[i][k] =
                (struct try){.takes = below(5000) / 1000 * 1000 + 500 * below(2) + 250,
                             .cause = one_in(fails) ? cause[below(causes)] : CAUSE_NONE,
                             .stubborn = one_in(4)};
    }
}

/* ---- the reference: how everything must end when nobody cancels ---- */

static enum cause reference_try(const struct pipeline_step *d, const struct try *t)
{
    bool late = d->timeout_s > 0 && t->takes > (msec)d->timeout_s * 1000;
    return late && !(t->stubborn && t->cause == CAUSE_NONE) ? CAUSE_TIMEOUT : t->cause;
}

static enum status reference_step(const struct scenario *s, uint32_t step, enum cause *ret_cause)
{
    const struct pipeline_step *d = &s->m.definitions[step];
    uint32_t own = 0, lost = 0;
    for (uint32_t k = 0;; k++) {
        *ret_cause = reference_try(d, &s->tries[step][k % TRIES_MOST]);
        if (*ret_cause == CAUSE_NONE)
            return STATUS_SUCCESS;
        if (d->retry_limit == 0)
            return STATUS_FAILURE;
        if (is_lost(*ret_cause) && lost++ < LOST_MOST)
            continue;
        if (!tried_again(*ret_cause) || own++ == d->retry_limit)
            return STATUS_FAILURE;
        lost = 0;
    }
}

static bool is_descendant_of_failed(const struct world *w, uint32_t step)
{
    bool below_failed[STEPS_MOST] = {0};
    for (uint32_t i = 0; i <= step; i++) {
        const struct step_list *in = &w->s->m.plan.steps[i].incoming;
        for (uint32_t k = 0; k < in->count; k++) {
            uint32_t parent = in->at[k];
            if (below_failed[parent] || w->seen[parent] == STATUS_FAILURE)
                below_failed[i] = true;
        }
    }
    return below_failed[step];
}

static bool parents_succeeded(const struct world *w, uint32_t step)
{
    const struct step_list *in = &w->s->m.plan.steps[step].incoming;
    for (uint32_t k = 0; k < in->count; k++)
        if (w->seen[in->at[k]] != STATUS_SUCCESS)
            return false;
    return true;
}

/* ---- state and answers of two runs of the same plan ---- */

static msec wall(const struct world *w)
{
    return w->now + w->offset;
}

static void same(const struct world *w, const struct run *a, const struct run *b)
{
    assert_int_equal(run_status(a), run_status(b));
    assert_int_equal(run_is_cancelled(a), run_is_cancelled(b));
    assert_int_equal(run_cancel_cause(a), run_cancel_cause(b));
    assert_int_equal(run_running(a), run_running(b));
    assert_int_equal(run_first_failure(a), run_first_failure(b));
    for (int i = 0; i < STATUS_COUNT; i++)
        assert_int_equal(run_count(a, (enum status)i), run_count(b, (enum status)i));
    for (uint32_t i = 0; i < w->s->count; i++) {
        assert_int_equal(run_step_status(a, i), run_step_status(b, i));
        assert_int_equal(run_step_cause(a, i), run_step_cause(b, i));
        assert_int_equal(run_step_attempt(a, i), run_step_attempt(b, i));
        assert_int_equal(run_step_is_running(a, i), run_step_is_running(b, i));
        assert_int_equal(run_step_is_stopping(a, i), run_step_is_stopping(b, i));
        assert_int_equal(run_step_is_last_try(a, i), run_step_is_last_try(b, i));
    }
    for (unsigned i = 0; i < 6; i++) {
        struct run_action left;
        struct run_action right;
        msec now = wall(w) + (msec)(i / 2) * 1500;
        run_next(a, now, i % 2 ? UINT32_MAX : 0, &left);
        run_next(b, now, i % 2 ? UINT32_MAX : 0, &right);
        assert_memory_equal(&left, &right, sizeof left);
    }
}

static struct run *replay(const struct world *w)
{
    struct err e;
    struct run *run = run_new(&w->s->m.plan, &w->s->m.pipeline, w->s->timeout_s);
    for (uint32_t i = 0; i < w->logged; i++) {
        run_clock_jumped(run, w->jumped[i]);
        assert_int_equal(run_apply(run, &w->log[i], &e), 0);
    }
    run_clock_jumped(run, w->jumped[w->logged]);
    return run;
}

/* Nonsense changes nothing. */
static void throw_nonsense(const struct world *w, struct run *copy)
{
    for (unsigned i = 0; i < 8; i++) {
        struct err e;
        struct run_event event = {.kind = (enum run_event_kind)below(EVENT_RUN_FINISHED + 1),
                                  .status = (enum status)below(STATUS_COUNT),
                                  .cause = (enum cause)below(CAUSE_INTERNAL + 1),
                                  .step = below(w->s->count + 1),
                                  .attempt = below(4),
                                  .time = wall(w),
                                  .retry_at = wall(w)};
        if (run_apply(copy, &event, &e) == 0)
            return; /* it happened to make sense, and the copy is another run now */
        same(w, w->run, copy);
    }
}

static void check_replay(const struct world *w)
{
    auto_run struct run *copy = replay(w);
    same(w, w->run, copy);
    throw_nonsense(w, copy);
}

/* ---- the scheduler ---- */

static void record(struct world *w, const struct run_event *event)
{
    struct err e = {0};
    if (run_apply(w->run, event, &e) < 0)
        fail_msg("refused: %s", e.text);
    assert_true(w->logged < EVENTS_MOST);
    w->log[w->logged++] = *event;
    if (w->logged == w->cut)
        check_replay(w);
}

static uint32_t running_now(const struct world *w)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->s->count; i++)
        count += w->running[i];
    return count;
}

static uint32_t most_running(const struct world *w)
{
    uint32_t limit = w->s->m.pipeline.max_steps_parallelism;
    return limit != 0 && limit < w->s->slots ? limit : w->s->slots;
}

/* The step that may start now and comes first; resting ones count only when due. */
static uint32_t reference_start(const struct world *w)
{
    uint32_t first = STEP_NONE;
    if (!w->run_started || w->cancelled)
        return STEP_NONE;
    for (uint32_t i = 0; i < w->s->count; i++)
        if (w->retry_at[i] <= w->now && (first == STEP_NONE || w->retry_at[i] < w->retry_at[first]))
            first = i;
    for (uint32_t i = 0; i < w->s->count && first == STEP_NONE; i++)
        if (w->seen[i] == STATUS_PENDING && parents_succeeded(w, i))
            first = i;
    return first;
}

static void finish_step(struct world *w, const struct run_event *event)
{
    uint32_t step = event->step;
    assert_false(status_is_final(w->seen[step]));
    w->seen[step] = event->status;
    w->cause[step] = event->cause;
    w->finished[step] = w->now;
    w->finals[step]++;
    w->running[step] = w->stopping[step] = false;
    w->retry_at[step] = NEVER;
    if (event->status == STATUS_FAILURE && w->first_failure == STEP_NONE)
        w->first_failure = step;
}

static void do_start(struct world *w, const struct run_event *event)
{
    uint32_t step = event->step;
    const struct step_list *in = &w->s->m.plan.steps[step].incoming;
    assert_int_equal(step, reference_start(w));
    assert_int_equal(event->attempt, w->attempt[step] + 1);
    assert_true(running_now(w) < most_running(w));
    for (uint32_t k = 0; k < in->count; k++)
        assert_true(w->finished[in->at[k]] <= w->now);
    record(w, event);
    w->seen[step] = STATUS_STARTED;
    w->attempt[step]++;
    w->running[step] = true;
    w->retry_at[step] = NEVER;
    w->started[step] = w->now;
    w->ends_at[step] = w->now + w->s->tries[step][(w->attempt[step] - 1) % TRIES_MOST].takes;
}

static void do_stop(struct world *w, const struct run_event *event)
{
    uint32_t step = event->step;
    msec limit = (msec)w->s->m.definitions[step].timeout_s * 1000;
    assert_true(w->running[step] && !w->stopping[step]);
    if (w->cancelled) {
        assert_int_equal(event->cause, w->cancel_cause);
    } else {
        assert_int_equal(event->cause, CAUSE_TIMEOUT);
        assert_true(limit > 0 && w->now >= w->started[step] + limit);
    }
    record(w, event);
    w->stopping[step] = true;
    if (w->ends_at[step] > w->now + 10)
        w->ends_at[step] = w->now + below(10);
}

static void do_abort(struct world *w, const struct run_event *event)
{
    uint32_t step = event->step;
    assert_false(w->running[step]);
    if (event->cause == CAUSE_UPSTREAM)
        assert_true(is_descendant_of_failed(w, step) || w->cancelled);
    else
        assert_true(w->cancelled && event->cause == CAUSE_CANCELLED);
    record(w, event);
    finish_step(w, event);
}

static void do_cancel(struct world *w, const struct run_event *event)
{
    uint32_t ended = 0;
    for (uint32_t i = 0; i < w->s->count; i++)
        ended += status_is_final(w->seen[i]);
    assert_true(ended < w->s->count);
    assert_true(w->run_started && !w->cancelled && w->s->timeout_s > 0);
    assert_true(w->now >= w->began + (msec)w->s->timeout_s * 1000);
    assert_int_equal(event->cause, CAUSE_TIMEOUT);
    record(w, event);
    w->cancelled = true;
    w->cancel_cause = CAUSE_TIMEOUT;
}

/* How long a step rests after the attempt that has just ended so. */
static msec reference_rest(struct world *w, uint32_t step, enum cause cause)
{
    static const msec rests[LOST_MOST] = {5000,   10000,  20000,  40000,  80000,
                                          160000, 300000, 300000, 300000, 300000};
    if (is_lost(cause)) {
        assert_true(w->lost[step] < LOST_MOST);
        return rests[w->lost[step]++];
    }
    w->lost[step] = 0;
    return (msec)w->s->m.definitions[step].retry_delay_s * 1000;
}

static void do_end(struct world *w, uint32_t step)
{
    const struct try *t = &w->s->tries[step][(w->attempt[step] - 1) % TRIES_MOST];
    bool stopped = w->stopping[step] && !t->stubborn;
    enum status status = t->cause == CAUSE_NONE ? STATUS_SUCCESS : STATUS_FAILURE;
    struct run_event event;
    if (stopped)
        run_attempt_ended(w->run, step, STATUS_ABORTED, CAUSE_CANCELLED, wall(w), &event);
    else
        run_attempt_ended(w->run, step, status, t->cause, wall(w), &event);
    if (stopped && w->cancelled && w->cancel_cause == CAUSE_TIMEOUT)
        assert_int_equal(event.cause, CAUSE_TIMEOUT);
    record(w, &event);
    w->running[step] = w->stopping[step] = false;
    if (event.kind == EVENT_STEP_FINISHED) {
        finish_step(w, &event);
        return;
    }
    assert_false(w->cancelled);
    w->retry_at[step] = w->now + reference_rest(w, step, event.cause);
    assert_int_equal(event.retry_at, w->retry_at[step] + w->offset);
}

static bool is_late(const struct world *w)
{
    return w->run_started && w->s->timeout_s > 0 &&
           w->now >= w->began + (msec)w->s->timeout_s * 1000;
}

/* What must hold whenever the run has nothing more to say for now. */
static void check_quiet(const struct world *w)
{
    uint32_t running = running_now(w);
    assert_int_equal(running, run_running(w->run));
    if (running < most_running(w) && !w->held_up)
        assert_int_equal(reference_start(w), STEP_NONE);
    for (uint32_t i = 0; i < w->s->count; i++) {
        msec limit = (msec)w->s->m.definitions[i].timeout_s * 1000;
        assert_int_equal(run_step_status(w->run, i), w->seen[i]);
        assert_int_equal(run_step_cause(w->run, i), w->cause[i]);
        assert_int_equal(run_step_attempt(w->run, i), w->attempt[i]);
        if (is_descendant_of_failed(w, i))
            assert_int_equal(w->seen[i], STATUS_ABORTED);
        if (w->cancelled || is_late(w))
            assert_true(status_is_final(w->seen[i]) || w->stopping[i]);
        if (w->running[i] && limit > 0 && w->now >= w->started[i] + limit)
            assert_true(w->stopping[i]);
    }
}

static void check_wait(const struct world *w, msec wait)
{
    if (w->run_started && !w->cancelled && w->s->timeout_s > 0)
        assert_true(wait <= w->began + (msec)w->s->timeout_s * 1000);
}

/* Follows the run until it waits: NEVER, or until when. False: it has finished. */
static bool settle(struct world *w, msec *ret_wait)
{
    for (;;) {
        struct run_action action;
        struct run_action again;
        uint32_t running = running_now(w);
        uint32_t slots = w->held_up                  ? 0
                         : w->s->slots == UINT32_MAX ? UINT32_MAX
                                                     : w->s->slots - running;
        run_next(w->run, wall(w), slots, &action);
        run_next(w->run, wall(w), slots, &again);
        assert_memory_equal(&action, &again, sizeof action);
        switch (action.kind) {
        case ACTION_START:
            do_start(w, &action.event);
            break;
        case ACTION_STOP:
            do_stop(w, &action.event);
            break;
        case ACTION_ABORT:
            do_abort(w, &action.event);
            break;
        case ACTION_CANCEL:
            do_cancel(w, &action.event);
            break;
        case ACTION_FINISH:
            check_quiet(w);
            record(w, &action.event);
            return false;
        case ACTION_WAIT:
            assert_true(action.time > wall(w));
            *ret_wait = action.time - w->offset;
            check_quiet(w);
            check_wait(w, *ret_wait);
            return true;
        case ACTION_NOTHING:
            *ret_wait = NEVER;
            check_quiet(w);
            check_wait(w, NEVER);
            return true;
        }
    }
}

/* One of those that are due now, at random. */
static uint32_t ends_now(const struct world *w)
{
    uint32_t chosen = STEP_NONE;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < w->s->count; i++)
        if (w->running[i] && w->ends_at[i] <= w->now && one_in(++seen))
            chosen = i;
    return chosen;
}

static msec next_moment(const struct world *w, msec wait)
{
    msec next = wait;
    if (!w->cancelled && w->s->cancel_at < next)
        next = w->s->cancel_at;
    if (!w->run_started && !w->cancelled && w->s->start_at < next)
        next = w->s->start_at;
    for (uint32_t i = 0; i < w->s->count; i++)
        if (w->running[i] && w->ends_at[i] < next)
            next = w->ends_at[i];
    return next;
}

/* What comes from outside at this moment, one thing; false: nothing. */
static bool happen(struct world *w)
{
    uint32_t step = ends_now(w);
    if (!w->cancelled && w->s->cancel_at <= w->now && (step == STEP_NONE || one_in(2))) {
        record(w, &(struct run_event){.kind = EVENT_CANCEL_REQUESTED,
                                      .cause = one_in(2) ? CAUSE_CANCELLED : CAUSE_NONE,
                                      .step = STEP_NONE});
        w->cancelled = true;
        w->cancel_cause = CAUSE_CANCELLED;
        return true;
    }
    if (!w->run_started && !w->cancelled && w->s->start_at <= w->now) {
        record(w,
               &(struct run_event){.kind = EVENT_RUN_STARTED, .step = STEP_NONE, .time = wall(w)});
        w->run_started = true;
        w->began = w->now;
        return true;
    }
    if (step == STEP_NONE)
        return false;
    do_end(w, step);
    return true;
}

static void jump(struct world *w)
{
    msec delta = (msec)below(4000000) - 2000000;

    w->offset += delta;
    w->jumped[w->logged] += delta;
    run_clock_jumped(w->run, delta);
}

static void live(struct world *w)
{
    msec wait;
    while (settle(w, &wait)) {
        msec next = next_moment(w, wait);
        w->now = w->held_up && next > w->now + 100 ? w->now + 100 : next;
        w->held_up = one_in(8);
        if (one_in(10))
            jump(w);
        assert_true(w->now != NEVER); /* it waits for something that never comes */
        while (happen(w) && one_in(2)) {
        }
    }
}

static void check_end(const struct world *w)
{
    bool failed = false;
    for (uint32_t i = 0; i < w->s->count; i++) {
        enum cause cause = CAUSE_UPSTREAM;
        enum status status = STATUS_ABORTED;
        assert_int_equal(w->finals[i], 1);
        failed |= w->seen[i] == STATUS_FAILURE;
        if (w->cancelled)
            continue;
        if (parents_succeeded(w, i))
            status = reference_step(w->s, i, &cause);
        assert_int_equal(w->seen[i], status);
        assert_int_equal(w->cause[i], cause);
    }
    enum status whole = failed ? STATUS_FAILURE : STATUS_SUCCESS;
    if (w->cancelled)
        whole = w->cancel_cause == CAUSE_TIMEOUT ? STATUS_FAILURE : STATUS_ABORTED;
    assert_int_equal(run_status(w->run), whole);
    assert_int_equal(run_first_failure(w->run), w->first_failure);
    assert_int_equal(run_count(w->run, STATUS_PENDING) + run_count(w->run, STATUS_STARTED), 0);
}

static void one_case(void)
{
    static struct scenario s;
    make_scenario(&s);
    static struct world w;
    w = (struct world){.s = &s, .first_failure = STEP_NONE, .cut = below(s.count * 3 + 2)};
    for (uint32_t i = 0; i < s.count; i++)
        w.retry_at[i] = NEVER;
    w.run = run_new(&s.m.plan, &s.m.pipeline, s.timeout_s);
    live(&w);
    check_end(&w);
    check_replay(&w);
    run_free(w.run);
    made_plan_clear(&s.m);
}

static void random_runs_keep_their_promises(void **state)
{
    (void)state;
    const char *seed_text = getenv("SEGUE_TEST_SEED");
    const char *cases_text = getenv("SEGUE_TEST_CASES");
    uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : (uint64_t)clock_wall();
    unsigned long cases = cases_text ? strtoul(cases_text, NULL, 10) : CASES;
    print_message("%lu cases, SEGUE_TEST_SEED=%llu\n", cases, (unsigned long long)seed);
    random_state = seed;
    for (unsigned long i = 0; i < cases; i++)
        one_case();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_runs_keep_their_promises)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
