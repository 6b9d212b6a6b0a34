/* A program as the only one of a container. Two streams watch it, both opened before it is started
 * so that nothing is missed: its output, and the engine's events about it. The events are asked for
 * since the beginning of time: the engine replays what it remembers, so none falls between the
 * answer's header and the subscription behind it.
 *
 *               die, or a stream broke          it runs
 *     RUNNING ----------------------> ASKING ------------> WAITING --(timer)--> streams anew,
 * RUNNING |  \ no answer |   `-----------> WAITING --(timer)--> ASKING ... or lost | it has ended
 *                                       v
 *                    DRAINING --(output's end, or timer)--> DOUBTING --("oom", or timer)--> ENDED
 *
 * Exit status and OOMKilled come from inspecting the ended container, never from the event: after a
 * break there is no event. But the engine may hear that memory ran out after it has heard of the
 * death, and OOMKilled is then false for ever; so a kill that nobody asked for is doubted for a
 * moment, in which an "oom" event may come. Nothing is removed before launch_free. */
#include "kernel-gateway/launch/launch_docker.h"

#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/launch/launch_internal.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Creating answers in milliseconds, unless the disk or another engine is busy. */
#define CREATE_MS 60000
/* What a cancelled creation is waited for, to learn whether there is something to remove. */
#define CREATE_GRACE_MS 10000
/* Layers are mounted, cgroups made, GPUs attached. */
#define START_MS 120000

/* A start takes 0.2 s. Whoever asks to stop meanwhile waits for its answer for so long; a keeper
 * has 4 s for stopping in all. */
#define START_GRACE_MS 2000

#define STREAM_MS 30000
#define LIST_MS   30000
#define ASK_MS    5000
#define SIGNAL_MS 5000
/* The engine comes back from a restart within seconds, or it does not. */
#define RECHECK_MS  500
#define RECHECK_MAX 20
/* All processes are gone when the container has ended; what is left is in the engine's pipe. */
#define DRAIN_MS 5000
/* How long after the death an engine that is busy may tell that memory had run out. */
#define DOUBT_MS 1000

/* One event is some hundred bytes. */
#define EVENT_MAX (256 * KiB)

enum phase { RUNNING, ASKING, WAITING, DRAINING, DOUBTING, ENDED };

/* Taking a multiplexed stream apart: frames of 8 bytes head (number, 0, 0, 0, length as four bytes,
 * the highest first) and `length` bytes of output. */
struct frames {
    unsigned char head[8];
    size_t have;   /* of the head */
    uint32_t left; /* of the frame's bytes */
};

struct container {
    struct launch base;
    struct docker docker;
    char *id;
    enum phase phase;
    struct http_stream *attach, *events, *ask; /* NULL: not open */
    struct loop_source *timer;
    struct frames frames;
    struct buf event_line;
    struct buf answer; /* to the question that is under way */
    unsigned asked;    /* without an answer */
    struct launch_end end;
    char complaint[200]; /* how its output to 2 begins */
    size_t complaint_len;
    bool is_starved; /* the engine said that its memory ran out */
    bool is_killed;  /* by us */
    bool *freed;     /* set when it is freed inside a callback of ours */
};

static void watch_open(struct container *container);
static void ask(struct container *container);

/* --- creating --- */

/* Did the engine perhaps make something that it could not tell us about? */
static bool is_unknown_outcome(const struct http_answer *answer, const struct err *e)
{
    return answer->status == 0 && e->code != ERR_INVALID;
}

int launch_docker_create(const struct docker *docker, const char *name, struct str body,
                         char **ret_id, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json doc = {0};
    auto_free char *path = mem_printf("/containers/create?name=%s", name);
    struct docker_call call = {.method = "POST",
                               .path = path,
                               .body = body,
                               .timeout_ms = CREATE_MS,
                               .cancel_grace_ms = CREATE_GRACE_MS};
    struct err ignored;

    int result = docker_demand(docker, &call, &answer, e);
    if (result == 0) {
        struct str text = {buf_text(&answer.body), answer.body.len};
        if (json_parse(&doc, text, JSON_TOLERANT, NULL, e) == 0)
            *ret_id = json_strdup(&doc, json_get(&doc, 0, "Id"));
        if (*ret_id)
            return 0;
        err_set(e, ERR_PROTOCOL, "the Docker engine does not say which container it made");
    }
    if (result == 0 || is_unknown_outcome(&answer, e))
        docker_remove(docker, name, &ignored);
    return -1;
}

