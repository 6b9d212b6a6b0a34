#include "api/service/steps.h"

#include "api/service/parts.h"
#include "base/mem.h"
#include "runner/engine/run_dir.h"
#include "runner/engine/snapshot.h"
#include "runner/engine/step_log.h"
#include "runner/store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An attempt of a step that was asked for. */
struct asked {
    const char *run, *step; /* uuids */
    uint32_t attempt;       /* 0 until it is looked up: the latest */
    uint32_t latest;
    enum status status; /* of the step */
    char *directory;    /* of the attempt */
};

static void asked_clear(struct asked *asked)
{
    free(asked->directory);
}

/* --- looking up --- */

static int take_run(void *data, const struct store_run *run, struct err *e)
{
    int64_t *id = data;

    (void)e;
    *id = run->id;
    return 0;
}

static int take_step(void *data, const struct store_step *step, struct err *e)
{
    struct asked *asked = data;

    (void)e;
    if (strcmp(step->uuid, asked->step) != 0)
        return 0;
    asked->latest = step->attempt;
    asked->status = step->status;
    return 1;
}

static int read_rows(struct store *store, struct asked *asked, struct err *e)
{
    int64_t run;

    if (store_run(store, asked->run, take_run, &run, e) < 0)
        return -1;
    int found = store_steps(store, run, take_step, asked, e);
    if (found == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no step \"%s\" in the run", asked->step);
    return found < 0 ? -1 : 0;
}

static int choose_attempt(struct asked *asked, struct err *e)
{
    if (asked->latest == 0)
        return err_set(e, ERR_NOT_FOUND,
                       status_is_final(asked->status) ? "the step was never started"
                                                      : "the step has not started yet");
    if (asked->attempt > asked->latest)
        return err_set(e, ERR_NOT_FOUND,
                       "there is no attempt %" PRIu32 " of the step: the latest is %" PRIu32,
                       asked->attempt, asked->latest);
    if (asked->attempt == 0)
        asked->attempt = asked->latest;
    return 0;
}

static int look_up(struct service *service, struct asked *asked, struct err *e)
{
    struct store *store = readers_lend(service->readers, e);

    if (!store)
        return -1;
    int result = read_rows(store, asked, e);
    readers_give_back(service->readers, store);
    if (result < 0 || choose_attempt(asked, e) < 0)
        return -1;
    /* Both names are ones that the store knows: neither leads anywhere else. */
    auto_free char *run_dir = state_run_dir(&service->state, asked->run);
    asked->directory =
        run_dir_attempt(&(struct run_dir){.path = run_dir}, asked->step, asked->attempt);
    return 0;
}

/* --- opening --- */

static bool is_over(const struct asked *asked)
{
    return asked->attempt < asked->latest || status_is_final(asked->status);
}

/* The row of an attempt comes before its files, and a run that is deleted loses them later. */
static int explain_missing(const struct asked *asked, const char *what, struct err *e)
{
    if (is_over(asked))
        return err_set(e, ERR_NOT_FOUND,
                       "attempt %" PRIu32 " of the step left no %s: it could not be started, or "
                       "its files were removed",
                       asked->attempt, what);
    return err_set(e, ERR_NOT_FOUND,
                   "there is no %s yet: attempt %" PRIu32 " of the step is just being started",
                   what, asked->attempt);
}

/* Bytes that were there stay as they are: who has some of them may always ask for the rest. */
static int open_log(const struct asked *asked, struct snapshot *ret_file, struct err *e)
{
    if (step_log_open(asked->directory, &ret_file->fd, &ret_file->size, e) < 0)
        return e->code == ERR_NOT_FOUND ? explain_missing(asked, "log", e) : -1;
    snprintf(ret_file->etag, sizeof ret_file->etag, "\"attempt-%" PRIu32 "\"", asked->attempt);
    return 0;
}

static int open_notebook(const struct asked *asked, struct snapshot *ret_file, struct err *e)
{
    bool has_copy = asked->attempt == asked->latest && status_is_final(asked->status);

    if (snapshot_open(asked->directory, has_copy ? SNAPSHOT_COPY : SNAPSHOT_JOURNAL, ret_file, e) ==
        0)
        return 0;
    if (e->code == ERR_NOT_FOUND)
        return explain_missing(asked, "notebook", e);
    if (e->code == ERR_INVALID)
        e->code = ERR_NOT_FOUND;
    return -1;
}

/* --- answering --- */

/* Of the query. False: not a number from 1. */
static bool parse_attempt(const char *text, uint32_t *ret_attempt)
{
    uint64_t number = 0;

    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9' || number > UINT32_MAX)
            return false;
        number = 10 * number + (uint64_t)(*p - '0');
    }
    *ret_attempt = (uint32_t)number;
    return number >= 1 && number <= UINT32_MAX;
}

typedef int open_fn(const struct asked *asked, struct snapshot *ret_file, struct err *e);

static void answer(struct exchange *exchange, struct service *service, open_fn *open_file,
                   const char *content_type, enum file_kind kind)
{
    auto_with(asked_clear) struct asked asked = {
        .run = exchange_segment(exchange, 0),
        .step = exchange_segment(exchange, 1),
    };
    const char *attempt = exchange_query(exchange, "attempt");
    struct snapshot file;
    struct err e;

    if (attempt && !parse_attempt(attempt, &asked.attempt)) {
        exchange_answer_problem(exchange, 400, "the attempt is no number from 1 on", NULL);
    } else if (look_up(service, &asked, &e) < 0 || open_file(&asked, &file, &e) < 0) {
        exchange_answer_err(exchange, &e, NULL);
    } else {
        exchange_answer_file(exchange, content_type, kind, file.etag, file.fd, file.size);
    }
}

void steps_log(struct exchange *exchange, void *service)
{
    answer(exchange, service, open_log, "text/plain; charset=utf-8", FILE_GROWING);
}

void steps_notebook(struct exchange *exchange, void *service)
{
    answer(exchange, service, open_notebook, "application/x-ipynb+json", FILE_FIXED);
}
