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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_nearest_marked_parent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_mark_it_is_the_files_own_directory, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_named_directory_wins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pipeline_lies_inside_its_project, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_missing_is_not_found, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
