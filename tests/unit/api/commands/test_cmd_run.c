#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/commands/cmd_run.h"
#include "base/child.h"
#include "base/json.h"
#include "kernel-gateway/keeper/nursery.h"
#include "runner/step/step.h"
#include "tests/unit/base/scratch.c"

#include <signal.h>
#include <sys/wait.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The command needs a whole installation around it, so a copy of this program, which is the command
 * and its nursery too, is installed: root/bin/segue, root/share/segue/python. */
struct world {
    char *root, *program, *project, *pipeline;
};

static int install(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);
    struct err e;

    world->root = scratch_new();
    world->program = scratch_write(world->root, "bin/segue", "");
    world->project = fs_join(world->root, "project");
    world->pipeline = fs_join(world->project, "p.orchest");
    scratch_put(world->root, "share/segue/python/segue.py", "");
    unlink(world->program);
    assert_int_equal(fs_copy("/proc/self/exe", world->program, 0755, &e), 0);
    *state = world;
    return 0;
}

static int remove_all(void **state)
{
    struct world *world = *state;

    free(world->program);
    free(world->project);
    free(world->pipeline);
    scratch_free(world->root);
    free(world);
    return 0;
}

/* ' for " in the definition. */
static void put_pipeline(const struct world *world, const char *definition)
{
    auto_free char *text = mem_strdup(definition);

    for (char *p = text; *p; p++)
        if (*p == '\'')
            *p = '"';
    scratch_put(world->project, "p.orchest", text);
}

struct command {
    struct child child;
    int out, error;
};

static struct command start(const struct world *world, const char *const *args)
{
    auto_free char *state = mem_printf("SEGUE_STATE=%s/s", world->root);
    auto_free char *path = mem_printf("PATH=%s", getenv("PATH"));
    const char *argv[16] = {world->program, "run"};
    struct command command;
    int out[2], error[2];
    struct err e;

    for (size_t i = 0; args[i]; i++)
        argv[i + 2] = args[i];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(error, O_CLOEXEC), 0);
    struct child_options options = {
        .argv = argv,
        .env = (const char *const[]){state, path, "HOME=/nonexistent", "TERM=xterm",
                                     "DOCKER_HOST=unix:///tmp/segue-test-nowhere.sock",
                                     "ASAN_OPTIONS=detect_leaks=0", NULL},
        .cwd = world->root,
        .fds = (struct child_fd[]){{out[1], 1}, {error[1], 2}},
        .fd_count = 2,
    };
    assert_int_equal(child_start(&options, &command.child, &e), 0);
    close(out[1]);
    close(error[1]);
    command.out = out[0];
    command.error = error[0];
    return command;
}

static void drain(int fd, struct buf *into)
{
    char part[4096];
    ssize_t n;

    while ((n = read(fd, part, sizeof part)) > 0)
        buf_put(into, part, (size_t)n);
    close(fd);
}

struct outcome {
    int status;
    struct buf out, error;
};

static struct outcome end_of(struct command *command)
{
    struct outcome outcome = {0};
    int status;

    drain(command->out, &outcome.out);
    drain(command->error, &outcome.error);
    waitpid(command->child.pid, &status, 0);
    close(command->child.pidfd);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return outcome;
}

static void outcome_clear(struct outcome *outcome)
{
    buf_clear(&outcome->out);
    buf_clear(&outcome->error);
}

#define RUN(world, ...) run(world, (const char *const[]){__VA_ARGS__, NULL})

static struct outcome run(const struct world *world, const char *const *args)
{
    struct command command = start(world, args);

    return end_of(&command);
}

static void check(struct outcome *outcome, int status, const char *out, const char *error)
{
    if (outcome->status != status || !strstr(buf_text(&outcome->out), out) ||
        !strstr(buf_text(&outcome->error), error))
        fail_msg("%d\n%s\n%s", outcome->status, buf_text(&outcome->out), buf_text(&outcome->error));
    outcome_clear(outcome);
}

#define TWO                                                                                        \
    "{'name':'Two','steps':{'s1':{'title':'first','file_path':'a.sh'},"                            \
    "'s2':{'title':'second','file_path':'b.sh','incoming_connections':['s1']}}}"

static void put_two(const struct world *world, const char *first, const char *second)
{
    put_pipeline(world, TWO);
    scratch_put(world->project, "a.sh", first);
    scratch_put(world->project, "b.sh", second);
}

/* --- runs --- */

static void success_is_0(void **state)
{
    struct world *world = *state;

    put_two(world, "exit 0", "exit 0");
    struct outcome outcome = RUN(world, world->pipeline);
    assert_null(strchr(outcome.out.data, '\033'));
    check(&outcome, 0, "2 succeeded, 0 failed, 0 aborted", "");
}

