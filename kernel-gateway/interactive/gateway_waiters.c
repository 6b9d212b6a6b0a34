/* Those who wait for an answer: until the kernel is ready, or dead, or gone, or for long enough. */
#include "base/mem.h"
#include "kernel-gateway/interactive/gateway_private.h"

static void on_deadline(void *user);

void gateway_wait_for(struct gateway_kernel *kernel, enum gateway_wish wish, uint32_t starts,
                      gateway_answer_fn *answer, void *user)
{
    struct gateway_waiter *waiter = mem_zalloc(sizeof *waiter);

    *waiter = (struct gateway_waiter){
        .kernel = kernel,
        .wish = wish,
        .starts = starts,
        .has_lived = kernel->view.news.activity != KERNEL_ACTIVITY_DEAD,
        .answer = answer,
        .user = user,
        .next = kernel->waiters,
    };
    kernel->waiters = waiter;
    if (wish == GATEWAY_FOR_READY) {
        waiter->deadline = loop_add_timer(kernel->gateway->loop, on_deadline, waiter);
        loop_arm_in(waiter->deadline, kernel->gateway->limits.answer_ms);
    }
}

/* `at` is where the waiter hangs. */
static void answer_waiter(struct gateway_waiter **at, const struct err *e)
{
    struct gateway_waiter *waiter = *at;

    *at = waiter->next;
    loop_remove(waiter->deadline);
    waiter->answer(waiter->user, e ? NULL : &waiter->kernel->view, e);
    free(waiter);
}

static void on_deadline(void *user)
{
    struct gateway_waiter *waiter = user;
    struct gateway_waiter **at = &waiter->kernel->waiters;

    while (*at != waiter)
        at = &(*at)->next;
    answer_waiter(at, NULL); /* as it is */
}

void gateway_answer_all(struct gateway_kernel *kernel, enum gateway_wish wish, const struct err *e)
{
    for (struct gateway_waiter **at = &kernel->waiters; *at;) {
        if ((*at)->wish == wish)
            answer_waiter(at, e);
        else
            at = &(*at)->next;
    }
}

bool gateway_is_ready(const struct kernel_news *news)
{
    return news->starts > 0 &&
           (news->activity == KERNEL_ACTIVITY_IDLE || news->activity == KERNEL_ACTIVITY_BUSY);
}

void gateway_death_of(const struct kernel_news *news, struct err *e)
{
    err_set(e, ERR_UNAVAILABLE, "%s", news->reason[0] ? news->reason : "the kernel died");
}

void gateway_answer_by_news(struct gateway_kernel *kernel)
{
    const struct kernel_news *news = &kernel->view.news;
    bool is_dead = news->activity == KERNEL_ACTIVITY_DEAD;
    struct err death;

    gateway_death_of(news, &death);
    for (struct gateway_waiter **at = &kernel->waiters; *at;) {
        struct gateway_waiter *waiter = *at;
        bool wants_ready = waiter->wish == GATEWAY_FOR_READY;
        if (wants_ready && gateway_is_ready(news) && news->starts > waiter->starts) {
            answer_waiter(at, NULL);
        } else if (wants_ready && is_dead && waiter->has_lived) {
            answer_waiter(at, &death);
        } else {
            waiter->has_lived |= !is_dead;
            at = &waiter->next;
        }
    }
}

bool gateway_is_waited_for(const struct gateway_kernel *kernel)
{
    for (const struct gateway_waiter *waiter = kernel->waiters; waiter; waiter = waiter->next)
        if (waiter->wish == GATEWAY_FOR_READY)
            return true;
    return false;
}
