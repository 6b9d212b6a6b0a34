#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/engine/executed.h"
#include "tests/unit/base/scratch.c"
#include "tests/unit/runner/engine/made_submission.c"

#include <sys/stat.h>
#include <sys/time.h>

struct world {
    char *dir; /* the project */
    char *run_dir, *output_dir;
};

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);

    world->dir = scratch_new();
    world->run_dir = fs_join(world->dir, "run");
    world->output_dir = fs_join(world->dir, "out/put");
    scratch_put(world->dir, "a.ipynb", "source a");
    scratch_put(world->dir, "sub/b.ipynb", "source b");
    scratch_put(world->dir, "s.sh", "");
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    scratch_free(world->dir);
    free(world->run_dir);
    free(world->output_dir);
    free(world);
    return 0;
}

#define ONE "{'steps':{'s1':{'file_path':'a.ipynb'}}}"

/* What a step's driver does. */
static void execute(const struct executed *executed, uint32_t step, const char *text)
{
    struct err e;

    assert_int_equal(executed_prepare(executed, step, &e), 0);
    scratch_put("/", executed_path(executed, step) + 1, text);
}

static void check_path(const struct world *world, const struct executed *executed, uint32_t step,
                       const char *expected)
{
    auto_free char *path = mem_printf("%s/executed/%s", world->run_dir, expected);

    assert_string_equal(executed_path(executed, step), path);
}

static void check_content(const char *directory, const char *name, const char *expected)
{
    auto_free char *text = scratch_read(directory, name);

    assert_string_equal(text, expected);
}

/* --- paths --- */

static void copies_lie_under_their_own_paths(void **state)
{
    struct world *world = *state;
    auto_submission struct submission *submission =
        submission_of(world->dir,
                      "{'steps':{'s1':{'file_path':'a.ipynb'},"
                      "'s2':{'file_path':'sub/b.ipynb'},'s3':{'file_path':'s.sh'}}}",
                      (struct request){0});
    struct executed *executed = executed_new(submission, world->run_dir);

    check_path(world, executed, 0, "a.ipynb");
    check_path(world, executed, 1, "sub/b.ipynb");
    assert_null(executed_path(executed, 2)); /* a script */
    executed_free(executed);
}

static void the_pipelines_own_directory_counts_too(void **state)
{
    struct world *world = *state;
    auto_submission struct submission *submission = NULL;
    struct err e;

    assert_int_equal(submission_try(world->dir, "sub",
                                    "{'steps':{'s1':{'file_path':'b.ipynb'},"
                                    "'s2':{'file_path':'../a.ipynb'},"
                                    "'s3':{'file_path':'./../sub//b.ipynb'}}}",
                                    (struct request){0}, &submission, &e),
                     0);
    struct executed *executed = executed_new(submission, world->run_dir);
    check_path(world, executed, 0, "sub/b.ipynb");
    check_path(world, executed, 1, "a.ipynb");
    check_path(world, executed, 2, "sub/b.s3.ipynb"); /* the same notebook in other words */
    executed_free(executed);
}

static void steps_of_one_notebook_have_copies_of_their_own(void **state)
{
    struct world *world = *state;
    auto_submission struct submission *submission =
        submission_of(world->dir,
                      "{'steps':{'s1':{'file_path':'a.ipynb'},"
                      "'s2':{'file_path':'a.ipynb'},'s3':{'file_path':'a.ipynb'}}}",
                      (struct request){0});
    struct executed *executed = executed_new(submission, world->run_dir);

    check_path(world, executed, 0, "a.ipynb");
    check_path(world, executed, 1, "a.s2.ipynb");
    check_path(world, executed, 2, "a.s3.ipynb");
    executed_free(executed);
}

/* A notebook that is named like the second copy of another one. */
static void no_two_copies_ever_share_a_path(void **state)
{
    struct world *world = *state;

    scratch_put(world->dir, "a.s2.ipynb", "another");
    auto_submission struct submission *submission =
        submission_of(world->dir,
                      "{'steps':{'s1':{'file_path':'a.ipynb'},"
                      "'s2':{'file_path':'a.ipynb'},'s3':{'file_path':'a.s2.ipynb'}}}",
                      (struct request){0});
    struct executed *executed = executed_new(submission, world->run_dir);
    for (uint32_t i = 0; i < 3; i++)
        for (uint32_t k = 0; k < i; k++)
            assert_string_not_equal(executed_path(executed, i), executed_path(executed, k));
    executed_free(executed);
}

