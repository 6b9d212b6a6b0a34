/* Streams under whatever may happen, in any order: every client sees what comes after its cursor,
 * once, in order, as it was told. With one thread, where chance decides who does what next, and
 * with several at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/service/streams.h"
#include "base/log.h"
#include "runner/store/event_text.h"
#include "tests/unit/api/service/fake_exchange.c"
#include "tests/unit/runner/engine/made_log.c"

#define CLIENTS 10
#define ALL     SIZE_MAX

/* What was stored, and will be or was told. */
struct told {
    int64_t id;
    size_t run; /* its index */
    const char *event;
    char *frame;
    char *json; /* inside `frame`'s text, a copy of its own */
    size_t json_len;
};

struct client {
    size_t run; /* its index, or ALL */
    struct stream stream;
    struct buf pending; /* of a frame that is not yet whole */
    bool has_retry;
    int64_t last; /* -1: from now, none yet */
};

struct world {
    struct made_log log;
    struct loop *loop;
    struct readers *readers;
    struct streams *streams;
    struct told *told;
    size_t told_count, told_capacity;
    size_t published; /* how many of them */
    struct client clients[CLIENTS];
    uint64_t seed;
};

static uint64_t draw(struct world *world, uint64_t below)
{
    world->seed ^= world->seed << 13;
    world->seed ^= world->seed >> 7;
    world->seed ^= world->seed << 17;
    return world->seed % below;
}

/* --- the engine --- */

static size_t index_of_run(const struct world *world, int64_t id)
{
    for (size_t i = 0; i < world->log.run_count; i++)
        if (world->log.runs[i].id == id)
            return i;
    fail_msg("no run");
    return 0;
}

static void note_told(struct world *world)
{
    const struct notices *notices = &world->log.notices;

    for (size_t i = 0; i < notices->count; i++) {
        const struct notice *notice = &notices->items[i];
        const char *json = notices->text.data + notice->start;
        mem_grow(world->told, world->told_count, world->told_capacity);
        world->told[world->told_count++] = (struct told){
            .id = notice->id,
            .run = index_of_run(world, notice->run),
            .event = notice->event,
            .json = mem_strdup(json),
            .json_len = notice->len,
            .frame =
                mem_printf("id: %" PRId64 "\nevent: %s\ndata: %s", notice->id, notice->event, json),
        };
    }
}

static void publish_next(struct world *world)
{
    const struct told *told = &world->told[world->published++];
    const struct made_run *run = &world->log.runs[told->run];

    streams_publish(world->streams, &(struct engine_event){.id = told->id,
                                                           .run = run->id,
                                                           .run_uuid = run->uuid.text,
                                                           .event = told->event,
                                                           .json = told->json,
                                                           .json_len = told->json_len});
}

static size_t draw_size(struct world *world)
{
    uint64_t kind = draw(world, 200);

    return kind < 150   ? draw(world, 200)
           : kind < 185 ? draw(world, 5000)
           : kind < 199 ? 50000 + draw(world, 100000)
                        : 250000 + draw(world, 100000);
}

static void draw_event(struct world *world, struct made_run *run)
{
    static const char *const lines[] = {"output", "cell_started", "comm", "cell_finished"};
    uint32_t step = (uint32_t)draw(world, MADE_STEPS);
    uint64_t kind = draw(world, 20);

    if (kind == 0)
        made_end(&world->log, run);
    else if (kind < 3 || run->steps[step].attempt == 0)
        made_attempt(&world->log, run, step);
    else if (kind < 6)
        made_event(&world->log, run, EVENT_STEP_RETRYING, step);
    else
        made_line(&world->log, run, step, lines[draw(world, 4)], draw_size(world));
}

/* A turn of the engine: one transaction. */
static void turn(struct world *world)
{
    made_begin(&world->log);
    for (uint64_t n = 1 + draw(world, 8); n > 0; n--) {
        if (world->log.run_count < 3 || draw(world, 30) == 0)
            made_run(&world->log);
        struct made_run *run = &world->log.runs[draw(world, world->log.run_count)];
        if (!run->is_over)
            draw_event(world, run);
        else if (!run->is_deleted && draw(world, 3) == 0)
            made_deletion(&world->log, run);
    }
    made_commit(&world->log);
    note_told(world);
}

