#include "runner/jobs/job.h"

#include "base/limits.h"
#include "base/mem.h"
#include "runner/sets/fields.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define RETRY_DELAY_S     30u
#define RETRY_FACTOR      2.0
#define RETRY_FACTOR_MAX  10.0
#define RETRY_MAX_DELAY_S 3600u
#define RETRY_DELAY_MOST  86400 /* seconds; who waits longer wants a schedule */

#define LOST_DELAY_MS     10000
#define LOST_DELAY_MAX_MS 600000

#define KEEP_DAYS_MOST 36500

static const struct field policy_fields[] = {
    {"parallel", JSON_NUMBER},
    {"timeout", JSON_NUMBER},
    {"stop_after_failures", JSON_ABSENT},
    {"retries", JSON_OBJECT},
    {"retention", JSON_OBJECT},
    {"objective", JSON_OBJECT},
    {0},
};
static const struct field retries_fields[] = {
    {"limit", JSON_NUMBER},
    {"delay", JSON_NUMBER},
    {"factor", JSON_NUMBER},
    {"max_delay", JSON_NUMBER},
    {0},
};
static const struct field retention_fields[] = {
    {"runs", JSON_NUMBER},
    {"days", JSON_NUMBER},
    {0},
};
static const struct field objective_fields[] = {
    {"metric", JSON_STRING},
    {"goal", JSON_STRING},
    {0},
};

struct reading {
    const struct json *doc;
    struct problems *problems;
    struct job_policy *policy;
};

/* --- reading --- */

/* A field of `at` that is a whole number. */
static uint32_t read_whole(const struct reading *r, json_at at, const struct field *fields,
                           const char *name, int64_t least, int64_t most, uint32_t missing)
{
    return (uint32_t)fields_whole(r->doc, fields_get(r->doc, at, fields, name), least, most,
                                  missing, r->problems);
}

/* "10%"; 0 when it is no such thing. */
static double parse_share(const char *text)
{
    char *end;

    if (text[0] < '0' || text[0] > '9') /* strtod() also takes blanks, signs and names */
        return 0;
    double percent = strtod(text, &end);
    return percent > 0 && percent <= 100 && strcmp(end, "%") == 0 ? percent / 100 : 0;
}

static void read_failures(struct reading *r, json_at at)
{
    auto_free char *text = json_strdup(r->doc, at);
    int64_t failures;

    if (at == JSON_NONE)
        return;
    if (json_int(r->doc, at, &failures) && failures >= 1 && failures <= LIMIT_JOB_SETS)
        r->policy->failures = (uint32_t)failures;
    else if (text && parse_share(text) > 0)
        r->policy->failure_share = parse_share(text);
    else
        problems_add(r->problems, r->doc, at,
                     "must be a number of sets, 1 to %u, or a share of all such as \"10%%\"",
                     LIMIT_JOB_SETS);
}

static void read_retries(struct reading *r, json_at at)
{
    struct job_policy *policy = r->policy;

    if (at == JSON_NONE || !fields_check(r->doc, at, retries_fields, r->problems))
        return;
    json_at factor = fields_get(r->doc, at, retries_fields, "factor");
    policy->retry_limit = read_whole(r, at, retries_fields, "limit", 0, JOB_RETRIES_MAX, 0);
    policy->retry_delay_s =
        read_whole(r, at, retries_fields, "delay", 0, RETRY_DELAY_MOST, RETRY_DELAY_S);
    uint32_t longest =
        policy->retry_delay_s > RETRY_MAX_DELAY_S ? policy->retry_delay_s : RETRY_MAX_DELAY_S;
    policy->retry_max_delay_s =
        read_whole(r, at, retries_fields, "max_delay", 0, RETRY_DELAY_MOST, longest);
    if (json_double(r->doc, factor, &policy->retry_factor) &&
        !(policy->retry_factor >= 1 && policy->retry_factor <= RETRY_FACTOR_MAX))
        problems_add(r->problems, r->doc, factor, "must be from 1 to %g", RETRY_FACTOR_MAX);
}

static void read_retention(struct reading *r, json_at at)
{
    struct job_policy *policy = r->policy;

    if (at == JSON_NONE || !fields_check(r->doc, at, retention_fields, r->problems))
        return;
    policy->keep_runs = read_whole(r, at, retention_fields, "runs", 1, UINT32_MAX, 0);
    policy->keep_days = read_whole(r, at, retention_fields, "days", 1, KEEP_DAYS_MOST, 0);
    if (policy->keep_runs > 0 && policy->keep_days > 0)
        problems_add(r->problems, r->doc, at, "must have either \"runs\" or \"days\"");
}

static void read_goal(struct reading *r, json_at at)
{
    r->policy->is_least = json_is(r->doc, at, "min");
    if (at != JSON_NONE && !r->policy->is_least && !json_is(r->doc, at, "max"))
        problems_add(r->problems, r->doc, at, "must be \"max\" or \"min\"");
}

static void read_objective(struct reading *r, json_at at)
{
    if (at == JSON_NONE || !fields_check(r->doc, at, objective_fields, r->problems))
        return;
    json_at metric = fields_get(r->doc, at, objective_fields, "metric");
    r->policy->metric = json_strdup(r->doc, metric);
    if (metric == JSON_NONE)
        problems_add(r->problems, r->doc, at,
                     "\"metric\" is missing: the name of what is to be "
                     "best");
    else if (!r->policy->metric || r->policy->metric[0] == 0)
        problems_add(r->problems, r->doc, metric, "must be the name of a metric");
    read_goal(r, fields_get(r->doc, at, objective_fields, "goal"));
}

