#include "kernel-gateway/channels.h"

#include "fake_peer.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#define MAX_BYTES (1 * MiB)

struct fixture {
    char *directory;
    struct connection connection;
    struct peer peer;
    struct channels *channels;
    int wake_fd;
    unsigned counts[CHANNEL_COUNT];
    unsigned disconnected[CHANNEL_COUNT];
    struct message last;
};

static void on_message(void *user, enum channel channel, struct message *message)
{
    struct fixture *fixture = user;
    fixture->counts[channel]++;
    message_clear(&fixture->last);
    message_move(&fixture->last, message);
}

static void on_disconnected(void *user, enum channel channel)
{
    struct fixture *fixture = user;
    fixture->disconnected[channel]++;
}

static int set_up(void **state)
{
    struct err e;
    struct fixture *fixture = mem_zalloc(sizeof *fixture);
    fixture->directory = mem_strdup("/tmp/segue-test-XXXXXX");
    static const struct channels_events events = {on_message, on_disconnected};
    *state = fixture;
    if (!mkdtemp(fixture->directory) ||
        connection_make_ipc(&fixture->connection, fixture->directory, NULL, &e) < 0 ||
        channels_open(&fixture->channels, &fixture->connection,
                      &(struct channels_options){.max_message_bytes = MAX_BYTES}, &events, fixture,
                      &e) < 0)
        return -1;
    fixture->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    /* The kernel comes after us, as in life. */
    peer_open(&fixture->peer, &fixture->connection);
    peer_await_subscriber(&fixture->peer);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    struct err e;
    message_clear(&fixture->last);
    channels_free(fixture->channels);
    if (fixture->peer.context)
        peer_close(&fixture->peer, 0);
    connection_clear(&fixture->connection);
    close(fixture->wake_fd);
    int rc = fs_remove_tree(fixture->directory, &e);
    free(fixture->directory);
    free(fixture);
    return rc;
}

static void poll_once(struct fixture *fixture)
{
    channels_poll(fixture->channels, fixture->wake_fd, PEER_TIMEOUT_MS);
}

static void poll_until(struct fixture *fixture, const unsigned *counter, unsigned count)
{
    while (*counter < count)
        poll_once(fixture);
    assert_int_equal(*counter, count);
}

static uint64_t dropped(const struct fixture *fixture, enum wire_fault fault)
{
    return channels_counts(fixture->channels)->dropped[fault];
}

static void requests_and_replies(void **state)
{
    struct fixture *fixture = *state;
    static const enum channel channels[] = {CHANNEL_SHELL, CHANNEL_CONTROL};
    struct err e;
    for (size_t i = 0; i < 2; i++) {
        struct uuid id = {0};
        const struct str buffers[] = {STR("one"), STR("two")};
        const struct outgoing message = {.msg_type = "execute_request",
                                         .content = STR("{\"code\":\"1\"}"),
                                         .buffers = buffers,
                                         .buffer_count = 2};
        assert_int_equal(channels_send(fixture->channels, channels[i], &message, &id, &e), 0);
        auto_message struct message request = {0};
        peer_receive(&fixture->peer, channels[i], &request);
        assert_string_equal(message_id(&request), id.text);
        assert_true(
            json_is(&request.header, json_get(&request.header, 0, "msg_type"), "execute_request"));
        assert_true(json_is(&request.header, json_get(&request.header, 0, "session"),
                            channels_session(fixture->channels)->text));
        assert_true(str_is(message_raw(&request, WIRE_CONTENT), "{\"code\":\"1\"}"));
        assert_true(str_is(message_raw(&request, WIRE_PARENT), "{}"));
        assert_int_equal(message_buffer_count(&request), 2);
        assert_true(str_is(message_buffer(&request, 1), "two"));

        assert_true(
            peer_reply(&fixture->peer, channels[i], &request, "execute_reply", STR("{\"x\":1}")));
        poll_until(fixture, &fixture->counts[channels[i]], 1);
        assert_int_equal(fixture->last.type, MESSAGE_EXECUTE_REPLY);
        assert_true(message_is_child_of(&fixture->last, &id));
    }
}