static void shred_some(struct world *world)
{
    if (world->log.run_count == 0)
        return;
    const struct made_run *run = &world->log.runs[draw(world, world->log.run_count)];
    if (run->is_deleted)
        made_shred(&world->log, run, (uint32_t)draw(world, 3) * 5);
}

/* --- clients --- */

static bool is_for(const struct told *told, const struct client *client)
{
    return client->run == ALL ? event_text_is_for_all(told->event) : told->run == client->run;
}

/* What was told and was not seen may have been deleted before it was read. */
static void check_nothing_missed(const struct world *world, const struct client *client,
                                 int64_t before)
{
    for (size_t i = world->told_count; i-- > 0 && world->told[i].id > client->last;) {
        const struct told *told = &world->told[i];
        bool is_gone = world->log.runs[told->run].is_deleted && strcmp(told->event, "run_deleted");
        if (told->id < before && is_for(told, client) && !is_gone)
            fail_msg("missed %s", told->frame);
    }
}

static const struct told *find_told(const struct world *world, int64_t id)
{
    size_t low = 0, high = world->told_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (world->told[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    assert_true(low < world->told_count && world->told[low].id == id);
    return &world->told[low];
}

static void take_frame(struct world *world, struct client *client, const char *frame)
{
    if (!client->has_retry) {
        assert_string_equal(frame, "retry: 1000");
        client->has_retry = true;
        return;
    }
    if (strcmp(frame, ": heartbeat") == 0)
        return;
    assert_memory_equal(frame, "id: ", 4);
    const struct told *told = find_told(world, atoll(frame + 4));
    assert_true(told->id > client->last);
    assert_true(is_for(told, client));
    assert_string_equal(frame, told->frame);
    if (client->last >= 0)
        check_nothing_missed(world, client, told->id);
    client->last = told->id;
}

static void take_frames(struct world *world, struct client *client)
{
    struct buf *pending = &client->pending;
    size_t done = 0;
    char *end;

    while (pending->len > done &&
           (end = memmem(pending->data + done, pending->len - done, "\n\n", 2))) {
        *end = 0;
        take_frame(world, client, pending->data + done);
        done = (size_t)(end - pending->data) + 2;
    }
    buf_consume(pending, done);
}

static size_t draw_room(struct world *world)
{
    static const size_t rooms[] = {40, 2000, 32768};

    return 1 + draw(world, rooms[draw(world, 3)]);
}

static bool pump(struct world *world, struct client *client, size_t room)
{
    size_t before = client->pending.len;
    bool more = stream_pump(&client->stream, room, &client->pending);

    /* Only where the piece may have ended a frame is it worth looking. */
    size_t from = before > 0 ? before - 1 : 0;
    if (client->pending.len > before &&
        memmem(client->pending.data + from, client->pending.len - from, "\n\n", 2))
        take_frames(world, client);
    return more;
}

static void disconnect(struct client *client)
{
    stream_close(&client->stream);
    buf_reset(&client->pending);
    client->has_retry = false;
}

/* With the last id that it has seen, as browsers do. */
static void connect(struct world *world, struct client *client)
{
    const struct made_run *run = client->run == ALL ? NULL : &world->log.runs[client->run];
    auto_free char *id = client->last >= 0 ? mem_printf("%" PRId64, client->last) : NULL;
    struct exchange request = {.stream = &client->stream, .run = run ? run->uuid.text : NULL};

    if (draw(world, 2))
        request.after = id;
    else
        request.last_event_id = id;
    client->stream = (struct stream){0};
    streams_open(world->streams, &request);
    buf_clear(&request.headers);
    if (request.status == 404)
        assert_true(run && run->is_deleted);
    else if (request.status == 204)
        assert_true(run && run->is_over && world->told_count > 0);
    else
        assert_int_equal(request.status, 200);
    if (request.status == 204)
        check_nothing_missed(world, client, INT64_MAX);
    /* From now on: what is stored up to here is none of its business. */
    if (!run && client->last < 0)
        client->last = world->told_count > 0 ? world->told[world->told_count - 1].id : 0;
}

/* Another place to begin. */
static void begin_anew(struct world *world, struct client *client)
{
    disconnect(client);
    client->run =
        draw(world, 2) && world->log.run_count > 0 ? draw(world, world->log.run_count) : ALL;
    client->last = (int64_t)draw(world, 3) - 1;
    if (client->run != ALL && client->last < 0)
        client->last = 0;
    connect(world, client);
}

static void restart(struct world *world)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        disconnect(&world->clients[i]);
    streams_free(world->streams);
    world->published = world->told_count; /* nobody tells what the one before did not tell */
    world->streams = streams_new(world->loop, world->readers, world->log.runs_dir);
    for (unsigned i = 0; i < CLIENTS; i++)
        connect(world, &world->clients[i]);
}

/* Some are quick, and some so slow that they lose touch. */
static void act(struct world *world)
{
    struct client *client = &world->clients[draw(world, 1 + draw(world, 1 + draw(world, CLIENTS)))];
    uint64_t what = draw(world, 1000);

    if (what < 150) {
        turn(world);
    } else if (what < 500) {
        if (world->published < world->told_count)
            publish_next(world);
    } else if (what < 900) {
        for (uint64_t n = 1 + draw(world, 10); n > 0 && pump(world, client, draw_room(world)); n--)
            ;
    } else if (what < 960) {
        disconnect(client);
        connect(world, client);
    } else if (what < 980) {
        begin_anew(world, client);
    } else if (what < 990) {
        shred_some(world);
    } else if (what < 998) {
        streams_beat(world->streams, clock_mono() + 20000);
    } else {
        restart(world);
    }
}

/* Wake-ups are all that makes them read: none was lost. */
static void settle(struct world *world)
{
    while (world->published < world->told_count)
        publish_next(world);
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *client = &world->clients[i];
        while (pump(world, client, 32768))
            ;
        const struct made_run *run = client->run == ALL ? NULL : &world->log.runs[client->run];
        if (!client->stream.source)
            assert_true(!run || run->is_over);
        else
            check_nothing_missed(world, client, INT64_MAX);
        if (run && run->is_over)
            assert_null(client->stream.source);
    }
}

