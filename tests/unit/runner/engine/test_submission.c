#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/engine/run_rows.h"
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
                                       .keep_kernels_s = 60,
                                       .output_dir = "/out"});

    assert_true(uuid_is_valid(submission->run_uuid.text));
    assert_int_equal(submission->plan->count, 2);
    assert_string_equal(submission->selected[0], "s2");
    assert_null(submission->selected[1]);
    assert_string_equal(submission->project.dir, dir);
    assert_string_equal(submission->output_dir, "/out");
    assert_true(submission->in_place);
    assert_int_equal(submission->keep_kernels_s, 60);
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

/* --- kept in the store and made again --- */

struct kept {
    struct store *store;
    int64_t run;
};

static struct kept keep(const char *dir, const struct submission *submission)
{
    auto_free char *path = mem_printf("%s/%s.db", dir, submission->run_uuid.text);
    struct kept kept;
    struct err e;

    if (store_open(path, STORE_WRITE, &kept.store, &e) < 0 || store_begin(kept.store, &e) < 0 ||
        run_rows_add(kept.store, submission, &kept.run, &e) < 0 ||
        store_commit(kept.store, STORE_LAZY, &e) < 0)
        fail_msg("%s", e.text);
    return kept;
}

static int take_again(void *data, const struct store_run *run, const struct store_frozen *frozen,
                      struct err *e)
{
    return submission_restore(run, frozen, data, e);
}

static struct submission *made_again(const char *dir, const struct submission *submission)
{
    struct kept kept = keep(dir, submission);
    struct submission *again = NULL;
    struct err e;

    if (store_frozen(kept.store, kept.run, take_again, &again, &e) < 0)
        fail_msg("%s", e.text);
    store_close(kept.store);
    return again;
}

static void check_same_text(const char *what, const char *a, const char *b)
{
    if ((a == NULL) != (b == NULL) || (a && strcmp(a, b) != 0))
        fail_msg("%s: %s, %s", what, a ? a : "NULL", b ? b : "NULL");
}

static void check_same_steps(const struct submission *a, const struct submission *b)
{
    assert_int_equal(a->plan->count, b->plan->count);
    assert_int_equal(a->plan->run_type, b->plan->run_type);
    for (uint32_t i = 0; i < a->plan->count; i++) {
        const struct frozen_environment *first = submission_environment(a, i);
        const struct frozen_environment *second = submission_environment(b, i);
        auto_free char *source = submission_source(a, i), *again = submission_source(b, i);
        check_same_text("step", submission_step(a, i)->uuid, submission_step(b, i)->uuid);
        check_same_text("source", source, again);
        assert_int_equal(a->plan->steps[i].incoming.count, b->plan->steps[i].incoming.count);
        check_same_text("environment", first->name, second->name);
        check_same_text("message", first->message, second->message);
        assert_int_equal(first->cause, second->cause);
        assert_int_equal(first->launcher, second->launcher);
    }
}

static void check_same(const struct submission *a, const struct submission *b)
{
    check_same_text("run", a->run_uuid.text, b->run_uuid.text);
    check_same_text("job", a->job_uuid.text, b->job_uuid.text);
    check_same_text("rerun of", a->rerun_of.text, b->rerun_of.text);
    check_same_text("project", a->project.dir, b->project.dir);
    check_same_text("origin", a->origin_dir, b->origin_dir);
    check_same_text("path", a->project.pipeline_path, b->project.pipeline_path);
    check_same_text("directory", a->project.pipeline_dir, b->project.pipeline_dir);
    check_same_text("pipeline", a->pipeline->uuid, b->pipeline->uuid);
    check_same_text("parameters", a->parameters, b->parameters);
    check_same_text("output", a->output_dir, b->output_dir);
    assert_int_equal(a->in_place, b->in_place);
    assert_int_equal(a->keep_kernels_s, b->keep_kernels_s);
    assert_int_equal(a->timeout_s, b->timeout_s);
    assert_int_equal(a->launcher, b->launcher);
    assert_int_equal(submission_class(a), submission_class(b));
    assert_int_equal(a->pipeline->doc.len, b->pipeline->doc.len);
    assert_memory_equal(a->pipeline->doc.text, b->pipeline->doc.text, a->pipeline->doc.len);
    size_t i = 0;
    for (; a->selected[i]; i++)
        check_same_text("selected", a->selected[i], b->selected[i]);
    assert_null(b->selected[i]);
    check_same_steps(a, b);
}

static const char DIAMOND[] =
    "{'name':'n','parameters':{'p':0.10},'steps':{"
    "'s1':{'title':'A','file_path':'a.sh','environment':'one'},"
    "'s2':{'title':'B','file_path':'a.sh','environment':'two','incoming_connections':['s1']},"
    "'s3':{'title':'C','file_path':'sub/b.sh','incoming_connections':['s1']},"
    "'s4':{'title':'D','file_path':'a.sh','incoming_connections':['s2','s3']}}}";

