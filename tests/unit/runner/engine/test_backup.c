#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/engine/backup.h"
#include "runner/store/store.h"
#include "tests/unit/base/scratch.c"

#include <sys/stat.h>

#define RUN "11111111-0000-4000-8000-000000000000"

struct fixture {
    char *root;
    char *state, *copy;
    struct store *store; /* the engine's, that goes on */
};

static void add_run(struct store *store, const char *uuid)
{
    struct store_run run = {
        .uuid = uuid,
        .project = "/projects/one",
        .pipeline_path = "pipeline.json",
        .pipeline_uuid = "p1",
        .pipeline_name = "First",
        .run_type = "full",
        .uuids = "[]",
        .parameters = "{}",
        .images = "{}",
        .options = "{}",
        .job_uuid = "",
        .rerun_of = "",
        .created_time = 1700000000123,
    };
    struct store_frozen frozen = {.definition = STR("{}"), .environments = "[]"};
    int64_t id;
    struct err e;

    if (store_begin(store, &e) < 0 || store_add_run(store, &run, &frozen, &id, &e) < 0 ||
        store_commit(store, STORE_LAZY, &e) < 0)
        fail_msg("%s", e.text);
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    struct err e;

    f->root = scratch_new();
    f->state = fs_join(f->root, "state");
    f->copy = fs_join(f->root, "copy");
    auto_free char *database = fs_join(f->state, "segue.db");
    assert_int_equal(fs_mkdirs(f->state, 0700, &e), 0);
    if (store_open(database, STORE_WRITE, &f->store, &e) < 0)
        fail_msg("%s", e.text);
    add_run(f->store, RUN);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    store_close(f->store);
    scratch_free(f->root);
    free(f->state);
    free(f->copy);
    free(f);
    return 0;
}

static void make(const struct fixture *f)
{
    struct err e;

    if (backup_make(f->state, f->copy, &e) < 0)
        fail_msg("%s", e.text);
}

static bool is_there(const char *directory, const char *name)
{
    auto_free char *path = fs_join(directory, name);
    struct stat st;

    return lstat(path, &st) == 0;
}

static void check_text(const char *directory, const char *name, const char *expected)
{
    auto_free char *text = scratch_read(directory, name);

    assert_string_equal(text, expected);
}

static int count(void *data, const struct store_run *run, struct err *e)
{
    (void)run, (void)e;
    ++*(int *)data;
    return 0;
}

static int runs_in(const char *directory)
{
    auto_free char *path = fs_join(directory, "segue.db");
    auto_store struct store *store = NULL;
    struct store_filter all = {0};
    int found = 0;
    struct err e;

    if (store_open(path, STORE_WRITE, &store, &e) < 0 ||
        store_runs(store, &all, count, &found, &e) < 0)
        fail_msg("%s", e.text);
    return found;
}

static void it_has_what_a_service_needs(void **state)
{
    struct fixture *f = *state;
    auto_free char *link = fs_join(f->state, "latest/key/step");

    scratch_put(f->state, "id", "the same");
    scratch_put(f->state, "data/shared.csv", "1,2");
    scratch_put(f->state, "runs/" RUN "/io/step/index.json", "[]");
    scratch_put(f->state, "latest/key/other", "");
    assert_int_equal(symlink("../../runs/" RUN "/io/step", link), 0);
    make(f);
    assert_int_equal(runs_in(f->copy), 1);
    check_text(f->copy, "id", "the same");
    check_text(f->copy, "data/shared.csv", "1,2");
    check_text(f->copy, "runs/" RUN "/io/step/index.json", "[]");
    struct err e;
    auto_free char *original = fs_join(f->state, "runs");
    assert_int_equal(fs_remove_tree(original, &e), 0);
    check_text(f->copy, "latest/key/step/index.json", "[]"); /* leads into the copy */
}

