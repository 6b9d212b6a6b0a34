#include "base/tree.h"

#include "base/mem.h"

#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

/* Not copy_file_range: that is for one file system, and the state may lie on another. */
static int copy_bytes(int from, int to, const char *name, struct err *e)
{
    enum { STEP = 1 << 30 };
    ssize_t copied;

    if (ioctl(to, FICLONE, from) == 0)
        return 0;
    do
        copied = sendfile(to, from, NULL, STEP);
    while (copied > 0 || (copied < 0 && errno == EINTR));
    return copied < 0 ? err_errno(e, errno, "cannot copy to \"%s\"", name) : 0;
}

static int copy_file(const FTSENT *entry, const char *to, struct err *e)
{
    auto_close int in = open(entry->fts_accpath, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (in < 0)
        return errno == ENOENT ? 1 : err_errno(e, errno, "cannot open \"%s\"", entry->fts_path);
    auto_close int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0)
        return err_errno(e, errno, "cannot make \"%s\"", to);
    return copy_bytes(in, out, to, e);
}

static int copy_link(const FTSENT *entry, const char *to, struct err *e)
{
    char target[PATH_MAX];
    ssize_t len = readlink(entry->fts_accpath, target, sizeof target - 1);

    if (len < 0)
        return errno == ENOENT ? 1 : err_errno(e, errno, "cannot read \"%s\"", entry->fts_path);
    target[len] = 0;
    return symlink(target, to) < 0 ? err_errno(e, errno, "cannot make \"%s\"", to) : 0;
}

/* Owner first: changing it may drop bits of the mode. Not being allowed to is no failure. */
static void copy_attributes(const struct stat *st, const char *to)
{
    struct timespec times[2] = {st->st_atim, st->st_mtim};

    (void)!lchown(to, st->st_uid, st->st_gid);
    if (!S_ISLNK(st->st_mode))
        (void)!chmod(to, st->st_mode & 07777);
    utimensat(AT_FDCWD, to, times, AT_SYMLINK_NOFOLLOW);
}

/* 1: it is gone, or nothing that is copied. */
static int copy_entry(const FTSENT *entry, const char *to, struct err *e)
{
    switch (entry->fts_info) {
    case FTS_D:
        return mkdir(to, 0700) < 0 && errno != EEXIST
                   ? err_errno(e, errno, "cannot make \"%s\"", to)
                   : 1; /* its attributes come last: it may be read-only */
    case FTS_DP:
        return 0;
    case FTS_F:
        return copy_file(entry, to, e);
    case FTS_SL:
    case FTS_SLNONE:
        return copy_link(entry, to, e);
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return entry->fts_errno == ENOENT && entry->fts_level > FTS_ROOTLEVEL
                   ? 1
                   : err_errno(e, entry->fts_errno, "cannot read \"%s\"", entry->fts_path);
    default:
        return 1;
    }
}

static int copy_all(FTS *tree, size_t prefix, const char *to, struct err *e)
{
    for (FTSENT *entry; (entry = fts_read(tree));) {
        auto_free char *path = mem_printf("%s%s", to, entry->fts_path + prefix);
        int copied = copy_entry(entry, path, e);
        if (copied < 0)
            return -1;
        if (copied == 0)
            copy_attributes(entry->fts_statp, path);
    }
    return 0;
}

int tree_copy(const char *from, const char *to, struct err *e)
{
    char *const roots[] = {(char *)from, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);

    if (!tree)
        return err_errno(e, errno, "cannot read \"%s\"", from);
    int result = copy_all(tree, strlen(from), to, e);
    fts_close(tree);
    return result;
}
