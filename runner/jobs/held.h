/* held: rows of the job store that outlive the callback that gave them.
 *
 * A row owns copies of its texts. An all-zero one holds nothing. The functions that take rows are
 * callbacks for job_store.h.
 */
#ifndef SEGUE_RUNNER_HELD_H
#define SEGUE_RUNNER_HELD_H

#include "runner/store/job_store.h"
#include "runner/store/store.h"

struct held_job {
    struct job_row row; /* its texts are ours, and may be replaced by held_job_text */
    char *texts[24];
    unsigned text_count;
};

int held_job_take(void *job, const struct job_row *row, struct err *e);
void held_job_clear(struct held_job *job);
#define auto_held_job __attribute__((cleanup(held_job_clear)))

/* Keeps a copy of `text` with the job, for one of the row's texts. */
const char *held_job_text(struct held_job *job, const char *text);

struct held_set {
    struct set_row row;
    char *run_uuid, *parameters; /* what the row points to */
};

int held_set_take(void *set, const struct set_row *row, struct err *e);
void held_set_clear(struct held_set *set);
#define auto_held_set __attribute__((cleanup(held_set_clear)))

struct held_sets {
    struct held_set *items;
    size_t count, capacity;
};

int held_sets_take(void *sets, const struct set_row *row, struct err *e);
void held_sets_clear(struct held_sets *sets);
#define auto_held_sets __attribute__((cleanup(held_sets_clear)))

int held_fire_take(void *fire, const struct fire_row *row, struct err *e); /* struct fire_row */

/* The numbers of rows. */
struct held_ids {
    int64_t *items;
    size_t count, capacity;
};

int held_ids_take_job(void *ids, const struct job_row *row, struct err *e);
int held_ids_take_fire(void *ids, const struct fire_row *row, struct err *e);
int held_ids_take_webhook(void *ids, const struct webhook_row *row, struct err *e);
void held_ids_clear(struct held_ids *ids);
#define auto_held_ids __attribute__((cleanup(held_ids_clear)))

/* uuids of runs. */
struct held_uuids {
    struct uuid *items;
    size_t count, capacity;
};

void held_uuids_add(struct held_uuids *uuids, const char *uuid);
int held_uuids_take_run(void *uuids, const struct store_run *run, struct err *e); /* store.h */
void held_uuids_clear(struct held_uuids *uuids);
#define auto_held_uuids __attribute__((cleanup(held_uuids_clear)))

#endif
