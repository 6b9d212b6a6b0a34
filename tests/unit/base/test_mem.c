#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void lists_of_texts_are_copied(void **state)
{
    char first[] = "first", empty[] = "", odd[] = "a\n\xff";
    char *texts[] = {first, empty, odd, NULL};
    char **copy = mem_copy_texts(texts);

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_ptr_not_equal(copy[i], texts[i]);
        assert_string_equal(copy[i], texts[i]);
    }
    assert_null(copy[3]);
    first[0] = 'F'; /* it is nobody else's */
    assert_string_equal(copy[0], "first");
    mem_free_texts(copy);
}

static void an_empty_list_is_a_list(void **state)
{
    char *none[] = {NULL};
    char **copy = mem_copy_texts(none);

    (void)state;
    assert_non_null(copy);
    assert_null(copy[0]);
    mem_free_texts(copy);
    mem_free_texts(NULL);
}

static void texts_are_copied(void **state)
{
    auto_free char *none = mem_strdup(NULL);
    auto_free char *part = mem_strndup("a\0bc", 3);
    auto_free char *printed = mem_printf("%d-%s", 7, "x");

    (void)state;
    assert_null(none);
    assert_memory_equal(part, "a\0b", 4);
    assert_string_equal(printed, "7-x");
}

static void arrays_grow(void **state)
{
    int *numbers = NULL;
    size_t count = 0, capacity = 0;

    (void)state;
    while (count < 1000) {
        mem_grow(numbers, count, capacity);
        assert_true(count < capacity);
        numbers[count] = (int)count;
        count++;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(numbers[i], i);
    free(numbers);
}

static void what_is_handed_over_is_gone(void **state)
{
    char text[] = "x", *pointer = text;
    int fd = 7;

    (void)state;
    assert_ptr_equal(take_ptr(&pointer), text);
    assert_null(pointer);
    assert_int_equal(take_fd(&fd), 7);
    assert_int_equal(fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_texts_are_copied),
        cmocka_unit_test(an_empty_list_is_a_list),
        cmocka_unit_test(texts_are_copied),
        cmocka_unit_test(arrays_grow),
        cmocka_unit_test(what_is_handed_over_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
