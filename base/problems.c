#include "base/problems.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

void problems_clear(struct problems *problems)
{
    for (uint32_t i = 0; i < problems->count; i++) {
        free(problems->items[i].pointer);
        free(problems->items[i].detail);
    }
    free(problems->items);
    *problems = (struct problems){0};
}

/* The next entry to fill, or NULL when enough are kept. */
static struct problem *next_problem(struct problems *problems)
{
    problems->total++;
    if (problems->count == LIMIT_PROBLEMS)
        return NULL;
    mem_grow(problems->items, problems->count, problems->capacity);
    return &problems->items[problems->count++];
}

/* One bounded line that can be printed, as every error text is. */
static char *format_detail(const char *format, va_list args)
{
    struct err e;
    char text[sizeof e.text];
    vsnprintf(text, sizeof text, format, args);
    err_set(&e, ERR_INVALID, "%s", text);
    return mem_strdup(e.text);
}

void problems_add(struct problems *problems, const struct json *doc, json_at at, const char *format,
                  ...)
{
    struct problem *problem = next_problem(problems);
    if (!problem)
        return;
    struct buf pointer = {0};
    json_pointer(doc, at, &pointer);
    struct json_place place = json_place(doc, at);
    va_list args;
    va_start(args, format);
    *problem = (struct problem){
        .pointer = buf_take(&pointer),
        .line = place.line,
        .column = place.column,
        .detail = format_detail(format, args),
    };
    va_end(args);
}

void problems_add_place(struct problems *problems, const char *pointer, struct json_place place,
                        const char *format, ...)
{
    struct problem *problem = next_problem(problems);
    if (!problem)
        return;
    va_list args;
    va_start(args, format);
    *problem = (struct problem){
        .pointer = mem_strdup(pointer),
        .line = place.line,
        .column = place.column,
        .detail = format_detail(format, args),
    };
    va_end(args);
}

int problems_to_err(const struct problems *problems, struct err *e)
{
    assert(problems->count > 0);
    const struct problem *first = &problems->items[0];
    err_set(e, ERR_INVALID, "%s", first->detail);
    if (problems->total > 1)
        err_set(e, ERR_INVALID, "%s (and %" PRIu32 " more)", first->detail, problems->total - 1);
    if (first->line > 0)
        err_prefix(e, "line %" PRIu32 ", column %" PRIu32, first->line, first->column);
    return -1;
}
