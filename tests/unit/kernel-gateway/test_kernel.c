/* The kernel under test is this very program, started again as `test_kernel fake-kernel SCENARIO
 * CONNECTION_FILE` by way of a kernelspec, an honest process with honest sockets. A link named
 * xpython to it is taken for a kernel that speaks ipc; under its own name it gets TCP. */
#include "kernel-gateway/kernel.h"

#include "fake_peer.c"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

/* --- the fake kernel --- */

#define DYING_WORDS 500

struct fake {
    const char *scenario;
    struct peer peer;
    unsigned infos; /* kernel_info_requests on shell so far */
};

static bool plays(const struct fake *fake, const char *scenario)
{
    return strcmp(fake->scenario, scenario) == 0;
}

static void say(const char *text)
{
    must(write(STDOUT_FILENO, text, strlen(text)) == (ssize_t)strlen(text));
}

static void on_sigint(int number)
{
    (void)number;
    say("SIGINT");
}

static void wait_for_ever(void)
{
    for (;;)
        pause();
}

static void answer_info(struct fake *fake, enum channel channel, const struct message *request)
{
    /* It publishes, but was not yet subscribed to when it answered for the first time. */
    bool is_heard = !plays(fake, "late-iopub") || (channel == CHANNEL_SHELL && fake->infos++ > 0);
    const char *env = getenv("FAKE_ENV"), *parent = getenv("JPY_PARENT_PID");
    auto_free char *content = mem_printf("{\"env\":\"%s\",\"parent\":\"%s\"}", env, parent);
    must(peer_reply(&fake->peer, channel, request, "kernel_info_reply", str_of(content)));
    if (is_heard)
        must(peer_publish(&fake->peer, "status", message_raw(request, WIRE_HEADER),
                          STR("{\"execution_state\":\"idle\"}")));
}

static void execute(struct fake *fake, const struct message *request)
{
    struct str parent = message_raw(request, WIRE_HEADER);
    if (plays(fake, "dies")) {
        for (int i = 0; i < DYING_WORDS; i++)
            must(peer_publish(&fake->peer, "stream", parent, STR("{\"text\":\"x\"}")));
        peer_close(&fake->peer, PEER_TIMEOUT_MS);
        exit(7);
    }
    if (plays(fake, "breaks-off")) {
        peer_close(&fake->peer, 0);
        wait_for_ever();
    }
    must(peer_publish(&fake->peer, "stream", parent, STR("{\"text\":\"x\"}")));
    must(peer_reply(&fake->peer, CHANNEL_SHELL, request, "execute_reply",
                    STR("{\"status\":\"ok\"}")));
}

static void shut_down(struct fake *fake, enum channel channel, const struct message *request)
{
    if (plays(fake, "ignores-shutdown") ||
        (plays(fake, "obeys-control") && channel == CHANNEL_SHELL))
        return;
    must(peer_reply(&fake->peer, channel, request, "shutdown_reply", STR("{\"status\":\"ok\"}")));
    if (plays(fake, "lingers-open"))
        wait_for_ever(); /* until somebody kills it; its sockets stay open */
    peer_close(&fake->peer, PEER_TIMEOUT_MS);
    if (plays(fake, "hangs-at-exit"))
        wait_for_ever();
    say("exit handler");
    exit(0);
}

static void handle(struct fake *fake, enum channel channel)
{
    auto_message struct message request = {0};
    peer_receive(&fake->peer, channel, &request);
    auto_free char *type = json_strdup(&request.header, json_get(&request.header, 0, "msg_type"));
    if (strcmp(type, "kernel_info_request") == 0 && !plays(fake, "silent"))
        answer_info(fake, channel, &request);
    else if (strcmp(type, "execute_request") == 0)
        execute(fake, &request);
    else if (strcmp(type, "shutdown_request") == 0)
        shut_down(fake, channel, &request);
    else if (strcmp(type, "interrupt_request") == 0) {
        say("interrupt_request");
        must(peer_reply(&fake->peer, channel, &request, "interrupt_reply", STR("{}")));
    }
}

/* The first start finds its port taken, the second one does not. */
static void lose_port_once(const char *connection_file)
{
    auto_free char *mark = mem_printf("%s.tried", connection_file);
    struct err e;
    if (fs_exists(mark))
        return;
    must(fs_write(mark, STR(""), 0600, FS_NO_SYNC, &e) == 0);
    say("bind: Address already in use\n");
    exit(1);
}

