/* axis: the values that one parameter takes: listed, counted off between two numbers, or drawn from
 * a distribution (parameter_sets.h has the JSON).
 *
 * Values are texts of JSON. Those of ranges are counted off in whole numbers of their last decimal
 * place, never by adding fractions. Where a range has a decimal point or an exponent in it, all of
 * its values have a point ("0.5:1.5:0.5": 0.5, 1.0, 1.5), so that a program gets them as the same
 * type. Owns its list of positions; borrows the document, and keeps no pointer to it. Immutable
 * once read.
 */
#ifndef SEGUE_RUNNER_AXIS_H
#define SEGUE_RUNNER_AXIS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "runner/sets/draw.h"

#include <stdbool.h>
#include <stdint.h>

#define AXIS_DIGITS_MAX 15u /* of a number in a range: as many as a double keeps */

enum axis_kind { AXIS_LIST, AXIS_RANGE, AXIS_UNIFORM, AXIS_LOG_UNIFORM, AXIS_INT_UNIFORM };

struct axis {
    enum axis_kind kind;
    uint64_t count; /* of its values; of a distribution 0: they are not counted */
    union {
        json_at *values; /* a list's */
        struct {
            int64_t first, step; /* in units of the last decimal place */
            unsigned decimals;
            bool has_point;
        } range;
        struct {
            double least, most;
        } real;
        struct {
            int64_t least, most;
        } whole;
    };
};

/* ERR_INVALID says what is wrong with it. */
int axis_read(struct axis *ret_axis, const struct json *doc, json_at at, struct err *e);

/* The same of a range's text alone. */
int axis_parse_range(struct axis *ret_axis, struct str text, struct err *e);
void axis_clear(struct axis *axis);

bool axis_is_distribution(const struct axis *axis);

/* Bytes of the longest value. */
size_t axis_longest(const struct axis *axis, const struct json *doc);

/* Appends value `index` < count. */
void axis_put(const struct axis *axis, const struct json *doc, uint64_t index, struct buf *out);

/* Appends one by chance, each of those that are counted as likely. */
void axis_put_drawn(const struct axis *axis, const struct json *doc, struct draw *draw,
                    struct buf *out);

#endif
