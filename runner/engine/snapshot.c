#include "runner/engine/snapshot.h"

#include "base/buf.h"
#include "base/id.h"
#include "base/mem.h"
#include "runner/step/notebook_task.h"
#include "runner/step/task.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_copy(const char *path, struct snapshot *ret_snapshot, struct err *e)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return err_errno(e, errno, "cannot open \"%s\"", path);
    if (fstat(fd, &st) < 0)
        return err_errno(e, errno, "cannot look at \"%s\"", path);
    /* It is only ever replaced as a whole. */
    snprintf(ret_snapshot->etag, sizeof ret_snapshot->etag, "\"%jx-%jx-%jx.%lx\"",
             (uintmax_t)st.st_ino, (uintmax_t)st.st_size, (uintmax_t)st.st_mtim.tv_sec,
             st.st_mtim.tv_nsec);
    ret_snapshot->size = (uint64_t)st.st_size;
    ret_snapshot->fd = take_fd(&fd);
    return 0;
}

/* A file in memory, so that both kinds are read alike. */
static int open_text(const struct buf *text, struct snapshot *ret_snapshot, struct err *e)
{
    auto_close int fd = memfd_create("notebook", MFD_CLOEXEC);

    if (fd < 0)
        return err_errno(e, errno, "cannot make a file in memory");
    for (size_t done = 0; done < text->len;) {
        ssize_t n = pwrite(fd, text->data + done, text->len - done, (off_t)done);
        if (n < 0 && errno != EINTR)
            return err_errno(e, errno, "cannot write a file in memory");
        done += n > 0 ? (size_t)n : 0;
    }
    snprintf(ret_snapshot->etag, sizeof ret_snapshot->etag, "\"%s\"",
             uuid_from_name(buf_text(text)).text);
    ret_snapshot->size = text->len;
    ret_snapshot->fd = take_fd(&fd);
    return 0;
}

static int open_made(const struct task *task, const char *directory, struct snapshot *ret_snapshot,
                     struct err *e)
{
    auto_notebook struct notebook *notebook = NULL;
    auto_buf struct buf text = {0};

    if (notebook_so_far(task, directory, &notebook, e) < 0)
        return -1;
    notebook_write(notebook, &text);
    return open_text(&text, ret_snapshot, e);
}

static int open_any(const struct task *task, const char *directory, enum snapshot_source source,
                    struct snapshot *ret_snapshot, struct err *e)
{
    if (task->kind != STEP_NOTEBOOK)
        return err_set(e, ERR_INVALID, "the step is a script: it has no notebook, only a log");
    if (source == SNAPSHOT_COPY && open_copy(task->output, ret_snapshot, e) == 0)
        return 0;
    return open_made(task, directory, ret_snapshot, e);
}

int snapshot_open(const char *directory, enum snapshot_source source, struct snapshot *ret_snapshot,
                  struct err *e)
{
    struct task task;

    if (task_read(&task, directory, e) < 0)
        return -1;
    int result = open_any(&task, directory, source, ret_snapshot, e);
    task_clear(&task);
    return result;
}
