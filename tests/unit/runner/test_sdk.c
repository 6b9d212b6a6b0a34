#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/child.h"
#include "runner/sdk.h"
#include "tests/unit/base/scratch.c"

#include <sys/wait.h>

/* Where a program finds the module depends on where the program lies, so a copy of this one is put
 * there and asked. */

/* Of the module; with a state directory, of the copy that is kept there. */
static int tell(const char *state_dir)
{
    struct err e;
    auto_free char *found = state_dir ? sdk_keep(state_dir, &e) : sdk_find(&e);

    fputs(found ? found : e.text, stdout);
    return found ? 0 : (int)e.code;
}

static char *said_by(const char *program, const char *state_dir, int *ret_status)
{
    int pipe_fds[2];
    struct child child;
    struct err e;
    struct buf out = {0};
    char part[500];
    ssize_t n;

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    struct child_options options = {
        .argv = (const char *const[]){program, "tell", state_dir, NULL},
        .env = (const char *const[]){"ASAN_OPTIONS=detect_leaks=0", NULL},
        .fds = (struct child_fd[]){{pipe_fds[1], 1}},
        .fd_count = 1,
    };
    assert_int_equal(child_start(&options, &child, &e), 0);
    close(pipe_fds[1]);
    while ((n = read(pipe_fds[0], part, sizeof part)) > 0)
        buf_put(&out, part, (size_t)n);
    close(pipe_fds[0]);
    waitpid(child.pid, ret_status, 0);
    close(child.pidfd);
    return buf_take(&out);
}

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

static void check(const char *root, const char *directory, const char *module)
{
    auto_free char *where = fs_join(root, directory);
    auto_free char *program = fs_join(where, "program");
    auto_free char *expected = module ? fs_join(root, module) : NULL;
    int status;
    struct err e;

    assert_int_equal(fs_mkdirs(where, 0755, &e), 0);
    assert_int_equal(fs_copy("/proc/self/exe", program, 0755, &e), 0);
    auto_free char *said = said_by(program, NULL, &status);
    if (module) {
        assert_int_equal(status, 0);
        assert_string_equal(said, expected);
    } else {
        assert_int_equal(WEXITSTATUS(status), ERR_NOT_FOUND);
        assert_non_null(strstr(said, program)); /* beside which it was looked for */
    }
}

static void it_lies_beside_an_installed_program(void **state)
{
    scratch_put(*state, "usr/share/segue/python/segue.py", "");
    check(*state, "usr/bin", "usr/share/segue/python");
}

static void it_lies_in_the_tree_that_a_program_was_built_in(void **state)
{
    scratch_put(*state, "runner/sdk/python/segue.py", "");
    check(*state, "build/debug", "runner/sdk/python");
}

static void an_installation_that_is_not_whole_is_told(void **state)
{
    check(*state, "usr/bin", NULL);
}

/* --- the copy in the state directory --- */

/* Of what is installed in root/usr; free() it. */
static char *keep(const char *root, int expected_status)
{
    auto_free char *where = fs_join(root, "usr/bin");
    auto_free char *program = fs_join(where, "program");
    auto_free char *state_dir = fs_join(root, "state");
    int status;
    struct err e;

    assert_int_equal(fs_mkdirs(where, 0755, &e), 0);
    if (!fs_exists(program))
        assert_int_equal(fs_copy("/proc/self/exe", program, 0755, &e), 0);
    char *said = said_by(program, state_dir, &status);
    assert_int_equal(WEXITSTATUS(status), expected_status);
    return said;
}

static void check_file(const char *directory, const char *name, const char *expected)
{
    auto_free char *text = scratch_read(directory, name);

    assert_string_equal(text, expected);
}

static void a_copy_is_kept_in_the_state_directory(void **state)
{
    scratch_put(*state, "usr/share/segue/python/segue/__init__.py", "one");
    auto_free char *kept = keep(*state, 0);
    auto_free char *copies = fs_join(*state, "state/sdk/");

    assert_int_equal(strncmp(kept, copies, strlen(copies)), 0);
    check_file(kept, "segue/__init__.py", "one");
}

static void the_same_version_is_copied_once(void **state)
{
    scratch_put(*state, "usr/share/segue/python/segue.py", "one");
    auto_free char *first = keep(*state, 0);

    scratch_put(first, "mark", "");
    auto_free char *second = keep(*state, 0);
    auto_free char *mark = fs_join(second, "mark");
    assert_string_equal(first, second);
    assert_true(fs_exists(mark));
}

/* Steps that run have the old one on their path. */
static void another_version_lies_beside_the_old_one(void **state)
{
    scratch_put(*state, "usr/share/segue/python/segue.py", "one");
    auto_free char *old = keep(*state, 0);
    scratch_put(*state, "usr/share/segue/python/segue.py", "one and two");
    auto_free char *new = keep(*state, 0);

    assert_string_not_equal(old, new);
    check_file(old, "segue.py", "one");
    check_file(new, "segue.py", "one and two");
}

static void a_new_file_makes_another_version(void **state)
{
    scratch_put(*state, "usr/share/segue/python/segue.py", "one");
    auto_free char *old = keep(*state, 0);
    scratch_put(*state, "usr/share/segue/python/more.py", "");
    auto_free char *new = keep(*state, 0);

    assert_string_not_equal(old, new);
}

static void bytecode_makes_no_other_version(void **state)
{
    scratch_put(*state, "usr/share/segue/python/segue.py", "one");
    auto_free char *old = keep(*state, 0);
    scratch_put(*state, "usr/share/segue/python/__pycache__/segue.cpython-311.pyc", "x");
    auto_free char *new = keep(*state, 0);

    assert_string_equal(old, new);
}

/* Of a copy that was cut short nothing is taken. */
static void what_is_left_of_a_torn_copy_is_removed(void **state)
{
    scratch_put(*state, "usr/share/segue/python/segue.py", "one");
    auto_free char *kept = keep(*state, 0);
    auto_free char *torn = mem_printf("%s.new", kept);
    struct err e;

    assert_int_equal(rename(kept, torn), 0);
    scratch_put(torn, "torn.py", "x");
    auto_free char *again = keep(*state, 0);
    auto_free char *rest = fs_join(again, "torn.py");
    assert_string_equal(again, kept);
    assert_false(fs_exists(rest));
    assert_false(fs_exists(torn));
    assert_int_equal(fs_remove_tree(kept, &e), 0);
}

static void nothing_is_kept_of_nothing(void **state)
{
    auto_free char *said = keep(*state, ERR_NOT_FOUND);

    assert_non_null(strstr(said, "install Segue anew"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(it_lies_beside_an_installed_program),
        TEST(it_lies_in_the_tree_that_a_program_was_built_in),
        TEST(an_installation_that_is_not_whole_is_told),
        TEST(a_copy_is_kept_in_the_state_directory),
        TEST(the_same_version_is_copied_once),
        TEST(another_version_lies_beside_the_old_one),
        TEST(a_new_file_makes_another_version),
        TEST(bytecode_makes_no_other_version),
        TEST(what_is_left_of_a_torn_copy_is_removed),
        TEST(nothing_is_kept_of_nothing),
    };

    if (argc > 1 && strcmp(argv[1], "tell") == 0)
        return tell(argc > 2 ? argv[2] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
