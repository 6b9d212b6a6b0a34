#include "runner/engine/step_kernels.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "kernel-gateway/keeper/keeper.h"
#include "kernel-gateway/keeper/packet.h"
#include "runner/step/step_news.h"
#include "runner/step/task.h"

#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Keepers answer at once, but for one that waits for Docker's engine to start its container. */
#define NEWS_LIMIT_MS 200

/* A kernel that is asked to end does so in less; whoever waits has something else to do. */
#define RELEASE_LIMIT_MS 2000

#define NEWS_MAX 4096

void step_kernel_clear(struct step_kernel *kernel)
{
    free(kernel->id);
    free(kernel->name);
    free(kernel->run_uuid);
    free(kernel->step_uuid);
    free(kernel->project_dir);
    free(kernel->source);
    free(kernel->launcher);
    free(kernel->image);
    free(kernel->environment);
    free(kernel->socket_path);
    *kernel = (struct step_kernel){0};
}

/* --- its keeper --- */

/* Nobody but a keeper that lives listens there. */
static int connect_to(const char *path, struct err *e)
{
    int fd = packet_connect(path, 0);

    if (fd >= 0)
        return fd;
    if (errno == ENOENT || errno == ECONNREFUSED)
        return err_set(e, ERR_NOT_FOUND, "the step has ended");
    return err_set(e, ERR_UNAVAILABLE, "the step's keeper does not listen: %s", strerror(errno));
}

