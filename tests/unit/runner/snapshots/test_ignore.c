#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "runner/snapshots/ignore.h"
#include "tests/unit/base/scratch.c"

struct project {
    char *dir;
    struct ignore ignore;
};

static int set_up(void **state)
{
    struct project *p = mem_zalloc(sizeof *p);

    p->dir = scratch_new();
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct project *p = *state;

    ignore_clear(&p->ignore);
    scratch_free(p->dir);
    free(p);
    return 0;
}

static const struct ignore_level *enter(struct project *p, const char *path,
                                        const struct ignore_level *around)
{
    auto_free char *directory = *path ? fs_join(p->dir, path) : mem_strdup(p->dir);
    const struct ignore_level *level;
    struct err e;

    if (ignore_enter(&p->ignore, AT_FDCWD, directory, path, around, &level, &e) < 0)
        fail_msg("%s", e.text);
    return level;
}

static void refused(struct project *p, enum err_code code, const char *named)
{
    const struct ignore_level *level;
    struct err e;

    assert_int_equal(ignore_enter(&p->ignore, AT_FDCWD, p->dir, "", NULL, &level, &e), -1);
    assert_int_equal(e.code, code);
    if (!strstr(e.text, named))
        fail_msg("\"%s\" is not in: %s", named, e.text);
}

/* As a walk asks: every directory on the way first. A path that ends with a slash is a directory's.
 */
static bool is_left_out(struct project *p, const char *path)
{
    const struct ignore_level *level = enter(p, "", NULL);

    for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
        auto_free char *directory = mem_strndup(path, (size_t)(slash - path));
        if (ignore_matches(level, directory, IGNORE_DIRECTORY))
            return true;
        if (!slash[1])
            return false;
        level = enter(p, directory, level);
    }
    return ignore_matches(level, path, IGNORE_FILE);
}

