#include "runner/step/execution.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define OK_REPLY   "{\"status\":\"ok\",\"execution_count\":3}"
#define DAY        "2026-01-02T03:04:"
#define BUSY_DATE  DAY "01Z"
#define INPUT_DATE DAY "02Z"
#define IDLE_DATE  DAY "03Z"
#define REPLY_DATE DAY "04Z"

struct fixture {
    struct wire_key *key;
    struct execution execution;
};

static int set_up(void **state)
{
    struct fixture *fixture = mem_zalloc(sizeof *fixture);

    fixture->key = wire_key_new("a key");
    execution_begin(&fixture->execution, 7);
    fixture->execution.request = uuid_random();
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    execution_clear(&fixture->execution);
    wire_key_free(fixture->key);
    free(fixture);
    return 0;
}

/* --- messages as a kernel sends them: signed frames --- */

static void receive(struct fixture *fixture, struct message *message, const char *header,
                    const char *parent, const char *content)
{
    const struct str parts[WIRE_PART_COUNT] = {str_of(header), str_of(parent), STR("{}"),
                                               str_of(content)};
    char signature[WIRE_SIGNATURE_SIZE + 1];
    wire_sign(fixture->key, parts, signature);
    const struct str frames[] = {WIRE_DELIMITER, str_of(signature), parts[0],
                                 parts[1],       parts[2],          parts[3]};
    size_t count = sizeof frames / sizeof *frames;
    zmq_msg_t *items = mem_array(count, sizeof *items);
    for (size_t i = 0; i < count; i++) {
        zmq_msg_init_size(&items[i], frames[i].len);
        memcpy(zmq_msg_data(&items[i]), frames[i].text, frames[i].len);
    }
    assert_int_equal(message_take_frames(message, items, count, fixture->key), WIRE_OK);
}

/* `date` NULL: the header has none. */
static enum execution_news take_dated(struct fixture *fixture, enum channel channel,
                                      const char *type, const char *parent, const char *date,
                                      const char *content)
{
    auto_message struct message message = {0};
    auto_buf struct buf header = {0};

    buf_putc(&header, '{');
    json_put_member(&header, "msg_id", "m");
    json_put_member(&header, "msg_type", type);
    json_put_member(&header, "date", date);
    buf_putc(&header, '}');
    receive(fixture, &message, header.data, parent, content);
    return execution_take(&fixture->execution, channel, &message);
}

static enum execution_news take_of(struct fixture *fixture, const struct uuid *request,
                                   enum channel channel, const char *type, const char *content)
{
    auto_free char *parent = mem_printf("{\"msg_id\":\"%s\"}", request->text);

    return take_dated(fixture, channel, type, parent, NULL, content);
}

/* As an answer to the cell's request. */
static enum execution_news take(struct fixture *fixture, enum channel channel, const char *type,
                                const char *content)
{
    return take_of(fixture, &fixture->execution.request, channel, type, content);
}

static enum execution_news take_at(struct fixture *fixture, enum channel channel, const char *type,
                                   const char *date, const char *content)
{
    auto_free char *parent = mem_printf("{\"msg_id\":\"%s\"}", fixture->execution.request.text);

    return take_dated(fixture, channel, type, parent, date, content);
}

static enum execution_news busy(struct fixture *fixture)
{
    return take_at(fixture, CHANNEL_IOPUB, "status", BUSY_DATE, "{\"execution_state\":\"busy\"}");
}

static enum execution_news idle(struct fixture *fixture)
{
    return take_at(fixture, CHANNEL_IOPUB, "status", IDLE_DATE, "{\"execution_state\":\"idle\"}");
}

static enum execution_news input(struct fixture *fixture, const char *content)
{
    return take_at(fixture, CHANNEL_IOPUB, "execute_input", INPUT_DATE, content);
}

static enum execution_news reply(struct fixture *fixture, const char *content)
{
    return take_at(fixture, CHANNEL_SHELL, "execute_reply", REPLY_DATE, content);
}

static enum execution_news error(struct fixture *fixture, const char *content)
{
    return take(fixture, CHANNEL_IOPUB, "error", content);
}

/* What the kernel makes of the kernel_info_request. */
static enum execution_news probe_status(struct fixture *fixture, const char *content)
{
    return take_of(fixture, &fixture->execution.probe, CHANNEL_IOPUB, "status", content);
}

static enum execution_news probe_reply(struct fixture *fixture)
{
    return take_of(fixture, &fixture->execution.probe, CHANNEL_SHELL, "kernel_info_reply",
                   "{\"status\":\"ok\"}");
}

