#include "base/fs.h"

#include "base/id.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

/* --- reading --- */

/* No terminal becomes ours, and no pipe without a writer holds us up: what the file is can only be
 * seen safely once it is open. */
enum { OPEN_TO_LOOK = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

static int check_regular(int fd, const char *name, struct stat *ret_st, struct err *e)
{
    if (fstat(fd, ret_st) < 0)
        return err_errno(e, errno, "cannot look at \"%s\"", name);
    if (!S_ISREG(ret_st->st_mode))
        return err_set(e, ERR_INVALID, "\"%s\" is not a regular file", name);
    return 0;
}

int fs_read(const char *path, size_t cap, struct buf *out, struct err *e)
{
    auto_close int fd = open(path, OPEN_TO_LOOK);
    if (fd < 0)
        return err_errno(e, errno, "cannot open \"%s\"", path);
    return fs_read_fd(fd, path, cap, out, e);
}

static int fail_too_large(const char *name, size_t cap, struct err *e)
{
    return err_set(e, ERR_LIMIT, "\"%s\" is larger than %zu bytes", name, cap);
}

/* The size is only a hint: a file may grow meanwhile, and those of /proc claim to be empty. */
int fs_read_fd(int fd, const char *name, size_t cap, struct buf *out, struct err *e)
{
    enum { STEP = 16384 };
    struct stat st;
    if (check_regular(fd, name, &st, e) < 0)
        return -1;
    if ((size_t)st.st_size > cap)
        return fail_too_large(name, cap, e);
    size_t before = out->len;
    buf_reserve(out, (size_t)st.st_size + 1);
    for (;;) {
        if (out->cap - out->len - 1 == 0)
            buf_reserve(out, STEP);
        ssize_t got = read(fd, out->data + out->len, out->cap - out->len - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got > 0)
            out->len += (size_t)got;
        bool too_large = out->len - before > cap;
        if (got < 0 || too_large)
            out->len = before;
        out->data[out->len] = 0;
        if (got < 0)
            return err_errno(e, errno, "cannot read \"%s\"", name);
        if (too_large)
            return fail_too_large(name, cap, e);
        if (got == 0)
            return 0;
    }
}

/* --- writing: a replacement lies beside its file until it takes the file's place --- */

#define TEMPORARY_SIZE 32

/* Everything happens relative to a descriptor of the directory, so that it stays the same one. */
struct replacement {
    int directory;
    int fd;
    char *target;              /* the file's path, links followed */
    char temp[TEMPORARY_SIZE]; /* the replacement's name; empty: it has none (any more) */
    bool is_new;               /* there was nothing to replace */
};

static void replacement_clear(struct replacement *r)
{
    if (r->temp[0])
        unlinkat(r->directory, r->temp, 0);
    mem_auto_close(&r->fd);
    mem_auto_close(&r->directory);
    free(r->target);
}

/* Where the symbolic links at `path` lead, also when nothing is there yet (unlike realpath). */
static char *follow_links(const char *path, struct err *e)
{
    enum { LINKS_MAX = 40 }; /* as in the kernel */
    auto_free char *at = mem_strdup(path);
    for (int i = 0; i < LINKS_MAX; i++) {
        char link[PATH_MAX];
        ssize_t len = readlink(at, link, sizeof link - 1);
        if (len < 0)
            return take_ptr(&at); /* no link, or nothing: the caller finds out */
        link[len] = 0;
        auto_free char *directory = fs_dirname(at);
        char *next = fs_join(directory, link);
        free(at);
        at = next;
    }
    err_errno(e, ELOOP, "cannot follow \"%s\"", path);
    return NULL;
}

/* Gives `fd` the owner and the mode of the file it will replace. Without the right to change the
 * owner the group may still work; without either nobody must gain rights by a set-id bit. */
static int keep_attributes(int fd, const struct stat *old)
{
    mode_t mode = old->st_mode & 07777;
    if (fchown(fd, old->st_uid, old->st_gid) < 0) {
        mode &= 01777;
        if (fchown(fd, (uid_t)-1, old->st_gid) < 0 && errno != EPERM)
            return -1;
    }
    return fchmod(fd, mode);
}

static void temporary_name(char name[static TEMPORARY_SIZE])
{
    char digits[17];

    random_hex(digits, 16);
    snprintf(name, TEMPORARY_SIZE, ".segue-%s.tmp", digits);
}

/* Without a name, where the file system can: then a process that is killed leaves nothing. */
static int replacement_open(struct replacement *r, mode_t mode)
{
    char temp[TEMPORARY_SIZE];

    r->fd = openat(r->directory, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, mode);
    if (r->fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return r->fd;
    temporary_name(temp);
    r->fd = openat(r->directory, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (r->fd >= 0)
        memcpy(r->temp, temp, sizeof temp);
    return r->fd;
}

static int replacement_create(struct replacement *r, mode_t mode, struct err *e)
{
    struct stat old;
    const char *name = fs_basename(r->target);
    bool exists = fstatat(r->directory, name, &old, AT_SYMLINK_NOFOLLOW) == 0;
    if (!exists && errno != ENOENT)
        return err_errno(e, errno, "cannot look at \"%s\"", r->target);
    if (exists && !S_ISREG(old.st_mode))
        return err_set(e, ERR_INVALID, "\"%s\" is not a regular file", r->target);

    r->is_new = !exists;
    /* What is kept secret by the old mode must not be open even for a moment. */
    if (replacement_open(r, exists ? 0600 : mode) < 0)
        return err_errno(e, errno, "cannot write beside \"%s\"", r->target);
    if (exists && keep_attributes(r->fd, &old) < 0)
        return err_errno(e, errno, "cannot keep owner and mode of \"%s\"", r->target);
    return 0;
}

static int replacement_begin(struct replacement *r, const char *path, mode_t mode, struct err *e)
{
    r->target = follow_links(path, e);
    if (!r->target)
        return -1;
    auto_free char *directory = fs_dirname(r->target);
    r->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->directory < 0)
        return err_errno(e, errno, "cannot open directory \"%s\"", directory);
    return replacement_create(r, mode, e);
}

static int link_as(const struct replacement *r, const char *name)
{
    char self[32];

    snprintf(self, sizeof self, "/proc/self/fd/%d", r->fd);
    return linkat(AT_FDCWD, self, r->directory, name, AT_SYMLINK_FOLLOW);
}

/* Gives a file without a name one: its own where nothing is there yet, else one to be renamed. */
static int replacement_name(struct replacement *r)
{
    char temp[TEMPORARY_SIZE];

    if (r->temp[0])
        return 0;
    if (r->is_new && link_as(r, fs_basename(r->target)) == 0)
        return 0;
    if (r->is_new && errno != EEXIST)
        return -1;
    temporary_name(temp);
    if (link_as(r, temp) < 0)
        return -1;
    memcpy(r->temp, temp, sizeof temp);
    return 0;
}

static int replacement_finish(struct replacement *r, enum fs_sync sync, struct err *e)
{
    if (sync == FS_SYNC && fsync(r->fd) < 0)
        return err_errno(e, errno, "cannot sync \"%s\"", r->target);
    if (replacement_name(r) < 0)
        return err_errno(e, errno, "cannot name \"%s\"", r->target);
    if (close(take_fd(&r->fd)) < 0) /* where quotas and network file systems report */
        return err_errno(e, errno, "cannot write \"%s\"", r->target);
    if (r->temp[0] && renameat(r->directory, r->temp, r->directory, fs_basename(r->target)) < 0)
        return err_errno(e, errno, "cannot replace \"%s\"", r->target);
    r->temp[0] = 0;
    if (sync == FS_SYNC && fsync(r->directory) < 0)
        return err_errno(e, errno, "cannot sync the directory of \"%s\"", r->target);
    return 0;
}

int fs_write(const char *path, struct str content, mode_t mode, enum fs_sync sync, struct err *e)
{
    auto_with(replacement_clear) struct replacement r = {.directory = -1, .fd = -1};
    if (replacement_begin(&r, path, mode, e) < 0)
        return -1;
    while (content.len) {
        ssize_t written = write(r.fd, content.text, content.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return err_errno(e, errno, "cannot write \"%s\"", path);
        content.text += written;
        content.len -= (size_t)written;
    }
    return replacement_finish(&r, sync, e);
}

int fs_copy(const char *from, const char *to, mode_t mode, struct err *e)
{
    enum { STEP = 1 << 30 };
    auto_close int source = open(from, OPEN_TO_LOOK);
    if (source < 0)
        return err_errno(e, errno, "cannot open \"%s\"", from);
    struct stat st;
    if (check_regular(source, from, &st, e) < 0)
        return -1;
    auto_with(replacement_clear) struct replacement r = {.directory = -1, .fd = -1};
    if (replacement_begin(&r, to, mode, e) < 0)
        return -1;
    for (;;) {
        ssize_t copied = sendfile(r.fd, source, NULL, STEP);
        if (copied == 0)
            return replacement_finish(&r, FS_NO_SYNC, e);
        if (copied < 0 && errno != EINTR)
            return err_errno(e, errno, "cannot copy \"%s\" to \"%s\"", from, to);
    }
}

/* --- directories --- */

/* mkdir says many things about a directory that is there already (a read-only file system, a parent
 * that is not ours): what counts is whether there is one afterwards. */
static int make_directory(const char *path, mode_t mode, struct err *e)
{
    if (mkdir(path, mode) == 0)
        return 0;
    int failure = errno;
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    return err_errno(e, failure, "cannot make directory \"%s\"", path);
}

/* What is missing is usually just the end, so it begins there: parts are cut off until one is
 * there, and put back one by one. */
int fs_mkdirs(const char *path, mode_t mode, struct err *e)
{
    auto_free char *part = mem_strdup(path);
    size_t len = strlen(part);
    while (make_directory(part, mode, e) < 0) {
        char *slash = strrchr(part, '/');
        if (e->code != ERR_NOT_FOUND || !slash || slash == part)
            return -1;
        *slash = 0;
    }
    for (size_t end; (end = strlen(part)) < len;) {
        part[end] = '/';
        if (make_directory(part, mode, e) < 0)
            return -1;
    }
    return 0;
}

/* A tree is emptied in one walk with a descriptor for each level, every step relative to one of
 * them, so that nobody can lead the walk elsewhere by exchanging a directory for a link. What lies
 * deeper than the levels there are is moved up to the root and left for another walk: no depth that
 * a user can make takes more of our stack or descriptors. */
enum { TREE_LEVELS = 32 };

struct tree_walk {
    DIR *levels[TREE_LEVELS];
    char names[TREE_LEVELS][NAME_MAX + 1]; /* of levels[i] in levels[i - 1] */
    int depth;                             /* the last open level; -1: none */
    bool again;                            /* something was moved to the root */
};

static int tree_fd(const struct tree_walk *w, int level)
{
    return dirfd(w->levels[level]);
}

/* Opens `name` in `directory` as the next level. */
static int tree_enter(struct tree_walk *w, int directory, const char *name)
{
    int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    DIR *opened = fdopendir(fd);
    if (!opened) {
        close(fd);
        return -1;
    }
    w->levels[++w->depth] = opened;
    snprintf(w->names[w->depth], sizeof w->names[0], "%s", name);
    return 0;
}

/* Closes the last level, which is empty, and removes it from the one above. */
static int tree_leave(struct tree_walk *w)
{
    closedir(w->levels[w->depth--]);
    if (w->depth < 0)
        return 0;
    return unlinkat(tree_fd(w, w->depth), w->names[w->depth + 1], AT_REMOVEDIR);
}

static int tree_move_up(struct tree_walk *w, int directory, const char *name)
{
    char moved[NAME_MAX + 1] = ".segue-";
    random_hex(moved + strlen(moved), 16);
    w->again = true;
    return renameat(directory, name, tree_fd(w, 0), moved);
}

/* One entry of the last level, or the way up behind its last one. What somebody else removed
 * meanwhile is removed. */
static int tree_step(struct tree_walk *w)
{
    int directory = tree_fd(w, w->depth);
    errno = 0;
    const struct dirent *entry = readdir(w->levels[w->depth]);
    if (!entry)
        return errno ? -1 : tree_leave(w);
    const char *name = entry->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || unlinkat(directory, name, 0) == 0)
        return 0;
    if (errno != EISDIR)
        return -1;
    if (w->depth + 1 == TREE_LEVELS)
        return tree_move_up(w, directory, name);
    return tree_enter(w, directory, name);
}

static int tree_empty(const char *path)
{
    struct tree_walk w;
    int result;
    do {
        w.depth = -1;
        w.again = false;
        result = tree_enter(&w, AT_FDCWD, path);
        while (result == 0 && w.depth >= 0) {
            result = tree_step(&w);
            if (result < 0 && errno == ENOENT)
                result = 0;
        }
    } while (result == 0 && w.again);
    int failure = errno;
    while (w.depth >= 0)
        closedir(w.levels[w.depth--]);
    errno = failure;
    return result;
}

int fs_remove_tree(const char *path, struct err *e)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return 0;
    if (errno == EISDIR && tree_empty(path) == 0 && rmdir(path) == 0)
        return 0;
    return errno == ENOENT ? 0 : err_errno(e, errno, "cannot remove \"%s\"", path);
}

/* --- names --- */

char *fs_join(const char *directory, const char *name)
{
    size_t len = strlen(directory);
    if (name[0] == '/' || len == 0)
        return mem_strdup(name);
    return mem_printf(directory[len - 1] == '/' ? "%s%s" : "%s/%s", directory, name);
}

char *fs_dirname(const char *path)
{
    const char *end = fs_basename(path);
    if (end == path)
        return mem_strdup(".");
    while (end > path + 1 && end[-1] == '/')
        end--;
    return mem_strndup(path, (size_t)(end - path));
}

const char *fs_basename(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The dot of a hidden file starts no extension. */
const char *fs_extension(const char *path)
{
    const char *name = fs_basename(path);
    const char *dot = strrchr(name, '.');
    return dot && dot > name ? dot : "";
}

bool fs_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* --- looking up, locking --- */

/* EAGAIN: something was renamed during the look-up, so that the kernel cannot vouch for "..". */
static int open_resolved(int directory, const char *relative)
{
    enum { TRIES = 100 };
    struct open_how how = {
        .flags = OPEN_TO_LOOK,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;
    for (int i = 0; i < TRIES; i++) {
        fd = syscall(SYS_openat2, directory, relative, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return (int)fd;
}

static int fail_beneath(const char *root, const char *relative, int failure, struct err *e)
{
    if (failure == EXDEV || failure == ELOOP)
        return err_set(e, ERR_INVALID, "\"%s\" leads out of \"%s\"", relative, root);
    if (failure == ENXIO) /* what opening a socket gives */
        return err_set(e, ERR_INVALID, "\"%s\" is not a regular file", relative);
    err_errno(e, failure == ENOTDIR ? ENOENT : failure, "cannot open \"%s\" in \"%s\"", relative,
              root);
    if (failure == EACCES || failure == EPERM || failure == ENAMETOOLONG)
        e->code = ERR_INVALID; /* what was named, not the system, is what is wrong */
    return -1;
}

/* Whatever kind of file it is. */
static int open_beneath(const char *root, const char *relative, struct err *e)
{
    auto_close int directory = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return err_errno(e, errno, "cannot open directory \"%s\"", root);
    int fd = open_resolved(directory, relative);
    return fd < 0 ? fail_beneath(root, relative, errno, e) : fd;
}

int fs_open_beneath(const char *root, const char *relative, struct err *e)
{
    auto_close int fd = open_beneath(root, relative, e);
    struct stat st;
    if (fd < 0 || check_regular(fd, relative, &st, e) < 0)
        return -1;
    return take_fd(&fd);
}

int fs_open_directory_beneath(const char *root, const char *relative, struct err *e)
{
    auto_close int fd = open_beneath(root, relative, e);
    struct stat st;
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0)
        return err_errno(e, errno, "cannot look at \"%s\"", relative);
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ERR_INVALID, "\"%s\" is no directory", relative);
    return take_fd(&fd);
}

int fs_lock(const char *path, struct err *e)
{
    auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        return err_errno(e, errno, "cannot open lock \"%s\"", path);
    int result;
    do
        result = flock(fd, LOCK_EX | LOCK_NB);
    while (result < 0 && errno == EINTR);
    if (result < 0 && errno == EWOULDBLOCK)
        return err_set(e, ERR_CONFLICT, "\"%s\" is locked by another process", path);
    if (result < 0)
        return err_errno(e, errno, "cannot lock \"%s\"", path);
    return take_fd(&fd);
}