static char *container_name(const char *attempt)
{
    char *name = mem_printf("segue-%s", attempt);

    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_' && *c != '.')
            *c = '-';
    return name;
}

static int create(struct container *container, const struct launch_place *place,
                  const struct launch_program *program, struct err *e)
{
    auto_buf struct buf body = {0};
    auto_free char *name = container_name(place->attempt);

    launch_docker_put_container(&body, place, program);
    return launch_docker_create(&container->docker, name, (struct str){buf_text(&body), body.len},
                                &container->id, e);
}

/* --- its end --- */

static bool is_over(const struct container *container)
{
    return container->phase >= DRAINING;
}

/* docker-init says on descriptor 2 why it could not run the program, and exits with 126 or 127. A
 * program may exit with those, too, so both are looked at. */
static void check_started(struct container *container)
{
    static const char sign[] = "[FATAL tini (";
    struct launch_end *end = &container->end;
    const char *words = strstr(container->complaint, "] ");

    if (end->by_signal || (end->code != 126 && end->code != 127) || !words ||
        strncmp(container->complaint, sign, sizeof sign - 1) != 0)
        return;
    end->started = false;
    snprintf(end->text, sizeof end->text, "cannot start: %.*s", (int)strcspn(words + 2, "\n"),
             words + 2);
}

static void close_stream(struct http_stream **stream)
{
    http_stream_free(*stream);
    *stream = NULL;
}

static void finish(struct container *container)
{
    container->phase = ENDED;
    loop_disarm(container->timer);
    close_stream(&container->attach);
    close_stream(&container->events);
    close_stream(&container->ask);
    check_started(container);
    container->base.events.ended(container->base.user, &container->end);
}

static void lose(struct container *container, const char *why)
{
    container->end = (struct launch_end){.started = true, .lost = true};
    snprintf(container->end.text, sizeof container->end.text, "%s", why);
    finish(container);
}

static bool is_doubtful(const struct container *container)
{
    const struct launch_end *end = &container->end;

    return end->by_signal && end->code == SIGKILL && !end->out_of_memory && !container->is_killed &&
           container->events;
}

static void doubt(struct container *container)
{
    if (is_doubtful(container)) {
        container->phase = DOUBTING;
        loop_arm_in(container->timer, DOUBT_MS);
    } else {
        finish(container);
    }
}

static void drain(struct container *container)
{
    container->phase = DRAINING;
    loop_arm_in(container->timer, DRAIN_MS);
    if (!container->attach)
        doubt(container);
}

static void wait_and_see(struct container *container)
{
    container->phase = WAITING;
    loop_arm_in(container->timer, RECHECK_MS);
}

static void on_timer(void *user)
{
    struct container *container = user;

    if (container->phase == WAITING)
        ask(container);
    else if (container->phase == DRAINING)
        doubt(container);
    else if (container->phase == DOUBTING)
        finish(container);
}

/* --- asking what became of it --- */

/* docker-init turns "killed by signal N" into the exit status 128 + N, as a shell does. */
static void take_state(struct container *container, const struct json *doc, json_at state)
{
    struct launch_end *end = &container->end;
    int64_t code = 0;

    json_int(doc, json_get(doc, state, "ExitCode"), &code);
    *end = (struct launch_end){.started = true, .code = (int)code};
    if (code > 128 && code < 128 + 32) {
        end->by_signal = true;
        end->code = (int)code - 128;
    }
    end->out_of_memory = code != 0 && (container->is_starved ||
                                       json_is_true(doc, json_get(doc, state, "OOMKilled")));
    launch_end_describe(end);
}

