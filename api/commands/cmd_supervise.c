#include "api/commands/cmd_supervise.h"

#include "api/commands/exit_status.h"
#include "base/child.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* After a crash the next start waits: first this, then twice as long each time. */
#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 10000

/* A service that went on for so long has not crashed because of how it starts. */
#define STEADY_MS 60000

struct supervisor {
    struct loop *loop;
    const char **argv;
    pid_t pid; /* 0: none at present */
    msec started;
    msec pause;
    struct loop_source *start_timer;
    int stop_signal; /* that was passed on; 0: none */
    int status;
};

static void end(struct supervisor *supervisor, int status)
{
    supervisor->status = status;
    loop_stop(supervisor->loop);
}

static void start(void *user)
{
    struct supervisor *supervisor = user;
    struct child_options options = {
        .argv = supervisor->argv,
        .env = (const char *const *)environ,
        .fds = (struct child_fd[]){{STDOUT_FILENO, STDOUT_FILENO}, {STDERR_FILENO, STDERR_FILENO}},
        .fd_count = 2,
        .death_signal = SIGTERM, /* none serves behind the back of whoever starts another */
    };
    struct child child;
    struct err e;

    if (child_start(&options, &child, &e) < 0) {
        log_line(LOG_ERROR, "start_failed", "error", e.text, NULL);
        end(supervisor, EXIT_NOT_SUCCESS);
        return;
    }
    close(child.pidfd); /* its end comes with SIGCHLD, as that of all others */
    supervisor->pid = child.pid;
    supervisor->started = clock_mono();
}

static void start_again(struct supervisor *supervisor, int wait_status)
{
    char pause[32], how[64];

    if (clock_mono() - supervisor->started > STEADY_MS)
        supervisor->pause = PAUSE_MIN_MS;
    if (WIFSIGNALED(wait_status))
        snprintf(how, sizeof how, "%s", strsignal(WTERMSIG(wait_status)));
    else
        snprintf(how, sizeof how, "%d", WEXITSTATUS(wait_status));
    snprintf(pause, sizeof pause, "%lld", (long long)supervisor->pause);
    log_line(LOG_WARNING, "service_crashed", "status", how, "again_in_ms", pause, NULL);
    loop_arm_in(supervisor->start_timer, supervisor->pause);
    supervisor->pause *= 2;
    if (supervisor->pause > PAUSE_MAX_MS)
        supervisor->pause = PAUSE_MAX_MS;
}

/* It may have been asked to stop before it could take note of it. */
static bool has_stopped(const struct supervisor *supervisor, int wait_status)
{
    return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == supervisor->stop_signal;
}

static void service_ended(struct supervisor *supervisor, int wait_status)
{
    bool exited = WIFEXITED(wait_status);
    int code = exited ? WEXITSTATUS(wait_status) : EXIT_NOT_SUCCESS;

    supervisor->pid = 0;
    if (has_stopped(supervisor, wait_status))
        end(supervisor, EXIT_DONE);
    else if (supervisor->stop_signal || (exited && (code == EXIT_DONE || code == EXIT_INPUT)))
        end(supervisor, code);
    else
        start_again(supervisor, wait_status);
}

/* As the first process of a container we inherit every orphan. */
static void on_child(void *user, int signal_number)
{
    struct supervisor *supervisor = user;
    int status;

    (void)signal_number;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        if (pid == supervisor->pid)
            service_ended(supervisor, status);
}

static void on_stop(void *user, int signal_number)
{
    struct supervisor *supervisor = user;

    supervisor->stop_signal = signal_number;
    if (supervisor->pid > 0)
        kill(supervisor->pid, signal_number);
    else
        end(supervisor, EXIT_DONE);
}

static const char **serve_argv(int argc, char **argv)
{
    const char **words = mem_array((size_t)argc + 2, sizeof *words);

    words[0] = "/proc/self/exe";
    words[1] = "serve";
    for (int i = 1; i < argc; i++)
        words[i + 1] = argv[i];
    return words;
}

int cmd_supervise(int argc, char **argv)
{
    auto_free const char **words = serve_argv(argc, argv);
    struct supervisor supervisor = {.loop = loop_new(), .argv = words, .pause = PAUSE_MIN_MS};

    loop_add_signal(supervisor.loop, SIGCHLD, on_child, &supervisor);
    loop_add_signal(supervisor.loop, SIGTERM, on_stop, &supervisor);
    loop_add_signal(supervisor.loop, SIGINT, on_stop, &supervisor);
    supervisor.start_timer = loop_add_timer(supervisor.loop, start, &supervisor);
    start(&supervisor);
    loop_run(supervisor.loop);
    loop_free(supervisor.loop);
    return supervisor.status;
}
