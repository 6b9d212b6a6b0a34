#include "api/commands/cmd_plan.h"

#include "api/commands/report.h"
#include "api/commands/selection.h"
#include "base/mem.h"
#include "runner/plan/project.h"

#include <inttypes.h>
#include <stdio.h>

static const char HELP[] =
    "usage: segue plan PIPELINE " SELECTION_USAGE "\n"
    "                  [--project DIR] [--json]\n"
    "\n"
    "Shows which steps would run, and in which order. Changes nothing.\n"
    "\n" SELECTION_HELP
    "  --project DIR     the project's directory; default: the nearest parent of the pipeline\n"
    "                    file with .segue, .orchest or .git, else the file's own directory\n"
    "  --json            the plan as JSON\n"
    "\n"
    "Exit status: 0, or 2 when the input is wrong.\n";

struct options {
    const char *file;
    const char *project_dir;
    struct selection selection;
    enum output { OUTPUT_TABLE, OUTPUT_JSON } output;
};

enum column { COLUMN_RANK, COLUMN_STEP, COLUMN_FILE, COLUMN_KIND, COLUMN_WAITS, COLUMNS };

static const char *const HEADINGS[COLUMNS] = {"RANK", "STEP", "FILE", "KIND", "WAITS FOR"};

/* In characters, which on a terminal is near enough to columns. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/* A title may hold anything; on a terminal a control character would do something. */
static void put_printable(struct buf *out, const char *text)
{
    for (; *text; text++)
        buf_putc(out, (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

/* A cell, with blanks up to the next column. */
static void put_cell(struct buf *out, const char *text, int width)
{
    put_printable(out, text);
    buf_printf(out, "%*s", width - width_of(text) + 2, "");
}

static const char *title_of(const struct plan *plan, const struct pipeline *pipeline, uint32_t at)
{
    return pipeline_step_label(&pipeline->steps[plan->steps[at].step]);
}

static void measure(const struct plan *plan, const struct pipeline *pipeline, int widths[COLUMNS])
{
    for (int column = 0; column < COLUMNS; column++)
        widths[column] = width_of(HEADINGS[column]);
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct pipeline_step *step = &pipeline->steps[plan->steps[i].step];
        int title = width_of(title_of(plan, pipeline, i)), file = width_of(step->file_path);
        int kind = width_of(step_kind_name(step->kind));
        widths[COLUMN_STEP] = title > widths[COLUMN_STEP] ? title : widths[COLUMN_STEP];
        widths[COLUMN_FILE] = file > widths[COLUMN_FILE] ? file : widths[COLUMN_FILE];
        widths[COLUMN_KIND] = kind > widths[COLUMN_KIND] ? kind : widths[COLUMN_KIND];
    }
}

static void put_row(struct buf *out, const struct plan *plan, const struct pipeline *pipeline,
                    uint32_t at, const int widths[COLUMNS])
{
    const struct plan_step *planned = &plan->steps[at];
    const struct pipeline_step *step = &pipeline->steps[planned->step];
    buf_printf(out, "%*" PRIu32 "  ", widths[COLUMN_RANK], planned->rank);
    put_cell(out, title_of(plan, pipeline, at), widths[COLUMN_STEP]);
    put_cell(out, step->file_path[0] ? step->file_path : "-", widths[COLUMN_FILE]);
    put_cell(out, step_kind_name(step->kind), widths[COLUMN_KIND]);
    for (uint32_t i = 0; i < planned->incoming.count; i++) {
        buf_puts(out, i > 0 ? ", " : "");
        put_printable(out, title_of(plan, pipeline, planned->incoming.at[i]));
    }
    buf_puts(out, planned->incoming.count > 0 ? "\n" : "-\n");
}

static void put_table(struct buf *out, const struct plan *plan, const struct pipeline *pipeline)
{
    int widths[COLUMNS];
    measure(plan, pipeline, widths);
    for (int column = 0; column < COLUMN_WAITS; column++)
        put_cell(out, HEADINGS[column], widths[column]);
    buf_printf(out, "%s\n", HEADINGS[COLUMN_WAITS]);
    for (uint32_t i = 0; i < plan->count; i++)
        put_row(out, plan, pipeline, i, widths);
    buf_printf(out, "%" PRIu32 " step%s, %" PRIu32 " rank%s\n", plan->count,
               plan->count == 1 ? "" : "s", plan->rank_count, plan->rank_count == 1 ? "" : "s");
}

static int fail(const struct err *e)
{
    fprintf(stderr, "segue plan: %s\n", e->text);
    return 2;
}

static int show(const struct options *options, const struct plan *plan,
                const struct pipeline *pipeline, const struct project *project)
{
    auto_buf struct buf out = {0};
    auto_problems struct problems warnings = {0};
    struct err e;
    if (plan_check_files(plan, pipeline, project->dir, project->pipeline_dir, &warnings, &e) < 0)
        problems_add(&warnings, &pipeline->doc, JSON_NONE, "%s", e.text);
    report_problems(stderr, options->file, &warnings, REPORT_WARNINGS);
    if (options->output == OUTPUT_JSON) {
        plan_to_json(plan, pipeline, &out);
        buf_putc(&out, '\n');
    } else {
        put_table(&out, plan, pipeline);
    }
    fwrite(out.data, 1, out.len, stdout);
    return 0;
}

static int run(const struct options *options)
{
    auto_project struct project project = {0};
    auto_pipeline struct pipeline *pipeline = NULL;
    auto_plan struct plan *plan = NULL;
    auto_problems struct problems problems = {0};
    struct err e;
    if (project_find(options->file, options->project_dir, &project, &e))
        return fail(&e);
    if (pipeline_read(project.dir, project.pipeline_path, &pipeline, &problems, &e)) {
        report_problems(stderr, options->file, &problems, REPORT_ERRORS);
        return problems.count > 0 ? 2 : fail(&e);
    }
    if (selection_plan(&options->selection, pipeline, &plan, &e))
        return fail(&e);
    return show(options, plan, pipeline, &project);
}

/* Gives an exit status, or -1 to go on. */
static int parse_options(int argc, char **argv, struct options *options)
{
    static const struct option OPTIONS[] = {
        SELECTION_OPTIONS,
        {"project", required_argument, NULL, 'P'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct err e;
    optind = 0;
    for (int option; (option = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1;) {
        if (selection_is_option(option)) {
            if (selection_add(&options->selection, option, optarg, &e))
                return fail(&e);
        } else if (option == 'P') {
            options->project_dir = optarg;
        } else if (option == 'j') {
            options->output = OUTPUT_JSON;
        } else if (option == 'h') {
            fputs(HELP, stdout);
            return 0;
        } else {
            return 2; /* getopt_long has said why */
        }
    }
    if (argc - optind != 1) {
        err_set(&e, ERR_INVALID, "one pipeline file is needed, %d given; see segue plan --help",
                argc - optind);
        return fail(&e);
    }
    options->file = argv[optind];
    return -1;
}

int cmd_plan(int argc, char **argv)
{
    struct options options = {0};
    int status = parse_options(argc, argv, &options);
    if (status < 0)
        status = run(&options);
    selection_clear(&options.selection);
    return status;
}
