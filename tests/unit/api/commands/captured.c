/* Runs a command of the program and catches what it writes. Included by tests. */
#include "base/buf.h"
#include "base/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct captured {
    int status;
    struct buf out, error;
};

/* Points `fd` at a nameless file; gives what it was, to be put back. */
static int redirect(int fd, int *ret_file)
{
    int old = dup(fd);
    *ret_file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    assert_true(old >= 0 && *ret_file >= 0);
    dup2(*ret_file, fd);
    return old;
}

static void put_back(int fd, int old, int file, struct buf *out)
{
    struct err e;
    dup2(old, fd);
    close(old);
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
    assert_int_equal(fs_read_fd(file, "captured", 1 << 20, out, &e), 0);
    close(file);
}

/* `args` ends with NULL and starts with the command's name. */
static struct captured captured(int (*command)(int argc, char **argv), const char *const *args)
{
    struct captured c = {0};
    char *argv[32] = {NULL};
    int argc = 0, out_file, error_file;
    for (; args[argc]; argc++)
        argv[argc] = (char *)args[argc];
    fflush(stdout);
    int out = redirect(1, &out_file), error = redirect(2, &error_file);
    c.status = command(argc, argv);
    fflush(stdout);
    put_back(1, out, out_file, &c.out);
    put_back(2, error, error_file, &c.error);
    return c;
}

static void captured_clear(struct captured *c)
{
    buf_clear(&c->out);
    buf_clear(&c->error);
}
