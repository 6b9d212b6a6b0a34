#include "kernel-gateway/launch/kernelspec_list.h"

#include "base/fs.h"
#include "base/mem.h"

#include <ctype.h>
#include <dirent.h>
#include <string.h>

/* Logos come in a few sizes; a directory of thousands of them is no kernel's. */
#define RESOURCES_MAX 32

static bool is_fit(const char *name)
{
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
            return false;
    return *name != 0 && *name != '.';
}

static int is_resource(const struct dirent *entry)
{
    const char *name = entry->d_name;

    return is_fit(name) && (strcmp(name, "kernel.js") == 0 || strcmp(name, "kernel.css") == 0 ||
                            strncmp(name, "logo-", strlen("logo-")) == 0);
}

static char **find_resources(const char *directory)
{
    struct dirent **entries = NULL;
    int found = scandir(directory, &entries, is_resource, alphasort);
    char **resources = mem_array(RESOURCES_MAX + 1, sizeof *resources);

    for (int i = 0; i < found; i++) {
        if (i < RESOURCES_MAX)
            resources[i] = mem_strdup(entries[i]->d_name);
        free(entries[i]);
    }
    if (found >= 0)
        free(entries);
    return resources;
}

static void on_found(void *user, struct kernelspec *take_spec)
{
    struct kernelspec_list *list = user;

    if (!is_fit(take_spec->name)) {
        kernelspec_clear(take_spec);
        return;
    }
    mem_grow(list->items, list->count, list->capacity);
    list->items[list->count++] = (struct listed_kernelspec){
        .spec = *take_spec, .resources = find_resources(take_spec->resource_dir)};
}

static int by_name(const void *a, const void *b)
{
    const struct listed_kernelspec *one = a, *other = b;

    return strcmp(one->spec.name, other->spec.name);
}

void kernelspec_list_read(struct kernelspec_list *list)
{
    *list = (struct kernelspec_list){0};
    kernelspec_each(on_found, list);
    if (list->count > 0)
        qsort(list->items, list->count, sizeof *list->items, by_name);
}

void kernelspec_list_clear(struct kernelspec_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        kernelspec_clear(&list->items[i].spec);
        mem_free_texts(list->items[i].resources);
    }
    free(list->items);
    *list = (struct kernelspec_list){0};
}
