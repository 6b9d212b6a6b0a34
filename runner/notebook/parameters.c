/* One walk over the values for all languages, and a table of what differs between them. The walk
 * keeps its own stack, which is short on purpose: Python refuses source with more than 200 brackets
 * inside each other, and a value that the kernel cannot read would cost the whole cell. */
#include "runner/notebook/parameters.h"

#include <math.h>
#include <strings.h>

/* Brackets inside each other. */
enum { DEEPEST = 90 };

/* Python refuses longer literals of integers (4300 digits). */
enum { LONGEST_NUMBER = 4000 };

struct dialect {
    const char *comment;
    const char *before_name, *after_name, *after_value;
    const char *null, *yes, *no;
    const char *infinity, *minus_infinity, *nan;
    const char *list_open, *list_close, *list_separator;
    const char *object_open, *object_close; /* NULL: it has no objects */
    const char *after_key;
    bool (*put_text)(struct buf *out, struct str text); /* false: cannot be said */
    bool (*is_name)(struct str name);
    const char *reserved; /* words, each between spaces */
};

/* --- names --- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Letters and digits and what of `others`; no digit first. */
static bool is_ascii_name(struct str name, const char *others)
{
    if (name.len == 0 || is_digit(name.text[0]))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.text[i];
        if (c == 0 || !(is_letter(c) || is_digit(c) || strchr(others, c)))
            return false;
    }
    return true;
}

/* The letters of the scripts that people name variables in, all of which may stand anywhere in an
 * identifier of Python, Julia and JavaScript. Not all letters there are: a name that is left out
 * here is still found through the SDK. */
static bool is_wide_letter(uint32_t point)
{
    static const uint32_t RANGES[][2] = {
        {0x00c0, 0x00d6}, {0x00d8, 0x00f6}, {0x00f8, 0x01f5},                   /* Latin */
        {0x0386, 0x0386}, {0x0388, 0x038a}, {0x038e, 0x03a1}, {0x03a3, 0x03cf}, /* Greek */
        {0x0400, 0x0481}, {0x048a, 0x0523},                                     /* Cyrillic */
        {0x05d0, 0x05ea}, {0x0621, 0x063a}, {0x0641, 0x064a},                   /* Hebrew, Arabic */
        {0x3041, 0x3096}, {0x30a1, 0x30fa},                                     /* Kana */
        {0x4e00, 0x9fa5}, {0xac00, 0xd7a3},                                     /* Han, Hangul */
    };

    for (size_t i = 0; i < sizeof RANGES / sizeof *RANGES; i++) {
        if (point >= RANGES[i][0] && point <= RANGES[i][1])
            return true;
    }
    return false;
}

/* The code point of valid UTF-8 of this length. */
static uint32_t point_of(const char *p, size_t len)
{
    uint32_t point = (unsigned char)*p & (len == 1 ? 0x7f : 0xff >> (len + 1));

    for (size_t i = 1; i < len; i++)
        point = point << 6 | ((unsigned char)p[i] & 0x3f);
    return point;
}

static bool is_unicode_name(struct str name)
{
    const char *p = name.text, *end = p + name.len;

    if (name.len == 0 || is_digit(*p))
        return false;
    while (p < end) {
        size_t len = (unsigned char)*p < 0x80 ? 1 : str_utf8_len(p, end);
        bool is_fine = is_letter(*p) || is_digit(*p) || *p == '_';
        if (!is_fine && (len < 2 || !is_wide_letter(point_of(p, len))))
            return false;
        p += len;
    }
    return true;
}

static bool is_r_name(struct str name)
{
    bool is_number = name.len > 1 && name.text[0] == '.' && is_digit(name.text[1]);
    bool is_dots = name.len > 1 && name.text[0] == '.' && name.text[1] == '.';

    return is_ascii_name(name, "._") && !is_number && !is_dots;
}

static bool is_shell_name(struct str name)
{
    return is_ascii_name(name, "_");
}

static bool is_reserved(const struct dialect *dialect, struct str name)
{
    auto_free char *text = mem_strndup(name.text, name.len);
    auto_free char *word = mem_printf(" %s ", text);

    return strstr(dialect->reserved, word) != NULL;
}

/* --- texts --- */

/* What cannot be seen, and the ends of lines that editors and nbformat know beyond \n. */
static bool is_invisible(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point <= 0x9f) || point == 0x2028 || point == 0x2029 ||
           point == 0xfeff;
}

