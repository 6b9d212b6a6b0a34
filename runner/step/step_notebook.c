/* Drives a kernel through a notebook, one cell at a time.
 *
 *   start -> kernel ready -> cell, cell, ... -> shutdown -> kernel ended -> finish
 *                             \_ error, time limit, stop _/
 *                                  \_ report, kept _/
 *
 * A kernel that is to be kept after a failure lives on when the journal has its last line already;
 * from then on nothing is journaled and the notebook is as it was.
 *
 * What happens is journaled first and then applied to the notebook from the very line that was
 * journaled, so that a replay gives the same file. */
#include "runner/step/step_driver.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/keeper/last_words.h"
#include "runner/notebook/outputs.h"
#include "runner/step/execution.h"
#include "runner/step/notebook_task.h"
#include "runner/step/step_clients.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How long one of reply and idle is waited for once the other is there, before asking. */
#define PROBE_MS 1000

/* What an interrupted cell gets to end (and to say where it was) before the kernel is killed. */
#define INTERRUPT_GRACE_MS 2000

/* The executed file is written after a cell as long as writing took under a twentieth of the
 * step's time so far. */
#define WRITE_SHARE 20

/* How often a cell is tried again that the kernel aborted for what somebody else had executed. */
#define ABORTS_MAX 100

/* Of an error's name and value, in the step's failure. */
#define ERROR_TEXT_BYTES 1500

/* What a kernel prints as a process, past its channels, is kept for a person to look at. */
#define KERNEL_LOG       "kernel.log"
#define KERNEL_LOG_LIMIT (16 * MiB)

struct work {
    struct step *step;
    struct notebook *notebook;
    struct outputs *outputs;
    struct kernel_options options; /* the kernel borrows them */
    struct execution execution;
    uint32_t next_cell;
    bool has_ended; /* the kernel */
    bool is_kept;   /* the step is reported as failed, and its kernel stays */
    struct loop_source *cell_timer, *probe_timer, *kill_timer, *keep_timer;
    msec started, write_time;
    int log_fd;
    size_t logged;
    struct last_words last_words; /* of the kernel's stderr */
    struct step_clients clients;
    uint32_t aborts; /* of the cell, in a row */
};

/* --- journal and notebook --- */

static struct buf *begin_line(void *user, const char *event)
{
    struct work *work = user;

    return journal_begin(work->step->journal, event);
}

/* The end of every event: on disk first, then in the notebook. */
static int commit_line(void *user, struct err *e)
{
    struct work *work = user;
    struct str line;

    if (step_commit(work->step, &line) < 0)
        return err_set(e, ERR_NO_SPACE, "the journal cannot be written");
    return notebook_apply(work->notebook, line, e);
}

static void commit(struct work *work)
{
    struct err e;

    commit_line(work, &e); /* a failure is noted in the step already */
}

static void write_notebook(struct work *work)
{
    struct err e;
    msec begin = clock_mono();

    if (notebook_save(work->notebook, &work->step->task, &e) < 0)
        step_fail_err(work->step, CAUSE_STORAGE_FAILED, &e);
    work->write_time += clock_mono() - begin;
}

static void write_notebook_if_cheap(struct work *work)
{
    if (work->write_time * WRITE_SHARE <= clock_mono() - work->started)
        write_notebook(work);
}

/* --- cells --- */

static void end_kernel(struct work *work)
{
    loop_disarm(work->cell_timer);
    loop_disarm(work->probe_timer);
    kernel_shutdown(work->step->kernel);
}

/* What cell by cell has gone wrong can be looked at in the kernel; what was stopped is to end. */
static bool is_to_be_kept(const struct work *work)
{
    const struct step *step = work->step;
    enum cause cause = step->failure.cause;

    return step->task.keep_kernel_s > 0 && !step->is_stopping &&
           (cause == CAUSE_CELL_ERROR || cause == CAUSE_TIMEOUT) &&
           kernel_state(step->kernel) == KERNEL_READY;
}

