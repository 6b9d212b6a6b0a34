/* Everything that can end a step meets in two functions: step_fail notes why (first come), and
 * step_finish lets the loop end. Between them lies the driver's orderly end, bounded by
 * STOP_LIMIT_MS: SIGINT to the CLI promises that everything has stopped within 5 s. */
#include "runner/step/step.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "kernel-gateway/keeper/keeper_handle.h"
#include "runner/step/step_driver.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define STOP_LIMIT_MS 3000

/* --- failing and finishing --- */

static void fail_v(struct step *step, enum cause cause, int64_t cell_index, const char *format,
                   va_list args)
{
    if (step->failure.cause != CAUSE_NONE)
        return;
    step->failure.cause = cause;
    step->failure.cell_index = cell_index;
    vsnprintf(step->failure.message, sizeof step->failure.message, format, args);
}

void step_fail(struct step *step, enum cause cause, int64_t cell_index, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fail_v(step, cause, cell_index, format, args);
    va_end(args);
}

void step_fail_err(struct step *step, enum cause cause, const struct err *e)
{
    step_fail(step, cause, -1, "%s", e->text);
}

void step_finish(struct step *step)
{
    step->is_finished = true;
    loop_stop(step->loop);
}

bool step_may_start_again(struct step *step, const struct err *e)
{
    if (e->code != ERR_CANCELLED)
        return false;
    loop_dispatch(step->loop, 0); /* a command, if there is one, is heard here */
    return !step->is_stopping;
}

enum cause step_start_cause(const struct err *e)
{
    switch (e->code) {
    case ERR_UNAVAILABLE:
        return CAUSE_LAUNCHER_UNAVAILABLE;
    case ERR_CANCELLED:
        return CAUSE_CANCELLED;
    case ERR_NO_SPACE:
        return CAUSE_STORAGE_FAILED;
    case ERR_NONE:
    case ERR_INVALID:
    case ERR_NOT_FOUND:
    case ERR_CONFLICT:
    case ERR_LIMIT:
    case ERR_IO:
    case ERR_PROTOCOL:
    case ERR_TIMEOUT:
        break;
    }
    return CAUSE_KERNEL_START_FAILED;
}

/* --- stopping --- */

static void begin_stop(struct step *step)
{
    if (step->is_stopping || step->is_finished)
        return;
    step->is_stopping = true;
    loop_arm_in(step->stop_deadline, STOP_LIMIT_MS);
    if (step->is_started)
        step->driver->stop(step);
}

static void on_stop(void *user, enum cause cause)
{
    struct step *step = user;

    if (cause == CAUSE_TIMEOUT && step->task.timeout_s == 0)
        step_fail(step, cause, -1, "the time limit of the run is over");
    else if (cause == CAUSE_TIMEOUT)
        step_fail(step, cause, -1, "the step took longer than its limit of %lld s",
                  (long long)step->task.timeout_s);
    else
        step_fail(step, cause, -1, "stopped on request");
    begin_stop(step);
}

static void on_stop_deadline(void *user)
{
    step_finish(user);
}

/* --- the journal --- */

static int commit(struct step *step, struct str *ret_line, struct err *e)
{
    if (journal_commit(step->journal, ret_line, e) < 0)
        return -1;
    step->journal_size = journal_size(step->journal);
    keeper_notify(step->keeper);
    return 0;
}

int step_commit(struct step *step, struct str *ret_line)
{
    struct err e;

    if (commit(step, ret_line, &e) == 0)
        return 0;
    step_fail_err(step, CAUSE_STORAGE_FAILED, &e);
    begin_stop(step);
    return -1;
}

static enum status final_status(const struct step *step)
{
    if (step->failure.cause == CAUSE_NONE)
        return STATUS_SUCCESS;
    return step->failure.cause == CAUSE_CANCELLED ? STATUS_ABORTED : STATUS_FAILURE;
}

static void put_failure(struct buf *line, const struct step_failure *failure)
{
    json_put_key(line, "failure");
    buf_putc(line, '{');
    json_put_member(line, "cause", cause_name(failure->cause));
    json_put_member(line, "message", failure->message);
    if (failure->cell_index >= 0)
        json_put_member_int(line, "cell_index", failure->cell_index);
    if (failure->ename.len > 0) {
        json_put_member(line, "ename", failure->ename.data);
        json_put_member(line, "evalue", buf_text(&failure->evalue));
    }
    buf_putc(line, '}');
}

