/* The child runs in the memory of its parent, which stands still meanwhile (CLONE_VFORK), on a
 * stack of its own. It may therefore write down why it failed for the parent to read, and must
 * touch nothing else: it makes only system calls, no allocation, no locks, no stdio. What needs
 * more than that (the look-up in PATH, the plan of what to close) is done before.
 *
 * No signal handler of the parent may run in the child: they would act on the parent's memory. So
 * all signals are blocked around the clone, and let in when the dispositions are the default ones.
 */
#include "base/child.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* A sanitizer keeps books about the memory and the threads of the process, also on behalf of the
 * child and without an end to what an exec cuts off. Under one the child gets a copy of the memory;
 * it reports through a shared mapping, so that nothing else is different. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { CLONE_MEMORY = 0 };
#else
enum { CLONE_MEMORY = CLONE_VM };
#endif

enum { STACK_SIZE = 64 * 1024 };

/* What the child does, in this order; a failure is told with the words. */
#define STAGES(X)                                                                                  \
    X(STAGE_SESSION, "cannot make a session")                                                      \
    X(STAGE_FDS, "cannot hand over the descriptors")                                               \
    X(STAGE_USER, "cannot change the user")                                                        \
    X(STAGE_DIRECTORY, "cannot enter the directory")                                               \
    X(STAGE_DEATH_SIGNAL, "cannot set the death signal")                                           \
    X(STAGE_EXEC, "cannot execute it")

enum stage {
#define X(stage, text) stage,
    STAGES(X)
#undef X
};

/* Made by the parent, shared with the child. */
struct launch {
    const struct child_options *options;
    const char *program;
    pid_t parent;
    struct child_fd *fds; /* all the child gets, by the child's number */
    size_t fd_count;
    volatile enum stage stage;
    volatile int failure; /* errno of the stage that failed; 0: it runs */
};

/* --- in the child --- */

/* Past glibc: it refuses the two signals that it keeps for itself, and the children of its
 * posix_spawn (those of make, for one) ignore these. */
static void reset_signals(void)
{
    const uint64_t standard[4] = {0}; /* the kernel's struct sigaction: SIG_DFL, no flags */
    for (int i = 1; i < NSIG; i++)
        syscall(SYS_rt_sigaction, i, standard, NULL, sizeof(uint64_t)); /* KILL and STOP stay */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The map may exchange numbers. So every source first moves above all targets, then into place. */
static int place_fds(struct launch *l)
{
    int above = l->fds[l->fd_count - 1].child + 1;
    for (size_t i = 0; i < l->fd_count; i++) {
        l->fds[i].parent = fcntl(l->fds[i].parent, F_DUPFD_CLOEXEC, above);
        if (l->fds[i].parent < 0)
            return -1;
    }
    unsigned next = 0;
    for (size_t i = 0; i < l->fd_count; i++) {
        unsigned target = (unsigned)l->fds[i].child;
        if (dup2(l->fds[i].parent, (int)target) < 0)
            return -1;
        if (target > next && close_range(next, target - 1, 0) < 0)
            return -1;
        next = target + 1;
    }
    return close_range(next, ~0u, 0);
}

/* System calls, not the functions of libc: those change every thread of the process by signalling
 * it, and the threads that they would find in this memory are the parent's. */
static int change_user(const struct child_options *o)
{
    if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, o->gid, o->gid, o->gid) < 0 ||
        syscall(SYS_setresuid, o->uid, o->uid, o->uid) < 0)
        return -1;
    return 0;
}

/* After the change of user, which clears it. A parent that ended before gave no signal. */
static int set_death_signal(const struct launch *l)
{
    if (prctl(PR_SET_PDEATHSIG, l->options->death_signal) < 0)
        return -1;
    if (getppid() != l->parent) {
        errno = ESRCH;
        return -1;
    }
    return 0;
}

static int run_stage(struct launch *l, enum stage stage)
{
    const struct child_options *o = l->options;
    l->stage = stage;
    switch (stage) {
    case STAGE_SESSION:
        return setsid() < 0 ? -1 : 0;
    case STAGE_FDS:
        return place_fds(l);
    case STAGE_USER:
        return o->change_user ? change_user(o) : 0;
    case STAGE_DIRECTORY:
        return o->cwd ? chdir(o->cwd) : 0;
    case STAGE_DEATH_SIGNAL:
        return o->death_signal ? set_death_signal(l) : 0;
    case STAGE_EXEC:
        reset_signals();
        return execve(l->program, (char *const *)o->argv, (char *const *)o->env);
    }
    return -1;
}

static int child_main(void *launch)
{
    struct launch *l = launch;
    for (enum stage stage = STAGE_SESSION; stage <= STAGE_EXEC; stage++) {
        if (run_stage(l, stage) < 0) {
            l->failure = errno;
            break;
        }
    }
    return 127; /* ends the process; nothing of the parent's atexit runs */
}

