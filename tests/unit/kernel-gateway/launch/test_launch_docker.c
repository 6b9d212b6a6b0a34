/* First against an engine that is a script, for everything that a real one does rarely; then the
 * same interface against a real one, where SEGUE_TEST_ENGINE=unix://... names one that is there for
 * tests. It must have an image with /bin/sh and head: debian:bookworm-slim, or what
 * SEGUE_TEST_IMAGE names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/id.h"
#include "base/json.h"
#include "kernel-gateway/launch/docker.h"

#include "tests/unit/base/scripted_server.c"
#include "tests/unit/kernel-gateway/launch/launch_watch.c"
#include "tests/unit/kernel-gateway/launch/tar_writer.c"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { GATE_STARTED = 1, GATE_GO, GATE_REOPENED };

/* --- the scripted engine --- */

#define OK(body)      "HTTP/1.1 200 OK\r\n\r\n" body
#define CREATED       "HTTP/1.1 201 Created\r\n\r\n{\"Id\":\"abc\",\"Warnings\":[]}"
#define NO_CONTENT    "HTTP/1.1 204 No Content\r\n\r\n"
#define CHUNKED       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define DIE           "17\r\n{\"Action\":\"die\",\"x\":0}\n\r\n"
#define OOM           "17\r\n{\"Action\":\"oom\",\"x\":0}\n\r\n"
#define EXITED(state) OK("{\"Id\":\"abc\",\"State\":{\"Status\":\"exited\"," state "}}")
#define RUNNING       OK("{\"Id\":\"abc\",\"State\":{\"Status\":\"running\",\"ExitCode\":0}}")

#define VERSION_RULE                                                                               \
    {                                                                                              \
        .request = "GET /version",                                                                 \
        .answer = OK("{\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\"}")                       \
    }
#define CREATE_RULE                                                                                \
    {                                                                                              \
        .request = "POST /v1.41/containers/create?name=segue-run-1 ", .answer = CREATED            \
    }
#define EVENTS_RULE                                                                                \
    {                                                                                              \
        .request = "GET /v1.41/events?since=1&filters=%7B%22container%22", .answer = CHUNKED,      \
        .wait_after = GATE_STARTED, .more = DIE                                                    \
    }
#define ATTACH_RULE                                                                                \
    {                                                                                              \
        .request = "POST /v1.41/containers/abc/attach?stream=1&stdout=1&stderr=1 ",                \
        .answer = OK(""), .wait_after = GATE_STARTED                                               \
    }
#define START_RULE                                                                                 \
    {                                                                                              \
        .request = "POST /v1.41/containers/abc/start ", .answer = NO_CONTENT,                      \
        .opens = GATE_STARTED                                                                      \
    }
#define INSPECT_RULE(state)                                                                        \
    {                                                                                              \
        .request = "GET /v1.41/containers/abc/json ", .answer = EXITED(state)                      \
    }
#define REMOVE_RULE                                                                                \
    {                                                                                              \
        .request = "DELETE /v1.41/containers/abc?force=1&v=1 ", .answer = NO_CONTENT               \
    }
#define GOOD_RULES VERSION_RULE, CREATE_RULE, EVENTS_RULE, ATTACH_RULE, START_RULE, REMOVE_RULE

#define ENGINE(server, rules) engine_start((server), (rules), COUNT(rules))

static void engine_start(struct server *server, struct rule *rules, size_t count)
{
    auto_free char *host = NULL;

    server_start(server, SERVER_UNIX, rules, count);
    host = mem_printf("unix://%s", server->path);
    setenv("DOCKER_HOST", host, 1);
}

static void engine_stop(struct server *server)
{
    server_stop(server);
    unsetenv("DOCKER_HOST");
}

static const char *const echo[] = {"echo", "x", NULL};
static const struct launch_program program = {.argv = echo, .cwd = "/project-dir"};

static struct launch_place place_of(const char *image)
{
    return (struct launch_place){.launcher = LAUNCHER_DOCKER,
                                 .attempt = "run/1",
                                 .state_id = "state-7",
                                 .cancel_fd = -1,
                                 .uid = 1000,
                                 .gid = 100,
                                 .image = image};
}

/* The first request that begins so, with its body on the next line; free() it. */
static char *request_of(struct server *server, const char *request)
{
    pthread_mutex_lock(&server->lock);
    const char *found = strstr(buf_text(&server->log), request);
    char *line = NULL;
    if (found && (found = strchr(found, '\n')))
        line = mem_strndup(found + 1, strcspn(found + 1, "\n"));
    pthread_mutex_unlock(&server->lock);
    return line;
}

static bool came_before(struct server *server, const char *first, const char *second)
{
    pthread_mutex_lock(&server->lock);
    const char *a = strstr(buf_text(&server->log), first);
    const char *b = strstr(buf_text(&server->log), second);
    pthread_mutex_unlock(&server->lock);
    return a && b && a < b;
}

/* --- a life --- */

static void hands_over_output_and_end(void **state)
{
    /* A frame is cut in the middle, a head as well. */
    static const char frames[] =
        "\1\0\0\0\0\0\0\5hello\2\0\0\0\0\0\0\3err\1\0\0\0\0\0\0\0\1\0\0\0\0";
    static const char more[] = "\0\0\2!\n";
    static char attach[sizeof OK("") + sizeof frames];
    struct rule rules[] = {GOOD_RULES,
                           INSPECT_RULE("\"ExitCode\":3,\"OOMKilled\":false"),
                           {.request = "POST /v1.41/containers/abc/attach",
                            .answer = attach,
                            .answer_len = sizeof OK("") - 1 + sizeof frames - 1,
                            .wait_after = GATE_STARTED,
                            .more = more,
                            .more_len = sizeof more - 1}};
    struct launch_place place = place_of("image");
    struct server server;
    struct watch watch = {0};

    (void)state;
    memcpy(attach, OK(""), sizeof OK("") - 1);
    memcpy(attach + sizeof OK("") - 1, frames, sizeof frames);
    rules[3] = rules[COUNT(rules) - 1]; /* instead of the one that says nothing */
    ENGINE(&server, rules);
    watch_start(&watch, &place, &program);
    loop_run(watch.loop);
    assert_string_equal(buf_text(&watch.output[1]), "hello!\n");
    assert_string_equal(buf_text(&watch.output[2]), "err");
    assert_int_equal(watch.ended, 1);
    assert_true(watch.end.started);
    assert_int_equal(watch.end.code, 3);
    assert_string_equal(watch.end.text, "exit status 3");
    assert_int_equal(launch_pid(watch.launch), 0);
    assert_true(came_before(&server, "/events", "/start"));
    assert_true(came_before(&server, "/attach", "/start"));
    assert_int_equal(server_saw(&server, "DELETE"), 0);
    watch_clear(&watch);
    assert_int_equal(server_saw(&server, "DELETE /v1.41/containers/abc?force=1&v=1 "), 1);
    engine_stop(&server);
}

