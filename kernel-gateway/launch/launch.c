/* Nothing but the way to the right table, and what all launchers say alike. */
#include "kernel-gateway/launch/launch_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [LAUNCHER_PROCESS] = "process",
    [LAUNCHER_DOCKER] = "docker",
};

#define NAME_COUNT (sizeof names / sizeof *names)

const char *launcher_name(enum launcher_kind kind)
{
    return names[kind];
}

bool launcher_of_name(const char *name, enum launcher_kind *ret_kind)
{
    for (size_t i = 0; i < NAME_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            *ret_kind = (enum launcher_kind)i;
            return true;
        }
    }
    return false;
}

static const struct launch_table *table_of(enum launcher_kind kind)
{
    switch (kind) {
    case LAUNCHER_PROCESS:
        return launch_process_table();
    case LAUNCHER_DOCKER:
        return launch_docker_table();
    }
    assert(!"no such launcher");
    return NULL;
}

int launch_find_kernelspec(const struct launch_place *place, const char *name, const char *language,
                           struct kernelspec *ret_spec, struct err *e)
{
    return table_of(place->launcher)->find_kernelspec(place, name, language, ret_spec, e);
}

int launch_start(struct launch **ret_launch, struct loop *loop, const struct launch_place *place,
                 const struct launch_program *program, const struct launch_events *events,
                 void *user, struct err *e)
{
    const struct launch_table *table = table_of(place->launcher);

    assert(place->attempt && program->argv && program->argv[0] && program->cwd);
    if (table->start(ret_launch, loop, place, program, events, user, e) < 0)
        return -1;
    (*ret_launch)->table = table;
    return 0;
}

void launch_signal(struct launch *launch, int signal_number)
{
    launch->table->signal(launch, signal_number);
}

pid_t launch_pid(const struct launch *launch)
{
    return launch->table->pid(launch);
}

void launch_free(struct launch *launch)
{
    if (launch)
        launch->table->free(launch);
}

int launch_clean(enum launcher_kind kind, const char *attempt, struct err *e)
{
    return table_of(kind)->clean(attempt, e);
}

void launch_end_describe(struct launch_end *end)
{
    const char *memory = end->out_of_memory ? ", out of memory" : "";

    if (end->by_signal && sigabbrev_np(end->code))
        snprintf(end->text, sizeof end->text, "killed by SIG%s%s", sigabbrev_np(end->code), memory);
    else if (end->by_signal)
        snprintf(end->text, sizeof end->text, "killed by signal %d%s", end->code, memory);
    else
        snprintf(end->text, sizeof end->text, "exit status %d%s", end->code, memory);
}

const char *launch_env_value(const char *entry, const char *name)
{
    size_t len = strlen(name);

    return strncmp(entry, name, len) == 0 && entry[len] == '=' ? entry + len + 1 : NULL;
}

const char *launch_env_find(const char *const *env, const char *name)
{
    const char *value = NULL;

    for (size_t i = 0; env && env[i] && !value; i++)
        value = launch_env_value(env[i], name);
    return value;
}
