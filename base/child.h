/* child: starts a program, and nothing else ever does.
 *
 * The child gets exactly the descriptors of its map, everything else is closed; its own process
 * group (and session); default signal dispositions and an empty signal mask; exactly the given
 * environment; optionally another user and a death signal. Started with vfork semantics (clone with
 * CLONE_VM | CLONE_VFORK), so that the size of the parent does not matter. An exec that fails is
 * reported here, with errno, not as an exit status.
 *
 * Thread-safe as long as no other thread changes the environment.
 */
#ifndef SEGUE_BASE_CHILD_H
#define SEGUE_BASE_CHILD_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child_fd {
    int parent; /* the descriptor here */
    int child;  /* its number there */
};

struct child_options {
    const char *const *argv;    /* argv[0] is looked up in PATH of `env` when it has no slash */
    const char *const *env;     /* "NAME=value", ..., NULL; required */
    const char *cwd;            /* NULL: as the parent */
    const struct child_fd *fds; /* 0, 1 and 2 that are not in the map become /dev/null */
    size_t fd_count;
    int death_signal; /* 0, or what it gets when the starting thread ends (PR_SET_PDEATHSIG) */
    bool change_user; /* to uid and gid, with no supplementary groups */
    uid_t uid;
    gid_t gid;
};

struct child {
    pid_t pid;
    int pidfd; /* close-on-exec; the caller closes it */
};

/* Starts the program. Errors: ERR_NOT_FOUND when argv[0] does not exist, else ERR_IO. */
int child_start(const struct child_options *options, struct child *ret_child, struct err *e);

/* Signals the child's whole process group; what is gone already is not an error. */
void child_signal_group(pid_t pid, int signal_number);

struct child_status {
    bool exited; /* else killed by a signal */
    int code;    /* exit status or signal number */
};

/* Takes the status of an ended child; false: still running (or not ours). Never blocks. */
bool child_reap(pid_t pid, struct child_status *ret_status);

/* Kills (SIGKILL) every process whose environment holds the exact entry "name=value", again and
 * again until none is left that it may kill; zombies and the calling process do not count. Waits
 * for their end (what is stuck in the kernel: 2 s at most). Gives how many it killed. For what has
 * left its process group. */
size_t child_kill_marked(const char *name, const char *value);

/* The path of an executable: `name` with a slash as it is, else looked up in `path`
 * (a PATH value; NULL: this process's). NULL: none found; else free() it. */
char *child_find_program(const char *name, const char *path);

#endif
