/* Years of days, lived through by a service that dies, is away and has its clock set: whatever
 * happens, each time that a schedule names is run or dropped once, as its catch_up says. What the
 * times are is found out by going through all minutes, with the zones of the C library.
 */
#include "base/mem.h"
#include "runner/schedule/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/runner/schedule/made_line.c"

#define MINUTE      60
#define HOUR        3600
#define DAY         86400
#define OFFSET_STEP (15 * MINUTE)

static const char *const zones[] = {
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Antarctica/Troll",
};
#define ZONES (sizeof zones / sizeof *zones)

/* --- all times that a line names, minute by minute --- */

struct times {
    int64_t *at; /* seconds */
    size_t count, capacity;
};

struct stretch {
    int64_t from, to; /* seconds, whole days */
    int32_t *offsets; /* for each OFFSET_STEP of it */
};

static int32_t libc_offset(int64_t at)
{
    time_t time = at;
    struct tm tm;

    localtime_r(&time, &tm);
    return (int32_t)tm.tm_gmtoff;
}

static struct stretch stretch_of(const char *zone, int64_t from, int64_t to)
{
    struct stretch stretch = {from, to, mem_array((size_t)((to - from) / OFFSET_STEP) + 1, 4)};

    setenv("TZ", zone, 1);
    tzset();
    for (int64_t at = from; at <= to; at += OFFSET_STEP)
        stretch.offsets[(at - from) / OFFSET_STEP] = libc_offset(at);
    return stretch;
}

/* Some zones change at a minute past the hour. The zone is still the one of the stretch. */
static int32_t offset_at(const struct stretch *stretch, int64_t at)
{
    const int32_t *offset = &stretch->offsets[(at - stretch->from) / OFFSET_STEP];

    return offset[0] == offset[1] ? offset[0] : libc_offset(at);
}

struct calendar {
    const struct made_line *made;
    int64_t first; /* day since 1970 */
    char *days;    /* for each: 'y', 'n' or 0: not looked at yet */
};

static bool names(struct calendar *calendar, int64_t local)
{
    char *day = &calendar->days[local / DAY - calendar->first];
    int64_t second = local % DAY;

    if (!*day) {
        struct tm tm = utc_time(local);
        *day = names_day(calendar->made, &tm) ? 'y' : 'n';
    }
    return *day == 'y' && calendar->made->hours[second / HOUR] &&
           calendar->made->minutes[second % HOUR / MINUTE];
}

static void add_time(struct times *times, int64_t at)
{
    mem_grow(times->at, times->count, times->capacity);
    times->at[times->count++] = at;
}

/* A line that names every hour counts what the clock shows. Any other counts what it shows for the
 * first time, and what it has left out since the minute before. */
static struct times times_of(const struct made_line *made, const struct stretch *stretch)
{
    struct times times = {0};
    struct calendar calendar = {made, stretch->from / DAY - 2,
                                mem_zalloc((size_t)((stretch->to - stretch->from) / DAY + 4))};
    bool is_even = names_every_hour(made);
    int64_t shown = stretch->from + stretch->offsets[0] - MINUTE;

    for (int64_t at = stretch->from; at < stretch->to; at += MINUTE) {
        int64_t local = at + offset_at(stretch, at);
        bool is_named = is_even && names(&calendar, local);
        for (; !is_even && shown < local; shown += MINUTE)
            is_named |= names(&calendar, shown + MINUTE);
        if (is_named)
            add_time(&times, at);
    }
    free(calendar.days);
    return times;
}

static struct schedule *parsed(const char *line, const char *zone, const char *more)
{
    char text[1000];
    struct schedule *schedule = NULL;
    struct err e;

    snprintf(text, sizeof text, "{\"cron\": \"%s\", \"timezone\": \"%s\"%s}", line, zone, more);
    schedule_parse(text, &schedule, &e);
    return schedule;
}

/* --- schedule_next --- */

static int64_t random_day(struct dice *dice)
{
    return INT64_C(86400) * (9132 + roll(dice, 15000)); /* 1995 to 2036 */
}

/* A day before the next change of the clocks, if there is one soon. */
static int64_t interesting_day(struct dice *dice, const char *zone)
{
    int64_t start = random_day(dice);

    setenv("TZ", zone, 1);
    tzset();
    int32_t offset = libc_offset(start);
    for (int64_t day = start; day < start + INT64_C(200) * DAY; day += DAY)
        if (libc_offset(day + DAY) != offset)
            return day - DAY;
    return start;
}

