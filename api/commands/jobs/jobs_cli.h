/* jobs_cli: what the files of `segue jobs` share.
 *
 *   cmd_jobs.c        which verb is meant, and those that only name a job
 *   job_options.c     the options that say what a job is, as JSON
 *   verb_create.c     create, edit
 *   verb_show.c       the list, one job, its fires
 *   verb_results.c    results, compare
 *   jobs_wait.c       waits until a fire has ended
 *   verb_webhooks.c   webhooks
 *   job_pick.c        the job that a word means
 *
 * Every verb gets its words as a program does (argv[0] is its name) and gives an exit status.
 */
#ifndef SEGUE_API_JOBS_CLI_H
#define SEGUE_API_JOBS_CLI_H

#include "api/commands/client.h"
#include "api/commands/run_options.h"

int verb_list(int argc, char **argv);
int verb_show(int argc, char **argv);
int verb_fires(int argc, char **argv);
int verb_create(int argc, char **argv);
int verb_edit(int argc, char **argv);
int verb_results(int argc, char **argv);
int verb_compare(int argc, char **argv);
int verb_webhooks(int argc, char **argv);

/* The uuid of the job that `word` means: its uuid, the beginning of it, or its name, where only one
 * fits. free() it. NULL: ERR_NOT_FOUND, ERR_INVALID, or an error of client_ask. */
char *job_pick(const struct client *client, const char *word, struct err *e);

/* METHOD /api/v1/jobs/UUID`rest`; `body` JSON or none. As client_ask. */
int job_ask(const struct client *client, const char *method, const char *uuid, const char *rest,
            struct str body, struct http_answer *answer, struct problems *problems, struct err *e);

/* Waits until fire `number` of the job has ended, and shows meanwhile how far it is. Gives what its
 * end means, or 130 and 143 when interrupted (the job goes on). */
int jobs_wait(const struct client *client, const char *job_uuid, uint32_t number);

/* Prints the results table of a fire ("latest", "all", a number), by the API's `sort` (NULL: best
 * first), at most `limit` rows (0: all). */
int jobs_print_results(const struct client *client, const char *job_uuid, const char *fire,
                       const char *sort, uint32_t limit, struct err *e);

/* One line: how many sets, and in what they differ. */
void jobs_put_sets(const struct json *doc, json_at axes, int64_t count, struct buf *out);

/* Prints a job as people read it. */
void jobs_print_job(const struct json *doc, json_at job);

#endif
