/* The gateway's thread, and the way to it: a queue of commands and an eventfd. */
#include "kernel-gateway/interactive/gateway.h"

#include "base/fs.h"
#include "base/id.h"
#include "base/mem.h"
#include "kernel-gateway/interactive/gateway_private.h"

#include <assert.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sysinfo.h>

/* A client waits for each of these; who asks when so many wait is better told to come again. */
#define COMMANDS_MAX 1000

/* A few hundred kernels are some 10 GB. */
#define DEFAULT_KERNELS 200

#define DEFAULT_ANSWER_MS 30000

/* A keeper asks its kernel to end, then terminates and kills it, all of which takes it under 10 s;
 * one that has not ended by then is beyond asking. */
#define DEFAULT_SHUTDOWN_MS 15000

/* Docker's engine is back within minutes or within hours. */
#define CLEAN_RETRY_MS 20000

/* --- commands --- */

static void wake(const struct gateway *gateway)
{
    uint64_t one = 1;

    (void)!write(gateway->wake_fd, &one, sizeof one);
}

static int try_put(struct gateway *gateway, struct gateway_command *command, struct err *e)
{
    if (gateway->is_closing)
        return err_set(e, ERR_UNAVAILABLE, "the service is stopping");
    if (gateway->command_count >= COMMANDS_MAX)
        return err_set(e, ERR_LIMIT, "%zu requests are waiting already", gateway->command_count);
    /* In the same breath: nobody can ask for what a kernel shall do before it is begun. */
    if (command->kernel && gateway_table_add(gateway, command->kernel, e) < 0)
        return -1;
    *gateway->commands_end = command;
    gateway->commands_end = &command->next;
    gateway->command_count++;
    return 0;
}

static void command_free(struct gateway_command *command)
{
    free(command->id);
    free(command);
}

static void put(struct gateway *gateway, const struct gateway_command *take_values)
{
    struct gateway_command *command = mem_alloc(sizeof *command);
    struct err e;

    *command = *take_values;
    pthread_mutex_lock(&gateway->mutex);
    int result = try_put(gateway, command, &e);
    pthread_mutex_unlock(&gateway->mutex);
    if (result == 0) {
        wake(gateway);
        return;
    }
    command->answer(command->user, NULL, &e);
    if (command->kernel)
        gateway_kernel_free(command->kernel);
    command_free(command);
}

static struct gateway_command *take_all(struct gateway *gateway)
{
    pthread_mutex_lock(&gateway->mutex);
    struct gateway_command *first = gateway->commands;
    gateway->commands = NULL;
    gateway->commands_end = &gateway->commands;
    gateway->command_count = 0;
    pthread_mutex_unlock(&gateway->mutex);
    return first;
}

static void obey_by_id(struct gateway *gateway, const struct gateway_command *command)
{
    struct gateway_kernel *kernel = gateway_table_find(gateway, command->id);
    struct err e;

    if (!kernel) {
        err_set(&e, ERR_NOT_FOUND, "there is no kernel \"%s\"", command->id);
        command->answer(command->user, NULL, &e);
        return;
    }
    switch (command->kind) {
    case GATEWAY_START:
        break;
    case GATEWAY_INTERRUPT:
        gateway_kernel_interrupt(kernel, command->answer, command->user);
        break;
    case GATEWAY_RESTART:
        gateway_kernel_restart(kernel, command->answer, command->user);
        break;
    case GATEWAY_SHUTDOWN:
        gateway_kernel_shutdown(kernel, command->answer, command->user);
        break;
    }
}

static void obey(struct gateway *gateway, const struct gateway_command *command)
{
    if (command->kind == GATEWAY_START)
        gateway_kernel_start(command->kernel, command->answer, command->user);
    else
        obey_by_id(gateway, command);
}

/* --- the thread --- */

static bool is_closing(struct gateway *gateway)
{
    pthread_mutex_lock(&gateway->mutex);
    bool result = gateway->is_closing;
    pthread_mutex_unlock(&gateway->mutex);
    return result;
}

static void on_wake(void *user, uint32_t events)
{
    struct gateway *gateway = user;
    struct gateway_command *next;
    struct gateway_kernel *kernel;
    uint64_t count;

    (void)events;
    (void)!read(gateway->wake_fd, &count, sizeof count);
    if (is_closing(gateway)) {
        loop_stop(gateway->loop);
        return;
    }
    while ((kernel = gateway_cleaner_next(gateway->cleaner)))
        gateway_kernel_finish(kernel);
    for (struct gateway_command *command = take_all(gateway); command; command = next) {
        next = command->next;
        obey(gateway, command);
        command_free(command);
    }
}

static void on_cull(void *user)
{
    struct gateway *gateway = user;

    gateway_cull(gateway);
    loop_arm_in(gateway->cull_timer, gateway_cull_interval_ms(&gateway->culling));
}

static void answer_too_late(struct gateway *gateway)
{
    struct gateway_command *next;
    struct err e;

    err_set(&e, ERR_UNAVAILABLE, "the service is stopping");
    for (struct gateway_command *command = take_all(gateway); command; command = next) {
        next = command->next;
        command->answer(command->user, NULL, &e);
        command_free(command);
    }
}

static void *run(void *user)
{
    struct gateway *gateway = user;
    struct gateway_kernel *kernel;

    loop_run(gateway->loop);
    answer_too_late(gateway);
    while ((kernel = gateway_table_at(gateway, 0))) {
        gateway_table_remove(gateway, kernel);
        gateway_kernel_let_go(kernel);
    }
    return NULL;
}

