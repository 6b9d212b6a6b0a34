/* project: the directory that a pipeline belongs to, found from where its file lies.
 *
 * A project is a directory; everything a run may touch lies inside it, links followed. This module
 * only looks at names on disk; it opens no file and changes nothing. Thread-safe; a found project
 * owns its strings.
 */
#ifndef SEGUE_RUNNER_PROJECT_H
#define SEGUE_RUNNER_PROJECT_H

#include "base/err.h"

struct project {
    char *dir;           /* absolute, without links */
    char *pipeline_path; /* the pipeline file, relative to `dir`, without links */
    char *pipeline_dir;  /* its directory, relative to `dir`; "." for `dir` itself */
};

/* The project of a pipeline file: `project_dir`, or when that is NULL the nearest directory from
 * the file's own upwards that holds .segue, .orchest or .git, else the file's own. ERR_NOT_FOUND
 * for a file or directory that does not exist, ERR_INVALID for a pipeline outside project_dir. */
int project_find(const char *pipeline_file, const char *project_dir, struct project *ret_project,
                 struct err *e);

void project_clear(struct project *project); /* an all-zero one is cleared already */
#define auto_project __attribute__((cleanup(project_clear)))

#endif
