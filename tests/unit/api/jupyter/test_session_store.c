#include "api/jupyter/session_store.h"

#include "base/fs.h"
#include "base/mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct place {
    char *directory, *file;
};

static int make_place(void **state)
{
    struct place *place = mem_zalloc(sizeof *place);

    place->directory = mem_strdup("/tmp/segue-test-XXXXXX");
    if (!mkdtemp(place->directory))
        return -1;
    place->file = fs_join(place->directory, "sessions.json");
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    struct err e;
    int result = fs_remove_tree(place->directory, &e);

    free(place->directory);
    free(place->file);
    free(place);
    return result;
}

static bool put(struct session_store *store, const char *id, const char *path, const char *kernel)
{
    struct session session = {.id = (char *)id,
                              .path = (char *)path,
                              .name = (char *)"n",
                              .type = (char *)"notebook",
                              .kernel_id = (char *)kernel};

    return session_store_put(store, &session);
}

static size_t count_of(struct session_store *store)
{
    struct session *sessions;
    size_t count = session_store_list(store, &sessions);

    for (size_t i = 0; i < count; i++)
        session_clear(&sessions[i]);
    free(sessions);
    return count;
}

static void finds_what_was_put(void **state)
{
    const struct place *place = *state;
    struct session_store *store = session_store_new(place->file);
    auto_session struct session by_id = {0}, by_path = {0};

    assert_true(put(store, "one", "a.ipynb", "k1"));
    assert_true(put(store, "two", "b.ipynb", "k2"));
    assert_true(session_store_find(store, "two", &by_id));
    assert_string_equal(by_id.path, "b.ipynb");
    assert_true(session_store_find_path(store, "a.ipynb", &by_path));
    assert_string_equal(by_path.kernel_id, "k1");
    assert_false(session_store_find(store, "a.ipynb", &by_id));
    session_store_free(store);
}

static void replaces_by_id(void **state)
{
    const struct place *place = *state;
    struct session_store *store = session_store_new(place->file);
    auto_session struct session found = {0};

    put(store, "one", "a.ipynb", "k1");
    put(store, "one", "b.ipynb", "k2");
    assert_int_equal(count_of(store), 1);
    assert_true(session_store_find_path(store, "b.ipynb", &found));
    assert_string_equal(found.kernel_id, "k2");
    session_store_free(store);
}

static void removes_once(void **state)
{
    const struct place *place = *state;
    struct session_store *store = session_store_new(place->file);
    auto_session struct session found = {0};

    put(store, "one", "a", "k");
    put(store, "two", "b", "k");
    put(store, "three", "c", "k");
    assert_true(session_store_remove(store, "two"));
    assert_false(session_store_remove(store, "two"));
    assert_int_equal(count_of(store), 2);
    assert_true(session_store_find(store, "three", &found));
    session_store_free(store);
}

static void outlives_its_process(void **state)
{
    const struct place *place = *state;
    struct session_store *store = session_store_new(place->file);
    auto_session struct session found = {0};

    put(store, "one", "a \"b\"\n\u00e4.ipynb", "k1");
    put(store, "two", "b", "k2");
    session_store_remove(store, "two");
    session_store_free(store);
    store = session_store_new(place->file);
    assert_int_equal(count_of(store), 1);
    assert_true(session_store_find(store, "one", &found));
    assert_string_equal(found.path, "a \"b\"\n\u00e4.ipynb");
    assert_string_equal(found.name, "n");
    assert_string_equal(found.type, "notebook");
    assert_string_equal(found.kernel_id, "k1");
    session_store_free(store);
}

static void begins_empty_where_the_file_is_wrong(void **state)
{
    const struct place *place = *state;
    static const char *const texts[] = {
        "",
        "{\"sessions\":[{\"id\":\"one\"",
        "[]",
        "{\"sessions\": 1}",
        "{\"sessions\": [1, {}, {\"id\": 1, \"path\": \"\", \"name\": \"\", \"type\": \"\", "
        "\"kernel_id\": \"\"}]}",
    };
    struct err e;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(fs_write(place->file, str_of(texts[i]), 0600, FS_NO_SYNC, &e), 0);
        struct session_store *store = session_store_new(place->file);
        assert_int_equal(count_of(store), 0);
        assert_true(put(store, "one", "a", "k"));
        session_store_free(store);
    }
}

static void is_bounded(void **state)
{
    const struct place *place = *state;
    auto_buf struct buf text = {0};
    struct session *all = mem_array(SESSIONS_MAX + 1, sizeof *all);
    struct err e;

    for (size_t i = 0; i <= SESSIONS_MAX; i++) {
        all[i] = (struct session){.id = mem_printf("%zu", i),
                                  .path = mem_strdup("p"),
                                  .name = mem_strdup(""),
                                  .type = mem_strdup("t"),
                                  .kernel_id = mem_strdup("k")};
    }
    sessions_encode(all, SESSIONS_MAX + 1, &text);
    assert_int_equal(fs_write(place->file, (struct str){text.data, text.len}, 0600, FS_NO_SYNC, &e),
                     0);
    struct session_store *store = session_store_new(place->file);
    assert_int_equal(count_of(store), SESSIONS_MAX);
    assert_false(put(store, "another", "q", "k"));
    assert_true(put(store, "0", "q", "k")); /* one that is there may change */
    assert_true(session_store_remove(store, "0"));
    assert_true(put(store, "another", "q", "k"));
    session_store_free(store);
    for (size_t i = 0; i <= SESSIONS_MAX; i++)
        session_clear(&all[i]);
    free(all);
}

static void remembers_where_it_cannot_write(void **state)
{
    (void)state;
    struct session_store *store = session_store_new("/nowhere/at/all/sessions.json");

    assert_true(put(store, "one", "a", "k"));
    assert_int_equal(count_of(store), 1);
    session_store_free(store);
}

static void *put_many(void *user)
{
    for (int i = 0; i < 50; i++) {
        auto_free char *id = mem_printf("%p-%d", (void *)&id, i);
        put(user, id, id, "k");
        if (i % 2)
            session_store_remove(user, id);
    }
    return NULL;
}

static void several_threads_may_write(void **state)
{
    const struct place *place = *state;
    struct session_store *store = session_store_new(place->file);
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, store), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    size_t count = count_of(store);
    assert_int_equal(count, 100);
    session_store_free(store);
    store = session_store_new(place->file); /* the file is the last state, whoever wrote it */
    assert_int_equal(count_of(store), count);
    session_store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define PLACE_TEST(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)
        PLACE_TEST(finds_what_was_put),
        PLACE_TEST(replaces_by_id),
        PLACE_TEST(removes_once),
        PLACE_TEST(outlives_its_process),
        PLACE_TEST(begins_empty_where_the_file_is_wrong),
        PLACE_TEST(is_bounded),
        cmocka_unit_test(remembers_where_it_cannot_write),
        PLACE_TEST(several_threads_may_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
