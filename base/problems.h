/* problems: what is wrong with a document that somebody wrote, all of it at once and each with its
 * place.
 *
 * A growing list that keeps the first LIMIT_PROBLEMS entries and counts the rest. Owns its texts.
 * `struct problems p = {0}` is an empty one. One owner, one thread.
 */
#ifndef SEGUE_BASE_PROBLEMS_H
#define SEGUE_BASE_PROBLEMS_H

#include "base/err.h"
#include "base/json.h"

#include <stdint.h>

struct problem {
    char *pointer;   /* RFC 6901, "" for the whole document */
    uint32_t line;   /* from 1; 0: has no place in a text */
    uint32_t column; /* from 1, in characters */
    char *detail;    /* one line, without the place */
};

struct problems {
    struct problem *items;
    uint32_t count;    /* kept in `items` */
    uint32_t capacity; /* of `items` */
    uint32_t total;    /* found, with those over the cap that were not kept */
};

void problems_clear(struct problems *problems);
#define auto_problems __attribute__((cleanup(problems_clear)))

/* Adds what is wrong with node `at`; JSON_NONE stands for the whole document. */
void problems_add(struct problems *problems, const struct json *doc, json_at at, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));

/* The same for a place without a node. */
void problems_add_place(struct problems *problems, const char *pointer, struct json_place place,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The first problem, and how many more, as an ERR_INVALID; returns -1. Call only when there is
 * one. */
int problems_to_err(const struct problems *problems, struct err *e);

#endif