static int tell(int fd, const char *command, struct err *e)
{
    if (send(fd, command, strlen(command), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 0;
    return err_set(e, ERR_UNAVAILABLE, "the step's keeper does not listen: %s", strerror(errno));
}

/* A packet's length, 0: it has ended, -1: nothing until then. */
static ssize_t hear(int fd, msec deadline, char packet[NEWS_MAX])
{
    struct pollfd hears = {.fd = fd, .events = POLLIN};
    msec left = deadline - clock_mono();

    if (poll(&hears, 1, left > 0 ? (int)left : 0) <= 0)
        return -1;
    ssize_t got = recv(fd, packet, NEWS_MAX, MSG_DONTWAIT);
    return got < 0 && errno != EAGAIN ? 0 : got;
}

/* --- finding --- */

/* Where the link of a mark leads to; free() it. NULL: nowhere any more. */
static char *directory_of(const struct state *state, const char *mark)
{
    auto_free char *sockets = state_socket_dir(state, mark);
    auto_free char *link = fs_join(sockets, KEEPER_ATTEMPT);
    char directory[PATH_MAX];
    ssize_t len = readlink(link, directory, sizeof directory);

    return len > 0 && len < PATH_MAX ? mem_strndup(directory, (size_t)len) : NULL;
}

static int64_t written_us(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 ? 0 : st.st_mtim.tv_sec * 1000000ll + st.st_mtim.tv_nsec / 1000;
}

/* The keeper of an interactive kernel has another file in its directory. */
static bool is_notebook(struct task *task, const char *directory, int64_t *ret_created_us)
{
    auto_free char *path = fs_join(directory, TASK_FILE);
    struct err ignored;

    *ret_created_us = written_us(path);
    if (*ret_created_us == 0 || task_read(task, directory, &ignored) < 0)
        return false;
    if (task->kind == STEP_NOTEBOOK)
        return true;
    task_clear(task);
    return false;
}

static struct uuid id_of(const char *mark)
{
    auto_free char *name = mem_printf("segue.attempt.%s", mark);

    return uuid_from_name(name);
}

static struct step_kernel from_task(const struct task *task, char *take_socket_path,
                                    int64_t created_us)
{
    return (struct step_kernel){
        .id = mem_strdup(id_of(task->attempt_id).text),
        .name = mem_strdup(task->kernelspec ? task->kernelspec : ""),
        .run_uuid = mem_strdup(task->run_uuid),
        .step_uuid = mem_strdup(task->step_uuid),
        .project_dir = mem_strdup(task->project_dir),
        .source = mem_strdup(task->source),
        .launcher = mem_strdup(task->launcher),
        .image = mem_strdup(task->image),
        .environment = mem_strdup(task->environment),
        .socket_path = take_socket_path,
        .attempt = (uint32_t)task->number,
        .created_us = created_us,
        .news = {.last_activity_us = created_us},
    };
}

/* A descriptor to the kernel's keeper; -1: there is no step with a kernel under this mark. */
static int look(const struct state *state, const char *mark, struct step_kernel *ret_kernel)
{
    auto_free char *directory = directory_of(state, mark);
    auto_free char *sockets = state_socket_dir(state, mark);
    auto_free char *path = fs_join(sockets, KEEPER_SOCKET);
    struct err ignored;
    struct task task;
    int64_t created_us;

    if (!directory)
        return -1;
    auto_close int fd = connect_to(path, &ignored);
    if (fd < 0 || !is_notebook(&task, directory, &created_us))
        return -1;
    *ret_kernel = from_task(&task, take_ptr(&path), created_us);
    task_clear(&task);
    return take_fd(&fd);
}

/* One that has not told anything in time is as it was made: starting. */
static void hear_news(struct step_kernel *kernel, int fd, msec deadline)
{
    char packet[NEWS_MAX];
    ssize_t got = hear(fd, deadline, packet);
    struct step_news news;
    struct err ignored;

    if (got <= 0 || step_news_parse(&news, (struct str){packet, (size_t)got}, &ignored) < 0 ||
        !news.has_kernel)
        return;
    kernel->is_kept = news.is_kept;
    kernel->news = news.kernel;
    if (kernel->news.last_activity_us == 0)
        kernel->news.last_activity_us = kernel->created_us;
    if (!*news.kernel_name)
        return;
    free(kernel->name);
    kernel->name = mem_strdup(news.kernel_name);
}

static int by_age(const void *a, const void *b)
{
    const struct step_kernel *first = a, *second = b;

    return first->created_us != second->created_us
               ? (first->created_us > second->created_us) - (first->created_us < second->created_us)
               : strcmp(first->id, second->id);
}

/* Kernels that were found, and their keepers' sockets. */
struct found {
    struct step_kernel *kernels;
    int *fds;
    size_t count, kernel_capacity, fd_capacity;
};

static void look_for_all(const struct state *state, struct found *found)
{
    auto_free char *directory = fs_join(state->dir, "k");
    DIR *entries = opendir(directory);

    if (!entries)
        return;
    for (struct dirent *entry; (entry = readdir(entries));) {
        if (entry->d_name[0] == '.')
            continue;
        mem_grow(found->kernels, found->count, found->kernel_capacity);
        mem_grow(found->fds, found->count, found->fd_capacity);
        int fd = look(state, entry->d_name, &found->kernels[found->count]);
        if (fd >= 0)
            found->fds[found->count++] = fd;
    }
    closedir(entries);
}

size_t step_kernels_list(const struct state *state, struct step_kernel **ret_kernels)
{
    struct found found = {0};

    look_for_all(state, &found);
    msec deadline = clock_mono() + NEWS_LIMIT_MS;
    for (size_t i = 0; i < found.count; i++) {
        hear_news(&found.kernels[i], found.fds[i], deadline);
        close(found.fds[i]);
    }
    free(found.fds);
    if (found.count > 0)
        qsort(found.kernels, found.count, sizeof *found.kernels, by_age);
    *ret_kernels = found.kernels;
    return found.count;
}

bool step_kernels_find(const struct state *state, const char *id, struct step_kernel *ret_kernel)
{
    auto_free char *directory = fs_join(state->dir, "k");
    DIR *entries = opendir(directory);
    auto_close int fd = -1;

    if (!entries)
        return false;
    for (struct dirent *entry; fd < 0 && (entry = readdir(entries));)
        if (entry->d_name[0] != '.' && strcmp(id_of(entry->d_name).text, id) == 0)
            fd = look(state, entry->d_name, ret_kernel);
    closedir(entries);
    if (fd < 0)
        return false;
    hear_news(ret_kernel, fd, clock_mono() + NEWS_LIMIT_MS);
    return true;
}

/* --- telling --- */

int step_kernel_tell(const struct step_kernel *kernel, const char *command, struct err *e)
{
    auto_close int fd = connect_to(kernel->socket_path, e);

    return fd < 0 ? -1 : tell(fd, command, e);
}

bool step_kernel_release(const char *socket_path)
{
    char packet[NEWS_MAX];
    struct err e;
    auto_close int fd = connect_to(socket_path, &e);
    msec deadline = clock_mono() + RELEASE_LIMIT_MS;
    ssize_t got;

    if (fd < 0)
        return e.code == ERR_NOT_FOUND;
    tell(fd, "release", &e);
    while ((got = hear(fd, deadline, packet)) > 0)
        ;
    return got == 0;
}
