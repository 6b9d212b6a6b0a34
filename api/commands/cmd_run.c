#include "api/commands/cmd_run.h"

#include "api/commands/duration.h"
#include "api/commands/exit_status.h"
#include "api/commands/params.h"
#include "api/commands/progress.h"
#include "api/commands/report.h"
#include "api/commands/selection.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runner/engine/engine.h"
#include "runner/engine/pipeline_lock.h"
#include "runner/engine/recover.h"
#include "runner/engine/results.h"
#include "runner/sdk.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char HELP[] =
    "usage: segue run PIPELINE " SELECTION_USAGE "\n"
    "                 [-p NAME=VALUE]... [-p STEP:NAME=VALUE]... [--launcher process|docker]\n"
    "                 [--project DIR] [--in-place] [--output DIR] [--max-parallel N]\n"
    "                 [--timeout TIME] [--json]\n"
    "\n"
    "Runs a pipeline, or a part of it. Needs no service.\n"
    "\n" SELECTION_HELP PARAMS_HELP
    "  --launcher WHERE  run every step as a local process, or in a container, whatever its\n"
    "                    environment says\n"
    "  --project DIR     the project's directory; default: the nearest parent of the pipeline\n"
    "                    file with .segue, .orchest or .git, else the file's own directory\n"
    "  --in-place        write the executed notebooks over their sources\n"
    "  --output DIR      put copies of the executed notebooks into DIR\n"
    "  --max-parallel N  at most N steps at a time; default: the number of cores\n"
    "  --timeout TIME    stop the run when it has taken so long: 90, 10m, 2h; 30 days at most\n"
    "  --json            one event a line, for programs\n"
    "\n"
    "Exit status: 0 success, 1 not all steps succeeded, 2 wrong input, 3 Docker does not answer,\n"
    "130 and 143 when stopped by SIGINT and SIGTERM.\n";

enum run_option {
    OPTION_LAUNCHER = 1,
    OPTION_PROJECT,
    OPTION_IN_PLACE,
    OPTION_OUTPUT,
    OPTION_MAX_PARALLEL,
    OPTION_TIMEOUT,
    OPTION_JSON,
};

struct options {
    const char *file;
    const char *project_dir;
    const char *output_dir;
    struct selection selection;
    struct params params;
    enum launcher_choice launcher;
    bool in_place;
    uint32_t max_parallel;
    uint32_t timeout_s;
    enum progress_style style;
};

/* What the callbacks have in hand. */
struct session {
    struct loop *loop;
    struct engine *engine;
    struct progress *progress;
    struct progress_run run; /* what it shows, from its first event on */
    struct progress_step *steps;
    int signal_number; /* 0: none came */
    bool has_failed;
};

/* --- options --- */

static int usage_error(const char *text)
{
    fprintf(stderr, "segue run: %s\n(segue run --help tells more)\n", text);
    return -1;
}

static int parse_launcher(struct options *options, const char *name)
{
    enum launcher_kind kind;

    if (!launcher_of_name(name, &kind))
        return usage_error("--launcher is process or docker");
    options->launcher = kind == LAUNCHER_PROCESS ? LAUNCHER_CHOICE_PROCESS : LAUNCHER_CHOICE_DOCKER;
    return 0;
}

static int parse_max_parallel(struct options *options, const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*end || value < 1 || value > 10000)
        return usage_error("--max-parallel is a number from 1 to 10000");
    options->max_parallel = (uint32_t)value;
    return 0;
}

static int parse_timeout(struct options *options, const char *text)
{
    if (duration_parse(text, LIMIT_RUN_TIMEOUT_S, &options->timeout_s) && options->timeout_s > 0)
        return 0;
    return usage_error("--timeout is a time such as 90, 10m or 2h, 30 days at most");
}

