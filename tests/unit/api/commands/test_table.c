#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/commands/table.h"
#include "base/mem.h"

static const struct table_column COLUMNS[] = {{"ID", 0}, {"NAME", 6}, {"WHERE", 4}};

static struct table *two_rows(void)
{
    static const char *const cells[] = {"1", "short", "/a", "22", "a rather long name", "/b/cäöü"};
    struct table *table = table_new(COLUMNS, 3);

    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        table_add(table, mem_strdup(cells[i]));
    return table;
}

static void columns_are_as_wide_as_what_is_in_them(void **state)
{
    auto_table struct table *table = two_rows();
    auto_buf struct buf out = {0};

    (void)state;
    table_put(table, 0, &out);
    assert_string_equal(out.data, "ID  NAME                WHERE\n"
                                  "1   short               /a\n"
                                  "22  a rather long name  /b/cäöü\n");
}

static void the_widest_are_cut_to_fit(void **state)
{
    auto_table struct table *table = two_rows();
    auto_buf struct buf out = {0};

    (void)state;
    table_put(table, 22, &out);
    assert_string_equal(out.data, "ID  NAME       WHERE\n"
                                  "1   short      /a\n"
                                  "22  a rather…  /b/cäöü\n");
}

static void nothing_is_cut_below_its_least(void **state)
{
    auto_table struct table *table = two_rows();
    auto_buf struct buf out = {0};

    (void)state;
    table_put(table, 5, &out);
    assert_string_equal(out.data, "ID  NAME    WHE…\n"
                                  "1   short   /a\n"
                                  "22  a rat…  /b/…\n");
}

static void what_is_not_there_is_a_dash(void **state)
{
    auto_table struct table *table = table_new(COLUMNS, 3);
    auto_buf struct buf out = {0};

    (void)state;
    table_add(table, NULL);
    table_add(table, mem_strdup("a\033[2J"));
    table_add(table, NULL);
    table_put(table, 80, &out);
    assert_string_equal(out.data, "ID  NAME   WHERE\n"
                                  "-   a?[2J  -\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_what_is_in_them),
        cmocka_unit_test(the_widest_are_cut_to_fit),
        cmocka_unit_test(nothing_is_cut_below_its_least),
        cmocka_unit_test(what_is_not_there_is_a_dash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
