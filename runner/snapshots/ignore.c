#include "runner/snapshots/ignore.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"

#include <fcntl.h>

/* A longer line can match no path; the matcher's time grows with it. */
enum { LINE_MAX_BYTES = 4096 };

/* Of all ignore files of a project: they are kept for as long as it is walked. */
#define TOTAL_MAX_BYTES (16 * LIMIT_CONFIG_BYTES)

struct pattern {
    const char *text;
    bool takes_in;     /* "!": what it matches is not left out */
    bool is_anchored;  /* compared with the path from the level's directory, else with the name */
    bool is_literal;   /* has no wildcard and no escape */
    bool is_directory; /* matches directories only */
};

struct ignore_level {
    const struct ignore_level *around;
    size_t prefix; /* what the paths of its directory's entries have in front of their names */
    struct pattern *patterns;
    size_t count, capacity;
    char *texts[2]; /* of the two files; patterns point into them */
    struct ignore_level *next;
};

/* --- matching --- */

static bool in_range(char c, char first, char last)
{
    return (unsigned char)c >= (unsigned char)first && (unsigned char)c <= (unsigned char)last;
}

static bool is_graph(char c)
{
    return in_range(c, '!', '~');
}

static bool is_digit(char c)
{
    return in_range(c, '0', '9');
}

static bool is_alpha(char c)
{
    return in_range(c, 'a', 'z') || in_range(c, 'A', 'Z');
}

/* [:NAME:] for bytes, whatever the locale: 1 or 0, -1 when there is no such class. */
static int is_of_class(struct str name, char c)
{
    const struct {
        const char *name;
        bool matches;
    } classes[] = {
        {"alnum", is_alpha(c) || is_digit(c)},
        {"alpha", is_alpha(c)},
        {"blank", c == ' ' || c == '\t'},
        {"cntrl", in_range(c, 0, 31) || c == 127},
        {"digit", is_digit(c)},
        {"graph", is_graph(c)},
        {"lower", in_range(c, 'a', 'z')},
        {"print", is_graph(c) || c == ' '},
        {"punct", is_graph(c) && !is_alpha(c) && !is_digit(c)},
        {"space", c == ' ' || c == '\t' || c == '\n' || c == '\r'}, /* as git has it */
        {"upper", in_range(c, 'A', 'Z')},
        {"xdigit", is_digit(c) || in_range(c, 'a', 'f') || in_range(c, 'A', 'F')},
    };

    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (str_is(name, classes[i].name))
            return classes[i].matches;
    return -1;
}

/* One character of a bracket, after its backslash if it has one; NULL at the pattern's end. */
static const char *take_character(const char *p, char *ret_c)
{
    if (*p == '\\')
        p++;
    *ret_c = *p;
    return *p ? p + 1 : NULL;
}

/* One member of a bracket: a class, a range or a character. NULL: it is not well formed. */
static const char *take_member(const char *p, char c, bool *matched)
{
    char first, last;
    const char *class_end = p[0] == '[' && p[1] == ':' ? strchr(p + 2, ']') : NULL;

    if (class_end && class_end - p >= 3 && class_end[-1] == ':') {
        int is_member = is_of_class((struct str){p + 2, (size_t)(class_end - 1 - (p + 2))}, c);
        *matched = *matched || is_member == 1;
        return is_member < 0 ? NULL : class_end + 1;
    }
    p = take_character(p, &first);
    last = first;
    if (p && p[0] == '-' && p[1] && p[1] != ']')
        p = take_character(p + 1, &last);
    *matched = *matched || in_range(c, first, last);
    return p;
}

/* What follows the bracket whose inside starts at `p`; NULL: it never ends, and matches nothing. A
 * "]" that comes first is a member. */
static const char *take_bracket(const char *p, char c, bool *ret_matched)
{
    bool is_negated = *p == '!' || *p == '^';
    bool matched = false;

    if (is_negated)
        p++;
    do
        p = *p ? take_member(p, c, &matched) : NULL;
    while (p && *p != ']');
    *ret_matched = matched != is_negated && c != '/';
    return p ? p + 1 : NULL;
}

