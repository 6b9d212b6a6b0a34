/* From a request to the keeper: what follows the handshake is none of this process's business. */
#include "api/jupyter/jupyter_private.h"

#include "api/server/handshake.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/clients/admission.h"

#include <stdio.h>
#include <string.h>

/* Tornado's clients end the connection at a longer message. */
#define TORNADO_MESSAGE_MAX (10 * MiB)

struct newcomer {
    struct admission admission;
    char *socket_path; /* of the keeper */
};

static void newcomer_free(struct newcomer *newcomer)
{
    admission_clear(&newcomer->admission);
    free(newcomer->socket_path);
    free(newcomer);
}

/* Whom the keeper cannot take finds the connection closed, and asks again. */
static void on_taken(void *user, int fd, struct str read_ahead)
{
    struct newcomer *newcomer = user;
    auto_close int client = fd;
    struct err ignored;

    if (client >= 0 && read_ahead.len <= ADMISSION_READ_AHEAD_MAX) {
        buf_put(&newcomer->admission.read_ahead, read_ahead.text, read_ahead.len);
        admission_send(&newcomer->admission, newcomer->socket_path, take_fd(&client), &ignored);
    }
    newcomer_free(newcomer);
}

/* --- who it is --- */

static void take_session(struct admission *admission, const char *session)
{
    if (!session || strlen(session) >= sizeof admission->session)
        return;
    for (const char *c = session; *c; c++)
        if (*c <= ' ' || *c >= 0x7f)
            return;
    strcpy(admission->session, session);
}

static bool is_tornado(const char *user_agent)
{
    return user_agent && strncmp(user_agent, "Tornado/", strlen("Tornado/")) == 0;
}

static bool has_proxy(struct exchange *exchange)
{
    return exchange_header(exchange, "Forwarded") || exchange_header(exchange, "X-Forwarded-For") ||
           exchange_header(exchange, "Via");
}

/* jupyter_server's gateway client reads each frame as UTF-8, and falls silent at one that is not:
 * see client_form. */
static void describe(struct exchange *exchange, struct admission *admission)
{
    bool is_v1 = handshake_offers(exchange, CLIENT_V1_NAME);

    admission->form.protocol = is_v1 ? CLIENT_V1 : CLIENT_LEGACY;
    if (!is_v1 && is_tornado(exchange_header(exchange, "User-Agent"))) {
        admission->form.is_text_only = true;
        admission->form.message_cap = TORNADO_MESSAGE_MAX;
    }
    admission->is_behind_proxy = has_proxy(exchange);
    take_session(admission, exchange_query(exchange, "session_id"));
}

static void connect_to(struct exchange *exchange, const char *socket_path)
{
    struct newcomer *newcomer = mem_zalloc(sizeof *newcomer);

    newcomer->socket_path = mem_strdup(socket_path);
    describe(exchange, &newcomer->admission);
    handshake_accept(exchange,
                     newcomer->admission.form.protocol == CLIENT_V1 ? CLIENT_V1_NAME : NULL);
    exchange_answer_upgrade(exchange, on_taken, newcomer);
}

void channels_connect(struct exchange *exchange, struct jupyter *jupyter)
{
    const char *id = exchange_segment(exchange, 0);
    auto_any_kernel struct any_kernel kernel = {0};

    if (!exchange_origin_is_allowed(exchange)) {
        exchange_answer_problem(exchange, 403,
                                "pages from this origin may not use kernels: --allow-origin", NULL);
        return;
    }
    switch (any_kernel_find(jupyter, id, &kernel)) {
    case KERNEL_NONE:
        jupyter_answer_no_kernel(exchange, id);
        return;
    case KERNEL_INTERACTIVE:
        if (handshake_check(exchange))
            connect_to(exchange, kernel.view.socket_path);
        return;
    case KERNEL_OF_STEP:
        if (handshake_check(exchange))
            connect_to(exchange, kernel.step.socket_path);
        return;
    }
}
