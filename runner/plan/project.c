#include "runner/plan/project.h"

#include "base/fs.h"
#include "base/mem.h"

#include <limits.h>
#include <stdio.h>

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

/* --- below a root --- */

/* The kernel's own limit, asked for first so that the refusal is about what was given. */
static int check_path(const char *path, struct err *e)
{
    if (*path == 0)
        return err_set(e, ERR_INVALID, "the path is empty");
    if (strlen(path) >= PATH_MAX)
        return err_set(e, ERR_INVALID, "the path is longer than %d bytes", PATH_MAX - 1);
    if (*path == '/')
        return err_set(e, ERR_INVALID, "\"%s\" is an absolute path", path);
    return 0;
}

/* Where what was opened lies now: the kernel knows, with every link followed. */
static char *path_of_fd(int fd, const char *name, struct err *e)
{
    char link[64], path[PATH_MAX];
    struct stat opened, found;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0) {
        err_errno(e, errno, "cannot find out where \"%s\" lies", name);
        return NULL;
    }
    path[len] = 0;
    if (fstat(fd, &opened) < 0 || stat(path, &found) < 0 || opened.st_dev != found.st_dev ||
        opened.st_ino != found.st_ino) {
        err_set(e, ERR_NOT_FOUND, "\"%s\" was moved or removed", name);
        return NULL;
    }
    return mem_strdup(path);
}

int project_open_beneath(const char *root, const char *project, struct project *ret_project,
                         struct err *e)
{
    if (check_path(project, e) < 0)
        return -1;
    auto_close int fd = fs_open_directory_beneath(root, project, e);
    char *dir = fd < 0 ? NULL : path_of_fd(fd, project, e);
    if (!dir)
        return -1;
    *ret_project = (struct project){
        .dir = dir,
        .pipeline_path = mem_strdup(""),
        .pipeline_dir = mem_strdup("."),
    };
    return 0;
}

/* The path of a pipeline that is there, relative to the project. */
static char *find_pipeline(const struct project *project, const char *path, struct err *e)
{
    auto_close int fd = fs_open_beneath(project->dir, path, e);
    auto_free char *found = fd < 0 ? NULL : path_of_fd(fd, path, e);
    const char *relative = found ? below(project->dir, found) : NULL;

    if (found && !relative)
        err_set(e, ERR_INVALID, "\"%s\" leads out of \"%s\"", path, project->dir);
    return mem_strdup(relative);
}

/* The path that a pipeline would have which is not there, in a directory that is. */
static char *place_pipeline(const struct project *project, const char *path, struct err *e)
{
    const char *name = fs_basename(path);
    auto_free char *parent = fs_dirname(path);
    if (*name == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        err_set(e, ERR_INVALID, "\"%s\" is not a regular file", path);
        return NULL;
    }
    auto_close int fd = fs_open_directory_beneath(project->dir, parent, e);
    auto_free char *found = fd < 0 ? NULL : path_of_fd(fd, parent, e);
    const char *relative = found ? project_path_beneath(project->dir, found) : NULL;
    if (found && !relative)
        err_set(e, ERR_INVALID, "\"%s\" leads out of \"%s\"", path, project->dir);
    if (!relative)
        return NULL;
    return strcmp(relative, ".") == 0 ? mem_strdup(name) : fs_join(relative, name);
}

int project_set_pipeline(struct project *project, const char *path, enum project_file file,
                         struct err *e)
{
    if (check_path(path, e) < 0)
        return -1;
    char *relative = find_pipeline(project, path, e);
    if (!relative && e->code == ERR_NOT_FOUND && file == PROJECT_FILE_MAY_MISS)
        relative = place_pipeline(project, path, e);
    if (!relative)
        return -1;
    free(project->pipeline_path);
    free(project->pipeline_dir);
    project->pipeline_path = relative;
    project->pipeline_dir = fs_dirname(relative);
    return 0;
}

const char *project_path_beneath(const char *root, const char *dir)
{
    return strcmp(root, dir) == 0 ? "." : below(root, dir);
}

void project_clear(struct project *project)
{
    free(project->dir);
    free(project->pipeline_path);
    free(project->pipeline_dir);
    *project = (struct project){0};
}
