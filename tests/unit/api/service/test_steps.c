/* The handlers with an exchange of our own in place of the server's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/service/parts.h"
#include "api/service/steps.h"
#include "base/json.h"
#include "kernel-gateway/keeper/keeper.h"
#include "runner/engine/run_dir.h"
#include "runner/step/notebook_task.h"
#include "runner/step/task.h"
#include "tests/unit/base/scratch.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- the exchange --- */

struct exchange {
    const char *run, *step, *attempt; /* what was asked for */
    int status;
    enum file_kind kind;
    char *type, *tag;
    char *body; /* or the detail of a problem */
};

static void exchange_clear(struct exchange *exchange)
{
    free(exchange->type);
    free(exchange->tag);
    free(exchange->body);
}

const char *exchange_segment(const struct exchange *exchange, unsigned n)
{
    return n == 0 ? exchange->run : exchange->step;
}

const char *exchange_query(struct exchange *exchange, const char *name)
{
    assert_string_equal(name, "attempt");
    return exchange->attempt;
}

static void answer(struct exchange *exchange, int status, const char *body)
{
    assert_int_equal(exchange->status, 0); /* answered once */
    exchange->status = status;
    exchange->body = mem_strdup(body);
}

void exchange_answer_problem(struct exchange *exchange, int status, const char *detail,
                             const struct problems *problems)
{
    assert_null(problems);
    answer(exchange, status, detail);
}

void exchange_answer_err(struct exchange *exchange, const struct err *e,
                         const struct problems *problems)
{
    assert_null(problems);
    answer(exchange, e->code == ERR_NOT_FOUND ? 404 : e->code == ERR_NO_SPACE ? 507 : 500, e->text);
}

void exchange_answer_file(struct exchange *exchange, const char *content_type, enum file_kind kind,
                          const char *etag, int take_fd, uint64_t size)
{
    auto_buf struct buf text = {0};
    struct err e;

    exchange->kind = kind;
    assert_int_equal(fs_read_fd(take_fd, "the answer", 1 << 20, &text, &e), 0);
    assert_true(text.len >= size);
    auto_free char *body = mem_strndup(buf_text(&text), size);
    close(take_fd);
    answer(exchange, 200, body);
    exchange->type = mem_strdup(content_type);
    exchange->tag = mem_strdup(etag);
}

/* --- the service --- */

#define RUN      "11111111-0000-4000-8000-000000000000"
#define NOTEBOOK "aaaaaaaa-0000-4000-8000-000000000000"
#define SCRIPT   "bbbbbbbb-0000-4000-8000-000000000000"

struct world {
    struct service service;
    struct store *store; /* the writing one */
    int64_t run;
};

static void put_step(struct world *world, uint32_t index, enum status status, uint32_t attempt)
{
    struct store_step row = {.step = index, .status = status, .attempt = attempt, .failure = ""};
    struct err e;

    if (store_begin(world->store, &e) < 0 ||
        store_set_step(world->store, world->run, &row, &e) < 0 ||
        store_commit(world->store, STORE_LAZY, &e) < 0)
        fail_msg("%s", e.text);
}

static void add_rows(struct world *world)
{
    static const struct store_run run = {.uuid = RUN,
                                         .project = "/p",
                                         .pipeline_path = "",
                                         .pipeline_uuid = "p",
                                         .pipeline_name = "P",
                                         .run_type = "full",
                                         .uuids = "[]",
                                         .parameters = "{}",
                                         .images = "{}",
                                         .options = "{}",
                                         .job_uuid = "",
                                         .rerun_of = "",
                                         .step_count = 2};
    static const struct store_step steps[] = {
        {.step = 0, .uuid = NOTEBOOK, .title = "N", .file_path = "a.ipynb", .failure = ""},
        {.step = 1, .uuid = SCRIPT, .title = "S", .file_path = "b.sh", .failure = ""}};
    static const struct store_frozen frozen = {.definition = {"{}", 2}, .environments = "{}"};
    struct err e;

    if (store_begin(world->store, &e) < 0 ||
        store_add_run(world->store, &run, &frozen, &world->run, &e) < 0 ||
        store_add_step(world->store, world->run, &steps[0], &e) < 0 ||
        store_add_step(world->store, world->run, &steps[1], &e) < 0 ||
        store_commit(world->store, STORE_LAZY, &e) < 0)
        fail_msg("%s", e.text);
}

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);
    struct err e;

    world->service.state.dir = scratch_new();
    auto_free char *path = fs_join(world->service.state.dir, "segue.db");
    if (store_open(path, STORE_WRITE, &world->store, &e) < 0)
        fail_msg("%s", e.text);
    add_rows(world);
    world->service.readers = readers_new(path);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    readers_free(world->service.readers);
    store_close(world->store);
    scratch_free(world->service.state.dir);
    free(world);
    return 0;
}