static void asks_for_as_few_rights_as_will_do(void **state)
{
    static const char *const env[] = {"A=\"b\"\n", NULL};
    static const struct launch_mount mounts[] = {{"/host/project", "/project-dir", false},
                                                 {"/host/data", "/data", true}};
    static const char *const members[] = {
        "\"Image\":\"sha256:1\"",
        "\"User\":\"1000:100\"",
        "\"WorkingDir\":\"/project-dir\"",
        "\"Entrypoint\":[\"echo\",\"x\"]",
        "\"Cmd\":[]",
        "\"HOME=/home/segue\"",
        "\"A=\\\"b\\\"\\n\"",
        "\"Labels\":{\"segue.attempt\":\"run/1\",\"segue.state\":\"state-7\"}",
        "\"Init\":true",
        "\"AutoRemove\":false",
        "\"NetworkMode\":\"none\"",
        "\"ReadonlyRootfs\":true",
        "\"CapDrop\":[\"ALL\"]",
        "\"SecurityOpt\":[\"no-new-privileges\"]",
        "mode=0700,uid=1000,gid=100",
        "{\"Type\":\"bind\",\"Source\":\"/host/project\",\"Target\":\"/project-dir\","
        "\"ReadOnly\":false}",
        "{\"Type\":\"bind\",\"Source\":\"/host/data\",\"Target\":\"/data\",\"ReadOnly\":true}",
        "\"Memory\":1000000000",
        "\"MemorySwap\":1000000000",
        "\"NanoCpus\":1500000000",
        "\"CpuShares\":256",
        "\"DeviceRequests\":[{\"Count\":2,\"Capabilities\":[[\"gpu\"]]}]",
        "\"PidsLimit\":",
        "\"Type\":\"json-file\"",
    };
    struct rule rules[] = {GOOD_RULES, INSPECT_RULE("\"ExitCode\":0")};
    struct launch_program with_env = program;
    struct launch_place place = place_of("sha256:1");
    struct server server;
    struct watch watch = {0};
    auto_json struct json doc = {0};
    struct err e;

    (void)state;
    with_env.env = env;
    place.mounts = mounts;
    place.mount_count = COUNT(mounts);
    place.memory_bytes = 1000000000;
    place.cpus = 1.5;
    place.gpus = 2;
    place.nice = 10;
    ENGINE(&server, rules);
    watch_start(&watch, &place, &with_env);
    auto_free char *body = request_of(&server, "POST /v1.41/containers/create");
    assert_int_equal(json_parse(&doc, str_of(body), JSON_STRICT, NULL, &e), 0);
    for (size_t i = 0; i < COUNT(members); i++)
        if (!strstr(body, members[i]))
            fail_msg("%s is not in %s", members[i], body);
    watch_clear(&watch);
    engine_stop(&server);
}

static void leaves_out_what_is_not_limited(void **state)
{
    static const char *const env[] = {"HOME=/elsewhere", NULL};
    struct rule rules[] = {GOOD_RULES, INSPECT_RULE("\"ExitCode\":0")};
    struct launch_program with_env = program;
    struct launch_place place = place_of("image");
    struct server server;
    struct watch watch = {0};

    (void)state;
    place.network = true;
    with_env.env = env;
    ENGINE(&server, rules);
    watch_start(&watch, &place, &with_env);
    assert_int_equal(server_saw(&server, "\"NetworkMode\":\"bridge\""), 1);
    assert_int_equal(server_saw(&server, "\"Memory\""), 0);
    assert_int_equal(server_saw(&server, "\"NanoCpus\""), 0);
    assert_int_equal(server_saw(&server, "\"CpuShares\""), 0);
    assert_int_equal(server_saw(&server, "\"DeviceRequests\""), 0);
    assert_int_equal(server_saw(&server, "\"HOME=/home/segue\""), 0);
    watch_clear(&watch);
    engine_stop(&server);
}

static void tells_how_it_ended(void **state)
{
    static const struct {
        const char *answer;
        bool by_signal;
        int code;
        bool out_of_memory;
        const char *text;
    } rows[] = {
        {EXITED("\"ExitCode\":0,\"OOMKilled\":false"), false, 0, false, "exit status 0"},
        {EXITED("\"ExitCode\":1,\"OOMKilled\":true"), false, 1, true,
         "exit status 1, out of memory"},
        {EXITED("\"ExitCode\":137,\"OOMKilled\":true"), true, SIGKILL, true,
         "killed by SIGKILL, out of memory"},
        {EXITED("\"ExitCode\":137,\"OOMKilled\":false"), true, SIGKILL, false, "killed by SIGKILL"},
        {EXITED("\"ExitCode\":139"), true, SIGSEGV, false, "killed by SIGSEGV"},
        {EXITED("\"ExitCode\":0,\"OOMKilled\":true"), false, 0, false, "exit status 0"},
        {EXITED("\"ExitCode\":127"), false, 127, false, "exit status 127"},
        {EXITED("\"ExitCode\":255"), false, 255, false, "exit status 255"},
        /* `docker rm --force` by somebody: no further event of its end will come */
        {OK("{\"Id\":\"abc\",\"State\":{\"Status\":\"removing\",\"ExitCode\":137}}"), true, SIGKILL,
         false, "killed by SIGKILL"},
    };
    struct launch_place place = place_of("image");

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rule rules[] = {
            GOOD_RULES, {.request = "GET /v1.41/containers/abc/json ", .answer = rows[i].answer}};
        struct server server;
        struct watch watch = {0};

        ENGINE(&server, rules);
        watch_start(&watch, &place, &program);
        loop_run(watch.loop);
        assert_true(watch.end.started);
        assert_false(watch.end.lost);
        assert_int_equal(watch.end.by_signal, rows[i].by_signal);
        assert_int_equal(watch.end.code, rows[i].code);
        assert_int_equal(watch.end.out_of_memory, rows[i].out_of_memory);
        assert_string_equal(watch.end.text, rows[i].text);
        watch_clear(&watch);
        engine_stop(&server);
    }
}

