#include "runner/plan/project.h"

#include "base/fs.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* base/outer/.git, base/outer/inner/sub/p.orchest, base/link -> outer/inner; a mark of its own in
 * base, so that no directory above it matters. */
struct fixture {
    char *base, *outer, *inner, *sub, *pipeline;
};

static void make_dir(const char *parent, const char *name)
{
    auto_free char *path = fs_join(parent, name);
    struct err e;
    assert_int_equal(fs_mkdirs(path, 0700, &e), 0);
}

static int set_up(void **state)
{
    char template[] = "/tmp/segue-test-XXXXXX";
    struct err e;
    assert_non_null(mkdtemp(template));
    struct fixture *f = mem_zalloc(sizeof *f);
    f->base = realpath(template, NULL);
    f->outer = fs_join(f->base, "outer");
    f->inner = fs_join(f->outer, "inner");
    f->sub = fs_join(f->inner, "sub");
    f->pipeline = fs_join(f->sub, "p.orchest");
    make_dir(f->base, ".git");
    make_dir(f->outer, "inner/sub");
    auto_free char *link = fs_join(f->base, "link");
    assert_int_equal(symlink("outer/inner", link), 0);
    assert_int_equal(fs_write(f->pipeline, STR("{}"), 0600, FS_NO_SYNC, &e), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct err e;
    assert_int_equal(fs_remove_tree(f->base, &e), 0);
    free(f->base);
    free(f->outer);
    free(f->inner);
    free(f->sub);
    free(f->pipeline);
    free(f);
    return 0;
}

static void assert_project(const char *file, const char *dir, const char *expected_dir,
                           const char *expected_path, const char *expected_pipeline_dir)
{
    auto_project struct project project = {0};
    struct err e = {0};
    if (project_find(file, dir, &project, &e))
        fail_msg("%s", e.text);
    assert_string_equal(project.dir, expected_dir);
    assert_string_equal(project.pipeline_path, expected_path);
    assert_string_equal(project.pipeline_dir, expected_pipeline_dir);
}

static void the_nearest_marked_parent(void **state)
{
    struct fixture *f = *state;
    static const char *const MARKS[] = {".segue", ".orchest", ".git"};
    assert_project(f->pipeline, NULL, f->base, "outer/inner/sub/p.orchest", "outer/inner/sub");
    for (size_t i = 0; i < 3; i++) {
        auto_free char *mark = fs_join(f->outer, MARKS[i]);
        struct err e;
        make_dir(f->outer, MARKS[i]);
        assert_project(f->pipeline, NULL, f->outer, "inner/sub/p.orchest", "inner/sub");
        assert_int_equal(fs_remove_tree(mark, &e), 0);
    }
    make_dir(f->outer, ".git");
    make_dir(f->sub, ".orchest");
    assert_project(f->pipeline, NULL, f->sub, "p.orchest", ".");
}

static void without_a_mark_it_is_the_files_own_directory(void **state)
{
    struct fixture *f = *state;
    auto_free char *mark = fs_join(f->base, ".git");
    struct err e;
    assert_int_equal(fs_remove_tree(mark, &e), 0);
    assert_project(f->pipeline, NULL, f->sub, "p.orchest", ".");
}

static void a_named_directory_wins(void **state)
{
    struct fixture *f = *state;
    auto_free char *link = fs_join(f->base, "link");
    auto_free char *through_link = fs_join(link, "sub/../sub/p.orchest");
    make_dir(f->sub, ".segue");
    assert_project(f->pipeline, f->inner, f->inner, "sub/p.orchest", "sub");
    assert_project(f->pipeline, link, f->inner, "sub/p.orchest", "sub");
    assert_project(through_link, f->outer, f->outer, "inner/sub/p.orchest", "inner/sub");
    assert_project(f->pipeline, "/", "/", f->pipeline + 1, f->sub + 1);
}

static void assert_refused(const char *file, const char *dir, enum err_code code)
{
    struct project project = {0};
    struct err e = {0};
    assert_int_equal(project_find(file, dir, &project, &e), -1);
    assert_int_equal(e.code, code);
    assert_null(project.dir);
}

static void a_pipeline_lies_inside_its_project(void **state)
{
    struct fixture *f = *state;
    make_dir(f->base, "out"); /* a prefix of the name is not a parent */
    auto_free char *other = fs_join(f->base, "out");
    assert_refused(f->pipeline, other, ERR_INVALID);
    assert_refused(f->pipeline, f->pipeline, ERR_INVALID);
}

static void what_is_missing_is_not_found(void **state)
{
    struct fixture *f = *state;
    auto_free char *gone = fs_join(f->base, "gone");
    assert_refused(gone, NULL, ERR_NOT_FOUND);
    assert_refused(f->pipeline, gone, ERR_NOT_FOUND);
}

/* --- below a root --- */

/* inner/out -> base, inner/chain -> out, inner/file -> base/secret, inner/in -> sub,
 * inner/round -> ../inner/sub, sub/gone -> nowhere */
static void make_links(const struct fixture *f)
{
    static const char *const links[][2] = {
        {"out", "../.."},  {"chain", "out"},          {"file", "../../secret"},
        {"in", "sub"},     {"round", "../inner/sub"}, {"sub/gone", "nowhere"},
        {"absolute", "/"}, {"loop", "loop"},
    };
    auto_free char *secret = fs_join(f->base, "secret");
    struct err e;
    assert_int_equal(fs_write(secret, STR("{}"), 0600, FS_NO_SYNC, &e), 0);
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        auto_free char *link = fs_join(f->inner, links[i][0]);
        assert_int_equal(symlink(links[i][1], link), 0);
    }
}

