#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/engine/frozen.h"
#include "tests/unit/base/scratch.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void check_text(const char *what, const char *got, const char *wanted)
{
    if ((got == NULL) != (wanted == NULL) || (got && strcmp(got, wanted) != 0))
        fail_msg("%s: \"%s\", not \"%s\"", what, got ? got : "NULL", wanted ? wanted : "NULL");
}

static void check_same(const struct frozen_environment *got, const struct frozen_environment *is)
{
    check_text("name", got->name, is->name);
    check_text("cause", cause_name(got->cause), cause_name(is->cause));
    check_text("message", got->message, is->message);
    check_text("launcher", launcher_name(got->launcher), launcher_name(is->launcher));
    check_text("image", got->image, is->image);
    check_text("kernelspec", got->kernelspec, is->kernelspec);
    check_text("language", got->language, is->language);
    assert_int_equal(got->network, is->network);
    assert_int_equal(got->resources.memory_bytes, is->resources.memory_bytes);
    assert_int_equal(got->resources.gpus, is->resources.gpus);
    assert_non_null(got->env);
    size_t i = 0;
    for (; is->env[i]; i++)
        check_text("env", got->env[i], is->env[i]);
    assert_null(got->env[i]);
}

/* --- as JSON and back --- */

#define TEXT(text) ((char[]){text})

static char *no_env[] = {NULL};
static char *odd_env[] = {
    TEXT("A=1"),
    TEXT("EMPTY="),
    TEXT("QUOTES=\"'\\"),
    TEXT("LINES=one\ntwo\r\n\tthree\x01"),
    TEXT("JSON={\"a\": [1, \"\\u0041\"]}"),
    TEXT("UTF8=\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
    TEXT("EQUALS=a=b=c"),
    NULL,
};

static struct frozen_environment all_kinds[] = {
    {.name = TEXT(""), .env = no_env},
    {.name = TEXT("in a \"box\"\\\n"),
     .launcher = LAUNCHER_DOCKER,
     .image = TEXT("sha256:0123456789abcdef"),
     .kernelspec = TEXT("python3"),
     .language = TEXT("python"),
     .network = true,
     .resources = {.cpus = 1.5, .memory_bytes = 1ull << 50, .gpus = 7},
     .env = odd_env},
    {.name = TEXT("missing"),
     .cause = CAUSE_ENVIRONMENT_MISSING,
     .message = TEXT("there is no \"missing\"\nbut others"),
     .env = no_env},
    {.name = TEXT("away"),
     .cause = CAUSE_LAUNCHER_UNAVAILABLE,
     .message = TEXT("Docker does not answer"),
     .launcher = LAUNCHER_DOCKER,
     .env = odd_env},
};

static struct frozen_list round_trip(const struct frozen_list *list)
{
    auto_buf struct buf text = {0};
    struct frozen_list back;
    struct err e;

    frozen_encode(list, &text);
    if (frozen_parse(&back, buf_text(&text), &e) < 0)
        fail_msg("%s: %s", e.text, text.data);
    return back;
}

static void what_is_encoded_is_parsed_again(void **state)
{
    struct frozen_list list = {.items = all_kinds, .count = COUNT(all_kinds)};
    struct frozen_list back = round_trip(&list);

    (void)state;
    assert_int_equal(back.count, COUNT(all_kinds));
    for (uint32_t i = 0; i < back.count; i++)
        check_same(&back.items[i], &all_kinds[i]);
    frozen_clear(&back);
    assert_int_equal(back.count, 0);
    frozen_clear(&back); /* twice is fine */
}

static void none_is_none(void **state)
{
    struct frozen_list back = round_trip(&(struct frozen_list){0});

    (void)state;
    assert_int_equal(back.count, 0);
    frozen_clear(&back);
}

/* To a thousandth of a processor, however often it is read and written. */
static void limits_on_processors_do_not_drift(void **state)
{
    (void)state;
    for (int milli = 0; milli <= 20000; milli++) {
        struct frozen_environment one = {
            .name = TEXT(""), .env = no_env, .resources = {.cpus = milli / 1000.0}};
        struct frozen_list list = {.items = &one, .count = 1};
        struct frozen_list first = round_trip(&list);
        struct frozen_list second = round_trip(&first);
        if (first.items[0].resources.cpus != one.resources.cpus ||
            second.items[0].resources.cpus != one.resources.cpus)
            fail_msg("%.17g: %.17g, %.17g", one.resources.cpus, first.items[0].resources.cpus,
                     second.items[0].resources.cpus);
        frozen_clear(&first);
        frozen_clear(&second);
    }
}

static void what_is_no_list_is_refused(void **state)
{
    static const char *const rows[] = {"", "[", "[{\"name\":\"a\"}", "[{\"name\":\"\xff\"}]", "x"};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct frozen_list list;
        struct err e;
        if (frozen_parse(&list, rows[i], &e) == 0)
            fail_msg("taken: %s", rows[i]);
        assert_int_equal(e.code, ERR_INVALID);
        assert_non_null(strstr(e.text, "the run's environments"));
        assert_int_equal(list.count, 0);
        frozen_clear(&list);
    }
}

