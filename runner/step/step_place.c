#include "runner/step/step_place.h"

#include "base/fs.h"
#include "base/id.h"
#include "base/mem.h"
#include "runner/step/inside.h"

#include <string.h>

static void put_env(struct step_place *place, const char *name, const char *value)
{
    if (!value)
        return;
    mem_grow(place->env, place->env_count + 1, place->env_capacity);
    place->env[place->env_count++] = mem_printf("%s=%s", name, value);
    place->env[place->env_count] = NULL;
}

static void put_path(struct step_place *place, const char *name, const char *host_path)
{
    auto_free char *inside = step_place_inside(place, host_path);

    put_env(place, name, inside);
}

/* The last entry of that name, as it will be looked up; NULL: none. */
static const char *find_env(char *const *env, const char *name)
{
    size_t len = strlen(name);
    const char *found = NULL;

    for (; env && *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            found = *env + len + 1;
    return found;
}

static void put_python_path(struct step_place *place, const struct task *task)
{
    const char *before = find_env(task->env, "PYTHONPATH");

    if (!before && place->launch.launcher == LAUNCHER_PROCESS)
        before = getenv("PYTHONPATH");
    auto_free char *sdk = step_place_inside(place, task->sdk_dir);
    auto_free char *path = before && *before ? mem_printf("%s:%s", sdk, before) : mem_strdup(sdk);
    put_env(place, "PYTHONPATH", path);
}

/* Orchest's names beside our own, so that its pipelines run unchanged. */
static void put_step_env(struct step_place *place, const struct task *task)
{
    struct uuid project = uuid_from_name(task->origin_dir ? task->origin_dir : task->project_dir);

    for (char **entry = task->env; entry && *entry; entry++) {
        mem_grow(place->env, place->env_count + 1, place->env_capacity);
        place->env[place->env_count++] = mem_strdup(*entry);
    }
    put_env(place, "SEGUE_RUN_UUID", task->run_uuid);
    put_env(place, "SEGUE_STEP_UUID", task->step_uuid);
    put_env(place, "SEGUE_PIPELINE_UUID", task->pipeline_uuid);
    put_path(place, "SEGUE_PROJECT_DIR", task->project_dir);
    put_path(place, "SEGUE_PIPELINE_PATH", task->pipeline_file);
    put_path(place, "SEGUE_DATA_DIR", task->data_dir);
    put_path(place, "SEGUE_IO_DIR", task->io_dir);
    put_env(place, "ORCHEST_STEP_UUID", task->step_uuid);
    put_env(place, "ORCHEST_SESSION_UUID", task->run_uuid);
    put_env(place, "ORCHEST_SESSION_TYPE", "noninteractive");
    put_env(place, "ORCHEST_PIPELINE_UUID", task->pipeline_uuid);
    put_path(place, "ORCHEST_PIPELINE_PATH", task->pipeline_file);
    put_env(place, "ORCHEST_PROJECT_UUID", project.text);
    if (task->kind != STEP_NOTEBOOK) /* a log that is read while it is written */
        put_env(place, "PYTHONUNBUFFERED", "1");
    put_python_path(place, task);
}

void step_place_init(struct step_place *place, const struct task *task, int cancel_fd)
{
    auto_free char *directory = fs_dirname(task->source);

    *place = (struct step_place){
        .launch =
            {
                .attempt = task->attempt_id,
                .state_id = task->state_id,
                .cancel_fd = cancel_fd,
                .change_user = task->change_user,
                .uid = (uid_t)task->uid,
                .gid = (gid_t)task->gid,
                .nice = (int)task->nice,
                .image = task->image,
                .network = task->network,
                .cpus = (double)task->millicpus / 1000,
                .memory_bytes = (uint64_t)task->memory_bytes,
                .gpus = (uint32_t)task->gpus,
                .mounts = place->mounts,
                .mount_count = STEP_PLACE_MOUNTS,
            },
        .mounts = {{task->project_dir, INSIDE_PROJECT, false},
                   {task->data_dir, INSIDE_DATA, false},
                   {task->io_dir, INSIDE_IO, false},
                   {task->pipeline_file, INSIDE_PIPELINE, true},
                   {task->sdk_dir, INSIDE_SDK, true},
                   {task->socket_dir, INSIDE_SOCKETS, false}},
    };
    launcher_of_name(task->launcher, &place->launch.launcher);
    place->cwd = step_place_inside(place, directory);
    put_step_env(place, task);
}

void step_place_clear(struct step_place *place)
{
    for (size_t i = 0; i < place->env_count; i++)
        free(place->env[i]);
    free(place->env);
    free(place->cwd);
    *place = (struct step_place){0};
}

char *step_place_inside(const struct step_place *place, const char *host_path)
{
    if (place->launch.launcher == LAUNCHER_PROCESS)
        return mem_strdup(host_path);
    for (size_t i = 0; i < STEP_PLACE_MOUNTS; i++) {
        const struct launch_mount *mount = &place->mounts[i];
        size_t len = strlen(mount->host);
        if (strncmp(host_path, mount->host, len) == 0 &&
            (host_path[len] == '/' || host_path[len] == 0))
            return mem_printf("%s%s", mount->inside, host_path + len);
    }
    return mem_strdup(host_path);
}
