#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/server/workers.h"

#include <pthread.h>

/* Jobs count themselves, and wait while the gate is closed. */
struct hall {
    struct workers *workers;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_open;
    unsigned begun, done, dropped;
};

static struct hall hall;

static void run_job(void *job)
{
    assert_ptr_equal(job, &hall);
    pthread_mutex_lock(&hall.lock);
    hall.begun++;
    pthread_cond_broadcast(&hall.changed);
    while (!hall.is_open)
        pthread_cond_wait(&hall.changed, &hall.lock);
    hall.done++;
    pthread_mutex_unlock(&hall.lock);
}

static void drop_job(void *job)
{
    assert_ptr_equal(job, &hall);
    hall.dropped++;
}

static int open_hall(void **state)
{
    struct workers_options options = {
        .threads = 2, .queue_cap = 3, .run = run_job, .drop = drop_job};
    struct err e;

    (void)state;
    hall = (struct hall){.is_open = false};
    pthread_mutex_init(&hall.lock, NULL);
    pthread_cond_init(&hall.changed, NULL);
    hall.workers = workers_new(&options, &e);
    return hall.workers ? 0 : -1;
}

static int close_hall(void **state)
{
    (void)state;
    workers_free(hall.workers);
    pthread_mutex_destroy(&hall.lock);
    pthread_cond_destroy(&hall.changed);
    return 0;
}

static void open_gate(void)
{
    pthread_mutex_lock(&hall.lock);
    hall.is_open = true;
    pthread_cond_broadcast(&hall.changed);
    pthread_mutex_unlock(&hall.lock);
}

static void wait_for_begun(unsigned count)
{
    pthread_mutex_lock(&hall.lock);
    while (hall.begun < count)
        pthread_cond_wait(&hall.changed, &hall.lock);
    pthread_mutex_unlock(&hall.lock);
}

/* Two run, three wait, the sixth finds no room. */
static void fill(void)
{
    for (unsigned i = 1; i <= 2; i++) {
        assert_true(workers_put(hall.workers, &hall));
        wait_for_begun(i);
    }
    for (int i = 0; i < 3; i++)
        assert_true(workers_put(hall.workers, &hall));
    assert_int_equal(workers_queued(hall.workers), 3);
    assert_false(workers_put(hall.workers, &hall));
}

static void the_queue_is_bounded(void **state)
{
    (void)state;
    fill();
    open_gate();
    wait_for_begun(5);
    assert_true(workers_put(hall.workers, &hall));
    wait_for_begun(6);
    assert_int_equal(hall.dropped, 0);
}

static void what_waits_is_dropped_at_the_closing(void **state)
{
    (void)state;
    fill();
    workers_close(hall.workers);
    assert_int_equal(hall.dropped, 3);
    assert_false(workers_put(hall.workers, &hall));
    open_gate();
    workers_join(hall.workers);
    assert_int_equal(hall.done, 2);
}

static void nothing_is_freed_too(void **state)
{
    (void)state;
    open_gate();
    workers_free(NULL);
}

int main(void)
{
#define HALL_TEST(test) cmocka_unit_test_setup_teardown(test, open_hall, close_hall)
    const struct CMUnitTest tests[] = {
        HALL_TEST(the_queue_is_bounded),
        HALL_TEST(what_waits_is_dropped_at_the_closing),
        HALL_TEST(nothing_is_freed_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
