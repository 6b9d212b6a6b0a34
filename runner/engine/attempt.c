#include "runner/engine/attempt.h"

#include "base/fs.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* A keeper ends within 3 s of being told; one that does not is beyond asking. */
#define STOP_LIMIT_MS 4000

/* From the fork of a keeper to its first act. */
#define BIRTH_LIMIT_MS 2000

struct attempt {
    const struct attempt_world *world;
    void *user;
    char *socket_dir; /* k/<mark> */
    struct child keeper;
    int socket;
    struct journal_cursor cursor;
    struct loop_source *socket_source, *exit_source, *kill_timer;
    bool is_gone;
    bool is_stopping; /* asked to, and its time is running */
    bool was_killed;
    bool was_born;
};

void attempt_mark(char mark[11])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned char bytes[10];

    random_bytes(bytes, sizeof bytes);
    for (int i = 0; i < 10; i++)
        mark[i] = digits[bytes[i] % 32];
    mark[10] = 0;
}

char *attempt_socket_dir(const struct state *state, const char *mark)
{
    auto_free char *dir = state_socket_dir(state, mark);

    return fs_join(dir, "s");
}

/* --- starting --- */

static int make_directory(const char *directory, const struct task *task, struct err *e)
{
    auto_free char *file = fs_join(directory, TASK_FILE);
    auto_buf struct buf text = {0};

    if (fs_mkdirs(directory, 0755, e) < 0)
        return -1;
    task_encode(task, &text);
    return fs_write(file, (struct str){text.data, text.len}, 0600, FS_NO_SYNC, e);
}

/* The directory of the sockets, given to whom the kernel runs as, and the way back from it. */
static int make_socket_dir(struct attempt *attempt, const char *directory, const struct task *task,
                           struct err *e)
{
    auto_free char *link = fs_join(attempt->socket_dir, "attempt");

    if (fs_mkdirs(attempt->socket_dir, 0711, e) < 0)
        return -1;
    if (mkdir(task->socket_dir, 0700) < 0 || symlink(directory, link) < 0)
        return err_errno(e, errno, "cannot make \"%s\"", task->socket_dir);
    if (task->change_user && chown(task->socket_dir, (uid_t)task->uid, (gid_t)task->gid) < 0)
        return err_errno(e, errno, "cannot give \"%s\" away", task->socket_dir);
    return 0;
}

static int listen_at(const char *path, struct err *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s", path) >=
        sizeof address.sun_path)
        return err_set(e, ERR_LIMIT, "the socket path \"%s\" is too long", path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4) < 0)
        return err_errno(e, errno, "cannot listen at \"%s\"", path);
    return take_fd(&fd);
}

static int connect_to(const char *path, struct err *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return err_errno(e, errno, "cannot connect to \"%s\"", path);
    return take_fd(&fd);
}

static void send_stop(const struct attempt *attempt, enum cause cause)
{
    char command[64];
    int len = snprintf(command, sizeof command, "stop %s", cause_name(cause));

    (void)!send(attempt->socket, command, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The lock and the listening socket exist before the keeper does, so that there is no moment in
 * which it lives and could not be seen or told. */
static int bear_keeper(struct attempt *attempt, const char *directory, struct err *e)
{
    auto_free char *lock = fs_join(directory, KEEPER_LOCK);
    auto_free char *path = fs_join(attempt->socket_dir, KEEPER_SOCKET);
    auto_close int lock_fd = fs_lock(lock, e);

    if (lock_fd < 0)
        return -1;
    auto_close int listen_fd = listen_at(path, e);
    if (listen_fd < 0)
        return -1;
    attempt->socket = connect_to(path, e);
    if (attempt->socket < 0)
        return -1;
    struct keeper_birth birth = {
        .directory = directory,
        .lock_fd = lock_fd,
        .listen_fd = listen_fd,
        .life_fd = attempt->world->life_fd,
    };
    return nursery_bear(attempt->world->nursery, &birth, &attempt->keeper, e);
}

static int open_journal(struct attempt *attempt, const char *directory, uint64_t offset,
                        struct err *e)
{
    auto_free char *path = fs_join(directory, KEEPER_JOURNAL);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0)
        return err_errno(e, errno, "cannot make \"%s\"", path);
    close(fd);
    return journal_cursor_open(&attempt->cursor, path, offset, e);
}

static void on_socket(void *user, uint32_t events)
{
    struct attempt *attempt = user;
    uint64_t sizes[16];
    ssize_t got = recv(attempt->socket, sizes, sizeof sizes, MSG_DONTWAIT);

    (void)events;
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        /* The keeper is about to be gone; its pidfd tells when. */
        loop_remove(attempt->socket_source);
        attempt->socket_source = NULL;
    }
    if (got > 0)
        attempt->world->events->news(attempt->user);
}