/* Not only behind a time that was due, but from minutes in between. */
static void ask_anywhere(const struct schedule *schedule, const struct stretch *stretch,
                         const struct times *times, const char *what)
{
    size_t i = 0;

    for (int64_t at = stretch->from + 1; at < stretch->to; at += 17 * MINUTE) {
        while (i < times->count && times->at[i] <= at)
            i++;
        if (i < times->count && schedule_next(schedule, at * 1000) != times->at[i] * 1000)
            fail_msg("%s: after %lld comes %lld", what, (long long)at, (long long)times->at[i]);
    }
}

static size_t compare_times(const char *zone, const struct made_line *made, int64_t from)
{
    struct stretch stretch = stretch_of(zone, from, from + 4 * DAY);
    auto_schedule struct schedule *schedule = parsed(made->text, zone, "");
    struct times times = times_of(made, &stretch);
    msec at = stretch.from * 1000 - 1;

    for (size_t i = 0; schedule && i < times.count; i++) {
        at = schedule_next(schedule, at);
        if (at != times.at[i] * 1000)
            fail_msg("%s, %s: at %lld, not %lld", zone, made->text, (long long)at / 1000,
                     (long long)times.at[i]);
    }
    if (schedule) {
        at = schedule_next(schedule, at);
        assert_true(at == 0 || at >= stretch.to * 1000);
    }
    if (schedule)
        ask_anywhere(schedule, &stretch, &times, made->text);
    free(stretch.offsets);
    free(times.at);
    return times.count;
}

static void agrees_with_all_minutes(void **state)
{
    (void)state;
    struct dice dice = {UINT64_C(0xc10c)};
    size_t compared = 0;

    for (int i = 0; i < 50; i++)
        for (size_t zone = 0; zone < ZONES; zone++) {
            struct made_line made = i % 3 ? make_daily_line(&dice) : make_line(&dice);
            compared += compare_times(zones[zone], &made, interesting_day(&dice, zones[zone]));
        }
    assert_true(compared > 50000);
}

/* --- schedule_decide --- */

enum trouble { NO_TROUBLE, TROUBLE };

struct life {
    const struct schedule *schedule;
    const char *what;
    struct times times;
    uint8_t *decided, *ran; /* how often, for each of the times */
    enum schedule_catch_up catch_up;
    uint32_t limit, jitter_s;
    uint64_t seed;
    msec next; /* all that the service has kept */
    size_t next_index;
};

static msec run_time(const struct life *life, size_t index)
{
    msec due = life->times.at[index] * 1000;
    msec jitter = schedule_jitter(life->schedule, life->seed, due);

    assert_in_range(jitter, 0, life->jitter_s * 1000);
    assert_true(due + jitter < life->times.at[index + 1] * 1000);
    return due + jitter;
}

/* How many of `missed` are made up for, when `on_time` are run besides. */
static size_t made_up(const struct life *life, size_t missed, size_t on_time)
{
    size_t wanted = life->catch_up == CATCH_UP_ALL                      ? life->limit
                    : life->catch_up == CATCH_UP_LATEST && on_time == 0 ? 1
                                                                        : 0;
    return missed < wanted ? missed : wanted;
}

static void check_decision(struct life *life, const struct schedule_due *due, msec now)
{
    size_t index = life->next_index, missed = 0, on_time = 0;

    for (; run_time(life, index) <= now; index++) {
        life->decided[index]++;
        if (run_time(life, index) < now - SCHEDULE_LATE_MS)
            missed++;
        else
            on_time++;
    }
    size_t runs = made_up(life, missed, on_time) + on_time;
    if (due->count != runs || due->dropped != missed + on_time - runs ||
        due->next != life->times.at[index] * 1000)
        fail_msg("%s at %lld: %u run, %u dropped, %zu missed, %zu on time", life->what,
                 (long long)now, due->count, (unsigned)due->dropped, missed, on_time);
    for (size_t i = 0; i < runs; i++) {
        size_t which = index - runs + i;
        assert_int_equal(due->fires[i].due, life->times.at[which] * 1000);
        assert_int_equal(due->fires[i].is_missed, i < runs - on_time);
        life->ran[which]++;
    }
    life->next = due->next;
    life->next_index = index;
}

