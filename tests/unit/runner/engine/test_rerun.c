#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/engine/rerun.h"
#include "runner/engine/run_rows.h"
#include "tests/unit/base/scratch.c"
#include "tests/unit/runner/engine/made_submission.c"

struct world {
    char *root;
    struct store *store;
    struct problems problems;
};

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);
    struct err e;

    world->root = scratch_new();
    auto_free char *path = fs_join(world->root, "segue.db");
    scratch_put(world->root, "a.sh", "");
    scratch_put(world->root, "b.sh", "");
    assert_int_equal(store_open(path, STORE_WRITE, &world->store, &e), 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    problems_clear(&world->problems);
    store_close(world->store);
    scratch_free(world->root);
    free(world);
    return 0;
}

/* a -> b -> d, c */
static const char DEFINITION[] =
    "{'parameters':{'p':0.10},'steps':{'a':{'file_path':'a.sh'},"
    "'b':{'file_path':'b.sh','incoming_connections':['a']},'c':{'file_path':'a.sh'},"
    "'d':{'file_path':'a.sh','incoming_connections':['b']}}}";

/* A run that has come so far; of each step of `statuses` its uuid and how it ended. Gives the
 * run's uuid. */
struct ended_step {
    const char *uuid;
    enum status status;
};

static struct uuid add_run(struct world *world, struct request wish, enum status status,
                           const struct ended_step *steps)
{
    auto_submission struct submission *submission = submission_of(world->root, DEFINITION, wish);
    int64_t id;
    struct err e;

    if (store_begin(world->store, &e) < 0 || run_rows_add(world->store, submission, &id, &e) < 0 ||
        store_set_run(world->store, id, status, CAUSE_NONE, 1, status_is_final(status) ? 2 : 0,
                      &e) < 0)
        fail_msg("%s", e.text);
    for (uint32_t i = 0; i < submission->plan->count; i++) {
        struct store_step row = {.step = i, .status = STATUS_PENDING, .failure = ""};
        for (const struct ended_step *step = steps; step->uuid; step++)
            if (strcmp(step->uuid, submission_step(submission, i)->uuid) == 0)
                row.status = step->status;
        assert_int_equal(store_set_step(world->store, id, &row, &e), 0);
    }
    assert_int_equal(store_commit(world->store, STORE_LAZY, &e), 0);
    return submission->run_uuid;
}

static const struct ended_step failed[] = {{"a", STATUS_SUCCESS},
                                           {"b", STATUS_FAILURE},
                                           {"c", STATUS_SUCCESS},
                                           {"d", STATUS_ABORTED},
                                           {0}};
static const struct ended_step good[] = {{"a", STATUS_SUCCESS},
                                         {"b", STATUS_SUCCESS},
                                         {"c", STATUS_SUCCESS},
                                         {"d", STATUS_SUCCESS},
                                         {0}};

static struct submission *rerun(struct world *world, const struct uuid *run, enum rerun_from from)
{
    struct submission *submission = NULL;
    struct err e;

    if (rerun_make(world->store, run->text, &(struct rerun_wish){from, NULL}, &submission,
                   &world->problems, &e) < 0)
        fail_msg("%s", e.text);
    return submission;
}

static void check_refused(struct world *world, const char *run, enum rerun_from from,
                          enum err_code code, const char *part)
{
    struct submission *submission = NULL;
    struct err e;

    assert_int_equal(rerun_make(world->store, run, &(struct rerun_wish){from, NULL}, &submission,
                                &world->problems, &e),
                     -1);
    if (e.code != code || !strstr(e.text, part))
        fail_msg("%s: %s", err_name(e.code), e.text);
    assert_null(submission);
}

static void check_steps(const struct submission *submission, const char *uuids)
{
    auto_buf struct buf got = {0};

    for (uint32_t i = 0; i < submission->plan->count; i++)
        buf_puts(&got, submission_step(submission, i)->uuid);
    assert_int_equal(got.len, strlen(uuids));
    assert_int_equal(strspn(buf_text(&got), uuids), strlen(uuids));
}