static void hears_late_that_memory_ran_out(void **state)
{
    const struct rule events[] = {
        {.request = "GET /v1.41/events", .wait_after = GATE_STARTED, .more = OOM DIE},
        {.request = "GET /v1.41/events", .wait_after = GATE_STARTED, .more = DIE OOM},
        /* the output breaks off, the container is asked about, and only then the engine tells */
        {.request = "GET /v1.41/events", .wait_after = GATE_GO, .more = OOM},
    };
    struct launch_place place = place_of("image");

    (void)state;
    for (size_t i = 0; i < COUNT(events); i++) {
        bool breaks = events[i].wait_after == GATE_GO;
        struct rule rules[] = {
            VERSION_RULE,
            CREATE_RULE,
            events[i],
            {.request = "POST /v1.41/containers/abc/attach",
             .answer = breaks ? "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" : OK(""),
             .wait_after = GATE_STARTED},
            START_RULE,
            {.request = "GET /v1.41/containers/abc/json ",
             .answer = EXITED("\"ExitCode\":137,\"OOMKilled\":false"),
             .opens = GATE_GO},
            REMOVE_RULE,
        };
        struct server server;
        struct watch watch = {0};

        rules[2].answer = CHUNKED;
        ENGINE(&server, rules);
        watch_start(&watch, &place, &program);
        loop_run(watch.loop);
        assert_int_equal(watch.ended, 1);
        assert_true(watch.end.out_of_memory);
        assert_string_equal(watch.end.text, "killed by SIGKILL, out of memory");
        watch_clear(&watch);
        engine_stop(&server);
    }
}

static void a_program_that_is_not_there_did_not_start(void **state)
{
    static const char complaint[] =
        "[FATAL tini (7)] exec echo failed: No such file or directory\n";
    char frame[8 + sizeof complaint] = {2, 0, 0, 0, 0, 0, 0, sizeof complaint - 1};
    struct rule rules[] = {VERSION_RULE,
                           CREATE_RULE,
                           EVENTS_RULE,
                           {.request = "POST /v1.41/containers/abc/attach",
                            .answer = OK(""),
                            .wait_after = GATE_STARTED,
                            .more = frame,
                            .more_len = 8 + sizeof complaint - 1},
                           START_RULE,
                           INSPECT_RULE("\"ExitCode\":127"),
                           REMOVE_RULE};
    struct launch_place place = place_of("image");
    struct server server;
    struct watch watch = {0};

    (void)state;
    memcpy(frame + 8, complaint, sizeof complaint);
    ENGINE(&server, rules);
    watch_start(&watch, &place, &program);
    loop_run(watch.loop);
    assert_false(watch.end.started);
    assert_string_equal(watch.end.text,
                        "cannot start: exec echo failed: No such file or directory");
    watch_clear(&watch);
    engine_stop(&server);
}

static void signals_are_sent_until_the_end(void **state)
{
    struct rule rules[] = {
        VERSION_RULE,
        CREATE_RULE,
        ATTACH_RULE,
        {.request = "GET /v1.41/events", .answer = CHUNKED, .wait_after = GATE_GO, .more = DIE},
        START_RULE,
        INSPECT_RULE("\"ExitCode\":0"),
        REMOVE_RULE,
        {.request = "POST /v1.41/containers/abc/kill?signal=2 ",
         .answer = NO_CONTENT,
         .opens = GATE_GO},
    };
    struct launch_place place = place_of("image");
    struct server server;
    struct watch watch = {0};

    (void)state;
    ENGINE(&server, rules);
    watch_start(&watch, &place, &program);
    launch_signal(watch.launch, SIGINT);
    loop_run(watch.loop);
    launch_signal(watch.launch, SIGINT);
    assert_int_equal(server_saw(&server, "POST /v1.41/containers/abc/kill?signal=2 "), 1);
    watch_clear(&watch);
    engine_stop(&server);
}

static void may_be_freed_inside_its_events(void **state)
{
    static const char frames[] = "\1\0\0\0\0\0\0\1a\1\0\0\0\0\0\0\1b";
    struct rule rules[] = {VERSION_RULE,
                           CREATE_RULE,
                           EVENTS_RULE,
                           {.request = "POST /v1.41/containers/abc/attach",
                            .answer = OK(""),
                            .wait_after = GATE_STARTED,
                            .more = frames,
                            .more_len = sizeof frames - 1},
                           START_RULE,
                           INSPECT_RULE("\"ExitCode\":0"),
                           REMOVE_RULE};
    struct launch_place place = place_of("image");
    struct server server;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct watch watch = {.free_in_output = i == 0, .free_in_ended = i == 1};
        ENGINE(&server, rules);
        watch_start(&watch, &place, &program);
        loop_run(watch.loop);
        assert_null(watch.launch);
        assert_int_equal(watch.ended, i);
        assert_string_equal(buf_text(&watch.output[1]), i == 0 ? "a" : "ab");
        assert_int_equal(server_saw(&server, "DELETE /v1.41/containers/abc"), 1);
        watch_clear(&watch);
        engine_stop(&server);
    }
}

/* --- what an engine refuses --- */

static void refusals_have_the_engines_words(void **state)
{
#define REFUSAL(status) "HTTP/1.1 " status " X\r\n\r\n{\"message\":\"because of this\"}"
    static const struct {
        const char *name;
        struct rule rule; /* instead of the good one */
        enum err_code code;
        const char *words;
        size_t removed;
    } rows[] = {
        {"no image",
         {.request = "POST /v1.41/containers/create", .answer = REFUSAL("404")},
         ERR_NOT_FOUND,
         "because of this",
         0},
        {"name in use",
         {.request = "POST /v1.41/containers/create", .answer = REFUSAL("409")},
         ERR_CONFLICT,
         "because of this",
         0},
        {"limits",
         {.request = "POST /v1.41/containers/create", .answer = REFUSAL("400")},
         ERR_INVALID,
         "because of this",
         0},
        {"engine broken",
         {.request = "POST /v1.41/containers/create", .answer = REFUSAL("500")},
         ERR_IO,
         "because of this",
         0},
        {"no words",
         {.request = "POST /v1.41/containers/create", .answer = "HTTP/1.1 500 X\r\n\r\n<html>"},
         ERR_IO,
         "status 500",
         0},
        {"create breaks off",
         {.request = "POST /v1.41/containers/create", .answer = NULL},
         ERR_UNAVAILABLE,
         "no answer",
         1},
        {"create without id",
         {.request = "POST /v1.41/containers/create", .answer = "HTTP/1.1 201 X\r\n\r\n{}"},
         ERR_PROTOCOL,
         "which container",
         1},
        {"no events",
         {.request = "GET /v1.41/events", .answer = REFUSAL("500")},
         ERR_UNAVAILABLE,
         "events",
         1},
        {"no output",
         {.request = "POST /v1.41/containers/abc/attach", .answer = REFUSAL("404")},
         ERR_UNAVAILABLE,
         "output",
         1},
        {"output breaks off",
         {.request = "POST /v1.41/containers/abc/attach", .answer = NULL},
         ERR_UNAVAILABLE,
         "output",
         1},
        {"no GPU",
         {.request = "POST /v1.41/containers/abc/start", .answer = REFUSAL("500")},
         ERR_IO,
         "because of this",
         1},
        {"mount",
         {.request = "POST /v1.41/containers/abc/start", .answer = REFUSAL("400")},
         ERR_INVALID,
         "because of this",
         1},
        {"start breaks off",
         {.request = "POST /v1.41/containers/abc/start", .answer = NULL},
         ERR_UNAVAILABLE,
         "no answer",
         1},
    };
    struct launch_place place = place_of("image");

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rule rules[] = {
            rows[i].rule, GOOD_RULES, {.request = "DELETE ", .answer = NO_CONTENT}};
        struct server server;
        struct watch watch = {0};
        struct err e = {0};

        ENGINE(&server, rules);
        assert_int_equal(watch_try(&watch, &place, &program, &e), -1);
        if (e.code != rows[i].code || !strstr(e.text, rows[i].words) ||
            server_saw(&server, "DELETE") != rows[i].removed)
            fail_msg("%s: %s: %s", rows[i].name, err_name(e.code), e.text);
        watch_clear(&watch);
        engine_stop(&server);
    }
}