static void own_header_is_relayed(void **state)
{
    struct fixture *fixture = *state;
    struct err e;
    struct uuid id = {0};
    const struct outgoing message = {.header = STR("{ \"msg_type\":\"x\" , \"msg_id\":\"theirs\"}"),
                                     .parent = STR("{\"msg_id\":\"p\"}"),
                                     .metadata = STR("{\"m\":1}")};
    assert_int_equal(channels_send(fixture->channels, CHANNEL_SHELL, &message, &id, &e), 0);
    assert_string_equal(id.text, "");
    auto_message struct message request = {0};
    peer_receive(&fixture->peer, CHANNEL_SHELL, &request);
    assert_true(str_eq(message_raw(&request, WIRE_HEADER), message.header));
    assert_true(str_eq(message_raw(&request, WIRE_PARENT), message.parent));
    assert_true(str_eq(message_raw(&request, WIRE_METADATA), message.metadata));
    assert_true(str_is(message_raw(&request, WIRE_CONTENT), "{}"));
}

static void stdin_is_reached_by_the_identity_of_shell(void **state)
{
    struct fixture *fixture = *state;
    struct err e;
    const struct outgoing message = {.msg_type = "execute_request"};
    assert_int_equal(channels_send(fixture->channels, CHANNEL_SHELL, &message, NULL, &e), 0);
    auto_message struct message request = {0};
    peer_receive(&fixture->peer, CHANNEL_SHELL, &request);
    /* A router knows an identity only once its connection is there, and nothing tells when. */
    const struct outgoing hello = {.msg_type = "input_reply"};
    assert_int_equal(channels_send(fixture->channels, CHANNEL_STDIN, &hello, NULL, &e), 0);
    auto_message struct message unasked = {0};
    peer_receive(&fixture->peer, CHANNEL_STDIN, &unasked);
    assert_true(peer_reply(&fixture->peer, CHANNEL_STDIN, &request, "input_request", STR("{}")));
    poll_until(fixture, &fixture->counts[CHANNEL_STDIN], 1);
    assert_int_equal(fixture->last.type, MESSAGE_INPUT_REQUEST);
}

static void iopub_comes_with_any_number_of_identities(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = &fixture->peer;
    struct str none = {NULL, 0};
    assert_true(peer_send(peer, CHANNEL_IOPUB, none, "iopub_welcome", STR("{}"), STR("{}")));
    assert_true(peer_send(peer, CHANNEL_IOPUB, STR(""), "status", STR("{}"), STR("{}")));
    assert_true(peer_send(peer, CHANNEL_IOPUB, (struct str){"\0\xff id", 5}, "status", STR("{}"),
                          STR("{}")));
    poll_until(fixture, &fixture->counts[CHANNEL_IOPUB], 3);
    assert_int_equal(fixture->last.type, MESSAGE_STATUS);
    for (int i = 0; i < WIRE_FAULT_COUNT; i++)
        assert_int_equal(dropped(fixture, (enum wire_fault)i), 0);
}

static void bad_messages_are_counted_and_dropped(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = &fixture->peer;
    struct wire_key *right = peer->key;
    struct wire_key *wrong = wire_key_new("wrong");
    const struct str garbage[] = {STR("garbage"), STR("\xff\xfe")};
    const struct str cut[] = {STR("t"), WIRE_DELIMITER, STR("s"), STR("{}")};
    assert_true(peer_send_frames(peer, CHANNEL_IOPUB, garbage, 2));
    assert_true(peer_send_frames(peer, CHANNEL_IOPUB, garbage, 1));
    assert_true(peer_send_frames(peer, CHANNEL_IOPUB, cut, 4));
    peer->key = wrong;
    for (int i = 0; i < 3; i++)
        assert_true(peer_publish(peer, "stream", STR("{}"), STR("{}")));
    peer->key = right;
    assert_true(peer_publish(peer, "stream", STR("no JSON"), STR("{}")));
    assert_true(peer_publish(peer, "status", STR("{}"), STR("{}")));
    wire_key_free(wrong);
    poll_until(fixture, &fixture->counts[CHANNEL_IOPUB], 1);
    assert_int_equal(fixture->last.type, MESSAGE_STATUS);
    assert_int_equal(dropped(fixture, WIRE_NO_DELIMITER), 2);
    assert_int_equal(dropped(fixture, WIRE_TOO_SHORT), 1);
    assert_int_equal(dropped(fixture, WIRE_BAD_SIGNATURE), 3);
    assert_int_equal(dropped(fixture, WIRE_BAD_HEADER), 1);
    assert_int_equal(channels_counts(fixture->channels)->received[CHANNEL_IOPUB], 1);
}

