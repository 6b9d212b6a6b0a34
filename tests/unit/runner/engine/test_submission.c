#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/base/scratch.c"
#include "tests/unit/runner/engine/made_submission.c"

#include <sys/stat.h>
#include <sys/wait.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int set_up(void **state)
{
    char *dir = scratch_new();

    /* No engine of Docker, whatever this machine has. */
    setenv("DOCKER_HOST", "unix:///tmp/segue-test-nowhere.sock", 1);
    scratch_put(dir, "a.sh", "");
    scratch_put(dir, "sub/b.sh", "");
    *state = dir;
    return 0;
}

static int tear_down(void **state)
{
    scratch_free(*state);
    return 0;
}

static const char TWO[] = "{'name':'n','steps':{"
                          "'s1':{'title':'A','file_path':'a.sh','environment':'one'},"
                          "'s2':{'title':'B','file_path':'a.sh','environment':'two',"
                          "'incoming_connections':['s1']}}}";

static void put_environments(const char *dir, const char *json)
{
    auto_free char *text = mem_strdup(json);

    for (char *p = text; *p; p++)
        if (*p == '\'')
            *p = '"';
    scratch_put(dir, ".segue/environments.json", text);
}

/* --- what it holds --- */

static void everything_is_frozen(void **state)
{
    const char *dir = *state;
    const uint32_t selected[] = {1};
    auto_submission struct submission *submission =
        submission_of(dir,
                      "{'steps':{'s1':{'file_path':'a.sh'},'s2':{'file_path':'a.sh',"
                      "'incoming_connections':['s1']}}}",
                      (struct request){.run_type = RUN_UPTO,
                                       .selected = selected,
                                       .selected_count = 1,
                                       .in_place = true,
                                       .output_dir = "/out"});

    assert_true(uuid_is_valid(submission->run_uuid.text));
    assert_int_equal(submission->plan->count, 2);
    assert_string_equal(submission->selected[0], "s2");
    assert_null(submission->selected[1]);
    assert_string_equal(submission->project.dir, dir);
    assert_string_equal(submission->output_dir, "/out");
    assert_true(submission->in_place);
    assert_string_equal(submission_step(submission, 0)->uuid, "s1");
    assert_int_equal(submission_environment(submission, 0)->launcher, LAUNCHER_PROCESS);
    assert_int_equal(submission_environment(submission, 0)->cause, CAUSE_NONE);
    assert_string_equal(submission_environment(submission, 0)->name, "");
}

static void of_a_full_run_nothing_is_selected(void **state)
{
    const uint32_t selected[] = {0};
    auto_submission struct submission *submission =
        submission_of(*state, "{'steps':{'s1':{'file_path':'a.sh'}}}",
                      (struct request){.selected = selected, .selected_count = 1});

    assert_null(submission->selected[0]);
}

static void each_run_is_another(void **state)
{
    const char *definition = "{'steps':{'s1':{'file_path':'a.sh'}}}";
    auto_submission struct submission *first =
        submission_of(*state, definition, (struct request){0});
    auto_submission struct submission *second =
        submission_of(*state, definition, (struct request){0});

    assert_string_not_equal(first->run_uuid.text, second->run_uuid.text);
    assert_string_equal(first->pipeline->uuid, second->pipeline->uuid);
}

static void sources_are_absolute(void **state)
{
    static const struct {
        const char *pipeline_dir, *file, *source;
    } rows[] = {
        {".", "a.sh", "a.sh"},
        {".", "sub/b.sh", "sub/b.sh"},
        {"sub", "b.sh", "sub/b.sh"},
        {"sub", "../a.sh", "sub/../a.sh"},
    };
    const char *dir = *state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_submission struct submission *submission = NULL;
        auto_free char *definition =
            mem_printf("{'steps':{'s1':{'file_path':'%s'}}}", rows[i].file);
        struct err e;
        if (submission_try(dir, rows[i].pipeline_dir, definition, (struct request){0}, &submission,
                           &e) < 0)
            fail_msg("%s", e.text);
        auto_free char *source = submission_source(submission, 0);
        auto_free char *expected = fs_join(dir, rows[i].source);
        assert_string_equal(source, expected);
    }
}

/* --- what is refused --- */

