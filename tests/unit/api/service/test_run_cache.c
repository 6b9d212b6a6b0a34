#include "api/service/run_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char uuid[] = "11111111-0000-4000-8000-000000000000";

static bool gives(struct run_cache *cache, const char *run, uint64_t changes, uint64_t deletions,
                  const char *answer)
{
    auto_buf struct buf out = {0};
    struct engine_version now = {changes, deletions};
    bool found = run_cache_get(cache, run, &now, &out);

    if (found)
        assert_string_equal(buf_text(&out), answer);
    else
        assert_int_equal(out.len, 0);
    return found;
}

static void an_open_run_is_good_until_something_changes(void **state)
{
    struct run_cache *cache = run_cache_new();

    (void)state;
    assert_false(gives(cache, uuid, 7, 1, ""));
    run_cache_put(cache, uuid, &(struct engine_version){7, 1}, false, STR("{\"a\":1}"));
    assert_true(gives(cache, uuid, 7, 1, "{\"a\":1}"));
    assert_false(gives(cache, uuid, 8, 1, ""));
    run_cache_put(cache, uuid, &(struct engine_version){8, 1}, false, STR("{}"));
    assert_true(gives(cache, uuid, 8, 1, "{}"));
    run_cache_free(cache);
}

static void an_ended_run_is_good_until_one_is_deleted(void **state)
{
    struct run_cache *cache = run_cache_new();

    (void)state;
    run_cache_put(cache, uuid, &(struct engine_version){7, 1}, true, STR("{}"));
    assert_true(gives(cache, uuid, 700, 1, "{}"));
    assert_false(gives(cache, uuid, 700, 2, ""));
    run_cache_free(cache);
}

/* Many more than there are places: whoever is found is the right one. */
static void places_are_shared_and_never_mixed_up(void **state)
{
    struct run_cache *cache = run_cache_new();
    unsigned found = 0;

    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        auto_free char *name = mem_printf("run-%u", i);
        run_cache_put(cache, name, &(struct engine_version){1, 1}, true, str_of(name));
    }
    for (unsigned i = 0; i < 2000; i++) {
        auto_free char *name = mem_printf("run-%u", i);
        found += gives(cache, name, 1, 1, name);
    }
    assert_in_range(found, 1, 256);
    run_cache_free(cache);
}

static void what_is_too_large_is_not_kept(void **state)
{
    struct run_cache *cache = run_cache_new();
    auto_buf struct buf large = {0};

    (void)state;
    while (large.len <= 16 * 1024)
        buf_puts(&large, "0123456789");
    run_cache_put(cache, uuid, &(struct engine_version){1, 1}, true,
                  (struct str){large.data, large.len});
    assert_false(gives(cache, uuid, 1, 1, ""));
    run_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_run_is_good_until_something_changes),
        cmocka_unit_test(an_ended_run_is_good_until_one_is_deleted),
        cmocka_unit_test(places_are_shared_and_never_mixed_up),
        cmocka_unit_test(what_is_too_large_is_not_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
