#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/engine/results.h"
#include "tests/unit/base/scratch.c"

#include <dirent.h>
#include <sys/stat.h>

static int set_up(void **state)
{
    *state = scratch_new();
    return 0;
}

static int tear_down(void **state)
{
    scratch_free(*state);
    return 0;
}

static char *io_of(const char *root, const char *run)
{
    return mem_printf("%s/runs/%s/io", root, run);
}

/* What the step has left in the run, and that it succeeded. */
static void leave(const char *root, const struct uuid *key, const char *run, const char *step,
                  const char *value)
{
    auto_free char *io = io_of(root, run);
    auto_free char *directory = fs_join(io, step);
    auto_free char *index = mem_printf("[{\"name\":\"x\",\"run_uuid\":\"%s\"}]", run);
    struct err e;

    scratch_put(directory, "x.json", value);
    scratch_put(directory, "index.json", index);
    if (results_publish(root, key, step, io, &e) < 0)
        fail_msg("%s", e.text);
}

/* As a run does that leaves the step out. */
static int try_bring(const char *root, const struct uuid *key, const char *run, const char *step,
                     struct err *e)
{
    auto_free char *io = io_of(root, run);
    auto_free char *latest = results_latest(root, key, step);

    return results_bring(latest, step, io, e);
}

static void bring(const char *root, const struct uuid *key, const char *run, const char *step)
{
    struct err e;

    if (try_bring(root, key, run, step, &e) < 0)
        fail_msg("%s", e.text);
}

static void check_file(const char *root, const char *run, const char *name, const char *expected)
{
    auto_free char *io = io_of(root, run);
    auto_free char *text = scratch_read(io, name);

    assert_string_equal(text, expected);
}

static void the_newest_results_are_brought(void **state)
{
    const char *root = *state;
    struct uuid key = results_key("/project", "pipeline");

    leave(root, &key, "run1", "a", "1");
    leave(root, &key, "run1", "b", "10");
    leave(root, &key, "run2", "a", "2");
    bring(root, &key, "run3", "a");
    bring(root, &key, "run3", "b");
    check_file(root, "run3", "a/x.json", "2");
    check_file(root, "run3", "b/x.json", "10");
    /* Where they stem from is still told. */
    check_file(root, "run3", "a/index.json", "[{\"name\":\"x\",\"run_uuid\":\"run2\"}]");
    check_file(root, "run3", "b/index.json", "[{\"name\":\"x\",\"run_uuid\":\"run1\"}]");
}

static void what_was_brought_can_be_brought_on(void **state)
{
    const char *root = *state;
    struct uuid key = results_key("/project", "pipeline");

    leave(root, &key, "run1", "a", "1");
    bring(root, &key, "run2", "a");
    bring(root, &key, "run2", "a"); /* again: nothing changes */
    check_file(root, "run2", "a/x.json", "1");
}

static void earlier_runs_are_not_touched(void **state)
{
    const char *root = *state;
    struct uuid key = results_key("/project", "pipeline");

    leave(root, &key, "run1", "a", "1");
    bring(root, &key, "run2", "a");
    leave(root, &key, "run2", "a", "2"); /* written anew: by another file and rename */
    check_file(root, "run1", "a/x.json", "1");
    bring(root, &key, "run3", "a");
    check_file(root, "run3", "a/x.json", "2");
}

static void projects_and_pipelines_share_nothing(void **state)
{
    const char *root = *state;
    struct uuid keys[] = {
        results_key("/project", "pipeline"),
        results_key("/project", "other"),
        results_key("/project2", "pipeline"),
        results_key("/project\n", "pipeline"),
    };

    leave(root, &keys[0], "run1", "a", "1");
    for (size_t i = 1; i < sizeof keys / sizeof *keys; i++) {
        auto_free char *io = io_of(root, "run2");
        assert_string_not_equal(keys[i].text, keys[0].text);
        bring(root, &keys[i], "run2", "a");
        assert_false(fs_exists(io));
    }
    struct uuid again = results_key("/project", "pipeline");
    assert_string_equal(again.text, keys[0].text);
}

