/* target: what a request line asks for, "/api/v1/runs/x%20y?status=A&limit=5", taken apart and
 * percent-decoded.
 *
 * Strict: whatever could be read in two ways is refused. Borrows the memory that it is given; pure.
 */
#ifndef SEGUE_API_SERVER_TARGET_H
#define SEGUE_API_SERVER_TARGET_H

#include "base/err.h"
#include "base/str.h"

/* No path of ours has more than 9 segments and no request more than 8 parameters; what has more is
 * refused. */
#define TARGET_SEGMENTS 16
#define TARGET_QUERIES  32

struct target_query {
    const char *name, *value; /* value "" where there was none */
};

struct target {
    struct str segments[TARGET_SEGMENTS]; /* decoded, NUL behind each; "/" has one, empty */
    unsigned segment_count;
    struct target_query queries[TARGET_QUERIES];
    unsigned query_count;
};

/* Takes `text` apart, which is changed and must outlive the target. ERR_INVALID: it does not begin
 * with "/", has a bad escape, control characters (in the path), a NUL or no valid UTF-8, or too
 * many parts. */
int target_parse(struct target *target, char *text, struct err *e);

/* The first value of a parameter; NULL: not given. */
const char *target_query(const struct target *target, const char *name);

/* All parameters must be among `known` (NULL at the end; NULL: none). One whose name is all digits
 * and that has no value is let pass: it is there against caches. ERR_INVALID names the nearest
 * known one. */
int target_check_queries(const struct target *target, const char *const *known, struct err *e);

#endif