static void from_the_start_it_is_the_same_run_as_a_new_one(void **state)
{
    struct world *world = *state;
    struct uuid run = add_run(world, (struct request){.in_place = true, .output_dir = "/out"},
                              STATUS_SUCCESS, good);
    auto_submission struct submission *submission = rerun(world, &run, RERUN_START);

    assert_string_not_equal(submission->run_uuid.text, run.text);
    assert_true(uuid_is_valid(submission->run_uuid.text));
    assert_string_equal(submission->rerun_of.text, run.text);
    check_steps(submission, "abcd");
    assert_int_equal(submission->plan->run_type, RUN_FULL);
    assert_true(submission->in_place);
    assert_string_equal(submission->output_dir, "/out");
    assert_non_null(strstr(submission->pipeline->doc.text, "0.10"));
}

static void kernels_are_kept_as_before_unless_it_is_said(void **state)
{
    static const uint32_t less = 5;
    struct world *world = *state;
    struct uuid run =
        add_run(world, (struct request){.keep_kernels_s = 600}, STATUS_FAILURE, failed);
    auto_submission struct submission *as_before = rerun(world, &run, RERUN_FAILED);
    auto_submission struct submission *otherwise = NULL;
    struct rerun_wish wish = {RERUN_FAILED, &less};
    struct err e;

    assert_int_equal(as_before->keep_kernels_s, 600);
    assert_int_equal(rerun_make(world->store, run.text, &wish, &otherwise, &world->problems, &e),
                     0);
    assert_int_equal(otherwise->keep_kernels_s, 5);
}

static void of_a_part_it_is_the_same_part(void **state)
{
    static const uint32_t selected[] = {1};
    struct world *world = *state;
    struct uuid run = add_run(
        world, (struct request){.run_type = RUN_UPTO, .selected = selected, .selected_count = 1},
        STATUS_FAILURE, failed);
    auto_submission struct submission *submission = rerun(world, &run, RERUN_START);

    check_steps(submission, "ab");
    assert_int_equal(submission->plan->run_type, RUN_UPTO);
}

static void only_what_did_not_succeed_is_run_again(void **state)
{
    struct world *world = *state;
    struct uuid run = add_run(world, (struct request){0}, STATUS_FAILURE, failed);
    auto_submission struct submission *submission = rerun(world, &run, RERUN_FAILED);

    check_steps(submission, "bd");
    assert_string_equal(submission->rerun_of.text, run.text);
    assert_int_equal(submission->plan->run_type, RUN_SELECTION);
    assert_int_equal(submission->plan->steps[1].incoming.count, 1); /* d still waits for b */
}

static void a_cancelled_run_is_gone_on_with(void **state)
{
    static const struct ended_step cancelled[] = {{"a", STATUS_SUCCESS},
                                                  {"b", STATUS_ABORTED},
                                                  {"c", STATUS_ABORTED},
                                                  {"d", STATUS_ABORTED},
                                                  {0}};
    struct world *world = *state;
    struct uuid run = add_run(world, (struct request){0}, STATUS_ABORTED, cancelled);
    auto_submission struct submission *submission = rerun(world, &run, RERUN_FAILED);

    check_steps(submission, "bcd");
}

/* A rerun of a rerun: what it has left to do is a part of what that had. */
static void a_rerun_is_run_again(void **state)
{
    struct world *world = *state;
    struct uuid run = add_run(world, (struct request){0}, STATUS_FAILURE, failed);
    auto_submission struct submission *first = rerun(world, &run, RERUN_FAILED);
    int64_t id;
    struct err e;

    assert_int_equal(store_begin(world->store, &e), 0);
    assert_int_equal(run_rows_add(world->store, first, &id, &e), 0);
    assert_int_equal(store_set_run(world->store, id, STATUS_FAILURE, CAUSE_EXIT_CODE, 1, 2, &e), 0);
    assert_int_equal(
        store_set_step(world->store, id,
                       &(struct store_step){.step = 0, .status = STATUS_SUCCESS, .failure = ""},
                       &e),
        0);
    assert_int_equal(store_commit(world->store, STORE_LAZY, &e), 0);
    auto_submission struct submission *second = rerun(world, &first->run_uuid, RERUN_FAILED);
    check_steps(second, "d");
    assert_string_equal(second->rerun_of.text, first->run_uuid.text);
    auto_submission struct submission *all = rerun(world, &first->run_uuid, RERUN_START);
    check_steps(all, "bd");
}