/* One that somebody removes by force was killed first: its exit status is known already. */
static bool has_ended(const struct json *doc, json_at status)
{
    return json_is(doc, status, "exited") || json_is(doc, status, "dead") ||
           json_is(doc, status, "removing");
}

static void take_answer(struct container *container)
{
    auto_json struct json doc = {0};
    struct str text = {buf_text(&container->answer), container->answer.len};
    struct err ignored;

    json_at state = JSON_NONE;
    if (json_parse(&doc, text, JSON_TOLERANT, NULL, &ignored) == 0)
        state = json_get(&doc, 0, "State");
    if (has_ended(&doc, json_get(&doc, state, "Status"))) {
        take_state(container, &doc, state);
        drain(container);
    } else if (state != JSON_NONE) {
        /* It lives, or is about to be gone: the events tell. */
        container->asked = 0;
        watch_open(container);
    } else {
        wait_and_see(container);
    }
}

static void on_answer_data(void *user, const char *data, size_t len)
{
    struct container *container = user;

    if (container->answer.len + len <= 4 * MiB)
        buf_put(&container->answer, data, len);
}

static void on_answer_closed(void *user, const struct err *e)
{
    struct container *container = user;
    int status = e ? 0 : http_stream_status(container->ask);

    close_stream(&container->ask);
    if (status == 200)
        take_answer(container);
    else if (status == 404)
        lose(container, "its container was removed by somebody else");
    else
        wait_and_see(container);
}

static void ask(struct container *container)
{
    static const struct http_stream_events events = {on_answer_data, on_answer_closed};
    auto_free char *path = mem_printf("/containers/%s/json", container->id);

    if (container->asked++ == RECHECK_MAX) {
        lose(container, "the Docker engine stopped answering");
        return;
    }
    container->phase = ASKING;
    buf_reset(&container->answer);
    container->ask = docker_stream(&container->docker, container->base.loop, "GET", path, ASK_MS,
                                   &events, container);
}

/* --- the two streams --- */

static void starve(struct container *container)
{
    struct launch_end *end = &container->end;

    container->is_starved = true;
    if (!is_over(container) || end->code == 0)
        return;
    end->out_of_memory = true;
    launch_end_describe(end);
    if (container->phase == DOUBTING)
        loop_arm_in(container->timer, 0);
}

static void take_event(struct container *container, struct str line)
{
    auto_json struct json doc = {0};
    struct err ignored;

    if (json_parse(&doc, line, JSON_TOLERANT, NULL, &ignored) < 0)
        return;
    json_at action = json_get(&doc, 0, "Action");
    if (json_is(&doc, action, "oom"))
        starve(container);
    else if (json_is(&doc, action, "die") && container->phase == RUNNING) {
        container->asked = 0;
        ask(container);
    }
}

static void on_event_data(void *user, const char *data, size_t len)
{
    struct container *container = user;
    struct buf *line = &container->event_line;
    const char *end;

    buf_put(line, data, len);
    while (container->events && (end = memchr(buf_text(line), '\n', line->len))) {
        size_t size = (size_t)(end - line->data);
        take_event(container, (struct str){line->data, size});
        buf_consume(line, size + 1);
    }
    if (line->len > EVENT_MAX)
        buf_reset(line);
}

static void on_events_closed(void *user, const struct err *e)
{
    struct container *container = user;

    (void)e;
    close_stream(&container->events);
    if (container->phase == RUNNING)
        wait_and_see(container);
    else if (container->phase == DOUBTING)
        finish(container);
}

static void keep_complaint(struct container *container, const char *data, size_t len)
{
    size_t room = sizeof container->complaint - 1 - container->complaint_len;

    if (len > room)
        len = room;
    memcpy(container->complaint + container->complaint_len, data, len);
    container->complaint_len += len;
}

/* False when the launch was freed meanwhile. */
static bool hand_over(struct container *container, int number, const char *data, size_t len)
{
    bool freed = false;

    if (number == 2)
        keep_complaint(container, data, len);
    container->freed = &freed;
    container->base.events.output(container->base.user, number, data, len);
    if (!freed)
        container->freed = NULL;
    return !freed;
}

