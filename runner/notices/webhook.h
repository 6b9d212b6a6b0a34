/* webhook: notices to others: what they are, how they are signed, when they are tried again, and
 * where they never go.
 *
 * A notice is a POST with a JSON body and the headers
 *     X-Segue-Event: run_finished | job_finished | ping
 *     X-Segue-Delivery: <uuid>          the same for every try of it: for telling repetitions
 *     X-Hub-Signature-256: sha256=<hex> HMAC-SHA256 of the body by the webhook's secret, as GitHub
 *                                       does; only with a secret
 * and is delivered when the answer is 2xx. Pure functions, but for webhook_may_connect, which is
 * for http_request.may_connect.
 */
#ifndef SEGUE_RUNNER_WEBHOOK_H
#define SEGUE_RUNNER_WEBHOOK_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define WEBHOOK_EVENTS "run_finished", "job_finished"

/* http or https, a host, no user or password, at most 2,000 bytes. A host that is written as an
 * address which webhook_may_connect refuses is refused here too, unless `allow_local`. */
int webhook_check_url(const char *url, bool allow_local, struct err *e);

/* "run_finished,job_finished": known names, none twice, at least one. */
int webhook_check_events(const char *events, struct err *e);
bool webhook_wants(const char *events, const char *event);

/* "sha256=<64 hex digits>" */
void webhook_sign(const char *secret, struct str body, char ret_signature[72]);

/* The try number `tries` (from 1) has failed: in how many milliseconds the next one is; -1: it is
 * given up. 10 s, 30 s, 2 min, 10 min, 30 min, 1 h, then every 3 h until 24 h are over. */
int64_t webhook_retry_in(uint32_t tries);

/* False for addresses that lead to this machine or its link: loopback, unspecified, link-local
 * (169.254/16, fe80::/10), multicast, broadcast, and the IPv4 ones of these inside of IPv6 (mapped,
 * compatible, 6to4, NAT64). */
bool webhook_may_connect(const struct sockaddr *address, socklen_t len);

#endif
