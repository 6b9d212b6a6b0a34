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

/* They may begin at once, also when the clock is set back meanwhile. */
static int add_sets(struct jobs *jobs, const struct job_row *job, const struct parameter_sets *sets,
                    int64_t fire, struct err *e)
{
    auto_buf struct buf parameters = {0};
    int64_t ignored;

    for (uint32_t k = 0; k < parameter_sets_count(sets); k++) {
        struct set_row set = {.job = job->id,
                              .fire = fire,
                              .number = parameter_sets_number(sets, k),
                              .status = STATUS_PENDING,
                              .run_uuid = ""};
        buf_reset(&parameters);
        parameter_sets_put_set(sets, set.number, &parameters);
        set.parameters = buf_text(&parameters);
        if (job_store_add_set(jobs->store, &set, &ignored, e) < 0)
            return -1;
    }
    return 0;
}

static int add_fire(struct jobs *jobs, const struct job_row *job, const struct parameter_sets *sets,
                    enum fire_kind kind, enum fire_state state, msec due, uint32_t *ret_number,
                    struct err *e)
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
    return add_sets(jobs, job, sets, id, e);
}

int jobs_add_fire(struct jobs *jobs, const struct job_row *job, enum fire_kind kind,
                  enum fire_state state, msec due, uint32_t *ret_number, struct err *e)
{
    auto_job_parts struct job_parts parts = {0};

    if (job_parts_read(jobs, job, &parts, e) < 0)
        return -1;
    return add_fire(jobs, job, parts.sets, kind, state, due, ret_number, e);
}

static int read_open_fires(struct jobs *jobs, int64_t job, struct held_ids *ids, struct err *e)
{
    const struct fire_filter open = {.job = job, .is_open = true, .is_oldest_first = true};

    return job_store_fires(jobs->store, &open, held_ids_take_fire, ids, e);
}

static int abort_fire(struct jobs *jobs, const struct job_row *job, int64_t id, struct err *e)
{
    struct fire_row fire;
    msec now = clock_wall();

    if (job_store_abort_pending(jobs->store, id, CAUSE_CANCELLED, now, e) < 0 ||
        job_store_set_fire(jobs->store, id, FIRE_ABORTED, true, now, e) < 0 ||
        job_store_fire(jobs->store, id, held_fire_take, &fire, e) < 0)
        return -1;
    return jobs_notify_fire(jobs, job, &fire, e);
}

