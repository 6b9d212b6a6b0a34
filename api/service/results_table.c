/* The values of all rows lie in one list, row behind row, with their JSON in one text: twenty
 * thousand rows with ten columns are a few megabytes in four blocks of memory. A parameter takes no
 * room in the first rows, up to where one has another value; whether it differs at all, and so is
 * to be shown, is seen by that.
 */
#include "api/service/results_table_private.h"

#include "base/limits.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

#define PIPELINE_PARAMETERS "pipeline_parameters"

const char *column_kind_name(enum column_kind kind)
{
    static const char *const names[] = {
#define X(kind, name) [kind] = name,
        COLUMN_KINDS(X)
#undef X
    };

    return names[kind];
}

/* --- columns --- */

/* NUL stands in no uuid: nothing else has this id. */
static struct str put_id(struct buf *out, enum column_kind kind, struct str owner, struct str name)
{
    buf_reset(out);
    buf_putc(out, (char)('0' + kind));
    buf_put(out, owner.text, owner.len);
    buf_putc(out, 0);
    buf_put(out, name.text, name.len);
    return (struct str){out->data, out->len};
}

static const char *title_of(const struct pipeline *pipeline, const char *step_uuid)
{
    uint32_t step = step_uuid ? pipeline_index(pipeline, str_of(step_uuid)) : STEP_NONE;

    return step == STEP_NONE ? step_uuid : pipeline_step_label(&pipeline->steps[step]);
}

static uint32_t add_column(struct results_table *table, enum column_kind kind, struct str id,
                           const char *step_uuid, const char *name)
{
    struct column column = {
        .kind = kind,
        .id = mem_strndup(id.text, id.len),
        .step_uuid = mem_strdup(step_uuid),
        .name = mem_strdup(name),
    };

    column.title = title_of(table->pipeline, column.step_uuid);
    mem_grow(table->columns, table->column_count, table->column_capacity);
    table->columns[table->column_count] = column;
    map_set(&table->columns_by_id, (struct str){column.id, id.len}, table->column_count);
    return table->column_count++;
}

struct results_table *results_table_new(const struct pipeline *pipeline,
                                        const struct parameter_axis *axes, uint32_t axis_count)
{
    struct results_table *table = mem_zalloc(sizeof *table);

    table->pipeline = pipeline;
    for (uint32_t i = 0; i < axis_count; i++) {
        const char *uuid = axes[i].step == STEP_NONE ? NULL : pipeline->steps[axes[i].step].uuid;
        struct str owner = str_of(uuid ? uuid : PIPELINE_PARAMETERS);
        struct str id = put_id(&table->scratch, COLUMN_PARAMETER, owner, str_of(axes[i].name));
        uint32_t column = add_column(table, COLUMN_PARAMETER, id, uuid, axes[i].name);
        table->columns[column].is_axis = true;
    }
    return table;
}

void results_table_free(struct results_table *table)
{
    if (!table)
        return;
    for (uint32_t i = 0; i < table->column_count; i++) {
        struct column *column = &table->columns[i];
        free(column->id);
        free(column->step_uuid);
        free(column->name);
        free(column->key);
    }
    free(table->columns);
    map_clear(&table->columns_by_id);
    free(table->rows);
    free(table->order);
    free(table->given.items);
    free(table->said.items);
    buf_clear(&table->text);
    buf_clear(&table->scratch);
    free(table);
}

/* --- cells --- */

/* A metric that is none JSON has a number for stands there as "NaN", "Infinity", "-Infinity". */
static enum cell_kind kind_of(struct str value, enum column_kind column, double *ret_number)
{
    char first = value.len > 0 ? value.text[0] : 0;
    bool is_quoted = first == '"' && column == COLUMN_METRIC;

    if (first != '-' && (first < '0' || first > '9') && !is_quoted)
        return CELL_TEXT;
    *ret_number = strtod(value.text + (is_quoted ? 1 : 0), NULL);
    return isnan(*ret_number) ? CELL_NAN : CELL_NUMBER;
}

/* `start`: of the value, which has been put behind the text already. */
static struct cell make_cell(const struct results_table *table, uint32_t column, size_t start)
{
    struct cell cell = {.column = column, .at = start, .len = (uint32_t)(table->text.len - start)};

    cell.kind = kind_of(cell_text(table, &cell), table->columns[column].kind, &cell.number);
    return cell;
}

static int too_many(struct err *e)
{
    return err_set(e, ERR_INVALID,
                   "the results are more than one table can show: ask for those of one fire");
}

static int add_cell(const struct results_table *table, struct cells *cells, struct cell cell,
                    struct err *e)
{
    if (cells->count >= LIMIT_RESULTS_CELLS || table->text.len > LIMIT_RESULTS_BYTES)
        return too_many(e);
    mem_grow(cells->items, cells->count, cells->capacity);
    cells->items[cells->count++] = cell;
    return 0;
}

const struct cell *results_row_cell(const struct results_table *table, uint32_t row,
                                    uint32_t column)
{
    bool is_given = table->columns[column].kind == COLUMN_PARAMETER;
    const struct cells *cells = is_given ? &table->given : &table->said;
    const struct span *span = is_given ? &table->rows[row].given : &table->rows[row].said;

    for (size_t i = span->first; i < span->end; i++)
        if (cells->items[i].column == column)
            return &cells->items[i];
    return column_common_cell(&table->columns[column], row);
}