static void failure_is_1(void **state)
{
    struct world *world = *state;

    put_two(world, "echo why >&2; exit 4", "exit 0");
    struct outcome outcome = RUN(world, world->pipeline);
    check(&outcome, 1, "exit_code: exit status 4: why", "");
}

static void an_absent_docker_is_3(void **state)
{
    struct world *world = *state;

    put_pipeline(world, "{'steps':{'s':{'file_path':'a.sh','environment':'boxed'}}}");
    scratch_put(world->project, "a.sh", "exit 0");
    scratch_put(world->project, ".segue/environments.json",
                "{\"boxed\":{\"launcher\":\"docker\",\"image\":\"segue/none\"}}");
    struct outcome outcome = RUN(world, world->pipeline);
    check(&outcome, 3, "launcher_unavailable", "");
    outcome = RUN(world, "--launcher", "process", world->pipeline);
    check(&outcome, 0, "1 succeeded", "");
}

static void with_json_each_line_is_an_event(void **state)
{
    struct world *world = *state;

    put_two(world, "echo hello", "exit 0");
    struct outcome outcome = RUN(world, "--json", world->pipeline);
    int64_t before = 0;
    size_t ends = 0;
    assert_int_equal(outcome.status, 0);
    assert_int_equal(outcome.error.len, 0);
    for (char *line = strtok(outcome.out.data, "\n"); line; line = strtok(NULL, "\n")) {
        auto_json struct json doc = {0};
        struct err e;
        int64_t id;
        if (json_parse(&doc, str_of(line), JSON_STRICT, NULL, &e) < 0)
            fail_msg("%s: %s", e.text, line);
        assert_true(json_int(&doc, json_get(&doc, 0, "id"), &id));
        assert_true(id > before);
        before = id;
        ends += json_is(&doc, json_get(&doc, 0, "event"), "step_finished");
    }
    assert_int_equal(ends, 2);
    outcome_clear(&outcome);
}

static void a_part_can_be_run(void **state)
{
    static const struct {
        const char *option, *step, *ran;
    } rows[] = {
        {"--only", "second", "s2\n"},   {"--upto", "first", "s1\n"},    {"--from", "s2", "s2\n"},
        {"--incoming", "b.sh", "s1\n"}, {"--upto", "b.sh", "s1\ns2\n"},
    };
    struct world *world = *state;
    auto_free char *ran_path = fs_join(world->project, "ran");

    put_two(world, "echo $SEGUE_STEP_UUID >>ran", "echo $SEGUE_STEP_UUID >>ran");
    for (size_t i = 0; i < COUNT(rows); i++) {
        unlink(ran_path);
        struct outcome outcome = RUN(world, rows[i].option, rows[i].step, world->pipeline);
        check(&outcome, 0, "", "");
        auto_free char *ran = scratch_read(world->project, "ran");
        assert_string_equal(ran, rows[i].ran);
    }
}

static void parameters_are_set(void **state)
{
    struct world *world = *state;

    put_two(world, "cat $SEGUE_PIPELINE_PATH >definition", "exit 0");
    struct outcome outcome = RUN(world, "-p", "number=0.10", "-p", "text=a=b:c", "-p",
                                 "first:list=[1, 2]", "-p", "s2:word=true story", world->pipeline);
    check(&outcome, 0, "2 succeeded", "");
    auto_free char *definition = scratch_read(world->project, "definition");
    static const char *const parts[] = {"\"number\":0.10", "\"text\":\"a=b:c\"", "\"list\":[1, 2]",
                                        "\"word\":\"true story\""};
    for (size_t i = 0; i < COUNT(parts); i++)
        if (!strstr(definition, parts[i]))
            fail_msg("no %s in %s", parts[i], definition);
    /* The file itself is not touched. */
    auto_free char *source = scratch_read(world->project, "p.orchest");
    assert_null(strstr(source, "number"));
}

/* --- refusals --- */

