#include "api/service/plans.h"

#include "api/service/body.h"
#include "api/service/parts.h"
#include "api/service/run_request.h"

static int make_plan(const struct service *service, const struct json *body, struct buf *out,
                     struct problems *problems, struct err *e)
{
    auto_run_request struct run_request request = {0};
    auto_plan struct plan *plan = NULL;

    if (run_request_read(&request, body, service->projects, problems, e) < 0 ||
        run_request_plan(&request, &plan, problems, e) < 0)
        return -1;
    plan_to_json(plan, request.source.pipeline, out);
    return 0;
}

void plans_create(struct exchange *exchange, void *user)
{
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    auto_buf struct buf out = {0};
    struct err e;

    if (body_parse(exchange, &body) < 0)
        return;
    if (make_plan(user, &body, &out, &problems, &e) < 0)
        exchange_answer_err(exchange, &e, &problems);
    else
        exchange_answer_json(exchange, 200, &out);
}
