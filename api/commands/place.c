#include "api/commands/place.h"

#include "api/commands/run_doc.h"
#include "base/fs.h"
#include "base/mem.h"
#include "runner/plan/project.h"

#include <string.h>
#include <unistd.h>

void place_clear(struct place *place)
{
    free(place->project);
    free(place->pipeline_path);
    free(place->local);
}

/* The directory below which the service's projects lie, on its machine. NULL: not told. */
static char *ask_projects(const struct client *client, struct err *e)
{
    auto_json struct json doc = {0};

    if (client_get(client, "/api/v1/service", &doc, e) < 0)
        return NULL;
    char *projects = run_doc_text(&doc, 0, "projects");
    if (!projects)
        err_set(e, ERR_PROTOCOL, "the service does not say where its projects are");
    return projects;
}

/* What is left of `path` below `dir`, "." for itself; NULL: it is not below. Without links. */
static const char *below(const char *dir, const char *path)
{
    size_t len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);

    if (strncmp(path, dir, len) != 0)
        return NULL;
    if (path[len] == 0)
        return ".";
    return path[len] == '/' ? path + len + 1 : NULL;
}

/* A file of this machine, which the service can see too. */
static int find_local(const struct client *client, const char *file, struct place *place,
                      struct err *e)
{
    auto_project struct project project = {0};

    if (project_find(file, NULL, &project, e) < 0)
        return -1;
    auto_free char *projects = ask_projects(client, e);
    if (!projects)
        return -1;
    auto_free char *real = realpath(projects, NULL);
    const char *name = below(real ? real : projects, project.dir);
    if (!name)
        return err_set(e, ERR_INVALID,
                       "the project \"%s\" lies outside the service's projects directory \"%s\": "
                       "move it there, start the service with another --projects, or name a "
                       "project of the service with --project",
                       project.dir, projects);
    place->project = mem_strdup(name);
    place->local = fs_join(project.dir, project.pipeline_path);
    place->pipeline_path = take_ptr(&project.pipeline_path);
    return 0;
}

/* A name that only the service has to know, and perhaps a file of this machine too. */
static int take_named(const struct client *client, const char *file, const char *project,
                      bool is_read, struct place *place, struct err *e)
{
    place->project = mem_strdup(project);
    place->pipeline_path = mem_strdup(file);
    if (!is_read)
        return 0;
    auto_free char *projects = ask_projects(client, e);
    if (!projects)
        return -1;
    auto_free char *dir = fs_join(projects, project);
    auto_free char *local = fs_join(dir, file);
    if (access(local, R_OK) == 0)
        place->local = take_ptr(&local);
    return 0;
}

int place_find(const struct client *client, const char *file, const char *project, bool is_read,
               struct place *place, struct err *e)
{
    return project ? take_named(client, file, project, is_read, place, e)
                   : find_local(client, file, place, e);
}
