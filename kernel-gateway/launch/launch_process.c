/* A program as a child of this process. Its end is seen by pidfd, not by the end of its output:
 * grandchildren may hold the pipes open for as long as they like. What lies in the pipes when it
 * has ended was written before and is still handed over; no more than that, so that a grandchild
 * which goes on writing cannot hold up the end.
 *
 * The ended child stays a zombie until launch_free. While it is one, its process id and that of its
 * group belong to nobody else, so the group can still be killed without hitting a stranger. */
#include "base/child.h"
#include "base/mem.h"
#include "kernel-gateway/launch/launch_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Read at one go from one pipe, then everybody else in the loop has a turn: a full default pipe. */
#define ROUND (64 * 1024)

/* An ordinary user may change one session's share each tenth of a second, all users together. */
#define SESSION_NICE_MS 150

/* What a killed process may take to go; longer only when it hangs in the kernel (a dead NFS). */
#define KILL_MS 5000

struct output {
    struct process *process;
    int number; /* 1 or 2 */
    int fd;     /* -1: at its end */
    struct loop_source *source;
};

struct process {
    struct launch base;
    char *attempt;
    pid_t pid;
    int pidfd;
    struct loop_source *exit_source;
    struct output outputs[2];
    int nice;
    struct loop_source *nice_timer; /* NULL: nothing to do any more */
    bool kill_sent;                 /* a SIGKILL of ours */
    int64_t oom_kills;              /* of the cgroup when it began; -1: not readable */
    bool *freed;                    /* set when it is freed inside a callback of ours */
    char chunk[ROUND];
};

/* --- how often the kernel killed for want of memory --- */

/* The number behind `key` at the start of a line of the file; -1: not there. */
static int64_t read_counter(const char *path, const char *key)
{
    FILE *file = fopen(path, "re");
    char line[256], name[128];
    int64_t value, found = -1;

    if (!file)
        return -1;
    while (found < 0 && fgets(line, sizeof line, file))
        if (sscanf(line, "%127s %" SCNd64, name, &value) == 2 && strcmp(name, key) == 0)
            found = value;
    fclose(file);
    return found;
}

/* One line of /proc/self/cgroup: "0::/path" (version 2) or "4:memory:/path" (version 1). */
static int64_t oom_kills_of_line(const char *line)
{
    char path[1024], file[1200];

    if (sscanf(line, "0::%1023[^\n]", path) == 1) {
        snprintf(file, sizeof file, "/sys/fs/cgroup%s/memory.events", path);
        return read_counter(file, "oom_kill");
    }
    if (sscanf(line, "%*d:memory:%1023[^\n]", path) == 1) {
        snprintf(file, sizeof file, "/sys/fs/cgroup/memory%s/memory.oom_control", path);
        return read_counter(file, "oom_kill");
    }
    return -1;
}

static int64_t oom_kills(void)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[1200];
    int64_t count = -1;

    if (!file)
        return -1;
    while (count < 0 && fgets(line, sizeof line, file))
        count = oom_kills_of_line(line);
    fclose(file);
    return count;
}

/* --- its environment --- */

struct env_list {
    const char **entries; /* the array is ours, the texts are borrowed */
    size_t count;
};

/* Adds an entry, or replaces the one of the same name. */
static void env_set(struct env_list *list, const char *entry)
{
    size_t name_len = strcspn(entry, "=");

    for (size_t i = 0; i < list->count; i++) {
        if (strncmp(list->entries[i], entry, name_len + 1) == 0) {
            list->entries[i] = entry;
            return;
        }
    }
    list->entries = mem_resize(list->entries, list->count + 2, sizeof *list->entries);
    list->entries[list->count++] = entry;
    list->entries[list->count] = NULL;
}

/* What another user's process must not inherit: our home, and our session's sockets. */
struct user_env {
    char *home, *user, *logname;
};

static void user_env_clear(struct user_env *env)
{
    free(env->home);
    free(env->user);
    free(env->logname);
}

