#include "api/service/results_table_private.h"

#include "api/service/run_json.h"
#include "base/limits.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

/* --- JSON --- */

static void put_column(const struct column *column, struct buf *out)
{
    if (out->data[out->len - 1] != '[')
        buf_putc(out, ',');
    buf_putc(out, '{');
    json_put_member(out, "key", column->key);
    json_put_key(out, "step_uuid");
    json_put_text(out, column->step_uuid);
    json_put_key(out, "title");
    json_put_text(out, column->title);
    json_put_member(out, "name", column->name);
    buf_putc(out, '}');
}

static void put_columns(const struct results_table *table, struct buf *out)
{
    json_put_key(out, "columns");
    buf_putc(out, '{');
    for (unsigned kind = 0; kind < COLUMN_KIND_COUNT; kind++) {
        json_put_key(out, column_kind_name(kind));
        buf_putc(out, '[');
        for (uint32_t i = 0; i < table->column_count; i++)
            if (table->columns[i].kind == kind)
                put_column(&table->columns[i], out);
        buf_putc(out, ']');
    }
    buf_putc(out, '}');
}

static void put_cells(const struct results_table *table, enum column_kind kind,
                      const struct cells *cells, const struct span *span, struct buf *out)
{
    json_put_key(out, column_kind_name(kind));
    buf_putc(out, '{');
    for (size_t i = span->first; i < span->end; i++) {
        const struct cell *cell = &cells->items[i];
        const struct column *column = &table->columns[cell->column];
        if (column->kind == kind)
            json_put_member_raw(out, column->key, cell_text(table, cell));
    }
    buf_putc(out, '}');
}

static void put_duration(const struct result_row *row, struct buf *out)
{
    msec duration = results_row_duration(row);

    if (duration >= 0)
        buf_printf(out, "%" PRId64 ".%03d", duration / 1000, (int)(duration % 1000));
}

static void put_duration_member(const struct result_row *row, struct buf *out)
{
    json_put_key(out, "duration");
    if (results_row_duration(row) >= 0)
        put_duration(row, out);
    else
        buf_puts(out, "null");
}

static void put_row(const struct results_table *table, const struct result_row *row,
                    struct buf *out)
{
    const char *cause = cause_name(row->cause);

    buf_putc(out, '{');
    json_put_member_int(out, "number", row->number);
    json_put_member_int(out, "fire", row->fire);
    json_put_key(out, "run_uuid");
    json_put_text(out, *row->run.text ? row->run.text : NULL);
    json_put_member(out, "status", status_name(row->status));
    json_put_key(out, "cause");
    json_put_text(out, *cause ? cause : NULL);
    json_put_member_int(out, "try", row->tries);
    run_json_put_time(out, "started_time", row->started_time);
    run_json_put_time(out, "finished_time", row->finished_time);
    put_duration_member(row, out);
    put_cells(table, COLUMN_PARAMETER, &table->given, &row->given, out);
    put_cells(table, COLUMN_METRIC, &table->said, &row->said, out);
    put_cells(table, COLUMN_REPORTED, &table->said, &row->said, out);
    json_put_member_raw(out, "run_deleted", row->is_run_deleted ? STR("true") : STR("false"));
    buf_putc(out, '}');
}

uint32_t results_table_put(const struct results_table *table, uint32_t first, uint32_t limit,
                           struct buf *out)
{
    size_t start = out->len;
    uint32_t i = first;

    put_columns(table, out);
    json_put_key(out, "rows");
    buf_putc(out, '[');
    for (; i < table->count && i - first < limit && out->len - start <= LIMIT_LIST_BYTES; i++) {
        if (i > first)
            buf_putc(out, ',');
        put_row(table, &table->rows[table->order[i]], out);
    }
    buf_putc(out, ']');
    json_put_member_int(out, "total", table->count);
    return i < table->count ? i : 0;
}

/* --- CSV --- */

static bool is_number(struct str text)
{
    char copy[64];
    char *end;

    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.text, text.len);
    copy[text.len] = 0;
    strtod(copy, &end);
    return end == copy + text.len;
}

/* Spreadsheets take a text that begins so for a formula, and run it. */
static bool is_formula(struct str text)
{
    return text.len > 0 && memchr("=+-@\t\r", text.text[0], 6) && !is_number(text);
}

static bool needs_quotes(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (strchr(",\"\r\n", text.text[i]))
            return true;
    return false;
}

