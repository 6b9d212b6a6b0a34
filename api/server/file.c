/* Answers from files: exchange_answer_file of exchange.h. */
#include "api/server/exchange_private.h"
#include "api/server/range.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>

static const char *cache_of(enum file_kind kind)
{
    return kind == FILE_FIXED ? "no-cache" : "no-store";
}

static struct MHD_Response *make_part(const char *content_type, enum file_kind kind, int take_fd,
                                      uint64_t start, uint64_t length)
{
    struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(length, take_fd, start);

    if (!response)
        abort(); /* out of memory */
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, cache_of(kind));
    return response;
}

static void put_content_range(struct exchange *exchange, const struct range *range, uint64_t size)
{
    char text[100];

    if (range)
        snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range->start,
                 range->start + range->length - 1, size);
    else
        snprintf(text, sizeof text, "bytes */%" PRIu64, size);
    exchange_add_header(exchange, MHD_HTTP_HEADER_CONTENT_RANGE, text);
}

void exchange_answer_file(struct exchange *exchange, const char *content_type, enum file_kind kind,
                          const char *etag, int taken_fd, uint64_t size)
{
    auto_close int fd = taken_fd;
    struct range range = {0, size};
    const char *wanted = NULL;

    exchange_add_header(exchange, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
    if (etag)
        exchange_add_header(exchange, MHD_HTTP_HEADER_ETAG, etag);
    if (kind == FILE_FIXED &&
        range_list_has(exchange_header(exchange, MHD_HTTP_HEADER_IF_NONE_MATCH), etag)) {
        exchange_add_header(exchange, MHD_HTTP_HEADER_CACHE_CONTROL, cache_of(kind));
        exchange_answer(exchange, MHD_HTTP_NOT_MODIFIED, NULL, NULL);
        return;
    }
    if (range_is_for(exchange_header(exchange, MHD_HTTP_HEADER_IF_RANGE), etag))
        wanted = exchange_header(exchange, MHD_HTTP_HEADER_RANGE);
    switch (range_parse(wanted, size, &range)) {
    case RANGE_ALL:
        exchange_reply(exchange, MHD_HTTP_OK, make_part(content_type, kind, take_fd(&fd), 0, size));
        break;
    case RANGE_PART:
        put_content_range(exchange, &range, size);
        exchange_reply(exchange, MHD_HTTP_PARTIAL_CONTENT,
                       make_part(content_type, kind, take_fd(&fd), range.start, range.length));
        break;
    case RANGE_NONE:
        put_content_range(exchange, NULL, size);
        exchange_answer_problem(exchange, MHD_HTTP_RANGE_NOT_SATISFIABLE,
                                "the file has nothing of the range that was asked for", NULL);
        break;
    }
}
