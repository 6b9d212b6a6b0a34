/* What is refused is tested by test_websocket, over sockets. */
#include "kernel-gateway/clients/websocket_input.h"

#include "tests/unit/kernel-gateway/clients/websocket_peer.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void add(struct websocket_input *input, struct str bytes)
{
    char *room = websocket_input_room(input, bytes.len);
    if (bytes.len)
        memcpy(room, bytes.text, bytes.len);
    websocket_input_add(input, bytes.len);
}

/* Takes all items that are there; appends them as text. */
static void take(struct websocket_input *input, struct buf *log)
{
    static const char *const names[] = {"text", "binary", "ping", "pong", "close", "fault"};
    struct websocket_item item;
    do {
        if (!websocket_input_next(input, &item))
            return;
        buf_printf(log, "%s", names[item.kind]);
        if (item.code)
            buf_printf(log, " %u", item.code);
        buf_printf(log, ":" STR_FMT ";", STR_ARG(item.data));
    } while (item.kind != WEBSOCKET_ITEM_CLOSE && item.kind != WEBSOCKET_ITEM_FAULT);
}

static void put_frames(struct buf *out)
{
    peer_put_frame(out, PEER_FIN | PEER_TEXT, STR("a"));
    peer_put_frame(out, PEER_BINARY, STR("b"));
    peer_put_frame(out, PEER_FIN | PEER_PING, STR("p"));
    peer_put_frame(out, PEER_CONTINUATION, STR(""));
    peer_put_frame(out, PEER_FIN | PEER_PONG, STR(""));
    peer_put_frame(out, PEER_FIN | PEER_CONTINUATION, STR("c"));
    peer_put_frame(out, PEER_FIN | PEER_TEXT, STR("after a control frame nothing is left of it"));
    peer_put_close(out, 1001, "reason");
}

#define ITEMS                                                                                      \
    "text:a;ping:p;pong:;binary:bc;text:after a control frame nothing is left of it;"              \
    "close 1001:;"

static void items_come_out_wherever_the_bytes_are_cut(void **state)
{
    (void)state;
    auto_buf struct buf frames = {0};
    put_frames(&frames);
    for (size_t cut = 0; cut <= frames.len; cut++) {
        auto_buf struct buf log = {0};
        struct websocket_input *input = websocket_input_new(100);
        add(input, (struct str){frames.data, cut});
        take(input, &log);
        if (cut < frames.len) {
            add(input, (struct str){frames.data + cut, frames.len - cut});
            take(input, &log);
        }
        assert_string_equal(buf_text(&log), ITEMS);
        websocket_input_free(input);
    }
}

static void the_cap_is_for_a_message_and_not_for_all(void **state)
{
    (void)state;
    auto_buf struct buf frames = {0}, log = {0};
    struct websocket_input *input = websocket_input_new(4);
    for (int i = 0; i < 3; i++) {
        peer_put_frame(&frames, PEER_TEXT, STR("12"));
        peer_put_frame(&frames, PEER_FIN | PEER_PING, STR("longer than that"));
        peer_put_frame(&frames, PEER_FIN | PEER_CONTINUATION, STR("34"));
    }
    peer_put_frame(&frames, PEER_FIN | PEER_TEXT, STR("12345"));
    add(input, (struct str){frames.data, frames.len});
    take(input, &log);
    assert_string_equal(log.data,
                        "ping:longer than that;text:1234;ping:longer than that;text:1234;"
                        "ping:longer than that;text:1234;fault 1009:message is too long;");
    websocket_input_free(input);
    websocket_input_free(NULL);
}

static void what_is_not_taken_is_dropped(void **state)
{
    (void)state;
    auto_buf struct buf frames = {0}, log = {0};
    struct websocket_input *input = websocket_input_new(100);
    add(input, STR("never looked at"));
    put_frames(&frames);
    add(input, (struct str){frames.data, frames.len});
    take(input, &log);
    assert_string_equal(log.data, ITEMS);
    websocket_input_free(input);
}

static void a_close_without_a_code_has_1005(void **state)
{
    (void)state;
    auto_buf struct buf frames = {0}, log = {0};
    struct websocket_input *input = websocket_input_new(100);
    peer_put_frame(&frames, PEER_FIN | PEER_CLOSE, STR(""));
    add(input, (struct str){frames.data, frames.len});
    take(input, &log);
    assert_string_equal(log.data, "close 1005:;");
    websocket_input_free(input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_wherever_the_bytes_are_cut),
        cmocka_unit_test(the_cap_is_for_a_message_and_not_for_all),
        cmocka_unit_test(what_is_not_taken_is_dropped),
        cmocka_unit_test(a_close_without_a_code_has_1005),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