/* --- life --- */

static struct gateway_limits limits_of(struct gateway_limits limits)
{
    if (limits.kernels == 0)
        limits.kernels = DEFAULT_KERNELS;
    if (limits.kernels_per_user == 0)
        limits.kernels_per_user = limits.kernels;
    if (limits.starting == 0)
        limits.starting = (uint32_t)get_nprocs();
    if (limits.answer_ms == 0)
        limits.answer_ms = DEFAULT_ANSWER_MS;
    if (limits.shutdown_ms == 0)
        limits.shutdown_ms = DEFAULT_SHUTDOWN_MS;
    return limits;
}

static struct gateway *gateway_new(const struct gateway_options *options)
{
    struct gateway *gateway = mem_zalloc(sizeof *gateway);

    *gateway = (struct gateway){
        .directory = mem_strdup(options->directory),
        .sockets = mem_strdup(options->sockets),
        .limits = limits_of(options->limits),
        .culling = options->culling,
        .event = options->event,
        .event_user = options->event_user,
        .loop = loop_new(),
        .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    if (gateway->wake_fd < 0)
        abort();
    pthread_mutex_init(&gateway->mutex, NULL);
    gateway->commands_end = &gateway->commands;
    loop_add_fd(gateway->loop, gateway->wake_fd, EPOLLIN, on_wake, gateway);
    gateway->cull_timer = loop_add_timer(gateway->loop, on_cull, gateway);
    loop_arm_in(gateway->cull_timer, gateway_cull_interval_ms(&gateway->culling));
    return gateway;
}

static void gateway_free(struct gateway *gateway)
{
    gateway_cleaner_free(gateway->cleaner);
    nursery_free(gateway->nursery);
    loop_free(gateway->loop);
    close(gateway->wake_fd);
    pthread_mutex_destroy(&gateway->mutex);
    free(gateway->kernels);
    free(gateway->directory);
    free(gateway->sockets);
    free(gateway);
}

/* Signals are for other threads. */
static void start_threads(struct gateway *gateway)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    gateway->cleaner = gateway_cleaner_new(gateway->wake_fd, CLEAN_RETRY_MS);
    gateway_recover(gateway);
    if (pthread_create(&gateway->thread, NULL, run, gateway) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The nursery first: before there are threads. */
int gateway_open(struct gateway **ret_gateway, const struct gateway_options *options, struct err *e)
{
    struct gateway *gateway = gateway_new(options);

    if (nursery_start(&gateway->nursery, options->nursery_argv, e) < 0 ||
        fs_mkdirs(options->directory, 0700, e) < 0) {
        gateway_free(gateway);
        return err_prefix(e, "cannot open the kernel gateway");
    }
    start_threads(gateway);
    *ret_gateway = gateway;
    return 0;
}

void gateway_close(struct gateway *gateway)
{
    if (!gateway)
        return;
    pthread_mutex_lock(&gateway->mutex);
    gateway->is_closing = true;
    pthread_mutex_unlock(&gateway->mutex);
    wake(gateway);
    pthread_join(gateway->thread, NULL);
    gateway_free(gateway);
}

/* --- wishes --- */

/* Into the kernel's container. */
static void mount_sockets(struct interactive_task *task)
{
    assert(task->mount_count < INTERACTIVE_MOUNTS_MAX);
    task->mounts[task->mount_count++] = (struct interactive_mount){
        .host = mem_strdup(task->socket_dir), .inside = mem_strdup(task->socket_dir_inside)};
}

void gateway_start(struct gateway *gateway, struct interactive_task *take_task,
                   gateway_answer_fn *answer, void *user)
{
    char mark[11];
    struct err e;

    if (!uuid_is_valid(take_task->kernel_id)) { /* it becomes the name of a directory */
        err_set(&e, ERR_INVALID, "\"%s\" is no uuid", take_task->kernel_id);
        interactive_task_clear(take_task);
        answer(user, NULL, &e);
        return;
    }
    keeper_mark(mark);
    take_task->mark = mem_strdup(mark);
    take_task->socket_dir = mem_printf("%s/%s/s", gateway->sockets, mark);
    if (take_task->socket_dir_inside)
        mount_sockets(take_task);
    put(gateway, &(struct gateway_command){
                     .kind = GATEWAY_START,
                     .kernel = gateway_kernel_new(gateway, take_task),
                     .answer = answer,
                     .user = user,
                 });
}

static void put_by_id(struct gateway *gateway, enum gateway_command_kind kind, const char *id,
                      gateway_answer_fn *answer, void *user)
{
    put(gateway, &(struct gateway_command){
                     .kind = kind,
                     .id = mem_strdup(id),
                     .answer = answer,
                     .user = user,
                 });
}

void gateway_interrupt(struct gateway *gateway, const char *id, gateway_answer_fn *answer,
                       void *user)
{
    put_by_id(gateway, GATEWAY_INTERRUPT, id, answer, user);
}

void gateway_restart(struct gateway *gateway, const char *id, gateway_answer_fn *answer, void *user)
{
    put_by_id(gateway, GATEWAY_RESTART, id, answer, user);
}

void gateway_shutdown(struct gateway *gateway, const char *id, gateway_answer_fn *answer,
                      void *user)
{
    put_by_id(gateway, GATEWAY_SHUTDOWN, id, answer, user);
}
