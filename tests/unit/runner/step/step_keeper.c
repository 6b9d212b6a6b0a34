/* A step in a keeper of its own, as the nursery would have it borne; for the tests of steps, which
 * include it. */
#include "base/id.h"
#include "base/json.h"
#include "kernel-gateway/keeper/journal.h"
#include "kernel-gateway/keeper/keeper.h"
#include "runner/step/step.h"
#include "runner/step/task.h"
#include "tests/unit/base/scratch.c"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

struct step_keeper {
    char *root; /* root/project, root/attempt, root/s */
    char *attempt;
    struct task task;
    struct keeper_birth birth;
    int life; /* the engine's end of the life pipe; -1: closed */
    int socket;
    pid_t pid;
    struct journal_cursor cursor;
};

static inline void step_keeper_listen(struct step_keeper *keeper)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof address.sun_path, "%s/keeper", keeper->root);
    keeper->birth.listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    keeper->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(keeper->birth.listen_fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(keeper->birth.listen_fd, 4) < 0 ||
        connect(keeper->socket, (struct sockaddr *)&address, sizeof address) < 0)
        abort();
}

/* Everything but the start: the task may still be changed. The step's file is `name` with that
 * text. */
static inline void step_keeper_init(struct step_keeper *keeper, enum step_kind kind,
                                    const char *name, const char *text)
{
    int life[2];
    char mark[11];
    struct err e;

    *keeper = (struct step_keeper){.root = scratch_new(), .cursor = {.fd = -1}};
    keeper->attempt = fs_join(keeper->root, "attempt");
    auto_free char *project = fs_join(keeper->root, "project");
    auto_free char *lock = scratch_write(keeper->attempt, KEEPER_LOCK, "");
    auto_free char *sockets = fs_join(keeper->root, "k/s");
    auto_free char *io = fs_join(keeper->root, "io");
    scratch_put(project, name, text);
    scratch_put(keeper->attempt, KEEPER_JOURNAL, "");
    if (fs_mkdirs(sockets, 0755, &e) < 0 || fs_mkdirs(io, 0755, &e) < 0 ||
        pipe2(life, O_CLOEXEC) < 0)
        abort();
    random_hex(mark, 10);
#define X(text_name) keeper->task.text_name = mem_strdup("the-" #text_name);
    TASK_NEEDED_TEXTS(X)
#undef X
#define SET(field, value)                                                                          \
    do {                                                                                           \
        free(keeper->task.field);                                                                  \
        keeper->task.field = (value);                                                              \
    } while (0)
    SET(attempt_id, mem_strdup(mark));
    SET(source, fs_join(project, name));
    SET(project_dir, mem_strdup(project));
    SET(socket_dir, mem_strdup(sockets));
    SET(io_dir, mem_strdup(io));
    SET(launcher, mem_strdup("process"));
#undef SET
    keeper->task.kind = kind;
    keeper->task.number = 1;
    if (json_parse(&keeper->task.parameters, STR("{}"), JSON_STRICT, NULL, &e) < 0)
        abort();
    keeper->life = life[1];
    keeper->birth = (struct keeper_birth){
        .directory = keeper->attempt, .lock_fd = fs_lock(lock, &e), .life_fd = life[0]};
    step_keeper_listen(keeper);
    auto_free char *journal = fs_join(keeper->attempt, KEEPER_JOURNAL);
    if (journal_cursor_open(&keeper->cursor, journal, 0, &e) < 0)
        abort();
}

/* With what lies in the attempt's directory as its task. */
static inline void step_keeper_fork(struct step_keeper *keeper)
{
    keeper->pid = fork();
    if (keeper->pid == 0) {
        close(keeper->life);
        close(keeper->socket);
        _exit(step_run(&keeper->birth));
    }
    close(keeper->birth.lock_fd);
    close(keeper->birth.listen_fd);
    close(keeper->birth.life_fd);
}

