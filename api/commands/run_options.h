/* run_options: the command line of a command about runs of the service: RUN words, where the
 * service is, and a few flags.
 *
 * Borrows the words. Tells on stderr what is wrong, and the help on stdout.
 */
#ifndef SEGUE_API_RUN_OPTIONS_H
#define SEGUE_API_RUN_OPTIONS_H

#include "api/commands/client.h"

/* What a command may have; it names those that it has in its `flags`. */
enum run_flag {
    RUN_FLAG_JSON = 1,   /* --json */
    RUN_FLAG_WAIT = 2,   /* --wait */
    RUN_FLAG_FAILED = 4, /* --failed */
    RUN_FLAG_FOLLOW = 8, /* -f, --follow */
};

struct run_command {
    const char *name;
    const char *help;
    unsigned flags; /* of enum run_flag */
    int words_least, words_most;
    const char *what; /* a word names: "run", "job" */
};

struct run_options {
    struct client_options client;
    unsigned flags; /* those that were given */
    char **words;
    int word_count;
};

/* 1: go on, 0: help was given, -1: wrong usage. */
int run_options_parse(struct run_options *options, const struct run_command *command, int argc,
                      char **argv);

#endif
