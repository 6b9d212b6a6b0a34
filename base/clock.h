/* clock: what time it is, in milliseconds and in RFC 3339.
 *
 * `mono` never jumps and is for deadlines and durations; `wall` is UTC and is for people and files.
 */
#ifndef SEGUE_BASE_CLOCK_H
#define SEGUE_BASE_CLOCK_H

#include <stdint.h>

typedef int64_t msec; /* milliseconds: since boot (mono) or since 1970-01-01T00:00:00Z (wall) */

msec clock_mono(void);
msec clock_wall(void);
int64_t clock_wall_us(void); /* microseconds since 1970 */

struct time_text {
    char text[32]; /* "2026-11-22T01:09:44.123456Z" */
};

/* UTC with six fractional digits and Z; years 0 to 9999. */
struct time_text time_text_of_us(int64_t wall_us);
struct time_text time_text_now(void);

/* Microseconds since 1970 of an RFC 3339 text with any fraction and Z or an offset; -1: not one. */
int64_t time_text_parse(const char *text);

#endif
