#include "api/server/cors.h"

#include "api/server/exchange_private.h"

#include <strings.h>

/* What of an answer a page may see beside its body and a few headers that always are. */
#define EXPOSED                                                                                    \
    "Location, Content-Location, ETag, Accept-Ranges, Content-Range, Retry-After, "                \
    "Idempotency-Replayed"

/* What a page may say in a request. */
#define TAKEN                                                                                      \
    "Accept, Authorization, Content-Type, Idempotency-Key, If-None-Match, If-Range, "              \
    "Last-Event-ID, Range, X-XSRFToken"

/* Seconds a browser may remember it; they do not remember for longer. */
#define REMEMBERED "7200"

static const char *origin_of(const struct exchange *exchange)
{
    return exchange_next_header(exchange, MHD_HTTP_HEADER_ORIGIN, NULL);
}

/* The configured origin that `origin` is, or "*"; NULL: none. */
static const char *find_origin(const char *const *origins, const char *origin)
{
    for (; origins && *origins; origins++)
        if (strcmp(*origins, "*") == 0 || strcmp(*origins, origin) == 0)
            return *origins;
    return NULL;
}

/* "https://HOST" of the page, and the header Host. */
static bool is_own(const struct exchange *exchange, const char *origin)
{
    const char *host = exchange_next_header(exchange, MHD_HTTP_HEADER_HOST, NULL);
    const char *mark = strstr(origin, "://");

    return host && mark && strcasecmp(mark + 3, host) == 0;
}

bool exchange_origin_is_allowed(const struct exchange *exchange)
{
    const char *origin = origin_of(exchange);

    return !origin || is_own(exchange, origin) || find_origin(exchange->origins, origin);
}

/* Caches must keep apart what is answered to several origins. */
void cors_add_headers(struct exchange *exchange)
{
    const char *origin = origin_of(exchange);
    const char *allowed = origin ? find_origin(exchange->origins, origin) : NULL;

    if (exchange->origins && *exchange->origins)
        exchange_add_header(exchange, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ORIGIN);
    if (!allowed)
        return;
    exchange_add_header(exchange, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    exchange_add_header(exchange, MHD_HTTP_HEADER_ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

bool cors_is_preflight(const struct exchange *exchange, const char *method)
{
    return strcmp(method, MHD_HTTP_METHOD_OPTIONS) == 0 && origin_of(exchange) &&
           exchange_next_header(exchange, MHD_HTTP_HEADER_ACCESS_CONTROL_REQUEST_METHOD, NULL);
}

void cors_answer_preflight(struct exchange *exchange, const char *methods)
{
    if (!exchange_origin_is_allowed(exchange)) {
        exchange_answer_problem(exchange, MHD_HTTP_FORBIDDEN,
                                "pages of this origin may not use this service", NULL);
        return;
    }
    exchange_add_header(exchange, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_METHODS, methods);
    exchange_add_header(exchange, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_HEADERS, TAKEN);
    exchange_add_header(exchange, MHD_HTTP_HEADER_ACCESS_CONTROL_MAX_AGE, REMEMBERED);
    exchange_answer(exchange, MHD_HTTP_NO_CONTENT, NULL, NULL);
}
