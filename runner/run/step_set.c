#include "runner/run/step_set.h"

#include "base/mem.h"
#include "runner/plan/pipeline.h"

void step_set_init(struct step_set *set, uint32_t size)
{
    size_t words[STEP_SET_LEVELS];
    size_t total = 0;
    size_t bits = size;
    *set = (struct step_set){0};
    do {
        size_t count = bits / 64 + 1;
        words[set->levels++] = count;
        total += count;
        bits = count;
    } while (bits > 1);
    set->words = mem_array(total, sizeof *set->words);
    uint64_t *at = set->words;
    for (unsigned i = 0; i < set->levels; i++) {
        set->level[i] = at;
        at += words[i];
    }
}

void step_set_clear(struct step_set *set)
{
    free(set->words);
    *set = (struct step_set){0};
}

void step_set_add(struct step_set *set, uint32_t step)
{
    for (unsigned i = 0; i < set->levels; i++) {
        set->level[i][step / 64] |= UINT64_C(1) << step % 64;
        step /= 64;
    }
}

void step_set_remove(struct step_set *set, uint32_t step)
{
    for (unsigned i = 0; i < set->levels; i++) {
        uint64_t *word = &set->level[i][step / 64];
        *word &= ~(UINT64_C(1) << step % 64);
        if (*word != 0)
            return; /* the levels above still speak the truth */
        step /= 64;
    }
}

uint32_t step_set_lowest(const struct step_set *set)
{
    uint32_t at = 0;
    for (unsigned i = set->levels; i-- > 0;) {
        uint64_t word = set->level[i][at];
        if (word == 0)
            return STEP_NONE; /* only the top can be empty */
        at = at * 64 + (uint32_t)__builtin_ctzll(word);
    }
    return at;
}
