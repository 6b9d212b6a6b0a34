/* owners: parameters by whose they are, as requests write them:
 *
 *     {"pipeline_parameters": {NAME: VALUE}, STEP_UUID: {NAME: VALUE}}
 *
 * The document names steps of a pipeline that lies elsewhere. Pure functions.
 */
#ifndef SEGUE_RUNNER_OWNERS_H
#define SEGUE_RUNNER_OWNERS_H

#include "base/json.h"
#include "base/problems.h"
#include "runner/plan/overrides.h"
#include "runner/plan/pipeline.h"

#include <stdbool.h>

#define OWNERS_PIPELINE "pipeline_parameters"

/* Owns the names, borrows the values. */
struct override_list {
    struct override *items;
    size_t count, capacity;
};

void override_list_clear(struct override_list *list);
#define auto_override_list __attribute__((cleanup(override_list_clear)))

/* Adds all of the object `at`; what is wrong goes to `problems`: among it more than
 * LIMIT_REQUEST_PARAMETERS. */
void owners_read(const struct pipeline *pipeline, const struct json *doc, json_at at,
                 struct problems *problems, struct override_list *list);

/* The step whose uuid the key is, or STEP_NONE for the pipeline; false, with a problem, when it is
 * neither. */
bool owners_read_key(const struct pipeline *pipeline, const struct json *doc, json_at key,
                     struct problems *problems, uint32_t *ret_step);

/* Adds that the string `at`, or the key, is no step's uuid. People may have written a title or a
 * path: then it is said whose that is. */
void owners_add_unknown_step(const struct pipeline *pipeline, const struct json *doc, json_at at,
                             struct problems *problems);

#endif
