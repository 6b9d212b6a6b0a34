/* parameter_sets_private: what reading parameter sets and giving them out share. */
#ifndef SEGUE_RUNNER_PARAMETER_SETS_PRIVATE_H
#define SEGUE_RUNNER_PARAMETER_SETS_PRIVATE_H

#include "base/map.h"
#include "runner/sets/axis.h"
#include "runner/sets/parameter_sets.h"

/* strategy, name */
#define STRATEGIES(X)                                                                              \
    X(STRATEGY_PRODUCT, "product")                                                                 \
    X(STRATEGY_ZIP, "zip")                                                                         \
    X(STRATEGY_RANDOM, "random")                                                                   \
    X(STRATEGY_LIST, "list")

enum strategy {
#define X(strategy, name) strategy,
    STRATEGIES(X)
#undef X
};

struct sets_owner {
    uint32_t step; /* of the pipeline, or STEP_NONE */
    char *key;     /* in JSON */
};

/* One that any set has: each is here once, and named by its index from then on. */
struct sets_parameter {
    uint32_t owner;
    char *key;        /* for `by_key`: the step's index, a blank, the name */
    const char *name; /* in `key` */
};

struct setting {
    uint32_t parameter;
    json_at value;
};

struct setting_list {
    struct setting *items;
    uint32_t count, capacity;
};

struct sets_axis {
    struct axis axis;
    uint32_t parameter;
};

struct parameter_sets {
    struct json doc; /* compact, of its own; all positions are in it */
    enum strategy strategy;

    struct sets_owner *owners;
    uint32_t owner_count, owner_capacity;
    struct sets_parameter *parameters;
    uint32_t parameter_count, parameter_capacity;
    struct map by_key;
    uint32_t *order; /* all parameters, those of one owner beside each other */

    struct setting_list base;
    struct sets_axis *axes; /* product, zip, random */
    uint32_t axis_count, axis_capacity;
    struct setting_list listed; /* list: of all sets, one after the other */
    uint32_t *starts;           /* list: of each set in `listed`, and the end of the last */

    uint64_t seed;
    uint64_t *picks; /* random: the sets' numbers in the product; NULL: each value is drawn */

    uint32_t total, count;
    uint32_t *kept; /* numbers that are not left out; NULL: all */
    struct parameter_axis *columns;
    uint32_t column_count;
};

#endif
