/* Somebody who starts a launch and writes down its events; for the tests of launchers, which
 * include it. */
#include "base/buf.h"
#include "base/loop.h"
#include "base/mem.h"
#include "kernel-gateway/launch/launch.h"

struct watch {
    struct loop *loop;
    struct launch *launch;
    struct buf output[3]; /* by descriptor; 0 is not used */
    size_t calls;         /* of output */
    int ended;
    struct launch_end end;
    const char *stop_at; /* stops the loop when descriptor 1 has said this */
    bool free_in_output, free_in_ended;
};

static void watch_output(void *user, int fd, const char *data, size_t len)
{
    struct watch *watch = user;

    assert_true(fd == 1 || fd == 2);
    assert_int_equal(watch->ended, 0);
    buf_put(&watch->output[fd], data, len);
    watch->calls++;
    if (watch->stop_at && strstr(buf_text(&watch->output[1]), watch->stop_at))
        loop_stop(watch->loop);
    if (watch->free_in_output) {
        launch_free(take_ptr(&watch->launch));
        loop_stop(watch->loop);
    }
}

static void watch_ended(void *user, const struct launch_end *end)
{
    struct watch *watch = user;

    watch->ended++;
    watch->end = *end;
    if (watch->free_in_ended)
        launch_free(take_ptr(&watch->launch));
    loop_stop(watch->loop);
}

static const struct launch_events watch_events = {watch_output, watch_ended};

static int watch_try(struct watch *watch, const struct launch_place *place,
                     const struct launch_program *program, struct err *e)
{
    watch->loop = loop_new();
    return launch_start(&watch->launch, watch->loop, place, program, &watch_events, watch, e);
}

static void watch_start(struct watch *watch, const struct launch_place *place,
                        const struct launch_program *program)
{
    struct err e;

    if (watch_try(watch, place, program, &e) < 0)
        fail_msg("%s: %s", err_name(e.code), e.text);
}

/* Goes on, after a stop too, until the program has ended. */
static void watch_to_the_end(struct watch *watch)
{
    watch->stop_at = NULL;
    while (!watch->ended)
        loop_dispatch(watch->loop, -1);
}

static void watch_clear(struct watch *watch)
{
    launch_free(watch->launch);
    loop_free(watch->loop);
    buf_clear(&watch->output[1]);
    buf_clear(&watch->output[2]);
    *watch = (struct watch){0};
}
