#include "runner/engine/engine_private.h"

#include <stdio.h>
#include <string.h>

static enum status status_in(const char *json)
{
    static const char mark[] = "\"status\":\"";
    const char *at = strstr(json, mark);

    for (int i = 0; at && i < STATUS_COUNT; i++) {
        const char *name = status_name((enum status)i);
        size_t len = strlen(name);
        if (strncmp(at + sizeof mark - 1, name, len) == 0 && at[sizeof mark - 1 + len] == '"')
            return (enum status)i;
    }
    return STATUS_PENDING;
}

void engine_count_notice(struct engine *engine, const struct notice *notice)
{
    struct engine_figures *figures = &engine->figures;
    const char *json = engine->notices.text.data + notice->start;

    figures->events++;
    histogram_add(&figures->lag, (clock_wall() - notice->time) * 1000);
    if (strcmp(notice->event, "step_finished") == 0)
        figures->steps_ended[status_in(json)]++;
    else if (strcmp(notice->event, "run_finished") == 0)
        figures->runs_ended[status_in(json)]++;
}

void engine_count_standing(struct engine *engine)
{
    struct engine_figures *figures = &engine->figures;
    uint64_t attempts = 0, pending = 0, started = 0;

    for (size_t i = 0; i < engine->run_count; i++) {
        const struct run *run = live_run_state(engine->runs[i]);
        attempts += live_run_attempts(engine->runs[i]);
        pending += run_count(run, STATUS_PENDING);
        started += run_count(run, STATUS_STARTED);
    }
    figures->attempts = attempts;
    figures->steps_open[STATUS_PENDING] = pending;
    figures->steps_open[STATUS_STARTED] = started;
    for (int i = 0; engine->queue && i < RUN_CLASS_COUNT; i++) {
        figures->runs_waiting[i] = run_queue_waiting(engine->queue, (enum run_class)i);
        figures->runs_going[i] = run_queue_running(engine->queue, (enum run_class)i);
    }
}

static void put_by_class(struct buf *out, const char *name, const char *help,
                         const _Atomic uint64_t *values)
{
    metrics_put_head(out, name, "gauge", help);
    for (int i = 0; i < RUN_CLASS_COUNT; i++) {
        char labels[64];
        snprintf(labels, sizeof labels, "class=\"%s\"", run_class_name((enum run_class)i));
        metrics_put_value(out, name, labels, (int64_t)values[i]);
    }
}

enum which { OPEN, ENDED };

static void put_by_status(struct buf *out, const char *name, const char *help, enum which which,
                          const _Atomic uint64_t *values)
{
    metrics_put_head(out, name, which == ENDED ? "counter" : "gauge", help);
    for (int i = 0; i < STATUS_COUNT; i++) {
        char labels[64];
        if (status_is_final((enum status)i) != (which == ENDED))
            continue;
        snprintf(labels, sizeof labels, "status=\"%s\"", status_name((enum status)i));
        metrics_put_value(out, name, labels, (int64_t)values[i]);
    }
}

static void put_histogram(struct buf *out, const char *name, const char *help,
                          const struct histogram *histogram)
{
    metrics_put_head(out, name, "histogram", help);
    metrics_put_histogram(out, name, "", histogram);
}

void engine_metrics(const struct engine *engine, struct buf *out)
{
    const struct engine_figures *figures = &engine->figures;

    put_by_class(out, "segue_runs_waiting", "Runs that wait for their turn.",
                 figures->runs_waiting);
    put_by_class(out, "segue_runs_going", "Runs that have begun and not ended.",
                 figures->runs_going);
    put_by_status(out, "segue_runs_ended_total", "Runs that ended since the service started.",
                  ENDED, figures->runs_ended);
    put_by_status(out, "segue_steps_ended_total", "Steps that ended since the service started.",
                  ENDED, figures->steps_ended);
    put_by_status(out, "segue_steps", "Steps of runs that go on.", OPEN, figures->steps_open);
    metrics_put_head(out, "segue_kernels", "gauge", "Kernels and scripts of steps that run.");
    metrics_put_value(out, "segue_kernels", "", (int64_t)figures->attempts);
    metrics_put_head(out, "segue_events_total", "counter",
                     "Events that were stored since the service started.");
    metrics_put_value(out, "segue_events_total", "", (int64_t)figures->events);
    put_histogram(out, "segue_run_wait_seconds", "From accepting a run to its beginning.",
                  &figures->wait);
    put_histogram(out, "segue_event_lag_seconds", "From what happened to its being told.",
                  &figures->lag);
    put_histogram(out, "segue_commit_seconds", "Transactions that nobody waits for.",
                  &figures->commit);
    put_histogram(out, "segue_durable_commit_seconds", "Transactions synced before an answer.",
                  &figures->durable_commit);
}
