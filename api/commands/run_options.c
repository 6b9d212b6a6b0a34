#include "api/commands/run_options.h"

#include <stdio.h>

static const struct flag {
    const char *name;
    char letter; /* 0: none */
    enum run_flag flag;
} FLAGS[] = {
    {"json", 0, RUN_FLAG_JSON},
    {"wait", 0, RUN_FLAG_WAIT},
    {"failed", 0, RUN_FLAG_FAILED},
    {"follow", 'f', RUN_FLAG_FOLLOW},
};

#define FLAG_COUNT (sizeof FLAGS / sizeof *FLAGS)

static int hint(const struct run_command *command)
{
    fprintf(stderr, "(segue %s --help tells more)\n", command->name);
    return -1;
}

/* The command's options for getopt_long. `table` has room for all. */
static void fill(const struct run_command *command, struct option *table)
{
    static const struct option common[] = {CLIENT_OPTIONS, {"help", no_argument, NULL, 'h'}};
    size_t count = 0;

    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        table[count++] = common[i];
    for (size_t i = 0; i < FLAG_COUNT; i++)
        if (command->flags & FLAGS[i].flag)
            table[count++] = (struct option){FLAGS[i].name, no_argument, NULL, (int)FLAGS[i].flag};
    table[count] = (struct option){0};
}

static int count_words(const struct run_command *command, int count)
{
    if (count >= command->words_least && count <= command->words_most)
        return 1;
    if (count < command->words_least)
        fprintf(stderr, "segue %s: which %s?\n", command->name, command->what);
    else
        fprintf(stderr, "segue %s: there are words too many\n", command->name);
    return hint(command);
}

int run_options_parse(struct run_options *options, const struct run_command *command, int argc,
                      char **argv)
{
    struct option table[FLAG_COUNT + 4];
    const char *letters = command->flags & RUN_FLAG_FOLLOW ? "hf" : "h";
    int option;

    fill(command, table);
    optind = 0;
    while ((option = getopt_long(argc, argv, letters, table, NULL)) != -1) {
        if (option == 'h') {
            fputs(command->help, stdout);
            return 0;
        }
        if (option == 'f')
            options->flags |= RUN_FLAG_FOLLOW;
        else if (option > 0 && option <= (int)RUN_FLAG_FOLLOW)
            options->flags |= (unsigned)option;
        else if (!client_take_option(&options->client, option, optarg))
            return hint(command);
    }
    options->words = argv + optind;
    options->word_count = argc - optind;
    return count_words(command, options->word_count);
}
