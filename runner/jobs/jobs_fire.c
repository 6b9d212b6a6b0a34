/* A fire is one time that a job was due or triggered; it has a row for each set. Whatever is
 * decided about a due time is stored together with the next time that nothing was decided about, so
 * that nothing fires twice; and (job, due time) is unique besides. */
#include "base/mem.h"
#include "runner/jobs/jobs_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Jobs that one transaction fires: others want the store, too. */
#define BATCH_MAX 100

/* --- fires --- */

static int add_sets(struct jobs *jobs, const struct job_row *job, int64_t fire, msec now,
                    struct err *e)
{
    auto_job_parts struct job_parts parts = {0};
    auto_buf struct buf parameters = {0};
    int64_t ignored;

    if (job_parts_read(jobs, job, &parts, e) < 0)
        return -1;
    for (uint32_t k = 0; k < parameter_sets_count(parts.sets); k++) {
        struct set_row set = {.job = job->id,
                              .fire = fire,
                              .number = parameter_sets_number(parts.sets, k),
                              .status = STATUS_PENDING,
                              .not_before = now,
                              .run_uuid = ""};
        buf_reset(&parameters);
        parameter_sets_put_set(parts.sets, set.number, &parameters);
        set.parameters = buf_text(&parameters);
        if (job_store_add_set(jobs->store, &set, &ignored, e) < 0)
            return -1;
    }
    return 0;
}

int jobs_add_fire(struct jobs *jobs, const struct job_row *job, enum fire_kind kind,
                  enum fire_state state, msec due, uint32_t *ret_number, struct err *e)
{
    msec now = clock_wall();
    bool is_skipped = state == FIRE_SKIPPED;
    struct fire_row fire = {.job = job->id,
                            .kind = kind,
                            .state = state,
                            .due_time = due,
                            .created_time = now,
                            .set_count = is_skipped ? 0 : job->set_count};
    int64_t id;

    if (job_store_add_fire(jobs->store, &fire, &id, e) < 0)
        return -1;
    jobs->fired++;
    if (is_skipped)
        return job_store_set_fire(jobs->store, id, state, false, now, e);
    if (ret_number) {
        if (job_store_fire(jobs->store, id, held_fire_take, &fire, e) < 0)
            return -1;
        *ret_number = fire.number;
    }
    return add_sets(jobs, job, id, now, e);
}

static int read_open_fires(struct jobs *jobs, int64_t job, struct held_ids *ids, struct err *e)
{
    const struct fire_filter open = {.job = job, .is_open = true, .is_oldest_first = true};

    return job_store_fires(jobs->store, &open, held_ids_take_fire, ids, e);
}

int jobs_abort_fires(struct jobs *jobs, int64_t job, struct err *e)
{
    auto_held_ids struct held_ids fires = {0};
    msec now = clock_wall();

    if (read_open_fires(jobs, job, &fires, e) < 0)
        return -1;
    for (size_t i = 0; i < fires.count; i++)
        if (job_store_abort_pending(jobs->store, fires.items[i], CAUSE_CANCELLED, now, e) < 0 ||
            job_store_set_fire(jobs->store, fires.items[i], FIRE_ABORTED, true, now, e) < 0)
            return -1;
    atomic_store(&jobs->has_orphans, true);
    return 0;
}

/* --- the end of a fire --- */

static enum fire_state verdict(const struct fire_row *fire)
{
    if (fire->counts[STATUS_FAILURE] > 0)
        return FIRE_FAILURE;
    return fire->counts[STATUS_ABORTED] > 0 ? FIRE_ABORTED : FIRE_SUCCESS;
}

/* A job that comes again goes on; another has ended with its last fire. */
static int end_job(struct jobs *jobs, struct held_job *job, const struct fire_row *fire,
                   struct err *e)
{
    auto_schedule struct schedule *schedule = NULL;
    static const enum job_state states[] = {
        [FIRE_SUCCESS] = JOB_SUCCESS, [FIRE_FAILURE] = JOB_FAILURE, [FIRE_ABORTED] = JOB_ABORTED};

