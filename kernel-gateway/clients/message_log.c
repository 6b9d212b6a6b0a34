/* What is in memory are the newest messages, numbers in a row; what is on the disk (spool.h) is
 * older than all of it. A reader that keeps up never meets the disk. */
#include "kernel-gateway/clients/message_log.h"

#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/clients/spool.h"

#include <assert.h>

#define MEMORY_USUAL (4 * MiB)
#define DISK_USUAL   (256 * MiB)

/* What is written in one go; less where the limits are low. */
#define BATCH_BYTES (1 * MiB)
#define BATCH_SHARE 4

/* A ring that has once held many messages is given back when it is empty. */
#define RING_SMALL 1024

/* A message in memory: its data follows it. */
struct held {
    struct log_entry entry; /* first: readers have its address */
    unsigned users;         /* the log is one while it has it */
};

struct message_log {
    struct spool *spool;
    size_t memory_limit, batch_bytes;

    struct held **ring; /* by number, modulo the capacity, which is a power of two */
    size_t ring_capacity;
    size_t count;        /* in the ring: the newest */
    size_t memory_bytes; /* of those */
    uint64_t next;

    uint64_t wanted; /* nobody reads what lies before it */
    uint64_t dropped;
    size_t lent; /* entries that readers have */
};

static size_t smaller(size_t a, uint64_t b)
{
    return a < b ? a : (size_t)b;
}

struct message_log *message_log_new(const struct message_log_options *options)
{
    struct message_log *log = mem_zalloc(sizeof *log);
    uint64_t disk_bytes = options->disk_bytes ? options->disk_bytes : DISK_USUAL;

    log->memory_limit = options->memory_bytes ? options->memory_bytes : MEMORY_USUAL;
    log->batch_bytes =
        smaller(smaller(BATCH_BYTES, log->memory_limit / BATCH_SHARE), disk_bytes / BATCH_SHARE);
    log->spool = spool_new(options->directory, disk_bytes);
    log->next = log->wanted = 1;
    return log;
}

/* --- messages in memory --- */

static struct held *make_held(uint64_t number, uint32_t tag, size_t len)
{
    struct held *held = mem_alloc(sizeof *held + len);
    *held = (struct held){
        .entry = {.number = number, .tag = tag, .data = {(char *)(held + 1), len}},
        .users = 1,
    };
    return held;
}

static void leave(struct held *held)
{
    if (--held->users == 0)
        free(held);
}

static uint64_t oldest(const struct message_log *log) /* in memory */
{
    return log->next - log->count;
}

static struct held **slot(const struct message_log *log, uint64_t number)
{
    return &log->ring[number & (log->ring_capacity - 1)];
}

static size_t size_of(const struct held *held)
{
    return sizeof *held + held->entry.data.len;
}

static void grow_ring(struct message_log *log)
{
    struct message_log larger = *log;

    larger.ring_capacity = log->ring_capacity ? 2 * log->ring_capacity : 16;
    larger.ring = mem_array(larger.ring_capacity, sizeof *larger.ring);
    for (uint64_t number = oldest(log); number < log->next; number++)
        *slot(&larger, number) = *slot(log, number);
    free(log->ring);
    *log = larger;
}

static void remove_oldest(struct message_log *log)
{
    struct held *held = *slot(log, oldest(log));

    log->memory_bytes -= size_of(held);
    log->count--;
    leave(held);
    if (log->count == 0 && log->ring_capacity > RING_SMALL) {
        free(log->ring);
        log->ring = NULL;
        log->ring_capacity = 0;
    }
}

/* --- writing --- */

static size_t collect(const struct message_log *log, struct spool_record *records)
{
    size_t count = 0, bytes = 0;

    for (; count < SPOOL_BATCH_MAX && count + 1 < log->count; count++) {
        const struct log_entry *entry = &(*slot(log, oldest(log) + count))->entry;
        bytes += entry->data.len + SPOOL_RECORD_EXTRA;
        if (count > 0 && bytes > log->batch_bytes)
            break;
        records[count] = (struct spool_record){entry->number, entry->tag, entry->data};
    }
    return count;
}

