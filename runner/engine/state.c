#include "runner/engine/state.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As root, kernels run as the project's owner and must reach their sockets and results below. */
static mode_t dir_mode(void)
{
    return geteuid() == 0 ? 0711 : 0700;
}

char *state_root(void)
{
    const char *given = getenv("SEGUE_STATE");
    const char *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");

    if (given && *given) {
        auto_free char *here = getcwd(NULL, 0);
        return here ? fs_join(here, given) : mem_strdup(given);
    }
    if (geteuid() == 0)
        return mem_strdup("/var/lib/segue");
    if (xdg && *xdg == '/')
        return fs_join(xdg, "segue");
    return fs_join(home && *home ? home : "/tmp", ".local/state/segue");
}

/* Shared by the steps of all projects, and those may run as somebody else: then as /tmp. */
static int make_data_dir(const struct state *state, struct err *e)
{
    auto_free char *data = state_data_dir(state);

    if (fs_mkdirs(data, dir_mode(), e) < 0)
        return -1;
    if (geteuid() == 0 && chmod(data, 01777) < 0)
        return err_errno(e, errno, "cannot open \"%s\" to all projects", data);
    return 0;
}

static int make_dirs(struct state *state, struct err *e)
{
    auto_free char *sockets = fs_join(state->dir, "k");
    auto_free char *runs = fs_join(state->dir, "runs");

    if (make_data_dir(state, e) < 0 || fs_mkdirs(sockets, dir_mode(), e) < 0)
        return -1;
    return fs_mkdirs(runs, dir_mode(), e);
}

static int check_length(const struct state *state, struct err *e)
{
    if (strlen(state->dir) <= LIMIT_STATE_PATH)
        return 0;
    return err_set(e, ERR_LIMIT,
                   "the state directory's path \"%s\" is longer than %u bytes, which leaves no "
                   "room for socket names: set SEGUE_STATE to a shorter one",
                   state->dir, LIMIT_STATE_PATH);
}

/* Makes the directories and takes the lock. */
static int set_up(struct state *state, struct err *e)
{
    auto_free char *lock = fs_join(state->dir, "lock");

    if (make_dirs(state, e) == 0)
        state->lock_fd = fs_lock(lock, e);
    return state->lock_fd < 0 ? err_prefix(e, "cannot set up the state directory") : 0;
}

int state_create(struct state *state, const char *root, struct err *e)
{
    char name[9];

    random_hex(name, 8);
    *state = (struct state){
        .root = mem_strdup(root),
        .dir = mem_printf("%s/cli/%s", root, name),
        .id = uuid_random(),
        .lock_fd = -1,
    };
    if (check_length(state, e) == 0 && set_up(state, e) == 0)
        return 0;
    state_close(state);
    return -1;
}

/* The same id for as long as the directory exists: by it containers are found again. */
static int keep_id(struct state *state, struct err *e)
{
    auto_free char *path = fs_join(state->dir, "id");
    auto_buf struct buf text = {0};

    if (fs_exists(path)) {
        if (fs_read(path, 100, &text, e) < 0)
            return -1;
        state->id = uuid_of(buf_text(&text));
        if (uuid_is_valid(state->id.text))
            return 0;
    }
    state->id = uuid_random();
    return fs_write(path, str_of(state->id.text), 0600, FS_SYNC, e);
}

int state_open(struct state *state, const char *root, struct err *e)
{
    *state = (struct state){.root = mem_strdup(root), .dir = mem_strdup(root), .lock_fd = -1};
    if (check_length(state, e) == 0 && set_up(state, e) == 0 && keep_id(state, e) == 0)
        return 0;
    if (e->code == ERR_CONFLICT)
        err_set(e, ERR_CONFLICT, "another service has the state directory \"%s\"", root);
    state_close(state);
    return -1;
}

void state_close(struct state *state)
{
    if (state->lock_fd >= 0)
        close(state->lock_fd);
    free(state->root);
    free(state->dir);
    *state = (struct state){.lock_fd = -1};
}

char *state_run_dir(const struct state *state, const char *run_uuid)
{
    return mem_printf("%s/runs/%s", state->dir, run_uuid);
}

char *state_data_dir(const struct state *state)
{
    return fs_join(state->root, "data");
}

char *state_socket_dir(const struct state *state, const char *mark)
{
    return mem_printf("%s/k/%s", state->dir, mark);
}