static void put_field(struct str text, struct buf *out)
{
    bool is_quoted = needs_quotes(text);

    if (is_quoted)
        buf_putc(out, '"');
    if (is_formula(text))
        buf_putc(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.text[i] == '"')
            buf_putc(out, '"');
        buf_putc(out, text.text[i]);
    }
    if (is_quoted)
        buf_putc(out, '"');
}

/* A string's value, and of everything else its JSON; null is empty. */
static void put_value(const struct results_table *table, const struct cell *cell,
                      struct buf *scratch, struct buf *out)
{
    auto_json struct json doc = {0};
    struct str text = cell_text(table, cell);
    struct err ignored;

    if (str_is(text, "null"))
        return;
    if (text.text[0] == '"' && json_parse(&doc, text, JSON_TOLERANT, NULL, &ignored) == 0)
        text = json_text(&doc, 0, scratch);
    put_field(text, out);
}

static const char *const row_fields[] = {"number", "fire", "status"};
static const char *const run_fields[] = {"cause",         "try",      "started_time",
                                         "finished_time", "duration", "run_uuid"};

/* What two columns would be called is that of the first. */
static void put_header_key(const struct column *column, struct map *seen, uint32_t index,
                           struct buf *out)
{
    auto_free char *longer = mem_printf("%s.%s", column_kind_name(column->kind), column->key);
    bool is_taken = map_add(seen, str_of(column->key), index) != MAP_NONE;

    buf_putc(out, ',');
    put_field(str_of(is_taken ? longer : column->key), out);
}

static void put_header(const struct results_table *table, const uint32_t *columns, struct buf *out)
{
    struct map seen = {0};

    for (unsigned i = 0; i < sizeof row_fields / sizeof *row_fields; i++) {
        map_set(&seen, str_of(row_fields[i]), 0);
        buf_printf(out, "%s%s", i > 0 ? "," : "", row_fields[i]);
    }
    for (unsigned i = 0; i < sizeof run_fields / sizeof *run_fields; i++)
        map_set(&seen, str_of(run_fields[i]), 0);
    for (uint32_t i = 0; i < table->column_count; i++)
        put_header_key(&table->columns[columns[i]], &seen, i, out);
    for (unsigned i = 0; i < sizeof run_fields / sizeof *run_fields; i++)
        buf_printf(out, ",%s", run_fields[i]);
    buf_puts(out, "\r\n");
    map_clear(&seen);
}

static void put_time(msec time, struct buf *out)
{
    buf_putc(out, ',');
    if (time)
        buf_puts(out, time_text_of_us(time * 1000).text);
}

/* `places` (all NULL before and after) is where a row's cells are laid out by column. */
static void put_line(const struct results_table *table, const struct result_row *row,
                     const uint32_t *columns, const struct cell **places, struct buf *scratch,
                     struct buf *out)
{
    for (size_t i = row->given.first; i < row->given.end; i++)
        places[table->given.items[i].column] = &table->given.items[i];
    for (size_t i = row->said.first; i < row->said.end; i++)
        places[table->said.items[i].column] = &table->said.items[i];
    buf_printf(out, "%" PRIu32 ",%" PRIu32 ",%s", row->number, row->fire, status_name(row->status));
    for (uint32_t i = 0; i < table->column_count; i++) {
        buf_putc(out, ',');
        if (places[columns[i]])
            put_value(table, places[columns[i]], scratch, out);
        places[columns[i]] = NULL;
    }
    buf_printf(out, ",%s,%" PRIu32, cause_name(row->cause), row->tries);
    put_time(row->started_time, out);
    put_time(row->finished_time, out);
    buf_putc(out, ',');
    put_duration(row, out);
    buf_printf(out, ",%s\r\n", row->run.text);
}

/* Parameters, metrics, and the rest, each in their order. */
static uint32_t *columns_by_kind(const struct results_table *table)
{
    uint32_t *columns = mem_array((size_t)table->column_count + 1, sizeof *columns);
    uint32_t count = 0;

    for (unsigned kind = 0; kind < COLUMN_KIND_COUNT; kind++)
        for (uint32_t i = 0; i < table->column_count; i++)
            if (table->columns[i].kind == kind)
                columns[count++] = i;
    return columns;
}

void results_table_put_csv(const struct results_table *table, uint32_t first, uint32_t limit,
                           struct buf *out)
{
    auto_free uint32_t *columns = columns_by_kind(table);
    auto_free const struct cell **places =
        mem_array((size_t)table->column_count + 1, sizeof *places);
    auto_buf struct buf scratch = {0};

    put_header(table, columns, out);
    for (uint32_t i = first; i < table->count && i - first < limit; i++)
        put_line(table, &table->rows[table->order[i]], columns, places, &scratch, out);
}
