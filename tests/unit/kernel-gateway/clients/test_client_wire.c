#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/clients/client_wire.h"

#include <endian.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* One message in both protocols, as jupyter_server's serialize_msg_to_ws_v1 and
 * serialize_binary_message write it, but for the blanks of the latter. */
#define GOLDEN_HEADER  "{\"msg_id\":\"a1\",\"msg_type\":\"comm_msg\"}"
#define GOLDEN_CONTENT "{\"data\":{}}"
#define V1_NUMBER(low) low "\0\0\0\0\0\0\0"
#define GOLDEN_V1                                                                                  \
    V1_NUMBER("\x08")                                                                              \
    V1_NUMBER("\x48")                                                                              \
    V1_NUMBER("\x4d")                                                                              \
    V1_NUMBER("\x72")                                                                              \
    V1_NUMBER("\x74")                                                                              \
    V1_NUMBER("\x7b")                                                                              \
    V1_NUMBER("\x86")                                                                              \
    V1_NUMBER("\x89")                                                                              \
    V1_NUMBER("\x89") "shell" GOLDEN_HEADER "{}{\"k\":1}" GOLDEN_CONTENT "\x00\xff\x10"
#define GOLDEN_LEGACY(buffers, channel)                                                            \
    "{\"header\":" GOLDEN_HEADER ",\"msg_id\":\"a1\",\"msg_type\":\"comm_msg\","                   \
    "\"parent_header\":{},\"metadata\":{\"k\":1},\"content\":" GOLDEN_CONTENT buffers              \
    ",\"channel\":\"" channel "\"}"
#define GOLDEN_BINARY                                                                              \
    "\0\0\0\x03"                                                                                   \
    "\0\0\0\x10"                                                                                   \
    "\0\0\0\xb2"                                                                                   \
    "\0\0\0\xb5" GOLDEN_LEGACY("", "shell") "\x00\xff\x10"

static const struct str golden_parts[WIRE_PART_COUNT] = {STR(GOLDEN_HEADER), STR("{}"),
                                                         STR("{\"k\":1}"), STR(GOLDEN_CONTENT)};
static const struct str golden_buffers[] = {STR("\x00\xff\x10"), STR("")};

static void assert_str(struct str actual, struct str expected)
{
    if (str_eq(actual, expected))
        return;
    fail_msg("\"" STR_FMT "\" is not \"" STR_FMT "\"", STR_ARG(actual), STR_ARG(expected));
}

static void assert_contains(struct str text, const char *what)
{
    if (!memmem(text.text, text.len, what, strlen(what)))
        fail_msg("\"" STR_FMT "\" has no \"%s\"", STR_ARG(text), what);
}

static struct str str_of_buf(const struct buf *b)
{
    return (struct str){buf_text(b), b->len};
}

static void assert_golden(const struct client_message *message, enum channel channel,
                          size_t buffers)
{
    assert_int_equal(message->channel, channel);
    for (int i = 0; i < WIRE_PART_COUNT; i++)
        assert_str(message->parts[i], golden_parts[i]);
    assert_int_equal(message->buffer_count, buffers);
    for (size_t i = 0; i < buffers; i++)
        assert_str(message->buffers[i], golden_buffers[i]);
}

static void decode_well(struct client_message *message, enum client_protocol protocol,
                        struct str data, bool is_text)
{
    struct err e;

    if (client_decode(message, protocol, data, is_text, &e) < 0)
        fail_msg("%s", e.text);
}

static void refuse(const char *name, enum client_protocol protocol, struct str data, bool is_text,
                   enum err_code code)
{
    struct client_message message = {0};
    struct err e = {0};
    /* In a block of its own size, so that reading behind it is found. */
    auto_free char *copy = mem_alloc(data.len ? data.len : 1);

    if (data.len)
        memcpy(copy, data.text, data.len);
    if (client_decode(&message, protocol, (struct str){copy, data.len}, is_text, &e) == 0)
        fail_msg("%s: accepted", name);
    if (e.code != code || !e.text[0])
        fail_msg("%s: %s, \"%s\"", name, err_name(e.code), e.text);
    assert_null(message.buffers);
    assert_null(message.doc.nodes);
}

/* --- v1 --- */

static void v1_is_written_as_specified(void **state)
{
    auto_buf struct buf out = {0};

    (void)state;
    client_encode_v1(&out, CHANNEL_SHELL, golden_parts, golden_buffers, 2);
    assert_str(str_of_buf(&out), STR(GOLDEN_V1));
}

static void v1_is_taken_apart(void **state)
{
    auto_client_message struct client_message message = {0};

    (void)state;
    decode_well(&message, CLIENT_V1, STR(GOLDEN_V1), false);
    assert_golden(&message, CHANNEL_SHELL, 2);
}

static void every_channel_comes_back_from_v1(void **state)
{
    (void)state;
    for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
        auto_client_message struct client_message message = {0};
        auto_buf struct buf out = {0};
        client_encode_v1(&out, (enum channel)channel, golden_parts, golden_buffers, 2);
        client_split_v1(&message, str_of_buf(&out));
        assert_golden(&message, (enum channel)channel, 2);
    }
}

