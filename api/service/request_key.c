#include "api/service/request_key.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_LENGTH_MAX 255

/* Another path or body is another request. */
static void put_digest(const struct exchange *exchange, char digest[static 65])
{
    struct str body = exchange_body(exchange);
    const char *path = exchange_path(exchange);
    unsigned char hash[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (!context || !EVP_DigestInit_ex(context, EVP_sha256(), NULL) ||
        !EVP_DigestUpdate(context, path, strlen(path) + 1) ||
        !EVP_DigestUpdate(context, body.len > 0 ? body.text : "", body.len) ||
        !EVP_DigestFinal_ex(context, hash, NULL))
        abort(); /* out of memory: nothing else can fail */
    EVP_MD_CTX_free(context);
    for (unsigned i = 0; i < 32; i++)
        snprintf(digest + 2 * i, 3, "%02x", hash[i]);
}

static bool is_key(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] >= 0x7f)
            return false;
    return len >= 1 && len <= KEY_LENGTH_MAX;
}

int request_key_read(struct exchange *exchange, struct request_key *ret_key)
{
    const char *text = exchange_header(exchange, "Idempotency-Key");

    *ret_key = (struct request_key){0};
    if (!text)
        return 0;
    if (!is_key(text)) {
        exchange_answer_problem(exchange, 400,
                                "an Idempotency-Key is 1 to 255 visible ASCII characters", NULL);
        return -1;
    }
    ret_key->key = (char *)text;
    put_digest(exchange, ret_key->digest);
    return 0;
}

int request_key_check(const struct request_key *key, const char *digest, struct err *e)
{
    if (strcmp(digest, key->digest) == 0)
        return 0;
    return err_set(e, ERR_INVALID,
                   "the Idempotency-Key was used for another request before: a new request needs "
                   "a new key");
}
