/* reception: takes requests from libmicrohttpd, turns away what is not in order, collects bodies,
 * and hands what is left to the handlers of routes, here or on a worker; then queues their answers.
 *
 * A connection's callbacks all run on one thread of the server. Owns nothing of what its fields
 * point to.
 */
#ifndef SEGUE_API_SERVER_RECEPTION_H
#define SEGUE_API_SERVER_RECEPTION_H

#include "api/server/admission.h"
#include "api/server/figures.h"
#include "api/server/parking.h"
#include "api/server/problem.h"
#include "api/server/watch.h"
#include "api/server/workers.h"

#include <microhttpd.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct reception {
    struct admission admission;
    const char *const *origins; /* see server_options */
    const struct problem_place *dialects;
    void *user;
    struct parking *parking;
    struct watch *watch;
    struct workers *workers; /* of exchanges: reception_work, reception_drop */
    struct figures *figures;
    size_t bodies_cap;

    _Atomic bool is_closing;    /* whatever comes now is turned away */
    _Atomic size_t body_bytes;  /* of requests that are being collected or handled */
    _Atomic uint64_t in_flight; /* handlers called whose answers have not been sent whole */
    pthread_mutex_t lock;
    pthread_cond_t drained; /* with is_closing: in_flight is 0 */
};

/* Callbacks for libmicrohttpd; `cls` is the reception. */
enum MHD_Result reception_accept(void *cls, const struct sockaddr *address, socklen_t len);
void reception_notify_connection(void *cls, struct MHD_Connection *connection, void **context,
                                 enum MHD_ConnectionNotificationCode what);
void *reception_begin(void *cls, const char *uri, struct MHD_Connection *connection);
size_t reception_unescape(void *cls, struct MHD_Connection *connection, char *text);
enum MHD_Result reception_access(void *cls, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *data,
                                 size_t *len, void **context);
void reception_complete(void *cls, struct MHD_Connection *connection, void **context,
                        enum MHD_RequestTerminationCode why);

/* For the workers. */
void reception_work(void *exchange);
void reception_drop(void *exchange);

/* Turns away from here on, and waits until nothing is in flight, until `deadline` (clock_mono) at
 * most. */
void reception_close(struct reception *reception, int64_t deadline);

#endif
