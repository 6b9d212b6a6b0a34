#include "api/server/guard.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <strings.h>

#define BASIC_MAX 1024 /* characters; a token has 43 */

static bool is_word(struct str s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.text, word, s.len) == 0;
}

static bool begins_with_word(struct str s, const char *word)
{
    return s.len >= strlen(word) && strncasecmp(s.text, word, strlen(word)) == 0;
}

static struct str trim(struct str s)
{
    while (s.len > 0 && (s.text[0] == ' ' || s.text[0] == '\t'))
        s = (struct str){s.text + 1, s.len - 1};
    while (s.len > 0 && (s.text[s.len - 1] == ' ' || s.text[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* RFC 9110, 5.6.2. */
static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.text[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return s.len > 0;
}

enum how_often { ONCE, FIRST_COUNTS };

static void keep(struct guard_headers *headers, struct str *where, struct str value,
                 enum how_often how_often)
{
    if (where->text && how_often == ONCE)
        headers->is_repeated = true;
    else if (!where->text)
        *where = trim((struct str){value.text ? value.text : "", value.len});
}

void guard_take(struct guard_headers *headers, struct str name, struct str value)
{
    if (!is_token(name))
        headers->is_bad_name = true;
    else if (is_word(name, "host"))
        keep(headers, &headers->host, value, ONCE);
    else if (is_word(name, "content-length"))
        keep(headers, &headers->content_length, value, ONCE);
    else if (is_word(name, "transfer-encoding"))
        keep(headers, &headers->transfer_encoding, value, ONCE);
    else if (is_word(name, "content-type"))
        keep(headers, &headers->content_type, value, FIRST_COUNTS);
    else if (is_word(name, "authorization"))
        keep(headers, &headers->authorization, value, FIRST_COUNTS);
    else if (is_word(name, "expect"))
        keep(headers, &headers->expect, value, FIRST_COUNTS);
    else if (begins_with_word(name, "content-length") ||
             begins_with_word(name, "transfer-encoding") || begins_with_word(name, "host"))
        headers->is_bad_name = true;
}

static bool parse_length(struct str text, uint64_t *ret)
{
    uint64_t length = 0;

    if (text.len == 0 || text.len > 18)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.text[i] < '0' || text.text[i] > '9')
            return false;
        length = length * 10 + (uint64_t)(text.text[i] - '0');
    }
    *ret = length;
    return true;
}

int guard_check_framing(const struct guard_headers *headers, struct guard_body *ret, struct err *e)
{
    *ret = (struct guard_body){0};
    if (headers->is_bad_name)
        return err_set(e, ERR_INVALID, "a header's name is malformed or continued on a next line");
    if (headers->is_repeated)
        return err_set(e, ERR_INVALID,
                       "Host, Content-Length and Transfer-Encoding may be given once only");
    if (!headers->host.text)
        return err_set(e, ERR_INVALID, "the header Host is missing");
    if (headers->transfer_encoding.text && headers->content_length.text)
        return err_set(e, ERR_INVALID, "Transfer-Encoding and Content-Length exclude each other");
    if (headers->transfer_encoding.text && !is_word(headers->transfer_encoding, "chunked"))
        return err_set(e, ERR_INVALID, "the only Transfer-Encoding that is known is \"chunked\"");
    ret->is_chunked = headers->transfer_encoding.text != NULL;
    if (headers->content_length.text && !parse_length(headers->content_length, &ret->length))
        return err_set(e, ERR_INVALID, "the header Content-Length is malformed");
    return 0;
}

/* "name:80", "[::1]:80", "name." -> name; none when what is behind it is no port. */
static struct str host_name(struct str host)
{
    struct str name = host;
    const char *end = host.text + host.len;
    const char *behind;

    if (host.text[0] == '[') {
        const char *close = memchr(host.text, ']', host.len);
        if (!close)
            return (struct str){0};
        name = (struct str){host.text + 1, (size_t)(close - host.text - 1)};
        behind = close + 1;
    } else {
        const char *colon = memchr(host.text, ':', host.len);
        behind = colon ? colon : end;
        name.len = (size_t)(behind - host.text);
    }
    if (behind < end && *behind++ != ':')
        return (struct str){0};
    for (; behind < end; behind++)
        if (*behind < '0' || *behind > '9')
            return (struct str){0};
    if (name.len > 1 && name.text[name.len - 1] == '.')
        name.len--;
    return name;
}

struct address {
    int family; /* 0: a name, not an address */
    unsigned char bytes[16];
};

static struct address address_of(struct str name)
{
    struct address address = {0};
    char text[INET6_ADDRSTRLEN + 1];

    if (name.len >= sizeof text)
        return address;
    memcpy(text, name.text, name.len);
    text[name.len] = 0;
    if (inet_pton(AF_INET, text, address.bytes) == 1)
        address.family = AF_INET;
    else if (inet_pton(AF_INET6, text, address.bytes) == 1)
        address.family = AF_INET6;
    return address;
}

static bool is_loopback(const struct address *address)
{
    static const unsigned char loopback[16] = {[15] = 1};

    return (address->family == AF_INET && address->bytes[0] == 127) ||
           (address->family == AF_INET6 && memcmp(address->bytes, loopback, 16) == 0);
}

static bool is_same_address(const struct address *a, const struct address *b)
{
    return a->family != 0 && a->family == b->family &&
           memcmp(a->bytes, b->bytes, a->family == AF_INET ? 4 : 16) == 0;
}

bool guard_is_allowed_host(struct str host, const char *address, const char *const *names)
{
    struct str name = host.len > 0 ? host_name(host) : host;

    if (name.len == 0)
        return false;
    if (is_word(name, "localhost"))
        return true;
    struct address asked = address_of(name), own = address_of(str_of(address));
    if (is_loopback(&asked) || is_same_address(&asked, &own))
        return true;
    for (; names && *names; names++) {
        struct address other = address_of(str_of(*names));
        if (is_word(name, *names) || is_same_address(&asked, &other))
            return true;
    }
    return false;
}

bool guard_is_token(struct str given, const char *token)
{
    /* The length of the token is no secret. */
    return given.len > 0 && given.len == strlen(token) &&
           CRYPTO_memcmp(given.text, token, given.len) == 0;
}

/* What is behind `scheme` and a blank; none: it is another scheme. */
static struct str credentials(struct str authorization, const char *scheme)
{
    size_t len = strlen(scheme);

    if (!begins_with_word(authorization, scheme) || authorization.len == len ||
        authorization.text[len] != ' ')
        return (struct str){0};
    return trim((struct str){authorization.text + len, authorization.len - len});
}

/* base64("NAME:PASSWORD"). */
static bool has_password(struct str encoded, const char *token)
{
    unsigned char decoded[BASIC_MAX];

    if (encoded.len == 0 || encoded.len > sizeof decoded)
        return false;
    int len = EVP_DecodeBlock(decoded, (const unsigned char *)encoded.text, (int)encoded.len);
    while (len > 0 && encoded.text[encoded.len - 1] == '=') {
        encoded.len--;
        len--; /* it was decoded as if it meant something */
    }
    const unsigned char *colon = len > 0 ? memchr(decoded, ':', (size_t)len) : NULL;
    if (!colon)
        return false;
    const char *password = (const char *)colon + 1;
    return guard_is_token((struct str){password, (size_t)((char *)decoded + len - password)},
                          token);
}

bool guard_has_token(struct str authorization, const char *token)
{
    return guard_is_token(credentials(authorization, "bearer"), token) ||
           guard_is_token(credentials(authorization, "token"), token) ||
           has_password(credentials(authorization, "basic"), token);
}

bool guard_is_json(struct str content_type)
{
    const char *semicolon =
        content_type.text ? memchr(content_type.text, ';', content_type.len) : NULL;
    struct str type = content_type;

    if (semicolon)
        type.len = (size_t)(semicolon - type.text);
    return is_word(trim(type), "application/json");
}

bool guard_expects_continue(struct str expect)
{
    return is_word(expect, "100-continue");
}
