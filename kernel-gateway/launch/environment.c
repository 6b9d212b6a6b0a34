/* Both formats end in the same struct. environments.json is ours and strict: a misspelt key is an
 * error with the nearest known name, since a limit that silently does not bind is worse than a
 * refusal. Orchest's properties.json belongs to somebody else: of it only what is used is looked
 * at, and other keys are left alone. */
#include "kernel-gateway/launch/environment.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <stdlib.h>

#define SEGUE_FILE        ".segue/environments.json"
#define ORCHEST_DIRECTORY ".orchest/environments"

/* A setup script is written by hand; a longer one is not read to see whether it does something. */
#define SETUP_SCRIPT_CAP (1 * MiB)

/* What a reading has in hand: where it reports to, and the document it is in. */
struct reading {
    const struct json *doc;
    struct problems *problems;
};

static char **env_empty(void)
{
    return mem_array(1, sizeof(char *));
}

static void environment_clear(struct environment *environment)
{
    free(environment->name);
    free(environment->uuid);
    free(environment->image);
    free(environment->kernelspec);
    free(environment->language);
    mem_free_texts(environment->env);
    free(environment->base_image);
    free(environment->build_dir);
    *environment = (struct environment){0};
}

void environments_clear(struct environments *list)
{
    for (size_t i = 0; i < list->count; i++)
        environment_clear(&list->items[i]);
    free(list->items);
    *list = (struct environments){0};
}

static const struct environment *find_exact(const struct environments *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return &list->items[i];
    return NULL;
}

static struct environment *list_add(struct environments *list)
{
    list->items = mem_resize(list->items, list->count + 1, sizeof *list->items);
    struct environment *environment = &list->items[list->count++];
    *environment = (struct environment){.env = env_empty()};
    return environment;
}

/* --- sizes --- */

struct unit {
    const char *name;
    double factor;
};

static const struct unit units[] = {
    {"", 1},      {"b", 1},     {"kb", 1e3},  {"mb", 1e6},  {"gb", 1e9},
    {"tb", 1e12}, {"kib", KiB}, {"mib", MiB}, {"gib", GiB}, {"tib", 1024.0 * GiB},
};

bool environment_parse_size(struct str text, uint64_t *ret_bytes)
{
    char copy[32];
    char *unit;

    if (text.len == 0 || text.len >= sizeof copy || !isdigit((unsigned char)text.text[0]))
        return false;
    for (size_t i = 0; i < text.len; i++)
        copy[i] = (char)tolower((unsigned char)text.text[i]);
    copy[text.len] = 0;
    /* Digits and a fraction only: strtod alone would take 0x10, 1e3 and the locale's comma. */
    size_t digits = strspn(copy, "0123456789.");
    if (strlen(copy) != text.len || copy[digits] == 'e' || copy[digits] == 'x')
        return false;
    double value = strtod(copy, &unit);
    if (unit != copy + digits)
        return false;
    while (*unit == ' ')
        unit++;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i].name) == 0) {
            double bytes = value * units[i].factor;
            if (bytes < 1 || bytes > 0x1p62)
                return false;
            *ret_bytes = (uint64_t)bytes;
            return true;
        }
    }
    return false;
}

/* --- reading JSON --- */

static bool expect(const struct reading *r, json_at at, enum json_kind kind)
{
    if (json_kind(r->doc, at) == kind)
        return true;
    problems_add(r->problems, r->doc, at, "expected %s, not %s", json_kind_name(kind),
                 json_kind_name(json_kind(r->doc, at)));
    return false;
}

/* A string that is not empty, fresh; NULL: a problem. */
static char *read_text(const struct reading *r, json_at at)
{
    if (!expect(r, at, JSON_STRING))
        return NULL;
    char *text = json_strdup(r->doc, at);
    if (!text)
        problems_add(r->problems, r->doc, at, "must not contain U+0000");
    else if (!*text)
        problems_add(r->problems, r->doc, at, "must not be empty");
    if (text && *text)
        return text;
    free(text);
    return NULL;
}