static const struct job_policy defaults = {
    .retry_delay_s = RETRY_DELAY_S,
    .retry_factor = RETRY_FACTOR,
    .retry_max_delay_s = RETRY_MAX_DELAY_S,
};

void job_policy_read(struct job_policy *ret_policy, const struct json *doc, json_at at,
                     struct problems *problems)
{
    struct reading r = {doc, problems, ret_policy};

    *ret_policy = defaults;
    if (json_kind(doc, at) == JSON_NULL || at == JSON_NONE ||
        !fields_check(doc, at, policy_fields, problems))
        return;
    ret_policy->parallel = read_whole(&r, at, policy_fields, "parallel", 1, LIMIT_JOB_SETS, 0);
    ret_policy->timeout_s = read_whole(&r, at, policy_fields, "timeout", 0, LIMIT_RUN_TIMEOUT_S, 0);
    read_failures(&r, fields_get(doc, at, policy_fields, "stop_after_failures"));
    read_retries(&r, fields_get(doc, at, policy_fields, "retries"));
    read_retention(&r, fields_get(doc, at, policy_fields, "retention"));
    read_objective(&r, fields_get(doc, at, policy_fields, "objective"));
}

int job_policy_parse(struct job_policy *ret_policy, const char *text, struct err *e)
{
    auto_problems struct problems problems = {0};
    auto_json struct json doc = {0};
    struct job_policy policy;

    if (json_parse(&doc, str_of(text), JSON_STRICT, NULL, e) < 0)
        return -1;
    job_policy_read(&policy, &doc, 0, &problems);
    if (problems.total > 0) {
        job_policy_clear(&policy);
        return problems_to_err(&problems, e);
    }
    *ret_policy = policy;
    return 0;
}

void job_policy_clear(struct job_policy *policy)
{
    free(policy->metric);
    *policy = (struct job_policy){0};
}

/* --- writing --- */

static void put_retries(const struct job_policy *policy, struct buf *out)
{
    if (policy->retry_limit == 0)
        return;
    json_put_key(out, "retries");
    buf_putc(out, '{');
    json_put_member_int(out, "limit", policy->retry_limit);
    json_put_member_int(out, "delay", policy->retry_delay_s);
    json_put_key(out, "factor");
    buf_printf(out, "%.15g", policy->retry_factor);
    json_put_member_int(out, "max_delay", policy->retry_max_delay_s);
    buf_putc(out, '}');
}

static void put_retention(const struct job_policy *policy, struct buf *out)
{
    if (policy->keep_runs == 0 && policy->keep_days == 0)
        return;
    json_put_key(out, "retention");
    buf_putc(out, '{');
    if (policy->keep_runs > 0)
        json_put_member_int(out, "runs", policy->keep_runs);
    else
        json_put_member_int(out, "days", policy->keep_days);
    buf_putc(out, '}');
}

static void put_objective(const struct job_policy *policy, struct buf *out)
{
    if (!policy->metric)
        return;
    json_put_key(out, "objective");
    buf_putc(out, '{');
    json_put_member(out, "metric", policy->metric);
    json_put_member(out, "goal", policy->is_least ? "min" : "max");
    buf_putc(out, '}');
}

void job_policy_put(const struct job_policy *policy, struct buf *out)
{
    buf_putc(out, '{');
    if (policy->parallel > 0)
        json_put_member_int(out, "parallel", policy->parallel);
    if (policy->timeout_s > 0)
        json_put_member_int(out, "timeout", policy->timeout_s);
    if (policy->failures > 0)
        json_put_member_int(out, "stop_after_failures", policy->failures);
    if (policy->failure_share > 0) {
        json_put_key(out, "stop_after_failures");
        buf_printf(out, "\"%.15g%%\"", policy->failure_share * 100);
    }
    put_retries(policy, out);
    put_retention(policy, out);
    put_objective(policy, out);
    buf_putc(out, '}');
}

/* --- what follows from it --- */

static int64_t lost_delay_ms(uint32_t lost)
{
    int64_t delay = LOST_DELAY_MS;

    for (uint32_t i = 1; i < lost && delay < LOST_DELAY_MAX_MS; i++)
        delay *= 2;
    return delay < LOST_DELAY_MAX_MS ? delay : LOST_DELAY_MAX_MS;
}

static int64_t retry_delay_ms(const struct job_policy *policy, uint32_t used)
{
    double seconds = policy->retry_delay_s * pow(policy->retry_factor, used - 1.0);

    return (int64_t)(fmin(seconds, policy->retry_max_delay_s) * 1000);
}

int64_t job_retry_in(const struct job_policy *policy, enum cause cause, struct job_tries *tries)
{
    if (cause_is_infrastructure(cause)) {
        tries->lost++;
        return tries->lost > JOB_LOST_TRIES_MAX ? -1 : lost_delay_ms(tries->lost);
    }
    tries->lost = 0;
    tries->used++;
    if (cause == CAUSE_CANCELLED || tries->used > policy->retry_limit)
        return -1;
    return retry_delay_ms(policy, tries->used);
}

/* A hair is left for shares that binary fractions cannot say: 7% of 100 are 7. */
bool job_is_stopped(const struct job_policy *policy, uint32_t failed, uint32_t count)
{
    if (failed == 0)
        return false;
    if (policy->failures > 0 && failed >= policy->failures)
        return true;
    return policy->failure_share > 0 && failed >= policy->failure_share * count - 1e-6;
}