/* Between double quotes. `specials`: characters that need a backslash; `narrow`: the format of
 * invisible characters below U+0100. */
static bool put_quoted(struct buf *out, struct str text, const char *specials, const char *narrow)
{
    const char *p = text.text, *end = p + text.len;

    buf_putc(out, '"');
    while (p < end) {
        size_t len = (unsigned char)*p < 0x80 ? 1 : str_utf8_len(p, end);
        uint32_t point = point_of(p, len);
        const char *letter = point ? strchr("\nn\rr\tt", (int)point) : NULL;
        if (letter && point < 0x20)
            buf_printf(out, "\\%c", letter[1]);
        else if (is_invisible(point))
            buf_printf(out, point < 0x100 ? narrow : "\\u%04x", point);
        else if (point < 0x80 && strchr(specials, (int)point))
            buf_printf(out, "\\%c", (int)point);
        else
            buf_put(out, p, len);
        p += len;
    }
    buf_putc(out, '"');
    return true;
}

static bool put_python_text(struct buf *out, struct str text)
{
    return put_quoted(out, text, "\"\\", "\\x%02x");
}

static bool put_javascript_text(struct buf *out, struct str text)
{
    return put_quoted(out, text, "\"\\", "\\u%04x");
}

static bool put_julia_text(struct buf *out, struct str text)
{
    return put_quoted(out, text, "\"\\$", "\\u%04x"); /* there, \x80 is a byte, not a character */
}

static bool has_nul(struct str text)
{
    return memchr(text.text, 0, text.len) != NULL;
}

static bool put_r_text(struct buf *out, struct str text)
{
    return !has_nul(text) && put_quoted(out, text, "\"\\", "\\u%04x");
}

/* As Python's shlex.quote: bare where nothing in it means anything to a shell. */
static bool put_shell_text(struct buf *out, struct str text)
{
    if (has_nul(text))
        return false;
    bool is_bare = text.len > 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.text[i];
        is_bare &= is_letter(c) || is_digit(c) || strchr("@%+=:,./-_", c);
    }
    if (is_bare) {
        buf_put(out, text.text, text.len);
        return true;
    }
    buf_putc(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.text[i] == '\'')
            buf_puts(out, "'\"'\"'");
        else
            buf_putc(out, text.text[i]);
    }
    buf_putc(out, '\'');
    return true;
}

/* --- languages --- */

static const struct dialect PYTHON = {
    .comment = "#",
    .before_name = "",
    .after_name = " = ",
    .after_value = "",
    .null = "None",
    .yes = "True",
    .no = "False",
    .infinity = "float('inf')",
    .minus_infinity = "float('-inf')",
    .nan = "float('nan')",
    .list_open = "[",
    .list_close = "]",
    .list_separator = ", ",
    .object_open = "{",
    .object_close = "}",
    .after_key = ": ",
    .put_text = put_python_text,
    .is_name = is_unicode_name,
    .reserved = " False None True and as assert async await break class continue def del elif else"
                " except finally for from global if import in is lambda nonlocal not or pass raise"
                " return try while with yield __debug__ ",
};

static const struct dialect R = {
    .comment = "#",
    .before_name = "",
    .after_name = " = ",
    .after_value = "",
    .null = "NULL",
    .yes = "TRUE",
    .no = "FALSE",
    .infinity = "Inf",
    .minus_infinity = "-Inf",
    .nan = "NaN",
    .list_open = "list(",
    .list_close = ")",
    .list_separator = ", ",
    .object_open = "list(",
    .object_close = ")",
    .after_key = " = ",
    .put_text = put_r_text,
    .is_name = is_r_name,
    .reserved = " if else repeat while function for next break TRUE FALSE NULL Inf NaN NA"
                " NA_integer_ NA_real_ NA_complex_ NA_character_ in ",
};

static const struct dialect JULIA = {
    .comment = "#",
    .before_name = "",
    .after_name = " = ",
    .after_value = "",
    .null = "nothing",
    .yes = "true",
    .no = "false",
    .infinity = "Inf",
    .minus_infinity = "-Inf",
    .nan = "NaN",
    .list_open = "[",
    .list_close = "]",
    .list_separator = ", ",
    .object_open = "Dict(",
    .object_close = ")",
    .after_key = " => ",
    .put_text = put_julia_text,
    .is_name = is_unicode_name,
    .reserved = " baremodule begin break catch const continue do else elseif end export false"
                " finally for function global if import in isa let local macro module quote return"
                " struct true try using where while ",
};

