#include "kernel-gateway/keeper/keeper_handle.h"

#include "base/fs.h"
#include "base/id.h"
#include "base/mem.h"
#include "kernel-gateway/keeper/keeper.h"
#include "kernel-gateway/keeper/packet.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* From the fork of a keeper to its first act. */
#define BIRTH_LIMIT_MS 2000

/* Clients that come while a keeper has no ear for them: it may be starting a container. */
#define BACKLOG 64

/* Far more than any keeper has to tell. */
#define NEWS_MAX 16384

/* Read at a time, of which the newest is handed on. */
#define NEWS_PER_ROUND 16

struct keeper_handle {
    const struct keeper_handle_events *events;
    void *user;
    struct child keeper;
    int socket; /* -1: it was on its way out when we came */
    struct loop_source *socket_source, *exit_source;
    bool has_exited; /* the process */
    bool has_ended;  /* and its last news are heard */
};

void keeper_mark(char mark[11])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned char bytes[10];

    random_bytes(bytes, sizeof bytes);
    for (int i = 0; i < 10; i++)
        mark[i] = digits[bytes[i] % 32];
    mark[10] = 0;
}

/* --- hearing --- */

static void end(struct keeper_handle *handle)
{
    handle->has_ended = true;
    handle->events->ended(handle->user);
}

/* Bytes of the newest packet that is there; 0: the end, -1: nothing now. */
static ssize_t receive_newest(struct keeper_handle *handle, char news[NEWS_MAX])
{
    ssize_t newest = -1;

    for (int i = 0; i < NEWS_PER_ROUND; i++) {
        int fds[PACKET_FDS_MAX];
        size_t fd_count;
        ssize_t got = packet_receive(handle->socket, news, NEWS_MAX, fds, &fd_count, MSG_DONTWAIT);
        for (size_t k = 0; k < fd_count; k++)
            close(fds[k]);
        if (got <= 0) {
            bool is_end = got == 0 || (errno != EAGAIN && errno != ECONNRESET);
            return newest < 0 && is_end ? 0 : newest;
        }
        newest = got;
    }
    return newest;
}

static void on_socket(void *user, uint32_t events)
{
    struct keeper_handle *handle = user;
    char news[NEWS_MAX];
    ssize_t got = receive_newest(handle, news);

    (void)events;
    if (got > 0) { /* if that was the last of it, its end is heard the next time */
        handle->events->news(handle->user, (struct str){news, (size_t)got});
        return;
    }
    if (got < 0)
        return;
    loop_remove(take_ptr(&handle->socket_source));
    if (handle->has_exited)
        end(handle);
}

/* When the process is gone its socket is closed: what is left to hear is there already. */
static void on_exit_of_keeper(void *user)
{
    struct keeper_handle *handle = user;

    handle->has_exited = true;
    if (!handle->socket_source)
        end(handle);
}

static void watch(struct keeper_handle *handle, struct loop *loop)
{
    if (handle->socket >= 0)
        handle->socket_source = loop_add_fd(loop, handle->socket, EPOLLIN, on_socket, handle);
    handle->exit_source = loop_add_pidfd(loop, handle->keeper.pidfd, on_exit_of_keeper, handle);
}

static struct keeper_handle *new_handle(const struct keeper_handle_events *events, void *user)
{
    struct keeper_handle *handle = mem_zalloc(sizeof *handle);

    *handle = (struct keeper_handle){
        .events = events, .user = user, .keeper = {.pidfd = -1}, .socket = -1};
    return handle;
}

/* --- bearing --- */

/* The directory of the sockets, given to whom the kernel runs as, and the way back from it. */
static int make_socket_dir(const struct keeper_site *site, struct err *e)
{
    auto_free char *link = fs_join(site->socket_dir, KEEPER_ATTEMPT);
    auto_free char *inner = fs_join(site->socket_dir, "s");

    if (fs_mkdirs(site->socket_dir, 0711, e) < 0)
        return -1;
    if (mkdir(inner, 0700) < 0 || symlink(site->directory, link) < 0)
        return err_errno(e, errno, "cannot make \"%s\"", inner);
    if (site->change_user && chown(inner, site->uid, site->gid) < 0)
        return err_errno(e, errno, "cannot give \"%s\" away", inner);
    return 0;
}

static int listen_at(const char *path, struct err *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s", path) >=
        sizeof address.sun_path)
        return err_set(e, ERR_LIMIT, "the socket path \"%s\" is too long", path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, BACKLOG) < 0)
        return err_errno(e, errno, "cannot listen at \"%s\"", path);
    return take_fd(&fd);
}

static int connect_to(const char *path, struct err *e)
{
    int fd = packet_connect(path, 0);

    return fd < 0 ? err_errno(e, errno, "cannot connect to \"%s\"", path) : fd;
}

/* The lock and the listening socket exist before the keeper does, so that there is no moment in
 * which it lives and could not be seen or told. */
static int bear(struct keeper_handle *handle, struct nursery *nursery,
                const struct keeper_site *site, int life_fd, struct err *e)
{
    auto_free char *lock = fs_join(site->directory, KEEPER_LOCK);
    auto_free char *path = fs_join(site->socket_dir, KEEPER_SOCKET);
    auto_close int lock_fd = fs_lock(lock, e);

    if (lock_fd < 0)
        return -1;
    auto_close int listen_fd = listen_at(path, e);
    if (listen_fd < 0)
        return -1;
    handle->socket = connect_to(path, e);
    if (handle->socket < 0)
        return -1;
    struct keeper_birth birth = {
        .directory = site->directory,
        .lock_fd = lock_fd,
        .listen_fd = listen_fd,
        .life_fd = life_fd,
    };
    return nursery_bear(nursery, &birth, &handle->keeper, e);
}

