#include "api/commands/jobs/jobs_cli.h"

#include <stdio.h>

static int hint(const struct jobs_args *args)
{
    fprintf(stderr, "(segue %s --help tells more)\n", args->name);
    return -1;
}

static int count_words(const struct jobs_args *args, int count)
{
    if (count >= args->words_least && count <= args->words_most)
        return 1;
    if (count < args->words_least)
        fprintf(stderr, "segue %s: which %s?\n", args->name, args->what);
    else
        fprintf(stderr, "segue %s: there are words too many\n", args->name);
    return hint(args);
}

int jobs_args_parse(const struct jobs_args *args, void *options, int argc, char **argv)
{
    int option;

    optind = 0;
    while ((option = getopt_long(argc, argv, args->letters, args->table, NULL)) != -1) {
        if (option == 'h') {
            fputs(args->help, stdout);
            return 0;
        }
        if (option == '?' || args->take(options, option, optarg) < 0)
            return hint(args);
    }
    return count_words(args, argc - optind);
}

int jobs_misused(const struct jobs_args *args, const char *text)
{
    fprintf(stderr, "segue %s: %s\n", args->name, text);
    return hint(args);
}
