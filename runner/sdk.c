#include "runner/sdk.h"

#include "base/fs.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/tree.h"

#include <fts.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* From the program's own directory: PREFIX/bin and build/<variant>. */
static const char *const places[] = {"../share/segue/python", "../../runner/sdk/python"};

char *sdk_find(struct err *e)
{
    char program[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);

    program[len > 0 ? len : 0] = 0;
    auto_free char *directory = fs_dirname(program);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        auto_free char *place = fs_join(directory, places[i]);
        char *real = realpath(place, NULL);
        if (real)
            return real;
    }
    err_set(e, ERR_NOT_FOUND,
            "the Python module for steps is not beside \"%s\": install Segue anew", program);
    return NULL;
}

/* --- the copy --- */

/* Differs when any file differs, as far as names, sizes and times tell. Python may keep bytecode
 * beside them at any time. */
static struct uuid fingerprint(const char *directory)
{
    char *const roots[] = {(char *)directory, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    uint64_t sum = 0;

    for (FTSENT *entry; tree && (entry = fts_read(tree));) {
        if (entry->fts_info == FTS_D && strcmp(entry->fts_name, "__pycache__") == 0)
            fts_set(tree, entry, FTS_SKIP);
        if (entry->fts_info != FTS_F)
            continue;
        auto_free char *line = mem_printf("%s %lld %lld.%ld", entry->fts_path + strlen(directory),
                                          (long long)entry->fts_statp->st_size,
                                          (long long)entry->fts_statp->st_mtim.tv_sec,
                                          entry->fts_statp->st_mtim.tv_nsec);
        struct uuid hash = uuid_from_name(line);
        sum += strtoull(hash.text + 24, NULL, 16); /* in whatever order they come */
    }
    if (tree)
        fts_close(tree);
    auto_free char *all = mem_printf("%llx", (unsigned long long)sum);
    return uuid_from_name(all);
}

/* Whole or not at all: a name that is there is a whole copy. */
static int copy(const char *from, const char *to, struct err *e)
{
    auto_free char *fresh = mem_printf("%s.new", to);
    struct err ignored;

    fs_remove_tree(fresh, &ignored);
    if (tree_copy(from, fresh, e) < 0)
        return -1;
    if (rename(fresh, to) < 0 && !fs_exists(to))
        return err_errno(e, errno, "cannot make \"%s\"", to);
    return 0;
}

char *sdk_keep(const char *state_dir, struct err *e)
{
    auto_free char *from = sdk_find(e);
    auto_free char *copies = fs_join(state_dir, "sdk");

    if (!from || fs_mkdirs(copies, 0755, e) < 0)
        return NULL;
    auto_free char *to = mem_printf("%s/%.8s", copies, fingerprint(from).text);
    if (!fs_exists(to) && copy(from, to, e) < 0)
        return NULL;
    return take_ptr(&to);
}
