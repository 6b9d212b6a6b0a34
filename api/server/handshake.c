#include "api/server/handshake.h"

#include <assert.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#define KEY_LEN    24 /* 16 bytes in base64 */
#define DIGEST_LEN 20
#define ACCEPT_LEN 28 /* DIGEST_LEN bytes in base64 */

/* RFC 6455, 1.3: what shows that the server has understood is made of the key and this. */
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* --- lists: "a, b" in one header or in several --- */

enum letters { SAME_CASE, ANY_CASE };

static bool list_has(const char *list, const char *word, enum letters letters)
{
    static const char blanks[] = " \t,";
    size_t wanted = strlen(word);

    for (const char *p = list + strspn(list, blanks); *p; p += strspn(p, blanks)) {
        size_t len = strcspn(p, blanks);
        if (len == wanted &&
            (letters == SAME_CASE ? strncmp(p, word, len) : strncasecmp(p, word, len)) == 0)
            return true;
        p += len;
    }
    return false;
}

static bool headers_have(const struct exchange *exchange, const char *name, const char *word,
                         enum letters letters)
{
    const char *value = NULL;

    while ((value = exchange_next_header(exchange, name, value)))
        if (list_has(value, word, letters))
            return true;
    return false;
}

/* --- checks --- */

static const char *key_of(const struct exchange *exchange)
{
    return exchange_next_header(exchange, "Sec-WebSocket-Key", NULL);
}

/* 24 characters of base64 of which the last two are "=" are 16 bytes. */
static bool is_key(const char *key)
{
    unsigned char bytes[KEY_LEN];

    return key && strlen(key) == KEY_LEN && strcspn(key, "=") == KEY_LEN - 2 &&
           key[KEY_LEN - 1] == '=' &&
           EVP_DecodeBlock(bytes, (const unsigned char *)key, KEY_LEN) > 0;
}

static bool refuse(struct exchange *exchange, int status, const char *detail)
{
    exchange_answer_problem(exchange, status, detail, NULL);
    return false;
}

static bool refuse_plain(struct exchange *exchange)
{
    exchange_add_header(exchange, "Upgrade", "websocket");
    return refuse(exchange, 426,
                  "this path is for WebSockets: it takes a GET by HTTP/1.1 with the headers "
                  "Connection: Upgrade and Upgrade: websocket, which a proxy in between has to "
                  "pass on");
}

bool handshake_check(struct exchange *exchange)
{
    const char *version = exchange_next_header(exchange, "Sec-WebSocket-Version", NULL);

    if (!exchange_can_upgrade(exchange) ||
        !headers_have(exchange, "Connection", "upgrade", ANY_CASE) ||
        !headers_have(exchange, "Upgrade", "websocket", ANY_CASE))
        return refuse_plain(exchange);
    if (!version || strcmp(version, "13") != 0) {
        exchange_add_header(exchange, "Sec-WebSocket-Version", "13");
        return refuse(exchange, 426, "the only Sec-WebSocket-Version that is known is 13");
    }
    if (!is_key(key_of(exchange)))
        return refuse(exchange, 400, "the header Sec-WebSocket-Key must be 16 bytes in base64");
    return true;
}

bool handshake_offers(const struct exchange *exchange, const char *subprotocol)
{
    return headers_have(exchange, "Sec-WebSocket-Protocol", subprotocol, SAME_CASE);
}

/* --- the answer --- */

void handshake_accept(struct exchange *exchange, const char *subprotocol)
{
    unsigned char digest[EVP_MAX_MD_SIZE], accept[ACCEPT_LEN + 1];
    char text[KEY_LEN + sizeof GUID];

    memcpy(text, key_of(exchange), KEY_LEN);
    memcpy(text + KEY_LEN, GUID, sizeof GUID);
    int ok = EVP_Digest(text, sizeof text - 1, digest, NULL, EVP_sha1(), NULL);
    assert(ok);
    EVP_EncodeBlock(accept, digest, DIGEST_LEN);
    exchange_add_header(exchange, "Upgrade", "websocket");
    exchange_add_header(exchange, "Sec-WebSocket-Accept", (const char *)accept);
    if (subprotocol)
        exchange_add_header(exchange, "Sec-WebSocket-Protocol", subprotocol);
}
