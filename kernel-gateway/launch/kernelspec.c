#include "kernel-gateway/launch/kernelspec.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"

#include <ctype.h>
#include <dirent.h>

/* --- reading --- */

static void free_list(char **list)
{
    for (char **at = list; at && *at; at++)
        free(*at);
    free(list);
}

void kernelspec_clear(struct kernelspec *spec)
{
    free(spec->name);
    free(spec->resource_dir);
    free_list(spec->argv);
    free_list(spec->env);
    free(spec->display_name);
    free(spec->language);
    free(spec->text);
    *spec = (struct kernelspec){0};
}

static char *lower(char *text)
{
    for (char *at = text; at && *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return text;
}

/* Sets an ERR_INVALID that names the place of node `at`. */
static int wrong(const struct json *doc, json_at at, struct err *e, const char *what)
{
    struct json_place place = json_place(doc, at);
    return err_set(e, ERR_INVALID, "line %u, column %u: %s", place.line, place.column, what);
}

static int read_argv(struct kernelspec *spec, const struct json *doc, struct err *e)
{
    json_at argv = json_get(doc, 0, "argv");
    if (json_kind(doc, argv) != JSON_ARRAY || json_count(doc, argv) == 0)
        return wrong(doc, argv == JSON_NONE ? 0 : argv, e, "argv must be a list of texts");
    spec->argv = mem_array(json_count(doc, argv) + 1, sizeof *spec->argv);
    size_t count = 0;
    json_each (doc, argv, at) {
        spec->argv[count] = json_strdup(doc, at);
        if (!spec->argv[count++])
            return wrong(doc, at, e, "argv must be a list of texts");
    }
    return 0;
}

static int read_env(struct kernelspec *spec, const struct json *doc, struct err *e)
{
    json_at env = json_get(doc, 0, "env");
    if (env == JSON_NONE || json_kind(doc, env) == JSON_NULL)
        return 0;
    if (json_kind(doc, env) != JSON_OBJECT)
        return wrong(doc, env, e, "env must be an object of texts");
    spec->env = mem_array(json_count(doc, env) + 1, sizeof *spec->env);
    size_t count = 0;
    json_each (doc, env, at) {
        auto_free char *name = json_strdup(doc, at);
        auto_free char *value = json_strdup(doc, json_value(at));
        if (!name || !*name || strchr(name, '=') || !value)
            return wrong(doc, at, e, "env must be an object of texts");
        spec->env[count++] = mem_printf("%s=%s", name, value);
    }
    return 0;
}

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list; list++) {
        if (strcmp(word, *list) == 0)
            return true;
    }
    return false;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Kernels that are known to build ipc addresses as Jupyter means them. Others listen on TCP only,
 * or make a wrong file name of it: a kernel that is not known gets TCP. */
static bool knows_ipc(const struct kernelspec *spec)
{
    /* ipykernel, and what is built on its application class. */
    static const char *const modules[] = {"ipykernel_launcher",
                                          "ipykernel",
                                          "bash_kernel",
                                          "octave_kernel",
                                          "matlab_kernel",
                                          "metakernel_python",
                                          "metakernel_bash",
                                          "metakernel_echo",
                                          "calysto_scheme",
                                          "zsh_jupyter_kernel",
                                          NULL};
    /* xeus and gonb. */
    static const char *const programs[] = {"xpython", "xpython-raw", "xr",   "xcpp", "xc",
                                           "xsqlite", "xlua",        "gonb", NULL};
    if (is_one_of(fs_basename(spec->argv[0]), programs))
        return true;
    for (char **at = spec->argv; *at; at++) {
        if (strcmp(*at, "-m") == 0 && at[1] && is_one_of(at[1], modules))
            return true;
        if (strstr(*at, "IRkernel::main") || strstr(*at, "IJulia"))
            return true;
    }
    return false;
}

