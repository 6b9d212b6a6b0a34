/* body: the JSON that a request brings, and what is the same for all of it: it must be an object of
 * known fields, each of its kind.
 *
 * Everything that is wrong is reported at once, with pointer, line and column. Nothing here keeps
 * anything; any thread.
 */
#ifndef SEGUE_API_SERVICE_BODY_H
#define SEGUE_API_SERVICE_BODY_H

#include "api/server/exchange.h"
#include "base/json.h"
#include "base/problems.h"

enum field_need { FIELD_REQUIRED, FIELD_OPTIONAL };

struct body_field {
    const char *name;
    enum json_kind kind;
    enum field_need need; /* an optional one may be null, which is the same as absent */
};

#define BODY_FIELDS_MAX 16

/* Parses the body; it stays with the exchange. -1: it is malformed, and the exchange was answered
 * with 400. No body is the same as {}. */
int body_parse(struct exchange *exchange, struct json *ret_body);

/* For what takes no fields: none, or {}. -1: the exchange was answered. */
int body_must_be_empty(struct exchange *exchange);

/* Adds what is wrong with the fields: unknown, there twice, of another kind, missing. `fields` ends
 * with a nameless one and has at most BODY_FIELDS_MAX. False: the body is no object at all. */
bool body_check(const struct json *body, const struct body_field *fields,
                struct problems *problems);

/* The value of a field; JSON_NONE when it is absent, null, or of another kind. */
json_at body_get(const struct json *body, const struct body_field *fields, const char *name);

/* A number of seconds, 0 to `most`; 0, with a problem, where it is something else, and 0 without
 * one where there is none. */
uint32_t body_seconds(const struct json *body, json_at at, uint32_t most,
                      struct problems *problems);

#endif
