#include "kernel-gateway/message.h"

#include "base/clock.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HEADER(type)                                                                               \
    "{\"msg_id\":\"m1\",\"msg_type\":\"" type "\",\"date\":\"2026-01-02T03:04:05Z\"}"

/* Makes a message of frames without a signature. */
static enum wire_fault receive(struct message *message, const struct str *frames, size_t count)
{
    zmq_msg_t *items = mem_array(count, sizeof *items);
    for (size_t i = 0; i < count; i++) {
        zmq_msg_init_size(&items[i], frames[i].len);
        memcpy(zmq_msg_data(&items[i]), frames[i].text, frames[i].len);
    }
    struct wire_key *key = wire_key_new("");
    enum wire_fault fault = message_take_frames(message, items, count, key);
    wire_key_free(key);
    return fault;
}

static enum wire_fault receive_parts(struct message *message, struct str header, struct str parent,
                                     struct str content)
{
    const struct str frames[] = {WIRE_DELIMITER, STR(""), header, parent, STR("{}"), content};
    return receive(message, frames, 6);
}

static void reads_headers_and_content(void **state)
{
    (void)state;
    auto_message struct message message = {0};
    const struct str frames[] = {STR("topic"),
                                 WIRE_DELIMITER,
                                 STR(""),
                                 STR(HEADER("stream")),
                                 STR("{\"msg_id\":\"p1\"}"),
                                 STR("{\"k\":1}"),
                                 STR("{\"text\":\"hello\"}"),
                                 STR("buffer one"),
                                 STR("")};
    assert_int_equal(receive(&message, frames, 9), WIRE_OK);
    assert_int_equal(message.type, MESSAGE_STREAM);
    assert_string_equal(message_id(&message), "m1");
    assert_string_equal(message_parent_id(&message), "p1");
    assert_int_equal(message_date_us(&message), time_text_parse("2026-01-02T03:04:05Z"));
    const struct json *content = message_content(&message);
    assert_true(json_is(content, json_get(content, 0, "text"), "hello"));
    assert_ptr_equal(message_content(&message), content);
    const struct json *metadata = message_metadata(&message);
    assert_int_equal(json_count(metadata, 0), 1);
    assert_true(str_is(message_raw(&message, WIRE_CONTENT), "{\"text\":\"hello\"}"));
    assert_int_equal(message_buffer_count(&message), 2);
    assert_true(str_is(message_buffer(&message, 0), "buffer one"));
    assert_int_equal(message_buffer(&message, 1).len, 0);
}

