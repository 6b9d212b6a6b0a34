/* GLib reads the zone files and says which of a zone's intervals (stretches of one offset) a moment
 * is in; what follows from that is computed here. GLib's own way from local times to intervals is
 * not used: it names an interval for a time that is shown twice, but not always the first one.
 */
#include "runner/schedule/zone.h"

#include "base/fs.h"
#include "base/str.h"
#include "runner/schedule/calendar.h"

#include <ctype.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES  64 /* the longest there is has 32 */
#define NAMES_MAX_BYTES (1024 * 1024)
#define SECOND          1000
#define DAY_SECONDS     86400
#define YEAR_1          INT64_C(-62135596800) /* 0001-01-01T00:00:00Z */
#define YEAR_10000      INT64_C(253402300800)

/* No zone has ever been farther from UTC than 16 hours. */
#define FARTHEST_SECONDS (26 * 3600)

struct zone {
    GTimeZone *tz;
    char *name;
};

/* --- names --- */

/* As GLib does. */
static const char *data_directory(void)
{
    const char *directory = getenv("TZDIR");

    return directory ? directory : "/usr/share/zoneinfo";
}

/* IANA's names are made of these and begin with a capital; what lies beside them in the directory
 * of zone files (posix/, right/, posixrules, localtime, tables) does not. */
static bool is_name(const char *name)
{
    size_t len = strlen(name);

    if (len > NAME_MAX_BYTES || name[0] < 'A' || name[0] > 'Z')
        return false;
    for (const char *c = name; *c; c++)
        if (!isascii(*c) || (!isalnum(*c) && !strchr("/_+-", *c)))
            return false;
    return true;
}

static bool is_zone_file(const char *name)
{
    auto_free char *path = fs_join(data_directory(), name);
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char magic[4];

    return fd >= 0 && read(fd, magic, sizeof magic) == sizeof magic &&
           memcmp(magic, "TZif", sizeof magic) == 0;
}

/* Of a line of tzdata.zi, "Z NAME ..." or "L TARGET NAME": the name, cut out in place. */
static char *cut_name(char *line)
{
    if (line[0] != 'Z' && line[0] != 'L')
        return NULL;
    char *rest = line;
    strsep(&rest, " ");
    char *first = strsep(&rest, " ");
    return line[0] == 'Z' ? first : strsep(&rest, " ");
}

/* The wrong case is what is wrong most often. */
static const char *nearest_of(const char *name, const char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(names[i], name) == 0)
            return names[i];
    return str_nearest(name, names);
}

/* Looks through the list of all names; a machine may lack it, then nothing is near. */
static char *find_nearest(const char *name)
{
    auto_free char *path = fs_join(data_directory(), "tzdata.zi");
    auto_buf struct buf text = {0};
    auto_free const char **names = NULL;
    size_t count = 0, capacity = 0;
    struct err ignored;

    if (fs_read(path, NAMES_MAX_BYTES, &text, &ignored))
        return NULL;
    for (char *rest = text.data, *line; (line = strsep(&rest, "\n"));) {
        mem_grow(names, count, capacity);
        names[count] = cut_name(line);
        count += names[count] != NULL;
    }
    mem_grow(names, count, capacity);
    names[count] = NULL;
    return mem_strdup(nearest_of(name, names, count));
}

static int refuse_name(const char *name, struct err *e)
{
    auto_free char *nearest = find_nearest(name);

    if (!is_zone_file("Etc/UTC"))
        return err_set(e, ERR_INVALID,
                       "time zone \"%s\" needs the zone data of the system (package tzdata), which "
                       "is not in \"%s\"",
                       name, data_directory());
    if (nearest)
        return err_set(e, ERR_INVALID, "unknown time zone \"%s\"; did you mean \"%s\"?", name,
                       nearest);
    return err_set(e, ERR_INVALID, "unknown time zone \"%s\"; known are names as \"Europe/Berlin\"",
                   name);
}

