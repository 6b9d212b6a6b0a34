/* exit_status: what a command tells whoever called it; the same numbers for all of them.
 *
 * Values only. 130 and 143, for SIGINT and SIGTERM, stand beside them.
 */
#ifndef SEGUE_API_EXIT_STATUS_H
#define SEGUE_API_EXIT_STATUS_H

#include "base/err.h"

enum exit_status {
    EXIT_DONE = 0,
    EXIT_NOT_SUCCESS = 1, /* the run did not end in SUCCESS; anything else that went wrong */
    EXIT_INPUT = 2,       /* wrong input or usage */
    EXIT_UNAVAILABLE = 3, /* the service, or what steps were to run in, is not to be had */
};

enum exit_status exit_status_of_err(const struct err *e);

#endif
