#include "api/jupyter/kernel_make.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "places.c"

#define PYTHON3                                                                                    \
    "{\"argv\": [\"py\"], \"language\": \"python\", \"metadata\": {\"cull_idle_timeout\": 60}}"

static struct jupyter *open_jupyter(const struct places *places)
{
    struct jupyter_options options = {
        .state = &places->state, .projects = places->projects, .sdk_dir = "/the/sdk"};

    return jupyter_new(&options);
}

/* A wish with these variables, as JSON. */
static enum kernel_refusal make(struct interactive_task *task, const struct jupyter *jupyter,
                                struct kernel_wish wish, const char *env_json, struct err *e)
{
    auto_client_env struct client_env env = {0};
    auto_json struct json doc = {0};
    static const char *const allowed[] = {"PYTHONPATH", "MODE", NULL};

    assert_int_equal(json_parse(&doc, str_of(env_json), JSON_STRICT, NULL, e), 0);
    assert_int_equal(client_env_read(&env, &doc, 0, allowed, e), 0);
    wish.env = &env;
    return kernel_make(task, jupyter, &wish, e);
}

/* The only value of the variable; NULL: none. */
static const char *value_of(const struct interactive_task *task, const char *name)
{
    size_t len = strlen(name);
    const char *found = NULL;

    for (char **entry = task->env; *entry; entry++) {
        if (strncmp(*entry, name, len) == 0 && (*entry)[len] == '=') {
            assert_null(found);
            found = *entry + len + 1;
        }
    }
    return found;
}

static void makes_a_kernel_of_this_machine(void **state)
{
    const struct places *places = *state;
    auto_interactive_task struct interactive_task task = {0};
    struct err e;

    put_kernel(places, "python3", PYTHON3);
    struct jupyter *jupyter = open_jupyter(places);
    assert_int_equal(make(&task, jupyter, (struct kernel_wish){0},
                          "{\"KERNEL_USERNAME\": \"ada\", \"KERNEL_X\": \"$(x)\"}", &e),
                     KERNEL_IS_FINE);
    assert_true(uuid_is_valid(task.kernel_id));
    assert_string_equal(task.name, "python3");
    assert_string_equal(task.kernelspec, "python3");
    assert_string_equal(task.launcher, "process");
    assert_string_equal(task.state_id, places->state.id.text);
    assert_string_equal(task.cwd, places->projects);
    assert_string_equal(task.username, "ada");
    assert_string_equal(value_of(&task, "KERNEL_X"), "$(x)");
    assert_string_equal(value_of(&task, "PYTHONPATH"), "/the/sdk");
    assert_non_null(value_of(&task, "SEGUE_DATA_DIR"));
    assert_null(value_of(&task, "SEGUE_PROJECT_DIR"));
    assert_null(task.image);
    assert_null(task.project);
    assert_null(task.environment);
    assert_int_equal(task.mount_count, 0);
    assert_int_equal(task.cull_idle_timeout_s, 60);
    assert_true(task.created_us > 0);
    jupyter_free(jupyter);
}

static void makes_a_kernel_of_an_environment(void **state)
{
    const struct places *places = *state;
    auto_free char *project = fs_join(places->projects, "wine");
    auto_interactive_task struct interactive_task task = {0};
    struct err e;

    put_kernel(places, "python3", PYTHON3);
    put_environments(places, "wine",
                     "{\"science\": {\"env\": {\"MODE\": \"environment\", \"KEPT\": \"yes\","
                     " \"PYTHONPATH\": \"/own\"}, \"resources\": {\"cpus\": 1.5}}}");
    struct jupyter *jupyter = open_jupyter(places);
    assert_int_equal(make(&task, jupyter, (struct kernel_wish){.name = "Wine.Science"},
                          "{\"MODE\": \"client\"}", &e),
                     KERNEL_IS_FINE);
    assert_string_equal(task.name, "wine.science");
    assert_string_equal(task.project, "wine");
    assert_string_equal(task.environment, "science");
    assert_string_equal(task.cwd, project);
    assert_string_equal(value_of(&task, "MODE"), "client");
    assert_string_equal(value_of(&task, "KEPT"), "yes");
    assert_string_equal(value_of(&task, "PYTHONPATH"), "/the/sdk:/own");
    assert_string_equal(value_of(&task, "SEGUE_PROJECT_DIR"), project);
    assert_int_equal(task.millicpus, 1500);
    jupyter_free(jupyter);
}

