/* fields: the members of an object that somebody wrote, held against those that it may have.
 *
 * Everything that is wrong is reported at once, each with its place. Pure functions.
 */
#ifndef SEGUE_RUNNER_FIELDS_H
#define SEGUE_RUNNER_FIELDS_H

#include "base/json.h"
#include "base/problems.h"

#include <stdbool.h>
#include <stdint.h>

struct field {
    const char *name;
    enum json_kind kind; /* JSON_ABSENT: of any kind */
};

#define FIELDS_MAX 16u

/* Adds what is wrong: no object at all (then false), a field that is unknown, there twice, or of
 * another kind. null is the same as absent. `fields` ends with a nameless one and has at most
 * FIELDS_MAX. */
bool fields_check(const struct json *doc, json_at at, const struct field *fields,
                  struct problems *problems);

/* The value of a field; JSON_NONE when it is absent, null, or of another kind. */
json_at fields_get(const struct json *doc, json_at at, const struct field *fields,
                   const char *name);

/* A whole number from `least` to `most`; `missing` where there is none, and, with a problem, where
 * it is something else. */
int64_t fields_whole(const struct json *doc, json_at at, int64_t least, int64_t most,
                     int64_t missing, struct problems *problems);

#endif
