/* How a copy comes to be of one moment, though nothing stops others from writing: each entry is
 * looked at before it is copied, and all of them once more when the last is copied. If they all
 * still look the same, none has changed between its first look and its second; so all of them were
 * together as they were copied at the moment when copying ended.
 *
 * A change shows in a file's inode, size or times. The kernel takes times from a clock that moves
 * in ticks: a second change within a tick leaves the same time, so what changed just now does not
 * count as looked at.
 */
#include "runner/snapshots/project_snapshot.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/tree.h"
#include "runner/snapshots/ignore.h"

#include <dirent.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#define MAKING ".making-"

/* An editor's save, or a script's few files, are over by the second or third time. */
enum { TRIES = 4, PAUSE_MS = 100 };

/* The longest tick of a kernel, with some room. */
enum { TICK_MS = 20 };

/* What tells whether an entry has changed. */
struct look {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct making {
    const char *project;
    int root;          /* the project's directory */
    struct stat place; /* where the snapshot is made */
    struct ignore ignore;
    struct buf seen; /* a struct look and a path with its NUL for each entry */
    uint64_t entries;
    struct project_snapshot_size size;
};

static void making_clear(struct making *m)
{
    ignore_clear(&m->ignore);
    buf_clear(&m->seen);
    mem_auto_close(&m->root);
}

/* --- what has changed --- */

static struct look look_of(const struct stat *st)
{
    return (struct look){st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim};
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_same(const struct look *a, const struct look *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           is_same_time(a->modified, b->modified) && is_same_time(a->changed, b->changed);
}

static bool is_just_now(struct timespec then)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    int64_t ms = (now.tv_sec - then.tv_sec) * 1000 + (now.tv_nsec - then.tv_nsec) / 1000000;
    return ms >= -TICK_MS && ms <= TICK_MS;
}

static int fail_changed(const char *path, struct err *e)
{
    return err_set(e, ERR_CONFLICT, "\"%s\" changed while the project was copied",
                   *path ? path : ".");
}

static int remember(struct making *m, const struct tree_entry *entry, struct err *e)
{
    struct look look = look_of(entry->st);

    if (is_just_now(look.changed))
        return fail_changed(entry->path, e);
    buf_put(&m->seen, &look, sizeof look);
    buf_put(&m->seen, entry->path, strlen(entry->path) + 1);
    return 1;
}

static int check_unchanged(const struct making *m, struct err *e)
{
    const char *end = m->seen.data + m->seen.len;

    for (const char *p = m->seen.data; p < end;) {
        const char *path = p + sizeof(struct look);
        struct look before, after;
        struct stat st;
        memcpy(&before, p, sizeof before);
        if (fstatat(m->root, path, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
            return fail_changed(path, e);
        after = look_of(&st);
        if (!is_same(&before, &after))
            return fail_changed(path, e);
        p = path + strlen(path) + 1;
    }
    return 0;
}

/* --- what is copied --- */

/* EAGAIN: something was renamed meanwhile, so that the kernel cannot vouch for "..". */
static int open_link(int root, const char *path)
{
    enum { TRIES_MAX = 100 };
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;

    for (int i = 0; i < TRIES_MAX; i++) {
        fd = syscall(SYS_openat2, root, path, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return (int)fd;
}

/* A link that leads nowhere leads out of nothing. */
static int check_link(const struct making *m, const char *path, struct err *e)
{
    auto_close int fd = open_link(m->root, path);

    if (fd < 0 && errno == EXDEV)
        return err_set(e, ERR_INVALID,
                       "the link \"%s\" leads out of the project, or is not relative (what a "
                       ".segueignore names is left out)",
                       path);
    if (fd < 0 && errno == EAGAIN)
        return fail_changed(path, e);
    return 0;
}

static int enter_directory(struct making *m, const struct tree_entry *entry, const void **scope,
                           struct err *e)
{
    const struct ignore_level *level = *scope;

    if (entry->st->st_dev == m->place.st_dev && entry->st->st_ino == m->place.st_ino)
        return err_set(e, ERR_INVALID,
                       "the project's snapshot would lie in the project, in \"%s\" (what a "
                       ".segueignore names is left out)",
                       *entry->path ? entry->path : ".");
    if (ignore_enter(&m->ignore, entry->at, entry->name, entry->path, level, &level, e) < 0)
        return -1;
    *scope = level;
    return 0;
}

static int count_file(struct making *m, const struct stat *st, struct err *e)
{
    if (!S_ISREG(st->st_mode))
        return 0;
    m->size.files++;
    m->size.bytes += (uint64_t)st->st_size;
    if (m->size.bytes > LIMIT_SNAPSHOT_BYTES)
        return err_set(e, ERR_LIMIT, "the project is larger than %lu GiB",
                       LIMIT_SNAPSHOT_BYTES / GiB);
    return 0;
}

static bool is_left_out(const struct tree_entry *entry, const struct ignore_level *level)
{
    if (strcmp(entry->name, ".git") == 0 || strcmp(entry->name, ".ipynb_checkpoints") == 0)
        return true;
    return ignore_matches(level, entry->path,
                          S_ISDIR(entry->st->st_mode) ? IGNORE_DIRECTORY : IGNORE_FILE);
}

/* Environments are needed whether they are in git or not: patterns from outside do not reach in. */
static bool is_needed(const char *path)
{
    return strcmp(path, ".segue") == 0 || strcmp(path, ".orchest") == 0;
}

/* tree_options.choose */
static int choose(void *user, const struct tree_entry *entry, const void **scope, struct err *e)
{
    struct making *m = user;
    mode_t mode = entry->st->st_mode;

    if (is_needed(entry->path))
        *scope = NULL;
    else if (*entry->path && is_left_out(entry, *scope))
        return 0;
    if (++m->entries > LIMIT_SNAPSHOT_FILES)
        return err_set(e, ERR_LIMIT, "the project has more than %u files", LIMIT_SNAPSHOT_FILES);
    if ((S_ISDIR(mode) && enter_directory(m, entry, scope, e) < 0) ||
        (S_ISLNK(mode) && check_link(m, entry->path, e) < 0) || count_file(m, entry->st, e) < 0)
        return -1;
    return remember(m, entry, e);
}

/* --- whole or not at all --- */

static char *making_name(const char *place)
{
    char digits[17];

    random_hex(digits, 16);
    return mem_printf("%s/" MAKING "%s", place, digits);
}

/* What was there lies aside under a maker's name until it is removed, so that
 * project_snapshot_clean finds it after a kill. */
static int put_in_place(const char *place, const char *made, const char *to, struct err *e)
{
    auto_free char *old = making_name(place);
    struct err ignored;
    bool is_there = rename(to, old) == 0;

    if (!is_there && errno != ENOENT)
        return err_errno(e, errno, "cannot replace \"%s\"", to);
    if (rename(made, to) < 0) {
        err_errno(e, errno, "cannot make \"%s\"", to);
        if (is_there)
            (void)!rename(old, to);
        return -1;
    }
    if (is_there)
        project_snapshot_remove(old, &ignored);
    return 0;
}

/* An error of reading may come from a change, such as of a directory into a file. */
static int copy_once(const char *project, const struct stat *place, const char *to,
                     struct project_snapshot_size *ret_size, struct err *e)
{
    auto_with(making_clear) struct making m = {.project = project, .place = *place};
    struct tree_options options = {.drop = 0222, .choose = choose, .user = &m};

    m.root = open(project, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (m.root < 0)
        return err_errno(e, errno, "cannot open the project \"%s\"", project);
    int copied = tree_copy_with(project, to, &options, e);
    if (copied < 0 && e->code != ERR_IO)
        return -1;
    if (check_unchanged(&m, e) < 0 || copied < 0)
        return -1;
    *ret_size = m.size;
    return 0;
}

static int copy_still(const char *project, const struct stat *place, const char *to,
                      struct project_snapshot_size *ret_size, struct err *e)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
    struct err ignored;

    for (int i = 0; i < TRIES; i++) {
        if (i > 0)
            nanosleep(&pause, NULL);
        if (copy_once(project, place, to, ret_size, e) == 0)
            return 0;
        project_snapshot_remove(to, &ignored);
        if (e->code != ERR_CONFLICT)
            return -1;
    }
    return err_prefix(e, "the project does not hold still");
}

/* Everything is on the disk before it has its name: a job that was acknowledged has its snapshot
 * after a power loss, too. One syncfs for all files, as a journal commit for each of them would
 * take as long as all the rest. */
static int make_in(const char *place, const char *project, const char *to,
                   struct project_snapshot_size *ret_size, struct err *e)
{
    auto_free char *made = making_name(place);
    auto_close int fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct err ignored;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(e, errno, "cannot open \"%s\"", place);
    if (copy_still(project, &st, made, ret_size, e) < 0)
        return -1;
    int result = syncfs(fd) < 0 ? err_errno(e, errno, "cannot write \"%s\"", made)
                                : put_in_place(place, made, to, e);
    if (result < 0)
        project_snapshot_remove(made, &ignored);
    else if (fsync(fd) < 0)
        return err_errno(e, errno, "cannot write \"%s\"", place);
    return result;
}

int project_snapshot_make(const char *project, const char *to,
                          struct project_snapshot_size *ret_size, struct err *e)
{
    auto_free char *place = fs_dirname(to);
    bool is_new = !fs_exists(place);

    if (fs_mkdirs(place, 0700, e) < 0)
        return -1;
    int result = make_in(place, project, to, ret_size, e);
    if (result < 0 && is_new)
        rmdir(place);
    return result;
}

int project_snapshot_copy(const char *from, const char *to, struct err *e)
{
    const struct tree_options options = {.add = 0200};
    auto_free char *place = fs_dirname(to);
    auto_free char *made = making_name(place);
    struct err ignored;

    if (fs_mkdirs(place, 0755, e) < 0)
        return -1;
    if (tree_copy_with(from, made, &options, e) == 0 && put_in_place(place, made, to, e) == 0)
        return 0;
    project_snapshot_remove(made, &ignored);
    return -1;
}

/* --- removing --- */

/* Makes directories writable for us, who own them. Whatever fails here makes removing fail. */
static void unlock(const char *path)
{
    char *const roots[] = {(char *)path, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);

    for (FTSENT *entry; tree && (entry = fts_read(tree));)
        if (entry->fts_info == FTS_D)
            (void)!chmod(entry->fts_accpath, entry->fts_statp->st_mode | 0700);
    if (tree)
        fts_close(tree);
}

/* Root needs no write permission, and must not be led by paths through what users write in. */
int project_snapshot_remove(const char *path, struct err *e)
{
    if (fs_remove_tree(path, e) == 0)
        return 0;
    if (geteuid() == 0)
        return -1;
    unlock(path);
    return fs_remove_tree(path, e);
}

static void closedir_at(DIR **at)
{
    if (*at)
        closedir(*at);
}

int project_snapshot_clean(const char *directory, struct err *e)
{
    auto_with(closedir_at) DIR *entries = opendir(directory);

    if (!entries)
        return errno == ENOENT ? 0 : err_errno(e, errno, "cannot read \"%s\"", directory);
    for (const struct dirent *entry; (entry = readdir(entries));) {
        if (strncmp(entry->d_name, MAKING, strlen(MAKING)) != 0)
            continue;
        auto_free char *path = fs_join(directory, entry->d_name);
        if (project_snapshot_remove(path, e) < 0)
            return -1;
    }
    return 0;
}
