#include "api/service/list_query.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "runner/plan/project.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_DEFAULT 50
#define LIMIT_MAX     1000

bool list_query_number(const char *text, int64_t max, int64_t *ret_value)
{
    char *end;

    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *ret_value = value;
    return *end == 0 && errno == 0 && value >= 1 && value <= max;
}

int list_query_page(struct exchange *exchange, uint32_t *ret_limit, int64_t *ret_before,
                    struct err *e)
{
    const char *limit = exchange_query(exchange, "limit");
    const char *cursor = exchange_query(exchange, "cursor");
    int64_t count = LIMIT_DEFAULT;

    *ret_before = 0;
    if (limit && !list_query_number(limit, LIMIT_MAX, &count))
        return err_set(e, ERR_INVALID, "limit is a number from 1 to %d", LIMIT_MAX);
    if (cursor && !list_query_number(cursor, INT64_MAX, ret_before))
        return err_set(e, ERR_INVALID, "cursor is not what next_cursor of an earlier answer was");
    *ret_limit = (uint32_t)count;
    return 0;
}

int list_query_set(const char *text,
                   int (*parse)(const char *name, unsigned *ret_value, struct err *e),
                   unsigned *ret_set, struct err *e)
{
    unsigned set = 0, value;

    for (;;) {
        size_t len = strcspn(text, ",");
        auto_free char *name = mem_strndup(text, len);
        if (parse(name, &value, e) < 0)
            return -1;
        set |= 1u << value;
        if (text[len] == 0)
            break;
        text += len + 1;
    }
    *ret_set = set;
    return 0;
}

char *list_query_project(const char *projects, const char *path)
{
    auto_project struct project project = {0};
    struct err ignored;

    if (project_open_beneath(projects, path, &project, &ignored) == 0)
        return take_ptr(&project.dir);
    return fs_join(projects, path);
}

void list_query_put_cursor(struct buf *out, int64_t cursor)
{
    json_put_key(out, "next_cursor");
    if (cursor > 0)
        buf_printf(out, "\"%" PRId64 "\"", cursor);
    else
        buf_puts(out, "null");
}