static void assert_timing(const struct execution *execution, const char *expected)
{
    auto_buf struct buf text = {0};

    execution_put_timing(execution, &text);
    assert_string_equal(text.data, expected);
}

static void assert_error(const struct execution *execution, const char *ename, const char *evalue)
{
    assert_string_equal(buf_text(&execution->ename), ename);
    assert_string_equal(buf_text(&execution->evalue), evalue);
}

/* --- both halves --- */

static void reply_then_idle(void **state)
{
    struct fixture *fixture = *state;
    struct execution *execution = &fixture->execution;

    assert_int_equal(busy(fixture), EXECUTION_NOTHING);
    assert_int_equal(input(fixture, "{\"execution_count\":3}"), EXECUTION_NOTHING);
    assert_int_equal(reply(fixture, OK_REPLY), EXECUTION_HALF);
    assert_int_equal(idle(fixture), EXECUTION_OVER);
    assert_int_equal(execution->cell, 7);
    assert_int_equal(execution->count, 3);
    assert_false(execution->is_error);
    assert_error(execution, "", "");
}

static void idle_then_reply(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(busy(fixture), EXECUTION_NOTHING);
    assert_int_equal(idle(fixture), EXECUTION_HALF);
    assert_int_equal(reply(fixture, OK_REPLY), EXECUTION_OVER);
    assert_int_equal(fixture->execution.count, 3);
    assert_false(fixture->execution.is_error);
}

static void second_reply_is_none(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(reply(fixture, OK_REPLY), EXECUTION_HALF);
    assert_int_equal(reply(fixture, "{\"status\":\"error\",\"ename\":\"E\",\"execution_count\":9}"),
                     EXECUTION_NOTHING);
    assert_int_equal(fixture->execution.count, 3);
    assert_false(fixture->execution.is_error);
    assert_error(&fixture->execution, "", "");
    assert_int_equal(idle(fixture), EXECUTION_OVER);
}

/* A kernel that repeats itself must not put off the probe for ever. */
static void second_idle_is_none(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(idle(fixture), EXECUTION_HALF);
    assert_int_equal(idle(fixture), EXECUTION_NOTHING);
    assert_int_equal(reply(fixture, OK_REPLY), EXECUTION_OVER);
}

static void output_between_the_halves_counts(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(reply(fixture, OK_REPLY), EXECUTION_HALF);
    assert_int_equal(take(fixture, CHANNEL_IOPUB, "stream", "{}"), EXECUTION_OUTPUT);
    assert_int_equal(idle(fixture), EXECUTION_OVER);
}

/* --- whose messages --- */

static void others_are_not_heard(void **state)
{
    static const struct {
        enum channel channel;
        const char *type, *content;
    } rows[] = {
        {CHANNEL_IOPUB, "status", "{\"execution_state\":\"busy\"}"},
        {CHANNEL_IOPUB, "status", "{\"execution_state\":\"idle\"}"},
        {CHANNEL_IOPUB, "stream", "{\"name\":\"stdout\",\"text\":\"x\"}"},
        {CHANNEL_IOPUB, "error", "{\"ename\":\"E\",\"evalue\":\"v\"}"},
        {CHANNEL_IOPUB, "execute_input", "{\"execution_count\":9}"},
        {CHANNEL_SHELL, "execute_reply", "{\"status\":\"error\",\"execution_count\":9}"},
        {CHANNEL_SHELL, "kernel_info_reply", "{\"status\":\"ok\"}"},
    };
    static const char *const parents[] = {
        "{\"msg_id\":\"somebody-elses\"}", "{\"msg_id\":\"\"}", "{\"msg_id\":1}", "{}", "null",
    };
    struct fixture *fixture = *state;

    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++)
        for (size_t i = 0; i < sizeof parents / sizeof *parents; i++)
            assert_int_equal(take_dated(fixture, rows[row].channel, rows[row].type, parents[i],
                                        BUSY_DATE, rows[row].content),
                             EXECUTION_NOTHING);
    assert_int_equal(fixture->execution.count, -1);
    assert_false(fixture->execution.is_error);
    assert_error(&fixture->execution, "", "");
    assert_timing(&fixture->execution, "{}");
    assert_int_equal(idle(fixture), EXECUTION_HALF); /* and no half had been noted */
}

static void only_execute_reply_is_the_reply(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(take(fixture, CHANNEL_SHELL, "kernel_info_reply", OK_REPLY),
                     EXECUTION_NOTHING);
    assert_int_equal(take(fixture, CHANNEL_SHELL, "status", "{\"execution_state\":\"idle\"}"),
                     EXECUTION_NOTHING);
    assert_int_equal(idle(fixture), EXECUTION_HALF);
}

