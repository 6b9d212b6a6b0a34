/* The journal is appended with one write per line. A write that comes back short (a full disk) is
 * undone by truncating to the last whole line, so that the file never holds half a line that a
 * later one would be glued to. Nothing is synced: kill -9 of any process loses nothing that was
 * written, and a power cut may lose the newest output, never an acknowledged command (those are in
 * the store). */
#include "kernel-gateway/keeper/journal.h"

#include "base/clock.h"
#include "base/json.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

/* How much is looked at in one go for a line's end, and by how much the file's space grows. */
#define CHUNK (64 * 1024)

/* Kept free behind the lines for the last one, which says how the step ended: a failure of some
 * 4 KiB, each byte of which may need six in JSON. */
#define RESERVE (32 * 1024)

struct journal {
    int fd;
    uint64_t size;  /* bytes of whole lines */
    uint64_t lines; /* how many */
    uint64_t space; /* how far the file has space on the disk */
    bool is_last;   /* the line begun is the last one and may use the reserve */
    struct buf line;
};

/* Counts whole lines and where the last one ends. */
static int measure(int fd, uint64_t *ret_lines, uint64_t *ret_size, struct err *e)
{
    auto_free char *chunk = mem_alloc(CHUNK);
    uint64_t lines = 0, size = 0, offset = 0;

    for (;;) {
        ssize_t n = pread(fd, chunk, CHUNK, (off_t)offset);
        if (n < 0)
            return err_errno(e, errno, "cannot read the journal");
        if (n == 0)
            break;
        for (ssize_t i = 0; i < n; i++) {
            if (chunk[i] == '\n') {
                lines++;
                size = offset + (uint64_t)i + 1;
            }
        }
        offset += (uint64_t)n;
    }
    *ret_lines = lines;
    *ret_size = size;
    return 0;
}

/* Makes sure that the disk has room for the line and, behind it, for the last line. */
static int make_space(struct journal *journal, struct err *e)
{
    uint64_t need = journal->size + journal->line.len + RESERVE;

    if (need <= journal->space || journal->is_last)
        return 0;
    for (int attempt = 0; attempt < 2; attempt++) {
        uint64_t end = attempt == 0 ? need + CHUNK : need;
        if (fallocate(journal->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)end) == 0 ||
            errno == EOPNOTSUPP) {
            journal->space = end;
            return 0;
        }
    }
    return err_errno(e, errno, "cannot write the journal");
}

int journal_open(struct journal **ret_journal, const char *path, struct err *e)
{
    auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    uint64_t lines = 0, size = 0;

    if (fd < 0)
        return err_errno(e, errno, "cannot open \"%s\"", path);
    if (measure(fd, &lines, &size, e) < 0)
        return -1;
    if (ftruncate(fd, (off_t)size) < 0 || lseek(fd, (off_t)size, SEEK_SET) < 0)
        return err_errno(e, errno, "cannot write \"%s\"", path);

    struct journal *journal = mem_zalloc(sizeof *journal);
    journal->fd = take_fd(&fd);
    journal->size = size;
    journal->lines = lines;
    if (make_space(journal, e) < 0) {
        journal_close(journal);
        return -1;
    }
    *ret_journal = journal;
    return 0;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    (void)!ftruncate(journal->fd, (off_t)journal->size); /* gives the space behind back */
    close(journal->fd);
    buf_clear(&journal->line);
    free(journal);
}

struct buf *journal_begin_last(struct journal *journal, const char *event)
{
    struct buf *line = journal_begin(journal, event);

    journal->is_last = true;
    return line;
}

struct buf *journal_begin(struct journal *journal, const char *event)
{
    struct buf *line = &journal->line;

    journal->is_last = false;

    /* One huge output must not keep its memory for the rest of the step. */
    if (line->cap > 4 * CHUNK)
        buf_clear(line);
    buf_reset(line);
    buf_printf(line, "{\"n\":%" PRIu64 ",\"time\":\"%s\",\"event\":\"%s\"", journal->lines + 1,
               time_text_now().text, event);
    return line;
}

static int append(struct journal *journal, struct err *e)
{
    const struct buf *line = &journal->line;
    size_t done = 0;

    while (done < line->len) {
        ssize_t n = write(journal->fd, line->data + done, line->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, errno, "cannot write the journal");
        done += (size_t)n;
    }
    return 0;
}

int journal_commit(struct journal *journal, struct str *ret_line, struct err *e)
{
    struct buf *line = &journal->line;

    buf_puts(line, "}\n");
    if (make_space(journal, e) < 0)
        return -1;
    if (append(journal, e) < 0) {
        if (ftruncate(journal->fd, (off_t)journal->size) < 0 ||
            lseek(journal->fd, (off_t)journal->size, SEEK_SET) < 0)
            return err_prefix(e, "cannot undo a torn line");
        return -1;
    }
    journal->size += line->len;
    journal->lines++;
    if (ret_line)
        *ret_line = (struct str){line->data, line->len - 1};
    return 0;
}

uint64_t journal_size(const struct journal *journal)
{
    return journal->size;
}

int journal_cursor_open(struct journal_cursor *cursor, const char *path, uint64_t offset,
                        struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_errno(e, errno, "cannot open \"%s\"", path);
    *cursor = (struct journal_cursor){.fd = fd, .offset = offset};
    return 0;
}

void journal_cursor_close(struct journal_cursor *cursor)
{
    if (cursor->fd >= 0)
        close(cursor->fd);
    cursor->fd = -1;
    buf_clear(&cursor->pending);
}

/* `pending` holds what was read from `read_at` on; the line given last is dropped from it at the
 * next call, so that the caller can look at it in the meantime. */
static int fill(struct journal_cursor *cursor, struct err *e, size_t *ret_read)
{
    struct buf *pending = &cursor->pending;
    uint64_t end = cursor->offset + pending->len - cursor->given;

    buf_reserve(pending, CHUNK);
    ssize_t n = pread(cursor->fd, pending->data + pending->len, CHUNK, (off_t)end);
    if (n < 0)
        return err_errno(e, errno, "cannot read the journal");
    pending->len += (size_t)n;
    *ret_read = (size_t)n;
    return 0;
}

int journal_cursor_next(struct journal_cursor *cursor, struct str *ret_line, struct err *e)
{
    struct buf *pending = &cursor->pending;
    size_t looked = cursor->given;

    for (;;) {
        const char *start = buf_text(pending) + cursor->given;
        const char *found = pending->len > looked
                                ? memchr(pending->data + looked, '\n', pending->len - looked)
                                : NULL;
        if (found) {
            *ret_line = (struct str){start, (size_t)(found - start)};
            cursor->given += ret_line->len + 1;
            cursor->offset += ret_line->len + 1;
            return 1;
        }
        looked = pending->len;
        if (cursor->given > 0) { /* everything before is done with: make room */
            buf_consume(pending, cursor->given);
            looked -= cursor->given;
            cursor->given = 0;
        }
        size_t got = 0;
        if (fill(cursor, e, &got) < 0)
            return -1;
        if (got == 0)
            return 0;
    }
}
