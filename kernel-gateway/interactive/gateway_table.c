/* The kernels as everybody may see them, and how many there may be. */
#include "base/fs.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "kernel-gateway/interactive/gateway_private.h"
#include "kernel-gateway/keeper/keeper.h"

#include <string.h>

/* --- views --- */

#define VIEW_TEXTS(X)                                                                              \
    X(id)                                                                                          \
    X(name)                                                                                        \
    X(launcher)                                                                                    \
    X(image)                                                                                       \
    X(project)                                                                                     \
    X(environment)                                                                                 \
    X(username)                                                                                    \
    X(socket_path)

void kernel_view_clear(struct kernel_view *view)
{
#define X(text) free(view->text);
    VIEW_TEXTS(X)
#undef X
    *view = (struct kernel_view){0};
}

static void copy_view(struct kernel_view *to, const struct kernel_view *from)
{
    *to = *from;
#define X(text) to->text = mem_strdup(from->text);
    VIEW_TEXTS(X)
#undef X
}

static void make_view(struct kernel_view *view, const struct interactive_task *task,
                      const char *sockets)
{
    *view = (struct kernel_view){
        .id = mem_strdup(task->kernel_id),
        .name = mem_strdup(task->name),
        .launcher = mem_strdup(task->launcher),
        .image = mem_strdup(task->image),
        .project = mem_strdup(task->project),
        .environment = mem_strdup(task->environment),
        .username = mem_strdup(task->username),
        .socket_path = fs_join(sockets, KEEPER_SOCKET),
        .created_us = task->created_us,
        .news = {.activity = KERNEL_ACTIVITY_STARTING, .last_activity_us = task->created_us},
    };
}

/* --- kernels --- */

struct gateway_kernel *gateway_kernel_new(struct gateway *gateway,
                                          struct interactive_task *take_task)
{
    struct gateway_kernel *kernel = mem_zalloc(sizeof *kernel);

    *kernel = (struct gateway_kernel){
        .gateway = gateway,
        .task = *take_task,
        .directory = fs_join(gateway->directory, take_task->kernel_id),
        .sockets = fs_join(gateway->sockets, take_task->mark),
    };
    *take_task = (struct interactive_task){0};
    launcher_of_name(kernel->task.launcher, &kernel->launcher);
    make_view(&kernel->view, &kernel->task, kernel->sockets);
    return kernel;
}

void gateway_kernel_free(struct gateway_kernel *kernel)
{
    keeper_handle_free(kernel->keeper);
    loop_remove(kernel->kill_timer);
    interactive_task_clear(&kernel->task);
    kernel_view_clear(&kernel->view);
    free(kernel->directory);
    free(kernel->sockets);
    free(kernel);
}

/* --- under the mutex --- */

static struct gateway_kernel *find(const struct gateway *gateway, const char *id)
{
    for (size_t i = 0; i < gateway->kernel_count; i++)
        if (strcmp(gateway->kernels[i]->view.id, id) == 0)
            return gateway->kernels[i];
    return NULL;
}

static const char *user_of(const char *username)
{
    return username ? username : "";
}

static int check_limits(const struct gateway *gateway, const char *username, struct err *e)
{
    const struct gateway_limits *limits = &gateway->limits;
    uint32_t of_all = 0, of_user = 0;

    for (size_t i = 0; i < gateway->kernel_count; i++) {
        const struct gateway_kernel *kernel = gateway->kernels[i];
        bool is_users = strcmp(user_of(kernel->view.username), user_of(username)) == 0;
        of_all += !kernel->is_failed;
        of_user += is_users && !kernel->is_failed;
    }
    if (of_all >= limits->kernels)
        return err_set(e, ERR_LIMIT, "there are %u kernels, as many as there may be: shut one down",
                       limits->kernels);
    if (of_user >= limits->kernels_per_user)
        return err_set(e, ERR_LIMIT,
                       "you have %u kernels, as many as one user may have: shut one down",
                       limits->kernels_per_user);
    return 0;
}

static void append(struct gateway *gateway, struct gateway_kernel *kernel)
{
    mem_grow(gateway->kernels, gateway->kernel_count, gateway->kernel_capacity);
    gateway->kernels[gateway->kernel_count++] = kernel;
}

/* --- the table --- */

int gateway_table_add(struct gateway *gateway, struct gateway_kernel *kernel, struct err *e)
{
    if (check_limits(gateway, kernel->view.username, e) < 0)
        return -1;
    if (find(gateway, kernel->view.id))
        return err_set(e, ERR_CONFLICT, "there is a kernel \"%s\" already", kernel->view.id);
    append(gateway, kernel);
    return 0;
}

/* They come in the order of their names, which says nothing. */
void gateway_table_take_up(struct gateway *gateway, struct gateway_kernel *kernel)
{
    pthread_mutex_lock(&gateway->mutex);
    append(gateway, kernel);
    size_t at = gateway->kernel_count - 1;
    for (; at > 0 && gateway->kernels[at - 1]->view.created_us > kernel->view.created_us; at--)
        gateway->kernels[at] = gateway->kernels[at - 1];
    gateway->kernels[at] = kernel;
    pthread_mutex_unlock(&gateway->mutex);
}

void gateway_table_remove(struct gateway *gateway, const struct gateway_kernel *kernel)
{
    size_t kept = 0;

    pthread_mutex_lock(&gateway->mutex);
    for (size_t i = 0; i < gateway->kernel_count; i++)
        if (gateway->kernels[i] != kernel)
            gateway->kernels[kept++] = gateway->kernels[i];
    gateway->kernel_count = kept;
    pthread_mutex_unlock(&gateway->mutex);
}