static int fake_kernel(const char *scenario, const char *connection_file)
{
    struct fake fake = {.scenario = scenario};
    struct connection connection = {0};
    if (plays(&fake, "exits"))
        return 3;
    if (plays(&fake, "port-taken"))
        lose_port_once(connection_file);
    peer_read_connection(connection_file, &connection);
    if (plays(&fake, "signs-badly"))
        connection.key[0] ^= 1;
    signal(SIGINT, on_sigint);
    if (plays(&fake, "hangs-at-exit"))
        signal(SIGTERM, SIG_IGN);
    peer_open(&fake.peer, &connection);
    if (!plays(&fake, "late-iopub") && !plays(&fake, "silent") && !plays(&fake, "signs-badly"))
        peer_await_subscriber(&fake.peer);
    if (plays(&fake, "signs-badly")) { /* it cannot read our requests either: it just talks */
        peer_await_subscriber(&fake.peer);
        must(peer_publish(&fake.peer, "status", STR("{}"), STR("{}")));
        wait_for_ever();
    }
    zmq_pollitem_t items[] = {{.socket = fake.peer.sockets[CHANNEL_SHELL], .events = ZMQ_POLLIN},
                              {.socket = fake.peer.sockets[CHANNEL_CONTROL], .events = ZMQ_POLLIN}};
    for (;;) {
        if (zmq_poll(items, 2, -1) < 0)
            continue; /* SIGINT */
        if (items[1].revents)
            handle(&fake, CHANNEL_CONTROL);
        if (items[0].revents)
            handle(&fake, CHANNEL_SHELL);
    }
}

/* --- the test's side --- */

struct fixture {
    char *root;
    char *socket_dir;
    struct loop *loop;
    struct launch_place place;
    struct kernel_options options;
    struct kernel *kernel;
    unsigned ready;
    unsigned seen[MESSAGE_SHUTDOWN_REPLY + 1]; /* by type */
    struct uuid request;
    bool has_answer; /* an execute_reply to it */
    char *info_env;
    char *info_parent;
    struct buf output;
    bool has_ended;
    struct kernel_end end;
};

static void on_ready(void *user, const struct json *info)
{
    struct fixture *fixture = user;
    fixture->ready++;
    fixture->info_env = json_strdup(info, json_get(info, 0, "env"));
    fixture->info_parent = json_strdup(info, json_get(info, 0, "parent"));
}

static void on_message(void *user, enum channel channel, struct message *message)
{
    struct fixture *fixture = user;
    (void)channel;
    fixture->seen[message->type]++;
    if (message->type == MESSAGE_EXECUTE_REPLY && message_is_child_of(message, &fixture->request))
        fixture->has_answer = true;
}

static void on_output(void *user, int fd, const char *data, size_t len)
{
    struct fixture *fixture = user;
    (void)fd;
    buf_put(&fixture->output, data, len);
}

static void on_ended(void *user, const struct kernel_end *end)
{
    struct fixture *fixture = user;
    assert_false(fixture->has_ended);
    fixture->has_ended = true;
    fixture->end = *end;
}

static void put_kernelspec(const struct fixture *fixture, const char *name, const char *program,
                           const char *scenario, const char *interrupt_mode)
{
    struct err e;
    auto_free char *directory = mem_printf("%s/kernels/%s", fixture->root, name);
    auto_free char *file = fs_join(directory, "kernel.json");
    auto_free char *text =
        mem_printf("{\"argv\": [\"%s/%s\", \"fake-kernel\", \"%s\", \"{connection_file}\"],"
                   " \"language\": \"fake\", \"interrupt_mode\": \"%s\","
                   " \"env\": {\"FAKE_ENV\": \"${GIVEN}-${SEGUE_TEST_OURS}-${UNKNOWN}\"}}",
                   fixture->root, program, scenario, interrupt_mode);
    must(fs_mkdirs(directory, 0700, &e) == 0);
    must(fs_write(file, str_of(text), 0600, FS_NO_SYNC, &e) == 0);
}