/* The oldest messages go from memory to the disk, or nowhere where it takes none. */
static void spill(struct message_log *log)
{
    struct spool_record records[SPOOL_BATCH_MAX];
    size_t count = collect(log, records);
    uint64_t there = spool_count(log->spool, log->wanted);

    (void)spool_write(log->spool, records, count);
    log->dropped += there + count - spool_count(log->spool, log->wanted);
    for (; count > 0; count--)
        remove_oldest(log);
}

/* The newest stays in memory however long it is: whoever keeps up is to read it from there. */
uint64_t message_log_add(struct message_log *log, uint32_t tag, struct str data)
{
    assert(data.len <= UINT32_MAX);
    struct held *held = make_held(log->next, tag, data.len);
    if (data.len)
        memcpy(held + 1, data.text, data.len);
    if (log->count == log->ring_capacity)
        grow_ring(log);
    *slot(log, log->next) = held;
    log->next++;
    log->count++;
    log->memory_bytes += size_of(held);
    while (log->memory_bytes > log->memory_limit && log->count > 1)
        spill(log);
    return held->entry.number;
}

uint64_t message_log_next(const struct message_log *log)
{
    return log->next;
}

void message_log_forget(struct message_log *log, uint64_t number)
{
    if (number > log->next)
        number = log->next;
    if (number <= log->wanted)
        return;
    log->wanted = number;
    while (log->count > 0 && oldest(log) < number)
        remove_oldest(log);
    spool_forget(log->spool, number);
}

void message_log_free(struct message_log *log)
{
    if (!log)
        return;
    assert(log->lent == 0);
    while (log->count > 0)
        remove_oldest(log);
    free(log->ring);
    spool_free(log->spool);
    free(log);
}

/* --- reading --- */

void log_cursor_set(struct log_cursor *cursor, uint64_t number)
{
    *cursor = (struct log_cursor){.number = number};
}

/* The first message from this number on that there is; the next number where there is none. */
static uint64_t find(const struct message_log *log, uint64_t number)
{
    if (number < log->wanted)
        number = log->wanted;
    if (number >= oldest(log))
        return number;
    uint64_t found = spool_find(log->spool, number);
    return found < oldest(log) ? found : oldest(log);
}

static struct held *read_memory(struct message_log *log, struct log_cursor *cursor)
{
    struct held *held = *slot(log, cursor->number);

    held->users++;
    log_cursor_set(cursor, cursor->number + 1);
    return held;
}

/* NULL: the disk fails, and what is to be read is not there any more. */
static struct held *read_spool(struct message_log *log, struct log_cursor *cursor)
{
    uint64_t number = cursor->number, there = spool_count(log->spool, log->wanted);
    struct spool_place place = {cursor->segment, cursor->offset};
    struct held *held = NULL;
    uint32_t tag, len;

    if (spool_seek(log->spool, number, &place, &tag, &len)) {
        held = make_held(number, tag, len);
        if (spool_read(log->spool, number, &place, (char *)(held + 1), len)) {
            *cursor = (struct log_cursor){number + 1, place.file, place.offset};
            return held;
        }
        free(held);
    }
    log->dropped += there - spool_count(log->spool, log->wanted);
    return NULL;
}

enum log_read message_log_read(struct message_log *log, struct log_cursor *cursor,
                               const struct log_entry **ret_entry, uint64_t *ret_missing)
{
    struct held *held = NULL;
    if (cursor->number == 0)
        cursor->number = 1;
    while (!held) {
        if (cursor->number >= log->next)
            return LOG_NOTHING;
        uint64_t found = find(log, cursor->number);
        if (found > cursor->number) {
            *ret_missing = found - cursor->number;
            log_cursor_set(cursor, found);
            return LOG_GAP;
        }
        held = found >= oldest(log) ? read_memory(log, cursor) : read_spool(log, cursor);
    }
    log->lent++;
    *ret_entry = &held->entry;
    return LOG_ENTRY;
}

void message_log_put(struct message_log *log, const struct log_entry *entry)
{
    assert(log->lent > 0);
    log->lent--;
    leave((struct held *)entry);
}

/* --- figures --- */

struct message_log_figures message_log_figures(const struct message_log *log)
{
    return (struct message_log_figures){
        .memory_bytes = log->memory_bytes,
        .disk_bytes = spool_bytes(log->spool),
        .dropped = log->dropped,
    };
}
