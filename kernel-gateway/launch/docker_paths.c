/* A container's host name is by default the first twelve digits of its id, but can be set; the
 * files that the engine mounts into each container (/etc/hostname, hosts and resolv.conf) come from
 * a directory that has the whole id in its name, and the mount table shows it:
 *
 *   1 2 254:0 /var/lib/docker/containers/<64 digits>/hostname /etc/hostname rw,relatime - ext4 ...
 *
 * The fourth word is what was mounted, the fifth is where. On the engine's own machine the table
 * may name containers as well, by the places where it has mounted something for them. */
#include "kernel-gateway/launch/docker_paths.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/launch/docker.h"

#include <string.h>

#define ID_DIGITS  64
#define TIMEOUT_MS 5000

/* The word at *at, which moves behind it; none at the end of the line. */
static struct str next_word(const char **at)
{
    *at += strspn(*at, " ");
    struct str word = {*at, strcspn(*at, " \n")};
    *at += word.len;
    return word;
}

/* The id in ".../containers/<id>/..."; NULL: something else. */
static const char *id_in(struct str path)
{
    static const char mark[] = "/containers/";
    const char *found = memmem(path.text, path.len, mark, sizeof mark - 1);
    const char *id = found ? found + sizeof mark - 1 : NULL;

    return id && strspn(id, "0123456789abcdef") == ID_DIGITS && id[ID_DIGITS] == '/' ? id : NULL;
}

static const char *id_in_line(const char *line)
{
    enum { SOURCE = 3, PLACE = 4, WORDS };
    static const char etc[] = "/etc/";
    struct str words[WORDS];

    for (int i = 0; i < WORDS; i++)
        words[i] = next_word(&line);
    bool is_ours =
        words[PLACE].len >= sizeof etc && memcmp(words[PLACE].text, etc, sizeof etc - 1) == 0;
    return is_ours ? id_in(words[SOURCE]) : NULL;
}

char *docker_own_container(const char *mount_table)
{
    for (const char *line = mount_table; *line; line += strcspn(line, "\n"), line += *line != 0) {
        const char *id = id_in_line(line);
        if (id)
            return mem_strndup(id, ID_DIGITS);
    }
    return NULL;
}

/* NULL: in none that can be found. free() it. */
static char *find_own_container(void)
{
    auto_buf struct buf table = {0};
    struct err ignored;

    if (fs_read("/proc/self/mountinfo", 16 * MiB, &table, &ignored) < 0)
        return NULL;
    return docker_own_container(buf_text(&table));
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

int docker_check_mounts(const struct json *doc, const char *path, struct err *e)
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
    auto_free char *id = find_own_container();
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
    return docker_check_mounts(&doc, path, e);
}
