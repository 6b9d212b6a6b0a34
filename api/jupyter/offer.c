#include "api/jupyter/offer.h"

#include "api/jupyter/slug.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "runner/engine/frozen.h"

void offer_clear(struct offer *offer)
{
    free(offer->name);
    free(offer->spec);
    free(offer->resource_dir);
    mem_free_texts(offer->resources);
    free(offer->kernelspec);
    free(offer->language);
    free(offer->project);
    free(offer->environment);
    *offer = (struct offer){0};
}

/* --- the spec --- */

/* What of a spec is not taken from its kernel.json as it is. */
struct spec_parts {
    const char *display_name;
    const char *language; /* when kernel.json has none */
    struct str segue;     /* what goes into its metadata; none: nothing */
};

/* JupyterLab leaves kernels without argv out, though it has no use for it. */
static void put_argv(struct buf *out, const struct json *doc)
{
    json_at argv = json_get(doc, 0, "argv");

    json_put_key(out, "argv");
    if (argv == JSON_NONE)
        buf_puts(out, "[\"?\"]");
    else
        json_write(doc, argv, JSON_COMPACT, 0, out);
}

static void put_member(struct buf *out, const struct json *doc, const char *key)
{
    json_at at = json_get(doc, 0, key);

    if (json_kind(doc, at) != JSON_OBJECT)
        return;
    json_put_key(out, key);
    json_write(doc, at, JSON_COMPACT, 0, out);
}

static void put_metadata(struct buf *out, const struct json *doc, struct str segue)
{
    json_at metadata = json_get(doc, 0, "metadata");
    auto_buf struct buf name = {0};

    json_put_key(out, "metadata");
    buf_putc(out, '{');
    if (json_kind(doc, metadata) == JSON_OBJECT) {
        json_each (doc, metadata, key) {
            if (segue.len > 0 && json_is(doc, key, "segue"))
                continue;
            buf_reset(&name);
            json_string(doc, key, &name);
            json_put_key(out, buf_text(&name));
            json_write(doc, json_value(key), JSON_COMPACT, 0, out);
        }
    }
    json_put_member_raw(out, "segue", segue);
    buf_putc(out, '}');
}

/* `doc`: of kernel.json; an empty one where it is not known. */
static char *make_spec(const struct json *doc, const struct spec_parts *parts)
{
    auto_free char *language = json_strdup(doc, json_get(doc, 0, "language"));
    bool by_message = json_is(doc, json_get(doc, 0, "interrupt_mode"), "message");
    struct buf out = {0};

    buf_putc(&out, '{');
    put_argv(&out, doc);
    put_member(&out, doc, "env");
    json_put_member(&out, "display_name", parts->display_name);
    json_put_member(&out, "language", language ? language : parts->language);
    json_put_member(&out, "interrupt_mode", by_message ? "message" : "signal");
    put_metadata(&out, doc, parts->segue);
    buf_putc(&out, '}');
    return buf_take(&out);
}

static int64_t cull_timeout(const struct json *doc)
{
    json_at metadata = json_get(doc, 0, "metadata");
    double seconds = 0;

    json_double(doc, json_get(doc, metadata, "cull_idle_timeout"), &seconds);
    return seconds >= 1 && seconds < 1e9 ? (int64_t)seconds : 0;
}

/* --- kernels of this machine --- */

void offer_of_kernelspec(struct offer *offer, const struct listed_kernelspec *listed)
{
    const struct kernelspec *spec = &listed->spec;
    struct spec_parts parts = {.display_name = spec->display_name, .language = spec->language};
    auto_json struct json doc = {0};
    struct err ignored;

    json_parse(&doc, str_of(spec->text), JSON_TOLERANT, NULL, &ignored);
    *offer = (struct offer){
        .name = mem_strdup(spec->name),
        .spec = make_spec(&doc, &parts),
        .resource_dir = mem_strdup(spec->resource_dir),
        .resources = mem_copy_texts(listed->resources),
        .cull_idle_timeout_s = cull_timeout(&doc),
        .kernelspec = mem_strdup(spec->name),
    };
}

/* --- environments --- */

/* "Python 3 (ipykernel)": which program it is tells nobody anything here. */
static struct str plain_name(const char *display_name)
{
    struct str name = str_of(display_name);
    struct str tail = STR(" (ipykernel)");

    if (name.len > tail.len && memcmp(name.text + name.len - tail.len, tail.text, tail.len) == 0)
        name.len -= tail.len;
    return name;
}

static const char *hint(const struct frozen_environment *now, const char *problem)
{
    if (now->cause == CAUSE_ENVIRONMENT_MISSING)
        return " (image missing)";
    return problem ? " (unavailable)" : "";
}

