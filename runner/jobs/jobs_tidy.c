/* What is deleted, and what is cancelled. Nothing here is a decision: that stands in the rows
 * already, and is carried out again after a kill. */
#include "base/fs.h"
#include "base/mem.h"
#include "runner/jobs/jobs_private.h"
#include "runner/snapshots/project_snapshot.h"

#include <dirent.h>
#include <semaphore.h>
#include <string.h>

/* Runs that are deleted at once: the engine's queue is for others, too. */
#define BATCH_MAX 64

static int read_started(struct jobs *jobs, struct held_sets *sets, struct err *e)
{
    const struct set_filter started = {.statuses = 1u << STATUS_STARTED};

    return job_store_sets(jobs->store, &started, held_sets_take, sets, e);
}

/* --- cancelling --- */

static int read_orphans(struct jobs *jobs, struct held_uuids *orphans, struct err *e)
{
    auto_held_sets struct held_sets sets = {0};
    JOBS_LOCKED(jobs);

    if (read_started(jobs, &sets, e) < 0)
        return -1;
    for (size_t i = 0; i < sets.count; i++) {
        struct fire_row fire;
        if (job_store_fire(jobs->store, sets.items[i].row.fire, held_fire_take, &fire, e) < 0)
            return -1;
        if (fire_state_is_final(fire.state) && sets.items[i].row.is_posted)
            held_uuids_add(orphans, sets.items[i].run_uuid);
    }
    return 0;
}

static void on_cancelled(void *user, const struct engine_reply *reply)
{
    (void)user;
    (void)reply; /* one that has ended meanwhile needs no cancelling */
}

int jobs_cancel_orphans(struct jobs *jobs, struct err *e)
{
    auto_held_uuids struct held_uuids orphans = {0};

    if (read_orphans(jobs, &orphans, e) < 0)
        return -1;
    for (size_t i = 0; i < orphans.count; i++)
        if (engine_post_cancel(jobs->options.engine, orphans.items[i].text, on_cancelled, NULL, e) <
            0)
            return -1;
    return 0;
}

/* --- runs that are gone --- */

static int end_lost(struct jobs *jobs, struct held_set *set, struct err *e)
{
    auto_held_job struct held_job job = {0};
    JOBS_LOCKED(jobs);

    if (job_store_job_by_id(jobs->store, set->row.job, held_job_take, &job, e) < 0 ||
        job_store_begin(jobs->store, e) < 0)
        return -1;
    set->row.is_run_deleted = true;
    int result = jobs_end_try(jobs, &job.row, &set->row, STATUS_ABORTED, CAUSE_CANCELLED, e);
    return jobs_end_transaction(jobs, result, e);
}

int jobs_end_lost(struct jobs *jobs, struct err *e)
{
    auto_held_sets struct held_sets sets = {0};

    pthread_mutex_lock(&jobs->lock);
    int result = read_started(jobs, &sets, e);
    pthread_mutex_unlock(&jobs->lock);
    for (size_t i = 0; result == 0 && i < sets.count; i++) {
        int known = sets.items[i].row.is_posted ? jobs_has_run(jobs, sets.items[i].run_uuid, e) : 1;
        if (known < 0 || (known == 0 && end_lost(jobs, &sets.items[i], e) < 0))
            result = -1;
    }
    return result;
}

/* --- deleting runs --- */

struct deletion {
    sem_t done;
    _Atomic bool is_refused[BATCH_MAX];
};

struct deletion_slot {
    struct deletion *deletion;
    uint32_t index;
};

static void on_deleted(void *user, const struct engine_reply *reply)
{
    struct deletion_slot *slot = user;

    slot->deletion->is_refused[slot->index] = reply->error && reply->error->code != ERR_NOT_FOUND;
    sem_post(&slot->deletion->done);
}

static int mark_deleted(struct jobs *jobs, const char *run_uuid, struct err *e)
{
    auto_held_set struct held_set set = {0};

    if (job_store_set_of_run(jobs->store, run_uuid, held_set_take, &set, e) < 0)
        return e->code == ERR_NOT_FOUND ? 0 : -1; /* an earlier try of a set */
    set.row.is_run_deleted = true;
    return job_store_set_set(jobs->store, &set.row, e);
}

static int mark_all_deleted(struct jobs *jobs, const struct uuid *runs, uint32_t count,
                            struct err *e)
{
    int result = 0;
    JOBS_LOCKED(jobs);

