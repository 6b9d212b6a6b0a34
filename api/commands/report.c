#include "api/commands/report.h"

#include <inttypes.h>

/* A problem without a place has none in front, as for compilers. */
static void put_place(FILE *out, const char *file, const struct problem *problem)
{
    if (problem->line > 0)
        fprintf(out, "%s:%" PRIu32 ":%" PRIu32 ": ", file, problem->line, problem->column);
    else
        fprintf(out, "%s: ", file);
}

void report_problems(FILE *out, const char *file, const struct problems *problems,
                     enum report_kind kind)
{
    const char *prefix = kind == REPORT_WARNINGS ? "warning: " : "";
    for (uint32_t i = 0; i < problems->count; i++) {
        const struct problem *problem = &problems->items[i];
        put_place(out, file, problem);
        fprintf(out, "%s%s%s%s\n", prefix, problem->pointer, problem->pointer[0] ? ": " : "",
                problem->detail);
    }
    if (problems->total > problems->count)
        fprintf(out, "%s: %s... and %" PRIu32 " more\n", file, prefix,
                problems->total - problems->count);
}
