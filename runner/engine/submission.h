/* submission: a run as it is frozen when it is accepted: definition with its parameters, plan,
 * project, and for each step where it runs, with the id of its image.
 *
 * Made by submission_make, which checks everything that can be refused before anything runs, or
 * made again from what the store kept of one (submission_restore). What is found out about
 * environments and images is kept per step and fails only the steps that need them. Never changed
 * afterwards. Owns everything it shows.
 */
#ifndef SEGUE_RUNNER_SUBMISSION_H
#define SEGUE_RUNNER_SUBMISSION_H

#include "base/id.h"
#include "runner/engine/frozen.h"
#include "runner/plan/pipeline.h"
#include "runner/plan/plan.h"
#include "runner/plan/project.h"
#include "runner/run/run_queue.h"
#include "runner/store/store.h"

struct submission {
    struct uuid run_uuid;
    struct uuid job_uuid;      /* all zero: of none; else it runs in the background */
    struct uuid rerun_of;      /* all zero: of none */
    struct project project;    /* that it works on; pipeline_path "": no file of its own */
    char *origin_dir;          /* the live project: project.dir, unless it has a workspace */
    struct pipeline *pipeline; /* of the definition with the run's parameters in it */
    struct plan *plan;
    char **selected;  /* uuids, NULL at the end; for the record */
    char *parameters; /* JSON: as they were asked for; for the record */
    struct frozen_list frozen;
    uint32_t *frozen_of; /* plan step -> index in `frozen` */
    enum launcher_choice launcher;
    bool in_place;
    uint32_t keep_kernels_s; /* how long the kernel of a failed notebook is kept; 0: not at all */
    uint32_t timeout_s;      /* of the whole run, from its start; 0: none */
    char *output_dir;        /* absolute, or NULL */
};

/* What is asked for. Everything is borrowed. */
struct request {
    const struct project *project;
    struct str definition; /* JSON, parameters merged in */
    struct str parameters; /* JSON object: those that were merged in; none: none */
    enum run_type run_type;
    const uint32_t *selected; /* indices of steps */
    uint32_t selected_count;
    enum launcher_choice launcher;
    bool in_place;
    uint32_t keep_kernels_s; /* LIMIT_KEEP_KERNELS_S at most */
    uint32_t timeout_s;      /* LIMIT_RUN_TIMEOUT_S at most; 0: none */
    const char *output_dir;  /* or NULL */
    const char *job_uuid;    /* or NULL */
    const char *run_uuid;    /* NULL: a random one */
    /* The directory that the run works on in place of the project, of which it is a copy: absolute.
     * Lists show the run with the project all the same. NULL: the project itself. */
    const char *workspace;
};

/* Refused with ERR_INVALID or ERR_LIMIT; what is wrong with the definition goes to `problems`.
 * May ask the Docker engine for image ids. */
int submission_make(const struct request *request, struct submission **ret_submission,
                    struct problems *problems, struct err *e);

/* The same again from the store. ERR_INVALID, ERR_IO: what is kept there cannot be run (any
 * more). */
int submission_restore(const struct store_run *run, const struct store_frozen *frozen,
                       struct submission **ret_submission, struct err *e);

/* Keeps of the plan only the steps with these uuids: for running a part of it again. Refused with
 * ERR_INVALID as plan_make does. */
int submission_narrow(struct submission *submission, const char *const *uuids, uint32_t count,
                      struct err *e);

/* What a pipeline without a uuid gets one from: the live project and the path. free() it. */
char *submission_origin(const struct project *project);

enum run_class submission_class(const struct submission *submission);

/* Makes an interactive run on the live project of one that a job made on a copy. */
void submission_leave_job(struct submission *submission);

/* How the run is to be done, as JSON: {in_place, keep_kernels, launcher, output_dir, timeout,
 * workspace}. */
void submission_put_options(const struct submission *submission, struct buf *out);

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
