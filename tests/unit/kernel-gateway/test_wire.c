#include "kernel-gateway/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include <cmocka.h>

/* printf '%s' '{"a":1}' '{}' '{}' '{"b":2}' | openssl dgst -sha256 -hmac secret-key */
static const struct str signed_parts[WIRE_PART_COUNT] = {
    {"{\"a\":1}", 7}, {"{}", 2}, {"{}", 2}, {"{\"b\":2}", 7}};
#define KNOWN_SIGNATURE "ae76aeefcff0c221ecc815b72f45810b47290f404ee280ab6c161755f7ddc94b"

static struct wire_parts parts_of(struct str signature)
{
    struct wire_parts parts = {.signature = signature};
    for (int i = 0; i < WIRE_PART_COUNT; i++)
        parts.parts[i] = signed_parts[i];
    return parts;
}

static void finds_parts_wherever_the_delimiter_is(void **state)
{
    (void)state;
    const struct str all[] = {STR("id1"), STR("id2"), WIRE_DELIMITER, STR("sig"), STR("H"),
                              STR("P"),   STR("M"),   STR("C"),       STR("B1"),  STR("B2")};
    for (size_t skip = 0; skip <= 2; skip++) {
        struct wire_parts parts;
        assert_int_equal(wire_split(all + skip, 10 - skip, &parts), WIRE_OK);
        assert_int_equal(parts.identity_count, 2 - skip);
        assert_int_equal(parts.buffers, 8 - skip);
        assert_true(str_is(parts.signature, "sig"));
        assert_true(str_is(parts.parts[WIRE_HEADER], "H"));
        assert_true(str_is(parts.parts[WIRE_PARENT], "P"));
        assert_true(str_is(parts.parts[WIRE_METADATA], "M"));
        assert_true(str_is(parts.parts[WIRE_CONTENT], "C"));
    }
}

static void content_may_be_the_last_frame(void **state)
{
    (void)state;
    const struct str frames[] = {WIRE_DELIMITER, STR(""), STR("H"), STR("P"), STR("M"), STR("C")};
    struct wire_parts parts;
    assert_int_equal(wire_split(frames, 6, &parts), WIRE_OK);
    assert_int_equal(parts.buffers, 6);
}

static void a_second_delimiter_is_content(void **state)
{
    (void)state;
    const struct str frames[] = {WIRE_DELIMITER, STR("s"), STR("H"),      STR("P"),
                                 STR("M"),       STR("C"), WIRE_DELIMITER};
    struct wire_parts parts;
    assert_int_equal(wire_split(frames, 7, &parts), WIRE_OK);
    assert_int_equal(parts.identity_count, 0);
    assert_int_equal(parts.buffers, 6);
}

static void refuses_what_is_no_message(void **state)
{
    (void)state;
    const struct str frames[] = {STR("id"), WIRE_DELIMITER, STR("s"), STR("H"),
                                 STR("P"),  STR("M"),       STR("C")};
    struct wire_parts parts;
    assert_int_equal(wire_split(NULL, 0, &parts), WIRE_NO_DELIMITER);
    assert_int_equal(wire_split(frames, 1, &parts), WIRE_NO_DELIMITER);
    for (size_t count = 2; count < 7; count++)
        assert_int_equal(wire_split(frames, count, &parts), WIRE_TOO_SHORT);
    assert_int_equal(wire_split(frames, 7, &parts), WIRE_OK);
    const struct str nearly[] = {STR("<IDS|MSG>x"), STR("<IDS|MSG"), STR("")};
    assert_int_equal(wire_split(nearly, 3, &parts), WIRE_NO_DELIMITER);
}

static void signs_as_others_do(void **state)
{
    (void)state;
    struct wire_key *key = wire_key_new("secret-key");
    char signature[WIRE_SIGNATURE_SIZE + 1];
    for (int i = 0; i < 3; i++) { /* the kept context starts anew each time */
        wire_sign(key, signed_parts, signature);
        assert_string_equal(signature, KNOWN_SIGNATURE);
    }
    wire_key_free(key);
}

static void checks_signatures(void **state)
{
    (void)state;
    struct wire_key *key = wire_key_new("secret-key");
    struct wire_key *other = wire_key_new("other-key");
    struct wire_parts good = parts_of(STR(KNOWN_SIGNATURE));
    assert_int_equal(wire_check(key, &good), WIRE_OK);
    assert_int_equal(wire_check(other, &good), WIRE_BAD_SIGNATURE);
    assert_int_equal(wire_check(key, &good), WIRE_OK);

    for (int i = 0; i < WIRE_PART_COUNT; i++) {
        struct wire_parts changed = good;
        changed.parts[i] = STR("{\"x\":1}");
        assert_int_equal(wire_check(key, &changed), WIRE_BAD_SIGNATURE);
    }
    char signature[] = KNOWN_SIGNATURE;
    for (size_t i = 0; i < WIRE_SIGNATURE_SIZE; i++) {
        signature[i] ^= 1;
        struct wire_parts changed = parts_of((struct str){signature, WIRE_SIGNATURE_SIZE});
        assert_int_equal(wire_check(key, &changed), WIRE_BAD_SIGNATURE);
        signature[i] ^= 1;
    }
    struct wire_parts shorter = parts_of((struct str){signature, WIRE_SIGNATURE_SIZE - 1});
    assert_int_equal(wire_check(key, &shorter), WIRE_BAD_SIGNATURE);
    struct wire_parts missing = parts_of((struct str){NULL, 0});
    assert_int_equal(wire_check(key, &missing), WIRE_BAD_SIGNATURE);
    wire_key_free(key);
    wire_key_free(other);
}

static void empty_key_means_no_signatures(void **state)
{
    (void)state;
    struct wire_key *key = wire_key_new("");
    char signature[WIRE_SIGNATURE_SIZE + 1] = "x";
    wire_sign(key, signed_parts, signature);
    assert_string_equal(signature, "");
    struct wire_parts parts = parts_of(STR("whatever"));
    assert_int_equal(wire_check(key, &parts), WIRE_OK);
    wire_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_parts_wherever_the_delimiter_is),
        cmocka_unit_test(content_may_be_the_last_frame),
        cmocka_unit_test(a_second_delimiter_is_content),
        cmocka_unit_test(refuses_what_is_no_message),
        cmocka_unit_test(signs_as_others_do),
        cmocka_unit_test(checks_signatures),
        cmocka_unit_test(empty_key_means_no_signatures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