static void knows_types_by_name(void **state)
{
    (void)state;
    static const struct {
        struct str header;
        enum message_type type;
    } rows[] = {
        {STR(HEADER("status")), MESSAGE_STATUS},
        {STR(HEADER("execute_reply")), MESSAGE_EXECUTE_REPLY},
        {STR(HEADER("shutdown_reply")), MESSAGE_SHUTDOWN_REPLY},
        {STR(HEADER("stat\\u0075s")), MESSAGE_STATUS},
        {STR(HEADER("debug_event")), MESSAGE_OTHER},
        {STR(HEADER("")), MESSAGE_OTHER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_message struct message message = {0};
        assert_int_equal(receive_parts(&message, rows[i].header, STR("{}"), STR("{}")), WIRE_OK);
        assert_int_equal(message.type, rows[i].type);
    }
}

static void missing_ids_are_empty(void **state)
{
    (void)state;
    auto_message struct message message = {0};
    assert_int_equal(receive_parts(&message, STR("{\"msg_type\":\"x\"}"), STR("{}"), STR("{}")),
                     WIRE_OK);
    assert_string_equal(message_id(&message), "");
    assert_string_equal(message_parent_id(&message), "");
    assert_int_equal(message_date_us(&message), -1);
    struct uuid none = {0}; /* a request that was never sent has no children */
    assert_false(message_is_child_of(&message, &none));
}

static void children_are_told_by_parent_id(void **state)
{
    (void)state;
    struct uuid id = uuid_random(), other = uuid_random();
    auto_free char *parent = mem_printf("{\"msg_id\":\"%s\"}", id.text);
    auto_message struct message message = {0};
    assert_int_equal(receive_parts(&message, STR(HEADER("status")), str_of(parent), STR("{}")),
                     WIRE_OK);
    assert_true(message_is_child_of(&message, &id));
    assert_false(message_is_child_of(&message, &other));
}

static void refuses_bad_headers(void **state)
{
    (void)state;
    static const struct str headers[] = {
        {"", 0},   {"{", 1}, {"\xff\xfe", 2},          {"[]", 2},
        {"{}", 2}, {"1", 1}, {"{\"msg_type\":1}", 14}, {"{\"msg_type\":null}", 17},
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        auto_message struct message message = {0};
        assert_int_equal(receive_parts(&message, headers[i], STR("{}"), STR("{}")),
                         WIRE_BAD_HEADER);
        assert_null(message.frames); /* clear again */
    }
    auto_message struct message message = {0};
    assert_int_equal(receive_parts(&message, STR(HEADER("status")), STR("{"), STR("{}")),
                     WIRE_BAD_HEADER);
}

static void refuses_what_is_too_short(void **state)
{
    (void)state;
    auto_message struct message message = {0};
    const struct str frames[] = {WIRE_DELIMITER, STR("")};
    assert_int_equal(receive(&message, frames, 2), WIRE_TOO_SHORT);
    assert_int_equal(receive(&message, frames + 1, 1), WIRE_NO_DELIMITER);
}

static void tolerates_what_kernels_send(void **state)
{
    (void)state;
    auto_message struct message message = {0};
    struct str content = STR("{\"a\":NaN,\"b\":-Infinity,\"c\":\"\xff\",\"d\":\"\\ud800\"}");
    assert_int_equal(receive_parts(&message, STR(HEADER("stream")), STR("{}"), content), WIRE_OK);
    const struct json *doc = message_content(&message);
    assert_int_equal(json_count(doc, 0), 4);
    assert_int_equal(json_kind(doc, json_get(doc, 0, "a")), JSON_NUMBER);
    auto_free char *text = json_strdup(doc, json_get(doc, 0, "c"));
    assert_string_equal(text, "\xef\xbf\xbd");
}

static void broken_content_reads_as_empty(void **state)
{
    (void)state;
    auto_message struct message message = {0};
    assert_int_equal(receive_parts(&message, STR(HEADER("stream")), STR("{}"), STR("{\"a\":")),
                     WIRE_OK);
    const struct json *doc = message_content(&message);
    assert_int_equal(json_get(doc, 0, "a"), JSON_NONE);
    assert_int_equal(json_count(doc, 0), 0);
}

static void moved_message_stays_readable(void **state)
{
    (void)state;
    struct message from = {0};
    auto_message struct message to = {0};
    assert_int_equal(receive_parts(&from, STR(HEADER("status")), STR("{}"),
                                   STR("{\"execution_state\":\"idle\"}")),
                     WIRE_OK);
    message_move(&to, &from);
    assert_null(from.frames);
    message_clear(&from);
    const struct json *content = message_content(&to);
    assert_true(json_is(content, json_get(content, 0, "execution_state"), "idle"));
    assert_string_equal(message_id(&to), "m1");
}

static void builds_headers(void **state)
{
    (void)state;
    auto_buf struct buf text = {0};
    auto_json struct json doc = {0};
    struct uuid session = uuid_random(), id = {0}, second = {0};
    struct err e;
    message_put_header(&text, "execute_request", &session, &id);
    assert_int_equal(json_parse(&doc, (struct str){text.data, text.len}, JSON_STRICT, NULL, &e), 0);
    assert_true(json_is(&doc, json_get(&doc, 0, "msg_id"), id.text));
    assert_true(json_is(&doc, json_get(&doc, 0, "session"), session.text));
    assert_true(json_is(&doc, json_get(&doc, 0, "username"), "segue"));
    assert_true(json_is(&doc, json_get(&doc, 0, "msg_type"), "execute_request"));
    assert_true(json_is(&doc, json_get(&doc, 0, "version"), "5.4"));
    auto_free char *date = json_strdup(&doc, json_get(&doc, 0, "date"));
    assert_true(time_text_parse(date) > 0);
    auto_buf struct buf other = {0};
    message_put_header(&other, "execute_request", &session, &second);
    assert_string_not_equal(id.text, second.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_headers_and_content),
        cmocka_unit_test(knows_types_by_name),
        cmocka_unit_test(missing_ids_are_empty),
        cmocka_unit_test(children_are_told_by_parent_id),
        cmocka_unit_test(refuses_bad_headers),
        cmocka_unit_test(refuses_what_is_too_short),
        cmocka_unit_test(tolerates_what_kernels_send),
        cmocka_unit_test(broken_content_reads_as_empty),
        cmocka_unit_test(moved_message_stays_readable),
        cmocka_unit_test(builds_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