    if (schedule_parse(job->row.schedule, &schedule, e) < 0)
        return -1;
    if (schedule_kind(schedule) == SCHEDULE_CRON || job_state_is_final(job->row.state))
        return 0;
    job->row.state = job->row.next_due > 0 ? JOB_PENDING : states[fire->state];
    job->row.finished_time = job->row.next_due > 0 ? 0 : fire->finished_time;
    return job_store_set(jobs->store, &job->row, e);
}

/* What follows the end of a fire: the next one that waits for its turn, or the end of the job, or
 * (while others are open) nothing. */
static int go_on(struct jobs *jobs, struct held_job *job, const struct fire_row *ended,
                 struct err *e)
{
    auto_held_ids struct held_ids open = {0};
    struct fire_row fire;

    if (read_open_fires(jobs, job->row.id, &open, e) < 0)
        return -1;
    for (size_t i = 0; i < open.count; i++) {
        if (job_store_fire(jobs->store, open.items[i], held_fire_take, &fire, e) < 0)
            return -1;
        if (fire.state == FIRE_OPEN)
            return 0;
    }
    if (open.count > 0)
        return job_store_set_fire(jobs->store, open.items[0], FIRE_OPEN, false, 0, e);
    return end_job(jobs, job, ended, e);
}

static int end_fire(struct jobs *jobs, struct held_job *job, struct fire_row *fire, struct err *e)
{
    fire->state = verdict(fire);
    fire->finished_time = clock_wall();
    if (job_store_set_fire(jobs->store, fire->id, fire->state, fire->is_stopped,
                           fire->finished_time, e) < 0)
        return -1;
    held_uuids_add(&jobs->to_retain, job->row.uuid);
    jobs_tell(jobs, "job_fire_finished", job->row.uuid, NULL, fire_state_name(fire->state));
    if (jobs_notify_fire(jobs, &job->row, fire, e) < 0)
        return -1;
    return go_on(jobs, job, fire, e);
}

static int stop_if_too_many(struct jobs *jobs, const struct job_row *job, struct fire_row *fire,
                            struct err *e)
{
    struct job_policy policy;

    if (job_policy_parse(&policy, job->policy, e) < 0)
        return -1;
    bool is_stopped =
        job_is_stopped(&policy, fire->counts[STATUS_FAILURE], fire->set_count) && !fire->is_stopped;
    job_policy_clear(&policy);
    if (!is_stopped)
        return 0;
    jobs_tell(jobs, "job_stopped_after_failures", job->uuid, NULL, NULL);
    if (job_store_set_fire(jobs->store, fire->id, fire->state, true, 0, e) < 0 ||
        job_store_abort_pending(jobs->store, fire->id, CAUSE_UPSTREAM, clock_wall(), e) < 0)
        return -1;
    return job_store_fire(jobs->store, fire->id, held_fire_take, fire, e);
}

int jobs_settle_fire(struct jobs *jobs, int64_t id, struct err *e)
{
    auto_held_job struct held_job job = {0};
    struct fire_row fire;

    if (job_store_fire(jobs->store, id, held_fire_take, &fire, e) < 0)
        return -1;
    if (fire_state_is_final(fire.state))
        return 0;
    if (job_store_job_by_id(jobs->store, fire.job, held_job_take, &job, e) < 0 ||
        stop_if_too_many(jobs, &job.row, &fire, e) < 0)
        return -1;
    if (fire.counts[STATUS_PENDING] + fire.counts[STATUS_STARTED] > 0)
        return 0;
    return end_fire(jobs, &job, &fire, e);
}

/* --- what is due --- */

