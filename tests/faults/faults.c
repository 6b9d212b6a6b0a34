/* A library for LD_PRELOAD that lets the daemon's system calls fail, the daemon die at one, or its
 * clock be wrong.
 *
 * SEGUE_FAULTS names a file that holds a struct page: orders from the test, counts for the test. It
 * is mapped, so that both sides see it live, whatever becomes of the process. Calls are counted by
 * kind (and all of them as KIND_ANY); when the count of the ordered kind reaches `at`, the call
 * fails, or the process is killed in place of it, or in the middle of it.
 *
 * Acts in `segue serve` only, and takes itself out of the environment before anything is started:
 * nursery, keepers and kernels never hear of it. tests/support/faults.py is the other side.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind {
    KIND_ANY, /* of those below, memory left out */
    KIND_WRITE,
    KIND_PWRITE,
    KIND_PREAD,
    KIND_SYNC,
    KIND_RENAME,
    KIND_OPEN,
    KIND_CREATE,
    KIND_MKDIR,
    KIND_UNLINK,
    KIND_TRUNCATE,
    KIND_SEND,
    KIND_CONNECT,
    KIND_ACCEPT,
    KIND_SPAWN,
    KIND_MEMORY,
    KIND_COUNT
};

enum action {
    ACTION_NONE,
    ACTION_FAIL, /* with `error`, for `times` calls */
    ACTION_KILL, /* SIGKILL before the call */
    ACTION_TEAR, /* a write: half of it, then SIGKILL; another call: as ACTION_KILL */
    ACTION_HALVE /* a write: half of it, and said so; another call: nothing */
};

struct page {
    _Atomic uint32_t action;
    uint32_t kind;
    uint64_t at;    /* from 1 */
    uint64_t times; /* that it fails, from then on; 0: always */
    int32_t error;
    uint32_t unused;
    _Atomic uint64_t fired;
    _Atomic uint64_t counts[KIND_COUNT];
    _Atomic int64_t clock_offset_s; /* the wall clock is wrong by so much */
};

static struct page nobody = {0};
static struct page *page = &nobody;

/* "PROGRAM\0serve\0..." */
static bool is_daemon(void)
{
    char line[4096];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, line, sizeof line - 1);
    close(fd);
    if (len <= 0)
        return false;
    line[len] = 0;
    return strcmp(line + strlen(line) + 1, "serve") == 0;
}

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("SEGUE_FAULTS");
    int fd = path && is_daemon() ? open(path, O_RDWR | O_CLOEXEC) : -1;
    unsetenv("SEGUE_FAULTS");
    unsetenv("LD_PRELOAD");
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        page = mapped;
}

