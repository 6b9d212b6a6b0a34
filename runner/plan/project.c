#include "runner/plan/project.h"

#include "base/fs.h"
#include "base/mem.h"

#include <limits.h>

static const char *const MARKS[] = {".segue", ".orchest", ".git"};

static bool is_marked(const char *dir)
{
    for (size_t i = 0; i < sizeof MARKS / sizeof *MARKS; i++) {
        auto_free char *mark = fs_join(dir, MARKS[i]);
        if (fs_exists(mark))
            return true;
    }
    return false;
}

/* The nearest marked directory from `dir` upwards, else `dir`. */
static char *nearest_marked(const char *dir)
{
    auto_free char *at = mem_strdup(dir);
    while (!is_marked(at)) {
        if (strcmp(at, "/") == 0)
            return mem_strdup(dir);
        char *parent = fs_dirname(at);
        free(at);
        at = parent;
    }
    return take_ptr(&at);
}

/* What is left of `path` below `dir`; NULL when it is not below. Both absolute, without links. */
static const char *below(const char *dir, const char *path)
{
    size_t len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);
    return strncmp(path, dir, len) == 0 && path[len] == '/' ? path + len + 1 : NULL;
}

static char *real_path(const char *path, struct err *e)
{
    char *real = realpath(path, NULL);
    if (!real)
        err_errno(e, errno, "cannot open \"%s\"", path);
    return real;
}

static int check_directory(const char *dir, const char *name, struct err *e)
{
    struct stat st;
    if (stat(dir, &st))
        return err_errno(e, errno, "cannot open \"%s\"", name);
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ERR_INVALID, "\"%s\" is no directory", name);
    return 0;
}

int project_find(const char *pipeline_file, const char *project_dir, struct project *ret_project,
                 struct err *e)
{
    auto_free char *file = real_path(pipeline_file, e);
    if (!file)
        return -1;
    auto_free char *file_dir = fs_dirname(file);
    auto_free char *dir = project_dir ? real_path(project_dir, e) : nearest_marked(file_dir);
    if (!dir || check_directory(dir, project_dir ? project_dir : dir, e))
        return -1;
    const char *path = below(dir, file);
    if (!path)
        return err_set(e, ERR_INVALID, "\"%s\" lies outside the project \"%s\"", pipeline_file,
                       dir);
    *ret_project = (struct project){
        .pipeline_path = mem_strdup(path),
        .pipeline_dir = fs_dirname(path),
        .dir = take_ptr(&dir),
    };
    return 0;
}

void project_clear(struct project *project)
{
    free(project->dir);
    free(project->pipeline_path);
    free(project->pipeline_dir);
    *project = (struct project){0};
}