static int write_last_line(struct step *step, int64_t kept_s)
{
    struct buf *line = journal_begin_last(step->journal, "step_finished");
    struct err e;

    json_put_member(line, "status", status_name(final_status(step)));
    if (step->failure.cause != CAUSE_NONE)
        put_failure(line, &step->failure);
    if (kept_s > 0)
        json_put_member_int(line, "kept_s", kept_s);
    if (commit(step, NULL, &e) < 0)
        return -1;
    step->is_reported = true;
    return 0;
}

int step_report(struct step *step, int64_t kept_s)
{
    return write_last_line(step, kept_s);
}

/* --- life --- */

static void start_work(struct step *step)
{
    struct err e = {0};
    enum cause cause = CAUSE_INTERNAL;

    loop_dispatch(step->loop, 0); /* somebody may have cancelled while we were being born */
    if (step->is_stopping) {
        step_finish(step);
        return;
    }
    if (step->driver->start(step, &e, &cause) < 0) {
        step_fail_err(step, cause, &e);
        step_finish(step);
        return;
    }
    step->is_started = true;
    if (step->is_stopping)
        step->driver->stop(step);
}

/* A container that an absent engine did not remove waits for the next start. Processes are ended
 * for certain. */
static void forget_if_clean(const struct step *step)
{
    struct err ignored;

    if (step->place.launch.launcher == LAUNCHER_PROCESS ||
        launch_clean(step->place.launch.launcher, step->task.attempt_id, &ignored) == 0)
        task_forget(&step->task);
}

/* Before there are threads: each has a niceness of its own, and inherits ours. */
static void step_back(const struct task *task)
{
    if (task->nice > 0)
        setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + (int)task->nice);
}

static void work(struct step *step)
{
    step_back(&step->task);
    step->stop_deadline = loop_add_timer(step->loop, on_stop_deadline, step);
    step_place_init(&step->place, &step->task, keeper_cancel_fd(step->keeper));
    step->driver = step->task.kind == STEP_NOTEBOOK ? &step_notebook_driver : &step_script_driver;
    start_work(step);
    while (!loop_is_stopped(step->loop))
        kernel_dispatch(step->kernel, step->loop, -1);
    step->driver->close(step);
    forget_if_clean(step);
    step_place_clear(&step->place);
}

static void on_command(void *user, const char *command, int *fd)
{
    struct step *step = user;

    if (step->work && step->driver->command && !step->is_finished)
        step->driver->command(step, command, fd);
}

static void on_news(void *user, struct buf *out)
{
    const struct step *step = user;
    struct step_news news = {.journal_size = step->journal_size};

    if (step->work && step->driver->news)
        step->driver->news(step, &news);
    step_news_encode(&news, out);
}

static int open_journal(struct step *step, struct err *e)
{
    auto_free char *path = fs_join(step->directory, KEEPER_JOURNAL);

    if (journal_open(&step->journal, path, e) < 0)
        return -1;
    step->journal_size = journal_size(step->journal);
    return 0;
}

/* The engine does not wait for the end of a keeper that was to stay: nobody but it clears up. */
static void clear_sockets(const struct step *step)
{
    auto_free char *directory = fs_dirname(step->task.socket_dir);

    keeper_clear_sockets(directory);
}

int step_run(const struct keeper_birth *birth)
{
    static const struct keeper_events events = {
        .stop = on_stop, .command = on_command, .news = on_news};
    struct step step = {.directory = birth->directory, .failure = {.cell_index = -1}};
    struct err e;

    if (open_journal(&step, &e) < 0)
        return 1;
    step.keeper = keeper_open(birth, &events, &step);
    step.loop = keeper_loop(step.keeper);
    if (task_read(&step.task, birth->directory, &e) == 0)
        work(&step);
    else
        step_fail_err(&step, CAUSE_INTERNAL, &e);

    bool was_kept = step.is_reported;
    int status = !was_kept && write_last_line(&step, 0) < 0;
    if (was_kept)
        clear_sockets(&step);
    journal_close(step.journal); /* before the lock is free, which says that nobody writes */
    keeper_close(step.keeper);
    task_clear(&step.task);
    buf_clear(&step.failure.ename);
    buf_clear(&step.failure.evalue);
    return status;
}
