/* Telling is lossy by design: only the newest news matter, so a client that does not read misses
 * nothing but what is old. News are sent a moment after they came up, so that a flood of them costs
 * one packet per NOTICE_MS; to a client whose socket was full, as soon as there is room again. */
#include "kernel-gateway/keeper/keeper.h"

#include "base/mem.h"
#include "kernel-gateway/keeper/packet.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOTICE_MS 2 /* people do not see it, and it makes a flood 500 packets a second */

/* The daemon, a person who looks in with a tool, and those who come only to leave a command. More
 * of them wait to be let in. */
#define MAX_CLIENTS 16

/* Of one client and round: nobody keeps the others waiting. */
#define COMMANDS_PER_ROUND 32

struct client {
    struct keeper *keeper;
    int fd; /* -1: free */
    struct loop_source *source;
    bool is_behind; /* its socket was full: it has yet to hear the newest */
};

struct keeper {
    struct loop *loop;
    const struct keeper_events *events;
    void *user;
    int lock_fd, listen_fd, life_fd;
    int cancel_fd; /* an epoll of everything that may ask to stop */
    struct client clients[MAX_CLIENTS];
    struct buf news;
    struct loop_source *listen_source, *life_source, *notice;
    bool notice_due;
};

/* --- up: news --- */

static void set_behind(struct client *client, bool is_behind)
{
    if (client->is_behind == is_behind)
        return;
    client->is_behind = is_behind;
    loop_set_events(client->source, is_behind ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void tell(struct client *client)
{
    const struct buf *news = &client->keeper->news;

    if (news->len == 0) /* there are none; and an empty packet would be taken for the end */
        return;
    int sent = packet_send(client->fd, news->data, news->len, NULL, 0, MSG_DONTWAIT);
    set_behind(client, sent < 0 && errno == EAGAIN);
}

static void collect_news(struct keeper *keeper)
{
    buf_reset(&keeper->news);
    keeper->events->news(keeper->user, &keeper->news);
}

static void tell_all(void *user)
{
    struct keeper *keeper = user;

    keeper->notice_due = false;
    collect_news(keeper);
    for (int i = 0; i < MAX_CLIENTS; i++)
        if (keeper->clients[i].fd >= 0)
            tell(&keeper->clients[i]);
}

void keeper_notify(struct keeper *keeper)
{
    if (keeper->notice_due)
        return;
    keeper->notice_due = true;
    loop_arm_in(keeper->notice, NOTICE_MS);
}

/* --- down: commands --- */

static void drop_client(struct client *client)
{
    loop_remove(client->source);
    close(client->fd);
    client->fd = -1;
    loop_set_events(client->keeper->listen_source, EPOLLIN); /* there is room for another */
}

static void obey(struct keeper *keeper, const char *command, int *fd)
{
    if (strncmp(command, "stop ", 5) != 0)
        keeper->events->command(keeper->user, command, fd);
    else if (command[5])
        keeper->events->stop(keeper->user, cause_of_name(command + 5));
}

/* False: nothing more to read for now. The client may be another one afterwards, or none. */
static bool read_command(struct client *client)
{
    char command[KEEPER_COMMAND_MAX + 1];
    int fds[PACKET_FDS_MAX];
    size_t fd_count;
    ssize_t got =
        packet_receive(client->fd, command, sizeof command - 1, fds, &fd_count, MSG_DONTWAIT);

    for (size_t i = 1; i < fd_count; i++)
        close(fds[i]);
    auto_close int fd = got >= 0 && fd_count > 0 ? fds[0] : -1;
    /* A client that leaves with news unread resets the connection, which is told once and before
     * what it has said: that is still there to be read. */
    if (got < 0 && errno == ECONNRESET)
        return true;
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0) {
        drop_client(client);
        return false;
    }
    command[got] = 0;
    obey(client->keeper, command, &fd);
    return true;
}

static void on_client(void *user, uint32_t events)
{
    struct client *client = user;

    if ((events & EPOLLOUT) && client->is_behind) {
        collect_news(client->keeper);
        tell(client);
    }
    /* What is obeyed may turn the loop: this client may leave in it. */
    for (int i = 0; i < COMMANDS_PER_ROUND && client->fd >= 0; i++)
        if (!read_command(client))
            return;
}

static void watch_for_cancel(struct keeper *keeper, int fd)
{
    epoll_ctl(keeper->cancel_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN});
}

