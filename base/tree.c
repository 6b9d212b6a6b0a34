/* Directories wait in a list of what is still to be done, and every one is opened by its path below
 * the root, links refused: no depth takes more of our stack or descriptors, and the files in it are
 * reached by its descriptor and their bare names, which spares the kernel their long paths.
 */
#include "base/tree.h"

#include "base/buf.h"
#include "base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

/* A directory whose copy is made and still empty. */
struct waiting {
    char *path; /* below the root; "" for the root */
    struct stat st;
    const void *scope;
};

struct copy {
    const char *from, *to; /* for errors */
    const struct tree_options *options;
    uid_t uid; /* what new files belong to */
    gid_t gid;
    int from_root, to_root; /* the two roots */
    struct waiting *waiting;
    size_t count, capacity;
};

/* What is being done: an entry of an open directory, to be copied to the same name elsewhere. */
struct item {
    struct tree_entry entry;
    int to_at;
    const char *to_name;
    const void *scope;
};

static void copy_clear(struct copy *c)
{
    while (c->count)
        free(c->waiting[--c->count].path);
    free(c->waiting);
    mem_auto_close(&c->from_root);
    mem_auto_close(&c->to_root);
}

/* Fails with the entry's path in front, below the root that is meant. */
static int fail(const char *what, const char *root, const char *path, struct err *e)
{
    int number = errno;

    return err_errno(e, number, "cannot %s \"%s%s%s\"", what, root, *path ? "/" : "", path);
}

static int fail_reading(const struct copy *c, const char *path, struct err *e)
{
    return fail("read", c->from, path, e);
}

static int fail_making(const struct copy *c, const char *path, struct err *e)
{
    return fail("make", c->to, path, e);
}

/* --- one entry --- */

/* Not copy_file_range: that is for one file system, and the state may lie on another. */
static int copy_bytes(int from, int to)
{
    enum { STEP = 1 << 30 };
    ssize_t copied;

    if (ioctl(to, FICLONE, from) == 0)
        return 0;
    do
        copied = sendfile(to, from, NULL, STEP);
    while (copied > 0 || (copied < 0 && errno == EINTR));
    return copied < 0 ? -1 : 0;
}

/* Owner first: changing it may drop bits of the mode. Not being allowed to is no failure. */
static void set_attributes(const struct copy *c, int fd, const struct stat *st)
{
    struct timespec times[2] = {st->st_atim, st->st_mtim};

    if (st->st_uid != c->uid || st->st_gid != c->gid)
        (void)!fchown(fd, st->st_uid, st->st_gid);
    (void)!fchmod(fd, ((st->st_mode & 07777) | c->options->add) & ~c->options->drop);
    futimens(fd, times);
}

static int copy_file(const struct copy *c, const struct item *item, struct err *e)
{
    const struct tree_entry *entry = &item->entry;
    auto_close int in =
        openat(entry->at, entry->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

    if (in < 0)
        return errno == ENOENT ? 0 : fail_reading(c, entry->path, e);
    auto_close int out =
        openat(item->to_at, item->to_name,
               O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (out < 0)
        return fail_making(c, entry->path, e);
    if (copy_bytes(in, out) < 0)
        return fail("copy to", c->to, entry->path, e);
    set_attributes(c, out, entry->st);
    return 0;
}

static int copy_link(const struct copy *c, const struct item *item, struct err *e)
{
    const struct tree_entry *entry = &item->entry;
    const struct stat *st = entry->st;
    struct timespec times[2] = {st->st_atim, st->st_mtim};
    char target[PATH_MAX];
    ssize_t len = readlinkat(entry->at, entry->name, target, sizeof target - 1);

    if (len < 0)
        return errno == ENOENT ? 0 : fail_reading(c, entry->path, e);
    target[len] = 0;
    if (symlinkat(target, item->to_at, item->to_name) < 0)
        return fail_making(c, entry->path, e);
    if (st->st_uid != c->uid || st->st_gid != c->gid)
        (void)!fchownat(item->to_at, item->to_name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW);
    utimensat(item->to_at, item->to_name, times, AT_SYMLINK_NOFOLLOW);
    return 0;
}

/* What is in it comes later, and its attributes after that: it may be read-only. */
static int begin_directory(struct copy *c, const struct item *item, struct err *e)
{
    const struct tree_entry *entry = &item->entry;

    if (mkdirat(item->to_at, item->to_name, 0700) < 0 && errno != EEXIST)
        return fail_making(c, entry->path, e);
    mem_grow(c->waiting, c->count, c->capacity);
    c->waiting[c->count++] = (struct waiting){mem_strdup(entry->path), *entry->st, item->scope};
    return 0;
}

static int copy_entry(struct copy *c, struct item *item, struct err *e)
{
    mode_t mode = item->entry.st->st_mode;

    if (!S_ISDIR(mode) && !S_ISREG(mode) && !S_ISLNK(mode))
        return 0;
    if (c->options->choose) {
        int chosen = c->options->choose(c->options->user, &item->entry, &item->scope, e);
        if (chosen <= 0)
            return chosen;
    }
    return S_ISDIR(mode)   ? begin_directory(c, item, e)
           : S_ISREG(mode) ? copy_file(c, item, e)
                           : copy_link(c, item, e);
}

/* --- directories --- */

static void closedir_at(DIR **at)
{
    if (*at)
        closedir(*at);
}

static int open_below(int root, const char *path)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
    };

    return (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
}

static DIR *open_entries(int root, const char *path)
{
    auto_close int fd = open_below(root, path);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);

    if (entries)
        take_fd(&fd);
    return entries;
}