static void an_unknown_outcome_is_removed_by_name(void **state)
{
    struct rule rules[] = {
        VERSION_RULE,
        {.request = "POST /v1.41/containers/create", .answer = NULL},
        {.request = "DELETE /v1.41/containers/segue-run-1?force=1&v=1 ", .answer = NO_CONTENT}};
    struct launch_place place = place_of("image");
    struct server server;
    struct watch watch = {0};
    struct err e;

    (void)state;
    ENGINE(&server, rules);
    assert_int_equal(watch_try(&watch, &place, &program, &e), -1);
    assert_int_equal(server_saw(&server, "DELETE /v1.41/containers/segue-run-1?"), 1);
    watch_clear(&watch);
    engine_stop(&server);
}

struct canceller {
    struct server *server;
    int fd;
};

static void *cancel_at_gate(void *user)
{
    const struct canceller *canceller = user;

    server_wait_gate(canceller->server, GATE_GO);
    close(canceller->fd);
    server_open_gate(canceller->server, GATE_REOPENED);
    return NULL;
}

/* The rule at `arrives` opens GATE_GO; GATE_REOPENED is open once the cancelling is done. */
static void check_cancelling(struct rule *rules, size_t count, enum err_code code)
{
    struct launch_place place = place_of("image");
    struct server server;
    struct watch watch = {0};
    struct err e;
    pthread_t thread;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    place.cancel_fd = fds[0];
    engine_start(&server, rules, count);
    struct canceller canceller = {&server, fds[1]};
    pthread_create(&thread, NULL, cancel_at_gate, &canceller);
    assert_int_equal(watch_try(&watch, &place, &program, &e), -1);
    assert_int_equal(e.code, code);
    pthread_join(thread, NULL);
    assert_int_equal(server_saw(&server, "DELETE /v1.41/containers/abc?"), 1);
    close(fds[0]);
    watch_clear(&watch);
    engine_stop(&server);
}

static void cancelling_leaves_no_container(void **state)
{
    struct rule at_create[] = {VERSION_RULE,
                               {.request = "POST /v1.41/containers/create",
                                .arrived = GATE_GO,
                                .wait_before = GATE_REOPENED,
                                .answer = CREATED},
                               REMOVE_RULE};
    struct rule at_attach[] = {VERSION_RULE,
                               CREATE_RULE,
                               EVENTS_RULE,
                               {.request = "POST /v1.41/containers/abc/attach",
                                .arrived = GATE_GO,
                                .wait_before = GATE_STOP},
                               REMOVE_RULE};
    struct rule at_start[] = {VERSION_RULE,
                              CREATE_RULE,
                              EVENTS_RULE,
                              ATTACH_RULE,
                              {.request = "POST /v1.41/containers/abc/start",
                               .arrived = GATE_GO,
                               .wait_before = GATE_STOP},
                              REMOVE_RULE};

    (void)state;
    check_cancelling(at_create, COUNT(at_create), ERR_CANCELLED);
    check_cancelling(at_attach, COUNT(at_attach), ERR_CANCELLED);
    /* It may have begun: that must not look as if it could be tried again. */
    check_cancelling(at_start, COUNT(at_start), ERR_UNAVAILABLE);
}

/* --- an engine that goes away --- */

static void a_broken_stream_is_asked_about(void **state)
{
    struct rule rules[] = {
        VERSION_RULE,
        CREATE_RULE,
        {.request = "GET /v1.41/events", .answer = CHUNKED, .wait_after = GATE_STARTED},
        ATTACH_RULE,
        START_RULE,
        INSPECT_RULE("\"ExitCode\":5"),
        REMOVE_RULE};
    struct launch_place place = place_of("image");
    struct server server;
    struct watch watch = {0};

    (void)state;
    ENGINE(&server, rules);
    watch_start(&watch, &place, &program);
    loop_run(watch.loop);
    assert_false(watch.end.lost);
    assert_int_equal(watch.end.code, 5);
    watch_clear(&watch);
    engine_stop(&server);
}

static void what_still_runs_is_watched_again(void **state)
{
    struct rule rules[] = {
        VERSION_RULE,
        CREATE_RULE,
        {.request = "GET /v1.41/events", .answer = CHUNKED, .wait_after = GATE_STARTED, .times = 1},
        {.request = "POST /v1.41/containers/abc/attach",
         .answer = OK(""),
         .wait_after = GATE_STARTED,
         .times = 1},
        /* The second time. */
        {.request = "POST /v1.41/containers/abc/attach",
         .answer = OK(""),
         .more = "\1\0\0\0\0\0\0\4back",
         .more_len = 12,
         .opens = GATE_REOPENED},
        {.request = "GET /v1.41/events",
         .answer = CHUNKED,
         .wait_after = GATE_REOPENED,
         .more = DIE},
        START_RULE,
        {.request = "GET /v1.41/containers/abc/json ",
         .answer = "HTTP/1.1 503 X\r\n\r\n{}",
         .times = 1},
        {.request = "GET /v1.41/containers/abc/json ", .answer = RUNNING, .times = 1},
        INSPECT_RULE("\"ExitCode\":6"),
        REMOVE_RULE,
    };
    struct launch_place place = place_of("image");
    struct server server;
    struct watch watch = {0};

    (void)state;
    ENGINE(&server, rules);
    watch_start(&watch, &place, &program);
    loop_run(watch.loop);
    assert_int_equal(watch.end.code, 6);
    assert_string_equal(buf_text(&watch.output[1]), "back");
    watch_clear(&watch);
    engine_stop(&server);
}