struct gateway_kernel *gateway_table_at(struct gateway *gateway, size_t index)
{
    pthread_mutex_lock(&gateway->mutex);
    struct gateway_kernel *kernel = index < gateway->kernel_count ? gateway->kernels[index] : NULL;
    pthread_mutex_unlock(&gateway->mutex);
    return kernel;
}

struct gateway_kernel *gateway_table_find(struct gateway *gateway, const char *id)
{
    pthread_mutex_lock(&gateway->mutex);
    struct gateway_kernel *kernel = find(gateway, id);
    pthread_mutex_unlock(&gateway->mutex);
    return kernel;
}

/* --- changing what is seen --- */

void gateway_set_news(struct gateway_kernel *kernel, const struct kernel_news *news)
{
    pthread_mutex_lock(&kernel->gateway->mutex);
    kernel->view.news = *news;
    pthread_mutex_unlock(&kernel->gateway->mutex);
}

void gateway_set_failed(struct gateway_kernel *kernel)
{
    pthread_mutex_lock(&kernel->gateway->mutex);
    kernel->is_failed = true;
    pthread_mutex_unlock(&kernel->gateway->mutex);
}

void gateway_set_waiting(struct gateway_kernel *kernel, bool is_waiting)
{
    pthread_mutex_lock(&kernel->gateway->mutex);
    kernel->view.is_waiting = is_waiting;
    pthread_mutex_unlock(&kernel->gateway->mutex);
}

void gateway_count(struct gateway *gateway, uint64_t *count, uint64_t more)
{
    pthread_mutex_lock(&gateway->mutex);
    *count += more;
    pthread_mutex_unlock(&gateway->mutex);
}

void gateway_tell_event(const struct gateway_kernel *kernel, const char *what)
{
    const struct gateway *gateway = kernel->gateway;

    if (gateway->event)
        gateway->event(gateway->event_user, what, &kernel->view);
}

/* --- for everybody --- */

int gateway_check_limits(struct gateway *gateway, const char *username, struct err *e)
{
    pthread_mutex_lock(&gateway->mutex);
    int result = check_limits(gateway, username, e);
    pthread_mutex_unlock(&gateway->mutex);
    return result;
}

size_t gateway_list(struct gateway *gateway, struct kernel_view **ret_views)
{
    pthread_mutex_lock(&gateway->mutex);
    struct kernel_view *views = mem_array(gateway->kernel_count + 1, sizeof *views);
    size_t count = 0;
    for (size_t i = 0; i < gateway->kernel_count; i++)
        if (!gateway->kernels[i]->is_failed)
            copy_view(&views[count++], &gateway->kernels[i]->view);
    pthread_mutex_unlock(&gateway->mutex);
    *ret_views = views;
    return count;
}

bool gateway_find(struct gateway *gateway, const char *id, struct kernel_view *ret_view)
{
    pthread_mutex_lock(&gateway->mutex);
    const struct gateway_kernel *kernel = find(gateway, id);
    bool is_seen = kernel && !kernel->is_failed;
    if (is_seen)
        copy_view(ret_view, &kernel->view);
    pthread_mutex_unlock(&gateway->mutex);
    return is_seen;
}

/* --- figures --- */

#define ACTIVITY_COUNT (KERNEL_ACTIVITY_DEAD + 1)

struct figures {
    int64_t by_activity[ACTIVITY_COUNT], connections, waiting;
    struct gateway_counts counts;
};

static struct figures take_figures(struct gateway *gateway)
{
    struct figures figures = {0};

    pthread_mutex_lock(&gateway->mutex);
    figures.counts = gateway->counts;
    for (size_t i = 0; i < gateway->kernel_count; i++) {
        const struct kernel_view *view = &gateway->kernels[i]->view;
        if (gateway->kernels[i]->is_failed)
            continue;
        figures.by_activity[view->news.activity]++;
        figures.connections += view->news.connections;
        figures.waiting += view->is_waiting;
    }
    pthread_mutex_unlock(&gateway->mutex);
    return figures;
}

static void put_figure(struct buf *out, const char *name, const char *kind, const char *help,
                       int64_t value)
{
    metrics_put_head(out, name, kind, help);
    metrics_put_value(out, name, "", value);
}

void gateway_metrics(struct gateway *gateway, struct buf *out)
{
    struct figures figures = take_figures(gateway);

    metrics_put_head(out, "segue_interactive_kernels", "gauge",
                     "Interactive kernels, by what they do.");
    for (int i = 0; i < ACTIVITY_COUNT; i++) {
        auto_buf struct buf label = {0};
        metrics_put_label(&label, "state", kernel_activity_name((enum kernel_activity)i));
        metrics_put_value(out, "segue_interactive_kernels", buf_text(&label),
                          figures.by_activity[i]);
    }
    put_figure(out, "segue_kernel_connections", "gauge",
               "WebSocket connections to interactive kernels.", figures.connections);
    put_figure(out, "segue_kernel_starts_waiting", "gauge",
               "Interactive kernels that wait for their turn to start.", figures.waiting);
    put_figure(out, "segue_kernel_starts_total", "counter",
               "How often an interactive kernel became ready, restarts included.",
               (int64_t)figures.counts.starts);
    put_figure(out, "segue_kernel_start_failures_total", "counter",
               "Interactive kernels that could not be started.",
               (int64_t)figures.counts.start_failures);
    put_figure(out, "segue_kernels_culled_total", "counter",
               "Interactive kernels that were shut down because nobody used them.",
               (int64_t)figures.counts.culled);
}
