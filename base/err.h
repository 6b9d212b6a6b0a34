/* err: why something failed, for the caller to act on and a person to read.
 *
 * A fallible function takes `struct err *e` last and returns 0 or -1 (or a pointer or NULL). On
 * failure it sets a code from the closed list below and one line of bounded text; nothing is
 * allocated. Callers add context in front (err_prefix), never by logging. The text is lower case,
 * names what failed first and puts the thing in quotes: `cannot open "x.ipynb": permission denied`.
 * Expected outcomes (end of file, would block, a lookup that may miss) are results, not errors.
 *
 * A value; belongs to whoever declared it; no thread owns it.
 */
#ifndef SEGUE_BASE_ERR_H
#define SEGUE_BASE_ERR_H

#include <errno.h>
#include <stdarg.h>

/* code, name: the name is what users see where a code is printed. */
#define ERR_CODES(X)                                                                               \
    X(ERR_NONE, "none")                                                                            \
    X(ERR_INVALID, "invalid")         /* the caller's data is wrong */                             \
    X(ERR_NOT_FOUND, "not_found")     /* something named does not exist */                         \
    X(ERR_CONFLICT, "conflict")       /* exists already, changed meanwhile, or is locked */        \
    X(ERR_LIMIT, "limit")             /* over a cap of base/limits.h */                            \
    X(ERR_IO, "io")                   /* disk, descriptors, sockets */                             \
    X(ERR_NO_SPACE, "no_space")       /* disk full or over quota */                                \
    X(ERR_UNAVAILABLE, "unavailable") /* a service (Docker) cannot be reached or broke off */      \
    X(ERR_PROTOCOL, "protocol")       /* a peer does not keep to its protocol */                   \
    X(ERR_TIMEOUT, "timeout")         /* a deadline passed */                                      \
    X(ERR_CANCELLED, "cancelled")     /* stopped because someone asked */

enum err_code {
#define X(code, name) code,
    ERR_CODES(X)
#undef X
};

struct err {
    enum err_code code;
    char text[1000];
};

/* Sets code and text; returns -1, so that `return err_set(e, ...)` reads as one step. */
int err_set(struct err *e, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Sets text and ": <strerror>" and the code that fits errno value `number`; returns -1. */
int err_errno(struct err *e, int number, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts `format` and ": " in front of the text that is there; keeps the code; returns -1. */
int err_prefix(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The code's name, for example "not_found". */
const char *err_name(enum err_code code);

#endif