static void more_buffers_than_a_client_may_send_come_back_from_v1(void **state)
{
    enum { MANY = CLIENT_BUFFERS_MAX + 1 };
    auto_free struct str *buffers = mem_array(MANY, sizeof *buffers);
    auto_client_message struct client_message message = {0};
    auto_buf struct buf out = {0};

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        buffers[i] = (struct str){"abcdefgh", i % 8};
    client_encode_v1(&out, CHANNEL_SHELL, golden_parts, buffers, MANY);
    client_split_v1(&message, str_of_buf(&out));
    assert_int_equal(message.buffer_count, MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_str(message.buffers[i], buffers[i]);
    refuse("one buffer too many", CLIENT_V1, str_of_buf(&out), false, ERR_INVALID);

    buf_reset(&out);
    client_message_clear(&message);
    client_encode_v1(&out, CHANNEL_SHELL, golden_parts, buffers, MANY - 1);
    decode_well(&message, CLIENT_V1, str_of_buf(&out), false);
    assert_int_equal(message.buffer_count, MANY - 1);
}

static void a_missing_part_is_an_empty_object(void **state)
{
    static const struct str parts[WIRE_PART_COUNT] = {
        STR("{\"a\":1}"), STR("null"), {NULL, 0}, STR("")};
    auto_client_message struct client_message message = {0};
    auto_buf struct buf out = {0};

    (void)state;
    client_encode_v1(&out, CHANNEL_CONTROL, parts, NULL, 0);
    client_split_v1(&message, str_of_buf(&out));
    assert_str(message.parts[WIRE_HEADER], parts[WIRE_HEADER]);
    for (int i = WIRE_PARENT; i < WIRE_PART_COUNT; i++)
        assert_str(message.parts[i], STR("{}"));

    static const char null_parent[] = V1_NUMBER("\x06") V1_NUMBER("\x38") V1_NUMBER("\x3f")
        V1_NUMBER("\x3f") V1_NUMBER("\x43") V1_NUMBER("\x43") V1_NUMBER("\x43") "controlnull";
    client_message_clear(&message);
    decode_well(&message, CLIENT_V1, STR(null_parent), false);
    assert_int_equal(message.channel, CHANNEL_CONTROL);
    for (int i = 0; i < WIRE_PART_COUNT; i++)
        assert_str(message.parts[i], STR("{}"));
}

static void no_channel_is_shell_in_v1(void **state)
{
    static const char frame[] = V1_NUMBER("\x06") V1_NUMBER("\x38") V1_NUMBER("\x38")
        V1_NUMBER("\x3a") V1_NUMBER("\x3c") V1_NUMBER("\x3e") V1_NUMBER("\x40") "{}{}{}{}";
    auto_client_message struct client_message message = {0};

    (void)state;
    decode_well(&message, CLIENT_V1, STR(frame), false);
    assert_int_equal(message.channel, CHANNEL_SHELL);
    assert_int_equal(message.buffer_count, 0);
}

/* The golden frame with one number changed. */
static void refuse_v1_with(const char *name, size_t index, uint64_t number)
{
    char frame[sizeof GOLDEN_V1 - 1];
    uint64_t bytes = htole64(number);

    memcpy(frame, GOLDEN_V1, sizeof frame);
    memcpy(frame + 8 * index, &bytes, sizeof bytes);
    refuse(name, CLIENT_V1, (struct str){frame, sizeof frame}, false, ERR_INVALID);
}

static void wrong_offsets_are_refused_in_v1(void **state)
{
    (void)state;
    refuse_v1_with("no offsets", 0, 0);
    refuse_v1_with("too few offsets", 0, 5);
    refuse_v1_with("fewer offsets than the first one says", 0, 7);
    refuse_v1_with("more offsets than the first one says", 0, 9);
    refuse_v1_with("more offsets than bytes", 0, 17);
    refuse_v1_with("a count that overflows", 0, UINT64_MAX / 8);
    refuse_v1_with("the largest count", 0, UINT64_MAX);
    refuse_v1_with("a first offset inside the offsets", 1, 64);
    refuse_v1_with("a first offset that leaves a hole", 1, 73);
    refuse_v1_with("an offset before the one before", 3, 76);
    refuse_v1_with("an offset behind the one behind", 3, 0x75);
    refuse_v1_with("an offset behind the end", 4, 138);
    refuse_v1_with("a negative offset", 5, UINT64_MAX);
    refuse_v1_with("an end before the end", 8, 136);
    refuse_v1_with("an end behind the end", 8, 138);
}

static void a_part_of_a_v1_frame_is_refused(void **state)
{
    struct str golden = STR(GOLDEN_V1);

    (void)state;
    for (size_t len = 0; len < golden.len; len++)
        refuse("a part", CLIENT_V1, (struct str){golden.text, len}, false, ERR_INVALID);
    refuse("a byte more", CLIENT_V1, STR(GOLDEN_V1 "x"), false, ERR_INVALID);
}

static void text_is_refused_in_v1(void **state)
{
    (void)state;
    refuse("v1 as text", CLIENT_V1, STR(GOLDEN_V1), true, ERR_INVALID);
    refuse("legacy", CLIENT_V1, STR(GOLDEN_LEGACY("", "shell")), true, ERR_INVALID);
    refuse("binary legacy", CLIENT_V1, STR(GOLDEN_BINARY), false, ERR_INVALID);
}

static void channels_that_clients_have_not_are_refused(void **state)
{
    static const enum channel others[] = {CHANNEL_IOPUB, CHANNEL_HEARTBEAT};

    (void)state;
    for (size_t i = 0; i < COUNT(others); i++) {
        auto_buf struct buf out = {0};
        client_encode_v1(&out, others[i], golden_parts, golden_buffers, 2);
        refuse("v1", CLIENT_V1, str_of_buf(&out), false, ERR_NOT_FOUND);
    }
    char frame[sizeof GOLDEN_V1 - 1];
    memcpy(frame, GOLDEN_V1, sizeof frame);
    memcpy(frame + 0x48, "sHell", 5);
    refuse("unknown", CLIENT_V1, (struct str){frame, sizeof frame}, false, ERR_NOT_FOUND);
    refuse("iopub", CLIENT_LEGACY, STR("{\"channel\":\"iopub\"}"), true, ERR_NOT_FOUND);
    refuse("hb", CLIENT_LEGACY, STR("{\"channel\":\"hb\"}"), true, ERR_NOT_FOUND);
    refuse("unknown", CLIENT_LEGACY, STR("{\"channel\":\"shel\"}"), true, ERR_NOT_FOUND);
}

/* --- legacy --- */

static void legacy_text_is_taken_apart(void **state)
{
    auto_client_message struct client_message message = {0};

    (void)state;
    decode_well(&message, CLIENT_LEGACY, STR(GOLDEN_LEGACY(",\"buffers\":[]", "shell")), true);
    assert_golden(&message, CHANNEL_SHELL, 0);
}

/* In a text frame too, as jupyter_server's gateway client sends it. */
static void legacy_with_buffers_is_taken_apart(void **state)
{
    (void)state;
    for (int is_text = 0; is_text < 2; is_text++) {
        auto_client_message struct client_message message = {0};
        decode_well(&message, CLIENT_LEGACY, STR(GOLDEN_BINARY), is_text);
        assert_golden(&message, CHANNEL_SHELL, 2);
    }
}

static void legacy_text_is_read_tolerantly(void **state)
{
    static const struct {
        const char *name, *text;
        enum channel channel;
        const char *parts[WIRE_PART_COUNT];
    } rows[] = {
        {"nothing in it", "{}", CHANNEL_SHELL, {"{}", "{}", "{}", "{}"}},
        {"nulls",
         "{\"header\":null,\"parent_header\":null,\"metadata\":null,\"content\":null,"
         "\"channel\":null}",
         CHANNEL_SHELL,
         {"{}", "{}", "{}", "{}"}},
        {"an empty channel", "{\"channel\":\"\"}", CHANNEL_SHELL, {"{}", "{}", "{}", "{}"}},
        {"blanks, any order, what we do not know",
         " \n{ \"content\" : { \"a\" : [ 1 ] } , \"x\" : [[]], \"channel\":\"control\",\n"
         "\"header\" : {\"msg_id\":\"1\"}}\n",
         CHANNEL_CONTROL,
         {"{\"msg_id\":\"1\"}", "{}", "{}", "{ \"a\" : [ 1 ] }"}},
        {"escapes in names",
         "{\"ch\\u0061nnel\":\"std\\u0069n\",\"\\u0063ontent\":{\"value\":\"\\u0000\"}}",
         CHANNEL_STDIN,
         {"{}", "{}", "{}", "{\"value\":\"\\u0000\"}"}},
        {"what Python writes",
         "{\"content\":{\"x\":NaN}}",
         CHANNEL_SHELL,
         {"{}", "{}", "{}", "{\"x\":NaN}"}},
        {"bytes that are no UTF-8",
         "{\"content\":{\"x\":\"\xff\xc3\"}}",
         CHANNEL_SHELL,
         {"{}", "{}", "{}", "{\"x\":\"\xff\xc3\"}"}},
        {"buffers that cannot be here",
         "{\"buffers\":[{},7,null]}",
         CHANNEL_SHELL,
         {"{}", "{}", "{}", "{}"}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_client_message struct client_message message = {0};
        print_message("%s\n", rows[i].name);
        decode_well(&message, CLIENT_LEGACY, str_of(rows[i].text), true);
        assert_int_equal(message.channel, rows[i].channel);
        for (int part = 0; part < WIRE_PART_COUNT; part++)
            assert_str(message.parts[part], str_of(rows[i].parts[part]));
        assert_int_equal(message.buffer_count, 0);
    }
}

static void what_is_no_legacy_message_is_refused(void **state)
{
    static const struct {
        const char *name;
        struct str data;
    } rows[] = {
        {"nothing", STR("")},
        {"no JSON", STR("hello")},
        {"half a message", STR("{\"header\":{}")},
        {"a list", STR("[]")},
        {"a header that is a text", STR("{\"header\":\"x\"}")},
        {"content that is a list", STR("{\"content\":[]}")},
        {"metadata that is a number", STR("{\"metadata\":1}")},
        {"a parent that is false", STR("{\"parent_header\":false}")},
        {"a channel that is a number", STR("{\"channel\":1}")},
        {"a channel that is a list", STR("{\"channel\":[]}")},
        {"a NUL", STR("\0")},
        {"half a count", STR("\0\0\0")},
        {"no parts", STR("\0\0\0\0")},
        {"no offsets", STR("\0\0\0\x01")},
        {"too many parts", STR("\0\xff\xff\xff\0\0\0\x08{}")},
        {"a first offset inside the offsets", STR("\0\0\0\x01\0\0\0\x07{}")},
        {"a first offset that leaves a hole", STR("\0\0\0\x01\0\0\0\x09 {}")},
        {"an offset behind the end", STR("\0\0\0\x02\0\0\0\x0c\0\0\0\x0f{}")},
        {"an offset before the one before", STR("\0\0\0\x02\0\0\0\x0c\0\0\0\x0b{}")},
        {"a buffer that ends before it starts",
         STR("\0\0\0\x03\0\0\0\x10\0\0\0\x14\0\0\0\x12{}  ")},
        {"a negative offset", STR("\0\0\0\x02\0\0\0\x0c\xff\xff\xff\xff{}")},
        {"JSON that goes on in a buffer", STR("\0\0\0\x02\0\0\0\x0c\0\0\0\x0d{}")},
        {"binary in binary", STR("\0\0\0\x01\0\0\0\x08\0\0\0\x01\0\0\0\x08{}")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int is_text = 0; is_text < 2; is_text++)
            refuse(rows[i].name, CLIENT_LEGACY, rows[i].data, is_text, ERR_INVALID);
    auto_buf struct buf deep = {0};
    buf_puts(&deep, "{\"content\":");
    for (size_t i = 0; i < LIMIT_JSON_DEPTH; i++)
        buf_puts(&deep, "{\"a\":");
    refuse("too deep", CLIENT_LEGACY, str_of_buf(&deep), true, ERR_INVALID);
}

static void put_legacy_number(struct buf *out, size_t number)
{
    uint32_t bytes = htobe32((uint32_t)number);

    buf_put(out, &bytes, sizeof bytes);
}

static void buffers_in_legacy_are_limited(void **state)
{
    (void)state;
    for (size_t parts = CLIENT_BUFFERS_MAX + 1; parts <= CLIENT_BUFFERS_MAX + 2; parts++) {
        auto_client_message struct client_message message = {0};
        auto_buf struct buf frame = {0};
        put_legacy_number(&frame, parts);
        put_legacy_number(&frame, 4 * (1 + parts));
        for (size_t i = 1; i < parts; i++)
            put_legacy_number(&frame, 4 * (1 + parts) + 2);
        buf_puts(&frame, "{}");
        if (parts > CLIENT_BUFFERS_MAX + 1) {
            refuse("too many", CLIENT_LEGACY, str_of_buf(&frame), false, ERR_INVALID);
            continue;
        }
        decode_well(&message, CLIENT_LEGACY, str_of_buf(&frame), false);
        assert_int_equal(message.buffer_count, CLIENT_BUFFERS_MAX);
    }
}

/* --- sending --- */

struct sent {
    size_t count;
    struct {
        bool is_text;
        struct buf data;
    } frames[64];
};

static void collect(void *user, bool is_text, struct str data)
{
    struct sent *sent = user;

    assert_true(sent->count < COUNT(sent->frames));
    sent->frames[sent->count].is_text = is_text;
    buf_put(&sent->frames[sent->count++].data, data.text, data.len);
}

static void sent_clear(struct sent *sent)
{
    for (size_t i = 0; i < sent->count; i++)
        buf_clear(&sent->frames[i].data);
    sent->count = 0;
}
#define auto_sent __attribute__((cleanup(sent_clear)))

static struct str sent_frame(const struct sent *sent, size_t index)
{
    assert_true(index < sent->count);
    return str_of_buf(&sent->frames[index].data);
}

static void send_message(struct sent *sent, struct client_form form, enum channel channel,
                         const struct str parts[WIRE_PART_COUNT], size_t buffers)
{
    auto_buf struct buf v1 = {0};

    sent_clear(sent);
    client_encode_v1(&v1, channel, parts, golden_buffers, buffers);
    client_put(&form, str_of_buf(&v1), collect, sent);
    for (size_t i = 0; i < sent->count && form.message_cap; i++)
        assert_true(sent->frames[i].data.len <= form.message_cap);
}

static void v1_goes_out_as_it_is(void **state)
{
    auto_sent struct sent sent = {0};
    struct client_form form = {.protocol = CLIENT_V1, .message_cap = sizeof GOLDEN_V1 - 1};

    (void)state;
    send_message(&sent, form, CHANNEL_SHELL, golden_parts, 2);
    assert_int_equal(sent.count, 1);
    assert_false(sent.frames[0].is_text);
    assert_str(sent_frame(&sent, 0), STR(GOLDEN_V1));
}

static void legacy_is_text_without_buffers(void **state)
{
    auto_sent struct sent sent = {0};
    struct client_form form = {.protocol = CLIENT_LEGACY};

    (void)state;
    send_message(&sent, form, CHANNEL_IOPUB, golden_parts, 0);
    assert_int_equal(sent.count, 1);
    assert_true(sent.frames[0].is_text);
    assert_str(sent_frame(&sent, 0), STR(GOLDEN_LEGACY(",\"buffers\":[]", "iopub")));
}

static void legacy_is_binary_with_buffers(void **state)
{
    auto_sent struct sent sent = {0};
    struct client_form form = {.protocol = CLIENT_LEGACY};

    (void)state;
    send_message(&sent, form, CHANNEL_SHELL, golden_parts, 2);
    assert_int_equal(sent.count, 1);
    assert_false(sent.frames[0].is_text);
    assert_str(sent_frame(&sent, 0), STR(GOLDEN_BINARY));
}

static void buffers_are_left_out_for_who_takes_only_text(void **state)
{
    auto_sent struct sent sent = {0};
    struct client_form form = {.protocol = CLIENT_LEGACY, .is_text_only = true};

    (void)state;
    send_message(&sent, form, CHANNEL_IOPUB, golden_parts, 2);
    assert_int_equal(sent.count, 1);
    assert_true(sent.frames[0].is_text);
    assert_str(sent_frame(&sent, 0), STR(GOLDEN_LEGACY(",\"buffers\":[]", "iopub")));
}

#define BAD "\xef\xbf\xbd" /* U+FFFD */

static void what_kernels_send_becomes_json_that_browsers_read(void **state)
{
    static const struct {
        const char *name;
        struct str content, sent;
    } rows[] = {
        {"nothing to change", STR("{\"a\":[-1,1e5,true,\"\xc3\xa4\xf0\x9f\x98\x80\\u00e4\\n\"]}"),
         STR("{\"a\":[-1,1e5,true,\"\xc3\xa4\xf0\x9f\x98\x80\\u00e4\\n\"]}")},
        {"no UTF-8", STR("{\"a\":\"1234567\xff\xc3(\xed\xa0\x80\"}"),
         STR("{\"a\":\"1234567" BAD BAD "(" BAD BAD BAD "\"}")},
        {"no UTF-8 in a name", STR("{\"\xe2\x82\":1}"), STR("{\"" BAD BAD "\":1}")},
        {"cut in a character", STR("{\"a\":\"\xe2\x82"), STR("{\"a\":\"" BAD BAD)},
        {"no UTF-8 outside strings", STR("{\xff\"\":1}"), STR("{" BAD "\"\":1}")},
        {"not a number", STR("{\"a\":[NaN,Infinity,-Infinity],\"b\":-1}"),
         STR("{\"a\":[null,null,null],\"b\":-1}")},
        {"the same words in strings", STR("{\"NaN\":\"Infinity -Infinity NaN\"}"),
         STR("{\"NaN\":\"Infinity -Infinity NaN\"}")},
        {"escaped quotes and backslashes", STR("{\"a\":\"\\\"NaN\\\\\",\"b\":NaN}"),
         STR("{\"a\":\"\\\"NaN\\\\\",\"b\":null}")},
        {"control characters", STR("{\"a\":\"1\n2\t\0\x1f\x7f\"\n}"),
         STR("{\"a\":\"1\\u000a2\\u0009\\u0000\\u001f\x7f\"\n}")},
        {"half a word", STR("{\"a\":-Infinit"), STR("{\"a\":-Infinit")},
        {"ends in an escape", STR("{\"a\":\"\\"), STR("{\"a\":\"\\")},
    };
    struct client_form form = {.protocol = CLIENT_LEGACY};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str parts[WIRE_PART_COUNT] = {STR("{}"), STR("{}"), STR("{}"), rows[i].content};
        auto_sent struct sent sent = {0};
        auto_buf struct buf expected = {0};
        print_message("%s\n", rows[i].name);
        send_message(&sent, form, CHANNEL_IOPUB, parts, 0);
        buf_puts(&expected, "{\"header\":{},\"parent_header\":{},\"metadata\":{},\"content\":");
        buf_put(&expected, rows[i].sent.text, rows[i].sent.len);
        buf_puts(&expected, ",\"buffers\":[],\"channel\":\"iopub\"}");
        assert_str(sent_frame(&sent, 0), str_of_buf(&expected));
    }
}

/* A byte that needs something done at every place among the eight that are looked at at once. */
static void every_byte_of_a_string_is_looked_at(void **state)
{
    static const struct {
        char byte;
        const char *sent;
    } rows[] = {{(char)0x80, BAD}, {'\n', "\\u000a"}, {(char)0xff, BAD}, {0, "\\u0000"}};
    struct client_form form = {.protocol = CLIENT_LEGACY};

    (void)state;
    for (size_t row = 0; row < COUNT(rows); row++) {
        for (size_t at = 0; at < 40; at++) {
            char content[] = "{\"a\":\"0123456789012345678901234567890123456789\"}";
            struct str parts[WIRE_PART_COUNT] = {
                STR("{}"), STR("{}"), STR("{}"), {content, sizeof content - 1}};
            auto_sent struct sent sent = {0};
            auto_buf struct buf expected = {0};
            content[6 + at] = rows[row].byte;
            send_message(&sent, form, CHANNEL_IOPUB, parts, 0);
            buf_puts(&expected, "{\"header\":{},\"parent_header\":{},\"metadata\":{},\"content\":");
            buf_put(&expected, content, 6 + at);
            buf_puts(&expected, rows[row].sent);
            buf_puts(&expected, content + 7 + at);
            buf_puts(&expected, ",\"buffers\":[],\"channel\":\"iopub\"}");
            assert_str(sent_frame(&sent, 0), str_of_buf(&expected));
        }
    }
}

static void a_header_that_is_odd_gives_what_it_has(void **state)
{
    static const struct {
        const char *header, *fields;
    } rows[] = {
        {"{\"msg_type\":\"x\"}", "\"msg_type\":\"x\","},
        {"{\"msg_id\":null,\"msg_type\":NaN}", "\"msg_id\":null,\"msg_type\":null,"},
        {"[]", ""},
        {"{\"msg_id\":", ""},
    };
    struct client_form form = {.protocol = CLIENT_LEGACY};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str parts[WIRE_PART_COUNT] = {str_of(rows[i].header), STR("{}"), STR("{}"),
                                             STR("{}")};
        auto_sent struct sent sent = {0};
        auto_buf struct buf expected = {0};
        send_message(&sent, form, CHANNEL_SHELL, parts, 0);
        bool has_nan = strstr(rows[i].header, "NaN") != NULL;
        buf_printf(&expected, "{\"header\":%s,%s",
                   has_nan ? "{\"msg_id\":null,\"msg_type\":null}" : rows[i].header,
                   rows[i].fields);
        buf_puts(&expected, "\"parent_header\":{},\"metadata\":{},\"content\":{},\"buffers\":[],"
                            "\"channel\":\"shell\"}");
        assert_str(sent_frame(&sent, 0), str_of_buf(&expected));
    }
}

/* --- too long --- */

static const struct client_form capped[] = {
    {.protocol = CLIENT_LEGACY, .message_cap = 4 * KiB},
    {.protocol = CLIENT_LEGACY, .is_text_only = true, .message_cap = 4 * KiB},
    {.protocol = CLIENT_V1, .message_cap = 4 * KiB},
};

/* A frame of either protocol, and whatever channel. */
static void read_sent(struct client_message *message, const struct client_form *form,
                      const struct sent *sent, size_t index, const char *channel)
{
    struct str frame = sent_frame(sent, index);
    struct err e;

    assert_int_equal(sent->frames[index].is_text, form->protocol == CLIENT_LEGACY);
    if (form->protocol == CLIENT_V1) {
        client_split_v1(message, frame);
        assert_string_equal(channel_name(message->channel), channel);
        return;
    }
    static const char *const names[] = {"header", "parent_header", "metadata", "content"};
    assert_int_equal(json_parse(&message->doc, frame, JSON_STRICT, NULL, &e), 0);
    assert_true(json_is(&message->doc, json_get(&message->doc, 0, "channel"), channel));
    for (int i = 0; i < WIRE_PART_COUNT; i++)
        message->parts[i] = json_raw(&message->doc, json_get(&message->doc, 0, names[i]));
}

/* Parts of streams are cut anywhere but in a character. */
static void assert_whole_characters(struct str raw)
{
    auto_json struct json doc = {0};
    auto_buf struct buf value = {0};
    struct err e;

    assert_int_equal(json_parse(&doc, raw, JSON_STRICT, NULL, &e), 0);
    json_string(&doc, 0, &value);
    if (value.len)
        assert_null(strstr(value.data, BAD)); /* what half a surrogate pair is read as */
}

#define STREAM_HEADER                                                                              \
    "{\"session\":\"s\",\"msg_id\":\"m\",\"x\":{\"msg_id\":1},\"msg_type\":\"stream\"}"
#define PARENT "{\"msg_id\":\"p\"}"

/* Sends a stream with `text`, the inside of a JSON string, and puts together what arrives. */
static size_t send_stream(const struct client_form *form, struct str text, struct buf *joined)
{
    auto_sent struct sent sent = {0};
    auto_buf struct buf content = {0};

    buf_puts(&content, "{\"text\": \"");
    buf_put(&content, text.text, text.len);
    buf_puts(&content, "\", \"name\": \"std\\u006fut\"}");
    struct str parts[WIRE_PART_COUNT] = {STR(STREAM_HEADER), STR(PARENT), STR("{\"m\":2}"),
                                         str_of_buf(&content)};
    send_message(&sent, *form, CHANNEL_IOPUB, parts, 0);
    for (size_t i = 0; i < sent.count; i++) {
        auto_client_message struct client_message piece = {0};
        auto_json struct json doc = {0};
        struct err e;
        read_sent(&piece, form, &sent, i, "iopub");
        assert_str(piece.parts[WIRE_PARENT], parts[WIRE_PARENT]);
        assert_str(piece.parts[WIRE_METADATA], parts[WIRE_METADATA]);
        if (sent.count > 1) {
            auto_free char *header = mem_printf("{\"msg_id\":\"m-%zu\",\"msg_type\":\"stream\","
                                                "\"session\":\"s\",\"x\":{\"msg_id\":1}}",
                                                i + 1);
            assert_str(piece.parts[WIRE_HEADER], str_of(header));
        }
        assert_int_equal(json_parse(&doc, piece.parts[WIRE_CONTENT], JSON_STRICT, NULL, &e), 0);
        assert_true(json_is(&doc, json_get(&doc, 0, "name"), "stdout"));
        struct str raw = json_raw(&doc, json_get(&doc, 0, "text"));
        assert_whole_characters(raw);
        buf_put(joined, raw.text + 1, raw.len - 2);
    }
    return sent.count;
}

static void a_long_stream_is_cut_in_parts(void **state)
{
    static const char *const units[] = {
        "x",
        "\\n",
        "\\\\",
        "\xc3\xa4",
        "\xf0\x9f\x98\x80",
        "\\u00e4",
        "\\ud83d\\ude00",
        "\\uD83D\\uDE00ab",
        "a\\\\\\\"\\u20ac\xe2\x82\xac\\ud83d\\ude00\\/",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(units); i++) {
        /* Beginning with a few x, the cuts fall on every byte of a unit. */
        for (size_t shift = 0; shift < 13; shift++) {
            auto_buf struct buf text = {0};
            buf_put(&text, "xxxxxxxxxxxxx", shift);
            while (text.len < 15000)
                buf_puts(&text, units[i]);
            for (size_t form = 0; form < COUNT(capped); form++) {
                auto_buf struct buf joined = {0};
                size_t count = send_stream(&capped[form], str_of_buf(&text), &joined);
                assert_str(str_of_buf(&joined), str_of_buf(&text));
                assert_in_range(count, 4, 6);
            }
        }
    }
}

static void a_stream_is_cut_only_where_it_is_too_long(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(capped); i++) {
        size_t whole = 0;
        for (size_t len = 3500; len <= capped[i].message_cap; len++) {
            auto_buf struct buf text = {0}, joined = {0};
            while (text.len < len)
                buf_putc(&text, 'x');
            size_t count = send_stream(&capped[i], str_of_buf(&text), &joined);
            assert_int_equal(joined.len, len);
            assert_in_range(count, 1, 2);
            assert_true(count == 2 || whole == len - 3500); /* once too long, always */
            whole += count == 1;
        }
        assert_true(whole > 0);
    }
}