static void other_channels_say_nothing(void **state)
{
    static const enum channel channels[] = {CHANNEL_STDIN, CHANNEL_CONTROL, CHANNEL_HEARTBEAT};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        assert_int_equal(take(fixture, channels[i], "execute_reply", OK_REPLY), EXECUTION_NOTHING);
        assert_int_equal(take(fixture, channels[i], "status", "{\"execution_state\":\"idle\"}"),
                         EXECUTION_NOTHING);
        assert_int_equal(take(fixture, channels[i], "stream", "{}"), EXECUTION_NOTHING);
    }
    assert_int_equal(fixture->execution.count, -1);
    assert_int_equal(idle(fixture), EXECUTION_HALF);
}

static void outputs_are_handed_on(void **state)
{
    static const char *const types[] = {
        "stream",         "display_data", "update_display_data",
        "execute_result", "error",        "comm_open",
        "comm_msg",       "comm_close",   "of-a-type-not-yet-made",
        "clear_output",
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        assert_int_equal(take(fixture, CHANNEL_IOPUB, types[i], "{}"), EXECUTION_OUTPUT);
}

static void status_must_tell_a_state(void **state)
{
    static const char *const contents[] = {
        "{}",
        "{\"execution_state\":null}",
        "{\"execution_state\":1}",
        "{\"execution_state\":\"\"}",
        "{\"execution_state\":\"Idle\"}",
        "{\"execution_state\":\"starting\"}",
        "{\"status\":\"idle\"}",
        "[\"execution_state\",\"idle\"]",
        "\"idle\"",
        "{\"execution_state\":\"idle\"",
        "",
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++)
        assert_int_equal(take_at(fixture, CHANNEL_IOPUB, "status", IDLE_DATE, contents[i]),
                         EXECUTION_NOTHING);
    assert_timing(&fixture->execution, "{}");
    assert_int_equal(reply(fixture, OK_REPLY), EXECUTION_HALF);
}

/* --- what a cell ends with --- */

static void count_of_the_reply_wins(void **state)
{
    struct fixture *fixture = *state;

    input(fixture, "{\"execution_count\":2}");
    assert_int_equal(fixture->execution.count, 2);
    reply(fixture, OK_REPLY);
    assert_int_equal(fixture->execution.count, 3);
    input(fixture, "{\"execution_count\":2}"); /* it may well be later: no order between channels */
    assert_int_equal(fixture->execution.count, 3);
}

static void count_of_the_input_does_without_one_in_the_reply(void **state)
{
    static const char *const replies[] = {
        "{\"status\":\"aborted\"}",
        "{\"status\":\"ok\",\"execution_count\":null}",
        "{\"status\":\"ok\",\"execution_count\":\"4\"}",
        "{\"status\":\"ok\",\"execution_count\":4.5}",
        "{\"status\":\"ok\",\"execution_count\":NaN}",
        "{\"status\":\"ok\",\"execution_count\":99999999999999999999}",
    };
    struct fixture *fixture = *state;
    struct uuid request = fixture->execution.request;

    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        execution_begin(&fixture->execution, 0);
        fixture->execution.request = request;
        reply(fixture, replies[i]);
        assert_int_equal(fixture->execution.count, -1);
        input(fixture, "{\"execution_count\":2}");
        assert_int_equal(fixture->execution.count, 2);
        assert_int_equal(idle(fixture), EXECUTION_OVER);
    }
}

static void all_but_ok_is_an_error(void **state)
{
    static const char *const replies[] = {
        "{}",
        "{\"status\":\"error\"}",
        "{\"status\":\"aborted\"}",
        "{\"status\":\"abort\"}",
        "{\"status\":\"OK\"}",
        "{\"status\":null}",
        "{\"status\":true}",
        "[]",
        "{\"status\":\"ok\"", /* cut off */
        "",
    };
    struct fixture *fixture = *state;
    struct uuid request = fixture->execution.request;

    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        execution_begin(&fixture->execution, 0);
        fixture->execution.request = request;
        assert_int_equal(idle(fixture), EXECUTION_HALF);
        assert_int_equal(reply(fixture, replies[i]), EXECUTION_OVER);
        assert_true(fixture->execution.is_error);
        assert_int_equal(fixture->execution.is_aborted,
                         strcmp(replies[i], "{\"status\":\"aborted\"}") == 0);
        assert_int_equal(fixture->execution.count, -1);
        assert_error(&fixture->execution, "", "");
    }
}

