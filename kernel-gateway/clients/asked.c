/* Looking through some thousand numbers takes a few microseconds, and answers are few beside what
 * is published: no index is needed. */
#include "kernel-gateway/clients/asked.h"

#include "base/id.h"
#include "base/mem.h"
#include "kernel-gateway/clients/id_hash.h"

void asked_clear(struct asked *asked)
{
    free(asked->entries);
    *asked = (struct asked){0};
}

void asked_note(struct asked *asked, const char *msg_id, uint32_t session)
{
    if (asked->seed == 0)
        random_bytes(&asked->seed, sizeof asked->seed);
    struct asked_entry entry = {.hash = id_hash(asked->seed, msg_id), .session = session};
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
    uint64_t hash = id_hash(asked->seed, msg_id);

    for (size_t i = asked->count; i-- > 0;) {
        const struct asked_entry *entry = &asked->entries[(asked->oldest + i) % asked->count];
        if (entry->hash == hash)
            return entry->session;
    }
    return 0;
}
