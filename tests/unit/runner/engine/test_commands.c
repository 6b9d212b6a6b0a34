#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "runner/engine/commands.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>

static int set_up(void **state)
{
    *state = command_queue_new();
    return 0;
}

static int tear_down(void **state)
{
    command_queue_free(*state);
    return 0;
}

static int put(struct command_queue *queue, int64_t number, struct err *e)
{
    struct command *command = mem_zalloc(sizeof *command);

    command->kind = COMMAND_REMOVED;
    command->run = number;
    return command_queue_put(queue, command, e);
}

static void put_many(struct command_queue *queue, int64_t first, int64_t last)
{
    struct err e;

    for (int64_t i = first; i <= last; i++)
        assert_int_equal(put(queue, i, &e), 0);
}

/* Takes up to `limit`, which must be those from `first` to `last`. */
static void check_taken(struct command_queue *queue, uint32_t limit, int64_t first, int64_t last)
{
    struct command *command = command_queue_take(queue, limit);

    while (command) {
        struct command *next = command->next;
        assert_int_equal(command->run, first++);
        command_answer(command);
        command = next;
    }
    assert_int_equal(first, last + 1);
}

static bool is_readable(const struct command_queue *queue)
{
    struct pollfd fd = {command_queue_fd(queue), POLLIN, 0};

    return poll(&fd, 1, 0) == 1;
}

static void commands_come_out_as_they_went_in(void **state)
{
    struct command_queue *queue = *state;

    check_taken(queue, 10, 1, 0);
    put_many(queue, 1, 5);
    check_taken(queue, 2, 1, 2);
    put_many(queue, 6, 7);
    check_taken(queue, UINT32_MAX, 3, 7);
    check_taken(queue, UINT32_MAX, 1, 0);
    put_many(queue, 8, 8);
    check_taken(queue, 0, 1, 0);
    check_taken(queue, 1, 8, 8);
}

static void the_descriptor_tells_whether_there_are_any(void **state)
{
    struct command_queue *queue = *state;

    for (int round = 0; round < 3; round++) {
        assert_false(is_readable(queue));
        put_many(queue, 1, 3);
        assert_true(is_readable(queue));
        check_taken(queue, 2, 1, 2);
        assert_true(is_readable(queue)); /* one is left */
        put_many(queue, 4, 4);
        check_taken(queue, 2, 3, 4);
    }
    assert_false(is_readable(queue));
}

static void one_too_many_is_refused(void **state)
{
    struct command_queue *queue = *state;
    int64_t count = 0;
    struct err e;

    while (put(queue, count + 1, &e) == 0)
        assert_true(++count <= 100000);
    assert_int_equal(e.code, ERR_LIMIT);
    assert_true(count >= 1000);
    check_taken(queue, 1, 1, 1);
    assert_int_equal(put(queue, count + 1, &e), 0); /* there is room again, for one */
    assert_int_equal(put(queue, count + 2, &e), -1);
    check_taken(queue, UINT32_MAX, 2, count + 1);
}

static void a_closed_queue_takes_nothing_and_gives_what_it_has(void **state)
{
    struct command_queue *queue = *state;
    struct err e;

    put_many(queue, 1, 2);
    command_queue_close(queue);
    assert_int_equal(put(queue, 3, &e), -1);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    check_taken(queue, UINT32_MAX, 1, 2);
    command_queue_close(queue);
    assert_int_equal(put(queue, 3, &e), -1);
}

/* --- what belongs to a command --- */

struct answer {
    int calls;
    bool has_error, is_repeated;
    struct err error;
    char run_uuid[37];
};

static void note(void *user, const struct engine_reply *reply)
{
    struct answer *answer = user;

    answer->calls++;
    answer->has_error = reply->error != NULL;
    if (reply->error)
        answer->error = *reply->error;
    answer->is_repeated = reply->is_repeated;
    memcpy(answer->run_uuid, reply->run_uuid, sizeof answer->run_uuid);
}

static struct command *full_command(struct answer *answer)
{
    struct command *command = mem_zalloc(sizeof *command);

