#include "base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mount.h>

#include <cmocka.h>

/* Each test has an empty directory of its own and is in it. */
static int enter_directory(void **state)
{
    char *directory = mem_strdup("/tmp/test-fs-XXXXXX");
    *state = directory;
    umask(022);
    return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int leave_directory(void **state)
{
    struct err e;
    auto_free char *directory = *state;
    return chdir("/") == 0 && fs_remove_tree(directory, &e) == 0 ? 0 : -1;
}

static struct err e;

static void put(const char *path, const char *text)
{
    assert_int_equal(fs_write(path, str_of(text), 0644, FS_NO_SYNC, &e), 0);
}

static void assert_holds(const char *path, const char *text)
{
    auto_buf struct buf b = {0};
    assert_int_equal(fs_read(path, 1000, &b, &e), 0);
    assert_string_equal(buf_text(&b), text);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static int count_entries(const char *path)
{
    DIR *directory = opendir(path);
    assert_non_null(directory);
    int count = -2; /* . and .. */
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

/* --- reading --- */

static void reads_files(void **state)
{
    (void)state;
    put("file", "text");
    put("empty", "");
    auto_buf struct buf b = {0};
    assert_int_equal(fs_read("empty", 0, &b, &e), 0);
    assert_int_equal(b.len, 0);
    assert_non_null(b.data);
    assert_int_equal(fs_read("file", 4, &b, &e), 0);
    assert_int_equal(fs_read("file", 4, &b, &e), 0);
    assert_string_equal(buf_text(&b), "texttext");
}

static void reads_files_without_a_size(void **state)
{
    (void)state;
    auto_buf struct buf b = {0};
    assert_int_equal(fs_read("/proc/self/status", 100000, &b, &e), 0);
    assert_non_null(strstr(buf_text(&b), "Threads:"));
    size_t len = b.len;
    assert_int_equal(fs_read("/proc/self/status", 10, &b, &e), -1);
    assert_int_equal(e.code, ERR_LIMIT);
    assert_int_equal(b.len, len);
    assert_int_equal(b.data[len], 0);
}

static void refuses_to_read(void **state)
{
    (void)state;
    put("file", "text");
    assert_int_equal(mkfifo("pipe", 0600), 0);
    static const struct {
        const char *path;
        size_t cap;
        enum err_code code;
    } rows[] = {
        {"file", 3, ERR_LIMIT},
        {"missing", 9, ERR_NOT_FOUND},
        {"file/x", 9, ERR_IO},
        {".", 9, ERR_INVALID},
        {"/dev/zero", 9, ERR_INVALID},
        {"pipe", 9, ERR_INVALID}, /* and does not wait for a writer */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_buf struct buf b = {0};
        buf_puts(&b, "before");
        assert_int_equal(fs_read(rows[i].path, rows[i].cap, &b, &e), -1);
        assert_int_equal(e.code, rows[i].code);
        assert_string_equal(buf_text(&b), "before");
    }
}

/* --- writing --- */

static void writes_new_files_under_the_umask(void **state)
{
    (void)state;
    umask(027);
    assert_int_equal(fs_write("new", STR("a\0b"), 0666, FS_SYNC, &e), 0);
    assert_int_equal(mode_of("new"), 0640);
    auto_buf struct buf b = {0};
    assert_int_equal(fs_read("new", 3, &b, &e), 0);
    assert_int_equal(b.len, 3);
    assert_int_equal(count_entries("."), 1);
}

static void keeps_the_mode(void **state)
{
    (void)state;
    static const mode_t modes[] = {0600, 0644, 0666, 0751, 0444};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        put("file", "old");
        assert_int_equal(chmod("file", modes[i]), 0);
        put("file", "new");
        assert_int_equal(mode_of("file"), modes[i]);
        assert_holds("file", "new");
    }
}

static void keeps_the_owner(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("SKIPPED: keeping another owner needs root\n");
        skip();
    }
    put("file", "old");
    assert_int_equal(chown("file", 1234, 2345), 0);
    assert_int_equal(chmod("file", 04750), 0);
    put("file", "new");
    struct stat st;
    assert_int_equal(stat("file", &st), 0);
    assert_int_equal(st.st_uid, 1234);
    assert_int_equal(st.st_gid, 2345);
    assert_int_equal(st.st_mode & 07777, 04750);
}

static void replaces_and_does_not_overwrite(void **state)
{
    (void)state;
    put("file", "old");
    auto_close int reader = open("file", O_RDONLY | O_CLOEXEC);
    put("file", "new text");
    auto_buf struct buf b = {0};
    assert_int_equal(fs_read_fd(reader, "file", 100, &b, &e), 0);
    assert_string_equal(buf_text(&b), "old");
}

static void writes_through_links(void **state)
{
    (void)state;
    assert_int_equal(fs_mkdirs("a/b", 0755, &e), 0);
    put("a/b/file", "old");
    assert_int_equal(symlink("b/file", "a/link"), 0); /* relative to where the link is */
    assert_int_equal(symlink("a/link", "chain"), 0);
    assert_int_equal(symlink("a/missing", "dangling"), 0);
    put("chain", "new");
    put("dangling", "made");
    assert_holds("a/b/file", "new");
    assert_holds("a/missing", "made");
    char target[100] = "";
    assert_int_equal(readlink("chain", target, sizeof target - 1), 6);
    assert_string_equal(target, "a/link");
}

static void refuses_to_write(void **state)
{
    (void)state;
    assert_int_equal(mkdir("directory", 0755), 0);
    assert_int_equal(mkfifo("pipe", 0600), 0);
    assert_int_equal(symlink("loop", "loop"), 0);
    static const struct {
        const char *path;
        enum err_code code;
    } rows[] = {
        {"missing/file", ERR_NOT_FOUND}, {"directory", ERR_INVALID}, {"pipe", ERR_INVALID},
        {"/dev/null", ERR_INVALID},      {"loop", ERR_IO},           {"directory/", ERR_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(fs_write(rows[i].path, STR("x"), 0644, FS_NO_SYNC, &e), -1);
        assert_int_equal(e.code, rows[i].code);
    }
    assert_int_equal(count_entries("."), 3);
    assert_int_equal(count_entries("directory"), 0);
}

static void a_full_disk_leaves_the_old_file(void **state)
{
    (void)state;
    assert_int_equal(mkdir("disk", 0755), 0);
    if (mount("none", "disk", "tmpfs", 0, "size=64k") < 0) {
        print_message("SKIPPED: a full disk needs the right to mount a tmpfs\n");
        skip();
    }
    put("disk/file", "old");
    auto_free char *large = mem_zalloc(200000);
    struct str content = {large, 200000};
    int written = fs_write("disk/file", content, 0644, FS_SYNC, &e);
    enum err_code write_code = e.code;
    int source_written = fs_write("large", content, 0644, FS_NO_SYNC, &(struct err){0});
    int copied = fs_copy("large", "disk/file", 0644, &e);
    enum err_code copy_code = e.code;
    auto_buf struct buf b = {0};
    fs_read("disk/file", 1000, &b, &(struct err){0});
    int entries = count_entries("disk");
    assert_int_equal(umount("disk"), 0); /* before anything else can fail */

    assert_int_equal(written, -1);
    assert_int_equal(write_code, ERR_NO_SPACE);
    assert_int_equal(source_written, 0);
    assert_int_equal(copied, -1);
    assert_int_equal(copy_code, ERR_NO_SPACE);
    assert_string_equal(buf_text(&b), "old");
    assert_int_equal(entries, 1);
}

static void copies_files(void **state)
{
    (void)state;
    put("from", "text");
    put("empty", "");
    assert_int_equal(fs_copy("from", "to", 0600, &e), 0);
    assert_holds("to", "text");
    assert_int_equal(mode_of("to"), 0600);
    assert_int_equal(fs_copy("empty", "to", 0644, &e), 0);
    assert_holds("to", "");
    assert_int_equal(mode_of("to"), 0600);
    assert_int_equal(fs_copy("missing", "to", 0644, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_int_equal(fs_copy(".", "to", 0644, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_int_equal(count_entries("."), 3);
}

/* --- directories --- */

static void makes_directories(void **state)
{
    (void)state;
    assert_int_equal(fs_mkdirs("a/b//c/", 0750, &e), 0);
    assert_int_equal(fs_mkdirs("a/b/c", 0750, &e), 0);
    assert_int_equal(mode_of("a"), 0750);
    assert_int_equal(mode_of("a/b/c"), 0750);
    assert_int_equal(fs_mkdirs("/", 0755, &e), 0);
    auto_free char *absolute = fs_join(*state, "x/y");
    assert_int_equal(fs_mkdirs(absolute, 0755, &e), 0);
    assert_true(fs_exists("x/y"));
    assert_int_equal(symlink("a", "link"), 0);
    assert_int_equal(fs_mkdirs("link/d", 0755, &e), 0);
    assert_true(fs_exists("a/d"));

    put("file", "");
    assert_int_equal(fs_mkdirs("file", 0755, &e), -1);
    assert_int_equal(fs_mkdirs("file/x", 0755, &e), -1);
    assert_int_equal(fs_mkdirs("", 0755, &e), -1);
}

static void removes_trees(void **state)
{
    (void)state;
    assert_int_equal(fs_mkdirs("tree/a/b", 0755, &e), 0);
    assert_int_equal(fs_mkdirs("tree/c", 0755, &e), 0);
    assert_int_equal(mkdir("outside", 0755), 0);
    put("outside/file", "x");
    put("tree/a/b/file", "x");
    put("tree/.hidden", "x");
    assert_int_equal(symlink("../outside", "tree/directory-link"), 0);
    assert_int_equal(symlink("../outside/file", "tree/a/file-link"), 0);
    assert_int_equal(symlink("outside", "link"), 0);

    assert_int_equal(fs_remove_tree("tree", &e), 0);
    assert_false(fs_exists("tree"));
    assert_int_equal(fs_remove_tree("tree", &e), 0);
    assert_int_equal(fs_remove_tree("link", &e), 0);
    assert_holds("outside/file", "x");
    assert_int_equal(fs_remove_tree("outside/file", &e), 0);
    assert_int_equal(count_entries("outside"), 0);
    assert_int_equal(fs_remove_tree("outside/", &e), 0);
    assert_int_equal(count_entries("."), 0);
}

/* Deeper than there are descriptors or than a path can be long, with a file and a second directory
 * on each level. */
static void removes_trees_of_any_depth(void **state)
{
    (void)state;
    enum { DEPTH = 1200 };
    assert_int_equal(mkdir("deep", 0755), 0);
    assert_int_equal(chdir("deep"), 0);
    for (int i = 0; i < DEPTH; i++) {
        close(creat("file", 0644));
        assert_int_equal(mkdir("side", 0755), 0);
        assert_int_equal(mkdir("a-directory", 0755), 0);
        assert_int_equal(chdir("a-directory"), 0);
    }
    assert_int_equal(chdir(*state), 0);
    assert_int_equal(fs_remove_tree("deep", &e), 0);
    assert_int_equal(count_entries("."), 0);
    assert_int_equal(fcntl(20, F_GETFD), -1);
}

static void tells_what_it_cannot_remove(void **state)
{
    (void)state;
    assert_int_equal(fs_remove_tree("/proc/self/fdinfo", &e), -1);
    assert_int_not_equal(e.code, ERR_NOT_FOUND);
    assert_int_equal(fcntl(20, F_GETFD), -1);
}

/* --- names --- */

static void takes_names_apart(void **state)
{
    (void)state;
    static const struct {
        const char *path, *directory, *base, *extension;
    } rows[] = {
        {"a/b.ipynb", "a", "b.ipynb", ".ipynb"},
        {"a", ".", "a", ""},
        {"/a", "/", "a", ""},
        {"/", "/", "", ""},
        {"//a", "/", "a", ""},
        {"a//b", "a", "b", ""},
        {"a/", "a", "", ""},
        {"", ".", "", ""},
        {"a.b/c", "a.b", "c", ""},
        {".hidden", ".", ".hidden", ""},
        {"x.tar.gz", ".", "x.tar.gz", ".gz"},
        {"/a/b/c.R", "/a/b", "c.R", ".R"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_free char *directory = fs_dirname(rows[i].path);
        assert_string_equal(directory, rows[i].directory);
        assert_string_equal(fs_basename(rows[i].path), rows[i].base);
        assert_string_equal(fs_extension(rows[i].path), rows[i].extension);
    }
}

static void joins_names(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"},
        {"a", "/b", "/b"}, {"", "b", "b"},     {".", "b/c", "./b/c"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_free char *joined = fs_join(rows[i][0], rows[i][1]);
        assert_string_equal(joined, rows[i][2]);
    }
}

/* --- looking up, locking --- */

static void opens_what_lies_beneath(void **state)
{
    (void)state;
    assert_int_equal(fs_mkdirs("root/a/b", 0755, &e), 0);
    put("root/a/file", "inside");
    assert_int_equal(symlink("../file", "root/a/b/link"), 0);
    static const char *const rows[] = {"a/file", "a/../a/file", "./a//file", "a/b/link"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_close int fd = fs_open_beneath("root", rows[i], &e);
        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        auto_buf struct buf b = {0};
        assert_int_equal(fs_read_fd(fd, "file", 100, &b, &e), 0);
        assert_string_equal(buf_text(&b), "inside");
    }
}

static void opens_nothing_outside(void **state)
{
    (void)state;
    assert_int_equal(fs_mkdirs("root/a", 0755, &e), 0);
    put("secret", "x");
    put("root/file", "x");
    auto_free char *absolute = fs_join(*state, "root/file");
    assert_int_equal(symlink("../secret", "root/link"), 0);
    assert_int_equal(symlink("..", "root/up"), 0);
    assert_int_equal(symlink(absolute, "root/absolute"), 0);
    assert_int_equal(symlink("/proc/self/root", "root/magic"), 0);
    assert_int_equal(symlink("loop", "root/loop"), 0);
    assert_int_equal(mkfifo("root/pipe", 0600), 0);
    const struct {
        const char *relative;
        enum err_code code;
    } rows[] = {
        {"../secret", ERR_INVALID},
        {"a/../../secret", ERR_INVALID},
        {"link", ERR_INVALID},
        {"up/secret", ERR_INVALID},
        {"../root/file", ERR_INVALID},
        {absolute, ERR_INVALID},
        {"absolute", ERR_INVALID},
        {"magic/etc/passwd", ERR_INVALID},
        {"loop", ERR_INVALID},
        {"a", ERR_INVALID},
        {".", ERR_INVALID},
        {"pipe", ERR_INVALID},
        {"missing", ERR_NOT_FOUND},
        {"missing/x", ERR_NOT_FOUND},
        {"file/x", ERR_NOT_FOUND},
        {"", ERR_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(fs_open_beneath("root", rows[i].relative, &e), -1);
        assert_int_equal(e.code, rows[i].code);
    }
    assert_int_equal(fs_open_beneath("missing", "file", &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
}

static void locks_once(void **state)
{
    (void)state;
    int fd = fs_lock("lock", &e);
    assert_true(fd >= 0);
    assert_int_equal(mode_of("lock"), 0600);
    assert_int_equal(fs_lock("lock", &e), -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    close(fd);
    auto_close int again = fs_lock("lock", &e);
    assert_true(again >= 0);
    assert_int_equal(fs_lock("missing/lock", &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(reads_files),
        IN_DIRECTORY(reads_files_without_a_size),
        IN_DIRECTORY(refuses_to_read),
        IN_DIRECTORY(writes_new_files_under_the_umask),
        IN_DIRECTORY(keeps_the_mode),
        IN_DIRECTORY(keeps_the_owner),
        IN_DIRECTORY(replaces_and_does_not_overwrite),
        IN_DIRECTORY(writes_through_links),
        IN_DIRECTORY(refuses_to_write),
        IN_DIRECTORY(a_full_disk_leaves_the_old_file),
        IN_DIRECTORY(copies_files),
        IN_DIRECTORY(makes_directories),
        IN_DIRECTORY(removes_trees),
        IN_DIRECTORY(removes_trees_of_any_depth),
        IN_DIRECTORY(tells_what_it_cannot_remove),
        IN_DIRECTORY(takes_names_apart),
        IN_DIRECTORY(joins_names),
        IN_DIRECTORY(opens_what_lies_beneath),
        IN_DIRECTORY(opens_nothing_outside),
        IN_DIRECTORY(locks_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