static void what_cannot_be_run_again_is_refused(void **state)
{
    struct world *world = *state;
    struct uuid waits = add_run(world, (struct request){0}, STATUS_PENDING, good);
    struct uuid runs = add_run(world, (struct request){0}, STATUS_STARTED, good);
    struct uuid fine = add_run(world, (struct request){0}, STATUS_SUCCESS, good);

    check_refused(world, "nobody", RERUN_START, ERR_NOT_FOUND, "nobody");
    check_refused(world, waits.text, RERUN_START, ERR_CONFLICT, "PENDING");
    check_refused(world, runs.text, RERUN_FAILED, ERR_CONFLICT, "STARTED");
    check_refused(world, fine.text, RERUN_FAILED, ERR_CONFLICT, "nothing failed");
}

/* Somebody wants to see what went wrong there: on the project, and at once. */
static void a_run_of_a_job_becomes_one_on_the_project(void **state)
{
    struct world *world = *state;
    auto_free char *workspace = fs_join(world->root, "copy");

    scratch_put(workspace, "a.sh", "");
    scratch_put(workspace, "b.sh", "");
    struct uuid run = add_run(world,
                              (struct request){.job_uuid = "11111111-0000-4000-8000-000000000000",
                                               .workspace = workspace,
                                               .timeout_s = 60},
                              STATUS_FAILURE, failed);
    auto_submission struct submission *submission = rerun(world, &run, RERUN_FAILED);
    auto_free char *source = submission_source(submission, 0);
    auto_free char *expected = fs_join(world->root, "b.sh");

    assert_int_equal(submission_class(submission), RUN_INTERACTIVE);
    assert_string_equal(submission->project.dir, world->root);
    assert_string_equal(submission->origin_dir, world->root);
    assert_string_equal(source, expected);
    assert_int_equal(submission->timeout_s, 60);
}

/* The project is looked at as it is now, but only for what would run. */
static void files_that_are_gone_are_told(void **state)
{
    struct world *world = *state;
    struct uuid run = add_run(world, (struct request){0}, STATUS_FAILURE, failed);
    auto_free char *file = fs_join(world->root, "b.sh");
    static const struct ended_step last[] = {{"a", STATUS_SUCCESS},
                                             {"b", STATUS_SUCCESS},
                                             {"c", STATUS_SUCCESS},
                                             {"d", STATUS_FAILURE},
                                             {0}};
    struct uuid other = add_run(world, (struct request){0}, STATUS_FAILURE, last);

    assert_int_equal(unlink(file), 0);
    check_refused(world, run.text, RERUN_FAILED, ERR_INVALID, "b.sh");
    assert_int_equal(world->problems.total, 1);
    problems_clear(&world->problems);
    auto_submission struct submission *submission = rerun(world, &other, RERUN_FAILED);
    check_steps(submission, "d");
}

static void environments_stay_as_they_were(void **state)
{
    struct world *world = *state;
    struct uuid run = add_run(world, (struct request){0}, STATUS_FAILURE, failed);

    scratch_put(world->root, ".segue/environments.json", "{ what is this");
    auto_submission struct submission *submission = rerun(world, &run, RERUN_START);
    for (uint32_t i = 0; i < submission->plan->count; i++)
        assert_int_equal(submission_environment(submission, i)->cause, CAUSE_NONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(from_the_start_it_is_the_same_run_as_a_new_one),
        TEST(kernels_are_kept_as_before_unless_it_is_said),
        TEST(of_a_part_it_is_the_same_part),
        TEST(only_what_did_not_succeed_is_run_again),
        TEST(a_cancelled_run_is_gone_on_with),
        TEST(a_rerun_is_run_again),
        TEST(a_run_of_a_job_becomes_one_on_the_project),
        TEST(what_cannot_be_run_again_is_refused),
        TEST(files_that_are_gone_are_told),
        TEST(environments_stay_as_they_were),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