static void read_cpus(const struct reading *r, json_at at, struct environment_resources *out)
{
    double cpus;

    if (!expect(r, at, JSON_NUMBER))
        return;
    if (!json_double(r->doc, at, &cpus) || !(cpus >= 0.01 && cpus <= 100000))
        problems_add(r->problems, r->doc, at, "must be a number of processors, such as 0.5 or 4");
    else
        out->cpus = cpus;
}

static void read_memory(const struct reading *r, json_at at, struct environment_resources *out)
{
    auto_buf struct buf scratch = {0};
    int64_t number;
    bool good = false;

    if (json_kind(r->doc, at) == JSON_STRING) {
        good = environment_parse_size(json_text(r->doc, at, &scratch), &out->memory_bytes);
    } else if (json_int(r->doc, at, &number) && number > 0) {
        out->memory_bytes = (uint64_t)number;
        good = true;
    }
    if (!good)
        problems_add(r->problems, r->doc, at,
                     "must be a size such as \"2GB\", \"512MiB\" or a number of bytes");
}

static void read_gpus(const struct reading *r, json_at at, struct environment_resources *out)
{
    int64_t number;

    if (!json_int(r->doc, at, &number) || number < 0 || number > 1024)
        problems_add(r->problems, r->doc, at, "must be a number of GPUs from 0 to 1024");
    else
        out->gpus = (uint32_t)number;
}

static void refuse_unknown(const struct reading *r, json_at key, const char *const *known)
{
    auto_free char *name = json_strdup(r->doc, key);
    const char *nearest = name ? str_nearest(name, known) : NULL;

    if (nearest)
        problems_add(r->problems, r->doc, key, "unknown key; did you mean \"%s\"?", nearest);
    else
        problems_add(r->problems, r->doc, key, "unknown key");
}

static void read_resources(const struct reading *r, json_at object, struct environment *out)
{
    static const char *const known[] = {"cpus", "memory", "gpus", NULL};

    if (!expect(r, object, JSON_OBJECT))
        return;
    json_each (r->doc, object, key) {
        if (json_is(r->doc, key, "cpus"))
            read_cpus(r, json_value(key), &out->resources);
        else if (json_is(r->doc, key, "memory"))
            read_memory(r, json_value(key), &out->resources);
        else if (json_is(r->doc, key, "gpus"))
            read_gpus(r, json_value(key), &out->resources);
        else
            refuse_unknown(r, key, known);
    }
}

static bool is_variable_name(const char *name)
{
    return *name && !isdigit((unsigned char)*name) &&
           name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")] ==
               0;
}

/* Of a name that is repeated, the last one counts, as json.h has it. */
static void read_env(const struct reading *r, json_at object, struct environment *out)
{
    size_t count = 0;

    if (!expect(r, object, JSON_OBJECT))
        return;
    char **env = mem_array((size_t)json_count(r->doc, object) + 1, sizeof *env);
    json_each (r->doc, object, key) {
        auto_free char *name = json_strdup(r->doc, key);
        auto_free char *value = json_strdup(r->doc, json_value(key));

        if (!name || !is_variable_name(name))
            problems_add(r->problems, r->doc, key, "is no name of an environment variable");
        else if (!expect(r, json_value(key), JSON_STRING))
            continue;
        else if (!value)
            problems_add(r->problems, r->doc, key, "must not contain U+0000");
        else if (json_get(r->doc, object, name) == json_value(key))
            env[count++] = mem_printf("%s=%s", name, value);
    }
    free(out->env); /* still the empty one: the key is read once */
    out->env = env;
}

static void read_launcher(const struct reading *r, json_at at, struct environment *out)
{
    auto_free char *name = read_text(r, at);

    if (name && !launcher_of_name(name, &out->launcher))
        problems_add(r->problems, r->doc, at,
                     "no such launcher; there are \"process\" and \"docker\"");
}