/* Each pattern alone, in the project's .gitignore; what it says was compared with git's own. */
static void each_pattern_means_what_it_means_to_git(void **state)
{
    static const struct {
        const char *patterns, *path;
        bool is_left_out;
    } rows[] = {
        /* names, at any depth */
        {"a", "a", true},
        {"a", "x/a", true},
        {"a", "a/x", true},
        {"a", "x/a/y", true},
        {"a", "ab", false},
        {"a", "A", false},
        /* directories only */
        {"a/", "a", false},
        {"a/", "a/", true},
        {"a/", "x/a/y", true},
        {"a//", "a/x", false},
        /* anchored: by a slash in front or in the middle */
        {"/a", "a", true},
        {"/a", "x/a", false},
        {"a/b", "a/b", true},
        {"a/b", "x/a/b", false},
        {"a/b/", "a/b", false},
        {"a/b/", "a/b/c", true},
        {"/a/b", "a/b", true},
        {"//a", "a", false},
        /* "*" and "?" */
        {"*.pyc", "a.pyc", true},
        {"*.pyc", "x/.pyc", true},
        {"*.pyc", "a.pyc.txt", false},
        {"a*", "a", true},
        {"a*c", "abbc", true},
        {"a*c", "abbcd", false},
        {"a/*", "a/b", true},
        {"a/*", "a/b/c", true}, /* as the directory a/b is */
        {"a/*/c", "a/b/c", true},
        {"a/*/c", "a/b/b/c", false},
        {"a/*c", "a/b/c", false},
        {"*/b", "a/b", true},
        {"*/b", "b", false},
        {"*/b", "a/a/b", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"a?", "a", false},
        {"x/a?c", "x/a/c", false},
        {"*", "anything", true},
        {"*.", "a", false},
        {"*a*b*", "xaxxbx", true},
        {"*a*b*", "xbxxax", false},
        {"*ab*ab", "abxabab", true},
        {"/*ab/c*d", "xab/cxd", true},
        {"/*ab/c*d", "xab/cxe", false},
        /* "**" */
        {"**/a", "a", true},
        {"**/a", "x/y/a", true},
        {"**/a", "x/ya", false},
        {"**/a/b", "x/a/b", true},
        {"**/a/b", "x/a/c/b", false},
        {"a/**", "a/b", true},
        {"a/**", "a/b/c", true},
        {"a/**", "a", false},
        {"a/**", "a/", false},
        {"a/**", "x/a/b", false},
        {"a/**/b", "a/b", true},
        {"a/**/b", "a/x/b", true},
        {"a/**/b", "a/x/y/b", true},
        {"a/**/b", "a/xb", false},
        {"a/**/b", "x/a/b", false},
        {"a/**/b/**/c", "a/b/b/x/c", true},
        {"a/**/b/**/c", "a/x/c/b", false},
        {"a/**/x*z/c", "a/xy/c/xyz/c", true},
        {"a/**/x*z/c", "a/xy/c/xyz/d", false},
        {"**/**/a", "a", true},
        {"/**", "a", true},
        {"**", "a", true},
        {"a**", "abc", true},
        {"x/a**c", "x/abc", true},
        {"x/a**c", "x/a/c", false},
        {"x**/c", "x/c", true},
        {"x**/c", "x/y/c", false}, /* as documented; older gits disagree */
        {"a/***/b", "a/x/y/b", true},
        /* brackets */
        {"[a-c]", "b", true},
        {"[a-c]", "d", false},
        {"[!a]", "b", true},
        {"[!a]", "a", false},
        {"[^a]", "b", true},
        {"[^a]", "a", false},
        {"[!a]x", "x", false},
        {"x[!a]y", "x/y", false},
        {"[]]", "]", true},
        {"[!]]", "]", false},
        {"[!]]", "a", true},
        {"[]-]", "-", true},
        {"[a-]", "-", true},
        {"[-a]", "-", true},
        {"[a-cx-z]", "y", true},
        {"[a-cx-z]", "m", false},
        {"[\\]a]", "]", true},
        {"[\\a-\\c]", "b", true},
        {"[*]", "*", true},
        {"[*]", "a", false},
        {"[[:digit:]]", "7", true},
        {"[[:digit:]]", "x", false},
        {"[![:digit:]]", "x", true},
        {"[[:upper:][:digit:]_]*", "Ab", true},
        {"[[:upper:][:digit:]_]*", "_", true},
        {"[[:upper:][:digit:]_]*", "ab", false},
        {"[[:alpha:]-z]", "-", true},
        {"[[:nothing:]]", "a", false},
        {"[[:alpha]", "a", true}, /* no class: a bracket with these characters */
        {"[[:alpha]", "b", false},
        {"[a", "[a", false}, /* never ends */
        {"[a", "a", false},
        {"x[", "x[", false},
        {"[]", "]", false},
        {"[[:alnum:]]", "_", false},
        {"[[:blank:]]", " ", true},
        {"[[:cntrl:]]", "\x01", true},
        {"[[:graph:]]", "!", true},
        {"[[:lower:]]", "A", false},
        {"[[:print:]]", " ", true},
        {"[[:punct:]]", "-", true},
        {"[[:punct:]]", "a", false},
        {"[[:space:]]", "\v", false},
        {"[[:space:]]", "\r", true},
        {"[[:xdigit:]]", "g", false},
        {"[[:xdigit:]]", "F", true},
        /* escapes */
        {"\\a", "a", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"\\#a", "#a", true},
        {"\\!a", "!a", true},
        {"a\\", "a\\", false}, /* escapes nothing: never matches */
        {"a\\", "a", false},
        {"a\\\\", "a\\", true},
        {"\\[a]", "[a]", true},
        /* comments, blanks, ends of lines */
        {"#a", "#a", false},
        {" #a", " #a", true},
        {"", "a", false},
        {"\n\na\n", "a", true},
        {"a   ", "a", true},
        {"a\\ ", "a ", true},
        {"a\\  ", "a ", true},
        {"a b", "a b", true},
        {" a", "a", false},
        {"a\t", "a", false},
        {"a\r\nb\r\n", "a", true},
        {"a\nb\r", "b", true},
        {"\xef\xbb\xbf"
         "a",
         "a", true},
        {"/", "a", false},
        {"!", "a", false},
        {"   ", "   ", false},
        /* taking in again */
        {"*\n!a", "a", false},
        {"*\n!a", "b", true},
        {"!a\na", "a", true},
        {"*.log\n!keep.log", "x/keep.log", false},
        {"a/\n!a/b", "a/b", true}, /* its directory is left out */
        {"a/*\n!a/b", "a/b", false},
        {"/*\n!/a\n/a/*\n!/a/b", "a/b/c", false},
        {"/*\n!/a\n/a/*\n!/a/b", "a/c", true},
        {"*\n!*/\n!*.py", "x/y/a.py", false},
        {"*\n!*/\n!*.py", "x/y/a.txt", true},
        {"a\n!a/", "a", true},
        {"a\n!a/", "a/", false},
    };
    struct project *p = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        scratch_put(p->dir, ".gitignore", rows[i].patterns);
        if (is_left_out(p, rows[i].path) != rows[i].is_left_out)
            fail_msg("\"%s\" %s \"%s\"", rows[i].patterns,
                     rows[i].is_left_out ? "should leave out" : "should not leave out",
                     rows[i].path);
    }
}

static void deeper_files_go_before_those_around_them(void **state)
{
    struct project *p = *state;

    scratch_put(p->dir, ".gitignore", "*.csv\n/top\n");
    scratch_put(p->dir, "data/.gitignore", "!small.csv\n/here\nraw/x\n");
    scratch_put(p->dir, "data/raw/.gitignore", "*.csv\n");
    assert_true(is_left_out(p, "small.csv"));
    assert_false(is_left_out(p, "data/small.csv"));
    assert_true(is_left_out(p, "data/large.csv"));
    assert_true(is_left_out(p, "data/raw/small.csv"));
    assert_true(is_left_out(p, "top"));
    assert_false(is_left_out(p, "data/top"));
    assert_true(is_left_out(p, "data/here"));
    assert_false(is_left_out(p, "here"));
    assert_false(is_left_out(p, "data/raw/here"));
    assert_true(is_left_out(p, "data/raw/x"));
    assert_false(is_left_out(p, "raw/x"));
}

