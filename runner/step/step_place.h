/* step_place: what a step's program finds around it: its place to run, its environment, and the
 * names of our directories as it sees them.
 *
 * A local process sees our paths; a container sees the mounts below. Owns its texts; borrows the
 * task, which must outlive it. One thread.
 */
#ifndef SEGUE_RUNNER_STEP_PLACE_H
#define SEGUE_RUNNER_STEP_PLACE_H

#include "runner/step/task.h"

#define STEP_PLACE_MOUNTS 6

struct step_place {
    struct launch_place launch; /* points into this struct: do not copy */
    struct launch_mount mounts[STEP_PLACE_MOUNTS];
    char **env; /* "NAME=value", NULL at the end */
    size_t env_count, env_capacity;
    char *cwd; /* the file's own directory, as the program sees it */
};

void step_place_init(struct step_place *place, const struct task *task, int cancel_fd);
void step_place_clear(struct step_place *place);

/* The path as the step's program sees it; to be free()d. A path below no mount stays as it is. */
char *step_place_inside(const struct step_place *place, const char *host_path);

#endif