static char *attempt_dir(const struct world *world, const char *step, uint32_t number)
{
    auto_free char *run = state_run_dir(&world->service.state, RUN);

    return run_dir_attempt(&(struct run_dir){.path = run}, step, number);
}

static const char SOURCE[] =
    "{\"cells\":[{\"cell_type\":\"code\",\"id\":\"one\",\"source\":\"1\",\"metadata\":{},"
    "\"outputs\":[],\"execution_count\":null}],\"metadata\":{},\"nbformat\":4,"
    "\"nbformat_minor\":5}";

/* An attempt that has printed what its name is. */
static void put_attempt(const struct world *world, const char *step, uint32_t number)
{
    auto_free char *directory = attempt_dir(world, step, number);
    auto_free char *copy = fs_join(world->service.state.dir, "executed.ipynb");
    auto_free char *journal =
        mem_printf("{\"event\":\"cell_started\",\"cell_index\":0}\n"
                   "{\"event\":\"output\",\"cell_index\":0,\"output\":{\"output_type\":\"stream\","
                   "\"name\":\"stdout\",\"text\":\"attempt %u\\n\"}}\n",
                   number);
    auto_buf struct buf text = {0};
    struct task task = {
#define X(name) .name = (char *)"the " #name,
        TASK_NEEDED_TEXTS(X)
#undef X
            .kind = strcmp(step, NOTEBOOK) == 0 ? STEP_NOTEBOOK : STEP_SHELL,
        .output = copy,
    };
    struct err e;

    assert_int_equal(json_parse(&task.parameters, STR("{}"), JSON_STRICT, NULL, &e), 0);
    task_encode(&task, &text);
    json_clear(&task.parameters);
    scratch_put(directory, TASK_FILE, text.data);
    scratch_put(directory, SOURCE_FILE, SOURCE);
    scratch_put(directory, KEEPER_JOURNAL, journal);
}

/* --- asking --- */

typedef void handler(struct exchange *exchange, void *service);

static struct exchange asked(struct world *world, handler *handle, const char *step,
                             const char *attempt)
{
    struct exchange exchange = {.run = RUN, .step = step, .attempt = attempt};

    handle(&exchange, &world->service);
    assert_int_not_equal(exchange.status, 0);
    return exchange;
}

static void check(struct world *world, handler *handle, const char *step, const char *attempt,
                  int status, const char *contained)
{
    auto_with(exchange_clear) struct exchange exchange = asked(world, handle, step, attempt);

    if (exchange.status != status || !strstr(exchange.body, contained))
        fail_msg("%d: %s", exchange.status, exchange.body);
}

static void a_log_grows_under_one_tag(void **state)
{
    struct world *world = *state;
    auto_free char *directory = attempt_dir(world, SCRIPT, 1);

    put_step(world, 1, STATUS_STARTED, 1);
    put_attempt(world, SCRIPT, 1);
    auto_with(exchange_clear) struct exchange first = asked(world, steps_log, SCRIPT, NULL);
    assert_int_equal(first.status, 200);
    assert_string_equal(first.body, "attempt 1\n");
    assert_string_equal(first.type, "text/plain; charset=utf-8");
    assert_int_equal(first.kind, FILE_GROWING);
    auto_free char *journal = scratch_read(directory, KEEPER_JOURNAL);
    auto_free char *more =
        mem_printf("%s{\"event\":\"output\",\"output\":{\"output_type\":\"stream\",\"text\":"
                   "\"and more\"}}\n",
                   journal);
    scratch_put(directory, KEEPER_JOURNAL, more);
    auto_with(exchange_clear) struct exchange second = asked(world, steps_log, SCRIPT, "1");
    assert_string_equal(second.body, "attempt 1\nand more");
    assert_string_equal(second.tag, first.tag);
    put_step(world, 1, STATUS_STARTED, 2);
    put_attempt(world, SCRIPT, 2);
    auto_with(exchange_clear) struct exchange other = asked(world, steps_log, SCRIPT, NULL);
    assert_string_equal(other.body, "attempt 2\n");
    assert_string_not_equal(other.tag, first.tag);
}

static void every_attempt_has_its_own(void **state)
{
    struct world *world = *state;

    put_step(world, 0, STATUS_STARTED, 2);
    put_attempt(world, NOTEBOOK, 1);
    put_attempt(world, NOTEBOOK, 2);
    check(world, steps_log, NOTEBOOK, NULL, 200, "attempt 2");
    check(world, steps_log, NOTEBOOK, "1", 200, "attempt 1");
    check(world, steps_log, NOTEBOOK, "2", 200, "attempt 2");
    check(world, steps_notebook, NOTEBOOK, NULL, 200, "\"attempt 2\\n\"");
    check(world, steps_notebook, NOTEBOOK, "1", 200, "\"attempt 1\\n\"");
}

