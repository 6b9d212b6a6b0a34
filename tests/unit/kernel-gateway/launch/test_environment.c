#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fs.h"
#include "kernel-gateway/launch/environment.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- a project directory --- */

struct project {
    char directory[32];
};

static void project_make(struct project *project)
{
    strcpy(project->directory, "/tmp/environment-XXXXXX");
    assert_non_null(mkdtemp(project->directory));
}

static void project_put(const struct project *project, const char *path, const char *text)
{
    auto_free char *full = fs_join(project->directory, path);
    auto_free char *parent = fs_dirname(full);
    struct err e;

    assert_int_equal(fs_mkdirs(parent, 0755, &e), 0);
    assert_int_equal(fs_write(full, str_of(text), 0644, FS_NO_SYNC, &e), 0);
}

static void project_clear(const struct project *project)
{
    struct err e;
    assert_int_equal(fs_remove_tree(project->directory, &e), 0);
}

/* --- environments.json --- */

static void reads_every_key(void **state)
{
    auto_environments struct environments list = {0};
    struct err e;

    (void)state;
    assert_int_equal(environments_parse(
                         &list,
                         STR("{\"gpu\": {\"image\": \"segue/python\", \"kernelspec\": \"python3\","
                             " \"network\": true, \"env\": {\"A\": \"${B}\", \"C\": \"\"},"
                             " \"resources\": {\"cpus\": 1.5, \"memory\": \"2GB\", \"gpus\": 1}},"
                             " \"here\": {}}"),
                         NULL, &e),
                     0);
    assert_int_equal(list.count, 2);
    const struct environment *gpu = environment_find(&list, "gpu", &e);
    assert_string_equal(gpu->name, "gpu");
    assert_int_equal(gpu->launcher, LAUNCHER_DOCKER);
    assert_string_equal(gpu->image, "segue/python");
    assert_string_equal(gpu->kernelspec, "python3");
    assert_true(gpu->network);
    assert_true(gpu->resources.cpus == 1.5);
    assert_int_equal(gpu->resources.memory_bytes, 2000000000);
    assert_int_equal(gpu->resources.gpus, 1);
    assert_string_equal(gpu->env[0], "A=${B}");
    assert_string_equal(gpu->env[1], "C=");
    assert_null(gpu->env[2]);
    const struct environment *here = environment_find(&list, "here", &e);
    assert_int_equal(here->launcher, LAUNCHER_PROCESS);
    assert_null(here->image);
    assert_null(here->kernelspec);
    assert_false(here->network);
    assert_null(here->env[0]);
}

