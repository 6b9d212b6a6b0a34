#include "kernel-gateway/clients/sessions.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define PLACES (SESSIONS_CONNECTED_MAX + SESSIONS_AWAY_MAX)

struct session *sessions_find(struct sessions *sessions, const char *id)
{
    for (size_t i = 0; i < PLACES && *id; i++)
        if (sessions->places[i].number != 0 && strcmp(sessions->places[i].id, id) == 0)
            return &sessions->places[i];
    return NULL;
}

struct session *sessions_numbered(struct sessions *sessions, uint32_t number)
{
    for (size_t i = 0; i < PLACES && number != 0; i++)
        if (sessions->places[i].number == number)
            return &sessions->places[i];
    return NULL;
}

static bool is_away(const struct session *session)
{
    return session->number != 0 && !session->is_connected;
}

/* Nobody is away for longer than since others are there. */
static void begin_company(struct sessions *sessions, msec now)
{
    for (size_t i = 0; i < PLACES; i++)
        sessions->places[i].away_since = now;
}

/* There is one: the places are as many as may be connected and may be away. */
static struct session *free_place(struct sessions *sessions)
{
    for (size_t i = 0; i < PLACES; i++)
        if (sessions->places[i].number == 0)
            return &sessions->places[i];
    assert(!"a free place");
    return NULL;
}

struct session *sessions_enter(struct sessions *sessions, const char *id, uint64_t next, msec now)
{
    struct session *session = sessions_find(sessions, id);

    assert(sessions->connected < SESSIONS_CONNECTED_MAX && (!session || !session->is_connected));
    if (sessions->connected == 0)
        begin_company(sessions, now);
    if (!session) {
        session = free_place(sessions);
        *session = (struct session){
            .number = ++sessions->last_number, .got = sessions->heard, .since = next};
        snprintf(session->id, sizeof session->id, "%s", id);
    }
    session->is_connected = true;
    sessions->connected++;
    return session;
}

void sessions_heard(struct sessions *sessions, struct session *session, uint64_t number)
{
    if (number > session->got)
        session->got = number;
    if (number > sessions->heard)
        sessions->heard = number;
}

static struct session *longest_away(struct sessions *sessions, size_t *ret_count)
{
    struct session *longest = NULL;

    *ret_count = 0;
    for (size_t i = 0; i < PLACES; i++) {
        struct session *session = &sessions->places[i];
        if (!is_away(session))
            continue;
        ++*ret_count;
        /* Where the time is the same, which begin_company makes it: who came first. */
        if (!longest || session->away_since < longest->away_since ||
            (session->away_since == longest->away_since && session->number < longest->number))
            longest = session;
    }
    return longest;
}

void sessions_leave(struct sessions *sessions, struct session *session, msec now)
{
    size_t count;

    assert(session->is_connected);
    session->is_connected = false;
    session->away_since = now;
    sessions->connected--;
    if (!*session->id)
        *session = (struct session){0};
    struct session *longest = longest_away(sessions, &count);
    if (count > SESSIONS_AWAY_MAX)
        *longest = (struct session){0};
}

uint64_t sessions_needed(struct sessions *sessions, msec now)
{
    uint64_t got = sessions->heard;

    for (size_t i = 0; i < PLACES; i++) {
        struct session *session = &sessions->places[i];
        if (is_away(session) && sessions->connected > 0 &&
            now - session->away_since >= SESSIONS_AWAY_MS)
            *session = (struct session){0};
        if (session->number != 0 && session->got < got)
            got = session->got;
    }
    return got + 1;
}
