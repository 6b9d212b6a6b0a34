/* pipeline: a definition that was checked: steps, and the connections between them.
 *
 * The only way to get one is to parse a definition; whoever holds a `const struct pipeline` can
 * rely on it: every connection leads to a step, none is repeated, there is no cycle, uuids are
 * unique and fit for use as directory names. It is never changed after it was made, so any thread
 * may read it. It owns its strings and the text it was made from. It never touches the files of the
 * steps; only pipeline_check_step looks at them.
 */
#ifndef SEGUE_RUNNER_PIPELINE_H
#define SEGUE_RUNNER_PIPELINE_H

#include "base/err.h"
#include "base/json.h"
#include "base/map.h"
#include "base/problems.h"
#include "base/str.h"
#include "runner/plan/graph.h"

#include <stdint.h>

#define STEP_NONE UINT32_MAX /* no step */

/* kind, name for people, file extension in lower case. */
#define STEP_KINDS(X)                                                                              \
    X(STEP_NOTEBOOK, "notebook", ".ipynb")                                                         \
    X(STEP_PYTHON, "python", ".py")                                                                \
    X(STEP_R, "r", ".r")                                                                           \
    X(STEP_SHELL, "shell", ".sh") /* and no extension at all, as in Orchest */                     \
    X(STEP_JULIA, "julia", ".jl")                                                                  \
    X(STEP_JAVASCRIPT, "javascript", ".js")                                                        \
    X(STEP_UNKNOWN, "unknown", "") /* no file, or one that cannot run: pipeline_check_step */

enum step_kind {
#define X(kind, name, extension) kind,
    STEP_KINDS(X)
#undef X
};

/* An object of parameters somewhere in a document; `at` is JSON_NONE when there are none. */
struct parameters {
    const struct json *doc; /* never NULL */
    json_at at;
};

struct pipeline_step {
    const char *uuid;        /* the key in `steps`: 1 to 64 of [A-Za-z0-9_.-], no dot first */
    const char *title;       /* "" when it has none */
    const char *file_path;   /* relative to the pipeline file's directory; "" when it has none */
    const char *environment; /* name or uuid; "": none */
    const char *kernel_name; /* "" when the file does not say */
    struct parameters parameters;
    struct step_list incoming; /* as ordered in the file; a repeated connection once */
    uint64_t memory_bytes;     /* resources.memory; 0: not limited */
    double cpus;               /* resources.cpus; 0: not limited */
    uint32_t gpus;
    uint32_t timeout_s;      /* for an attempt of the step; 0: none */
    uint32_t cell_timeout_s; /* 0: none */
    uint32_t retry_limit;    /* attempts after the first */
    uint32_t retry_delay_s;
    json_at node; /* its object in the pipeline's document */
    enum step_kind kind;
};

struct pipeline {
    const char *uuid; /* from the file, or derived from where the file lies */
    const char *name; /* "" when it has none */
    struct json doc;  /* the definition as it was written */
    struct parameters parameters;
    uint32_t max_steps_parallelism; /* 0: not limited */
    bool auto_eviction;
    const struct pipeline_step *steps; /* in the order of the file */
    uint32_t step_count;
    struct graph incoming; /* what the `incoming` of the steps are lists of */

    /* Memory and look-up, for pipeline.c only. */
    struct map indices; /* by uuid */
    struct pipeline_step *own_steps;
    struct arena_chunk *strings;
    struct json_list *texts; /* parameters that were written as JSON in a string */
};

/* Reads a definition. `origin` names where it comes from (project directory and path); a pipeline
 * without a uuid gets one derived from it. On failure every problem that could be found is added
 * to `problems`, and `e` gets the first one (ERR_INVALID) or the cap that was exceeded (ERR_LIMIT,
 * also added as a problem). The text is copied. */
int pipeline_parse(struct str text, const char *origin, struct pipeline **ret_pipeline,
                   struct problems *problems, struct err *e);

/* As pipeline_parse; owns `text` (from malloc) from here on, also on failure. */
int pipeline_parse_take(char *text, size_t len, const char *origin, struct pipeline **ret_pipeline,
                        struct problems *problems, struct err *e);

/* Reads the file `path`, below `project_dir`, which may be NULL when `path` stands for itself; both
 * make the origin. A file that cannot be read is no problem of the definition: only `e` is set. */
int pipeline_read(const char *project_dir, const char *path, struct pipeline **ret_pipeline,
                  struct problems *problems, struct err *e);

void pipeline_free(struct pipeline *pipeline);
AUTO_FUNCTION(struct pipeline, pipeline_free)
#define auto_pipeline auto_with(pipeline_free_at)

/* The step with this uuid, or STEP_NONE. */
uint32_t pipeline_index(const struct pipeline *pipeline, struct str uuid);

/* The step a person means: by uuid, by title, or by file path, where exactly one fits. ERR_INVALID
 * with the candidates when several do; ERR_NOT_FOUND with the nearest when none does. */
int pipeline_find_step(const struct pipeline *pipeline, const char *text, uint32_t *ret_step,
                       struct err *e);

/* Checks what only matters once a step is to run: it has a file of a known kind, which exists as a
 * regular file inside `project_dir`, also after following links. `pipeline_dir` is the pipeline
 * file's directory, relative to `project_dir` ("." for itself). Adds to `problems`. -1: it cannot
 * be found out (ERR_IO: descriptors have run out, the disk fails), which is nobody's fault here. */
int pipeline_check_step(const struct pipeline *pipeline, uint32_t step, const char *project_dir,
                        const char *pipeline_dir, struct problems *problems, struct err *e);

/* A step's title, else its file path, else its uuid. */
const char *pipeline_step_label(const struct pipeline_step *step);

const char *step_kind_name(enum step_kind kind);

#endif
