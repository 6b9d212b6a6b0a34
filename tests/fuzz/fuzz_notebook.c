/* Any bytes as a notebook, a NUL, and lines of a journal: what is read can be executed on and
 * written at any moment; what is written is read again and written as the same bytes.
 */
#include "base/mem.h"
#include "runner/notebook/notebook.h"

#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s\n", what);
    abort();
}

static void check_written(struct notebook *nb)
{
    auto_buf struct buf once = {0}, twice = {0};
    auto_notebook struct notebook *again = NULL;
    struct err e;

    notebook_write(nb, &once);
    if (notebook_read(mem_strndup(once.data, once.len), once.len, "written", &again, &e) < 0) {
        require(e.code == ERR_LIMIT, "what is written can be read"); /* it may be deeper */
        return;
    }
    notebook_write(again, &twice);
    require(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0,
            "it is written as the same bytes");
}

static void apply_lines(struct notebook *nb, const char *p, const char *end)
{
    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *stop = newline ? newline : end;
        struct err e;
        (void)notebook_apply(nb, (struct str){p, (size_t)(stop - p)}, &e);
        p = newline ? newline + 1 : end;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_notebook struct notebook *nb = NULL;
    const char *text = (const char *)data, *end = text + size;
    const char *nul = size ? memchr(text, 0, size) : NULL;
    size_t len = nul ? (size_t)(nul - text) : size;
    struct err e;

    if (notebook_read(mem_strndup(text, len), len, "fuzz", &nb, &e) < 0) {
        require(e.code == ERR_INVALID || e.code == ERR_LIMIT, "a refusal has its code");
        return 0;
    }
    check_written(nb);
    if (len % 2)
        notebook_inject(nb, STR("# Parameters\nx = 1\n"));
    notebook_start(nb, &(struct notebook_options){.errors = NOTEBOOK_ERRORS_STOP});
    if (nul)
        apply_lines(nb, nul + 1, end);
    check_written(nb);
    return 0;
}
