#include "runner/run/step_heap.h"

#include "base/mem.h"

#include <assert.h>
#include <stdbool.h>

void step_heap_init(struct step_heap *heap, uint32_t size)
{
    *heap = (struct step_heap){.size = size};
}

void step_heap_clear(struct step_heap *heap)
{
    free(heap->entries);
    free(heap->places);
    *heap = (struct step_heap){0};
}

static bool is_before(const struct step_heap_entry *a, const struct step_heap_entry *b)
{
    return a->time != b->time ? a->time < b->time : a->step < b->step;
}

static void put(struct step_heap *heap, uint32_t place, struct step_heap_entry entry)
{
    heap->entries[place] = entry;
    heap->places[entry.step] = place + 1;
}

/* Finds the place for `entry`, starting from the hole at `place`. */
static void settle(struct step_heap *heap, uint32_t place, struct step_heap_entry entry)
{
    while (place > 0 && is_before(&entry, &heap->entries[(place - 1) / 2])) {
        put(heap, place, heap->entries[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child + 1 < heap->count && is_before(&heap->entries[child + 1], &heap->entries[child]))
            child++;
        if (child >= heap->count || is_before(&entry, &heap->entries[child]))
            break;
        put(heap, place, heap->entries[child]);
        place = child;
    }
    put(heap, place, entry);
}

void step_heap_add(struct step_heap *heap, uint32_t step, msec time)
{
    if (!heap->places)
        heap->places = mem_array(heap->size, sizeof *heap->places);
    assert(heap->places[step] == 0);
    mem_grow(heap->entries, heap->count, heap->capacity);
    uint32_t hole = heap->count++;
    struct step_heap_entry entry = {.time = time, .step = step};
    heap->entries[hole] = entry; /* so that settle() compares with something that is set */
    settle(heap, hole, entry);
}

void step_heap_remove(struct step_heap *heap, uint32_t step)
{
    if (!heap->places || heap->places[step] == 0)
        return;
    uint32_t hole = heap->places[step] - 1;
    heap->places[step] = 0;
    struct step_heap_entry last = heap->entries[--heap->count];
    if (hole < heap->count)
        settle(heap, hole, last);
}

const struct step_heap_entry *step_heap_earliest(const struct step_heap *heap)
{
    return heap->count > 0 ? &heap->entries[0] : NULL;
}

void step_heap_shift(struct step_heap *heap, msec delta)
{
    for (uint32_t i = 0; i < heap->count; i++)
        heap->entries[i].time += delta;
}