static void on_keeper_exit(void *user)
{
    struct attempt *attempt = user;

    attempt->is_gone = true;
    attempt->world->events->news(attempt->user);
}

static void kill_keeper(void *user)
{
    struct attempt *attempt = user;

    attempt->was_killed = true;
    syscall(SYS_pidfd_send_signal, attempt->keeper.pidfd, SIGKILL, NULL, 0);
}

static void watch(struct attempt *attempt)
{
    struct loop *loop = attempt->world->loop;

    if (attempt->socket >= 0)
        attempt->socket_source = loop_add_fd(loop, attempt->socket, EPOLLIN, on_socket, attempt);
    attempt->exit_source = loop_add_pidfd(loop, attempt->keeper.pidfd, on_keeper_exit, attempt);
    attempt->kill_timer = loop_add_timer(loop, kill_keeper, attempt);
}

static struct attempt *new_attempt(const struct attempt_world *world, const char *mark, void *user)
{
    struct attempt *attempt = mem_zalloc(sizeof *attempt);

    *attempt = (struct attempt){
        .world = world,
        .user = user,
        .socket_dir = state_socket_dir(world->state, mark),
        .keeper = {.pidfd = -1},
        .socket = -1,
        .cursor = {.fd = -1},
        .is_gone = true, /* until it is born */
    };
    return attempt;
}

int attempt_start(struct attempt **ret_attempt, const struct attempt_world *world,
                  const char *directory, const struct task *task, void *user, struct err *e)
{
    struct attempt *attempt = new_attempt(world, task->attempt_id, user);

    if (make_directory(directory, task, e) < 0 ||
        make_socket_dir(attempt, directory, task, e) < 0 ||
        open_journal(attempt, directory, 0, e) < 0 || bear_keeper(attempt, directory, e) < 0) {
        attempt->is_gone = e->code != ERR_UNAVAILABLE; /* else there may be one, for all we know */
        attempt_free(attempt);
        return err_prefix(e, "cannot start the step");
    }
    attempt->is_gone = false;
    attempt->was_born = true;
    watch(attempt);
    *ret_attempt = attempt;
    return 0;
}

/* --- taking up what an earlier engine started --- */

/* The keeper's first act is to write its pid into its lock. 0: it has not come to that. */
static pid_t read_pid(const char *lock)
{
    auto_buf struct buf text = {0};
    struct err ignored;

    return fs_read(lock, 64, &text, &ignored) == 0 ? (pid_t)atoi(buf_text(&text)) : 0;
}

static bool is_lock_free(const char *lock)
{
    struct err ignored;
    auto_close int fd = fs_lock(lock, &ignored);

    return fd >= 0;
}

/* A keeper that lives has said something to whoever connects once it has begun. */
static pid_t await_pid(const struct attempt *attempt, const char *lock)
{
    struct pollfd hears = {.fd = attempt->socket, .events = POLLIN};
    pid_t pid = read_pid(lock);

    if (pid > 0 || attempt->socket < 0)
        return pid;
    poll(&hears, 1, BIRTH_LIMIT_MS);
    return read_pid(lock);
}

