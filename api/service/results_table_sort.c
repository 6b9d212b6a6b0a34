#include "api/service/results_table_private.h"

#include "base/mem.h"

#include <string.h>

/* --- keys of columns --- */

char *column_title_key(const struct column *column)
{
    return mem_printf("%s:%s", column->title ? column->title : "pipeline_parameters", column->name);
}

char *column_uuid_key(const struct column *column)
{
    return mem_printf("%s:%s", column->step_uuid ? column->step_uuid : "pipeline_parameters",
                      column->name);
}

/* Of what all sets were given the same nothing is to be seen. */
static bool is_shown(const struct results_table *table, const struct column *column)
{
    return column->kind != COLUMN_PARAMETER || column->is_axis || column->same < table->count;
}

/* Gives each column of the kind that has no key yet the one that `make` makes of it, unless another
 * would have the same. */
static void give_keys(struct results_table *table, enum column_kind kind,
                      char *(*make)(const struct column *column))
{
    char **keys = mem_array((size_t)table->column_count + 1, sizeof *keys);
    bool *is_shared = mem_array((size_t)table->column_count + 1, sizeof *is_shared);
    struct map seen = {0};

    for (uint32_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].kind != kind || table->columns[i].key ||
            !is_shown(table, &table->columns[i]))
            continue;
        keys[i] = make(&table->columns[i]);
        uint32_t other = map_add(&seen, str_of(keys[i]), i);
        if (other != MAP_NONE)
            is_shared[i] = is_shared[other] = true;
    }
    for (uint32_t i = 0; i < table->column_count; i++) {
        if (keys[i] && !is_shared[i])
            table->columns[i].key = take_ptr(&keys[i]);
        free(keys[i]);
    }
    map_clear(&seen);
    free(is_shared);
    free(keys);
}

static char *column_name_key(const struct column *column)
{
    return mem_strdup(column->name);
}

static void give_all_keys(struct results_table *table)
{
    for (unsigned kind = 0; kind < COLUMN_KIND_COUNT; kind++) {
        give_keys(table, kind, column_name_key);
        give_keys(table, kind, column_title_key);
        give_keys(table, kind, column_uuid_key);
    }
}

/* --- what is meant --- */

enum sort_by { SORT_AS_ADDED, SORT_NUMBER, SORT_DURATION, SORT_COLUMN };

struct sorting {
    enum sort_by by;
    uint32_t column;
    bool is_descending;
};

static bool is_of(const struct column *column, enum column_kind kind)
{
    return column->kind == kind && column->key;
}

static bool is_called(const struct column *column, const char *text)
{
    auto_free char *title_key = column_title_key(column);
    auto_free char *uuid_key = column_uuid_key(column);

    return strcmp(title_key, text) == 0 || strcmp(uuid_key, text) == 0;
}

/* Of the kinds in `order`, the first with such a key counts; MAP_NONE: none has it. */
static uint32_t find_column(const struct results_table *table, const enum column_kind *order,
                            unsigned kinds, const char *text)
{
    for (unsigned k = 0; k < kinds; k++)
        for (uint32_t i = 0; i < table->column_count; i++)
            if (is_of(&table->columns[i], order[k]) && strcmp(table->columns[i].key, text) == 0)
                return i;
    for (unsigned k = 0; k < kinds; k++)
        for (uint32_t i = 0; i < table->column_count; i++)
            if (is_of(&table->columns[i], order[k]) && is_called(&table->columns[i], text))
                return i;
    return MAP_NONE;
}

static int refuse(const struct results_table *table, const char *text, struct err *e)
{
    const char **keys = mem_array((size_t)table->column_count + 3, sizeof *keys);

    uint32_t count = 0;

    for (uint32_t i = 0; i < table->column_count; i++)
        if (table->columns[i].key)
            keys[count++] = table->columns[i].key;
    keys[count++] = "number";
    keys[count] = "duration";
    const char *nearest = str_nearest(text, keys);
    free(keys);
    if (nearest)
        return err_set(e, ERR_INVALID, "there is no column \"%s\"; did you mean \"%s\"?", text,
                       nearest);
    return err_set(e, ERR_INVALID, "there is no column \"%s\"", text);
}

static int read_sort(const struct results_table *table, const char *text,
                     struct sorting *ret_sorting, struct err *e)
{
    static const enum column_kind order[] = {COLUMN_METRIC, COLUMN_PARAMETER, COLUMN_REPORTED};
    struct sorting sorting = {.is_descending = *text == '-'};