/* `path` is the directory's with a slash, or "": names are put behind it and cut off again. */
static int copy_entries(struct copy *c, DIR *entries, int to, const void *scope, struct buf *path,
                        struct err *e)
{
    size_t prefix = path->len;
    struct stat st;

    for (;;) {
        errno = 0;
        const struct dirent *found = readdir(entries);
        path->len = prefix;
        buf_puts(path, found ? found->d_name : "");
        if (!found)
            return errno ? fail_reading(c, path->data, e) : 0;
        if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
            continue;
        struct item item = {
            {path->data, dirfd(entries), found->d_name, &st}, to, found->d_name, scope};
        if (fstatat(dirfd(entries), found->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno != ENOENT)
                return fail_reading(c, path->data, e);
            continue;
        }
        if (copy_entry(c, &item, e) < 0)
            return -1;
    }
}

/* The attributes of the root come last of all: until then it keeps everybody else out. */
static int copy_directory(struct copy *c, const struct waiting *directory, struct err *e)
{
    auto_with(closedir_at) DIR *entries = open_entries(c->from_root, directory->path);
    auto_buf struct buf path = {0};

    if (!entries)
        return errno == ENOENT ? 0 : fail_reading(c, directory->path, e);
    auto_close int to = open_below(c->to_root, directory->path);
    if (to < 0)
        return fail_making(c, directory->path, e);
    buf_puts(&path, directory->path);
    if (path.len)
        buf_putc(&path, '/');
    if (copy_entries(c, entries, to, directory->scope, &path, e) < 0)
        return -1;
    if (*directory->path)
        set_attributes(c, to, &directory->st);
    return 0;
}

static int copy_waiting(struct copy *c, struct err *e)
{
    while (c->count) {
        struct waiting directory = c->waiting[--c->count];
        int result = copy_directory(c, &directory, e);
        free(directory.path);
        if (result < 0)
            return -1;
    }
    return 0;
}

static int copy_root_directory(struct copy *c, const struct stat *st, struct err *e)
{
    c->from_root = open(c->from, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (c->from_root < 0)
        return fail_reading(c, "", e);
    c->to_root = open(c->to, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (c->to_root < 0)
        return fail_making(c, "", e);
    if (copy_waiting(c, e) < 0)
        return -1;
    set_attributes(c, c->to_root, st);
    return 0;
}

int tree_copy_with(const char *from, const char *to, const struct tree_options *options,
                   struct err *e)
{
    auto_with(copy_clear) struct copy c = {
        .from = from,
        .to = to,
        .options = options ? options : &(struct tree_options){0},
        .uid = geteuid(),
        .gid = getegid(),
        .from_root = -1,
        .to_root = -1,
    };
    struct stat st;
    struct item root = {{"", AT_FDCWD, from, &st}, AT_FDCWD, to, NULL};

    if (lstat(from, &st) < 0)
        return fail_reading(&c, "", e);
    if (copy_entry(&c, &root, e) < 0)
        return -1;
    return c.count ? copy_root_directory(&c, &st, e) : 0;
}

int tree_copy(const char *from, const char *to, struct err *e)
{
    return tree_copy_with(from, to, NULL, e);
}