static void a_project_below_a_root(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"sub", "in", "sub/", "./sub", "sub/../sub", "in/."};
    make_links(f);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        auto_project struct project project = {0};
        struct err e = {0};
        if (project_open_beneath(f->inner, paths[i], &project, &e) < 0)
            fail_msg("%s: %s", paths[i], e.text);
        assert_string_equal(project.dir, f->sub);
        assert_string_equal(project.pipeline_path, "");
        assert_string_equal(project.pipeline_dir, ".");
    }
    auto_project struct project itself = {0};
    struct err e;
    assert_int_equal(project_open_beneath(f->inner, ".", &itself, &e), 0);
    assert_string_equal(itself.dir, f->inner);
}

static char *long_path(void)
{
    char *path = mem_alloc(5000);
    for (size_t i = 0; i < 4999; i++)
        path[i] = i % 2 ? '/' : 'a';
    path[4999] = 0;
    return path;
}

static const struct refusal {
    const char *path;
    enum err_code code;
} escapes[] = {
    {"", ERR_INVALID},
    {"..", ERR_INVALID},
    {"../inner", ERR_INVALID}, /* also when it comes back */
    {"sub/../..", ERR_INVALID},
    {"sub/../../inner/sub", ERR_INVALID},
    {"/", ERR_INVALID},
    {"/etc", ERR_INVALID},
    {"out", ERR_INVALID},
    {"chain", ERR_INVALID},
    {"chain/outer", ERR_INVALID},
    {"absolute", ERR_INVALID},
    {"round", ERR_INVALID},
    {"loop", ERR_INVALID},
    {"gone", ERR_NOT_FOUND},
    {"gone/../sub", ERR_NOT_FOUND},
    {"sub/p.orchest/x", ERR_NOT_FOUND},
};

static void nothing_leads_out_of_the_root(void **state)
{
    struct fixture *f = *state;
    struct project project = {0};
    auto_free char *too_long = long_path();
    struct err e;
    make_links(f);
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        assert_int_equal(project_open_beneath(f->inner, escapes[i].path, &project, &e), -1);
        if (e.code != escapes[i].code)
            fail_msg("%s: %s", escapes[i].path, e.text);
        assert_null(project.dir);
    }
    assert_int_equal(project_open_beneath(f->inner, too_long, &project, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_string_equal(e.text, "the path is longer than 4095 bytes");
    assert_int_equal(project_open_beneath(f->inner, "sub/p.orchest", &project, &e), -1);
    assert_string_equal(e.text, "\"sub/p.orchest\" is no directory");
}

/* Root may read everything, so it is somebody else who looks. */
static void what_may_not_be_read_is_no_project(void **state)
{
    struct fixture *f = *state;
    enum { NOBODY = 65534 };
    const char *const owned[] = {f->base, f->outer, f->inner, f->sub};
    bool is_root = geteuid() == 0;
    struct project project = {0};
    struct err e;
    for (size_t i = 0; is_root && i < sizeof owned / sizeof *owned; i++)
        assert_int_equal(chown(owned[i], NOBODY, NOBODY), 0);
    assert_int_equal(chmod(f->sub, 0), 0);
    if (is_root)
        assert_int_equal(seteuid(NOBODY), 0);
    int result = project_open_beneath(f->inner, "sub", &project, &e);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(f->sub, 0700), 0);
    assert_int_equal(result, -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.text, "permission denied"));
}

