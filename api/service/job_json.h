/* job_json: jobs and their fires as the API shows them.
 *
 * Written from the job store's rows, and for a whole job from what it is made of. `projects` is the
 * directory below which projects lie. Keeps nothing; the store is a reader of the caller's.
 */
#ifndef SEGUE_API_SERVICE_JOB_JSON_H
#define SEGUE_API_SERVICE_JOB_JSON_H

#include "api/service/job_body.h"
#include "api/service/stored_job.h"
#include "base/buf.h"
#include "base/err.h"
#include "runner/store/job_store.h"

/* How many of the times to come are shown. */
#define JOB_JSON_TIMES 5

/* Appends a whole job. `retained`: the runs that retention will remove next, NULL at the end. */
int job_json_put(struct buf *out, struct job_store *store, const char *projects,
                 const struct stored_job *job, char *const *retained, struct err *e);

/* Appends an array of the jobs that fit, newest first, without what only a whole job has; as many
 * as the filter says, but fewer when it grows beyond LIMIT_LIST_BYTES. *ret_cursor is the `before`
 * for those behind them; 0: there are none. filter->limit must be above 0. */
int job_json_put_list(struct buf *out, struct job_store *store, const char *projects,
                      const struct job_filter *filter, int64_t *ret_cursor, struct err *e);

/* Appends what a job would be that is not made, as of `now`. */
void job_json_put_preview(struct buf *out, const struct job_body *job, msec now);

void job_json_put_fire(struct buf *out, const struct fire_row *fire);

/* As job_json_put_list. */
int job_json_put_fires(struct buf *out, struct job_store *store, const struct fire_filter *filter,
                       int64_t *ret_cursor, struct err *e);

#endif