static inline void step_keeper_start(struct step_keeper *keeper)
{
    auto_buf struct buf text = {0};

    task_encode(&keeper->task, &text);
    scratch_put(keeper->attempt, TASK_FILE, text.data);
    step_keeper_fork(keeper);
}

static inline void step_keeper_stop(struct step_keeper *keeper, const char *cause)
{
    auto_free char *command = mem_printf("stop %s", cause);

    (void)!send(keeper->socket, command, strlen(command), MSG_NOSIGNAL);
}

/* Waits until this stands in the journal. */
static inline void step_keeper_await(struct step_keeper *keeper, const char *text)
{
    struct str line;
    struct err e;
    char number[64];

    for (;;) {
        while (journal_cursor_next(&keeper->cursor, &line, &e) == 1)
            if (memmem(line.text, line.len, text, strlen(text)))
                return;
        struct pollfd fd = {keeper->socket, POLLIN, 0};
        poll(&fd, 1, -1);
        if (recv(keeper->socket, number, sizeof number, 0) == 0)
            fail_msg("it ended without \"%s\"", text);
    }
}

/* Its exit status, when it has ended; -1: killed. */
static inline int step_keeper_wait(struct step_keeper *keeper)
{
    int status;

    waitpid(keeper->pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline void step_keeper_clear(struct step_keeper *keeper)
{
    journal_cursor_close(&keeper->cursor);
    close(keeper->socket);
    if (keeper->life >= 0)
        close(keeper->life);
    task_clear(&keeper->task);
    free(keeper->attempt);
    scratch_free(keeper->root);
}

/* What the journal says at the end. */
struct told {
    char status[16], cause[32], message[700];
    struct buf out, error; /* what was printed */
    size_t outputs;        /* lines of it */
    size_t lines, ends;
    bool is_last; /* the end is the last line */
};

static inline void told_line(struct told *told, const struct json *line)
{
    json_at output = json_get(line, 0, "output"), failure = json_get(line, 0, "failure");
    auto_buf struct buf scratch = {0};
    int64_t n = 0;

    assert_true(json_int(line, json_get(line, 0, "n"), &n));
    assert_int_equal(n, ++told->lines);
    if (json_is(line, json_get(line, 0, "event"), "output")) {
        bool is_out = json_is(line, json_get(line, output, "name"), "stdout");
        json_string(line, json_get(line, output, "text"), is_out ? &told->out : &told->error);
        told->outputs++;
    }
    told->is_last = json_is(line, json_get(line, 0, "event"), "step_finished");
    told->ends += told->is_last;
    if (!told->is_last)
        return;
    struct str text = json_text(line, json_get(line, 0, "status"), &scratch);
    snprintf(told->status, sizeof told->status, STR_FMT, STR_ARG(text));
    text = json_text(line, json_get(line, failure, "cause"), &scratch);
    snprintf(told->cause, sizeof told->cause, STR_FMT, STR_ARG(text));
    text = json_text(line, json_get(line, failure, "message"), &scratch);
    snprintf(told->message, sizeof told->message, STR_FMT, STR_ARG(text));
}

static inline struct told told_by(const struct step_keeper *keeper)
{
    auto_free char *path = fs_join(keeper->attempt, KEEPER_JOURNAL);
    struct journal_cursor cursor;
    struct told told = {0};
    struct str text;
    struct err e;

    assert_int_equal(journal_cursor_open(&cursor, path, 0, &e), 0);
    while (journal_cursor_next(&cursor, &text, &e) == 1) {
        auto_json struct json line = {0};
        if (json_parse(&line, text, JSON_STRICT, NULL, &e) < 0)
            fail_msg("%s", e.text);
        told_line(&told, &line);
    }
    journal_cursor_close(&cursor);
    return told;
}

static inline void told_clear(struct told *told)
{
    buf_clear(&told->out);
    buf_clear(&told->error);
}
