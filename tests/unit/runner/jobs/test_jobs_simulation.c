/* Years of jobs, through the store: the clock goes and is set, the process dies, transactions are
 * rolled back, runs end now and then. What is fired is checked against all times that each line
 * names, found by going through the days with the C library's zones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/runner/jobs/jobs_fixture.c"

#include <time.h>

#define QUARTER (15 * MINUTE)
#define DAYS    420
#define END     (MONDAY + DAYS * DAY)

/* --- the lines, and what they mean --- */

struct line {
    const char *cron;
    uint32_t hours;    /* bit n: at hour n; all: it goes by the clock that never jumps */
    unsigned quarters; /* bit n: at minute 15 * n */
    unsigned weekdays; /* bit 0: Sunday */
    unsigned day;      /* of the month; 0: any */
};

#define EVERY_HOUR    0xffffffu
#define EVERY_WEEKDAY 0x7fu

static const struct line lines[] = {
    {"0 2 * * *", 1u << 2, 1, EVERY_WEEKDAY, 0},
    {"30 2 * * MON-FRI", 1u << 2, 4, 0x3e, 0},
    {"15 1,2,3 * * SUN", 0xe, 2, 1, 0},
    {"0 */6 * * *", 1u | 1u << 6 | 1u << 12 | 1u << 18, 1, EVERY_WEEKDAY, 0},
    {"45 23 1 * *", 1u << 23, 8, EVERY_WEEKDAY, 1},
    {"0,30 0 * * *", 1, 5, EVERY_WEEKDAY, 0},
    {"0 * * * SAT,SUN", EVERY_HOUR, 1, 0x41, 0},
    {"15 * 31 * *", EVERY_HOUR, 2, EVERY_WEEKDAY, 31},
};
static const char *const zones[] = {"UTC", "Europe/Berlin", "America/New_York",
                                    "Australia/Lord_Howe", "Asia/Kolkata"};
static const char *const overlaps[] = {"forbid", "allow", "replace"};
static const char *const catch_ups[] = {"latest", "none", "all"};

#define COUNT_OF(list) (sizeof(list) / sizeof *(list))
#define JOBS           24

/* `wall`: what the clocks show, as minutes since 1970. */
static bool is_named(const struct line *line, int64_t wall)
{
    time_t time = (time_t)(wall * 60);
    struct tm tm;

    gmtime_r(&time, &tm);
    return tm.tm_min % 15 == 0 && line->quarters & 1u << tm.tm_min / 15 &&
           line->hours & 1u << tm.tm_hour && line->weekdays & 1u << tm.tm_wday &&
           (line->day == 0 || line->day == (unsigned)tm.tm_mday);
}

struct times {
    msec *items;
    size_t count, capacity;
};

static int64_t wall_at(msec at)
{
    time_t time = (time_t)(at / 1000);
    struct tm tm;

    localtime_r(&time, &tm);
    return (at / 1000 + tm.tm_gmtoff) / 60;
}

/* A time of day is due when the clocks show it or more for the first time; where a line names every
 * hour, whenever they show it. */
static void find_times(struct times *times, const struct line *line, const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
    int64_t shown = wall_at(MONDAY - DAY);
    for (msec at = MONDAY - DAY; at < END + 70 * DAY; at += QUARTER) {
        int64_t wall = wall_at(at);
        bool is_due = line->hours == EVERY_HOUR && is_named(line, wall);
        if (line->hours != EVERY_HOUR)
            for (int64_t w = shown + 15; w <= wall && !is_due; w += 15)
                is_due = is_named(line, w);
        shown = wall > shown ? wall : shown;
        if (!is_due || at < MONDAY)
            continue;
        mem_grow(times->items, times->count, times->capacity);
        times->items[times->count++] = at;
    }
}

/* --- the world --- */

struct simulated {
    int64_t id;
    uint64_t seed;
    enum { FORBID, ALLOW, REPLACE } overlap;
    enum { LATEST, NONE, ALL } catch_up;
    uint32_t limit, jitter_s;
    struct times times;
    size_t decided; /* times that nothing is to be decided about any more */
    uint64_t dropped;
    uint64_t fired;
    struct schedule *schedule;
};