static void keep_kernel(struct work *work)
{
    int64_t seconds = work->step->task.keep_kernel_s;

    if (step_report(work->step, seconds) < 0) {
        end_kernel(work); /* the disk is full; there may be room when it has ended */
        return;
    }
    work->is_kept = true;
    loop_arm_in(work->keep_timer, seconds * 1000);
}

static void release_kernel(void *user)
{
    struct work *work = user;

    if (work->is_kept && kernel_state(work->step->kernel) == KERNEL_READY)
        end_kernel(work);
}

static void put_execute_request(struct buf *content, const struct work *work, uint32_t cell)
{
    buf_putc(content, '{');
    json_put_key(content, "code");
    json_put_str(content, notebook_cell_source(work->notebook, cell));
    json_put_member_raw(content, "silent", STR("false"));
    json_put_member_raw(content, "store_history", STR("true"));
    json_put_member_raw(content, "user_expressions", STR("{}"));
    json_put_member_raw(content, "allow_stdin", STR("false"));
    json_put_member_raw(content, "stop_on_error",
                        notebook_cell_allows_errors(work->notebook, cell) ? STR("false")
                                                                          : STR("true"));
    buf_putc(content, '}');
}

static void send_cell(struct work *work, uint32_t cell)
{
    struct step *step = work->step;
    struct execution *execution = &work->execution;
    auto_buf struct buf content = {0};
    auto_buf struct buf metadata = {0};
    struct err e;

    execution_begin(execution, cell);
    put_execute_request(&content, work, cell);
    buf_putc(&metadata, '{');
    json_put_member(&metadata, "cellId", notebook_cell_id(work->notebook, cell));
    buf_putc(&metadata, '}');
    struct outgoing request = {
        .msg_type = "execute_request",
        .metadata = {metadata.data, metadata.len},
        .content = {content.data, content.len},
    };
    if (kernel_send(step->kernel, CHANNEL_SHELL, &request, &execution->request, &e) < 0) {
        step_fail(step, CAUSE_KERNEL_DIED, cell, "%s", e.text);
        kernel_kill(step->kernel);
        return;
    }
    if (step->task.cell_timeout_s > 0)
        loop_arm_in(work->cell_timer, step->task.cell_timeout_s * 1000);
}

static void execute_cell(struct work *work, uint32_t cell)
{
    struct buf *line = begin_line(work, "cell_started");

    json_put_member_int(line, "cell_index", cell);
    json_put_member_int(line, "cells_total", notebook_cells_total(work->notebook));
    commit(work);
    work->aborts = 0;
    send_cell(work, cell);
}

static void execute_next_cell(struct work *work)
{
    uint32_t count = notebook_cell_count(work->notebook);

    while (work->next_cell < count &&
           notebook_cell_action(work->notebook, work->next_cell) != CELL_RUN)
        work->next_cell++;
    if (is_to_be_kept(work))
        keep_kernel(work);
    else if (work->next_cell == count || work->step->failure.cause != CAUSE_NONE)
        end_kernel(work);
    else
        execute_cell(work, work->next_cell++);
}

static void journal_cell_end(struct work *work, bool is_error)
{
    const struct execution *execution = &work->execution;
    struct buf *line = begin_line(work, "cell_finished");

    json_put_member_int(line, "cell_index", execution->cell);
    json_put_member_int(line, "cells_total", notebook_cells_total(work->notebook));
    json_put_member(line, "status", is_error ? "error" : "ok");
    if (execution->count >= 0)
        json_put_member_int(line, "execution_count", execution->count);
    json_put_key(line, "timing");
    execution_put_timing(execution, line);
    commit(work);
}

/* An error's value may be as long as the kernel likes; the failure is for a person to read, and the
 * whole of it is in the notebook. */
static void put_bounded(struct buf *out, const struct buf *text)
{
    buf_put(out, buf_text(text), text->len < ERROR_TEXT_BYTES ? text->len : ERROR_TEXT_BYTES);
}