static int take_option(struct options *options, int option, const char *value)
{
    struct err e;

    if (selection_is_option(option))
        return selection_add(&options->selection, option, value, &e) < 0 ? usage_error(e.text) : 0;
    switch (option) {
    case 'p':
        params_add(&options->params, value);
        return 0;
    case OPTION_LAUNCHER:
        return parse_launcher(options, value);
    case OPTION_PROJECT:
        options->project_dir = value;
        return 0;
    case OPTION_IN_PLACE:
        options->in_place = true;
        return 0;
    case OPTION_OUTPUT:
        options->output_dir = value;
        return 0;
    case OPTION_MAX_PARALLEL:
        return parse_max_parallel(options, value);
    case OPTION_TIMEOUT:
        return parse_timeout(options, value);
    case OPTION_JSON:
        options->style = PROGRESS_JSON;
        return 0;
    default:
        fputs("(segue run --help tells more)\n", stderr);
        return -1;
    }
}

/* 1: go on, 0: help was given, -1: wrong usage. */
static int parse_options(struct options *options, int argc, char **argv)
{
    static const struct option table[] = {
        SELECTION_OPTIONS,
        {"param", required_argument, NULL, 'p'},
        {"launcher", required_argument, NULL, OPTION_LAUNCHER},
        {"project", required_argument, NULL, OPTION_PROJECT},
        {"in-place", no_argument, NULL, OPTION_IN_PLACE},
        {"output", required_argument, NULL, OPTION_OUTPUT},
        {"max-parallel", required_argument, NULL, OPTION_MAX_PARALLEL},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "p:h", table, NULL)) != -1) {
        if (option == 'h') {
            fputs(HELP, stdout);
            return 0;
        }
        if (take_option(options, option, optarg) < 0)
            return -1;
    }
    if (optind + 1 != argc)
        return usage_error(optind == argc ? "which pipeline?" : "one pipeline at a time");
    options->file = argv[optind];
    return 1;
}

/* --- from the command line to a submission --- */

static int make_submission(const struct options *options, const struct pipeline *pipeline,
                           const struct project *project, struct submission **ret_submission,
                           struct problems *problems, struct err *e)
{
    auto_buf struct buf definition = {0}, parameters = {0};
    auto_free uint32_t *steps = NULL;
    auto_free char *here = getcwd(NULL, 0);
    auto_free char *output = options->output_dir ? fs_join(here, options->output_dir) : NULL;

    if (selection_resolve(&options->selection, pipeline, &steps, e) < 0 ||
        params_apply(&options->params, pipeline, &definition, e) < 0 ||
        params_put_json(&options->params, pipeline, &parameters, e) < 0)
        return -1;
    struct request request = {
        .project = project,
        .definition = {definition.data, definition.len},
        .parameters = {parameters.data, parameters.len},
        .run_type = options->selection.run_type,
        .selected = steps,
        .selected_count = options->selection.count,
        .launcher = options->launcher,
        .in_place = options->in_place,
        .timeout_s = options->timeout_s,
        .output_dir = output,
    };
    return submission_make(&request, ret_submission, problems, e);
}

/* What is wrong is told here, in the form of compilers where it has a place in the file. */
static int prepare(const struct options *options, struct submission **ret_submission)
{
    auto_project struct project project = {0};
    auto_pipeline struct pipeline *pipeline = NULL;
    auto_problems struct problems problems = {0};
    struct err e = {0};
    int result = project_find(options->file, options->project_dir, &project, &e);

    if (result == 0)
        result = pipeline_read(project.dir, project.pipeline_path, &pipeline, &problems, &e);
    if (result == 0)
        result = make_submission(options, pipeline, &project, ret_submission, &problems, &e);
    if (result < 0 && problems.total > 0)
        report_problems(stderr, options->file, &problems, REPORT_ERRORS);
    else if (result < 0)
        fprintf(stderr, "segue run: %s\n", e.text);
    if (result == 0) {
        submission_warn(*ret_submission, &problems);
        report_problems(stderr, options->file, &problems, REPORT_WARNINGS);
    }
    return result;
}

/* --- running --- */

