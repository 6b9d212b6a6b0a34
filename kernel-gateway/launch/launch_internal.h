/* launch_internal: what a launcher is, for the launchers themselves.
 *
 * Included by launch.c and launch_*.c only. Each launcher embeds `struct launch` as the first
 * member of its own struct and gives out one constant table of functions, whose promises are those
 * of launch.h.
 */
#ifndef SEGUE_KERNEL_GATEWAY_LAUNCH_INTERNAL_H
#define SEGUE_KERNEL_GATEWAY_LAUNCH_INTERNAL_H

#include "kernel-gateway/launch/launch.h"

struct launch_table;

struct launch {
    const struct launch_table *table;
    struct loop *loop;
    struct launch_events events;
    void *user;
};

struct launch_table {
    int (*find_kernelspec)(const struct launch_place *place, const char *name, const char *language,
                           struct kernelspec *ret_spec, struct err *e);
    /* Fills the four members of `struct launch` itself, the table excepted. */
    int (*start)(struct launch **ret_launch, struct loop *loop, const struct launch_place *place,
                 const struct launch_program *program, const struct launch_events *events,
                 void *user, struct err *e);
    void (*signal)(struct launch *launch, int signal_number);
    pid_t (*pid)(const struct launch *launch);
    void (*free)(struct launch *launch);
    int (*clean)(const char *attempt, struct err *e);
};

const struct launch_table *launch_process_table(void);
const struct launch_table *launch_docker_table(void);

/* Writes `end->text` from the other members: "exit status 3", "killed by SIGKILL, out of memory".
 */
void launch_end_describe(struct launch_end *end);

/* The value in an entry "name=value" when it is this name's, else NULL. */
const char *launch_env_value(const char *entry, const char *name);
/* The same looked up in a list that ends with NULL (which may be NULL itself). */
const char *launch_env_find(const char *const *env, const char *name);

#endif
