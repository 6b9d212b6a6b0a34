#include "api/jupyter/kernel_make.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "runner/engine/frozen.h"
#include "runner/engine/rights.h"
#include "runner/plan/project.h"
#include "runner/step/inside.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#define USERNAME_MAX 256

/* --- where it starts --- */

/* The directory without links; NULL: there is none, or it lies elsewhere. */
static char *directory_below(const char *root, const char *path)
{
    char *real = realpath(path, NULL);
    struct stat st;

    if (real && project_path_beneath(root, real) && stat(real, &st) == 0 && S_ISDIR(st.st_mode))
        return real;
    free(real);
    return NULL;
}

static char *directory_of_path(const char *root, const char *projects, const char *path)
{
    while (*path == '/')
        path++;
    auto_free char *whole = mem_printf("%s/%s", projects, path);
    char *itself = directory_below(root, whole);
    if (itself)
        return itself;
    auto_free char *parent = fs_dirname(whole);
    return directory_below(root, parent);
}

char *kernel_make_cwd(const char *root, const char *projects, const char *path,
                      const char *working_dir)
{
    char *found = path && *path ? directory_of_path(root, projects, path) : NULL;

    if (!found && working_dir && *working_dir == '/')
        found = directory_below(root, working_dir);
    return found ? found : mem_strdup(root);
}

/* --- its variables --- */

/* Each name once: programs do not agree on which of two counts. */
static void put_entry(struct interactive_task *task, size_t *count, char *take_entry)
{
    size_t len = strcspn(take_entry, "=") + 1;

    for (size_t i = 0; i < *count; i++) {
        if (strncmp(task->env[i], take_entry, len) == 0) {
            free(task->env[i]);
            task->env[i] = take_entry;
            return;
        }
    }
    task->env[(*count)++] = take_entry;
}

static void put_entries(struct interactive_task *task, size_t *count, char *const *entries)
{
    for (; entries && *entries; entries++)
        put_entry(task, count, mem_strdup(*entries));
}

