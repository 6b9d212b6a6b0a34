/* parking: connections that sleep: until their request is answered, or their stream has something
 * to say. The only place that suspends and resumes connections of libmicrohttpd.
 *
 * A connection goes to sleep on its own thread of the server and may be woken from any thread. A
 * wake-up that comes before the connection sleeps is remembered, and then it does not sleep.
 *
 *     RUNNING --parked_wake--> WOKEN      whoever works on the connection sees it
 *     RUNNING --parked_sleep--> ASLEEP --parked_wake--> WAKING --> WOKEN      and is resumed
 *                               ASLEEP --parking_cut--> CUT     and is resumed, to be closed
 *
 * Who has woken a connection must not touch it any more. What libmicrohttpd demands is kept:
 * resumed is only what was suspended, once; and when parking_cut has returned nothing is suspended
 * any more, or will be.
 */
#ifndef SEGUE_API_SERVER_PARKING_H
#define SEGUE_API_SERVER_PARKING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct MHD_Connection;
struct parked;

struct parking {
    pthread_mutex_t lock;
    pthread_cond_t changed;  /* one less is asleep */
    struct parked *first;    /* those asleep */
    bool is_cut;             /* nobody goes to sleep any more */
    _Atomic bool is_closing; /* streams are to end */
};

enum parked_state {
    PARKED_RUNNING,
    PARKED_ASLEEP,
    PARKED_WAKING,
    PARKED_WOKEN,
    PARKED_CUT,
    PARKED_LEFT,
};

enum parked_kind { PARKED_REQUEST, PARKED_STREAM };

struct parked {
    struct parking *parking;
    struct MHD_Connection *connection;
    enum parked_kind kind;
    _Atomic int state; /* enum parked_state */
    struct parked *next, *previous;
};

void parking_init(struct parking *parking);
void parking_clear(struct parking *parking); /* after parking_cut */

void parked_init(struct parked *parked, struct parking *parking, struct MHD_Connection *connection,
                 enum parked_kind kind);

/* Forgets wake-ups up to here: what caused them is looked at next. */
void parked_run(struct parked *parked);

enum parked_state parked_state(const struct parked *parked);

/* On the connection's own thread, which must return to libmicrohttpd then. */
void parked_sleep(struct parked *parked);

/* false: the connection was cut off; see parked_leave. */
bool parked_wake(struct parked *parked);

/* What was cut off has two owners: its connection, and who was to wake it. true for the second one
 * who leaves: the parked is now its to free. */
bool parked_leave(struct parked *parked);

/* Streams are woken, and no stream sleeps from here on. */
void parking_close(struct parking *parking);

/* Cuts off what sleeps. Streams are only woken. */
void parking_cut(struct parking *parking);

#endif