static void a_step_without_results_publishes_none(void **state)
{
    const char *root = *state;
    struct uuid key = results_key("/project", "pipeline");
    auto_free char *io = io_of(root, "run1");
    auto_free char *half = fs_join(io, "half");
    auto_free char *latest = fs_join(root, "latest");
    struct err e;

    assert_int_equal(results_publish(root, &key, "nothing", io, &e), 0);
    scratch_put(half, "x.json", "1"); /* no index: it did not come to the end */
    assert_int_equal(results_publish(root, &key, "half", io, &e), 0);
    assert_false(fs_exists(latest));
}

static void results_without_an_index_leave_the_earlier_ones_in_place(void **state)
{
    const char *root = *state;
    struct uuid key = results_key("/project", "pipeline");
    auto_free char *io = io_of(root, "run2");
    auto_free char *half = fs_join(io, "a");
    struct err e;

    leave(root, &key, "run1", "a", "1");
    scratch_put(half, "x.json", "2");
    assert_int_equal(results_publish(root, &key, "a", io, &e), 0);
    bring(root, &key, "run3", "a");
    check_file(root, "run3", "a/x.json", "1");
}

static void results_of_a_deleted_run_are_none(void **state)
{
    const char *root = *state;
    struct uuid key = results_key("/project", "pipeline");
    auto_free char *io = io_of(root, "run1");
    auto_free char *later = io_of(root, "run2");
    struct err e;

    leave(root, &key, "run1", "a", "1");
    assert_int_equal(fs_remove_tree(io, &e), 0);
    bring(root, &key, "run2", "a");
    assert_false(fs_exists(later));
    leave(root, &key, "run3", "a", "3"); /* and a link that leads nowhere is replaced */
    bring(root, &key, "run2", "a");
    check_file(root, "run2", "a/x.json", "3");
}

static void large_files_are_linked_where_that_can_be(void **state)
{
    const char *root = *state;
    struct uuid key = results_key("/project", "pipeline");
    auto_free char *first = io_of(root, "run1"), *second = io_of(root, "run2");
    auto_free char *from = fs_join(first, "a/x.json"), *to = fs_join(second, "a/x.json");
    struct stat was, is;

    leave(root, &key, "run1", "a", "1");
    bring(root, &key, "run2", "a");
    assert_int_equal(stat(from, &was), 0);
    assert_int_equal(stat(to, &is), 0);
    assert_int_equal(was.st_ino, is.st_ino);
}

static void elsewhere_they_are_copied(void **state)
{
    const char *root = *state;
    struct uuid key = results_key("/project", "pipeline");
    auto_free char *disk = fs_join(root, "runs/run2");
    struct err e;

    leave(root, &key, "run1", "a", "1");
    assert_int_equal(fs_mkdirs(disk, 0755, &e), 0);
    if (!scratch_small_disk(disk, 1 << 20)) {
        skip();
        return;
    }
    bring(root, &key, "run2", "a");
    check_file(root, "run2", "a/x.json", "1");
    check_file(root, "run2", "a/index.json", "[{\"name\":\"x\",\"run_uuid\":\"run1\"}]");
    umount2(disk, MNT_DETACH);
}

/* Whoever sees the index finds what it names: without room for the files there is no index. */
static void the_index_comes_last(void **state)
{
    const char *root = *state;
    struct uuid key = results_key("/project", "pipeline");
    auto_free char *disk = fs_join(root, "runs/run2"), *io = io_of(root, "run2");
    auto_free char *index = fs_join(io, "a/index.json");
    auto_free char *large = mem_zalloc(200001);
    struct err e;

    memset(large, 'x', 200000);
    leave(root, &key, "run1", "a", large);
    assert_int_equal(fs_mkdirs(disk, 0755, &e), 0);
    if (!scratch_small_disk(disk, 65536)) {
        skip();
        return;
    }
    assert_int_equal(try_bring(root, &key, "run2", "a", &e), -1);
    assert_int_equal(e.code, ERR_NO_SPACE);
    assert_false(fs_exists(index));
    umount2(disk, MNT_DETACH);
}

