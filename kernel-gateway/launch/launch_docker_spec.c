/* Finds a kernelspec inside an image without running anything of it: a container is created and
 * never started, its files are read as archives, and it is removed. Reading one file costs a few
 * milliseconds where it is missing, so the spec is first asked for by its name in all places; only
 * when it is in none of them are whole directories read. */
#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/launch/docker.h"
#include "kernel-gateway/launch/launch_docker.h"
#include "kernel-gateway/launch/launch_internal.h"
#include "kernel-gateway/launch/tar.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A kernels directory holds kernel.json and logos; some hold the kernel itself. */
#define ARCHIVE_CAP (64 * MiB)
#define ARCHIVE_MS  60000

/* PATH in an image has about six directories; more than this is not searched. */
#define DIRECTORIES_MAX 32

struct search {
    struct docker docker;
    char *container;
    char *directories[DIRECTORIES_MAX]; /* ".../kernels" inside the image */
    size_t count;
    struct buf names; /* of all kernels that were seen, for the message */
};

static void add_directory(struct search *search, const char *base, size_t base_len,
                          const char *behind)
{
    if (search->count == DIRECTORIES_MAX || base_len == 0 || base[0] != '/')
        return;
    auto_free char *directory = mem_printf("%.*s%s", (int)base_len, base, behind);
    for (size_t i = 0; i < search->count; i++)
        if (strcmp(search->directories[i], directory) == 0)
            return;
    search->directories[search->count++] = take_ptr(&directory);
}

/* Each part of a list such as PATH; of those that end in `strip`, without it. */
static void add_list(struct search *search, const char *list, const char *strip, const char *behind)
{
    size_t strip_len = strlen(strip);

    while (list && *list) {
        size_t len = strcspn(list, ":");
        if (len >= strip_len && memcmp(list + len - strip_len, strip, strip_len) == 0)
            add_directory(search, list, len - strip_len, behind);
        list += len + (list[len] == ':');
    }
}

/* In Jupyter's order: JUPYTER_PATH, the user's, the prefixes of environments and of PATH, the
 * system's. */
static void add_directories(struct search *search, const char *const *env)
{
    static const char share[] = "/share/jupyter/kernels";

    add_list(search, launch_env_find(env, "JUPYTER_PATH"), "", "/kernels");
    add_list(search, launch_env_find(env, "JUPYTER_DATA_DIR"), "", "/kernels");
    add_list(search, launch_env_find(env, "HOME"), "", "/.local/share/jupyter/kernels");
    add_list(search, launch_env_find(env, "VIRTUAL_ENV"), "", share);
    add_list(search, launch_env_find(env, "CONDA_PREFIX"), "", share);
    add_list(search, launch_env_find(env, "CONDA_DIR"), "", share);
    add_list(search, launch_env_find(env, "PATH"), "/bin", share);
    add_list(search, "/usr/local:/usr:/opt/conda", "", share);
}

static int read_image(struct search *search, const char *image, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json doc = {0};

    if (docker_inspect_image(&search->docker, image, &answer, &doc, e) < 0)
        return -1;
    json_at list = json_get(&doc, json_get(&doc, 0, "Config"), "Env");
    char **env = mem_array((size_t)json_count(&doc, list) + 1, sizeof *env);
    size_t count = 0;
    json_each (&doc, list, at)
        if ((env[count] = json_strdup(&doc, at)))
            count++;
    add_directories(search, (const char *const *)env);
    mem_free_texts(env);
    return 0;
}

static int make_container(struct search *search, const struct launch_place *place, struct err *e)
{
    static const char prefix[] = "segue-look-";
    char name[sizeof prefix + 16];
    auto_buf struct buf body = {0};

    memcpy(name, prefix, sizeof prefix);
    random_hex(name + sizeof prefix - 1, 16);
    buf_puts(&body, "{");
    json_put_member(&body, "Image", place->image);
    json_put_key(&body, "Entrypoint");
    buf_puts(&body, "[\"/never-started\"]");
    json_put_member_raw(&body, "NetworkDisabled", STR("true"));
    launch_docker_put_labels(&body, place);
    buf_puts(&body, "}");
    return launch_docker_create(&search->docker, name, (struct str){buf_text(&body), body.len},
                                &search->container, e);
}

/* The archive of a path in the container; 404 is an answer, too. */
static int get_archive(struct search *search, const char *method, const char *path,
                       struct http_answer *answer, struct err *e)
{
    auto_buf struct buf call_path = {0};
    struct docker_call call = {
        .method = method, .timeout_ms = ARCHIVE_MS, .answer_cap = ARCHIVE_CAP};

    buf_printf(&call_path, "/containers/%s/archive?path=", search->container);
    http_put_escaped(&call_path, str_of(path));
    call.path = buf_text(&call_path);
    if (docker_call(&search->docker, &call, answer, e) < 0)
        return err_prefix(e, "cannot read \"%s\" in the image", path);
    return 0;
}

static bool is_python(const char *program)
{
    return strncmp(program, "python", 6) == 0 &&
           program[6 + strspn(program + 6, "0123456789.")] == 0;
}

/* A bare "python" of a kernel that was installed under a prefix means that prefix's interpreter. */
static int resolve_python(struct search *search, struct kernelspec *spec, struct err *e)
{
    const char *share = strstr(spec->resource_dir, "/share/jupyter/kernels/");
    auto_http_answer struct http_answer answer = {0};

    if (!share || !spec->argv[0] || !is_python(spec->argv[0]))
        return 0;
    auto_free char *program = mem_printf("%.*s/bin/%s", (int)(share - spec->resource_dir),
                                         spec->resource_dir, spec->argv[0]);
    if (get_archive(search, "HEAD", program, &answer, e) < 0)
        return -1;
    if (answer.status == 200) {
        free(spec->argv[0]);
        spec->argv[0] = take_ptr(&program);
    }
    return 0;
}