/* Seconds, from a few to many. */
static int64_t some_time(struct dice *dice)
{
    static const uint32_t most[] = {90, HOUR, 6 * HOUR, 10 * DAY};

    return roll(dice, most[roll(dice, 4)]);
}

/* What the service sleeps: till something is due, if nothing happens. */
static msec sleep_of(const struct life *life, struct dice *dice, msec now)
{
    msec wait = run_time(life, life->next_index) - now;

    if (roll(dice, 10) == 0 && wait > 1)
        wait /= 2;
    return wait + roll(dice, 300);
}

static void live(struct life *life, struct dice *dice, enum trouble trouble, msec from, msec to)
{
    static struct schedule_due due;
    msec skew = 0; /* what the clock is wrong by */

    life->next = schedule_next(life->schedule, from);
    while (life->times.at[life->next_index] * 1000 < life->next)
        life->next_index++;
    size_t first = life->next_index;

    for (msec time = from; time < to;) {
        schedule_decide(life->schedule, life->seed, life->next, time + skew, &due);
        if (trouble == TROUBLE && roll(dice, 40) == 0) {
            time += some_time(dice) * 1000; /* dies before it is written down */
            continue;
        }
        check_decision(life, &due, time + skew);
        if (trouble == TROUBLE && roll(dice, 40) == 0)
            time += some_time(dice) * 1000;
        else if (trouble == TROUBLE && roll(dice, 40) == 0)
            skew = ((msec)roll(dice, 12 * HOUR) - 6 * HOUR) * 1000;
        else
            time += sleep_of(life, dice, time + skew);
    }
    for (size_t i = 0; i < life->times.count; i++) {
        assert_int_equal(life->decided[i], i >= first && i < life->next_index);
        assert_true(life->ran[i] <= life->decided[i]);
        assert_true(trouble == TROUBLE || life->ran[i] == life->decided[i]);
    }
}

/* Days that were lived through. */
static int64_t live_once(struct dice *dice, const struct made_line *made, enum trouble trouble,
                         int64_t days)
{
    static const char *const catch_up_names[] = {"latest", "none", "all"};
    static const uint32_t limits[] = {1, 2, 10, 1000}, jitters[] = {0, 0, 45, 3600, 86400};
    const char *zone = zones[roll(dice, ZONES)];
    int64_t from = interesting_day(dice, zone);
    struct stretch stretch = stretch_of(zone, from - DAY, from + (days + 430) * DAY);
    struct life life = {.what = made->text,
                        .times = times_of(made, &stretch),
                        .catch_up = (enum schedule_catch_up)roll(dice, 3),
                        .limit = limits[roll(dice, 4)],
                        .jitter_s = jitters[roll(dice, 5)],
                        .seed = roll(dice, UINT32_MAX)};
    char more[200];

    snprintf(more, sizeof more, ", \"catch_up\": \"%s\", \"catch_up_limit\": %u, \"jitter\": %u",
             catch_up_names[life.catch_up], life.limit, life.jitter_s);
    auto_schedule struct schedule *schedule = parsed(made->text, zone, more);
    life.schedule = schedule;
    life.decided = mem_zalloc(life.times.count + 1);
    life.ran = mem_zalloc(life.times.count + 1);
    bool is_lived = schedule && life.times.count > 0 &&
                    life.times.at[life.times.count - 1] > from + (days + 30) * DAY;
    if (is_lived)
        live(&life, dice, trouble, from * 1000, (from + days * DAY) * 1000);
    free(stretch.offsets);
    free(life.times.at);
    free(life.decided);
    free(life.ran);
    return is_lived ? days : 0;
}

static void survives_everything(void **state)
{
    (void)state;
    struct dice dice = {UINT64_C(0xdeadbee)};

    for (int64_t days = 0; days < 10000;) {
        struct made_line made = roll(&dice, 4) ? make_line(&dice) : make_daily_line(&dice);
        days += live_once(&dice, &made, TROUBLE, 100);
    }
}

static void runs_all_when_nothing_happens(void **state)
{
    (void)state;
    struct dice dice = {UINT64_C(0xcafe)};

    for (int64_t days = 0; days < 2000;) {
        struct made_line made = roll(&dice, 4) ? make_line(&dice) : make_daily_line(&dice);
        days += live_once(&dice, &made, NO_TROUBLE, 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_all_minutes),
        cmocka_unit_test(survives_everything),
        cmocka_unit_test(runs_all_when_nothing_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
