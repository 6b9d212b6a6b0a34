#include "runner/engine/recover.h"

#include "base/fs.h"
#include "base/mem.h"
#include "kernel-gateway/keeper/keeper.h"
#include "runner/engine/step_kernels.h"
#include "runner/step/notebook_task.h"
#include "runner/step/task.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* The executed copy as the keeper would have left it, had it come to the end. */
static int complete_notebook(const char *directory, const struct task *task, struct err *e)
{
    auto_notebook struct notebook *notebook = NULL;

    if (task->kind != STEP_NOTEBOOK)
        return 0;
    if (notebook_so_far(task, directory, &notebook, e) < 0)
        return -1;
    return notebook_save(notebook, task, e);
}

int recover_notebook(const char *directory, struct err *e)
{
    struct task task;

    if (task_read(&task, directory, e) < 0)
        return -1;
    int result = complete_notebook(directory, &task, e);
    task_clear(&task);
    return result;
}

int recover_attempt(const char *directory, const char *mark, enum launcher_kind launcher,
                    struct err *e)
{
    struct err second;
    struct task task;
    int cleaned = launch_clean(launcher, mark, e);
    struct err *rest = cleaned < 0 ? &second : e;

    if (task_read(&task, directory, rest) < 0)
        return -1;
    int completed = complete_notebook(directory, &task, rest);
    if (cleaned == 0)
        task_forget(&task);
    task_clear(&task);
    return cleaned < 0 || completed < 0 ? -1 : 0;
}

/* --- state directories of dead engines --- */

static enum launcher_kind launcher_of(const char *directory)
{
    enum launcher_kind kind = LAUNCHER_PROCESS;
    struct task task;
    struct err ignored;

    if (task_read(&task, directory, &ignored) < 0)
        return kind;
    launcher_of_name(task.launcher ? task.launcher : "", &kind);
    task_clear(&task);
    return kind;
}

/* `socket_dir` is k/<mark>. Its keeper may still be on its way out, or stay with a kernel that was
 * kept: then its lock is taken, and it will do all this itself, unless it is killed. */
int recover_mark(const char *socket_dir, const char *mark)
{
    auto_free char *link = fs_join(socket_dir, KEEPER_ATTEMPT);
    char directory[PATH_MAX];
    ssize_t len = readlink(link, directory, sizeof directory - 1);
    struct err ignored;

    if (len > 0) {
        directory[len] = 0;
        auto_free char *lock = fs_join(directory, KEEPER_LOCK);
        auto_close int lock_fd = fs_exists(lock) ? fs_lock(lock, &ignored) : -1;
        if (fs_exists(lock) && lock_fd < 0)
            return -1;
        if (recover_attempt(directory, mark, launcher_of(directory), &ignored) < 0 &&
            ignored.code == ERR_UNAVAILABLE)
            return -1;
    }
    fs_remove_tree(socket_dir, &ignored);
    return 0;
}

static bool leads_below(const char *link, const char *dir)
{
    char target[PATH_MAX];
    ssize_t len = readlink(link, target, sizeof target - 1);
    size_t dir_len = strlen(dir);

    if (len < 0)
        return false;
    target[len] = 0;
    return strncmp(target, dir, dir_len) == 0 && target[dir_len] == '/';
}

static int end_mark(const char *socket_dir, const char *mark)
{
    auto_free char *socket_path = fs_join(socket_dir, KEEPER_SOCKET);

    if (recover_mark(socket_dir, mark) == 0)
        return 0;
    return step_kernel_release(socket_path) ? recover_mark(socket_dir, mark) : -1;
}

int recover_run(const char *sockets, const char *run_dir)
{
    DIR *entries = opendir(sockets);
    int result = 0;

    if (!entries)
        return 0;
    for (struct dirent *entry; (entry = readdir(entries));) {
        auto_free char *socket_dir = fs_join(sockets, entry->d_name);
        auto_free char *link = fs_join(socket_dir, KEEPER_ATTEMPT);
        if (entry->d_name[0] != '.' && leads_below(link, run_dir) &&
            end_mark(socket_dir, entry->d_name) < 0)
            result = -1;
    }
    closedir(entries);
    return result;
}

static void try_mark(const char *socket_dir, const char *mark)
{
    recover_mark(socket_dir, mark); /* or the next time */
}

static void for_each_entry(const char *directory, void (*fn)(const char *path, const char *name))
{
    DIR *entries = opendir(directory);

    if (!entries)
        return;
    for (struct dirent *entry; (entry = readdir(entries));) {
        auto_free char *path = fs_join(directory, entry->d_name);
        if (entry->d_name[0] != '.')
            fn(path, entry->d_name);
    }
    closedir(entries);
}

static bool has_entries(const char *directory)
{
    DIR *entries = opendir(directory);
    bool found = false;

    if (!entries)
        return false;
    for (struct dirent *entry; !found && (entry = readdir(entries));)
        found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(entries);
    return found;
}

/* A lock is tried only where there is something to clear: there are as many directories as there
 * were runs, and one that is just being set up must not find its lock taken by us. */
static void recover_state_dir(const char *directory, const char *name)
{
    auto_free char *lock = fs_join(directory, "lock");
    auto_free char *sockets = fs_join(directory, "k");
    struct err ignored;

    (void)name;
    if (!has_entries(sockets) || !fs_exists(lock))
        return;
    auto_close int lock_fd = fs_lock(lock, &ignored);
    if (lock_fd >= 0)
        for_each_entry(sockets, try_mark);
}

void recover_state_dirs(const char *root)
{
    auto_free char *directory = fs_join(root, "cli");

    for_each_entry(directory, recover_state_dir);
}