struct world {
    struct fixture *f;
    struct simulated jobs[JOBS];
    uint64_t random;
    int64_t last_fire; /* id */
    msec now, latest;
    unsigned steps_back, kills, rollbacks;
};

static uint64_t pick(struct world *w, uint64_t count)
{
    w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (w->random >> 33) % count;
}

static void add_simulated(struct world *w, unsigned n)
{
    struct simulated *job = &w->jobs[n];
    const struct line *line = &lines[n % COUNT_OF(lines)];
    const char *zone = zones[n % COUNT_OF(zones)];
    char schedule[300], uuid[40];

    job->overlap = (n / 2) % 3;
    job->catch_up = (n / 3) % 3;
    job->limit = 1 + n % 7;
    job->jitter_s = n % 4 == 3 ? 1800 : 0;
    job->seed = 0x1000u + n;
    snprintf(uuid, sizeof uuid, "%08x-0000-4000-8000-000000000000", 0x1000u + n);
    snprintf(schedule, sizeof schedule,
             "{\"cron\": \"%s\", \"timezone\": \"%s\", \"overlap\": \"%s\", \"catch_up\": \"%s\", "
             "\"catch_up_limit\": %u, \"jitter\": %u}",
             line->cron, zone, overlaps[job->overlap], catch_ups[job->catch_up], job->limit,
             job->jitter_s);
    OK(schedule_parse(schedule, &job->schedule, e));
    find_times(&job->times, line, zone);
    job->id = add_job(w->f, (struct making){.schedule = schedule,
                                            .uuid = uuid,
                                            .sets = 1 + n % 2,
                                            .next_due = job->times.items[0]});
}

/* --- what is to be fired --- */

struct expected {
    msec due;
    enum fire_kind kind;
    enum fire_state state;
};

struct expectation {
    struct expected fires[SCHEDULE_CATCH_UP_MAX];
    unsigned count;
    size_t decided;
    uint64_t dropped;
};

static msec run_time(const struct simulated *job, size_t i)
{
    msec due = job->times.items[i];

    return job->jitter_s == 0 ? due : due + schedule_jitter(job->schedule, job->seed, due);
}

/* How many of the missed times are made up for. */
static size_t made_up(const struct simulated *job, size_t missed, size_t on_time)
{
    if (job->catch_up == ALL)
        return missed < job->limit ? missed : job->limit;
    return job->catch_up == LATEST && on_time == 0 && missed > 0;
}

static void expect(const struct simulated *job, msec now, bool has_open, struct expectation *x)
{
    size_t missed = 0, i = job->decided;

    for (; i < job->times.count && run_time(job, i) <= now; i++)
        missed += now - run_time(job, i) > MINUTE;
    size_t come = i - job->decided;
    size_t fired = made_up(job, missed, come - missed) + come - missed;
    x->count = 0;
    x->decided = i;
    x->dropped = come - fired;
    for (size_t k = i - fired; k < i; k++) {
        bool is_late = now - run_time(job, k) > MINUTE;
        struct expected *fire = &x->fires[x->count++];
        *fire = (struct expected){job->times.items[k], is_late ? FIRE_CATCH_UP : FIRE_SCHEDULE,
                                  FIRE_OPEN};
        if (job->overlap == REPLACE && k + 1 < i)
            fire->state = FIRE_SKIPPED;
        if (job->overlap == FORBID && has_open)
            fire->state = is_late ? FIRE_WAITING : FIRE_SKIPPED;
        has_open |= fire->state != FIRE_SKIPPED;
    }
}

/* --- what was --- */

static void open_fires(struct world *w, int64_t job, struct held_ids *fires)
{
    const struct fire_filter filter = {.job = job, .is_open = true, .is_oldest_first = true};

    OK(job_store_fires(w->f->jobs.store, &filter, held_ids_take_fire, fires, e));
}

struct fresh {
    struct world *w;
    struct expectation *expected; /* for each job */
    unsigned seen[JOBS];
};