/* Where to go on when what follows a wildcard does not match: with the wildcard taking in more. */
struct resume {
    const char *pattern; /* behind the wildcard; NULL: there was none */
    const char *text;    /* what the wildcard has not taken in yet */
};

/* Two places to go back to are enough, which keeps matching from being exponential: behind a later
 * star it no longer matters what an earlier one took in, nor behind a slash what stars before it
 * did, as they end at that slash however they begin. Only "**" reaches over slashes. */
struct match {
    const char *pattern, *text; /* what is left of both */
    struct resume star;         /* takes in one more character of a name */
    struct resume stars;        /* "**" and its slash: take in one more directory */
};

/* At a star. Whether it matches all that is left. */
static bool pass_stars(struct match *m, const char *whole)
{
    const char *first = m->pattern;

    m->pattern += strspn(first, "*");
    if (m->pattern - first < 2 || (first > whole && first[-1] != '/') ||
        (*m->pattern && *m->pattern != '/')) {
        m->star = (struct resume){m->pattern, m->text};
        return false;
    }
    if (!*m->pattern)
        return true;
    m->stars = (struct resume){++m->pattern, m->text};
    m->star = (struct resume){0};
    return false;
}

static bool go_back(struct match *m)
{
    const char *slash;

    if (m->star.pattern && *m->star.text && *m->star.text != '/') {
        m->star.text++;
        m->pattern = m->star.pattern;
        m->text = m->star.text;
        return true;
    }
    m->star = (struct resume){0};
    slash = m->stars.pattern ? strchr(m->stars.text, '/') : NULL;
    if (!slash)
        return false;
    m->stars.text = slash + 1;
    m->pattern = m->stars.pattern;
    m->text = m->stars.text;
    return true;
}

/* One character against one element of the pattern that is no star. 1: they match, -1: nothing can
 * match, as the pattern is not well formed. */
static int match_one(const char **pattern, char c)
{
    const char *p = *pattern;
    bool matched;

    if (*p == '[') {
        *pattern = take_bracket(p + 1, c, &matched);
        return !*pattern ? -1 : c && matched;
    }
    if (*p == '?') {
        *pattern = p + 1;
        return c && c != '/';
    }
    if (*p == '\\' && !*++p)
        return -1;
    *pattern = p + 1;
    return *p == c;
}

static bool matches(const char *pattern, const char *text)
{
    struct match m = {.pattern = pattern, .text = text};

    while (*m.pattern || *m.text) {
        if (*m.pattern == '*') {
            if (pass_stars(&m, pattern))
                return true;
            continue;
        }
        int matched = *m.pattern ? match_one(&m.pattern, *m.text) : 0;
        if (matched < 0 || (!matched && !go_back(&m)))
            return false;
        if (matched && *m.text++ == '/')
            m.star = (struct resume){0};
    }
    return true;
}

static bool pattern_matches(const struct pattern *pattern, const char *text)
{
    return pattern->is_literal ? strcmp(pattern->text, text) == 0 : matches(pattern->text, text);
}

bool ignore_matches(const struct ignore_level *level, const char *path, enum ignore_kind kind)
{
    const char *name = fs_basename(path);

    for (; level; level = level->around)
        for (size_t i = level->count; i-- > 0;) {
            const struct pattern *pattern = &level->patterns[i];
            if (pattern->is_directory && kind != IGNORE_DIRECTORY)
                continue;
            if (pattern_matches(pattern, pattern->is_anchored ? path + level->prefix : name))
                return !pattern->takes_in;
        }
    return false;
}

/* --- reading --- */

/* Blanks at the end count only behind a backslash. */
static void cut_trailing_blanks(char *line)
{
    char *end = line;

    for (char *p = line; *p; p++) {
        if (*p == '\\' && p[1])
            p++;
        else if (*p == ' ')
            continue;
        end = p + 1;
    }
    *end = 0;
}