/* A copy of the project with another environment. */
static char *make_workspace(const char *dir)
{
    char *workspace = fs_join(dir, "state/copy");

    scratch_put(workspace, "a.sh", "");
    scratch_put(workspace, "sub/b.sh", "");
    scratch_put(workspace, ".segue/environments.json",
                "{\"one\": {\"launcher\": \"process\", \"env\": {\"OF\": \"the copy\"}}}");
    return workspace;
}

static const char JOB[] = "11111111-0000-4000-8000-000000000000";

/* Files and environments are the workspace's; what it is a run of stays the project. */
static void a_run_works_on_its_workspace(void **state)
{
    const char *dir = *state;
    auto_free char *workspace = make_workspace(dir);
    auto_free char *expected = fs_join(workspace, "sub/b.sh");
    auto_free char *gone = fs_join(dir, "sub/b.sh");

    auto_submission struct submission *live = submission_of(dir, DIAMOND, (struct request){0});
    assert_string_equal(live->origin_dir, dir);
    assert_int_equal(unlink(gone), 0);
    auto_submission struct submission *submission =
        submission_of(dir, DIAMOND, (struct request){.job_uuid = JOB, .workspace = workspace});
    auto_free char *source = submission_source(submission, 2);

    assert_string_equal(submission->project.dir, workspace);
    assert_string_equal(submission->origin_dir, dir);
    assert_string_equal(source, expected);
    assert_string_equal(submission_environment(submission, 0)->env[0], "OF=the copy");
    assert_string_equal(submission->pipeline->uuid, live->pipeline->uuid);
}

static int check_project_row(void *data, const struct store_run *run, struct err *e)
{
    (void)e;
    assert_string_equal(run->project, data);
    return 0;
}

static void a_run_on_a_copy_is_listed_with_its_project(void **state)
{
    char *dir = *state;
    auto_free char *workspace = make_workspace(dir);
    auto_submission struct submission *submission =
        submission_of(dir, DIAMOND, (struct request){.job_uuid = JOB, .workspace = workspace});
    struct kept kept = keep(dir, submission);
    struct err e;

    assert_int_equal(store_run(kept.store, submission->run_uuid.text, check_project_row, dir, &e),
                     0);
    store_close(kept.store);
}

static void a_run_may_have_its_uuid_beforehand(void **state)
{
    const char *uuid = "22222222-0000-4000-8000-000000000000";
    auto_submission struct submission *submission =
        submission_of(*state, DIAMOND, (struct request){.run_uuid = uuid});

    assert_string_equal(submission->run_uuid.text, uuid);
}

static void what_is_made_again_is_the_same(void **state)
{
    static const uint32_t one[] = {1}, two[] = {2, 1};
    const char *dir = *state;
    auto_free char *workspace = make_workspace(dir);
    const struct {
        const char *name; /* for whoever reads this */
        struct request wish;
    } rows[] = {
        {"everything", {0}},
        {"a selection", {.run_type = RUN_SELECTION, .selected = two, .selected_count = 2}},
        {"what one needs", {.run_type = RUN_INCOMING, .selected = one, .selected_count = 1}},
        {"up to one", {.run_type = RUN_UPTO, .selected = one, .selected_count = 1}},
        {"from one on", {.run_type = RUN_FROM, .selected = one, .selected_count = 1}},
        {"in place", {.in_place = true}},
        {"with kernels that are kept", {.keep_kernels_s = 600}},
        {"as processes", {.launcher = LAUNCHER_CHOICE_PROCESS}},
        {"in containers", {.launcher = LAUNCHER_CHOICE_DOCKER}},
        {"with an output directory", {.output_dir = "/out \"x\"\n\xc3\xa4"}},
        {"with parameters", {.parameters = {"{\"s1\": {\"x\": 1e400}}", 21}}},
        {"of a job", {.job_uuid = JOB}},
        {"with a time limit", {.timeout_s = 2592000}},
        {"of a job, on a copy",
         {.job_uuid = JOB,
          .run_uuid = "22222222-0000-4000-8000-000000000000",
          .workspace = workspace,
          .timeout_s = 60}},
    };

    put_environments(dir, "{'one': {'launcher': 'process', 'env': {'A': 'b'}}}");
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_submission struct submission *first = submission_of(dir, DIAMOND, rows[i].wish);
        auto_submission struct submission *again = made_again(dir, first);
        check_same(first, again);
        assert_int_equal(submission_class(again), rows[i].wish.job_uuid ? RUN_BACKGROUND : 0);
    }
}

static void a_pipeline_in_a_folder_is_found_there_again(void **state)
{
    const char *dir = *state;
    auto_submission struct submission *first = NULL;
    struct err e;

    if (submission_try(dir, "sub", "{'steps':{'s':{'file_path':'b.sh'}}}", (struct request){0},
                       &first, &e) < 0)
        fail_msg("%s", e.text);
    auto_submission struct submission *again = made_again(dir, first);
    check_same(first, again);
}