static void read_key(const struct reading *r, json_at key, struct environment *out)
{
    static const char *const known[] = {"launcher",  "image", "kernelspec", "network",
                                        "resources", "env",   NULL};
    json_at value = json_value(key);

    if (json_is(r->doc, key, "launcher"))
        read_launcher(r, value, out);
    else if (json_is(r->doc, key, "image"))
        out->image = read_text(r, value);
    else if (json_is(r->doc, key, "kernelspec"))
        out->kernelspec = read_text(r, value);
    else if (json_is(r->doc, key, "network"))
        out->network = expect(r, value, JSON_BOOL) && json_is_true(r->doc, value);
    else if (json_is(r->doc, key, "resources"))
        read_resources(r, value, out);
    else if (json_is(r->doc, key, "env"))
        read_env(r, value, out);
    else
        refuse_unknown(r, key, known);
}

static void check_image(const struct reading *r, json_at object, const struct environment *out)
{
    json_at image = json_get(r->doc, object, "image");

    if (out->launcher == LAUNCHER_DOCKER && image == JSON_NONE)
        problems_add(r->problems, r->doc, object, "the launcher \"docker\" needs an \"image\"");
    if (out->launcher == LAUNCHER_PROCESS && image != JSON_NONE)
        problems_add(r->problems, r->doc, image,
                     "the launcher \"process\" runs no image; leave out one of the two");
}

static void read_environment(const struct reading *r, json_at key, struct environments *list)
{
    json_at object = json_value(key);
    auto_free char *name = json_strdup(r->doc, key);

    if (!name || !*name || strlen(name) > 200) {
        problems_add(r->problems, r->doc, key, "is no name for an environment");
        return;
    }
    if (find_exact(list, name)) {
        problems_add(r->problems, r->doc, key, "there are two environments of this name");
        return;
    }
    if (!expect(r, object, JSON_OBJECT))
        return;
    struct environment *out = list_add(list);
    out->name = take_ptr(&name);
    if (json_get(r->doc, object, "image") != JSON_NONE)
        out->launcher = LAUNCHER_DOCKER;
    json_each (r->doc, object, each) {
        auto_free char *each_name = json_strdup(r->doc, each);
        if (each_name && json_get(r->doc, object, each_name) != json_value(each))
            problems_add(r->problems, r->doc, each, "is there twice");
        else
            read_key(r, each, out);
    }
    check_image(r, object, out);
}

/* Where the scanner gave up, as a problem: its text says line and column, a problem has fields. */
static void add_syntax_problem(struct problems *problems, struct str text, size_t offset,
                               const struct err *e)
{
    const char *detail = strncmp(e->text, "line ", 5) == 0 ? strstr(e->text, ": ") : NULL;

    problems_add_place(problems, "", json_place_of(text, offset), "%s",
                       detail ? detail + 2 : e->text);
}

int environments_parse(struct environments *list, struct str text, struct problems *problems,
                       struct err *e)
{
    auto_problems struct problems own = {0};
    auto_json struct json doc = {0};
    struct reading r = {.doc = &doc, .problems = problems ? problems : &own};
    size_t offset = 0;

    if (json_parse(&doc, text, JSON_STRICT, &offset, e) < 0) {
        add_syntax_problem(r.problems, text, offset, e);
        return -1;
    }
    *list = (struct environments){0};
    if (expect(&r, 0, JSON_OBJECT))
        json_each (&doc, 0, key)
            read_environment(&r, key, list);
    if (r.problems->total == 0)
        return 0;
    environments_clear(list);
    return problems_to_err(r.problems, e);
}

/* --- Orchest --- */

static const struct {
    const char *orchest, *kernelspec, *language;
} orchest_languages[] = {
    {"python", "python3", "python"},
    {"r", "ir", "r"},
    {"julia", NULL, "julia"}, /* named after the version that is installed */
    {"javascript", NULL, "javascript"},
};

