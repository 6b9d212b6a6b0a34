/* The order keeps every reference whole: the links to the newest results first, then the runs'
 * database, which knows the runs that they lead to, then that of the jobs, then the files, which
 * have all that the databases speak of. The runs' database gets its name last: a copy without one
 * was cut short.
 *
 * The two databases cannot be copied as of the same moment without holding up the service. Were
 * that of the jobs the older one, the other would have runs that it knows nothing of, and would
 * begin once more. As it is the newer one, it may speak of runs and events that the other does not
 * have yet, which can be found and put right: those runs are to be made again.
 */
#include "runner/engine/backup.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/tree.h"
#include "runner/store/job_store.h"
#include "runner/store/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATABASE   "segue.db"
#define UNFINISHED "segue.db.part"
#define JOBS       "jobs.db"

/* A pass is repeated when a job got another project, or was deleted, while it went on. */
#define PASSES 10

static int check_empty(const char *target, struct err *e)
{
    DIR *entries = opendir(target);
    bool is_empty = true;

    if (!entries)
        return err_errno(e, errno, "cannot read \"%s\"", target);
    for (struct dirent *entry; is_empty && (entry = readdir(entries));)
        is_empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(entries);
    return is_empty ? 0 : err_set(e, ERR_CONFLICT, "\"%s\" is not empty", target);
}

/* A copy inside of what is copied would be copied, too, without an end. */
static int check_outside(const char *state_dir, const char *target, struct err *e)
{
    auto_free char *state = realpath(state_dir, NULL);
    auto_free char *copy = realpath(target, NULL);
    size_t len = state ? strlen(state) : 0;

    if (!state || !copy || strncmp(copy, state, len) != 0 || (copy[len] && copy[len] != '/'))
        return 0;
    rmdir(target);
    return err_set(e, ERR_INVALID, "\"%s\" lies in the state directory \"%s\" itself", target,
                   state_dir);
}

static int make_target(const char *state_dir, const char *target, struct err *e)
{
    if (fs_mkdirs(target, 0700, e) < 0 || check_empty(target, e) < 0)
        return -1;
    return check_outside(state_dir, target, e);
}

static int copy_tree(const char *state_dir, const char *target, const char *name, struct err *e)
{
    auto_free char *from = fs_join(state_dir, name);
    auto_free char *to = fs_join(target, name);

    return fs_exists(from) ? tree_copy(from, to, e) : 0;
}

static int copy_database(struct store *store, const char *target, struct err *e)
{
    auto_free char *unfinished = fs_join(target, UNFINISHED);

    return store_copy(store, unfinished, e);
}

/* --- jobs --- */

/* Sets that are said to have a run, which the other database does not have. */
struct lost_sets {
    struct store *runs;
    struct set_row *items;
    size_t count, capacity;
};

static void lost_sets_clear(struct lost_sets *lost)
{
    while (lost->count)
        free((char *)lost->items[--lost->count].run_uuid);
    free(lost->items);
}

static int find_run(void *data, const struct store_run *run, struct err *e)
{
    (void)data, (void)run, (void)e;
    return 0;
}

static int note_lost_set(void *data, const struct set_row *set, struct err *e)
{
    struct lost_sets *lost = data;

    if (!set->is_posted || store_run(lost->runs, set->run_uuid, find_run, NULL, e) == 0)
        return 0;
    if (e->code != ERR_NOT_FOUND)
        return -1;
    mem_grow(lost->items, lost->count, lost->capacity);
    lost->items[lost->count] = *set;
    lost->items[lost->count++].run_uuid = mem_strdup(set->run_uuid);
    return 0;
}

static int write_back(struct job_store *jobs, struct lost_sets *lost, int64_t last_event,
                      struct err *e)
{
    int64_t cursor;

    if (job_store_begin(jobs, e) < 0 || job_store_cursor(jobs, &cursor, e) < 0)
        return -1;
    for (size_t i = 0; i < lost->count; i++) {
        lost->items[i].is_posted = false;
        if (job_store_set_set(jobs, &lost->items[i], e) < 0)
            return -1;
    }
    if (cursor > last_event && job_store_set_cursor(jobs, last_event, e) < 0)
        return -1;
    return job_store_commit(jobs, STORE_LAZY, e);
}

/* Takes back what the copy of the jobs says of runs and events that come after the copied ones:
 * ids of those are given again, to others. */
