#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel-gateway/cause.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const enum cause all[] = {
#define X(cause, name) cause,
    CAUSES(X)
#undef X
};

static void every_name_leads_back_to_its_cause(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(all); i++)
        assert_int_equal(cause_of_name(cause_name(all[i])), all[i]);
}

static void names_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(all); i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(cause_name(all[i]), cause_name(all[k]));
}

/* The closed list that users' tools know. */
static void names_are_those_that_users_know(void **state)
{
    static const char *const names[] = {
        "cell_error",
        "exit_code",
        "kernel_died",
        "kernel_start_failed",
        "out_of_memory",
        "timeout",
        "input_invalid",
        "environment_missing",
        "launcher_unavailable",
        "write_refused",
        "storage_failed",
        "step_lost",
        "cancelled",
        "upstream",
        "internal",
    };

    (void)state;
    assert_int_equal(COUNT(names) + 1, COUNT(all)); /* and "", none */
    for (size_t i = 0; i < COUNT(names); i++)
        assert_string_equal(cause_name(cause_of_name(names[i])), names[i]);
    assert_string_equal(cause_name(CAUSE_NONE), "");
}

static void what_is_no_name_is_our_own_mistake(void **state)
{
    static const char *const rows[] = {"Timeout", "timeout ", " ", "cancel", "internal_"};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(cause_of_name(rows[i]), CAUSE_INTERNAL);
}

static void four_causes_are_the_machines_doing(void **state)
{
    static const enum cause infrastructure[] = {CAUSE_STEP_LOST, CAUSE_LAUNCHER_UNAVAILABLE,
                                                CAUSE_ENVIRONMENT_MISSING, CAUSE_STORAGE_FAILED};
    size_t found = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(infrastructure); i++)
        assert_true(cause_is_infrastructure(infrastructure[i]));
    for (size_t i = 0; i < COUNT(all); i++)
        found += cause_is_infrastructure(all[i]);
    assert_int_equal(found, COUNT(infrastructure));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_leads_back_to_its_cause),
        cmocka_unit_test(names_are_told_apart),
        cmocka_unit_test(names_are_those_that_users_know),
        cmocka_unit_test(what_is_no_name_is_our_own_mistake),
        cmocka_unit_test(four_causes_are_the_machines_doing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
