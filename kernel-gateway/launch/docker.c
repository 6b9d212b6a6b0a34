/* An engine accepts every version of the API from its MinAPIVersion to its ApiVersion, and newer
 * engines drop older versions. What is asked for here is the same in all versions since 1.41, so
 * that is spoken where the engine still does, else the oldest one that it does. */
#include "kernel-gateway/launch/docker.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_MAJOR 1
#define VERSION_MINOR 41

#define DEFAULT_SOCKET "/var/run/docker.sock"

/* The engine says what it is without looking at anything. */
#define VERSION_MS 10000

/* Unmounting and deleting a container's layers on a busy disk. */
#define REMOVE_MS 60000

/* An image with a thousand labels is inspected in less. */
#define ANSWER_CAP (4 * MiB)

static int find_socket(char **ret_path, struct err *e)
{
    const char *host = getenv("DOCKER_HOST");

    if (!host || !*host) {
        *ret_path = mem_strdup(DEFAULT_SOCKET);
        return 0;
    }
    if (strncmp(host, "unix://", 7) != 0 || host[7] != '/')
        return err_set(e, ERR_UNAVAILABLE,
                       "DOCKER_HOST is \"%s\"; only unix:///path is supported, since steps share "
                       "files with their containers",
                       host);
    *ret_path = mem_strdup(host + 7);
    return 0;
}

static bool parse_version(const struct json *doc, const char *key, int *ret_minor)
{
    auto_buf struct buf scratch = {0};
    struct str text = json_text(doc, json_get(doc, 0, key), &scratch);
    char copy[16];
    int major;

    if (!text.text || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.text, text.len);
    copy[text.len] = 0;
    return sscanf(copy, "%d.%d", &major, ret_minor) == 2 && major == VERSION_MAJOR;
}

static int choose_version(struct docker *docker, const struct http_answer *answer, struct err *e)
{
    auto_json struct json doc = {0};
    struct str text = {buf_text(&answer->body), answer->body.len};
    int newest, oldest;

    if (answer->status != 200 || json_parse(&doc, text, JSON_TOLERANT, NULL, e) < 0 ||
        !parse_version(&doc, "ApiVersion", &newest))
        return err_set(e, ERR_UNAVAILABLE, "what listens at \"%s\" is no Docker engine",
                       docker->socket_path);
    if (newest < VERSION_MINOR)
        return err_set(e, ERR_UNAVAILABLE,
                       "the Docker engine is too old: it speaks API %d.%d, needed is %d.%d (20.10)",
                       VERSION_MAJOR, newest, VERSION_MAJOR, VERSION_MINOR);
    if (!parse_version(&doc, "MinAPIVersion", &oldest) || oldest < VERSION_MINOR)
        oldest = VERSION_MINOR;
    snprintf(docker->version, sizeof docker->version, "%d.%d", VERSION_MAJOR, oldest);
    return 0;
}

int docker_open(struct docker *docker, int cancel_fd, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    struct docker_call call = {.method = "GET", .path = "/version", .timeout_ms = VERSION_MS};

    *docker = (struct docker){.cancel_fd = cancel_fd};
    if (find_socket(&docker->socket_path, e) < 0)
        return -1;
    if (docker_call(docker, &call, &answer, e) < 0 || choose_version(docker, &answer, e) < 0) {
        docker_close(docker);
        return -1;
    }
    return 0;
}

void docker_close(struct docker *docker)
{
    free(docker->socket_path);
    *docker = (struct docker){.cancel_fd = -1};
}

static char *url_of(const struct docker *docker, const char *path)
{
    return mem_printf("http://docker%s%s%s", docker->version[0] ? "/v" : "", docker->version, path);
}

int docker_call(const struct docker *docker, const struct docker_call *call,
                struct http_answer *answer, struct err *e)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    auto_free char *url = url_of(docker, call->path);
    struct http_request request = {
        .method = call->method,
        .url = url,
        .socket_path = docker->socket_path,
        .headers = call->body.text ? headers : NULL,
        .body = call->body,
        .timeout_ms = call->timeout_ms,
        .answer_cap = call->answer_cap ? call->answer_cap : ANSWER_CAP,
        .cancel_fd = docker->cancel_fd,
        .cancel_grace_ms = call->cancel_grace_ms,
    };

    if (http_request(&request, answer, e) == 0)
        return 0;
    if (e->code == ERR_TIMEOUT)
        e->code = ERR_UNAVAILABLE;
    if (e->code == ERR_CANCELLED)
        return -1;
    return err_prefix(e, "no answer from the Docker engine at \"%s\"", docker->socket_path);
}

