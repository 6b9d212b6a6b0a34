/* wire: Jupyter messages as frames: finds the parts, signs and checks signatures.
 *
 *   identity* | <IDS|MSG> | signature | header | parent header | metadata | content | buffer*
 *
 * Source: "Messaging in Jupyter", The Wire Protocol. The signature is the HMAC-SHA256, in
 * lower-case hexadecimal, of the four JSON frames as they are; buffers are not signed. Any number
 * of identities may stand in front, none too. Pure functions over bytes: no sockets, no JSON. A
 * wire_key keeps a keyed context and belongs to one thread.
 */
#ifndef SEGUE_KERNEL_GATEWAY_WIRE_H
#define SEGUE_KERNEL_GATEWAY_WIRE_H

#include "base/str.h"

#include <stddef.h>

enum wire_part { WIRE_HEADER, WIRE_PARENT, WIRE_METADATA, WIRE_CONTENT };
#define WIRE_PART_COUNT 4

#define WIRE_DELIMITER      STR("<IDS|MSG>")
#define WIRE_SIGNATURE_SIZE 64 /* hexadecimal digits */

/* Why a message was thrown away. */
#define WIRE_FAULTS(X)                                                                             \
    X(WIRE_OK, "")                                                                                 \
    X(WIRE_NO_DELIMITER, "no_delimiter")                                                           \
    X(WIRE_TOO_SHORT, "too_short") /* a part is missing behind the delimiter */                    \
    X(WIRE_BAD_SIGNATURE, "bad_signature")                                                         \
    X(WIRE_BAD_HEADER, "bad_header") /* header or parent header are no JSON, or have no type */

enum wire_fault {
#define X(fault, name) fault,
    WIRE_FAULTS(X)
#undef X
        WIRE_FAULT_COUNT
};

const char *wire_fault_name(enum wire_fault fault);

struct wire_parts {
    struct str signature;
    struct str parts[WIRE_PART_COUNT];
    size_t identity_count; /* frames in front of the delimiter */
    size_t buffers;        /* index of the first frame behind the content; maybe the frame count */
};

/* Borrows from `frames`. The first delimiter counts. */
enum wire_fault wire_split(const struct str *frames, size_t count, struct wire_parts *ret_parts);

struct wire_key;

struct wire_key *wire_key_new(const char *key); /* "": messages are not signed */
void wire_key_free(struct wire_key *key);

/* Writes the signature and a NUL; "" without a key. */
void wire_sign(struct wire_key *key, const struct str parts[WIRE_PART_COUNT],
               char ret_signature[WIRE_SIGNATURE_SIZE + 1]);

/* WIRE_OK or WIRE_BAD_SIGNATURE; takes the same time for every wrong signature. Without a key
 * everything is right. */
enum wire_fault wire_check(struct wire_key *key, const struct wire_parts *parts);

#endif
