/* Entries stand in the order of their ids, so that they are found by bisection and the first of a
 * class that may begin is the oldest. Looking for it passes over those that wait for another of
 * their key: that is a walk over all that wait, but only when a run has ended or come, and of 24
 * bytes each. What was removed leaves a hole; holes are closed when they are half of it.
 */
#include "runner/run/run_queue.h"

#include "base/map.h"
#include "base/mem.h"

#include <assert.h>

#define NO_KEY UINT32_MAX

struct entry {
    int64_t run;
    uint32_t key; /* index in `keys`, or NO_KEY */
    uint8_t run_class;
    bool is_running;
    bool is_gone;
};

/* What runs want for themselves. Never forgotten: there are as many as pipelines. */
struct key {
    char *name;
    bool is_taken;   /* by a run that goes on */
    bool is_outside; /* ... by somebody else */
};

struct run_queue {
    struct entry *entries;
    size_t count, capacity, gone;
    struct key *keys;
    size_t key_count, key_capacity;
    struct map names;
    uint32_t limits[RUN_CLASS_COUNT];
    uint32_t waiting[RUN_CLASS_COUNT];
    uint32_t running[RUN_CLASS_COUNT];
};

const char *run_class_name(enum run_class run_class)
{
    return run_class == RUN_BACKGROUND ? "background" : "interactive";
}

struct run_queue *run_queue_new(const uint32_t limits[RUN_CLASS_COUNT])
{
    struct run_queue *queue = mem_zalloc(sizeof *queue);

    for (int i = 0; i < RUN_CLASS_COUNT; i++)
        queue->limits[i] = limits[i];
    return queue;
}

void run_queue_free(struct run_queue *queue)
{
    if (!queue)
        return;
    for (size_t i = 0; i < queue->key_count; i++)
        free(queue->keys[i].name);
    free(queue->keys);
    free(queue->entries);
    map_clear(&queue->names);
    free(queue);
}

static uint32_t key_of(struct run_queue *queue, const char *name)
{
    if (!name)
        return NO_KEY;
    uint32_t found = map_get(&queue->names, str_of(name));
    if (found != MAP_NONE)
        return found;
    mem_grow(queue->keys, queue->key_count, queue->key_capacity);
    found = (uint32_t)queue->key_count++;
    queue->keys[found] = (struct key){.name = mem_strdup(name)};
    map_add(&queue->names, str_of(queue->keys[found].name), found);
    return found;
}

static struct entry *append(struct run_queue *queue, int64_t run, enum run_class run_class,
                            const char *key)
{
    assert(queue->count == 0 || queue->entries[queue->count - 1].run < run);
    mem_grow(queue->entries, queue->count, queue->capacity);
    struct entry *entry = &queue->entries[queue->count++];
    *entry = (struct entry){.run = run, .run_class = (uint8_t)run_class, .key = key_of(queue, key)};
    return entry;
}

static void begin(struct run_queue *queue, struct entry *entry)
{
    entry->is_running = true;
    queue->running[entry->run_class]++;
    if (entry->key != NO_KEY)
        queue->keys[entry->key].is_taken = true;
}

void run_queue_add(struct run_queue *queue, int64_t run, enum run_class run_class, const char *key)
{
    append(queue, run, run_class, key);
    queue->waiting[run_class]++;
}

void run_queue_add_running(struct run_queue *queue, int64_t run, enum run_class run_class,
                           const char *key)
{
    begin(queue, append(queue, run, run_class, key));
}

static bool is_free(const struct key *key)
{
    return !key->is_taken && !key->is_outside;
}

static bool may_begin(const struct run_queue *queue, const struct entry *entry,
                      enum run_class run_class)
{
    return entry->run_class == run_class && !entry->is_gone && !entry->is_running &&
           (entry->key == NO_KEY || is_free(&queue->keys[entry->key]));
}

static bool next_of_class(struct run_queue *queue, enum run_class run_class, int64_t *ret_run)
{
    if (queue->waiting[run_class] == 0 || queue->running[run_class] >= queue->limits[run_class])
        return false;
    for (size_t i = 0; i < queue->count; i++) {
        struct entry *entry = &queue->entries[i];
        if (!may_begin(queue, entry, run_class))
            continue;
        queue->waiting[run_class]--;
        begin(queue, entry);
        *ret_run = entry->run;
        return true;
    }
    return false;
}

bool run_queue_next(struct run_queue *queue, int64_t *ret_run)
{
    return next_of_class(queue, RUN_INTERACTIVE, ret_run) ||
           next_of_class(queue, RUN_BACKGROUND, ret_run);
}

static struct entry *find(const struct run_queue *queue, int64_t run)
{
    size_t low = 0, high = queue->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (queue->entries[middle].run < run)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == queue->count || queue->entries[low].run != run || queue->entries[low].is_gone)
        return NULL;
    return &queue->entries[low];
}

/* Back from those that go on. */
static void stop(struct run_queue *queue, struct entry *entry)
{
    entry->is_running = false;
    queue->running[entry->run_class]--;
    if (entry->key != NO_KEY)
        queue->keys[entry->key].is_taken = false;
}

const char *run_queue_key(const struct run_queue *queue, int64_t run)
{
    const struct entry *entry = find(queue, run);

    return entry && entry->key != NO_KEY ? queue->keys[entry->key].name : NULL;
}

void run_queue_give_back(struct run_queue *queue, int64_t run)
{
    struct entry *entry = find(queue, run);

    assert(entry && entry->is_running && entry->key != NO_KEY);
    stop(queue, entry);
    queue->waiting[entry->run_class]++;
    queue->keys[entry->key].is_outside = true;
}

void run_queue_try_keys(struct run_queue *queue)
{
    for (size_t i = 0; i < queue->key_count; i++)
        queue->keys[i].is_outside = false;
}

static void close_holes(struct run_queue *queue)
{
    size_t kept = 0;

    if (queue->gone * 2 < queue->count)
        return;
    for (size_t i = 0; i < queue->count; i++)
        if (!queue->entries[i].is_gone)
            queue->entries[kept++] = queue->entries[i];
    queue->count = kept;
    queue->gone = 0;
}

void run_queue_remove(struct run_queue *queue, int64_t run)
{
    struct entry *entry = find(queue, run);

    if (!entry)
        return;
    if (entry->is_running)
        stop(queue, entry);
    else
        queue->waiting[entry->run_class]--;
    entry->is_gone = true;
    queue->gone++;
    close_holes(queue);
}

bool run_queue_is_waiting(const struct run_queue *queue, int64_t run)
{
    const struct entry *entry = find(queue, run);

    return entry && !entry->is_running;
}

uint32_t run_queue_waiting(const struct run_queue *queue, enum run_class run_class)
{
    return queue->waiting[run_class];
}

uint32_t run_queue_running(const struct run_queue *queue, enum run_class run_class)
{
    return queue->running[run_class];
}
