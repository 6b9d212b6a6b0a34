#include "kernel-gateway/launch/kernelspec_list.h"

#include "base/fs.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct home {
    char *root, *first, *second;
};

static void put_file(const char *place, const char *kernel, const char *name, const char *text)
{
    struct err e;
    auto_free char *directory = mem_printf("%s/kernels/%s", place, kernel);
    auto_free char *file = fs_join(directory, name);

    assert_int_equal(fs_mkdirs(directory, 0700, &e), 0);
    assert_int_equal(fs_write(file, str_of(text), 0600, FS_NO_SYNC, &e), 0);
}

static int make_home(void **state)
{
    struct home *home = mem_zalloc(sizeof *home);

    home->root = mem_strdup("/tmp/segue-test-XXXXXX");
    if (!mkdtemp(home->root))
        return -1;
    home->first = fs_join(home->root, "first");
    home->second = fs_join(home->root, "second");
    auto_free char *path = mem_printf("%s:%s", home->first, home->second);
    setenv("JUPYTER_PATH", path, 1);
    setenv("JUPYTER_DATA_DIR", "/nowhere", 1);
    setenv("PATH", "/nowhere", 1);
    unsetenv("VIRTUAL_ENV");
    unsetenv("CONDA_PREFIX");
    *state = home;
    return 0;
}

static int remove_home(void **state)
{
    struct home *home = *state;
    struct err e;
    int result = fs_remove_tree(home->root, &e);

    free(home->root);
    free(home->first);
    free(home->second);
    free(home);
    return result;
}

/* This machine's own kernels below /usr may be there, too. */
static const struct listed_kernelspec *find(const struct kernelspec_list *list, const char *name)
{
    const struct listed_kernelspec *found = NULL;

    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].spec.name, name) == 0) {
            assert_null(found);
            found = &list->items[i];
        }
    }
    return found;
}

static void lists_names_once_and_in_lower_case(void **state)
{
    const struct home *home = *state;
    auto_kernelspec_list struct kernelspec_list list = {0};

    put_file(home->second, "alpha", "kernel.json", "{\"argv\": [\"second\"]}");
    put_file(home->first, "Alpha", "kernel.json", "{\"argv\": [\"first\"]}");
    put_file(home->second, "Zeta", "kernel.json", "{\"argv\": [\"z\"], \"metadata\": {\"m\": 1}}");
    kernelspec_list_read(&list);
    assert_string_equal(find(&list, "alpha")->spec.argv[0], "first");
    assert_non_null(strstr(find(&list, "zeta")->spec.text, "\"metadata\""));
    for (size_t i = 1; i < list.count; i++)
        assert_true(strcmp(list.items[i - 1].spec.name, list.items[i].spec.name) < 0);
}

static void leaves_out_what_is_no_kernel(void **state)
{
    const struct home *home = *state;
    auto_kernelspec_list struct kernelspec_list list = {0};

    put_file(home->first, "broken", "kernel.json", "{");
    put_file(home->first, "empty", "logo-64x64.png", "");
    put_file(home->first, "a name", "kernel.json", "{\"argv\": [\"x\"]}");
    put_file(home->first, ".hidden", "kernel.json", "{\"argv\": [\"x\"]}");
    put_file(home->first, "good-1.0_x", "kernel.json", "{\"argv\": [\"x\"]}");
    kernelspec_list_read(&list);
    assert_non_null(find(&list, "good-1.0_x"));
    static const char *const absent[] = {"broken", "empty", "a name", ".hidden"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_null(find(&list, absent[i]));
}

static void finds_resources(void **state)
{
    const struct home *home = *state;
    auto_kernelspec_list struct kernelspec_list list = {0};
    static const char *const files[] = {"kernel.json",    "kernel.js", "kernel.css", "logo-svg.svg",
                                        "logo-64x64.png", "secret",    "logo- .png", "logo.png"};
    static const char *const wanted[] = {"kernel.css", "kernel.js", "logo-64x64.png",
                                         "logo-svg.svg"};

    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        put_file(home->first, "k", files[i], "{\"argv\": [\"x\"]}");
    kernelspec_list_read(&list);
    char **found = find(&list, "k")->resources;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        assert_string_equal(found[i], wanted[i]);
    assert_null(found[4]);
}

static void bounds_resources(void **state)
{
    const struct home *home = *state;
    auto_kernelspec_list struct kernelspec_list list = {0};

    put_file(home->first, "k", "kernel.json", "{\"argv\": [\"x\"]}");
    for (int i = 0; i < 100; i++) {
        auto_free char *name = mem_printf("logo-%02d.png", i);
        put_file(home->first, "k", name, "");
    }
    kernelspec_list_read(&list);
    char **found = find(&list, "k")->resources;
    size_t count = 0;
    while (found[count])
        count++;
    assert_int_equal(count, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define HOME_TEST(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)
        HOME_TEST(lists_names_once_and_in_lower_case),
        HOME_TEST(leaves_out_what_is_no_kernel),
        HOME_TEST(finds_resources),
        HOME_TEST(bounds_resources),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
