/* problem: the body of an answer that is an error: application/problem+json (RFC 9457). Pure. */
#ifndef SEGUE_API_SERVER_PROBLEM_H
#define SEGUE_API_SERVER_PROBLEM_H

#include "base/buf.h"
#include "base/err.h"
#include "base/problems.h"

/* {"type","title","status","detail","errors"}; `problems` may be NULL. */
void problem_put(struct buf *out, int status, const char *detail, const struct problems *problems);

int problem_status(enum err_code code);

#endif