int jobs_abort_fires(struct jobs *jobs, int64_t id, struct err *e)
{
    auto_held_ids struct held_ids fires = {0};
    auto_held_job struct held_job job = {0};

    if (read_open_fires(jobs, id, &fires, e) < 0 ||
        job_store_job_by_id(jobs->store, id, held_job_take, &job, e) < 0)
        return -1;
    for (size_t i = 0; i < fires.count; i++)
        if (abort_fire(jobs, &job.row, fires.items[i], e) < 0)
            return -1;
    if (fires.count > 0)
        held_uuids_add(&jobs->to_retain, job.row.uuid);
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

/* A job that comes again goes on, and so does one whose schedule cannot be read any more (see
 * put_aside); another has ended with its last fire. */
static int end_job(struct jobs *jobs, struct held_job *job, const struct fire_row *fire,
                   struct err *e)
{
    auto_schedule struct schedule *schedule = NULL;
    static const enum job_state states[] = {
        [FIRE_SUCCESS] = JOB_SUCCESS, [FIRE_FAILURE] = JOB_FAILURE, [FIRE_ABORTED] = JOB_ABORTED};

    if (schedule_parse(job->row.schedule, &schedule, e) < 0)
        return e->code == ERR_INVALID ? 0 : -1;
    if (schedule_kind(schedule) == SCHEDULE_CRON || job_state_is_final(job->row.state))
        return 0;
    if (job->row.next_due == 0) {
        job->row.state = states[fire->state];
        job->row.finished_time = fire->finished_time;
    } else if (job->row.state != JOB_PAUSED) {
        job->row.state = JOB_PENDING;
    }
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
    if (go_on(jobs, job, fire, e) < 0)
        return -1;
    return jobs_notify_fire(jobs, &job->row, fire, e);
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

/* *ret_has_open: a fire of the job goes on. */
static int fire_all(struct jobs *jobs, const struct job_row *job, const struct schedule *schedule,
                    const struct schedule_due *due, bool *ret_has_open, struct err *e)
{
    auto_held_ids struct held_ids open = {0};
    auto_job_parts struct job_parts parts = {0};

    if (due->count > 0 && job_parts_read(jobs, job, &parts, e) < 0)
        return -1;
    if (schedule_overlap(schedule) == OVERLAP_REPLACE && due->count > 0 &&
        jobs_abort_fires(jobs, job->id, e) < 0)
        return -1;
    if (read_open_fires(jobs, job->id, &open, e) < 0)
        return -1;
    *ret_has_open = open.count > 0;
    for (uint32_t i = 0; i < due->count; i++) {
        enum fire_state state = state_of(schedule, due, i, *ret_has_open);
        enum fire_kind kind = due->fires[i].is_missed ? FIRE_CATCH_UP : FIRE_SCHEDULE;
        if (add_fire(jobs, job, parts.sets, kind, state, due->fires[i].due, NULL, e) < 0) {
            if (e->code != ERR_CONFLICT)
                return -1;
            continue; /* fired before: somebody has set the clock back since */
        }
        *ret_has_open |= state != FIRE_SKIPPED;
        jobs_tell(jobs, "job_fired", job->uuid, NULL, fire_state_name(state));
    }
    return 0;
}

/* The same for a job, always; different jobs with the same line do not start at the same moment. */
static uint64_t seed_of(const struct job_row *job)
{
    return strtoull(job->uuid, NULL, 16);
}

/* Its zone is not known on this machine any more, or what it is made of cannot be read: somebody
 * has to look at it, and it must not keep the others from being fired. */
static int put_aside(struct jobs *jobs, struct job_row *job, struct err *e)
{
    if (e->code != ERR_INVALID)
        return -1;
    job->state = JOB_PAUSED;
    jobs_tell(jobs, "job_cannot_be_fired", job->uuid, NULL, e->text);
    return job_store_set(jobs->store, job, e);
}

static int keep_decision(struct jobs *jobs, struct job_row *job, const struct schedule_due *due,
                         bool has_open, msec now, struct err *e)
{
    job->next_due = due->next;
    job->dropped += due->dropped;
    if (due->next == 0 && !has_open) { /* its only time was missed, and is not made up for */
        job->state = JOB_ABORTED;
        job->finished_time = now;
    } else if (due->count > 0) {
        job->state = JOB_STARTED;
    }
    return job_store_set(jobs->store, job, e);
}

/* 1: something was decided, 0: its jitter is not over. *ret_at: when the jitter of a time that has
 * come is over; 0: none has. */
static int fire_job(struct jobs *jobs, int64_t id, msec now, struct schedule_due *due, msec *ret_at,
                    struct err *e)
{
    auto_held_job struct held_job job = {0};
    auto_schedule struct schedule *schedule = NULL;
    bool has_open = false;

    *ret_at = 0;
    if (job_store_job_by_id(jobs->store, id, held_job_take, &job, e) < 0)
        return -1;
    if (schedule_parse(job.row.schedule, &schedule, e) < 0)
        return put_aside(jobs, &job.row, e);
    uint64_t seed = seed_of(&job.row);
    schedule_decide(schedule, seed, job.row.next_due, now, due);
    if (due->next > 0 && due->next <= now)
        *ret_at = due->next + schedule_jitter(schedule, seed, due->next);
    if (due->next == job.row.next_due)
        return 0;
    if (fire_all(jobs, &job.row, schedule, due, &has_open, e) < 0)
        return put_aside(jobs, &job.row, e);
    return keep_decision(jobs, &job.row, due, has_open, now, e) < 0 ? -1 : 1;
}

/* Who waits for the end of a jitter takes no place in a batch: others are behind it. */
int jobs_fire_due(struct jobs *jobs, msec now, msec *ret_wake, struct err *e)
{
    auto_held_ids struct held_ids due = {0};
    auto_free struct schedule_due *decided = mem_zalloc(sizeof *decided);
    unsigned fired = 0;
    msec at, wake = 0, next;
    size_t i;

    if (job_store_due(jobs->store, now, held_ids_take_job, &due, e) < 0)
        return -1;
    for (i = 0; i < due.count && fired < BATCH_MAX; i++) {
        int decision = fire_job(jobs, due.items[i], now, decided, &at, e);
        if (decision < 0)
            return -1;
        fired += (unsigned)decision;
        if (at > 0 && (wake == 0 || at < wake))
            wake = at;
    }
    if (job_store_next_due(jobs->store, now, &next, e) < 0)
        return -1;
    if (next > 0 && (wake == 0 || next < wake))
        wake = next;
    *ret_wake = i < due.count ? now : wake;
    return 0;
}
