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
            if (table->columns[i].kind == kind && table->columns[i].key)
                put_column(&table->columns[i], out);
        buf_putc(out, ']');
    }
    buf_putc(out, '}');
}

static void put_cells(const struct results_table *table, enum column_kind kind,
                      const struct cells *cells, const struct span *span, struct buf *out)
{
    for (size_t i = span->first; i < span->end; i++) {
        const struct cell *cell = &cells->items[i];
        const struct column *column = &table->columns[cell->column];
        if (column->kind == kind)
            json_put_member_raw(out, column->key, cell_text(table, cell));
    }
}

static void put_given(const struct results_table *table, uint32_t row, struct buf *out)
{
    json_put_key(out, column_kind_name(COLUMN_PARAMETER));
    buf_putc(out, '{');
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct column *column = &table->columns[i];
        const struct cell *cell = column_common_cell(column, row);
        if (cell && column->key)
            json_put_member_raw(out, column->key, cell_text(table, cell));
    }
    put_cells(table, COLUMN_PARAMETER, &table->given, &table->rows[row].given, out);
    buf_putc(out, '}');
}

static void put_said(const struct results_table *table, enum column_kind kind, uint32_t row,
                     struct buf *out)
{
    json_put_key(out, column_kind_name(kind));
    buf_putc(out, '{');
    put_cells(table, kind, &table->said, &table->rows[row].said, out);
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

static void put_row(const struct results_table *table, uint32_t index, struct buf *out)
{
    const struct result_row *row = &table->rows[index];
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
    put_given(table, index, out);
    put_said(table, COLUMN_METRIC, index, out);
    put_said(table, COLUMN_REPORTED, index, out);
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
        put_row(table, table->order[i], out);
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

struct csv {
    const struct results_table *table;
    uint32_t *columns; /* those that are shown: parameters, metrics, and the rest */
    uint32_t count;
    const struct cell **places; /* by column: where a row's cells are laid out; all NULL else */
    struct buf scratch;
};

static void csv_init(struct csv *csv, const struct results_table *table)
{
    size_t room = (size_t)table->column_count + 1;

    *csv = (struct csv){.table = table,
                        .columns = mem_array(room, sizeof *csv->columns),
                        .places = mem_array(room, sizeof *csv->places)};
    for (unsigned kind = 0; kind < COLUMN_KIND_COUNT; kind++)
        for (uint32_t i = 0; i < table->column_count; i++)
            if (table->columns[i].kind == kind && table->columns[i].key)
                csv->columns[csv->count++] = i;
}

static void csv_clear(struct csv *csv)
{
    free(csv->columns);
    free(csv->places);
    buf_clear(&csv->scratch);
}

static void put_header(const struct csv *csv, struct buf *out)
{
    struct map seen = {0};

    for (unsigned i = 0; i < sizeof row_fields / sizeof *row_fields; i++) {
        map_set(&seen, str_of(row_fields[i]), 0);
        buf_printf(out, "%s%s", i > 0 ? "," : "", row_fields[i]);
    }
    for (unsigned i = 0; i < sizeof run_fields / sizeof *run_fields; i++)
        map_set(&seen, str_of(run_fields[i]), 0);
    for (uint32_t i = 0; i < csv->count; i++)
        put_header_key(&csv->table->columns[csv->columns[i]], &seen, i, out);
    for (unsigned i = 0; i < sizeof run_fields / sizeof *run_fields; i++)
        buf_printf(out, ",%s", run_fields[i]);
    buf_puts(out, "\r\n");
    map_clear(&seen);
}

static void lay_out(struct csv *csv, const struct cells *cells, const struct span *span)
{
    for (size_t i = span->first; i < span->end; i++)
        csv->places[cells->items[i].column] = &cells->items[i];
}

static void put_values(struct csv *csv, uint32_t row, struct buf *out)
{
    const struct results_table *table = csv->table;

    lay_out(csv, &table->given, &table->rows[row].given);
    lay_out(csv, &table->said, &table->rows[row].said);
    for (uint32_t i = 0; i < csv->count; i++) {
        const struct cell **place = &csv->places[csv->columns[i]];
        if (!*place)
            *place = column_common_cell(&table->columns[csv->columns[i]], row);
        buf_putc(out, ',');
        if (*place)
            put_value(table, *place, &csv->scratch, out);
        *place = NULL;
    }
}

static void put_time(msec time, struct buf *out)
{
    buf_putc(out, ',');
    if (time)
        buf_puts(out, time_text_of_us(time * 1000).text);
}

static void put_line(struct csv *csv, uint32_t index, struct buf *out)
{
    const struct result_row *row = &csv->table->rows[index];

    buf_printf(out, "%" PRIu32 ",%" PRIu32 ",%s", row->number, row->fire, status_name(row->status));
    put_values(csv, index, out);
    buf_printf(out, ",%s,%" PRIu32, cause_name(row->cause), row->tries);
    put_time(row->started_time, out);
    put_time(row->finished_time, out);
    buf_putc(out, ',');
    put_duration(row, out);
    buf_printf(out, ",%s\r\n", row->run.text);
}

void results_table_put_csv(const struct results_table *table, uint32_t first, uint32_t limit,
                           struct buf *out)
{
    auto_with(csv_clear) struct csv csv;

    csv_init(&csv, table);
    put_header(&csv, out);
    for (uint32_t i = first; i < table->count && i - first < limit; i++)
        put_line(&csv, table->order[i], out);
}
