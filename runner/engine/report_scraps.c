/* What cells said by displaying it, as scrapbook and papermill do. A journal may be large, and most
 * have nothing of the kind: only lines in which the name of such a mime type occurs are parsed. */
#include "base/limits.h"
#include "runner/engine/lines.h"
#include "runner/engine/report_private.h"

static const char *const marks[] = {"application/scrapbook.scrap.",
                                    "application/papermill.record+json"};

static bool may_have_scraps(struct str line)
{
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (memmem(line.text, line.len, marks[i], strlen(marks[i])))
            return true;
    return false;
}

/* What the SDK said under the same name counts. */
static bool is_said_by_sdk(const struct report_builder *builder, struct str name)
{
    if (name.len == 0)
        return false;
    for (unsigned kind = 0; kind < REPORT_KINDS; kind++) {
        uint32_t at = map_get(&builder->names[kind], name);
        if (kind != REPORT_FIGURE && at != MAP_NONE && at < builder->sdk_count)
            return true;
    }
    return false;
}

static void add_scrap(struct report_builder *builder, const struct json *doc, json_at name,
                      json_at value)
{
    auto_buf struct buf scratch = {0};
    struct report_saying saying = {
        .kind = json_kind(doc, value) == JSON_NUMBER ? REPORT_METRIC : REPORT_PARAM,
        .name = json_text(doc, name, &scratch),
        .doc = doc,
        .value = value,
        .step = JSON_NONE,
        .file = JSON_NONE,
        .time = json_get(doc, 0, "time"),
    };

    switch (json_kind(doc, value)) {
    case JSON_ABSENT:
    case JSON_ARRAY:
    case JSON_OBJECT:
        return;
    case JSON_NULL:
    case JSON_BOOL:
    case JSON_NUMBER:
    case JSON_STRING:
        break;
    }
    if (!is_said_by_sdk(builder, saying.name) && !report_add(builder, &saying))
        builder->report->passed_over++;
}

/* All of one line; false: it has none. */
static bool add_line(struct report_builder *builder, struct str line)
{
    auto_json struct json doc = {0};
    struct err ignored;
    bool has_any = false;

    if (json_parse(&doc, line, JSON_TOLERANT, NULL, &ignored) < 0)
        return false;
    json_at output = json_get(&doc, 0, "output");
    if (!json_is(&doc, json_get(&doc, 0, "event"), "output") ||
        !json_is(&doc, json_get(&doc, output, "output_type"), "display_data"))
        return false;
    json_at data = json_get(&doc, output, "data");
    json_each (&doc, data, type) {
        json_at scrap = json_value(type);
        if (json_kind(&doc, scrap) != JSON_OBJECT)
            continue;
        if (json_is(&doc, type, "application/scrapbook.scrap.json+json") ||
            json_is(&doc, type, "application/scrapbook.scrap.text+json")) {
            has_any = true;
            add_scrap(builder, &doc, json_get(&doc, scrap, "name"), json_get(&doc, scrap, "data"));
        } else if (json_is(&doc, type, "application/papermill.record+json")) {
            has_any = true;
            json_each (&doc, scrap, name)
                add_scrap(builder, &doc, name, json_value(name));
        }
    }
    return has_any;
}

int report_add_scraps(struct report_builder *builder, int take_fd, struct err *e)
{
    auto_lines struct lines lines;
    struct str line;
    size_t taken = 0;
    int got;

    lines_open(&lines, take_fd, LIMIT_REPORT_BYTES);
    while ((got = lines_next(&lines, &line, e)) > 0) {
        if (!may_have_scraps(line))
            continue;
        if (taken + line.len > LIMIT_REPORT_BYTES)
            builder->report->passed_over++;
        else if (add_line(builder, line))
            taken += line.len;
    }
    return got;
}
