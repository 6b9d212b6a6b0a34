/* Two ways in which a cron line meets a zone's clocks. Fixed times of day: each local time that the
 * line names comes at the first moment at which the clocks show it or more (zone_time); so a
 * repeated time comes once, and times that a gap swallows fall together behind it. Lines that name
 * every hour: a moment is due when what the clocks show at it matches; they go evenly between two
 * changes, so the way goes from change to change.
 *
 * After a long time in which nobody was there, only the newest missed times matter: they are looked
 * for in windows that end now and grow backwards until enough are found.
 */
#include "runner/schedule/schedule.h"

#include "runner/schedule/schedule_private.h"

#define ALL_HOURS    0xffffffu
#define LAST_TIME    INT64_C(253402300799999) /* the year 9999 ends */
#define FIRST_WINDOW (60 * SCHEDULE_LATE_MS)

enum schedule_kind schedule_kind(const struct schedule *schedule)
{
    return schedule->kind;
}

enum schedule_overlap schedule_overlap(const struct schedule *schedule)
{
    return schedule->overlap;
}

/* --- times --- */

/* Within an hour that is shown again, what was shown before is passed over. */
static msec next_fixed(const struct schedule *schedule, msec after)
{
    struct local_time local;
    msec time;

    zone_local(schedule->zone, after, &local);
    do {
        if (cron_next(&schedule->cron, &local, &local))
            return 0;
        time = zone_time(schedule->zone, &local);
    } while (time <= after);
    return time;
}

static msec next_even(const struct schedule *schedule, msec after)
{
    const struct zone *zone = schedule->zone;
    struct local_time local;

    for (msec at = after;;) {
        zone_local(zone, at, &local);
        if (cron_next(&schedule->cron, &local, &local))
            return 0;
        msec time = zone_time_evenly(zone, &local, at);
        msec change = zone_change(zone, at, time);
        if (change == INT64_MAX)
            return time;
        zone_local(zone, change, &local);
        if (cron_matches(&schedule->cron, &local))
            return change;
        at = change;
    }
}

static msec next_cron(const struct schedule *schedule, msec after)
{
    msec from = after > 0 ? after : 0;
    msec time =
        schedule->cron.hours == ALL_HOURS ? next_even(schedule, from) : next_fixed(schedule, from);

    return time <= LAST_TIME ? time : 0;
}

msec schedule_next(const struct schedule *schedule, msec after)
{
    msec at;

    switch (schedule->kind) {
    case SCHEDULE_NOW:
        return 0;
    case SCHEDULE_AT:
        at = schedule->at_us / 1000;
        return at > after ? at : 0;
    case SCHEDULE_CRON:
        return next_cron(schedule, after);
    }
    return 0;
}

/* Steele, Lea and Flood's mixer of splitmix64: near seeds and times give far results. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* `next` is the time that follows on `due`; 0: none does. */
static msec jitter_before(const struct schedule *schedule, uint64_t seed, msec due, msec next)
{
    uint64_t most = (uint64_t)schedule->jitter_s * 1000;

    if (next && (uint64_t)(next - due - 1) < most)
        most = (uint64_t)(next - due - 1);
    return (msec)(mix(mix(seed) ^ (uint64_t)due) % (most + 1));
}

msec schedule_jitter(const struct schedule *schedule, uint64_t seed, msec due)
{
    if (schedule->jitter_s == 0)
        return 0;
    return jitter_before(schedule, seed, due, schedule_next(schedule, due));
}

/* --- what has come --- */

struct walk {
    uint32_t missed;
    uint32_t on_time;
    msec next; /* the first that has not come */
};

/* Goes over what has come, from `from` on, and keeps it in `ret_due` (may be NULL) but for the
 * first `skip`. */
static struct walk walk(const struct schedule *schedule, uint64_t seed, msec from, msec now,
                        uint32_t skip, struct schedule_due *ret_due)
{
    struct walk walk = {.next = schedule_next(schedule, from - 1)};

    while (walk.next && walk.next <= now) {
        msec next = schedule_next(schedule, walk.next);
        msec time = walk.next + jitter_before(schedule, seed, walk.next, next);
        if (time > now)
            break;
        bool is_missed = now - time > SCHEDULE_LATE_MS;
        if (ret_due && walk.missed + walk.on_time >= skip)
            ret_due->fires[ret_due->count++] = (struct schedule_fire){walk.next, is_missed};
        walk.missed += is_missed;
        walk.on_time += !is_missed;
        walk.next = next;
    }
    return walk;
}

/* How many of the missed ones are made up for. */
static uint32_t made_up(const struct schedule *schedule, const struct walk *walk)
{
    switch (schedule->catch_up) {
    case CATCH_UP_LATEST:
        return walk->on_time == 0 && walk->missed > 0;
    case CATCH_UP_NONE:
        return 0;
    case CATCH_UP_ALL:
        return walk->missed < schedule->catch_up_limit ? walk->missed : schedule->catch_up_limit;
    }
    return 0;
}

static bool is_enough(const struct schedule *schedule, const struct walk *walk)
{
    switch (schedule->catch_up) {
    case CATCH_UP_LATEST:
        return walk->on_time > 0 || walk->missed > 0;
    case CATCH_UP_NONE:
        return true;
    case CATCH_UP_ALL:
        return walk->missed >= schedule->catch_up_limit;
    }
    return true;
}

static uint32_t count_times(const struct schedule *schedule, msec from, msec until)
{
    uint32_t count = 0;

    for (msec time = schedule_next(schedule, from - 1);
         time && time < until && count < SCHEDULE_DROPPED_MAX; time = schedule_next(schedule, time))
        count++;
    return count;
}

void schedule_decide(const struct schedule *schedule, uint64_t seed, msec next, msec now,
                     struct schedule_due *ret_due)
{
    ret_due->count = 0;
    ret_due->dropped = 0;
    ret_due->next = next;
    if (next == 0 || now < next)
        return;

    msec window = FIRST_WINDOW + (msec)schedule->jitter_s * 1000;
    msec from;
    struct walk found;
    do {
        from = now - next > window ? now - window : next;
        found = walk(schedule, seed, from, now, 0, NULL);
        window *= 2;
    } while (from > next && !is_enough(schedule, &found));

    walk(schedule, seed, from, now, found.missed - made_up(schedule, &found), ret_due);
    ret_due->next = found.next;
    msec end = ret_due->count > 0 ? ret_due->fires[0].due : found.next ? found.next : INT64_MAX;
    ret_due->dropped = count_times(schedule, next, end);
}