static const struct dialect JAVASCRIPT = {
    .comment = "//",
    .before_name = "var ",
    .after_name = " = ",
    .after_value = ";",
    .null = "null",
    .yes = "true",
    .no = "false",
    .infinity = "Infinity",
    .minus_infinity = "-Infinity",
    .nan = "NaN",
    .list_open = "[",
    .list_close = "]",
    .list_separator = ", ",
    .object_open = "{",
    .object_close = "}",
    .after_key = ": ",
    .put_text = put_javascript_text,
    .is_name = is_unicode_name,
    .reserved = " Infinity NaN arguments await break case catch class const continue debugger"
                " default delete do else enum eval export extends false finally for function if"
                " implements import in instanceof interface let new null package private protected"
                " public return static super switch this throw true try typeof undefined var void"
                " while with yield ",
};

static const struct dialect BASH = {
    .comment = "#",
    .before_name = "",
    .after_name = "=",
    .after_value = "",
    .null = "''",
    .yes = "true",
    .no = "false",
    .infinity = "inf",
    .minus_infinity = "-inf",
    .nan = "nan",
    .list_open = "(",
    .list_close = ")",
    .list_separator = " ",
    .object_open = NULL,
    .put_text = put_shell_text,
    .is_name = is_shell_name,
    .reserved = " BASHOPTS BASH_VERSINFO EUID PPID SHELLOPTS UID ", /* cannot be assigned to */
};

static const struct {
    const char *name;
    const struct dialect *dialect;
} KERNELS[] =
    {
        {"python", &PYTHON}, {"python2", &PYTHON}, {"python3", &PYTHON}, {"pysparkkernel", &PYTHON},
        {"ir", &R},          {"sparkrkernel", &R}, {"bash", &BASH},
},
  LANGUAGES[] = {
      {"python", &PYTHON},         {"ipython", &PYTHON},        {"r", &R},       {"julia", &JULIA},
      {"javascript", &JAVASCRIPT}, {"typescript", &JAVASCRIPT}, {"bash", &BASH},
};

static const struct dialect *find_dialect(const char *kernel_name, const char *language)
{
    for (size_t i = 0; kernel_name && i < sizeof KERNELS / sizeof *KERNELS; i++) {
        if (strcasecmp(KERNELS[i].name, kernel_name) == 0)
            return KERNELS[i].dialect;
    }
    for (size_t i = 0; language && i < sizeof LANGUAGES / sizeof *LANGUAGES; i++) {
        if (strcasecmp(LANGUAGES[i].name, language) == 0)
            return LANGUAGES[i].dialect;
    }
    return NULL;
}

/* --- values --- */

/* An open list or object. */
struct frame {
    json_at container;
    json_at child; /* the next one */
};

struct writer {
    const struct dialect *dialect;
    const struct json *doc;
    struct buf *out;
    struct frame frames[DEEPEST];
    size_t depth;
};

static bool put_number(struct writer *w, json_at at)
{
    struct str raw = json_raw(w->doc, at);
    double value = 0;

    json_double(w->doc, at, &value);
    bool is_fraction = memchr(raw.text, '.', raw.len) || memchr(raw.text, 'e', raw.len) ||
                       memchr(raw.text, 'E', raw.len);
    bool is_word = is_letter(raw.text[raw.len - 1]); /* NaN, Infinity, -Infinity */
    if (isnan(value))
        buf_puts(w->out, w->dialect->nan);
    else if (isinf(value) && (is_fraction || is_word))
        buf_puts(w->out, value > 0 ? w->dialect->infinity : w->dialect->minus_infinity);
    else
        buf_put(w->out, raw.text, raw.len);
    return raw.len <= LONGEST_NUMBER;
}

static bool put_string(struct writer *w, json_at at)
{
    auto_buf struct buf scratch = {0};

    return w->dialect->put_text(w->out, json_text(w->doc, at, &scratch));
}

