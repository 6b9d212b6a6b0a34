#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/store/event_text.h"
#include "tests/unit/runner/engine/made_log.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct comparison {
    const struct notices *notices;
    size_t next;
};

static int compare(void *data, const struct store_event *event, struct err *e)
{
    struct comparison *comparison = data;
    const struct notice *told = &comparison->notices->items[comparison->next++];
    auto_buf struct buf text = {0};

    (void)e;
    assert_true(event_text_put_stored(&text, event));
    assert_int_equal(told->id, event->id);
    assert_int_equal(told->len, text.len);
    assert_string_equal(comparison->notices->text.data + told->start, buf_text(&text));
    return 0;
}

static void what_is_read_back_is_what_was_told(void **state)
{
    static const struct {
        const char *name;
        struct run_event event;
        const char *payload;
    } rows[] = {
        {"queued", {EVENT_RUN_QUEUED, .step = STEP_NONE}, NULL},
        {"started", {EVENT_RUN_STARTED, .step = STEP_NONE}, NULL},
        {"cancel", {EVENT_CANCEL_REQUESTED, .step = STEP_NONE}, NULL},
        {"late", {EVENT_CANCEL_REQUESTED, .cause = CAUSE_TIMEOUT, .step = STEP_NONE}, NULL},
        {"step", {EVENT_STEP_STARTED, .step = 0, .attempt = 1}, NULL},
        {"stopping", {EVENT_STEP_STOPPING, .cause = CAUSE_TIMEOUT, .step = 0, .attempt = 1}, NULL},
        {"retrying",
         {EVENT_STEP_RETRYING, .cause = CAUSE_CELL_ERROR, .step = 1, .attempt = 3,
          .retry_at = 1767225601999},
         "{\"failure\":{\"message\":\"quote \\\" \xc3\xa4\"}}"},
        {"never started",
         {EVENT_STEP_FINISHED, STATUS_ABORTED, CAUSE_UPSTREAM, .step = 2, .attempt = 0},
         NULL},
        {"failed",
         {EVENT_STEP_FINISHED, STATUS_FAILURE, CAUSE_CELL_ERROR, .step = 1, .attempt = 4},
         "{\"failure\":{\"cause\":\"cell_error\"}}"},
        {"succeeded",
         {EVENT_STEP_FINISHED, STATUS_SUCCESS, CAUSE_NONE, .step = 0, .attempt = 1},
         NULL},
        {"over", {EVENT_RUN_FINISHED, STATUS_FAILURE, CAUSE_CELL_ERROR, .step = STEP_NONE}, NULL},
    };
    struct made_log log;

    (void)state;
    made_log_open(&log);
    made_begin(&log);
    size_t run = made_run(&log);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct run_event event = rows[i].event;
        event.time = 1767225600123 + (msec)i;
        made_state(&log, &log.runs[run], &event, rows[i].payload);
    }
    made_commit(&log);
    struct comparison comparison = {.notices = &log.notices};
    MADE(store_events_after(log.store, 0, 0, 1000, compare, &comparison, e));
    assert_int_equal(comparison.next, COUNT(rows) + 1); /* one from made_run */
    made_log_close(&log);
}

static int look_at_last(void *data, const struct store_event *event, struct err *e)
{
    (void)e;
    buf_reset(data);
    event_text_put_stored(data, event);
    return 0;
}

static void a_deleted_run_leaves_one_event(void **state)
{
    auto_buf struct buf text = {0};
    struct made_log log;

    (void)state;
    made_log_open(&log);
    made_begin(&log);
    size_t run = made_run(&log);
    made_end(&log, &log.runs[run]);
    made_commit(&log);
    made_begin(&log);
    int64_t id = made_deletion(&log, &log.runs[run]);
    made_commit(&log);
    MADE(store_events_after(log.store, id - 1, 0, 10, look_at_last, &text, e));
    assert_string_equal(buf_text(&text), log.notices.text.data);
    auto_free char *start = mem_printf("{\"id\":%" PRId64 ",\"run_uuid\":\"%s\",\"time\":\"", id,
                                       log.runs[run].uuid.text);
    assert_memory_equal(buf_text(&text), start, strlen(start));
    static const char rest[] = ",\"event\":\"run_deleted\"}";
    assert_string_equal(text.data + text.len - (sizeof rest - 1), rest);
    made_log_close(&log);
}

static void what_cannot_be_shown_appends_nothing(void **state)
{
    static const struct {
        const char *name;
        struct store_event event;
    } rows[] = {
        {"of a run that is being removed", {.event = "run_started", .run_uuid = ""}},
        {"a line of one", {.event = "output", .run_uuid = "", .length = 7}},
        {"not known", {.event = "run_flew", .run_uuid = "r"}},
        {"a status that is none", {.event = "run_finished", .run_uuid = "r", .status = "DONE"}},
        {"deleted, and nobody knows who",
         {.event = "run_deleted", .run_uuid = "", .payload = "{}"}},
        {"deleted, damaged", {.event = "run_deleted", .run_uuid = "", .payload = "{"}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct store_event event = rows[i].event;
        auto_buf struct buf text = {0};
        event.step = STEP_NONE;
        event.step_uuid = event.cause = "";
        event.status = event.status ? event.status : "";
        event.payload = event.payload ? event.payload : "";
        if (event_text_put_stored(&text, &event) || text.len > 0)
            fail_msg("%s: %s", rows[i].name, buf_text(&text));
    }
}

static void a_line_is_shown_behind_its_number(void **state)
{
    static const struct {
        const char *line;
        size_t skip;
    } rows[] = {
        {"{\"n\":1,\"time\":\"t\"}", 6},
        {"{\"n\":12345678901234567890,\"", 25},
        {"{\"n\":1", 0},
        {"{\"n\":", 0},
        {"{\"m\":1,\"time\":\"t\"}", 0},
        {"", 0},
    };
    auto_buf struct buf head = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(event_text_line_skip(str_of(rows[i].line)), rows[i].skip);
    event_text_put_line_head(&head, 7, &(struct event_subject){"r", "s"});
    assert_string_equal(buf_text(&head), "{\"id\":7,\"run_uuid\":\"r\",\"step_uuid\":\"s\"");
}

static void each_name_has_its_audience(void **state)
{
    static const struct {
        const char *name;
        bool is_known, is_for_all, is_last;
    } rows[] = {
        {"run_queued", true, true, false},        {"run_started", true, true, false},
        {"step_started", true, true, false},      {"kernel_ready", true, true, false},
        {"cell_started", true, true, false},      {"cell_finished", true, true, false},
        {"step_stopping", true, true, false},     {"step_retrying", true, true, false},
        {"step_finished", true, true, false},     {"cancel_requested", true, true, false},
        {"run_finished", true, true, true},       {"run_deleted", true, true, true},
        {"output", true, false, false},           {"output_cleared", true, false, false},
        {"output_updated", true, false, false},   {"comm", true, false, false},
        {"widget_output", true, false, false},    {"", false, false, false},
        {"from_the_future", false, false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_string_equal(event_text_name(rows[i].name), rows[i].is_known ? rows[i].name : "");
        assert_int_equal(event_text_is_for_all(rows[i].name), rows[i].is_for_all);
        assert_int_equal(event_text_is_last(rows[i].name), rows[i].is_last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_back_is_what_was_told),
        cmocka_unit_test(a_deleted_run_leaves_one_event),
        cmocka_unit_test(what_cannot_be_shown_appends_nothing),
        cmocka_unit_test(a_line_is_shown_behind_its_number),
        cmocka_unit_test(each_name_has_its_audience),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