static void refuses_with_pointer_line_and_column(void **state)
{
    static const struct {
        const char *name, *text, *pointer;
        uint32_t line, column;
        const char *detail;
    } rows[] = {
        {"no JSON", "{\n \"a\": }", "", 2, 7, ""},
        {"a list", "[]", "", 1, 1, "expected an object"},
        {"misspelt", "{\"a\":\n{\"imgae\": \"x\"}}", "/a/imgae", 2, 2, "did you mean \"image\"?"},
        {"unknown", "{\"a\": {\"volumes\": 1}}", "/a/volumes", 1, 8, "unknown key"},
        {"twice", "{\"a\": {\"image\": \"x\", \"image\": \"y\"}}", "/a/image", 1, 8, "twice"},
        {"same name", "{\"a\": {}, \"a\": {}}", "/a", 1, 11, "two environments"},
        {"no name", "{\"\": {}}", "/", 1, 2, "no name"},
        {"kind", "{\"a\": {\"network\": \"yes\"}}", "/a/network", 1, 19, "expected"},
        {"empty image", "{\"a\": {\"image\": \"\"}}", "/a/image", 1, 17, "empty"},
        {"NUL", "{\"a\": {\"image\": \"a\\u0000b\"}}", "/a/image", 1, 17, "U+0000"},
        {"launcher", "{\"a\": {\"launcher\": \"podman\"}}", "/a/launcher", 1, 20,
         "no such launcher"},
        {"no image", "{\"a\": {\"launcher\": \"docker\"}}", "/a", 1, 7, "needs an \"image\""},
        {"image without Docker", "{\"a\": {\"launcher\": \"process\", \"image\": \"x\"}}",
         "/a/image", 1, 40, "runs no image"},
        {"size", "{\"a\": {\"resources\": {\"memory\": \"2 apples\"}}}", "/a/resources/memory", 1,
         32, "size"},
        {"negative size", "{\"a\": {\"resources\": {\"memory\": -1}}}", "/a/resources/memory", 1,
         32, "size"},
        {"cpus", "{\"a\": {\"resources\": {\"cpus\": 0}}}", "/a/resources/cpus", 1, 30,
         "processors"},
        {"gpus", "{\"a\": {\"resources\": {\"gpus\": 1.5}}}", "/a/resources/gpus", 1, 30, "GPUs"},
        {"resource", "{\"a\": {\"resources\": {\"cpu\": 1}}}", "/a/resources/cpu", 1, 22,
         "did you mean \"cpus\"?"},
        {"variable", "{\"a\": {\"env\": {\"A=B\": \"x\"}}}", "/a/env/A=B", 1, 16, "no name"},
        {"value", "{\"a\": {\"env\": {\"A\": 1}}}", "/a/env/A", 1, 21, "expected a string"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_problems struct problems problems = {0};
        struct environments list = {0};
        struct err e;

        assert_int_equal(environments_parse(&list, str_of(rows[i].text), &problems, &e), -1);
        assert_int_equal(e.code, ERR_INVALID);
        assert_int_equal(list.count, 0);
        assert_int_equal(problems.count, 1);
        const struct problem *p = &problems.items[0];
        if (strcmp(p->pointer, rows[i].pointer) != 0 || p->line != rows[i].line ||
            p->column != rows[i].column || !strstr(p->detail, rows[i].detail))
            fail_msg("%s: %s:%u:%u: %s", rows[i].name, p->pointer, p->line, p->column, p->detail);
    }
}

static void tells_all_problems_at_once(void **state)
{
    auto_problems struct problems problems = {0};
    struct environments list;
    struct err e;

    (void)state;
    assert_int_equal(environments_parse(&list, STR("{\"a\": {\"x\": 1, \"network\": 2}, \"b\": 3}"),
                                        &problems, &e),
                     -1);
    assert_int_equal(problems.total, 3);
}

static void reads_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes; /* 0: refused */
    } rows[] = {
        {"1", 1},
        {"4096B", 4096},
        {"2GB", 2000000000},
        {"2 gb", 2000000000},
        {"512MiB", 536870912},
        {"1.5GiB", 1610612736},
        {"1kb", 1000},
        {"1TiB", 1099511627776},
        {"0", 0},
        {"", 0},
        {"-1GB", 0},
        {"GB", 0},
        {"1e3", 0},
        {"0x10", 0},
        {"1..5GB", 0},
        {"2 apples", 0},
        {"2GBs", 0},
        {"inf", 0},
        {"99999999999999TB", 0},
        {"1111111111111111111111111111111111111", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t bytes = 0;
        bool good = environment_parse_size(str_of(rows[i].text), &bytes);
        if (good != (rows[i].bytes > 0) || bytes != rows[i].bytes)
            fail_msg("%s: %d %llu", rows[i].text, good, (unsigned long long)bytes);
    }
}

