#include "runner/engine/frozen.h"

#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

static const char *const choice_names[] = {
    [LAUNCHER_CHOICE_ENVIRONMENT] = "environment",
    [LAUNCHER_CHOICE_PROCESS] = "process",
    [LAUNCHER_CHOICE_DOCKER] = "docker",
};

const char *launcher_choice_name(enum launcher_choice choice)
{
    return choice_names[choice];
}

enum launcher_choice launcher_choice_of_name(const char *name)
{
    for (unsigned i = 0; name && i < sizeof choice_names / sizeof *choice_names; i++)
        if (strcmp(name, choice_names[i]) == 0)
            return (enum launcher_choice)i;
    return LAUNCHER_CHOICE_ENVIRONMENT;
}

/* --- freezing --- */

static void cannot_run(struct frozen_environment *frozen, enum cause cause, const char *message)
{
    frozen->cause = cause;
    frozen->message = mem_strdup(message);
}

static void freeze_image(struct frozen_environment *frozen, const struct environment *environment)
{
    struct err e;

    if (!environment->image) {
        cannot_run(frozen, CAUSE_ENVIRONMENT_MISSING,
                   "the step shall run in a container, but its environment names no image");
        return;
    }
    frozen->image = launch_image_id(environment->image, &e);
    if (frozen->image)
        return;
    if (e.code == ERR_NOT_FOUND) {
        auto_free char *hint = environment_build_hint(environment);
        auto_free char *message =
            mem_printf("there is no image \"%s\"; build it with: %s", environment->image, hint);
        cannot_run(frozen, CAUSE_ENVIRONMENT_MISSING, message);
    } else {
        cannot_run(frozen, CAUSE_LAUNCHER_UNAVAILABLE, e.text);
    }
}

static const struct environment *find(const struct environments *environments, const char *name,
                                      enum launcher_choice choice, struct err *e)
{
    const struct environment *found = environment_find(environments, name, e);

    /* Local processes need no environment, so a missing one stops nobody who asked for them. */
    if (!found && choice == LAUNCHER_CHOICE_PROCESS)
        found = environment_find(environments, "", e);
    return found;
}

void frozen_add(struct frozen_list *list, const struct environments *environments, const char *name,
                enum launcher_choice choice)
{
    struct err e;
    const struct environment *found = find(environments, name, choice, &e);

    mem_grow(list->items, list->count, list->capacity);
    struct frozen_environment *frozen = &list->items[list->count++];
    *frozen = (struct frozen_environment){.name = mem_strdup(name)};
    if (!found) {
        frozen->env = mem_array(1, sizeof *frozen->env);
        cannot_run(frozen, CAUSE_ENVIRONMENT_MISSING, e.text);
        return;
    }
    frozen->launcher = choice == LAUNCHER_CHOICE_PROCESS  ? LAUNCHER_PROCESS
                       : choice == LAUNCHER_CHOICE_DOCKER ? LAUNCHER_DOCKER
                                                          : found->launcher;
    frozen->kernelspec = mem_strdup(found->kernelspec);
    frozen->language = mem_strdup(found->language);
    frozen->network = found->network;
    frozen->resources = found->resources;
    frozen->env = mem_copy_texts(found->env);
    if (frozen->launcher == LAUNCHER_DOCKER)
        freeze_image(frozen, found);
}

/* --- as JSON --- */

static void put_texts(struct buf *out, const char *key, char *const *texts)
{
    json_put_key(out, key);
    buf_putc(out, '[');
    for (size_t i = 0; texts[i]; i++) {
        if (i > 0)
            buf_putc(out, ',');
        json_put_text(out, texts[i]);
    }
    buf_putc(out, ']');
}

static void put_frozen(struct buf *out, const struct frozen_environment *frozen)
{
    buf_putc(out, '{');
    json_put_member(out, "name", frozen->name);
    if (frozen->cause != CAUSE_NONE)
        json_put_member(out, "cause", cause_name(frozen->cause));
    json_put_member(out, "message", frozen->message);
    json_put_member(out, "launcher", launcher_name(frozen->launcher));
    json_put_member(out, "image", frozen->image);
    json_put_member(out, "kernelspec", frozen->kernelspec);
    json_put_member(out, "language", frozen->language);
    json_put_member_int(out, "network", frozen->network);
    json_put_member_int(out, "millicpus", llround(1000 * frozen->resources.cpus));
    json_put_member_int(out, "memory_bytes", (int64_t)frozen->resources.memory_bytes);
    json_put_member_int(out, "gpus", frozen->resources.gpus);
    put_texts(out, "env", frozen->env);
    buf_putc(out, '}');
}

void frozen_encode(const struct frozen_list *list, struct buf *out)
{
    buf_putc(out, '[');
    for (uint32_t i = 0; i < list->count; i++) {
        if (i > 0)
            buf_putc(out, ',');
        put_frozen(out, &list->items[i]);
    }
    buf_putc(out, ']');
}

static char *text_of(const struct json *doc, json_at object, const char *key)
{
    return json_strdup(doc, json_get(doc, object, key));
}

static int64_t int_of(const struct json *doc, json_at object, const char *key)
{
    int64_t value = 0;

    json_int(doc, json_get(doc, object, key), &value);
    return value;
}

static char **texts_of(const struct json *doc, json_at array)
{
    char **texts = mem_array((size_t)json_count(doc, array) + 1, sizeof *texts);
    size_t count = 0;

    json_each (doc, array, at)
        if ((texts[count] = json_strdup(doc, at)))
            count++;
    return texts;
}

static void read_frozen(struct frozen_environment *frozen, const struct json *doc, json_at at)
{
    auto_free char *launcher = text_of(doc, at, "launcher");
    auto_free char *cause = text_of(doc, at, "cause");
    auto_free char *name = text_of(doc, at, "name");

    *frozen = (struct frozen_environment){
        .name = mem_strdup(name ? name : ""),
        .cause = cause ? cause_of_name(cause) : CAUSE_NONE,
        .message = text_of(doc, at, "message"),
        .image = text_of(doc, at, "image"),
        .kernelspec = text_of(doc, at, "kernelspec"),
        .language = text_of(doc, at, "language"),
        .network = int_of(doc, at, "network") != 0,
        .resources = {.cpus = (double)int_of(doc, at, "millicpus") / 1000,
                      .memory_bytes = (uint64_t)int_of(doc, at, "memory_bytes"),
                      .gpus = (uint32_t)int_of(doc, at, "gpus")},
        .env = texts_of(doc, json_get(doc, at, "env")),
    };
    if (!launcher || !launcher_of_name(launcher, &frozen->launcher))
        frozen->launcher = LAUNCHER_PROCESS;
}

int frozen_parse(struct frozen_list *list, const char *text, struct err *e)
{
    auto_json struct json doc = {0};

    *list = (struct frozen_list){0};
    if (json_parse(&doc, str_of(text), JSON_STRICT, NULL, e) < 0)
        return err_prefix(e, "the run's environments");
    json_each (&doc, 0, at) {
        mem_grow(list->items, list->count, list->capacity);
        read_frozen(&list->items[list->count++], &doc, at);
    }
    return 0;
}

void frozen_clear(struct frozen_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        struct frozen_environment *frozen = &list->items[i];
        free(frozen->name);
        free(frozen->message);
        free(frozen->image);
        free(frozen->kernelspec);
        free(frozen->language);
        mem_free_texts(frozen->env);
    }
    free(list->items);
    *list = (struct frozen_list){0};
}
