#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "runner/engine/notices.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct notice_subject the_run = {"run-uuid", NULL, STEP_NONE, 9};
static const struct notice_subject the_step = {"run-uuid", "step-uuid", 3, 9};

static void parsed(struct json *doc, const struct notices *notices, size_t index)
{
    struct err e;
    const char *text = notices->text.data + notices->items[index].start;

    if (json_parse(doc, str_of(text), JSON_STRICT, NULL, &e) < 0)
        fail_msg("%s: %s", e.text, text);
}

static void check_member(const struct json *doc, const char *key, const char *expected)
{
    json_at at = json_get(doc, 0, key);

    if (expected && !json_is(doc, at, expected))
        fail_msg("%s is " STR_FMT, key, STR_ARG(json_raw(doc, at)));
    if (!expected)
        assert_int_equal(at, JSON_NONE);
}

static void every_kind_of_event_is_an_object(void **state)
{
    static const struct {
        enum run_event_kind kind;
        const char *name, *status;
        bool about_step;
    } rows[] = {
        {EVENT_RUN_QUEUED, "run_queued", "PENDING", false},
        {EVENT_RUN_STARTED, "run_started", "STARTED", false},
        {EVENT_CANCEL_REQUESTED, "cancel_requested", NULL, false},
        {EVENT_STEP_STARTED, "step_started", "STARTED", true},
        {EVENT_STEP_STOPPING, "step_stopping", NULL, true},
        {EVENT_STEP_RETRYING, "step_retrying", "STARTED", true},
        {EVENT_STEP_FINISHED, "step_finished", "ABORTED", true},
        {EVENT_RUN_FINISHED, "run_finished", "ABORTED", false},
    };
    struct notices notices = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct run_event event = {.kind = rows[i].kind,
                                  .status = STATUS_ABORTED,
                                  .step = rows[i].about_step ? 3 : STEP_NONE,
                                  .attempt = rows[i].about_step ? 2 : 0,
                                  .time = 1767225600123,
                                  .retry_at = 1767225601000};
        notices_add_event(&notices, (int64_t)i + 100, rows[i].about_step ? &the_step : &the_run,
                          &event, (struct str){0});
    }
    assert_int_equal(notices.count, COUNT(rows));
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_json struct json doc = {0};
        const struct notice *notice = &notices.items[i];
        int64_t id, attempt = 0;
        parsed(&doc, &notices, i);
        assert_true(json_int(&doc, json_get(&doc, 0, "id"), &id));
        assert_int_equal(id, i + 100);
        assert_int_equal(notice->id, id);
        assert_int_equal(notice->step, rows[i].about_step ? 3 : STEP_NONE);
        assert_int_equal(notice->run, 9);
        assert_string_equal(notice->run_uuid.text, "run-uuid");
        assert_int_equal(notice->time, 1767225600123);
        assert_int_equal(notice->len, strlen(notices.text.data + notice->start));
        assert_string_equal(notice->event, rows[i].name);
        check_member(&doc, "event", rows[i].name);
        check_member(&doc, "status", rows[i].status);
        check_member(&doc, "run_uuid", "run-uuid");
        check_member(&doc, "step_uuid", rows[i].about_step ? "step-uuid" : NULL);
        check_member(&doc, "time", "2026-01-01T00:00:00.123000Z");
        check_member(&doc, "retry_time",
                     rows[i].kind == EVENT_STEP_RETRYING ? "2026-01-01T00:00:01.000000Z" : NULL);
        json_int(&doc, json_get(&doc, 0, "attempt"), &attempt);
        assert_int_equal(attempt, rows[i].about_step ? 2 : 0);
    }
    notices_clear(&notices);
}

static void a_payload_is_added(void **state)
{
    static const struct {
        const char *payload;
        bool has_failure;
    } rows[] = {
        {NULL, false},
        {"", false},
        {"{}", false},
        {"{\"failure\":{\"message\":\"quote \\\" and line\\n\"}}", true},
    };
    struct notices notices = {0};
    struct run_event event = {.kind = EVENT_STEP_FINISHED, .status = STATUS_FAILURE, .step = 3};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_json struct json doc = {0};
        notices_add_event(&notices, 1, &the_step, &event, str_of(rows[i].payload));
        parsed(&doc, &notices, i);
        check_member(&doc, "status", "FAILURE");
        json_at failure = json_get(&doc, 0, "failure");
        assert_int_equal(failure != JSON_NONE, rows[i].has_failure);
    }
    notices_clear(&notices);
}