msec results_row_duration(const struct result_row *row)
{
    bool has_ended = row->started_time && row->finished_time >= row->started_time;

    return has_ended ? row->finished_time - row->started_time : -1;
}

/* --- rows --- */

/* The how-manyth try the latest is; 0: none yet. Those that failed are counted in the row. */
static uint32_t tries_of(const struct set_row *set)
{
    uint32_t failed = set->tries_used + set->tries_lost;

    if (set->status == STATUS_STARTED || set->status == STATUS_SUCCESS)
        return failed + 1;
    return failed == 0 && *set->run_uuid ? 1 : failed;
}

/* 1: all rows before have the same in the column, so it is kept once. */
static int keep_common(struct results_table *table, struct cell cell)
{
    struct column *column = &table->columns[cell.column];

    if (column->same != table->count)
        return 0;
    if (table->count == 0)
        column->first = cell;
    else if (!str_eq(cell_text(table, &cell), cell_text(table, &column->first)))
        return 0;
    else
        table->text.len = cell.at;
    column->same++;
    return 1;
}

static uint32_t parameter_column(struct results_table *table, struct str owner, struct str name)
{
    struct str id = put_id(&table->scratch, COLUMN_PARAMETER, owner, name);
    uint32_t column = map_get(&table->columns_by_id, id);

    if (column != MAP_NONE)
        return column;
    auto_free char *owner_text = mem_strndup(owner.text, owner.len);
    auto_free char *name_text = mem_strndup(name.text, name.len);
    const char *step = str_is(owner, PIPELINE_PARAMETERS) ? NULL : owner_text;
    return add_column(table, COLUMN_PARAMETER, id, step, name_text);
}

static int add_given(struct results_table *table, const struct json *doc, json_at owner,
                     struct err *e)
{
    auto_buf struct buf owner_scratch = {0}, name_scratch = {0};
    struct str owner_text = json_text(doc, owner, &owner_scratch);

    json_each (doc, json_value(owner), member) {
        struct str name = json_text(doc, member, &name_scratch);
        uint32_t column = parameter_column(table, owner_text, name);
        size_t start = table->text.len;
        json_write(doc, json_value(member), JSON_COMPACT, 0, &table->text);
        struct cell cell = make_cell(table, column, start);
        if (!keep_common(table, cell) && add_cell(table, &table->given, cell, e) < 0)
            return -1;
    }
    return 0;
}

static int add_parameters(struct results_table *table, const char *parameters, struct err *e)
{
    auto_json struct json doc = {0};

    if (json_parse(&doc, str_of(parameters), JSON_STRICT, NULL, e) < 0)
        return err_prefix(e, "the parameters of a set");
    json_each (&doc, 0, owner)
        if (add_given(table, &doc, owner, e) < 0)
            return -1;
    return 0;
}

int results_table_add_set(void *data, const struct set_row *set, struct err *e)
{
    struct results_table *table = data;
    struct result_row row = {
        .set = set->id,
        .number = set->number,
        .fire = set->fire_number,
        .tries = tries_of(set),
        .status = set->status,
        .cause = set->cause,
        .started_time = set->started_time,
        .finished_time = set->finished_time,
        .run = uuid_of(set->run_uuid),
        .is_run_deleted = set->is_run_deleted,
        .given.first = table->given.count,
    };

    if (table->count >= LIMIT_RESULTS_ROWS)
        return too_many(e);
    if (add_parameters(table, set->parameters, e) < 0)
        return -1;
    row.given.end = table->given.count;
    mem_grow(table->rows, table->count, table->capacity);
    table->rows[table->count++] = row;
    return 0;
}

/* NULL: the set is not in the table. */
static struct result_row *row_of(struct results_table *table, int64_t set)
{
    while (table->next < table->count && table->rows[table->next].set < set)
        table->next++;
    if (table->next == table->count || table->rows[table->next].set != set)
        return NULL;
    return &table->rows[table->next];
}

int results_table_add_metric(void *data, int64_t set, const struct metric_row *metric,
                             struct err *e)
{
    struct results_table *table = data;
    enum column_kind kind = metric->is_param ? COLUMN_REPORTED : COLUMN_METRIC;
    struct result_row *row = row_of(table, set);
    size_t start = table->text.len;

    if (!row)
        return 0;
    struct str id = put_id(&table->scratch, kind, str_of(metric->step_uuid), str_of(metric->name));
    uint32_t column = map_get(&table->columns_by_id, id);
    if (column == MAP_NONE)
        column = add_column(table, kind, id, metric->step_uuid, metric->name);
    buf_puts(&table->text, metric->value);
    if (row->said.end == 0)
        row->said.first = table->said.count;
    if (add_cell(table, &table->said, make_cell(table, column, start), e) < 0)
        return -1;
    row->said.end = table->said.count;
    return 0;
}

uint32_t results_table_count(const struct results_table *table)
{
    return table->count;
}
