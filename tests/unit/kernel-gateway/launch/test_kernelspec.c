#include "kernel-gateway/launch/kernelspec.h"

#include "base/fs.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

/* --- parsing --- */

static int parse(struct kernelspec *spec, const char *text, struct err *e)
{
    return kernelspec_parse(spec, str_of(text), "Some-Kernel", "/opt/k", e);
}

static void reads_all_members(void **state)
{
    (void)state;
    struct kernelspec spec;
    struct err e;
    assert_int_equal(
        parse(&spec,
              "{\"argv\": [\"prog\", \"{connection_file}\"], \"display_name\": \"P 1\","
              " \"language\": \"PyThon\", \"interrupt_mode\": \"message\","
              " \"env\": {\"A\": \"1\", \"B\": \"${HOME}/b=c\"}, \"metadata\": {}}",
              &e),
        0);
    assert_string_equal(spec.name, "some-kernel");
    assert_string_equal(spec.resource_dir, "/opt/k");
    assert_string_equal(spec.argv[0], "prog");
    assert_string_equal(spec.argv[1], "{connection_file}");
    assert_null(spec.argv[2]);
    assert_string_equal(spec.env[0], "A=1");
    assert_string_equal(spec.env[1], "B=${HOME}/b=c");
    assert_null(spec.env[2]);
    assert_string_equal(spec.display_name, "P 1");
    assert_string_equal(spec.language, "python");
    assert_true(spec.interrupt_message);
    kernelspec_clear(&spec);
}

static void only_argv_is_needed(void **state)
{
    (void)state;
    struct kernelspec spec;
    struct err e;
    assert_int_equal(parse(&spec, "{\"argv\": [\"prog\"]}", &e), 0);
    assert_string_equal(spec.display_name, "some-kernel");
    assert_string_equal(spec.language, "");
    assert_false(spec.interrupt_message);
    kernelspec_clear(&spec);
}

static void refuses_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *said;
    } rows[] = {
        {"", "line 1"},
        {"[]", "an object"},
        {"{}", "argv"},
        {"{\"argv\": []}", "argv"},
        {"{\"argv\": \"python\"}", "argv"},
        {"{\n \"argv\": [\"a\",\n   7]}", "line 3, column 4"},
        {"{\"argv\": [\"a\\u0000b\"]}", "argv"},
        {"{\"argv\": [\"a\"], \"env\": []}", "env"},
        {"{\"argv\": [\"a\"], \"env\": {\"A\": 1}}", "env"},
        {"{\"argv\": [\"a\"], \"env\": {\"A=B\": \"1\"}}", "env"},
        {"{\"argv\": [\"a\"]", "line 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kernelspec spec;
        struct err e;
        assert_int_equal(parse(&spec, rows[i].text, &e), -1);
        assert_int_equal(e.code, ERR_INVALID);
        assert_non_null(strstr(e.text, rows[i].said));
        assert_non_null(strstr(e.text, "Some-Kernel"));
        assert_null(spec.argv); /* clear again */
    }
}