/* The bytes that are no UTF-8 become three times as many in the end. */
static void parts_fit_after_they_were_made_valid(void **state)
{
    auto_buf struct buf text = {0};

    (void)state;
    for (size_t i = 0; i < 5000; i++)
        buf_puts(&text, i % 3 ? "\xff" : "\n");
    struct str parts[WIRE_PART_COUNT] = {STR(STREAM_HEADER), STR(PARENT), STR("{}")};
    auto_buf struct buf content = {0};
    buf_puts(&content, "{\"name\":\"stderr\",\"text\":\"");
    buf_put(&content, text.data, text.len);
    buf_puts(&content, "\"}");
    parts[WIRE_CONTENT] = str_of_buf(&content);
    for (size_t i = 0; i < COUNT(capped); i++) {
        auto_sent struct sent sent = {0};
        size_t characters = 0;
        send_message(&sent, capped[i], CHANNEL_IOPUB, parts, 0);
        for (size_t n = 0; n < sent.count; n++) {
            auto_client_message struct client_message piece = {0};
            auto_json struct json doc = {0};
            auto_buf struct buf value = {0};
            struct err e;
            read_sent(&piece, &capped[i], &sent, n, "iopub");
            assert_int_equal(json_parse(&doc, piece.parts[WIRE_CONTENT], JSON_TOLERANT, NULL, &e),
                             0);
            json_string(&doc, json_get(&doc, 0, "text"), &value);
            for (size_t at = 0; at < value.len; at++)
                characters += (value.data[at] & 0xc0) != 0x80;
        }
        assert_int_equal(characters, 5000);
    }
}