static void a_container_that_was_removed_is_lost(void **state)
{
    struct rule rules[] = {
        GOOD_RULES,
        {.request = "GET /v1.41/containers/abc/json ", .answer = "HTTP/1.1 404 X\r\n\r\n{}"}};
    struct launch_place place = place_of("image");
    struct server server;
    struct watch watch = {0};

    (void)state;
    ENGINE(&server, rules);
    watch_start(&watch, &place, &program);
    loop_run(watch.loop);
    assert_true(watch.end.lost);
    assert_non_null(strstr(watch.end.text, "removed"));
    watch_clear(&watch);
    engine_stop(&server);
}

static void an_engine_that_stays_away_loses_the_launch(void **state)
{
    struct rule rules[] = {
        VERSION_RULE,
        CREATE_RULE,
        {.request = "GET /v1.41/events", .answer = CHUNKED, .wait_after = GATE_STOP},
        {.request = "POST /v1.41/containers/abc/attach", .answer = OK(""), .wait_after = GATE_STOP},
        START_RULE,
    };
    struct launch_place place = place_of("image");
    struct server server;
    struct watch watch = {0};
    struct err e;

    (void)state;
    ENGINE(&server, rules);
    watch_start(&watch, &place, &program);
    server_kill(&server);
    loop_run(watch.loop);
    assert_int_equal(watch.ended, 1);
    assert_true(watch.end.lost);
    assert_string_equal(watch.end.text, "the Docker engine stopped answering");
    assert_int_equal(launch_clean(LAUNCHER_DOCKER, "run/1", &e), -1);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    watch_clear(&watch);
    engine_stop(&server);
}

/* --- finding the engine --- */

static void what_is_no_engine_is_unavailable(void **state)
{
    static const char *const answers[] = {
        OK("{\"ApiVersion\":\"1.40\"}"), OK("{}"), OK("hello"),
        "HTTP/1.1 404 X\r\n\r\n",        NULL,     OK("{\"ApiVersion\":\"one.two\"}"),
        OK("{\"ApiVersion\":\"2.0\"}"),
    };
    static const char *const hosts[] = {"tcp://127.0.0.1:2375", "unix://relative", "ssh://x",
                                        "unix:///nonexistent/socket"};
    struct err e;

    (void)state;
    for (size_t i = 0; i < COUNT(answers); i++) {
        struct rule rules[] = {{.request = "GET /version", .answer = answers[i]}};
        struct server server;
        ENGINE(&server, rules);
        assert_null(launch_image_id("image", &e));
        assert_int_equal(e.code, ERR_UNAVAILABLE);
        engine_stop(&server);
    }
    for (size_t i = 0; i < COUNT(hosts); i++) {
        setenv("DOCKER_HOST", hosts[i], 1);
        assert_null(launch_image_id("image", &e));
        assert_int_equal(e.code, ERR_UNAVAILABLE);
        unsetenv("DOCKER_HOST");
    }
}

static void speaks_what_a_newer_engine_still_does(void **state)
{
    struct rule rules[] = {
        {.request = "GET /version",
         .answer = OK("{\"ApiVersion\":\"1.52\",\"MinAPIVersion\":\"1.44\"}")},
        {.request = "GET /v1.44/images/a/b:c/json ", .answer = OK("{\"Id\":\"sha256:12\"}")}};
    struct server server;
    struct err e;

    (void)state;
    ENGINE(&server, rules);
    auto_free char *id = launch_image_id("a/b:c", &e);
    assert_string_equal(id, "sha256:12");
    engine_stop(&server);
}

static void images_that_are_not_there_are_not_found(void **state)
{
    static const char *const names[] = {"missing", "",   "../containers", "a?b", "a b",
                                        "a//b",    "/a", "a/../b"};
    struct rule rules[] = {
        VERSION_RULE,
        {.request = "GET /v1.41/images/missing/json ", .answer = "HTTP/1.1 404 X\r\n\r\n{}"}};
    struct server server;
    struct err e;

    (void)state;
    ENGINE(&server, rules);
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_null(launch_image_id(names[i], &e));
        assert_int_equal(e.code, ERR_NOT_FOUND);
    }
    assert_int_equal(server_saw(&server, "/images/"), 1);
    engine_stop(&server);
}

static void cleaning_removes_what_bears_the_label(void **state)
{
    struct rule rules[] = {
        VERSION_RULE,
        {.request =
             "GET /v1.41/containers/json?all=1&filters=%7B%22label%22%3A%5B%22segue.attempt%3D"
             "run%2F1%22%5D%7D ",
         .answer = OK("[{\"Id\":\"one\"},{\"Id\":\"two\"}]")},
        {.request = "DELETE /v1.41/containers/one?force=1&v=1 ",
         .answer = "HTTP/1.1 404 X\r\n\r\n{}"},
        {.request = "DELETE /v1.41/containers/two?force=1&v=1 ", .answer = NO_CONTENT}};
    struct server server;
    struct err e;

    (void)state;
    ENGINE(&server, rules);
    assert_int_equal(launch_clean(LAUNCHER_DOCKER, "run/1", &e), 0);
    assert_int_equal(server_saw(&server, "DELETE"), 2);
    engine_stop(&server);
}

/* --- kernelspecs in an image --- */

#define SPEC(program, language)                                                                    \
    "{\"argv\":[\"" program "\",\"-f\",\"{connection_file}\"],\"display_name\":\"X\","             \
    "\"language\":\"" language "\"}"
#define MISSING "HTTP/1.1 404 X\r\n\r\n{}"

/* As a rule's answer: an archive behind a header. */
static void answer_tar(struct rule *rule, struct buf *space, const struct buf *archive)
{
    buf_puts(space, OK(""));
    buf_put(space, archive->data, archive->len);
    rule->answer = space->data;
    rule->answer_len = space->len;
}

static int find_spec(struct server *server, struct rule *rules, size_t count, const char *name,
                     const char *language, struct kernelspec *spec, struct err *e)
{
    struct launch_place place = place_of("image");

    engine_start(server, rules, count);
    int result = launch_find_kernelspec(&place, name, language, spec, e);
    assert_int_equal(server_saw(server, "/start"), 0);
    if (server_saw(server, "/containers/create") > 0)
        assert_int_equal(server_saw(server, "DELETE /v1.41/containers/abc"), 1);
    return result;
}