static void many_frames_arrive_in_order(void **state)
{
    struct fixture *fixture = *state;
    enum { FRAMES = 300, HEAD = 6 };
    struct str frames[FRAMES];
    char texts[FRAMES][8];
    const struct str parts[WIRE_PART_COUNT] = {STR("{\"msg_type\":\"comm_msg\"}"), STR("{}"),
                                               STR("{}"), STR("{}")};
    char signature[WIRE_SIGNATURE_SIZE + 1];
    wire_sign(fixture->peer.key, parts, signature);
    frames[0] = WIRE_DELIMITER;
    frames[1] = str_of(signature);
    memcpy(frames + 2, parts, sizeof parts);
    for (int i = HEAD; i < FRAMES; i++) {
        snprintf(texts[i], sizeof texts[i], "%d", i - HEAD);
        frames[i] = str_of(texts[i]);
    }
    assert_true(peer_send_frames(&fixture->peer, CHANNEL_IOPUB, frames, FRAMES));
    poll_until(fixture, &fixture->counts[CHANNEL_IOPUB], 1);
    assert_int_equal(message_buffer_count(&fixture->last), FRAMES - HEAD);
    for (size_t i = 0; i < FRAMES - HEAD; i++)
        assert_true(str_eq(message_buffer(&fixture->last, i), frames[HEAD + i]));
}

/* The kernel's side holds 1,000 messages and drops (here: refuses) what does not fit, so all of
 * them fit only if we take them in without a limit while nobody reads. */
static void flood_is_complete_for_a_slow_reader(void **state)
{
    struct fixture *fixture = *state;
    enum { FLOOD = 20000 };
    for (int i = 0; i < FLOOD; i++) {
        char content[64];
        int len = snprintf(content, sizeof content, "{\"text\":\"line %d\"}", i);
        assert_true(
            peer_publish(&fixture->peer, "stream", STR("{}"), (struct str){content, (size_t)len}));
    }
    poll_until(fixture, &fixture->counts[CHANNEL_IOPUB], FLOOD);
    assert_true(str_is(message_raw(&fixture->last, WIRE_CONTENT), "{\"text\":\"line 19999\"}"));
}

static void no_channel_starves_another(void **state)
{
    struct fixture *fixture = *state;
    struct err e;
    const struct outgoing message = {.msg_type = "kernel_info_request"};
    auto_message struct message request = {0};
    assert_int_equal(channels_send(fixture->channels, CHANNEL_SHELL, &message, NULL, &e), 0);
    peer_receive(&fixture->peer, CHANNEL_SHELL, &request);
    for (int i = 0; i < 5000; i++)
        assert_true(peer_publish(&fixture->peer, "stream", STR("{}"), STR("{}")));
    assert_true(
        peer_reply(&fixture->peer, CHANNEL_SHELL, &request, "kernel_info_reply", STR("{}")));
    for (int i = 0; i < 5000; i++)
        assert_true(peer_publish(&fixture->peer, "stream", STR("{}"), STR("{}")));
    while (fixture->counts[CHANNEL_SHELL] == 0) {
        unsigned before = fixture->counts[CHANNEL_IOPUB];
        poll_once(fixture);
        assert_true(fixture->counts[CHANNEL_IOPUB] - before <= 100); /* a bounded round */
    }
    assert_true(fixture->counts[CHANNEL_IOPUB] < 10000);
    poll_until(fixture, &fixture->counts[CHANNEL_IOPUB], 10000);
}

static void big_message_arrives_whole(void **state)
{
    struct fixture *fixture = *state;
    auto_buf struct buf content = {0};
    buf_puts(&content, "{\"text\":\"");
    while (content.len < MAX_BYTES - 100)
        buf_puts(&content, "0123456789abcdef");
    buf_puts(&content, "\"}");
    struct str text = {content.data, content.len};
    assert_true(peer_publish(&fixture->peer, "stream", STR("{}"), text));
    poll_until(fixture, &fixture->counts[CHANNEL_IOPUB], 1);
    assert_true(str_eq(message_raw(&fixture->last, WIRE_CONTENT), text));
}

static void oversized_message_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    auto_free char *content = mem_zalloc(MAX_BYTES + 1);
    assert_true(peer_publish(&fixture->peer, "status", STR("{}"), STR("{}")));
    assert_true(
        peer_publish(&fixture->peer, "stream", STR("{}"), (struct str){content, MAX_BYTES + 1}));
    poll_until(fixture, &fixture->disconnected[CHANNEL_IOPUB], 1);
    assert_int_equal(fixture->disconnected[CHANNEL_SHELL], 0);
    poll_until(fixture, &fixture->counts[CHANNEL_IOPUB], 1); /* what came before it */
    assert_false(channels_are_closed(fixture->channels));
}

