/* segue: the one program. Each subcommand is a file beside this one. */
#include "api/commands/cmd_backup.h"
#include "api/commands/cmd_cancel.h"
#include "api/commands/cmd_delete.h"
#include "api/commands/cmd_kernels.h"
#include "api/commands/cmd_logs.h"
#include "api/commands/cmd_plan.h"
#include "api/commands/cmd_rerun.h"
#include "api/commands/cmd_run.h"
#include "api/commands/cmd_runs.h"
#include "api/commands/cmd_serve.h"
#include "api/commands/cmd_show.h"
#include "api/commands/cmd_submit.h"
#include "api/commands/cmd_supervise.h"
#include "api/commands/cmd_validate.h"
#include "api/commands/jobs/cmd_jobs.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "kernel-gateway/interactive/interactive.h"
#include "kernel-gateway/interactive/interactive_task.h"
#include "kernel-gateway/keeper/nursery.h"
#include "runner/step/step.h"
#include "runner/version.h"

#include <signal.h>
#include <stdio.h>

static const char USAGE[] = "usage: segue COMMAND ...\n"
                            "\n"
                            "  run       run a pipeline of notebooks and scripts, or a part of it\n"
                            "  plan      show which steps would run, and in which order\n"
                            "  validate  check pipeline files\n"
                            "  serve     run pipelines for whoever asks over HTTP\n"
                            "  supervise the same, started again when it crashes\n"
                            "  backup    copy the state of a service, which may go on meanwhile\n"
                            "\n"
                            "  submit    give a pipeline, or a part of it, to the service to run\n"
                            "  runs      list the service's runs\n"
                            "  show      show a run and its steps\n"
                            "  logs      show what the steps of a run have printed\n"
                            "  cancel    stop a run\n"
                            "  rerun     run again what a run was, or what of it did not succeed\n"
                            "  delete    remove runs that have ended\n"
                            "  jobs      run a pipeline over sets of parameters, or on a schedule\n"
                            "  kernels   list the service's kernels, interrupt or end one\n"
                            "\n"
                            "  version   show the version\n"
                            "\n"
                            "segue COMMAND --help tells more.\n";

/* What a keeper is for, it finds in the directory that it is born with. */
static int keeper_run(const struct keeper_birth *birth)
{
    auto_free char *task = fs_join(birth->directory, INTERACTIVE_TASK_FILE);

    return fs_exists(task) ? interactive_run(birth) : step_run(birth);
}

/* Not for people: the process that keepers are forked from (kernel-gateway/keeper/nursery.h). */
static int cmd_nursery(int argc, char **argv)
{
    (void)argc, (void)argv;
    return nursery_serve(3, keeper_run);
}

static int cmd_version(int argc, char **argv)
{
    (void)argc, (void)argv;
    puts("segue " SEGUE_VERSION);
    return 0;
}

static int cmd_help(int argc, char **argv)
{
    (void)argc, (void)argv;
    fputs(USAGE, stdout);
    return 0;
}

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"run", cmd_run},         {"serve", cmd_serve},
    {"plan", cmd_plan},       {"supervise", cmd_supervise},
    {"backup", cmd_backup},   {"validate", cmd_validate},
    {"submit", cmd_submit},   {"runs", cmd_runs},
    {"show", cmd_show},       {"logs", cmd_logs},
    {"cancel", cmd_cancel},   {"rerun", cmd_rerun},
    {"delete", cmd_delete},   {"kernels", cmd_kernels},
    {"jobs", cmd_jobs},       {"version", cmd_version},
    {"help", cmd_help},       {"--help", cmd_help},
    {"-h", cmd_help},         {"--version", cmd_version},
    {"nursery", cmd_nursery},
};

static int unknown(const char *name)
{
    static const char *const names[] = {
        "jobs", "run",  "serve",  "supervise", "backup", "plan",    "validate", "submit",  "runs",
        "show", "logs", "cancel", "rerun",     "delete", "kernels", "help",     "version", NULL};
    const char *nearest = str_nearest(name, names);

    fprintf(stderr, "segue: there is no command \"%s\"%s%s%s\n", name,
            nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    return 2;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an error where it is written to */
    if (argc < 2) {
        fputs(USAGE, stderr);
        return 2;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, argv[1]) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return unknown(argv[1]);
}