/* Of several times that come at once with "replace", only the newest would be left to run. */
static enum fire_state state_of(const struct schedule *schedule, const struct schedule_due *due,
                                uint32_t i, bool has_open)
{
    bool is_last = i + 1 == due->count;

    switch (schedule_overlap(schedule)) {
    case OVERLAP_ALLOW:
        return FIRE_OPEN;
    case OVERLAP_REPLACE:
        return is_last ? FIRE_OPEN : FIRE_SKIPPED;
    case OVERLAP_FORBID:
        break;
    }
    if (!has_open)
        return FIRE_OPEN;
    return due->fires[i].is_missed ? FIRE_WAITING : FIRE_SKIPPED;
}

static int fire_all(struct jobs *jobs, const struct job_row *job, const struct schedule *schedule,
                    const struct schedule_due *due, struct err *e)
{
    auto_held_ids struct held_ids open = {0};

    if (schedule_overlap(schedule) == OVERLAP_REPLACE && due->count > 0 &&
        jobs_abort_fires(jobs, job->id, e) < 0)
        return -1;
    if (read_open_fires(jobs, job->id, &open, e) < 0)
        return -1;
    bool has_open = open.count > 0;
    for (uint32_t i = 0; i < due->count; i++) {
        enum fire_state state = state_of(schedule, due, i, has_open);
        enum fire_kind kind = due->fires[i].is_missed ? FIRE_CATCH_UP : FIRE_SCHEDULE;
        if (jobs_add_fire(jobs, job, kind, state, due->fires[i].due, NULL, e) < 0) {
            if (e->code != ERR_CONFLICT)
                return -1;
            continue; /* fired before: somebody has set the clock back since */
        }
        has_open |= state != FIRE_SKIPPED;
        jobs_tell(jobs, "job_fired", job->uuid, NULL, fire_state_name(state));
    }
    return 0;
}

/* The same for a job, always; different jobs with the same line do not start at the same moment. */
static uint64_t seed_of(const struct job_row *job)
{
    return strtoull(job->uuid, NULL, 16);
}

static int fire_job(struct jobs *jobs, int64_t id, msec now, struct schedule_due *due,
                    msec *ret_wake, struct err *e)
{
    auto_held_job struct held_job job = {0};
    auto_schedule struct schedule *schedule = NULL;

    if (job_store_job_by_id(jobs->store, id, held_job_take, &job, e) < 0 ||
        schedule_parse(job.row.schedule, &schedule, e) < 0)
        return -1;
    schedule_decide(schedule, seed_of(&job.row), job.row.next_due, now, due);
    if (due->next == job.row.next_due) { /* its jitter is not over yet */
        msec at = due->next + schedule_jitter(schedule, seed_of(&job.row), due->next);
        *ret_wake = *ret_wake == 0 || at < *ret_wake ? at : *ret_wake;
        return 0;
    }
    job.row.next_due = due->next;
    job.row.dropped += due->dropped;
    if (due->count > 0)
        job.row.state = JOB_STARTED;
    else if (due->next == 0) { /* its only time was missed, and is not made up for */
        job.row.state = JOB_ABORTED;
        job.row.finished_time = now;
    }
    if (job_store_set(jobs->store, &job.row, e) < 0)
        return -1;
    return fire_all(jobs, &job.row, schedule, due, e);
}

int jobs_fire_due(struct jobs *jobs, msec now, msec *ret_wake, struct err *e)
{
    auto_held_ids struct held_ids due = {0};
    auto_free struct schedule_due *decided = mem_zalloc(sizeof *decided);
    msec next, wake = 0;

    if (job_store_due(jobs->store, now, held_ids_take_job, &due, e) < 0 ||
        job_store_next_due(jobs->store, &next, e) < 0)
        return -1;
    size_t count = due.count < BATCH_MAX ? due.count : BATCH_MAX;
    for (size_t i = 0; i < count; i++)
        if (fire_job(jobs, due.items[i], now, decided, &wake, e) < 0)
            return -1;
    if (due.count > BATCH_MAX)
        wake = now;
    else if (next > now && (wake == 0 || next < wake))
        wake = next;
    *ret_wake = wake;
    return 0;
}
