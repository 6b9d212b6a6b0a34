/* Looked for from the oldest on: a kernel works through its requests in their order, so what it
 * speaks of is among the first. */
#include "kernel-gateway/clients/unread.h"

#include "base/id.h"
#include "base/mem.h"
#include "kernel-gateway/clients/id_hash.h"

#include <string.h>

void unread_clear(struct unread *unread)
{
    for (int i = 0; i < CHANNEL_COUNT; i++)
        free(unread->lines[i].entries);
    *unread = (struct unread){.seed = unread->seed};
}

bool unread_has_room(const struct unread *unread, enum channel channel, size_t bytes)
{
    const struct unread_line *line = &unread->lines[channel];

    return line->count == 0 || line->bytes + bytes <= UNREAD_BYTES_MAX;
}

void unread_add(struct unread *unread, enum channel channel, const char *msg_id, size_t bytes)
{
    struct unread_line *line = &unread->lines[channel];

    if (unread->seed == 0)
        random_bytes(&unread->seed, sizeof unread->seed);
    line->bytes += bytes;
    if (line->count == UNREAD_MAX) { /* it shares the place of the one before */
        struct unread_entry *last = &line->entries[line->first + line->count - 1];
        last->hash = id_hash(unread->seed, msg_id);
        last->bytes += bytes;
        return;
    }
    if (line->first > 0 && line->first + line->count == line->capacity) {
        memmove(line->entries, line->entries + line->first, line->count * sizeof *line->entries);
        line->first = 0;
    }
    mem_grow(line->entries, line->first + line->count, line->capacity);
    line->entries[line->first + line->count++] =
        (struct unread_entry){.hash = id_hash(unread->seed, msg_id), .bytes = bytes};
}

/* All up to the n-th have been read. */
static void drop(struct unread_line *line, size_t n)
{
    for (size_t i = 0; i <= n; i++)
        line->bytes -= line->entries[line->first + i].bytes;
    line->first += n + 1;
    line->count -= n + 1;
    if (line->count == 0)
        line->first = 0;
}

void unread_heard_of(struct unread *unread, const char *msg_id)
{
    uint64_t hash = id_hash(unread->seed, msg_id);

    for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
        struct unread_line *line = &unread->lines[channel];
        for (size_t i = 0; i < line->count; i++) {
            if (line->entries[line->first + i].hash == hash) {
                drop(line, i);
                return;
            }
        }
    }
}