/* The pid is the keeper's if the keeper still lives, by its lock, after the pidfd was opened. */
static int adopt_living(struct attempt *attempt, const char *lock, struct err *e)
{
    auto_free char *path = fs_join(attempt->socket_dir, KEEPER_SOCKET);
    struct err ignored;

    attempt->socket = connect_to(path, &ignored); /* on its way out it does not listen any more */
    pid_t pid = await_pid(attempt, lock);
    if (pid > 0)
        attempt->keeper = (struct child){pid, (int)syscall(SYS_pidfd_open, pid, 0)};
    if (is_lock_free(lock))
        return 0;
    if (attempt->keeper.pidfd < 0)
        return err_set(e, ERR_UNAVAILABLE, "\"%s\" is held by nobody that can be found", lock);
    attempt->is_gone = false;
    return 0;
}

/* No keeper has begun, and none will. */
static bool has_never_begun(const char *lock)
{
    return !fs_exists(lock) || (is_lock_free(lock) && read_pid(lock) == 0);
}

static int adopt(struct attempt *attempt, const char *directory, uint64_t offset, struct err *e)
{
    attempt->was_born = true;
    if (open_journal(attempt, directory, offset, e) < 0)
        return -1;
    if (!attempt->is_gone)
        watch(attempt);
    return 0;
}

/* 1: its keeper lives or is gone, 0: it has never begun. An engine that is just dying lets go of
 * the lock while it is looked at: hence what has never begun is asked for once more. */
static int find_keeper(struct attempt *attempt, const char *lock, struct err *e)
{
    if (has_never_begun(lock))
        return 0;
    if (is_lock_free(lock))
        return 1;
    if (adopt_living(attempt, lock, e) < 0)
        return has_never_begun(lock) ? 0 : -1;
    return attempt->is_gone && has_never_begun(lock) ? 0 : 1;
}

int attempt_adopt(struct attempt **ret_attempt, const struct attempt_world *world,
                  const char *directory, const char *mark, uint64_t offset, void *user,
                  struct err *e)
{
    auto_free char *lock = fs_join(directory, KEEPER_LOCK);
    struct attempt *attempt = new_attempt(world, mark, user);
    int found = find_keeper(attempt, lock, e);

    if (found == 0) {
        fs_remove_tree(directory, e);
        attempt_free(attempt); /* with its socket directory */
        return 0;
    }
    if (found < 0 || adopt(attempt, directory, offset, e) < 0) {
        attempt->is_gone = false; /* for all we know */
        attempt_free(attempt);
        return err_prefix(e, "cannot take up the attempt in \"%s\"", directory);
    }
    *ret_attempt = attempt;
    return 1;
}

/* --- living and ending --- */

void attempt_stop(struct attempt *attempt, enum cause cause)
{
    if (attempt->is_gone)
        return;
    send_stop(attempt, cause);
    if (!attempt->is_stopping) /* asking again gives it no more time */
        loop_arm_in(attempt->kill_timer, STOP_LIMIT_MS);
    attempt->is_stopping = true;
}

int attempt_read(struct attempt *attempt, struct str *ret_line, uint64_t *ret_offset, struct err *e)
{
    uint64_t offset = attempt->cursor.offset;
    int got = journal_cursor_next(&attempt->cursor, ret_line, e);

    *ret_offset = offset;
    return got;
}

bool attempt_is_gone(const struct attempt *attempt)
{
    return attempt->is_gone;
}

/* Of what the keeper started: then the way back to it stays for the next start. */
static bool may_be_left(const struct attempt *attempt)
{
    auto_free char *link = fs_join(attempt->socket_dir, "attempt");
    struct stat st;

    return lstat(link, &st) == 0;
}

bool attempt_was_killed(const struct attempt *attempt)
{
    return attempt->was_killed;
}

void attempt_free(struct attempt *attempt)
{
    struct err ignored;

    if (!attempt)
        return;
    loop_remove(attempt->socket_source);
    loop_remove(attempt->exit_source);
    loop_remove(attempt->kill_timer);
    if (attempt->socket >= 0)
        close(attempt->socket);
    if (attempt->keeper.pidfd >= 0)
        close(attempt->keeper.pidfd);
    journal_cursor_close(&attempt->cursor);
    if (attempt->is_gone && !(attempt->was_born && may_be_left(attempt)))
        fs_remove_tree(attempt->socket_dir, &ignored);
    free(attempt->socket_dir);
    free(attempt);
}
