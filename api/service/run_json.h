/* run_json: runs and steps as the API shows them, written straight from the store's rows.
 *
 * A run is read in several short steps, the run before its steps: what happens in between shows up
 * in the later ones only. Whoever reads store_last_event first and follows the events behind it
 * misses nothing. `projects` is the directory below which projects lie. Keeps nothing; the store is
 * a reader of the caller's.
 */
#ifndef SEGUE_API_SERVICE_RUN_JSON_H
#define SEGUE_API_SERVICE_RUN_JSON_H

#include "base/buf.h"
#include "base/err.h"
#include "runner/engine/submission.h"
#include "runner/store/store.h"

enum run_json_steps { RUN_JSON_WITH_STEPS, RUN_JSON_WITHOUT_STEPS };

/* Appends `"project":...` as it is shown: the path below `projects`, else the absolute one. */
void run_json_put_project(struct buf *out, const char *projects, const char *dir);

/* Appends `"key":` and a time, or null for one that has not come yet. */
void run_json_put_time(struct buf *out, const char *key, msec time);

/* Appends a run. ERR_NOT_FOUND, or an error of the store; `out` is then as before. */
int run_json_put(struct buf *out, struct store *store, const char *projects, const char *run_uuid,
                 struct err *e);

/* Appends a run that was just accepted, with `steps` (run_json_put_accepted_steps). */
int run_json_put_accepted(struct buf *out, struct store *store, const char *projects,
                          const char *run_uuid, struct str steps, struct err *e);

/* Appends the array of steps as they are when the run is accepted. */
void run_json_put_accepted_steps(struct buf *out, const struct submission *submission);

/* Appends an array of the runs that fit, newest first, as many as the filter says, but fewer when
 * it grows beyond LIMIT_LIST_BYTES. *ret_cursor is the `before` for those behind them; 0: there are
 * none. filter->limit must be above 0. */
int run_json_put_list(struct buf *out, struct store *store, const char *projects,
                      const struct store_filter *filter, enum run_json_steps steps,
                      int64_t *ret_cursor, struct err *e);

#endif