static int take_fresh(void *user, const struct fire_row *fire, struct err *e)
{
    struct fresh *fresh = user;
    unsigned n = 0;

    (void)e;
    if (fire->id <= fresh->w->last_fire)
        return 1;
    while (fresh->w->jobs[n].id != fire->job)
        n++;
    /* Newest first. */
    struct expectation *x = &fresh->expected[n];
    assert_true(fresh->seen[n] < x->count);
    struct expected *wanted = &x->fires[x->count - ++fresh->seen[n]];
    assert_int_equal(fire->due_time, wanted->due);
    assert_int_equal(fire->kind, wanted->kind);
    assert_int_equal(fire->state, wanted->state);
    return 0;
}

static int take_newest(void *user, const struct fire_row *fire, struct err *e)
{
    (void)e;
    *(int64_t *)user = fire->id;
    return 0;
}

static void check_fresh(struct world *w, struct expectation *expected)
{
    const struct fire_filter all = {0}, newest = {.limit = 1};
    struct fresh fresh = {.w = w, .expected = expected};
    struct err error;

    assert_true(job_store_fires(w->f->jobs.store, &all, take_fresh, &fresh, &error) >= 0);
    for (unsigned n = 0; n < JOBS; n++)
        assert_int_equal(fresh.seen[n], expected[n].count);
    OK(job_store_fires(w->f->jobs.store, &newest, take_newest, &w->last_fire, e));
}

static msec wake_of(const struct world *w)
{
    msec wake = 0;

    for (unsigned n = 0; n < JOBS; n++) {
        const struct simulated *job = &w->jobs[n];
        msec next = job->times.items[job->decided];
        msec at = next > w->now ? next : run_time(job, job->decided);
        wake = wake == 0 || at < wake ? at : wake;
    }
    return wake;
}

/* --- what happens --- */

static msec turn(struct world *w)
{
    auto_free struct expectation *expected = mem_zalloc(JOBS * sizeof *expected);
    msec wake = 0;

    for (unsigned n = 0; n < JOBS; n++) {
        auto_held_ids struct held_ids open = {0};
        open_fires(w, w->jobs[n].id, &open);
        expect(&w->jobs[n], w->now, open.count > 0, &expected[n]);
    }
    OK(job_store_begin(w->f->jobs.store, e));
    OK(jobs_fire_due(&w->f->jobs, w->now, &wake, e));
    switch (pick(w, 10)) {
    case 0:
        job_store_rollback(w->f->jobs.store);
        w->rollbacks++;
        return w->now;
    case 1:
        reopen(w->f);
        w->kills++;
        return w->now;
    default:
        OK(job_store_commit(w->f->jobs.store, STORE_LAZY, e));
    }
    check_fresh(w, expected);
    for (unsigned n = 0; n < JOBS; n++) {
        struct simulated *job = &w->jobs[n];
        job->decided = expected[n].decided;
        job->dropped += expected[n].dropped;
        job->fired += expected[n].count;
    }
    assert_int_equal(wake, wake_of(w));
    return wake;
}

/* With "forbid", of the job's open fires the oldest goes on and the others wait. */
static void check_order(struct world *w, const struct simulated *job)
{
    auto_held_ids struct held_ids open = {0};

    open_fires(w, job->id, &open);
    for (size_t i = 0; i < open.count; i++) {
        struct fire_row fire;
        OK(job_store_fire(w->f->jobs.store, open.items[i], held_fire_take, &fire, e));
        assert_int_equal(fire.state, job->overlap == FORBID && i > 0 ? FIRE_WAITING : FIRE_OPEN);
    }
}

/* The oldest open fire of the job ends, or (in its middle) the process dies and it does not. */
static void end_fire(struct world *w, const struct simulated *job)
{
    static const enum status ends[] = {STATUS_SUCCESS, STATUS_FAILURE, STATUS_ABORTED};
    auto_held_ids struct held_ids open = {0};
    auto_held_job struct held_job row = job_of(w->f, job->id);

    open_fires(w, job->id, &open);
    if (open.count == 0)
        return;
    auto_held_sets struct held_sets sets = sets_of(w->f, open.items[0]);
    OK(job_store_begin(w->f->jobs.store, e));
    for (size_t i = 0; i < sets.count; i++) {
        struct set_row *set = &sets.items[i].row;
        enum status end = ends[pick(w, 3)];
        set->status = STATUS_STARTED;
        OK(job_store_set_set(w->f->jobs.store, set, e));
        OK(jobs_end_try(&w->f->jobs, &row.row, set, end,
                        end == STATUS_SUCCESS ? CAUSE_NONE : CAUSE_EXIT_CODE, e));
    }
    if (pick(w, 8) == 0)
        job_store_rollback(w->f->jobs.store);
    else
        OK(job_store_commit(w->f->jobs.store, STORE_LAZY, e));
    check_order(w, job);
}

