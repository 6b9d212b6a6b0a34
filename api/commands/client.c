#include "api/commands/client.h"

#include "api/commands/report.h"
#include "api/commands/shown.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runner/engine/state.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_URL "http://127.0.0.1:7878"

/* Accepting a run may have to ask the Docker engine for images. */
#define ANSWER_MS 60000

/* A page of 1000 runs, or one run of a million steps. */
#define ANSWER_CAP (1 * GiB)

#define TOKEN_CAP 4096u

/* How long to wait before asking again. */
static const int PAUSES_MS[] = {200, 500, 1000};

struct client {
    char *url;           /* without a slash at the end */
    char *authorization; /* the header's line; NULL: there is no token */
    char *token_path;    /* where the token was looked for in the end */
    bool is_here;        /* the URL names this machine's loopback */
};

bool client_take_option(struct client_options *options, int option, const char *value)
{
    if (option == CLIENT_URL)
        options->url = value;
    else if (option == CLIENT_TOKEN_FILE)
        options->token_file = value;
    else
        return false;
    return true;
}

/* --- where --- */

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_loopback(const char *host)
{
    static const char *const names[] = {"127.", "localhost", "[::1]"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (has_prefix(host, names[i]))
            return true;
    return false;
}

static int set_url(struct client *client, const char *given, struct err *e)
{
    const char *named = getenv("SEGUE_URL");
    const char *url = given ? given : named && *named ? named : DEFAULT_URL;
    const char *host = strstr(url, "://");
    size_t len = strlen(url);

    if ((!has_prefix(url, "http://") && !has_prefix(url, "https://")) || !host[3] ||
        strpbrk(url, "?#"))
        return err_set(e, ERR_INVALID,
                       "\"%s\" is no address of a service; one looks like " DEFAULT_URL, url);
    while (url[len - 1] == '/')
        len--;
    client->url = mem_strndup(url, len);
    client->is_here = is_loopback(host + 3);
    return 0;
}

/* --- the token --- */

/* It becomes a line of a header: one word of visible characters. */
static int set_token(struct client *client, struct str token, const char *from, struct err *e)
{
    while (token.len > 0 && strchr(" \t\r\n", token.text[token.len - 1]))
        token.len--;
    for (size_t i = 0; i < token.len; i++)
        if (token.text[i] <= ' ' || token.text[i] == 0x7f)
            return err_set(e, ERR_INVALID, "%s holds no token: one is a single word", from);
    if (token.len == 0)
        return err_set(e, ERR_INVALID, "%s holds no token: it is empty", from);
    client->authorization = mem_printf("Authorization: Bearer " STR_FMT, STR_ARG(token));
    return 0;
}

static int read_token(struct client *client, const char *path, struct err *e)
{
    auto_buf struct buf text = {0};
    auto_free char *from = mem_printf("\"%s\"", path);

    if (fs_read(path, TOKEN_CAP, &text, e) < 0)
        return -1;
    return set_token(client, (struct str){buf_text(&text), text.len}, from, e);
}

/* Without any, the service says that it wants one. */
static int find_token(struct client *client, const char *token_file, struct err *e)
{
    const char *given = getenv("SEGUE_TOKEN");
    auto_free char *root = state_root();
    struct err unreadable;

    client->token_path = token_file ? mem_strdup(token_file) : fs_join(root, "token");
    if (given && *given)
        return set_token(client, str_of(given), "SEGUE_TOKEN", e);
    if (!token_file)
        return read_token(client, client->token_path, &unreadable), 0;
    if (read_token(client, token_file, e) < 0) {
        e->code = ERR_INVALID;
        return err_prefix(e, "--token-file");
    }
    return 0;
}

int client_new(struct client **ret_client, const struct client_options *options, struct err *e)
{
    auto_client struct client *client = mem_zalloc(sizeof *client);

    if (set_url(client, options->url, e) < 0 || find_token(client, options->token_file, e) < 0)
        return -1;
    *ret_client = take_ptr(&client);
    return 0;
}

void client_free(struct client *client)
{
    if (!client)
        return;
    free(client->url);
    free(client->authorization);
    free(client->token_path);
    free(client);
}

/* --- what an answer means --- */

/* The text of a problem (RFC 9457), or of a refusal as Jupyter's API words it; or NULL. */
static char *detail_of(const struct json *doc)
{
    static const char *const names[] = {"detail", "title", "message"};
    char *text = NULL;

    for (size_t i = 0; !text && i < sizeof names / sizeof *names; i++)
        text = json_strdup(doc, json_get(doc, 0, names[i]));
    return text;
}

static void read_problems(const struct json *doc, struct problems *problems)
{
    json_each (doc, json_get(doc, 0, "errors"), at) {
        auto_free char *pointer = json_strdup(doc, json_get(doc, at, "pointer"));
        auto_free char *detail = json_strdup(doc, json_get(doc, at, "detail"));
        int64_t line = 0, column = 0;
        json_int(doc, json_get(doc, at, "line"), &line);
        json_int(doc, json_get(doc, at, "column"), &column);
        problems_add_place(problems, pointer ? pointer : "",
                           (struct json_place){(uint32_t)line, (uint32_t)column}, "%s",
                           detail ? detail : "refused");
    }
}

/* What to do about a token that was refused, or that is missing. */
static int refused_token(const struct client *client, struct err *e)
{
    if (!client->authorization)
        return err_set(e, ERR_UNAVAILABLE,
                       "the service at %s wants a token, and there is none in \"%s\": set "
                       "SEGUE_TOKEN, or name the service's token file with --token-file",
                       client->url, client->token_path);
    return err_set(e, ERR_UNAVAILABLE,
                   "the service at %s refuses the token: it is kept in the file token of the "
                   "service's state directory; set SEGUE_TOKEN to it, or name the file with "
                   "--token-file",
                   client->url);
}

static enum err_code code_of(int status)
{
    switch (status) {
    case 403:
    case 502:
    case 503:
    case 504:
        return ERR_UNAVAILABLE;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_CONFLICT;
    case 413:
        return ERR_LIMIT;
    case 507:
        return ERR_NO_SPACE;
    default:
        return status >= 400 && status < 500 ? ERR_INVALID : ERR_PROTOCOL;
    }
}

int client_refusal(const struct client *client, int status, struct str body,
                   struct problems *problems, struct err *e)
{
    auto_json struct json doc = {0};
    auto_free char *detail = NULL;
    struct err ignored;

    if (status == 401)
        return refused_token(client, e);
    if (json_parse(&doc, body, JSON_TOLERANT, NULL, &ignored) == 0)
        detail = detail_of(&doc);
    if (problems)
        read_problems(&doc, problems);
    if (!detail)
        return err_set(e, code_of(status), "%s answers with status %d", client->url, status);
    if (status < 500 && status != 403)
        return err_set(e, code_of(status), "%s", detail);
    return err_set(e, code_of(status), "the service at %s: %s", client->url, detail);
}

/* --- asking --- */

#define HEADERS_MAX 6

/* The lines of a request's header; the caller's texts are borrowed. */
struct headers {
    const char *lines[HEADERS_MAX + 1];
    char *key, *range;
};

static void headers_clear(struct headers *headers)
{
    free(headers->key);
    free(headers->range);
}

static void headers_fill(struct headers *headers, const struct client *client,
                         const struct client_request *request)
{
    size_t count = 0;

    headers->lines[count++] = "Accept: application/json, application/problem+json, */*";
    if (client->authorization)
        headers->lines[count++] = client->authorization;
    if (request->body.text)
        headers->lines[count++] = "Content-Type: application/json";
    if (request->key)
        headers->lines[count++] = headers->key = mem_printf("Idempotency-Key: %s", request->key);
    if (request->range)
        headers->lines[count++] = headers->range = mem_printf("Range: bytes=%s", request->range);
    headers->lines[count] = NULL;
}

static int explain(const struct client *client, struct err *e)
{
    if (e->code == ERR_UNAVAILABLE)
        return err_prefix(e,
                          "the service at %s does not answer (start one with `segue serve`, or "
                          "name another with --url or SEGUE_URL)",
                          client->url);
    return err_prefix(e, "the service at %s", client->url);
}

static int ask_until_answered(const struct http_request *request, bool is_repeatable,
                              struct http_answer *answer, struct err *e)
{
    size_t tries = is_repeatable ? sizeof PAUSES_MS / sizeof *PAUSES_MS : 0;

    for (size_t i = 0;; i++) {
        int result = http_request(request, answer, e);
        if (result == 0 || e->code != ERR_UNAVAILABLE || i == tries)
            return result;
        poll(NULL, 0, PAUSES_MS[i]);
    }
}

int client_ask(const struct client *client, const struct client_request *request,
               struct http_answer *answer, struct problems *problems, struct err *e)
{
    __attribute__((cleanup(headers_clear))) struct headers headers = {0};
    auto_free char *url = mem_printf("%s%s", client->url, request->path);

    headers_fill(&headers, client, request);
    struct http_request asked = {
        .method = request->method,
        .url = url,
        .headers = headers.lines,
        .body = request->body,
        .timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : ANSWER_MS,
        .is_direct = client->is_here,
        .answer_cap = ANSWER_CAP,
    };
    if (ask_until_answered(&asked, request->key != NULL, answer, e) < 0)
        return explain(client, e);
    int status = answer->status;
    if ((status >= 200 && status < 300) || (status == 416 && request->range))
        return 0;
    client_refusal(client, status, (struct str){buf_text(&answer->body), answer->body.len},
                   problems, e);
    http_answer_clear(answer);
    return -1;
}

int client_read(struct http_answer *answer, struct json *ret_doc, struct err *e)
{
    size_t len = answer->body.len;

    if (json_parse_take(ret_doc, buf_take(&answer->body), len, JSON_TOLERANT, NULL, e) == 0 &&
        json_kind(ret_doc, 0) == JSON_OBJECT)
        return 0;
    json_clear(ret_doc);
    return err_set(e, ERR_PROTOCOL, "the service's answer is no JSON object");
}

int client_get(const struct client *client, const char *path, struct json *ret_doc, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};

    if (client_ask(client, &(struct client_request){.path = path}, &answer, NULL, e) < 0)
        return -1;
    return client_read(&answer, ret_doc, e);
}

