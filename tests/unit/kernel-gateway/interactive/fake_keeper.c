/* A keeper of an interactive kernel that has no kernel: it does what the name of the kernelspec
 * says, and what it is told over its socket. For the tests of the gateway, which include it.
 *
 *   good    is ready as soon as it is told to start or to restart
 *   slow    starts, and that is all
 *   dying   cannot start
 *   busy    as good, and has a process of its own that carries the mark
 *
 * "news {json}" makes these its news. What it has heard lies in its directory, a line each. */
#include "base/child.h"
#include "base/mem.h"
#include "kernel-gateway/interactive/interactive_task.h"
#include "kernel-gateway/interactive/kernel_news.h"
#include "kernel-gateway/keeper/keeper.h"
#include "tests/unit/base/scratch.c"

#include <assert.h>

struct fake_keeper {
    struct keeper *keeper;
    struct interactive_task task;
    struct kernel_news news;
    int heard;
};

static inline void fake_tell(struct fake_keeper *fake, enum kernel_activity activity)
{
    fake->news.activity = activity;
    keeper_notify(fake->keeper);
}

static inline void fake_be_ready(struct fake_keeper *fake)
{
    fake->news.starts++;
    fake->news.reason[0] = 0;
    fake_tell(fake, KERNEL_ACTIVITY_IDLE);
}

static inline void fake_launch(const struct fake_keeper *fake, const char *directory)
{
    auto_free char *mark = mem_printf("SEGUE_ATTEMPT=%s", fake->task.mark);
    struct child child;
    struct err e;
    struct child_options options = {
        .argv = (const char *const[]){"/bin/sleep", "1000", NULL},
        .env = (const char *const[]){mark, NULL},
    };

    if (child_start(&options, &child, &e) < 0)
        abort();
    auto_free char *pid = mem_printf("%d", child.pid);
    scratch_put(directory, "child", pid);
}

static inline void fake_start(struct fake_keeper *fake, const char *directory)
{
    if (fake->news.starts > 0) /* told twice */
        return;
    if (strcmp(fake->task.name, "busy") == 0)
        fake_launch(fake, directory);
    if (strcmp(fake->task.name, "dying") == 0) {
        snprintf(fake->news.reason, sizeof fake->news.reason, "no such kernel");
        fake_tell(fake, KERNEL_ACTIVITY_DEAD);
    } else if (strcmp(fake->task.name, "slow") != 0) {
        fake_be_ready(fake);
    }
}

static inline void fake_end(struct fake_keeper *fake)
{
    auto_free char *sockets = fs_dirname(fake->task.socket_dir);
    auto_free char *link = fs_join(sockets, "attempt");

    unlink(link);
    loop_stop(keeper_loop(fake->keeper));
}

static inline void fake_obey(void *user, const char *command, int *fd)
{
    struct fake_keeper *fake = user;
    struct err e;

    (void)fd;
    dprintf(fake->heard, "%.20s\n", command);
    auto_free char *sockets = fs_dirname(fake->task.socket_dir);
    auto_free char *link = fs_join(sockets, "attempt");
    char directory[500] = "";
    (void)!readlink(link, directory, sizeof directory - 1);
    if (strcmp(command, "start") == 0) {
        fake_start(fake, directory);
    } else if (strcmp(command, "restart") == 0) {
        fake_tell(fake, KERNEL_ACTIVITY_RESTARTING);
        if (strcmp(fake->task.name, "slow") != 0)
            fake_be_ready(fake);
    } else if (strcmp(command, "shutdown") == 0) {
        if (strcmp(fake->task.name, "deaf") != 0)
            fake_end(fake);
    } else if (strncmp(command, "news ", 5) == 0) {
        if (kernel_news_parse(&fake->news, str_of(command + 5), &e) < 0)
            fprintf(stderr, "%s\n", e.text);
        keeper_notify(fake->keeper);
    }
}

static inline void fake_stop(void *user, enum cause cause)
{
    (void)cause;
    fake_end(user);
}

static inline void fake_put_news(void *user, struct buf *out)
{
    const struct fake_keeper *fake = user;

    kernel_news_encode(&fake->news, out);
}

static inline int fake_keeper_run(const struct keeper_birth *birth)
{
    static const struct keeper_events events = {
        .stop = fake_stop, .command = fake_obey, .news = fake_put_news};
    auto_free char *heard = fs_join(birth->directory, "heard");
    struct fake_keeper fake = {0};
    struct err e;

    if (interactive_task_read(&fake.task, birth->directory, &e) < 0)
        return 1;
    fake.heard = open(heard, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    fake.news.last_activity_us = fake.task.created_us;
    fake.keeper = keeper_open(birth, &events, &fake);
    loop_run(keeper_loop(fake.keeper));
    keeper_close(fake.keeper);
    interactive_task_clear(&fake.task);
    close(fake.heard);
    return 0;
}
