#include "api/server/range.h"

#include <stddef.h>
#include <string.h>

/* Digits; what is too large for a file is as large as can be. NULL: there are none. */
static const char *parse_number(const char *p, uint64_t *ret)
{
    const char *start = p;
    uint64_t value = 0;

    for (; *p >= '0' && *p <= '9'; p++)
        value = value > UINT64_MAX / 10 - 1 ? UINT64_MAX / 10 : value * 10 + (uint64_t)(*p - '0');
    *ret = value;
    return p > start ? p : NULL;
}

static const char *skip_blanks(const char *p)
{
    return p + strspn(p, " \t");
}

static enum range_kind part_of(uint64_t start, uint64_t last, uint64_t size, struct range *ret)
{
    if (start >= size)
        return RANGE_NONE;
    if (last > size - 1)
        last = size - 1;
    *ret = (struct range){start, last - start + 1};
    return RANGE_PART;
}

/* "-500": the last so many. */
static enum range_kind parse_suffix(const char *p, uint64_t size, struct range *ret)
{
    uint64_t length;
    const char *end = parse_number(p, &length);

    if (!end || *skip_blanks(end))
        return RANGE_ALL;
    if (length == 0)
        return RANGE_NONE;
    return part_of(length < size ? size - length : 0, UINT64_MAX, size, ret);
}

enum range_kind range_parse(const char *header, uint64_t size, struct range *ret)
{
    uint64_t start, last = UINT64_MAX;
    const char *p;

    if (!header || strncasecmp(header, "bytes=", 6) != 0)
        return RANGE_ALL;
    p = skip_blanks(header + 6);
    if (*p == '-')
        return parse_suffix(p + 1, size, ret);
    p = parse_number(p, &start);
    if (!p || *p != '-')
        return RANGE_ALL;
    if (p[1] >= '0' && p[1] <= '9')
        p = parse_number(p + 1, &last);
    else
        p++;
    if (*skip_blanks(p) || last < start)
        return RANGE_ALL;
    return part_of(start, last, size, ret);
}

bool range_is_for(const char *if_range, const char *etag)
{
    if (!if_range)
        return true;
    return etag && etag[0] == '"' && strcmp(if_range, etag) == 0;
}

bool range_list_has(const char *if_none_match, const char *etag)
{
    if (!if_none_match || !etag)
        return false;
    if (strcmp(if_none_match, "*") == 0)
        return true;
    if (strncmp(etag, "W/", 2) == 0)
        etag += 2;
    size_t len = strlen(etag);
    for (const char *p = if_none_match; *p;) {
        p += strspn(p, " \t,");
        if (strncmp(p, "W/", 2) == 0)
            p += 2;
        if (*p != '"')
            return false;
        const char *close = strchr(p + 1, '"');
        if (!close)
            return false;
        if ((size_t)(close + 1 - p) == len && memcmp(p, etag, len) == 0)
            return true;
        p = close + 1;
    }
    return false;
}
