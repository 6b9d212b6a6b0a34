/* Linear probing in a table that is at most three quarters full. The hash is SipHash-1-3 (Aumasson
 * and Bernstein, "SipHash: a fast short-input PRF", 2012, with the round counts that Rust and
 * Python use for their tables): keyed, so that who writes a file cannot choose keys that collide.
 */
#include "base/map.h"

#include "base/id.h"
#include "base/mem.h"

#include <assert.h>

enum { SMALLEST = 16 };

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32) + s->v3;
    s->v2 += s->v1;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

/* The 128-bit key is the seed twice, the second time changed by a constant. */
static uint32_t hash_of(uint64_t seed, struct str key)
{
    uint64_t k0 = seed, k1 = seed ^ UINT64_C(0x9e3779b97f4a7c15);
    struct sip s = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                    k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};
    size_t at = 0;
    uint64_t word;
    for (; key.len - at >= 8; at += 8) {
        memcpy(&word, key.text + at, 8);
        sip_word(&s, word);
    }
    word = (uint64_t)key.len << 56;
    for (size_t i = 0; at + i < key.len; i++)
        word |= (uint64_t)(unsigned char)key.text[at + i] << (8 * i);
    sip_word(&s, word);
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&s);
    return (uint32_t)(s.v0 ^ s.v1 ^ s.v2 ^ s.v3);
}

/* The entry of `key`, or the free one where it belongs. There always is a free one. */
static struct map_entry *find(const struct map *m, struct str key, uint32_t hash)
{
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_entry *entry = &m->entries[i];
        if (!entry->key.text || (entry->hash == hash && str_eq(entry->key, key)))
            return entry;
    }
}

void map_clear(struct map *m)
{
    free(m->entries);
    *m = (struct map){0};
}

void map_reserve(struct map *m, size_t count)
{
    assert(count <= UINT32_MAX);
    size_t cap = m->cap ? m->cap : SMALLEST;
    while (cap / 4 * 3 < count)
        cap *= 2;
    if (cap == m->cap)
        return;
    if (m->cap == 0)
        random_bytes(&m->seed, sizeof m->seed);

    struct map old = *m;
    m->entries = mem_array(cap, sizeof *m->entries);
    m->cap = cap;
    for (size_t i = 0; i < old.cap; i++)
        if (old.entries[i].key.text)
            *find(m, old.entries[i].key, old.entries[i].hash) = old.entries[i];
    free(old.entries);
}

uint32_t map_get(const struct map *m, struct str key)
{
    if (m->count == 0 || !key.text)
        return MAP_NONE;
    const struct map_entry *entry = find(m, key, hash_of(m->seed, key));
    return entry->key.text ? entry->value : MAP_NONE;
}

/* Room first: growing moves the entries. */
static struct map_entry *find_for_writing(struct map *m, struct str key)
{
    assert(key.text);
    map_reserve(m, m->count + 1);
    uint32_t hash = hash_of(m->seed, key);
    struct map_entry *entry = find(m, key, hash);
    if (!entry->key.text)
        *entry = (struct map_entry){.hash = hash, .value = MAP_NONE};
    return entry;
}

uint32_t map_add(struct map *m, struct str key, uint32_t value)
{
    struct map_entry *entry = find_for_writing(m, key);
    if (entry->key.text)
        return entry->value;
    entry->key = key;
    entry->value = value;
    m->count++;
    return MAP_NONE;
}

void map_set(struct map *m, struct str key, uint32_t value)
{
    struct map_entry *entry = find_for_writing(m, key);
    if (!entry->key.text) {
        entry->key = key;
        m->count++;
    }
    entry->value = value;
}
