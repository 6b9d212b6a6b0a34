/* schedule: when a job runs: now, at a time, or again and again; and which of the times that have
 * come are to be run.
 *
 * Read from JSON:
 *     {"at": "2026-12-01T06:00:00+01:00"}                              once; absent or {}: now
 *     {"cron": "0 2 * * MON-FRI", "timezone": "Europe/Berlin",         timezone: UTC when absent
 *      "catch_up": "none" | "latest" | "all", "catch_up_limit": 10,    latest; 10, at most 1000
 *      "overlap": "allow" | "forbid" | "replace",                      forbid
 *      "jitter": 0}                                                    seconds, at most 86400
 *
 * Daylight saving: a time of day that the clocks skip comes at the first moment behind the gap,
 * once for all that the gap swallowed; one that they show twice comes once, the first time. Where
 * a line names every hour (every n minutes, at minute 5 of every hour) times go by the clock that
 * never jumps: neither lost nor repeated, 23 or 25 hours on such a day.
 *
 * Immutable; pure functions of their arguments: no clock is read. Owns its zone.
 */
#ifndef SEGUE_RUNNER_SCHEDULE_H
#define SEGUE_RUNNER_SCHEDULE_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/problems.h"

#include <stdbool.h>
#include <stdint.h>

#define SCHEDULE_CATCH_UP_MAX 1000u

enum schedule_kind { SCHEDULE_NOW, SCHEDULE_AT, SCHEDULE_CRON };
enum schedule_catch_up { CATCH_UP_LATEST, CATCH_UP_NONE, CATCH_UP_ALL };
enum schedule_overlap { OVERLAP_FORBID, OVERLAP_ALLOW, OVERLAP_REPLACE };

struct schedule;

/* `at` JSON_NONE: now. NULL: refused, with what is wrong in `problems` (a cron line's problem names
 * the character in it: `"0 0 31 2 *", character 5: ...`). */
struct schedule *schedule_read(const struct json *doc, json_at at, struct problems *problems);

/* Of what schedule_put wrote. ERR_INVALID. */
int schedule_parse(const char *text, struct schedule **ret_schedule, struct err *e);
void schedule_free(struct schedule *schedule); /* NULL is allowed */
AUTO_FUNCTION(struct schedule, schedule_free)
#define auto_schedule auto_with(schedule_free_at)

/* Appends it as JSON, with everything that was left to its default. */
void schedule_put(const struct schedule *schedule, struct buf *out);

/* Appends "now", "once at 2026-12-01 06:00 (Europe/Berlin)", "at 02:00 on Monday to Friday
 * (Europe/Berlin)". */
void schedule_put_words(const struct schedule *schedule, struct buf *out);

/* Appends `time` as the clocks of its zone show it, in RFC 3339: "2026-12-01T02:00:00+01:00". */
void schedule_put_local(const struct schedule *schedule, msec time, struct buf *out);

enum schedule_kind schedule_kind(const struct schedule *schedule);
enum schedule_overlap schedule_overlap(const struct schedule *schedule);

/* The first time after `after` for which it is due, without jitter; 0: none comes any more. Of one
 * that is SCHEDULE_AT: that time, when it is after `after`; SCHEDULE_NOW: 0. */
msec schedule_next(const struct schedule *schedule, msec after);

/* How much later than `due` it is run: 0 up to the jitter, always the same for the same `seed` and
 * `due`; never as late as the next time, so that times keep their order. */
msec schedule_jitter(const struct schedule *schedule, uint64_t seed, msec due);

/* What was missed and is not made up for is counted so far; nobody waits for more. */
#define SCHEDULE_DROPPED_MAX 100000u

/* One that is later than this was missed: nobody was there to run it. */
#define SCHEDULE_LATE_MS 60000

struct schedule_fire {
    msec due;
    bool is_missed; /* to be made up for: its time is past by more than SCHEDULE_LATE_MS */
};

struct schedule_due {
    struct schedule_fire fires[SCHEDULE_CATCH_UP_MAX + 2]; /* oldest first; two may be on time */
    uint32_t count;
    uint64_t dropped; /* missed, and by catch_up not made up for; up to SCHEDULE_DROPPED_MAX */
    msec next;        /* what is due next, without jitter; 0: nothing any more */
};

/* What is to be run at `now`, when `next` is the first time that nothing was decided about yet (as
 * schedule_next or an earlier call gave it). Whatever is decided here is to be stored together with
 * `next`: then each time is run once or dropped, whatever dies in between and however the clock
 * jumps. Of SCHEDULE_AT too (a missed one is run, unless catch_up is none).
 *
 * What is due and not late is always run. Of what was missed: CATCH_UP_NONE nothing, CATCH_UP_ALL
 * the newest `catch_up_limit`, CATCH_UP_LATEST the newest one, unless one is due right now, which
 * is newer. When `now` is before `next`, as after a clock was set back, nothing is run. */
void schedule_decide(const struct schedule *schedule, uint64_t seed, msec next, msec now,
                     struct schedule_due *ret_due);

#endif