static struct client *free_client(struct keeper *keeper)
{
    for (int i = 0; i < MAX_CLIENTS; i++)
        if (keeper->clients[i].fd < 0)
            return &keeper->clients[i];
    return NULL;
}

static void on_connect(void *user, uint32_t events)
{
    struct keeper *keeper = user;
    struct client *client = free_client(keeper);

    (void)events;
    if (!client) {
        loop_set_events(keeper->listen_source, 0); /* until one leaves */
        return;
    }
    int fd = accept4(keeper->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    *client = (struct client){.keeper = keeper, .fd = fd};
    client->source = loop_add_fd(keeper->loop, fd, EPOLLIN, on_client, client);
    watch_for_cancel(keeper, fd); /* closing takes it out of the epoll again */
    collect_news(keeper);
    tell(client);
    on_client(client, EPOLLIN); /* what it said before we looked, in the same round */
}

static void on_life_end(void *user, uint32_t events)
{
    struct keeper *keeper = user;

    (void)events;
    loop_remove(keeper->life_source); /* it stays readable for ever and has said what it had to */
    keeper->life_source = NULL;
    keeper->events->stop(keeper->user, CAUSE_CANCELLED);
}

static void on_sigterm(void *user, int signal_number)
{
    struct keeper *keeper = user;

    (void)signal_number;
    keeper->events->stop(keeper->user, CAUSE_CANCELLED);
}

/* --- life --- */

struct keeper *keeper_open(const struct keeper_birth *birth, const struct keeper_events *events,
                           void *user)
{
    struct keeper *keeper = mem_zalloc(sizeof *keeper);

    *keeper = (struct keeper){
        .loop = loop_new(),
        .events = events,
        .user = user,
        .lock_fd = birth->lock_fd,
        .listen_fd = birth->listen_fd,
        .life_fd = birth->life_fd,
        .cancel_fd = epoll_create1(EPOLL_CLOEXEC),
    };
    /* What the kernel leaves behind when it dies comes to us, not to init: its end is ours to clean
     * up. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 0; i < MAX_CLIENTS; i++)
        keeper->clients[i] = (struct client){.keeper = keeper, .fd = -1};
    keeper->notice = loop_add_timer(keeper->loop, tell_all, keeper);
    keeper->listen_source =
        loop_add_fd(keeper->loop, keeper->listen_fd, EPOLLIN, on_connect, keeper);
    loop_add_signal(keeper->loop, SIGTERM, on_sigterm, keeper);
    if (keeper->life_fd >= 0) {
        keeper->life_source =
            loop_add_fd(keeper->loop, keeper->life_fd, EPOLLIN, on_life_end, keeper);
        watch_for_cancel(keeper, keeper->life_fd);
    }
    return keeper;
}

struct loop *keeper_loop(struct keeper *keeper)
{
    return keeper->loop;
}

int keeper_cancel_fd(const struct keeper *keeper)
{
    return keeper->cancel_fd;
}

void keeper_close(struct keeper *keeper)
{
    if (!keeper)
        return;
    tell_all(keeper);
    loop_free(keeper->loop);
    for (int i = 0; i < MAX_CLIENTS; i++)
        if (keeper->clients[i].fd >= 0)
            close(keeper->clients[i].fd);
    close(keeper->listen_fd);
    if (keeper->life_fd >= 0)
        close(keeper->life_fd);
    close(keeper->cancel_fd);
    close(keeper->lock_fd); /* last: a free lock says that all of the above is done */
    buf_clear(&keeper->news);
    free(keeper);
}
