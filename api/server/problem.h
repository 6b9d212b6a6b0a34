/* problem: the body of an answer that is an error: application/problem+json (RFC 9457), or what
 * clients of Jupyter's servers expect. Pure. */
#ifndef SEGUE_API_SERVER_PROBLEM_H
#define SEGUE_API_SERVER_PROBLEM_H

#include "base/buf.h"
#include "base/err.h"
#include "base/problems.h"

/* Jupyter's is also laxer with requests: any query parameter is let pass (clients add their own,
 * and numbers against caches), and a body need not be called JSON. */
enum problem_dialect {
    PROBLEM_RFC9457, /* {"type","title","status","detail","errors"} */
    PROBLEM_JUPYTER, /* {"message","reason","errors"}, as application/json */
};

/* Which dialect a path and everything below it speaks. */
struct problem_place {
    const char *path; /* "/api/v1" */
    enum problem_dialect dialect;
};

/* The first of `places` (path NULL at the end; NULL: none) that `path` lies in counts; in none of
 * them it is PROBLEM_RFC9457. */
enum problem_dialect problem_dialect_of(const struct problem_place *places, const char *path);

/* `problems` may be NULL. */
void problem_put(struct buf *out, enum problem_dialect dialect, int status, const char *detail,
                 const struct problems *problems);

const char *problem_content_type(enum problem_dialect dialect);

int problem_status(enum err_code code);

#endif