static void a_line_keeps_its_members_but_for_the_number(void **state)
{
    static const struct {
        const char *name, *line;
        bool is_known;
    } rows[] = {
        {"kernel_ready", "{\"n\":1,\"time\":\"t\",\"event\":\"kernel_ready\",\"x\":[1]}", true},
        {"cell_started", "{\"n\":12345678901,\"time\":\"t\",\"event\":\"cell_started\",\"x\":[1]}",
         true},
        {"output", "{\"n\":3,\"time\":\"t\",\"event\":\"output\",\"x\":[1]}", true},
        {"output_updated", "{\"n\":5,\"time\":\"t\",\"event\":\"output_updated\",\"x\":[1]}", true},
        {"comm", "{\"n\":6,\"time\":\"t\",\"event\":\"comm\",\"x\":[1]}", true},
        {"newer", "{\"n\":7,\"time\":\"t\",\"event\":\"newer\",\"x\":[1]}", false},
    };
    struct notices notices = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_json struct json doc = {0};
        const struct store_line stored = {.event = rows[i].name, .time = 5};
        int64_t id;
        notices_add_line(&notices, (int64_t)i + 7, &the_step, &stored, str_of(rows[i].line));
        parsed(&doc, &notices, i);
        const struct notice *notice = &notices.items[i];
        assert_string_equal(notice->event, rows[i].is_known ? rows[i].name : "");
        assert_int_equal(notice->step, 3);
        assert_int_equal(notice->time, 5);
        assert_int_equal(notice->len, strlen(notices.text.data + notice->start));
        assert_true(json_int(&doc, json_get(&doc, 0, "id"), &id));
        assert_int_equal(id, i + 7);
        check_member(&doc, "run_uuid", "run-uuid");
        check_member(&doc, "step_uuid", "step-uuid");
        check_member(&doc, "time", "t");
        check_member(&doc, "event", rows[i].name);
        assert_int_equal(json_get(&doc, 0, "n"), JSON_NONE);
        assert_int_equal(json_count(&doc, json_get(&doc, 0, "x")), 1);
    }
    notices_clear(&notices);
}

static void a_line_that_no_keeper_wrote_is_not_told(void **state)
{
    struct notices notices = {0};
    const struct store_line stored = {.event = "output", .time = 5};

    (void)state;
    notices_add_line(&notices, 1, &the_step, &stored, STR("{\"x\":1,\"n\":2}"));
    assert_int_equal(notices.count, 0);
    notices_clear(&notices);
}

static void a_deletion_is_told(void **state)
{
    struct notices notices = {0};

    (void)state;
    notices_add_deletion(&notices, 17, 9, "run-uuid", 1767225600123);
    assert_string_equal(notices.text.data, "{\"id\":17,\"run_uuid\":\"run-uuid\","
                                           "\"time\":\"2026-01-01T00:00:00.123000Z\","
                                           "\"event\":\"run_deleted\"}");
    assert_int_equal(notices.items[0].step, STEP_NONE);
    assert_int_equal(notices.items[0].run, 9);
    assert_int_equal(notices.items[0].len, strlen(notices.text.data));
    notices_clear(&notices);
}

/* Grows over many, is emptied, and is filled again: the earlier ones stay where they are. */
static void the_list_is_used_again(void **state)
{
    struct notices notices = {0};
    struct run_event event = {.kind = EVENT_STEP_STARTED, .step = 3, .attempt = 1};

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++)
            notices_add_event(&notices, i, &the_step, &event, (struct str){0});
        assert_int_equal(notices.count, 1000);
        for (size_t i = 0; i < 1000; i += 99) {
            auto_json struct json doc = {0};
            int64_t id;
            parsed(&doc, &notices, i);
            assert_true(json_int(&doc, json_get(&doc, 0, "id"), &id));
            assert_int_equal(id, i);
        }
        notices_reset(&notices);
        assert_int_equal(notices.count, 0);
    }
    notices_clear(&notices);
    notices_clear(&notices);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_event_is_an_object),
        cmocka_unit_test(a_payload_is_added),
        cmocka_unit_test(a_line_keeps_its_members_but_for_the_number),
        cmocka_unit_test(a_line_that_no_keeper_wrote_is_not_told),
        cmocka_unit_test(a_deletion_is_told),
        cmocka_unit_test(the_list_is_used_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
