#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/id.h"
#include "base/mem.h"
#include "runner/step/step_place.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Borrows its texts: not to be cleared. */
static struct task task_in(const char *launcher)
{
    return (struct task){
        .attempt_id = (char *)"mark",
        .state_id = (char *)"state",
        .run_uuid = (char *)"the-run",
        .step_uuid = (char *)"the-step",
        .pipeline_uuid = (char *)"the-pipeline",
        .source = (char *)"/home/u/project/sub/a.ipynb",
        .project_dir = (char *)"/home/u/project",
        .pipeline_file = (char *)"/state/runs/r/pipeline.json",
        .io_dir = (char *)"/state/runs/r/io",
        .data_dir = (char *)"/state/data",
        .sdk_dir = (char *)"/usr/share/segue/python",
        .socket_dir = (char *)"/state/k/mark/s",
        .launcher = (char *)launcher,
    };
}

/* The value as the program looks it up: of several the last; NULL: none. */
static const char *value_of(const struct step_place *place, const char *name)
{
    const char *found = NULL;

    for (size_t i = 0; i < place->env_count; i++)
        if (strncmp(place->env[i], name, strlen(name)) == 0 && place->env[i][strlen(name)] == '=')
            found = place->env[i] + strlen(name) + 1;
    assert_null(place->env[place->env_count]);
    return found;
}

static void check_values(const struct task *task, const char *const rows[][2])
{
    struct step_place place;

    step_place_init(&place, task, -1);
    for (; (*rows)[0]; rows++) {
        const char *value = value_of(&place, (*rows)[0]);
        if (!value || strcmp(value, (*rows)[1]) != 0)
            fail_msg("%s is %s", (*rows)[0], value ? value : "not there");
    }
    step_place_clear(&place);
}

static void a_process_sees_our_paths(void **state)
{
    static const char *const rows[][2] = {
        {"SEGUE_RUN_UUID", "the-run"},
        {"SEGUE_STEP_UUID", "the-step"},
        {"SEGUE_PIPELINE_UUID", "the-pipeline"},
        {"SEGUE_PROJECT_DIR", "/home/u/project"},
        {"SEGUE_PIPELINE_PATH", "/state/runs/r/pipeline.json"},
        {"SEGUE_DATA_DIR", "/state/data"},
        {"SEGUE_IO_DIR", "/state/runs/r/io"},
        {"ORCHEST_STEP_UUID", "the-step"},
        {"ORCHEST_SESSION_UUID", "the-run"},
        {"ORCHEST_PIPELINE_UUID", "the-pipeline"},
        {"ORCHEST_PIPELINE_PATH", "/state/runs/r/pipeline.json"},
        {"PYTHONPATH", "/usr/share/segue/python"},
        {NULL, NULL},
    };
    struct task task = task_in("process");
    struct step_place place;

    (void)state;
    check_values(&task, rows);
    step_place_init(&place, &task, 7);
    assert_string_equal(place.cwd, "/home/u/project/sub");
    assert_int_equal(place.launch.launcher, LAUNCHER_PROCESS);
    assert_int_equal(place.launch.cancel_fd, 7);
    assert_string_equal(place.launch.attempt, "mark");
    step_place_clear(&place);
}

static void a_container_sees_its_mounts(void **state)
{
    static const char *const rows[][2] = {
        {"SEGUE_PROJECT_DIR", "/project-dir"},
        {"SEGUE_DATA_DIR", "/data"},
        {"ORCHEST_PIPELINE_PATH", "/run/segue/pipeline.json"},
        {NULL, NULL},
    };
    struct task task = task_in("docker");
    struct step_place place;

    (void)state;
    check_values(&task, rows);
    step_place_init(&place, &task, -1);
    assert_string_equal(place.cwd, "/project-dir/sub");
    assert_int_equal(place.launch.launcher, LAUNCHER_DOCKER);
    /* Each path that it is told lies below a mount that it has. */
    static const char *const names[] = {"SEGUE_PROJECT_DIR", "SEGUE_PIPELINE_PATH",
                                        "SEGUE_DATA_DIR", "SEGUE_IO_DIR", "PYTHONPATH"};
    for (size_t i = 0; i < COUNT(names); i++) {
        bool is_mounted = false;
        for (size_t k = 0; k < place.launch.mount_count; k++)
            is_mounted = is_mounted ||
                         strcmp(value_of(&place, names[i]), place.launch.mounts[k].inside) == 0;
        if (!is_mounted)
            fail_msg("%s is not mounted", names[i]);
    }
    step_place_clear(&place);
}

static void paths_are_told_as_the_program_sees_them(void **state)
{
    static const struct {
        const char *host, *inside;
    } rows[] = {
        {"/home/u/project", "/project-dir"},
        {"/home/u/project/x y/ü.ipynb", "/project-dir/x y/ü.ipynb"},
        {"/home/u/project-2/x", "/home/u/project-2/x"}, /* another directory with such a name */
        {"/home/u", "/home/u"},
        {"/state/data/x", "/data/x"},
        {"/state/runs/r/io/s", "/run/segue/io/s"},
        {"/etc/hostname", "/etc/hostname"},
    };
    struct task container = task_in("docker"), process = task_in("process");
    struct step_place place;

    (void)state;
    step_place_init(&place, &container, -1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *inside = step_place_inside(&place, rows[i].host);
        assert_string_equal(inside, rows[i].inside);
    }
    step_place_clear(&place);
    step_place_init(&place, &process, -1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *inside = step_place_inside(&place, rows[i].host);
        assert_string_equal(inside, rows[i].host);
    }
    step_place_clear(&place);
}