static int read_spec(struct kernelspec *spec, const struct json *doc, struct err *e)
{
    if (json_kind(doc, 0) != JSON_OBJECT)
        return wrong(doc, 0, e, "a kernelspec must be an object");
    if (read_argv(spec, doc, e) < 0 || read_env(spec, doc, e) < 0)
        return -1;
    spec->display_name = json_strdup(doc, json_get(doc, 0, "display_name"));
    if (!spec->display_name)
        spec->display_name = mem_strdup(spec->name);
    spec->language = lower(json_strdup(doc, json_get(doc, 0, "language")));
    if (!spec->language)
        spec->language = mem_strdup("");
    spec->interrupt_message = json_is(doc, json_get(doc, 0, "interrupt_mode"), "message");
    spec->has_ipc = knows_ipc(spec);
    return 0;
}

int kernelspec_parse(struct kernelspec *spec, struct str text, const char *name,
                     const char *resource_dir, struct err *e)
{
    *spec = (struct kernelspec){
        .name = lower(mem_strdup(name)),
        .resource_dir = mem_strdup(resource_dir),
        .text = mem_strndup(text.text ? text.text : "", text.len),
    };
    auto_json struct json doc = {0};
    if (json_parse(&doc, text, JSON_TOLERANT, NULL, e) < 0 || read_spec(spec, &doc, e) < 0) {
        kernelspec_clear(spec);
        return err_prefix(e, "kernelspec \"%s\"", name);
    }
    return 0;
}

/* --- finding --- */

struct place {
    char *kernels; /* ".../kernels" */
    char *prefix;  /* of the installation it belongs to, or NULL */
};

struct places {
    struct place *items;
    size_t count;
    size_t capacity;
};

static void places_clear(struct places *places)
{
    for (size_t i = 0; i < places->count; i++) {
        free(places->items[i].kernels);
        free(places->items[i].prefix);
    }
    free(places->items);
}

/* A directory is looked at once, where it comes first. */
static void add_place(struct places *places, const char *directory, const char *tail,
                      const char *prefix)
{
    auto_free char *kernels = mem_printf("%s%s/kernels", directory, tail);
    for (size_t i = 0; i < places->count; i++) {
        if (strcmp(places->items[i].kernels, kernels) == 0)
            return;
    }
    mem_grow(places->items, places->count, places->capacity);
    places->items[places->count++] =
        (struct place){.kernels = take_ptr(&kernels), .prefix = mem_strdup(prefix)};
}

/* A variable that is set and not empty, else NULL. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static void add_user_place(struct places *places)
{
    const char *home = variable("HOME");
    if (variable("JUPYTER_DATA_DIR"))
        add_place(places, variable("JUPYTER_DATA_DIR"), "", NULL);
    else if (variable("XDG_DATA_HOME"))
        add_place(places, variable("XDG_DATA_HOME"), "/jupyter", NULL);
    else if (home)
        add_place(places, home, "/.local/share/jupyter", NULL);
}

static void add_prefix(struct places *places, const char *prefix)
{
    if (prefix)
        add_place(places, prefix, "/share/jupyter", prefix);
}

/* Where kernels may be, the first to be preferred. */
static void collect_places(struct places *places)
{
    auto_free char *jupyter_path = mem_strdup(variable("JUPYTER_PATH"));
    char *rest = jupyter_path;
    for (char *part; rest && (part = strsep(&rest, ":"));) {
        if (*part)
            add_place(places, part, "", NULL);
    }
    add_user_place(places);
    add_prefix(places, variable("VIRTUAL_ENV"));
    add_prefix(places, variable("CONDA_PREFIX"));
    auto_free char *path = mem_strdup(variable("PATH"));
    rest = path;
    for (char *part; rest && (part = strsep(&rest, ":"));) {
        auto_free char *prefix = *part == '/' ? fs_dirname(part) : NULL;
        if (prefix && strcmp(prefix, "/") != 0)
            add_prefix(places, prefix);
    }
    add_prefix(places, "/usr/local");
    add_prefix(places, "/usr");
}