static void add_pattern(struct ignore_level *level, char *line)
{
    struct pattern pattern = {0};

    if (*line == '#')
        return;
    cut_trailing_blanks(line);
    if (*line == '!') {
        pattern.takes_in = true;
        line++;
    }
    size_t len = strlen(line);
    if (len && line[len - 1] == '/') {
        pattern.is_directory = true;
        line[--len] = 0;
    }
    if (len == 0)
        return;
    pattern.is_anchored = strchr(line, '/');
    pattern.is_literal = !strpbrk(line, "*?[\\");
    pattern.text = *line == '/' ? line + 1 : line;
    mem_grow(level->patterns, level->count, level->capacity);
    level->patterns[level->count++] = pattern;
}

/* Cuts the text into its lines. */
static int parse(struct ignore_level *level, char *text, const char *file, struct err *e)
{
    static const char MARK[] = "\xef\xbb\xbf"; /* some editors begin every file with it */
    unsigned number = 1;

    if (strncmp(text, MARK, sizeof MARK - 1) == 0)
        text += sizeof MARK - 1;
    for (char *line = text, *next; line; line = next, number++) {
        size_t len = strcspn(line, "\n");
        next = line[len] ? line + len + 1 : NULL;
        if (len > LINE_MAX_BYTES)
            return err_set(e, ERR_LIMIT, "line %u of \"%s\" is longer than %d bytes", number, file,
                           LINE_MAX_BYTES);
        line[len] = 0;
        if (len && line[len - 1] == '\r')
            line[len - 1] = 0;
        add_pattern(level, line);
    }
    return 0;
}

/* What is no regular file says nothing, as in git: -1 without an error. */
static int open_file(int at, const char *file, const char *shown, struct err *e)
{
    auto_close int fd = openat(at, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    e->code = ERR_NONE;
    if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENXIO))
        return -1;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(e, errno, "cannot open \"%s\"", shown);
    return S_ISREG(st.st_mode) ? take_fd(&fd) : -1;
}

static int read_file(struct ignore *i, int fd, const char *shown, char **ret_text, struct err *e)
{
    auto_buf struct buf text = {0};

    if (fs_read_fd(fd, shown, LIMIT_CONFIG_BYTES, &text, e) < 0)
        return -1;
    i->bytes += text.len;
    if (i->bytes > TOTAL_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "the project's ignore files are larger than %lu bytes",
                       TOTAL_MAX_BYTES);
    *ret_text = buf_take(&text);
    return 0;
}

static void level_free(struct ignore_level *level)
{
    if (!level)
        return;
    free(level->patterns);
    free(level->texts[0]);
    free(level->texts[1]);
    free(level);
}
AUTO_FUNCTION(struct ignore_level, level_free)

void ignore_clear(struct ignore *i)
{
    for (struct ignore_level *level; (level = i->levels);) {
        i->levels = level->next;
        level_free(level);
    }
    i->bytes = 0;
}

static struct ignore_level *level_new(const char *path, const struct ignore_level *around)
{
    struct ignore_level *level = mem_zalloc(sizeof *level);

    level->around = around;
    level->prefix = *path ? strlen(path) + 1 : 0;
    return level;
}

int ignore_enter(struct ignore *i, int at, const char *name, const char *path,
                 const struct ignore_level *around, const struct ignore_level **ret_level,
                 struct err *e)
{
    static const char *const FILES[] = {".gitignore", ".segueignore"};
    auto_with(level_free_at) struct ignore_level *level = NULL;

    for (size_t f = 0; f < sizeof FILES / sizeof *FILES; f++) {
        auto_free char *file = fs_join(name, FILES[f]);
        auto_free char *shown = fs_join(path, FILES[f]);
        auto_close int fd = open_file(at, file, shown, e);
        if (fd < 0 && e->code)
            return -1;
        if (fd < 0)
            continue;
        if (!level)
            level = level_new(path, around);
        if (read_file(i, fd, shown, &level->texts[f], e) < 0 ||
            parse(level, level->texts[f], shown, e) < 0)
            return -1;
    }
    *ret_level = level ? level : around;
    if (level) {
        level->next = i->levels;
        i->levels = take_ptr(&level);
    }
    return 0;
}