static void fail_by_cell(struct work *work)
{
    const struct execution *execution = &work->execution;
    struct step_failure *failure = &work->step->failure;

    if (execution->ename.len == 0 && execution->evalue.len == 0)
        step_fail(work->step, CAUSE_CELL_ERROR, execution->cell, "the kernel aborted the cell");
    else
        step_fail(work->step, CAUSE_CELL_ERROR, execution->cell, "%s: %s",
                  execution->ename.len > 0 ? execution->ename.data : "error",
                  buf_text(&execution->evalue));
    put_bounded(&failure->ename, &execution->ename);
    put_bounded(&failure->evalue, &execution->evalue);
}

/* What fails in a kernel takes along what waits behind it; that another's mistake ends the step is
 * not what anybody wants. */
static bool was_aborted_by_others(const struct work *work)
{
    return work->execution.is_aborted && work->clients.audience &&
           work->step->failure.cause == CAUSE_NONE && work->aborts < ABORTS_MAX;
}

static void finish_cell(struct work *work)
{
    struct execution *execution = &work->execution;

    execution->is_running = false;
    loop_disarm(work->cell_timer);
    loop_disarm(work->probe_timer);
    loop_disarm(work->kill_timer);
    if (was_aborted_by_others(work)) {
        work->aborts++;
        send_cell(work, execution->cell);
        return;
    }
    journal_cell_end(work, execution->is_error);
    if (execution->is_error && work->step->failure.cause == CAUSE_NONE &&
        !notebook_cell_allows_errors(work->notebook, execution->cell))
        fail_by_cell(work);
    if (work->step->failure.cause != CAUSE_NONE)
        write_notebook(work);
    else
        write_notebook_if_cheap(work);
    execute_next_cell(work);
}

static void send_probe(void *user)
{
    struct work *work = user;
    struct outgoing request = {.msg_type = "kernel_info_request"};
    struct err e;

    /* Should even this be impossible, the cell's time limit and the kernel's death remain. */
    kernel_send(work->step->kernel, CHANNEL_SHELL, &request, &work->execution.probe, &e);
}

/* --- messages --- */

static void tell_widgets(struct work *work)
{
    auto_buf struct buf content = {0};
    struct err e;

    while (outputs_next_comm_msg(work->outputs, &content)) {
        struct outgoing message = {.msg_type = "comm_msg", .content = {content.data, content.len}};
        kernel_send(work->step->kernel, CHANNEL_SHELL, &message, NULL, &e);
    }
}

static void on_output_message(struct work *work, struct message *message)
{
    size_t count = message_buffer_count(message);
    auto_free struct str *buffers = mem_array(count + 1, sizeof *buffers);
    auto_free char *type = json_strdup(&message->header, json_get(&message->header, 0, "msg_type"));
    struct err e;

    for (size_t i = 0; i < count; i++)
        buffers[i] = message_buffer(message, i);
    struct outputs_message output = {
        .type = type ? type : "",
        .parent_id = message_parent_id(message),
        .content = message_content(message),
        .buffers = buffers,
        .buffer_count = count,
    };
    outputs_handle(work->outputs, work->execution.cell, &output, &e); /* a failure is noted */
    tell_widgets(work);
}

/* Requests say that nobody can answer; a kernel that asks all the same would wait for ever. */
static void on_input_request(struct work *work)
{
    step_fail(work->step, CAUSE_CELL_ERROR, work->execution.cell,
              "the cell asks for input, and nobody is there to answer");
    kernel_interrupt(work->step->kernel);
    loop_arm_in(work->kill_timer, INTERRUPT_GRACE_MS);
}

/* Whoever looks into the kernel may be asked for input by what they execute, and answers that
 * themselves. */
static bool asks_for_input(const struct work *work, enum channel channel,
                           const struct message *message)
{
    return channel == CHANNEL_STDIN && message->type == MESSAGE_INPUT_REQUEST &&
           !step_clients_are_meant(&work->clients, message, &work->execution.request);
}

