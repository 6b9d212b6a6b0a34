#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/commands/duration.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void what_people_write(void **state)
{
    static const struct {
        const char *text;
        uint32_t seconds;
    } rows[] = {
        {"0", 0},      {"90", 90},     {"90s", 90},   {"10m", 600},
        {"2min", 120}, {"24h", 86400}, {"1d", 86400}, {"86400", 86400},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint32_t seconds = 1;
        if (!duration_parse(rows[i].text, 86400, &seconds) || seconds != rows[i].seconds)
            fail_msg("\"%s\": %u", rows[i].text, seconds);
    }
}

static void what_is_none_or_too_long(void **state)
{
    static const char *const rows[] = {
        "",           "m",     "-1",  "+1", " 1",
        "1 m",        "1.5h",  "ten", "1w", "1mm",
        "86401",      "1441m", "25h", "2d", "99999999999999999999",
        "4294967297",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint32_t seconds = 7;
        if (duration_parse(rows[i], 86400, &seconds) || seconds != 7)
            fail_msg("\"%s\": %u", rows[i], seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_people_write),
        cmocka_unit_test(what_is_none_or_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