/* "Python 3 · science (wine)" */
static void put_display_name(struct buf *out, const struct offer *offer, const char *kernel_name,
                             const char *behind)
{
    struct str kernel = plain_name(kernel_name);

    buf_printf(out, STR_FMT " \u00b7 %s", STR_ARG(kernel), offer->environment);
    if (strcmp(offer->project, ".") != 0)
        buf_printf(out, " (%s)", offer->project);
    buf_puts(out, behind);
}

static void put_segue(struct buf *out, const struct offer *offer,
                      const struct environment *environment, const char *problem)
{
    buf_putc(out, '{');
    json_put_member(out, "project", offer->project);
    json_put_member(out, "environment", offer->environment);
    json_put_member(out, "launcher", launcher_name(environment->launcher));
    json_put_member(out, "image", environment->image);
    json_put_member(out, "problem", problem);
    buf_putc(out, '}');
}

/* The kernelspec in its place; NULL, or why there is none. */
static const char *find_spec(const struct offer *offer, struct image_specs *image_specs,
                             const struct frozen_environment *now, struct kernelspec *spec,
                             struct err *e)
{
    int result;

    if (now->cause != CAUSE_NONE)
        return now->message;
    if (now->launcher == LAUNCHER_DOCKER)
        result =
            image_specs_find(image_specs, now->image, offer->kernelspec, offer->language, spec, e);
    else
        result = kernelspec_find(spec, offer->kernelspec, offer->language, e);
    return result < 0 ? e->text : NULL;
}

static void show(struct offer *offer, const struct environment *environment,
                 const struct kernelspec *spec, const char *problem, const char *behind)
{
    auto_buf struct buf display_name = {0}, segue = {0};
    auto_json struct json doc = {0};
    struct err ignored;
    const char *language = offer->language ? offer->language : "python";
    const char *kernel_name = spec->display_name  ? spec->display_name
                              : offer->kernelspec ? offer->kernelspec
                                                  : language;

    if (spec->text)
        json_parse(&doc, str_of(spec->text), JSON_TOLERANT, NULL, &ignored);
    put_display_name(&display_name, offer, kernel_name, behind);
    put_segue(&segue, offer, environment, problem);
    struct spec_parts parts = {.display_name = buf_text(&display_name),
                               .language = language,
                               .segue = {segue.data, segue.len}};
    offer->spec = make_spec(&doc, &parts);
    offer->cull_idle_timeout_s = cull_timeout(&doc);
}

/* An environment that names neither kernelspec nor language is one for Python, as Orchest's are. */
static void choose_kernel(struct offer *offer, const struct environment *environment)
{
    bool says_nothing = !environment->kernelspec && !environment->language;

    offer->kernelspec = mem_strdup(says_nothing ? "python3" : environment->kernelspec);
    offer->language = mem_strdup(says_nothing ? "python" : environment->language);
}

void offer_of_environment(struct offer *offer, const struct offer_source *source,
                          const struct environment *environment)
{
    struct frozen_list now = {0};
    struct kernelspec spec = {0};
    struct err e;

    *offer = (struct offer){
        .name = slug_of_environment(source->project, environment->name),
        .project = mem_strdup(source->project),
        .environment = mem_strdup(environment->name),
    };
    choose_kernel(offer, environment);
    frozen_add(&now, source->environments, environment->name, LAUNCHER_CHOICE_ENVIRONMENT);
    const char *problem = find_spec(offer, source->image_specs, &now.items[0], &spec, &e);
    show(offer, environment, &spec, problem, hint(&now.items[0], problem));
    kernelspec_clear(&spec);
    frozen_clear(&now);
}

/* --- JSON --- */

/* "logo-64x64.png" is called "logo-64x64". */
static struct str resource_key(const char *file)
{
    struct str key = str_of(file);

    if (strncmp(file, "logo-", strlen("logo-")) == 0)
        key.len -= strlen(fs_extension(file));
    return key;
}

static void put_resources(struct buf *out, const struct offer *offer)
{
    json_put_key(out, "resources");
    buf_putc(out, '{');
    for (char **file = offer->resources; file && *file; file++) {
        struct str key = resource_key(*file);
        auto_free char *name = mem_strndup(key.text, key.len);
        auto_free char *path = mem_printf("/kernelspecs/%s/%s", offer->name, *file);
        json_put_member(out, name, path);
    }
    buf_putc(out, '}');
}

void offer_put(struct buf *out, const struct offer *offer)
{
    buf_putc(out, '{');
    json_put_member(out, "name", offer->name);
    json_put_member_raw(out, "spec", str_of(offer->spec));
    put_resources(out, offer);
    buf_putc(out, '}');
}
