/* zone: what the clocks on the wall show in an IANA time zone.
 *
 * Reads the system's zone files (tzdata) by GLib; a zone that a process has opened stays as it was
 * read. Immutable once opened: any thread may ask. Times are wall clock (UTC milliseconds), those
 * before the year 1 and behind 9999 count as its first and last moment; local times are calendar
 * fields of the proleptic Gregorian calendar. What a zone will do after 2037 is a guess anyway.
 */
#ifndef SEGUE_RUNNER_ZONE_H
#define SEGUE_RUNNER_ZONE_H

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

struct zone;

struct local_time {
    int year;    /* 1 to 9999 */
    int month;   /* 1 to 12 */
    int day;     /* 1 to 31 */
    int hour;    /* 0 to 23 */
    int minute;  /* 0 to 59 */
    int weekday; /* 0 Sunday to 6 Saturday; not looked at where a local time is given */
};

/* "Europe/Berlin", "UTC". ERR_INVALID: there is no such zone (with the nearest name there is, where
 * one is near), or no zone data on this machine; "UTC" needs none. Offsets, rules and paths are no
 * names. */
int zone_open(const char *name, struct zone **ret_zone, struct err *e);
void zone_free(struct zone *zone); /* NULL is allowed */
AUTO_FUNCTION(struct zone, zone_free)
#define auto_zone auto_with(zone_free_at)

const char *zone_name(const struct zone *zone);
void zone_local(const struct zone *zone, msec time, struct local_time *ret_local);
int zone_offset_minutes(const struct zone *zone, msec time); /* east of UTC */

/* The moment at which the clocks show `local`, with second 0. One that is shown twice, since clocks
 * are set back, is the first of the two; one that is never shown, since they are set forward, is
 * the first moment behind the gap. */
msec zone_time(const struct zone *zone, const struct local_time *local);

/* The moment at which they would show `local` if they went on from `from` without a change. */
msec zone_time_evenly(const struct zone *zone, const struct local_time *local, msec from);

/* The first moment behind `after`, up to `until`, from which on the clocks may show another offset;
 * INT64_MAX: none, they go on evenly. */
msec zone_change(const struct zone *zone, msec after, msec until);

#endif
