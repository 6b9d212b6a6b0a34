#include "api/jupyter/slug.h"

#include <ctype.h>
#include <stdbool.h>

static bool is_kept(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

void slug_put(struct buf *out, const char *text)
{
    size_t start = out->len;

    for (; *text; text++) {
        if (is_kept(*text))
            buf_putc(out, (char)tolower((unsigned char)*text));
        else if (out->len > start && out->data[out->len - 1] != '-')
            buf_putc(out, '-');
    }
    while (out->len > start && out->data[out->len - 1] == '-')
        out->data[--out->len] = 0;
    if (out->len == start)
        buf_putc(out, 'x');
}

char *slug_of_environment(const char *project, const char *environment)
{
    struct buf out = {0};

    if (strcmp(project, ".") != 0) {
        slug_put(&out, project);
        buf_putc(&out, '.');
    }
    slug_put(&out, environment);
    return buf_take(&out);
}
