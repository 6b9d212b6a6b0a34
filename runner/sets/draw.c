#include "runner/sets/draw.h"

#include "base/mem.h"

#include <assert.h>
#include <stdbool.h>

#define GOLDEN 0x9e3779b97f4a7c15u /* 2^64 / golden ratio, odd: the step of SplitMix64 */

uint64_t draw_bits(struct draw *draw)
{
    uint64_t z = draw->state += GOLDEN;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

struct draw draw_at(uint64_t seed, uint64_t stream, uint64_t number)
{
    struct draw draw = {seed};

    draw.state = draw_bits(&draw) + stream;
    draw.state = draw_bits(&draw) + number;
    draw.state = draw_bits(&draw);
    return draw;
}

uint64_t draw_below(struct draw *draw, uint64_t bound)
{
    uint64_t surplus = -bound % bound; /* 2^64 mod bound: so many would come once too often */
    uint64_t bits;

    do
        bits = draw_bits(draw);
    while (bits < surplus);
    return bits % bound;
}

double draw_unit(struct draw *draw)
{
    return (double)(draw_bits(draw) >> 11) * 0x1p-53;
}

/* Open addressing; a slot holds the number + 1, or 0. `bound` is below 2^64, so that fits. */
static bool add_new(uint64_t *slots, uint64_t mask, uint64_t number)
{
    uint64_t at = (number * GOLDEN) >> 20 & mask;

    while (slots[at] != 0) {
        if (slots[at] == number + 1)
            return false;
        at = (at + 1) & mask;
    }
    slots[at] = number + 1;
    return true;
}

/* What was drawn already is drawn again. At worst all of `bound` numbers are wanted, which takes
 * about bound * ln(bound) draws. */
void draw_distinct(uint64_t seed, uint64_t bound, uint32_t count, uint64_t *ret_numbers)
{
    struct draw draw = draw_at(seed, 0, 0);
    uint64_t size = 2;

    assert(count <= bound);
    while (size < 2 * (uint64_t)count)
        size *= 2;
    auto_free uint64_t *slots = mem_array(size, sizeof *slots);
    for (uint32_t i = 0; i < count;) {
        uint64_t number = draw_below(&draw, bound);
        if (add_new(slots, size - 1, number))
            ret_numbers[i++] = number;
    }
}