    text += sorting.is_descending ? 1 : 0;
    if (strcmp(text, "number") == 0)
        sorting.by = SORT_NUMBER;
    else if (strcmp(text, "duration") == 0)
        sorting.by = SORT_DURATION;
    else
        sorting.by = SORT_COLUMN;
    if (sorting.by == SORT_COLUMN)
        sorting.column = find_column(table, order, COLUMN_KIND_COUNT, text);
    if (sorting.column == MAP_NONE)
        return refuse(table, text, e);
    *ret_sorting = sorting;
    return 0;
}

/* Of several steps that report such a metric the first counts. A metric that nothing has reported
 * yet sorts nothing. */
static struct sorting by_objective(const struct results_table *table,
                                   const struct job_policy *policy)
{
    static const enum column_kind metrics = COLUMN_METRIC;
    struct sorting sorting = {.by = SORT_COLUMN, .is_descending = !policy->is_least};

    if (!policy->metric)
        return (struct sorting){.by = SORT_AS_ADDED};
    sorting.column = find_column(table, &metrics, 1, policy->metric);
    for (uint32_t i = 0; i < table->column_count && sorting.column == MAP_NONE; i++)
        if (table->columns[i].kind == COLUMN_METRIC &&
            strcmp(table->columns[i].name, policy->metric) == 0)
            sorting.column = i;
    return sorting.column == MAP_NONE ? (struct sorting){.by = SORT_AS_ADDED} : sorting;
}

/* --- sorting --- */

enum rank { RANK_NUMBER, RANK_TEXT, RANK_NONE };

struct sort_key {
    enum rank rank;
    uint32_t row;
    double number;
    struct str text;
};

static struct sort_key key_of_number(uint32_t row, double number)
{
    return (struct sort_key){.rank = RANK_NUMBER, .row = row, .number = number};
}

/* Texts are compared as they stand in JSON, without the quotes. */
static struct sort_key key_of_cell(const struct results_table *table, const struct cell *cell,
                                   uint32_t row)
{
    if (!cell || cell->kind == CELL_NAN)
        return (struct sort_key){.rank = RANK_NONE, .row = row};
    if (cell->kind == CELL_NUMBER)
        return key_of_number(row, cell->number);
    struct str text = cell_text(table, cell);
    if (text.len >= 2 && text.text[0] == '"')
        text = (struct str){text.text + 1, text.len - 2};
    return (struct sort_key){.rank = RANK_TEXT, .row = row, .text = text};
}

static struct sort_key key_of(const struct results_table *table, const struct sorting *sorting,
                              uint32_t row)
{
    const struct result_row *at = &table->rows[row];
    msec duration;

    switch (sorting->by) {
    case SORT_AS_ADDED:
        break;
    case SORT_NUMBER:
        return key_of_number(row, at->number);
    case SORT_DURATION:
        duration = results_row_duration(at);
        if (duration >= 0)
            return key_of_number(row, (double)duration);
        break;
    case SORT_COLUMN:
        return key_of_cell(table, results_row_cell(table, row, sorting->column), row);
    }
    return (struct sort_key){.rank = RANK_NONE, .row = row};
}

static int compare_texts(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.text, b.text, len) : 0;

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_values(const struct sort_key *a, const struct sort_key *b)
{
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->rank == RANK_NUMBER)
        return (a->number > b->number) - (a->number < b->number);
    return a->rank == RANK_TEXT ? compare_texts(a->text, b->text) : 0;
}

/* The rows' numbers make it stable. */
static int compare_keys(const void *left, const void *right, void *user)
{
    const struct sort_key *a = left, *b = right;
    const struct sorting *sorting = user;
    bool is_turned = sorting->is_descending && a->rank != RANK_NONE && b->rank != RANK_NONE;
    int order = is_turned ? compare_values(b, a) : compare_values(a, b);

    return order != 0 ? order : (a->row > b->row) - (a->row < b->row);
}

int results_table_sort(struct results_table *table, const char *sort,
                       const struct job_policy *policy, struct err *e)
{
    struct sorting sorting;

    give_all_keys(table);
    if (!sort)
        sorting = by_objective(table, policy);
    else if (read_sort(table, sort, &sorting, e) < 0)
        return -1;
    auto_free struct sort_key *keys = mem_array((size_t)table->count + 1, sizeof *keys);
    for (uint32_t i = 0; i < table->count; i++)
        keys[i] = key_of(table, &sorting, i);
    qsort_r(keys, table->count, sizeof *keys, compare_keys, &sorting);
    table->order = mem_array((size_t)table->count + 1, sizeof *table->order);
    for (uint32_t i = 0; i < table->count; i++)
        table->order[i] = keys[i].row;
    return 0;
}