/* --- in the parent --- */

static int compare_fds(const void *a, const void *b)
{
    int x = ((const struct child_fd *)a)->child, y = ((const struct child_fd *)b)->child;
    return (x > y) - (x < y);
}

/* The whole map: that of the options, and `null_fd` for what is missing of 0, 1 and 2. */
static struct child_fd *make_fd_map(const struct child_options *o, int null_fd, size_t *ret_count)
{
    struct child_fd *fds = mem_array(o->fd_count + 3, sizeof *fds);
    size_t count = o->fd_count;
    bool given[3] = {false};
    for (size_t i = 0; i < o->fd_count; i++) {
        fds[i] = o->fds[i];
        assert(fds[i].parent >= 0 && fds[i].child >= 0);
        if (fds[i].child < 3)
            given[fds[i].child] = true;
    }
    for (int i = 0; i < 3; i++)
        if (!given[i])
            fds[count++] = (struct child_fd){null_fd, i};
    qsort(fds, count, sizeof *fds, compare_fds);
    for (size_t i = 1; i < count; i++)
        assert(fds[i].child != fds[i - 1].child);
    *ret_count = count;
    return fds;
}

/* Clones, and waits until the child has left our memory: by exec or by exit. */
static pid_t clone_child(struct launch *l, char *stack_end, int *ret_pidfd)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int flags = CLONE_MEMORY | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
    pid_t pid = clone(child_main, stack_end, flags, l, ret_pidfd);
    int failure = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = failure;
    return pid;
}

static int fail_launch(const struct launch *l, struct err *e)
{
    static const char *const words[] = {
#define X(stage, text) [stage] = text,
        STAGES(X)
#undef X
    };
    err_errno(e, l->failure, "cannot start \"%s\": %s", l->options->argv[0], words[l->stage]);
    if (l->stage != STAGE_EXEC)
        e->code = ERR_IO;
    return -1;
}

/* `memory` is the guard page, the stack (which grows down towards it) and the launch. */
static int launch_in(char *memory, size_t guard, const struct launch *plan, struct child *ret_child,
                     struct err *e)
{
    struct launch *l = (struct launch *)(memory + guard + STACK_SIZE);
    *l = *plan;
    mprotect(memory, guard, PROT_NONE);
    int pidfd = -1;
    pid_t pid = clone_child(l, memory + guard + STACK_SIZE, &pidfd);
    if (pid < 0)
        return err_errno(e, errno, "cannot start \"%s\"", plan->options->argv[0]);
    if (l->failure == 0) {
        *ret_child = (struct child){.pid = pid, .pidfd = pidfd};
        return 0;
    }
    close(pidfd);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return fail_launch(l, e);
}

static const char *path_of(const char *const *env)
{
    for (; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return "/usr/local/bin:/usr/bin:/bin";
}

int child_start(const struct child_options *options, struct child *ret_child, struct err *e)
{
    const char *name = options->argv[0];
    auto_free char *program = child_find_program(name, path_of(options->env));
    if (!program)
        return err_set(e, ERR_NOT_FOUND, "cannot start \"%s\": no such program in PATH", name);
    auto_close int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0)
        return err_errno(e, errno, "cannot open \"/dev/null\"");

    struct launch plan = {.options = options, .program = program, .parent = getpid()};
    auto_free struct child_fd *fds = make_fd_map(options, null_fd, &plan.fd_count);
    plan.fds = fds;
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = guard + STACK_SIZE + sizeof plan;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return err_errno(e, errno, "cannot start \"%s\"", name);
    int result = launch_in(memory, guard, &plan, ret_child, e);
    munmap(memory, size);
    return result;
}

void child_signal_group(pid_t pid, int signal_number)
{
    assert(pid > 1); /* kill(-1) is everybody */
    kill(-pid, signal_number);
}

