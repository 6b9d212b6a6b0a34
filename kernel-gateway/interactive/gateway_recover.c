/* What an earlier gateway has left: kernels that live are taken up, those whose keepers are gone
 * are cleared away. */
#include "base/fs.h"
#include "base/mem.h"
#include "kernel-gateway/interactive/gateway_private.h"
#include "kernel-gateway/keeper/keeper.h"

#include <dirent.h>
#include <string.h>

/* One that is still held belongs to a keeper that cannot read it either, and ends by that. */
static void remove_garbage(const char *directory)
{
    struct err ignored;

    if (!keeper_is_alive(directory))
        fs_remove_tree(directory, &ignored);
}

static void clear_away(struct gateway *gateway, const struct gateway_kernel *kernel)
{
    struct gateway_leavings leavings = {
        .launcher = kernel->launcher,
        .mark = kernel->task.mark,
        .directory = kernel->directory,
        .sockets = kernel->sockets,
    };

    gateway_cleaner_add(gateway->cleaner, &leavings);
}

static void take_up(struct gateway *gateway, struct gateway_kernel *kernel)
{
    enum keeper_found found;
    struct err ignored;

    if (gateway_kernel_adopt(kernel, &found, &ignored) < 0) {
        gateway_kernel_free(kernel); /* or the next time */
        return;
    }
    switch (found) {
    case KEEPER_LIVES:
        gateway_table_take_up(gateway, kernel);
        return;
    case KEEPER_GONE:
        clear_away(gateway, kernel);
        break;
    case KEEPER_NEVER_BEGUN:
        gateway_remove_files(kernel->directory, kernel->sockets);
        break;
    }
    gateway_kernel_free(kernel);
}

static void recover_one(struct gateway *gateway, const char *name)
{
    auto_free char *directory = fs_join(gateway->directory, name);
    auto_interactive_task struct interactive_task task = {0};
    struct err ignored;

    if (interactive_task_read(&task, directory, &ignored) < 0 ||
        strcmp(task.kernel_id, name) != 0) {
        remove_garbage(directory);
        return;
    }
    take_up(gateway, gateway_kernel_new(gateway, &task));
}

void gateway_recover(struct gateway *gateway)
{
    DIR *entries = opendir(gateway->directory);

    if (!entries)
        return;
    for (struct dirent *entry; (entry = readdir(entries));)
        if (entry->d_name[0] != '.')
            recover_one(gateway, entry->d_name);
    closedir(entries);
}
