#include "runner/engine/results.h"

#include "base/fs.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INDEX "index.json"

struct uuid results_key(const char *project_dir, const char *pipeline_uuid)
{
    auto_free char *name = mem_printf("%s\n%s", project_dir, pipeline_uuid);

    return uuid_from_name(name);
}

static char *latest_dir(const char *root, const struct uuid *key)
{
    return mem_printf("%s/latest/%s", root, key->text);
}

/* As seen from latest/<key>/, where that is possible: the whole state may be moved or copied. */
static char *link_target(const char *root, const char *results)
{
    size_t len = strlen(root);

    if (strncmp(results, root, len) == 0 && results[len] == '/')
        return mem_printf("../..%s", results + len);
    return mem_strdup(results);
}

int results_publish(const char *root, const struct uuid *key, const char *step_uuid,
                    const char *io_dir, struct err *e)
{
    auto_free char *results = fs_join(io_dir, step_uuid);
    auto_free char *index = fs_join(results, INDEX);
    auto_free char *directory = latest_dir(root, key);
    auto_free char *link = fs_join(directory, step_uuid);
    char tail[9];

    if (!fs_exists(index))
        return 0;
    if (fs_mkdirs(directory, 0755, e) < 0)
        return -1;
    random_hex(tail, 8);
    auto_free char *fresh = mem_printf("%s.%s", link, tail);
    auto_free char *target = link_target(root, results);
    if (symlink(target, fresh) < 0 || rename(fresh, link) < 0) {
        err_errno(e, errno, "cannot note the newest results of a step in \"%s\"", link);
        unlink(fresh);
        return -1;
    }
    return 0;
}

static int bring_file(const char *from_dir, const char *to_dir, const char *name, struct err *e)
{
    auto_free char *from = fs_join(from_dir, name);
    auto_free char *to = fs_join(to_dir, name);

    if (link(from, to) == 0)
        return 0;
    return fs_copy(from, to, 0644, e);
}

char *results_latest(const char *root, const struct uuid *key, const char *step_uuid)
{
    auto_free char *directory = latest_dir(root, key);

    return fs_join(directory, step_uuid);
}

int results_bring(const char *from, const char *step_uuid, const char *io_dir, struct err *e)
{
    auto_free char *index = fs_join(from, INDEX);
    auto_free char *to = fs_join(io_dir, step_uuid);

    if (!fs_exists(index))
        return 0;
    if (fs_mkdirs(to, 0755, e) < 0)
        return -1;
    DIR *entries = opendir(from);
    if (!entries)
        return err_errno(e, errno, "cannot read earlier results in \"%s\"", from);
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(entries));)
        if ((entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN) && entry->d_name[0] != '.' &&
            strcmp(entry->d_name, INDEX) != 0)
            result = bring_file(from, to, entry->d_name, e);
    closedir(entries);
    /* Last, as the SDK does: what the index names is there. */
    return result < 0 ? -1 : bring_file(from, to, INDEX, e);
}