static void what_cannot_run_is_refused(void **state)
{
    static const struct {
        const char *name, *definition;
        const char *part; /* of the message */
    } rows[] = {
        {"no JSON", "{'steps'", "line 1"},
        {"a cycle",
         "{'steps':{'a':{'file_path':'a.sh','incoming_connections':['b']},"
         "'b':{'file_path':'a.sh','incoming_connections':['a']}}}",
         "cycle"},
        {"no steps", "{'steps':{}}", "nothing to run"},
        {"a file that is missing", "{'steps':{'a':{'file_path':'missing.sh'}}}", "missing.sh"},
        {"a file outside", "{'steps':{'a':{'file_path':'../../etc/hostname'}}}", ""},
        {"a file of no known kind", "{'steps':{'a':{'file_path':'x.exe'}}}", "x.exe"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct submission *submission = NULL;
        struct err e;
        if (submission_try(*state, ".", rows[i].definition, (struct request){0}, &submission, &e) ==
            0)
            fail_msg("taken: %s", rows[i].name);
        assert_int_equal(e.code, ERR_INVALID);
        if (!strstr(e.text, rows[i].part))
            fail_msg("%s: %s", rows[i].name, e.text);
        assert_null(submission);
    }
}

static void only_steps_that_would_run_need_their_files(void **state)
{
    const uint32_t selected[] = {0};
    auto_submission struct submission *submission = submission_of(
        *state, "{'steps':{'a':{'file_path':'a.sh'},'b':{'file_path':'missing.sh'}}}",
        (struct request){.run_type = RUN_SELECTION, .selected = selected, .selected_count = 1});

    assert_int_equal(submission->plan->count, 1);
}

static void broken_environments_refuse_the_run(void **state)
{
    struct submission *submission = NULL;
    struct err e;

    put_environments(*state, "{'one': {");
    assert_int_equal(submission_try(*state, ".", TWO, (struct request){0}, &submission, &e), -1);
    assert_non_null(strstr(e.text, "environments.json"));
}

/* As root everything can be written, so it is asked as somebody else. */
static void a_project_that_cannot_be_written_is_refused(void **state)
{
    const char *dir = *state;

    if (geteuid() == 0)
        assert_int_equal(chmod(dir, 0755), 0);
    else
        assert_int_equal(chmod(dir, 0555), 0);
    pid_t child = fork();
    if (child == 0) {
        struct submission *submission = NULL;
        struct err e = {0};
        if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
            _exit(9);
        int result = submission_try(dir, ".", "{'steps':{'s1':{'file_path':'a.sh'}}}",
                                    (struct request){0}, &submission, &e);
        _exit(result == -1 && e.code == ERR_INVALID && strstr(e.text, dir) ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    chmod(dir, 0755);
    assert_int_equal(status, 0);
}

/* --- environments --- */

static void a_missing_environment_fails_only_its_own_steps(void **state)
{
    put_environments(*state, "{'one': {'launcher': 'process'}}");
    auto_submission struct submission *submission = submission_of(*state, TWO, (struct request){0});
    const struct frozen_environment *one = submission_environment(submission, 0);
    const struct frozen_environment *two = submission_environment(submission, 1);

    assert_int_equal(one->cause, CAUSE_NONE);
    assert_string_equal(one->name, "one");
    assert_string_equal(two->name, "two");
    assert_int_equal(two->cause, CAUSE_ENVIRONMENT_MISSING);
    assert_non_null(strstr(two->message, "two"));
}

static void steps_of_one_environment_share_it(void **state)
{
    auto_submission struct submission *submission =
        submission_of(*state, "{'steps':{'a':{'file_path':'a.sh'},'b':{'file_path':'a.sh'}}}",
                      (struct request){0});

    assert_ptr_equal(submission_environment(submission, 0), submission_environment(submission, 1));
}

static void the_launcher_is_as_chosen(void **state)
{
    static const struct {
        const char *name;
        enum launcher_choice choice;
        enum launcher_kind launcher;
        enum cause cause;
    } rows[] = {
        /* An image, and no engine that could know it. */
        {"in a container", LAUNCHER_CHOICE_ENVIRONMENT, LAUNCHER_DOCKER,
         CAUSE_LAUNCHER_UNAVAILABLE},
        {"in a container", LAUNCHER_CHOICE_DOCKER, LAUNCHER_DOCKER, CAUSE_LAUNCHER_UNAVAILABLE},
        {"in a container", LAUNCHER_CHOICE_PROCESS, LAUNCHER_PROCESS, CAUSE_NONE},
        {"here", LAUNCHER_CHOICE_ENVIRONMENT, LAUNCHER_PROCESS, CAUSE_NONE},
        {"here", LAUNCHER_CHOICE_PROCESS, LAUNCHER_PROCESS, CAUSE_NONE},
        {"here", LAUNCHER_CHOICE_DOCKER, LAUNCHER_DOCKER, CAUSE_ENVIRONMENT_MISSING},
        {"", LAUNCHER_CHOICE_ENVIRONMENT, LAUNCHER_PROCESS, CAUSE_NONE},
        {"", LAUNCHER_CHOICE_DOCKER, LAUNCHER_DOCKER, CAUSE_ENVIRONMENT_MISSING},
        {"missing", LAUNCHER_CHOICE_ENVIRONMENT, LAUNCHER_PROCESS, CAUSE_ENVIRONMENT_MISSING},
        {"missing", LAUNCHER_CHOICE_PROCESS, LAUNCHER_PROCESS, CAUSE_NONE},
        {"missing", LAUNCHER_CHOICE_DOCKER, LAUNCHER_PROCESS, CAUSE_ENVIRONMENT_MISSING},
    };

    put_environments(*state, "{'in a container': {'launcher': 'docker', 'image': 'segue/none'},"
                             " 'here': {'launcher': 'process'}}");
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *definition =
            mem_printf("{'steps':{'s':{'file_path':'a.sh','environment':'%s'}}}", rows[i].name);
        auto_submission struct submission *submission =
            submission_of(*state, definition, (struct request){.launcher = rows[i].choice});
        const struct frozen_environment *frozen = submission_environment(submission, 0);
        if (frozen->launcher != rows[i].launcher || frozen->cause != rows[i].cause)
            fail_msg("row %zu: %s %s: %s", i, launcher_name(frozen->launcher),
                     cause_name(frozen->cause), frozen->message ? frozen->message : "");
        assert_true(frozen->cause == CAUSE_NONE ? !frozen->message : *frozen->message);
        assert_null(frozen->image);
        assert_string_equal(frozen->name, rows[i].name);
    }
}

static void nothing_is_nothing_to_free(void **state)
{
    (void)state;
    submission_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_is_frozen),
        TEST(of_a_full_run_nothing_is_selected),
        TEST(each_run_is_another),
        TEST(sources_are_absolute),
        TEST(what_cannot_run_is_refused),
        TEST(only_steps_that_would_run_need_their_files),
        TEST(broken_environments_refuse_the_run),
        TEST(a_project_that_cannot_be_written_is_refused),
        TEST(a_missing_environment_fails_only_its_own_steps),
        TEST(steps_of_one_environment_share_it),
        TEST(the_launcher_is_as_chosen),
        TEST(nothing_is_nothing_to_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
