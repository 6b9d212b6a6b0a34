/* sessions: the sessions of a kernel's clients, connected or away, and how far each has heard.
 *
 * Bounded: of those that are away the ones that are away the longest are forgotten. Belongs to one
 * audience; the time is the caller's.
 */
#ifndef SEGUE_KERNEL_GATEWAY_SESSIONS_H
#define SEGUE_KERNEL_GATEWAY_SESSIONS_H

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSIONS_CONNECTED_MAX 64
#define SESSIONS_AWAY_MAX      64

/* How long somebody may be away while others are there: it is a page that was closed, not one whose
 * machine is asleep. */
#define SESSIONS_AWAY_MS (60 * 60 * 1000)

struct session {
    uint32_t number; /* from 1, of no other session ever; 0: a free place */
    char id[129];    /* "": it cannot come back */
    bool is_connected;
    uint64_t got;   /* everything up to this message of the log; while connected: as last seen */
    uint64_t sent;  /* everything up to this message was sent to it, heard or not */
    uint64_t since; /* the message that was the next one when the session was first seen */
    msec away_since;
};

struct sessions {
    struct session places[SESSIONS_CONNECTED_MAX + SESSIONS_AWAY_MAX];
    uint32_t last_number;
    size_t connected;
    uint64_t heard; /* by somebody: everything up to this message */
};

/* The session of that id, or of that number; NULL: not known. No id: never known. */
struct session *sessions_find(struct sessions *sessions, const char *id);
struct session *sessions_numbered(struct sessions *sessions, uint32_t number);

/* Somebody connects: the session of that id, or a new one, which begins behind what somebody has
 * heard. `next` is the number of the message that comes next. At most SESSIONS_CONNECTED_MAX may be
 * connected (asserted). The pointer is good until it leaves. */
struct session *sessions_enter(struct sessions *sessions, const char *id, uint64_t next, msec now);

/* It has got everything up to this message. */
void sessions_heard(struct sessions *sessions, struct session *session, uint64_t number);

/* It is away from now on. */
void sessions_leave(struct sessions *sessions, struct session *session, msec now);

/* Forgets those who have been away for too long, and tells the first message that anybody may still
 * want to read. */
uint64_t sessions_needed(struct sessions *sessions, msec now);

#endif