/* A member that is missing, or is something else, is as if it had not been said. */
static void members_may_be_missing(void **state)
{
    struct frozen_list list;
    struct err e;

    (void)state;
    assert_int_equal(frozen_parse(&list,
                                  "[{},{\"name\":7,\"launcher\":\"rocket\",\"env\":{},"
                                  "\"image\":null,\"millicpus\":\"x\"},{\"env\":[1,\"A=1\"]}]",
                                  &e),
                     0);
    assert_int_equal(list.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_string_equal(list.items[i].name, "");
        assert_int_equal(list.items[i].cause, CAUSE_NONE);
        assert_int_equal(list.items[i].launcher, LAUNCHER_PROCESS);
        assert_null(list.items[i].image);
        assert_non_null(list.items[i].env);
    }
    assert_null(list.items[0].env[0]);
    assert_string_equal(list.items[2].env[0], "A=1");
    assert_null(list.items[2].env[1]);
    frozen_clear(&list);
}

/* A cause that a later Segue gave is still one: the step must not run. */
static void an_unknown_cause_is_a_cause(void **state)
{
    struct frozen_list list;
    struct err e;

    (void)state;
    assert_int_equal(frozen_parse(&list, "[{\"cause\":\"moon_phase\",\"message\":\"m\"}]", &e), 0);
    assert_int_equal(list.items[0].cause, CAUSE_INTERNAL);
    frozen_clear(&list);
}

/* --- freezing --- */

static const char ENVIRONMENTS[] =
    "{\"here\": {\"launcher\": \"process\", \"kernelspec\": \"python3\", \"env\": {\"A\": \"1\"},"
    " \"resources\": {\"cpus\": 2, \"memory\": \"1MiB\"}},"
    " \"box\": {\"launcher\": \"docker\", \"image\": \"segue/none\"}}";

static void environments_are_copied(void **state)
{
    auto_environments struct environments environments = {0};
    struct frozen_list list = {0};
    struct err e;

    (void)state;
    if (environments_parse(&environments, str_of(ENVIRONMENTS), NULL, &e) < 0)
        fail_msg("%s", e.text);
    frozen_add(&list, &environments, "here", LAUNCHER_CHOICE_ENVIRONMENT);
    frozen_add(&list, &environments, "", LAUNCHER_CHOICE_ENVIRONMENT);
    frozen_add(&list, &environments, "nowhere", LAUNCHER_CHOICE_ENVIRONMENT);
    frozen_add(&list, &environments, "box", LAUNCHER_CHOICE_ENVIRONMENT);
    frozen_add(&list, &environments, "box", LAUNCHER_CHOICE_PROCESS);
    environments_clear(&environments); /* it keeps nothing of it */
    assert_int_equal(list.count, 5);
    assert_int_equal(list.items[0].cause, CAUSE_NONE);
    assert_string_equal(list.items[0].name, "here");
    assert_string_equal(list.items[0].kernelspec, "python3");
    assert_string_equal(list.items[0].env[0], "A=1");
    assert_null(list.items[0].env[1]);
    assert_int_equal(list.items[0].resources.memory_bytes, 1 << 20);
    assert_true(list.items[0].resources.cpus == 2);
    assert_string_equal(list.items[1].name, "");
    assert_int_equal(list.items[1].cause, CAUSE_NONE);
    assert_string_equal(list.items[2].name, "nowhere");
    assert_int_equal(list.items[2].cause, CAUSE_ENVIRONMENT_MISSING);
    assert_non_null(strstr(list.items[2].message, "nowhere"));
    assert_int_equal(list.items[3].cause, CAUSE_LAUNCHER_UNAVAILABLE);
    assert_int_equal(list.items[3].launcher, LAUNCHER_DOCKER);
    assert_null(list.items[3].image);
    assert_int_equal(list.items[4].cause, CAUSE_NONE);
    assert_int_equal(list.items[4].launcher, LAUNCHER_PROCESS);
    struct frozen_list back = round_trip(&list);
    for (uint32_t i = 0; i < list.count; i++)
        check_same(&back.items[i], &list.items[i]);
    frozen_clear(&back);
    frozen_clear(&list);
}

static void choices_have_names(void **state)
{
    (void)state;
    for (int i = LAUNCHER_CHOICE_ENVIRONMENT; i <= LAUNCHER_CHOICE_DOCKER; i++) {
        enum launcher_choice choice = (enum launcher_choice)i;
        assert_int_equal(launcher_choice_of_name(launcher_choice_name(choice)), choice);
    }
    assert_int_equal(launcher_choice_of_name("rocket"), LAUNCHER_CHOICE_ENVIRONMENT);
    assert_int_equal(launcher_choice_of_name(NULL), LAUNCHER_CHOICE_ENVIRONMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_parsed_again),
        cmocka_unit_test(none_is_none),
        cmocka_unit_test(limits_on_processors_do_not_drift),
        cmocka_unit_test(what_is_no_list_is_refused),
        cmocka_unit_test(members_may_be_missing),
        cmocka_unit_test(an_unknown_cause_is_a_cause),
        cmocka_unit_test(environments_are_copied),
        cmocka_unit_test(choices_have_names),
    };

    /* No engine of Docker, whatever this machine has. */
    setenv("DOCKER_HOST", "unix:///tmp/segue-test-nowhere.sock", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
