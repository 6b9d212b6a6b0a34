#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "kernel-gateway/keeper/keeper.h"
#include "runner/engine/snapshot.h"
#include "runner/step/notebook_task.h"
#include "runner/step/task.h"
#include "tests/unit/base/scratch.c"

static const char SOURCE[] =
    "{\"cells\":[{\"cell_type\":\"code\",\"id\":\"one\",\"source\":\"1\",\"metadata\":{},"
    "\"outputs\":[],\"execution_count\":null}],\"metadata\":{},\"nbformat\":4,"
    "\"nbformat_minor\":5}";

#define STARTED                                                                                    \
    "{\"time\":\"2026-01-01T00:00:01.000000Z\",\"event\":\"cell_started\",\"cell_index\":0}\n"
#define PRINTED                                                                                    \
    "{\"time\":\"2026-01-01T00:00:02.000000Z\",\"event\":\"output\",\"cell_index\":0,\"output\":"  \
    "{\"output_type\":\"stream\",\"name\":\"stdout\",\"text\":\"from the journal\"}}\n"

struct world {
    char *attempt;
    char *copy;
};

static void put_task(const struct world *world, enum step_kind kind)
{
    auto_buf struct buf text = {0};
    struct task task = {
#define X(name) .name = (char *)"the " #name,
        TASK_NEEDED_TEXTS(X)
#undef X
            .kind = kind,
        .output = world->copy,
    };
    struct err e;

    assert_int_equal(json_parse(&task.parameters, STR("{}"), JSON_STRICT, NULL, &e), 0);
    task_encode(&task, &text);
    json_clear(&task.parameters);
    scratch_put(world->attempt, TASK_FILE, text.data);
}

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);

    world->attempt = scratch_new();
    world->copy = fs_join(world->attempt, "executed.ipynb");
    put_task(world, STEP_NOTEBOOK);
    scratch_put(world->attempt, SOURCE_FILE, SOURCE);
    scratch_put(world->attempt, KEEPER_JOURNAL, STARTED PRINTED);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    scratch_free(world->attempt);
    free(world->copy);
    free(world);
    return 0;
}

/* The text; free() it. */
static char *taken(const struct world *world, enum snapshot_source source, struct snapshot *ret)
{
    struct buf text = {0};
    struct err e;

    if (snapshot_open(world->attempt, source, ret, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(fs_read_fd(ret->fd, "snapshot", 1 << 20, &text, &e), 0);
    assert_int_equal(text.len, ret->size);
    assert_int_equal(close(ret->fd), 0);
    return buf_take(&text);
}

static void check_refused(const struct world *world, enum err_code code)
{
    struct snapshot snapshot;
    struct err e;

    assert_int_equal(snapshot_open(world->attempt, SNAPSHOT_COPY, &snapshot, &e), -1);
    assert_int_equal(e.code, code);
}

static void from_the_journal_it_has_what_there_is_by_now(void **state)
{
    const struct world *world = *state;
    struct snapshot snapshot;

    scratch_put(world->attempt, "executed.ipynb", "of a later attempt");
    auto_free char *text = taken(world, SNAPSHOT_JOURNAL, &snapshot);
    assert_non_null(strstr(text, "\"from the journal\""));
    assert_non_null(strstr(text, "\"nbformat_minor\": 5"));
}

static void the_copy_is_given_as_it_is(void **state)
{
    const struct world *world = *state;
    struct snapshot snapshot;

    scratch_put(world->attempt, "executed.ipynb", "the executed copy");
    auto_free char *text = taken(world, SNAPSHOT_COPY, &snapshot);
    assert_string_equal(text, "the executed copy");
}

/* It could not be written, or was lost. */
static void without_a_copy_it_comes_from_the_journal(void **state)
{
    struct snapshot snapshot;
    auto_free char *text = taken(*state, SNAPSHOT_COPY, &snapshot);

    assert_non_null(strstr(text, "\"from the journal\""));
}

/* A tag that stays for other bytes would have a client put two notebooks together. */
static void the_tag_is_the_contents(void **state)
{
    const struct world *world = *state;
    struct snapshot first, same, other;

    free(taken(world, SNAPSHOT_JOURNAL, &first));
    free(taken(world, SNAPSHOT_JOURNAL, &same));
    scratch_put(world->attempt, KEEPER_JOURNAL, STARTED PRINTED PRINTED);
    free(taken(world, SNAPSHOT_JOURNAL, &other));
    assert_string_equal(first.etag, same.etag);
    assert_string_not_equal(first.etag, other.etag);

    scratch_put(world->attempt, "executed.ipynb", "a copy");
    free(taken(world, SNAPSHOT_COPY, &first));
    free(taken(world, SNAPSHOT_COPY, &same));
    scratch_put(world->attempt, "executed.ipynb", "A copy");
    free(taken(world, SNAPSHOT_COPY, &other));
    assert_string_equal(first.etag, same.etag);
    assert_string_not_equal(first.etag, other.etag);
    assert_int_equal(first.etag[0], '"');
    assert_int_equal(first.etag[strlen(first.etag) - 1], '"');
}

static void nothing_is_left_in_the_directory(void **state)
{
    const struct world *world = *state;
    struct snapshot snapshot;

    free(taken(world, SNAPSHOT_COPY, &snapshot));
    assert_false(fs_exists(world->copy));
}

static void a_script_has_none(void **state)
{
    put_task(*state, STEP_PYTHON);
    check_refused(*state, ERR_INVALID);
}

static void what_has_not_come_so_far_has_none(void **state)
{
    static const char *const files[] = {KEEPER_JOURNAL, SOURCE_FILE, TASK_FILE};
    const struct world *world = *state;

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        auto_free char *path = fs_join(world->attempt, files[i]);
        assert_int_equal(unlink(path), 0);
        check_refused(world, ERR_NOT_FOUND);
    }
}

static void what_was_no_notebook_has_none(void **state)
{
    const struct world *world = *state;

    scratch_put(world->attempt, SOURCE_FILE, "no notebook");
    check_refused(world, ERR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(from_the_journal_it_has_what_there_is_by_now),
        TEST(the_copy_is_given_as_it_is),
        TEST(without_a_copy_it_comes_from_the_journal),
        TEST(the_tag_is_the_contents),
        TEST(nothing_is_left_in_the_directory),
        TEST(a_script_has_none),
        TEST(what_has_not_come_so_far_has_none),
        TEST(what_was_no_notebook_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