static void fill(struct buf *out, const char *before, size_t len, const char *after)
{
    buf_puts(out, before);
    for (size_t i = 0; i < len; i++)
        buf_putc(out, 'x');
    buf_puts(out, after);
}

/* What a client with a cap of 4 KiB gets for one message of about 12.4 KiB, as JSON. */
static void assert_replaced(enum channel channel, const char *type, const char *content,
                            const char *expected_header, const char *expected_content)
{
    auto_free char *header = mem_printf("{\"msg_id\":\"m\",\"msg_type\":\"%s\"}", type);
    auto_buf struct buf long_content = {0};

    fill(&long_content, content, 12500, "\"}");
    struct str parts[WIRE_PART_COUNT] = {str_of(header), STR(PARENT), STR("{}"),
                                         str_of_buf(&long_content)};
    for (size_t i = 0; i < COUNT(capped); i++) {
        auto_sent struct sent sent = {0};
        auto_client_message struct client_message message = {0};
        send_message(&sent, capped[i], channel, parts, 0);
        assert_int_equal(sent.count, 1);
        read_sent(&message, &capped[i], &sent, 0, channel_name(channel));
        assert_str(message.parts[WIRE_HEADER], str_of(expected_header));
        assert_str(message.parts[WIRE_PARENT], STR(PARENT));
        assert_str(message.parts[WIRE_METADATA], STR("{}"));
        assert_str(message.parts[WIRE_CONTENT], str_of(expected_content));
    }
}