static const char *find_value(char *const *env, const char *name)
{
    size_t len = strlen(name);

    for (; *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            return *env + len + 1;
    return NULL;
}

static size_t count_texts(char *const *texts)
{
    size_t count = 0;

    while (texts && texts[count])
        count++;
    return count;
}

/* What the task is made from, by and by. Borrowed, but for project_dir. */
struct making {
    const struct jupyter *jupyter;
    const struct kernel_wish *wish;
    const struct offer *offer;
    const struct frozen_environment *environment; /* NULL: a kernel of this machine */
    char *project_dir;                            /* NULL: the same */
    char *data_dir;
    bool is_container;
};

static void put_sdk(struct interactive_task *task, size_t *count, const struct making *making)
{
    const char *sdk = making->is_container ? INSIDE_SDK : making->jupyter->options.sdk_dir;
    const char *before = find_value(task->env, "PYTHONPATH");

    if (!before && !making->is_container)
        before = getenv("PYTHONPATH");
    bool has_before = before && *before;
    put_entry(
        task, count,
        mem_printf("PYTHONPATH=%s%s%s", sdk, has_before ? ":" : "", has_before ? before : ""));
}

/* What the client says goes over what the environment says. */
static void put_env(struct interactive_task *task, const struct making *making)
{
    char **of_environment = making->environment ? making->environment->env : NULL;
    char **of_client = making->wish->env->entries;
    size_t count = 0, most = count_texts(of_environment) + count_texts(of_client) + 3;

    task->env = mem_array(most + 1, sizeof *task->env);
    put_entries(task, &count, of_environment);
    put_entries(task, &count, of_client);
    if (making->project_dir)
        put_entry(task, &count,
                  mem_printf("SEGUE_PROJECT_DIR=%s",
                             making->is_container ? INSIDE_PROJECT : making->project_dir));
    put_entry(
        task, &count,
        mem_printf("SEGUE_DATA_DIR=%s", making->is_container ? INSIDE_DATA : making->data_dir));
    put_sdk(task, &count, making);
}

/* --- its place --- */

static void put_mount(struct interactive_task *task, const char *host, const char *inside,
                      bool read_only)
{
    task->mounts[task->mount_count++] = (struct interactive_mount){
        .host = mem_strdup(host), .inside = mem_strdup(inside), .read_only = read_only};
}

static int put_place(struct interactive_task *task, const struct making *making, struct err *e)
{
    const struct jupyter_options *options = &making->jupyter->options;
    const char *root = making->project_dir ? making->project_dir : options->projects;
    auto_free char *cwd = kernel_make_cwd(root, options->projects, making->wish->path,
                                          client_env_get(making->wish->env, "KERNEL_WORKING_DIR"));
    struct rights rights;

    if (rights_in(making->project_dir ? making->project_dir : cwd, &rights, e) < 0)
        return -1;
    task->change_user = rights.change_user;
    task->uid = rights.uid;
    task->gid = rights.gid;
    if (!making->is_container) {
        task->cwd = take_ptr(&cwd);
        return 0;
    }
    const char *beneath = project_path_beneath(root, cwd);
    task->cwd =
        strcmp(beneath, ".") == 0 ? mem_strdup(INSIDE_PROJECT) : fs_join(INSIDE_PROJECT, beneath);
    task->socket_dir_inside = mem_strdup(INSIDE_SOCKETS);
    put_mount(task, making->project_dir, INSIDE_PROJECT, false);
    put_mount(task, making->data_dir, INSIDE_DATA, false);
    put_mount(task, options->sdk_dir, INSIDE_SDK, true);
    return 0;
}

static void put_environment(struct interactive_task *task,
                            const struct frozen_environment *environment)
{
    task->launcher = mem_strdup(launcher_name(environment->launcher));
    task->image = mem_strdup(environment->image);
    task->network = environment->network;
    task->millicpus = llround(1000 * environment->resources.cpus);
    task->memory_bytes = (int64_t)environment->resources.memory_bytes;
    task->gpus = environment->resources.gpus;
}

/* --- whose it is --- */

static struct uuid choose_id(const struct kernel_wish *wish)
{
    const char *asked = wish->id ? wish->id : client_env_get(wish->env, "KERNEL_ID");

    if (!asked || !uuid_is_valid(asked))
        return uuid_random();
    struct uuid id = uuid_of(asked);
    for (char *c = id.text; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return id;
}

static bool is_username(const char *name)
{
    for (const char *c = name; *c; c++)
        if (iscntrl((unsigned char)*c))
            return false;
    return strlen(name) <= USERNAME_MAX;
}

static void put_names(struct interactive_task *task, const struct making *making)
{
    const struct offer *offer = making->offer;
    const char *username = client_env_get(making->wish->env, "KERNEL_USERNAME");

    task->kernel_id = mem_strdup(choose_id(making->wish).text);
    task->name = mem_strdup(offer->name);
    task->state_id = mem_strdup(making->jupyter->options.state->id.text);
    task->kernelspec = mem_strdup(offer->kernelspec);
    task->language = mem_strdup(offer->language);
    task->project = mem_strdup(offer->project);
    task->environment = mem_strdup(offer->environment);
    if (username && is_username(username))
        task->username = mem_strdup(username);
    task->cull_idle_timeout_s = offer->cull_idle_timeout_s;
    task->created_us = clock_wall_us();
}

/* --- all of it --- */

static int fill(struct interactive_task *task, struct making *making, struct err *e)
{
    *task = (struct interactive_task){0};
    making->data_dir = state_data_dir(making->jupyter->options.state);
    put_names(task, making);
    if (making->environment)
        put_environment(task, making->environment);
    else
        task->launcher = mem_strdup(launcher_name(LAUNCHER_PROCESS));
    put_env(task, making);
    int result = put_place(task, making, e);
    free(making->data_dir);
    if (result < 0)
        interactive_task_clear(task);
    return result;
}

/* Images by the ids that they have at this moment. */
static int make_of_environment(struct interactive_task *task, struct making *making, struct err *e)
{
    const struct offer *offer = making->offer;
    auto_project struct project project = {0};
    auto_environments struct environments environments = {0};
    struct frozen_list frozen = {0};
    int result = -1;

    if (project_open_beneath(making->jupyter->options.projects, offer->project, &project, e) < 0 ||
        environments_read(&environments, project.dir, NULL, e) < 0)
        return err_prefix(e, "project \"%s\"", offer->project);
    frozen_add(&frozen, &environments, offer->environment, LAUNCHER_CHOICE_ENVIRONMENT);
    const struct frozen_environment *now = &frozen.items[0];
    if (now->cause == CAUSE_NONE) {
        making->environment = now;
        making->project_dir = project.dir;
        making->is_container = now->launcher == LAUNCHER_DOCKER;
        result = fill(task, making, e);
    } else {
        err_set(e, ERR_UNAVAILABLE, "environment \"%s\" of project \"%s\": %s", offer->environment,
                offer->project, now->message);
    }
    frozen_clear(&frozen);
    return result;
}

static int not_found(const struct offer_list *list, const char *name, struct err *e)
{
    auto_buf struct buf names = {0};

    for (size_t i = 0; i < list->count; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", list->items[i].name);
    if (!name || !*name)
        return err_set(e, ERR_NOT_FOUND, "there are no kernelspecs on this machine");
    return err_set(e, ERR_NOT_FOUND, "there is no kernelspec \"%s\"; there are: %s", name,
                   names.len ? buf_text(&names) : "none");
}

enum kernel_refusal kernel_make(struct interactive_task *task, const struct jupyter *jupyter,
                                const struct kernel_wish *wish, struct err *e)
{
    auto_with(offer_list_drop_at) struct offer_list *list =
        offers_get(jupyter->offers, OFFERS_RECENT);
    const struct offer *offer = offer_list_find(list, wish->name);

    if (!offer) { /* it may have come just now */
        offer_list_drop(list);
        list = offers_get(jupyter->offers, OFFERS_NOW);
        offer = offer_list_find(list, wish->name);
    }
    if (!offer) {
        not_found(list, wish->name, e);
        return KERNEL_UNKNOWN;
    }
    struct making making = {.jupyter = jupyter, .wish = wish, .offer = offer};
    int result =
        offer->environment ? make_of_environment(task, &making, e) : fill(task, &making, e);
    if (result == 0)
        return KERNEL_IS_FINE;
    e->code = ERR_UNAVAILABLE; /* nothing of what the client sent is wrong */
    return KERNEL_CANNOT_BE;
}