static void the_environments_own_come_first_and_ours_count(void **state)
{
    char *env[] = {(char *)"MINE=1", (char *)"SEGUE_RUN_UUID=forged", NULL};
    struct task task = task_in("process");
    static const char *const rows[][2] = {
        {"MINE", "1"}, {"SEGUE_RUN_UUID", "the-run"}, {NULL, NULL}};

    (void)state;
    task.env = env;
    check_values(&task, rows);
}

static void the_module_is_found_before_others(void **state)
{
    static const struct {
        const char *name, *launcher;
        const char *own;      /* the environment's PYTHONPATH */
        const char *ours;     /* this process's */
        const char *expected; /* behind the module's directory */
    } rows[] = {
        {"nothing else", "process", NULL, NULL, ""},
        {"ours", "process", NULL, "/ours", ":/ours"},
        {"the environment's", "process", "/own", "/ours", ":/own"},
        {"an empty one", "process", "", "/ours", ""},
        {"of a container", "docker", "/own", "/ours", ":/own"},
        {"a container has not got ours", "docker", NULL, "/ours", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct task task = task_in(rows[i].launcher);
        auto_free char *entry = rows[i].own ? mem_printf("PYTHONPATH=%s", rows[i].own) : NULL;
        struct step_place place;
        task.env = (char *[]){entry, NULL};
        if (rows[i].ours)
            setenv("PYTHONPATH", rows[i].ours, 1);
        else
            unsetenv("PYTHONPATH");
        step_place_init(&place, &task, -1);
        auto_free char *sdk = step_place_inside(&place, task.sdk_dir);
        auto_free char *expected = mem_printf("%s%s", sdk, rows[i].expected);
        if (strcmp(value_of(&place, "PYTHONPATH"), expected) != 0)
            fail_msg("%s: %s", rows[i].name, value_of(&place, "PYTHONPATH"));
        step_place_clear(&place);
    }
    unsetenv("PYTHONPATH");
}

/* A log is read while it is written; a notebook's kernel needs no such thing. */
static void scripts_do_not_hold_their_output_back(void **state)
{
    struct task task = task_in("process");
    struct step_place place;

    (void)state;
    task.kind = STEP_PYTHON;
    step_place_init(&place, &task, -1);
    assert_string_equal(value_of(&place, "PYTHONUNBUFFERED"), "1");
    step_place_clear(&place);
    task.kind = STEP_NOTEBOOK;
    step_place_init(&place, &task, -1);
    assert_null(value_of(&place, "PYTHONUNBUFFERED"));
    step_place_clear(&place);
}

static void limits_and_rights_are_handed_on(void **state)
{
    struct task task = task_in("docker");
    struct step_place place;

    (void)state;
    task.image = (char *)"sha256:1";
    task.network = 1;
    task.millicpus = 1500;
    task.memory_bytes = 1 << 30;
    task.gpus = 2;
    task.change_user = 1;
    task.uid = 1000;
    task.gid = 100;
    step_place_init(&place, &task, -1);
    assert_string_equal(place.launch.image, "sha256:1");
    assert_true(place.launch.network);
    assert_true(place.launch.cpus == 1.5);
    assert_int_equal(place.launch.memory_bytes, 1 << 30);
    assert_int_equal(place.launch.gpus, 2);
    assert_true(place.launch.change_user);
    assert_int_equal(place.launch.uid, 1000);
    assert_int_equal(place.launch.gid, 100);
    step_place_clear(&place);
    step_place_clear(&place); /* twice is fine */
}

/* Copies of a project are the same project; a copy's own path would be another for each run. */
static void a_copy_is_the_same_project(void **state)
{
    struct task task = task_in("process");
    struct uuid project = uuid_from_name("/home/u/project");
    const char *const rows[][2] = {{"ORCHEST_PROJECT_UUID", project.text},
                                   {"SEGUE_PROJECT_DIR", "/state/runs/r/project"},
                                   {NULL, NULL}};

    (void)state;
    task.project_dir = (char *)"/state/runs/r/project";
    task.origin_dir = (char *)"/home/u/project";
    check_values(&task, rows);
    task.nice = 10;
    struct step_place place;
    step_place_init(&place, &task, -1);
    assert_int_equal(place.launch.nice, 10);
    step_place_clear(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_sees_our_paths),
        cmocka_unit_test(a_container_sees_its_mounts),
        cmocka_unit_test(paths_are_told_as_the_program_sees_them),
        cmocka_unit_test(the_environments_own_come_first_and_ours_count),
        cmocka_unit_test(the_module_is_found_before_others),
        cmocka_unit_test(scripts_do_not_hold_their_output_back),
        cmocka_unit_test(limits_and_rights_are_handed_on),
        cmocka_unit_test(a_copy_is_the_same_project),
    };

    unsetenv("PYTHONPATH");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
