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

static int tell(void)
{
    struct err e;
    auto_free char *found = sdk_find(&e);

    fputs(found ? found : e.text, stdout);
    return found ? 0 : (int)e.code;
}

static char *said_by(const char *program, int *ret_status)
{
    int pipe_fds[2];
    struct child child;
    struct err e;
    struct buf out = {0};
    char part[500];
    ssize_t n;

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    struct child_options options = {
        .argv = (const char *const[]){program, "tell", NULL},
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
    auto_free char *said = said_by(program, &status);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(it_lies_beside_an_installed_program),
        TEST(it_lies_in_the_tree_that_a_program_was_built_in),
        TEST(an_installation_that_is_not_whole_is_told),
    };

    if (argc > 1 && strcmp(argv[1], "tell") == 0)
        return tell();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
