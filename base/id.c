#include "base/id.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>

static const char HEX[] = "0123456789abcdef";

/* The text of 16 bytes, with the version and the variant (RFC 9562, section 4) put in. */
static struct uuid uuid_of_bytes(unsigned char bytes[static 16], unsigned version)
{
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | version << 4);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);

    struct uuid id = {{0}};
    char *p = id.text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = HEX[bytes[i] >> 4];
        *p++ = HEX[bytes[i] & 15];
    }
    return id;
}

struct uuid uuid_random(void)
{
    unsigned char bytes[16];
    random_bytes(bytes, sizeof bytes);
    return uuid_of_bytes(bytes, 4);
}

struct uuid uuid_from_name(const char *name)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    int ok = EVP_Digest(name, strlen(name), digest, NULL, EVP_sha256(), NULL);
    assert(ok == 1);
    (void)ok;
    return uuid_of_bytes(digest, 8);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

struct uuid uuid_of(const char *text)
{
    struct uuid uuid = {0};

    memcpy(uuid.text, text, strnlen(text, sizeof uuid.text - 1));
    return uuid;
}

bool uuid_is_valid(const char *text)
{
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !is_hex(text[i]))
            return false; /* at the NUL at the latest */
    }
    return text[36] == 0;
}

/* getrandom fails only when interrupted (or for reasons that no process could go on with). */
void random_bytes(void *out, size_t len)
{
    for (char *p = out; len;) {
        ssize_t got = getrandom(p, len, 0);
        if (got < 0) {
            assert(errno == EINTR);
            continue;
        }
        p += got;
        len -= (size_t)got;
    }
}

void random_hex(char *out, size_t digits)
{
    random_bytes(out, digits);
    for (size_t i = 0; i < digits; i++)
        out[i] = HEX[(unsigned char)out[i] & 15];
    out[digits] = 0;
}
