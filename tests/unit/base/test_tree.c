#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/tree.h"
#include "tests/unit/base/scratch.c"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

struct place {
    char *root;
    char *from, *to;
};

static int set_up(void **state)
{
    struct place *place = mem_zalloc(sizeof *place);
    struct err e;

    place->root = scratch_new();
    place->from = fs_join(place->root, "from");
    place->to = fs_join(place->root, "to");
    assert_int_equal(fs_mkdirs(place->from, 0755, &e), 0);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    scratch_free(place->root);
    free(place->from);
    free(place->to);
    free(place);
    return 0;
}

static void copy(const struct place *place)
{
    struct err e;

    if (tree_copy(place->from, place->to, &e) < 0)
        fail_msg("%s", e.text);
}

static void check_text(const char *directory, const char *name, const char *expected)
{
    auto_free char *text = scratch_read(directory, name);

    assert_string_equal(text, expected);
}

static struct stat stat_of(const char *directory, const char *name)
{
    auto_free char *path = fs_join(directory, name);
    struct stat st;

    if (lstat(path, &st) < 0)
        fail_msg("there is no \"%s\"", path);
    return st;
}

static bool is_there(const char *directory, const char *name)
{
    auto_free char *path = fs_join(directory, name);
    struct stat st;

    return lstat(path, &st) == 0;
}

static void everything_below_is_copied(void **state)
{
    struct place *place = *state;

    scratch_put(place->from, "a", "one");
    scratch_put(place->from, "b/c/d", "two");
    scratch_put(place->from, "b/.hidden", "three");
    scratch_put(place->from, "b/empty", "");
    copy(place);
    check_text(place->to, "a", "one");
    check_text(place->to, "b/c/d", "two");
    check_text(place->to, "b/.hidden", "three");
    assert_true(S_ISREG(stat_of(place->to, "b/empty").st_mode));
}

static void a_file_alone_is_copied_too(void **state)
{
    struct place *place = *state;

    scratch_put(place->root, "from/id", "one");
    free(place->from);
    place->from = fs_join(place->root, "from/id");
    copy(place);
    check_text(place->root, "to", "one");
}

static void a_big_file_is_copied_whole(void **state)
{
    enum { SIZE = 3 << 20 };
    struct place *place = *state;
    auto_free char *text = mem_alloc(SIZE + 1);

    for (int i = 0; i < SIZE; i++)
        text[i] = (char)('a' + i % 23);
    text[SIZE] = 0;
    scratch_put(place->from, "big", text);
    copy(place);
    check_text(place->to, "big", text);
}

static void a_later_change_reaches_only_one(void **state)
{
    struct place *place = *state;
    auto_free char *original = scratch_write(place->from, "a", "one");

    copy(place);
    auto_close int fd = open(original, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "more", 4), 4);
    check_text(place->to, "a", "one");
    assert_int_not_equal(stat_of(place->from, "a").st_ino, stat_of(place->to, "a").st_ino);
}

static void modes_and_times_are_kept(void **state)
{
    struct place *place = *state;
    struct timespec times[2] = {{.tv_sec = 1000000000, .tv_nsec = 5},
                                {.tv_sec = 1100000000, .tv_nsec = 6}};
    auto_free char *script = scratch_write(place->from, "closed/run.sh", "x");
    auto_free char *closed = fs_join(place->from, "closed");

    assert_int_equal(chmod(script, 04751), 0);
    assert_int_equal(utimensat(AT_FDCWD, script, times, 0), 0);
    assert_int_equal(chmod(closed, 0555), 0);
    assert_int_equal(utimensat(AT_FDCWD, closed, times, 0), 0);
    copy(place);
    struct stat file = stat_of(place->to, "closed/run.sh");
    struct stat directory = stat_of(place->to, "closed");
    assert_int_equal(file.st_mode & 07777, 04751);
    assert_int_equal(file.st_mtim.tv_sec, 1100000000);
    assert_int_equal(file.st_mtim.tv_nsec, 6);
    assert_int_equal(directory.st_mode & 07777, 0555);
    assert_int_equal(directory.st_mtim.tv_sec, 1100000000);
    check_text(place->to, "closed/run.sh", "x");
}

static void links_stay_links(void **state)
{
    struct place *place = *state;
    auto_free char *relative = fs_join(place->from, "relative");
    auto_free char *dangling = fs_join(place->from, "dangling");
    auto_free char *circle = fs_join(place->from, "circle");
    auto_free char *copied = fs_join(place->to, "dangling");
    char target[100] = "";

    scratch_put(place->from, "a", "one");
    assert_int_equal(symlink("a", relative), 0);
    assert_int_equal(symlink("/nowhere/at all", dangling), 0);
    assert_int_equal(symlink(".", circle), 0);
    copy(place);
    assert_true(S_ISLNK(stat_of(place->to, "relative").st_mode));
    assert_true(S_ISLNK(stat_of(place->to, "circle").st_mode));
    check_text(place->to, "relative", "one");
    assert_true(readlink(copied, target, sizeof target - 1) > 0);
    assert_string_equal(target, "/nowhere/at all");
}