static bool is_ours_alone(const char *entry)
{
    static const char *const names[] = {
        "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME",          "XDG_CACHE_HOME", "XDG_DATA_HOME",
        "XDG_STATE_HOME",  "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK",  "MAIL"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (launch_env_value(entry, names[i]))
            return true;
    return false;
}

static void env_set_user(struct env_list *list, struct user_env *texts, uid_t uid)
{
    char space[4096];
    struct passwd entry, *found = NULL;

    getpwuid_r(uid, &entry, space, sizeof space, &found);
    texts->home = mem_printf("HOME=%s", found ? found->pw_dir : "/tmp");
    texts->user = found ? mem_printf("USER=%s", found->pw_name) : mem_printf("USER=%u", uid);
    texts->logname = mem_printf("LOGNAME=%s", texts->user + strlen("USER="));
    env_set(list, texts->home);
    env_set(list, texts->user);
    env_set(list, texts->logname);
}

/* --- events --- */

/* False when the launch was freed meanwhile. */
static bool hand_over(struct process *process, int number, const char *data, size_t len)
{
    bool freed = false;

    process->freed = &freed;
    process->base.events.output(process->base.user, number, data, len);
    if (!freed)
        process->freed = NULL;
    return !freed;
}

static void output_close(struct output *output)
{
    loop_remove(output->source);
    output->source = NULL;
    if (output->fd >= 0)
        close(output->fd);
    output->fd = -1;
}

static void on_output(void *user, uint32_t events)
{
    struct output *output = user;
    struct process *process = output->process;
    ssize_t n = read(output->fd, process->chunk, ROUND);

    (void)events;
    if (n > 0)
        hand_over(process, output->number, process->chunk, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        output_close(output);
}

/* Hands over what is in the pipe at this moment; false when the launch was freed meanwhile. */
static bool drain(struct process *process, struct output *output)
{
    int left = 0;

    if (output->fd < 0 || ioctl(output->fd, FIONREAD, &left) < 0)
        return true;
    while (left > 0) {
        ssize_t n = read(output->fd, process->chunk, left < ROUND ? (size_t)left : ROUND);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        if (!hand_over(process, output->number, process->chunk, (size_t)n))
            return false;
        left -= (int)n;
    }
    return true;
}

static void describe(const struct process *process, const siginfo_t *info, struct launch_end *end)
{
    int64_t kills;

    *end = (struct launch_end){.started = true, .code = info->si_status};
    end->by_signal = info->si_code != CLD_EXITED;
    bool foreign_kill = end->by_signal && end->code == SIGKILL && !process->kill_sent;
    kills = foreign_kill ? oom_kills() : -1;
    end->out_of_memory = kills > process->oom_kills && process->oom_kills >= 0;
    launch_end_describe(end);
    if (foreign_kill && kills < 0)
        snprintf(end->text, sizeof end->text, "killed by SIGKILL (perhaps out of memory)");
}

static void on_exit_seen(void *user)
{
    struct process *process = user;
    struct launch_end end = {
        .started = true, .lost = true, .text = "its exit status was taken away"};
    siginfo_t info = {0};

    loop_remove(process->exit_source);
    process->exit_source = NULL;
    if (waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid)
        describe(process, &info, &end);
    if (!drain(process, &process->outputs[0]) || !drain(process, &process->outputs[1]))
        return;
    output_close(&process->outputs[0]);
    output_close(&process->outputs[1]);
    process->base.events.ended(process->base.user, &end);
}

/* --- its share of the processor --- */

/* Where the kernel shares the processor among sessions (autogroup), niceness counts only among the
 * processes of one, and the session has one of its own. Elsewhere there is no such file. */
static int nice_session(const struct process *process)
{
    auto_free char *path = mem_printf("/proc/%d/autogroup", (int)process->pid);
    auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd < 0 ? 0 : (int)dprintf(fd, "%d", process->nice);
}

static void on_nice_due(void *user)
{
    struct process *process = user;

    if (nice_session(process) < 0 && errno == EAGAIN) {
        loop_arm_in(process->nice_timer, SESSION_NICE_MS);
        return;
    }
    loop_remove(process->nice_timer);
    process->nice_timer = NULL;
}

/* --- the table --- */

static int open_pipes(int pipes[2][2], struct err *e)
{
    for (int i = 0; i < 2; i++) {
        if (pipe2(pipes[i], O_CLOEXEC) < 0)
            return err_errno(e, errno, "cannot make a pipe");
        /* Only our end: the program does not expect its output to block in its place. */
        fcntl(pipes[i][0], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

static void close_pipes(int pipes[2][2])
{
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++)
            if (pipes[i][k] >= 0)
                close(pipes[i][k]);
}

static int start_child(const struct launch_place *place, const struct launch_program *program,
                       int pipes[2][2], struct child *child, struct err *e)
{
    struct env_list env = {0};
    struct user_env user = {0};
    auto_free char *mark = mem_printf("SEGUE_ATTEMPT=%s", place->attempt);
    const struct child_fd fds[] = {{pipes[0][1], 1}, {pipes[1][1], 2}};

    for (char **entry = environ; *entry; entry++)
        if (!place->change_user || !is_ours_alone(*entry))
            env_set(&env, *entry);
    if (place->change_user)
        env_set_user(&env, &user, place->uid);
    for (size_t i = 0; program->env && program->env[i]; i++)
        env_set(&env, program->env[i]);
    env_set(&env, mark);

    struct child_options options = {
        .argv = program->argv,
        .env = env.entries,
        .cwd = program->cwd,
        .fds = fds,
        .fd_count = 2,
        .death_signal = SIGKILL,
        .change_user = place->change_user,
        .uid = place->uid,
        .gid = place->gid,
    };
    int result = child_start(&options, child, e);
    free(env.entries);
    user_env_clear(&user);
    return result;
}

static void output_open(struct process *process, int index, int *fd)
{
    struct output *output = &process->outputs[index];

    *output = (struct output){.process = process, .number = index + 1, .fd = take_fd(fd)};
    output->source = loop_add_fd(process->base.loop, output->fd, EPOLLIN, on_output, output);
}

static int process_start(struct launch **ret_launch, struct loop *loop,
                         const struct launch_place *place, const struct launch_program *program,
                         const struct launch_events *events, void *user, struct err *e)
{
    int pipes[2][2] = {{-1, -1}, {-1, -1}};
    struct child child;
    int64_t kills = oom_kills();

    if (open_pipes(pipes, e) < 0 || start_child(place, program, pipes, &child, e) < 0) {
        close_pipes(pipes);
        return -1;
    }
    struct process *process = mem_zalloc(sizeof *process);
    process->base = (struct launch){.loop = loop, .events = *events, .user = user};
    process->attempt = mem_strdup(place->attempt);
    process->pid = child.pid;
    process->pidfd = child.pidfd;
    process->oom_kills = kills;
    output_open(process, 0, &pipes[0][0]);
    output_open(process, 1, &pipes[1][0]);
    process->exit_source = loop_add_pidfd(loop, child.pidfd, on_exit_seen, process);
    if (place->nice > 0) {
        process->nice = place->nice;
        process->nice_timer = loop_add_timer(loop, on_nice_due, process);
        on_nice_due(process);
    }
    close_pipes(pipes);
    *ret_launch = &process->base;
    return 0;
}

static void process_signal(struct launch *launch, int signal_number)
{
    struct process *process = (struct process *)launch;

    if (signal_number == SIGKILL)
        process->kill_sent = true;
    child_signal_group(process->pid, signal_number);
}

static pid_t process_pid(const struct launch *launch)
{
    return ((const struct process *)launch)->pid;
}

/* Looking through every process of the machine takes longer than a short script does. A child
 * subreaper gets whatever its children leave behind, however far it has gone from its group: when
 * it has no child any more, there is nobody to look for. */
static bool has_left_nobody(void)
{
    int is_subreaper = 0;
    siginfo_t info;

    if (prctl(PR_GET_CHILD_SUBREAPER, &is_subreaper) < 0 || !is_subreaper)
        return false;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

/* Takes the zombies of the group: the child's, and of those that were handed to us when their
 * parents went. */
static void reap_group(const struct process *process)
{
    struct pollfd gone = {.fd = process->pidfd, .events = POLLIN};
    siginfo_t info;

    while (poll(&gone, 1, KILL_MS) < 0 && errno == EINTR) {
    }
    do {
        info = (siginfo_t){0};
    } while (waitid(P_PGID, (id_t)process->pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0);
}

static void process_free(struct launch *launch)
{
    struct process *process = (struct process *)launch;

    if (process->freed)
        *process->freed = true;
    loop_remove(process->exit_source);
    loop_remove(process->nice_timer);
    output_close(&process->outputs[0]);
    output_close(&process->outputs[1]);
    child_signal_group(process->pid, SIGKILL);
    reap_group(process);
    if (!has_left_nobody()) {
        child_kill_marked("SEGUE_ATTEMPT", process->attempt);
        reap_group(process);
    }
    close(process->pidfd);
    free(process->attempt);
    free(process);
}

static int process_clean(const char *attempt, struct err *e)
{
    (void)e;
    child_kill_marked("SEGUE_ATTEMPT", attempt);
    return 0;
}

static int process_find_kernelspec(const struct launch_place *place, const char *name,
                                   const char *language, struct kernelspec *ret_spec, struct err *e)
{
    (void)place;
    return kernelspec_find(ret_spec, name, language, e);
}

const struct launch_table *launch_process_table(void)
{
    static const struct launch_table table = {
        .find_kernelspec = process_find_kernelspec,
        .start = process_start,
        .signal = process_signal,
        .pid = process_pid,
        .free = process_free,
        .clean = process_clean,
    };

    return &table;
}
