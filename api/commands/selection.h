/* selection: the options of a command line that say which steps of a pipeline are meant.
 *
 * --only, --upto, --from and --incoming, each followed by a STEP and repeatable, but not mixed;
 * without any of them the whole pipeline is meant. A command puts SELECTION_OPTIONS into its table
 * for getopt_long and hands on what comes back. Borrows the words of the command line.
 */
#ifndef SEGUE_API_SELECTION_H
#define SEGUE_API_SELECTION_H

#include "base/err.h"
#include "runner/plan/plan.h"

#include <getopt.h>
#include <stdbool.h>

/* Above all characters, so that they cannot be a command's short options. */
enum selection_option {
    SELECTION_ONLY = 0x1000,
    SELECTION_UPTO,
    SELECTION_FROM,
    SELECTION_INCOMING,
};

/* clang-format off */
#define SELECTION_OPTIONS                                                                          \
    {"only", required_argument, NULL, SELECTION_ONLY},                                             \
    {"upto", required_argument, NULL, SELECTION_UPTO},                                             \
    {"from", required_argument, NULL, SELECTION_FROM},                                             \
    {"incoming", required_argument, NULL, SELECTION_INCOMING}
/* clang-format on */

#define SELECTION_USAGE                                                                            \
    "[--only STEP]... | [--upto STEP]... | [--from STEP]... | [--incoming STEP]..."

#define SELECTION_HELP                                                                             \
    "  --only STEP       exactly this step; repeat for more\n"                                     \
    "  --upto STEP       this step and everything it needs\n"                                      \
    "  --from STEP       this step and everything that needs it\n"                                 \
    "  --incoming STEP   everything this step needs, without the step itself\n"                    \
    "                    STEP is a uuid, a title or a file path\n"

struct selection {
    enum run_type run_type; /* RUN_FULL: nothing was selected */
    const char **steps;
    uint32_t count;
    uint32_t capacity;
};

void selection_clear(struct selection *selection);
#define auto_selection __attribute__((cleanup(selection_clear)))

static inline bool selection_is_option(int option)
{
    return option >= SELECTION_ONLY && option <= SELECTION_INCOMING;
}

/* Takes one of its options as getopt_long gave it. ERR_INVALID when kinds are mixed. */
int selection_add(struct selection *selection, int option, const char *step, struct err *e);

/* The steps that are meant, as indices for plan_make: free() the array. Errors as of
 * pipeline_find_step. */
int selection_resolve(const struct selection *selection, const struct pipeline *pipeline,
                      uint32_t **ret_steps, struct err *e);

/* selection_resolve and plan_make. */
int selection_plan(const struct selection *selection, const struct pipeline *pipeline,
                   struct plan **ret_plan, struct err *e);

#endif
