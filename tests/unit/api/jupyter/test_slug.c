#include "api/jupyter/slug.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void makes_names(void **state)
{
    (void)state;
    static const struct {
        const char *text, *slug;
    } rows[] = {
        {"science", "science"},     {"Data Science", "data-science"},
        {"a//b  c", "a-b-c"},       {" -x- ", "x"},
        {"v1.2_3", "v1.2_3"},       {"K\u00fcche", "k-che"},
        {"\u65e5\u672c", "x"},      {"", "x"},
        {"../../etc", "..-..-etc"}, {"<script>", "script"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_buf struct buf out = {0};
        buf_puts(&out, "-");
        slug_put(&out, rows[i].text);
        assert_string_equal(buf_text(&out) + 1, rows[i].slug);
    }
}

static void names_environments(void **state)
{
    (void)state;
    auto_free char *of_project = slug_of_environment("My Wine", "Data Science");
    auto_free char *of_root = slug_of_environment(".", "Data Science");

    assert_string_equal(of_project, "my-wine.data-science");
    assert_string_equal(of_root, "data-science");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_names),
        cmocka_unit_test(names_environments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
