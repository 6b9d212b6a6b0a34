/* `log.state` holds how much of the journal has become text, and how much text that is. It is
 * replaced after the text was written; so what lies behind its number in `log` comes from somebody
 * who was killed, and is written over with what it should be. Nothing in front of it is ever
 * touched: those who read it need no lock. */
#include "runner/engine/step_log.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "kernel-gateway/keeper/journal.h"
#include "kernel-gateway/keeper/keeper.h"
#include "runner/notebook/nbformat.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Text is written in pieces of about this size. */
#define PIECE (256 * 1024)

/* --- text --- */

static void put(struct str text, bool *is_mid_line, struct buf *out)
{
    if (text.len == 0)
        return;
    buf_put(out, text.text, text.len);
    *is_mid_line = text.text[text.len - 1] != '\n';
}

/* On lines of its own. */
static void put_block(const struct buf *text, bool *is_mid_line, struct buf *out)
{
    if (text->len == 0)
        return;
    if (*is_mid_line)
        buf_putc(out, '\n');
    put((struct str){text->data, text->len}, is_mid_line, out);
    if (*is_mid_line)
        put(STR("\n"), is_mid_line, out);
}

static void put_stream(const struct json *doc, json_at output, bool *is_mid_line, struct buf *out)
{
    auto_buf struct buf text = {0};

    nb_join(doc, json_get(doc, output, "text"), &text);
    put((struct str){text.data, text.len}, is_mid_line, out);
}

static void put_data(const struct json *doc, json_at from, bool *is_mid_line, struct buf *out)
{
    auto_buf struct buf text = {0};

    nb_join(doc, json_get(doc, json_get(doc, from, "data"), "text/plain"), &text);
    put_block(&text, is_mid_line, out);
}

static void put_error(const struct json *doc, json_at output, bool *is_mid_line, struct buf *out)
{
    auto_buf struct buf text = {0};
    json_at traceback = json_get(doc, output, "traceback");

    if (json_kind(doc, traceback) == JSON_ARRAY && json_count(doc, traceback) > 0) {
        json_each (doc, traceback, at) {
            json_string(doc, at, &text);
            buf_putc(&text, '\n');
        }
    } else {
        json_string(doc, json_get(doc, output, "ename"), &text);
        buf_puts(&text, ": ");
        json_string(doc, json_get(doc, output, "evalue"), &text);
    }
    put_block(&text, is_mid_line, out);
}

static void put_output(const struct json *doc, bool *is_mid_line, struct buf *out)
{
    json_at output = json_get(doc, 0, "output");
    json_at type = json_get(doc, output, "output_type");

    if (json_is(doc, type, "stream"))
        put_stream(doc, output, is_mid_line, out);
    else if (json_is(doc, type, "error"))
        put_error(doc, output, is_mid_line, out);
    else
        put_data(doc, output, is_mid_line, out);
}

/* Also where a traceback has said it already: only here is it certain that nothing follows. */
static void put_end(const struct json *doc, bool *is_mid_line, struct buf *out)
{
    auto_buf struct buf text = {0};
    json_at failure = json_get(doc, 0, "failure");
    int64_t cell;

    if (failure == JSON_NONE)
        return;
    buf_puts(&text, "[segue] ");
    json_string(doc, json_get(doc, 0, "status"), &text);
    buf_puts(&text, ", ");
    json_string(doc, json_get(doc, failure, "cause"), &text);
    if (json_int(doc, json_get(doc, failure, "cell_index"), &cell))
        buf_printf(&text, " in cell %" PRId64, cell);
    buf_puts(&text, ": ");
    json_string(doc, json_get(doc, failure, "message"), &text);
    put_block(&text, is_mid_line, out);
}

void step_log_render(struct str line, bool *is_mid_line, struct buf *out)
{
    auto_json struct json doc = {0};
    struct err ignored;

    if (json_parse(&doc, line, JSON_TOLERANT, NULL, &ignored) < 0)
        return;
    json_at event = json_get(&doc, 0, "event");
    if (json_is(&doc, event, "output") || json_is(&doc, event, "widget_output"))
        put_output(&doc, is_mid_line, out);
    else if (json_is(&doc, event, "output_updated"))
        put_data(&doc, 0, is_mid_line, out);
    else if (json_is(&doc, event, "step_finished"))
        put_end(&doc, is_mid_line, out);
}

/* --- the file --- */

struct place {
    uint64_t offset; /* in the journal: the first line that is no text yet */
    uint64_t size;   /* of the text */
};

struct files {
    char *log, *state, *journal;
    int fd; /* of the log, which is the lock too */
    struct journal_cursor cursor;
    struct place place; /* as in the state file */
    uint64_t journal_end;
};

