#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "runner/engine/recover.h"
#include "runner/engine/state.h"
#include "tests/unit/base/scratch.c"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

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

static struct state created(const char *root)
{
    struct state state;
    struct err e;

    if (state_create(&state, root, &e) < 0)
        fail_msg("%s", e.text);
    return state;
}

static void two_never_share_a_directory(void **at)
{
    struct state first = created(*at), second = created(*at);

    assert_string_not_equal(first.dir, second.dir);
    assert_string_not_equal(first.id.text, second.id.text);
    auto_free char *data = state_data_dir(&first), *other = state_data_dir(&second);
    assert_string_equal(data, other); /* but for what is meant to be shared */
    state_close(&first);
    state_close(&second);
}

static void its_places_are_there(void **at)
{
    struct state state = created(*at);
    auto_free char *data = state_data_dir(&state);
    auto_free char *run = state_run_dir(&state, "some-run");
    auto_free char *sockets = state_socket_dir(&state, "abcdefghij");
    auto_free char *runs = fs_dirname(run), *marks = fs_dirname(sockets);
    auto_free char *under_root = mem_printf("%s/cli/", state.root);

    assert_string_equal(state.root, *at);
    assert_int_equal(strncmp(state.dir, under_root, strlen(under_root)), 0);
    assert_int_equal(strlen(state.dir), strlen(under_root) + 8);
    assert_true(fs_exists(data));
    assert_true(fs_exists(runs));
    assert_true(fs_exists(marks));
    assert_string_equal(fs_basename(run), "some-run");
    assert_string_equal(fs_basename(sockets), "abcdefghij");
    state_close(&state);
}