static int match(struct job_store *jobs, const char *target, struct err *e)
{
    const struct set_filter started = {.statuses = 1u << STATUS_STARTED};
    auto_free char *path = fs_join(target, UNFINISHED);
    auto_with(lost_sets_clear) struct lost_sets lost = {0};
    auto_store struct store *runs = NULL;
    int64_t last_event;

    if (store_open(path, STORE_WRITE, &runs, e) < 0)
        return -1;
    lost.runs = runs;
    if (job_store_sets(jobs, &started, note_lost_set, &lost, e) < 0 ||
        store_last_event(runs, &last_event, e) < 0)
        return -1;
    return write_back(jobs, &lost, last_event, e);
}

struct job_copies {
    const char *state_dir, *target;
    struct job_store *original;
    bool is_stale; /* what was copied may have vanished under it */
};

static int copy_snapshot(void *data, const struct job_row *job, struct err *e)
{
    const struct job_copies *copies = data;
    auto_free char *from = mem_printf("%s/jobs/%s/%s", copies->state_dir, job->uuid, job->snapshot);
    auto_free char *parent = mem_printf("%s/jobs/%s", copies->target, job->uuid);
    auto_free char *to = fs_join(parent, job->snapshot);

    if (!*job->snapshot || fs_exists(to) || !fs_exists(from))
        return 0;
    if (fs_mkdirs(parent, 0700, e) < 0)
        return -1;
    if (tree_copy(from, to, e) < 0)
        return e->code == ERR_NOT_FOUND ? 0 : -1; /* it has just been removed */
    return 0;
}

static int compare_snapshot(void *data, const struct job_row *now, struct err *e)
{
    (void)e;
    return now->is_deleted || strcmp(now->snapshot, data) != 0 ? 1 : 0;
}

/* Snapshots are removed only after their job has let go of them: one that is still the job's was
 * whole while it was copied. */
static int check_job(void *data, const struct job_row *job, struct err *e)
{
    struct job_copies *copies = data;
    int changed =
        job_store_job(copies->original, job->uuid, compare_snapshot, (void *)job->snapshot, e);

    if (changed < 0 && e->code != ERR_NOT_FOUND)
        return -1;
    copies->is_stale |= changed != 0;
    return 0;
}

static int copy_jobs_once(struct job_copies *copies, struct err *e)
{
    const struct job_filter all = {0};
    auto_free char *path = fs_join(copies->target, JOBS);
    auto_job_store struct job_store *copy = NULL;

    copies->is_stale = false;
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(e, errno, "cannot remove \"%s\"", path);
    if (job_store_copy(copies->original, path, e) < 0 ||
        job_store_open(path, STORE_WRITE, &copy, e) < 0 ||
        job_store_jobs(copy, &all, copy_snapshot, copies, e) < 0 ||
        job_store_jobs(copy, &all, check_job, copies, e) < 0)
        return -1;
    return match(copy, copies->target, e);
}

static int copy_jobs(const char *state_dir, const char *target, struct err *e)
{
    auto_free char *path = fs_join(state_dir, JOBS);
    auto_job_store struct job_store *original = NULL;

    if (!fs_exists(path))
        return 0; /* of a service that had none yet */
    if (job_store_open(path, STORE_READ, &original, e) < 0)
        return -1;
    struct job_copies copies = {.state_dir = state_dir, .target = target, .original = original};
    for (int pass = 0; pass < PASSES; pass++) {
        if (copy_jobs_once(&copies, e) < 0)
            return err_prefix(e, "copying the jobs");
        if (!copies.is_stale)
            return 0;
    }
    return err_set(e, ERR_CONFLICT, "jobs change faster than they can be copied");
}

/* --- everything --- */

static int copy_all(struct store *store, const char *state_dir, const char *target, struct err *e)
{
    if (copy_tree(state_dir, target, "latest", e) < 0 || copy_database(store, target, e) < 0 ||
        copy_jobs(state_dir, target, e) < 0 || copy_tree(state_dir, target, "id", e) < 0 ||
        copy_tree(state_dir, target, "data", e) < 0)
        return -1;
    return copy_tree(state_dir, target, "runs", e);
}

/* The files, then the name that says that they are all there. */
static int finish(const char *target, struct err *e)
{
    auto_close int fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || syncfs(fd) < 0 || renameat(fd, UNFINISHED, fd, DATABASE) < 0 || fsync(fd) < 0)
        return err_errno(e, errno, "cannot finish the copy in \"%s\"", target);
    return 0;
}

int backup_make(const char *state_dir, const char *target, struct err *e)
{
    auto_free char *database = fs_join(state_dir, DATABASE);
    auto_store struct store *store = NULL;

    if (store_open(database, STORE_READ, &store, e) < 0 || make_target(state_dir, target, e) < 0 ||
        copy_all(store, state_dir, target, e) < 0)
        return -1;
    return finish(target, e);
}
