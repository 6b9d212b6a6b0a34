/* Leaving HTTP: exchange_answer_upgrade of exchange.h.
 *
 * What is handed over is a descriptor of its own for the socket, so that libmicrohttpd can be told
 * at once that the upgrade is over: it gives back what it has of the connection, its place among
 * the connections allowed too, and closes its descriptor, which it only does, without shutdown(2),
 * and has not polled since before (MHD_upgrade_action and MHD_cleanup_connections in 0.9.75).
 */
#include "api/server/exchange_private.h"
#include "api/server/watch.h"

#include <assert.h>
#include <fcntl.h>

bool exchange_can_upgrade(const struct exchange *exchange)
{
    return exchange->is_http_1_1 && exchange->route && !exchange->is_head &&
           strcmp(exchange->route->method, MHD_HTTP_METHOD_GET) == 0;
}

static void hand_over(void *cls, struct MHD_Connection *connection, void *context,
                      const char *read_ahead, size_t len, MHD_socket fd,
                      struct MHD_UpgradeResponseHandle *handle)
{
    struct exchange *exchange = cls;
    struct leaving leaving = exchange->leaving;

    (void)connection;
    (void)context;
    exchange->leaving = (struct leaving){0};
    peer_release(exchange->peer);
    leaving.taken(leaving.user, fcntl(fd, F_DUPFD_CLOEXEC, 0), (struct str){read_ahead, len});
    MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
}

void exchange_answer_upgrade(struct exchange *exchange,
                             void (*taken)(void *user, int take_fd, struct str read_ahead),
                             void *user)
{
    assert(exchange_can_upgrade(exchange));
    struct MHD_Response *response = MHD_create_response_for_upgrade(hand_over, exchange);
    if (!response)
        abort(); /* out of memory */
    exchange->leaving = (struct leaving){taken, user};
    exchange_reply(exchange, MHD_HTTP_SWITCHING_PROTOCOLS, response);
}
