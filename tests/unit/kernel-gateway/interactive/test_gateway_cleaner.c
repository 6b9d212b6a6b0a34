#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/child.h"
#include "kernel-gateway/interactive/gateway_cleaner.h"
#include "tests/unit/base/scratch.c"

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

struct world {
    char *root, *directory, *sockets, *docker;
    int wake_fd;
    struct gateway_cleaner *cleaner;
};

static int set_up(void **at)
{
    struct world *world = mem_zalloc(sizeof *world);

    alarm(60); /* fails where it would wait for ever */
    world->root = scratch_new();
    world->directory = fs_join(world->root, "kernel");
    world->sockets = fs_join(world->root, "k/mark");
    world->docker = fs_join(world->root, "docker.sock");
    scratch_put(world->directory, "interactive.json", "{}");
    scratch_put(world->sockets, "s/shell", "");
    auto_free char *host = mem_printf("unix://%s", world->docker);
    setenv("DOCKER_HOST", host, 1);
    world->wake_fd = eventfd(0, EFD_CLOEXEC);
    world->cleaner = gateway_cleaner_new(world->wake_fd, 1);
    *at = world;
    return 0;
}

static int tear_down(void **at)
{
    struct world *world = *at;

    gateway_cleaner_free(world->cleaner);
    close(world->wake_fd);
    scratch_free(world->root);
    free(world->directory);
    free(world->sockets);
    free(world->docker);
    free(world);
    alarm(0);
    return 0;
}

static void add(struct world *world, enum launcher_kind launcher, const char *mark, void *kernel)
{
    struct gateway_leavings leavings = {
        .launcher = launcher,
        .mark = mark,
        .directory = world->directory,
        .sockets = world->sockets,
        .kernel = kernel,
    };

    gateway_cleaner_add(world->cleaner, &leavings);
}

static void *await_next(struct world *world)
{
    uint64_t count;

    assert_int_equal(read(world->wake_fd, &count, sizeof count), (ssize_t)sizeof count);
    return gateway_cleaner_next(world->cleaner);
}

static void what_is_marked_is_ended_and_files_are_removed(void **at)
{
    struct world *world = *at;
    struct child_options options = {
        .argv = (const char *const[]){"/bin/sleep", "1000", NULL},
        .env = (const char *const[]){"SEGUE_ATTEMPT=cleanertst", NULL},
    };
    struct child child;
    struct err e;
    int status;

    assert_int_equal(child_start(&options, &child, &e), 0);
    add(world, LAUNCHER_PROCESS, "cleanertst", world);
    assert_ptr_equal(await_next(world), world);
    assert_null(gateway_cleaner_next(world->cleaner));
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    assert_true(WIFSIGNALED(status));
    assert_false(fs_exists(world->directory));
    assert_false(fs_exists(world->sockets));
    close(child.pidfd);
}

static void answer_docker(int client)
{
    char request[4096] = "";

    if (recv(client, request, sizeof request - 1, 0) <= 0)
        return;
    const char *body = strstr(request, " /version ") ? "{\"ApiVersion\":\"1.41\"}" : "[]";
    dprintf(client, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
            strlen(body), body);
}

/* An engine that has no containers. */
static void *serve_docker(void *user)
{
    const int *listen_fd = user;
    int client;

    while ((client = accept(*listen_fd, NULL, NULL)) >= 0) {
        answer_docker(client);
        close(client);
    }
    return NULL;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static void what_cannot_be_ended_stays_until_it_can(void **at)
{
    struct world *world = *at;
    pthread_t thread;

    add(world, LAUNCHER_DOCKER, "cleanertst", world); /* no engine answers there */
    assert_ptr_equal(await_next(world), world);
    assert_true(fs_exists(world->directory));
    assert_true(fs_exists(world->sockets));

    int listen_fd = listen_at(world->docker);
    assert_int_equal(pthread_create(&thread, NULL, serve_docker, &listen_fd), 0);
    while (fs_exists(world->directory))
        sched_yield();
    assert_false(fs_exists(world->sockets));
    assert_null(gateway_cleaner_next(world->cleaner)); /* it was given back already */
    shutdown(listen_fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listen_fd);
}

static void what_is_left_to_do_at_the_end_stays(void **at)
{
    struct world *world = *at;

    add(world, LAUNCHER_DOCKER, "cleanertst", world);
    assert_ptr_equal(await_next(world), world);
    gateway_cleaner_free(take_ptr(&world->cleaner));
    assert_true(fs_exists(world->directory));
}

static void what_nobody_waits_for_is_not_given_back(void **at)
{
    struct world *world = *at;

    add(world, LAUNCHER_PROCESS, "cleanertst", NULL);
    while (fs_exists(world->directory))
        sched_yield();
    add(world, LAUNCHER_PROCESS, "cleanertst", world);
    assert_ptr_equal(await_next(world), world);
    assert_null(gateway_cleaner_next(world->cleaner));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_marked_is_ended_and_files_are_removed),
        TEST(what_cannot_be_ended_stays_until_it_can),
        TEST(what_is_left_to_do_at_the_end_stays),
        TEST(what_nobody_waits_for_is_not_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
