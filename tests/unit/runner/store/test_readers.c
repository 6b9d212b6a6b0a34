#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/store/readers.h"
#include "tests/unit/base/scratch.c"

#include <pthread.h>

struct world {
    char *root, *path;
    struct store *writer;
    struct readers *readers;
};

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);
    struct err e;

    world->root = scratch_new();
    world->path = fs_join(world->root, "segue.db");
    assert_int_equal(store_open(world->path, STORE_WRITE, &world->writer, &e), 0);
    world->readers = readers_new(world->path);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    readers_free(world->readers);
    store_close(world->writer);
    free(world->path);
    scratch_free(world->root);
    free(world);
    return 0;
}

static struct store *lend(struct world *world)
{
    struct err e;
    struct store *store = readers_lend(world->readers, &e);

    if (!store)
        fail_msg("%s", e.text);
    return store;
}

static int64_t last_event(struct store *store)
{
    int64_t id = -1;
    struct err e;

    assert_int_equal(store_last_event(store, &id, &e), 0);
    return id;
}

static void write_event(struct store *store)
{
    struct run_event event = {.kind = EVENT_RUN_QUEUED, .step = STEP_NONE, .time = 1};
    int64_t id;
    struct err e;

    assert_int_equal(store_begin(store, &e), 0);
    assert_int_equal(store_add_event(store, 1, &event, NULL, &id, &e), 0);
    assert_int_equal(store_commit(store, STORE_LAZY, &e), 0);
}

static void what_was_given_back_is_lent_again(void **state)
{
    struct world *world = *state;
    struct store *first = lend(world), *second = lend(world);

    assert_ptr_not_equal(first, second); /* each has one of its own */
    readers_give_back(world->readers, first);
    assert_ptr_equal(lend(world), first);
    readers_give_back(world->readers, second);
    readers_give_back(world->readers, first);
    readers_give_back(world->readers, NULL);
}

static void a_reader_sees_what_was_written_since(void **state)
{
    struct world *world = *state;
    struct store *reader = lend(world);

    assert_int_equal(last_event(reader), 0);
    write_event(world->writer);
    assert_int_equal(last_event(reader), 1);
    readers_give_back(world->readers, reader);
    write_event(world->writer);
    reader = lend(world);
    assert_int_equal(last_event(reader), 2);
    readers_give_back(world->readers, reader);
}

static void a_reader_changes_nothing(void **state)
{
    struct world *world = *state;
    struct store *reader = lend(world);
    struct run_event event = {.kind = EVENT_RUN_QUEUED, .step = STEP_NONE, .time = 1};
    int64_t id;
    struct err e;

    assert_true(store_begin(reader, &e) < 0 ||
                store_add_event(reader, 1, &event, NULL, &id, &e) < 0);
    store_rollback(reader);
    assert_int_equal(last_event(world->writer), 0);
    readers_give_back(world->readers, reader);
}

static void without_a_file_nothing_is_lent(void **state)
{
    struct world *world = *state;
    auto_free char *path = fs_join(world->root, "nowhere.db");
    struct readers *readers = readers_new(path);
    struct err e;

    assert_null(readers_lend(readers, &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_false(fs_exists(path));
    readers_free(readers);
    readers_free(NULL);
}

/* --- many threads --- */

enum { THREADS = 8, ROUNDS = 300 };

static void *look(void *user)
{
    struct readers *readers = user;
    int64_t last = 0;
    struct err e;

    for (int i = 0; i < ROUNDS; i++) {
        struct store *store = readers_lend(readers, &e);
        int64_t id = -1;
        if (!store || store_last_event(store, &id, &e) < 0 || id < last)
            return readers;
        last = id;
        readers_give_back(readers, store);
    }
    return NULL;
}

static void many_look_while_one_writes(void **state)
{
    struct world *world = *state;
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look, world->readers), 0);
    for (int i = 0; i < ROUNDS; i++)
        write_event(world->writer);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        if (wrong)
            fail_msg("an event was missed");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_given_back_is_lent_again), TEST(a_reader_sees_what_was_written_since),
        TEST(a_reader_changes_nothing),          TEST(without_a_file_nothing_is_lent),
        TEST(many_look_while_one_writes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