static bool open_container(struct writer *w, json_at at)
{
    bool is_object = json_kind(w->doc, at) == JSON_OBJECT;
    const char *text = is_object ? w->dialect->object_open : w->dialect->list_open;
    bool is_list_in_list = w->depth > 0 && !w->dialect->object_open;

    /* A language without objects has no lists in lists either. */
    if (w->depth == DEEPEST || !text || is_list_in_list)
        return false;
    buf_puts(w->out, text);
    w->frames[w->depth++] = (struct frame){at, json_first(w->doc, at)};
    return true;
}

static bool put_one(struct writer *w, json_at at)
{
    switch (json_kind(w->doc, at)) {
    case JSON_ABSENT:
    case JSON_NULL:
        buf_puts(w->out, w->dialect->null);
        return true;
    case JSON_BOOL:
        buf_puts(w->out, json_is_true(w->doc, at) ? w->dialect->yes : w->dialect->no);
        return true;
    case JSON_NUMBER:
        return put_number(w, at);
    case JSON_STRING:
        return put_string(w, at);
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    return open_container(w, at);
}

static bool put_key(struct writer *w, json_at key)
{
    /* R has no elements without a name; JavaScript would take this one for the prototype. */
    if (w->dialect == &R && json_is(w->doc, key, ""))
        return false;
    bool is_computed = w->dialect == &JAVASCRIPT && json_is(w->doc, key, "__proto__");
    if (is_computed)
        buf_putc(w->out, '[');
    if (!put_string(w, key))
        return false;
    if (is_computed)
        buf_putc(w->out, ']');
    buf_puts(w->out, w->dialect->after_key);
    return true;
}

/* The next child of the innermost container, or its end. */
static bool put_next(struct writer *w)
{
    struct frame *frame = &w->frames[w->depth - 1];
    bool is_object = json_kind(w->doc, frame->container) == JSON_OBJECT;
    json_at child = frame->child;

    if (child == JSON_NONE) {
        buf_puts(w->out, is_object ? w->dialect->object_close : w->dialect->list_close);
        w->depth--;
        return true;
    }
    if (child != json_first(w->doc, frame->container))
        buf_puts(w->out, w->dialect->list_separator);
    frame->child = json_next(w->doc, frame->container, child);
    if (is_object && !put_key(w, child))
        return false;
    return put_one(w, is_object ? json_value(child) : child);
}

static bool put_value(const struct dialect *dialect, const struct json *doc, json_at at,
                      struct buf *out)
{
    struct writer w = {.dialect = dialect, .doc = doc, .out = out};
    bool is_fine = put_one(&w, at);

    while (is_fine && w.depth > 0)
        is_fine = put_next(&w);
    return is_fine;
}

/* --- the whole --- */

static bool put_assignment(const struct dialect *dialect, const struct json *doc, json_at key,
                           struct buf *out)
{
    auto_buf struct buf scratch = {0};
    struct str name = json_text(doc, key, &scratch);

    while (dialect == &R && name.len > 0 && name.text[0] == '_') {
        name.text++; /* as papermill does: no name of R starts with it */
        name.len--;
    }
    if (!dialect->is_name(name) || is_reserved(dialect, name))
        return false;
    buf_puts(out, dialect->before_name);
    buf_put(out, name.text, name.len);
    buf_puts(out, dialect->after_name);
    if (!put_value(dialect, doc, json_value(key), out))
        return false;
    buf_puts(out, dialect->after_value);
    buf_putc(out, '\n');
    return true;
}

/* Whether it is the last member of its name, the one that counts. */
static bool is_last(const struct json *doc, json_at object, json_at key)
{
    auto_free char *name = json_strdup(doc, key);

    return name && json_get(doc, object, name) == json_value(key);
}

static void cut(struct buf *out, size_t len)
{
    out->len = len;
    if (out->data)
        out->data[len] = 0;
}

uint32_t parameters_write(const struct json *doc, json_at object, const char *kernel_name,
                          const char *language, struct buf *out)
{
    const struct dialect *dialect = find_dialect(kernel_name, language);
    size_t start = out->len;
    uint32_t count = 0;

    if (!dialect || json_kind(doc, object) != JSON_OBJECT)
        return 0;
    buf_printf(out, "%s Parameters\n", dialect->comment);
    json_each (doc, object, key) {
        size_t mark = out->len;
        if (is_last(doc, object, key) && put_assignment(dialect, doc, key, out))
            count++;
        else
            cut(out, mark);
    }
    if (count == 0)
        cut(out, start);
    return count;
}