static void it_has_nothing_of_what_belongs_to_one_service(void **state)
{
    struct fixture *f = *state;

    scratch_put(f->state, "token", "secret");
    scratch_put(f->state, "lock", "");
    scratch_put(f->state, "k/abcdefghij/attempt", "");
    scratch_put(f->state, "cli/12345678/segue.db", "");
    scratch_put(f->state, "sdk/12345678/segue.py", "");
    make(f);
    assert_false(is_there(f->copy, "token"));
    assert_false(is_there(f->copy, "lock"));
    assert_false(is_there(f->copy, "k"));
    assert_false(is_there(f->copy, "cli"));
    assert_false(is_there(f->copy, "sdk"));
    assert_false(is_there(f->copy, "segue.db.part"));
}

static void only_the_owner_may_read_it(void **state)
{
    struct fixture *f = *state;
    auto_free char *database = fs_join(f->copy, "segue.db");
    struct stat st;

    make(f);
    assert_int_equal(stat(f->copy, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(database, &st), 0);
    assert_int_equal(st.st_mode & 0077, 0);
}

/* With a transaction open at that. */
static void the_service_may_go_on(void **state)
{
    struct fixture *f = *state;
    struct err e;

    assert_int_equal(store_begin(f->store, &e), 0);
    make(f);
    store_rollback(f->store);
    add_run(f->store, "22222222-0000-4000-8000-000000000000");
    assert_int_equal(runs_in(f->copy), 1);
}

static void an_empty_directory_is_taken(void **state)
{
    struct fixture *f = *state;
    struct err e;

    assert_int_equal(fs_mkdirs(f->copy, 0700, &e), 0);
    make(f);
    assert_int_equal(runs_in(f->copy), 1);
}

static void refused(const char *state_dir, const char *target, enum err_code code, const char *says)
{
    struct err e;

    assert_int_equal(backup_make(state_dir, target, &e), -1);
    if (e.code != code || !strstr(e.text, says))
        fail_msg("%s: %s", err_name(e.code), e.text);
}

static void nothing_is_written_over(void **state)
{
    struct fixture *f = *state;

    scratch_put(f->copy, ".hidden", "precious");
    refused(f->state, f->copy, ERR_CONFLICT, "is not empty");
    check_text(f->copy, ".hidden", "precious");
    assert_false(is_there(f->copy, "segue.db"));
}

static void a_copy_in_the_original_is_refused(void **state)
{
    struct fixture *f = *state;
    auto_free char *runs = fs_join(f->state, "runs/copy");
    auto_free char *beside = fs_join(f->root, "state-copy"); /* only its name begins so */

    refused(f->state, runs, ERR_INVALID, "itself");
    assert_false(is_there(f->state, "runs/copy"));
    struct err e;
    assert_int_equal(backup_make(f->state, beside, &e), 0);
}

static void a_directory_without_a_state_is_refused(void **state)
{
    struct fixture *f = *state;
    auto_free char *nothing = fs_join(f->root, "nothing");

    refused(nothing, f->copy, ERR_NOT_FOUND, nothing);
    assert_false(is_there(f->root, "copy"));
    assert_false(is_there(f->root, "nothing"));
}

static void a_copy_that_was_cut_short_has_no_database(void **state)
{
    enum { BIG = 1 << 20 };
    struct fixture *f = *state;
    auto_free char *text = mem_alloc(BIG + 1);
    struct err e;

    memset(text, 'x', BIG);
    text[BIG] = 0;
    scratch_put(f->state, "runs/" RUN "/big", text);
    assert_int_equal(fs_mkdirs(f->copy, 0700, &e), 0);
    if (!scratch_small_disk(f->copy, 512 * 1024))
        skip();
    refused(f->state, f->copy, ERR_NO_SPACE, "big");
    assert_false(is_there(f->copy, "segue.db"));
    umount2(f->copy, MNT_DETACH);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_has_what_a_service_needs),
        TEST(it_has_nothing_of_what_belongs_to_one_service),
        TEST(only_the_owner_may_read_it),
        TEST(the_service_may_go_on),
        TEST(an_empty_directory_is_taken),
        TEST(nothing_is_written_over),
        TEST(a_copy_in_the_original_is_refused),
        TEST(a_directory_without_a_state_is_refused),
        TEST(a_copy_that_was_cut_short_has_no_database),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
