/* id_hash: 64 bits of a message's id, for tables that need not keep the text.
 *
 * That two of those that wait have the same ones does not happen by chance; and who contrives it,
 * against the seed, gets nothing by it that is not a client's of the same kernel already.
 */
#ifndef SEGUE_KERNEL_GATEWAY_ID_HASH_H
#define SEGUE_KERNEL_GATEWAY_ID_HASH_H

#include <stdint.h>

/* FNV-1a. */
static inline uint64_t id_hash(uint64_t seed, const char *msg_id)
{
    uint64_t hash = 0xcbf29ce484222325u ^ seed;

    for (; *msg_id; msg_id++)
        hash = (hash ^ (unsigned char)*msg_id) * 0x100000001b3u;
    return hash;
}

#endif
