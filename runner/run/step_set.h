/* step_set: a set of step indices that gives its lowest member.
 *
 * A bitmap with summaries: each level has one bit for every 64-bit word of the level below, so that
 * adding, removing and finding the lowest touch one word per level: four for a million steps.
 * Owns its memory; belongs to one thread.
 */
#ifndef SEGUE_RUNNER_STEP_SET_H
#define SEGUE_RUNNER_STEP_SET_H

#include <stdbool.h>
#include <stdint.h>

#define STEP_SET_LEVELS 6 /* 64 to the power of 6 is more than an uint32_t counts */

struct step_set {
    uint64_t *words; /* all levels, the lowest first */
    uint64_t *level[STEP_SET_LEVELS];
    unsigned levels;
};

void step_set_init(struct step_set *set, uint32_t size); /* for members 0 to size - 1 */
void step_set_clear(struct step_set *set);
void step_set_add(struct step_set *set, uint32_t step);
void step_set_remove(struct step_set *set, uint32_t step);
uint32_t step_set_lowest(const struct step_set *set); /* STEP_NONE: empty */

#endif
