#include "runner/step/step_news.h"

#include "base/json.h"

#include <stdio.h>

void step_news_encode(const struct step_news *news, struct buf *out)
{
    buf_putc(out, '{');
    json_put_member_int(out, "journal", (int64_t)news->journal_size);
    if (news->has_kernel) {
        json_put_key(out, "kernel");
        buf_putc(out, '{');
        json_put_member(out, "name", news->kernel_name);
        json_put_member_raw(out, "is_kept", news->is_kept ? STR("true") : STR("false"));
        json_put_key(out, "news");
        kernel_news_encode(&news->kernel, out);
        buf_putc(out, '}');
    }
    buf_putc(out, '}');
}

static int parse_kernel(struct step_news *news, const struct json *doc, json_at kernel,
                        struct err *e)
{
    auto_buf struct buf scratch = {0};
    struct str name = json_text(doc, json_get(doc, kernel, "name"), &scratch);

    news->has_kernel = true;
    news->is_kept = json_is_true(doc, json_get(doc, kernel, "is_kept"));
    snprintf(news->kernel_name, sizeof news->kernel_name, STR_FMT, STR_ARG(name));
    return kernel_news_parse(&news->kernel, json_raw(doc, json_get(doc, kernel, "news")), e);
}

int step_news_parse(struct step_news *news, struct str text, struct err *e)
{
    auto_json struct json doc = {0};
    struct step_news parsed = {0};
    int64_t size;

    if (json_parse(&doc, text, JSON_STRICT, NULL, e) < 0)
        return err_prefix(e, "cannot read a step's news");
    if (!json_int(&doc, json_get(&doc, 0, "journal"), &size) || size < 0)
        return err_set(e, ERR_INVALID, "cannot read a step's news: no size of the journal is told");
    parsed.journal_size = (uint64_t)size;
    json_at kernel = json_get(&doc, 0, "kernel");
    if (kernel != JSON_NONE && parse_kernel(&parsed, &doc, kernel, e) < 0)
        return err_prefix(e, "cannot read a step's news");
    *news = parsed;
    return 0;
}