int zone_open(const char *name, struct zone **ret_zone, struct err *e)
{
    GTimeZone *tz = NULL;

    if (strcmp(name, "UTC") == 0)
        tz = g_time_zone_new_utc();
    else if (is_name(name) && is_zone_file(name))
        tz = g_time_zone_new_identifier(name);
    if (!tz)
        return refuse_name(name, e);
    struct zone *zone = mem_zalloc(sizeof *zone);
    zone->tz = tz;
    zone->name = mem_strdup(name);
    *ret_zone = zone;
    return 0;
}

void zone_free(struct zone *zone)
{
    if (!zone)
        return;
    g_time_zone_unref(zone->tz);
    free(zone->name);
    free(zone);
}

const char *zone_name(const struct zone *zone)
{
    return zone->name;
}

/* --- times; in here in seconds --- */

static int64_t to_seconds(msec time)
{
    int64_t seconds = time / SECOND - (time % SECOND < 0);

    return seconds < YEAR_1 ? YEAR_1 : seconds >= YEAR_10000 ? YEAR_10000 - 1 : seconds;
}

static int interval_at(const struct zone *zone, int64_t time)
{
    return g_time_zone_find_interval(zone->tz, G_TIME_TYPE_UNIVERSAL, time);
}

static int64_t offset_of(const struct zone *zone, int interval)
{
    return g_time_zone_get_offset(zone->tz, interval);
}

/* The first moment that belongs to `interval` or a later one: behind `from`, at latest `to`. */
static int64_t interval_start(const struct zone *zone, int interval, int64_t from, int64_t to)
{
    while (to - from > 1) {
        int64_t middle = from + (to - from) / 2;
        if (interval_at(zone, middle) < interval)
            from = middle;
        else
            to = middle;
    }
    return to;
}

void zone_local(const struct zone *zone, msec time, struct local_time *ret_local)
{
    int64_t seconds = to_seconds(time);
    int64_t local = seconds + offset_of(zone, interval_at(zone, seconds));

    local = local < YEAR_1 ? YEAR_1 : local >= YEAR_10000 ? YEAR_10000 - 1 : local;
    int64_t since = local - YEAR_1; /* not negative: divides downwards */
    int64_t days = since / DAY_SECONDS + YEAR_1 / DAY_SECONDS;
    struct date date = calendar_date(days);
    *ret_local = (struct local_time){
        .year = date.year,
        .month = date.month,
        .day = date.day,
        .hour = (int)(since % DAY_SECONDS / 3600),
        .minute = (int)(since % 3600 / 60),
        .weekday = calendar_weekday(days),
    };
}

int zone_offset_minutes(const struct zone *zone, msec time)
{
    return (int)(offset_of(zone, interval_at(zone, to_seconds(time))) / 60);
}

/* What a clock at UTC would have to show. */
static int64_t seconds_of(const struct local_time *local)
{
    int64_t days = calendar_days((struct date){local->year, local->month, local->day});

    return days * DAY_SECONDS + local->hour * 3600 + local->minute * 60;
}

/* Whether shown once, twice or never: it is the first moment at which the clocks show this or
 * more. The intervals are looked through for it, from one in which they show less. */
msec zone_time(const struct zone *zone, const struct local_time *local)
{
    int64_t seconds = seconds_of(local);
    int64_t from = seconds - FARTHEST_SECONDS;

    for (int interval = interval_at(zone, from);; interval++) {
        int64_t time = seconds - offset_of(zone, interval);
        int found = interval_at(zone, time);
        if (found == interval)
            return time * SECOND;
        if (found < interval)
            return interval_start(zone, interval, from, seconds + FARTHEST_SECONDS) * SECOND;
    }
}

msec zone_time_evenly(const struct zone *zone, const struct local_time *local, msec from)
{
    return (seconds_of(local) - offset_of(zone, interval_at(zone, to_seconds(from)))) * SECOND;
}

msec zone_change(const struct zone *zone, msec after, msec until)
{
    int64_t from = to_seconds(after), to = to_seconds(until);
    int interval = interval_at(zone, from);

    if (interval_at(zone, to) <= interval)
        return INT64_MAX;
    return interval_start(zone, interval + 1, from, to) * SECOND;
}
