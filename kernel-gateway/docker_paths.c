/* A container's host name is by default the first twelve digits of its id, but can be set; the
 * files that the engine mounts into each container (/etc/hostname, ...) come from a directory that
 * has the whole id in its name, and the mount table shows it. */
#include "kernel-gateway/docker_paths.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/docker.h"

#include <string.h>

#define ID_DIGITS  64
#define TIMEOUT_MS 5000

/* The id of the container that we are in; NULL: in none that can be found. free() it. */
static char *own_container(void)
{
    static const char mark[] = "/containers/";
    auto_buf struct buf table = {0};
    struct err ignored;

    if (fs_read("/proc/self/mountinfo", 16 * MiB, &table, &ignored) < 0)
        return NULL;
    for (const char *at = buf_text(&table); (at = strstr(at, mark)); at++) {
        const char *id = at + sizeof mark - 1;
        if (strspn(id, "0123456789abcdef") == ID_DIGITS && id[ID_DIGITS] == '/')
            return mem_strndup(id, ID_DIGITS);
    }
    return NULL;
}

static bool is_below(const char *path, const char *directory)
{
    size_t len = strlen(directory);

    return strncmp(path, directory, len) == 0 &&
           (path[len] == 0 || path[len] == '/' || strcmp(directory, "/") == 0);
}

/* Of the mounts that hold the path, the deepest counts. */
static json_at find_mount(const struct json *doc, const char *path)
{
    json_at found = JSON_NONE;
    size_t found_len = 0;

    json_each (doc, json_get(doc, 0, "Mounts"), mount) {
        auto_free char *inside = json_strdup(doc, json_get(doc, mount, "Destination"));
        if (inside && is_below(path, inside) && strlen(inside) >= found_len) {
            found = mount;
            found_len = strlen(inside);
        }
    }
    return found;
}

static int check_mounts(const struct json *doc, const char *path, struct err *e)
{
    json_at mount = find_mount(doc, path);

    if (mount == JSON_NONE)
        return err_set(e, ERR_INVALID,
                       "\"%s\" lies inside of this container, where the Docker engine cannot reach "
                       "it: mount it from the host, under the same path: -v %s:%s",
                       path, path, path);
    auto_free char *inside = json_strdup(doc, json_get(doc, mount, "Destination"));
    auto_free char *outside = json_strdup(doc, json_get(doc, mount, "Source"));
    if (outside && strcmp(inside, outside) == 0)
        return 0;
    return err_set(e, ERR_INVALID,
                   "\"%s\" lies in \"%s\", which the Docker engine knows as \"%s\": mount it under "
                   "the same path inside and outside",
                   path, inside, outside ? outside : "");
}

int docker_check_path(const char *path, struct err *e)
{
    auto_free char *id = own_container();
    auto_docker struct docker docker = {0};
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json doc = {0};
    struct err ignored;

    if (!id || docker_open(&docker, -1, &ignored) < 0)
        return 0;
    auto_free char *call_path = mem_printf("/containers/%s/json", id);
    struct docker_call call = {.path = call_path, .timeout_ms = TIMEOUT_MS};
    if (docker_demand(&docker, &call, &answer, &ignored) < 0 ||
        json_parse(&doc, (struct str){answer.body.data, answer.body.len}, JSON_TOLERANT, NULL,
                   &ignored) < 0)
        return 0;
    return check_mounts(&doc, path, e);
}
