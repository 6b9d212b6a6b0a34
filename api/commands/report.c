#include "api/commands/report.h"

#include "api/commands/shown.h"

#include <inttypes.h>

/* A problem without a place has none in front, as for compilers. */
static void put_place(struct buf *out, const char *file, const struct problem *problem)
{
    shown_put(out, file);
    if (problem->line > 0)
        buf_printf(out, ":%" PRIu32 ":%" PRIu32, problem->line, problem->column);
    buf_puts(out, ": ");
}

void report_problems(FILE *out, const char *file, const struct problems *problems,
                     enum report_kind kind)
{
    const char *prefix = kind == REPORT_WARNINGS ? "warning: " : "";
    auto_buf struct buf text = {0};

    for (uint32_t i = 0; i < problems->count; i++) {
        const struct problem *problem = &problems->items[i];
        put_place(&text, file, problem);
        buf_puts(&text, prefix);
        shown_put(&text, problem->pointer);
        buf_puts(&text, problem->pointer[0] ? ": " : "");
        shown_put(&text, problem->detail);
        buf_putc(&text, '\n');
    }
    if (problems->total > problems->count) {
        shown_put(&text, file);
        buf_printf(&text, ": %s... and %" PRIu32 " more\n", prefix,
                   problems->total - problems->count);
    }
    fwrite(buf_text(&text), 1, text.len, out);
}
