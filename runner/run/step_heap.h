/* step_heap: for some steps a time each; gives the earliest, of equal ones the lowest step.
 *
 * A binary heap that knows where each step is, so that any of them can be taken out. Owns its
 * memory, of which an empty one that was never used has none; belongs to one thread.
 */
#ifndef SEGUE_RUNNER_STEP_HEAP_H
#define SEGUE_RUNNER_STEP_HEAP_H

#include "base/clock.h"

#include <stdint.h>

struct step_heap_entry {
    msec time;
    uint32_t step;
};

struct step_heap {
    struct step_heap_entry *entries;
    uint32_t *places; /* for each step where its entry is, and 1; 0: it has none */
    uint32_t count;
    uint32_t capacity;
    uint32_t size; /* steps are 0 to size - 1 */
};

void step_heap_init(struct step_heap *heap, uint32_t size);
void step_heap_clear(struct step_heap *heap);
void step_heap_add(struct step_heap *heap, uint32_t step, msec time); /* must not be in it */
void step_heap_remove(struct step_heap *heap, uint32_t step);         /* not in it: nothing */

/* NULL: empty. Good until the next change. */
const struct step_heap_entry *step_heap_earliest(const struct step_heap *heap);

/* Moves every time by `delta`: the order stays. */
void step_heap_shift(struct step_heap *heap, msec delta);

#endif