/* Takes a frame's head as far as it is there; gives how many bytes were used. */
static size_t take_head(struct frames *frames, const char *data, size_t len)
{
    size_t used = sizeof frames->head - frames->have;

    if (used > len)
        used = len;
    memcpy(frames->head + frames->have, data, used);
    frames->have += used;
    if (frames->have == sizeof frames->head)
        frames->left = (uint32_t)frames->head[4] << 24 | (uint32_t)frames->head[5] << 16 |
                       (uint32_t)frames->head[6] << 8 | frames->head[7];
    return used;
}

static void on_output_data(void *user, const char *data, size_t len)
{
    struct container *container = user;
    struct frames *frames = &container->frames;

    while (len > 0) {
        size_t used;
        if (frames->have < sizeof frames->head) {
            used = take_head(frames, data, len);
        } else {
            int number = frames->head[0] == 2 ? 2 : 1;
            used = len < frames->left ? len : frames->left;
            if (!hand_over(container, number, data, used))
                return;
            frames->left -= (uint32_t)used;
        }
        if (frames->have == sizeof frames->head && frames->left == 0)
            frames->have = 0;
        data += used;
        len -= used;
    }
}

/* The end of the output is no end of the program: it may have closed its descriptors. But output
 * that breaks off may mean that the engine is gone. */
static void on_output_closed(void *user, const struct err *e)
{
    struct container *container = user;

    close_stream(&container->attach);
    if (container->phase == DRAINING)
        doubt(container);
    else if (container->phase == RUNNING && e)
        wait_and_see(container);
}

static void watch_output(struct container *container)
{
    static const struct http_stream_events events = {on_output_data, on_output_closed};
    auto_free char *path =
        mem_printf("/containers/%s/attach?stream=1&stdout=1&stderr=1", container->id);

    container->frames = (struct frames){0};
    container->attach = docker_stream(&container->docker, container->base.loop, "POST", path, 0,
                                      &events, container);
}

static void watch_events(struct container *container)
{
    static const struct http_stream_events events = {on_event_data, on_events_closed};
    auto_buf struct buf path = {0};

    buf_puts(&path, "/events?since=1&");
    docker_put_filter(&path, "container", container->id);
    buf_reset(&container->event_line);
    container->events = docker_stream(&container->docker, container->base.loop, "GET",
                                      buf_text(&path), 0, &events, container);
}

/* Opens what is not open (any more), after the engine was away. */
static void watch_open(struct container *container)
{
    container->phase = RUNNING;
    if (!container->attach)
        watch_output(container);
    if (!container->events)
        watch_events(container);
}

/* --- starting --- */

static int await(struct container *container, struct http_stream *stream, const char *what,
                 struct err *e)
{
    if (http_stream_await(stream, STREAM_MS, container->docker.cancel_fd, e) < 0) {
        if (e->code == ERR_TIMEOUT)
            e->code = ERR_UNAVAILABLE;
        return e->code == ERR_CANCELLED ? -1
                                        : err_prefix(e, "cannot watch the container's %s", what);
    }
    int status = http_stream_status(stream);
    if (status != 200)
        return err_set(e, ERR_UNAVAILABLE,
                       "cannot watch the container's %s: the Docker engine answers with status %d",
                       what, status);
    return 0;
}

static int start(struct container *container, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    auto_free char *path = mem_printf("/containers/%s/start", container->id);
    struct docker_call call = {
        .method = "POST", .path = path, .timeout_ms = START_MS, .cancel_grace_ms = START_GRACE_MS};

    watch_open(container);
    if (await(container, container->events, "events", e) < 0 ||
        await(container, container->attach, "output", e) < 0)
        return -1;
    if (docker_demand(&container->docker, &call, &answer, e) == 0)
        return 0;
    if (e->code != ERR_CANCELLED)
        return -1;
    /* It may have begun. Not "cancelled", which is tried again: it would begin twice. */
    return err_set(e, ERR_UNAVAILABLE, "the Docker engine did not say whether the container began");
}

