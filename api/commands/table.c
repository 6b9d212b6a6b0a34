#include "api/commands/table.h"

#include "api/commands/screen.h"
#include "api/commands/shown.h"
#include "base/mem.h"

#include <assert.h>
#include <stdio.h>

#define GAP 2 /* blanks between columns */

struct table {
    const struct table_column *columns;
    uint32_t column_count;
    char **cells;
    size_t count, capacity;
};

struct table *table_new(const struct table_column *columns, uint32_t count)
{
    struct table *table = mem_zalloc(sizeof *table);

    table->columns = columns;
    table->column_count = count;
    return table;
}

void table_free(struct table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

void table_add(struct table *table, char *take_text)
{
    mem_grow(table->cells, table->count, table->capacity);
    table->cells[table->count++] = take_text ? take_text : mem_strdup("-");
}

/* Takes from the widest that may be cut, until it fits or none is left. */
static void narrow(const struct table *table, int *widths, int width)
{
    int total = GAP * ((int)table->column_count - 1);

    for (uint32_t i = 0; i < table->column_count; i++)
        total += widths[i];
    while (total > width) {
        uint32_t widest = table->column_count;
        for (uint32_t i = 0; i < table->column_count; i++) {
            int least = table->columns[i].least;
            if (least > 0 && widths[i] > least &&
                (widest == table->column_count || widths[i] > widths[widest]))
                widest = i;
        }
        if (widest == table->column_count)
            return;
        widths[widest]--;
        total--;
    }
}

static void measure(const struct table *table, int *widths)
{
    assert(table->column_count > 0);
    for (uint32_t i = 0; i < table->column_count; i++)
        widths[i] = shown_width(table->columns[i].heading);
    for (size_t i = 0; i < table->count; i++) {
        int width = shown_width(table->cells[i]), *most = &widths[i % table->column_count];
        *most = width > *most ? width : *most;
    }
}

static void put_cell(const struct table *table, const int *widths, uint32_t column,
                     const char *text, struct buf *out)
{
    int width = shown_width(text);

    if (column + 1 < table->column_count) {
        shown_put_column(out, text, widths[column]);
        buf_printf(out, "%*s", GAP, "");
    } else {
        shown_put_column(out, text, width < widths[column] ? width : widths[column]);
        buf_putc(out, '\n');
    }
}

void table_put(const struct table *table, int width, struct buf *out)
{
    auto_free int *widths = mem_array(table->column_count, sizeof *widths);

    assert(table->column_count > 0);
    measure(table, widths);
    if (width > 0)
        narrow(table, widths, width);
    for (uint32_t i = 0; i < table->column_count; i++)
        put_cell(table, widths, i, table->columns[i].heading, out);
    for (size_t i = 0; i < table->count; i++)
        put_cell(table, widths, (uint32_t)(i % table->column_count), table->cells[i], out);
}

void table_print(const struct table *table)
{
    auto_buf struct buf out = {0};

    table_put(table, screen_width(), &out);
    fwrite(buf_text(&out), 1, out.len, stdout);
}