static void assert_pipeline(struct project *project, const char *path, enum project_file file,
                            const char *expected_path, const char *expected_dir)
{
    struct err e = {0};
    if (project_set_pipeline(project, path, file, &e) < 0)
        fail_msg("%s: %s", path, e.text);
    assert_string_equal(project->pipeline_path, expected_path);
    assert_string_equal(project->pipeline_dir, expected_dir);
}

static void a_pipeline_below_its_project(void **state)
{
    struct fixture *f = *state;
    auto_project struct project project = {0};
    struct err e;
    make_links(f);
    assert_int_equal(project_open_beneath(f->outer, "inner", &project, &e), 0);
    assert_pipeline(&project, "sub/p.orchest", PROJECT_FILE_EXISTS, "sub/p.orchest", "sub");
    assert_pipeline(&project, "in/../in/p.orchest", PROJECT_FILE_EXISTS, "sub/p.orchest", "sub");
    assert_pipeline(&project, "in/p.orchest", PROJECT_FILE_MAY_MISS, "sub/p.orchest", "sub");
    assert_pipeline(&project, "new.json", PROJECT_FILE_MAY_MISS, "new.json", ".");
    assert_pipeline(&project, "in/new.json", PROJECT_FILE_MAY_MISS, "sub/new.json", "sub");
    assert_pipeline(&project, "sub/gone", PROJECT_FILE_MAY_MISS, "sub/gone", "sub");
}

static void no_pipeline_lies_outside_its_project(void **state)
{
    struct fixture *f = *state;
    static const struct refusal outside[] = {
        {"", ERR_INVALID},
        {"/etc/passwd", ERR_INVALID},
        {"../../secret", ERR_INVALID},
        {"file", ERR_INVALID},
        {"out/secret", ERR_INVALID},
        {"chain/secret", ERR_INVALID},
        {"out/new", ERR_INVALID},
        {"../new", ERR_INVALID},
        {"sub", ERR_INVALID},
        {"new/", ERR_INVALID},
        {".", ERR_INVALID},
        {"loop", ERR_INVALID},
        {"gone/new", ERR_NOT_FOUND},
        {"absolute/etc/passwd", ERR_INVALID},
    };
    auto_project struct project project = {0};
    struct err e;
    make_links(f);
    assert_int_equal(project_open_beneath(f->outer, "inner", &project, &e), 0);
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        int result = project_set_pipeline(&project, outside[i].path, PROJECT_FILE_MAY_MISS, &e);
        if (result == 0 || e.code != outside[i].code)
            fail_msg("%s: %s", outside[i].path, result ? e.text : project.pipeline_path);
        assert_string_equal(project.pipeline_path, "");
        assert_string_equal(project.pipeline_dir, ".");
    }
    assert_int_equal(project_set_pipeline(&project, "new.json", PROJECT_FILE_EXISTS, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
}

static void the_path_below_a_root(void **state)
{
    (void)state;
    assert_string_equal(project_path_beneath("/a/b", "/a/b"), ".");
    assert_string_equal(project_path_beneath("/a/b", "/a/b/c/d"), "c/d");
    assert_null(project_path_beneath("/a/b", "/a/bc"));
    assert_null(project_path_beneath("/a/b", "/a"));
    assert_string_equal(project_path_beneath("/", "/a"), "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_nearest_marked_parent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_mark_it_is_the_files_own_directory, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_named_directory_wins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pipeline_lies_inside_its_project, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_missing_is_not_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_project_below_a_root, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_leads_out_of_the_root, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_may_not_be_read_is_no_project, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pipeline_below_its_project, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_pipeline_lies_outside_its_project, set_up, tear_down),
        cmocka_unit_test(the_path_below_a_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
