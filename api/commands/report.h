/* report: what commands tell a person about a pipeline file, in the form of compilers.
 *
 * Writes to the stream it is given and keeps nothing.
 */
#ifndef SEGUE_API_REPORT_H
#define SEGUE_API_REPORT_H

#include "base/problems.h"

#include <stdio.h>

enum report_kind { REPORT_ERRORS, REPORT_WARNINGS };

/* One line each: `file:line:column: pointer: detail`, warnings with "warning: " in front of the
 * pointer; then how many there are that were not kept. */
void report_problems(FILE *out, const char *file, const struct problems *problems,
                     enum report_kind kind);

#endif