static void set_language(struct environment *out, const char *language)
{
    for (size_t i = 0; i < sizeof orchest_languages / sizeof *orchest_languages; i++) {
        if (strcmp(orchest_languages[i].orchest, language) == 0) {
            out->kernelspec = mem_strdup(orchest_languages[i].kernelspec);
            out->language = mem_strdup(orchest_languages[i].language);
            return;
        }
    }
    out->language = mem_strdup(language);
}

/* Does the script have a line that is neither empty nor a comment? */
static bool script_does_something(const char *path)
{
    auto_buf struct buf text = {0};
    struct err e;

    if (fs_read(path, SETUP_SCRIPT_CAP, &text, &e) < 0)
        return e.code != ERR_NOT_FOUND;
    for (const char *line = buf_text(&text); *line;) {
        line += strspn(line, " \t\r\n");
        if (*line && *line != '#')
            return true;
        line += strcspn(line, "\n");
    }
    return false;
}

/* A string member; NULL when it is missing or something else. */
static char *member(const struct json *doc, const char *key)
{
    return json_strdup(doc, json_get(doc, 0, key));
}

static int read_properties(struct environments *list, const char *directory, struct str text,
                           struct problems *problems, struct err *e)
{
    auto_json struct json doc = {0};
    size_t offset = 0;

    if (json_parse(&doc, text, JSON_STRICT, &offset, e) < 0) {
        add_syntax_problem(problems, text, offset, e);
        return -1;
    }
    const struct reading r = {.doc = &doc, .problems = problems};
    json_at base_image = json_get(&doc, 0, "base_image");
    if (expect(&r, 0, JSON_OBJECT) && base_image == JSON_NONE)
        problems_add(problems, &doc, 0, "\"base_image\" is missing");
    auto_free char *image = base_image == JSON_NONE ? NULL : read_text(&r, base_image);
    if (!image)
        return problems_to_err(problems, e);

    auto_free char *uuid = member(&doc, "uuid");
    auto_free char *name = member(&doc, "name");
    auto_free char *language = member(&doc, "language");
    auto_free char *script = fs_join(directory, "setup_script.sh");
    if (!uuid || !*uuid) {
        free(uuid);
        uuid = mem_strdup(fs_basename(directory));
    }
    /* A name that is taken would hide this one: it stays reachable by its uuid. */
    bool is_free = name && *name && !find_exact(list, name);
    struct environment *out = list_add(list);
    out->name = is_free ? take_ptr(&name) : mem_strdup(uuid);
    out->launcher = LAUNCHER_DOCKER;
    out->network = true;
    if (language && *language)
        set_language(out, language);
    if (json_is_true(&doc, json_get(&doc, 0, "gpu_support")))
        out->resources.gpus = 1;
    if (script_does_something(script)) {
        out->image = mem_printf("segue-env/%s", uuid);
        for (char *c = out->image; *c; c++) /* an image's name is lower case */
            *c = (char)tolower((unsigned char)*c);
        out->build_dir = mem_strdup(directory);
    } else {
        out->image = mem_strdup(image);
    }
    out->base_image = take_ptr(&image);
    out->uuid = take_ptr(&uuid);
    return 0;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void entries_free(struct dirent **entries, int count)
{
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
}

static int read_orchest(struct environments *list, const char *project_dir,
                        struct problems *problems, struct err *e)
{
    auto_free char *parent = fs_join(project_dir, ORCHEST_DIRECTORY);
    struct dirent **entries = NULL;
    int count = scandir(parent, &entries, is_visible, alphasort);
    int result = 0;