static void sockets_and_pipes_are_left_out(void **state)
{
    struct place *place = *state;
    auto_free char *pipe_path = fs_join(place->from, "pipe");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", place->from);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    scratch_put(place->from, "z", "last");
    copy(place);
    assert_false(is_there(place->to, "socket"));
    assert_false(is_there(place->to, "pipe"));
    check_text(place->to, "z", "last");
}

/* Leaves out what is named "no", and hands down the first letter of the directory around. */
static int choose(void *user, const struct tree_entry *entry, const void **scope, struct err *e)
{
    struct buf *met = user;
    const char *around = *scope;

    if (strcmp(entry->path, "bad") == 0)
        return err_set(e, ERR_INVALID, "bad is bad");
    if (strcmp(fs_basename(entry->path), "no") == 0)
        return 0;
    if (S_ISDIR(entry->st->st_mode))
        *scope = *entry->path == 'b' ? "b" : "other";
    if (S_ISREG(entry->st->st_mode))
        buf_printf(met, "%s in %s;", entry->name, around);
    return 1;
}

static void what_is_not_chosen_is_left_out(void **state)
{
    struct place *place = *state;
    auto_buf struct buf met = {0};
    const struct tree_options options = {.choose = choose, .user = &met};
    struct err e;

    scratch_put(place->from, "b/file", "one");
    scratch_put(place->from, "b/no", "one");
    scratch_put(place->from, "no/a", "one");
    assert_int_equal(tree_copy_with(place->from, place->to, &options, &e), 0);
    check_text(place->to, "b/file", "one");
    assert_false(is_there(place->to, "b/no"));
    assert_false(is_there(place->to, "no"));
    assert_string_equal(buf_text(&met), "file in b;");
    scratch_put(place->from, "bad", "one");
    assert_int_equal(tree_copy_with(place->from, place->to, &options, &e), -1);
    assert_string_equal(e.text, "bad is bad");
}

static void modes_can_be_changed(void **state)
{
    struct place *place = *state;
    const struct tree_options options = {.add = 0100, .drop = 0222};
    auto_free char *file = scratch_write(place->from, "b/file", "one");
    auto_free char *b = fs_join(place->from, "b");
    struct err e;

    assert_int_equal(chmod(file, 0664), 0);
    assert_int_equal(chmod(b, 02775), 0);
    assert_int_equal(tree_copy_with(place->from, place->to, &options, &e), 0);
    assert_int_equal(stat_of(place->to, "b/file").st_mode & 07777, 0544);
    assert_int_equal(stat_of(place->to, "b").st_mode & 07777, 02555);
    assert_int_equal(stat_of(place->to, "").st_mode & 0222, 0);
    check_text(place->to, "b/file", "one");
}

static void many_levels_take_no_descriptors(void **state)
{
    enum { LEVELS = 1500 };
    struct place *place = *state;
    struct rlimit few = {64, 64}, before;
    auto_buf struct buf path = {0};

    for (int i = 0; i < LEVELS; i++)
        buf_puts(&path, "d/");
    buf_puts(&path, "file");
    scratch_put(place->from, path.data, "deep");
    getrlimit(RLIMIT_NOFILE, &before);
    few.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    copy(place);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    check_text(place->to, path.data, "deep");
}

static void what_is_to_be_copied_must_be_there(void **state)
{
    struct place *place = *state;
    auto_free char *missing = fs_join(place->root, "missing");
    struct err e;

    assert_int_equal(tree_copy(missing, place->to, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, missing));
    assert_false(is_there(place->root, "to"));
}

static void a_place_that_cannot_be_made_is_told(void **state)
{
    struct place *place = *state;
    auto_free char *to = fs_join(place->root, "missing/to");
    struct err e;

    assert_int_equal(tree_copy(place->from, to, &e), -1);
    assert_non_null(strstr(e.text, to));
}

static void a_full_disk_is_told(void **state)
{
    struct place *place = *state;
    auto_free char *small = fs_join(place->root, "small");
    auto_free char *to = fs_join(small, "to");
    auto_free char *text = mem_alloc((1 << 20) + 1);
    struct err e;

    memset(text, 'x', 1 << 20);
    text[1 << 20] = 0;
    scratch_put(place->from, "big", text);
    assert_int_equal(fs_mkdirs(small, 0755, &e), 0);
    if (!scratch_small_disk(small, 128 * 1024))
        skip();
    assert_int_equal(tree_copy(place->from, to, &e), -1);
    assert_int_equal(e.code, ERR_NO_SPACE);
    umount2(small, MNT_DETACH);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_below_is_copied),
        TEST(a_file_alone_is_copied_too),
        TEST(a_big_file_is_copied_whole),
        TEST(a_later_change_reaches_only_one),
        TEST(modes_and_times_are_kept),
        TEST(links_stay_links),
        TEST(sockets_and_pipes_are_left_out),
        TEST(what_is_not_chosen_is_left_out),
        TEST(modes_can_be_changed),
        TEST(many_levels_take_no_descriptors),
        TEST(what_is_to_be_copied_must_be_there),
        TEST(a_place_that_cannot_be_made_is_told),
        TEST(a_full_disk_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
