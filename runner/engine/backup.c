#include "runner/engine/backup.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/tree.h"
#include "runner/engine/store.h"

#include <sys/stat.h>
#include <unistd.h>

static int make_target(const char *target, struct err *e)
{
    if (fs_mkdirs(target, 0700, e) < 0)
        return -1;
    if (rmdir(target) < 0)
        return err_set(e, ERR_CONFLICT, "\"%s\" is not empty", target);
    return fs_mkdirs(target, 0700, e);
}

static int copy_database(const char *state_dir, const char *target, struct err *e)
{
    auto_free char *from = fs_join(state_dir, "segue.db");
    auto_free char *to = fs_join(target, "segue.db");
    auto_store struct store *store = NULL;

    if (store_open(from, STORE_READ, &store, e) < 0)
        return -1;
    return store_copy(store, to, e);
}

static int copy_files(const char *state_dir, const char *target, struct err *e)
{
    static const char *const names[] = {"id", "runs", "latest", "data"};

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        auto_free char *from = fs_join(state_dir, names[i]);
        auto_free char *to = fs_join(target, names[i]);
        if (fs_exists(from) && tree_copy(from, to, e) < 0)
            return -1;
    }
    return 0;
}

int backup_make(const char *state_dir, const char *target, struct err *e)
{
    if (make_target(target, e) < 0 || copy_database(state_dir, target, e) < 0)
        return -1;
    return copy_files(state_dir, target, e);
}