static void a_long_message_becomes_a_line_on_stderr(void **state)
{
    (void)state;
    assert_replaced(CHANNEL_IOPUB, "display_data", "{\"data\":\"",
                    "{\"msg_id\":\"m-1\",\"msg_type\":\"stream\"}",
                    "{\"name\":\"stderr\",\"text\":\"[segue] a display_data of 12.4 KiB was left "
                    "out: this client takes messages of 4 KiB at most\\n\"}");
    assert_replaced(CHANNEL_IOPUB, "execute_result", "{\"data\":\"",
                    "{\"msg_id\":\"m-1\",\"msg_type\":\"stream\"}",
                    "{\"name\":\"stderr\",\"text\":\"[segue] an execute_result of 12.4 KiB was "
                    "left out: this client takes messages of 4 KiB at most\\n\"}");
}

static void a_stream_that_cannot_be_cut_is_left_out(void **state)
{
    static const char note[] = "{\"name\":\"stderr\",\"text\":\"[segue] a stream of 12.4 KiB was "
                               "left out: this client takes messages of 4 KiB at most\\n\"}";
    static const char header[] = "{\"msg_id\":\"m-1\",\"msg_type\":\"stream\"}";

    (void)state;
    assert_replaced(CHANNEL_IOPUB, "stream", "{\"text\":[],\"name\":\"", header, note);
    assert_replaced(CHANNEL_IOPUB, "stream", "{\"text\":\"", header, note);
    assert_replaced(CHANNEL_IOPUB, "stream", "\"", header, note);
}

