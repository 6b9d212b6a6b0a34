/* A URL is read by the parser of the client that will use it, so that nothing means one thing here
 * and another there. What a name stands for is not looked up: that is asked when it is connected
 * to. */
#include "runner/notices/webhook.h"

#include "base/http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#define URL_BYTES_MAX 2000u

#define SECOND  1000
#define MINUTE  (60 * SECOND)
#define HOUR    (60 * MINUTE)
#define GIVE_UP (24 * HOUR) /* after the first try */

/* --- addresses --- */

static bool is_outside_v4(uint32_t address)
{
    static const struct {
        uint32_t network;
        unsigned bits;
    } local[] = {
        {0x00000000, 8},  /* this network; 0.0.0.0 connects to loopback */
        {0x7f000000, 8},  /* loopback */
        {0xa9fe0000, 16}, /* link-local, and where clouds keep credentials */
        {0xe0000000, 4},  /* multicast */
        {0xffffffff, 32}, /* broadcast */
    };

    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if ((address ^ local[i].network) >> (32 - local[i].bits) == 0)
            return false;
    return true;
}

static uint32_t read_v4(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Where the IPv4 address begins inside an IPv6 one, or NULL. */
static const uint8_t *inner_v4(const uint8_t bytes[16])
{
    static const uint8_t compatible[12]; /* ::/96, with :: and ::1 */
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    static const uint8_t sixto4[2] = {0x20, 0x02};

    if (memcmp(bytes, compatible, 12) == 0 || memcmp(bytes, mapped, 12) == 0 ||
        memcmp(bytes, nat64, 12) == 0)
        return bytes + 12;
    return memcmp(bytes, sixto4, 2) == 0 ? bytes + 2 : NULL;
}

static bool is_outside_v6(const uint8_t bytes[16])
{
    const uint8_t *inner = inner_v4(bytes);
    bool is_link_local = bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
    bool is_multicast = bytes[0] == 0xff;

    return !is_link_local && !is_multicast && (!inner || is_outside_v4(read_v4(inner)));
}

bool webhook_may_connect(const struct sockaddr *address, socklen_t len)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

    if (len >= sizeof *four && address->sa_family == AF_INET)
        return is_outside_v4(ntohl(four->sin_addr.s_addr));
    if (len >= sizeof *six && address->sa_family == AF_INET6)
        return is_outside_v6(six->sin6_addr.s6_addr);
    return false;
}

/* --- URLs --- */

/* A name may connect, as far as is known before it is looked up. */
static bool host_may_connect(const char *host)
{
    struct in_addr four;
    struct in6_addr six;

    if (inet_pton(AF_INET, host, &four) == 1)
        return is_outside_v4(ntohl(four.s_addr));
    return inet_pton(AF_INET6, host, &six) != 1 || is_outside_v6(six.s6_addr);
}

int webhook_check_url(const char *url, bool allow_local, struct err *e)
{
    auto_http_url struct http_url parts = {0};

    if (strlen(url) > URL_BYTES_MAX)
        return err_set(e, ERR_INVALID, "a URL may have %u bytes", URL_BYTES_MAX);
    if (http_url_parse(&parts, url, e) < 0)
        return -1;
    if (strcmp(parts.scheme, "http") != 0 && strcmp(parts.scheme, "https") != 0)
        return err_set(e, ERR_INVALID, "must begin with http:// or https://");
    if (parts.has_user)
        return err_set(e, ERR_INVALID, "may hold no user and no password");
    if (!allow_local && !host_may_connect(parts.host))
        return err_set(e, ERR_INVALID, "\"%s\" leads to the service's own machine or network link",
                       parts.host);
    return 0;
}

/* --- events --- */

static const char *const event_names[] = {WEBHOOK_EVENTS, NULL};

/* Takes the next name off the list, which is NULL behind the last one; none then. */
static struct str next_event(const char **list)
{
    if (!*list)
        return (struct str){0};
    struct str name = {*list, strcspn(*list, ",")};
    *list = name.text[name.len] ? name.text + name.len + 1 : NULL;
    return name;
}

static int event_index(struct str name, struct err *e)
{
    auto_free char *text = mem_strndup(name.text, name.len);

    for (int i = 0; event_names[i]; i++)
        if (str_is(name, event_names[i]))
            return i;
    const char *nearest = str_nearest(text, event_names);
    if (nearest)
        return err_set(e, ERR_INVALID, "unknown event \"%.100s\"; did you mean \"%s\"?", text,
                       nearest);
    return err_set(e, ERR_INVALID, "unknown event \"%.100s\"; there are \"%s\" and \"%s\"", text,
                   event_names[0], event_names[1]);
}

int webhook_check_events(const char *events, struct err *e)
{
    unsigned seen = 0;

    if (!*events)
        return err_set(e, ERR_INVALID, "no event is named");
    for (struct str name; (name = next_event(&events)).text;) {
        int index = event_index(name, e);
        if (index < 0)
            return -1;
        if (seen & 1u << index)
            return err_set(e, ERR_INVALID, "\"%s\" is named twice", event_names[index]);
        seen |= 1u << index;
    }
    return 0;
}

bool webhook_wants(const char *events, const char *event)
{
    for (struct str name; (name = next_event(&events)).text;)
        if (str_is(name, event))
            return true;
    return false;
}

/* --- signature, tries --- */

void webhook_sign(const char *secret, struct str body, char ret_signature[72])
{
    unsigned char mac[32];
    size_t len = 0;

    if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret, strlen(secret),
                   (const unsigned char *)body.text, body.len, mac, sizeof mac, &len))
        abort(); /* out of memory: nothing else can fail */
    int at = sprintf(ret_signature, "sha256=");
    for (size_t i = 0; i < len; i++)
        at += sprintf(ret_signature + at, "%02x", mac[i]);
}

/* Between try number `tries` and the one after it. */
static int64_t delay_after(uint32_t tries)
{
    static const int64_t delays[] = {10 * SECOND, 30 * SECOND, 2 * MINUTE,
                                     10 * MINUTE, 30 * MINUTE, HOUR};

    return tries <= sizeof delays / sizeof *delays ? delays[tries - 1] : 3 * HOUR;
}

int64_t webhook_retry_in(uint32_t tries)
{
    int64_t waited = 0;

    assert(tries > 0);
    for (uint32_t i = 1; i <= tries && waited <= GIVE_UP; i++)
        waited += delay_after(i);
    return waited <= GIVE_UP ? delay_after(tries) : -1;
}
