/* A directory of a test's own below /tmp, and small disks. Included by the tests that need it. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static inline char *scratch_new(void)
{
    char *directory = mem_strdup("/tmp/segue-test-XXXXXX");

    if (!mkdtemp(directory))
        abort();
    return directory;
}

static inline void scratch_free(char *directory)
{
    struct err e;

    umount2(directory, MNT_DETACH); /* of scratch_small_disk; else it does nothing */
    if (fs_remove_tree(directory, &e) < 0)
        fprintf(stderr, "%s\n", e.text);
    free(directory);
}

/* Writes directory/name, with the directories in `name`. Gives the path; free() it. */
static inline char *scratch_write(const char *directory, const char *name, const char *text)
{
    char *path = fs_join(directory, name);
    auto_free char *parent = fs_dirname(path);
    struct err e;

    if (fs_mkdirs(parent, 0755, &e) < 0 || fs_write(path, str_of(text), 0644, FS_NO_SYNC, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
    return path;
}

static inline void scratch_put(const char *directory, const char *name, const char *text)
{
    free(scratch_write(directory, name, text));
}

/* The content of directory/name; "" when there is no such file. free() it. */
static inline char *scratch_read(const char *directory, const char *name)
{
    auto_free char *path = fs_join(directory, name);
    struct buf text = {0};
    struct err ignored;

    fs_read(path, 1ul << 30, &text, &ignored);
    return buf_take(&text);
}

/* Puts a file system of so many bytes at `directory`, for this process and its children only; false
 * where that is not allowed, which is told. */
static inline bool scratch_small_disk(const char *directory, unsigned long bytes)
{
    char options[64];

    snprintf(options, sizeof options, "size=%lu,mode=0755", bytes);
    if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("segue-test", directory, "tmpfs", 0, options) == 0)
        return true;
    fprintf(stderr, "SKIPPED: a full disk needs the right to mount a tmpfs (root)\n");
    return false;
}

/* Fills the disk to the last byte with a file there. */
static inline void scratch_fill_disk(const char *directory)
{
    static const char zeros[4096];
    auto_free char *path = fs_join(directory, "filler");
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    ssize_t n;

    do
        n = write(fd, zeros, sizeof zeros);
    while (n > 0);
}
