#include "api/service/about.h"

#include "api/service/parts.h"
#include "base/json.h"
#include "runner/version.h"

void about_service(struct exchange *exchange, void *user)
{
    const struct service *service = user;
    auto_buf struct buf out = {0};

    buf_putc(&out, '{');
    json_put_member(&out, "version", SEGUE_VERSION);
    json_put_member(&out, "projects", service->projects);
    json_put_member(&out, "state", service->state.dir);
    buf_putc(&out, '}');
    exchange_answer_json(exchange, 200, &out);
}

void about_health(struct exchange *exchange, void *user)
{
    const struct service *service = user;
    bool has_failed = service->has_failed;
    auto_buf struct buf out = {0};

    buf_putc(&out, '{');
    json_put_member(&out, "status", has_failed ? "storage_failed" : "ok");
    json_put_member(&out, "version", SEGUE_VERSION);
    buf_putc(&out, '}');
    exchange_answer_json(exchange, has_failed ? 503 : 200, &out);
}

void about_metrics(struct exchange *exchange, void *user)
{
    const struct service *service = user;
    auto_buf struct buf out = {0};

    struct server *server = service->server;
    if (server)
        server_metrics(server, &out);
    engine_metrics(service->engine, &out);
    jobs_metrics(service->jobs, &out);
    gateway_metrics(service->gateway, &out);
    streams_metrics(service->streams, &out);
    exchange_answer(exchange, 200, "text/plain; version=0.0.4", &out);
}
