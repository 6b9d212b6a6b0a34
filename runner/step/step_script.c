/* A script is run by its language's interpreter, in its own directory; what it prints is journaled
 * as nbformat stream outputs. Output comes in arbitrary pieces: a character may be cut in two, so
 * an incomplete one at the end of a piece waits for the next. */
#include "runner/step/step_driver.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/keeper/last_words.h"

#include <signal.h>
#include <string.h>

/* Between SIGTERM and SIGKILL. */
#define TERM_GRACE_MS 2000

struct script {
    struct step *step;
    struct launch *launch;
    struct loop_source *kill_timer;
    struct buf halves[2]; /* stdout, stderr: bytes of an incomplete character */
    struct last_words last_words;
    uint64_t kept, dropped; /* bytes of output */
};

/* --- output --- */

/* How many bytes at the end are the beginning of a character that is not all there. */
static size_t incomplete_tail(const char *data, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char c = (unsigned char)data[len - back];
        if ((c & 0xC0) == 0x80)
            continue;
        size_t want = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
        return want > back ? back : 0;
    }
    return 0;
}

static void commit_stream(struct script *script, const char *name, struct str text)
{
    struct buf *line = journal_begin(script->step->journal, "output");

    buf_puts(line, ",\"cell_index\":0,\"output\":{");
    json_put_member(line, "output_type", "stream");
    json_put_member(line, "name", name);
    json_put_key(line, "text");
    json_put_str(line, text);
    buf_putc(line, '}');
    step_commit(script->step, NULL);
}

static void on_output(void *user, int fd, const char *data, size_t len)
{
    struct script *script = user;
    struct buf *half = &script->halves[fd - 1];

    if (fd == 2)
        last_words_add(&script->last_words, data, len);
    if (script->kept + len > LIMIT_CELL_OUTPUT_BYTES) {
        script->dropped += len;
        return;
    }
    script->kept += len;
    buf_put(half, data, len);
    size_t tail = incomplete_tail(half->data, half->len);
    if (half->len > tail)
        commit_stream(script, fd == 1 ? "stdout" : "stderr",
                      (struct str){half->data, half->len - tail});
    buf_consume(half, half->len - tail);
}

static void flush_halves(struct script *script)
{
    for (int i = 0; i < 2; i++)
        if (script->halves[i].len > 0)
            commit_stream(script, i == 0 ? "stdout" : "stderr",
                          (struct str){script->halves[i].data, script->halves[i].len});
    if (script->dropped > 0) {
        auto_free char *notice =
            mem_printf("\n[segue: %llu more bytes of output were dropped: over the limit of %lu "
                       "MiB]\n",
                       (unsigned long long)script->dropped, LIMIT_CELL_OUTPUT_BYTES / MiB);
        commit_stream(script, "stderr", str_of(notice));
    }
}

/* --- the end --- */

static void on_ended(void *user, const struct launch_end *end)
{
    struct script *script = user;
    struct step *step = script->step;
    const char *words = last_words_line(&script->last_words);

    flush_halves(script);
    if (!end->started)
        step_fail(step, CAUSE_KERNEL_START_FAILED, -1, "%s", end->text);
    else if (end->lost)
        step_fail(step, CAUSE_LAUNCHER_UNAVAILABLE, -1, "%s", end->text);
    else if (end->out_of_memory)
        step_fail(step, CAUSE_OUT_OF_MEMORY, -1, "%s", end->text);
    else if (end->by_signal || end->code != 0)
        step_fail(step, CAUSE_EXIT_CODE, -1, *words ? "%s: %s" : "%s", end->text, words);
    step_finish(step);
}

/* --- driver --- */

static const char *language_of(enum step_kind kind)
{
    switch (kind) {
    case STEP_PYTHON:
        return "python";
    case STEP_R:
        return "r";
    case STEP_SHELL:
        return "bash";
    case STEP_JULIA:
        return "julia";
    case STEP_JAVASCRIPT:
        return "javascript";
    case STEP_NOTEBOOK:
    case STEP_UNKNOWN:
        break;
    }
    return "";
}

static const char *usual_interpreter(enum step_kind kind)
{
    switch (kind) {
    case STEP_PYTHON:
        return "python3";
    case STEP_R:
        return "Rscript";
    case STEP_SHELL:
        return "bash";
    case STEP_JULIA:
        return "julia";
    case STEP_JAVASCRIPT:
        return "node";
    case STEP_NOTEBOOK:
    case STEP_UNKNOWN:
        break;
    }
    return "";
}

/* Python scripts run in the Python that notebooks of the same environment run in: the interpreter
 * of its kernel. The other languages have one interpreter, found on the PATH. */
static char *find_interpreter(const struct step *step)
{
    const struct task *task = &step->task;
    const char *name = task->kernelspec ? task->kernelspec : "python3";
    struct kernelspec spec = {0};
    struct err ignored;
    char *found = NULL;

    if (task->kind == STEP_PYTHON &&
        launch_find_kernelspec(&step->place.launch, name, "python", &spec, &ignored) == 0 &&
        strcmp(spec.language, language_of(task->kind)) == 0)
        found = mem_strdup(spec.argv[0]);
    kernelspec_clear(&spec);
    return found ? found : mem_strdup(usual_interpreter(task->kind));
}

static int script_start(struct step *step, struct err *e, enum cause *ret_cause)
{
    static const struct launch_events events = {.output = on_output, .ended = on_ended};
    auto_free char *interpreter = find_interpreter(step);
    auto_free char *file = step_place_inside(&step->place, step->task.source);
    const char *argv[] = {interpreter, file, NULL};
    struct launch_program program = {
        .argv = argv, .env = (const char *const *)step->place.env, .cwd = step->place.cwd};
    struct script *script = mem_zalloc(sizeof *script);

    script->step = step;
    step->work = script;
    while (launch_start(&script->launch, step->loop, &step->place.launch, &program, &events, script,
                        e) < 0) {
        *ret_cause = step_start_cause(e);
        if (!step_may_start_again(step, e))
            return -1;
    }
    return 0;
}

static void on_kill_time(void *user)
{
    struct script *script = user;

    launch_signal(script->launch, SIGKILL);
}

static void script_stop(struct step *step)
{
    struct script *script = step->work;

    launch_signal(script->launch, SIGTERM);
    script->kill_timer = loop_add_timer(step->loop, on_kill_time, script);
    loop_arm_in(script->kill_timer, TERM_GRACE_MS);
}

static void script_close(struct step *step)
{
    struct script *script = step->work;

    if (!script)
        return;
    launch_free(script->launch);
    buf_clear(&script->halves[0]);
    buf_clear(&script->halves[1]);
    last_words_clear(&script->last_words);
    free(script);
    step->work = NULL;
}

const struct step_driver step_script_driver = {
    .start = script_start,
    .stop = script_stop,
    .close = script_close,
};