static void only_files_are_brought(void **state)
{
    const char *root = *state;
    struct uuid key = results_key("/project", "pipeline");
    auto_free char *io = io_of(root, "run1"), *later = io_of(root, "run2");
    auto_free char *link = fs_join(io, "a/link"), *brought = fs_join(later, "a/link");
    auto_free char *inner = fs_join(later, "a/directory");

    scratch_put(io, "a/directory/file", "x");
    assert_int_equal(symlink("/etc/hostname", link), 0);
    leave(root, &key, "run1", "a", "1");
    bring(root, &key, "run2", "a");
    assert_false(fs_exists(brought));
    assert_false(fs_exists(inner));
    check_file(root, "run2", "a/x.json", "1");
}

static void a_root_that_cannot_be_written_is_told(void **state)
{
    const char *root = *state;
    struct uuid key = results_key("/project", "pipeline");
    auto_free char *io = io_of(root, "run1");
    auto_free char *directory = fs_join(io, "a");
    struct err e;

    scratch_put(root, "latest", "a file is in the way");
    scratch_put(directory, "index.json", "[]");
    assert_int_equal(results_publish(root, &key, "a", io, &e), -1);
    assert_true(*e.text);
}

/* A run again takes what the run that it repeats had, whatever has become the newest since. */
static void those_of_a_certain_run_are_brought(void **state)
{
    const char *root = *state;
    struct uuid key = results_key("/project", "pipeline");
    auto_free char *from = fs_join(root, "runs/run1/io/a"), *io = io_of(root, "run3");
    auto_free char *nothing = fs_join(root, "runs/run1/io/b");
    struct err e;

    leave(root, &key, "run1", "a", "1");
    leave(root, &key, "run2", "a", "2");
    assert_int_equal(results_bring(from, "a", io, &e), 0);
    check_file(root, "run3", "a/x.json", "1");
    check_file(root, "run3", "a/index.json", "[{\"name\":\"x\",\"run_uuid\":\"run1\"}]");
    assert_int_equal(results_bring(nothing, "b", io, &e), 0); /* it left none: fine */
    auto_free char *brought = fs_join(io, "b");
    assert_false(fs_exists(brought));
}

/* The whole state may be moved, or copied to be started from. */
static void the_newest_are_found_after_a_move(void **state)
{
    struct uuid key = results_key("/project", "pipeline");
    auto_free char *root = fs_join(*state, "before"), *moved = fs_join(*state, "after");

    leave(root, &key, "run1", "a", "1");
    assert_int_equal(rename(root, moved), 0);
    bring(moved, &key, "run2", "a");
    check_file(moved, "run2", "a/x.json", "1");
}

/* Nothing but the link is left where the newest results are noted. */
static void nothing_temporary_stays(void **state)
{
    const char *root = *state;
    struct uuid key = results_key("/project", "pipeline");
    auto_free char *directory = mem_printf("%s/latest/%s", root, key.text);
    int count = 0;

    for (int i = 0; i < 5; i++)
        leave(root, &key, i % 2 ? "run1" : "run2", "a", "1");
    DIR *entries = opendir(directory);
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries));)
        count += entry->d_name[0] != '.';
    closedir(entries);
    assert_int_equal(count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_newest_results_are_brought),
        TEST(what_was_brought_can_be_brought_on),
        TEST(earlier_runs_are_not_touched),
        TEST(projects_and_pipelines_share_nothing),
        TEST(a_step_without_results_publishes_none),
        TEST(results_without_an_index_leave_the_earlier_ones_in_place),
        TEST(results_of_a_deleted_run_are_none),
        TEST(large_files_are_linked_where_that_can_be),
        TEST(elsewhere_they_are_copied),
        TEST(the_index_comes_last),
        TEST(only_files_are_brought),
        TEST(a_root_that_cannot_be_written_is_told),
        TEST(those_of_a_certain_run_are_brought),
        TEST(the_newest_are_found_after_a_move),
        TEST(nothing_temporary_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
