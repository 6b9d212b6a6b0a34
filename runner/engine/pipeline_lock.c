#include "runner/engine/pipeline_lock.h"

#include "base/fs.h"
#include "base/mem.h"

#include <fcntl.h>
#include <sys/file.h>

int pipeline_lock(const char *root, const struct uuid *key, void (*waiting)(void), struct err *e)
{
    auto_free char *directory = fs_join(root, "locks");
    auto_free char *path = fs_join(directory, key->text);

    if (fs_mkdirs(directory, 0711, e) < 0)
        return -1;
    auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(e, errno, "cannot open \"%s\"", path);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return take_fd(&fd);
    if (errno != EWOULDBLOCK)
        return err_errno(e, errno, "cannot lock \"%s\"", path);
    waiting();
    if (flock(fd, LOCK_EX) == 0)
        return take_fd(&fd);
    if (errno != EINTR)
        return err_errno(e, errno, "cannot lock \"%s\"", path);
    return err_set(e, ERR_CANCELLED, "stopped while another run of the pipeline was going on");
}
