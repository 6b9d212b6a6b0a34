/* The order keeps every reference whole: the links to the newest results first, then the database,
 * which knows the runs that they lead to, then the files, which have all that the database speaks
 * of. The database gets its name last: a copy without one was cut short. */
#include "runner/engine/backup.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/tree.h"
#include "runner/store/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATABASE   "segue.db"
#define UNFINISHED "segue.db.part"

static int check_empty(const char *target, struct err *e)
{
    DIR *entries = opendir(target);
    bool is_empty = true;

    if (!entries)
        return err_errno(e, errno, "cannot read \"%s\"", target);
    for (struct dirent *entry; is_empty && (entry = readdir(entries));)
        is_empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(entries);
    return is_empty ? 0 : err_set(e, ERR_CONFLICT, "\"%s\" is not empty", target);
}

/* A copy inside of what is copied would be copied, too, without an end. */
static int check_outside(const char *state_dir, const char *target, struct err *e)
{
    auto_free char *state = realpath(state_dir, NULL);
    auto_free char *copy = realpath(target, NULL);
    size_t len = state ? strlen(state) : 0;

    if (!state || !copy || strncmp(copy, state, len) != 0 || (copy[len] && copy[len] != '/'))
        return 0;
    rmdir(target);
    return err_set(e, ERR_INVALID, "\"%s\" lies in the state directory \"%s\" itself", target,
                   state_dir);
}

static int make_target(const char *state_dir, const char *target, struct err *e)
{
    if (fs_mkdirs(target, 0700, e) < 0 || check_empty(target, e) < 0)
        return -1;
    return check_outside(state_dir, target, e);
}

static int copy_tree(const char *state_dir, const char *target, const char *name, struct err *e)
{
    auto_free char *from = fs_join(state_dir, name);
    auto_free char *to = fs_join(target, name);

    return fs_exists(from) ? tree_copy(from, to, e) : 0;
}

static int copy_database(struct store *store, const char *target, struct err *e)
{
    auto_free char *unfinished = fs_join(target, UNFINISHED);

    return store_copy(store, unfinished, e);
}

static int copy_all(struct store *store, const char *state_dir, const char *target, struct err *e)
{
    if (copy_tree(state_dir, target, "latest", e) < 0 || copy_database(store, target, e) < 0 ||
        copy_tree(state_dir, target, "id", e) < 0 || copy_tree(state_dir, target, "data", e) < 0)
        return -1;
    return copy_tree(state_dir, target, "runs", e);
}

/* The files, then the name that says that they are all there. */
static int finish(const char *target, struct err *e)
{
    auto_close int fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || syncfs(fd) < 0 || renameat(fd, UNFINISHED, fd, DATABASE) < 0 || fsync(fd) < 0)
        return err_errno(e, errno, "cannot finish the copy in \"%s\"", target);
    return 0;
}

int backup_make(const char *state_dir, const char *target, struct err *e)
{
    auto_free char *database = fs_join(state_dir, DATABASE);
    auto_store struct store *store = NULL;

    if (store_open(database, STORE_READ, &store, e) < 0 || make_target(state_dir, target, e) < 0 ||
        copy_all(store, state_dir, target, e) < 0)
        return -1;
    return finish(target, e);
}
