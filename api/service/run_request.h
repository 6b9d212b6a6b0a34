/* run_request: what somebody asks to be run, as the body of POST plans and POST runs says it,
 * checked: the project, the pipeline with its parameters, the selection.
 *
 * Reads the project's directory; changes nothing. Owns its values, borrows the body.
 */
#ifndef SEGUE_API_SERVICE_RUN_REQUEST_H
#define SEGUE_API_SERVICE_RUN_REQUEST_H

#include "api/service/pipeline_request.h"
#include "runner/engine/submission.h"

struct run_request {
    struct pipeline_request source; /* the pipeline as it was given, without the parameters */
    struct buf definition;          /* with the parameters; empty: there are none */
    struct buf parameters;          /* JSON, as they were asked for; empty: none */
    enum run_type run_type;
    uint32_t *selected; /* indices of steps */
    uint32_t selected_count;
    bool in_place;
    uint32_t keep_kernels_s;
    uint32_t timeout_s; /* of the whole run; 0: none */
};

/* `projects` is the directory below which projects lie, without links. Refused with ERR_INVALID or
 * ERR_LIMIT; the problems say what is wrong, where they are in the body or in the file. */
int run_request_read(struct run_request *ret_request, const struct json *body, const char *projects,
                     struct problems *problems, struct err *e);

void run_request_clear(struct run_request *request); /* an all-zero one is cleared already */
#define auto_run_request __attribute__((cleanup(run_request_clear)))

/* What would be run. Refused as a run would be: nothing to run, files that are missing. */
int run_request_plan(const struct run_request *request, struct plan **ret_plan,
                     struct problems *problems, struct err *e);

/* As submission_make, with problems where they are for whoever asked. */
int run_request_submission(const struct run_request *request, struct submission **ret_submission,
                           struct problems *problems, struct err *e);

#endif