static void open_world(struct world *world, uint64_t seed)
{
    *world = (struct world){.seed = seed};
    made_log_open(&world->log);
    world->loop = loop_new();
    world->readers = readers_new(world->log.path);
    world->streams = streams_new(world->loop, world->readers, world->log.runs_dir);
}

static void close_world(struct world *world)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        disconnect(&world->clients[i]);
        buf_clear(&world->clients[i].pending);
    }
    streams_free(world->streams);
    readers_free(world->readers);
    loop_free(world->loop);
    for (size_t i = 0; i < world->told_count; i++) {
        free(world->told[i].frame);
        free(world->told[i].json);
    }
    free(world->told);
    made_log_close(&world->log);
}

static void everybody_sees_everything_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct world world;
        print_message("seed %" PRIu64 "\n", seed);
        open_world(&world, seed * 0x9e3779b97f4a7c15);
        for (unsigned i = 0; i < CLIENTS; i++)
            begin_anew(&world, &world.clients[i]);
        for (unsigned i = 0; i < 6000; i++) {
            act(&world);
            if (i % 1500 == 1499)
                settle(&world);
        }
        close_world(&world);
    }
}

/* --- threads --- */

#define READERS        3
#define READER_CLIENTS 4

/* A thread of the server with its streams. It knows no clock: it reads what is woken, and ends when
 * all its streams have come to the end that they can see: of a run its last event, of all the
 * deletion of the run. */
struct reader {
    struct world *world;
    pthread_t thread;
    struct bell bell;
    struct stream streams[READER_CLIENTS];
    struct buf got[READER_CLIENTS];
    uint64_t seed;
};

