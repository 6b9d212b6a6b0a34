#include "api/commands/jobs/jobs_cli.h"

#include "api/commands/run_doc.h"
#include "base/id.h"
#include "base/mem.h"

#include <string.h>

#define PAGE "/api/v1/jobs?limit=1000"

struct search {
    const char *word;
    char *named, *begun; /* uuids: of the job with that name, of that which begins so */
    uint32_t named_count, begun_count;
};

static void note(char **found, uint32_t *count, const char *uuid)
{
    if ((*count)++ == 0)
        *found = mem_strdup(uuid);
}

static int look_at_page(const struct client *client, const char *path, struct search *search,
                        char **ret_next, struct err *e)
{
    auto_json struct json doc = {0};

    if (client_get(client, path, &doc, e) < 0)
        return -1;
    json_each (&doc, json_get(&doc, 0, "jobs"), job) {
        auto_free char *uuid = run_doc_text(&doc, job, "uuid");
        auto_free char *name = run_doc_text(&doc, job, "name");
        if (uuid && strncmp(uuid, search->word, strlen(search->word)) == 0)
            note(&search->begun, &search->begun_count, uuid);
        if (uuid && name && strcmp(name, search->word) == 0)
            note(&search->named, &search->named_count, uuid);
    }
    *ret_next = run_doc_text(&doc, 0, "next_cursor");
    return 0;
}

static int look_at_all(const struct client *client, struct search *search, struct err *e)
{
    auto_free char *path = mem_strdup(PAGE);

    while (path) {
        auto_free char *next = NULL;
        if (look_at_page(client, path, search, &next, e) < 0)
            return -1;
        free(take_ptr(&path));
        if (next)
            path = mem_printf(PAGE "&cursor=%s", next);
    }
    return 0;
}

static char *choose(struct search *search, struct err *e)
{
    if (search->named_count == 1)
        return take_ptr(&search->named);
    if (search->named_count > 1)
        err_set(e, ERR_INVALID, "%u jobs are called \"%s\": give the uuid", search->named_count,
                search->word);
    else if (search->begun_count == 1)
        return take_ptr(&search->begun);
    else if (search->begun_count > 1)
        err_set(e, ERR_INVALID, "%u jobs begin with \"%s\": say more of it", search->begun_count,
                search->word);
    else
        err_set(e, ERR_NOT_FOUND, "there is no job \"%s\"", search->word);
    return NULL;
}

char *job_pick(const struct client *client, const char *word, struct err *e)
{
    struct search search = {.word = word};

    if (uuid_is_valid(word))
        return mem_strdup(word);
    char *uuid = *word && look_at_all(client, &search, e) == 0 ? choose(&search, e) : NULL;
    if (!*word)
        err_set(e, ERR_INVALID, "which job?");
    free(search.named);
    free(search.begun);
    return uuid;
}

int job_ask(const struct client *client, const char *method, const char *uuid, const char *rest,
            struct str body, struct http_answer *answer, struct problems *problems, struct err *e)
{
    auto_free char *path = mem_printf("/api/v1/jobs/%s%s", uuid, rest);
    struct client_request request = {.method = method, .path = path, .body = body};

    return client_ask(client, &request, answer, problems, e);
}