static void docker_free(struct launch *launch)
{
    struct container *container = (struct container *)launch;
    struct err ignored;

    if (container->freed)
        *container->freed = true;
    close_stream(&container->attach);
    close_stream(&container->events);
    close_stream(&container->ask);
    loop_remove(container->timer);
    if (container->id)
        docker_remove(&container->docker, container->id, &ignored);
    docker_close(&container->docker);
    buf_clear(&container->event_line);
    buf_clear(&container->answer);
    free(container->id);
    free(container);
}

static int docker_start(struct launch **ret_launch, struct loop *loop,
                        const struct launch_place *place, const struct launch_program *program,
                        const struct launch_events *events, void *user, struct err *e)
{
    struct docker docker;

    if (docker_open(&docker, place->cancel_fd, e) < 0)
        return -1;
    struct container *container = mem_zalloc(sizeof *container);
    container->base = (struct launch){.loop = loop, .events = *events, .user = user};
    container->docker = docker;
    container->timer = loop_add_timer(loop, on_timer, container);
    if (create(container, place, program, e) < 0 || start(container, e) < 0) {
        docker_free(&container->base);
        return -1;
    }
    container->docker.cancel_fd = -1; /* was for starting only */
    *ret_launch = &container->base;
    return 0;
}

/* --- the rest of the table --- */

static void docker_signal(struct launch *launch, int signal_number)
{
    struct container *container = (struct container *)launch;
    auto_free char *path =
        mem_printf("/containers/%s/kill?signal=%d", container->id, signal_number);
    struct docker_call call = {.method = "POST", .path = path, .timeout_ms = SIGNAL_MS};
    auto_http_answer struct http_answer answer = {0};
    struct err ignored;

    container->is_killed |= signal_number == SIGKILL;
    /* That it is gone, or the engine, is seen by the streams. */
    if (!is_over(container))
        docker_call(&container->docker, &call, &answer, &ignored);
}

static pid_t docker_pid(const struct launch *launch)
{
    (void)launch;
    return 0;
}

static int remove_all(const struct docker *docker, const struct json *list, struct err *e)
{
    json_each (list, 0, each) {
        auto_free char *id = json_strdup(list, json_get(list, each, "Id"));
        if (id && docker_remove(docker, id, e) < 0)
            return -1;
    }
    return 0;
}

static int docker_clean(const char *attempt, struct err *e)
{
    auto_docker struct docker docker = {.cancel_fd = -1};
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json list = {0};
    auto_buf struct buf path = {0};
    auto_free char *label = mem_printf("segue.attempt=%s", attempt);

    buf_puts(&path, "/containers/json?all=1&");
    docker_put_filter(&path, "label", label);
    struct docker_call call = {.method = "GET", .path = buf_text(&path), .timeout_ms = LIST_MS};
    if (docker_open(&docker, -1, e) < 0 || docker_demand(&docker, &call, &answer, e) < 0)
        return -1;
    struct str text = {buf_text(&answer.body), answer.body.len};
    if (json_parse(&list, text, JSON_TOLERANT, NULL, e) < 0)
        return err_prefix(e, "cannot read the Docker engine's list of containers");
    return remove_all(&docker, &list, e);
}

const struct launch_table *launch_docker_table(void)
{
    static const struct launch_table table = {
        .find_kernelspec = launch_docker_find_kernelspec,
        .start = docker_start,
        .signal = docker_signal,
        .pid = docker_pid,
        .free = docker_free,
        .clean = docker_clean,
    };

    return &table;
}

char *launch_image_id(const char *image, struct err *e)
{
    auto_docker struct docker docker = {.cancel_fd = -1};
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json doc = {0};

    if (docker_open(&docker, -1, e) < 0 ||
        docker_inspect_image(&docker, image, &answer, &doc, e) < 0)
        return NULL;
    char *id = json_strdup(&doc, json_get(&doc, 0, "Id"));
    if (!id)
        err_set(e, ERR_PROTOCOL, "the Docker engine does not say the id of \"%s\"", image);
    return id;
}
