#include "api/commands/duration.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* 0: no unit. */
static uint32_t seconds_of(const char *unit)
{
    static const struct {
        const char *name;
        uint32_t seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400}};

    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(unit, units[i].name) == 0)
            return units[i].seconds;
    return 0;
}

bool duration_parse(const char *text, uint32_t most, uint32_t *ret_seconds)
{
    char *end;

    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    unsigned long long count = strtoull(text, &end, 10);
    uint32_t unit = seconds_of(end);
    if (errno != 0 || unit == 0 || count > most / unit)
        return false;
    *ret_seconds = (uint32_t)count * unit;
    return true;
}
