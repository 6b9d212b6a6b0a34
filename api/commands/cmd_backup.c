#include "api/commands/cmd_backup.h"

#include "api/commands/exit_status.h"
#include "base/mem.h"
#include "runner/engine/backup.h"
#include "runner/engine/state.h"

#include <getopt.h>
#include <stdio.h>

static const char HELP[] =
    "usage: segue backup [--state DIR] TARGET\n"
    "\n"
    "Copies the state of a service into TARGET, which must not exist or be empty. The service may\n"
    "go on meanwhile. To restore: segue serve --state TARGET\n";

int cmd_backup(int argc, char **argv)
{
    static const struct option table[] = {
        {"state", required_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'}, {0}};
    auto_free char *root = state_root();
    const char *state = root;
    struct err e;
    int option;

    while ((option = getopt_long(argc, argv, "h", table, NULL)) != -1) {
        if (option == 'h') {
            fputs(HELP, stdout);
            return EXIT_DONE;
        }
        if (option != 's')
            return EXIT_INPUT;
        state = optarg;
    }
    if (optind + 1 != argc) {
        fputs(HELP, stderr);
        return EXIT_INPUT;
    }
    if (backup_make(state, argv[optind], &e) == 0)
        return EXIT_DONE;
    fprintf(stderr, "segue backup: %s\n", e.text);
    return exit_status_of_err(&e);
}
