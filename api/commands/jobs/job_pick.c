#include "api/commands/jobs/jobs_cli.h"

#include "api/commands/run_doc.h"
#include "base/id.h"
#include "base/mem.h"

#include <ctype.h>
#include <string.h>

#define PAGE "/api/v1/jobs?limit=1000"

/* A word that is shorter is a name, or nothing: too easily it would mean something. */
#define BEGINNING_LEAST 4

/* As many are told apart by their uuids. */
#define TOLD_MOST 5

/* Jobs that the word may mean. */
struct found {
    char *uuid; /* of the first */
    uint32_t count;
    struct buf uuids; /* for people: "1f2e3d4c, ..." */
};

struct search {
    const char *word;
    char *beginning; /* the word as a uuid would be written */
    struct found named, begun;
};

static void search_clear(struct search *search)
{
    free(search->beginning);
    free(search->named.uuid);
    free(search->begun.uuid);
    buf_clear(&search->named.uuids);
    buf_clear(&search->begun.uuids);
}

static void note(struct found *found, const char *uuid)
{
    if (found->count++ == 0)
        found->uuid = mem_strdup(uuid);
    if (found->count <= TOLD_MOST)
        buf_printf(&found->uuids, "%s%s", found->count > 1 ? ", " : "", uuid);
    else if (found->count == TOLD_MOST + 1)
        buf_puts(&found->uuids, ", ...");
}

static bool begins(const struct search *search, const char *uuid)
{
    size_t len = strlen(search->beginning);

    return len >= BEGINNING_LEAST && strncmp(uuid, search->beginning, len) == 0;
}

static int look_at_page(void *user, const struct json *doc, struct err *e)
{
    struct search *search = user;

    (void)e;
    json_each (doc, json_get(doc, 0, "jobs"), job) {
        auto_free char *uuid = run_doc_text(doc, job, "uuid");
        auto_free char *name = run_doc_text(doc, job, "name");
        if (uuid && begins(search, uuid))
            note(&search->begun, uuid);
        if (uuid && name && strcmp(name, search->word) == 0)
            note(&search->named, uuid);
    }
    return 0;
}

/* A name goes before the beginning of a uuid. */
static char *choose(struct search *search, struct err *e)
{
    if (search->named.count == 1)
        return take_ptr(&search->named.uuid);
    if (search->named.count > 1)
        err_set(e, ERR_INVALID, "%u jobs are called \"%s\": name it by its uuid: %s",
                search->named.count, search->word, buf_text(&search->named.uuids));
    else if (search->begun.count == 1)
        return take_ptr(&search->begun.uuid);
    else if (search->begun.count > 1)
        err_set(e, ERR_INVALID, "\"%s\" may be %u jobs: say more of it: %s", search->word,
                search->begun.count, buf_text(&search->begun.uuids));
    else
        err_set(e, ERR_NOT_FOUND, "there is no job \"%s\" (segue jobs lists them)", search->word);
    return NULL;
}

char *job_pick(const struct client *client, const char *word, struct err *e)
{
    auto_with(search_clear) struct search search = {.word = word};

    if (!*word) {
        err_set(e, ERR_INVALID, "which job?");
        return NULL;
    }
    search.beginning = mem_strdup(word);
    for (char *p = search.beginning; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    if (uuid_is_valid(word))
        return take_ptr(&search.beginning);
    return client_each_page(client, PAGE, look_at_page, &search, e) == 0 ? choose(&search, e)
                                                                         : NULL;
}

int job_ask(const struct client *client, const char *method, const char *uuid, const char *rest,
            struct str body, struct http_answer *answer, struct problems *problems, struct err *e)
{
    auto_free char *path = mem_printf("/api/v1/jobs/%s%s", uuid, rest);
    struct client_request request = {.method = method, .path = path, .body = body};

    return client_ask(client, &request, answer, problems, e);
}

int job_get(const struct client *client, const char *uuid, const char *rest, struct json *ret_doc,
            struct err *e)
{
    auto_free char *path = mem_printf("/api/v1/jobs/%s%s", uuid, rest);

    return client_get(client, path, ret_doc, e);
}
