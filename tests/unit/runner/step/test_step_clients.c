/* People who look into a step's kernel, and kernels that are kept after a failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel-gateway/clients/admission.h"
#include "runner/step/step_news.h"
#include "tests/unit/kernel-gateway/clients/websocket_peer.c"
#include "tests/unit/runner/step/notebook_step.c"

/* --- a client --- */

struct visitor {
    int socket;
    struct buf in;
    size_t taken; /* bytes of it */
    struct uuid session;
};

static void come(struct visitor *visitor, const struct step_keeper *keeper)
{
    auto_free char *path = fs_join(keeper->root, KEEPER_SOCKET);
    struct admission admission = {.form = {.protocol = CLIENT_V1}};
    int pair[2];
    struct err e;

    *visitor = (struct visitor){.session = uuid_random()};
    memcpy(admission.session, visitor->session.text, sizeof visitor->session.text);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    visitor->socket = pair[0];
    if (admission_send(&admission, path, pair[1], &e) < 0)
        fail_msg("%s", e.text);
}

static void leave(struct visitor *visitor)
{
    close(visitor->socket);
    buf_clear(&visitor->in);
}

/* Waits for the next frame; its payload stays until the next call. */
static struct peer_frame next_frame(struct visitor *visitor)
{
    struct peer_frame frame;
    char bytes[65536];

    buf_consume(&visitor->in, visitor->taken);
    visitor->taken = 0;
    while (!peer_take_frame((struct str){visitor->in.data, visitor->in.len}, &frame)) {
        ssize_t got = read(visitor->socket, bytes, sizeof bytes);
        if (got <= 0)
            fail_msg("the connection has ended");
        buf_put(&visitor->in, bytes, (size_t)got);
    }
    visitor->taken = frame.size;
    return frame;
}

/* Reads on to the first message that has both in it. */
static void hears(struct visitor *visitor, const char *type, const char *text)
{
    for (;;) {
        struct peer_frame frame = next_frame(visitor);
        if (frame.opcode == PEER_CLOSE)
            fail_msg("closed without %s \"%s\"", type, text);
        if (frame.opcode == PEER_BINARY &&
            memmem(frame.payload.text, frame.payload.len, type, strlen(type)) &&
            memmem(frame.payload.text, frame.payload.len, text, strlen(text)))
            return;
    }
}

static void is_sent_off(struct visitor *visitor)
{
    struct peer_frame frame = next_frame(visitor);

    while (frame.opcode != PEER_CLOSE)
        frame = next_frame(visitor);
    assert_int_equal((uint8_t)frame.payload.text[0] << 8 | (uint8_t)frame.payload.text[1], 1001);
    assert_int_equal(frame.payload.len - 2, strlen("the step has ended"));
    assert_memory_equal(frame.payload.text + 2, "the step has ended", frame.payload.len - 2);
}

static void say(struct visitor *visitor, enum channel channel, const char *type,
                const char *content)
{
    auto_buf struct buf header = {0}, v1 = {0}, frame = {0};
    struct uuid id;

    message_put_header(&header, type, &visitor->session, &id);
    const struct str parts[WIRE_PART_COUNT] = {
        [WIRE_HEADER] = {header.data, header.len},
        [WIRE_PARENT] = STR("{}"),
        [WIRE_METADATA] = STR("{}"),
        [WIRE_CONTENT] = str_of(content),
    };
    client_encode_v1(&v1, channel, parts, NULL, 0);
    peer_put_frame(&frame, PEER_FIN | PEER_BINARY, (struct str){v1.data, v1.len});
    assert_int_equal(write(visitor->socket, frame.data, frame.len), (ssize_t)frame.len);
}

static void executes(struct visitor *visitor, const char *code)
{
    auto_buf struct buf content = {0};

    buf_putc(&content, '{');
    json_put_member(&content, "code", code);
    json_put_member_raw(&content, "allow_stdin", STR("true"));
    buf_putc(&content, '}');
    say(visitor, CHANNEL_SHELL, "execute_request", content.data);
}

/* --- the keeper --- */

static void command(const struct step_keeper *keeper, const char *text)
{
    assert_true(send(keeper->socket, text, strlen(text), MSG_NOSIGNAL) > 0);
}

/* What it tells whoever comes. */
static struct step_news news_of(const struct step_keeper *keeper)
{
    auto_free char *path = fs_join(keeper->root, KEEPER_SOCKET);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct step_news news = {0};
    char packet[4096];
    struct err e;

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    ssize_t got = recv(fd, packet, sizeof packet, 0);
    assert_true(got > 0);
    if (step_news_parse(&news, (struct str){packet, (size_t)got}, &e) < 0)
        fail_msg("%s", e.text);
    return news;
}