static void error_output_alone_is_no_error(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(error(fixture, "{\"ename\":\"E\",\"evalue\":\"v\"}"), EXECUTION_OUTPUT);
    reply(fixture, "{\"status\":\"ok\",\"ename\":\"of no meaning\"}");
    assert_int_equal(idle(fixture), EXECUTION_OVER);
    assert_false(fixture->execution.is_error);
    assert_error(&fixture->execution, "E", "v");
}

static void error_of_the_reply_needs_no_output(void **state)
{
    struct fixture *fixture = *state;

    idle(fixture);
    assert_int_equal(reply(fixture, "{\"status\":\"error\",\"ename\":\"E\",\"evalue\":\"v\"}"),
                     EXECUTION_OVER);
    assert_true(fixture->execution.is_error);
    assert_error(&fixture->execution, "E", "v");
}

/* Every pair of an error output and a reply, in both orders, and the error that remains. */
static void error_is_told_by_whoever_names_it(void **state)
{
    static const struct {
        const char *output, *reply, *ename, *evalue;
    } rows[] = {
        {"{\"ename\":\"A\",\"evalue\":\"a\"}",
         "{\"status\":\"error\",\"ename\":\"B\",\"evalue\":\"b\"}", "B", "b"},
        {"{\"ename\":\"A\",\"evalue\":\"a\"}", "{\"status\":\"error\"}", "A", "a"},
        {"{\"ename\":\"A\",\"evalue\":\"a\"}", "{\"status\":\"aborted\"}", "A", "a"},
        {"{\"ename\":\"A\",\"evalue\":\"a\"}",
         "{\"status\":\"error\",\"ename\":\"\",\"evalue\":\"1\"}", "A", "a"},
        {"{\"ename\":\"A\",\"evalue\":\"a\"}", "{\"status\":\"error\",\"ename\":1,\"evalue\":[]}",
         "A", "a"},
        {"{\"ename\":\"A\"}", "{\"status\":\"error\"}", "A", ""},
        {"{\"ename\":\"\",\"evalue\":\"1\"}", "{\"status\":\"error\"}", "", "1"},
        {"{\"ename\":\"\",\"evalue\":\"1\"}",
         "{\"status\":\"error\",\"ename\":\"\",\"evalue\":\"1\"}", "", "1"},
        {"{\"ename\":\"\",\"evalue\":\"1\"}",
         "{\"status\":\"error\",\"ename\":\"B\",\"evalue\":\"b\"}", "B", "b"},
        {"{\"ename\":\"A\",\"evalue\":\"a\"}", "{\"status\":\"error\",\"ename\":\"B\"}", "B", ""},
    };
    struct fixture *fixture = *state;
    struct uuid request = fixture->execution.request;

    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        execution_begin(&fixture->execution, 0);
        fixture->execution.request = request;
        if (i % 2 == 0)
            reply(fixture, rows[i / 2].reply);
        assert_int_equal(error(fixture, rows[i / 2].output), EXECUTION_OUTPUT);
        if (i % 2 == 1)
            reply(fixture, rows[i / 2].reply);
        assert_true(fixture->execution.is_error);
        assert_error(&fixture->execution, rows[i / 2].ename, rows[i / 2].evalue);
    }
}

static void broken_text_is_read(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(error(fixture, "{\"ename\":\"\xff\",\"evalue\":\"\\ud800\",\"x\":NaN}"),
                     EXECUTION_OUTPUT);
    assert_error(&fixture->execution, "\xef\xbf\xbd", "\xef\xbf\xbd");
    assert_int_equal(reply(fixture, "{\"x\":-Infinity,\"execution_count\":3,\"y\":\"\xc3\","
                                    "\"status\":\"error\",\"ename\":\"E\xe2\x82\"}"),
                     EXECUTION_HALF);
    assert_int_equal(fixture->execution.count, 3);
    assert_error(&fixture->execution, "E\xef\xbf\xbd\xef\xbf\xbd", "");
    assert_int_equal(take(fixture, CHANNEL_IOPUB, "status",
                          "{\"x\":NaN,\"y\":\"\xff\",\"execution_state\":\"idle\"}"),
                     EXECUTION_OVER);
}

/* --- the probe --- */

