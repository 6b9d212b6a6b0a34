#include "api/jupyter/session_store.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"

#include <pthread.h>
#include <string.h>

#define FILE_MAX (64 * MiB) /* SESSIONS_MAX of the longest, escaped */

struct session_store {
    char *path;
    pthread_mutex_t lock;
    struct session *items;
    size_t count; /* of SESSIONS_MAX places */
};

void session_clear(struct session *session)
{
    free(session->id);
    free(session->path);
    free(session->name);
    free(session->type);
    free(session->kernel_id);
    *session = (struct session){0};
}

struct session session_copy(const struct session *session)
{
    return (struct session){
        .id = mem_strdup(session->id),
        .path = mem_strdup(session->path),
        .name = mem_strdup(session->name),
        .type = mem_strdup(session->type),
        .kernel_id = mem_strdup(session->kernel_id),
    };
}

/* --- the file --- */

void sessions_encode(const struct session *sessions, size_t count, struct buf *out)
{
    buf_puts(out, "{\"sessions\":[");
    for (size_t i = 0; i < count; i++) {
        buf_puts(out, i > 0 ? ",\n{" : "\n{");
        json_put_member(out, "id", sessions[i].id);
        json_put_member(out, "path", sessions[i].path);
        json_put_member(out, "name", sessions[i].name);
        json_put_member(out, "type", sessions[i].type);
        json_put_member(out, "kernel_id", sessions[i].kernel_id);
        buf_putc(out, '}');
    }
    buf_puts(out, "]}\n");
}

static bool read_session(struct session *session, const struct json *doc, json_at at)
{
    *session = (struct session){
        .id = json_strdup(doc, json_get(doc, at, "id")),
        .path = json_strdup(doc, json_get(doc, at, "path")),
        .name = json_strdup(doc, json_get(doc, at, "name")),
        .type = json_strdup(doc, json_get(doc, at, "type")),
        .kernel_id = json_strdup(doc, json_get(doc, at, "kernel_id")),
    };
    if (session->id && session->path && session->name && session->type && session->kernel_id)
        return true;
    session_clear(session);
    return false;
}

size_t sessions_parse(struct str text, struct session **ret_sessions)
{
    auto_json struct json doc = {0};
    struct err ignored;
    size_t count = 0;

    *ret_sessions = mem_array(SESSIONS_MAX, sizeof **ret_sessions);
    if (json_parse(&doc, text, JSON_STRICT, NULL, &ignored) < 0)
        return 0;
    json_each (&doc, json_get(&doc, 0, "sessions"), at)
        if (count < SESSIONS_MAX && read_session(&(*ret_sessions)[count], &doc, at))
            count++;
    return count;
}

/* With the lock, so that no older state is written over a newer one. */
static void save(const struct session_store *store)
{
    auto_buf struct buf text = {0};
    struct err ignored;

    sessions_encode(store->items, store->count, &text);
    fs_write(store->path, (struct str){text.data, text.len}, 0600, FS_NO_SYNC, &ignored);
}

/* --- life --- */

struct session_store *session_store_new(const char *path)
{
    struct session_store *store = mem_zalloc(sizeof *store);
    auto_buf struct buf text = {0};
    struct err ignored;

    store->path = mem_strdup(path);
    pthread_mutex_init(&store->lock, NULL);
    fs_read(path, FILE_MAX, &text, &ignored);
    store->count = sessions_parse((struct str){buf_text(&text), text.len}, &store->items);
    return store;
}

void session_store_free(struct session_store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < store->count; i++)
        session_clear(&store->items[i]);
    free(store->items);
    pthread_mutex_destroy(&store->lock);
    free(store->path);
    free(store);
}

/* --- looking --- */

size_t session_store_list(struct session_store *store, struct session **ret_sessions)
{
    pthread_mutex_lock(&store->lock);
    size_t count = store->count;
    *ret_sessions = mem_array(count, sizeof **ret_sessions);
    for (size_t i = 0; i < count; i++)
        (*ret_sessions)[i] = session_copy(&store->items[i]);
    pthread_mutex_unlock(&store->lock);
    return count;
}

/* With the lock; NULL: none. */
static struct session *find_id(const struct session_store *store, const char *id)
{
    for (size_t i = 0; i < store->count; i++)
        if (strcmp(store->items[i].id, id) == 0)
            return &store->items[i];
    return NULL;
}

static struct session *find_path(const struct session_store *store, const char *path)
{
    for (size_t i = 0; i < store->count; i++)
        if (strcmp(store->items[i].path, path) == 0)
            return &store->items[i];
    return NULL;
}

static bool find(struct session_store *store,
                 struct session *look(const struct session_store *store, const char *text),
                 const char *text, struct session *ret_session)
{
    pthread_mutex_lock(&store->lock);
    const struct session *found = look(store, text);
    if (found)
        *ret_session = session_copy(found);
    pthread_mutex_unlock(&store->lock);
    return found;
}

bool session_store_find(struct session_store *store, const char *id, struct session *ret_session)
{
    return find(store, find_id, id, ret_session);
}

bool session_store_find_path(struct session_store *store, const char *path,
                             struct session *ret_session)
{
    return find(store, find_path, path, ret_session);
}

/* --- changing --- */

bool session_store_put(struct session_store *store, const struct session *session)
{
    pthread_mutex_lock(&store->lock);
    struct session *place = find_id(store, session->id);
    if (place)
        session_clear(place);
    else if (store->count < SESSIONS_MAX)
        place = &store->items[store->count++];
    if (place) {
        *place = session_copy(session);
        save(store);
    }
    pthread_mutex_unlock(&store->lock);
    return place;
}

bool session_store_remove(struct session_store *store, const char *id)
{
    pthread_mutex_lock(&store->lock);
    struct session *found = find_id(store, id);
    if (found) {
        session_clear(found);
        struct session *end = store->items + store->count--;
        memmove(found, found + 1, (size_t)(end - found - 1) * sizeof *found);
        save(store);
    }
    pthread_mutex_unlock(&store->lock);
    return found;
}
