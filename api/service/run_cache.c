/* Each uuid has one place; of two that share it the later one stays. */
#include "api/service/run_cache.h"

#include "base/mem.h"

#include <pthread.h>
#include <string.h>

#define PLACES 256

/* Runs of more steps are read anew: copying would cost as much as the rest of the request. */
#define ANSWER_MAX (16 * 1024)

struct place {
    char uuid[37];
    bool has_ended;
    struct engine_version version;
    struct buf answer;
};

struct run_cache {
    pthread_mutex_t mutex;
    struct place places[PLACES];
};

struct run_cache *run_cache_new(void)
{
    struct run_cache *cache = mem_zalloc(sizeof *cache);

    pthread_mutex_init(&cache->mutex, NULL);
    return cache;
}

void run_cache_free(struct run_cache *cache)
{
    if (!cache)
        return;
    for (unsigned i = 0; i < PLACES; i++)
        buf_clear(&cache->places[i].answer);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

/* Uuids are random, and who makes many that share a place gains nothing by it. */
static struct place *place_of(struct run_cache *cache, const char *uuid)
{
    unsigned sum = 0;

    for (const char *c = uuid; *c; c++)
        sum = sum * 31 + (unsigned char)*c;
    return &cache->places[sum % PLACES];
}

static bool is_good(const struct place *place, const struct engine_version *now)
{
    return place->has_ended ? place->version.deletions == now->deletions
                            : place->version.changes == now->changes;
}

bool run_cache_get(struct run_cache *cache, const char *run_uuid, const struct engine_version *now,
                   struct buf *out)
{
    struct place *place = place_of(cache, run_uuid);

    pthread_mutex_lock(&cache->mutex);
    bool found = strcmp(place->uuid, run_uuid) == 0 && is_good(place, now);
    if (found)
        buf_put(out, place->answer.data, place->answer.len);
    pthread_mutex_unlock(&cache->mutex);
    return found;
}

void run_cache_put(struct run_cache *cache, const char *run_uuid,
                   const struct engine_version *before, bool has_ended, struct str answer)
{
    struct place *place = place_of(cache, run_uuid);

    if (answer.len > ANSWER_MAX || strlen(run_uuid) >= sizeof place->uuid)
        return;
    pthread_mutex_lock(&cache->mutex);
    memcpy(place->uuid, run_uuid, strlen(run_uuid) + 1);
    place->has_ended = has_ended;
    place->version = *before;
    buf_reset(&place->answer);
    buf_put(&place->answer, answer.text, answer.len);
    pthread_mutex_unlock(&cache->mutex);
}