/* The channels connect each by itself: of one that has not yet, no end can be noticed. */
static void await_connection(struct fixture *fixture, enum channel channel)
{
    const struct outgoing message = {.msg_type = "kernel_info_request", .content = STR("{}")};
    auto_message struct message request = {0};
    struct err e;

    assert_int_equal(channels_send(fixture->channels, channel, &message, NULL, &e), 0);
    peer_receive(&fixture->peer, channel, &request);
}

static void end_of_the_peer_is_noticed_behind_its_messages(void **state)
{
    struct fixture *fixture = *state;
    await_connection(fixture, CHANNEL_SHELL);
    await_connection(fixture, CHANNEL_CONTROL);
    assert_false(channels_are_closed(fixture->channels));
    for (int i = 0; i < 500; i++)
        assert_true(peer_publish(&fixture->peer, "stream", STR("{}"), STR("{}")));
    peer_close(&fixture->peer, PEER_TIMEOUT_MS);
    poll_until(fixture, &fixture->disconnected[CHANNEL_IOPUB], 1);
    poll_until(fixture, &fixture->disconnected[CHANNEL_SHELL], 1);
    poll_until(fixture, &fixture->disconnected[CHANNEL_CONTROL], 1);
    assert_true(channels_are_closed(fixture->channels));
    while (channels_poll(fixture->channels, fixture->wake_fd, 0) > 0)
        ;
    assert_int_equal(fixture->counts[CHANNEL_IOPUB], 500);
}

static void kernel_that_reads_nothing_is_refused_at_last(void **state)
{
    struct fixture *fixture = *state;
    struct err e;
    auto_free char *code = mem_zalloc(100 * KiB);
    memset(code, ' ', 100 * KiB - 1);
    const struct outgoing message = {.msg_type = "x", .content = str_of(code)};
    int sent = 0;
    while (channels_send(fixture->channels, CHANNEL_SHELL, &message, NULL, &e) == 0)
        assert_true(++sent < 10000);
    assert_int_equal(e.code, ERR_LIMIT);
    assert_true(sent >= 1000);
    /* Whole messages only: the queue is still good. */
    auto_message struct message request = {0};
    peer_receive(&fixture->peer, CHANNEL_SHELL, &request);
}

static void receive_takes_one_at_a_time(void **state)
{
    struct fixture *fixture = *state;
    auto_message struct message message = {0};
    assert_int_equal(channels_receive(fixture->channels, CHANNEL_IOPUB, &message), 0);
    const struct str garbage[] = {STR("garbage")};
    assert_true(peer_send_frames(&fixture->peer, CHANNEL_IOPUB, garbage, 1));
    assert_true(peer_publish(&fixture->peer, "status", STR("{}"), STR("{}")));
    while (!channels_receive(fixture->channels, CHANNEL_IOPUB, &message))
        ; /* it is on its way */
    assert_int_equal(message.type, MESSAGE_STATUS);
    assert_int_equal(dropped(fixture, WIRE_NO_DELIMITER), 1);
}

static void wakes_for_the_loop(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(eventfd_write(fixture->wake_fd, 1), 0);
    assert_int_equal(channels_poll(fixture->channels, fixture->wake_fd, -1), 0);
}

#define WITH_PEER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PEER(requests_and_replies),
        WITH_PEER(own_header_is_relayed),
        WITH_PEER(stdin_is_reached_by_the_identity_of_shell),
        WITH_PEER(iopub_comes_with_any_number_of_identities),
        WITH_PEER(bad_messages_are_counted_and_dropped),
        WITH_PEER(many_frames_arrive_in_order),
        WITH_PEER(flood_is_complete_for_a_slow_reader),
        WITH_PEER(no_channel_starves_another),
        WITH_PEER(big_message_arrives_whole),
        WITH_PEER(oversized_message_is_noticed),
        WITH_PEER(end_of_the_peer_is_noticed_behind_its_messages),
        WITH_PEER(kernel_that_reads_nothing_is_refused_at_last),
        WITH_PEER(receive_takes_one_at_a_time),
        WITH_PEER(wakes_for_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