static void a_long_reply_becomes_an_error(void **state)
{
    (void)state;
    assert_replaced(CHANNEL_SHELL, "complete_reply", "{\"matches\":\"",
                    "{\"msg_id\":\"m\",\"msg_type\":\"complete_reply\"}",
                    "{\"status\":\"error\",\"ename\":\"MessageTooLong\",\"evalue\":\"a "
                    "complete_reply of 12.4 KiB was left out: this client takes messages of 4 KiB "
                    "at most\",\"traceback\":[]}");
    assert_replaced(CHANNEL_CONTROL, "debug_reply", "{\"body\":\"",
                    "{\"msg_id\":\"m\",\"msg_type\":\"debug_reply\"}",
                    "{\"status\":\"error\",\"ename\":\"MessageTooLong\",\"evalue\":\"a "
                    "debug_reply of 12.4 KiB was left out: this client takes messages of 4 KiB "
                    "at most\",\"traceback\":[]}");
}

static void a_long_question_is_asked_all_the_same(void **state)
{
    (void)state;
    assert_replaced(CHANNEL_STDIN, "input_request", "{\"password\":true,\"prompt\":\"",
                    "{\"msg_id\":\"m\",\"msg_type\":\"input_request\"}",
                    "{\"prompt\":\"[segue] an input_request of 12.4 KiB was left out: this client "
                    "takes messages of 4 KiB at most: \",\"password\":true}");
    assert_replaced(CHANNEL_STDIN, "input_request", "{\"prompt\":\"",
                    "{\"msg_id\":\"m\",\"msg_type\":\"input_request\"}",
                    "{\"prompt\":\"[segue] an input_request of 12.4 KiB was left out: this client "
                    "takes messages of 4 KiB at most: \",\"password\":false}");
}