/* A directory with a kernel.json in it, on the list of what there is. */
struct candidate {
    char *name; /* lower case */
    char *directory;
    const char *prefix; /* of its place */
};

struct candidates {
    struct candidate *items;
    size_t count;
    size_t capacity;
};

static void candidates_clear(struct candidates *candidates)
{
    for (size_t i = 0; i < candidates->count; i++) {
        free(candidates->items[i].name);
        free(candidates->items[i].directory);
    }
    free(candidates->items);
}

static bool has_candidate(const struct candidates *candidates, const char *name)
{
    for (size_t i = 0; i < candidates->count; i++) {
        if (strcmp(candidates->items[i].name, name) == 0)
            return true;
    }
    return false;
}

static void add_candidates(struct candidates *candidates, const struct place *place)
{
    struct dirent **entries;
    int count = scandir(place->kernels, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        auto_free char *directory = fs_join(place->kernels, entries[i]->d_name);
        auto_free char *file = fs_join(directory, "kernel.json");
        auto_free char *name = lower(mem_strdup(entries[i]->d_name));
        free(entries[i]);
        if (has_candidate(candidates, name) || !fs_exists(file))
            continue;
        mem_grow(candidates->items, candidates->count, candidates->capacity);
        candidates->items[candidates->count++] = (struct candidate){
            .name = take_ptr(&name),
            .directory = take_ptr(&directory),
            .prefix = place->prefix,
        };
    }
    if (count >= 0)
        free(entries);
}

/* "python", "python3", "python3.11": what an installed kernel calls its own interpreter. */
static bool is_bare_python(const char *program)
{
    if (!starts_with(program, "python"))
        return false;
    const char *version = program + strlen("python");
    return version[strspn(version, "0123456789.")] == 0;
}

static int read_candidate(struct kernelspec *spec, const struct candidate *candidate, struct err *e)
{
    auto_free char *file = fs_join(candidate->directory, "kernel.json");
    auto_buf struct buf text = {0};
    if (fs_read(file, LIMIT_CONFIG_BYTES, &text, e) < 0)
        return -1;
    if (kernelspec_parse(spec, (struct str){text.data, text.len}, candidate->name,
                         candidate->directory, e) < 0)
        return err_prefix(e, "%s", file);
    if (candidate->prefix && is_bare_python(spec->argv[0])) {
        auto_free char *program = mem_printf("%s/bin/%s", candidate->prefix, spec->argv[0]);
        if (access(program, X_OK) == 0) {
            free(spec->argv[0]);
            spec->argv[0] = take_ptr(&program);
        }
    }
    return 0;
}

/* 1: found, 0: there is none, -1: it is there but wrong. */
static int find_name(struct kernelspec *spec, const struct candidates *candidates, const char *name,
                     struct err *e)
{
    for (size_t i = 0; i < candidates->count; i++) {
        if (strcasecmp(candidates->items[i].name, name) == 0)
            return read_candidate(spec, &candidates->items[i], e) < 0 ? -1 : 1;
    }
    return 0;
}

/* Broken kernelspecs that nobody asked for by name are passed over. */
static int find_language(struct kernelspec *spec, const struct candidates *candidates,
                         const char *language)
{
    struct err e;
    for (size_t i = 0; i < candidates->count; i++) {
        if (read_candidate(spec, &candidates->items[i], &e) < 0)
            continue;
        if (strcasecmp(spec->language, language) == 0)
            return 1;
        kernelspec_clear(spec);
    }
    return 0;
}

