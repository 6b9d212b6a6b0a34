/* guard: what is checked of every request's headers before anything else happens: who asks, under
 * which name, and whether everybody in between agrees on where its body ends.
 *
 * libmicrohttpd 0.9.75 lets repeated Content-Length headers, blanks before a colon and continued
 * lines pass (a continuation is appended to the header's name); what could be read in two ways is
 * refused here. Pure functions on header values.
 */
#ifndef SEGUE_API_SERVER_GUARD_H
#define SEGUE_API_SERVER_GUARD_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct guard_headers {
    struct str host, content_length, transfer_encoding, content_type, authorization, expect;
    bool is_repeated; /* one that says who is asked or where the body ends, given twice */
    bool is_bad_name; /* a name that is no token, or looks as if a line was continued */
};

/* An all-zero guard_headers has seen none. */
void guard_take(struct guard_headers *headers, struct str name, struct str value);

struct guard_body {
    bool is_chunked;
    uint64_t length; /* when not chunked */
};

/* ERR_INVALID: the request is to be answered with 400 and the connection closed. */
int guard_check_framing(const struct guard_headers *headers, struct guard_body *ret, struct err *e);

/* Is `host` (with or without a port) a name of loopback, the address listened on, or one of `names`
 * (NULL at the end; NULL: none)? Against pages that make a name of theirs point here. */
bool guard_is_allowed_host(struct str host, const char *address, const char *const *names);

/* "Bearer T", "token T", or Basic with T as the password and any name. */
bool guard_has_token(struct str authorization, const char *token);

/* In constant time. */
bool guard_is_token(struct str given, const char *token);

/* application/json, with any parameters. */
bool guard_is_json(struct str content_type);

/* Waits for "100 Continue" before it sends its body. */
bool guard_expects_continue(struct str expect);

#endif
