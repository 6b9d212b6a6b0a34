#include "runner/engine/commands.h"

#include "base/mem.h"

#include <pthread.h>
#include <sys/eventfd.h>

/* Clients wait for each of these; who asks when so many wait is better told to come again. */
#define COMMANDS_MAX 10000

struct command_queue {
    pthread_mutex_t mutex;
    struct command *first, **end;
    uint32_t count;
    bool is_closed;
    int fd;
};

struct command_queue *command_queue_new(void)
{
    struct command_queue *queue = mem_zalloc(sizeof *queue);

    pthread_mutex_init(&queue->mutex, NULL);
    queue->end = &queue->first;
    queue->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->fd < 0)
        abort();
    return queue;
}

void command_queue_free(struct command_queue *queue)
{
    if (!queue)
        return;
    close(queue->fd);
    pthread_mutex_destroy(&queue->mutex);
    free(queue);
}

int command_queue_fd(const struct command_queue *queue)
{
    return queue->fd;
}

static void command_free(struct command *command)
{
    submission_free(command->submission);
    free(command->key.key);
    free(command);
}

static int try_put(struct command_queue *queue, struct command *command, struct err *e)
{
    if (queue->is_closed)
        return err_set(e, ERR_UNAVAILABLE, "the service is stopping");
    if (queue->count >= COMMANDS_MAX)
        return err_set(e, ERR_LIMIT, "%u requests are waiting already", queue->count);
    *queue->end = command;
    queue->end = &command->next;
    queue->count++;
    return 0;
}

int command_queue_put(struct command_queue *queue, struct command *take_command, struct err *e)
{
    uint64_t one = 1;

    pthread_mutex_lock(&queue->mutex);
    int result = try_put(queue, take_command, e);
    bool is_first = result == 0 && queue->count == 1;
    pthread_mutex_unlock(&queue->mutex);
    if (is_first)
        (void)!write(queue->fd, &one, sizeof one);
    if (result < 0)
        command_free(take_command);
    return result;
}

struct command *command_queue_take(struct command_queue *queue, uint32_t limit)
{
    struct command *first = NULL, **end = &first;
    uint64_t count;

    pthread_mutex_lock(&queue->mutex);
    for (; queue->first && limit > 0; limit--) {
        *end = queue->first;
        queue->first = queue->first->next;
        end = &(*end)->next;
        queue->count--;
    }
    *end = NULL;
    if (!queue->first) {
        queue->end = &queue->first;
        (void)!read(queue->fd, &count, sizeof count);
    }
    pthread_mutex_unlock(&queue->mutex);
    return first;
}

void command_queue_close(struct command_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->is_closed = true;
    pthread_mutex_unlock(&queue->mutex);
}

void command_answer(struct command *take_command)
{
    struct engine_reply reply = {
        .error = take_command->is_refused ? &take_command->refusal : NULL,
        .run_uuid = take_command->run_uuid.text,
        .is_repeated = take_command->is_repeated,
    };

    if (take_command->done)
        take_command->done(take_command->user, &reply);
    command_free(take_command);
}