static void pass_time(struct world *w, msec wake)
{
    unsigned kind = (unsigned)pick(w, 100);

    if (kind < 82 || w->now < MONDAY)
        w->now = wake + (pick(w, 3) == 0 ? (msec)pick(w, 10000) : 0);
    else if (kind < 88)
        w->now += (msec)pick(w, 20 * HOUR);
    else if (kind < 92)
        w->now += DAY + (msec)pick(w, 5 * DAY);
    else if (kind < 97)
        w->now += (msec)pick(w, 5 * MINUTE);
    else {
        w->now -= (msec)pick(w, 6 * HOUR);
        w->steps_back++;
    }
    w->latest = w->now > w->latest ? w->now : w->latest;
}

static int count_end(void *user, const struct fire_row *fire, struct err *e)
{
    uint64_t *counts = user;
    uint32_t sets = 0;

    (void)e;
    counts[fire->job]++;
    for (unsigned i = 0; i < STATUS_COUNT; i++)
        sets += fire->counts[i];
    assert_int_equal(sets, fire->set_count);
    assert_int_equal(fire->counts[STATUS_STARTED], 0);
    assert_true(fire_state_is_final(fire->state));
    assert_int_equal(fire->counts[STATUS_PENDING], 0);
    return 0;
}

/* Each time that has come was fired or dropped, and no other. */
static void check_end(struct world *w)
{
    const struct fire_filter all = {0};
    uint64_t counts[JOBS + 1] = {0}, total = 0;

    for (unsigned n = 0; n < JOBS; n++)
        for (auto_held_ids struct held_ids open = {0};; held_ids_clear(&open)) {
            open_fires(w, w->jobs[n].id, &open);
            if (open.count == 0)
                break;
            end_fire(w, &w->jobs[n]);
        }
    OK(job_store_fires(w->f->jobs.store, &all, count_end, counts, e));
    for (unsigned n = 0; n < JOBS; n++) {
        const struct simulated *job = &w->jobs[n];
        auto_held_job struct held_job row = job_of(w->f, job->id);
        assert_int_equal(counts[job->id], job->fired);
        assert_int_equal(row.row.dropped, job->dropped);
        assert_int_equal(job->fired + job->dropped, job->decided);
        assert_int_equal(row.row.next_due, job->times.items[job->decided]);
        assert_int_equal(row.row.state, JOB_STARTED);
        total += job->fired;
    }
    assert_true(total > 2000 && w->steps_back > 20 && w->kills > 100 && w->rollbacks > 100);
    print_message("%u days of %d jobs: %llu fires, %u kills, %u rolled back, %u steps back\n",
                  (unsigned)((w->latest - MONDAY) / DAY), JOBS, (unsigned long long)total, w->kills,
                  w->rollbacks, w->steps_back);
}

static void each_time_is_fired_or_dropped_once(void **state)
{
    auto_free struct world *w = mem_zalloc(sizeof *w);
    auto_free char *zone = getenv("TZ") ? mem_strdup(getenv("TZ")) : NULL;

    w->f = *state;
    w->now = MONDAY - HOUR;
    w->random = 20260105;
    for (unsigned n = 0; n < JOBS; n++)
        add_simulated(w, n);
    while (w->now < END) {
        msec wake = turn(w);
        for (unsigned n = 0; n < JOBS; n++)
            if (pick(w, 6) == 0)
                end_fire(w, &w->jobs[n]);
        held_uuids_clear(&w->f->jobs.to_retain);
        pass_time(w, wake);
    }
    check_end(w);
    for (unsigned n = 0; n < JOBS; n++) {
        schedule_free(w->jobs[n].schedule);
        free(w->jobs[n].times.items);
    }
    if (zone)
        setenv("TZ", zone, 1);
    else
        unsetenv("TZ");
    tzset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(each_time_is_fired_or_dropped_once)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
