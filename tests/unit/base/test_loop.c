#include "base/loop.h"

#include "base/mem.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include <cmocka.h>

static int make_loop(void **state)
{
    *state = loop_new();
    return 0;
}

static int free_loop(void **state)
{
    loop_free(*state);
    return 0;
}

/* One round that must not wait for anything. */
static void round_of(struct loop *loop)
{
    loop_dispatch(loop, 0);
}

/* --- descriptors --- */

struct end {
    struct loop *loop;
    int fds[2]; /* [0] is watched */
    struct loop_source *source;
    struct end *victim; /* whose source the callback removes */
    int calls;
    uint32_t events;
};

static void end_open(struct end *end, struct loop *loop, loop_fd_fn *fn)
{
    *end = (struct end){.loop = loop};
    assert_int_equal(pipe2(end->fds, O_CLOEXEC | O_NONBLOCK), 0);
    end->source = loop_add_fd(loop, end->fds[0], EPOLLIN, fn, end);
}

static void end_close(struct end *end)
{
    loop_remove(take_ptr(&end->source));
    mem_auto_close(&end->fds[0]);
    mem_auto_close(&end->fds[1]);
}

static void make_readable(const struct end *end)
{
    assert_int_equal(write(end->fds[1], "x", 1), 1);
}

static void on_readable(void *user, uint32_t events)
{
    struct end *end = user;
    end->calls++;
    end->events = events;
    if (end->victim)
        end_close(end->victim);
}

static void tells_what_is_readable(void **state)
{
    struct end a, b;
    end_open(&a, *state, on_readable);
    end_open(&b, *state, on_readable);
    round_of(*state);
    assert_int_equal(a.calls + b.calls, 0);
    make_readable(&a);
    round_of(*state);
    round_of(*state);
    assert_int_equal(a.calls, 2); /* as long as nobody reads */
    assert_int_equal(a.events, EPOLLIN);
    assert_int_equal(b.calls, 0);
    mem_auto_close(&b.fds[1]);
    b.fds[1] = -1;
    round_of(*state);
    assert_int_equal(b.events, EPOLLHUP);
    end_close(&a);
    end_close(&b);
}

static void changes_events(void **state)
{
    struct end end;
    end_open(&end, *state, on_readable);
    make_readable(&end);
    loop_set_events(end.source, 0);
    round_of(*state);
    assert_int_equal(end.calls, 0);
    loop_set_events(end.source, EPOLLIN);
    round_of(*state);
    assert_int_equal(end.calls, 1);
    end_close(&end);
}

static void a_callback_removes_itself(void **state)
{
    struct end end;
    end_open(&end, *state, on_readable);
    end.victim = &end;
    make_readable(&end);
    round_of(*state);
    round_of(*state);
    assert_int_equal(end.calls, 1);
}

/* Both are ready in the same round; whichever is first removes and closes the other. */
static void a_callback_removes_another(void **state)
{
    struct end a, b;
    end_open(&a, *state, on_readable);
    end_open(&b, *state, on_readable);
    a.victim = &b;
    b.victim = &a;
    make_readable(&a);
    make_readable(&b);
    round_of(*state);
    assert_int_equal(a.calls + b.calls, 1);
    end_close(&a);
    end_close(&b);
}

static void on_readable_exchange(void *user, uint32_t events)
{
    struct end *end = user;
    on_readable(end, events);
    struct end *other = end->victim;
    end->victim = other->victim = NULL;
    end_open(other, end->loop, on_readable); /* most likely has the same number */
}

/* An event for a descriptor that was closed must not reach the one that took its number. */
static void a_new_source_gets_no_old_events(void **state)
{
    struct end a, b;
    end_open(&a, *state, on_readable_exchange);
    end_open(&b, *state, on_readable_exchange);
    a.victim = &b;
    b.victim = &a;
    make_readable(&a);
    make_readable(&b);
    round_of(*state);
    assert_int_equal(a.calls + b.calls, 1);
    end_close(&a);
    end_close(&b);
}

static void on_readable_silence(void *user, uint32_t events)
{
    struct end *end = user;
    end->calls++;
    end->events = events;
    loop_set_events(((struct end *)end->victim)->source, 0);
}

static void a_callback_silences_another(void **state)
{
    struct end a, b;
    end_open(&a, *state, on_readable_silence);
    end_open(&b, *state, on_readable_silence);
    a.victim = &b;
    b.victim = &a;
    make_readable(&a);
    make_readable(&b);
    round_of(*state);
    assert_int_equal(a.calls + b.calls, 1);
    end_close(&a);
    end_close(&b);
}

/* More than one batch of epoll_wait. */
static void serves_many(void **state)
{
    enum { COUNT = 150 };
    struct end ends[COUNT];
    for (int i = 0; i < COUNT; i++) {
        end_open(&ends[i], *state, on_readable);
        make_readable(&ends[i]);
    }
    for (int i = 0; i < COUNT; i++)
        round_of(*state);
    for (int i = 0; i < COUNT; i++) {
        assert_true(ends[i].calls > 0);
        end_close(&ends[i]);
    }
}

