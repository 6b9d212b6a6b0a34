#include "api/server/problem.h"

#include "base/json.h"

#include <microhttpd.h>
#include <stdbool.h>

static void put_error(struct buf *out, const struct problem *problem)
{
    buf_putc(out, '{');
    json_put_member(out, "pointer", problem->pointer);
    if (problem->line > 0) {
        json_put_member_int(out, "line", problem->line);
        json_put_member_int(out, "column", problem->column);
    }
    json_put_member(out, "detail", problem->detail);
    buf_putc(out, '}');
}

static void put_errors(struct buf *out, const struct problems *problems)
{
    json_put_key(out, "errors");
    buf_putc(out, '[');
    for (uint32_t i = 0; i < problems->count; i++) {
        if (i > 0)
            buf_putc(out, ',');
        put_error(out, &problems->items[i]);
    }
    buf_putc(out, ']');
}

static bool lies_in(const char *path, const char *place)
{
    size_t len = strlen(place);
    return strncmp(path, place, len) == 0 && (path[len] == 0 || path[len] == '/');
}

enum problem_dialect problem_dialect_of(const struct problem_place *places, const char *path)
{
    for (; places && places->path; places++)
        if (lies_in(path, places->path))
            return places->dialect;
    return PROBLEM_RFC9457;
}

static void put_rfc9457(struct buf *out, int status, const char *detail)
{
    json_put_member(out, "type", "about:blank");
    json_put_member(out, "title", MHD_get_reason_phrase_for((unsigned)status));
    json_put_member_int(out, "status", status);
    json_put_member(out, "detail", detail);
}

static void put_jupyter(struct buf *out, int status, const char *detail)
{
    json_put_member(out, "message", detail);
    json_put_member(out, "reason", MHD_get_reason_phrase_for((unsigned)status));
}

void problem_put(struct buf *out, enum problem_dialect dialect, int status, const char *detail,
                 const struct problems *problems)
{
    buf_putc(out, '{');
    switch (dialect) {
    case PROBLEM_RFC9457:
        put_rfc9457(out, status, detail);
        break;
    case PROBLEM_JUPYTER:
        put_jupyter(out, status, detail);
        break;
    }
    if (problems && problems->count > 0)
        put_errors(out, problems);
    buf_putc(out, '}');
}

const char *problem_content_type(enum problem_dialect dialect)
{
    return dialect == PROBLEM_JUPYTER ? "application/json" : "application/problem+json";
}

int problem_status(enum err_code code)
{
    switch (code) {
    case ERR_INVALID:
        return MHD_HTTP_UNPROCESSABLE_CONTENT;
    case ERR_NOT_FOUND:
        return MHD_HTTP_NOT_FOUND;
    case ERR_CONFLICT:
        return MHD_HTTP_CONFLICT;
    case ERR_LIMIT:
        return MHD_HTTP_CONTENT_TOO_LARGE;
    case ERR_NO_SPACE:
        return MHD_HTTP_INSUFFICIENT_STORAGE;
    case ERR_UNAVAILABLE:
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    case ERR_TIMEOUT:
        return MHD_HTTP_GATEWAY_TIMEOUT;
    case ERR_NONE:
    case ERR_IO:
    case ERR_PROTOCOL:
    case ERR_CANCELLED:
        break;
    }
    return MHD_HTTP_INTERNAL_SERVER_ERROR;
}
