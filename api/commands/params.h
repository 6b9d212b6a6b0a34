/* params: the parameters that a command line sets: -p NAME=VALUE and -p STEP:NAME=VALUE.
 *
 * VALUE is JSON where it parses as such, else text. Borrows the words of the command line.
 */
#ifndef SEGUE_API_PARAMS_H
#define SEGUE_API_PARAMS_H

#include "base/err.h"
#include "runner/plan/overrides.h"

#define PARAMS_HELP                                                                                \
    "  -p, --param [STEP:]NAME=VALUE\n"                                                            \
    "                    sets a parameter of the pipeline or of a step; VALUE is JSON, or else\n"  \
    "                    text\n"

struct params {
    const char **words;
    uint32_t count;
    uint32_t capacity;
};

void params_clear(struct params *params);
#define auto_params __attribute__((cleanup(params_clear)))

void params_add(struct params *params, const char *word);

/* Does any of them name a step? */
bool params_name_steps(const struct params *params);

/* Appends the definition with the parameters in it. ERR_INVALID for what is not NAME=VALUE; errors
 * of pipeline_find_step. */
int params_apply(const struct params *params, const struct pipeline *pipeline,
                 struct buf *definition, struct err *e);

/* Appends them as {"pipeline_parameters": {...}, STEP_UUID: {...}}; of two with the same name the
 * later counts. `pipeline` may be NULL: then what stands for a step is taken as its uuid. */
int params_put_json(const struct params *params, const struct pipeline *pipeline, struct buf *out,
                    struct err *e);

#endif