/* --- timers --- */

struct clockwork {
    struct loop *loop;
    int order[2000];
    int count;
    int stop_at;
};

struct tick {
    struct clockwork *clockwork;
    struct loop_source *timer;
    int number;
    int again; /* times to arm itself once more */
    struct tick *disarms, *removes;
};

static void on_tick(void *user)
{
    struct tick *tick = user;
    struct clockwork *c = tick->clockwork;
    c->order[c->count++] = tick->number;
    if (tick->again-- > 0)
        loop_arm_in(tick->timer, 0);
    if (tick->disarms)
        loop_disarm(tick->disarms->timer);
    if (tick->removes)
        loop_remove(take_ptr(&tick->removes->timer));
    if (c->count == c->stop_at)
        loop_stop(c->loop);
}

static void tick_make(struct tick *tick, struct clockwork *clockwork, int number)
{
    *tick = (struct tick){.clockwork = clockwork, .number = number};
    tick->timer = loop_add_timer(clockwork->loop, on_tick, tick);
}

static void timers_fire_once_in_order(void **state)
{
    struct clockwork c = {.loop = *state, .stop_at = 5};
    struct tick ticks[5];
    static const msec before[] = {10, 50, 30, 50, 0}; /* due since; the second and fourth tie */
    msec now = clock_mono();
    for (int i = 0; i < 5; i++) {
        tick_make(&ticks[i], &c, i);
        loop_arm(ticks[i].timer, now - before[i]);
    }
    loop_run(*state);
    round_of(*state);
    assert_int_equal(c.count, 5);
    static const int order[] = {1, 3, 2, 0, 4};
    assert_memory_equal(c.order, order, sizeof order);
}

static void a_timer_waits_for_its_deadline(void **state)
{
    struct clockwork c = {.loop = *state, .stop_at = 1};
    struct tick tick;
    tick_make(&tick, &c, 0);
    msec deadline = clock_mono() + 20;
    loop_arm(tick.timer, deadline);
    loop_run(*state);
    assert_true(clock_mono() >= deadline);
}

static void an_unarmed_timer_is_silent(void **state)
{
    struct clockwork c = {.loop = *state};
    struct tick never, disarmed, later, forever;
    tick_make(&never, &c, 0);
    tick_make(&disarmed, &c, 1);
    tick_make(&later, &c, 2);
    tick_make(&forever, &c, 3);
    loop_arm(disarmed.timer, 0);
    loop_disarm(disarmed.timer);
    loop_disarm(disarmed.timer);
    loop_arm(later.timer, -5);
    loop_arm_in(later.timer, 1000000);
    loop_arm(forever.timer, INT64_MAX);
    loop_arm_in(forever.timer, INT64_MAX);
    round_of(*state);
    assert_int_equal(c.count, 0);
    loop_arm(later.timer, -5);
    round_of(*state);
    assert_int_equal(c.count, 1);
}

static void a_timer_may_arm_itself_and_starves_nobody(void **state)
{
    struct clockwork c = {.loop = *state};
    struct tick tick;
    tick_make(&tick, &c, 0);
    tick.again = 2;
    loop_arm_in(tick.timer, 0);
    for (int i = 1; i <= 3; i++) {
        loop_dispatch(*state, -1);
        assert_int_equal(c.count, i);
    }
    round_of(*state);
    assert_int_equal(c.count, 3);
}

static void a_timer_disarms_and_removes_others(void **state)
{
    struct clockwork c = {.loop = *state};
    struct tick a, b, d;
    tick_make(&a, &c, 0);
    tick_make(&b, &c, 1);
    tick_make(&d, &c, 2);
    a.disarms = &b;
    a.removes = &d;
    loop_arm(a.timer, 1);
    loop_arm(b.timer, 2);
    loop_arm(d.timer, 3);
    round_of(*state);
    assert_int_equal(c.count, 1);
    a.disarms = a.removes = NULL;
    b.removes = &b; /* itself */
    loop_arm(b.timer, 0);
    round_of(*state);
    assert_int_equal(c.count, 2);
    assert_null(b.timer);
}

/* Every timer at a deadline of its own in the past, put in in a scattered order (a step through the
 * numbers that has no divisor in common with their count), every third one taken out again. */
static void many_timers_keep_their_order(void **state)
{
    enum { COUNT = 1000, STEP = 387 };
    struct clockwork c = {.loop = *state};
    static struct tick ticks[COUNT];
    for (int i = 0, number = 0; i < COUNT; i++, number = (number + STEP) % COUNT) {
        tick_make(&ticks[number], &c, number);
        loop_arm(ticks[number].timer, 1 + number);
    }
    for (int i = 0; i < COUNT; i += 3)
        loop_remove(ticks[i].timer);
    round_of(*state);
    int at = 0;
    for (int i = 0; i < COUNT; i++)
        if (i % 3 != 0)
            assert_int_equal(c.order[at++], i);
    assert_int_equal(c.count, at);
}

