#include "api/jupyter/image_specs.h"

#include "base/mem.h"
#include "kernel-gateway/launch/launch.h"

#include <string.h>

/* Images that are built again and again get a new id each time: then it starts from nothing. */
#define ENTRIES_MAX 1000

struct entry {
    char *key;
    char *name, *resource_dir, *text; /* NULL: the image has no such kernel, because: */
    struct err why;
};

struct image_specs {
    char *attempt; /* marks the containers that are looked into */
    char *state_id;
    bool is_cleaned; /* nothing of an earlier life is left */
    struct entry *entries;
    size_t count, capacity;
};

struct image_specs *image_specs_new(const struct state *state)
{
    struct image_specs *specs = mem_zalloc(sizeof *specs);

    specs->state_id = mem_strdup(state->id.text);
    specs->attempt = mem_printf("look-%s", state->id.text);
    return specs;
}

static void clear_entries(struct image_specs *specs)
{
    for (size_t i = 0; i < specs->count; i++) {
        free(specs->entries[i].key);
        free(specs->entries[i].name);
        free(specs->entries[i].resource_dir);
        free(specs->entries[i].text);
    }
    specs->count = 0;
}

void image_specs_free(struct image_specs *specs)
{
    if (!specs)
        return;
    clear_entries(specs);
    free(specs->entries);
    free(specs->attempt);
    free(specs->state_id);
    free(specs);
}

static int look(struct image_specs *specs, const char *image_id, const char *name,
                const char *language, struct kernelspec *spec, struct err *e)
{
    struct launch_place place = {
        .launcher = LAUNCHER_DOCKER,
        .attempt = specs->attempt,
        .state_id = specs->state_id,
        .cancel_fd = -1,
        .image = image_id,
    };

    if (!specs->is_cleaned && launch_clean(LAUNCHER_DOCKER, specs->attempt, e) < 0)
        return -1;
    specs->is_cleaned = true;
    return launch_find_kernelspec(&place, name, language, spec, e);
}

static const struct entry *find(const struct image_specs *specs, const char *key)
{
    for (size_t i = 0; i < specs->count; i++)
        if (strcmp(specs->entries[i].key, key) == 0)
            return &specs->entries[i];
    return NULL;
}

static struct entry *add(struct image_specs *specs, const char *key)
{
    if (specs->count == ENTRIES_MAX)
        clear_entries(specs);
    mem_grow(specs->entries, specs->count, specs->capacity);
    struct entry *entry = &specs->entries[specs->count++];
    *entry = (struct entry){.key = mem_strdup(key)};
    return entry;
}

static int answer(const struct entry *entry, struct kernelspec *ret_spec, struct err *e)
{
    if (entry->text)
        return kernelspec_parse(ret_spec, str_of(entry->text), entry->name, entry->resource_dir, e);
    *e = entry->why;
    return -1;
}

int image_specs_find(struct image_specs *specs, const char *image_id, const char *name,
                     const char *language, struct kernelspec *ret_spec, struct err *e)
{
    auto_free char *key =
        mem_printf("%s\n%s\n%s", image_id, name ? name : "", language ? language : "");
    const struct entry *known = find(specs, key);

    if (known)
        return answer(known, ret_spec, e);
    if (look(specs, image_id, name, language, ret_spec, e) < 0) {
        if (e->code == ERR_NOT_FOUND || e->code == ERR_INVALID)
            add(specs, key)->why = *e;
        return -1;
    }
    struct entry *entry = add(specs, key);
    entry->name = mem_strdup(ret_spec->name);
    entry->resource_dir = mem_strdup(ret_spec->resource_dir);
    entry->text = mem_strdup(ret_spec->text);
    return 0;
}
