/* stored_job: a job as it stands in the store, with what it is made of read back.
 *
 * Owns everything; the store is a reader of the caller's.
 */
#ifndef SEGUE_API_SERVICE_STORED_JOB_H
#define SEGUE_API_SERVICE_STORED_JOB_H

#include "runner/jobs/held.h"
#include "runner/jobs/job.h"
#include "runner/schedule/schedule.h"
#include "runner/sets/parameter_sets.h"

struct stored_job {
    struct held_job held; /* its row */
    struct pipeline *pipeline;
    struct parameter_sets *sets;
    struct schedule *schedule;
    struct job_policy policy;
};

/* The row alone; ERR_NOT_FOUND for one that is deleted too. */
int stored_job_read_row(struct job_store *store, const char *job_uuid, struct held_job *ret_held,
                        struct err *e);

/* `ret_job` is all zero before; on failure too it is to be cleared. */
int stored_job_read(struct job_store *store, const char *job_uuid, struct stored_job *ret_job,
                    struct err *e);

void stored_job_clear(struct stored_job *job); /* an all-zero one is cleared already */
#define auto_stored_job __attribute__((cleanup(stored_job_clear)))

#endif