static int not_found(const struct candidates *candidates, const char *name, const char *language,
                     struct err *e)
{
    auto_buf struct buf names = {0};
    for (size_t i = 0; i < candidates->count; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", candidates->items[i].name);
    if (name)
        return err_set(e, ERR_NOT_FOUND, "no kernel \"%s\" on this machine; there is: %s", name,
                       names.len ? names.data : "none");
    return err_set(e, ERR_NOT_FOUND, "no kernel for language \"%s\" on this machine; there is: %s",
                   language ? language : "", names.len ? names.data : "none");
}

/* Prefixes of candidates are borrowed from the places. */
static void collect_candidates(struct places *places, struct candidates *candidates)
{
    collect_places(places);
    for (size_t i = 0; i < places->count; i++)
        add_candidates(candidates, &places->items[i]);
}

int kernelspec_find(struct kernelspec *spec, const char *name, const char *language, struct err *e)
{
    auto_with(places_clear) struct places places = {0};
    auto_with(candidates_clear) struct candidates candidates = {0};
    collect_candidates(&places, &candidates);
    int found = name ? find_name(spec, &candidates, name, e) : 0;
    if (found == 0 && name && strcasecmp(name, "python") == 0)
        found = find_name(spec, &candidates, "python3", e);
    if (found == 0 && language)
        found = find_language(spec, &candidates, language);
    if (found == 0)
        return not_found(&candidates, name, language, e);
    return found < 0 ? -1 : 0;
}

void kernelspec_each(void (*found)(void *user, struct kernelspec *take_spec), void *user)
{
    auto_with(places_clear) struct places places = {0};
    auto_with(candidates_clear) struct candidates candidates = {0};
    struct err ignored;

    collect_candidates(&places, &candidates);
    for (size_t i = 0; i < candidates.count; i++) {
        struct kernelspec spec;
        if (read_candidate(&spec, &candidates.items[i], &ignored) == 0)
            found(user, &spec);
    }
}

/* --- the command --- */

/* The installation that the resource directory belongs to: in front of /share/jupyter/. */
static char *prefix_of(const char *resource_dir)
{
    const char *share = strstr(resource_dir, "/share/jupyter/");
    return share ? mem_strndup(resource_dir, (size_t)(share - resource_dir)) : mem_strdup("/usr");
}

static void put_expanded(struct buf *out, const char *text, const char *const (*pairs)[2])
{
    while (*text) {
        const char *const(*pair)[2] = pairs;
        while ((*pair)[0] && !starts_with(text, (*pair)[0]))
            pair++;
        if ((*pair)[0]) {
            buf_puts(out, (*pair)[1]);
            text += strlen((*pair)[0]);
        } else {
            buf_putc(out, *text++);
        }
    }
    buf_putc(out, 0);
}

#define HISTORY_OPTION "--HistoryManager.hist_file="

/* The option must not be given twice, so a kernelspec's own stands. */
static bool needs_history_option(const struct kernelspec *spec)
{
    bool is_ipykernel = false;
    for (char **at = spec->argv; *at; at++) {
        if (strcmp(*at, "-m") == 0 && at[1] && strcmp(at[1], "ipykernel_launcher") == 0)
            is_ipykernel = true;
        if (strncmp(*at, HISTORY_OPTION, strlen(HISTORY_OPTION)) == 0)
            return false;
    }
    return is_ipykernel;
}

char **kernelspec_command(const struct kernelspec *spec, const char *connection_file)
{
    auto_free char *prefix = prefix_of(spec->resource_dir);
    const char *const pairs[][2] = {{"{connection_file}", connection_file},
                                    {"{resource_dir}", spec->resource_dir},
                                    {"{prefix}", prefix},
                                    {NULL, NULL}};
    auto_buf struct buf texts = {0};
    size_t count = 0;
    for (; spec->argv[count]; count++)
        put_expanded(&texts, spec->argv[count], pairs);
    if (needs_history_option(spec)) {
        put_expanded(&texts, HISTORY_OPTION ":memory:", pairs);
        count++;
    }
    char **argv = mem_alloc((count + 1) * sizeof *argv + texts.len);
    char *text = memcpy(argv + count + 1, texts.data, texts.len);
    for (size_t i = 0; i < count; i++) {
        argv[i] = text;
        text += strlen(text) + 1;
    }
    argv[count] = NULL;
    return argv;
}
