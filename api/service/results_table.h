/* results_table: what came of the sets of a job: a row for each, with what it was given and what
 * its run reported, sorted, as JSON or CSV.
 *
 * Filled from the rows of the job store, sets first, then what they reported; both in the order of
 * ids. Sorted once it is filled, then read. Columns are the parameters that the sets differ in (the
 * axes of the job, and what else is not the same in all rows: the job may have been another once),
 * the metrics, and what was logged as a parameter ("reported"), in the order in which they appear.
 * A column's key is its name where no other of its kind has it, else "TITLE:name", where steps have
 * the same title "UUID:name"; a pipeline's parameter is then "pipeline_parameters:name". Pure; one
 * owner, one thread. Owns everything.
 */
#ifndef SEGUE_API_SERVICE_RESULTS_TABLE_H
#define SEGUE_API_SERVICE_RESULTS_TABLE_H

#include "base/buf.h"
#include "base/err.h"
#include "runner/jobs/job.h"
#include "runner/sets/parameter_sets.h"
#include "runner/store/job_store.h"

struct results_table;

/* `pipeline` must outlive the table: its steps' titles are shown. */
struct results_table *results_table_new(const struct pipeline *pipeline,
                                        const struct parameter_axis *axes, uint32_t axis_count);
void results_table_free(struct results_table *table); /* NULL is allowed */
AUTO_FUNCTION(struct results_table, results_table_free)
#define auto_results_table auto_with(results_table_free_at)

/* set_row_fn, metric_row_fn; `table` is a struct results_table. What is reported of sets that are
 * not in the table is passed over. ERR_INVALID: more than LIMIT_RESULTS_* let be. */
int results_table_add_set(void *table, const struct set_row *set, struct err *e);
int results_table_add_metric(void *table, int64_t set, const struct metric_row *metric,
                             struct err *e);

/* By `sort`: a column's key, its "TITLE:name" or "UUID:name", "number" or "duration"; "-" in front:
 * descending. NULL: by the policy's objective, best first, else as they were added. Numbers come
 * before texts, rows without a value (and with NaN) last; equal ones stay as they were. To be
 * called once, before anything is read. ERR_INVALID: there is no such column. */
int results_table_sort(struct results_table *table, const char *sort,
                       const struct job_policy *policy, struct err *e);

uint32_t results_table_count(const struct results_table *table); /* rows */

/* Append `"columns":...,"rows":...,"total":...`: the rows from `first` (from 0) on, as many as
 * `limit` says, but fewer when they grow beyond LIMIT_LIST_BYTES. Gives the row behind them; 0: it
 * was the last. */
uint32_t results_table_put(const struct results_table *table, uint32_t first, uint32_t limit,
                           struct buf *out);

/* The same rows as RFC 4180 has them, with a header line. Texts that a spreadsheet would take for a
 * formula get a ' in front. A column whose key an earlier one has too is called
 * "metrics.KEY" or "reported.KEY". */
void results_table_put_csv(const struct results_table *table, uint32_t first, uint32_t limit,
                           struct buf *out);

#endif
