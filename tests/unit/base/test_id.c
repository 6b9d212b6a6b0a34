#include "base/id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void random_uuids_are_valid_and_differ(void **state)
{
    (void)state;
    struct uuid last = {{0}};
    for (int i = 0; i < 1000; i++) {
        struct uuid id = uuid_random();
        assert_true(uuid_is_valid(id.text));
        assert_int_equal(id.text[14], '4');
        assert_non_null(strchr("89ab", id.text[19]));
        assert_string_not_equal(id.text, last.text);
        last = id;
    }
}

/* Expected: printf %s NAME | sha256sum, the first 32 digits, with digit 13 set to 8 and the two top
 * bits of digit 17 set to 10. */
static void named_uuids_are_the_hash(void **state)
{
    (void)state;
    assert_string_equal(uuid_from_name("").text, "e3b0c442-98fc-8c14-9afb-f4c8996fb924");
    assert_string_equal(uuid_from_name("abc").text, "ba7816bf-8f01-8fea-8141-40de5dae2223");
    assert_true(uuid_is_valid(uuid_from_name("x").text));
}

static void checks_uuids(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {"e3b0c442-98fc-8c14-9afb-f4c8996fb924", true},
        {"E3B0C442-98FC-8C14-9AFB-F4C8996FB924", true},
        {"00000000-0000-0000-0000-000000000000", true},
        {"e3b0c442-98fc-8c14-9afb-f4c8996fb92", false},
        {"e3b0c442-98fc-8c14-9afb-f4c8996fb9244", false},
        {"e3b0c442098fc-8c14-9afb-f4c8996fb924", false},
        {"g3b0c442-98fc-8c14-9afb-f4c8996fb924", false},
        {"e3b0c44-298fc-8c14-9afb-f4c8996fb924", false},
        {"{3b0c442-98fc-8c14-9afb-f4c8996fb92}", false},
        {"e3b0c442", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(uuid_is_valid(rows[i].text), rows[i].valid);
}

static void a_text_becomes_a_uuid(void **state)
{
    (void)state;
    struct uuid id = uuid_random();
    assert_string_equal(uuid_of(id.text).text, id.text);
    struct uuid none = uuid_of("");
    for (size_t i = 0; i < sizeof none.text; i++)
        assert_int_equal(none.text[i], 0);
    /* Too long a text is cut, and then is none. */
    assert_int_equal(strlen(uuid_of("e3b0c442-98fc-8c14-9afb-f4c8996fb9244567").text), 36);
    assert_false(uuid_is_valid(uuid_of("not one").text));
}

static void random_hex_has_all_digits(void **state)
{
    (void)state;
    char text[2001];
    memset(text, 'X', sizeof text);
    random_hex(text, 2000);
    assert_int_equal(strlen(text), 2000);
    assert_int_equal(strspn(text, "0123456789abcdef"), 2000);
    for (const char *p = "0123456789abcdef"; *p; p++)
        assert_non_null(strchr(text, *p));
    random_hex(text, 0);
    assert_string_equal(text, "");
}

/* More than one getrandom gives at once; the chance of 64 zero bytes in a row is nil. */
static void random_bytes_fill_everything(void **state)
{
    (void)state;
    static unsigned char bytes[1 << 20], zero[64];
    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i += sizeof zero)
        assert_memory_not_equal(bytes + i, zero, sizeof zero);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_uuids_are_valid_and_differ),
        cmocka_unit_test(named_uuids_are_the_hash),
        cmocka_unit_test(checks_uuids),
        cmocka_unit_test(a_text_becomes_a_uuid),
        cmocka_unit_test(random_hex_has_all_digits),
        cmocka_unit_test(random_bytes_fill_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