/* Takes `content` for the spec; the directory's last component is its name. */
static int take_spec(struct search *search, struct str content, const char *directory,
                     const char *name, struct kernelspec *spec, struct err *e)
{
    auto_free char *resource_dir = mem_printf("%s/%s", directory, name);

    if (kernelspec_parse(spec, content, name, resource_dir, e) < 0)
        return err_prefix(e, "\"%s/kernel.json\" in the image", resource_dir);
    if (resolve_python(search, spec, e) < 0) {
        kernelspec_clear(spec);
        return -1;
    }
    return 0;
}

enum found { FOUND, NOT_FOUND, FAILED };

static enum found find_by_path(struct search *search, const char *directory, const char *name,
                               struct kernelspec *spec, struct err *e)
{
    auto_free char *path = mem_printf("%s/%s/kernel.json", directory, name);
    auto_http_answer struct http_answer answer = {0};
    struct tar_file file;

    if (get_archive(search, "GET", path, &answer, e) < 0)
        return FAILED;
    struct tar tar = {{buf_text(&answer.body), answer.body.len}};
    if (answer.status != 200 || !tar_next(&tar, &file))
        return NOT_FOUND;
    return take_spec(search, file.content, directory, name, spec, e) < 0 ? FAILED : FOUND;
}

/* "kernels/NAME/kernel.json": gives NAME; false: another file. */
static bool name_of_entry(const char *entry, char *name, size_t size)
{
    const char *first = strchr(entry, '/');
    const char *last = strrchr(entry, '/');

    if (!first || last == first || strcmp(last, "/kernel.json") != 0 ||
        memchr(first + 1, '/', (size_t)(last - first - 1)) || (size_t)(last - first) > size)
        return false;
    memcpy(name, first + 1, (size_t)(last - first - 1));
    name[last - first - 1] = 0;
    return true;
}

static bool is_wanted(const struct kernelspec *spec, const char *name, const char *language)
{
    if (name && strcasecmp(spec->name, name) == 0)
        return true;
    return language && spec->language && strcasecmp(spec->language, language) == 0;
}

/* Looks through all kernels of a directory; one whose kernel.json is wrong is none. */
static enum found find_in_directory(struct search *search, const char *directory, const char *name,
                                    const char *language, struct kernelspec *spec, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    char kernel[257];
    struct tar_file file;
    struct err ignored;

    if (get_archive(search, "GET", directory, &answer, e) < 0)
        return FAILED;
    if (answer.status != 200)
        return NOT_FOUND;
    struct tar tar = {{buf_text(&answer.body), answer.body.len}};
    while (tar_next(&tar, &file)) {
        struct kernelspec each = {0};
        if (!name_of_entry(file.name, kernel, sizeof kernel) ||
            kernelspec_parse(&each, file.content, kernel, directory, &ignored) < 0)
            continue;
        buf_printf(&search->names, "%s%s", search->names.len > 0 ? ", " : "", kernel);
        bool wanted = is_wanted(&each, name, language);
        kernelspec_clear(&each);
        if (wanted)
            return take_spec(search, file.content, directory, kernel, spec, e) < 0 ? FAILED : FOUND;
    }
    return NOT_FOUND;
}

static int not_found(const struct search *search, const struct launch_place *place,
                     const char *name, const char *language, struct err *e)
{
    const char *what = name ? "kernel" : "kernel for the language";

    if (search->names.len == 0)
        return err_set(e, ERR_NOT_FOUND, "the image \"%s\" has no kernels", place->image);
    return err_set(e, ERR_NOT_FOUND, "the image \"%s\" has no %s \"%s\"; it has %s", place->image,
                   what,
                   name       ? name
                   : language ? language
                              : "",
                   buf_text(&search->names));
}

static int find(struct search *search, const struct launch_place *place, const char *name,
                const char *language, struct kernelspec *spec, struct err *e)
{
    enum found found = NOT_FOUND;

    if (read_image(search, place->image, e) < 0 || make_container(search, place, e) < 0)
        return -1;
    for (size_t i = 0; name && i < search->count && found == NOT_FOUND; i++)
        found = find_by_path(search, search->directories[i], name, spec, e);
    for (size_t i = 0; name && i < search->count && found == NOT_FOUND; i++)
        found = find_in_directory(search, search->directories[i], name, NULL, spec, e);
    buf_reset(&search->names);
    for (size_t i = 0; i < search->count && found == NOT_FOUND; i++)
        found = find_in_directory(search, search->directories[i], NULL, language, spec, e);
    if (found == NOT_FOUND)
        return not_found(search, place, name, language, e);
    return found == FOUND ? 0 : -1;
}

int launch_docker_find_kernelspec(const struct launch_place *place, const char *name,
                                  const char *language, struct kernelspec *ret_spec, struct err *e)
{
    struct search search = {.docker.cancel_fd = -1};
    struct err ignored;
    auto_free char *lower = mem_strdup(name && strcasecmp(name, "python") == 0 ? "python3" : name);

    for (char *c = lower; c && *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if (docker_open(&search.docker, place->cancel_fd, e) < 0)
        return -1;
    int result = find(&search, place, lower, language, ret_spec, e);
    if (search.container)
        docker_remove(&search.docker, search.container, &ignored);
    for (size_t i = 0; i < search.count; i++)
        free(search.directories[i]);
    free(search.container);
    buf_clear(&search.names);
    docker_close(&search.docker);
    return result;
}
