#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel-gateway/launch/tar.h"

#include "tests/unit/kernel-gateway/launch/tar_writer.c"

static struct tar tar_of(const struct buf *archive)
{
    return (struct tar){{archive->data, archive->len}};
}

static void walks_regular_files_only(void **state)
{
    auto_buf struct buf archive = {0};
    struct tar_file file;

    (void)state;
    tar_put(&archive, "kernels/", '5', NULL, 0);
    tar_put_text(&archive, "kernels/a/kernel.json", "one");
    tar_put(&archive, "kernels/link", '2', NULL, 0);
    tar_put(&archive, "PaxHeaders/x", 'x', "20 atime=1234567890\n", 20);
    tar_put_text(&archive, "kernels/empty", "");
    tar_put(&archive, "old", 0, "two", 3);
    tar_end(&archive);
    struct tar tar = tar_of(&archive);
    assert_true(tar_next(&tar, &file));
    assert_string_equal(file.name, "kernels/a/kernel.json");
    assert_true(str_is(file.content, "one"));
    assert_true(tar_next(&tar, &file));
    assert_string_equal(file.name, "kernels/empty");
    assert_int_equal(file.content.len, 0);
    assert_true(tar_next(&tar, &file));
    assert_true(str_is(file.content, "two"));
    assert_false(tar_next(&tar, &file));
    assert_false(tar_next(&tar, &file));
}

static void passes_over_files_with_names_of_their_own(void **state)
{
    auto_buf struct buf archive = {0};
    struct tar_file file;

    (void)state;
    tar_put(&archive, "PaxHeaders/x", 'x', "22 path=another/name\n", 21);
    tar_put_text(&archive, "cut off", "a");
    tar_put(&archive, "././@LongLink", 'L', "a name", 6);
    tar_put_text(&archive, "cut off, too", "b");
    tar_put_text(&archive, "plain", "c");
    struct tar tar = tar_of(&archive);
    assert_true(tar_next(&tar, &file));
    assert_string_equal(file.name, "plain");
    assert_false(tar_next(&tar, &file));
}

static void names_have_two_parts(void **state)
{
    auto_buf struct buf archive = {0};
    struct tar_file file;
    unsigned sum = 0;

    (void)state;
    tar_put_text(&archive, "name", "x");
    memcpy(archive.data + 345, "prefix", 6);
    memset(archive.data + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++)
        sum += (unsigned char)archive.data[i];
    snprintf(archive.data + 148, 8, "%06o", sum);
    struct tar tar = tar_of(&archive);
    assert_true(tar_next(&tar, &file));
    assert_string_equal(file.name, "prefix/name");
}

static void ends_at_what_is_wrong(void **state)
{
    auto_buf struct buf archive = {0};
    struct tar_file file;

    (void)state;
    tar_put_text(&archive, "name", "some content");
    for (size_t len = 0; len < 512 + 12; len++) {
        struct tar cut = {{archive.data, len}};
        assert_false(tar_next(&cut, &file));
    }
    struct tar whole = {{archive.data, 512 + 12}}; /* only the filling is missing */
    assert_true(tar_next(&whole, &file));
    assert_true(str_is(file.content, "some content"));
    archive.data[0] ^= 1; /* the checksum is wrong */
    struct tar wrong = tar_of(&archive);
    assert_false(tar_next(&wrong, &file));
}

static void refuses_sizes_that_are_no_octal_numbers(void **state)
{
    auto_buf struct buf archive = {0};
    struct tar_file file;
    unsigned sum = 0;

    (void)state;
    tar_put_text(&archive, "name", "x");
    archive.data[124] = (char)0x80; /* the binary form */
    memset(archive.data + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++)
        sum += (unsigned char)archive.data[i];
    snprintf(archive.data + 148, 8, "%06o", sum);
    struct tar tar = tar_of(&archive);
    assert_false(tar_next(&tar, &file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_regular_files_only),
        cmocka_unit_test(passes_over_files_with_names_of_their_own),
        cmocka_unit_test(names_have_two_parts),
        cmocka_unit_test(ends_at_what_is_wrong),
        cmocka_unit_test(refuses_sizes_that_are_no_octal_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