static void die(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Counts a call under one kind; true: it is the ordered one. */
static bool is_due(enum kind kind)
{
    uint64_t n = atomic_fetch_add(&page->counts[kind], 1) + 1;
    if (atomic_load(&page->action) == ACTION_NONE || page->kind != kind || n < page->at)
        return false;
    return page->times == 0 || n < page->at + page->times;
}

/* What is to happen to a call: ACTION_NONE, ACTION_FAIL with errno set, or to a write something by
 * halves. */
static enum action judge(enum kind kind)
{
    if (page == &nobody)
        return ACTION_NONE;
    bool is_any_due = kind != KIND_MEMORY && is_due(KIND_ANY);
    if (!is_due(kind) && !is_any_due)
        return ACTION_NONE;
    enum action action = atomic_load(&page->action);
    bool has_halves = kind == KIND_WRITE || kind == KIND_PWRITE;
    if (action == ACTION_HALVE && !has_halves)
        return ACTION_NONE;
    atomic_fetch_add(&page->fired, 1);
    if (action == ACTION_KILL || (action == ACTION_TEAR && !has_halves))
        die();
    errno = page->error;
    return action;
}

/* The function of libc behind ours. Found at the first call: constructors of other libraries may
 * come before ours. */
#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (!real)                                                                                     \
    real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define WRAP(kind, result, name, parameters, arguments)                                            \
    result name parameters;                                                                        \
    result name parameters                                                                         \
    {                                                                                              \
        REAL(name);                                                                                \
        if (judge(kind) != ACTION_NONE)                                                            \
            return -1;                                                                             \
        return real arguments;                                                                     \
    }

/* --- what has halves --- */

/* Others are left alone: an eventfd neither fails nor does it by halves, and the test reads the
 * log. */
static bool is_file(int fd)
{
    struct stat st;
    return page != &nobody && fd != STDERR_FILENO && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

#define WRAP_WRITE(kind, name, parameters, ...)                                                    \
    ssize_t name parameters                                                                        \
    {                                                                                              \
        REAL(name);                                                                                \
        enum action action = is_file(fd) ? judge(kind) : ACTION_NONE;                              \
        if (action == ACTION_FAIL)                                                                 \
            return -1;                                                                             \
        if (action != ACTION_NONE)                                                                 \
            len = (len + 1) / 2;                                                                   \
        ssize_t result = real(__VA_ARGS__);                                                        \
        if (action == ACTION_TEAR)                                                                 \
            die();                                                                                 \
        return result;                                                                             \
    }

WRAP_WRITE(KIND_WRITE, write, (int fd, const void *bytes, size_t len), fd, bytes, len)
WRAP_WRITE(KIND_PWRITE, pwrite, (int fd, const void *bytes, size_t len, off_t at), fd, bytes, len,
           at)
WRAP_WRITE(KIND_PWRITE, pwrite64, (int fd, const void *bytes, size_t len, off64_t at), fd, bytes,
           len, at)

/* --- files --- */

WRAP(KIND_PREAD, ssize_t, pread, (int fd, void *bytes, size_t len, off_t at), (fd, bytes, len, at))
WRAP(KIND_PREAD, ssize_t, pread64, (int fd, void *bytes, size_t len, off64_t at),
     (fd, bytes, len, at))
WRAP(KIND_SYNC, int, fsync, (int fd), (fd))
WRAP(KIND_SYNC, int, fdatasync, (int fd), (fd))
WRAP(KIND_RENAME, int, rename, (const char *from, const char *to), (from, to))
WRAP(KIND_RENAME, int, renameat, (int in, const char *from, int there, const char *to),
     (in, from, there, to))
WRAP(KIND_MKDIR, int, mkdir, (const char *path, mode_t mode), (path, mode))
WRAP(KIND_MKDIR, int, mkdirat, (int in, const char *path, mode_t mode), (in, path, mode))
WRAP(KIND_UNLINK, int, unlink, (const char *path), (path))
WRAP(KIND_UNLINK, int, unlinkat, (int in, const char *path, int flags), (in, path, flags))
WRAP(KIND_UNLINK, int, rmdir, (const char *path), (path))
WRAP(KIND_TRUNCATE, int, ftruncate, (int fd, off_t size), (fd, size))
WRAP(KIND_TRUNCATE, int, ftruncate64, (int fd, off64_t size), (fd, size))

#define WRAP_OPEN(name, parameters, ...)                                                           \
    int name parameters                                                                            \
    {                                                                                              \
        REAL(name);                                                                                \
        mode_t mode = 0;                                                                           \
        if (flags & O_CREAT) {                                                                     \
            va_list rest;                                                                          \
            va_start(rest, flags);                                                                 \
            mode = va_arg(rest, mode_t);                                                           \
            va_end(rest);                                                                          \
        }                                                                                          \
        if (judge(flags & O_CREAT ? KIND_CREATE : KIND_OPEN) != ACTION_NONE)                       \
            return -1;                                                                             \
        return real(__VA_ARGS__, flags, mode);                                                     \
    }

WRAP_OPEN(open, (const char *path, int flags, ...), path)
WRAP_OPEN(open64, (const char *path, int flags, ...), path)
WRAP_OPEN(openat, (int in, const char *path, int flags, ...), in, path)
WRAP_OPEN(openat64, (int in, const char *path, int flags, ...), in, path)

/* --- sockets --- */

/* Of sockets only: SQLite and the service's own files do without. */
WRAP(KIND_SEND, ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
WRAP(KIND_SEND, ssize_t, send, (int fd, const void *bytes, size_t len, int flags),
     (fd, bytes, len, flags))
WRAP(KIND_SEND, ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags),
     (fd, message, flags))
WRAP(KIND_SEND, ssize_t, sendfile64, (int to, int from, off64_t *at, size_t len),
     (to, from, at, len))
WRAP(KIND_CONNECT, int, connect, (int fd, const struct sockaddr *address, socklen_t len),
     (fd, address, len))
WRAP(KIND_ACCEPT, int, accept4, (int fd, struct sockaddr *address, socklen_t *len, int flags),
     (fd, address, len, flags))

/* --- children (base/child.h starts them all by clone) --- */

int clone(int (*run)(void *), void *stack, int flags, void *data, ...)
{
    REAL(clone);
    va_list rest;
    va_start(rest, data);
    pid_t *parent_id = va_arg(rest, pid_t *);
    va_end(rest);
    if (judge(KIND_SPAWN) != ACTION_NONE)
        return -1;
    return real(run, stack, flags, data, parent_id, NULL, NULL);
}

/* --- the wall clock --- */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    REAL(clock_gettime);
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        now->tv_sec += atomic_load(&page->clock_offset_s);
    return result;
}

time_t time(time_t *ret_now)
{
    REAL(time);
    time_t now = real(NULL) + (time_t)atomic_load(&page->clock_offset_s);
    if (ret_now)
        *ret_now = now;
    return now;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    REAL(gettimeofday);
    int result = real(now, zone);
    now->tv_sec += atomic_load(&page->clock_offset_s);
    return result;
}

/* --- memory (dlsym itself asks for some: so by libc's inner names) --- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
    return judge(KIND_MEMORY) == ACTION_NONE ? __libc_malloc(size) : NULL;
}

void *calloc(size_t count, size_t size)
{
    return judge(KIND_MEMORY) == ACTION_NONE ? __libc_calloc(count, size) : NULL;
}

void *realloc(void *old, size_t size)
{
    return judge(KIND_MEMORY) == ACTION_NONE ? __libc_realloc(old, size) : NULL;
}
