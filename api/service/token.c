#include "api/service/token.h"

#include "base/fs.h"
#include "base/id.h"
#include "base/mem.h"

#include <ctype.h>
#include <string.h>
#include <sys/stat.h>

#define TOKEN_DIGITS 48 /* of 4 bits each */
#define TOKEN_MAX    1024

static char *make_token(const char *path, struct err *e)
{
    char token[TOKEN_DIGITS + 1];

    random_hex(token, TOKEN_DIGITS);
    auto_free char *line = mem_printf("%s\n", token);
    if (fs_write(path, str_of(line), 0600, FS_SYNC, e) < 0)
        return NULL;
    return mem_strdup(token);
}

static bool is_fit(const char *token)
{
    for (const char *c = token; *c; c++)
        if (!isgraph((unsigned char)*c))
            return false;
    return strlen(token) >= 16;
}

static char *read_token(const char *path, struct err *e)
{
    auto_buf struct buf text = {0};
    struct stat st;

    if (fs_read(path, TOKEN_MAX, &text, e) < 0)
        return NULL;
    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0) {
        err_set(e, ERR_INVALID, "others may read the token file \"%s\": chmod 600 it", path);
        return NULL;
    }
    while (text.len > 0 && isspace((unsigned char)text.data[text.len - 1]))
        text.data[--text.len] = 0;
    if (is_fit(buf_text(&text)))
        return buf_take(&text);
    err_set(e, ERR_INVALID,
            "the token in \"%s\" is not fit: 16 or more visible ASCII characters are needed", path);
    return NULL;
}

char *token_keep(const struct state *state, const char *file, struct err *e)
{
    auto_free char *path = file ? mem_strdup(file) : fs_join(state->dir, "token");

    return fs_exists(path) ? read_token(path, e) : make_token(path, e);
}
