#include "api/jupyter/jupyter_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"

#include <string.h>

static void put_list(struct buf *out, const struct offer_list *list)
{
    buf_putc(out, '{');
    json_put_member(out, "default", list->standard ? list->standard->name : "");
    json_put_key(out, "kernelspecs");
    buf_putc(out, '{');
    for (size_t i = 0; i < list->count; i++) {
        json_put_key(out, list->items[i].name);
        offer_put(out, &list->items[i]);
    }
    buf_puts(out, "}}");
}

/* NULL: there is none, and the exchange was answered with 404. */
static const struct offer *find_offer(struct exchange *exchange, const struct offer_list *list,
                                      const char *name)
{
    const struct offer *offer = offer_list_find(list, name);

    if (!offer) {
        auto_free char *text = mem_printf("Kernel spec %s not found", name);
        exchange_answer_problem(exchange, 404, text, NULL);
    }
    return offer;
}

static void answer_one(struct exchange *exchange, const struct offer_list *list, const char *name)
{
    const struct offer *offer = find_offer(exchange, list, name);
    auto_buf struct buf out = {0};

    if (!offer)
        return;
    offer_put(&out, offer);
    exchange_answer_json(exchange, 200, &out);
}

/* jupyter_server's gateway client puts the name of a single kernelspec behind the user's, into the
 * query, where that user is known to it: "?user=NAME/kernel". */
static const char *name_in_user(struct exchange *exchange)
{
    const char *user = exchange_query(exchange, "user");
    const char *slash = user ? strrchr(user, '/') : NULL;

    return slash && slash[1] ? slash + 1 : NULL;
}

void kernelspecs_list(struct exchange *exchange, struct jupyter *jupyter)
{
    auto_with(offer_list_drop_at) struct offer_list *list =
        offers_get(jupyter->offers, OFFERS_RECENT);
    const char *name = name_in_user(exchange);
    auto_buf struct buf out = {0};

    if (name) {
        answer_one(exchange, list, name);
        return;
    }
    put_list(&out, list);
    exchange_answer_json(exchange, 200, &out);
}

void kernelspecs_get(struct exchange *exchange, struct jupyter *jupyter)
{
    auto_with(offer_list_drop_at) struct offer_list *list =
        offers_get(jupyter->offers, OFFERS_RECENT);

    answer_one(exchange, list, exchange_segment(exchange, 0));
}

/* --- resources --- */

static bool is_resource(const struct offer *offer, const char *file)
{
    for (char **at = offer->resources; at && *at; at++)
        if (strcmp(*at, file) == 0)
            return true;
    return false;
}

static const char *content_type(const char *file)
{
    static const char *const types[][2] = {{".png", "image/png"},      {".svg", "image/svg+xml"},
                                           {".js", "text/javascript"}, {".css", "text/css"},
                                           {".jpg", "image/jpeg"},     {".gif", "image/gif"}};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(fs_extension(file), types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

static int read_resource(const struct offer *offer, const char *file, struct buf *content,
                         struct err *e)
{
    if (!is_resource(offer, file))
        return err_set(e, ERR_NOT_FOUND, "the kernelspec has no file \"%s\"", file);
    auto_close int fd = fs_open_beneath(offer->resource_dir, file, e);
    return fd < 0 ? -1 : fs_read_fd(fd, file, LIMIT_CONFIG_BYTES, content, e);
}

void kernelspecs_resource(struct exchange *exchange, struct jupyter *jupyter)
{
    auto_with(offer_list_drop_at) struct offer_list *list =
        offers_get(jupyter->offers, OFFERS_RECENT);
    const struct offer *offer = find_offer(exchange, list, exchange_segment(exchange, 0));
    const char *file = exchange_segment(exchange, 1);
    bool is_logo = strcmp(fs_extension(file), ".png") == 0;
    auto_buf struct buf content = {0};
    struct err e;

    if (!offer)
        return;
    if (read_resource(offer, file, &content, &e) < 0) {
        exchange_answer_problem(exchange, 404, e.text, NULL);
        return;
    }
    exchange_add_header(exchange, "Cache-Control", is_logo ? "max-age=2592000" : "no-cache");
    exchange_answer(exchange, 200, content_type(file), &content);
}