static void probes_idle_stands_for_the_lost_one(void **state)
{
    struct fixture *fixture = *state;
    struct execution *execution = &fixture->execution;

    busy(fixture);
    assert_int_equal(reply(fixture, OK_REPLY), EXECUTION_HALF);
    execution->probe = uuid_random();
    assert_int_equal(probe_reply(fixture), EXECUTION_NOTHING); /* of the other channel */
    assert_int_equal(probe_status(fixture, "{\"execution_state\":\"busy\"}"), EXECUTION_NOTHING);
    assert_int_equal(take(fixture, CHANNEL_IOPUB, "stream", "{}"), EXECUTION_OUTPUT);
    assert_int_equal(probe_status(fixture, "{\"execution_state\":\"idle\"}"), EXECUTION_OVER);
    assert_int_equal(execution->count, 3);
    assert_false(execution->is_error);
    assert_timing(execution, "{\"iopub.status.busy\":\"" DAY "01.000000Z\","
                             "\"shell.execute_reply\":\"" DAY "04.000000Z\"}");
}

static void probes_reply_tells_that_none_will_come(void **state)
{
    struct fixture *fixture = *state;
    struct execution *execution = &fixture->execution;

    input(fixture, "{\"execution_count\":2}");
    assert_int_equal(idle(fixture), EXECUTION_HALF);
    execution->probe = uuid_random();
    assert_int_equal(probe_status(fixture, "{\"execution_state\":\"busy\"}"), EXECUTION_NOTHING);
    assert_int_equal(probe_status(fixture, "{\"execution_state\":\"idle\"}"), EXECUTION_NOTHING);
    assert_int_equal(probe_reply(fixture), EXECUTION_NO_REPLY);
    assert_int_equal(execution->count, 2);
    assert_true(execution->is_error);
}

static void late_halves_overtake_the_probe(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(idle(fixture), EXECUTION_HALF);
    fixture->execution.probe = uuid_random();
    assert_int_equal(probe_status(fixture, "{\"execution_state\":\"busy\"}"), EXECUTION_NOTHING);
    assert_int_equal(reply(fixture, OK_REPLY), EXECUTION_OVER);
    assert_false(fixture->execution.is_error);
}

/* A probe is only sent behind one half; should its answers come first all the same, they end
 * nothing. */
static void probes_answers_alone_say_nothing(void **state)
{
    struct fixture *fixture = *state;

    fixture->execution.probe = uuid_random();
    assert_int_equal(probe_status(fixture, "{\"execution_state\":\"busy\"}"), EXECUTION_NOTHING);
    assert_int_equal(probe_status(fixture, "{\"execution_state\":\"idle\"}"), EXECUTION_NOTHING);
    assert_int_equal(probe_reply(fixture), EXECUTION_NOTHING);
    assert_false(fixture->execution.is_error);
    assert_timing(&fixture->execution, "{}");
    assert_int_equal(reply(fixture, OK_REPLY), EXECUTION_HALF);
    assert_int_equal(idle(fixture), EXECUTION_OVER);
}

/* --- when --- */

static void moments_are_the_senders(void **state)
{
    struct fixture *fixture = *state;

    busy(fixture);
    input(fixture, "{}");
    idle(fixture);
    reply(fixture, OK_REPLY);
    assert_int_equal(fixture->execution.moments[MOMENT_IDLE], time_text_parse(IDLE_DATE));
    assert_timing(&fixture->execution, "{\"iopub.status.busy\":\"" DAY "01.000000Z\","
                                       "\"iopub.execute_input\":\"" DAY "02.000000Z\","
                                       "\"iopub.status.idle\":\"" DAY "03.000000Z\","
                                       "\"shell.execute_reply\":\"" DAY "04.000000Z\"}");
}

static void moments_need_a_date(void **state)
{
    static const char *const dates[] = {
        NULL, "", "yesterday", "2026-13-02T03:04:05Z", "2026-01-02T03:04:05", "\xff"};
    struct fixture *fixture = *state;
    struct uuid request = fixture->execution.request;

    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        execution_begin(&fixture->execution, 0);
        fixture->execution.request = request;
        take_at(fixture, CHANNEL_IOPUB, "execute_input", dates[i], "{}");
        take_at(fixture, CHANNEL_IOPUB, "status", dates[i], "{\"execution_state\":\"idle\"}");
        assert_timing(&fixture->execution, "{}");
        assert_int_equal(reply(fixture, OK_REPLY), EXECUTION_OVER);
        assert_timing(&fixture->execution, "{\"shell.execute_reply\":\"" DAY "04.000000Z\"}");
    }
}

