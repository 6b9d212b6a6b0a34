#include "runner/engine/attempt.h"

#include "base/fs.h"
#include "base/mem.h"
#include "kernel-gateway/keeper/journal.h"
#include "kernel-gateway/keeper/keeper.h"
#include "kernel-gateway/keeper/keeper_handle.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* A keeper ends within 3 s of being told; one that does not is beyond asking. */
#define STOP_LIMIT_MS 4000

struct attempt {
    const struct attempt_world *world;
    void *user;
    char *socket_dir;             /* k/<mark> */
    struct keeper_handle *keeper; /* NULL: it had ended when we came */
    struct journal_cursor cursor;
    struct loop_source *kill_timer;
    bool is_stopping; /* asked to, and its time is running */
    bool was_killed;
};

char *attempt_socket_dir(const struct state *state, const char *mark)
{
    auto_free char *dir = state_socket_dir(state, mark);

    return fs_join(dir, "s");
}

/* --- what comes from the keeper --- */

/* How long the journal is by now: it is read to its end anyway. */
static void on_news(void *user, struct str packet)
{
    struct attempt *attempt = user;

    (void)packet;
    attempt->world->events->news(attempt->user);
}

static void on_ended(void *user)
{
    struct attempt *attempt = user;

    attempt->world->events->news(attempt->user);
}

static const struct keeper_handle_events keeper_events = {.news = on_news, .ended = on_ended};

/* --- starting --- */

static void kill_keeper(void *user)
{
    struct attempt *attempt = user;

    attempt->was_killed = true;
    keeper_kill(attempt->keeper);
}

static struct attempt *new_attempt(const struct attempt_world *world, const char *mark, void *user)
{
    struct attempt *attempt = mem_zalloc(sizeof *attempt);

    *attempt = (struct attempt){
        .world = world,
        .user = user,
        .socket_dir = state_socket_dir(world->state, mark),
        .cursor = {.fd = -1},
        .kill_timer = loop_add_timer(world->loop, kill_keeper, attempt),
    };
    return attempt;
}

/* Without a look at what is left of the keeper. */
static void let_go(struct attempt *attempt)
{
    keeper_handle_free(attempt->keeper);
    loop_remove(attempt->kill_timer);
    journal_cursor_close(&attempt->cursor);
    free(attempt->socket_dir);
    free(attempt);
}

static int make_directory(const char *directory, const struct task *task, struct err *e)
{
    auto_free char *file = fs_join(directory, TASK_FILE);
    auto_buf struct buf text = {0};

    if (fs_mkdirs(directory, 0755, e) < 0)
        return -1;
    task_encode(task, &text);
    return fs_write(file, (struct str){text.data, text.len}, 0600, FS_NO_SYNC, e);
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

static int bear(struct attempt *attempt, const char *directory, const struct task *task,
                struct err *e)
{
    struct keeper_site site = {
        .directory = directory,
        .socket_dir = attempt->socket_dir,
        .change_user = task->change_user,
        .uid = (uid_t)task->uid,
        .gid = (gid_t)task->gid,
    };

    return keeper_bear(&attempt->keeper, attempt->world->loop, attempt->world->nursery, &site,
                       attempt->world->life_fd, &keeper_events, attempt, e);
}

int attempt_start(struct attempt **ret_attempt, const struct attempt_world *world,
                  const char *directory, const struct task *task, void *user, struct err *e)
{
    struct attempt *attempt = new_attempt(world, task->attempt_id, user);

    if (make_directory(directory, task, e) < 0 || open_journal(attempt, directory, 0, e) < 0 ||
        bear(attempt, directory, task, e) < 0) {
        let_go(attempt);
        return err_prefix(e, "cannot start the step");
    }
    *ret_attempt = attempt;
    return 0;
}

/* --- taking up what an earlier engine started --- */

static void remove_prepared(const struct attempt *attempt, const char *directory)
{
    struct err ignored;

    fs_remove_tree(directory, &ignored);
    fs_remove_tree(attempt->socket_dir, &ignored);
}

int attempt_adopt(struct attempt **ret_attempt, const struct attempt_world *world,
                  const char *directory, const char *mark, uint64_t offset, void *user,
                  struct err *e)
{
    struct attempt *attempt = new_attempt(world, mark, user);
    enum keeper_found found;

    int result = keeper_adopt(&attempt->keeper, &found, world->loop, directory, attempt->socket_dir,
                              &keeper_events, attempt, e);
    if (result == 0 && found == KEEPER_NEVER_BEGUN) {
        remove_prepared(attempt, directory);
        let_go(attempt);
        return 0;
    }
    if (result < 0 || open_journal(attempt, directory, offset, e) < 0) {
        let_go(attempt);
        return err_prefix(e, "cannot take up the attempt in \"%s\"", directory);
    }
    *ret_attempt = attempt;
    return 1;
}

/* --- living and ending --- */

bool attempt_is_gone(const struct attempt *attempt)
{
    return !attempt->keeper || keeper_has_ended(attempt->keeper);
}

void attempt_stop(struct attempt *attempt, enum cause cause)
{
    char command[64];

    if (attempt_is_gone(attempt))
        return;
    snprintf(command, sizeof command, "stop %s", cause_name(cause));
    keeper_tell(attempt->keeper, command);
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

bool attempt_was_killed(const struct attempt *attempt)
{
    return attempt->was_killed;
}

void attempt_free(struct attempt *attempt)
{
    if (!attempt)
        return;
    if (attempt_is_gone(attempt))
        keeper_clear_sockets(attempt->socket_dir);
    let_go(attempt);
}