static enum err_code code_of_status(int status)
{
    if (status == 404)
        return ERR_NOT_FOUND;
    if (status == 409)
        return ERR_CONFLICT;
    if (status >= 400 && status < 500)
        return ERR_INVALID;
    return status == 503 ? ERR_UNAVAILABLE : ERR_IO;
}

/* {"message": "..."} */
static int refuse(const struct http_answer *answer, struct err *e)
{
    auto_json struct json doc = {0};
    struct str text = {buf_text(&answer->body), answer->body.len};
    enum err_code code = code_of_status(answer->status);
    struct err ignored;

    json_parse(&doc, text, JSON_TOLERANT, NULL, &ignored);
    auto_free char *message =
        doc.count > 0 ? json_strdup(&doc, json_get(&doc, 0, "message")) : NULL;
    if (message)
        return err_set(e, code, "the Docker engine says: %s", message);
    return err_set(e, code, "the Docker engine answers with status %d", answer->status);
}

int docker_demand(const struct docker *docker, const struct docker_call *call,
                  struct http_answer *answer, struct err *e)
{
    if (docker_call(docker, call, answer, e) < 0)
        return -1;
    if ((answer->status >= 200 && answer->status < 300) || answer->status == 304)
        return 0;
    return refuse(answer, e);
}

struct http_stream *docker_stream(const struct docker *docker, struct loop *loop,
                                  const char *method, const char *path, int timeout_ms,
                                  const struct http_stream_events *events, void *user)
{
    auto_free char *url = url_of(docker, path);
    struct http_request request = {
        .method = method, .url = url, .socket_path = docker->socket_path, .timeout_ms = timeout_ms};

    return http_stream_open(loop, &request, events, user);
}

/* Goes into a path as it is, with its slashes, so nothing else than a reference may be in it. */
static bool is_image_reference(const char *image)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:@-";

    return *image && *image != '/' && *image != '.' && image[strspn(image, allowed)] == 0 &&
           !strstr(image, "..") && !strstr(image, "//") && !strstr(image, "/./");
}

int docker_inspect_image(const struct docker *docker, const char *image, struct http_answer *answer,
                         struct json *doc, struct err *e)
{
    auto_free char *path = mem_printf("/images/%s/json", image);
    struct docker_call call = {.method = "GET", .path = path, .timeout_ms = VERSION_MS};

    if (!is_image_reference(image))
        return err_set(e, ERR_NOT_FOUND, "\"%s\" is no name of an image", image);
    if (docker_call(docker, &call, answer, e) < 0)
        return -1;
    if (answer->status == 404)
        return err_set(e, ERR_NOT_FOUND, "there is no image \"%s\"", image);
    if (answer->status != 200)
        return refuse(answer, e);
    if (json_parse(doc, (struct str){buf_text(&answer->body), answer->body.len}, JSON_TOLERANT,
                   NULL, e) < 0)
        return err_prefix(e, "cannot read what the Docker engine says about \"%s\"", image);
    return 0;
}

int docker_remove(const struct docker *docker, const char *id_or_name, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    auto_free char *path = mem_printf("/containers/%s?force=1&v=1", id_or_name);
    struct docker_call call = {.method = "DELETE", .path = path, .timeout_ms = REMOVE_MS};
    struct docker calm = *docker;

    calm.cancel_fd = -1;
    if (docker_call(&calm, &call, &answer, e) < 0)
        return -1;
    /* 409: somebody else is removing it right now. */
    if (answer.status < 300 || answer.status == 404 || answer.status == 409)
        return 0;
    return refuse(&answer, e);
}

void docker_put_filter(struct buf *path, const char *key, const char *value)
{
    auto_buf struct buf json = {0};

    buf_puts(&json, "{");
    json_put_key(&json, key);
    buf_puts(&json, "[");
    json_put_text(&json, value);
    buf_puts(&json, "]}");
    buf_puts(path, "filters=");
    http_put_escaped(path, (struct str){buf_text(&json), json.len});
}
