/* project: the directory that a pipeline belongs to, found from where its file lies, or by its path
 * below a directory that nothing may lead out of.
 *
 * A project is a directory; everything a run may touch lies inside it, links followed. This module
 * only looks at names on disk; it reads no file and changes nothing. Thread-safe; a found project
 * owns its strings.
 */
#ifndef SEGUE_RUNNER_PROJECT_H
#define SEGUE_RUNNER_PROJECT_H

#include "base/err.h"

struct project {
    char *dir;           /* absolute, without links */
    char *pipeline_path; /* the pipeline file, relative to `dir`, without links; "": none */
    char *pipeline_dir;  /* its directory, relative to `dir`; "." for `dir` itself */
};

/* The project of a pipeline file: `project_dir`, or when that is NULL the nearest directory from
 * the file's own upwards that holds .segue, .orchest or .git, else the file's own. ERR_NOT_FOUND
 * for a file or directory that does not exist, ERR_INVALID for a pipeline outside project_dir. */
int project_find(const char *pipeline_file, const char *project_dir, struct project *ret_project,
                 struct err *e);

/* The project at the path `project` below `root`, without a pipeline yet. No absolute path, "..",
 * or symbolic link leads out of `root`. ERR_NOT_FOUND: there is none; ERR_INVALID: it leads out, is
 * no directory, or no path. */
int project_open_beneath(const char *root, const char *project, struct project *ret_project,
                         struct err *e);

enum project_file {
    PROJECT_FILE_EXISTS,   /* must be there */
    PROJECT_FILE_MAY_MISS, /* only its directory has to be: its content is known from elsewhere */
};

/* Sets the pipeline, `path` below the project's directory, which it must not lead out of. Errors as
 * of project_open_beneath, and ERR_INVALID for what is no regular file; the project then has no
 * pipeline, as before. */
int project_set_pipeline(struct project *project, const char *path, enum project_file file,
                         struct err *e);

/* The part of the absolute path `dir` below `root`, "." for itself; NULL: it lies elsewhere. Both
 * without links. */
const char *project_path_beneath(const char *root, const char *dir);

void project_clear(struct project *project); /* an all-zero one is cleared already */
#define auto_project __attribute__((cleanup(project_clear)))

#endif