static void knows_which_kernels_speak_ipc(void **state)
{
    (void)state;
    static const struct {
        const char *argv;
        bool has_ipc;
    } rows[] = {
        {"\"/usr/bin/python3\", \"-m\", \"ipykernel_launcher\", \"-f\", \"{connection_file}\"",
         true},
        {"\"python\", \"-Xfrozen_modules=off\", \"-m\", \"ipykernel_launcher\"", true},
        {"\"python\", \"-m\", \"bash_kernel\", \"-f\", \"{connection_file}\"", true},
        {"\"R\", \"--slave\", \"-e\", \"IRkernel::main()\", \"--args\", \"x\"", true},
        {"\"/opt/env/bin/xpython\", \"-f\", \"x\"", true},
        {"\"julia\", \"-i\", \"/r/.julia/packages/IJulia/Vo51o/src/kernel.jl\", \"x\"", true},
        {"\"deno\", \"jupyter\", \"--kernel\", \"--conn\", \"x\"", false},
        {"\"ijskernel\", \"--hide-undefined\", \"x\"", false},
        {"\"/usr/bin/gophernotes\", \"x\"", false},
        {"\"ark\", \"--connection_file\", \"x\"", false},
        {"\"python\", \"-m\", \"something_else\"", false},
        {"\"tail\", \"-m\"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kernelspec spec;
        struct err e;
        auto_free char *text = mem_printf("{\"argv\": [%s]}", rows[i].argv);
        assert_int_equal(parse(&spec, text, &e), 0);
        assert_int_equal(spec.has_ipc, rows[i].has_ipc);
        kernelspec_clear(&spec);
    }
}

/* --- the command --- */

static void command_fills_in(void **state)
{
    (void)state;
    struct kernelspec spec;
    struct err e;
    assert_int_equal(
        kernelspec_parse(
            &spec,
            STR("{\"argv\": [\"{prefix}/bin/x\", \"-f={connection_file}\", \"{other}\","
                " \"{resource_dir}{resource_dir}\", \"{connection_file\"]}"),
            "x", "/opt/env/share/jupyter/kernels/x", &e),
        0);
    auto_free char **argv = kernelspec_command(&spec, "/run/k/{prefix}.json");
    assert_string_equal(argv[0], "/opt/env/bin/x");
    assert_string_equal(argv[1], "-f=/run/k/{prefix}.json"); /* what is filled in stays as it is */
    assert_string_equal(argv[2], "{other}");
    assert_string_equal(argv[3],
                        "/opt/env/share/jupyter/kernels/x/opt/env/share/jupyter/kernels/x");
    assert_string_equal(argv[4], "{connection_file");
    assert_null(argv[5]);
    kernelspec_clear(&spec);
}

static void ipykernel_gets_no_history_file(void **state)
{
    (void)state;
    struct kernelspec spec;
    struct err e;
    assert_int_equal(
        parse(&spec, "{\"argv\": [\"p\", \"-m\", \"ipykernel_launcher\", \"-f\", \"x\"]}", &e), 0);
    auto_free char **argv = kernelspec_command(&spec, "/f");
    assert_string_equal(argv[5], "--HistoryManager.hist_file=:memory:");
    assert_null(argv[6]);
    kernelspec_clear(&spec);
}

static void a_history_option_of_the_kernelspec_stands(void **state)
{
    (void)state;
    struct kernelspec spec;
    struct err e;
    assert_int_equal(parse(&spec,
                           "{\"argv\": [\"p\", \"-m\", \"ipykernel_launcher\", "
                           "\"--HistoryManager.hist_file=h\"]}",
                           &e),
                     0);
    auto_free char **argv = kernelspec_command(&spec, "/f");
    assert_string_equal(argv[3], "--HistoryManager.hist_file=h");
    assert_null(argv[4]);
    kernelspec_clear(&spec);
}

/* --- finding: a home of its own with three places in it --- */

struct home {
    char *root;
    char *first;  /* on JUPYTER_PATH */
    char *user;   /* the user's data directory */
    char *prefix; /* of a virtual environment, by PATH */
};

static void put_kernel(const char *place, const char *name, const char *text)
{
    struct err e;
    auto_free char *directory = mem_printf("%s/kernels/%s", place, name);
    auto_free char *file = fs_join(directory, "kernel.json");
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
    home->user = fs_join(home->root, "user");
    home->prefix = fs_join(home->root, "env");
    auto_free char *bin = fs_join(home->prefix, "bin");
    auto_free char *jupyter_path = mem_printf(":%s:/nowhere", home->first);
    auto_free char *path = mem_printf("/nowhere/bin:%s:relative", bin);
    struct err e;
    if (fs_mkdirs(bin, 0700, &e) < 0)
        return -1;
    setenv("JUPYTER_PATH", jupyter_path, 1);
    setenv("JUPYTER_DATA_DIR", home->user, 1);
    setenv("PATH", path, 1);
    unsetenv("VIRTUAL_ENV");
    unsetenv("CONDA_PREFIX");
    *state = home;
    return 0;
}

static int remove_home(void **state)
{
    struct home *home = *state;
    struct err e;
    int rc = fs_remove_tree(home->root, &e);
    free(home->root);
    free(home->first);
    free(home->user);
    free(home->prefix);
    free(home);
    return rc;
}

#define KERNEL(program, language) "{\"argv\": [\"" program "\"], \"language\": \"" language "\"}"

static void finds_by_name_without_case(void **state)
{
    struct home *home = *state;
    struct kernelspec spec;
    struct err e;
    put_kernel(home->user, "MyKernel", KERNEL("my", "cobol"));
    assert_int_equal(kernelspec_find(&spec, "mykerNEL", NULL, &e), 0);
    assert_string_equal(spec.name, "mykernel");
    auto_free char *expected = fs_join(home->user, "kernels/MyKernel");
    assert_string_equal(spec.resource_dir, expected);
    kernelspec_clear(&spec);
}

static void earlier_place_hides_later(void **state)
{
    struct home *home = *state;
    struct kernelspec spec;
    struct err e;
    put_kernel(home->user, "k", KERNEL("from-user", "x"));
    put_kernel(home->first, "k", KERNEL("from-first", "x"));
    assert_int_equal(kernelspec_find(&spec, "k", NULL, &e), 0);
    assert_string_equal(spec.argv[0], "from-first");
    kernelspec_clear(&spec);
}

static void python_means_python3(void **state)
{
    struct home *home = *state;
    struct kernelspec spec;
    struct err e;
    put_kernel(home->first, "python3", KERNEL("three", "python"));
    assert_int_equal(kernelspec_find(&spec, "python", NULL, &e), 0);
    assert_string_equal(spec.argv[0], "three");
    kernelspec_clear(&spec);
    put_kernel(home->first, "python", KERNEL("itself", "python"));
    assert_int_equal(kernelspec_find(&spec, "Python", NULL, &e), 0);
    assert_string_equal(spec.argv[0], "itself");
    kernelspec_clear(&spec);
}

static void falls_back_to_language(void **state)
{
    struct home *home = *state;
    struct kernelspec spec;
    struct err e;
    put_kernel(home->first, "aaa", "{ broken");
    put_kernel(home->first, "bbb", KERNEL("b", "COBOL"));
    put_kernel(home->first, "ccc", KERNEL("c", "cobol"));
    assert_int_equal(kernelspec_find(&spec, "absent", "Cobol", &e), 0);
    assert_string_equal(spec.argv[0], "b");
    kernelspec_clear(&spec);
    assert_int_equal(kernelspec_find(&spec, NULL, "cobol", &e), 0);
    assert_string_equal(spec.argv[0], "b");
    kernelspec_clear(&spec);
    assert_int_equal(kernelspec_find(&spec, "ccc", "fortran", &e), 0); /* the name goes first */
    assert_string_equal(spec.argv[0], "c");
    kernelspec_clear(&spec);
}

static void not_found_names_what_exists(void **state)
{
    struct home *home = *state;
    struct kernelspec spec;
    struct err e;
    put_kernel(home->first, "Alpha", KERNEL("a", "cobol"));
    put_kernel(home->user, "beta", KERNEL("b", "cobol"));
    assert_int_equal(kernelspec_find(&spec, "gamma", "fortran", &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "\"gamma\""));
    assert_non_null(strstr(e.text, "alpha"));
    assert_non_null(strstr(e.text, "beta"));
    assert_int_equal(kernelspec_find(&spec, NULL, "fortran", &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "\"fortran\""));
}

static void broken_one_that_was_asked_for_is_told(void **state)
{
    struct home *home = *state;
    struct kernelspec spec;
    struct err e;
    put_kernel(home->first, "broken", "{\n 1");
    assert_int_equal(kernelspec_find(&spec, "broken", NULL, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.text, "kernels/broken/kernel.json"));
    assert_non_null(strstr(e.text, "line 2"));
}

static void bare_python_is_the_installation_s_own(void **state)
{
    struct home *home = *state;
    struct kernelspec spec;
    struct err e;
    auto_free char *share = fs_join(home->prefix, "share/jupyter");
    auto_free char *program = fs_join(home->prefix, "bin/python3.11");
    assert_int_equal(fs_write(program, STR(""), 0700, FS_NO_SYNC, &e), 0);
    put_kernel(share, "own", KERNEL("python3.11", "python"));
    put_kernel(share, "gone", KERNEL("python2", "python"));
    put_kernel(share, "other", KERNEL("python-config", "python"));
    put_kernel(home->user, "users", KERNEL("python3.11", "python"));
    static const char *const unchanged[][2] = {
        {"gone", "python2"}, {"other", "python-config"}, {"users", "python3.11"}};
    assert_int_equal(kernelspec_find(&spec, "own", NULL, &e), 0);
    assert_string_equal(spec.argv[0], program);
    kernelspec_clear(&spec);
    for (size_t i = 0; i < sizeof unchanged / sizeof *unchanged; i++) {
        assert_int_equal(kernelspec_find(&spec, unchanged[i][0], NULL, &e), 0);
        assert_string_equal(spec.argv[0], unchanged[i][1]);
        kernelspec_clear(&spec);
    }
}

#define FINDING(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all_members),
        cmocka_unit_test(only_argv_is_needed),
        cmocka_unit_test(refuses_with_the_place),
        cmocka_unit_test(knows_which_kernels_speak_ipc),
        cmocka_unit_test(command_fills_in),
        cmocka_unit_test(ipykernel_gets_no_history_file),
        cmocka_unit_test(a_history_option_of_the_kernelspec_stands),
        FINDING(finds_by_name_without_case),
        FINDING(earlier_place_hides_later),
        FINDING(python_means_python3),
        FINDING(falls_back_to_language),
        FINDING(not_found_names_what_exists),
        FINDING(broken_one_that_was_asked_for_is_told),
        FINDING(bare_python_is_the_installation_s_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
