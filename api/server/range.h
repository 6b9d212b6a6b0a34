/* range: the header Range of a request for a part of something (RFC 9110, 14). Pure. */
#ifndef SEGUE_API_SERVER_RANGE_H
#define SEGUE_API_SERVER_RANGE_H

#include <stdbool.h>
#include <stdint.h>

enum range_kind {
    RANGE_ALL,  /* none asked for, or one that is to be ignored: 200 */
    RANGE_PART, /* 206 */
    RANGE_NONE, /* nothing of it exists: 416 */
};

struct range {
    uint64_t start, length; /* RANGE_PART: length > 0, and inside `size` */
};

/* `header` may be NULL. Several ranges at once, other units and bad syntax are ignored, as the RFC
 * allows. */
enum range_kind range_parse(const char *header, uint64_t size, struct range *ret);

/* If-Range: does the range count for what has this ETag? Only a strong one that is equal does.
 * Either may be NULL. */
bool range_is_for(const char *if_range, const char *etag);

/* If-None-Match: does the list name this ETag (or is it "*")? Either may be NULL. */
bool range_list_has(const char *if_none_match, const char *etag);

#endif
