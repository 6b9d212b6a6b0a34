#include "api/server/route.h"

#include "base/mem.h"

#include <assert.h>
#include <stdbool.h>

struct pattern {
    struct str segments[TARGET_SEGMENTS]; /* none: a {...} */
    unsigned count;
};

struct router {
    const struct route *routes;
    size_t count;
    struct pattern patterns[];
};

static void parse_pattern(struct pattern *pattern, const char *path)
{
    unsigned parameters = 0;

    assert(path[0] == '/');
    for (const char *p = path; p; p = strchr(p, '/')) {
        size_t len = strcspn(++p, "/");
        bool is_parameter = len > 0 && p[0] == '{' && p[len - 1] == '}';
        assert(pattern->count < TARGET_SEGMENTS);
        pattern->segments[pattern->count++] = is_parameter ? (struct str){0} : (struct str){p, len};
        parameters += is_parameter;
    }
    assert(parameters <= ROUTE_PARAMETERS);
}

struct router *router_new(const struct route *routes, size_t count)
{
    struct router *router = mem_zalloc(sizeof *router + count * sizeof *router->patterns);

    router->routes = routes;
    router->count = count;
    for (size_t i = 0; i < count; i++)
        parse_pattern(&router->patterns[i], routes[i].path);
    return router;
}

void router_free(struct router *router)
{
    free(router);
}

static bool fits(const struct pattern *pattern, const struct target *target)
{
    if (pattern->count != target->segment_count)
        return false;
    for (unsigned i = 0; i < pattern->count; i++) {
        struct str wanted = pattern->segments[i];
        if (wanted.text ? !str_eq(wanted, target->segments[i]) : target->segments[i].len == 0)
            return false;
    }
    return true;
}

static bool serves(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static void take_parameters(const struct pattern *pattern, const struct target *target,
                            struct route_found *ret)
{
    ret->parameter_count = 0;
    for (unsigned i = 0; i < pattern->count; i++)
        if (!pattern->segments[i].text)
            ret->parameters[ret->parameter_count++] = target->segments[i].text;
}

enum route_match router_find(const struct router *router, const char *method,
                             const struct target *target, struct route_found *ret)
{
    enum route_match match = ROUTE_NO_SUCH_PATH;

    for (size_t i = 0; i < router->count; i++) {
        if (!fits(&router->patterns[i], target))
            continue;
        if (serves(&router->routes[i], method)) {
            ret->route = &router->routes[i];
            ret->index = (unsigned)i;
            take_parameters(&router->patterns[i], target, ret);
            return ROUTE_MATCHED;
        }
        match = ROUTE_NO_SUCH_METHOD;
    }
    return match;
}

void router_put_allowed(const struct router *router, const struct target *target, struct buf *out)
{
    size_t start = out->len;

    for (size_t i = 0; i < router->count; i++) {
        const char *method = router->routes[i].method;
        if (!fits(&router->patterns[i], target))
            continue;
        buf_printf(out, "%s%s", out->len > start ? ", " : "", method);
        if (strcmp(method, "GET") == 0)
            buf_puts(out, ", HEAD");
    }
}