    if (job_store_begin(jobs->store, e) < 0)
        return -1;
    for (uint32_t i = 0; result == 0 && i < count; i++)
        result = mark_deleted(jobs, runs[i].text, e);
    return jobs_end_transaction(jobs, result, e);
}

/* Should this fail, the results go on showing a run that is not there any more. */
int jobs_note_forgotten(struct jobs *jobs, struct err *e)
{
    auto_held_uuids struct held_uuids forgotten = {0};

    pthread_mutex_lock(&jobs->forgotten_lock);
    forgotten = jobs->forgotten;
    jobs->forgotten = (struct held_uuids){0};
    pthread_mutex_unlock(&jobs->forgotten_lock);
    if (forgotten.count == 0)
        return 0;
    if (mark_all_deleted(jobs, forgotten.items, (uint32_t)forgotten.count, e) < 0)
        return -1;
    return jobs_end_lost(jobs, e); /* the end of one may not have been taken in */
}

/* Of at most BATCH_MAX runs, which are marked so in their sets before: who is killed in between
 * finds them again, as runs that are no set's any more. *ret_gone: how many are gone. */
static int delete_runs(struct jobs *jobs, const struct uuid *runs, uint32_t count,
                       uint32_t *ret_gone, struct err *e)
{
    struct deletion deletion = {0};
    struct deletion_slot slots[BATCH_MAX];
    uint32_t posted = 0;
    int result = 0;

    if (mark_all_deleted(jobs, runs, count, e) < 0)
        return -1;
    sem_init(&deletion.done, 0, 0);
    for (; result == 0 && posted < count; posted += result == 0) {
        slots[posted] = (struct deletion_slot){&deletion, posted};
        result = engine_post_delete(jobs->options.engine, runs[posted].text, on_deleted,
                                    &slots[posted], e);
    }
    for (uint32_t i = 0; i < posted; i++)
        while (sem_wait(&deletion.done) < 0)
            ; /* interrupted */
    sem_destroy(&deletion.done);
    for (uint32_t i = 0; i < posted; i++)
        *ret_gone += !deletion.is_refused[i];
    return result;
}

static int delete_all(struct jobs *jobs, const struct held_uuids *runs, uint32_t *ret_gone,
                      struct err *e)
{
    *ret_gone = 0;
    for (size_t at = 0; at < runs->count; at += BATCH_MAX) {
        size_t count = runs->count - at < BATCH_MAX ? runs->count - at : BATCH_MAX;
        if (delete_runs(jobs, runs->items + at, (uint32_t)count, ret_gone, e) < 0)
            return -1;
    }
    return 0;
}

static int read_runs(struct jobs *jobs, const char *job_uuid, unsigned statuses,
                     struct held_uuids *runs, struct err *e)
{
    const struct store_filter filter = {.job_uuid = job_uuid, .statuses = statuses};
    struct store *reader = readers_lend(jobs->options.readers, e);

    if (!reader)
        return -1;
    int result = store_runs(reader, &filter, held_uuids_take_run, runs, e);
    readers_give_back(jobs->options.readers, reader);
    return result;
}

/* --- retention --- */

#define ENDED  (1u << STATUS_SUCCESS | 1u << STATUS_FAILURE | 1u << STATUS_ABORTED)
#define DAY_MS ((msec)24 * 3600 * 1000)

/* Which sets keep their run: a map from the uuid of a run. */
struct keeping {
    const struct job_policy *policy;
    msec now;
    uint32_t seen;
    struct held_uuids kept;
};

static int take_ended(void *user, const struct set_row *set, struct err *e)
{
    struct keeping *keeping = user;
    const struct job_policy *policy = keeping->policy;

    (void)e;
    bool is_in_count = policy->keep_runs == 0 || keeping->seen++ < policy->keep_runs;
    bool is_young = policy->keep_days == 0 ||
                    set->finished_time >= keeping->now - (msec)policy->keep_days * DAY_MS;
    if (is_in_count && is_young)
        held_uuids_add(&keeping->kept, set->run_uuid);
    return 0;
}

static int take_open(void *user, const struct set_row *set, struct err *e)
{
    struct keeping *keeping = user;

    (void)e;
    held_uuids_add(&keeping->kept, set->run_uuid);
    return 0;
}

/* With the lock. Runs of fires that have not ended are kept whatever the policy says, and so are
 * those whose end was not taken in yet, as of fires that were ended before them. */
static int read_kept(struct jobs *jobs, const struct job_row *job, struct keeping *keeping,
                     struct err *e)
{
    auto_held_ids struct held_ids fires = {0};
    const struct fire_filter open = {.job = job->id, .is_open = true};
    const struct set_filter started = {.job = job->id, .statuses = 1u << STATUS_STARTED};

