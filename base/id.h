/* id: random names.
 *
 * Random bytes come from getrandom(2), so that they are fit for keys too. Thread-safe.
 */
#ifndef SEGUE_BASE_ID_H
#define SEGUE_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>

struct uuid {
    char text[37]; /* lower-case RFC 4122 text, NUL at the end; all zero bytes: none */
};

struct uuid uuid_random(void); /* version 4 */

/* The same uuid for the same name, always: version 8 (RFC 9562), the first 128 bits of
 * SHA-256(name). */
struct uuid uuid_from_name(const char *name);

struct uuid uuid_of(const char *text); /* of a text that is one, or of "" */

bool uuid_is_valid(const char *text); /* 8-4-4-4-12 hexadecimal digits of either case */

void random_bytes(void *out, size_t len);
void random_hex(char *out, size_t digits); /* writes `digits` characters and a NUL */

#endif
