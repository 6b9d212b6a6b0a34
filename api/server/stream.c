/* Answers without end: exchange_answer_stream of exchange.h.
 *
 * A stream is parked while its source has nothing. It is set running before the source is asked, so
 * that a wake-up during the reading is seen behind it.
 */
#include "api/server/exchange_private.h"

#include "base/mem.h"

/* Only HTTP/1.0 clients need it; for others chunks are made in the connection's own memory. */
#define BLOCK_SIZE 1024

struct stream {
    struct parked parked;
    const struct stream_source *source;
    void *user;
};

/* -1: the end; else how much was written, 0: parked until there is more. */
static ssize_t read_stream(void *cls, uint64_t position, char *out, size_t room)
{
    struct stream *stream = cls;

    (void)position;
    for (;;) {
        parked_run(&stream->parked);
        if (stream->parked.parking->is_closing)
            return MHD_CONTENT_READER_END_OF_STREAM;
        ssize_t n = stream->source->read(stream->user, out, room);
        if (n != 0)
            return n < 0 ? (ssize_t)MHD_CONTENT_READER_END_OF_STREAM : n;
        if (parked_state(&stream->parked) == PARKED_WOKEN)
            continue;
        parked_sleep(&stream->parked);
        return 0;
    }
}

static void close_stream(void *cls)
{
    struct stream *stream = cls;

    stream->source->closed(stream->user);
    free(stream);
}

/* libmicrohttpd 0.9.75 would send the last chunk even to who asked for the head only. */
static struct MHD_Response *make_head(struct stream *stream)
{
    close_stream(stream);
    return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *make_stream(struct stream *stream)
{
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, read_stream, stream,
                                             close_stream);
}

void exchange_answer_stream(struct exchange *exchange, const char *content_type,
                            const struct stream_source *source,
                            void (*opened)(void *user, struct stream *stream), void *user)
{
    struct stream *stream = mem_zalloc(sizeof *stream);

    parked_init(&stream->parked, exchange->parked.parking, exchange->connection, PARKED_STREAM);
    stream->source = source;
    stream->user = user;
    opened(user, stream);
    struct MHD_Response *response = exchange->is_head ? make_head(stream) : make_stream(stream);
    if (!response)
        abort(); /* out of memory */
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    exchange_reply(exchange, MHD_HTTP_OK, response);
}

void stream_wake(struct stream *stream)
{
    parked_wake(&stream->parked);
}
