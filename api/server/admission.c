#include "api/server/admission.h"

#include "api/server/cors.h"
#include "api/server/exchange_private.h"

/* Each check answers what it refuses, and gives false then. */
static bool refuse(struct exchange *exchange, int status, const char *detail)
{
    exchange_answer_problem(exchange, status, detail, NULL);
    return false;
}

static bool check_form(const struct admission *admission, struct exchange *exchange)
{
    struct err e;
    char *target = exchange->text + exchange->text_size;

    if (target_parse(&exchange->target, target, &e) < 0)
        return refuse(exchange, MHD_HTTP_BAD_REQUEST, e.text);
    if (!guard_is_allowed_host(exchange->headers.host, admission->address, admission->hosts))
        return refuse(exchange, MHD_HTTP_FORBIDDEN,
                      "the header Host names something that is not served here");
    return true;
}

/* Browsers ask without the token. It is answered here, or goes on as any request. */
static bool check_preflight(const struct admission *admission, struct exchange *exchange,
                            const char *method)
{
    auto_buf struct buf methods = {0};

    if (!cors_is_preflight(exchange, method))
        return true;
    router_put_allowed(admission->router, &exchange->target, &methods);
    if (methods.len == 0)
        return true;
    cors_answer_preflight(exchange, buf_text(&methods));
    return false;
}

/* Who asks for a path that is not there is told so where one that is would take the token, too. */
static bool takes_token_from_query(const struct exchange *exchange)
{
    return exchange->route ? exchange->route->access == ROUTE_TOKEN_QUERY
                           : exchange->dialect == PROBLEM_JUPYTER;
}

static bool check_token(const struct admission *admission, struct exchange *exchange)
{
    const char *detail = "the header Authorization: Bearer TOKEN is missing or wrong";

    if (exchange->route && exchange->route->access == ROUTE_OPEN)
        return true;
    if (guard_has_token(exchange->headers.authorization, admission->token))
        return true;
    if (takes_token_from_query(exchange)) {
        if (guard_is_token(str_of(target_query(&exchange->target, "token")), admission->token))
            return true;
        detail = "the token is missing or wrong: neither the header Authorization: Bearer TOKEN "
                 "nor the query parameter token has it";
    }
    exchange_add_header(exchange, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    return refuse(exchange, MHD_HTTP_UNAUTHORIZED, detail);
}

static bool refuse_method(const struct admission *admission, struct exchange *exchange)
{
    auto_buf struct buf allowed = {0};

    router_put_allowed(admission->router, &exchange->target, &allowed);
    exchange_add_header(exchange, MHD_HTTP_HEADER_ALLOW, buf_text(&allowed));
    return refuse(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "this path does not take this method");
}

static bool check_route(const struct admission *admission, struct exchange *exchange,
                        const char *method)
{
    enum route_match match =
        router_find(admission->router, method, &exchange->target, &exchange->found);

    if (match == ROUTE_MATCHED)
        exchange->route = exchange->found.route;
    if (!check_token(admission, exchange))
        return false;
    switch (match) {
    case ROUTE_MATCHED:
        break;
    case ROUTE_NO_SUCH_PATH:
        return refuse(exchange, MHD_HTTP_NOT_FOUND, "there is nothing at this path");
    case ROUTE_NO_SUCH_METHOD:
        return refuse_method(admission, exchange);
    }
    return true;
}

static bool check_queries(struct exchange *exchange)
{
    struct err e;

    if (exchange->dialect == PROBLEM_JUPYTER ||
        target_check_queries(&exchange->target, exchange->route->queries, &e) == 0)
        return true;
    return refuse(exchange, MHD_HTTP_BAD_REQUEST, e.text);
}

static bool check_body(struct exchange *exchange)
{
    size_t cap = exchange->route->body_cap;
    struct err e;

    if (!exchange_has_body(exchange))
        return true;
    if (cap == 0)
        return refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "this request takes no body");
    if (exchange->framing.length > cap) {
        err_set(&e, ERR_LIMIT, "the body is larger than %zu bytes", cap);
        return refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE, e.text);
    }
    if (exchange->dialect != PROBLEM_JUPYTER && !guard_is_json(exchange->headers.content_type))
        return refuse(exchange, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
                      "the body must be application/json, and the header Content-Type say so");
    return true;
}

bool admission_check(const struct admission *admission, struct exchange *exchange,
                     const char *method)
{
    return check_form(admission, exchange) && check_preflight(admission, exchange, method) &&
           check_route(admission, exchange, method) && check_queries(exchange) &&
           check_body(exchange);
}
