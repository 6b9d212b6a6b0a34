/* A notebook as a step in a keeper of its own; for tests, which include it and whose own program is
 * started again as the kernel: `TEST fake-kernel CONNECTION_FILE`. */
#include "base/child.h"
#include "runner/step/notebook_task.h"
#include "tests/unit/runner/step/cell_kernel.c"
#include "tests/unit/runner/step/step_keeper.c"

#define FAKE_KERNEL "fake-kernel"
#define MUTE_KERNEL "mute-kernel" /* starts and never answers */

/* One cell of code; a NULL source is the end. */
struct cell {
    const char *source;
    const char *tag; /* NULL: none */
};

static inline void put_cell(struct buf *out, size_t index, const struct cell *cell)
{
    buf_printf(out, "%s{\"cell_type\":\"code\",\"id\":\"c%zu\",\"metadata\":{\"tags\":[",
               index > 0 ? "," : "", index);
    if (cell->tag)
        json_put_text(out, cell->tag);
    buf_puts(out, "]},\"execution_count\":99,\"outputs\":[],\"source\":");
    json_put_text(out, cell->source);
    buf_putc(out, '}');
}

static inline void init(struct step_keeper *keeper, const struct cell *cells, const char *kernel)
{
    auto_buf struct buf text = {0};

    buf_puts(&text, "{\"nbformat\":4,\"nbformat_minor\":5,\"metadata\":{\"kernelspec\":{"
                    "\"name\":\"fake\",\"language\":\"python\",\"display_name\":\"Fake\"}},"
                    "\"cells\":[");
    for (size_t i = 0; cells[i].source; i++)
        put_cell(&text, i, &cells[i]);
    buf_puts(&text, "]}");
    step_keeper_init(keeper, STEP_NOTEBOOK, "a.ipynb", text.data);
    keeper->task.output = fs_join(keeper->root, "executed.ipynb");
    cell_kernel_install(keeper->root, kernel);
    alarm(120); /* a hang fails */
}

/* There is one end and it is this one; no process is left. */
static inline struct told wait_for_end(struct step_keeper *keeper, const char *status,
                                       const char *cause)
{
    assert_int_equal(step_keeper_wait(keeper), 0);
    struct told told = told_by(keeper);
    if (strcmp(told.status, status) != 0 || strcmp(told.cause, cause) != 0)
        fail_msg("%s %s: %s", told.status, told.cause, told.message);
    assert_int_equal(told.ends, 1);
    assert_true(told.is_last);
    assert_int_equal(child_kill_marked("SEGUE_ATTEMPT", keeper->task.attempt_id), 0);
    return told;
}

static inline void check_end(struct step_keeper *keeper, const char *status, const char *cause,
                             const char *message)
{
    struct told told = wait_for_end(keeper, status, cause);

    if (!strstr(told.message, message))
        fail_msg("\"%s\" is not in: %s", message, told.message);
    told_clear(&told);
}

/* --- the executed file --- */

static inline void read_executed(const struct step_keeper *keeper, struct json *doc)
{
    auto_buf struct buf text = {0};
    struct err e;

    if (fs_read(keeper->task.output, LIMIT_NOTEBOOK_BYTES, &text, &e) < 0)
        fail_msg("%s", e.text);
    size_t len = text.len;
    if (json_parse_take(doc, buf_take(&text), len, JSON_STRICT, NULL, &e) < 0)
        fail_msg("%s", e.text);
}

static inline void check_member(const struct json *doc, json_at object, const char *key,
                                const char *expected)
{
    auto_buf struct buf text = {0};
    json_at member = json_get(doc, object, key);

    if (member != JSON_NONE)
        json_write(doc, member, JSON_COMPACT, 0, &text);
    assert_string_equal(buf_text(&text), expected);
}

static inline json_at cell_at(const struct json *doc, uint32_t index)
{
    return json_item(doc, json_get(doc, 0, "cells"), index);
}

static inline void check_cell(const struct json *doc, uint32_t index, const char *count,
                              const char *outputs)
{
    check_member(doc, cell_at(doc, index), "execution_count", count);
    check_member(doc, cell_at(doc, index), "outputs", outputs);
}

#define PRINTED(text) "{\"name\":\"stdout\",\"output_type\":\"stream\",\"text\":[\"" text "\\n\"]}"
#define RAISED(ename)                                                                              \
    "{\"ename\":\"" ename "\",\"evalue\":\"on purpose\",\"output_type\":\"error\","                \
    "\"traceback\":[\"in the cell\"]}"
