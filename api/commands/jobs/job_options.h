/* job_options: the options of a command line that say what a job is: its sets of parameters, its
 * schedule and its policy; and the JSON that the API wants to have of them.
 *
 * A command puts JOB_SCHEDULE_OPTIONS, JOB_POLICY_OPTIONS and JOB_SETS_OPTIONS into its table for
 * getopt_long and hands on what comes back. Borrows the words of the command line.
 */
#ifndef SEGUE_API_JOB_OPTIONS_H
#define SEGUE_API_JOB_OPTIONS_H

#include "api/commands/params.h"
#include "base/buf.h"
#include "base/err.h"

#include <getopt.h>
#include <stdbool.h>

/* Above all characters and those of the other sets of options. */
enum job_option {
    JOB_NAME = 0x3000,
    JOB_GRID,
    JOB_ZIP,
    JOB_RANDOM,
    JOB_SEED,
    JOB_SETS,
    JOB_PARAMETERS_FILE,
    JOB_EXCLUDE,
    JOB_AT,
    JOB_CRON,
    JOB_TIMEZONE,
    JOB_CATCH_UP,
    JOB_OVERLAP,
    JOB_JITTER,
    JOB_PARALLEL,
    JOB_TIMEOUT,
    JOB_RETRIES,
    JOB_STOP_AFTER_FAILURES,
    JOB_KEEP_RUNS,
    JOB_KEEP_DAYS,
    JOB_OBJECTIVE,
    JOB_OPTION_END,
};

/* clang-format off */
#define JOB_SETS_OPTIONS                                                                           \
    {"grid", required_argument, NULL, JOB_GRID},                                                   \
    {"zip", no_argument, NULL, JOB_ZIP},                                                           \
    {"random", required_argument, NULL, JOB_RANDOM},                                               \
    {"seed", required_argument, NULL, JOB_SEED},                                                   \
    {"sets", required_argument, NULL, JOB_SETS},                                                   \
    {"parameters-file", required_argument, NULL, JOB_PARAMETERS_FILE},                             \
    {"exclude", required_argument, NULL, JOB_EXCLUDE}
#define JOB_SCHEDULE_OPTIONS                                                                       \
    {"at", required_argument, NULL, JOB_AT},                                                       \
    {"cron", required_argument, NULL, JOB_CRON},                                                   \
    {"timezone", required_argument, NULL, JOB_TIMEZONE},                                           \
    {"catch-up", required_argument, NULL, JOB_CATCH_UP},                                           \
    {"overlap", required_argument, NULL, JOB_OVERLAP},                                             \
    {"jitter", required_argument, NULL, JOB_JITTER}
#define JOB_POLICY_OPTIONS                                                                         \
    {"name", required_argument, NULL, JOB_NAME},                                                   \
    {"parallel", required_argument, NULL, JOB_PARALLEL},                                           \
    {"timeout", required_argument, NULL, JOB_TIMEOUT},                                             \
    {"retries", required_argument, NULL, JOB_RETRIES},                                             \
    {"stop-after-failures", required_argument, NULL, JOB_STOP_AFTER_FAILURES},                     \
    {"keep-runs", required_argument, NULL, JOB_KEEP_RUNS},                                         \
    {"keep-days", required_argument, NULL, JOB_KEEP_DAYS},                                         \
    {"objective", required_argument, NULL, JOB_OBJECTIVE}
/* clang-format on */

/* clang-format off */
#define JOB_SETS_HELP                                                                              \
    "  -p, --param [STEP:]NAME=VALUE\n"                                                            \
    "                    a parameter that all sets have\n"                                         \
    "  -g, --grid [STEP:]NAME=VALUES\n"                                                            \
    "                    the job runs every combination; VALUES: 1,2,3 or 1..5 or 0.1:1:0.1\n"     \
    "                    (start:stop:step) or a JSON list; STEP: a uuid, a title or a file path\n" \
    "  --zip             the n-th values together, instead of every combination\n"                 \
    "  --random N        N of the combinations; of distributions, such as\n"                       \
    "                    '{\"log_uniform\":[0.001,1]}', N draws\n"                                 \
    "  --seed S          for --random; default 0\n"                                                \
    "  --sets FILE       a JSON list of sets\n"                                                    \
    "  --parameters-file FILE\n"                                                                   \
    "                    a grid as Orchest keeps it: PIPELINE.parameters.json\n"                   \
    "  --exclude N,M     sets that are left out, by the numbers that --preview shows\n"

#define JOB_SCHEDULE_HELP                                                                          \
    "  --at TIME         once, at 2026-12-01T06:00:00+01:00\n"                                     \
    "  --cron LINE       again and again: '0 2 * * MON-FRI', '@daily'\n"                           \
    "  --timezone ZONE   of the cron line: Europe/Berlin; default UTC\n"                           \
    "  --catch-up WHICH  times that were missed: none, latest (default), all or all:N\n"           \
    "  --overlap WHAT    while an earlier one runs: forbid (default), allow, replace\n"            \
    "  --jitter TIME     begins up to so much later: 90, 10m\n"

#define JOB_POLICY_HELP                                                                            \
    "  --name NAME       of the job; one that is made has the pipeline's without it\n"             \
    "  --parallel N      runs at a time\n"                                                         \
    "  --timeout TIME    for each run: 600, 10m, 2h\n"                                             \
    "  --retries N[:TIME]\n"                                                                       \
    "                    further tries of a set whose run failed, the first after TIME (30 s),\n"  \
    "                    which doubles\n"                                                          \
    "  --stop-after-failures N|P%\n"                                                               \
    "                    no further set is begun then\n"                                           \
    "  --keep-runs N     older runs are deleted\n"                                                 \
    "  --keep-days N     the same, by their age\n"                                                 \
    "  --objective METRIC[:min]\n"                                                                 \
    "                    what makes a set the best: the highest, or with :min the lowest\n"
/* clang-format on */

struct job_options {
    struct params base;                            /* -p */
    struct params grid;                            /* --grid, as they were written */
    const char *values[JOB_OPTION_END - JOB_NAME]; /* of the others, as they were given */
    bool is_zip;
};

void job_options_clear(struct job_options *options);

static inline bool job_options_has(int option)
{
    return option >= JOB_NAME && option < JOB_OPTION_END;
}

/* Takes one of the options as getopt_long gave it. */
void job_options_take(struct job_options *options, int option, const char *value);

/* Does any of its parameters name a step? */
bool job_options_name_steps(const struct job_options *options);

/* Was any option given? */
bool job_options_any(const struct job_options *options);

/* Append the members `"name":..., "parameters":..., "schedule":..., "policy":...` of a body, as far
 * as options were given for them. ERR_INVALID: what is wrong with an option; errors of files that
 * are read. `pipeline` as in params_put_json. `job` is what is to be changed, as the API gives it,
 * for what of its schedule and policy no option was given; NULL: there is none yet. */
int job_options_put(const struct job_options *options, const struct pipeline *pipeline,
                    const struct json *job, struct buf *body, struct err *e);

#endif