static void follow_cell(struct work *work, enum channel channel, struct message *message)
{
    struct execution *execution = &work->execution;

    if (asks_for_input(work, channel, message))
        on_input_request(work);
    switch (execution_take(execution, channel, message)) {
    case EXECUTION_NOTHING:
        break;
    case EXECUTION_OUTPUT:
        on_output_message(work, message);
        break;
    case EXECUTION_HALF:
        loop_arm_in(work->probe_timer, PROBE_MS);
        break;
    case EXECUTION_NO_REPLY:
        step_fail(work->step, CAUSE_CELL_ERROR, execution->cell,
                  "the kernel went idle without replying to the cell");
        finish_cell(work);
        break;
    case EXECUTION_OVER:
        finish_cell(work);
        break;
    }
}

static void on_message(void *user, enum channel channel, struct message *message)
{
    struct work *work = user;

    if (work->execution.is_running)
        follow_cell(work, channel, message);
    step_clients_tell(&work->clients, channel, message);
}

/* --- the kernel's life --- */

static void on_ready(void *user, const struct json *info)
{
    struct work *work = user;
    const struct kernelspec *spec = kernel_spec(work->step->kernel);
    struct buf *line = begin_line(work, "kernel_ready");

    json_put_key(line, "kernel");
    buf_putc(line, '{');
    json_put_member(line, "name", spec->name);
    json_put_member(line, "language", spec->language);
    json_put_member(line, "display_name", spec->display_name);
    buf_putc(line, '}');
    json_at language_info = json_get(info, 0, "language_info");
    if (language_info != JSON_NONE) {
        json_put_key(line, "language_info");
        json_write(info, language_info, JSON_COMPACT, 0, line);
    }
    commit(work);
    step_clients_ready(&work->clients);
    execute_next_cell(work);
}

static void on_kernel_output(void *user, int fd, const char *data, size_t len)
{
    struct work *work = user;

    if (work->logged < KERNEL_LOG_LIMIT && write(work->log_fd, data, len) > 0)
        work->logged += len;
    if (fd == 2)
        last_words_add(&work->last_words, data, len);
}

static void fail_by_end(struct work *work, const struct kernel_end *end)
{
    const char *words = last_words_line(&work->last_words);
    int64_t cell = work->execution.is_running ? (int64_t)work->execution.cell : -1;
    enum cause cause = end->launch.out_of_memory        ? CAUSE_OUT_OF_MEMORY
                       : end->launch.lost               ? CAUSE_LAUNCHER_UNAVAILABLE
                       : end->during == KERNEL_STARTING ? CAUSE_KERNEL_START_FAILED
                                                        : CAUSE_KERNEL_DIED;

    step_fail(work->step, cause, cell, *words ? "%s: %s" : "%s", end->text, words);
}

static void on_ended(void *user, const struct kernel_end *end)
{
    struct work *work = user;
    bool is_expected = end->during == KERNEL_STOPPING || work->step->failure.cause != CAUSE_NONE;

    work->has_ended = true;
    if (!is_expected)
        fail_by_end(work, end);
    if (work->execution.is_running)
        journal_cell_end(work, true);
    work->execution.is_running = false;
    step_finish(work->step);
}

/* --- limits --- */

static void on_cell_timeout(void *user)
{
    struct work *work = user;

    step_fail(work->step, CAUSE_TIMEOUT, work->execution.cell,
              "the cell took longer than its limit of %lld s",
              (long long)work->step->task.cell_timeout_s);
    kernel_interrupt(work->step->kernel);
    loop_arm_in(work->kill_timer, INTERRUPT_GRACE_MS);
}

static void on_kill_time(void *user)
{
    struct work *work = user;

    kernel_kill(work->step->kernel);
}

/* --- driver --- */

static const char *either(const char *first, const char *second)
{
    return first && *first ? first : second;
}

