/* fake_exchange: requests and streams without a server: the functions of api/server/exchange.h that
 * streams use, on plain structs, with a stream's promises kept: read by one at a time, and after a
 * read that gave nothing only when it was woken since that read began. Included by tests.
 */
#include "api/server/exchange.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct stream {
    const struct stream_source *source; /* NULL: not open */
    void *user;
    atomic_bool is_woken;
    atomic_uint wake_count;
    struct bell *bell; /* NULL, or what its wake-ups ring */
};

struct exchange {
    const char *run, *after, *last_event_id; /* NULL: not given */
    struct stream *stream;                   /* to be opened by it */
    int status;
    struct buf headers;
    char detail[1000];
};

/* Tells a thread that something was woken. */
struct bell {
    pthread_mutex_t mutex;
    pthread_cond_t rung;
    bool has_rung;
};

static inline void bell_ring(struct bell *bell)
{
    pthread_mutex_lock(&bell->mutex);
    bell->has_rung = true;
    pthread_cond_signal(&bell->rung);
    pthread_mutex_unlock(&bell->mutex);
}

static inline void bell_wait(struct bell *bell)
{
    pthread_mutex_lock(&bell->mutex);
    while (!bell->has_rung)
        pthread_cond_wait(&bell->rung, &bell->mutex);
    bell->has_rung = false;
    pthread_mutex_unlock(&bell->mutex);
}

const char *exchange_query(struct exchange *exchange, const char *name)
{
    return strcmp(name, "run") == 0     ? exchange->run
           : strcmp(name, "after") == 0 ? exchange->after
                                        : NULL;
}

const char *exchange_header(struct exchange *exchange, const char *name)
{
    return strcmp(name, "Last-Event-ID") == 0 ? exchange->last_event_id : NULL;
}

void exchange_add_header(struct exchange *exchange, const char *name, const char *value)
{
    buf_printf(&exchange->headers, "%s: %s\n", name, value);
}

void exchange_answer(struct exchange *exchange, int status, const char *content_type,
                     struct buf *take_body)
{
    (void)content_type;
    exchange->status = status;
    if (take_body)
        buf_clear(take_body);
}

void exchange_answer_problem(struct exchange *exchange, int status, const char *detail,
                             const struct problems *problems)
{
    (void)problems;
    exchange->status = status;
    snprintf(exchange->detail, sizeof exchange->detail, "%s", detail);
}

void exchange_answer_err(struct exchange *exchange, const struct err *e,
                         const struct problems *problems)
{
    int status = e->code == ERR_NOT_FOUND ? 404 : e->code == ERR_UNAVAILABLE ? 503 : 500;

    exchange_answer_problem(exchange, status, e->text, problems);
}

void exchange_answer_stream(struct exchange *exchange, const char *content_type,
                            const struct stream_source *source,
                            void (*opened)(void *user, struct stream *stream), void *user)
{
    struct stream *stream = exchange->stream;

    exchange->status = 200;
    buf_printf(&exchange->headers, "Content-Type: %s\n", content_type);
    stream->source = source;
    stream->user = user;
    atomic_store(&stream->is_woken, true); /* what was just opened is read at once */
    opened(user, stream);
}

void stream_wake(struct stream *stream)
{
    atomic_store(&stream->is_woken, true);
    atomic_fetch_add(&stream->wake_count, 1);
    if (stream->bell)
        bell_ring(stream->bell);
}

static inline void stream_close(struct stream *stream)
{
    if (stream->source)
        stream->source->closed(stream->user);
    stream->source = NULL;
}

/* One read, if it is time for one: what was read goes behind `out`. false: there is nothing to read
 * until it is woken, or it has ended and is closed. */
static inline bool stream_pump(struct stream *stream, size_t room, struct buf *out)
{
    if (!stream->source || !atomic_exchange(&stream->is_woken, false))
        return false;
    buf_reserve(out, room);
    ssize_t n = stream->source->read(stream->user, out->data + out->len, room);
    assert_true(n <= (ssize_t)room);
    if (n < 0) {
        stream_close(stream);
        return false;
    }
    if (n == 0)
        return atomic_load(&stream->is_woken);
    out->len += (size_t)n;
    out->data[out->len] = 0;
    atomic_store(&stream->is_woken, true); /* asked again until it has nothing */
    return true;
}
