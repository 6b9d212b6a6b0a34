/* places: a projects directory, kernelspecs and a state of its own for each test. Included by
 * tests.
 */
#include "base/fs.h"
#include "base/mem.h"
#include "runner/engine/state.h"

#include <stdlib.h>

struct places {
    char *root, *projects, *kernels;
    struct state state;
};

/* Makes the directories above it, too. */
static inline void put_file(const char *directory, const char *name, const char *text)
{
    auto_free char *path = fs_join(directory, name);
    auto_free char *parent = fs_dirname(path);
    struct err e;

    assert_int_equal(fs_mkdirs(parent, 0755, &e), 0);
    assert_int_equal(fs_write(path, str_of(text), 0644, FS_NO_SYNC, &e), 0);
}

static inline void put_kernel(const struct places *places, const char *name, const char *text)
{
    auto_free char *file = mem_printf("kernels/%s/kernel.json", name);

    put_file(places->kernels, file, text);
}

/* `project`: "." for the projects directory itself. */
static inline void put_environments(const struct places *places, const char *project,
                                    const char *text)
{
    auto_free char *file = mem_printf("%s/.segue/environments.json", project);

    put_file(places->projects, file, text);
}

static int make_places(void **state)
{
    struct places *places = mem_zalloc(sizeof *places);
    char root[] = "/tmp/segue-test-XXXXXX";
    struct err e;

    if (!mkdtemp(root))
        return -1;
    places->root = realpath(root, NULL);
    places->projects = fs_join(places->root, "projects");
    places->kernels = fs_join(places->root, "jupyter");
    auto_free char *state_dir = fs_join(places->root, "state");
    auto_free char *docker = mem_printf("unix://%s/no-docker.sock", places->root);
    if (fs_mkdirs(places->projects, 0755, &e) < 0 || state_open(&places->state, state_dir, &e) < 0)
        return -1;
    setenv("JUPYTER_PATH", places->kernels, 1);
    setenv("JUPYTER_DATA_DIR", "/nowhere", 1);
    setenv("PATH", "/nowhere", 1);
    setenv("DOCKER_HOST", docker, 1);
    unsetenv("VIRTUAL_ENV");
    unsetenv("CONDA_PREFIX");
    unsetenv("PYTHONPATH");
    *state = places;
    return 0;
}

static int remove_places(void **state)
{
    struct places *places = *state;
    struct err e;
    int result = fs_remove_tree(places->root, &e);

    state_close(&places->state);
    free(places->root);
    free(places->projects);
    free(places->kernels);
    free(places);
    return result;
}

#define PLACES_TEST(test) cmocka_unit_test_setup_teardown(test, make_places, remove_places)