/* Nobody else looks into it; a root service lets its kernels, which run as others, pass through. */
static void others_cannot_list_it(void **at)
{
    struct state state = created(*at);
    struct stat st;

    assert_int_equal(stat(state.dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, geteuid() == 0 ? 0711 : 0700);
    state_close(&state);
}

static void it_is_locked_for_as_long_as_it_is_open(void **at)
{
    struct state state = created(*at);
    auto_free char *lock = fs_join(state.dir, "lock");
    auto_free char *dir = mem_strdup(state.dir);
    struct err e;

    assert_int_equal(fs_lock(lock, &e), -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    state_close(&state);
    state_close(&state); /* twice is fine */
    auto_close int fd = fs_lock(lock, &e);
    assert_true(fd >= 0);
    assert_true(fs_exists(dir)); /* what is in it stays */
}

static void a_path_that_leaves_no_room_for_sockets_is_refused(void **at)
{
    const size_t own = strlen("/cli/12345678");

    for (int over = 0; over <= 2; over++) {
        size_t want = LIMIT_STATE_PATH - own + (size_t)over;
        auto_free char *root = mem_zalloc(want + 1);
        int base = snprintf(root, want + 1, "%s/", (const char *)*at);
        memset(root + base, 'x', want - (size_t)base);
        struct state state;
        struct err e;
        int result = state_create(&state, root, &e);
        assert_int_equal(result, over ? -1 : 0);
        if (over) {
            assert_int_equal(e.code, ERR_LIMIT);
            assert_non_null(strstr(e.text, "SEGUE_STATE")); /* what to do about it */
            assert_false(fs_exists(root));
        }
        state_close(&state);
    }
}

static void a_root_that_cannot_be_made_is_told(void **at)
{
    auto_free char *root = fs_join(*at, "file/root");
    struct state state;
    struct err e;

    scratch_put(*at, "file", "");
    assert_int_equal(state_create(&state, root, &e), -1);
    assert_non_null(strstr(e.text, "cannot set up the state directory"));
    assert_int_equal(state.lock_fd, -1);
}

/* Each of several programs that start at once gets its own, whoever clears up meanwhile. */
static void many_start_at_once(void **at)
{
    enum { PROGRAMS = 6, ROUNDS = 60 };
    pid_t programs[PROGRAMS];

    for (int i = 0; i < PROGRAMS; i++) {
        programs[i] = fork();
        if (programs[i] != 0)
            continue;
        for (int round = 0; round < ROUNDS; round++) {
            struct state state;
            struct err e;
            if (state_create(&state, *at, &e) < 0) {
                fprintf(stderr, "%s\n", e.text);
                _exit(1);
            }
            recover_state_dirs(*at);
            state_close(&state);
        }
        _exit(0);
    }
    for (int i = 0; i < PROGRAMS; i++) {
        int status;
        waitpid(programs[i], &status, 0);
        assert_int_equal(status, 0);
    }
}

/* --- the state of a service --- */

static struct state opened(const char *root)
{
    struct state state;
    struct err e;

    if (state_open(&state, root, &e) < 0)
        fail_msg("%s", e.text);
    return state;
}

static void a_service_has_the_root_itself(void **at)
{
    auto_free char *root = fs_join(*at, "new/state");
    struct state state = opened(root);
    auto_free char *data = state_data_dir(&state), *runs = fs_join(root, "runs");
    auto_free char *marks = fs_join(root, "k");

    assert_string_equal(state.dir, root);
    assert_string_equal(state.root, root);
    assert_true(fs_exists(data) && fs_exists(runs) && fs_exists(marks));
    state_close(&state);
}

static void its_id_stays_the_same(void **at)
{
    struct state first = opened(*at);
    struct uuid id = first.id;

    assert_true(uuid_is_valid(id.text));
    state_close(&first);
    for (int i = 0; i < 2; i++) {
        struct state again = opened(*at);
        assert_string_equal(again.id.text, id.text);
        state_close(&again);
    }
    /* One that is none is replaced, once. */
    scratch_put(*at, "id", "who am I");
    struct state second = opened(*at);
    assert_true(uuid_is_valid(second.id.text));
    id = second.id;
    state_close(&second);
    struct state third = opened(*at);
    assert_string_equal(third.id.text, id.text);
    state_close(&third);
}

static void only_one_service_has_it(void **at)
{
    struct state first = opened(*at), second;
    struct err e;

    assert_int_equal(state_open(&second, *at, &e), -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_non_null(strstr(e.text, "another service"));
    assert_non_null(strstr(e.text, *at));
    assert_int_equal(second.lock_fd, -1);
    struct state command = created(*at); /* a run of the command line beside it is fine */
    state_close(&command);
    state_close(&first);
    struct state third = opened(*at);
    state_close(&third);
}

static void a_root_too_long_for_sockets_is_refused(void **at)
{
    for (size_t over = 0; over <= 1; over++) {
        auto_free char *root = mem_zalloc(LIMIT_STATE_PATH + over + 1);
        int base = snprintf(root, LIMIT_STATE_PATH + over + 1, "%s/", (const char *)*at);
        memset(root + base, 'x', LIMIT_STATE_PATH + over - (size_t)base);
        struct state state;
        struct err e;
        assert_int_equal(state_open(&state, root, &e), over ? -1 : 0);
        if (over)
            assert_int_equal(e.code, ERR_LIMIT);
        state_close(&state);
    }
}

/* --- where the root is --- */

static void check_root(const char *expected)
{
    auto_free char *root = state_root();

    assert_string_equal(root, expected);
}

static void the_root_is_where_it_was_asked_for(void **at)
{
    auto_free char *here = getcwd(NULL, 0);
    auto_free char *below = fs_join(here, "relative/state");

    (void)at;
    setenv("SEGUE_STATE", "/some/where", 1);
    check_root("/some/where");
    setenv("SEGUE_STATE", "relative/state", 1);
    check_root(below);
    unsetenv("SEGUE_STATE");
}

static void else_it_depends_on_who_asks(void **at)
{
    static const struct {
        const char *xdg, *home, *expected;
    } rows[] = {
        {NULL, "/home/u", "/home/u/.local/state/segue"},
        {"/xdg", "/home/u", "/xdg/segue"},
        {"not/absolute", "/home/u", "/home/u/.local/state/segue"},
        {"", "/home/u", "/home/u/.local/state/segue"},
    };

    (void)at;
    unsetenv("SEGUE_STATE");
    if (geteuid() == 0)
        check_root("/var/lib/segue");
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
            _exit(9);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            setenv("SEGUE_STATE", "", 1); /* empty is as good as none */
            rows[i].xdg ? setenv("XDG_STATE_HOME", rows[i].xdg, 1) : unsetenv("XDG_STATE_HOME");
            setenv("HOME", rows[i].home, 1);
            auto_free char *root = state_root();
            if (strcmp(root, rows[i].expected) != 0)
                _exit(1 + (int)i);
        }
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_never_share_a_directory),
        TEST(its_places_are_there),
        TEST(others_cannot_list_it),
        TEST(it_is_locked_for_as_long_as_it_is_open),
        TEST(a_path_that_leaves_no_room_for_sockets_is_refused),
        TEST(a_root_that_cannot_be_made_is_told),
        TEST(many_start_at_once),
        TEST(a_service_has_the_root_itself),
        TEST(its_id_stays_the_same),
        TEST(only_one_service_has_it),
        TEST(a_root_too_long_for_sockets_is_refused),
        TEST(the_root_is_where_it_was_asked_for),
        TEST(else_it_depends_on_who_asks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