static bool has_seen_all(const struct buf *got)
{
    static const char last[] = "\"event\":\"run_deleted\"}\n\n";
    size_t len = sizeof last - 1;

    return got->len >= len && memcmp(got->data + got->len - len, last, len) == 0;
}

static void *read_on(void *user)
{
    struct reader *reader = user;
    struct world dice = {.seed = reader->seed};

    for (unsigned open = READER_CLIENTS; open > 0;) {
        bell_wait(&reader->bell);
        for (unsigned i = 0; i < READER_CLIENTS; i++) {
            struct stream *stream = &reader->streams[i];
            if (!stream->source)
                continue;
            while (stream_pump(stream, draw_room(&dice), &reader->got[i]))
                ;
            if (has_seen_all(&reader->got[i]))
                stream_close(stream);
            open -= stream->source == NULL;
        }
    }
    return NULL;
}

static void start_reader(struct world *world, struct reader *reader, uint64_t seed)
{
    *reader = (struct reader){.world = world,
                              .seed = seed,
                              .bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, true}};
    for (unsigned i = 0; i < READER_CLIENTS; i++) {
        struct stream *stream = &reader->streams[i];
        struct exchange request = {.stream = stream, .after = "0"};
        if (i % 2)
            request.run = world->log.runs[0].uuid.text;
        stream->bell = &reader->bell;
        streams_open(world->streams, &request);
        assert_int_equal(request.status, 200);
        buf_clear(&request.headers);
    }
    assert_int_equal(pthread_create(&reader->thread, NULL, read_on, reader), 0);
}

static void put_expected(const struct world *world, bool is_all, struct buf *out)
{
    buf_puts(out, "retry: 1000\n\n");
    for (size_t i = 0; i < world->told_count; i++) {
        const struct told *told = &world->told[i];
        if (is_all ? event_text_is_for_all(told->event) : told->run == 0)
            buf_printf(out, "%s\n\n", told->frame);
        if (!is_all && told->run == 0 && event_text_is_last(told->event))
            return;
    }
}

/* The engine of the threads: runs 0 and 1 at work, then 0 ends, and 1 is deleted. */
static void work(struct world *world)
{
    for (unsigned n = 0; n < 1500; n++) {
        made_begin(&world->log);
        struct made_run *run = &world->log.runs[n % 2];
        made_line(&world->log, run, 0, n % 3 ? "output" : "cell_started", draw_size(world));
        made_commit(&world->log);
        note_told(world);
        while (world->published < world->told_count)
            publish_next(world);
        if (n % 100 == 0)
            streams_beat(world->streams, clock_mono());
    }
    made_begin(&world->log);
    made_end(&world->log, &world->log.runs[0]);
    made_end(&world->log, &world->log.runs[1]);
    made_deletion(&world->log, &world->log.runs[2]);
    made_commit(&world->log);
    note_told(world);
    while (world->published < world->told_count)
        publish_next(world);
}

static void threads_see_everything_once(void **state)
{
    struct world world;
    struct reader readers[READERS];
    auto_buf struct buf all = {0}, one = {0};

    (void)state;
    open_world(&world, 4711);
    made_begin(&world.log);
    for (unsigned i = 0; i < 3; i++)
        made_run(&world.log);
    made_attempt(&world.log, &world.log.runs[0], 0);
    made_attempt(&world.log, &world.log.runs[1], 0);
    made_commit(&world.log);
    note_told(&world);
    for (unsigned i = 0; i < READERS; i++)
        start_reader(&world, &readers[i], i + 1);
    work(&world);
    put_expected(&world, true, &all);
    put_expected(&world, false, &one);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        for (unsigned k = 0; k < READER_CLIENTS; k++) {
            struct buf *got = &readers[i].got[k];
            const struct buf *expected = k % 2 ? &one : &all;
            assert_int_equal(got->len, expected->len);
            assert_memory_equal(got->data, expected->data, got->len);
            buf_clear(got);
        }
    }
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_sees_everything_once),
        cmocka_unit_test(threads_see_everything_once),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