/* What progress is to know of the run. */
static void describe(const struct live_run *live, struct session *session)
{
    const struct submission *submission = live_run_submission(live);
    const char *name = submission->pipeline->name;
    uint32_t count = submission->plan->count;
    size_t above = strlen(live_run_dir(live)) + strlen("/executed/");

    session->steps = mem_array(count, sizeof *session->steps);
    for (uint32_t i = 0; i < count; i++) {
        const struct pipeline_step *step = submission_step(submission, i);
        const char *executed = live_run_executed(live, i);
        session->steps[i] = (struct progress_step){.uuid = step->uuid,
                                                   .label = pipeline_step_label(step),
                                                   .executed = executed ? executed + above : NULL};
    }
    session->run = (struct progress_run){.name = *name ? name : submission->project.pipeline_path,
                                         .uuid = submission->run_uuid.text,
                                         .steps = session->steps,
                                         .count = count};
}

/* The run has begun when its first event is told. */
static void on_event(void *user, const struct engine_event *event)
{
    struct session *session = user;
    const struct live_run *live = engine_run(session->engine);

    if (live && !session->steps) {
        describe(live, session);
        progress_begin(session->progress, &session->run);
    }
    progress_event(session->progress, event->event, (struct str){event->json, event->json_len});
}

static void on_finished(void *user)
{
    struct session *session = user;

    loop_stop(session->loop);
}

static void on_failed(void *user, const struct err *e)
{
    struct session *session = user;

    session->has_failed = true;
    fprintf(stderr, "segue run: the state cannot be written, stopping: %s\n", e->text);
}

static void on_signal(void *user, int signal_number)
{
    struct session *session = user;

    if (session->signal_number == 0) {
        session->signal_number = signal_number;
        progress_say(session->progress, "stopping ...");
    }
    engine_cancel_all(session->engine);
}

static int exit_status(const struct session *session)
{
    enum exit_status status = progress_exit_status(session->progress);

    if (session->signal_number != 0)
        return 128 + (session->signal_number == SIGINT ? SIGINT : SIGTERM);
    return session->has_failed && status == EXIT_DONE ? EXIT_NOT_SUCCESS : status;
}

/* Where to look for what the run has made. */
static char *footer_of(const struct session *session)
{
    const struct live_run *live = engine_run(session->engine);
    const char *output = live_run_submission(live)->output_dir, *dir = live_run_dir(live);

    for (uint32_t i = 0; i < session->run.count; i++)
        if (session->steps[i].executed)
            return mem_printf("executed notebooks: %s%s", output ? output : dir,
                              output ? "" : "/executed");
    return mem_printf("the run's files: %s", dir);
}

static int run_shown(struct session *session, enum progress_style style)
{
    session->progress = progress_new(session->loop, style);
    loop_run(session->loop);
    if (!session->has_failed && session->steps) {
        auto_free char *footer = footer_of(session);
        progress_end(session->progress, footer);
    }
    int status = exit_status(session);
    progress_free(take_ptr(&session->progress));
    free(session->steps);
    return status;
}

static uint32_t core_count(void)
{
    cpu_set_t cores;

    return sched_getaffinity(0, sizeof cores, &cores) == 0 ? (uint32_t)CPU_COUNT(&cores) : 1;
}

static int run_engine(struct session *session, const struct options *options,
                      const struct engine_options *engine_options,
                      struct submission *take_submission)
{
    static const struct engine_events events = {
        .event = on_event, .finished = on_finished, .failed = on_failed};
    struct err e;

    if (engine_open(&session->engine, engine_options, &events, session, &e) < 0) {
        fprintf(stderr, "segue run: %s\n", e.text);
        submission_free(take_submission);
        return EXIT_NOT_SUCCESS;
    }
    loop_add_signal(session->loop, SIGINT, on_signal, session);
    loop_add_signal(session->loop, SIGTERM, on_signal, session);
    loop_add_signal(session->loop, SIGHUP, on_signal, session);
    if (engine_submit(session->engine, take_submission, &e) < 0) {
        fprintf(stderr, "segue run: %s\n", e.text);
        return EXIT_NOT_SUCCESS;
    }
    return run_shown(session, options->style);
}

