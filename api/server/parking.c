/* The lock is held while a connection is resumed, so that whoever has taken the lock after a
 * wake-up knows that libmicrohttpd is not being called for it any more; in particular
 * parking_cut, behind which the daemon is stopped. It is never held while anything is called back.
 */
#include "api/server/parking.h"

#include <microhttpd.h>

#include <stddef.h>

void parking_init(struct parking *parking)
{
    *parking = (struct parking){.first = NULL};
    pthread_mutex_init(&parking->lock, NULL);
    pthread_cond_init(&parking->changed, NULL);
}

void parking_clear(struct parking *parking)
{
    pthread_cond_destroy(&parking->changed);
    pthread_mutex_destroy(&parking->lock);
}

void parked_init(struct parked *parked, struct parking *parking, struct MHD_Connection *connection,
                 enum parked_kind kind)
{
    *parked = (struct parked){.parking = parking, .connection = connection, .kind = kind};
    atomic_init(&parked->state, PARKED_RUNNING);
}

void parked_run(struct parked *parked)
{
    atomic_store(&parked->state, PARKED_RUNNING);
}

enum parked_state parked_state(const struct parked *parked)
{
    return (enum parked_state)atomic_load(&parked->state);
}

static bool change_state(struct parked *parked, enum parked_state from, enum parked_state to)
{
    int expected = (int)from;
    return atomic_compare_exchange_strong(&parked->state, &expected, (int)to);
}

static void insert(struct parked *parked)
{
    struct parking *parking = parked->parking;

    parked->previous = NULL;
    parked->next = parking->first;
    if (parking->first)
        parking->first->previous = parked;
    parking->first = parked;
}

/* Out of the list and back to its thread. Under the lock. */
static void resume(struct parked *parked, enum parked_state state)
{
    struct parking *parking = parked->parking;
    struct MHD_Connection *connection = parked->connection;

    if (parked->next)
        parked->next->previous = parked->previous;
    if (parked->previous)
        parked->previous->next = parked->next;
    else
        parking->first = parked->next;
    atomic_store(&parked->state, (int)state);
    MHD_resume_connection(connection); /* `parked` may be gone behind this */
    pthread_cond_broadcast(&parking->changed);
}

/* A stream that sleeps while the server closes would sleep for ever; one that is not put to sleep
 * is asked for data again, and then ends. */
static bool may_sleep(const struct parked *parked)
{
    if (parked->kind == PARKED_STREAM)
        return !parked->parking->is_closing;
    return !parked->parking->is_cut;
}

void parked_sleep(struct parked *parked)
{
    struct parking *parking = parked->parking;

    /* Suspended first: whoever finds it asleep may resume it at once. */
    MHD_suspend_connection(parked->connection);
    pthread_mutex_lock(&parking->lock);
    if (change_state(parked, PARKED_RUNNING, PARKED_ASLEEP)) {
        insert(parked);
        if (!may_sleep(parked) && change_state(parked, PARKED_ASLEEP, PARKED_WAKING))
            resume(parked, parked->kind == PARKED_STREAM ? PARKED_WOKEN : PARKED_CUT);
    } else {
        MHD_resume_connection(parked->connection);
    }
    pthread_mutex_unlock(&parking->lock);
}

/* While one is WAKING, parking_cut does not return, so that there still is a parking. */
static void finish_waking(struct parked *parked)
{
    struct parking *parking = parked->parking;

    pthread_mutex_lock(&parking->lock);
    resume(parked, PARKED_WOKEN);
    pthread_mutex_unlock(&parking->lock);
}

bool parked_wake(struct parked *parked)
{
    for (;;) {
        switch (parked_state(parked)) {
        case PARKED_RUNNING:
            if (change_state(parked, PARKED_RUNNING, PARKED_WOKEN))
                return true;
            break;
        case PARKED_ASLEEP:
            if (change_state(parked, PARKED_ASLEEP, PARKED_WAKING)) {
                finish_waking(parked);
                return true;
            }
            break;
        case PARKED_WAKING:
        case PARKED_WOKEN:
            return true;
        case PARKED_CUT:
        case PARKED_LEFT:
            return false;
        }
    }
}

bool parked_leave(struct parked *parked)
{
    return atomic_exchange(&parked->state, PARKED_LEFT) == PARKED_LEFT;
}

/* Those that are being woken just now are left to who does it. */
static void resume_all(struct parking *parking, enum parked_kind kind, enum parked_state state)
{
    for (struct parked *parked = parking->first; parked;) {
        struct parked *next = parked->next;
        if (parked->kind == kind && change_state(parked, PARKED_ASLEEP, PARKED_WAKING))
            resume(parked, state);
        parked = next;
    }
}

void parking_close(struct parking *parking)
{
    pthread_mutex_lock(&parking->lock);
    parking->is_closing = true;
    resume_all(parking, PARKED_STREAM, PARKED_WOKEN);
    pthread_mutex_unlock(&parking->lock);
}

void parking_cut(struct parking *parking)
{
    pthread_mutex_lock(&parking->lock);
    parking->is_closing = true;
    parking->is_cut = true;
    resume_all(parking, PARKED_STREAM, PARKED_WOKEN);
    resume_all(parking, PARKED_REQUEST, PARKED_CUT);
    while (parking->first)
        pthread_cond_wait(&parking->changed, &parking->lock);
    pthread_mutex_unlock(&parking->lock);
}
