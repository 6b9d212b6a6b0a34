/* One request is one packet on a SOCK_SEQPACKET pair: the directory's path, with the descriptors
 * attached. The answer is the keeper's pid with its pidfd attached, or a negative errno. The pidfd
 * is made by the nursery, the keeper's parent, before it can reap it, so that it cannot name
 * another process. Requests and answers alternate: one in flight. */
#include "kernel-gateway/keeper/nursery.h"

#include "base/clock.h"
#include "base/mem.h"
#include "kernel-gateway/keeper/packet.h"
#include "kernel-gateway/wire.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#define NURSERY_FD 3 /* the socket's number in the nursery */

struct nursery {
    char **argv;
    int socket;
    struct child child;
};

/* --- the engine's side --- */

static int launch_nursery(struct nursery *nursery, struct err *e)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_errno(e, errno, "cannot make a socket pair");
    auto_close int theirs = pair[1];
    struct child_options options = {
        .argv = (const char *const *)nursery->argv,
        .env = (const char *const *)environ,
        .fds = (struct child_fd[]){{theirs, NURSERY_FD}, {STDERR_FILENO, STDERR_FILENO}},
        .fd_count = 2,
    };
    if (child_start(&options, &nursery->child, e) < 0) {
        close(pair[0]);
        return err_prefix(e, "cannot start the nursery");
    }
    nursery->socket = pair[0];
    return 0;
}

static void end_nursery(struct nursery *nursery)
{
    if (nursery->socket < 0)
        return;
    close(nursery->socket);
    nursery->socket = -1;
    waitpid(nursery->child.pid, NULL, 0); /* it ends at once when its socket closes */
    close(nursery->child.pidfd);
}

int nursery_start(struct nursery **ret_nursery, const char *const *argv, struct err *e)
{
    size_t count = 0;
    while (argv[count])
        count++;
    struct nursery *nursery = mem_zalloc(sizeof *nursery);
    nursery->socket = -1;
    nursery->argv = mem_array(count + 1, sizeof *nursery->argv);
    for (size_t i = 0; i < count; i++)
        nursery->argv[i] = mem_strdup(argv[i]);
    if (launch_nursery(nursery, e) < 0) {
        nursery_free(nursery);
        return -1;
    }
    *ret_nursery = nursery;
    return 0;
}

void nursery_free(struct nursery *nursery)
{
    if (!nursery)
        return;
    end_nursery(nursery);
    for (size_t i = 0; nursery->argv[i]; i++)
        free(nursery->argv[i]);
    free(nursery->argv);
    free(nursery);
}

static int send_request(struct nursery *nursery, const struct keeper_birth *birth)
{
    int fds[PACKET_FDS_MAX] = {birth->lock_fd, birth->listen_fd, birth->life_fd};
    size_t fd_count = birth->life_fd >= 0 ? 3 : 2;

    return packet_send(nursery->socket, birth->directory, strlen(birth->directory) + 1, fds,
                       fd_count, 0);
}

int nursery_bear(struct nursery *nursery, const struct keeper_birth *birth, struct child *ret_child,
                 struct err *e)
{
    if (nursery->socket < 0 || send_request(nursery, birth) < 0) {
        /* It was killed before it could hear us: a new one is asked the same. */
        end_nursery(nursery);
        if (launch_nursery(nursery, e) < 0)
            return -1;
        if (send_request(nursery, birth) < 0)
            return err_errno(e, errno, "cannot ask the nursery for a keeper");
    }
    int answer = 0, fds[PACKET_FDS_MAX] = {-1, -1, -1};
    size_t fd_count;
    if (packet_receive(nursery->socket, &answer, sizeof answer, fds, &fd_count, 0) !=
        (ssize_t)sizeof answer) {
        /* It may have borne a keeper and been killed before it could say so. To ask again could
         * mean two keepers for one attempt, so this attempt is given up. */
        end_nursery(nursery);
        return err_set(e, ERR_UNAVAILABLE, "the nursery of keepers was killed");
    }
    if (answer < 0)
        return err_errno(e, -answer, "cannot fork a keeper");
    *ret_child = (struct child){.pid = answer, .pidfd = fd_count > 0 ? fds[0] : -1};
    return 0;
}

/* --- the nursery's side --- */

static int become_keeper(int socket_fd, const char *directory, const int *fds, size_t fd_count,
                         int (*run)(const struct keeper_birth *birth))
{
    close(socket_fd);
    setsid();
    signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_NAME, "segue-keeper");
    /* From here on the attempt has begun: who finds the lock free and empty may start it again. */
    dprintf(fds[0], "%d\n", getpid());
    struct keeper_birth birth = {
        .directory = directory,
        .lock_fd = fds[0],
        .listen_fd = fds[1],
        .life_fd = fd_count > 2 ? fds[2] : -1,
    };
    return run(&birth);
}

/* What libraries set up at their first use (OpenSSL its tables, ZeroMQ a look at /etc/protocols,
 * libc the time zone) is done once, here, instead of in every keeper. None of it starts a thread.
 */
static void warm_up(void)
{
    wire_key_free(wire_key_new("any"));
    zmq_ctx_term(zmq_ctx_new());
    time_text_now();
}

/* As fork, with a pidfd; or a negative errno. Until the pidfd is there nothing is reaped: a keeper
 * may have ended by then. Afterwards the kernel reaps what ends. */
static int fork_keeper(int *ret_pidfd)
{
    signal(SIGCHLD, SIG_DFL);
    int pid = fork();
    if (pid == 0)
        return 0;
    int result = pid < 0 ? -errno : pid;
    *ret_pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (pid > 0 && *ret_pidfd < 0) {
        result = -errno;
        kill(pid, SIGKILL); /* nobody could see it end */
    }
    signal(SIGCHLD, SIG_IGN);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ; /* what ended in between */
    return result;
}

int nursery_serve(int socket_fd, int (*run)(const struct keeper_birth *birth))
{
    signal(SIGCHLD, SIG_IGN); /* the kernel reaps the keepers */
    fcntl(socket_fd, F_SETFD, FD_CLOEXEC);
    prctl(PR_SET_NAME, "segue-nursery");
    warm_up();

    for (;;) {
        char directory[PATH_MAX];
        int fds[PACKET_FDS_MAX] = {-1, -1, -1};
        size_t fd_count;
        ssize_t got = packet_receive(socket_fd, directory, sizeof directory, fds, &fd_count, 0);
        if (got <= 0)
            return 0;
        directory[got - 1] = 0;
        if (fd_count < 2)
            return 1; /* no request of ours */

        int pidfd = -1;
        int answer = fork_keeper(&pidfd);
        if (answer == 0)
            _exit(become_keeper(socket_fd, directory, fds, fd_count, run));
        for (size_t i = 0; i < fd_count; i++)
            close(fds[i]);
        packet_send(socket_fd, &answer, sizeof answer, &pidfd, pidfd >= 0 ? 1 : 0, 0);
        if (pidfd >= 0)
            close(pidfd);
    }
}