static void our_own_file_goes_before_git_s(void **state)
{
    struct project *p = *state;

    scratch_put(p->dir, ".gitignore", "*.csv\n!models\n");
    scratch_put(p->dir, ".segueignore", "!train.csv\nmodels\n");
    scratch_put(p->dir, "sub/.gitignore", "train.csv\n");
    assert_true(is_left_out(p, "other.csv"));
    assert_false(is_left_out(p, "train.csv"));
    assert_true(is_left_out(p, "models/m.bin"));
    assert_true(is_left_out(p, "sub/train.csv")); /* deeper */
}

static void without_files_nothing_is_left_out(void **state)
{
    struct project *p = *state;

    assert_null(enter(p, "", NULL));
    assert_false(is_left_out(p, "a"));
}

static void a_link_or_a_directory_says_nothing(void **state)
{
    struct project *p = *state;
    auto_free char *link = fs_join(p->dir, ".gitignore");

    scratch_put(p->dir, "patterns", "*\n");
    scratch_put(p->dir, ".segueignore/a", "*\n");
    assert_int_equal(symlink("patterns", link), 0);
    assert_false(is_left_out(p, "a"));
}

static void matching_takes_no_time_that_explodes(void **state)
{
    struct project *p = *state;
    auto_buf struct buf pattern = {0}, deep = {0};
    char name[251];

    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    for (int i = 0; i < 100; i++)
        buf_puts(&pattern, "*a");
    buf_puts(&pattern, "b\n");
    for (int i = 0; i < 100; i++)
        buf_puts(&pattern, "**/*a*a/");
    buf_puts(&pattern, "b");
    scratch_put(p->dir, ".gitignore", pattern.data);
    const struct ignore_level *level = enter(p, "", NULL);
    for (int i = 0; i < 15; i++)
        buf_printf(&deep, "%s/", name);
    buf_puts(&deep, name);
    assert_false(ignore_matches(level, deep.data, IGNORE_FILE));
    buf_puts(&deep, "b");
    assert_true(ignore_matches(level, deep.data, IGNORE_FILE));
}

static void a_file_that_is_too_large_is_refused(void **state)
{
    struct project *p = *state;
    auto_free char *path = scratch_write(p->dir, ".segueignore", "");

    assert_int_equal(truncate(path, (off_t)LIMIT_CONFIG_BYTES + 1), 0);
    refused(p, ERR_LIMIT, ".segueignore");
}

static void a_line_that_is_too_long_is_refused(void **state)
{
    struct project *p = *state;
    auto_free char *text = mem_alloc(5001);

    memset(text, 'a', 5000);
    text[5000] = 0;
    memcpy(text, "a\nb\n", 4);
    scratch_put(p->dir, ".gitignore", text);
    refused(p, ERR_LIMIT, "line 3 of \".gitignore\"");
}

static void all_files_together_are_bounded(void **state)
{
    enum { LINE = 4000, LINES = 1000 };
    struct project *p = *state;
    auto_buf struct buf text = {0};
    const struct ignore_level *level = NULL;
    int entered = 0;
    struct err e;

    for (int i = 0; i < LINES; i++)
        buf_printf(&text, "#%*s\n", LINE, "");
    scratch_put(p->dir, ".gitignore", text.data);
    while (entered < 100 && ignore_enter(&p->ignore, AT_FDCWD, p->dir, "", level, &level, &e) == 0)
        entered++;
    assert_in_range(entered, 16, 17);
    assert_int_equal(e.code, ERR_LIMIT);
}

static void a_file_that_cannot_be_read_is_told(void **state)
{
    struct project *p = *state;
    const struct ignore_level *level;
    struct err e;

    scratch_put(p->dir, "file", "");
    auto_free char *path = fs_join(p->dir, "file");
    assert_int_equal(ignore_enter(&p->ignore, AT_FDCWD, path, "file", NULL, &level, &e), -1);
    assert_non_null(strstr(e.text, "file/.gitignore"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_pattern_means_what_it_means_to_git),
        TEST(deeper_files_go_before_those_around_them),
        TEST(our_own_file_goes_before_git_s),
        TEST(without_files_nothing_is_left_out),
        TEST(a_link_or_a_directory_says_nothing),
        TEST(matching_takes_no_time_that_explodes),
        TEST(a_file_that_is_too_large_is_refused),
        TEST(a_line_that_is_too_long_is_refused),
        TEST(all_files_together_are_bounded),
        TEST(a_file_that_cannot_be_read_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
