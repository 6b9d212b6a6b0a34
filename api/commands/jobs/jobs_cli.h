/* jobs_cli: what the files of `segue jobs` share.
 *
 *   cmd_jobs.c        which verb is meant, and those that only name a job
 *   jobs_args.c       the words of a verb with options of its own
 *   job_options.c     the options that say what a job is, as JSON
 *   verb_create.c     create, edit
 *   verb_show.c       the list, one job, its fires
 *   verb_results.c    results
 *   verb_compare.c    compare
 *   jobs_wait.c       waits until a fire has ended
 *   verb_webhooks.c   webhooks
 *   job_pick.c        the job that a word means
 *   job_text.c        parts of a job as people read them
 *   jobs_refused.c    what the service refused
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

/* --- words --- */

struct jobs_args {
    const char *name; /* "jobs create" */
    const char *help;
    const char *letters; /* for getopt_long, as the table; "h" is the help */
    const struct option *table;
    int (*take)(void *options, int option, const char *value); /* -1: wrong, which it has said */
    int words_least, words_most;
    const char *what; /* a word names: "job" */
};

/* 1: go on with the words from `optind` on, 0: help was given, -1: wrong usage, which was told. */
int jobs_args_parse(const struct jobs_args *args, void *options, int argc, char **argv);

/* Tells what is wrong with the words; returns -1. */
int jobs_misused(const struct jobs_args *args, const char *text);

/* --- the service --- */

/* The uuid of the job that `word` means: its uuid, the beginning of it (at least 4 characters), or
 * its name, where only one fits. free() it. NULL: ERR_NOT_FOUND, ERR_INVALID, or an error of
 * client_ask. */
char *job_pick(const struct client *client, const char *word, struct err *e);

/* METHOD /api/v1/jobs/UUID`rest`; `body` JSON or none. As client_ask. */
int job_ask(const struct client *client, const char *method, const char *uuid, const char *rest,
            struct str body, struct http_answer *answer, struct problems *problems, struct err *e);

/* GET it, a JSON object. */
int job_get(const struct client *client, const char *uuid, const char *rest, struct json *ret_doc,
            struct err *e);

/* As client_fail, of a request with that body: problems in it are told by the options that they
 * came from, others about `file`; NULL: there is none. */
int jobs_refused(const char *command, const char *file, const struct buf *body,
                 const struct problems *problems, const struct err *e);

enum jobs_wait_style {
    JOBS_WAIT_TEXT,
    JOBS_WAIT_JSON, /* the fire, a line each time that it has changed */
};

/* Waits until fire `number` of the job has ended, and shows meanwhile how far it is. Gives what its
 * end means, or 130 and 143 when interrupted (the job goes on). */
int jobs_wait(const struct client *client, const char *job_uuid, uint32_t number,
              enum jobs_wait_style style);

/* Prints the results table of a fire, best first. */
int jobs_print_results(const struct client *client, const char *job_uuid, const char *fire,
                       struct err *e);

/* --- as people read it --- */

/* Append: how many sets, and in what they differ; how many of a fire's sets are done, "7 of 24",
 * then `what`, then ", 1 failed"; what a parameter or metric is called, with its step:
 * "Train:depth". */
void job_text_put_sets(const struct json *doc, json_at axes, int64_t count, struct buf *out);
void job_text_put_counts(const struct json *doc, json_at fire, const char *what, struct buf *out);
void job_text_put_name(const struct json *doc, json_at column, struct buf *out);

/* Any value, short; NULL: there is none. free() it. */
char *job_text_value(const struct json *doc, json_at value);

/* What its members `duration`, `status` and `cause` say: "1.5 s", "FAILURE (timeout)"; NULL:
 * nothing. free() it. */
char *job_text_duration(const struct json *doc, json_at run);
char *job_text_status(const struct json *doc, json_at run);

/* "2026-12-01 02:00" of a time in `schedule.next`, by the clock of the schedule's zone; NULL: there
 * is none. free() it. */
char *job_text_next(const struct json *doc, json_at time);

/* The job, a line for each thing that there is to say. */
void job_text_put(const struct json *doc, json_at job, struct buf *out);

#endif
