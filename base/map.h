/* map: finds a number by a text: a hash table with open addressing.
 *
 * Borrows the keys (they must outlive the map), owns the table. No deletion: what Segue maps (step
 * uuids, display ids) only grows. The hash is seeded at random for each map, so that no file can be
 * made that collides. One owner, one thread; reading by several is fine once it is filled.
 */
#ifndef SEGUE_BASE_MAP_H
#define SEGUE_BASE_MAP_H

#include "base/str.h"

#include <stdint.h>

#define MAP_NONE UINT32_MAX

struct map_entry {
    struct str key; /* text NULL: free */
    uint32_t hash;
    uint32_t value;
};

struct map {
    struct map_entry *entries;
    size_t count;
    size_t cap; /* a power of two, or 0 */
    uint64_t seed;
};

void map_clear(struct map *m); /* an all-zero map is an empty one */
void map_reserve(struct map *m, size_t count);
uint32_t map_get(const struct map *m, struct str key); /* MAP_NONE: not there */
/* Gives the value that was there and leaves it, or sets `value` and gives MAP_NONE. */
uint32_t map_add(struct map *m, struct str key, uint32_t value);
void map_set(struct map *m, struct str key, uint32_t value);

#endif