#define SPEC_RULES                                                                                 \
    VERSION_RULE,                                                                                  \
        {.request = "GET /v1.41/images/image/json ",                                               \
         .answer = OK("{\"Config\":{\"Env\":[\"PATH=/opt/venv/bin:/usr/bin\"]}}")},                \
        {.request = "POST /v1.41/containers/create?name=segue-look-", .answer = CREATED},          \
        REMOVE_RULE

static void finds_a_spec_by_name(void **state)
{
    struct rule rules[] = {
        {.request =
             "GET /v1.41/containers/abc/archive?path=%2Fopt%2Fvenv%2Fshare%2Fjupyter%2Fkernels"
             "%2Fpython3%2Fkernel.json "},
        {.request = "HEAD /v1.41/containers/abc/archive?path=%2Fopt%2Fvenv%2Fbin%2Fpython ",
         .answer = "HTTP/1.1 200 OK\r\n\r\n"},
        SPEC_RULES,
    };
    auto_buf struct buf archive = {0};
    auto_buf struct buf space = {0};
    struct server server;
    struct kernelspec spec = {0};
    struct err e;

    (void)state;
    tar_put_text(&archive, "kernel.json", SPEC("python", "python"));
    answer_tar(&rules[0], &space, &archive);
    assert_int_equal(find_spec(&server, rules, COUNT(rules), "Python", NULL, &spec, &e), 0);
    assert_string_equal(spec.name, "python3");
    assert_string_equal(spec.resource_dir, "/opt/venv/share/jupyter/kernels/python3");
    assert_string_equal(spec.argv[0], "/opt/venv/bin/python");
    assert_string_equal(spec.argv[1], "-f");
    kernelspec_clear(&spec);
    engine_stop(&server);
}

static void finds_a_spec_by_language(void **state)
{
    struct rule rules[] = {
        {.request = "GET /v1.41/containers/abc/archive?path=%2Fusr%2Fshare%2Fjupyter%2Fkernels "},
        {.request = "GET /v1.41/containers/abc/archive", .answer = MISSING},
        SPEC_RULES,
    };
    auto_buf struct buf archive = {0};
    auto_buf struct buf space = {0};
    struct server server;
    struct kernelspec spec = {0};
    struct err e;

    (void)state;
    tar_put(&archive, "kernels/", '5', NULL, 0);
    tar_put_text(&archive, "kernels/broken/kernel.json", "{");
    tar_put_text(&archive, "kernels/ir/kernel.json", SPEC("/usr/bin/R", "R"));
    tar_put_text(&archive, "kernels/ir/logo.svg", "<svg/>");
    tar_put_text(&archive, "kernels/julia-1.9/deep/kernel.json", SPEC("wrong", "julia"));
    tar_put_text(&archive, "kernels/julia-1.9/kernel.json", SPEC("/usr/bin/julia", "julia"));
    tar_end(&archive);
    answer_tar(&rules[0], &space, &archive);
    assert_int_equal(find_spec(&server, rules, COUNT(rules), "julia-1.7", "Julia", &spec, &e), 0);
    assert_string_equal(spec.name, "julia-1.9");
    assert_string_equal(spec.argv[0], "/usr/bin/julia");
    kernelspec_clear(&spec);
    engine_stop(&server);

    /* Names are compared without case. */
    assert_int_equal(find_spec(&server, rules, COUNT(rules), "IR", NULL, &spec, &e), 0);
    assert_string_equal(spec.name, "ir");
    kernelspec_clear(&spec);
    engine_stop(&server);

    assert_int_equal(find_spec(&server, rules, COUNT(rules), "deno", "typescript", &spec, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "\"deno\""));
    assert_non_null(strstr(e.text, "ir, julia-1.9"));
    engine_stop(&server);
}

