/* Shuts down what nobody uses. */
#include "kernel-gateway/interactive/gateway_private.h"

#define DEFAULT_INTERVAL_S 300 /* as other servers of kernels have it */

int64_t gateway_cull_interval_ms(const struct gateway_culling *culling)
{
    return (culling->interval_s > 0 ? culling->interval_s : DEFAULT_INTERVAL_S) * 1000;
}

bool gateway_is_to_cull(const struct gateway_culling *culling, const struct kernel_view *view,
                        int64_t own_timeout_s, int64_t now_us)
{
    int64_t timeout_s = own_timeout_s > 0 ? own_timeout_s : culling->idle_timeout_s;

    if (timeout_s <= 0)
        return false;
    switch (view->news.activity) {
    case KERNEL_ACTIVITY_DEAD:
        return true;
    case KERNEL_ACTIVITY_STARTING:
    case KERNEL_ACTIVITY_RESTARTING:
        return false; /* it will be idle or dead */
    case KERNEL_ACTIVITY_BUSY:
        if (!culling->busy)
            return false;
        break;
    case KERNEL_ACTIVITY_IDLE:
        break;
    }
    if (view->news.connections > 0 && !culling->connected)
        return false;
    return (now_us - view->news.last_activity_us) / 1000000 >= timeout_s;
}

static void cull(struct gateway_kernel *kernel)
{
    gateway_count(kernel->gateway, &kernel->gateway->counts.culled, 1);
    gateway_tell_event(kernel, "kernel_culled");
    gateway_kernel_shutdown(kernel, NULL, NULL);
}

void gateway_cull(struct gateway *gateway)
{
    int64_t now_us = clock_wall_us();
    struct gateway_kernel *kernel;

    for (size_t i = 0; (kernel = gateway_table_at(gateway, i)); i++)
        if (kernel->state == GATEWAY_ALIVE &&
            gateway_is_to_cull(&gateway->culling, &kernel->view, kernel->task.cull_idle_timeout_s,
                               now_us))
            cull(kernel);
}