/* What the project says by then, or has not got any more, does not matter. */
static void changes_of_the_project_do_not_reach_it(void **state)
{
    const char *dir = *state;

    put_environments(dir, "{'one': {'launcher': 'process'}}");
    auto_submission struct submission *first = submission_of(dir, DIAMOND, (struct request){0});
    put_environments(dir, "{'one': {");
    auto_free char *script = fs_join(dir, "a.sh");
    assert_int_equal(unlink(script), 0);
    auto_submission struct submission *again = made_again(dir, first);
    check_same(first, again);
}

static int change(void *data, const struct store_run *kept, const struct store_frozen *kept_frozen,
                  struct err *e)
{
    static const struct {
        const char *name, *run_type, *uuids, *options, *environments, *definition, *part;
    } rows[] = {
        {"run type", "sideways", NULL, NULL, NULL, NULL, "sideways"},
        {"no selection", NULL, "[", NULL, NULL, NULL, "the run's selection"},
        {"an unknown step", NULL, "[\"nobody\"]", NULL, NULL, NULL, "nobody"},
        {"no options", NULL, NULL, "", NULL, NULL, "the run's options"},
        {"no environments", NULL, NULL, NULL, "", NULL, "the run's environments"},
        {"too few", NULL, NULL, NULL, "[]", NULL, "the environment \"one\" was not kept"},
        {"of version 1", NULL, NULL, NULL, "{}", NULL, "was not kept"},
        {"no definition", NULL, NULL, NULL, NULL, "", "line 1"},
        {"half of it", NULL, NULL, NULL, NULL, "{\"steps\":", "line 1"},
        {"another one", NULL, NULL, NULL, NULL, "{\"steps\":{}}", "nothing to run"},
    };

    (void)data;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct store_run run = *kept;
        struct store_frozen frozen = *kept_frozen;
        struct submission *submission = NULL;
        if (rows[i].run_type)
            run.run_type = rows[i].run_type;
        if (rows[i].uuids)
            run.uuids = rows[i].uuids;
        if (rows[i].options)
            run.options = rows[i].options;
        if (rows[i].environments)
            frozen.environments = rows[i].environments;
        if (rows[i].definition)
            frozen.definition = str_of(rows[i].definition);
        if (submission_restore(&run, &frozen, &submission, e) == 0)
            fail_msg("taken: %s", rows[i].name);
        assert_null(submission);
        assert_true(e->code == ERR_INVALID || e->code == ERR_IO);
        if (!strstr(e->text, rows[i].part) || !strstr(e->text, run.uuid))
            fail_msg("%s: %s", rows[i].name, e->text);
    }
    return 0;
}

static void what_is_damaged_is_refused(void **state)
{
    const char *dir = *state;
    auto_submission struct submission *first = submission_of(dir, DIAMOND, (struct request){0});
    struct kept kept = keep(dir, first);
    struct err e;

    assert_int_equal(store_frozen(kept.store, kept.run, change, NULL, &e), 0);
    store_close(kept.store);
}

/* --- a part of it --- */

static void it_is_narrowed_to_some_steps(void **state)
{
    const char *dir = *state;
    const char *uuids[] = {"s3", "s4"};
    struct err e;

    put_environments(dir, "{'one': {'launcher': 'process'}}");
    auto_submission struct submission *submission =
        submission_of(dir, DIAMOND, (struct request){0});
    for (int i = 0; i < 2; i++) { /* again: nothing changes */
        assert_int_equal(submission_narrow(submission, uuids, 2, &e), 0);
        assert_int_equal(submission->plan->count, 2);
        assert_int_equal(submission->plan->run_type, RUN_SELECTION);
        assert_string_equal(submission_step(submission, 0)->uuid, "s3");
        assert_string_equal(submission_step(submission, 1)->uuid, "s4");
        assert_int_equal(submission->plan->steps[0].incoming.count, 0);
        assert_int_equal(submission->plan->steps[1].incoming.count, 1);
        assert_string_equal(submission_environment(submission, 0)->name, "");
        assert_string_equal(submission->selected[0], "s3");
        assert_string_equal(submission->selected[1], "s4");
        assert_null(submission->selected[2]);
    }
    auto_submission struct submission *again = made_again(dir, submission);
    check_same(submission, again);
}

static void it_is_not_narrowed_to_what_is_not_there(void **state)
{
    const char *uuids[] = {"s1", "nobody"};
    struct err e;
    auto_submission struct submission *submission =
        submission_of(*state, DIAMOND, (struct request){0});

    assert_int_equal(submission_narrow(submission, uuids, 2, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.text, "nobody"));
    assert_int_equal(submission_narrow(submission, uuids, 0, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
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
        TEST(a_run_works_on_its_workspace),
        TEST(a_run_on_a_copy_is_listed_with_its_project),
        TEST(a_run_may_have_its_uuid_beforehand),
        TEST(what_is_made_again_is_the_same),
        TEST(a_pipeline_in_a_folder_is_found_there_again),
        TEST(changes_of_the_project_do_not_reach_it),
        TEST(what_is_damaged_is_refused),
        TEST(it_is_narrowed_to_some_steps),
        TEST(it_is_not_narrowed_to_what_is_not_there),
        TEST(nothing_is_nothing_to_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