static void takes_ids(void **state)
{
    const struct places *places = *state;
    static const char id[] = "5B7C0E2F-6c1d-4f0e-9d6a-1f8f3f0a7f11";
    static const char lower_id[] = "5b7c0e2f-6c1d-4f0e-9d6a-1f8f3f0a7f11";
    static const struct {
        const char *id, *env;
        bool is_taken;
    } rows[] = {
        {id, "{}", true},
        {NULL, "{\"KERNEL_ID\": \"5B7C0E2F-6c1d-4f0e-9d6a-1f8f3f0a7f11\"}", true},
        {id, "{\"KERNEL_ID\": \"00000000-0000-4000-8000-000000000000\"}", true},
        {NULL, "{\"KERNEL_ID\": \"../../etc\"}", false},
        {NULL, "{}", false},
    };
    struct err e;

    put_kernel(places, "python3", PYTHON3);
    struct jupyter *jupyter = open_jupyter(places);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_interactive_task struct interactive_task task = {0};
        struct kernel_wish wish = {.id = rows[i].id};
        assert_int_equal(make(&task, jupyter, wish, rows[i].env, &e), KERNEL_IS_FINE);
        assert_true(uuid_is_valid(task.kernel_id));
        assert_int_equal(strcmp(task.kernel_id, lower_id) == 0, rows[i].is_taken);
    }
    jupyter_free(jupyter);
}

static void strange_usernames_are_none(void **state)
{
    const struct places *places = *state;
    auto_interactive_task struct interactive_task task = {0};
    struct err e;

    put_kernel(places, "python3", PYTHON3);
    struct jupyter *jupyter = open_jupyter(places);
    assert_int_equal(
        make(&task, jupyter, (struct kernel_wish){0}, "{\"KERNEL_USERNAME\": \"a\\nb\"}", &e),
        KERNEL_IS_FINE);
    assert_null(task.username);
    jupyter_free(jupyter);
}

static void refuses_what_there_is_not(void **state)
{
    const struct places *places = *state;
    struct interactive_task task;
    struct err e;

    put_kernel(places, "python3", PYTHON3);
    struct jupyter *jupyter = open_jupyter(places);
    assert_int_equal(make(&task, jupyter, (struct kernel_wish){.name = "basic"}, "{}", &e),
                     KERNEL_UNKNOWN);
    assert_non_null(strstr(e.text, "\"basic\""));
    assert_non_null(strstr(e.text, "python3"));

    /* It comes while the last list is still fresh. */
    auto_interactive_task struct interactive_task late = {0};
    put_kernel(places, "basic", PYTHON3);
    assert_int_equal(make(&late, jupyter, (struct kernel_wish){.name = "basic"}, "{}", &e),
                     KERNEL_IS_FINE);
    jupyter_free(jupyter);
}

static void refuses_what_cannot_be(void **state)
{
    const struct places *places = *state;
    struct interactive_task task;
    struct err e;

    put_environments(places, "p", "{\"docker\": {\"image\": \"some/image\"}}");
    struct jupyter *jupyter = open_jupyter(places);
    assert_int_equal(make(&task, jupyter, (struct kernel_wish){.name = "p.docker"}, "{}", &e),
                     KERNEL_CANNOT_BE);
    assert_non_null(strstr(e.text, "\"docker\""));
    assert_non_null(strstr(e.text, "no-docker.sock"));

    /* Offered a moment ago, and changed since. */
    put_environments(places, "p", "{\"docker\": ");
    assert_int_equal(make(&task, jupyter, (struct kernel_wish){.name = "p.docker"}, "{}", &e),
                     KERNEL_CANNOT_BE);
    assert_non_null(strstr(e.text, "project \"p\""));
    jupyter_free(jupyter);
}

