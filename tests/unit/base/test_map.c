#include "base/map.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void an_empty_map_has_nothing(void **state)
{
    (void)state;
    struct map m = {0};
    assert_int_equal(map_get(&m, STR("x")), MAP_NONE);
    assert_int_equal(map_get(&m, str_of(NULL)), MAP_NONE);
    map_clear(&m);
}

static void add_leaves_and_set_changes(void **state)
{
    (void)state;
    struct map m = {0};
    assert_int_equal(map_add(&m, STR("a"), 1), MAP_NONE);
    assert_int_equal(map_add(&m, STR("a"), 2), 1);
    assert_int_equal(map_get(&m, STR("a")), 1);
    map_set(&m, STR("a"), 3);
    map_set(&m, STR("b"), 4);
    assert_int_equal(map_get(&m, STR("a")), 3);
    assert_int_equal(map_get(&m, STR("b")), 4);
    assert_int_equal(m.count, 2);
    map_clear(&m);
    assert_int_equal(map_get(&m, STR("a")), MAP_NONE);
}

static void keys_are_bytes(void **state)
{
    (void)state;
    static const struct str keys[] = {
        {"", 0},         {"\0", 1},         {"\0\0", 2},
        {"a", 1},        {"a\0", 2},        {"abcdefg", 7},
        {"abcdefgh", 8}, {"abcdefgh\0", 9}, {"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9},
    };
    struct map m = {0};
    for (uint32_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_int_equal(map_add(&m, keys[i], i), MAP_NONE);
    for (uint32_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_int_equal(map_get(&m, keys[i]), i);
    map_clear(&m);
}

enum { MANY = 20000 };

static void fill(struct map *m, char (*texts)[16])
{
    for (uint32_t i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof texts[i], "key-%u", i);
        assert_int_equal(map_add(m, str_of(texts[i]), i), MAP_NONE);
    }
}

static void grows(void **state)
{
    (void)state;
    struct map m = {0};
    auto_free char(*texts)[16] = mem_array(MANY, sizeof *texts);
    fill(&m, texts);
    assert_int_equal(m.count, MANY);
    assert_true(m.count < m.cap);
    for (uint32_t i = 0; i < MANY; i++) {
        char copy[16];
        snprintf(copy, sizeof copy, "key-%u", i);
        assert_int_equal(map_get(&m, str_of(copy)), i);
    }
    assert_int_equal(map_get(&m, STR("key-20000")), MAP_NONE);
    map_clear(&m);
}

static void reserved_room_is_enough(void **state)
{
    (void)state;
    struct map m = {0};
    auto_free char(*texts)[16] = mem_array(MANY, sizeof *texts);
    map_reserve(&m, MANY);
    const struct map_entry *entries = m.entries;
    fill(&m, texts);
    assert_ptr_equal(m.entries, entries);
    map_clear(&m);
}

static void maps_are_seeded_differently(void **state)
{
    (void)state;
    struct map a = {0}, b = {0};
    map_add(&a, STR("x"), 1);
    map_add(&b, STR("x"), 1);
    assert_true(a.seed != b.seed);
    map_clear(&a);
    map_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing), cmocka_unit_test(add_leaves_and_set_changes),
        cmocka_unit_test(keys_are_bytes),           cmocka_unit_test(grows),
        cmocka_unit_test(reserved_room_is_enough),  cmocka_unit_test(maps_are_seeded_differently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