static void sizes_are_told_in_mib_where_they_are_large(void **state)
{
    struct client_form form = {.protocol = CLIENT_LEGACY, .message_cap = 10 * MiB};
    auto_buf struct buf content = {0};
    auto_sent struct sent sent = {0};

    (void)state;
    fill(&content, "{\"a\":\"", 25 * MiB / 2 - 200, "\"}");
    struct str parts[WIRE_PART_COUNT] = {STR("{\"msg_type\":\"error\"}"), STR("{}"), STR("{}"),
                                         str_of_buf(&content)};
    send_message(&sent, form, CHANNEL_IOPUB, parts, 0);
    assert_int_equal(sent.count, 1);
    assert_contains(sent_frame(&sent, 0),
                    "\"[segue] an error of 12.5 MiB was left out: this client takes "
                    "messages of 10 MiB at most\\n\"");
}

static void long_buffers_count_where_they_are_sent(void **state)
{
    struct client_form form = {.protocol = CLIENT_LEGACY, .message_cap = 1024};
    char bytes[1000] = {0};
    struct str buffer = {bytes, sizeof bytes};
    auto_buf struct buf v1 = {0};
    auto_sent struct sent sent = {0};

    (void)state;
    client_encode_v1(&v1, CHANNEL_IOPUB, golden_parts, &buffer, 1);
    client_put(&form, str_of_buf(&v1), collect, &sent);
    assert_int_equal(sent.count, 1);
    assert_contains(sent_frame(&sent, 0), "a comm_msg of 1.1 KiB was left out");

    sent_clear(&sent);
    form.is_text_only = true;
    client_put(&form, str_of_buf(&v1), collect, &sent);
    assert_int_equal(sent.count, 1);
    assert_str(sent_frame(&sent, 0), STR(GOLDEN_LEGACY(",\"buffers\":[]", "iopub")));
}

