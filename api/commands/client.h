/* client: the service as commands see it: where it is, how to be let in, what its answers mean.
 *
 * Asks one request at a time and blocks until it is answered. Reads the token once, when it is
 * made. An answer that is no success becomes an error with a text that tells a person what to do
 * about it. Prints only in client_fail. One owner, one thread.
 */
#ifndef SEGUE_API_CLIENT_H
#define SEGUE_API_CLIENT_H

#include "api/commands/exit_status.h"
#include "base/http.h"
#include "base/json.h"
#include "base/problems.h"

#include <getopt.h>
#include <stdbool.h>

/* --- options that every command of the client has --- */

/* Above all characters and those of api/commands/selection.h. */
enum client_option { CLIENT_URL = 0x2000, CLIENT_TOKEN_FILE };

/* clang-format off */
#define CLIENT_OPTIONS                                                                             \
    {"url", required_argument, NULL, CLIENT_URL},                                                  \
    {"token-file", required_argument, NULL, CLIENT_TOKEN_FILE}
/* clang-format on */

#define CLIENT_USAGE "[--url URL] [--token-file FILE]"

#define CLIENT_HELP                                                                                \
    "  --url URL         where the service is; default: SEGUE_URL, else http://127.0.0.1:7878\n"   \
    "  --token-file FILE has the service's token; SEGUE_TOKEN goes before it, and without both\n"  \
    "                    it is read from the state directory of this machine\n"

struct client_options {
    const char *url;
    const char *token_file;
};

/* False: the option is none of these. */
bool client_take_option(struct client_options *options, int option, const char *value);

/* --- asking --- */

struct client;

/* Asks nobody yet. ERR_INVALID: no URL of HTTP, or a token file that cannot be used. */
int client_new(struct client **ret_client, const struct client_options *options, struct err *e);
void client_free(struct client *client); /* NULL is allowed */
AUTO_FUNCTION(struct client, client_free)
#define auto_client auto_with(client_free_at)

struct client_request {
    const char *method; /* NULL: GET, or POST when there is a body */
    const char *path;   /* with its query: "/api/v1/runs" */
    struct str body;    /* JSON; none: no body */
    const char *key;    /* Idempotency-Key: it is asked again while the connection fails; or NULL */
    const char *range;  /* of the answer: "0-99"; or NULL */
    int timeout_ms;     /* 0: a minute */
};

/* 0: the answer is a success (2xx), or 416 to a `range`. Else the error that it means: where the
 * service is not there, broken or does not let us in ERR_UNAVAILABLE; for what it refuses
 * ERR_INVALID, ERR_NOT_FOUND, ERR_LIMIT or ERR_CONFLICT, with the places in the definition in
 * `problems` (may be NULL). `answer` must be cleared before. */
int client_ask(const struct client *client, const struct client_request *request,
               struct http_answer *answer, struct problems *problems, struct err *e);

/* GET `path`, a JSON object. */
int client_get(const struct client *client, const char *path, struct json *ret_doc, struct err *e);

/* GET `path`, which has a query, and each page that follows, up to the last. `page` gets them one
 * after the other; -1: it has set `e`, and no further one is asked for. */
typedef int client_page_fn(void *user, const struct json *doc, struct err *e);
int client_each_page(const struct client *client, const char *path, client_page_fn *page,
                     void *user, struct err *e);

/* The answer's body as a document that owns it; ERR_PROTOCOL: no JSON object. */
int client_read(struct http_answer *answer, struct json *ret_doc, struct err *e);

/* GET `path` as a stream of events, from behind `last_event_id` (0: from the first). */
struct http_stream *client_stream(const struct client *client, struct loop *loop, const char *path,
                                  int64_t last_event_id, const struct http_stream_events *events,
                                  void *user);

/* What an answer that is no success means; returns -1. */
int client_refusal(const struct client *client, int status, struct str body,
                   struct problems *problems, struct err *e);

/* --- telling --- */

/* Tells it on stderr and gives the exit status that it means. Problems are told in the form of
 * compilers, about `file`. */
int client_fail(const char *command, const char *file, const struct problems *problems,
                const struct err *e);

#endif