static void failing_to_find_a_spec_leaves_no_container(void **state)
{
    struct rule none[] = {{.request = "GET /v1.41/containers/abc/archive", .answer = MISSING},
                          SPEC_RULES};
    struct rule torn[] = {{.request = "GET /v1.41/containers/abc/archive",
                           .answer = "HTTP/1.1 200 X\r\nContent-Length: 9999\r\n\r\nabc"},
                          SPEC_RULES};
    struct rule no_image[] = {VERSION_RULE,
                              {.request = "GET /v1.41/images/image/json ", .answer = MISSING}};
    struct server server;
    struct kernelspec spec = {0};
    struct err e;

    (void)state;
    assert_int_equal(find_spec(&server, none, COUNT(none), "python3", NULL, &spec, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    engine_stop(&server);
    assert_int_equal(find_spec(&server, torn, COUNT(torn), "python3", NULL, &spec, &e), -1);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    engine_stop(&server);
    assert_int_equal(find_spec(&server, no_image, COUNT(no_image), "python3", NULL, &spec, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "\"image\""));
    engine_stop(&server);
}

/* --- a real engine --- */

/* An attempt of its own for each test, in an image that has a shell. */
struct real {
    char attempt[40];
    const char *argv[4];
    struct launch_place place;
    struct launch_program program;
};

static struct real *real_of(struct real *real, const char *script)
{
    const char *engine = getenv("SEGUE_TEST_ENGINE");
    const char *image = getenv("SEGUE_TEST_IMAGE");

    if (!engine) {
        if (getenv("CI"))
            fail_msg("no private Docker engine (SEGUE_TEST_ENGINE)");
        print_message("skipped: no private Docker engine (SEGUE_TEST_ENGINE)\n");
        skip();
    }
    setenv("DOCKER_HOST", engine, 1);
    *real = (struct real){.argv = {"/bin/sh", "-c", script, NULL}};
    real->place = place_of(image ? image : "debian:bookworm-slim");
    random_hex(real->attempt, 32);
    real->place.attempt = real->attempt;
    real->program = (struct launch_program){.argv = real->argv, .cwd = "/"};
    return real;
}

static void real_run(struct watch *watch, struct real *real)
{
    watch_start(watch, &real->place, &real->program);
    watch_to_the_end(watch);
}

/* How many containers bear the attempt's label. */
static uint32_t real_count(const struct real *real)
{
    auto_docker struct docker docker = {0};
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json doc = {0};
    auto_buf struct buf path = {0};
    auto_free char *label = mem_printf("segue.attempt=%s", real->attempt);
    struct err e;

    assert_int_equal(docker_open(&docker, -1, &e), 0);
    buf_puts(&path, "/containers/json?all=1&");
    docker_put_filter(&path, "label", label);
    struct docker_call call = {.method = "GET", .path = path.data, .timeout_ms = 20000};
    assert_int_equal(docker_demand(&docker, &call, &answer, &e), 0);
    assert_int_equal(
        json_parse(&doc, (struct str){answer.body.data, answer.body.len}, JSON_STRICT, NULL, &e),
        0);
    return json_count(&doc, 0);
}

static void real_clear(struct watch *watch, const struct real *real)
{
    watch_clear(watch);
    assert_int_equal(real_count(real), 0);
    unsetenv("DOCKER_HOST");
}

static void real_output_and_exit_status(void **state)
{
    struct watch watch = {0};
    struct real real;

    (void)state;
    real_run(&watch, real_of(&real, "echo out; echo err >&2; printf last; exit 3"));
    assert_string_equal(buf_text(&watch.output[1]), "out\nlast");
    assert_string_equal(buf_text(&watch.output[2]), "err\n");
    assert_int_equal(watch.end.code, 3);
    assert_true(watch.end.started);
    assert_int_equal(real_count(&real), 1);
    real_clear(&watch, &real);
}

static void real_flood_arrives_whole(void **state)
{
    struct watch watch = {0};
    struct real real;

    (void)state;
    real_run(&watch, real_of(&real, "head -c 20000000 /dev/zero; exit 9"));
    assert_int_equal(watch.output[1].len, 20000000);
    assert_int_equal(watch.end.code, 9);
    real_clear(&watch, &real);
}

static void real_rights(void **state)
{
    static const char *const env[] = {"SEGUE_TEST=a b", NULL};
    struct watch watch = {0};
    struct real real;
    char directory[] = "/tmp/launch-docker-XXXXXX";
    struct err e;

    (void)state;
    real_of(&real,
            "echo $(id -u):$(id -g) $HOME $SEGUE_TEST; pwd; touch /x 2>/dev/null || echo read-only;"
            "touch $HOME/x /tmp/x /in/made && echo writable; touch /ro/x 2>/dev/null || echo kept;"
            "grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status;"
            "ls /sys/class/net; mkdir $HOME/p && printf '#!/bin/sh\\necho ran' >$HOME/p/x &&"
            " chmod +x $HOME/p/x && $HOME/p/x");
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chmod(directory, 0777), 0);
    struct launch_mount mounts[] = {{directory, "/in", false}, {directory, "/ro", true}};
    real.place.mounts = mounts;
    real.place.mount_count = 2;
    real.program.env = env;
    real.program.cwd = "/in";
    real_run(&watch, &real);
    assert_string_equal(buf_text(&watch.output[1]),
                        "1000:100 /home/segue a b\n/in\nread-only\nwritable\nkept\n"
                        "CapEff:\t0000000000000000\nNoNewPrivs:\t1\nlo\nran\n");
    real_clear(&watch, &real);
    assert_int_equal(fs_remove_tree(directory, &e), 0);
}

static void real_signals(void **state)
{
    struct watch watch = {.stop_at = "ready"};
    struct real real;

    (void)state;
    real_of(&real, "trap 'echo caught; exit 4' INT; echo ready; sleep 1000 & wait");
    watch_start(&watch, &real.place, &real.program);
    loop_run(watch.loop);
    launch_signal(watch.launch, SIGINT);
    watch_to_the_end(&watch);
    assert_string_equal(buf_text(&watch.output[1]), "ready\ncaught\n");
    assert_int_equal(watch.end.code, 4);
    real_clear(&watch, &real);

    real_of(&real, "echo ready; exec sleep 1000");
    watch = (struct watch){.stop_at = "ready"};
    watch_start(&watch, &real.place, &real.program);
    loop_run(watch.loop);
    launch_signal(watch.launch, SIGKILL);
    watch_to_the_end(&watch);
    assert_true(watch.end.by_signal);
    assert_int_equal(watch.end.code, SIGKILL);
    assert_false(watch.end.out_of_memory);
    real_clear(&watch, &real);
}

static void real_memory_limit(void **state)
{
    struct watch watch = {0};
    struct real real;

    (void)state;
    /* A shell that doubles a variable until it is killed. */
    real_of(&real, "x=0123456789abcdef; while :; do x=$x$x; done");
    real.place.memory_bytes = 64 * 1000 * 1000;
    real_run(&watch, &real);
    assert_true(watch.end.by_signal);
    assert_int_equal(watch.end.code, SIGKILL);
    assert_true(watch.end.out_of_memory);
    assert_string_equal(watch.end.text, "killed by SIGKILL, out of memory");
    real_clear(&watch, &real);
}

static void real_refusals(void **state)
{
    struct watch watch = {0};
    struct real real;
    struct launch_mount missing = {"/nonexistent/directory", "/in", false};
    struct err e;

    (void)state;
    real_of(&real, "true");
    real.place.image = "segue/none-such";
    assert_int_equal(watch_try(&watch, &real.place, &real.program, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    real_clear(&watch, &real);

    real_of(&real, "true");
    real.place.mounts = &missing;
    real.place.mount_count = 1;
    assert_int_equal(watch_try(&watch, &real.place, &real.program, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.text, "/nonexistent/directory"));
    real_clear(&watch, &real);

    real_of(&real, "true");
    real.place.cpus = 5000;
    assert_int_equal(watch_try(&watch, &real.place, &real.program, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.text, "the Docker engine says"));
    real_clear(&watch, &real);
}

static void real_program_that_is_not_there(void **state)
{
    struct watch watch = {0};
    struct real real;

    (void)state;
    real_of(&real, "");
    real.argv[0] = "no-such-program";
    real_run(&watch, &real);
    assert_false(watch.end.started);
    assert_non_null(strstr(watch.end.text, "no-such-program"));
    real_clear(&watch, &real);

    /* The same status, but from a program that ran. */
    real_run(&watch, real_of(&real, "exit 127"));
    assert_true(watch.end.started);
    assert_int_equal(watch.end.code, 127);
    real_clear(&watch, &real);
}

static void real_cancelling_leaves_no_container(void **state)
{
    struct watch watch = {0};
    struct real real;
    struct err e;
    int fds[2];

    (void)state;
    real_of(&real, "true");
    assert_int_equal(pipe(fds), 0);
    close(fds[1]);
    real.place.cancel_fd = fds[0];
    assert_int_equal(watch_try(&watch, &real.place, &real.program, &e), -1);
    assert_int_equal(e.code, ERR_CANCELLED);
    close(fds[0]);
    real_clear(&watch, &real);
}

static void real_cleaning(void **state)
{
    struct watch watch = {0};
    struct real real;
    struct err e;

    (void)state;
    real_of(&real, "exec sleep 1000");
    watch_start(&watch, &real.place, &real.program);
    assert_int_equal(real_count(&real), 1);
    assert_int_equal(launch_clean(LAUNCHER_DOCKER, "another-attempt", &e), 0);
    assert_int_equal(real_count(&real), 1);
    assert_int_equal(launch_clean(LAUNCHER_DOCKER, real.attempt, &e), 0);
    assert_int_equal(real_count(&real), 0);
    watch_to_the_end(&watch);
    assert_true(watch.end.lost || watch.end.by_signal);
    real_clear(&watch, &real);
}

static void real_image_id(void **state)
{
    struct real real;
    struct err e;

    (void)state;
    real_of(&real, "");
    auto_free char *id = launch_image_id(real.place.image, &e);
    assert_non_null(id);
    assert_memory_equal(id, "sha256:", 7);
    auto_free char *same = launch_image_id(id, &e);
    assert_string_equal(same, id);
    assert_null(launch_image_id("segue/none-such", &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    unsetenv("DOCKER_HOST");
}

/* An image with kernels in it, made of the other one by a container that never runs. */
static char *real_make_image(const struct real *real)
{
    auto_docker struct docker docker = {0};
    auto_http_answer struct http_answer created = {0}, put = {0}, committed = {0};
    auto_json struct json doc = {0};
    auto_json struct json image = {0};
    auto_buf struct buf archive = {0};
    auto_free char *body = mem_printf("{\"Image\":\"%s\",\"Cmd\":[\"x\"]}", real->place.image);
    struct err e;

    tar_put_text(&archive, "opt/venv/bin/python3", "#!/bin/sh\n");
    tar_put_text(&archive, "opt/venv/share/jupyter/kernels/python3/kernel.json",
                 SPEC("python3", "python"));
    tar_put_text(&archive, "usr/local/share/jupyter/kernels/ir/kernel.json", SPEC("R", "R"));
    tar_end(&archive);
    assert_int_equal(docker_open(&docker, -1, &e), 0);
    struct docker_call call = {
        .method = "POST", .path = "/containers/create", .body = str_of(body), .timeout_ms = 60000};
    assert_int_equal(docker_demand(&docker, &call, &created, &e), 0);
    assert_int_equal(json_parse(&doc, str_of(created.body.data), JSON_STRICT, NULL, &e), 0);
    auto_free char *id = json_strdup(&doc, json_get(&doc, 0, "Id"));
    auto_free char *path = mem_printf("/containers/%s/archive?path=/", id);
    call = (struct docker_call){
        .method = "PUT", .path = path, .body = {archive.data, archive.len}, .timeout_ms = 60000};
    assert_int_equal(docker_demand(&docker, &call, &put, &e), 0);
    auto_free char *commit =
        mem_printf("/commit?container=%s&changes=ENV%%20PATH%%3D/opt/venv/bin:/usr/bin:/bin", id);
    call = (struct docker_call){
        .method = "POST", .path = commit, .body = STR("{}"), .timeout_ms = 60000};
    assert_int_equal(docker_demand(&docker, &call, &committed, &e), 0);
    assert_int_equal(json_parse(&image, str_of(committed.body.data), JSON_STRICT, NULL, &e), 0);
    assert_int_equal(docker_remove(&docker, id, &e), 0);
    return json_strdup(&image, json_get(&image, 0, "Id"));
}

static void real_remove_image(const char *image)
{
    auto_docker struct docker docker = {0};
    auto_http_answer struct http_answer answer = {0};
    auto_free char *path = mem_printf("/images/%s?force=1", image);
    struct docker_call call = {.method = "DELETE", .path = path, .timeout_ms = 60000};
    struct err e;

    assert_int_equal(docker_open(&docker, -1, &e), 0);
    assert_int_equal(docker_demand(&docker, &call, &answer, &e), 0);
}

static void real_kernelspecs(void **state)
{
    struct real real;
    struct kernelspec spec = {0};
    struct err e;

    (void)state;
    real_of(&real, "");
    assert_int_equal(launch_find_kernelspec(&real.place, "python3", "python", &spec, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    auto_free char *image = real_make_image(&real);
    real.place.image = image;
    assert_int_equal(launch_find_kernelspec(&real.place, "python3", NULL, &spec, &e), 0);
    assert_string_equal(spec.argv[0], "/opt/venv/bin/python3");
    assert_string_equal(spec.resource_dir, "/opt/venv/share/jupyter/kernels/python3");
    kernelspec_clear(&spec);
    assert_int_equal(launch_find_kernelspec(&real.place, NULL, "r", &spec, &e), 0);
    assert_string_equal(spec.name, "ir");
    assert_string_equal(spec.argv[0], "R");
    kernelspec_clear(&spec);
    assert_int_equal(launch_find_kernelspec(&real.place, "julia", "julia", &spec, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_int_equal(real_count(&real), 0);
    real_remove_image(image);
    unsetenv("DOCKER_HOST");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_over_output_and_end),
        cmocka_unit_test(asks_for_as_few_rights_as_will_do),
        cmocka_unit_test(leaves_out_what_is_not_limited),
        cmocka_unit_test(tells_how_it_ended),
        cmocka_unit_test(hears_late_that_memory_ran_out),
        cmocka_unit_test(a_program_that_is_not_there_did_not_start),
        cmocka_unit_test(signals_are_sent_until_the_end),
        cmocka_unit_test(may_be_freed_inside_its_events),
        cmocka_unit_test(refusals_have_the_engines_words),
        cmocka_unit_test(an_unknown_outcome_is_removed_by_name),
        cmocka_unit_test(cancelling_leaves_no_container),
        cmocka_unit_test(a_broken_stream_is_asked_about),
        cmocka_unit_test(what_still_runs_is_watched_again),
        cmocka_unit_test(a_container_that_was_removed_is_lost),
        cmocka_unit_test(an_engine_that_stays_away_loses_the_launch),
        cmocka_unit_test(what_is_no_engine_is_unavailable),
        cmocka_unit_test(speaks_what_a_newer_engine_still_does),
        cmocka_unit_test(images_that_are_not_there_are_not_found),
        cmocka_unit_test(cleaning_removes_what_bears_the_label),
        cmocka_unit_test(finds_a_spec_by_name),
        cmocka_unit_test(finds_a_spec_by_language),
        cmocka_unit_test(failing_to_find_a_spec_leaves_no_container),
        cmocka_unit_test(real_output_and_exit_status),
        cmocka_unit_test(real_flood_arrives_whole),
        cmocka_unit_test(real_rights),
        cmocka_unit_test(real_signals),
        cmocka_unit_test(real_memory_limit),
        cmocka_unit_test(real_refusals),
        cmocka_unit_test(real_program_that_is_not_there),
        cmocka_unit_test(real_cancelling_leaves_no_container),
        cmocka_unit_test(real_cleaning),
        cmocka_unit_test(real_image_id),
        cmocka_unit_test(real_kernelspecs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