/* NULL: the page was the last. */
static char *next_page(const char *path, const struct json *doc)
{
    auto_free char *cursor = json_strdup(doc, json_get(doc, 0, "next_cursor"));
    struct buf next = {0};

    if (!cursor)
        return NULL;
    buf_printf(&next, "%s&cursor=", path);
    http_put_escaped(&next, str_of(cursor));
    return buf_take(&next);
}

int client_each_page(const struct client *client, const char *path, client_page_fn *page,
                     void *user, struct err *e)
{
    auto_free char *next = mem_strdup(path);

    while (next) {
        auto_json struct json doc = {0};
        if (client_get(client, next, &doc, e) < 0 || page(user, &doc, e) < 0)
            return -1;
        free(next);
        next = next_page(path, &doc);
    }
    return 0;
}

struct http_stream *client_stream(const struct client *client, struct loop *loop, const char *path,
                                  int64_t last_event_id, const struct http_stream_events *events,
                                  void *user)
{
    auto_free char *url = mem_printf("%s%s", client->url, path);
    auto_free char *last = mem_printf("Last-Event-ID: %" PRId64, last_event_id);
    const char *lines[4] = {"Accept: text/event-stream"};
    size_t count = 1;

    if (client->authorization)
        lines[count++] = client->authorization;
    if (last_event_id > 0)
        lines[count++] = last;
    struct http_request request = {.url = url, .headers = lines, .is_direct = client->is_here};
    return http_stream_open(loop, &request, events, user);
}

/* --- telling --- */

int client_fail(const char *command, const char *file, const struct problems *problems,
                const struct err *e)
{
    auto_buf struct buf text = {0};

    if (problems && problems->total > 0) {
        report_problems(stderr, file, problems, REPORT_ERRORS);
        return exit_status_of_err(e);
    }
    shown_put_lines(&text, e->text, 4);
    fprintf(stderr, "segue %s: %s\n", command, buf_text(&text));
    return exit_status_of_err(e);
}
