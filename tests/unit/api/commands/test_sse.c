#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/commands/sse.h"
#include "base/mem.h"

#include <inttypes.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void note(void *user, int64_t id, const char *event, struct str data)
{
    buf_printf(user, "%" PRId64 " %s [" STR_FMT "]\n", id, event, STR_ARG(data));
}

static void feed(struct sse *sse, const char *text, size_t piece, struct buf *out)
{
    size_t len = strlen(text);
    struct err e;

    for (size_t at = 0; at < len; at += piece) {
        size_t part = at + piece < len ? piece : len - at;
        assert_int_equal(sse_feed(sse, (struct str){text + at, part}, note, out, &e), 0);
    }
}

static void frames_are_taken_apart_however_they_are_cut(void **state)
{
    static const struct {
        const char *name, *text, *events;
    } rows[] = {
        {"one", "id: 7\nevent: a\ndata: {\"x\":1}\n\n", "7 a [{\"x\":1}]\n"},
        {"without blanks", "id:7\nevent:a\ndata:b\n\n", "7 a [b]\n"},
        {"one blank is not content", "data:  b \n\n", "0 message [ b ]\n"},
        {"CR LF", "id: 1\r\nevent: a\r\ndata: b\r\n\r\n", "1 a [b]\n"},
        {"heartbeats and retry", "retry: 1000\n\n: heartbeat\n\ndata: b\n\n", "0 message [b]\n"},
        {"lines of data", "data: a\ndata\ndata: b\n\n", "0 message [a\n\nb]\n"},
        {"empty data", "data\n\n", "0 message []\n"},
        {"no data, no event", "event: a\nid: 3\n\ndata: b\n\n", "3 message [b]\n"},
        {"two", "id: 1\ndata: a\n\nid: 2\ndata: b\n\n", "1 message [a]\n2 message [b]\n"},
        {"not whole", "data: a\n", ""},
        {"colons", "data: a:b\nother: c\n\n", "0 message [a:b]\n"},
        {"an id that is no number", "id: 5\nid: x\ndata: a\n\n", "5 message [a]\n"},
        {"an id that is too large", "id: 99999999999999999999\ndata: a\n\n", "0 message [a]\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t piece = 1; piece < 60; piece += piece < 8 ? 1 : 20) {
            struct sse sse = {0};
            auto_buf struct buf out = {0};
            feed(&sse, rows[i].text, piece, &out);
            if (strcmp(buf_text(&out), rows[i].events) != 0)
                fail_msg("%s in pieces of %zu: %s", rows[i].name, piece, buf_text(&out));
            sse_clear(&sse);
        }
    }
}

/* A frame that was not whole when the connection broke is asked for again. */
static void the_last_id_is_that_of_a_whole_frame(void **state)
{
    struct sse sse = {0};
    auto_buf struct buf out = {0};

    (void)state;
    feed(&sse, "id: 1\ndata: a\n\nid: 2\nevent: x\ndata: b\n", 1000, &out);
    assert_int_equal(sse.last_id, 1);
    sse_restart(&sse);
    assert_int_equal(sse.last_id, 1);
    feed(&sse, "data: c\n\nid: 2\ndata: b\n\n", 1000, &out);
    assert_string_equal(out.data, "1 message [a]\n1 message [c]\n2 message [b]\n");
    assert_int_equal(sse.last_id, 2);
    sse_clear(&sse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_taken_apart_however_they_are_cut),
        cmocka_unit_test(the_last_id_is_that_of_a_whole_frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