    if (job_store_kept_sets(jobs->store, job->id, take_ended, keeping, e) < 0 ||
        job_store_sets(jobs->store, &started, take_open, keeping, e) < 0 ||
        job_store_fires(jobs->store, &open, held_ids_take_fire, &fires, e) < 0)
        return -1;
    for (size_t i = 0; i < fires.count; i++) {
        const struct set_filter of_fire = {.job = job->id, .fire = fires.items[i]};
        if (job_store_sets(jobs->store, &of_fire, take_open, keeping, e) < 0)
            return -1;
    }
    return 0;
}

static int compare_uuids(const void *a, const void *b)
{
    return strcmp(((const struct uuid *)a)->text, ((const struct uuid *)b)->text);
}

/* Ended runs of the job that are not kept, newest first. Earlier tries of a set go with them. */
static int find_waste(struct jobs *jobs, struct keeping *keeping, const char *job_uuid,
                      struct held_uuids *waste, struct err *e)
{
    auto_held_uuids struct held_uuids ended = {0};
    struct held_uuids *kept = &keeping->kept;

    if (read_runs(jobs, job_uuid, ENDED, &ended, e) < 0)
        return -1;
    if (kept->count > 0)
        qsort(kept->items, kept->count, sizeof *kept->items, compare_uuids);
    for (size_t i = 0; i < ended.count; i++)
        if (kept->count == 0 ||
            !bsearch(&ended.items[i], kept->items, kept->count, sizeof *kept->items, compare_uuids))
            held_uuids_add(waste, ended.items[i].text);
    return 0;
}

/* *ret_days: there is a bound of days, so that time alone makes waste. */
static int plan_retention(struct jobs *jobs, const char *job_uuid, struct held_uuids *waste,
                          struct err *e)
{
    auto_held_job struct held_job job = {0};
    struct job_policy policy = {0};
    struct keeping keeping = {.policy = &policy, .now = clock_wall()};
    int result;

    pthread_mutex_lock(&jobs->lock);
    result = job_store_job(jobs->store, job_uuid, held_job_take, &job, e);
    if (result == 0)
        result = job_policy_parse(&policy, job.row.policy, e);
    bool has_bound = result == 0 && (policy.keep_runs > 0 || policy.keep_days > 0);
    if (has_bound)
        result = read_kept(jobs, &job.row, &keeping, e);
    pthread_mutex_unlock(&jobs->lock);
    if (result == 0 && has_bound)
        result = find_waste(jobs, &keeping, job_uuid, waste, e);
    held_uuids_clear(&keeping.kept);
    job_policy_clear(&policy);
    return result;
}

int jobs_retention(struct jobs *jobs, const char *job_uuid, char ***ret_runs, struct err *e)
{
    auto_held_uuids struct held_uuids waste = {0};

    if (plan_retention(jobs, job_uuid, &waste, e) < 0)
        return -1;
    *ret_runs = mem_array(waste.count + 1, sizeof **ret_runs);
    for (size_t i = 0; i < waste.count; i++)
        (*ret_runs)[i] = mem_strdup(waste.items[i].text);
    return 0;
}

static int retain(struct jobs *jobs, const char *job_uuid, struct err *e)
{
    auto_held_uuids struct held_uuids waste = {0};
    uint32_t gone;

    if (plan_retention(jobs, job_uuid, &waste, e) < 0)
        return e->code == ERR_NOT_FOUND ? 0 : -1; /* it was deleted meanwhile */
    for (size_t i = 0; i < waste.count; i++)      /* said before it is done */
        jobs_tell(jobs, "job_run_to_be_deleted", job_uuid, waste.items[i].text, "retention");
    return delete_all(jobs, &waste, &gone, e);
}

int jobs_retain(struct jobs *jobs, struct err *e)
{
    auto_held_uuids struct held_uuids due = {0};
    int result = 0;

    pthread_mutex_lock(&jobs->lock);
    due = jobs->to_retain;
    jobs->to_retain = (struct held_uuids){0};
    pthread_mutex_unlock(&jobs->lock);
    for (size_t i = 0; result == 0 && i < due.count; i++)
        result = retain(jobs, due.items[i].text, e);
    return result;
}