static void a_note_goes_without_a_parent_that_is_too_long(void **state)
{
    auto_buf struct buf parent = {0};
    auto_sent struct sent sent = {0};

    (void)state;
    fill(&parent, "{\"msg_id\":\"", 5000, "\"}");
    struct str parts[WIRE_PART_COUNT] = {STR(STREAM_HEADER), str_of_buf(&parent), STR("{}"),
                                         STR("{\"name\":\"stdout\",\"text\":\"hello\"}")};
    for (size_t i = 0; i < COUNT(capped); i++) {
        auto_client_message struct client_message message = {0};
        send_message(&sent, capped[i], CHANNEL_IOPUB, parts, 0);
        assert_int_equal(sent.count, 1);
        read_sent(&message, &capped[i], &sent, 0, "iopub");
        assert_str(message.parts[WIRE_PARENT], STR("{}"));
        assert_contains(message.parts[WIRE_CONTENT], "a stream of 5.1 KiB");
    }
}

static void a_header_may_be_odd_where_a_note_is_made(void **state)
{
    static const struct {
        const char *header, *expected, *name;
    } rows[] = {
        {"[1,2]", "{\"msg_id\":\"-1\",\"msg_type\":\"stream\"}", "a message of 5 KiB"},
        {"{\"msg_type\":", "{\"msg_id\":\"-1\",\"msg_type\":\"stream\"}", "a message of 5 KiB"},
        {"{\"msg_type\":\"\\u0000\"}", "{\"msg_id\":\"-1\",\"msg_type\":\"stream\"}",
         "a message of 5 KiB"},
        {"{\"msg_id\":\"\\\"\",\"msg_type\":\"\\\"\"}",
         "{\"msg_id\":\"\\\"-1\",\"msg_type\":\"stream\"}", "a \\\" of 5 KiB"},
        {"{\"msg_type\":\"a_type_of_a_length_that_nobody_would_want_to_read_in_a_note_of_ours\"}",
         "{\"msg_id\":\"-1\",\"msg_type\":\"stream\"}", "a message of 5.1 KiB"},
    };
    auto_buf struct buf content = {0};

    (void)state;
    fill(&content, "{\"a\":\"", 5000, "\"}");
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str parts[WIRE_PART_COUNT] = {str_of(rows[i].header), STR("{}"), STR("{}"),
                                             str_of_buf(&content)};
        auto_sent struct sent sent = {0};
        auto_client_message struct client_message message = {0};
        send_message(&sent, capped[0], CHANNEL_IOPUB, parts, 0);
        assert_int_equal(sent.count, 1);
        read_sent(&message, &capped[0], &sent, 0, "iopub");
        assert_str(message.parts[WIRE_HEADER], str_of(rows[i].expected));
        assert_contains(message.parts[WIRE_CONTENT], rows[i].name);
    }
}

static void nothing_is_sent_where_not_even_a_note_fits(void **state)
{
    struct client_form form = {.protocol = CLIENT_LEGACY, .message_cap = 100};
    auto_sent struct sent sent = {0};

    (void)state;
    send_message(&sent, form, CHANNEL_IOPUB, golden_parts, 0);
    assert_int_equal(sent.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v1_is_written_as_specified),
        cmocka_unit_test(v1_is_taken_apart),
        cmocka_unit_test(every_channel_comes_back_from_v1),
        cmocka_unit_test(more_buffers_than_a_client_may_send_come_back_from_v1),
        cmocka_unit_test(a_missing_part_is_an_empty_object),
        cmocka_unit_test(no_channel_is_shell_in_v1),
        cmocka_unit_test(wrong_offsets_are_refused_in_v1),
        cmocka_unit_test(a_part_of_a_v1_frame_is_refused),
        cmocka_unit_test(text_is_refused_in_v1),
        cmocka_unit_test(channels_that_clients_have_not_are_refused),
        cmocka_unit_test(legacy_text_is_taken_apart),
        cmocka_unit_test(legacy_with_buffers_is_taken_apart),
        cmocka_unit_test(legacy_text_is_read_tolerantly),
        cmocka_unit_test(what_is_no_legacy_message_is_refused),
        cmocka_unit_test(buffers_in_legacy_are_limited),
        cmocka_unit_test(v1_goes_out_as_it_is),
        cmocka_unit_test(legacy_is_text_without_buffers),
        cmocka_unit_test(legacy_is_binary_with_buffers),
        cmocka_unit_test(buffers_are_left_out_for_who_takes_only_text),
        cmocka_unit_test(what_kernels_send_becomes_json_that_browsers_read),
        cmocka_unit_test(every_byte_of_a_string_is_looked_at),
        cmocka_unit_test(a_header_that_is_odd_gives_what_it_has),
        cmocka_unit_test(a_long_stream_is_cut_in_parts),
        cmocka_unit_test(a_stream_is_cut_only_where_it_is_too_long),
        cmocka_unit_test(parts_fit_after_they_were_made_valid),
        cmocka_unit_test(a_long_message_becomes_a_line_on_stderr),
        cmocka_unit_test(a_stream_that_cannot_be_cut_is_left_out),
        cmocka_unit_test(a_long_reply_becomes_an_error),
        cmocka_unit_test(a_long_question_is_asked_all_the_same),
        cmocka_unit_test(sizes_are_told_in_mib_where_they_are_large),
        cmocka_unit_test(long_buffers_count_where_they_are_sent),
        cmocka_unit_test(a_note_goes_without_a_parent_that_is_too_long),
        cmocka_unit_test(a_header_may_be_odd_where_a_note_is_made),
        cmocka_unit_test(nothing_is_sent_where_not_even_a_note_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
