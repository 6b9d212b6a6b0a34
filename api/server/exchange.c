#include "api/server/exchange_private.h"

#include "base/mem.h"

#include <assert.h>
#include <strings.h>

/* --- life --- */

struct exchange *exchange_new(struct parking *parking, struct MHD_Connection *connection,
                              const char *uri)
{
    size_t size = strlen(uri) + 1;
    struct exchange *exchange = mem_zalloc(sizeof *exchange + 2 * size);

    parked_init(&exchange->parked, parking, connection, PARKED_REQUEST);
    exchange->connection = connection;
    exchange->path = exchange->text;
    exchange->text_size = size;
    memcpy(exchange->text, uri, size);
    memcpy(exchange->text + size, uri, size);
    exchange->text[strcspn(uri, "?")] = 0;
    return exchange;
}

void exchange_free(struct exchange *exchange)
{
    if (exchange->leaving.taken)
        exchange->leaving.taken(exchange->leaving.user, -1, (struct str){0});
    if (exchange->response)
        MHD_destroy_response(exchange->response);
    buf_clear(&exchange->body);
    buf_clear(&exchange->header_texts);
    buf_clear(&exchange->added);
    free(exchange->failure);
    free(exchange);
}

/* --- headers: name, NUL, value, NUL, ... --- */

/* The value behind a name, and the name behind a value. */
static const char *behind(const char *text)
{
    return text + strlen(text) + 1;
}

static void put_header(struct buf *headers, struct str name, struct str value)
{
    buf_reserve(headers, name.len + value.len + 2);
    buf_put(headers, name.text, name.len);
    buf_putc(headers, 0);
    buf_put(headers, value.text, value.len);
    buf_putc(headers, 0);
}

void exchange_take_header(struct exchange *exchange, struct str name, struct str value)
{
    guard_take(&exchange->headers, name, value);
    put_header(&exchange->header_texts, name, value);
}

bool exchange_has_body(const struct exchange *exchange)
{
    return exchange->framing.is_chunked || exchange->framing.length > 0;
}

/* --- the request --- */

const char *exchange_path(const struct exchange *exchange)
{
    return exchange->path;
}

const char *exchange_segment(const struct exchange *exchange, unsigned n)
{
    assert(n < exchange->found.parameter_count);
    return exchange->found.parameters[n];
}

const char *exchange_query(struct exchange *exchange, const char *name)
{
    return target_query(&exchange->target, name);
}

const char *exchange_next_header(const struct exchange *exchange, const char *name,
                                 const char *value)
{
    const char *at = value ? behind(value) : exchange->header_texts.data;
    const char *end = exchange->header_texts.data + exchange->header_texts.len;

    for (; at < end; at = behind(behind(at)))
        if (strcasecmp(at, name) == 0)
            return behind(at);
    return NULL;
}

const char *exchange_header(struct exchange *exchange, const char *name)
{
    return exchange_next_header(exchange, name, NULL);
}

struct str exchange_body(const struct exchange *exchange)
{
    return (struct str){buf_text(&exchange->body), exchange->body.len};
}

/* --- the answer --- */

void exchange_add_header(struct exchange *exchange, const char *name, const char *value)
{
    put_header(&exchange->added, str_of(name), str_of(value));
}

/* libmicrohttpd itself refuses a header with a line break in it: it is left out then. */
static void add_headers(struct exchange *exchange, struct MHD_Response *response)
{
    const char *end = exchange->added.data + exchange->added.len;

    for (const char *at = exchange->added.data; at < end; at = behind(behind(at)))
        MHD_add_response_header(response, at, behind(at));
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
}

void exchange_put_added(const struct exchange *exchange, struct buf *out)
{
    const char *end = exchange->added.data + exchange->added.len;

    for (const char *at = exchange->added.data; at < end; at = behind(behind(at)))
        buf_printf(out, "%s: %s\r\n", at, behind(at));
}

void exchange_reply(struct exchange *exchange, int status, struct MHD_Response *take_response)
{
    assert(!exchange->response);
    add_headers(exchange, take_response);
    exchange->status = status;
    exchange->response = take_response;
    if (!parked_wake(&exchange->parked) && parked_leave(&exchange->parked))
        exchange_free(exchange);
}

struct MHD_Response *exchange_make_response(const char *content_type, struct buf *take_body)
{
    size_t len = take_body ? take_body->len : 0;
    struct MHD_Response *response;

    if (len > 0)
        response = MHD_create_response_from_buffer_with_free_callback(len, take_body->data, free);
    else
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!response)
        abort(); /* out of memory */
    if (take_body && len > 0)
        *take_body = (struct buf){0};
    else if (take_body)
        buf_clear(take_body);
    if (content_type)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    return response;
}

void exchange_answer(struct exchange *exchange, int status, const char *content_type,
                     struct buf *take_body)
{
    exchange_reply(exchange, status, exchange_make_response(content_type, take_body));
}

static void answer_uncached(struct exchange *exchange, int status, const char *content_type,
                            struct buf *take_body)
{
    struct MHD_Response *response = exchange_make_response(content_type, take_body);

    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    exchange_reply(exchange, status, response);
}

void exchange_answer_json(struct exchange *exchange, int status, struct buf *take_body)
{
    answer_uncached(exchange, status, "application/json", take_body);
}

void exchange_answer_problem(struct exchange *exchange, int status, const char *detail,
                             const struct problems *problems)
{
    struct buf body = {0};

    problem_put(&body, exchange->dialect, status, detail, problems);
    if (status >= 500)
        exchange->failure = mem_strdup(detail);
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
        exchange_add_header(exchange, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    answer_uncached(exchange, status, problem_content_type(exchange->dialect), &body);
}

void exchange_answer_err(struct exchange *exchange, const struct err *e,
                         const struct problems *problems)
{
    exchange_answer_problem(exchange, problem_status(e->code), e->text, problems);
}
