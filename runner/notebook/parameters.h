/* parameters: writes values as assignments in the language of a notebook, as papermill does.
 *
 * A pure translation, for Python, R, Julia, JavaScript and bash. What a language cannot say is left
 * out, never guessed: names that are no identifiers or reserved, text with NUL in R and bash,
 * objects in bash. Such parameters still reach the step through its SDK. Text is written as UTF-8
 * with the escapes of the language. Keeps no state; thread-safe.
 */
#ifndef SEGUE_RUNNER_PARAMETERS_H
#define SEGUE_RUNNER_PARAMETERS_H

#include "base/buf.h"
#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

/* Appends the source of a cell that sets the members of `object`: a comment, then one line for each
 * parameter. The language is found by the kernelspec's name, then by its language, both of which
 * may be NULL. Gives how many parameters it wrote; with 0, also for an unknown language, nothing is
 * appended. */
uint32_t parameters_write(const struct json *doc, json_at object, const char *kernel_name,
                          const char *language, struct buf *out);

#endif