static void moments_are_of_the_first_of_each_kind(void **state)
{
    struct fixture *fixture = *state;

    busy(fixture);
    take_at(fixture, CHANNEL_IOPUB, "status", "2027-01-01T00:00:00Z",
            "{\"execution_state\":\"busy\"}");
    take(fixture, CHANNEL_IOPUB, "status", "{\"execution_state\":\"busy\"}");
    idle(fixture);
    take_at(fixture, CHANNEL_IOPUB, "status", "2027-01-01T00:00:00Z",
            "{\"execution_state\":\"idle\"}");
    assert_timing(&fixture->execution, "{\"iopub.status.busy\":\"" DAY "01.000000Z\","
                                       "\"iopub.status.idle\":\"" DAY "03.000000Z\"}");
}

/* --- one after the other --- */

static void begin_forgets_the_cell_before(void **state)
{
    struct fixture *fixture = *state;
    struct execution *execution = &fixture->execution;

    busy(fixture);
    input(fixture, "{\"execution_count\":3}");
    error(fixture, "{\"ename\":\"A\",\"evalue\":\"a\"}");
    assert_int_equal(reply(fixture, "{\"status\":\"error\",\"ename\":\"A\",\"execution_count\":3}"),
                     EXECUTION_HALF);
    execution->probe = uuid_random();
    assert_int_equal(idle(fixture), EXECUTION_OVER);
    struct uuid request = execution->request, probe = execution->probe;

    execution_begin(execution, 8);
    assert_true(execution->is_running);
    assert_int_equal(execution->cell, 8);
    assert_int_equal(execution->count, -1);
    assert_false(execution->is_error);
    assert_error(execution, "", "");
    assert_timing(execution, "{}");
    execution->request = uuid_random();
    assert_int_equal(take_of(fixture, &request, CHANNEL_IOPUB, "stream", "{}"), EXECUTION_NOTHING);
    assert_int_equal(take_of(fixture, &probe, CHANNEL_SHELL, "kernel_info_reply", "{}"),
                     EXECUTION_NOTHING);
    assert_int_equal(
        take_of(fixture, &probe, CHANNEL_IOPUB, "status", "{\"execution_state\":\"idle\"}"),
        EXECUTION_NOTHING);

    input(fixture, "{\"execution_count\":4}"); /* and the next reply settles nothing yet */
    assert_int_equal(execution->count, 4);
    error(fixture, "{\"ename\":\"B\",\"evalue\":\"b\"}");
    assert_error(execution, "B", "b");
    assert_int_equal(idle(fixture), EXECUTION_HALF);
    assert_int_equal(reply(fixture, "{\"status\":\"error\"}"), EXECUTION_OVER);
    assert_error(execution, "B", "b");
}

static void request_not_yet_sent_has_no_answers(void **state)
{
    struct fixture *fixture = *state;

    execution_begin(&fixture->execution, 0);
    assert_int_equal(take(fixture, CHANNEL_SHELL, "execute_reply", OK_REPLY), EXECUTION_NOTHING);
    assert_int_equal(idle(fixture), EXECUTION_NOTHING);
    assert_int_equal(take(fixture, CHANNEL_IOPUB, "stream", "{}"), EXECUTION_NOTHING);
}

static void clear_may_be_repeated(void **state)
{
    struct fixture *fixture = *state;

    error(fixture, "{\"ename\":\"A\",\"evalue\":\"a\"}");
    execution_clear(&fixture->execution);
    execution_clear(&fixture->execution);
    assert_false(fixture->execution.is_running);
    assert_null(fixture->execution.ename.data);
}

/* --- any order that the channels allow --- */

enum sent {
    SENT_BUSY,
    SENT_INPUT,
    SENT_STREAM,
    SENT_ERROR,
    SENT_OF_OTHERS,
    SENT_IDLE,
    SENT_REPLY,
    SENT_OTHERS_REPLY,
    SENT_PROBE_BUSY,
    SENT_PROBE_IDLE,
    SENT_PROBE_REPLY,
};

#define ERROR_REPLY                                                                                \
    "{\"status\":\"error\",\"ename\":\"Named by the "                                              \
    "reply\",\"evalue\":\"r\",\"execution_count\":5}"