/* --- delivery --- */

static void the_source_is_left_alone_unless_asked(void **state)
{
    struct world *world = *state;
    auto_submission struct submission *submission =
        submission_of(world->dir, ONE, (struct request){0});
    struct executed *executed = executed_new(submission, world->run_dir);
    struct err e;

    execute(executed, 0, "executed");
    assert_int_equal(executed_deliver(executed, 0, &e), 0);
    check_content(world->dir, "a.ipynb", "source a");
    executed_free(executed);
}

static void the_output_directory_gets_copies(void **state)
{
    struct world *world = *state;
    auto_submission struct submission *submission = submission_of(
        world->dir, "{'steps':{'s1':{'file_path':'a.ipynb'},'s2':{'file_path':'sub/b.ipynb'}}}",
        (struct request){.output_dir = world->output_dir});
    struct executed *executed = executed_new(submission, world->run_dir);
    struct err e;

    execute(executed, 0, "executed a");
    execute(executed, 1, "executed b");
    assert_int_equal(executed_deliver(executed, 0, &e), 0);
    assert_int_equal(executed_deliver(executed, 1, &e), 0);
    check_content(world->output_dir, "a.ipynb", "executed a");
    check_content(world->output_dir, "sub/b.ipynb", "executed b");
    check_content(world->dir, "a.ipynb", "source a");
    executed_free(executed);
}

static void a_step_that_left_no_copy_delivers_nothing(void **state)
{
    struct world *world = *state;
    auto_submission struct submission *submission = submission_of(
        world->dir, "{'steps':{'s1':{'file_path':'a.ipynb'},'s2':{'file_path':'s.sh'}}}",
        (struct request){.output_dir = world->output_dir, .in_place = true});
    struct executed *executed = executed_new(submission, world->run_dir);
    struct err e;

    assert_int_equal(executed_deliver(executed, 0, &e), 0);
    assert_int_equal(executed_deliver(executed, 1, &e), 0);
    assert_false(fs_exists(world->output_dir));
    check_content(world->dir, "a.ipynb", "source a");
    executed_free(executed);
}

static void an_output_directory_that_cannot_be_is_told(void **state)
{
    struct world *world = *state;
    auto_free char *below_a_file = fs_join(world->dir, "s.sh/out");
    auto_submission struct submission *submission =
        submission_of(world->dir, ONE, (struct request){.output_dir = below_a_file});
    struct executed *executed = executed_new(submission, world->run_dir);
    struct err e;

    execute(executed, 0, "executed");
    assert_int_equal(executed_deliver(executed, 0, &e), -1);
    assert_int_not_equal(e.code, ERR_CONFLICT);
    executed_free(executed);
}

/* --- in place --- */

static struct submission *in_place(const struct world *world, const char *definition)
{
    return submission_of(world->dir, definition, (struct request){.in_place = true});
}

