/* draw: numbers by chance that are the same on every machine.
 *
 * SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014) from a
 * place that the caller names: where it starts follows from a seed and two numbers, so that each
 * draw can be made again by itself. Only operations that IEEE 754 defines to the last bit are used
 * for fractions. A value; no thread owns it. Not for secrets.
 */
#ifndef SEGUE_RUNNER_DRAW_H
#define SEGUE_RUNNER_DRAW_H

#include <stdint.h>

struct draw {
    uint64_t state;
};

struct draw draw_at(uint64_t seed, uint64_t stream, uint64_t number);
uint64_t draw_bits(struct draw *draw);
uint64_t draw_below(struct draw *draw, uint64_t bound); /* 0 up to bound - 1, each as likely */
double draw_unit(struct draw *draw);                    /* 0 up to below 1, in steps of 2^-53 */

/* `count` different numbers below `bound`, of which there are that many: fills `ret_numbers`. The
 * first ones are the same for any `count`. */
void draw_distinct(uint64_t seed, uint64_t bound, uint32_t count, uint64_t *ret_numbers);

#endif