/* The keepers hold the other end of the pipe: should we be killed, they stop. */
static int run_in_state(const struct options *options, const struct state *state,
                        const char *sdk_dir, struct submission *take_submission)
{
    static const char *const nursery_argv[] = {"/proc/self/exe", "nursery", NULL};
    int life[2];
    struct session session = {.loop = loop_new()};

    if (pipe2(life, O_CLOEXEC) < 0)
        abort();
    struct engine_options engine_options = {
        .loop = session.loop,
        .state = state,
        .sdk_dir = sdk_dir,
        .nursery_argv = nursery_argv,
        .limits[RUN_INTERACTIVE] = {.runs = 1,
                                    .steps = options->max_parallel ? options->max_parallel
                                                                   : core_count()},
        .life = ENGINE_ONCE,
        .life_fd = life[0],
    };
    int status = run_engine(&session, options, &engine_options, take_submission);
    engine_close(session.engine);
    loop_free(session.loop);
    close(life[0]);
    close(life[1]);
    return status;
}

/* --- one run per pipeline --- */

/* The signal that came while we waited for our turn; a handler can reach nothing else. */
static volatile sig_atomic_t waiting_signal;

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A signal that comes just before the waiting begins would not end it: the alarm does. */
static void note_signal(int signal_number)
{
    if (signal_number != SIGALRM)
        waiting_signal = signal_number;
    alarm(1);
}

static void say_waiting(void)
{
    fputs("segue run: another run of this pipeline is going on; waiting for it to end\n", stderr);
}

/* Signals end the waiting, as nothing was started yet. */
static int wait_for_turn(const char *root, const struct submission *submission, struct err *e)
{
    struct uuid key = results_key(submission->origin_dir, submission->pipeline->uuid);
    struct sigaction note = {.sa_handler = note_signal};
    static const int signals[] = {SIGINT, SIGTERM, SIGALRM};
    struct sigaction before[COUNT(signals)];

    for (size_t i = 0; i < COUNT(signals); i++)
        sigaction(signals[i], &note, &before[i]);
    int fd = pipeline_lock(root, &key, say_waiting, e);
    alarm(0);
    for (size_t i = 0; i < COUNT(signals); i++)
        sigaction(signals[i], &before[i], NULL);
    return fd;
}

static int run_alone(const struct options *options, const char *root,
                     struct submission *take_submission)
{
    auto_submission struct submission *submission = take_submission;
    struct state state;
    struct err e;
    auto_free char *sdk_dir = sdk_find(&e);

    if (!sdk_dir || state_create(&state, root, &e) < 0) {
        fprintf(stderr, "segue run: %s\n", e.text);
        return e.code == ERR_LIMIT ? EXIT_INPUT : EXIT_NOT_SUCCESS;
    }
    recover_state_dirs(root);
    int status = run_in_state(options, &state, sdk_dir, take_ptr(&submission));
    state_close(&state);
    return status;
}

static int run(const struct options *options)
{
    auto_submission struct submission *submission = NULL;
    auto_free char *root = state_root();
    struct err e;

    if (prepare(options, &submission) < 0)
        return EXIT_INPUT;
    auto_close int turn_fd = wait_for_turn(root, submission, &e);
    if (waiting_signal)
        return 128 + waiting_signal;
    if (turn_fd < 0) {
        fprintf(stderr, "segue run: %s\n", e.text);
        return EXIT_NOT_SUCCESS;
    }
    return run_alone(options, root, take_ptr(&submission));
}

int cmd_run(int argc, char **argv)
{
    struct options options = {0};
    int parsed = parse_options(&options, argc, argv);
    int status = parsed < 0 ? EXIT_INPUT : parsed == 0 ? EXIT_DONE : run(&options);

    selection_clear(&options.selection);
    params_clear(&options.params);
    return status;
}