static int take_bounded(void *user, const struct job_row *job, struct err *e)
{
    struct job_policy policy;

    (void)e;
    if (job_policy_parse(&policy, job->policy, &(struct err){0}) < 0)
        return 0;
    if (policy.keep_runs > 0 || policy.keep_days > 0)
        held_uuids_add(user, job->uuid);
    job_policy_clear(&policy);
    return 0;
}

int jobs_retain_all(struct jobs *jobs, struct err *e)
{
    const struct job_filter all = {0};
    JOBS_LOCKED(jobs);

    held_uuids_clear(&jobs->to_retain);
    return job_store_jobs(jobs->store, &all, take_bounded, &jobs->to_retain, e);
}

/* --- deleted jobs --- */

/* All of its runs are gone. */
static int remove_job(struct jobs *jobs, const struct job_row *job, struct err *e)
{
    auto_free char *directory = fs_join(jobs->directory, job->uuid);

    if (project_snapshot_remove(directory, e) < 0)
        return -1;
    JOBS_LOCKED(jobs);
    if (job_store_begin(jobs->store, e) < 0)
        return -1;
    return jobs_end_transaction(jobs, job_store_remove(jobs->store, job->id, e), e);
}

/* A claimed set whose run is being made: its run is not in the engine's store yet. */
static int has_claimed(struct jobs *jobs, int64_t job, bool *ret_has, struct err *e)
{
    uint32_t started;
    JOBS_LOCKED(jobs);

    if (job_store_started(jobs->store, job, &started, e) < 0)
        return -1;
    *ret_has = started > 0;
    return 0;
}

static int sweep_job(struct jobs *jobs, const struct job_row *job, struct err *e)
{
    auto_held_uuids struct held_uuids ended = {0}, open = {0};
    uint32_t gone;
    bool is_busy;

    if (has_claimed(jobs, job->id, &is_busy, e) < 0 ||
        read_runs(jobs, job->uuid, ENDED, &ended, e) < 0 ||
        read_runs(jobs, job->uuid, 1u << STATUS_PENDING | 1u << STATUS_STARTED, &open, e) < 0)
        return -1;
    if (is_busy || open.count > 0) {
        atomic_store(&jobs->has_orphans, true);
        return 0; /* the end of its runs wakes us */
    }
    if (delete_all(jobs, &ended, &gone, e) < 0)
        return -1;
    return gone < ended.count ? 0 : remove_job(jobs, job, e);
}

int jobs_sweep(struct jobs *jobs, bool *ret_is_done, struct err *e)
{
    auto_held_ids struct held_ids deleted = {0};

    pthread_mutex_lock(&jobs->lock);
    int result = job_store_deleted(jobs->store, held_ids_take_job, &deleted, e);
    pthread_mutex_unlock(&jobs->lock);
    *ret_is_done = deleted.count == 0;
    for (size_t i = 0; result == 0 && i < deleted.count; i++) {
        auto_held_job struct held_job job = {0};
        pthread_mutex_lock(&jobs->lock);
        result = job_store_job_by_id(jobs->store, deleted.items[i], held_job_take, &job, e);
        pthread_mutex_unlock(&jobs->lock);
        if (result == 0)
            result = sweep_job(jobs, &job.row, e);
    }
    return result;
}

/* --- snapshots --- */

/* All that lies in the job's directory but its snapshot. */
static int clean_job(const char *directory, const char *snapshot, struct err *e)
{
    DIR *entries = opendir(directory);
    int result = 0;

    if (!entries)
        return err_errno(e, errno, "cannot read \"%s\"", directory);
    for (struct dirent *entry; result == 0 && (entry = readdir(entries));) {
        auto_free char *path = fs_join(directory, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, snapshot) != 0)
            result = project_snapshot_remove(path, e);
    }
    closedir(entries);
    return result;
}

static int clean(struct jobs *jobs, const char *name, struct err *e)
{
    auto_free char *path = fs_join(jobs->directory, name);
    auto_held_job struct held_job job = {0};

    if (job_store_job(jobs->store, name, held_job_take, &job, e) == 0)
        return clean_job(path, job.row.snapshot, e);
    return e->code == ERR_NOT_FOUND ? project_snapshot_remove(path, e) : -1;
}

int jobs_clean_snapshots(struct jobs *jobs, struct err *e)
{
    DIR *entries = opendir(jobs->directory);
    int result = 0;

    if (!entries)
        return err_errno(e, errno, "cannot read \"%s\"", jobs->directory);
    for (struct dirent *entry; result == 0 && (entry = readdir(entries));)
        if (entry->d_name[0] != '.')
            result = clean(jobs, entry->d_name, e);
    closedir(entries);
    return result;
}