    if (count < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : err_errno(e, errno, "cannot read \"%s\"", parent);
    for (int i = 0; i < count && result == 0; i++) {
        auto_free char *directory = fs_join(parent, entries[i]->d_name);
        auto_free char *path = fs_join(directory, "properties.json");
        auto_buf struct buf text = {0};

        if (!fs_exists(path))
            continue;
        if (fs_read(path, LIMIT_CONFIG_BYTES, &text, e) < 0)
            result = -1;
        else if (read_properties(list, directory, (struct str){buf_text(&text), text.len}, problems,
                                 e) < 0)
            result = err_prefix(e, "\"%s\"", path);
    }
    entries_free(entries, count);
    return result;
}

/* --- public --- */

static int read_segue(struct environments *list, const char *project_dir, struct problems *problems,
                      struct err *e)
{
    auto_free char *path = fs_join(project_dir, SEGUE_FILE);
    auto_buf struct buf text = {0};

    if (fs_read(path, LIMIT_CONFIG_BYTES, &text, e) < 0)
        return e->code == ERR_NOT_FOUND ? 0 : -1;
    if (environments_parse(list, (struct str){buf_text(&text), text.len}, problems, e) < 0)
        return err_prefix(e, "\"%s\"", path);
    return 0;
}

int environments_read(struct environments *list, const char *project_dir, struct problems *problems,
                      struct err *e)
{
    auto_problems struct problems own = {0};

    *list = (struct environments){0};
    if (!problems)
        problems = &own;
    if (read_segue(list, project_dir, problems, e) == 0 &&
        read_orchest(list, project_dir, problems, e) == 0)
        return 0;
    environments_clear(list);
    return -1;
}

static const struct environment *local_process(void)
{
    static char no_name[] = "";
    static char *no_env[] = {NULL};
    static const struct environment local = {
        .name = no_name, .launcher = LAUNCHER_PROCESS, .env = no_env};

    return &local;
}

const struct environment *environment_find(const struct environments *list, const char *name,
                                           struct err *e)
{
    auto_buf struct buf names = {0};

    if (!name || !*name)
        return local_process();
    const struct environment *found = find_exact(list, name);
    for (size_t i = 0; i < list->count && !found; i++)
        if (list->items[i].uuid && strcasecmp(list->items[i].uuid, name) == 0)
            found = &list->items[i];
    if (found)
        return found;
    for (size_t i = 0; i < list->count; i++)
        buf_printf(&names, "%s\"%s\"", i > 0 ? ", " : "", list->items[i].name);
    if (list->count == 0)
        err_set(e, ERR_NOT_FOUND, "no environment \"%s\": the project has none", name);
    else
        err_set(e, ERR_NOT_FOUND, "no environment \"%s\"; there are %s", name, buf_text(&names));
    return NULL;
}

/* As one word for a shell, whatever is in it: the texts come out of a project's files. */
static void put_word(struct buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:@-";

    if (*text && text[strspn(text, plain)] == 0) {
        buf_puts(out, text);
        return;
    }
    buf_putc(out, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_puts(out, "'\\''");
        else
            buf_putc(out, *text);
    }
    buf_putc(out, '\'');
}

char *environment_build_hint(const struct environment *environment)
{
    auto_buf struct buf out = {0};

    if (!environment->image) {
        buf_puts(&out, "nothing to build: a local process");
    } else if (environment->build_dir) {
        buf_puts(&out, "printf 'FROM %s\\nUSER root\\nCOPY . /setup\\nWORKDIR /setup\\n"
                       "RUN bash setup_script.sh\\n' ");
        put_word(&out, environment->base_image);
        buf_puts(&out, " | docker build -t ");
        put_word(&out, environment->image);
        buf_puts(&out, " -f - ");
        put_word(&out, environment->build_dir);
    } else if (environment->base_image) {
        buf_puts(&out, "docker pull ");
        put_word(&out, environment->image);
    } else {
        buf_puts(&out, "docker build -t ");
        put_word(&out, environment->image);
        buf_puts(&out, " DIR (with its Dockerfile in DIR), or docker pull ");
        put_word(&out, environment->image);
    }
    return buf_take(&out);
}
