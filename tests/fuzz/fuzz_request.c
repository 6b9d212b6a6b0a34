/* Any bytes as a request's target, on the first line, and headers, one a line: taken apart, routed
 * and guarded. What comes out must be as its headers promise. */
#include "api/server/guard.h"
#include "api/server/range.h"
#include "api/server/route.h"
#include "base/mem.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct route routes[] = {
    {.method = "GET", .path = "/"},
    {.method = "GET", .path = "/runs/{run}"},
    {.method = "POST", .path = "/runs/{run}"},
    {.method = "GET", .path = "/runs/{run}/steps/{step}/log"},
};

static const char *const queries[] = {"status", "limit", "cursor", NULL};

/* The line at *text, without its end, as a C string; *text goes behind it. */
static char *take_line(char **text)
{
    char *line = *text;
    size_t len = strcspn(line, "\n");

    *text = line + len + (line[len] != 0);
    line[len] = 0;
    return line;
}

static void check_value(struct str value)
{
    const char *end = value.text + value.len;

    assert(strlen(value.text) == value.len);
    for (const char *p = value.text; p < end;) {
        size_t len = str_utf8_len(p, end);
        assert(len > 0);
        p += len;
    }
}

static void check_target(const struct router *router, char *text)
{
    struct target target;
    struct route_found found;
    struct err e;

    if (target_parse(&target, text, &e) < 0)
        return;
    assert(target.segment_count > 0 && target.segment_count <= TARGET_SEGMENTS);
    assert(target.query_count <= TARGET_QUERIES);
    for (unsigned i = 0; i < target.segment_count; i++)
        check_value(target.segments[i]);
    for (unsigned i = 0; i < target.query_count; i++) {
        check_value(str_of(target.queries[i].name));
        check_value(str_of(target.queries[i].value));
        assert(target_query(&target, target.queries[i].name));
    }
    (void)target_check_queries(&target, queries, &e);
    enum route_match match = router_find(router, "GET", &target, &found);
    auto_buf struct buf allowed = {0};
    router_put_allowed(router, &target, &allowed);
    assert((match == ROUTE_NO_SUCH_PATH) == (allowed.len == 0));
    if (match == ROUTE_MATCHED)
        for (unsigned i = 0; i < found.parameter_count; i++)
            assert(found.parameters[i][0]);
}

static void check_header(struct guard_headers *headers, char *line)
{
    char *colon = strchr(line, ':');
    struct range range;

    if (!colon)
        return;
    *colon = 0;
    guard_take(headers, str_of(line), str_of(colon + 1));
    if (range_parse(colon + 1, 1000, &range) == RANGE_PART)
        assert(range.length > 0 && range.start < 1000 && range.length <= 1000 - range.start);
    (void)range_list_has(colon + 1, "\"etag\"");
}

static void check_guard(const struct guard_headers *headers)
{
    static const char *const names[] = {"segue.example", "10.0.0.7", NULL};
    struct guard_body body;
    struct err e;

    if (guard_check_framing(headers, &body, &e) == 0)
        assert(headers->host.text && !(body.is_chunked && body.length > 0));
    (void)guard_is_allowed_host(headers->host, "192.0.2.1", names);
    (void)guard_has_token(headers->authorization, "secret");
    (void)guard_is_json(headers->content_type);
    (void)guard_expects_continue(headers->expect);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free char *copy = mem_strndup(size ? (const char *)data : "", size);
    struct router *router = router_new(routes, sizeof routes / sizeof *routes);
    struct guard_headers headers = {0};
    char *text = copy;

    check_target(router, take_line(&text));
    while (*text)
        check_header(&headers, take_line(&text));
    check_guard(&headers);
    router_free(router);
    return 0;
}