static const struct {
    enum channel channel;
    const char *type, *date, *content;
} sent_messages[] = {
    [SENT_BUSY] = {CHANNEL_IOPUB, "status", BUSY_DATE, "{\"execution_state\":\"busy\"}"},
    [SENT_INPUT] = {CHANNEL_IOPUB, "execute_input", INPUT_DATE, "{\"execution_count\":4}"},
    [SENT_STREAM] = {CHANNEL_IOPUB, "stream", NULL, "{}"},
    [SENT_ERROR] = {CHANNEL_IOPUB, "error", NULL, "{\"ename\":\"Of the output\",\"evalue\":\"o\"}"},
    [SENT_OF_OTHERS] = {CHANNEL_IOPUB, "status", NULL, "{\"execution_state\":\"idle\"}"},
    [SENT_IDLE] = {CHANNEL_IOPUB, "status", IDLE_DATE, "{\"execution_state\":\"idle\"}"},
    [SENT_REPLY] = {CHANNEL_SHELL, "execute_reply", REPLY_DATE, ERROR_REPLY},
    [SENT_OTHERS_REPLY] = {CHANNEL_SHELL, "execute_reply", NULL, OK_REPLY},
    [SENT_PROBE_BUSY] = {CHANNEL_IOPUB, "status", NULL, "{\"execution_state\":\"busy\"}"},
    [SENT_PROBE_IDLE] = {CHANNEL_IOPUB, "status", NULL, "{\"execution_state\":\"idle\"}"},
    [SENT_PROBE_REPLY] = {CHANNEL_SHELL, "kernel_info_reply", NULL, "{\"status\":\"ok\"}"},
};

struct queue {
    enum sent items[12];
    unsigned count, read;
};

enum loss { LOSS_NONE, LOSS_IDLE, LOSS_REPLY, LOSS_COUNT };

/* What is under way to the runner, and what it has made of it. */
struct traffic {
    struct queue iopub, shell;
    unsigned outputs, ends;
    bool has_half;
    enum execution_news end;
};

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void put(struct queue *queue, enum sent item)
{
    queue->items[queue->count++] = item;
}

static void put_cell(struct traffic *traffic, enum loss loss)
{
    put(&traffic->iopub, SENT_BUSY);
    put(&traffic->iopub, SENT_INPUT);
    put(&traffic->iopub, SENT_STREAM);
    put(&traffic->iopub, SENT_OF_OTHERS);
    put(&traffic->iopub, SENT_ERROR);
    put(&traffic->iopub, SENT_STREAM);
    if (loss != LOSS_IDLE)
        put(&traffic->iopub, SENT_IDLE);
    put(&traffic->shell, SENT_OTHERS_REPLY);
    if (loss != LOSS_REPLY)
        put(&traffic->shell, SENT_REPLY);
}

static void send_probe(struct fixture *fixture, struct traffic *traffic)
{
    fixture->execution.probe = uuid_random();
    put(&traffic->iopub, SENT_PROBE_BUSY);
    put(&traffic->iopub, SENT_PROBE_IDLE);
    put(&traffic->shell, SENT_PROBE_REPLY);
}

static const char *parent_of(const struct execution *execution, enum sent item)
{
    switch (item) {
    case SENT_OF_OTHERS:
    case SENT_OTHERS_REPLY:
        return "somebody-elses";
    case SENT_PROBE_BUSY:
    case SENT_PROBE_IDLE:
    case SENT_PROBE_REPLY:
        return execution->probe.text;
    case SENT_BUSY:
    case SENT_INPUT:
    case SENT_STREAM:
    case SENT_ERROR:
    case SENT_IDLE:
    case SENT_REPLY:
        break;
    }
    return execution->request.text;
}

static void deliver(struct fixture *fixture, struct traffic *traffic, struct queue *queue)
{
    enum sent item = queue->items[queue->read++];
    auto_free char *parent =
        mem_printf("{\"msg_id\":\"%s\"}", parent_of(&fixture->execution, item));
    enum execution_news news =
        take_dated(fixture, sent_messages[item].channel, sent_messages[item].type, parent,
                   sent_messages[item].date, sent_messages[item].content);

    traffic->outputs += news == EXECUTION_OUTPUT;
    if (news == EXECUTION_HALF) {
        assert_false(traffic->has_half);
        traffic->has_half = true;
    }
    if (news == EXECUTION_OVER || news == EXECUTION_NO_REPLY) {
        traffic->ends++;
        traffic->end = news;
    }
}

/* Until the cell is over: takes from either channel, and probes behind one half, soon or late. */
static void run_cell(struct fixture *fixture, struct traffic *traffic, uint64_t *seed)
{
    bool has_probe = false;

    while (traffic->ends == 0) {
        bool has_iopub = traffic->iopub.read < traffic->iopub.count;
        bool has_shell = traffic->shell.read < traffic->shell.count;
        if (traffic->has_half && !has_probe &&
            ((!has_iopub && !has_shell) || next_random(seed) % 4 == 0)) {
            send_probe(fixture, traffic);
            has_probe = true;
            continue;
        }
        assert_true(has_iopub || has_shell); /* else it would never end */
        bool from_iopub = has_iopub && (!has_shell || next_random(seed) % 2 == 0);
        deliver(fixture, traffic, from_iopub ? &traffic->iopub : &traffic->shell);
    }
}