static void the_loops_descriptor_tells_of_timers(void **state)
{
    struct clockwork c = {.loop = *state};
    struct tick tick;
    tick_make(&tick, &c, 0);
    struct pollfd p = {.fd = loop_fd(*state), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 0);
    loop_arm_in(tick.timer, 5);
    assert_int_equal(poll(&p, 1, -1), 1);
    round_of(*state);
    assert_int_equal(c.count, 1);
    assert_int_equal(poll(&p, 1, 0), 0);
}

/* --- signals and processes --- */

struct seen {
    struct loop *loop;
    struct loop_source *source;
    int count;
    int last;
};

static void on_signal(void *user, int signal_number)
{
    struct seen *seen = user;
    seen->count++;
    seen->last = signal_number;
}

static void takes_signals(void **state)
{
    struct seen one = {0}, two = {0};
    one.source = loop_add_signal(*state, SIGUSR1, on_signal, &one);
    two.source = loop_add_signal(*state, SIGUSR2, on_signal, &two);
    round_of(*state);
    assert_int_equal(one.count, 0);
    raise(SIGUSR1);
    round_of(*state);
    round_of(*state);
    assert_int_equal(one.count, 1);
    assert_int_equal(one.last, SIGUSR1);
    raise(SIGUSR1);
    raise(SIGUSR2);
    round_of(*state);
    assert_int_equal(one.count, 2);
    assert_int_equal(two.count, 1);
    assert_int_equal(two.last, SIGUSR2);
    raise(SIGUSR1);
    loop_remove(one.source); /* a pending one must not strike */
    round_of(*state);
    assert_int_equal(one.count, 2);
}

static void on_signal_remove(void *user, int signal_number)
{
    struct seen *seen = user;
    on_signal(seen, signal_number);
    loop_remove(seen->source);
}

static void a_signal_callback_removes_itself(void **state)
{
    struct seen seen = {0};
    seen.source = loop_add_signal(*state, SIGUSR2, on_signal_remove, &seen);
    raise(SIGUSR2);
    round_of(*state);
    assert_int_equal(seen.count, 1);
}

static void on_exit_once(void *user)
{
    struct seen *seen = user;
    seen->count++;
    loop_stop(seen->loop);
}

static void tells_once_that_a_process_ended(void **state)
{
    int hold[2];
    assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        close(hold[1]);
        _exit(read(hold[0], &c, 1) == 0 ? 7 : 8);
    }
    auto_close int pidfd = pidfd_open(pid, 0);
    struct seen seen = {.loop = *state};
    struct loop_source *source = loop_add_pidfd(*state, pidfd, on_exit_once, &seen);
    round_of(*state);
    assert_int_equal(seen.count, 0);
    close(hold[0]);
    close(hold[1]);
    loop_run(*state);
    round_of(*state);
    assert_int_equal(seen.count, 1);
    loop_remove(source);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid); /* was not reaped */
    assert_int_equal(WEXITSTATUS(status), 7);
}

/* --- the loop --- */

static void stops(void **state)
{
    assert_false(loop_is_stopped(*state));
    loop_stop(*state);
    assert_true(loop_is_stopped(*state));
    loop_run(*state);
}

static void frees_what_is_left(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct end end;
    struct clockwork c = {.loop = loop};
    struct tick tick;
    end_open(&end, loop, on_readable);
    tick_make(&tick, &c, 0);
    loop_arm_in(tick.timer, 1000);
    loop_add_signal(loop, SIGUSR1, on_signal, NULL);
    loop_remove(NULL);
    int epoll_fd = loop_fd(loop);
    loop_free(loop);
    loop_free(NULL);
    assert_int_equal(fcntl(epoll_fd, F_GETFD), -1);
    assert_int_not_equal(fcntl(end.fds[0], F_GETFD), -1); /* is the caller's */
    end.source = NULL;
    end_close(&end);
}

static int count_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void leaves_no_descriptor_open(void **state)
{
    (void)state;
    int before = count_fds();
    frees_what_is_left(state);
    assert_int_equal(count_fds(), before);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, make_loop, free_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(tells_what_is_readable),
        WITH_LOOP(changes_events),
        WITH_LOOP(a_callback_removes_itself),
        WITH_LOOP(a_callback_removes_another),
        WITH_LOOP(a_new_source_gets_no_old_events),
        WITH_LOOP(a_callback_silences_another),
        WITH_LOOP(serves_many),
        WITH_LOOP(timers_fire_once_in_order),
        WITH_LOOP(a_timer_waits_for_its_deadline),
        WITH_LOOP(an_unarmed_timer_is_silent),
        WITH_LOOP(a_timer_may_arm_itself_and_starves_nobody),
        WITH_LOOP(a_timer_disarms_and_removes_others),
        WITH_LOOP(many_timers_keep_their_order),
        WITH_LOOP(the_loops_descriptor_tells_of_timers),
        WITH_LOOP(takes_signals),
        WITH_LOOP(a_signal_callback_removes_itself),
        WITH_LOOP(tells_once_that_a_process_ended),
        WITH_LOOP(stops),
        cmocka_unit_test(frees_what_is_left),
        cmocka_unit_test(leaves_no_descriptor_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