bool child_reap(pid_t pid, struct child_status *ret_status)
{
    int status;
    if (waitpid(pid, &status, WNOHANG) != pid)
        return false;
    ret_status->exited = WIFEXITED(status);
    ret_status->code = ret_status->exited ? WEXITSTATUS(status) : WTERMSIG(status);
    return true;
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

/* An empty part of PATH means the working directory to a shell. Here it means nothing: what lies in
 * a project must not be taken for a program. */
char *child_find_program(const char *name, const char *path)
{
    if (strchr(name, '/'))
        return mem_strdup(name);
    if (!path)
        path = getenv("PATH");
    while (path && *path && *name) {
        size_t len = strcspn(path, ":");
        auto_free char *directory = mem_strndup(path, len);
        auto_free char *candidate = fs_join(directory, name);
        if (len && is_program(candidate))
            return take_ptr(&candidate);
        path += len + (path[len] == ':');
    }
    return NULL;
}

/* --- by mark --- */

enum {
    PID_LIMIT = 4 * 1024 * 1024,    /* PID_MAX_LIMIT of the kernel */
    ENVIRON_MAX = 16 * 1024 * 1024, /* the kernel lets an exec have 6 MB of arguments at most */
    DYING_MS = 2000,                /* for what does not die of SIGKILL, asleep in a driver */
    EXEC_LOOKS = 10,                /* of a millisecond each */
    DYING_MAX = 256                 /* descriptors to wait with, of usually 1024 that there are */
};

struct hunt {
    const char *mark;     /* "name=value" */
    unsigned char *known; /* a bit for each pid that was killed already */
    size_t killed;
    size_t found; /* in this scan, */
    size_t fresh; /* and of those for the first time */
    int dying[DYING_MAX];
    size_t dying_count;
};

static bool has_entry(const struct buf *environment, const char *entry)
{
    size_t entry_len = strlen(entry);
    for (size_t at = 0; at < environment->len;) {
        const char *text = environment->data + at;
        size_t len = strnlen(text, environment->len - at);
        if (len == entry_len && memcmp(text, entry, len) == 0)
            return true;
        at += len + 1;
    }
    return false;
}

/* A process that ended, a zombie and one that we may not look at have no environment for us. */
static bool read_environment(pid_t pid, struct buf *environment)
{
    char path[64];
    struct err ignored;
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    buf_reset(environment);
    return fs_read(path, ENVIRON_MAX, environment, &ignored) == 0;
}

/* Zombies and threads of the kernel have none. */
static bool has_program(pid_t pid)
{
    char path[64], program[1];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    return readlink(path, program, sizeof program) > 0;
}

/* In the middle of an exec a process has its new program and not yet an environment: what shows
 * none is looked at again, for as long as an exec takes. */
static bool is_marked(pid_t pid, int pidfd, const char *mark)
{
    auto_buf struct buf environment = {0};
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    for (int look = 0; look < EXEC_LOOKS; look++) {
        if (!read_environment(pid, &environment))
            return false;
        if (environment.len > 0)
            return has_entry(&environment, mark);
        if (!has_program(pid) || poll(&end, 1, 1) != 0)
            return false;
    }
    return false;
}

/* The pidfd comes first: should the number go to another process after we looked, then the signal
 * does not. */
static void hunt_process(struct hunt *hunt, pid_t pid)
{
    auto_close int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0 || !is_marked(pid, pidfd, hunt->mark) ||
        pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0)
        return;
    unsigned char bit = (unsigned char)(1u << (pid & 7));
    if (!(hunt->known[pid >> 3] & bit)) {
        hunt->known[pid >> 3] |= bit;
        hunt->killed++;
        hunt->fresh++;
    }
    hunt->found++;
    if (hunt->dying_count < DYING_MAX)
        hunt->dying[hunt->dying_count++] = take_fd(&pidfd);
}

static void hunt_scan(struct hunt *hunt)
{
    hunt->found = hunt->fresh = 0;
    DIR *proc = opendir("/proc");
    if (!proc)
        return;
    for (const struct dirent *entry; (entry = readdir(proc));) {
        long pid = strtol(entry->d_name, NULL, 10); /* 0 for what is no process */
        if (pid > 0 && pid < PID_LIMIT && pid != getpid())
            hunt_process(hunt, (pid_t)pid);
    }
    closedir(proc);
}

/* A process that is ending loses its environment first: no scan finds it any more, and yet it still
 * holds its descriptors. */
static void await_dying(struct hunt *hunt, msec deadline)
{
    while (hunt->dying_count) {
        struct pollfd dying = {.fd = hunt->dying[--hunt->dying_count], .events = POLLIN};
        msec left = deadline - clock_mono();
        poll(&dying, 1, left > 0 ? (int)left : 0);
        close(dying.fd);
    }
}

/* While we read /proc, what we did not kill yet may fork, into numbers that we have passed. So the
 * hunt ends only with a scan that finds nobody, or, for a while, only such as were killed before.
 */
size_t child_kill_marked(const char *name, const char *value)
{
    auto_free char *mark = mem_printf("%s=%s", name, value);
    auto_free unsigned char *known = mem_zalloc(PID_LIMIT / 8);
    struct hunt hunt = {.mark = mark, .known = known};
    msec patience = 0;
    do {
        hunt_scan(&hunt);
        if (hunt.fresh)
            patience = clock_mono() + DYING_MS;
        await_dying(&hunt, patience);
    } while (hunt.fresh || (hunt.found && clock_mono() < patience));
    return hunt.killed;
}