static void assert_outcome(const struct execution *execution, const struct traffic *traffic,
                           enum loss loss)
{
    static const char *const timing[] = {
        [LOSS_NONE] = "{\"iopub.status.busy\":\"" DAY "01.000000Z\","
                      "\"iopub.execute_input\":\"" DAY "02.000000Z\","
                      "\"iopub.status.idle\":\"" DAY "03.000000Z\","
                      "\"shell.execute_reply\":\"" DAY "04.000000Z\"}",
        [LOSS_IDLE] = "{\"iopub.status.busy\":\"" DAY "01.000000Z\","
                      "\"iopub.execute_input\":\"" DAY "02.000000Z\","
                      "\"shell.execute_reply\":\"" DAY "04.000000Z\"}",
        [LOSS_REPLY] = "{\"iopub.status.busy\":\"" DAY "01.000000Z\","
                       "\"iopub.execute_input\":\"" DAY "02.000000Z\","
                       "\"iopub.status.idle\":\"" DAY "03.000000Z\"}",
    };

    assert_int_equal(traffic->end, loss == LOSS_REPLY ? EXECUTION_NO_REPLY : EXECUTION_OVER);
    assert_int_equal(traffic->outputs, 3); /* nothing is cut off */
    assert_true(execution->is_error);
    assert_int_equal(execution->count, loss == LOSS_REPLY ? 4 : 5);
    if (loss == LOSS_REPLY)
        assert_error(execution, "Of the output", "o");
    else
        assert_error(execution, "Named by the reply", "r");
    assert_timing(execution, timing[loss]);
}

/* The next cell hears nothing of what was still under way. */
static void assert_rest_is_silent(struct fixture *fixture, struct traffic *traffic)
{
    struct execution before = fixture->execution;
    struct queue *queues[] = {&traffic->iopub, &traffic->shell};

    for (unsigned i = 0; i < 2; i++) {
        while (queues[i]->read < queues[i]->count) {
            enum sent item = queues[i]->items[queues[i]->read++];
            auto_free char *parent = mem_printf("{\"msg_id\":\"%s\"}", parent_of(&before, item));
            execution_begin(&fixture->execution, 8);
            fixture->execution.request = uuid_random();
            assert_int_equal(take_dated(fixture, sent_messages[item].channel,
                                        sent_messages[item].type, parent, NULL,
                                        sent_messages[item].content),
                             EXECUTION_NOTHING);
        }
    }
}

static void every_order_has_one_end(void **state)
{
    struct fixture *fixture = *state;
    uint64_t seed = 0x5e90e;

    for (unsigned round = 0; round < 6000; round++) {
        enum loss loss = (enum loss)(round % LOSS_COUNT);
        struct traffic traffic = {0};
        execution_begin(&fixture->execution, 7);
        fixture->execution.request = uuid_random();
        put_cell(&traffic, loss);
        run_cell(fixture, &traffic, &seed);
        assert_outcome(&fixture->execution, &traffic, loss);
        assert_rest_is_silent(fixture, &traffic);
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reply_then_idle),
        TEST(idle_then_reply),
        TEST(second_reply_is_none),
        TEST(second_idle_is_none),
        TEST(output_between_the_halves_counts),
        TEST(others_are_not_heard),
        TEST(only_execute_reply_is_the_reply),
        TEST(other_channels_say_nothing),
        TEST(outputs_are_handed_on),
        TEST(status_must_tell_a_state),
        TEST(count_of_the_reply_wins),
        TEST(count_of_the_input_does_without_one_in_the_reply),
        TEST(all_but_ok_is_an_error),
        TEST(error_output_alone_is_no_error),
        TEST(error_of_the_reply_needs_no_output),
        TEST(error_is_told_by_whoever_names_it),
        TEST(broken_text_is_read),
        TEST(probes_idle_stands_for_the_lost_one),
        TEST(probes_reply_tells_that_none_will_come),
        TEST(late_halves_overtake_the_probe),
        TEST(probes_answers_alone_say_nothing),
        TEST(moments_are_the_senders),
        TEST(moments_need_a_date),
        TEST(moments_are_of_the_first_of_each_kind),
        TEST(begin_forgets_the_cell_before),
        TEST(request_not_yet_sent_has_no_answers),
        TEST(clear_may_be_repeated),
        TEST(every_order_has_one_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
