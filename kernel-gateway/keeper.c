/* Telling the engine is lossy by design: what counts is the journal's length, so only the newest
 * number matters and an engine that does not read misses nothing. Numbers are sent a moment after
 * the first line that is news, so that a flood of outputs costs one packet per NOTICE_MS. */
#include "kernel-gateway/keeper.h"

#include "base/fs.h"
#include "base/mem.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOTICE_MS 2 /* people do not see it, and it makes a flood 500 packets a second */

/* An engine is one client; a second is a person who looks in with a tool. */
#define MAX_CLIENTS 4

struct client {
    struct keeper *keeper;
    int fd; /* -1: free */
    struct loop_source *source;
};

struct keeper {
    struct loop *loop;
    struct journal *journal;
    const struct keeper_events *events;
    void *user;
    int lock_fd, listen_fd, life_fd;
    int cancel_fd; /* an epoll of everything that may ask to stop */
    struct client clients[MAX_CLIENTS];
    struct loop_source *notice;
    struct loop_source *life_source;
    bool notice_due;
};

/* --- up: the journal has grown --- */

static void tell(struct client *client)
{
    uint64_t size = journal_size(client->keeper->journal);

    /* A full socket holds an older number that wakes the engine just as well: it reads the journal
     * to its end. */
    (void)!send(client->fd, &size, sizeof size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void tell_all(void *user)
{
    struct keeper *keeper = user;

    keeper->notice_due = false;
    for (int i = 0; i < MAX_CLIENTS; i++)
        if (keeper->clients[i].fd >= 0)
            tell(&keeper->clients[i]);
}

int keeper_commit(struct keeper *keeper, struct str *ret_line, struct err *e)
{
    if (journal_commit(keeper->journal, ret_line, e) < 0)
        return -1;
    if (!keeper->notice_due) {
        keeper->notice_due = true;
        loop_arm_in(keeper->notice, NOTICE_MS);
    }
    return 0;
}

/* --- down: commands --- */

static void drop_client(struct client *client)
{
    loop_remove(client->source);
    close(client->fd);
    client->fd = -1;
}

static void obey(struct keeper *keeper, const char *command)
{
    if (strncmp(command, "stop ", 5) == 0 && command[5])
        keeper->events->stop(keeper->user, cause_of_name(command + 5));
}

static void on_client(void *user, uint32_t events)
{
    struct client *client = user;
    char command[200];
    ssize_t got = recv(client->fd, command, sizeof command - 1, MSG_DONTWAIT);

    (void)events;
    /* A client that leaves with numbers unread resets the connection, which is told once and before
     * what it has said: that is still there to be read. */
    if (got < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNRESET))
        return;
    if (got <= 0) {
        drop_client(client);
        return;
    }
    command[got] = 0;
    obey(client->keeper, command);
}

static void watch_for_cancel(struct keeper *keeper, int fd)
{
    epoll_ctl(keeper->cancel_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN});
}

static void on_connect(void *user, uint32_t events)
{
    struct keeper *keeper = user;
    int fd = accept4(keeper->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd < 0)
        return;
    for (int i = 0; i < MAX_CLIENTS; i++) {
        struct client *client = &keeper->clients[i];
        if (client->fd >= 0)
            continue;
        client->fd = fd;
        client->source = loop_add_fd(keeper->loop, fd, EPOLLIN, on_client, client);
        watch_for_cancel(keeper, fd); /* closing takes it out of the epoll again */
        tell(client);
        on_client(client, EPOLLIN); /* what it said before we looked, in the same round */
        return;
    }
    close(fd);
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

int keeper_open(struct keeper **ret_keeper, const struct keeper_birth *birth,
                const struct keeper_events *events, void *user, struct err *e)
{
    auto_free char *path = fs_join(birth->directory, KEEPER_JOURNAL);
    struct journal *journal;

    if (journal_open(&journal, path, e) < 0)
        return -1;
    struct keeper *keeper = mem_zalloc(sizeof *keeper);
    *keeper = (struct keeper){
        .loop = loop_new(),
        .journal = journal,
        .events = events,
        .user = user,
        .lock_fd = birth->lock_fd,
        .listen_fd = birth->listen_fd,
        .life_fd = birth->life_fd,
        .cancel_fd = epoll_create1(EPOLL_CLOEXEC),
    };
    /* What the kernel leaves behind when it dies comes to us, not to init: the step's end is ours
     * to clean up. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 0; i < MAX_CLIENTS; i++)
        keeper->clients[i] = (struct client){.keeper = keeper, .fd = -1};
    keeper->notice = loop_add_timer(keeper->loop, tell_all, keeper);
    loop_add_fd(keeper->loop, keeper->listen_fd, EPOLLIN, on_connect, keeper);
    loop_add_signal(keeper->loop, SIGTERM, on_sigterm, keeper);
    if (keeper->life_fd >= 0) {
        keeper->life_source =
            loop_add_fd(keeper->loop, keeper->life_fd, EPOLLIN, on_life_end, keeper);
        watch_for_cancel(keeper, keeper->life_fd);
    }
    *ret_keeper = keeper;
    return 0;
}

struct loop *keeper_loop(struct keeper *keeper)
{
    return keeper->loop;
}

struct journal *keeper_journal(struct keeper *keeper)
{
    return keeper->journal;
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
    journal_close(keeper->journal);
    close(keeper->lock_fd); /* last: a free lock says that all of the above is done */
    free(keeper);
}
