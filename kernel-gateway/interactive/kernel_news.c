#include "kernel-gateway/interactive/kernel_news.h"

#include "base/json.h"

#include <stdio.h>

static const char *const names[] = {
#define X(activity, name) [activity] = name,
    KERNEL_ACTIVITIES(X)
#undef X
};

#define ACTIVITY_COUNT (sizeof names / sizeof *names)

const char *kernel_activity_name(enum kernel_activity activity)
{
    return names[activity];
}

void kernel_news_encode(const struct kernel_news *news, struct buf *out)
{
    buf_putc(out, '{');
    json_put_member(out, "activity", kernel_activity_name(news->activity));
    json_put_member_int(out, "last_activity_us", news->last_activity_us);
    json_put_member_int(out, "connections", news->connections);
    json_put_member_int(out, "starts", news->starts);
    json_put_member(out, "reason", news->reason);
    buf_putc(out, '}');
}

static int parse_activity(struct kernel_news *news, const struct json *doc, struct err *e)
{
    json_at at = json_get(doc, 0, "activity");

    for (size_t i = 0; i < ACTIVITY_COUNT; i++) {
        if (json_is(doc, at, names[i])) {
            news->activity = (enum kernel_activity)i;
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "there is no such activity");
}

static int parse_count(const struct json *doc, const char *key, uint32_t *ret_count, struct err *e)
{
    int64_t number;

    if (!json_int(doc, json_get(doc, 0, key), &number) || number < 0 || number > UINT32_MAX)
        return err_set(e, ERR_INVALID, "\"%s\" is no count", key);
    *ret_count = (uint32_t)number;
    return 0;
}

int kernel_news_parse(struct kernel_news *news, struct str text, struct err *e)
{
    auto_json struct json doc = {0};
    auto_buf struct buf scratch = {0};
    struct kernel_news parsed = {0};

    if (json_parse(&doc, text, JSON_STRICT, NULL, e) < 0 || parse_activity(&parsed, &doc, e) < 0 ||
        parse_count(&doc, "connections", &parsed.connections, e) < 0 ||
        parse_count(&doc, "starts", &parsed.starts, e) < 0)
        return err_prefix(e, "cannot read a kernel's news");
    if (!json_int(&doc, json_get(&doc, 0, "last_activity_us"), &parsed.last_activity_us))
        return err_set(e, ERR_INVALID, "cannot read a kernel's news: there is no time in it");
    struct str reason = json_text(&doc, json_get(&doc, 0, "reason"), &scratch);
    snprintf(parsed.reason, sizeof parsed.reason, STR_FMT, STR_ARG(reason));
    *news = parsed;
    return 0;
}
