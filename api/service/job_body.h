/* job_body: what somebody asks a job to be, as the bodies of requests say it, checked: of POST jobs
 * and jobs/preview all of it, of PUT jobs/{job} what is to be changed, of jobs/{job}/duplicate what
 * is to be different.
 *
 * Reads the project's directory; changes nothing; any thread. Owns its values, borrows the body.
 */
#ifndef SEGUE_API_SERVICE_JOB_BODY_H
#define SEGUE_API_SERVICE_JOB_BODY_H

#include "api/service/pipeline_request.h"
#include "api/service/stored_job.h"
#include "runner/jobs/job.h"
#include "runner/schedule/schedule.h"
#include "runner/sets/parameter_sets.h"

#define JOB_NAME_MAX 200u /* characters; it stands in tables and notices */

struct job_body {
    struct pipeline_request source;
    char *name; /* given, else the pipeline's, the file's, the project's */
    struct parameter_sets *sets;
    struct schedule *schedule;
    struct job_policy policy;
    bool is_draft;
};

/* Refused with ERR_INVALID or ERR_LIMIT; the problems say what is wrong, where they are in the body
 * or in the pipeline file. */
int job_body_read(struct job_body *ret_job, const struct json *body, const char *projects,
                  struct problems *problems, struct err *e);

void job_body_clear(struct job_body *job); /* an all-zero one is cleared already */
#define auto_job_body __attribute__((cleanup(job_body_clear)))

/* NULL: stays as it is. */
struct job_change_body {
    char *name;
    struct pipeline *pipeline; /* read anew, and the sets with it */
    struct parameter_sets *sets;
    struct schedule *schedule;
    struct job_policy policy;
    bool has_policy;
};

/* Refused as job_body_read. */
int job_change_body_read(struct job_change_body *ret_change, const struct json *body,
                         const char *projects, const struct stored_job *job,
                         struct problems *problems, struct err *e);

/* As if everything of the job was to be made anew from the live project; a name is given always:
 * "NAME (copy)" where the body has none. */
int job_duplicate_body_read(struct job_change_body *ret_change, const struct json *body,
                            const char *projects, const struct stored_job *job,
                            struct problems *problems, struct err *e);

void job_change_body_clear(struct job_change_body *change);
#define auto_job_change_body __attribute__((cleanup(job_change_body_clear)))

#endif