static void wrong_input_is_2(void **state)
{
    struct world *world = *state;
    const struct {
        const char *name;
        const char *args[6];
        const char *error;
    } rows[] = {
        {"no pipeline", {NULL}, "which pipeline?"},
        {"two pipelines", {world->pipeline, world->pipeline}, "one pipeline at a time"},
        {"one that is missing", {"missing.orchest"}, "missing.orchest"},
        {"an unknown option", {"--wrong", world->pipeline}, "wrong"},
        {"an unknown launcher", {"--launcher", "ship", world->pipeline}, "process or docker"},
        {"no steps at a time", {"--max-parallel", "0", world->pipeline}, "from 1 to 10000"},
        {"steps at a time", {"--max-parallel", "2x", world->pipeline}, "from 1 to 10000"},
        {"less than none", {"--max-parallel", "-1", world->pipeline}, "from 1 to 10000"},
        {"nothing", {"--max-parallel", "", world->pipeline}, "from 1 to 10000"},
        {"an unknown step", {"--only", "firts", world->pipeline}, "first"},
        {"a mixed selection", {"--only", "s1", "--from", "s2", world->pipeline}, ""},
        {"a parameter without a value", {"-p", "name", world->pipeline}, "is not NAME=VALUE"},
        {"a parameter without a name", {"-p", "=1", world->pipeline}, "is not NAME=VALUE"},
        {"a step's without a name", {"-p", "s1:=1", world->pipeline}, "names no parameter"},
        {"an unknown step's", {"-p", "nobody:a=1", world->pipeline}, "nobody"},
        {"outside the project", {"--project", "/etc", world->pipeline}, "/etc"},
        {"nothing to run", {"--incoming", "s1", world->pipeline}, "nothing to run"},
    };

    put_two(world, "touch ran", "touch ran");
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct outcome outcome = run(world, rows[i].args);
        if (outcome.status != 2 || !strstr(buf_text(&outcome.error), rows[i].error) ||
            outcome.error.len == 0 || outcome.out.len > 0)
            fail_msg("%s: %d %s%s", rows[i].name, outcome.status, buf_text(&outcome.out),
                     buf_text(&outcome.error));
        outcome_clear(&outcome);
    }
    auto_free char *ran = fs_join(world->project, "ran");
    assert_false(fs_exists(ran));
}

static void problems_have_their_place(void **state)
{
    struct world *world = *state;

    put_pipeline(world, "{'steps':{\n 's':{'file_path':1}}}");
    struct outcome outcome = RUN(world, world->pipeline);
    check(&outcome, 2, "", "p.orchest:2:");
    put_pipeline(world, "{'steps':{\n 's':{'file_path':'missing.sh'}}}");
    outcome = RUN(world, world->pipeline);
    check(&outcome, 2, "", "missing.sh");
}

static void help_is_no_error(void **state)
{
    struct outcome outcome = RUN(*state, "--help");

    check(&outcome, 0, "usage: segue run PIPELINE", "");
}

/* --- signals --- */

static void signals_stop_everything(void **state)
{
    static const struct {
        int number, status;
    } rows[] = {{SIGINT, 130}, {SIGTERM, 143}, {SIGHUP, 143}};
    struct world *world = *state;

    put_two(world, "setsid sleep 1000 & echo up; sleep 1000", "exit 0");
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct command command =
            start(world, (const char *const[]){"--json", world->pipeline, NULL});
        struct buf out = {0};
        char part[4096];
        while (!strstr(buf_text(&out), "\"up\\n\"")) {
            ssize_t n = read(command.out, part, sizeof part);
            assert_true(n > 0);
            buf_put(&out, part, (size_t)n);
        }
        const char *at = strstr(out.data, "\"run_uuid\":\"") + strlen("\"run_uuid\":\"");
        auto_free char *run_uuid = mem_strndup(at, 36);
        kill(command.child.pid, rows[i].number);
        struct outcome outcome = end_of(&command);
        assert_int_equal(outcome.status, rows[i].status);
        assert_non_null(strstr(outcome.out.data, "\"run_finished\""));
        assert_int_equal(child_kill_marked("SEGUE_RUN_UUID", run_uuid), 0);
        outcome_clear(&outcome);
        buf_clear(&out);
    }
}

/* --- state --- */

static void a_state_path_without_room_is_2(void **state)
{
    struct world *world = *state;
    char *state_dir = mem_zalloc(100);

    put_two(world, "exit 0", "exit 0");
    memset(state_dir, 'x', 80);
    auto_free char *old_root = world->root;
    world->root = mem_printf("%s/%s", old_root, state_dir);
    struct err e;
    assert_int_equal(fs_mkdirs(world->root, 0755, &e), 0);
    struct outcome outcome = RUN(world, world->pipeline);
    free(world->root);
    world->root = take_ptr(&old_root);
    free(state_dir);
    check(&outcome, 2, "", "SEGUE_STATE");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, install, remove_all)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(success_is_0),
        TEST(failure_is_1),
        TEST(an_absent_docker_is_3),
        TEST(with_json_each_line_is_an_event),
        TEST(a_part_can_be_run),
        TEST(parameters_are_set),
        TEST(wrong_input_is_2),
        TEST(problems_have_their_place),
        TEST(help_is_no_error),
        TEST(signals_stop_everything),
        TEST(a_state_path_without_room_is_2),
    };

    signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && strcmp(argv[1], "nursery") == 0)
        return nursery_serve(3, step_run);
    if (argc > 1 && strcmp(argv[1], "run") == 0)
        return cmd_run(argc - 1, argv + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
