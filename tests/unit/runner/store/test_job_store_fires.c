#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/runner/store/job_store_fixture.c"

static int copy_fire(void *data, const struct fire_row *fire, struct err *e)
{
    (void)e;
    buf_printf(data, "%lld %lld #%u %s %s %d %lld %lld %lld %u:", (long long)fire->id,
               (long long)fire->job, fire->number, fire_kind_name(fire->kind),
               fire_state_name(fire->state), fire->is_stopped, (long long)fire->due_time,
               (long long)fire->created_time, (long long)fire->finished_time, fire->set_count);
    for (unsigned i = 0; i < STATUS_COUNT; i++)
        buf_printf(data, " %u", fire->counts[i]);
    buf_puts(data, ";");
    return 0;
}

static void a_fire_comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f), id = 0;
    const struct fire_row fire = {
        .id = 77,
        .job = job,
        .number = 9,
        .kind = FIRE_CATCH_UP,
        .state = FIRE_WAITING,
        .is_stopped = true,
        .due_time = 1700000000000,
        .created_time = 1700000000001,
        .finished_time = 5,
        .set_count = 20000,
        .counts = {1, 2, 3, 4, 5},
    };

    WRITTEN(f, job_store_add_fire(f->store, &fire, &id, e));
    assert_int_equal(id, 1);
    reopen(f);
    LISTED("1 1 #1 catch_up WAITING 1 1700000000000 1700000000001 0 20000: 0 0 0 0 0;",
           job_store_fire(f->store, id, copy_fire, &got, e));
    WRITTEN(f, job_store_set_fire(f->store, id, FIRE_FAILURE, false, 12, e));
    LISTED("1 1 #1 catch_up FAILURE 0 1700000000000 1700000000001 12 20000: 0 0 0 0 0;",
           job_store_fire(f->store, id, copy_fire, &got, e));
    REFUSED(ERR_NOT_FOUND, job_store_fire(f->store, 2, copy_fire, NULL, e));
    NOT_WRITTEN(f, ERR_NOT_FOUND, job_store_set_fire(f->store, 2, FIRE_OPEN, false, 0, e));
}

static void one_that_is_skipped_has_ended_when_it_was_made(void **state)
{
    struct fixture *f = *state;
    int64_t fire = add_fire(f, add_job(f), FIRE_SKIPPED);

    LISTED("1 1 #1 trigger SKIPPED 0 0 7 7 0: 0 0 0 0 0;",
           job_store_fire(f->store, fire, copy_fire, &got, e));
}

static void fires_of_a_job_are_numbered(void **state)
{
    struct fixture *f = *state;
    int64_t first = add_job(f), second = add_job(f);

    add_fire(f, first, FIRE_OPEN);
    add_fire(f, second, FIRE_OPEN);
    add_fire(f, first, FIRE_OPEN);
    reopen(f);
    add_fire(f, first, FIRE_SKIPPED);
    LISTED("4 1 #3 trigger SKIPPED 0 0 7 7 0: 0 0 0 0 0;",
           job_store_fires(f->store, &(struct fire_filter){.job = first, .number = 3}, copy_fire,
                           &got, e));
    LISTED("2 ", job_store_fires(f->store, &(struct fire_filter){.job = second, .number = 1},
                                 list_fire, &got, e));
}

static void a_time_is_fired_once(void **state)
{
    struct fixture *f = *state;
    int64_t id = 0;
    struct fire_row fire = fire_of(add_job(f), FIRE_OPEN);

    fire.kind = FIRE_SCHEDULE;
    fire.due_time = 1000;
    WRITTEN(f, job_store_add_fire(f->store, &fire, &id, e));
    OK(job_store_begin(f->store, e));
    REFUSED(ERR_CONFLICT, job_store_add_fire(f->store, &fire, &id, e));
    fire.kind = FIRE_CATCH_UP;
    REFUSED(ERR_CONFLICT, job_store_add_fire(f->store, &fire, &id, e));
    fire.kind = FIRE_TRIGGER; /* the transaction may go on */
    OK(job_store_add_fire(f->store, &fire, &id, e));
    OK(job_store_add_fire(f->store, &fire, &id, e));
    fire.kind = FIRE_SCHEDULE;
    fire.due_time = 1001;
    OK(job_store_add_fire(f->store, &fire, &id, e));
    OK(job_store_commit(f->store, STORE_DURABLE, e));
    fire.job = add_job(f);
    WRITTEN(f, job_store_add_fire(f->store, &fire, &id, e));
    LISTED("1 2 3 4 5 ", job_store_fires(f->store, &(struct fire_filter){.is_oldest_first = true},
                                         list_fire, &got, e));
}

static void fires_are_filtered(void **state)
{
    static const enum fire_state states[] = {FIRE_SUCCESS, FIRE_OPEN, FIRE_WAITING, FIRE_SKIPPED};
    struct fixture *f = *state;
    int64_t first = add_job(f), second = add_job(f);

    for (unsigned i = 0; i < sizeof states / sizeof *states; i++) {
        add_fire(f, first, states[i]);
        add_fire(f, second, states[i]);
    }
    const struct {
        struct fire_filter filter;
        const char *ids;
    } rows[] = {
        {{0}, "8 7 6 5 4 3 2 1 "},
        {{.is_oldest_first = true, .limit = 3}, "1 2 3 "},
        {{.job = first}, "7 5 3 1 "},
        {{.job = first, .limit = 1}, "7 "},
        {{.job = first, .before = 5}, "3 1 "},
        {{.job = first, .is_open = true}, "5 3 "},
        {{.job = first, .is_open = true, .is_oldest_first = true}, "3 5 "},
        {{.is_open = true, .is_oldest_first = true}, "3 4 5 6 "},
        {{.job = second, .number = 2}, "4 "},
        {{.job = 3}, ""},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        LISTED(rows[i].ids, job_store_fires(f->store, &rows[i].filter, list_fire, &got, e));
}

static void states_have_names(void **state)
{
    (void)state;
    assert_string_equal(fire_kind_name(FIRE_SCHEDULE), "schedule");
    assert_string_equal(fire_state_name(FIRE_OPEN), "STARTED");
    for (int i = FIRE_WAITING; i <= FIRE_SKIPPED; i++)
        assert_int_equal(fire_state_is_final((enum fire_state)i), i >= FIRE_SUCCESS);
}

static void an_unknown_state_is_damage(void **state)
{
    struct fixture *f = *state;
    int64_t fire = add_fire(f, add_job(f), FIRE_OPEN);

    raw(f->path, "UPDATE fires SET kind='meteor'");
    assert_non_null(
        strstr(REFUSED(ERR_IO, job_store_fire(f->store, fire, list_fire, NULL, e)), "is damaged"));
    raw(f->path, "UPDATE fires SET kind='trigger', state='OPEN'");
    assert_non_null(
        strstr(REFUSED(ERR_IO, job_store_fire(f->store, fire, list_fire, NULL, e)), "is damaged"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_fire_comes_back_as_it_was), TEST(one_that_is_skipped_has_ended_when_it_was_made),
        TEST(fires_of_a_job_are_numbered), TEST(a_time_is_fired_once),
        TEST(fires_are_filtered),          cmocka_unit_test(states_have_names),
        TEST(an_unknown_state_is_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
