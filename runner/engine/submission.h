/* submission: a run as it is frozen when it is accepted: definition with its parameters, plan,
 * project, and for each step the environment with the id of its image.
 *
 * Made only by submission_make, which checks everything that can be refused before anything runs;
 * what is found out about environments and images is kept per step and fails only the steps that
 * need them. Never changed afterwards. Owns everything it shows.
 */
#ifndef SEGUE_RUNNER_SUBMISSION_H
#define SEGUE_RUNNER_SUBMISSION_H

#include "base/id.h"
#include "kernel-gateway/cause.h"
#include "kernel-gateway/environment.h"
#include "runner/plan/pipeline.h"
#include "runner/plan/plan.h"
#include "runner/plan/project.h"

enum launcher_choice {
    LAUNCHER_CHOICE_ENVIRONMENT, /* each step where its environment says */
    LAUNCHER_CHOICE_PROCESS,     /* everything as local processes */
    LAUNCHER_CHOICE_DOCKER,      /* everything in containers */
};

/* Where a step's programs run. */
struct frozen_environment {
    const struct environment *environment; /* NULL: the step cannot run, for this reason: */
    enum cause cause;
    char *message;
    enum launcher_kind launcher;
    char *image_id; /* NULL: a local process */
};

struct submission {
    struct uuid run_uuid;
    struct project project;
    struct pipeline *pipeline; /* of the definition with the run's parameters in it */
    struct plan *plan;
    char **selected; /* uuids, NULL at the end; for the record */
    struct environments environments;
    struct frozen_environment *frozen; /* by step of the plan, pointing at shared ones */
    uint32_t *frozen_of;               /* plan step -> index in `frozen` */
    uint32_t frozen_count;
    enum launcher_choice launcher;
    bool in_place;
    char *output_dir; /* absolute, or NULL */
};

/* What is asked for. Everything is borrowed. */
struct request {
    const struct project *project;
    struct str definition; /* JSON, parameters merged in */
    const char *origin;    /* see pipeline_parse */
    enum run_type run_type;
    const uint32_t *selected; /* indices of steps */
    uint32_t selected_count;
    enum launcher_choice launcher;
    bool in_place;
    const char *output_dir; /* or NULL */
};

/* Refused with ERR_INVALID or ERR_LIMIT; what is wrong with the definition goes to `problems`.
 * May ask the Docker engine for image ids. */
int submission_make(const struct request *request, struct submission **ret_submission,
                    struct problems *problems, struct err *e);

/* Adds what will not be as somebody may expect: limits bind containers, not local processes. */
void submission_warn(const struct submission *submission, struct problems *warnings);

void submission_free(struct submission *submission);
AUTO_FUNCTION(struct submission, submission_free)
#define auto_submission auto_with(submission_free_at)

/* Where a step of the plan runs. */
const struct frozen_environment *submission_environment(const struct submission *submission,
                                                        uint32_t plan_step);

/* A step of the plan as it stands in the definition. */
const struct pipeline_step *submission_step(const struct submission *submission,
                                            uint32_t plan_step);

/* The step's file: absolute on this machine, free() it. */
char *submission_source(const struct submission *submission, uint32_t plan_step);

#endif