int keeper_bear(struct keeper_handle **ret_handle, struct loop *loop, struct nursery *nursery,
                const struct keeper_site *site, int life_fd,
                const struct keeper_handle_events *events, void *user, struct err *e)
{
    struct keeper_handle *handle = new_handle(events, user);
    struct err ignored;

    if (make_socket_dir(site, e) < 0 || bear(handle, nursery, site, life_fd, e) < 0) {
        keeper_handle_free(handle);
        if (e->code != ERR_UNAVAILABLE) /* else there may be one, for all we know */
            fs_remove_tree(site->socket_dir, &ignored);
        return -1;
    }
    watch(handle, loop);
    *ret_handle = handle;
    return 0;
}

/* --- taking up what an earlier daemon started --- */

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
static pid_t await_pid(const struct keeper_handle *handle, const char *lock)
{
    struct pollfd hears = {.fd = handle->socket, .events = POLLIN};
    pid_t pid = read_pid(lock);

    if (pid > 0 || handle->socket < 0)
        return pid;
    poll(&hears, 1, BIRTH_LIMIT_MS);
    return read_pid(lock);
}

/* The pid is the keeper's if the keeper still lives, by its lock, after the pidfd was opened. */
static int adopt_living(struct keeper_handle *handle, enum keeper_found *found, const char *lock,
                        const char *path, struct err *e)
{
    struct err ignored;

    handle->socket = connect_to(path, &ignored); /* on its way out it does not listen any more */
    pid_t pid = await_pid(handle, lock);
    if (pid > 0)
        handle->keeper = (struct child){pid, (int)syscall(SYS_pidfd_open, pid, 0)};
    *found = is_lock_free(lock) ? KEEPER_GONE : KEEPER_LIVES;
    if (*found == KEEPER_LIVES && handle->keeper.pidfd < 0)
        return err_set(e, ERR_UNAVAILABLE, "\"%s\" is held by nobody that can be found", lock);
    return 0;
}

/* No keeper has begun, and none will. */
static bool has_never_begun(const char *lock)
{
    return !fs_exists(lock) || (is_lock_free(lock) && read_pid(lock) == 0);
}

/* A daemon that is just dying lets go of the lock while it is looked at: hence what has never begun
 * is asked for once more. */
static int find_keeper(struct keeper_handle *handle, enum keeper_found *found, const char *lock,
                       const char *path, struct err *e)
{
    int result = 0;

    *found = KEEPER_GONE;
    if (has_never_begun(lock)) {
        *found = KEEPER_NEVER_BEGUN;
        return 0;
    }
    if (is_lock_free(lock))
        return 0;
    result = adopt_living(handle, found, lock, path, e);
    if ((result < 0 || *found == KEEPER_GONE) && has_never_begun(lock)) {
        *found = KEEPER_NEVER_BEGUN;
        return 0;
    }
    return result;
}

int keeper_adopt(struct keeper_handle **ret_handle, enum keeper_found *ret_found, struct loop *loop,
                 const char *directory, const char *socket_dir,
                 const struct keeper_handle_events *events, void *user, struct err *e)
{
    auto_free char *lock = fs_join(directory, KEEPER_LOCK);
    auto_free char *path = fs_join(socket_dir, KEEPER_SOCKET);
    struct keeper_handle *handle = new_handle(events, user);
    int result = find_keeper(handle, ret_found, lock, path, e);

    if (result < 0 || *ret_found != KEEPER_LIVES) {
        keeper_handle_free(handle);
        return result;
    }
    watch(handle, loop);
    *ret_handle = handle;
    return 0;
}

/* --- living and ending --- */

int keeper_tell(struct keeper_handle *handle, const char *command)
{
    return packet_send(handle->socket, command, strlen(command), NULL, 0, MSG_DONTWAIT);
}

void keeper_kill(struct keeper_handle *handle)
{
    syscall(SYS_pidfd_send_signal, handle->keeper.pidfd, SIGKILL, NULL, 0);
}

bool keeper_has_ended(const struct keeper_handle *handle)
{
    return handle->has_ended;
}

void keeper_handle_free(struct keeper_handle *handle)
{
    if (!handle)
        return;
    loop_remove(handle->socket_source);
    loop_remove(handle->exit_source);
    if (handle->socket >= 0)
        close(handle->socket);
    if (handle->keeper.pidfd >= 0)
        close(handle->keeper.pidfd);
    free(handle);
}

bool keeper_may_have_left(const char *socket_dir)
{
    auto_free char *link = fs_join(socket_dir, KEEPER_ATTEMPT);
    struct stat st;

    return lstat(link, &st) == 0;
}

void keeper_forget(const char *socket_dir)
{
    auto_free char *link = fs_join(socket_dir, KEEPER_ATTEMPT);

    unlink(link);
}

void keeper_clear_sockets(const char *socket_dir)
{
    struct err ignored;

    if (!keeper_may_have_left(socket_dir))
        fs_remove_tree(socket_dir, &ignored);
}

bool keeper_is_alive(const char *directory)
{
    auto_free char *lock = fs_join(directory, KEEPER_LOCK);

    return fs_exists(lock) && !is_lock_free(lock);
}
