#include "api/jupyter/model.h"

#include "base/clock.h"
#include "base/json.h"

static void put_step(struct buf *out, const struct kernel_model *model)
{
    json_put_key(out, "segue");
    buf_putc(out, '{');
    json_put_member(out, "run_uuid", model->run_uuid);
    json_put_member(out, "step_uuid", model->step_uuid);
    buf_putc(out, '}');
}

void kernel_model_put(struct buf *out, const struct kernel_model *model)
{
    const struct kernel_news *news = model->news;
    int64_t activity_us = news->last_activity_us > 0 ? news->last_activity_us : model->since_us;

    buf_putc(out, '{');
    json_put_member(out, "id", model->id);
    json_put_member(out, "name", model->name);
    json_put_member(out, "last_activity", time_text_of_us(activity_us).text);
    json_put_member(out, "execution_state", kernel_activity_name(news->activity));
    json_put_member_int(out, "connections", news->connections);
    if (*news->reason)
        json_put_member(out, "reason", news->reason);
    if (model->run_uuid)
        put_step(out, model);
    buf_putc(out, '}');
}
