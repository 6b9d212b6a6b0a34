#include "api/jupyter/offers.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/map.h"
#include "runner/plan/project.h"

#include <dirent.h>
#include <pthread.h>

#define RECENT_MS    3000
#define PROJECTS_MAX 500

struct offers {
    const char *projects, *default_kernel;
    struct image_specs *image_specs; /* of whoever refreshes */
    pthread_mutex_t lock;
    pthread_cond_t refreshed;
    bool is_refreshing;
    uint64_t begun, done;    /* how many refreshes */
    struct offer_list *list; /* NULL at first */
    msec made_ms;
};

/* --- one list --- */

static void list_free(struct offer_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        offer_clear(&list->items[i]);
    free(list->items);
    free(list);
}

void offer_list_drop(struct offer_list *list)
{
    if (list && atomic_fetch_sub(&list->references, 1) == 1)
        list_free(list);
}

const struct offer *offer_list_find(const struct offer_list *list, const char *name)
{
    if (!name || !*name)
        return list->standard;
    for (size_t i = 0; i < list->count; i++)
        if (strcasecmp(list->items[i].name, name) == 0)
            return &list->items[i];
    return NULL;
}

static void add_offer(struct offer_list *list, const struct offer *take_offer)
{
    mem_grow(list->items, list->count, list->capacity);
    list->items[list->count++] = *take_offer;
}

static void add_kernelspecs(struct offer_list *list)
{
    auto_kernelspec_list struct kernelspec_list found = {0};

    kernelspec_list_read(&found);
    for (size_t i = 0; i < found.count; i++) {
        struct offer offer;
        offer_of_kernelspec(&offer, &found.items[i]);
        add_offer(list, &offer);
    }
}

/* False: there are no environments, or they cannot be read. */
static bool add_project(struct offer_list *list, const struct offers *offers, const char *path)
{
    auto_project struct project project = {0};
    auto_environments struct environments environments = {0};
    struct err ignored;

    if (project_open_beneath(offers->projects, path, &project, &ignored) < 0 ||
        environments_read(&environments, project.dir, NULL, &ignored) < 0)
        return false;
    struct offer_source source = {
        .project = path, .environments = &environments, .image_specs = offers->image_specs};
    for (size_t i = 0; i < environments.count; i++) {
        struct offer offer;
        offer_of_environment(&offer, &source, &environments.items[i]);
        add_offer(list, &offer);
    }
    return environments.count > 0;
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.' &&
           (entry->d_type == DT_DIR || entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN);
}

static bool has_environments(const char *projects, const char *name)
{
    auto_free char *ours = mem_printf("%s/%s/.segue/environments.json", projects, name);
    auto_free char *orchest = mem_printf("%s/%s/.orchest/environments", projects, name);

    return fs_exists(ours) || fs_exists(orchest);
}

static void add_projects(struct offer_list *list, const struct offers *offers)
{
    struct dirent **entries = NULL;
    int found = scandir(offers->projects, &entries, is_shown, alphasort);
    int added = 0;

    add_project(list, offers, ".");
    for (int i = 0; i < found; i++) {
        const char *name = entries[i]->d_name;
        if (added < PROJECTS_MAX && has_environments(offers->projects, name))
            added += add_project(list, offers, name);
        free(entries[i]);
    }
    if (found >= 0)
        free(entries);
}

/* "science", "science-2", "science-3": the first keeps its name. */
static void make_names_unique(struct offer_list *list)
{
    struct map names = {0};

    for (size_t i = 0; i < list->count; i++) {
        struct offer *offer = &list->items[i];
        auto_free char *wanted = mem_strdup(offer->name);
        for (unsigned n = 2; map_add(&names, str_of(offer->name), 0) != MAP_NONE; n++) {
            free(offer->name);
            offer->name = mem_printf("%s-%u", wanted, n);
        }
    }
    map_clear(&names);
}

static struct offer_list *make_list(const struct offers *offers)
{
    struct offer_list *list = mem_zalloc(sizeof *list);

    atomic_init(&list->references, 1);
    add_kernelspecs(list);
    add_projects(list, offers);
    make_names_unique(list);
    list->standard =
        offer_list_find(list, offers->default_kernel ? offers->default_kernel : "python3");
    if (!list->standard && list->count > 0)
        list->standard = &list->items[0];
    return list;
}

/* --- all of them --- */

struct offers *offers_new(const char *projects, const char *default_kernel,
                          const struct state *state)
{
    struct offers *offers = mem_zalloc(sizeof *offers);

    offers->projects = projects;
    offers->default_kernel = default_kernel;
    offers->image_specs = image_specs_new(state);
    pthread_mutex_init(&offers->lock, NULL);
    pthread_cond_init(&offers->refreshed, NULL);
    return offers;
}

void offers_free(struct offers *offers)
{
    if (!offers)
        return;
    offer_list_drop(offers->list);
    image_specs_free(offers->image_specs);
    pthread_cond_destroy(&offers->refreshed);
    pthread_mutex_destroy(&offers->lock);
    free(offers);
}

/* Is there a list that will do? With the lock. */
static bool is_good(const struct offers *offers, enum offers_age age, uint64_t begun_before)
{
    if (!offers->list)
        return false;
    if (age == OFFERS_NOW)
        return offers->done > begun_before;
    return offers->is_refreshing || clock_mono() - offers->made_ms < RECENT_MS;
}

/* With the lock, which is let go of meanwhile. */
static void refresh(struct offers *offers)
{
    offers->is_refreshing = true;
    offers->begun++;
    pthread_mutex_unlock(&offers->lock);
    struct offer_list *list = make_list(offers);
    pthread_mutex_lock(&offers->lock);
    offer_list_drop(offers->list);
    offers->list = list;
    offers->made_ms = clock_mono();
    offers->done = offers->begun;
    offers->is_refreshing = false;
    pthread_cond_broadcast(&offers->refreshed);
}

struct offer_list *offers_get(struct offers *offers, enum offers_age age)
{
    pthread_mutex_lock(&offers->lock);
    uint64_t begun_before = offers->begun;
    while (!is_good(offers, age, begun_before)) {
        if (offers->is_refreshing)
            pthread_cond_wait(&offers->refreshed, &offers->lock);
        else
            refresh(offers);
    }
    struct offer_list *list = offers->list;
    atomic_fetch_add(&list->references, 1);
    pthread_mutex_unlock(&offers->lock);
    return list;
}