static void in_place_the_source_is_replaced_and_keeps_its_mode(void **state)
{
    struct world *world = *state;
    auto_submission struct submission *submission = in_place(world, ONE);
    auto_free char *source = fs_join(world->dir, "a.ipynb");
    struct stat st;
    struct err e;

    assert_int_equal(chmod(source, 0640), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(source, 12345, 54321), 0);
    assert_int_equal(stat(source, &st), 0);
    uid_t owner = st.st_uid;
    struct executed *executed = executed_new(submission, world->run_dir);
    execute(executed, 0, "executed");
    assert_int_equal(executed_deliver(executed, 0, &e), 0);
    check_content(world->dir, "a.ipynb", "executed");
    assert_int_equal(stat(source, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_uid, owner);
    executed_free(executed);
}

static void a_link_stays_a_link(void **state)
{
    struct world *world = *state;
    auto_free char *link = fs_join(world->dir, "link.ipynb");
    struct stat st;
    struct err e;

    assert_int_equal(symlink("sub/b.ipynb", link), 0);
    auto_submission struct submission *submission =
        in_place(world, "{'steps':{'s1':{'file_path':'link.ipynb'}}}");
    struct executed *executed = executed_new(submission, world->run_dir);
    execute(executed, 0, "executed");
    assert_int_equal(executed_deliver(executed, 0, &e), 0);
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    check_content(world->dir, "sub/b.ipynb", "executed");
    executed_free(executed);
}

/* --- in place, and somebody else was faster --- */

static void write_longer(const char *path)
{
    scratch_put("/", path + 1, "somebody else's work");
}

/* As an editor that writes into the file, at the same length. */
static void write_same_length(const char *path)
{
    auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_int_equal(write(fd, "SOURCE A", 8), 8);
    futimens(fd, (struct timespec[]){{1, 0}, {1, 0}});
}

static void replace(const char *path)
{
    auto_free char *other = mem_printf("%s~", path);

    scratch_put("/", other + 1, "source A");
    assert_int_equal(rename(other, path), 0);
}

static void take_away(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

static void a_source_that_was_changed_is_left_as_it_is(void **state)
{
    static void (*const rows[])(const char *path) = {write_longer, write_same_length, replace,
                                                     take_away};
    struct world *world = *state;
    auto_free char *source = fs_join(world->dir, "a.ipynb");

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        scratch_put(world->dir, "a.ipynb", "source a");
        auto_submission struct submission *submission = in_place(world, ONE);
        struct executed *executed = executed_new(submission, world->run_dir);
        struct err e;
        execute(executed, 0, "executed");
        rows[i](source);
        auto_free char *before = scratch_read(world->dir, "a.ipynb");
        assert_int_equal(executed_deliver(executed, 0, &e), -1);
        assert_int_equal(e.code, ERR_CONFLICT);
        assert_non_null(strstr(e.text, source));
        assert_non_null(strstr(e.text, executed_path(executed, 0))); /* where the work is */
        check_content(world->dir, "a.ipynb", before);
        executed_free(executed);
    }
}

static void a_run_is_not_taken_for_somebody_else(void **state)
{
    struct world *world = *state;
    auto_submission struct submission *submission =
        in_place(world, "{'steps':{'s1':{'file_path':'a.ipynb'},'s2':{'file_path':'./a.ipynb'}}}");
    struct executed *executed = executed_new(submission, world->run_dir);
    struct err e = {0};

    execute(executed, 0, "executed once");
    assert_int_equal(executed_deliver(executed, 0, &e), 0);
    execute(executed, 1, "executed twice");
    if (executed_deliver(executed, 1, &e) < 0)
        fail_msg("%s", e.text);
    check_content(world->dir, "a.ipynb", "executed twice");
    /* And somebody else is still noticed. */
    scratch_put(world->dir, "a.ipynb", "somebody else's work");
    assert_int_equal(executed_deliver(executed, 0, &e), -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    executed_free(executed);
}

static void the_output_gets_its_copy_although_the_source_was_changed(void **state)
{
    struct world *world = *state;
    auto_submission struct submission *submission = submission_of(
        world->dir, ONE, (struct request){.in_place = true, .output_dir = world->output_dir});
    struct executed *executed = executed_new(submission, world->run_dir);
    struct err e;

    execute(executed, 0, "executed");
    scratch_put(world->dir, "a.ipynb", "somebody else's work");
    assert_int_equal(executed_deliver(executed, 0, &e), -1);
    check_content(world->output_dir, "a.ipynb", "executed");
    executed_free(executed);
}

static void nothing_is_nothing_to_free(void **state)
{
    (void)state;
    executed_free(NULL);
}

/* --- taken up by another engine --- */

/* As of an engine that comes later: knows what the sources looked like at the start. */
static struct executed *taken_up(const struct world *world, const struct submission *submission,
                                 const char *sources)
{
    struct executed *executed = executed_new(submission, world->run_dir);

    executed_take_sources(executed, sources);
    return executed;
}

static void what_was_changed_between_engines_is_noticed(void **state)
{
    static void (*const rows[])(const char *path) = {write_longer, write_same_length, replace,
                                                     take_away};
    struct world *world = *state;
    auto_free char *source = fs_join(world->dir, "a.ipynb");

    for (size_t i = 0; i <= sizeof rows / sizeof *rows; i++) {
        scratch_put(world->dir, "a.ipynb", "source a");
        auto_submission struct submission *submission =
            in_place(world, "{'steps':{'s0':{'file_path':'s.sh'},'s1':{'file_path':'a.ipynb'}}}");
        auto_buf struct buf sources = {0};
        struct executed *first = executed_new(submission, world->run_dir);
        struct err e;
        bool is_changed = i < sizeof rows / sizeof *rows;
        executed_put_sources(first, &sources);
        execute(first, 1, "executed");
        executed_free(first);
        if (is_changed)
            rows[i](source);
        struct executed *executed = taken_up(world, submission, sources.data);
        assert_int_equal(executed_deliver(executed, 1, &e), is_changed ? -1 : 0);
        if (is_changed)
            assert_int_equal(e.code, ERR_CONFLICT);
        else
            check_content(world->dir, "a.ipynb", "executed");
        executed_free(executed);
    }
}

/* The engine before has delivered it, and could not note that any more. */
static void what_was_delivered_already_is_no_conflict(void **state)
{
    struct world *world = *state;
    auto_submission struct submission *submission = in_place(world, ONE);
    auto_buf struct buf sources = {0};
    struct executed *first = executed_new(submission, world->run_dir);
    struct err e;

    executed_put_sources(first, &sources);
    execute(first, 0, "executed");
    assert_int_equal(executed_deliver(first, 0, &e), 0);
    executed_free(first);
    struct executed *second = taken_up(world, submission, sources.data);
    if (executed_deliver(second, 0, &e) < 0)
        fail_msg("%s", e.text);
    check_content(world->dir, "a.ipynb", "executed");
    executed_free(second);
}

/* What a step has delivered is not somebody else's work for a later step of a later engine. */
static void deliveries_are_remembered_by_the_next_engine(void **state)
{
    struct world *world = *state;
    auto_submission struct submission *submission =
        in_place(world, "{'steps':{'s1':{'file_path':'a.ipynb'},'s2':{'file_path':'./a.ipynb'}}}");
    auto_buf struct buf sources = {0};
    struct executed *first = executed_new(submission, world->run_dir);
    struct err e;

    execute(first, 0, "executed once");
    assert_int_equal(executed_deliver(first, 0, &e), 0);
    executed_put_sources(first, &sources);
    execute(first, 1, "executed twice");
    executed_free(first);
    struct executed *second = taken_up(world, submission, sources.data);
    if (executed_deliver(second, 1, &e) < 0)
        fail_msg("%s", e.text);
    check_content(world->dir, "a.ipynb", "executed twice");
    executed_free(second);
}

static void sources_that_say_nothing_change_nothing(void **state)
{
    static const char *const rows[] = {"", "[", "{}", "[]"};
    struct world *world = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_submission struct submission *submission = in_place(world, ONE);
        struct executed *executed = taken_up(world, submission, rows[i]);
        struct err e;
        execute(executed, 0, rows[i]);
        assert_int_equal(executed_deliver(executed, 0, &e), 0);
        executed_free(executed);
    }
}

/* More than there are steps: the rest means nobody. */
static void too_many_sources_are_no_danger(void **state)
{
    struct world *world = *state;
    auto_submission struct submission *submission = in_place(world, ONE);
    struct executed *executed = taken_up(world, submission, "[[1,2,3,4,5,6,7],[1],[],7,[9]]");
    struct err e;

    execute(executed, 0, "executed");
    assert_int_equal(executed_deliver(executed, 0, &e), -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    executed_free(executed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(copies_lie_under_their_own_paths),
        TEST(the_pipelines_own_directory_counts_too),
        TEST(steps_of_one_notebook_have_copies_of_their_own),
        TEST(no_two_copies_ever_share_a_path),
        TEST(the_source_is_left_alone_unless_asked),
        TEST(the_output_directory_gets_copies),
        TEST(a_step_that_left_no_copy_delivers_nothing),
        TEST(an_output_directory_that_cannot_be_is_told),
        TEST(in_place_the_source_is_replaced_and_keeps_its_mode),
        TEST(a_link_stays_a_link),
        TEST(a_source_that_was_changed_is_left_as_it_is),
        TEST(a_run_is_not_taken_for_somebody_else),
        TEST(the_output_gets_its_copy_although_the_source_was_changed),
        TEST(nothing_is_nothing_to_free),
        TEST(what_was_changed_between_engines_is_noticed),
        TEST(what_was_delivered_already_is_no_conflict),
        TEST(deliveries_are_remembered_by_the_next_engine),
        TEST(sources_that_say_nothing_change_nothing),
        TEST(too_many_sources_are_no_danger),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
