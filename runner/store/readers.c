#include "runner/store/readers.h"

#include "base/mem.h"

#include <pthread.h>

struct readers {
    char *path;
    pthread_mutex_t mutex;
    struct store **free;
    size_t count, capacity;
};

struct readers *readers_new(const char *path)
{
    struct readers *readers = mem_zalloc(sizeof *readers);

    readers->path = mem_strdup(path);
    pthread_mutex_init(&readers->mutex, NULL);
    return readers;
}

void readers_free(struct readers *readers)
{
    if (!readers)
        return;
    for (size_t i = 0; i < readers->count; i++)
        store_close(readers->free[i]);
    free(readers->free);
    free(readers->path);
    pthread_mutex_destroy(&readers->mutex);
    free(readers);
}

struct store *readers_lend(struct readers *readers, struct err *e)
{
    struct store *store = NULL;

    pthread_mutex_lock(&readers->mutex);
    if (readers->count > 0)
        store = readers->free[--readers->count];
    pthread_mutex_unlock(&readers->mutex);
    if (!store && store_open(readers->path, STORE_READ, &store, e) < 0)
        return NULL;
    return store;
}

void readers_give_back(struct readers *readers, struct store *store)
{
    if (!store)
        return;
    pthread_mutex_lock(&readers->mutex);
    mem_grow(readers->free, readers->count, readers->capacity);
    readers->free[readers->count++] = store;
    pthread_mutex_unlock(&readers->mutex);
}
