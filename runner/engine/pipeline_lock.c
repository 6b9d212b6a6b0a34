#include "runner/engine/pipeline_lock.h"

#include "base/fs.h"
#include "base/mem.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/inotify.h>

/* `access`: O_RDWR or O_RDONLY. */
static int open_lock(const char *root, const char *key, int access, struct err *e)
{
    auto_free char *directory = fs_join(root, "locks");
    auto_free char *path = fs_join(directory, key);

    if (fs_mkdirs(directory, 0711, e) < 0)
        return -1;
    int fd = open(path, access | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? err_errno(e, errno, "cannot open \"%s\"", path) : fd;
}

/* 1: we have it, 0: somebody else has. */
static int try_lock(int fd, const char *key, struct err *e)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return 1;
    return errno == EWOULDBLOCK ? 0 : err_errno(e, errno, "cannot lock \"locks/%s\"", key);
}

int pipeline_lock(const char *root, const struct uuid *key, void (*waiting)(void), struct err *e)
{
    auto_close int fd = open_lock(root, key->text, O_RDWR, e);
    int got = fd < 0 ? -1 : try_lock(fd, key->text, e);

    if (got < 0)
        return -1;
    if (got > 0)
        return take_fd(&fd);
    waiting();
    if (flock(fd, LOCK_EX) == 0)
        return take_fd(&fd);
    if (errno != EINTR)
        return err_errno(e, errno, "cannot lock \"locks/%s\"", key->text);
    return err_set(e, ERR_CANCELLED, "stopped while another run of the pipeline was going on");
}

/* Only for reading: else whoever tries in vain would wake itself, and try again, for ever. */
int pipeline_try_lock(const char *root, const char *key, struct err *e)
{
    auto_close int fd = open_lock(root, key, O_RDONLY, e);
    int got = fd < 0 ? -1 : try_lock(fd, key, e);

    if (got > 0)
        return take_fd(&fd);
    return got < 0 ? -1 : err_set(e, ERR_CONFLICT, "another run of the pipeline is going on");
}

/* A lock is let go of by closing its file, which was opened for writing. */
int pipeline_lock_watch(const char *root, struct err *e)
{
    auto_free char *directory = fs_join(root, "locks");
    auto_close int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (fs_mkdirs(directory, 0711, e) < 0)
        return -1;
    if (fd < 0 || inotify_add_watch(fd, directory, IN_CLOSE_WRITE) < 0)
        return err_errno(e, errno, "cannot watch \"%s\"", directory);
    return take_fd(&fd);
}