/* There is one copy, and the latest attempt wrote it last. */
static void the_copy_is_the_last_attempts_and_only_when_it_ended(void **state)
{
    struct world *world = *state;

    put_attempt(world, NOTEBOOK, 1);
    put_attempt(world, NOTEBOOK, 2);
    scratch_put(world->service.state.dir, "executed.ipynb", "the copy");
    put_step(world, 0, STATUS_STARTED, 2);
    check(world, steps_notebook, NOTEBOOK, NULL, 200, "\"attempt 2\\n\"");
    put_step(world, 0, STATUS_FAILURE, 2);
    check(world, steps_notebook, NOTEBOOK, "1", 200, "\"attempt 1\\n\"");
    auto_with(exchange_clear) struct exchange last = asked(world, steps_notebook, NOTEBOOK, NULL);
    assert_string_equal(last.body, "the copy");
    assert_string_equal(last.type, "application/x-ipynb+json");
    assert_int_equal(last.kind, FILE_FIXED);
}

static void a_script_has_a_log_and_no_notebook(void **state)
{
    struct world *world = *state;

    put_step(world, 1, STATUS_SUCCESS, 1);
    put_attempt(world, SCRIPT, 1);
    check(world, steps_log, SCRIPT, NULL, 200, "attempt 1");
    check(world, steps_notebook, SCRIPT, NULL, 404, "is a script");
}

static void what_is_not_there_is_explained(void **state)
{
    static handler *const handlers[] = {steps_log, steps_notebook};
    struct world *world = *state;

    for (size_t i = 0; i < COUNT(handlers); i++) {
        put_step(world, 0, STATUS_PENDING, 0);
        check(world, handlers[i], NOTEBOOK, NULL, 404, "has not started yet");
        check(world, handlers[i], NOTEBOOK, "1", 404, "has not started yet");
        put_step(world, 0, STATUS_ABORTED, 0);
        check(world, handlers[i], NOTEBOOK, NULL, 404, "was never started");
        put_step(world, 0, STATUS_STARTED, 2);
        check(world, handlers[i], NOTEBOOK, "3", 404, "no attempt 3 of the step: the latest is 2");
        check(world, handlers[i], NOTEBOOK, NULL, 404,
              "attempt 2 of the step is just being started");
        check(world, handlers[i], NOTEBOOK, "1", 404, "attempt 1 of the step left no");
        put_step(world, 0, STATUS_FAILURE, 2);
        check(world, handlers[i], NOTEBOOK, NULL, 404, "attempt 2 of the step left no");
        check(world, handlers[i], "nothing", NULL, 404, "no step \"nothing\" in the run");
    }
}

static void an_unknown_run_is_not_found(void **state)
{
    struct world *world = *state;
    auto_with(exchange_clear) struct exchange exchange = {.run = "../x", .step = NOTEBOOK};

    steps_log(&exchange, &world->service);
    assert_int_equal(exchange.status, 404);
    assert_non_null(strstr(exchange.body, "../x"));
}

static void an_attempt_is_a_number_from_1(void **state)
{
    static const char *const wrong[] = {"",
                                        "0",
                                        "-1",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "1.0",
                                        "x",
                                        "0x1",
                                        "4294967296",
                                        "18446744073709551617",
                                        "99999999999999999999999999"};
    struct world *world = *state;

    put_step(world, 0, STATUS_SUCCESS, 1);
    put_attempt(world, NOTEBOOK, 1);
    for (size_t i = 0; i < COUNT(wrong); i++)
        check(world, steps_log, NOTEBOOK, wrong[i], 400, "attempt");
    check(world, steps_log, NOTEBOOK, "01", 200, "attempt 1");
    check(world, steps_log, NOTEBOOK, "4294967295", 404, "no attempt 4294967295");
}

static void a_notebook_that_was_none_is_not_found(void **state)
{
    struct world *world = *state;
    auto_free char *directory = attempt_dir(world, NOTEBOOK, 1);

    put_step(world, 0, STATUS_FAILURE, 1);
    put_attempt(world, NOTEBOOK, 1);
    scratch_put(directory, SOURCE_FILE, "no notebook");
    check(world, steps_notebook, NOTEBOOK, NULL, 404, "line 1");
    check(world, steps_log, NOTEBOOK, NULL, 200, "attempt 1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_log_grows_under_one_tag),
        TEST(every_attempt_has_its_own),
        TEST(the_copy_is_the_last_attempts_and_only_when_it_ended),
        TEST(a_script_has_a_log_and_no_notebook),
        TEST(what_is_not_there_is_explained),
        TEST(an_unknown_run_is_not_found),
        TEST(an_attempt_is_a_number_from_1),
        TEST(a_notebook_that_was_none_is_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
