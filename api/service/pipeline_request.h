/* pipeline_request: the project and the pipeline that a request is about, from the fields
 * "project", "pipeline_path" and "pipeline_definition" of its body.
 *
 * A pipeline_definition in the body stands as the bytes that it was; what is wrong in it is
 * reported where it stands in the body. What is wrong in the file of a pipeline_path is reported
 * where it stands there. Reads the project's directory; changes nothing; any thread. Owns its
 * values, borrows the body.
 */
#ifndef SEGUE_API_SERVICE_PIPELINE_REQUEST_H
#define SEGUE_API_SERVICE_PIPELINE_REQUEST_H

#include "base/json.h"
#include "base/problems.h"
#include "runner/plan/pipeline.h"
#include "runner/plan/plan.h"
#include "runner/plan/project.h"

struct pipeline_request {
    struct project project; /* pipeline_path "": only a definition was given */
    struct pipeline *pipeline;
    struct json_place place; /* where the definition starts in the body; line 0: in no body */
};

/* The project, and the pipeline when the body has it; `request` is all zero before. What is wrong
 * goes to `problems`. -1: what is no fault of the request (a disk that fails). */
int pipeline_request_read(struct pipeline_request *request, const struct json *body,
                          const char *projects, struct problems *problems, struct err *e);

/* The pipeline from its file, where the body does not have it. Only when there is no problem: so
 * all the places that are reported are in one text. Refused with ERR_INVALID, ERR_LIMIT. */
int pipeline_request_read_file(struct pipeline_request *request, const struct json *body,
                               struct problems *problems, struct err *e);

void pipeline_request_clear(struct pipeline_request *request); /* all-zero ones are cleared */
#define auto_pipeline_request __attribute__((cleanup(pipeline_request_clear)))

/* Problems of the pipeline as problems for whoever asked. */
void pipeline_request_add(const struct pipeline_request *request, const struct problems *found,
                          struct problems *problems);

/* The files of the plan's steps must be there: ERR_INVALID, with what is missing. */
int pipeline_request_check_files(const struct pipeline_request *request, const struct plan *plan,
                                 struct problems *problems, struct err *e);

#endif