static void files_close(struct files *files)
{
    free(files->log);
    free(files->state);
    free(files->journal);
    mem_auto_close(&files->fd);
    journal_cursor_close(&files->cursor);
}

static struct place read_place(const char *path)
{
    struct place place = {0};
    auto_buf struct buf text = {0};
    struct err ignored;
    char end;

    if (fs_read(path, 64, &text, &ignored) < 0 ||
        sscanf(text.data, "%" SCNu64 " %" SCNu64 "%c", &place.offset, &place.size, &end) != 3 ||
        end != '\n')
        return (struct place){0};
    return place;
}

static int write_place(const struct files *files, const struct place *place, struct err *e)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%" PRIu64 " %" PRIu64 "\n", place->offset, place->size);

    return fs_write(files->state, (struct str){text, (size_t)len}, 0644, FS_NO_SYNC, e);
}

static int size_of(int fd, const char *path, uint64_t *ret_size, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_errno(e, errno, "cannot look at \"%s\"", path);
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

static int lock_log(struct files *files, struct err *e)
{
    files->fd = open(files->log, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (files->fd < 0)
        return err_errno(e, errno, "cannot write \"%s\"", files->log);
    while (flock(files->fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return err_errno(e, errno, "cannot lock \"%s\"", files->log);
    return 0;
}

/* A log that is shorter than it was, or a journal: a power cut took their ends. The text is made
 * again from the journal that is there. */
static int find_place(struct files *files, struct err *e)
{
    uint64_t log_size = 0;

    files->place = read_place(files->state);
    if (size_of(files->cursor.fd, files->journal, &files->journal_end, e) < 0 ||
        size_of(files->fd, files->log, &log_size, e) < 0)
        return -1;
    if (log_size < files->place.size || files->journal_end < files->place.offset)
        files->place = (struct place){0};
    files->cursor.offset = files->place.offset;
    return 0;
}

static int append(const struct files *files, uint64_t at, const struct buf *text, struct err *e)
{
    size_t done = 0;

    while (done < text->len) {
        ssize_t n = pwrite(files->fd, text->data + done, text->len - done, (off_t)(at + done));
        if (n < 0 && errno != EINTR)
            return err_errno(e, errno, "cannot write \"%s\"", files->log);
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static bool ends_mid_line(const struct files *files)
{
    char last = '\n';

    return files->place.size > 0 && pread(files->fd, &last, 1, (off_t)files->place.size - 1) == 1 &&
           last != '\n';
}

/* What the journal has of whole lines now; what is added to it meanwhile is for the next time, so
 * that a kernel that prints without end does not hold us. */
static int add_lines(struct files *files, struct place *to, struct err *e)
{
    auto_buf struct buf text = {0};
    bool is_mid_line = ends_mid_line(files);
    struct str line;
    int got = 0;

    while (files->cursor.offset < files->journal_end &&
           (got = journal_cursor_next(&files->cursor, &line, e)) > 0) {
        step_log_render(line, &is_mid_line, &text);
        if (text.len < PIECE)
            continue;
        if (append(files, to->size, &text, e) < 0)
            return -1;
        to->size += text.len;
        buf_reset(&text);
    }
    if (got < 0 || append(files, to->size, &text, e) < 0)
        return -1;
    to->size += text.len;
    to->offset = files->cursor.offset;
    return 0;
}

static int bring_up_to_date(struct files *files, struct err *e)
{
    struct place to;

    if (find_place(files, e) < 0)
        return -1;
    to = files->place;
    if (add_lines(files, &to, e) == 0 &&
        (to.offset == files->place.offset || write_place(files, &to, e) == 0)) {
        files->place = to;
        return 0;
    }
    /* The last space on a disk is better left to the step. */
    (void)!ftruncate(files->fd, (off_t)files->place.size);
    return -1;
}

int step_log_open(const char *directory, int *ret_fd, uint64_t *ret_size, struct err *e)
{
    auto_with(files_close) struct files files = {
        .log = fs_join(directory, STEP_LOG_FILE),
        .state = fs_join(directory, STEP_LOG_STATE),
        .journal = fs_join(directory, KEEPER_JOURNAL),
        .fd = -1,
        .cursor = {.fd = -1},
    };

    if (journal_cursor_open(&files.cursor, files.journal, 0, e) < 0 || lock_log(&files, e) < 0 ||
        bring_up_to_date(&files, e) < 0)
        return -1;
    int fd = open(files.log, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno, "cannot open \"%s\"", files.log);
    *ret_fd = fd;
    *ret_size = files.place.size;
    return 0;
}