static void no_name_is_a_local_process(void **state)
{
    struct environments list = {0};
    struct err e;

    (void)state;
    const struct environment *none = environment_find(&list, "", &e);
    assert_non_null(none);
    assert_ptr_equal(environment_find(&list, NULL, &e), none);
    assert_int_equal(none->launcher, LAUNCHER_PROCESS);
    assert_string_equal(none->name, "");
    assert_null(none->env[0]);
    assert_null(environment_find(&list, "x", &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
}

static void an_unknown_name_is_told_with_those_there_are(void **state)
{
    auto_environments struct environments list = {0};
    struct err e;

    (void)state;
    assert_int_equal(environments_parse(&list, STR("{\"one\": {}, \"two\": {}}"), NULL, &e), 0);
    assert_null(environment_find(&list, "three", &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "\"three\""));
    assert_non_null(strstr(e.text, "\"one\", \"two\""));
}

/* --- directories --- */

static void a_project_without_any_gives_none(void **state)
{
    struct project project;
    auto_environments struct environments list = {0};
    struct err e;

    (void)state;
    project_make(&project);
    assert_int_equal(environments_read(&list, project.directory, NULL, &e), 0);
    assert_int_equal(list.count, 0);
    project_clear(&project);
}

static void reads_both_kinds_of_files(void **state)
{
    static const char uuid[] = "0915B350-b929-4cbd-b0d4-763cac0bb69f";
    struct project project;
    auto_environments struct environments list = {0};
    struct err e;

    (void)state;
    project_make(&project);
    project_put(&project, ".segue/environments.json", "{\"Python 3\": {}}");
    project_put(&project, ".orchest/environments/b/properties.json",
                "{\"name\": \"R\", \"uuid\": \"0915B350-b929-4cbd-b0d4-763cac0bb69f\","
                " \"language\": \"r\", \"base_image\": \"orchest/base-kernel-r\","
                " \"gpu_support\": true, \"other\": 1}");
    project_put(&project, ".orchest/environments/b/setup_script.sh",
                "#!/bin/bash\n\n  # nothing\nRscript -e 'x'\n");
    project_put(&project, ".orchest/environments/a/properties.json",
                "{\"name\": \"Python 3\", \"uuid\": \"ffff\", \"language\": \"python\","
                " \"base_image\": \"orchest/base-kernel-py\", \"gpu_support\": false}");
    project_put(&project, ".orchest/environments/a/setup_script.sh", "#!/bin/bash\n\n# nothing\n");
    project_put(&project, ".orchest/environments/c/notes.txt", "no environment");
    assert_int_equal(environments_read(&list, project.directory, NULL, &e), 0);
    assert_int_equal(list.count, 3);

    const struct environment *r = environment_find(&list, "R", &e);
    assert_ptr_equal(environment_find(&list, uuid, &e), r);
    assert_int_equal(r->launcher, LAUNCHER_DOCKER);
    assert_string_equal(r->image, "segue-env/0915b350-b929-4cbd-b0d4-763cac0bb69f");
    assert_string_equal(r->base_image, "orchest/base-kernel-r");
    assert_string_equal(r->kernelspec, "ir");
    assert_string_equal(r->language, "r");
    assert_true(r->network);
    assert_int_equal(r->resources.gpus, 1);

    /* Ours keeps the name; the other one is there by its uuid. */
    assert_int_equal(environment_find(&list, "Python 3", &e)->launcher, LAUNCHER_PROCESS);
    const struct environment *python = environment_find(&list, "ffff", &e);
    assert_string_equal(python->image, "orchest/base-kernel-py");
    assert_null(python->build_dir);
    assert_int_equal(python->resources.gpus, 0);
    project_clear(&project);
}

static void a_wrong_file_is_named(void **state)
{
    static const struct {
        const char *path, *text;
    } rows[] = {
        {".segue/environments.json", "{\"a\": 1}"},
        {".segue/environments.json", "{"},
        {".orchest/environments/x/properties.json", "[]"},
        {".orchest/environments/x/properties.json", "{\"base_image\": 1}"},
        {".orchest/environments/x/properties.json", "{\"name\": \"x\"}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct project project;
        auto_problems struct problems problems = {0};
        struct environments list = {0};
        struct err e;

        project_make(&project);
        project_put(&project, rows[i].path, rows[i].text);
        assert_int_equal(environments_read(&list, project.directory, &problems, &e), -1);
        assert_int_equal(e.code, ERR_INVALID);
        assert_non_null(strstr(e.text, rows[i].path));
        assert_int_equal(list.count, 0);
        assert_int_equal(problems.total, 1);
        assert_int_equal(problems.items[0].line, 1);
        project_clear(&project);
    }
}

static void an_environment_without_uuid_has_its_directory_name(void **state)
{
    struct project project;
    auto_environments struct environments list = {0};
    struct err e;

    (void)state;
    project_make(&project);
    project_put(&project, ".orchest/environments/abc/properties.json", "{\"base_image\": \"x\"}");
    assert_int_equal(environments_read(&list, project.directory, NULL, &e), 0);
    assert_string_equal(environment_find(&list, "abc", &e)->image, "x");
    project_clear(&project);
}

/* --- how to build an image --- */

static char text_image[] = "segue/python", text_base[] = "base:1", text_odd[] = "it's; $(rm)",
            text_dir[] = "/a b/c";

static void tells_how_to_make_an_image(void **state)
{
    static const struct {
        struct environment environment;
        const char *expected;
    } rows[] = {
        {{.image = text_image},
         "docker build -t segue/python DIR (with its Dockerfile in DIR), or docker pull "
         "segue/python"},
        {{.image = text_base, .base_image = text_base}, "docker pull base:1"},
        {{.image = text_image, .base_image = text_odd, .build_dir = text_dir},
         "printf 'FROM %s\\nUSER root\\nCOPY . /setup\\nWORKDIR /setup\\nRUN bash "
         "setup_script.sh\\n' "
         "'it'\\''s; $(rm)' | docker build -t segue/python -f - '/a b/c'"},
        {{.image = NULL}, "nothing to build: a local process"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *hint = environment_build_hint(&rows[i].environment);
        assert_string_equal(hint, rows[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_key),
        cmocka_unit_test(refuses_with_pointer_line_and_column),
        cmocka_unit_test(tells_all_problems_at_once),
        cmocka_unit_test(reads_sizes),
        cmocka_unit_test(no_name_is_a_local_process),
        cmocka_unit_test(an_unknown_name_is_told_with_those_there_are),
        cmocka_unit_test(a_project_without_any_gives_none),
        cmocka_unit_test(reads_both_kinds_of_files),
        cmocka_unit_test(a_wrong_file_is_named),
        cmocka_unit_test(an_environment_without_uuid_has_its_directory_name),
        cmocka_unit_test(tells_how_to_make_an_image),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
