/* job: what a job is, as it was asked for and checked: a pipeline that is run many times.
 *
 * A definition is made of a frozen pipeline, parameter sets, a schedule and a policy; nothing of
 * it is about what has become of it (that is runner/store/job_store.h). Policy, in JSON:
 *
 *     {"parallel": 4,                 runs at once; absent: as many as the service lets jobs have
 *      "timeout": 3600,               seconds for each run; 0 or absent: none
 *      "stop_after_failures": 1,      a number of failed sets, or a share of all ("10%"), after
 *                                     which no further set is begun; absent: none
 *      "retries": {"limit": 2, "delay": 30, "factor": 2, "max_delay": 3600},
 *                                     more tries of a set whose run failed; after `delay` seconds,
 *                                     each time `factor` times as many; limit 0: none
 *      "retention": {"runs": 10} or {"days": 30},   absent: everything is kept
 *      "objective": {"metric": "accuracy", "goal": "max" | "min"}}   what "best" is; absent: none
 *
 * Owns everything; immutable.
 */
#ifndef SEGUE_RUNNER_JOB_H
#define SEGUE_RUNNER_JOB_H

#include "base/json.h"
#include "base/problems.h"
#include "kernel-gateway/cause.h"

#include <stdbool.h>
#include <stdint.h>

#define JOB_RETRIES_MAX 100u

struct job_policy {
    uint32_t parallel;          /* 0: as many as the service allows */
    uint32_t timeout_s;         /* 0: none */
    uint32_t failures;          /* failed sets after which no further one is begun; 0: any number */
    double failure_share;       /* the same as a share of the sets, 0 < share <= 1; 0: any */
    uint32_t retry_limit;       /* further tries; 0: none */
    uint32_t retry_delay_s;     /* 30 */
    double retry_factor;        /* 2; 1 to 10 */
    uint32_t retry_max_delay_s; /* 3600 */
    uint32_t keep_runs;         /* 0: no bound */
    uint32_t keep_days;         /* 0: no bound */
    char *metric;               /* NULL: no objective */
    bool is_least;              /* the goal is "min" */
};

/* What is wrong goes to `problems`. `at` JSON_NONE: the defaults. */
void job_policy_read(struct job_policy *ret_policy, const struct json *doc, json_at at,
                     struct problems *problems);
int job_policy_parse(struct job_policy *ret_policy, const char *text, struct err *e);
void job_policy_put(const struct job_policy *policy, struct buf *out);
void job_policy_clear(struct job_policy *policy);

/* --- what follows from it --- */

/* A run whose infrastructure failed is begun again after 10 s, 20 s, ... up to 10 minutes, and
 * given up after so many in a row. */
#define JOB_LOST_TRIES_MAX 30u

struct job_tries {
    uint32_t used; /* tries that count and failed */
    uint32_t lost; /* that failed by infrastructure, in a row */
};

/* A run of the set has ended in FAILURE with `cause`; counts it. In how many milliseconds it is
 * begun again; -1: it is not. */
int64_t job_retry_in(const struct job_policy *policy, enum cause cause, struct job_tries *tries);

/* No further set is to be begun, as `failed` of `count` have failed. */
bool job_is_stopped(const struct job_policy *policy, uint32_t failed, uint32_t count);

#endif