static void check_out(struct step_keeper *keeper, const char *status, const char *cause,
                      const char *out)
{
    struct told told = wait_for_end(keeper, status, cause);

    assert_string_equal(buf_text(&told.out), out);
    told_clear(&told);
}

/* In the second cell it waits for what a visitor wants to have executed. */
static const struct cell waits[] = {{"one", NULL}, {"up\nawait", NULL}, {"two", NULL}, {0}};

static void start_waiting(struct step_keeper *keeper)
{
    init(keeper, waits, FAKE_KERNEL);
    step_keeper_start(keeper);
    step_keeper_await(keeper, "up\\n");
}

/* --- looking into a step that runs --- */

static void a_visitor_hears_the_cells_and_the_end(void **state)
{
    struct step_keeper keeper;
    struct visitor visitor;

    (void)state;
    start_waiting(&keeper);
    come(&visitor, &keeper);
    executes(&visitor, "mine");
    hears(&visitor, "stream", "mine");
    hears(&visitor, "stream", "two");
    is_sent_off(&visitor);
    check_out(&keeper, "SUCCESS", "", "one\nup\ntwo\n");
    leave(&visitor);
    step_keeper_clear(&keeper);
}

/* What is said before the kernel is ready is heard when it is. */
static void a_visitor_may_come_before_the_kernel(void **state)
{
    static const struct cell cells[] = {{"up\nawait", NULL}, {"two", NULL}, {0}};
    struct step_keeper keeper;
    struct visitor visitor;

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    step_keeper_start(&keeper);
    come(&visitor, &keeper);
    executes(&visitor, "mine");
    hears(&visitor, "stream", "up");
    hears(&visitor, "stream", "mine");
    is_sent_off(&visitor);
    check_out(&keeper, "SUCCESS", "", "up\ntwo\n");
    leave(&visitor);
    step_keeper_clear(&keeper);
}

/* Two of them, the second one leaves in the middle. */
static void what_visitors_execute_is_not_the_steps(void **state)
{
    struct step_keeper keeper;
    struct visitor first, second;
    auto_json struct json doc = {0};

    (void)state;
    start_waiting(&keeper);
    come(&first, &keeper);
    come(&second, &keeper);
    executes(&first, "mine\nawait");
    executes(&second, "yours\nraise Mistake");
    hears(&second, "stream", "mine");
    leave(&second);
    hears(&first, "execute_reply", "\"execution_count\"");
    is_sent_off(&first);
    check_out(&keeper, "SUCCESS", "", "one\nup\ntwo\n");
    read_executed(&keeper, &doc);
    check_cell(&doc, 0, "1", "[" PRINTED("one") "]");
    check_cell(&doc, 1, "2", "[" PRINTED("up") "]");
    leave(&first);
    step_keeper_clear(&keeper);
}

static void a_visitor_is_asked_for_the_input_of_their_own(void **state)
{
    struct step_keeper keeper;
    struct visitor visitor;

    (void)state;
    start_waiting(&keeper);
    come(&visitor, &keeper);
    executes(&visitor, "prompt");
    hears(&visitor, "input_request", "prompt");
    say(&visitor, CHANNEL_STDIN, "input_reply", "{\"value\":\"an answer\"}");
    hears(&visitor, "stream", "an answer");
    check_out(&keeper, "SUCCESS", "", "one\nup\ntwo\n");
    leave(&visitor);
    step_keeper_clear(&keeper);
}

/* What fails in ipykernel has the requests behind it aborted. */
static void a_visitors_mistake_is_not_the_steps(void **state)
{
    struct step_keeper keeper;
    struct visitor visitor;

    (void)state;
    start_waiting(&keeper);
    come(&visitor, &keeper);
    executes(&visitor, "spoil\nawait");
    hears(&visitor, "execute_reply", "Spoilt");
    hears(&visitor, "execute_reply", "aborted");
    hears(&visitor, "stream", "two");
    check_out(&keeper, "SUCCESS", "", "one\nup\ntwo\n");
    leave(&visitor);
    step_keeper_clear(&keeper);
}

static void an_interrupt_fails_the_cell(void **state)
{
    static const struct cell cells[] = {{"up\nhang", NULL}, {"never", NULL}, {0}};
    struct step_keeper keeper;
    struct visitor visitor;

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    step_keeper_start(&keeper);
    step_keeper_await(&keeper, "up\\n");
    come(&visitor, &keeper);
    news_of(&keeper); /* the visitor is let in by now */
    command(&keeper, "interrupt");
    hears(&visitor, "error", "KeyboardInterrupt");
    is_sent_off(&visitor);
    check_end(&keeper, "FAILURE", "cell_error", "KeyboardInterrupt");
    leave(&visitor);
    step_keeper_clear(&keeper);
}