static int start_kernel(struct work *work, struct err *e)
{
    static const struct kernel_events events = {
        .ready = on_ready, .message = on_message, .output = on_kernel_output, .ended = on_ended};
    struct step *step = work->step;
    const struct task *task = &step->task;
    auto_free char *socket_dir_inside = step_place_inside(&step->place, task->socket_dir);
    const char *language = either(task->language, notebook_language(work->notebook));
    const char *name = either(task->kernelspec, notebook_kernel_name(work->notebook));
    work->options = (struct kernel_options){
        .place = &step->place.launch,
        .name = either(name, language ? NULL : "python3"),
        .language = language,
        .socket_dir = task->socket_dir,
        .socket_dir_inside = take_ptr(&socket_dir_inside),
        .cwd = step->place.cwd,
        .env = (const char *const *)step->place.env,
    };

    while (kernel_start(&step->kernel, step->loop, &work->options, &events, work, e) < 0)
        if (!step_may_start_again(step, e))
            return -1;
    return 0;
}

static int notebook_driver_start(struct step *step, struct err *e, enum cause *ret_cause)
{
    auto_free char *log = fs_join(step->directory, KERNEL_LOG);
    struct work *work = mem_zalloc(sizeof *work);

    *work = (struct work){
        .step = step,
        .clients = {.loop = step->loop, .directory = step->directory, .kernel = &step->kernel},
        .started = clock_mono(),
    };
    step->work = work;
    work->log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    work->cell_timer = loop_add_timer(step->loop, on_cell_timeout, work);
    work->probe_timer = loop_add_timer(step->loop, send_probe, work);
    work->kill_timer = loop_add_timer(step->loop, on_kill_time, work);
    work->keep_timer = loop_add_timer(step->loop, release_kernel, work);
    if (notebook_begin(&step->task, step->directory, &work->notebook, e) < 0) {
        *ret_cause = e->code == ERR_NO_SPACE ? CAUSE_STORAGE_FAILED : CAUSE_INPUT_INVALID;
        return -1;
    }
    work->outputs = outputs_new(
        &(struct outputs_sink){.begin = begin_line, .commit = commit_line, .user = work});
    if (start_kernel(work, e) < 0) {
        *ret_cause = step_start_cause(e);
        return -1;
    }
    return 0;
}

static void notebook_driver_stop(struct step *step)
{
    struct work *work = step->work;

    if (work->has_ended)
        return;
    if (!work->execution.is_running) {
        kernel_kill(step->kernel);
        return;
    }
    kernel_interrupt(step->kernel);
    loop_arm_in(work->kill_timer, INTERRUPT_GRACE_MS);
}

static void notebook_driver_command(struct step *step, const char *command, int *fd)
{
    struct work *work = step->work;

    if (strncmp(command, "admit ", 6) == 0)
        step_clients_admit(&work->clients, command, fd);
    else if (strcmp(command, "release") == 0)
        release_kernel(work);
    else if (strcmp(command, "interrupt") == 0 && step->kernel &&
             kernel_state(step->kernel) == KERNEL_READY)
        kernel_interrupt(step->kernel);
}

static void notebook_driver_news(const struct step *step, struct step_news *news)
{
    const struct work *work = step->work;

    news->has_kernel = true;
    news->is_kept = work->is_kept;
    news->kernel = step_clients_news(&work->clients);
    if (step->kernel)
        snprintf(news->kernel_name, sizeof news->kernel_name, "%s",
                 kernel_spec(step->kernel)->name);
}

static void notebook_driver_close(struct step *step)
{
    struct work *work = step->work;

    if (!work)
        return;
    loop_disarm(work->cell_timer);
    loop_disarm(work->probe_timer);
    loop_disarm(work->kill_timer);
    loop_disarm(work->keep_timer);
    step_clients_end(&work->clients);
    kernel_free(step->kernel);
    step->kernel = NULL;
    if (work->notebook && !work->is_kept) /* the source could be read, and no end is reported */
        write_notebook(work);
    outputs_free(work->outputs);
    notebook_free(work->notebook);
    execution_clear(&work->execution);
    free((char *)work->options.socket_dir_inside);
    last_words_clear(&work->last_words);
    if (work->log_fd >= 0)
        close(work->log_fd);
    free(work);
    step->work = NULL;
}

const struct step_driver step_notebook_driver = {
    .start = notebook_driver_start,
    .stop = notebook_driver_stop,
    .command = notebook_driver_command,
    .news = notebook_driver_news,
    .close = notebook_driver_close,
};
