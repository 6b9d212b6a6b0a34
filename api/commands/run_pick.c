#include "api/commands/run_pick.h"

#include "api/commands/run_doc.h"
#include "base/id.h"
#include "base/mem.h"

#include <ctype.h>

#define PREFIX_LEAST 4

/* As many as the service gives at a time. */
#define PAGE "/api/v1/runs?limit=1000"

static char *lower(const char *word)
{
    char *text = mem_strdup(word);

    for (char *p = text; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return text;
}

static bool is_beginning(const char *word)
{
    size_t len = strlen(word);

    return len >= PREFIX_LEAST && len <= 36 && strspn(word, "0123456789abcdef-") == len;
}

static char *pick_latest(const struct client *client, struct err *e)
{
    auto_json struct json doc = {0};

    if (client_get(client, "/api/v1/runs?limit=1", &doc, e) < 0)
        return NULL;
    char *uuid = run_doc_text(&doc, json_item(&doc, json_get(&doc, 0, "runs"), 0), "uuid");
    if (!uuid)
        err_set(e, ERR_NOT_FOUND, "there is no run yet");
    return uuid;
}

struct search {
    const char *word;
    char *found;
};

static int look_at_page(void *user, const struct json *doc, struct err *e)
{
    struct search *search = user;

    json_each (doc, json_get(doc, 0, "runs"), run) {
        auto_free char *uuid = run_doc_text(doc, run, "uuid");
        if (!uuid || strncmp(uuid, search->word, strlen(search->word)) != 0)
            continue;
        if (search->found)
            return err_set(e, ERR_INVALID, "\"%s\" may be run %s or %s, or more: say more of it",
                           search->word, search->found, uuid);
        search->found = take_ptr(&uuid);
    }
    return 0;
}

static char *pick_by_beginning(const struct client *client, const char *word, struct err *e)
{
    struct search search = {.word = word};
    int result = client_each_page(client, PAGE, look_at_page, &search, e);
    auto_free char *found = search.found;

    if (result == 0 && !found)
        err_set(e, ERR_NOT_FOUND, "there is no run \"%s\"", word);
    return result == 0 ? take_ptr(&found) : NULL;
}

char *run_pick(const struct client *client, const char *word, struct err *e)
{
    auto_free char *text = lower(word);

    if (strcmp(text, "latest") == 0)
        return pick_latest(client, e);
    if (uuid_is_valid(text))
        return take_ptr(&text);
    if (is_beginning(text))
        return pick_by_beginning(client, text, e);
    err_set(e, ERR_INVALID,
            "\"%s\" is no run: give its uuid, at least its first %d characters, or \"latest\"",
            word, PREFIX_LEAST);
    return NULL;
}

int run_ask(const struct client *client, const char *method, const char *uuid, const char *rest,
            const char *body, struct http_answer *answer, struct err *e)
{
    auto_free char *path = mem_printf("/api/v1/runs/%s%s", uuid, rest);

    return client_ask(
        client, &(struct client_request){.method = method, .path = path, .body = str_of(body)},
        answer, NULL, e);
}
