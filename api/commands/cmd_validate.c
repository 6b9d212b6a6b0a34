#include "api/commands/cmd_validate.h"

#include "api/commands/report.h"
#include "runner/plan/pipeline.h"
#include "runner/plan/project.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

static const char HELP[] =
    "usage: segue validate [--project DIR] PIPELINE...\n"
    "\n"
    "Checks pipeline definitions. Prints file:line:column: message for whatever is wrong.\n"
    "\n"
    "  --project DIR     the project's directory; default: the nearest parent of the pipeline\n"
    "                    file with .segue, .orchest or .git, else the file's own directory\n"
    "\n"
    "Exit status: 0 when all are sound, else 2.\n";

static void warn_about_files(const char *file, const struct pipeline *pipeline,
                             const struct project *project)
{
    auto_problems struct problems warnings = {0};
    struct err e;
    for (uint32_t i = 0; i < pipeline->step_count; i++)
        if (pipeline_check_step(pipeline, i, project->dir, project->pipeline_dir, &warnings, &e) <
            0)
            problems_add(&warnings, &pipeline->doc, JSON_NONE, "%s", e.text);
    report_problems(stderr, file, &warnings, REPORT_WARNINGS);
}

static int validate(const char *file, const char *project_dir)
{
    auto_project struct project project = {0};
    auto_pipeline struct pipeline *pipeline = NULL;
    auto_problems struct problems problems = {0};
    struct err e;
    if (project_find(file, project_dir, &project, &e) ||
        pipeline_read(project.dir, project.pipeline_path, &pipeline, &problems, &e)) {
        if (problems.count > 0)
            report_problems(stderr, file, &problems, REPORT_ERRORS);
        else
            fprintf(stderr, "%s: %s\n", file, e.text);
        return -1;
    }
    warn_about_files(file, pipeline, &project);
    printf("%s: sound, %" PRIu32 " step%s\n", file, pipeline->step_count,
           pipeline->step_count == 1 ? "" : "s");
    return 0;
}

int cmd_validate(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"project", required_argument, NULL, 'P'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *project_dir = NULL;
    int status = 0;
    optind = 0;
    for (int option; (option = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1;) {
        if (option == 'h') {
            fputs(HELP, stdout);
            return 0;
        }
        if (option != 'P')
            return 2; /* getopt_long has said why */
        project_dir = optarg;
    }
    if (optind == argc) {
        fputs("segue validate: no pipeline file given; see segue validate --help\n", stderr);
        return 2;
    }
    for (int i = optind; i < argc; i++) {
        if (validate(argv[i], project_dir))
            status = 2;
    }
    return status;
}