    command->kind = COMMAND_SUBMIT;
    command->submission = mem_zalloc(sizeof *command->submission);
    command->key.key = mem_strdup("a key");
    command->run_uuid = uuid_from_name("run");
    command->done = note;
    command->user = answer;
    return command;
}

static void an_answer_says_what_became_of_it(void **state)
{
    struct answer done = {0}, refused = {0};
    struct command *command = full_command(&done);

    (void)state;
    command->is_repeated = true;
    command_answer(command);
    assert_int_equal(done.calls, 1);
    assert_false(done.has_error);
    assert_true(done.is_repeated);
    assert_string_equal(done.run_uuid, uuid_from_name("run").text);

    command = full_command(&refused);
    command->is_refused = true;
    err_set(&command->refusal, ERR_CONFLICT, "no");
    command_answer(command);
    assert_int_equal(refused.calls, 1);
    assert_true(refused.has_error);
    assert_int_equal(refused.error.code, ERR_CONFLICT);
    assert_string_equal(refused.error.text, "no");
    assert_false(refused.is_repeated);
}

/* What was refused at the door belongs to nobody any more, and its `done` is not called. */
static void what_is_not_taken_is_not_answered(void **state)
{
    struct answer answer = {0};
    struct err e;

    command_queue_close(*state);
    assert_int_equal(command_queue_put(*state, full_command(&answer), &e), -1);
    assert_int_equal(answer.calls, 0);
}

/* --- from many threads --- */

enum { THREADS = 8, EACH = 5000 };

struct poster {
    pthread_t thread;
    struct command_queue *queue;
    int64_t number;
    int64_t posted;
};

/* Again when there are too many; until it is closed. */
static void *post(void *user)
{
    struct poster *poster = user;
    struct err e = {0};

    while (poster->posted < EACH && e.code != ERR_UNAVAILABLE)
        if (put(poster->queue, poster->number * EACH + poster->posted, &e) == 0)
            poster->posted++;
    return NULL;
}

static void start(struct poster *posters, struct command_queue *queue)
{
    for (int i = 0; i < THREADS; i++) {
        posters[i] = (struct poster){.queue = queue, .number = i};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post, &posters[i]), 0);
    }
}

/* Each thread's in its order. Gives how many. */
static int64_t take(struct command_queue *queue, uint32_t limit, int64_t next[THREADS])
{
    struct command *command = command_queue_take(queue, limit);
    int64_t count = 0;

    for (; command; count++) {
        struct command *following = command->next;
        assert_int_equal(command->run % EACH, next[command->run / EACH]++);
        command_answer(command);
        command = following;
    }
    return count;
}

static void many_threads_ask(void **state)
{
    struct poster posters[THREADS];
    int64_t next[THREADS] = {0}, taken = 0;
    struct pollfd fd = {command_queue_fd(*state), POLLIN, 0};

    start(posters, *state);
    while (taken < THREADS * EACH) {
        assert_int_equal(poll(&fd, 1, 60000), 1); /* a missed wake-up would wait for ever */
        taken += take(*state, 300, next);
    }
    assert_int_equal(poll(&fd, 1, 0), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(posters[i].thread, NULL);
        assert_int_equal(next[i], EACH);
    }
}

/* What was taken in before it is closed is all that there is. */
static void it_is_closed_while_many_ask(void **state)
{
    struct poster posters[THREADS];
    int64_t next[THREADS] = {0}, taken = 0, posted = 0;

    start(posters, *state);
    while (taken < EACH)
        taken += take(*state, 100, next);
    command_queue_close(*state);
    taken += take(*state, UINT32_MAX, next);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(posters[i].thread, NULL);
        posted += posters[i].posted;
    }
    assert_int_equal(take(*state, UINT32_MAX, next), 0);
    assert_int_equal(taken, posted);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(commands_come_out_as_they_went_in),
        TEST(the_descriptor_tells_whether_there_are_any),
        TEST(one_too_many_is_refused),
        TEST(a_closed_queue_takes_nothing_and_gives_what_it_has),
        TEST(an_answer_says_what_became_of_it),
        TEST(what_is_not_taken_is_not_answered),
        TEST(many_threads_ask),
        TEST(it_is_closed_while_many_ask),
    };

    command_queue_free(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
