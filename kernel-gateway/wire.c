#include "kernel-gateway/wire.h"

#include "base/mem.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdint.h>

#define DIGEST_SIZE (WIRE_SIGNATURE_SIZE / 2)

const char *wire_fault_name(enum wire_fault fault)
{
    static const char *const names[WIRE_FAULT_COUNT] = {
#define X(fault, name) [fault] = name,
        WIRE_FAULTS(X)
#undef X
    };
    return names[fault];
}

enum wire_fault wire_split(const struct str *frames, size_t count, struct wire_parts *ret_parts)
{
    size_t at = 0;
    while (at < count && !str_eq(frames[at], WIRE_DELIMITER))
        at++;
    if (at == count)
        return WIRE_NO_DELIMITER;
    if (count - at < 2 + WIRE_PART_COUNT)
        return WIRE_TOO_SHORT;
    *ret_parts = (struct wire_parts){
        .signature = frames[at + 1],
        .identity_count = at,
        .buffers = at + 2 + WIRE_PART_COUNT,
    };
    for (size_t i = 0; i < WIRE_PART_COUNT; i++)
        ret_parts->parts[i] = frames[at + 2 + i];
    return WIRE_OK;
}

/* The context keeps its key: starting it anew for each message costs no key schedule. */
struct wire_key {
    EVP_MAC_CTX *context; /* NULL: no signatures */
};

struct wire_key *wire_key_new(const char *key)
{
    struct wire_key *self = mem_zalloc(sizeof *self);
    if (!*key)
        return self;
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    self->context = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0),
                                 OSSL_PARAM_construct_end()};
    int done = EVP_MAC_init(self->context, (const unsigned char *)key, strlen(key), params);
    assert(done == 1);
    (void)done;
    return self;
}

void wire_key_free(struct wire_key *key)
{
    if (!key)
        return;
    EVP_MAC_CTX_free(key->context);
    free(key);
}

void wire_sign(struct wire_key *key, const struct str parts[WIRE_PART_COUNT],
               char ret_signature[WIRE_SIGNATURE_SIZE + 1])
{
    ret_signature[0] = 0;
    if (!key->context)
        return;
    int done = EVP_MAC_init(key->context, NULL, 0, NULL);
    for (size_t i = 0; i < WIRE_PART_COUNT && done == 1; i++)
        done = EVP_MAC_update(key->context, (const unsigned char *)parts[i].text, parts[i].len);
    unsigned char digest[DIGEST_SIZE];
    size_t len = 0;
    done = done == 1 ? EVP_MAC_final(key->context, digest, &len, sizeof digest) : 0;
    assert(done == 1 && len == sizeof digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        ret_signature[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        ret_signature[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    ret_signature[WIRE_SIGNATURE_SIZE] = 0;
}

enum wire_fault wire_check(struct wire_key *key, const struct wire_parts *parts)
{
    if (!key->context)
        return WIRE_OK;
    char expected[WIRE_SIGNATURE_SIZE + 1];
    wire_sign(key, parts->parts, expected);
    if (parts->signature.len != WIRE_SIGNATURE_SIZE ||
        CRYPTO_memcmp(parts->signature.text, expected, WIRE_SIGNATURE_SIZE) != 0)
        return WIRE_BAD_SIGNATURE;
    return WIRE_OK;
}