static void starts_where_the_notebook_lies(void **state)
{
    const struct places *places = *state;
    auto_free char *deep = fs_join(places->projects, "wine/deep");
    auto_free char *wine = fs_join(places->projects, "wine");
    auto_free char *outside = fs_join(places->root, "outside");
    auto_free char *link_out = fs_join(places->projects, "wine/out");
    auto_free char *link_in = fs_join(places->projects, "in");
    auto_free char *sibling = fs_join(places->projects, "wine-2");

    put_file(places->projects, "wine/deep/a.ipynb", "");
    put_file(places->root, "outside/a.ipynb", "");
    put_file(sibling, "a.ipynb", "");
    assert_int_equal(symlink(outside, link_out), 0);
    assert_int_equal(symlink(deep, link_in), 0);
    const struct {
        const char *root, *path, *working_dir, *cwd;
    } rows[] = {
        {places->projects, NULL, NULL, places->projects},
        {places->projects, "", "", places->projects},
        {places->projects, "wine/deep/a.ipynb", NULL, deep},
        {places->projects, "wine/deep/new.ipynb", NULL, deep},
        {places->projects, "/wine/deep", NULL, deep},
        {places->projects, "wine/absent/new.ipynb", NULL, places->projects},
        {places->projects, "wine/absent/new.ipynb", wine, wine},
        {places->projects, "wine/deep/a.ipynb", wine, deep},
        {places->projects, "../outside/a.ipynb", NULL, places->projects},
        {places->projects, "wine/out/a.ipynb", NULL, places->projects},
        {places->projects, "in/a.ipynb", NULL, deep},
        {places->projects, NULL, deep, deep},
        {places->projects, NULL, "wine/deep", places->projects}, /* not absolute */
        {places->projects, NULL, outside, places->projects},
        {places->projects, NULL, link_out, places->projects},
        {places->projects, NULL, "/absent", places->projects},
        {wine, "wine/deep/a.ipynb", NULL, deep},
        {wine, "wine-2/a.ipynb", NULL, wine},
        {wine, NULL, sibling, wine},
        {wine, NULL, places->projects, wine},
        {wine, NULL, wine, wine},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_free char *cwd =
            kernel_make_cwd(rows[i].root, places->projects, rows[i].path, rows[i].working_dir);
        assert_string_equal(cwd, rows[i].cwd);
    }
}

static void runs_as_the_owner(void **state)
{
    const struct places *places = *state;
    auto_free char *project = fs_join(places->projects, "wine");
    auto_free char *bobs = fs_join(places->projects, "bob");
    auto_interactive_task struct interactive_task task = {0}, plain = {0};
    struct err e;

    if (geteuid() != 0)
        skip();
    put_kernel(places, "python3", PYTHON3);
    put_environments(places, "wine", "{\"science\": {}}");
    put_file(bobs, "a.ipynb", "");
    assert_int_equal(chown(project, 1234, 4321), 0);
    assert_int_equal(chown(bobs, 77, 88), 0);
    struct jupyter *jupyter = open_jupyter(places);
    assert_int_equal(make(&task, jupyter, (struct kernel_wish){.name = "wine.science"}, "{}", &e),
                     KERNEL_IS_FINE);
    assert_int_equal(task.change_user, 1);
    assert_int_equal(task.uid, 1234);
    assert_int_equal(task.gid, 4321);
    assert_int_equal(make(&plain, jupyter, (struct kernel_wish){.path = "bob/a.ipynb"}, "{}", &e),
                     KERNEL_IS_FINE);
    assert_int_equal(plain.change_user, 1);
    assert_int_equal(plain.uid, 77);
    jupyter_free(jupyter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACES_TEST(makes_a_kernel_of_this_machine),
        PLACES_TEST(makes_a_kernel_of_an_environment),
        PLACES_TEST(takes_ids),
        PLACES_TEST(strange_usernames_are_none),
        PLACES_TEST(refuses_what_there_is_not),
        PLACES_TEST(refuses_what_cannot_be),
        PLACES_TEST(starts_where_the_notebook_lies),
        PLACES_TEST(runs_as_the_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
