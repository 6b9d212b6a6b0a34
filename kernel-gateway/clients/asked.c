/* Looking through some thousand numbers takes a few microseconds, and answers are few beside what
 * is published: no index is needed. Ids are compared by 64 bits of them. That two of those that
 * wait have the same ones does not happen by chance; and who contrives it, against the seed, gets
 * nothing by it that is not a client's of the same kernel already. */
#include "kernel-gateway/clients/asked.h"

#include "base/id.h"
#include "base/mem.h"

void asked_clear(struct asked *asked)
{
    free(asked->entries);
    *asked = (struct asked){0};
}

/* FNV-1a. */
static uint64_t hash_of(const struct asked *asked, const char *msg_id)
{
    uint64_t hash = 0xcbf29ce484222325u ^ asked->seed;

    for (; *msg_id; msg_id++)
        hash = (hash ^ (unsigned char)*msg_id) * 0x100000001b3u;
    return hash;
}

void asked_note(struct asked *asked, const char *msg_id, uint32_t session)
{
    if (asked->seed == 0)
        random_bytes(&asked->seed, sizeof asked->seed);
    struct asked_entry entry = {.hash = hash_of(asked, msg_id), .session = session};
    if (asked->count < ASKED_MAX) {
        mem_grow(asked->entries, asked->count, asked->capacity);
        asked->entries[asked->count++] = entry;
        return;
    }
    asked->entries[asked->oldest] = entry;
    asked->oldest = (asked->oldest + 1) % ASKED_MAX;
}

uint32_t asked_find(const struct asked *asked, const char *msg_id)
{
    uint64_t hash = hash_of(asked, msg_id);

    for (size_t i = asked->count; i-- > 0;) {
        const struct asked_entry *entry = &asked->entries[(asked->oldest + i) % asked->count];
        if (entry->hash == hash)
            return entry->session;
    }
    return 0;
}