static int set_up(void **state)
{
    static const char *const env[] = {"GIVEN=given", NULL};
    struct fixture *fixture = mem_zalloc(sizeof *fixture);
    struct err e;
    *state = fixture;
    fixture->root = mem_strdup("/tmp/segue-test-XXXXXX");
    must(mkdtemp(fixture->root) != NULL);
    fixture->socket_dir = fs_join(fixture->root, "k");
    auto_free char *ipc = fs_join(fixture->root, "xpython");
    auto_free char *tcp = fs_join(fixture->root, "tcp-only");
    char self[4096] = {0};
    must(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    must(symlink(self, ipc) == 0 && symlink(self, tcp) == 0);
    must(fs_mkdirs(fixture->socket_dir, 0700, &e) == 0);
    setenv("JUPYTER_PATH", fixture->root, 1);
    setenv("SEGUE_TEST_OURS", "ours", 1);
    fixture->loop = loop_new();
    fixture->place = (struct launch_place){.launcher = LAUNCHER_PROCESS,
                                           .attempt = fixture->root,
                                           .state_id = "test",
                                           .cancel_fd = -1};
    fixture->options = (struct kernel_options){.place = &fixture->place,
                                               .name = "fake",
                                               .socket_dir = fixture->socket_dir,
                                               .cwd = fixture->root,
                                               .env = env};
    alarm(120); /* a hang fails */
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    struct err e;
    kernel_free(fixture->kernel);
    loop_free(fixture->loop);
    buf_clear(&fixture->output);
    free(fixture->info_env);
    free(fixture->info_parent);
    must(fs_remove_tree(fixture->root, &e) == 0);
    free(fixture->socket_dir);
    free(fixture->root);
    free(fixture);
    return 0;
}

static int start(struct fixture *fixture, struct err *e)
{
    static const struct kernel_events events = {on_ready, on_message, on_output, on_ended};
    return kernel_start(&fixture->kernel, fixture->loop, &fixture->options, &events, fixture, e);
}

/* Starts the fake over ipc. */
static void start_fake(struct fixture *fixture, const char *scenario)
{
    struct err e;
    put_kernelspec(fixture, "fake", "xpython", scenario, "signal");
    assert_int_equal(start(fixture, &e), 0);
    assert_int_equal(kernel_state(fixture->kernel), KERNEL_STARTING);
}

static void step(struct fixture *fixture)
{
    kernel_dispatch(fixture->kernel, fixture->loop, -1);
}

static void run_until_ready(struct fixture *fixture)
{
    while (!fixture->ready && !fixture->has_ended)
        step(fixture);
    assert_int_equal(fixture->ready, 1);
    assert_int_equal(kernel_state(fixture->kernel), KERNEL_READY);
}

static void run_until_ended(struct fixture *fixture, enum kernel_end_reason reason,
                            enum kernel_state during)
{
    while (!fixture->has_ended)
        step(fixture);
    assert_int_equal(fixture->end.reason, reason);
    assert_int_equal(fixture->end.during, during);
    assert_int_equal(kernel_state(fixture->kernel), KERNEL_ENDED);
}

static void run_until_output(struct fixture *fixture, const char *text)
{
    while (!strstr(buf_text(&fixture->output), text) && !fixture->has_ended)
        step(fixture);
    assert_non_null(strstr(buf_text(&fixture->output), text));
}

static void run_until_seen(struct fixture *fixture, enum message_type type)
{
    while (fixture->seen[type] == 0)
        step(fixture);
}

static void send_execute(struct fixture *fixture)
{
    struct err e;
    const struct outgoing message = {.msg_type = "execute_request",
                                     .content = STR("{\"code\":\"\"}")};
    assert_int_equal(kernel_send(fixture->kernel, CHANNEL_SHELL, &message, &fixture->request, &e),
                     0);
}

static void lives_and_shuts_down(void **state)
{
    struct fixture *fixture = *state;
    struct err e;
    start_fake(fixture, "well");
    run_until_ready(fixture);
    assert_string_equal(kernel_spec(fixture->kernel)->language, "fake");
    assert_string_equal(fixture->info_env, "given-ours-${UNKNOWN}");
    auto_free char *pid = mem_printf("%d", (int)getpid());
    assert_string_equal(fixture->info_parent, pid);

    send_execute(fixture);
    run_until_seen(fixture, MESSAGE_EXECUTE_REPLY);
    assert_true(fixture->has_answer);

    kernel_shutdown(fixture->kernel);
    assert_int_equal(kernel_state(fixture->kernel), KERNEL_STOPPING);
    run_until_ended(fixture, KERNEL_PROGRAM_ENDED, KERNEL_STOPPING);
    assert_int_equal(fixture->seen[MESSAGE_STREAM], 1);
    assert_non_null(strstr(buf_text(&fixture->output), "exit handler"));
    assert_false(fixture->end.launch.by_signal);
    assert_int_equal(fixture->end.launch.code, 0);
    assert_int_equal(
        kernel_send(fixture->kernel, CHANNEL_SHELL, &(struct outgoing){.msg_type = "x"}, NULL, &e),
        -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    kernel_interrupt(fixture->kernel); /* too late, and harmless */
    kernel_shutdown(fixture->kernel);
    kernel_kill(fixture->kernel);

    kernel_free(take_ptr(&fixture->kernel));
    assert_int_equal(rmdir(fixture->socket_dir), 0); /* nothing is left in it */
}

static void ready_only_when_heard(void **state)
{
    struct fixture *fixture = *state;
    start_fake(fixture, "late-iopub");
    run_until_ready(fixture);
}

static void exits_before_it_is_ready(void **state)
{
    struct fixture *fixture = *state;
    start_fake(fixture, "exits");
    run_until_ended(fixture, KERNEL_PROGRAM_ENDED, KERNEL_STARTING);
    assert_int_equal(fixture->ready, 0);
    assert_int_equal(fixture->end.launch.code, 3);
    assert_non_null(strstr(fixture->end.text, "before it was ready"));
    assert_non_null(strstr(fixture->end.text, "3"));
}

static void never_answers(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.start_timeout_ms = 300;
    start_fake(fixture, "silent");
    run_until_ended(fixture, KERNEL_START_TIMED_OUT, KERNEL_STARTING);
    assert_non_null(strstr(fixture->end.text, "300 ms"));
    assert_true(fixture->end.launch.by_signal);
}

static void wrong_signatures_do_not_make_it_ready(void **state)
{
    struct fixture *fixture = *state;
    start_fake(fixture, "signs-badly");
    while (kernel_counts(fixture->kernel).dropped[WIRE_BAD_SIGNATURE] == 0)
        step(fixture);
    assert_int_equal(fixture->ready, 0);
    kernel_kill(fixture->kernel);
    run_until_ended(fixture, KERNEL_KILLED, KERNEL_STARTING);
}

static void last_words_come_before_the_end(void **state)
{
    struct fixture *fixture = *state;
    start_fake(fixture, "dies");
    run_until_ready(fixture);
    send_execute(fixture);
    run_until_ended(fixture, KERNEL_PROGRAM_ENDED, KERNEL_READY);
    assert_int_equal(fixture->seen[MESSAGE_STREAM], DYING_WORDS);
    assert_int_equal(fixture->end.launch.code, 7);
    assert_non_null(strstr(fixture->end.text, "died"));
}

static void broken_connection_is_an_end(void **state)
{
    struct fixture *fixture = *state;
    start_fake(fixture, "breaks-off");
    run_until_ready(fixture);
    send_execute(fixture);
    run_until_ended(fixture, KERNEL_CONNECTION_LOST, KERNEL_READY);
    assert_non_null(strstr(fixture->end.text, "connection"));
}

static void hang_at_exit_is_killed(void **state)
{
    struct fixture *fixture = *state;
    start_fake(fixture, "hangs-at-exit");
    run_until_ready(fixture);
    kernel_shutdown(fixture->kernel);
    run_until_ended(fixture, KERNEL_KILLED, KERNEL_STOPPING);
    assert_int_equal(fixture->end.launch.code, SIGKILL); /* it ignores SIGTERM */
}

static void shutdown_insists_on_control(void **state)
{
    struct fixture *fixture = *state;
    start_fake(fixture, "obeys-control");
    run_until_ready(fixture);
    kernel_shutdown(fixture->kernel);
    run_until_ended(fixture, KERNEL_PROGRAM_ENDED, KERNEL_STOPPING);
    assert_int_equal(fixture->seen[MESSAGE_SHUTDOWN_REPLY], 1);
}

static void unanswered_shutdown_is_terminated(void **state)
{
    struct fixture *fixture = *state;
    start_fake(fixture, "ignores-shutdown");
    run_until_ready(fixture);
    kernel_shutdown(fixture->kernel);
    run_until_ended(fixture, KERNEL_KILLED, KERNEL_STOPPING);
    assert_int_equal(fixture->end.launch.code, SIGTERM);
}

static void kill_cuts_a_shutdown_short(void **state)
{
    struct fixture *fixture = *state;
    start_fake(fixture, "lingers-open");
    run_until_ready(fixture);
    kernel_shutdown(fixture->kernel);
    run_until_seen(fixture, MESSAGE_SHUTDOWN_REPLY);
    kernel_kill(fixture->kernel);
    run_until_ended(fixture, KERNEL_KILLED, KERNEL_STOPPING);
}

static void shutdown_while_starting_kills(void **state)
{
    struct fixture *fixture = *state;
    start_fake(fixture, "silent");
    kernel_shutdown(fixture->kernel);
    run_until_ended(fixture, KERNEL_KILLED, KERNEL_STARTING);
}

static void interrupt_by_signal(void **state)
{
    struct fixture *fixture = *state;
    start_fake(fixture, "well");
    run_until_ready(fixture);
    kernel_interrupt(fixture->kernel);
    run_until_output(fixture, "SIGINT");
    assert_null(strstr(buf_text(&fixture->output), "interrupt_request"));
}

static void interrupt_by_message(void **state)
{
    struct fixture *fixture = *state;
    struct err e;
    put_kernelspec(fixture, "fake", "xpython", "well", "message");
    assert_int_equal(start(fixture, &e), 0);
    run_until_ready(fixture);
    kernel_interrupt(fixture->kernel);
    run_until_output(fixture, "interrupt_request");
    run_until_seen(fixture, MESSAGE_INTERRUPT_REPLY);
    assert_null(strstr(buf_text(&fixture->output), "SIGINT"));
}

static void tcp_for_kernels_without_ipc(void **state)
{
    struct fixture *fixture = *state;
    struct err e;
    put_kernelspec(fixture, "fake", "tcp-only", "well", "signal");
    assert_int_equal(start(fixture, &e), 0);
    run_until_ready(fixture);
    kernel_shutdown(fixture->kernel);
    run_until_ended(fixture, KERNEL_PROGRAM_ENDED, KERNEL_STOPPING);
}

static void taken_port_is_tried_again(void **state)
{
    struct fixture *fixture = *state;
    struct err e;
    put_kernelspec(fixture, "fake", "tcp-only", "port-taken", "signal");
    assert_int_equal(start(fixture, &e), 0);
    run_until_ready(fixture);
    assert_false(fixture->has_ended);
    assert_non_null(strstr(buf_text(&fixture->output), "Address already in use"));
    kernel_kill(fixture->kernel);
    run_until_ended(fixture, KERNEL_KILLED, KERNEL_READY);
}

static void refuses_what_cannot_work(void **state)
{
    struct fixture *fixture = *state;
    struct err e;
    assert_int_equal(start(fixture, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    auto_free char *long_dir = mem_printf("/%0120d", 0);
    put_kernelspec(fixture, "fake", "xpython", "well", "signal");
    fixture->options.socket_dir = long_dir;
    assert_int_equal(start(fixture, &e), -1);
    assert_int_equal(e.code, ERR_LIMIT);
    fixture->options.socket_dir = fixture->socket_dir;
    put_kernelspec(fixture, "fake", "no-such-program", "well", "signal");
    assert_int_equal(start(fixture, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_null(fixture->kernel);
    assert_int_equal(rmdir(fixture->socket_dir), 0);
}

static void freed_while_alive(void **state)
{
    struct fixture *fixture = *state;
    start_fake(fixture, "well");
    run_until_ready(fixture);
    kernel_free(take_ptr(&fixture->kernel));
    assert_int_equal(rmdir(fixture->socket_dir), 0);
    assert_false(fixture->has_ended);
}

#define KERNEL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "fake-kernel") == 0)
        return fake_kernel(argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        KERNEL(lives_and_shuts_down),
        KERNEL(ready_only_when_heard),
        KERNEL(exits_before_it_is_ready),
        KERNEL(never_answers),
        KERNEL(wrong_signatures_do_not_make_it_ready),
        KERNEL(last_words_come_before_the_end),
        KERNEL(broken_connection_is_an_end),
        KERNEL(hang_at_exit_is_killed),
        KERNEL(shutdown_insists_on_control),
        KERNEL(unanswered_shutdown_is_terminated),
        KERNEL(kill_cuts_a_shutdown_short),
        KERNEL(shutdown_while_starting_kills),
        KERNEL(interrupt_by_signal),
        KERNEL(interrupt_by_message),
        KERNEL(tcp_for_kernels_without_ipc),
        KERNEL(taken_port_is_tried_again),
        KERNEL(refuses_what_cannot_work),
        KERNEL(freed_while_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