static void who_does_not_read_holds_nothing_up(void **state)
{
    static const struct cell cells[] = {
        {"up\nhang", "raises-exception"}, {"flood 400", NULL}, {"two", NULL}, {0}};
    struct step_keeper keeper;
    struct visitor visitor;

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    step_keeper_start(&keeper);
    step_keeper_await(&keeper, "up\\n");
    come(&visitor, &keeper);
    news_of(&keeper); /* the visitor is let in by now */
    command(&keeper, "interrupt");
    check_end(&keeper, "SUCCESS", "", "");
    leave(&visitor);
    step_keeper_clear(&keeper);
}

static void commands_that_are_none_change_nothing(void **state)
{
    static const char *const commands[] = {
        "admit",   "admit ", "admit {}",      "admit {\"session\":1}",
        "release", "start",  "interrupt now", "\xff\xfe",
    };
    static const struct cell cells[] = {{"up\nhang", "raises-exception"}, {"two", NULL}, {0}};
    struct step_keeper keeper;

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    step_keeper_start(&keeper);
    step_keeper_await(&keeper, "up\\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        command(&keeper, commands[i]);
    command(&keeper, "interrupt");
    check_out(&keeper, "SUCCESS", "", "up\ntwo\n");
    step_keeper_clear(&keeper);
}

static void the_news_tell_how_the_kernel_does(void **state)
{
    struct step_keeper keeper;
    struct visitor visitor;

    (void)state;
    start_waiting(&keeper);
    come(&visitor, &keeper);
    struct step_news news = news_of(&keeper);
    assert_true(news.journal_size > 0);
    assert_true(news.has_kernel);
    assert_false(news.is_kept);
    assert_string_equal(news.kernel_name, "fake");
    assert_int_equal(news.kernel.activity, KERNEL_ACTIVITY_BUSY);
    assert_int_equal(news.kernel.connections, 1);
    assert_int_equal(news.kernel.starts, 1);
    assert_true(news.kernel.last_activity_us > 0);
    executes(&visitor, "mine");
    check_end(&keeper, "SUCCESS", "", "");
    leave(&visitor);
    step_keeper_clear(&keeper);
}

/* --- kept --- */

static const struct cell fails[] = {
    {"one", NULL}, {"up\nraise ValueError", NULL}, {"never", NULL}, {0}};

static void start_failing(struct step_keeper *keeper, int64_t keep_s)
{
    init(keeper, fails, FAKE_KERNEL);
    keeper->task.keep_kernel_s = keep_s;
    step_keeper_start(keeper);
    step_keeper_await(keeper, "step_finished");
}

static bool has_sockets(const struct step_keeper *keeper)
{
    auto_free char *sockets = fs_join(keeper->root, "k");

    return fs_exists(sockets);
}

static void a_kept_kernel_can_be_looked_at(void **state)
{
    struct step_keeper keeper;
    struct visitor visitor;
    auto_json struct json doc = {0};

    (void)state;
    start_failing(&keeper, 3600);
    auto_free char *journal = scratch_read(keeper.attempt, KEEPER_JOURNAL);
    assert_non_null(strstr(journal, "\"kept_s\":3600}"));
    read_executed(&keeper, &doc); /* is there already */
    check_cell(&doc, 1, "2", "[" PRINTED("up") "," RAISED("ValueError") "]");
    check_cell(&doc, 2, "null", "[]");
    come(&visitor, &keeper);
    executes(&visitor, "a look");
    hears(&visitor, "stream", "a look");
    struct step_news news = news_of(&keeper);
    assert_true(news.is_kept);
    assert_int_equal(news.kernel.connections, 1);
    assert_true(has_sockets(&keeper));
    command(&keeper, "release");
    is_sent_off(&visitor);
    check_out(&keeper, "FAILURE", "cell_error", "one\nup\n");
    assert_false(has_sockets(&keeper));
    leave(&visitor);
    step_keeper_clear(&keeper);
}

static void a_kept_kernel_ends_when_its_time_is_over(void **state)
{
    struct step_keeper keeper;

    (void)state;
    start_failing(&keeper, 1);
    check_out(&keeper, "FAILURE", "cell_error", "one\nup\n");
    assert_false(has_sockets(&keeper));
    step_keeper_clear(&keeper);
}

static void a_kept_kernel_ends_when_it_is_stopped(void **state)
{
    struct step_keeper keeper;

    (void)state;
    start_failing(&keeper, 3600);
    step_keeper_stop(&keeper, "cancelled");
    check_out(&keeper, "FAILURE", "cell_error", "one\nup\n");
    assert_false(has_sockets(&keeper));
    step_keeper_clear(&keeper);
}

static void a_kept_kernel_that_dies_ends_its_keeper(void **state)
{
    struct step_keeper keeper;
    struct visitor visitor;

    (void)state;
    start_failing(&keeper, 3600);
    come(&visitor, &keeper);
    executes(&visitor, "die");
    is_sent_off(&visitor);
    check_out(&keeper, "FAILURE", "cell_error", "one\nup\n");
    assert_false(has_sockets(&keeper));
    leave(&visitor);
    step_keeper_clear(&keeper);
}

static void a_cell_over_its_time_keeps_the_kernel(void **state)
{
    static const struct cell cells[] = {{"hang", NULL}, {"never", NULL}, {0}};
    struct step_keeper keeper;

    (void)state;
    init(&keeper, cells, FAKE_KERNEL);
    keeper.task.cell_timeout_s = 1;
    keeper.task.keep_kernel_s = 3600;
    step_keeper_start(&keeper);
    step_keeper_await(&keeper, "\"cause\":\"timeout\"");
    assert_true(news_of(&keeper).is_kept);
    command(&keeper, "release");
    check_end(&keeper, "FAILURE", "timeout", "its limit of 1 s");
    step_keeper_clear(&keeper);
}

/* Steps that end otherwise do so as ever. */
static void nothing_is_kept_of_other_ends(void **state)
{
    static const struct {
        struct cell cells[3];
        const char *status, *cause;
    } rows[] = {
        {{{"one", NULL}, {"two", NULL}}, "SUCCESS", ""},
        {{{"one", NULL}, {"raise E", "raises-exception"}}, "SUCCESS", ""},
        {{{"one", NULL}, {"die", NULL}}, "FAILURE", "kernel_died"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct step_keeper keeper;
        init(&keeper, rows[i].cells, FAKE_KERNEL);
        keeper.task.keep_kernel_s = 3600;
        step_keeper_start(&keeper);
        check_end(&keeper, rows[i].status, rows[i].cause, "");
        auto_free char *journal = scratch_read(keeper.attempt, KEEPER_JOURNAL);
        assert_null(strstr(journal, "kept_s"));
        step_keeper_clear(&keeper);
    }
}

static void what_is_stopped_is_not_kept(void **state)
{
    static const struct cell cells[] = {{"up\nhang", NULL}, {"never", NULL}, {0}};
    static const char *const causes[] = {"cancelled", "timeout"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct step_keeper keeper;
        init(&keeper, cells, FAKE_KERNEL);
        keeper.task.keep_kernel_s = 3600;
        step_keeper_start(&keeper);
        step_keeper_await(&keeper, "up\\n");
        step_keeper_stop(&keeper, causes[i]);
        check_end(&keeper, i == 0 ? "ABORTED" : "FAILURE", causes[i], "");
        step_keeper_clear(&keeper);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_visitor_hears_the_cells_and_the_end),
        cmocka_unit_test(a_visitor_may_come_before_the_kernel),
        cmocka_unit_test(what_visitors_execute_is_not_the_steps),
        cmocka_unit_test(a_visitor_is_asked_for_the_input_of_their_own),
        cmocka_unit_test(a_visitors_mistake_is_not_the_steps),
        cmocka_unit_test(an_interrupt_fails_the_cell),
        cmocka_unit_test(who_does_not_read_holds_nothing_up),
        cmocka_unit_test(commands_that_are_none_change_nothing),
        cmocka_unit_test(the_news_tell_how_the_kernel_does),
        cmocka_unit_test(a_kept_kernel_can_be_looked_at),
        cmocka_unit_test(a_kept_kernel_ends_when_its_time_is_over),
        cmocka_unit_test(a_kept_kernel_ends_when_it_is_stopped),
        cmocka_unit_test(a_kept_kernel_that_dies_ends_its_keeper),
        cmocka_unit_test(a_cell_over_its_time_keeps_the_kernel),
        cmocka_unit_test(nothing_is_kept_of_other_ends),
        cmocka_unit_test(what_is_stopped_is_not_kept),
    };

    if (argc == 3 && strcmp(argv[1], FAKE_KERNEL) == 0)
        cell_kernel(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
